/*
 * A logged-in engine and a hostile server, phone or contact.  The first byte
 * chooses what the rest is: a stanza, the answer to the last query, contents
 * of a message of the own phone or of a contact, the value of an app-state
 * record after decryption, a history chunk.  The engine must stay up, answer
 * nothing twice, and take a good message afterwards.
 */

#include "client_sim.h"
#include "../unit/pb.h"

#include <zlib.h>

#define INPUTS 400 /* of one world: its log grows */

static sim_two_t world;
static bool alive;
static unsigned inputs, serial;

static void begin(void)
{
    if (alive) {
        sim_free(world.w);
    }
    world = sim_two(++serial);
    sim_peer_send(world.aa->phone, world.aa, "HELLO", "{\"conversation\":\"a session\"}", NULL);
    sim_run(world.w);
    alive = true;
    inputs = 0;
}

static void from(sim_peer_t *p, wagw_str_t message, bool peer)
{
    char id[32];
    const char *const attrs[] = {"category", "peer", NULL};

    snprintf(id, sizeof(id), "FUZZ%u.%u", serial, inputs);
    sim_peer_send_bytes(p, world.aa, id, message, peer ? attrs : NULL);
    sim_run(world.w);
}

/* protocolMessage of a type whose field `num` holds the bytes */
static void protocol(unsigned type, uint32_t num, wagw_str_t bytes)
{
    wagw_buf_t pm = {0}, m = {0};

    put_varint(&pm, 2 << 3);
    put_varint(&pm, type);
    put_field(&pm, num, bytes);
    put_field(&m, 12, wagw_buf_view(&pm));
    from(world.aa->phone, wagw_buf_view(&m), true);
    wagw_buf_free(&pm);
    wagw_buf_free(&m);
}

static void stanza(wagw_str_t bytes, bool answer)
{
    wagw_node_t *n;
    sim_log_t *l;
    wagw_arena_t a = {0};
    wagw_str_t id = WAGW_STR_NULL;

    if (wagw_node_decode(&n, &a, bytes) == WAGW_OK) {
        for (l = world.w->log; answer && l; l = l->next) {
            id = l->e == world.a && wagw_node_is(l->n, "iq") ? wagw_node_get(l->n, "id") : id;
        }
        if (id.n) {
            wagw_node_attr(&a, n, "id", id);
        }
        sim_push(world.a, n);
        sim_run(world.w);
    }
    wagw_arena_free(&a);
}

/* One record of a copy that the phone was asked for: index up to the first zero byte, then the value. */
static void mutation(wagw_str_t in)
{
    size_t n = 0;
    uint8_t mac[32] = {1}, hash[128] = {0};
    wagw_buf_t b = {0}, rec = {0}, data = {0}, box = {0};
    wagw_str_t key = WAGW_STR("\1\2\3\4\5\6");

    while (n < in.n && in.p[n]) {
        n++;
    }
    put_field(&data, 1, wagw_str(in.p, n));
    put_field(&data, 2, wagw_str(in.p + n, n < in.n ? in.n - n : 0));
    put_field(&rec, 1, wagw_buf_view(&data));
    put_field(&rec, 2, key);
    put_field(&rec, 3, wagw_str(mac, sizeof(mac)));
    put_varint(&box, 1 << 3);
    put_varint(&box, 1000 + inputs);
    put_field(&b, 1, wagw_buf_view(&box));
    put_field(&b, 2, WAGW_STR("regular_low"));
    put_field(&b, 3, wagw_buf_view(&rec));
    put_field(&b, 4, wagw_str(hash, sizeof(hash)));
    wagw_buf_reset(&rec);
    put_field(&rec, 1, wagw_buf_view(&b));
    wagw_buf_reset(&box);
    put_field(&box, 8, wagw_buf_view(&rec));
    wagw_buf_reset(&data);
    put_field(&data, 3, wagw_buf_view(&box));
    sim_mem_put(&world.a->mem, WAGW_REC_META, WAGW_STR("app.copy|regular_low"), WAGW_STR("\1\1\1"));
    protocol(17, 17, wagw_buf_view(&data));
    wagw_buf_free(&b);
    wagw_buf_free(&rec);
    wagw_buf_free(&data);
    wagw_buf_free(&box);
}

static void history(wagw_str_t in)
{
    uLongf n = compressBound(in.n);
    wagw_buf_t notice = {0}, z = {0};

    wagw_buf_reserve(&z, n);
    if (compress2(z.p, &n, in.p, in.n, 0) != Z_OK) {
        abort();
    }
    z.n = n;
    put_varint(&notice, 6 << 3);
    put_varint(&notice, inputs % 8);
    put_field(&notice, 11, wagw_buf_view(&z));
    protocol(5, 6, wagw_buf_view(&notice));
    for (unsigned i = 0; i < 200 && sim_mem_count(&world.a->mem, WAGW_REC_META, "hist|"); i++) {
        sim_advance(world.w, 20);
    }
    wagw_buf_free(&notice);
    wagw_buf_free(&z);
}

static void check(void)
{
    if (sim_info(world.a).status != WAGW_STATUS_CONNECTED) {
        begin(); /* a stanza may end the connection or the link */
        return;
    }
    if (inputs % 16 == 0) {
        unsigned before = sim_events(world.b, "message.received");

        (void)sim_command(world.a, WAGW_CMD_SEND, "{\"to\":\"49200\",\"message\":\"still here\"}");
        sim_run(world.w);
        if (sim_events(world.b, "message.received") != before + 1 &&
            sim_info(world.a).status == WAGW_STATUS_CONNECTED) {
            begin(); /* a forged device list may have changed whom it is for */
        }
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *p, size_t n);

int LLVMFuzzerTestOneInput(const uint8_t *p, size_t n)
{
    wagw_str_t in;

    if (n < 2) {
        return 0;
    }
    if (!alive || ++inputs > INPUTS) {
        begin();
    }
    in = wagw_str(p + 1, n - 1);
    switch (p[0] % 6) {
    case 0:
        stanza(in, false);
        break;
    case 1:
        stanza(in, true);
        break;
    case 2:
        from(world.aa->phone, in, true);
        break;
    case 3:
        from(world.ba->phone, in, false);
        break;
    case 4:
        mutation(in);
        break;
    default:
        history(in);
        break;
    }
    check();
    return 0;
}
