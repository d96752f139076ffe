/*
 * core/history: every row of history-sync.json, streamed from the compressed
 * bytes; refusals; limits; the requests to the phone as they are built.
 */

#include "client_sim.h"
#include "pb.h"
#include "../../core/history/history.h"
#include "../../core/media/media.h"
#include "../../core/message/message.h"

#include <zlib.h>

static wagw_arena_t arena;
static unsigned passed, failed;

#define ROW(ok, ...)                                                                                                   \
    do {                                                                                                               \
        if (ok) {                                                                                                      \
            passed++;                                                                                                  \
        } else {                                                                                                       \
            failed++;                                                                                                  \
            print_error(__VA_ARGS__);                                                                                  \
        }                                                                                                              \
    } while (0)

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

/* The compressed bytes of a case: inline, or downloaded and checked. */
static wagw_str_t payload(const cJSON *row, const wagw_history_notice_t *n)
{
    uint64_t size, start, end;
    wagw_buf_t out = {0};
    wagw_str_t body, plain;
    wagw_media_keys_t keys;
    wagw_media_check_t *check;
    wagw_media_open_t *open;

    if (n->inline_payload.n) {
        return n->inline_payload;
    }
    body = vec_bytes(&arena, row, "encrypted");
    assert_int_equal(n->media_key.n, 32);
    assert_int_equal(wagw_media_keys(&keys, wagw_media_type("md-msg-hist"), n->media_key.p), WAGW_OK);
    check = wagw_media_check(&keys, n->enc_sha256, n->sha256);
    assert_int_equal(wagw_media_check_add(check, body), WAGW_OK);
    assert_int_equal(wagw_media_check_end(check, &size), WAGW_MEDIA_GOOD);
    wagw_media_check_free(check);
    assert_int_equal(size, n->length);
    open = wagw_media_open(&keys, 0, size, &start, &end);
    assert_int_equal(wagw_media_open_add(open, &out, wagw_str(body.p + start, (size_t)(end - start))), WAGW_OK);
    wagw_media_open_free(open);
    plain = wagw_arena_str(&arena, wagw_buf_view(&out));
    wagw_buf_free(&out);
    return plain;
}

/* ---- what a chunk says, in the form of the vectors' `expect` ---- */

typedef struct {
    cJSON *chats, *contacts, *ids, *pairs, *told, *past;
    wagw_str_t first_own;
    char kept[128];
    int64_t received;
} facts_t;

static cJSON *text(wagw_str_t s)
{
    return cJSON_CreateString((const char *)wagw_arena_str(&arena, s).p);
}

static void put(cJSON *o, const char *key, wagw_str_t s)
{
    if (s.n) {
        cJSON_AddItemToObject(o, key, text(s));
    }
}

static void pair(cJSON *list, wagw_str_t pn, wagw_str_t lid)
{
    cJSON *o = cJSON_CreateObject();

    put(o, "lid", lid);
    put(o, "pn", pn);
    cJSON_AddItemToArray(list, o);
}

static void chat(facts_t *f, const wagw_history_item_t *it)
{
    cJSON *o = cJSON_CreateObject();
    wagw_str_t pn, lid;
    wagw_history_chat_t c;

    assert_int_equal(wagw_history_chat(&c, it->bytes), WAGW_OK);
    assert_true(wagw_str_eq(c.id, it->chat));
    put(o, "id", c.id);
    if (f->kept[0]) {
        cJSON_AddStringToObject(o, "keptMessageId", f->kept);
    }
    if (f->received) {
        cJSON_AddNumberToObject(o, "lastMessageRecvTimestamp", (double)f->received);
    }
    cJSON_AddNumberToObject(o, "unreadCount", c.unread);
    cJSON_AddBoolToObject(o, "archived", c.archived);
    cJSON_AddBoolToObject(o, "markedAsUnread", c.marked_unread);
    cJSON_AddNumberToObject(o, "pinned", c.pinned);
    cJSON_AddNumberToObject(o, "muteEndTime", (double)c.muted_ms);
    cJSON_AddNumberToObject(o, "ephemeralExpiration", c.ephemeral);
    cJSON_AddNumberToObject(o, "conversationTimestamp", (double)(c.last_ms / 1000));
    cJSON_AddNumberToObject(o, "endOfHistoryTransferType", c.end < 0 ? 0 : c.end);
    cJSON_AddItemToArray(f->chats, o);

    o = cJSON_CreateObject();
    put(o, "id", c.id);
    put(o, "name", c.name);
    put(o, "lid", c.lid.n ? c.lid : c.account_lid);
    put(o, "phoneNumber", c.pn);
    cJSON_AddItemToArray(f->contacts, o);
    if (wagw_history_pair(&c, f->first_own, &pn, &lid)) {
        pair(f->told, pn, lid);
    }
    f->first_own = WAGW_STR_NULL;
    f->kept[0] = '\0';
    f->received = 0;
}

static void message(facts_t *f, const wagw_history_item_t *it)
{
    cJSON *o;
    wagw_history_message_t m;

    assert_int_equal(wagw_history_message(&m, it->bytes), WAGW_OK);
    if (it->what == WAGW_HISTORY_STATUS) {
        assert_true(wagw_str_is(m.chat, "status@broadcast") && m.id.n && m.message.n);
        return;
    }
    cJSON_AddItemToArray(f->ids, text(m.id));
    if (f->kept[0] == '\0') {
        snprintf(f->kept, sizeof(f->kept), "%.*s", (int)m.id.n, (const char *)m.id.p);
    }
    if (f->received == 0 && !m.from_me) {
        f->received = m.t_ms / 1000;
    }
    if (f->first_own.n == 0 && m.from_me && m.nreceipts) {
        f->first_own = wagw_arena_str(&arena, m.receipts[0].user);
    }
    if ((m.stub == 128 || m.stub == 129) && m.stub_param.n) {
        o = cJSON_CreateObject();
        put(o, "id", m.participant.n ? m.participant : m.chat);
        put(o, "verifiedName", m.stub_param);
        cJSON_AddItemToArray(f->contacts, o);
    }
}

static void past(facts_t *f, const wagw_history_item_t *it)
{
    cJSON *o = cJSON_CreateObject();

    assert_true(it->bytes.n > 2 && it->bytes.p[0] == 0x0a);
    put(o, "groupJid", wagw_str(it->bytes.p + 2, it->bytes.p[1]));
    cJSON_AddItemToArray(f->past, o);
}

static int collect(facts_t *f, wagw_str_t zlib, wagw_history_info_t *info)
{
    int rc;
    cJSON *o;
    wagw_history_t *h = wagw_history_open(zlib, WAGW_HISTORY_MAX);
    wagw_history_item_t it;

    memset(f, 0, sizeof(*f));
    f->chats = cJSON_CreateArray();
    f->contacts = cJSON_CreateArray();
    f->ids = cJSON_CreateArray();
    f->pairs = cJSON_CreateArray();
    f->told = cJSON_CreateArray();
    f->past = cJSON_CreateArray();
    assert_non_null(h);
    while ((rc = wagw_history_next(h, &it)) == WAGW_OK) {
        switch (it.what) {
        case WAGW_HISTORY_CHAT:
            chat(f, &it);
            break;
        case WAGW_HISTORY_MESSAGE:
        case WAGW_HISTORY_STATUS:
            message(f, &it);
            break;
        case WAGW_HISTORY_NAME:
            o = cJSON_CreateObject();
            put(o, "id", it.id);
            put(o, "notify", it.name);
            cJSON_AddItemToArray(f->contacts, o);
            break;
        case WAGW_HISTORY_PAIR:
            if (it.id.n && it.name.n) {
                pair(f->pairs, it.id, it.name);
            }
            break;
        case WAGW_HISTORY_PAST:
            past(f, &it);
            break;
        case WAGW_HISTORY_SALT:
        case WAGW_HISTORY_CONTACT:
            break;
        case WAGW_HISTORY_CALL:
            assert_true(it.bytes.n > 0);
            break;
        }
    }
    wagw_history_info(h, info);
    wagw_history_close(h);
    return rc;
}

static void facts_free(facts_t *f)
{
    cJSON_Delete(f->chats);
    cJSON_Delete(f->contacts);
    cJSON_Delete(f->ids);
    cJSON_Delete(f->pairs);
    cJSON_Delete(f->told);
    cJSON_Delete(f->past);
}

/* Every member that `have` knows is as `want` says, absent being zero. */
static bool same_chat(const cJSON *have, const cJSON *want)
{
    const cJSON *h, *w;

    for (h = have->child; h; h = h->next) {
        w = vec_get(want, h->string);
        if (cJSON_IsString(h) ? !cJSON_IsString(w) || strcmp(h->valuestring, w->valuestring) != 0
            : cJSON_IsBool(h) ? cJSON_IsTrue(h) != cJSON_IsTrue(w)
                              : (w ? w->valuedouble : 0) != h->valuedouble) {
            print_error("%s\n", h->string);
            return false;
        }
    }
    return true;
}

static bool same_contacts(const cJSON *have, const cJSON *want)
{
    const cJSON *h, *w, *m;
    bool found;

    if (cJSON_GetArraySize(have) != cJSON_GetArraySize(want)) {
        return false;
    }
    cJSON_ArrayForEach(w, want)
    {
        found = false;
        cJSON_ArrayForEach(h, have)
        {
            bool all = true;

            for (m = h->child; m; m = m->next) {
                all = all && vec_str(w, m->string) && strcmp(vec_str(w, m->string), m->valuestring) == 0;
            }
            found = found || all;
        }
        if (!found) {
            return false;
        }
    }
    return true;
}

static void case_row(const cJSON *row)
{
    int rc;
    bool ok;
    facts_t f;
    const cJSON *x = vec_get(row, "expect"), *e;
    wagw_content_t content;
    wagw_history_info_t info;
    wagw_history_notice_t n;
    int i = 0;

    ok = wagw_message_read(&content, &arena, vec_bytes(&arena, row, "messageProto")) == WAGW_OK &&
         content.is == WAGW_IS_HISTORY_SYNC && wagw_history_notice(&n, content.payload) == WAGW_OK &&
         n.type == vec_int(row, "syncTypeNumber", -1);
    assert_true(ok);
    rc = collect(&f, payload(row, &n), &info);
    ok = rc == WAGW_NOT_FOUND && info.type == vec_int(x, "syncType", -2) &&
         info.progress == (cJSON_IsNull(vec_get(x, "progress")) ? -1 : vec_int(x, "progress", -2)) &&
         info.inflated == vec_bytes(&arena, row, "historySync").n &&
         cJSON_Compare(f.ids, vec_get(x, "messageIds"), true);
    ok = ok && cJSON_GetArraySize(f.chats) == cJSON_GetArraySize(vec_get(x, "chats"));
    cJSON_ArrayForEach(e, vec_get(x, "chats"))
    {
        ok = ok && same_chat(cJSON_GetArrayItem(f.chats, i++), e);
    }
    ok = ok && same_contacts(f.contacts, vec_get(x, "contacts"));
    /* the vectors hold the list of the chunk first, then what chats tell */
    while (f.told->child) {
        cJSON_AddItemToArray(f.pairs, cJSON_DetachItemFromArray(f.told, 0));
    }
    ok = ok && cJSON_Compare(f.pairs, vec_get(x, "lidPnMappings"), true);
    ok = ok && cJSON_GetArraySize(f.past) == cJSON_GetArraySize(vec_get(x, "pastParticipants"));
    ROW(ok, "%s: %s %s\n", vec_str(row, "name"), wagw_rc_name(rc), info.why ? info.why : "");
    facts_free(&f);
}

static void history_vectors(void **state)
{
    int rc;
    cJSON *file = vec_load("history-sync");
    const cJSON *r;
    facts_t f;
    const char *field;
    wagw_buf_t out = {0};
    wagw_history_info_t info;

    (void)state;
    if (file == NULL) {
        return;
    }
    passed = failed = 0;
    cJSON_ArrayForEach(r, vec_get(file, "cases"))
    {
        case_row(r);
    }
    cJSON_ArrayForEach(r, vec_get(file, "reject"))
    {
        rc = collect(&f, vec_bytes(&arena, r, "inlinePayload"), &info);
        ROW(rc == WAGW_MALFORMED && info.why && strcmp(info.why, vec_str(r, "expect")) == 0, "%s: %s\n",
            vec_str(r, "name"), info.why ? info.why : "accepted");
        facts_free(&f);
    }
    cJSON_ArrayForEach(r, vec_get(file, "requests"))
    {
        wagw_buf_reset(&out);
        ROW(wagw_message_from_json(&out, vec_get(r, "object"), &field) == WAGW_OK &&
                wagw_str_eq(wagw_buf_view(&out), vec_bytes(&arena, r, "messageProto")),
            "%s\n", vec_str(r, "name"));
    }
    wagw_buf_free(&out);
    cJSON_Delete(file);
    vec_count("history-sync", passed, failed, 0);
    assert_int_equal(failed, 0);
}

/* ---- limits ---- */

static wagw_str_t deflated(wagw_str_t in)
{
    uLongf n = compressBound(in.n);
    uint8_t *p = wagw_arena_alloc(&arena, n);

    assert_int_equal(compress2(p, &n, in.p, in.n, 9), Z_OK);
    return wagw_str(p, n);
}

static int drain(wagw_str_t zlib, size_t max, wagw_history_info_t *info)
{
    int rc;
    wagw_history_t *h = wagw_history_open(zlib, max);
    wagw_history_item_t it;

    do {
        rc = wagw_history_next(h, &it);
    } while (rc == WAGW_OK);
    wagw_history_info(h, info);
    wagw_history_close(h);
    return rc;
}

static void a_bomb_is_refused_at_the_limit(void **state)
{
    wagw_buf_t b = {0}, zeros = {0};
    wagw_str_t z;
    wagw_history_info_t info;

    (void)state;
    wagw_buf_reserve(&zeros, 8 << 20);
    memset(zeros.p, 0, 8 << 20);
    zeros.n = 8 << 20;
    put_field(&b, 17, wagw_buf_view(&zeros)); /* skipped in pieces */
    z = deflated(wagw_buf_view(&b));
    assert_true(z.n < 20000);
    assert_int_equal(drain(z, 1 << 20, &info), WAGW_MALFORMED); /* a length beyond the limit is no length */
    assert_true(info.inflated <= (1 << 20) + 65536);
    assert_int_equal(drain(z, 16 << 20, &info), WAGW_NOT_FOUND);

    wagw_buf_reset(&b);
    for (int i = 0; i < 200; i++) {
        put_field(&b, 17, wagw_str(zeros.p, 60000));
    }
    assert_int_equal(drain(deflated(wagw_buf_view(&b)), 1 << 20, &info), WAGW_LIMIT);
    assert_true(info.inflated <= (1 << 20) + 65536);
    wagw_buf_free(&b);
    wagw_buf_free(&zeros);
}

static void a_huge_message_is_skipped_alone(void **state)
{
    wagw_buf_t b = {0}, big = {0}, msg = {0}, conv = {0};
    wagw_history_info_t info;

    (void)state;
    wagw_buf_reserve(&big, 5 << 20);
    memset(big.p, 7, 5 << 20);
    big.n = 5 << 20;
    put_field(&conv, 1, WAGW_STR("1@s.whatsapp.net"));
    put_field(&msg, 1, wagw_buf_view(&big));
    put_field(&conv, 2, wagw_buf_view(&msg));
    wagw_buf_reset(&msg);
    put_field(&msg, 1, WAGW_STR("x"));
    put_field(&conv, 2, wagw_buf_view(&msg));
    put_field(&b, 2, wagw_buf_view(&conv));
    assert_int_equal(drain(deflated(wagw_buf_view(&b)), WAGW_HISTORY_MAX, &info), WAGW_NOT_FOUND);
    assert_int_equal(info.messages, 1);
    assert_int_equal(info.skipped, 1);
    assert_int_equal(info.chats, 1);
    wagw_buf_free(&b);
    wagw_buf_free(&big);
    wagw_buf_free(&msg);
    wagw_buf_free(&conv);
}

/* Lengths that reach beyond what holds them. */
static void impossible_lengths_are_refused(void **state)
{
    static const char *const bad[] = {
        "\x12\x05\x12\x09xxx",                          /* a message longer than its conversation */
        "\x12\x03\x0a\x02x",                            /* an id cut off by its conversation */
        "\x12\x7f",                                     /* a conversation longer than the chunk */
        "\x3a\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01", /* 2^64 - 1 bytes */
        "\x3a\x80\x80\x80\x80\x80\x80\x80\x80\x80\x80", /* a number without end */
        "\x13",                                         /* groups */
        "\x02x",                                        /* field 0 */
        "\x3a\x02\x0a\x05",                             /* a push name whose id is cut off */
    };
    wagw_history_info_t info;

    (void)state;
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        assert_int_equal(drain(deflated(wagw_cstr(bad[i])), WAGW_HISTORY_MAX, &info), WAGW_MALFORMED);
        assert_string_equal(info.why, "protobuf_error");
    }
    assert_int_equal(drain(WAGW_STR(""), WAGW_HISTORY_MAX, &info), WAGW_MALFORMED);
    assert_string_equal(info.why, "inflate_error");
}

static void times_are_read_in_either_unit(void **state)
{
    wagw_buf_t b = {0};
    wagw_history_chat_t c;

    (void)state;
    put_varint(&b, 25 << 3);
    put_varint(&b, 1759913594);
    assert_int_equal(wagw_history_chat(&c, wagw_buf_view(&b)), WAGW_OK);
    assert_int_equal(c.muted_ms, 1759913594000);
    wagw_buf_reset(&b);
    put_varint(&b, 25 << 3);
    put_varint(&b, 1759913594000);
    assert_int_equal(wagw_history_chat(&c, wagw_buf_view(&b)), WAGW_OK);
    assert_int_equal(c.muted_ms, 1759913594000);
    wagw_buf_reset(&b);
    put_varint(&b, 25 << 3);
    put_varint(&b, (uint64_t)-1);
    assert_int_equal(wagw_history_chat(&c, wagw_buf_view(&b)), WAGW_OK);
    assert_int_equal(c.muted_ms, -1);
    wagw_buf_free(&b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(history_vectors, setup, teardown),
        cmocka_unit_test_setup_teardown(a_bomb_is_refused_at_the_limit, setup, teardown),
        cmocka_unit_test_setup_teardown(a_huge_message_is_skipped_alone, setup, teardown),
        cmocka_unit_test_setup_teardown(impossible_lengths_are_refused, setup, teardown),
        cmocka_unit_test_setup_teardown(times_are_read_in_either_unit, setup, teardown),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
