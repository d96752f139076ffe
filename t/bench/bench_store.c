/*
 * What a message costs in the store: one turn is a session record, a message
 * row, its chat, an event and a delivery; turns of many instances share a
 * transaction.  CPU is this process's (the writer thread and SQLite).
 *
 *     bench_store [instances] [messages] [group] [sealed 0|1] [directory]
 */

#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

#include "../../core/store/store.h"

static double cpu_us(void)
{
    struct rusage ru;

    getrusage(RUSAGE_SELF, &ru);

    return (double)(ru.ru_utime.tv_sec + ru.ru_stime.tv_sec) * 1e6 +
           (double)(ru.ru_utime.tv_usec + ru.ru_stime.tv_usec);
}

static double wall_us(void)
{
    struct timespec ts;

    clock_gettime(CLOCK_MONOTONIC, &ts);

    return (double)ts.tv_sec * 1e6 + (double)ts.tv_nsec / 1e3;
}

static void die(wagw_store_t *s, const char *what)
{
    fprintf(stderr, "bench_store: %s: %s\n", what, s != NULL ? wagw_store_error(s) : "");
    exit(1);
}

static void put(wagw_batch_t *b, wagw_op_type_t op, uint8_t kind, const char *key, wagw_buf_t *v)
{
    if (v->failed || wagw_batch_add(b, op, kind, wagw_cstr(key), wagw_buf_view(v)) != WAGW_OK) {
        die(NULL, "no memory");
    }

    wagw_buf_reset(v);
}

static wagw_batch_t *turn(uint32_t num, unsigned long i, unsigned acked)
{
    static uint8_t session[640], content[200];
    static const char payload[] =
        "{\"id\":\"evt_01HZZZZZZZZZZZZZZZZZZZZZZZ\",\"seq\":1,\"event\":\"message.received\",\"instanceId\":"
        "\"0b5e7a52-5a0e-4a6e-9b1e-6a1c0d3c8f11\",\"timestamp\":\"2026-01-02T03:04:05.678Z\",\"data\":{\"messageId\":"
        "\"3EB0AABBCCDDEEFF001122\",\"from\":\"15550001@s.whatsapp.net\",\"chatId\":\"15550001@s.whatsapp.net\","
        "\"body\":\"a message of an ordinary length, as people write them\",\"type\":\"text\"},\"version\":1}";
    char chat[48], key[128], id[40], did[40];
    wagw_batch_t *b = wagw_batch_create(num, i + 1);
    wagw_buf_t v = {0};
    wagw_row_message_t m = {.from_me = true,
                            .status = acked ? WAGW_MSG_SENT : WAGW_MSG_PENDING,
                            .t_ms = 1700000000000 + (int64_t)i,
                            .created_ms = 1700000000000 + (int64_t)i,
                            .type = WAGW_STR("text"),
                            .body = WAGW_STR("a message of an ordinary length, as people write them"),
                            .content = wagw_str(content, sizeof(content)),
                            .secret = wagw_str(content, 32),
                            .stanza = acked ? WAGW_STR_NULL : wagw_str(session, 300),
                            .stanza_type = WAGW_STR("text")};
    wagw_row_chat_t c = {.last_ms = m.t_ms, .last_body = m.body, .last_type = m.type, .unread = 1};
    wagw_event_t ev = {.seq = i + 1, .name = "message.sent", .data = wagw_cstr(payload)};
    wagw_delivery_t d = {.webhook_id = WAGW_STR("7c0f0a0e-7f1b-4a3e-8b1e-6a1c0d3c8f22"),
                         .instance_id = WAGW_STR("0b5e7a52-5a0e-4a6e-9b1e-6a1c0d3c8f11"),
                         .url = WAGW_STR("http://127.0.0.1:9000/hook"),
                         .event = WAGW_STR("message.sent"),
                         .event_id = WAGW_STR("evt_01HZZZZZZZZZZZZZZZZZZZZZZZ"),
                         .seq = i + 1,
                         .payload = wagw_cstr(payload)};

    if (b == NULL) {
        die(NULL, "no memory");
    }

    snprintf(chat, sizeof(chat), "1555%05lu@s.whatsapp.net", (i * 7919) % 50);
    snprintf(id, sizeof(id), "3EB0%016llX", (unsigned long long)(i * 0x9E3779B97F4A7C15ull));
    snprintf(did, sizeof(did), "%016llx-%u-%u", (unsigned long long)(i * 0xD6E8FEB86659FD93ull), num, acked);
    m.chat = c.id = m.to = d.chat = wagw_cstr(chat);
    m.id = c.last_id = wagw_cstr(id);
    d.id = wagw_cstr(did);

    if (!acked) {
        wagw_buf_add(&v, session, sizeof(session));
        snprintf(key, sizeof(key), "%s.0", chat);
        put(b, WAGW_OP_PUT, WAGW_REC_SESSION, key, &v);
        wagw_row_chat_encode(&v, &c);
        put(b, WAGW_OP_PUT, WAGW_REC_CHAT, chat, &v);

    } else {
        wagw_batch_event(b, &ev);
        wagw_row_delivery_encode(&v, &d);
        put(b, WAGW_OP_DELIVERY, 0, "", &v);
    }

    snprintf(key, sizeof(key), "%s|%s|", chat, id);
    wagw_row_message_encode(&v, &m);
    put(b, WAGW_OP_PUT, WAGW_REC_MESSAGE, key, &v);
    wagw_buf_free(&v);

    return b;
}

/* One message in each of `acked` = 0 (stored pending), 1 (acknowledged: status, event, delivery). */
static void run(wagw_store_t *s, uint32_t first, unsigned long instances, unsigned long messages, unsigned long group,
                unsigned acked, const char *what)
{
    double cpu = 0, cpu0, wall = wall_us();
    wagw_batch_t **b = calloc(group, sizeof(*b));
    unsigned long i, k, n, groups = 0;

    for (i = 0; i < messages; i += n) {
        n = messages - i < group ? messages - i : group;

        for (k = 0; k < n; k++) {
            b[k] = turn(first + (uint32_t)((i + k) % instances), i + k, acked);
        }

        cpu0 = cpu_us();

        if (wagw_store_begin(s) != WAGW_OK) {
            die(s, "begin");
        }

        for (k = 0; k < n; k++) {
            if (wagw_store_apply(s, b[k]) != WAGW_OK) {
                die(s, "apply");
            }
        }

        if (wagw_store_end(s, true) != WAGW_OK) {
            die(s, "end");
        }

        cpu += cpu_us() - cpu0;
        groups++;

        for (k = 0; k < n; k++) {
            wagw_batch_destroy(b[k]);
        }
    }

    wall = wall_us() - wall;
    printf("%-34s %8.1f us CPU each  %9.0f turns/s  %7.0f commits/s\n", what, cpu / (double)messages,
           (double)messages / wall * 1e6, (double)groups / wall * 1e6);
    free(b);
}

static int delivered(void *data, const wagw_delivery_t *d)
{
    char(*ids)[64] = *(void **)data;

    snprintf(*ids, sizeof(*ids), "%.*s", (int)d->id.n, (const char *)d->id.p);
    *(void **)data = ids + 1;

    return WAGW_OK;
}

static void deliver(wagw_store_t *s, unsigned long messages)
{
    char ids[64][64];
    void *at;
    unsigned long done = 0;
    double cpu = cpu_us();
    int64_t next;

    do {
        at = ids;

        if (wagw_store_begin(s) != WAGW_OK ||
            wagw_store_deliveries_of(s, WAGW_STR("7c0f0a0e-7f1b-4a3e-8b1e-6a1c0d3c8f22"), 1, false, 64, delivered, &at,
                                     &next) != WAGW_OK) {
            die(s, "deliveries_of");
        }

        for (char(*p)[64] = ids; (void *)p != at; p++, done++) {
            wagw_delivery_t d = {.id = wagw_cstr(*p), .status = WAGW_DLV_SUCCESS, .status_code = 200, .attempts = 1};

            if (wagw_store_delivery_result(s, &d) != WAGW_OK) {
                die(s, "delivery_result");
            }
        }

        if (wagw_store_end(s, true) != WAGW_OK) {
            die(s, "end");
        }
    } while (at != (void *)ids && done < messages);

    printf("%-34s %8.1f us CPU each\n", "outbox: read due, write result", (cpu_us() - cpu) / (double)(done ? done : 1));
}

int main(int argc, char **argv)
{
    unsigned long instances = argc > 1 ? strtoul(argv[1], NULL, 10) : 100;
    unsigned long messages = argc > 2 ? strtoul(argv[2], NULL, 10) : 20000;
    unsigned long group = argc > 3 ? strtoul(argv[3], NULL, 10) : 64;
    static const uint8_t key[32] = {1};
    char dir[256], dsn[300], why[512], cmd[300];
    wagw_store_conf_t conf = {.dsn = dsn, .encryption_key = argc > 4 && argv[4][0] == '1' ? key : NULL};
    wagw_message_filter_t f = {.from_me = -1, .limit = 50};
    wagw_buf_t json = {0};
    uint32_t count, first = 0;
    unsigned long i;
    wagw_store_t *s;
    uint64_t total;
    double cpu;
    bool more;

    if (instances == 0 || messages == 0 || group == 0) {
        return 2;
    }

    snprintf(dir, sizeof(dir), "%s/wagw-bench-XXXXXX", argc > 5 ? argv[5] : "/tmp");

    if (mkdtemp(dir) == NULL) {
        die(NULL, dir);
    }

    snprintf(dsn, sizeof(dsn), "sqlite:%s/wagw.db", dir);

    if (wagw_store_open(&s, &conf, why, sizeof(why)) != WAGW_OK) {
        die(NULL, why);
    }

    wagw_store_begin(s);

    for (i = 0; i < instances; i++) {
        wagw_instance_t in = {.name = WAGW_STR("bench"), .created_ms = 1};

        snprintf(cmd, sizeof(cmd), "i%lu", i);
        in.id = wagw_cstr(cmd);

        if (wagw_store_instance_create(s, &in) != WAGW_OK) {
            die(s, "instance");
        }

        first = first != 0 ? first : in.num;
    }

    wagw_store_end(s, true);

    printf("%lu instances, %lu messages, groups of %lu, %s\n", instances, messages, group,
           conf.encryption_key != NULL ? "sealed" : "plain");
    run(s, first, instances, messages, group, 0, "send: session, chat, pending row");
    run(s, first, instances, messages, group, 1, "ack: sent row, event, delivery");
    deliver(s, messages);

    cpu = cpu_us();
    for (i = 0; i < 100; i++) {
        wagw_buf_reset(&json);
        if (wagw_store_messages(s, first + (uint32_t)(i % instances), &f, &json, &count, &total, &more, NULL) !=
            WAGW_OK) {
            die(s, "messages");
        }
    }
    printf("%-34s %8.1f us CPU each\n", "listing of 50 messages", (cpu_us() - cpu) / 100);

    wagw_buf_free(&json);
    wagw_store_close(s);
    snprintf(cmd, sizeof(cmd), "rm -r '%s'", dir);

    return system(cmd) == 0 ? 0 : 1;
}
