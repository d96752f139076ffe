/*
 * History in the engine: what a chunk of the phone changes, and what chunks of
 * a phone gone mad do not.
 */

#include "client_sim.h"
#include "pb.h"
#include "../../core/history/history.h"

#include <zlib.h>

#define CHAT "49300@s.whatsapp.net"

static wagw_arena_t arena;

static int setup(void **state)
{
    (void)state;
    memset(&arena, 0, sizeof(arena));
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    wagw_arena_free(&arena);
    return 0;
}

static void put_text(wagw_buf_t *b, uint32_t num, const char *s)
{
    put_field(b, num, wagw_cstr(s));
}

static void put_uint(wagw_buf_t *b, uint32_t num, uint64_t v)
{
    put_varint(b, (uint64_t)num << 3);
    put_varint(b, v);
}

/* A conversation with one message, id "M<chat>". */
static void put_chat(wagw_buf_t *sync, const char *chat, const char *body)
{
    wagw_buf_t conv = {0}, msg = {0}, info = {0}, part = {0};

    put_text(&part, 1, chat);
    put_uint(&part, 2, 0);
    put_text(&part, 3, (const char *)wagw_arena_printf(&arena, "M%s", body).p);
    put_field(&info, 1, wagw_buf_view(&part));
    wagw_buf_reset(&part);
    put_text(&part, 1, body);
    put_field(&info, 2, wagw_buf_view(&part));
    put_uint(&info, 3, SIM_START / 1000 - 1000);
    put_field(&msg, 1, wagw_buf_view(&info));
    put_text(&conv, 1, chat);
    put_field(&conv, 2, wagw_buf_view(&msg));
    put_uint(&conv, 12, SIM_START / 1000 - 1000);
    put_text(&conv, 21, "token of the contact");
    put_uint(&conv, 22, SIM_START / 1000 - 5000);
    put_field(sync, 2, wagw_buf_view(&conv));
    wagw_buf_free(&conv);
    wagw_buf_free(&msg);
    wagw_buf_free(&info);
    wagw_buf_free(&part);
}

static wagw_str_t deflated(wagw_str_t in)
{
    uLongf n = compressBound(in.n);
    uint8_t *p = wagw_arena_alloc(&arena, n);

    assert_int_equal(compress2(p, &n, in.p, in.n, 9), Z_OK);
    return wagw_str(p, n);
}

/* The phone announces a chunk, inline; its receipt comes whatever is in it. */
static void announce(sim_two_t *p, unsigned type, int progress, wagw_str_t zlib)
{
    static unsigned ids;
    char id[32];
    sim_log_t *mark = sim_mark(p->w);
    wagw_buf_t notice = {0}, pm = {0}, m = {0};
    const char *const attrs[] = {"pn", "", "category", "peer", NULL};

    put_uint(&notice, 6, type);
    put_uint(&notice, 7, 1);
    put_uint(&notice, 9, (uint64_t)progress);
    if (zlib.n) {
        put_field(&notice, 11, zlib);
    }
    put_uint(&pm, 2, 5);
    put_field(&pm, 6, wagw_buf_view(&notice));
    put_field(&m, 12, wagw_buf_view(&pm));
    snprintf(id, sizeof(id), "HIST%u", ++ids);
    sim_peer_send_bytes(p->aa->phone, p->aa, id, wagw_buf_view(&m), attrs);
    sim_run(p->w);
    assert_true(sim_has(sim_sent(p->a, mark, "receipt", 1), "id", id, "type", "hist_sync", NULL));
    wagw_buf_free(&notice);
    wagw_buf_free(&pm);
    wagw_buf_free(&m);
}

/* Slices are timers; chunks are worked off when none of their records is left. */
static void work_off(sim_two_t *p)
{
    for (unsigned i = 0; sim_mem_count(&p->a->mem, WAGW_REC_META, "hist|") && i < 200000; i++) {
        sim_advance(p->w, 1);
    }
    assert_int_equal(sim_mem_count(&p->a->mem, WAGW_REC_META, "hist|"), 0);
}

static void good_chunk(sim_two_t *p, const char *body)
{
    wagw_buf_t b = {0};
    sim_event_t *ev;
    wagw_row_message_t row;
    unsigned before = sim_events(p->a, "history.sync");

    put_uint(&b, 1, 3);
    put_chat(&b, CHAT, body);
    announce(p, WAGW_SYNC_RECENT, 100, deflated(wagw_buf_view(&b)));
    work_off(p);
    assert_int_equal(sim_events(p->a, "history.sync"), before + 1);
    ev = sim_last_event(p->a, "history.sync");
    assert_string_equal(sim_str(ev->data, "type"), "RECENT");
    assert_int_equal(vec_int(ev->data, "progress", -1), 100);
    assert_int_equal(vec_int(ev->data, "chats", -1), 1);
    assert_int_equal(vec_int(ev->data, "messages", -1), 1);
    assert_true(vec_bool(ev->data, "done"));
    assert_true(sim_message(p->a, CHAT, (const char *)wagw_arena_printf(&arena, "M%s", body).p, CHAT, &row));
    assert_true(wagw_str_eq(row.body, wagw_cstr(body)));
    wagw_buf_free(&b);
}

/* Nothing of it is kept, nothing of what was there is lost, and the next one works. */
static void refused(sim_two_t *p, wagw_str_t zlib, const char *why)
{
    wagw_row_chat_t chat;
    wagw_row_message_t row;
    unsigned chats = sim_mem_count(&p->a->mem, WAGW_REC_CHAT, ""), n = sim_events(p->a, "history.sync");

    p->a->logs[0] = '\0';
    announce(p, WAGW_SYNC_RECENT, 50, zlib);
    work_off(p);
    assert_non_null(strstr(p->a->logs, "a chunk is refused"));
    assert_non_null(strstr(p->a->logs, why));
    assert_int_equal(sim_events(p->a, "history.sync"), n);
    assert_int_equal(sim_mem_count(&p->a->mem, WAGW_REC_CHAT, ""), chats);
    assert_true(sim_chat(p->a, CHAT, &chat));
    assert_true(sim_message(p->a, CHAT, "Mfirst", CHAT, &row));
    sim_expect_status(p->a, WAGW_STATUS_CONNECTED);
    good_chunk(p, (const char *)wagw_arena_printf(&arena, "after %s %u", why, n).p);
}

static void a_chunk_becomes_rows(void **state)
{
    sim_two_t p = sim_two(51);
    wagw_buf_t b = {0}, c = {0};
    wagw_str_t v;
    sim_log_t *mark;

    (void)state;
    good_chunk(&p, "first");
    v = sim_mem_get(&p.a->mem, WAGW_REC_TOKEN, wagw_cstr(CHAT));
    assert_non_null(v.p);
    assert_non_null(memmem(v.p, v.n, "token of the contact", 20));

    /* salt, a contact with its name, a pair */
    put_uint(&b, 1, 5);
    put_text(&b, 19, "0123456789abcdef0123456789abcdef");
    put_text(&c, 1, "49400@s.whatsapp.net");
    put_text(&c, 2, "9400@lid");
    put_text(&c, 3, "Cora Full");
    put_field(&b, 20, wagw_buf_view(&c));
    announce(&p, WAGW_SYNC_NON_BLOCKING, 100, deflated(wagw_buf_view(&b)));
    work_off(&p);
    v = sim_mem_get(&p.a->mem, WAGW_REC_CONTACT, WAGW_STR("49400@s.whatsapp.net"));
    assert_non_null(v.p);
    assert_non_null(memmem(v.p, v.n, "Cora Full", 9));
    assert_non_null(memmem(v.p, v.n, "9400@lid", 8));
    /* with a salt a message without token carries a cstoken */
    mark = sim_mark(p.w);
    sim_do(p.a, WAGW_CMD_SEND, "{\"to\":\"49200\",\"message\":\"hello\"}", 200);
    assert_int_equal(wagw_node_data(wagw_node_find(sim_sent(p.a, mark, "message", 0), "cstoken")).n, 32);
    assert_int_equal(p.a->errors, 0);
    wagw_buf_free(&b);
    wagw_buf_free(&c);
    sim_free(p.w);
}

static void no_history_is_told(void **state)
{
    sim_two_t p = sim_two(52);
    sim_event_t *ev;

    (void)state;
    announce(&p, WAGW_SYNC_NO_HISTORY, 0, WAGW_STR_NULL);
    ev = sim_last_event(p.a, "history.sync");
    assert_non_null(ev);
    assert_string_equal(sim_str(ev->data, "type"), "NO_HISTORY");
    assert_true(vec_bool(ev->data, "done"));
    sim_free(p.w);
}

/* syncHistory none: receipts go out, contents stay out. */
static void what_is_not_wanted_is_left_out(void **state)
{
    sim_two_t p = sim_two(53);
    wagw_buf_t b = {0};

    (void)state;
    put_chat(&b, CHAT, "unwanted");
    announce(&p, WAGW_SYNC_FULL, 100, deflated(wagw_buf_view(&b))); /* recent is the default */
    work_off(&p);
    p.a->conf.no_history = true;
    wagw_client_configure(p.a->c, &p.a->conf);
    announce(&p, WAGW_SYNC_RECENT, 100, deflated(wagw_buf_view(&b)));
    work_off(&p);
    assert_int_equal(sim_mem_count(&p.a->mem, WAGW_REC_MESSAGE, CHAT), 0);
    assert_int_equal(sim_events(p.a, "history.sync"), 0);
    p.a->conf.no_history = false;
    p.a->conf.full_history = true;
    wagw_client_configure(p.a->c, &p.a->conf);
    announce(&p, WAGW_SYNC_FULL, 100, deflated(wagw_buf_view(&b)));
    work_off(&p);
    assert_int_equal(sim_mem_count(&p.a->mem, WAGW_REC_MESSAGE, CHAT), 1);
    wagw_buf_free(&b);
    sim_free(p.w);
}

/* 300 MiB in some 300 KiB; the first conversation is good. */
static void a_zip_bomb(void **state)
{
    sim_two_t p = sim_two(54);
    size_t n = (size_t)WAGW_HISTORY_MAX + (40u << 20);
    z_stream z = {0};
    wagw_buf_t out = {0}, head = {0};
    uint8_t *zeros = calloc(1, 1 << 20);

    (void)state;
    good_chunk(&p, "first");
    put_chat(&head, "49999@s.whatsapp.net", "bait");
    put_varint(&head, 17 << 3 | 2);
    put_varint(&head, 200u << 20);
    assert_int_equal(deflateInit(&z, 9), Z_OK);
    wagw_buf_reserve(&out, 2 << 20);
    z.next_out = out.p;
    z.avail_out = 2 << 20;
    z.next_in = head.p;
    z.avail_in = (uInt)head.n;
    assert_int_equal(deflate(&z, Z_NO_FLUSH), Z_OK);
    for (size_t i = 0; i < n; i += 1 << 20) {
        if (i == 200u << 20) { /* one more field, as large as the rest */
            wagw_buf_reset(&head);
            put_varint(&head, 17 << 3 | 2);
            put_varint(&head, n - i);
            z.next_in = head.p;
            z.avail_in = (uInt)head.n;
            assert_int_equal(deflate(&z, Z_NO_FLUSH), Z_OK);
        }
        z.next_in = zeros;
        z.avail_in = 1 << 20;
        assert_int_equal(deflate(&z, Z_NO_FLUSH), Z_OK);
        assert_int_equal(z.avail_in, 0);
    }
    assert_int_equal(deflate(&z, Z_FINISH), Z_STREAM_END);
    out.n = z.total_out;
    deflateEnd(&z);
    refused(&p, wagw_buf_view(&out), "too_large");
    free(zeros);
    wagw_buf_free(&out);
    wagw_buf_free(&head);
    sim_free(p.w);
}

static void a_million_chats(void **state)
{
    sim_two_t p = sim_two(55);
    wagw_buf_t b = {0}, one = {0};

    (void)state;
    good_chunk(&p, "first");
    put_chat(&one, "49999@s.whatsapp.net", "x");
    for (unsigned i = 0; i < 1000000; i++) {
        wagw_buf_str(&b, wagw_buf_view(&one));
    }
    refused(&p, deflated(wagw_buf_view(&b)), "too_many_entries");
    wagw_buf_free(&b);
    wagw_buf_free(&one);
    sim_free(p.w);
}

static void damaged_chunks(void **state)
{
    sim_two_t p = sim_two(56);
    wagw_buf_t b = {0};
    wagw_str_t z;
    uint8_t *copy;

    (void)state;
    good_chunk(&p, "first");
    put_chat(&b, "49999@s.whatsapp.net", "bait");
    z = deflated(wagw_buf_view(&b));
    refused(&p, wagw_str(z.p, z.n - 6), "inflate_error"); /* cut off */
    copy = (uint8_t *)wagw_arena_str(&arena, z).p;
    copy[z.n - 1] ^= 1;
    refused(&p, wagw_str(copy, z.n), "inflate_error"); /* its checksum */
    wagw_buf_u8(&b, 0x12);
    wagw_buf_u8(&b, 0x7f); /* a conversation that is not there */
    refused(&p, deflated(wagw_buf_view(&b)), "protobuf_error");
    refused(&p, WAGW_STR("no zlib at all"), "inflate_error");
    wagw_buf_free(&b);
    sim_free(p.w);
}

/* A stranger's history is nobody's business. */
static void only_the_own_phone_is_believed(void **state)
{
    sim_two_t p = sim_two(57);
    wagw_buf_t b = {0}, notice = {0}, pm = {0}, m = {0};

    (void)state;
    put_chat(&b, CHAT, "forged");
    put_uint(&notice, 6, 3);
    put_field(&notice, 11, deflated(wagw_buf_view(&b)));
    put_uint(&pm, 2, 5);
    put_field(&pm, 6, wagw_buf_view(&notice));
    put_field(&m, 12, wagw_buf_view(&pm));
    sim_peer_send_bytes(p.ba->phone, p.aa, "FORGED", wagw_buf_view(&m), NULL);
    sim_run(p.w);
    assert_int_equal(sim_mem_count(&p.a->mem, WAGW_REC_META, "hist|"), 0);
    assert_int_equal(sim_mem_count(&p.a->mem, WAGW_REC_MESSAGE, CHAT), 0);
    assert_non_null(strstr(p.a->logs, "only our own devices may send"));
    wagw_buf_free(&b);
    wagw_buf_free(&notice);
    wagw_buf_free(&pm);
    wagw_buf_free(&m);
    sim_free(p.w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(a_chunk_becomes_rows, setup, teardown),
        cmocka_unit_test_setup_teardown(no_history_is_told, setup, teardown),
        cmocka_unit_test_setup_teardown(what_is_not_wanted_is_left_out, setup, teardown),
        cmocka_unit_test_setup_teardown(a_zip_bomb, setup, teardown),
        cmocka_unit_test_setup_teardown(a_million_chats, setup, teardown),
        cmocka_unit_test_setup_teardown(damaged_chunks, setup, teardown),
        cmocka_unit_test_setup_teardown(only_the_own_phone_is_believed, setup, teardown),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
