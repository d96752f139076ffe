/*
 * Prefix scans of a turn: what the store answered, corrected by what the
 * cache and the overlay know better.
 */

#include "record_private.h"

#include <stdlib.h>

static const wagw_load_t *wagw_load_find(const wagw_load_t *list, uint8_t kind, wagw_str_t prefix)
{
    for (/* void */; list != NULL; list = list->next) {
        if (list->kind == kind && list->prefix && wagw_str_eq(wagw_str(list->key, list->key_len), prefix)) {
            return list;
        }
    }

    return NULL;
}

static int wagw_txn_scan_ready(wagw_txn_t *t, uint8_t kind, wagw_str_t prefix)
{
    if (wagw_load_find(t->scans_asked, kind, prefix) != NULL) {
        return WAGW_OK;
    }

    if (wagw_load_find(t->misses, kind, prefix) == NULL && wagw_txn_miss(t, kind, true, prefix) != WAGW_OK) {
        return WAGW_NOMEM;
    }

    return WAGW_AGAIN;
}

typedef struct {
    wagw_txn_t *txn;
    uint8_t kind; /* of the records behind the keys */
    wagw_str_t prefix;
    bool no_cache; /* this turn wiped what is cached */
    wagw_txn_index_t seen;
    wagw_op_t *first;
    wagw_op_t **last;
} wagw_txn_scan_t;

static int wagw_txn_scan_add(wagw_txn_scan_t *s, wagw_str_t key, wagw_str_t value)
{
    uint64_t hash;
    wagw_op_t *op;

    if (!wagw_str_starts(key, s->prefix)) {
        return WAGW_OK;
    }

    hash = wagw_rec_hash(s->txn->cache, s->txn->instance, s->kind, key);
    if (wagw_txn_lookup(&s->seen, hash, s->kind, key) != NULL) {
        return WAGW_OK;
    }

    op = wagw_arena_zalloc(&s->txn->arena, sizeof(wagw_op_t));
    if (op == NULL) {
        return WAGW_NOMEM;
    }

    op->op = WAGW_OP_PUT;
    op->kind = s->kind;
    op->key = key;
    op->value = value;
    *s->last = op;
    s->last = &op->next;

    return wagw_txn_index_set(&s->seen, hash, op);
}

static int wagw_txn_scan_collect(wagw_txn_scan_t *s, uint8_t kind, bool wiped)
{
    wagw_op_t *op;
    wagw_txn_t *t;
    wagw_cinst_t *in;
    wagw_entry_t *e;
    wagw_rlink_t *l;
    const wagw_rec_t *r;

    t = s->txn;

    for (r = wiped ? NULL : t->scans; r != NULL; r = r->next) {
        if (r->kind == kind && wagw_txn_scan_add(s, r->key, r->value) != WAGW_OK) {
            return WAGW_NOMEM;
        }
    }

    if (kind == WAGW_REC_PENDING) {
        return WAGW_OK; /* only the store knows which rows are pending */
    }

    in = s->no_cache ? NULL : wagw_cache_inst(t->cache, t->instance);
    if (in != NULL) {
        for (l = in->entries.next; l != &in->entries; l = l->next) {
            e = WAGW_ENTRY_OF_PEERS(l);
            if (e->kind == kind && wagw_txn_scan_add(s, wagw_entry_key(e), wagw_entry_value(e)) != WAGW_OK) {
                return WAGW_NOMEM;
            }
        }
    }

    for (op = t->ops; op != NULL; op = op->next) {
        if (op->op == WAGW_OP_PUT && op->kind == kind && wagw_txn_scan_add(s, op->key, op->value) != WAGW_OK) {
            return WAGW_NOMEM;
        }
    }

    return WAGW_OK;
}

/* The newest value at the time of the call: an earlier call may have changed it. */
static bool wagw_txn_scan_value(const wagw_txn_scan_t *s, const wagw_op_t *item, wagw_str_t *value)
{
    uint64_t hash;
    const wagw_op_t *op;
    const wagw_entry_t *e;

    hash = wagw_rec_hash(s->txn->cache, s->txn->instance, s->kind, item->key);

    op = wagw_txn_lookup(s->txn->index, hash, s->kind, item->key);
    if (op != NULL && op->op == WAGW_OP_PUT) {
        *value = op->value;
        return true;
    }
    if (op != NULL && op->op == WAGW_OP_DEL) {
        return false;
    }

    e = s->no_cache ? NULL : wagw_cache_find(s->txn->cache, s->txn->instance, s->kind, item->key, hash);
    if (e != NULL) {
        *value = wagw_entry_value(e);
        return !e->absent;
    }

    *value = item->value;
    return true;
}

int wagw_txn_scan(wagw_txn_t *t, uint8_t kind, wagw_str_t prefix, wagw_scan_pt cb, void *data)
{
    int rc;
    bool wiped;
    wagw_op_t *item;
    wagw_str_t value;
    wagw_cinst_t *in;
    wagw_txn_scan_t s;
    wagw_txn_index_t *ix;

    ix = t->index;
    if (ix == NULL) {
        return WAGW_NOMEM;
    }
    if (prefix.n >= WAGW_KEY_MAX) {
        return WAGW_LIMIT;
    }

    in = wagw_cache_inst(t->cache, t->instance);
    wiped = kind < WAGW_REC_OPAQUE_END && (ix->wiped || (in != NULL && in->wipe_seq != 0));

    if (!wiped) {
        rc = wagw_txn_scan_ready(t, kind, prefix);
        if (rc != WAGW_OK) {
            return rc;
        }
    }

    memset(&s, 0, sizeof(wagw_txn_scan_t));
    s.txn = t;
    s.kind = kind == WAGW_REC_PENDING ? WAGW_REC_MESSAGE : kind;
    s.prefix = prefix;
    s.no_cache = kind < WAGW_REC_OPAQUE_END && ix->wiped;
    s.last = &s.first;

    rc = wagw_txn_scan_collect(&s, kind, wiped);

    for (item = s.first; item != NULL && rc == WAGW_OK; item = item->next) {
        if (wagw_txn_scan_value(&s, item, &value)) {
            rc = cb(data, item->key, value);
        }
    }

    free(s.seen.slots);
    return rc;
}
