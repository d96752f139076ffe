/*
 * The store of an engine under test: records in a sorted array, with the
 * meanings that core/store gives to loads, merges and the pending list.
 */

#include "client_sim.h"

static int compare(const sim_rec_t *r, uint8_t kind, wagw_str_t key)
{
    size_t n = r->key_len < key.n ? r->key_len : key.n;
    int c;

    if (r->kind != kind) {
        return r->kind < kind ? -1 : 1;
    }
    c = n ? memcmp(r->p, key.p, n) : 0;
    if (c != 0) {
        return c;
    }
    return r->key_len < key.n ? -1 : r->key_len > key.n;
}

static size_t lower(const sim_mem_t *m, uint8_t kind, wagw_str_t key)
{
    size_t lo = 0, hi = m->n, mid;

    while (lo < hi) {
        mid = (lo + hi) / 2;
        if (compare(&m->v[mid], kind, key) < 0) {
            lo = mid + 1;
        } else {
            hi = mid;
        }
    }
    return lo;
}

static wagw_str_t key_of(const sim_rec_t *r)
{
    return wagw_str(r->p, r->key_len);
}

static wagw_str_t value_of(const sim_rec_t *r)
{
    return wagw_str(r->p + r->key_len, r->n);
}

void sim_mem_put(sim_mem_t *m, uint8_t kind, wagw_str_t key, wagw_str_t value)
{
    size_t i = lower(m, kind, key);
    uint8_t *p = malloc(key.n + value.n + 1);

    assert_non_null(p);
    if (key.n) {
        memcpy(p, key.p, key.n);
    }
    if (value.n) {
        memcpy(p + key.n, value.p, value.n);
    }
    if (i < m->n && compare(&m->v[i], kind, key) == 0) {
        free(m->v[i].p);
    } else {
        if (m->n == m->cap) {
            m->cap = m->cap ? m->cap * 2 : 64;
            m->v = realloc(m->v, m->cap * sizeof(*m->v));
            assert_non_null(m->v);
        }
        memmove(m->v + i + 1, m->v + i, (m->n - i) * sizeof(*m->v));
        m->n++;
    }
    m->v[i] = (sim_rec_t){kind, (uint16_t)key.n, value.n, p};
}

void sim_mem_del(sim_mem_t *m, uint8_t kind, wagw_str_t key)
{
    size_t i = lower(m, kind, key);

    if (i < m->n && compare(&m->v[i], kind, key) == 0) {
        free(m->v[i].p);
        m->n--;
        memmove(m->v + i, m->v + i + 1, (m->n - i) * sizeof(*m->v));
    }
}

wagw_str_t sim_mem_get(const sim_mem_t *m, uint8_t kind, wagw_str_t key)
{
    size_t i = lower(m, kind, key);

    return i < m->n && compare(&m->v[i], kind, key) == 0 ? value_of(&m->v[i]) : WAGW_STR_NULL;
}

void sim_mem_free(sim_mem_t *m)
{
    while (m->n) {
        free(m->v[--m->n].p);
    }
    free(m->v);
    memset(m, 0, sizeof(*m));
}

unsigned sim_mem_count(const sim_mem_t *m, uint8_t kind, const char *prefix)
{
    unsigned n = 0;

    for (size_t i = 0; i < m->n; i++) {
        n += m->v[i].kind == kind && wagw_str_starts(key_of(&m->v[i]), wagw_cstr(prefix));
    }
    return n;
}

/* As core/store does it: rows of one chat become rows of the other, their
 * authors keep their form, what is there already stays. */
static void merge(sim_mem_t *m, wagw_str_t from, wagw_str_t to)
{
    uint8_t kind;
    wagw_str_t rest, v;
    wagw_buf_t key = {0}, row = {0}, old = {0}, prefix = {0};
    wagw_row_chat_t a, b;
    wagw_row_message_t msg;
    wagw_row_receipt_t receipt;
    wagw_row_reaction_t reaction;
    wagw_row_vote_t vote;

    wagw_buf_str(&prefix, from);
    wagw_buf_u8(&prefix, '|');
    for (size_t i = 0; i < m->n;) {
        kind = m->v[i].kind;
        if ((kind != WAGW_REC_MESSAGE && kind != WAGW_REC_RECEIPT && kind != WAGW_REC_REACTION &&
             kind != WAGW_REC_VOTE) ||
            !wagw_str_starts(key_of(&m->v[i]), wagw_buf_view(&prefix))) {
            i++;
            continue;
        }
        wagw_buf_reset(&key);
        wagw_buf_reset(&row);
        wagw_buf_reset(&old);
        rest = wagw_str(m->v[i].p + from.n, m->v[i].key_len - from.n);
        wagw_buf_str(&key, to);
        wagw_buf_str(&key, rest);
        v = value_of(&m->v[i]);
        if (kind == WAGW_REC_MESSAGE) {
            assert_int_equal(wagw_row_message_decode(&msg, v), WAGW_OK);
            msg.chat = to;
            assert_int_equal(wagw_row_message_encode(&row, &msg), WAGW_OK);
        } else if (kind == WAGW_REC_RECEIPT) {
            assert_int_equal(wagw_row_receipt_decode(&receipt, v), WAGW_OK);
            receipt.chat = to;
            assert_int_equal(wagw_row_receipt_encode(&row, &receipt), WAGW_OK);
        } else if (kind == WAGW_REC_VOTE) {
            assert_int_equal(wagw_row_vote_decode(&vote, v), WAGW_OK);
            vote.chat = to;
            assert_int_equal(wagw_row_vote_encode(&row, &vote), WAGW_OK);
        } else {
            assert_int_equal(wagw_row_reaction_decode(&reaction, v), WAGW_OK);
            reaction.chat = to;
            assert_int_equal(wagw_row_reaction_encode(&row, &reaction), WAGW_OK);
        }
        wagw_buf_str(&old, key_of(&m->v[i]));
        if (sim_mem_get(m, kind, wagw_buf_view(&key)).p == NULL) {
            sim_mem_put(m, kind, wagw_buf_view(&key), wagw_buf_view(&row));
        }
        sim_mem_del(m, kind, wagw_buf_view(&old));
        i = 0;
    }

    v = sim_mem_get(m, WAGW_REC_CHAT, from);
    if (v.p) {
        wagw_buf_reset(&row);
        wagw_buf_reset(&old);
        wagw_buf_str(&old, v);
        assert_int_equal(wagw_row_chat_decode(&a, wagw_buf_view(&old)), WAGW_OK);
        v = sim_mem_get(m, WAGW_REC_CHAT, to);
        if (v.p) {
            assert_int_equal(wagw_row_chat_decode(&b, v), WAGW_OK);
            b.unread += a.unread;
            if (a.last_ms > b.last_ms) {
                b.last_ms = a.last_ms;
                b.last_id = a.last_id;
                b.last_body = a.last_body;
                b.last_type = a.last_type;
                b.last_from_me = a.last_from_me;
            }
            a = b;
        }
        a.id = to;
        a.lid = from;
        a.pn = to;
        assert_int_equal(wagw_row_chat_encode(&row, &a), WAGW_OK);
        sim_mem_put(m, WAGW_REC_CHAT, to, wagw_buf_view(&row));
        sim_mem_del(m, WAGW_REC_CHAT, from);
    }
    wagw_buf_free(&key);
    wagw_buf_free(&row);
    wagw_buf_free(&old);
    wagw_buf_free(&prefix);
}

/* What core/store would refuse, batch and all: always a fault of the engine. */
static void acceptable(const wagw_op_t *op)
{
    unsigned bars = 0;
    union {
        wagw_row_message_t message;
        wagw_row_receipt_t receipt;
        wagw_row_reaction_t reaction;
        wagw_row_vote_t vote;
        wagw_row_chat_t chat;
        wagw_row_contact_t contact;
        wagw_row_instance_t instance;
    } row;

    assert_true(op->key.n <= WAGW_KEY_MAX);
    if (op->op == WAGW_OP_CHAT_MERGE) {
        assert_true(op->key.n && op->value.n);
    }
    if (op->op == WAGW_OP_INSTANCE) {
        assert_int_equal(wagw_row_instance_decode(&row.instance, op->value), WAGW_OK);
    }
    if (op->op != WAGW_OP_PUT && op->op != WAGW_OP_DEL) {
        return;
    }
    assert_int_not_equal(op->kind, 0);
    if (op->kind < 64) {
        return;
    }
    assert_true(op->key.n > 0);
    for (size_t i = 0; i < op->key.n; i++) {
        bars += op->key.p[i] == '|';
    }
    if (op->kind == WAGW_REC_MESSAGE || op->kind == WAGW_REC_RECEIPT || op->kind == WAGW_REC_REACTION ||
        op->kind == WAGW_REC_VOTE) {
        if (bars != 2 || op->key.p[0] == '|' || memmem(op->key.p, op->key.n, "||", 2) == op->key.p) {
            fail_msg("a row under the key %.*s", (int)op->key.n, (const char *)op->key.p);
        }
    }
    if (op->op == WAGW_OP_DEL) {
        return;
    }
    switch (op->kind) {
    case WAGW_REC_MESSAGE:
        assert_int_equal(wagw_row_message_decode(&row.message, op->value), WAGW_OK);
        break;
    case WAGW_REC_RECEIPT:
        assert_int_equal(wagw_row_receipt_decode(&row.receipt, op->value), WAGW_OK);
        break;
    case WAGW_REC_REACTION:
        assert_int_equal(wagw_row_reaction_decode(&row.reaction, op->value), WAGW_OK);
        break;
    case WAGW_REC_VOTE:
        assert_int_equal(wagw_row_vote_decode(&row.vote, op->value), WAGW_OK);
        break;
    case WAGW_REC_CHAT:
        assert_int_equal(wagw_row_chat_decode(&row.chat, op->value), WAGW_OK);
        break;
    case WAGW_REC_CONTACT:
        assert_int_equal(wagw_row_contact_decode(&row.contact, op->value), WAGW_OK);
        break;
    default:
        fail_msg("a row of kind %u", op->kind);
    }
}

void sim_mem_apply(sim_mem_t *m, const wagw_batch_t *b)
{
    size_t i;

    for (const wagw_op_t *op = b->ops; op; op = op->next) {
        acceptable(op);
        switch (op->op) {
        case WAGW_OP_PUT:
            sim_mem_put(m, op->kind, op->key, op->value);
            break;
        case WAGW_OP_DEL:
            sim_mem_del(m, op->kind, op->key);
            break;
        case WAGW_OP_WIPE:
            for (i = m->n; i-- > 0;) {
                if (m->v[i].kind < 64) {
                    sim_mem_del(m, m->v[i].kind, key_of(&m->v[i]));
                }
            }
            break;
        case WAGW_OP_CHAT_MERGE:
            merge(m, op->key, op->value);
            break;
        case WAGW_OP_EVENT:
        case WAGW_OP_INSTANCE:
            break;
        default:
            fail_msg("a batch holds an op of type %u", op->op);
        }
    }
}

static void found(wagw_arena_t *a, wagw_rec_t ***last, uint8_t kind, const sim_rec_t *r)
{
    wagw_rec_t *rec = wagw_arena_zalloc(a, sizeof(*rec));

    rec->kind = kind;
    rec->key = wagw_arena_str(a, key_of(r));
    rec->value = wagw_arena_str(a, value_of(r));
    **last = rec;
    *last = &rec->next;
}

/* Oldest first. */
static void pending(const sim_mem_t *m, wagw_arena_t *a, wagw_rec_t ***last)
{
    int64_t after = INT64_MIN, next;
    wagw_row_message_t row;

    for (;;) {
        next = INT64_MAX;
        for (int pass = 0; pass < 2; pass++) {
            for (size_t i = 0; i < m->n; i++) {
                if (m->v[i].kind != WAGW_REC_MESSAGE) {
                    continue;
                }
                assert_int_equal(wagw_row_message_decode(&row, value_of(&m->v[i])), WAGW_OK);
                if (!row.from_me || row.status != WAGW_MSG_PENDING || row.created_ms <= after) {
                    continue;
                }
                if (pass == 0 && row.created_ms < next) {
                    next = row.created_ms;
                } else if (pass == 1 && row.created_ms == next) {
                    found(a, last, WAGW_REC_PENDING, &m->v[i]);
                }
            }
        }
        if (next == INT64_MAX) {
            return;
        }
        after = next;
    }
}

wagw_rec_t *sim_mem_load(const sim_mem_t *m, const wagw_load_t *asked, wagw_arena_t *a)
{
    size_t i;
    wagw_str_t key;
    wagw_rec_t *recs = NULL, **last = &recs;

    for (; asked; asked = asked->next) {
        key = wagw_str(asked->key, asked->key_len);
        if (asked->kind == WAGW_REC_PENDING) {
            pending(m, a, &last);
            continue;
        }
        i = lower(m, asked->kind, key);
        if (!asked->prefix) {
            if (i < m->n && compare(&m->v[i], asked->kind, key) == 0) {
                found(a, &last, asked->kind, &m->v[i]);
            }
            continue;
        }
        for (; i < m->n && m->v[i].kind == asked->kind && wagw_str_starts(key_of(&m->v[i]), key); i++) {
            found(a, &last, asked->kind, &m->v[i]);
        }
    }
    return recs;
}
