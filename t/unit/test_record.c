/*
 * The record cache and the turn overlay, against a plain map: what a turn
 * reads must be what all turns before it have committed, however the store
 * lags, fails, or the cache forgets.
 */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <cmocka.h>

#include "../../core/store/record.h"
#include "../../core/store/row.h"
#include "vectors.h"

static wagw_str_t text(const char *s)
{
    return wagw_cstr(s);
}

static void assert_value(wagw_str_t v, const char *want)
{
    assert_int_equal(v.n, strlen(want));
    assert_memory_equal(v.p, want, v.n);
}

static wagw_load_t ask(uint8_t kind, const char *key)
{
    wagw_load_t l;

    memset(&l, 0, sizeof(l));
    l.kind = kind;
    l.key_len = (uint16_t)strlen(key);
    memcpy(l.key, key, l.key_len);
    return l;
}

static void put_commit(wagw_cache_t *c, uint32_t instance, uint64_t seq, uint8_t kind, const char *key,
                       const char *value)
{
    wagw_txn_t t = {0};
    wagw_batch_t *b;

    wagw_txn_begin(&t, c, instance);
    assert_int_equal(wagw_txn_put(&t, kind, text(key), text(value)), WAGW_OK);
    b = wagw_batch_create(instance, seq);
    assert_int_equal(wagw_txn_commit(&t, b), WAGW_OK);
    wagw_batch_destroy(b);
    wagw_txn_free(&t);
}

static int get(wagw_cache_t *c, uint32_t instance, uint8_t kind, const char *key, char out[256])
{
    int rc;
    wagw_txn_t t = {0};
    wagw_str_t v;

    wagw_txn_begin(&t, c, instance);
    rc = wagw_txn_get(&t, kind, text(key), &v);
    if (rc == WAGW_OK) {
        assert_true(v.n < 256);
        memcpy(out, v.p, v.n);
        out[v.n] = '\0';
    }
    wagw_txn_free(&t);
    return rc;
}

static void test_overlay(void **state)
{
    wagw_cache_t *c = wagw_cache_create(1 << 20);
    wagw_txn_t t = {0};
    wagw_str_t v;
    char big[WAGW_KEY_MAX + 1];

    (void)state;
    wagw_txn_begin(&t, c, 7);
    assert_false(wagw_txn_changed(&t));
    assert_int_equal(wagw_txn_get(&t, WAGW_REC_META, text("a"), &v), WAGW_AGAIN);
    assert_int_equal(wagw_txn_get(&t, WAGW_REC_META, text("a"), &v), WAGW_AGAIN);
    assert_non_null(t.misses);
    assert_null(t.misses->next);
    assert_string_equal(t.misses->key, "a");
    assert_false(t.misses->prefix);

    assert_int_equal(wagw_txn_put(&t, WAGW_REC_META, text("a"), text("first")), WAGW_OK);
    assert_int_equal(wagw_txn_get(&t, WAGW_REC_META, text("a"), &v), WAGW_OK);
    assert_value(v, "first");
    /* a part of the old value as the new one */
    assert_int_equal(wagw_txn_put(&t, WAGW_REC_META, text("a"), wagw_str(v.p + 1, 3)), WAGW_OK);
    assert_int_equal(wagw_txn_get(&t, WAGW_REC_META, text("a"), &v), WAGW_OK);
    assert_value(v, "irs");
    assert_int_equal(wagw_txn_put(&t, WAGW_REC_META, text("a"), text("a longer value")), WAGW_OK);
    assert_int_equal(wagw_txn_put(&t, WAGW_REC_META, text("empty"), text("")), WAGW_OK);
    assert_int_equal(wagw_txn_get(&t, WAGW_REC_META, text("empty"), &v), WAGW_OK);
    assert_int_equal(v.n, 0);
    assert_int_equal(wagw_txn_del(&t, WAGW_REC_META, text("a")), WAGW_OK);
    assert_int_equal(wagw_txn_get(&t, WAGW_REC_META, text("a"), &v), WAGW_NOT_FOUND);
    assert_int_equal(wagw_txn_put(&t, WAGW_REC_META, text("a"), text("back")), WAGW_OK);
    assert_int_equal(wagw_txn_get(&t, WAGW_REC_META, text("a"), &v), WAGW_OK);
    assert_value(v, "back");

    memset(big, 'x', sizeof(big));
    assert_int_equal(wagw_txn_get(&t, WAGW_REC_META, wagw_str(big, WAGW_KEY_MAX), &v), WAGW_LIMIT);
    assert_int_equal(wagw_txn_put(&t, WAGW_REC_META, wagw_str(big, WAGW_KEY_MAX), text("")), WAGW_LIMIT);
    assert_int_equal(wagw_txn_put(&t, WAGW_REC_META, wagw_str(big, WAGW_KEY_MAX - 1), text("")), WAGW_OK);
    assert_int_equal(wagw_txn_op(&t, WAGW_OP_PUT, text("a"), text("")), WAGW_STATE);

    wagw_txn_rollback(&t);
    assert_false(wagw_txn_changed(&t));
    assert_non_null(t.misses);
    wagw_txn_begin(&t, c, 7);
    assert_null(t.misses);
    assert_int_equal(wagw_txn_get(&t, WAGW_REC_META, text("a"), &v), WAGW_AGAIN);
    wagw_txn_free(&t);
    assert_int_equal(wagw_cache_bytes(c), 0);
    wagw_cache_destroy(c);
}

static void test_fill(void **state)
{
    wagw_cache_t *c = wagw_cache_create(1 << 20);
    wagw_load_t a = ask(WAGW_REC_META, "a"), b = ask(WAGW_REC_META, "b");
    wagw_rec_t other = {WAGW_REC_META, text("z"), text("not asked"), NULL};
    wagw_rec_t ra = {WAGW_REC_META, text("a"), text("1"), &other};
    wagw_rec_t again = {WAGW_REC_META, text("a"), text("2"), NULL};
    char out[256];

    (void)state;
    a.next = &b;
    assert_int_equal(wagw_cache_fill(c, 1, &a, &ra), WAGW_OK);
    assert_int_equal(get(c, 1, WAGW_REC_META, "a", out), WAGW_OK);
    assert_string_equal(out, "1");
    assert_int_equal(get(c, 1, WAGW_REC_META, "b", out), WAGW_NOT_FOUND);
    assert_int_equal(get(c, 1, WAGW_REC_META, "z", out), WAGW_AGAIN);
    assert_int_equal(get(c, 2, WAGW_REC_META, "a", out), WAGW_AGAIN);
    assert_int_equal(get(c, 1, WAGW_REC_CREDS, "a", out), WAGW_AGAIN);

    /* what is cached is newer */
    assert_int_equal(wagw_cache_fill(c, 1, &a, &again), WAGW_OK);
    assert_int_equal(get(c, 1, WAGW_REC_META, "a", out), WAGW_OK);
    assert_string_equal(out, "1");
    put_commit(c, 1, 1, WAGW_REC_META, "b", "dirty");
    assert_int_equal(wagw_cache_fill(c, 1, &b, NULL), WAGW_OK);
    assert_int_equal(get(c, 1, WAGW_REC_META, "b", out), WAGW_OK);
    assert_string_equal(out, "dirty");

    wagw_cache_forget(c, 1);
    assert_int_equal(get(c, 1, WAGW_REC_META, "a", out), WAGW_AGAIN);
    assert_int_equal(get(c, 1, WAGW_REC_META, "b", out), WAGW_AGAIN);
    assert_int_equal(wagw_cache_bytes(c), 0);
    wagw_cache_committed(c, 1, 1);
    wagw_cache_destroy(c);
}

static void test_absent(void **state)
{
    char out[256];
    wagw_cache_t *c = wagw_cache_create(1 << 20);

    (void)state;
    assert_int_equal(get(c, 1, WAGW_REC_RECEIPT, "a|b|c", out), WAGW_AGAIN);
    wagw_cache_absent(c, 1, WAGW_REC_RECEIPT, text("a|b|c"));
    assert_int_equal(get(c, 1, WAGW_REC_RECEIPT, "a|b|c", out), WAGW_NOT_FOUND);
    assert_int_equal(get(c, 2, WAGW_REC_RECEIPT, "a|b|c", out), WAGW_AGAIN);

    /* what is known better stays */
    put_commit(c, 1, 1, WAGW_REC_RECEIPT, "a|b|c", "read");
    wagw_cache_absent(c, 1, WAGW_REC_RECEIPT, text("a|b|c"));
    assert_int_equal(get(c, 1, WAGW_REC_RECEIPT, "a|b|c", out), WAGW_OK);
    assert_string_equal(out, "read");
    wagw_cache_destroy(c);
}

static void test_budget(void **state)
{
    wagw_cache_t *c = wagw_cache_create(4096);
    char key[16], out[256], value[101];
    wagw_load_t l;
    wagw_rec_t r;
    unsigned i;

    (void)state;
    memset(value, 'v', 100);
    value[100] = '\0';

    /* dirty records stay whatever the budget says */
    for (i = 1; i <= 100; i++) {
        snprintf(key, sizeof(key), "k%u", i);
        put_commit(c, i % 3, i, WAGW_REC_META, key, value);
    }
    assert_true(wagw_cache_bytes(c) > 100 * 100);
    for (i = 1; i <= 100; i++) {
        snprintf(key, sizeof(key), "k%u", i);
        assert_int_equal(get(c, i % 3, WAGW_REC_META, key, out), WAGW_OK);
    }

    /* an older commit frees only what it wrote */
    wagw_cache_committed(c, 0, 50);
    assert_int_equal(get(c, 0, WAGW_REC_META, "k51", out), WAGW_OK);
    assert_int_equal(get(c, 0, WAGW_REC_META, "k3", out), WAGW_AGAIN);
    wagw_cache_committed(c, 0, 100);
    wagw_cache_committed(c, 1, 100);
    wagw_cache_committed(c, 2, 100);
    assert_true(wagw_cache_bytes(c) <= 4096);

    /* least recently used goes first */
    for (i = 0; i < 200; i++) {
        snprintf(key, sizeof(key), "n%u", i);
        l = ask(WAGW_REC_META, key);
        r = (wagw_rec_t){WAGW_REC_META, text(key), text(value), NULL};
        assert_int_equal(wagw_cache_fill(c, 9, &l, &r), WAGW_OK);
        assert_int_equal(get(c, 9, WAGW_REC_META, "n0", out), WAGW_OK);
        assert_true(wagw_cache_bytes(c) <= 4096);
    }
    assert_int_equal(get(c, 9, WAGW_REC_META, "n1", out), WAGW_AGAIN);
    assert_int_equal(get(c, 9, WAGW_REC_META, "n199", out), WAGW_OK);
    wagw_cache_destroy(c);

    /* one fill is never split, even over budget */
    c = wagw_cache_create(1);
    l = ask(WAGW_REC_META, "one");
    wagw_load_t l2 = ask(WAGW_REC_META, "two");
    l.next = &l2;
    assert_int_equal(wagw_cache_fill(c, 9, &l, NULL), WAGW_OK);
    assert_int_equal(get(c, 9, WAGW_REC_META, "one", out), WAGW_NOT_FOUND);
    assert_int_equal(get(c, 9, WAGW_REC_META, "two", out), WAGW_NOT_FOUND);
    wagw_cache_destroy(c);
}

static void test_batch(void **state)
{
    wagw_cache_t *c = wagw_cache_create(1 << 20);
    wagw_txn_t t = {0};
    wagw_batch_t *b;
    wagw_op_t *op;
    wagw_event_t ev = {.seq = 4, .at_ms = 9, .id = "evt_1", .name = "x", .chat = text("c"), .data = text("{}")};
    int copy;

    (void)state;
    for (copy = 0; copy < 2; copy++) {
        wagw_txn_begin(&t, c, 3);
        assert_int_equal(wagw_txn_put(&t, WAGW_REC_META, text("a"), text("1")), WAGW_OK);
        assert_int_equal(wagw_txn_event(&t, &ev), WAGW_OK);
        assert_int_equal(wagw_txn_put(&t, WAGW_REC_META, text("b"), text("2")), WAGW_OK);
        assert_int_equal(wagw_txn_put(&t, WAGW_REC_META, text("a"), text("3")), WAGW_OK);
        assert_int_equal(wagw_txn_del(&t, WAGW_REC_META, text("gone")), WAGW_OK);
        assert_int_equal(wagw_txn_op(&t, WAGW_OP_INSTANCE, text(""), text("row")), WAGW_OK);
        b = wagw_batch_create(3, 1 + copy);
        if (copy) { /* a batch that holds something already */
            assert_int_equal(wagw_batch_add(b, WAGW_OP_PUT, WAGW_REC_META, text("a"), text("0")), WAGW_OK);
            assert_int_equal(wagw_batch_event(b, &ev), WAGW_OK);
        }
        assert_int_equal(wagw_txn_commit(&t, b), WAGW_OK);
        assert_false(wagw_txn_changed(&t));
        op = b->ops;
        assert_int_equal(b->nops, 5 + 2 * copy);
        if (copy) {
            assert_value(op->value, "0");
            op = op->next->next;
        }
        assert_int_equal(op->op, WAGW_OP_PUT);
        assert_value(op->key, "a");
        assert_value(op->value, "3");
        op = op->next;
        assert_int_equal(op->op, WAGW_OP_EVENT);
        assert_int_equal(op->event->seq, 4);
        assert_value(op->event->data, "{}");
        assert_true(op->event->data.p != ev.data.p);
        op = op->next;
        assert_value(op->value, "2");
        op = op->next;
        assert_int_equal(op->op, WAGW_OP_DEL);
        op = op->next;
        assert_int_equal(op->op, WAGW_OP_INSTANCE);
        assert_value(op->value, "row");
        assert_null(op->next);
        assert_ptr_equal(b->last, op);
        wagw_batch_destroy(b);
    }
    wagw_txn_free(&t);
    wagw_cache_destroy(c);
}

static void test_msgkey(void **state)
{
    char out[WAGW_KEY_MAX], big[WAGW_KEY_MAX];
    size_t n;

    (void)state;
    assert_int_equal(wagw_msgkey(out, text("c"), text("i"), text("")), 4);
    assert_string_equal(out, "c|i|");
    assert_int_equal(wagw_msgkey(out, text("c"), text("i"), text("s@x")), 7);
    assert_string_equal(out, "c|i|s@x");
    memset(big, 'x', sizeof(big));
    n = WAGW_KEY_MAX - 4;
    assert_int_equal(wagw_msgkey(out, wagw_str(big, n), text("i"), text("")), WAGW_KEY_MAX - 1);
    assert_int_equal(wagw_msgkey(out, wagw_str(big, n), text("i"), text("s")), 0);
    assert_int_equal(wagw_msgkey(out, wagw_str(big, SIZE_MAX), wagw_str(big, SIZE_MAX), text("s")), 0);
}

/* A turn with two scans and a get, each asking in another run, ends. */
static int count_cb(void *data, wagw_str_t key, wagw_str_t value)
{
    (void)key;
    (void)value;
    ++*(int *)data;
    return WAGW_OK;
}

static int two_scans(wagw_txn_t *t, int *a, int *b)
{
    int rc;
    wagw_str_t v;

    *a = *b = 0;
    rc = wagw_txn_scan(t, WAGW_REC_SESSION, text("a."), count_cb, a);
    if (rc == WAGW_OK) {
        rc = wagw_txn_scan(t, WAGW_REC_SESSION, text("b."), count_cb, b);
    }
    if (rc == WAGW_OK) {
        rc = wagw_txn_get(t, WAGW_REC_META, text("m"), &v);
    }
    return rc;
}

static void test_scan_rounds(void **state)
{
    wagw_cache_t *c = wagw_cache_create(1 << 20);
    wagw_rec_t r3 = {WAGW_REC_SESSION, text("b.1"), text("z"), NULL};
    wagw_rec_t r2 = {WAGW_REC_SESSION, text("a.2"), text("y"), &r3};
    wagw_rec_t r1 = {WAGW_REC_SESSION, text("a.1"), text("x"), &r2};
    wagw_txn_t t = {0};
    wagw_load_t asked[8], *l;
    const wagw_rec_t *recs = NULL;
    int a, b, n, rc, rounds;

    (void)state;
    n = 0;
    for (rounds = 0; rounds < 6; rounds++) {
        wagw_txn_begin(&t, c, 1);
        t.scans = recs;
        t.scans_asked = n ? asked : NULL;
        rc = two_scans(&t, &a, &b);
        if (rc == WAGW_NOT_FOUND) { /* m; both scans are complete */
            break;
        }
        assert_int_equal(rc, WAGW_AGAIN);
        wagw_txn_rollback(&t);
        for (l = t.misses; l != NULL; l = l->next) { /* with what was asked before */
            assert_true(n < 8);
            asked[n] = *l;
            asked[n].next = NULL;
            if (n > 0) {
                asked[n - 1].next = &asked[n];
            }
            n++;
        }
        recs = &r1; /* more than was asked is no harm */
        assert_int_equal(wagw_cache_fill(c, 1, asked, recs), WAGW_OK);
    }
    assert_int_equal(rc, WAGW_NOT_FOUND);
    wagw_txn_free(&t);
    assert_int_equal(a, 2);
    assert_int_equal(b, 1);
    wagw_cache_destroy(c);
}

/* ---- the model ------------------------------------------------------------ */

#define INSTANCES 3
#define CHATS 4
#define SESSIONS 12 /* "s0".."s11": s1 is a prefix of s10, s11 */
#define METAS 3
#define MSGS 3
#define SLOTS (SESSIONS + METAS + CHATS + CHATS * MSGS)
#define CHAT_AT (SESSIONS + METAS)
#define MSG_AT (CHAT_AT + CHATS)
#define TURN_OPS 8

typedef struct {
    int v[SLOTS];
} model_t; /* 0 absent */

typedef struct job_s job_t;

typedef struct {
    bool live, keep_going;
    uint64_t seed; /* its script */
    unsigned runs;
} turn_t;

struct job_s {
    bool load;
    uint32_t instance;
    /* batch */
    wagw_batch_t *batch;
    model_t after;
    /* load */
    unsigned turn;
    wagw_load_t *asked;
    job_t *next;
};

typedef struct {
    uint64_t rnd;
    wagw_cache_t *cache;
    model_t logical[INSTANCES], stored[INSTANCES];
    uint64_t seq[INSTANCES];
    job_t *jobs, **jobs_last;
    turn_t turns[6];
    unsigned committed, reruns, merges, wipes, scans, failed;
} world_t;

static unsigned rnd(uint64_t *s, unsigned n)
{
    *s ^= *s << 13;
    *s ^= *s >> 7;
    *s ^= *s << 17;
    return (unsigned)((*s >> 16) % n);
}

static uint8_t slot_key(int i, char key[32])
{
    if (i < SESSIONS) {
        snprintf(key, 32, "s%d", i);
        return WAGW_REC_SESSION;
    }
    if (i < CHAT_AT) {
        snprintf(key, 32, "m%d", i - SESSIONS);
        return WAGW_REC_META;
    }
    if (i < MSG_AT) {
        snprintf(key, 32, "c%d", i - CHAT_AT);
        return WAGW_REC_CHAT;
    }
    snprintf(key, 32, "c%d|%d|", (i - MSG_AT) / MSGS, (i - MSG_AT) % MSGS);
    return WAGW_REC_MESSAGE;
}

/* Lengths vary, so that values are replaced in place and not.  Rows of chats
 * are real ones: a merge looks into them. */
static wagw_str_t slot_value(int i, int v)
{
    static wagw_buf_t b;
    char key[32], chat[8], body[64];
    wagw_row_chat_t c = {.unread = (uint32_t)v};
    wagw_row_message_t m = {.t_ms = v};

    wagw_buf_reset(&b);
    slot_key(i, key);
    snprintf(body, sizeof(body), "%d:%.*s", v, v % 40, "....................................................");
    if (i < CHAT_AT) {
        wagw_buf_cstr(&b, body);
    } else if (i < MSG_AT) {
        c.id = text(key);
        assert_int_equal(wagw_row_chat_encode(&b, &c), WAGW_OK);
    } else {
        snprintf(chat, sizeof(chat), "%.2s", key);
        m.chat = text(chat);
        m.body = text(body);
        assert_int_equal(wagw_row_message_encode(&b, &m), WAGW_OK);
    }
    return wagw_buf_view(&b);
}

static int slot_number(int i, wagw_str_t value)
{
    wagw_row_chat_t c;
    wagw_row_message_t m;

    if (i < CHAT_AT) {
        return atoi((const char *)value.p); /* ends at the colon */
    }
    if (i < MSG_AT) {
        assert_int_equal(wagw_row_chat_decode(&c, value), WAGW_OK);
        return (int)c.unread;
    }
    assert_int_equal(wagw_row_message_decode(&m, value), WAGW_OK);
    return (int)m.t_ms;
}

static void assert_slot(int i, int v, wagw_str_t got)
{
    wagw_str_t want = slot_value(i, v);

    assert_int_equal(got.n, want.n);
    assert_memory_equal(got.p, want.p, want.n);
}

static void model_merge(model_t *m, int from, int to)
{
    int i, a, b;

    if (from == to) {
        return;
    }
    for (i = -1; i < MSGS; i++) {
        a = i < 0 ? CHAT_AT + from : MSG_AT + from * MSGS + i;
        b = i < 0 ? CHAT_AT + to : MSG_AT + to * MSGS + i;
        if (m->v[b] == 0) {
            m->v[b] = m->v[a];
        } else if (i < 0) {
            m->v[b] += m->v[a]; /* a chat's unread */
        }
        m->v[a] = 0;
    }
}

typedef struct {
    wagw_txn_t *t;
    model_t *m;
    const char *prefix;
    bool seen[SESSIONS];
    uint64_t *rnd;
} scan_check_t;

static int scan_cb(void *data, wagw_str_t key, wagw_str_t value)
{
    scan_check_t *s = data;
    char name[32];
    int i, j;

    for (i = 0; i < SESSIONS; i++) {
        slot_key(i, name);
        if (wagw_str_eq(key, text(name))) {
            break;
        }
    }
    assert_true(i < SESSIONS);
    assert_false(s->seen[i]);
    s->seen[i] = true;
    assert_true(strncmp(name, s->prefix, strlen(s->prefix)) == 0);
    assert_int_not_equal(s->m->v[i], 0);
    assert_slot(i, s->m->v[i], value);

    j = (int)rnd(s->rnd, SESSIONS);
    slot_key(j, name);
    if (rnd(s->rnd, 4) == 0) {
        assert_int_equal(wagw_txn_del(s->t, WAGW_REC_SESSION, text(name)), WAGW_OK);
        s->m->v[j] = 0;
    } else if (rnd(s->rnd, 4) == 0 && s->m->v[j] != 0) {
        s->m->v[j] = 1 + (int)rnd(s->rnd, 9999);
        assert_int_equal(wagw_txn_put(s->t, WAGW_REC_SESSION, text(name), slot_value(j, s->m->v[j])), WAGW_OK);
    }
    return WAGW_OK;
}

/* One turn, written straight down. */
static int run_script(world_t *w, turn_t *turn, wagw_txn_t *t, model_t *m)
{
    static const char *prefixes[] = {"", "s", "s1", "s10", "x"};
    uint64_t r = turn->seed;
    unsigned n = 1 + rnd(&r, TURN_OPS), op;
    int i, j, rc, out = WAGW_OK;
    char key[32];
    uint8_t kind;
    wagw_str_t v;

    while (n-- > 0) {
        op = rnd(&r, 40);
        i = (int)rnd(&r, SLOTS);
        kind = slot_key(i, key);

        if (op < 22) {
            rc = wagw_txn_get(t, kind, text(key), &v);
            if (rc == WAGW_AGAIN) {
                out = rc;
                if (!turn->keep_going) {
                    return rc;
                }
                continue;
            }
            if (m->v[i] == 0) {
                assert_int_equal(rc, WAGW_NOT_FOUND);
            } else {
                assert_int_equal(rc, WAGW_OK);
                assert_slot(i, m->v[i], v);
            }

        } else if (op < 31) {
            m->v[i] = 1 + (int)rnd(&r, 9999);
            assert_int_equal(wagw_txn_put(t, kind, text(key), slot_value(i, m->v[i])), WAGW_OK);

        } else if (op < 34) {
            m->v[i] = 0;
            assert_int_equal(wagw_txn_del(t, kind, text(key)), WAGW_OK);

        } else if (op < 36) {
            scan_check_t s = {.t = t, .m = m, .prefix = prefixes[rnd(&r, 5)], .rnd = &r};
            model_t before = *m;

            rc = wagw_txn_scan(t, WAGW_REC_SESSION, text(s.prefix), scan_cb, &s);
            if (rc == WAGW_AGAIN) {
                return rc; /* the script's random numbers depend on the callbacks */
            }
            assert_int_equal(rc, WAGW_OK);
            for (j = 0; j < SESSIONS; j++) {
                slot_key(j, key);
                if (before.v[j] != 0 && m->v[j] != 0 && strncmp(key, s.prefix, strlen(s.prefix)) == 0) {
                    assert_true(s.seen[j]);
                }
            }
            w->scans++;

        } else if (op == 36) {
            assert_int_equal(wagw_txn_op(t, WAGW_OP_WIPE, text(""), text("")), WAGW_OK);
            memset(m->v, 0, CHAT_AT * sizeof(int));
            w->wipes++;

        } else if (op < 39) {
            char from[8], to[8];

            i = (int)rnd(&r, CHATS);
            j = (i + 1 + (int)rnd(&r, CHATS - 1)) % CHATS;
            snprintf(from, sizeof(from), "c%d", i);
            snprintf(to, sizeof(to), "c%d", j);
            assert_int_equal(wagw_txn_op(t, WAGW_OP_CHAT_MERGE, text(from), text(to)), WAGW_OK);
            model_merge(m, i, j);
            w->merges++;
        }
    }
    return out;
}

static void post(world_t *w, job_t *j)
{
    j->next = NULL;
    *w->jobs_last = j;
    w->jobs_last = &j->next;
}

/* What is missing, and the prefixes that were answered before. */
static wagw_load_t *copy_loads(const wagw_load_t *misses, const wagw_load_t *before)
{
    wagw_load_t *head = NULL, **last = &head;
    const wagw_load_t *l;
    int i;

    for (i = 0; i < 2; i++) {
        for (l = i ? before : misses; l != NULL; l = l->next) {
            if (i == 0 || l->prefix) {
                *last = malloc(sizeof(wagw_load_t));
                **last = *l;
                (*last)->next = NULL;
                last = &(*last)->next;
            }
        }
    }
    return head;
}

static void free_job(job_t *j)
{
    wagw_load_t *l;

    while ((l = j->asked) != NULL) {
        j->asked = l->next;
        free(l);
    }
    wagw_batch_destroy(j->batch);
    free(j);
}

static void run_turn(world_t *w, unsigned n, const wagw_load_t *asked, const wagw_rec_t *recs)
{
    turn_t *turn = &w->turns[n];
    uint32_t in = n % INSTANCES;
    wagw_txn_t t = {0};
    model_t m = w->logical[in];
    job_t *j;
    int rc;

    assert_true(turn->runs++ < 2000);
    wagw_txn_begin(&t, w->cache, in);
    t.scans = recs;
    t.scans_asked = asked;
    rc = run_script(w, turn, &t, &m);

    if (rc == WAGW_AGAIN) {
        w->reruns++;
        wagw_txn_rollback(&t);
        j = calloc(1, sizeof(job_t));
        j->load = true;
        j->instance = in;
        j->turn = n;
        j->asked = copy_loads(t.misses, asked);
        assert_non_null(j->asked);
        post(w, j);

    } else if (rnd(&w->rnd, 8) == 0) {
        wagw_txn_rollback(&t);
        turn->live = false;

    } else {
        j = calloc(1, sizeof(job_t));
        j->instance = in;
        j->batch = wagw_batch_create(in, ++w->seq[in]);
        assert_int_equal(wagw_txn_commit(&t, j->batch), WAGW_OK);
        j->after = m;
        w->logical[in] = m;
        w->committed++;
        turn->live = false;
        post(w, j);
    }
    wagw_txn_free(&t);
}

/* The store as ops say it, to compare with what the turns believed. */
static void apply_ops(model_t *m, const wagw_batch_t *b)
{
    const wagw_op_t *op;
    char key[32];
    int i;

    for (op = b->ops; op != NULL; op = op->next) {
        if (op->op == WAGW_OP_WIPE) {
            memset(m->v, 0, CHAT_AT * sizeof(int));
        } else if (op->op == WAGW_OP_CHAT_MERGE) {
            model_merge(m, op->key.p[1] - '0', op->value.p[1] - '0');
        } else {
            for (i = 0; i < SLOTS; i++) {
                if (slot_key(i, key) == op->kind && wagw_str_eq(op->key, text(key))) {
                    m->v[i] = op->op == WAGW_OP_PUT ? slot_number(i, op->value) : 0;
                    break;
                }
            }
            assert_true(i < SLOTS);
        }
    }
}

static void answer(world_t *w, job_t *j)
{
    wagw_rec_t recs[SLOTS * 3];
    char keys[SLOTS * 3][32], key[32];
    uint8_t values[SLOTS * 3][160];
    wagw_str_t v;
    const wagw_load_t *l;
    uint8_t kind;
    int i, n = 0;

    for (l = j->asked; l != NULL; l = l->next) {
        for (i = 0; i < SLOTS; i++) {
            kind = slot_key(i, key);
            if (kind != l->kind || w->stored[j->instance].v[i] == 0 ||
                (l->prefix ? strncmp(key, l->key, l->key_len) != 0 : strcmp(key, l->key) != 0)) {
                continue;
            }
            assert_true(n < SLOTS * 3);
            strcpy(keys[n], key);
            v = slot_value(i, w->stored[j->instance].v[i]);
            assert_true(v.n <= sizeof(values[n]));
            memcpy(values[n], v.p, v.n);
            recs[n] = (wagw_rec_t){kind, text(keys[n]), wagw_str(values[n], v.n), NULL};
            if (n > 0) {
                recs[n - 1].next = &recs[n];
            }
            n++;
        }
    }
    assert_int_equal(wagw_cache_fill(w->cache, j->instance, j->asked, n ? recs : NULL), WAGW_OK);
    run_turn(w, j->turn, j->asked, n ? recs : NULL);
}

/* A commit failed: everything of the instance that is not durable is gone. */
static void crash(world_t *w, uint32_t in)
{
    job_t *j, **p;
    unsigned i;

    wagw_cache_forget(w->cache, in);
    w->logical[in] = w->stored[in];
    w->failed++;
    for (p = &w->jobs; (j = *p) != NULL;) {
        if (j->instance == in) {
            *p = j->next;
            free_job(j);
        } else {
            p = &j->next;
        }
    }
    w->jobs_last = p;
    for (i = in; i < 6; i += INSTANCES) {
        w->turns[i].live = false;
    }
}

static void step(world_t *w)
{
    job_t *j = w->jobs;

    w->jobs = j->next;
    if (w->jobs == NULL) {
        w->jobs_last = &w->jobs;
    }
    if (j->load) {
        answer(w, j);
    } else if (rnd(&w->rnd, 60) == 0) {
        crash(w, j->instance);
    } else {
        apply_ops(&w->stored[j->instance], j->batch);
        assert_memory_equal(&w->stored[j->instance], &j->after, sizeof(model_t));
        wagw_cache_committed(w->cache, j->instance, j->batch->seq);
    }
    free_job(j);
}

static void model_run(uint64_t seed, size_t budget, unsigned steps)
{
    world_t w;
    unsigned i, n;

    memset(&w, 0, sizeof(w));
    w.rnd = seed;
    w.cache = wagw_cache_create(budget);
    w.jobs_last = &w.jobs;

    for (i = 0; i < steps; i++) {
        n = rnd(&w.rnd, 6);
        if (!w.turns[n].live && rnd(&w.rnd, 3) == 0) {
            w.turns[n] = (turn_t){true, rnd(&w.rnd, 2) == 0, seed * 77777 + i * 2654435761u + 1, 0};
            run_turn(&w, n, NULL, NULL);
        } else if (w.jobs != NULL) {
            step(&w);
        }
    }
    while (w.jobs != NULL) {
        step(&w);
    }
    for (i = 0; i < INSTANCES; i++) {
        assert_memory_equal(&w.logical[i], &w.stored[i], sizeof(model_t));
        wagw_cache_forget(w.cache, i);
    }
    assert_int_equal(wagw_cache_bytes(w.cache), 0);
    assert_true(w.committed > 100 && w.reruns > 100 && w.scans > 10 && w.wipes > 10 && w.merges > 10 && w.failed > 2);
    wagw_cache_destroy(w.cache);
}

static void test_model(void **state)
{
    uint64_t seed;

    (void)state;
    for (seed = 1; seed <= 20; seed++) {
        model_run(seed * 0x9e3779b97f4a7c15ULL, seed % 2 ? 3000 : 1 << 20, 6000);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_overlay),     cmocka_unit_test(test_fill),  cmocka_unit_test(test_absent),
        cmocka_unit_test(test_budget),      cmocka_unit_test(test_batch), cmocka_unit_test(test_msgkey),
        cmocka_unit_test(test_scan_rounds), cmocka_unit_test(test_model),
    };

    return cmocka_run_group_tests_name("record", tests, NULL, NULL);
}
