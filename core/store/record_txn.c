/*
 * A turn's view: an overlay of changed records over the cache.  Nothing here
 * changes the cache before the commit, so views into it stay valid and a
 * rollback has nothing to undo.
 */

#include "record_private.h"

#include <stdlib.h>

#define WAGW_TXN_MIN_SLOTS 32
#define WAGW_TXN_KEEP_SLOTS 512 /* a larger table is given back after its turn */

static void wagw_txn_index_clear(wagw_txn_index_t *ix)
{
    if (ix->nslots > WAGW_TXN_KEEP_SLOTS) {
        free(ix->slots);
        ix->slots = NULL;
        ix->nslots = 0;

    } else if (ix->used != 0) {
        memset(ix->slots, 0, ix->nslots * sizeof(wagw_txn_slot_t));
    }

    ix->used = 0;
    ix->wiped = false;
    ix->merged = false;
}

void wagw_txn_begin(wagw_txn_t *t, wagw_cache_t *c, uint32_t instance)
{
    wagw_cinst_t *in;
    wagw_txn_index_t *ix;

    t->cache = c;
    t->instance = instance;
    t->ops = NULL;
    t->ops_last = NULL;
    t->misses = NULL;

    ix = t->index;
    if (ix == NULL) {
        ix = calloc(1, sizeof(wagw_txn_index_t));
        if (ix == NULL) {
            return; /* every call answers WAGW_NOMEM */
        }
        t->index = ix;
    }

    wagw_txn_index_clear(ix);
    wagw_arena_reset(&ix->miss_arena);
    ix->miss_last = &t->misses;

    in = wagw_cache_inst(c, instance);
    ix->after = in != NULL ? in->last_seq : 0;
}

static wagw_txn_slot_t *wagw_txn_slot(const wagw_txn_index_t *ix, uint64_t hash, uint8_t kind, wagw_str_t key)
{
    size_t i;
    wagw_txn_slot_t *s;

    for (i = hash & (ix->nslots - 1); /* void */; i = (i + 1) & (ix->nslots - 1)) {
        s = &ix->slots[i];
        if (s->op == NULL || (s->hash == hash && s->op->kind == kind && wagw_str_eq(s->op->key, key))) {
            return s;
        }
    }
}

wagw_op_t *wagw_txn_lookup(const wagw_txn_index_t *ix, uint64_t hash, uint8_t kind, wagw_str_t key)
{
    return ix->used != 0 ? wagw_txn_slot(ix, hash, kind, key)->op : NULL;
}

static int wagw_txn_index_reserve(wagw_txn_index_t *ix)
{
    size_t i, j, n;
    wagw_txn_slot_t *slots;

    if (ix->used * 2 < ix->nslots) {
        return WAGW_OK;
    }

    n = ix->nslots != 0 ? ix->nslots * 2 : WAGW_TXN_MIN_SLOTS;
    slots = calloc(n, sizeof(wagw_txn_slot_t));
    if (slots == NULL) {
        return WAGW_NOMEM;
    }

    for (i = 0; i < ix->nslots; i++) {
        if (ix->slots[i].op == NULL) {
            continue;
        }
        for (j = ix->slots[i].hash & (n - 1); slots[j].op != NULL; j = (j + 1) & (n - 1)) {
            /* void */
        }
        slots[j] = ix->slots[i];
    }

    free(ix->slots);
    ix->slots = slots;
    ix->nslots = n;

    return WAGW_OK;
}

int wagw_txn_index_set(wagw_txn_index_t *ix, uint64_t hash, wagw_op_t *op)
{
    wagw_txn_slot_t *s;

    if (wagw_txn_index_reserve(ix) != WAGW_OK) {
        return WAGW_NOMEM;
    }

    s = wagw_txn_slot(ix, hash, op->kind, op->key);
    if (s->op == NULL) {
        ix->used++;
    }
    s->hash = hash;
    s->op = op;

    return WAGW_OK;
}

static void wagw_txn_link(wagw_txn_t *t, wagw_op_t *op)
{
    if (t->ops_last != NULL) {
        t->ops_last->next = op;
    } else {
        t->ops = op;
    }
    t->ops_last = op;
}

int wagw_txn_miss(wagw_txn_t *t, uint8_t kind, bool prefix, wagw_str_t key)
{
    wagw_load_t *l;
    wagw_txn_index_t *ix;

    ix = t->index;

    l = wagw_arena_alloc(&ix->miss_arena, sizeof(wagw_load_t));
    if (l == NULL) {
        return WAGW_NOMEM;
    }

    l->kind = kind;
    l->prefix = prefix;
    l->key_len = (uint16_t)key.n;
    if (key.n != 0) {
        memcpy(l->key, key.p, key.n);
    }
    l->key[key.n] = '\0';
    l->after = ix->after;
    l->next = NULL;

    *ix->miss_last = l;
    ix->miss_last = &l->next;

    return WAGW_OK;
}

/* Notes the miss once, however often the turn asks. */
static int wagw_txn_missed(wagw_txn_t *t, uint64_t hash, uint8_t kind, wagw_str_t key)
{
    wagw_op_t *op, *old;

    op = wagw_arena_zalloc(&t->arena, sizeof(wagw_op_t));
    if (op == NULL) {
        return WAGW_NOMEM;
    }

    op->op = WAGW_OP_MISSED;
    op->kind = kind;
    op->key = wagw_arena_str(&t->arena, key);

    if (op->key.p == NULL || wagw_txn_miss(t, kind, false, key) != WAGW_OK) {
        return WAGW_NOMEM;
    }

    old = wagw_txn_lookup(t->index, hash, kind, key);
    if (old == NULL || old->op == WAGW_OP_GONE) {
        if (wagw_txn_index_set(t->index, hash, op) != WAGW_OK) {
            return WAGW_NOMEM;
        }
    }

    return WAGW_AGAIN;
}

static int wagw_txn_lookup_cache(wagw_txn_t *t, uint8_t kind, wagw_str_t key, uint64_t hash, wagw_str_t *value)
{
    wagw_cinst_t *in;
    wagw_entry_t *e;
    wagw_txn_index_t *ix;

    ix = t->index;

    if (kind < WAGW_REC_OPAQUE_END && ix->wiped) {
        return WAGW_NOT_FOUND;
    }

    e = wagw_cache_find(t->cache, t->instance, kind, key, hash);
    if (e != NULL) {
        wagw_cache_touch(t->cache, e);
        if (e->absent) {
            return WAGW_NOT_FOUND;
        }
        *value = wagw_entry_value(e);
        return WAGW_OK;
    }

    if (kind < WAGW_REC_OPAQUE_END) {
        in = wagw_cache_inst(t->cache, t->instance);
        if (in != NULL && in->wipe_seq != 0) {
            return WAGW_NOT_FOUND;
        }
    }

    return wagw_txn_missed(t, hash, kind, key);
}

/*
 * The value of a record as it was before the op `stop` of this turn (NULL:
 * now), when the turn holds merges.  Slow and rare: chats are merged once.
 */
static int wagw_txn_get_merged(wagw_txn_t *t, uint8_t kind, wagw_str_t key, const wagw_op_t *stop, wagw_str_t *value)
{
    int rc, rc_old;
    char buf[WAGW_KEY_MAX];
    size_t rest;
    uint64_t hash;
    wagw_op_t *slot;
    wagw_str_t old;
    const wagw_op_t *op, *hit, *merge;

    hit = NULL;
    merge = NULL;

    for (op = t->ops; op != stop; op = op->next) {
        if (op->op == WAGW_OP_CHAT_MERGE) {
            if (wagw_rec_in_chat(kind, key, op->key) || wagw_rec_in_chat(kind, key, op->value)) {
                merge = op;
                hit = NULL;
            }

        } else if ((op->op == WAGW_OP_PUT || op->op == WAGW_OP_DEL) && op->kind == kind && wagw_str_eq(op->key, key)) {
            hit = op;
        }
    }

    if (hit != NULL) {
        *value = hit->value;
        return hit->op == WAGW_OP_PUT ? WAGW_OK : WAGW_NOT_FOUND;
    }

    if (merge == NULL) {
        hash = wagw_rec_hash(t->cache, t->instance, kind, key);
        slot = wagw_txn_lookup(t->index, hash, kind, key);
        if (slot != NULL && slot->op == WAGW_OP_MISSED) {
            return WAGW_AGAIN;
        }
        return wagw_txn_lookup_cache(t, kind, key, hash, value);
    }

    if (!wagw_rec_in_chat(kind, key, merge->value)) {
        return WAGW_NOT_FOUND; /* moved away */
    }

    rc = wagw_txn_get_merged(t, kind, key, merge, value);
    if ((rc != WAGW_OK && rc != WAGW_NOT_FOUND && rc != WAGW_AGAIN) || (rc == WAGW_OK && kind != WAGW_REC_CHAT)) {
        return rc;
    }

    rest = key.n - merge->value.n;
    if (merge->key.n + rest >= WAGW_KEY_MAX) {
        return rc;
    }

    memcpy(buf, merge->key.p, merge->key.n);
    memcpy(buf + merge->key.n, key.p + merge->value.n, rest);

    /* looked for in any case, so that one load brings both */
    rc_old = wagw_txn_get_merged(t, kind, wagw_str(buf, merge->key.n + rest), merge, &old);
    if (rc == WAGW_AGAIN || (rc_old != WAGW_OK && rc_old != WAGW_NOT_FOUND)) {
        return rc == WAGW_AGAIN ? rc : rc_old;
    }

    if (rc == WAGW_OK) {
        return rc_old == WAGW_OK ? wagw_rec_join(&t->arena, old, value) : WAGW_OK;
    }
    if (rc_old == WAGW_OK) {
        *value = old;
        return wagw_rec_rename(&t->arena, kind, merge->value, value);
    }

    return WAGW_NOT_FOUND;
}

int wagw_txn_get(wagw_txn_t *t, uint8_t kind, wagw_str_t key, wagw_str_t *value)
{
    uint64_t hash;
    wagw_op_t *op;
    wagw_txn_index_t *ix;

    *value = WAGW_STR_NULL;

    ix = t->index;
    if (ix == NULL) {
        return WAGW_NOMEM;
    }
    if (key.n >= WAGW_KEY_MAX) {
        return WAGW_LIMIT;
    }

    hash = wagw_rec_hash(t->cache, t->instance, kind, key);
    op = wagw_txn_lookup(ix, hash, kind, key);

    switch (op != NULL ? op->op : WAGW_OP_GONE) {

    case WAGW_OP_PUT:
        *value = op->value;
        return WAGW_OK;

    case WAGW_OP_DEL:
        return WAGW_NOT_FOUND;

    case WAGW_OP_MISSED:
        return WAGW_AGAIN;

    default:
        break;
    }

    if (ix->merged && kind >= WAGW_REC_OPAQUE_END) {
        return wagw_txn_get_merged(t, kind, key, NULL, value);
    }

    return wagw_txn_lookup_cache(t, kind, key, hash, value);
}

static int wagw_txn_set(wagw_txn_t *t, wagw_op_type_t type, uint8_t kind, wagw_str_t key, wagw_str_t value)
{
    bool fresh;
    uint64_t hash;
    wagw_op_t *op;
    wagw_str_t copy;
    wagw_txn_index_t *ix;

    ix = t->index;
    if (ix == NULL) {
        return WAGW_NOMEM;
    }
    if (key.n >= WAGW_KEY_MAX || value.n > UINT32_MAX) {
        return WAGW_LIMIT;
    }

    hash = wagw_rec_hash(t->cache, t->instance, kind, key);
    op = wagw_txn_lookup(ix, hash, kind, key);
    fresh = op == NULL || op->op == WAGW_OP_MISSED || op->op == WAGW_OP_GONE;

    if (!fresh && op->op == WAGW_OP_PUT && type == WAGW_OP_PUT && value.n <= op->value.n) {
        /* value may be a part of what it replaces */
        if (value.n != 0) {
            memmove((void *)(uintptr_t)op->value.p, value.p, value.n);
        }
        wagw_wipe((void *)(uintptr_t)(op->value.p + value.n), op->value.n - value.n);
        op->value.n = value.n;
        return WAGW_OK;
    }

    copy = WAGW_STR_NULL;
    if (type == WAGW_OP_PUT) {
        copy = wagw_arena_str(&t->arena, value);
        if (copy.p == NULL) {
            return WAGW_NOMEM;
        }
    }

    if (!fresh) {
        wagw_wipe((void *)(uintptr_t)op->value.p, op->value.n);
        op->op = (uint8_t)type;
        op->value = copy;
        return WAGW_OK;
    }

    op = wagw_arena_zalloc(&t->arena, sizeof(wagw_op_t));
    if (op == NULL) {
        return WAGW_NOMEM;
    }

    op->op = (uint8_t)type;
    op->kind = kind;
    op->key = wagw_arena_str(&t->arena, key);
    op->value = copy;

    if (op->key.p == NULL || wagw_txn_index_set(ix, hash, op) != WAGW_OK) {
        return WAGW_NOMEM;
    }

    wagw_txn_link(t, op);
    return WAGW_OK;
}

int wagw_txn_put(wagw_txn_t *t, uint8_t kind, wagw_str_t key, wagw_str_t value)
{
    return wagw_txn_set(t, WAGW_OP_PUT, kind, key, value);
}

int wagw_txn_del(wagw_txn_t *t, uint8_t kind, wagw_str_t key)
{
    return wagw_txn_set(t, WAGW_OP_DEL, kind, key, WAGW_STR_NULL);
}

/* Earlier changes of this turn to what a WIPE removes need not be written. */
static void wagw_txn_wiped(wagw_txn_t *t)
{
    size_t i;
    wagw_op_t *op, **p;
    wagw_txn_index_t *ix;

    ix = t->index;
    ix->wiped = true;

    t->ops_last = NULL;
    for (p = &t->ops; (op = *p) != NULL; /* void */) {
        if ((op->op == WAGW_OP_PUT || op->op == WAGW_OP_DEL) && op->kind < WAGW_REC_OPAQUE_END) {
            *p = op->next;
            wagw_wipe((void *)(uintptr_t)op->value.p, op->value.n);
        } else {
            t->ops_last = op;
            p = &op->next;
        }
    }

    for (i = 0; i < ix->nslots; i++) {
        op = ix->slots[i].op;
        if (op != NULL && op->kind < WAGW_REC_OPAQUE_END && op->op != WAGW_OP_MISSED) {
            op->op = WAGW_OP_GONE;
        }
    }
}

/* What was put before the merge stays in the list, where the store needs it;
 * what is put after it must become an op of its own. */
static int wagw_txn_merged(wagw_txn_t *t, const wagw_op_t *merge)
{
    size_t i;
    wagw_op_t *op, *gone;
    wagw_txn_index_t *ix;

    ix = t->index;
    ix->merged = true;

    for (i = 0; i < ix->nslots; i++) {
        op = ix->slots[i].op;
        if (op == NULL || op->op == WAGW_OP_MISSED || op->op == WAGW_OP_GONE ||
            (!wagw_rec_in_chat(op->kind, op->key, merge->key) && !wagw_rec_in_chat(op->kind, op->key, merge->value))) {
            continue;
        }

        gone = wagw_arena_zalloc(&t->arena, sizeof(wagw_op_t));
        if (gone == NULL) {
            return WAGW_NOMEM;
        }

        gone->op = WAGW_OP_GONE;
        gone->kind = op->kind;
        gone->key = op->key;
        ix->slots[i].op = gone;
    }

    return WAGW_OK;
}

int wagw_txn_op(wagw_txn_t *t, wagw_op_type_t type, wagw_str_t key, wagw_str_t value)
{
    wagw_op_t *op;

    if (t->index == NULL) {
        return WAGW_NOMEM;
    }
    if (type == WAGW_OP_PUT || type == WAGW_OP_DEL || type == WAGW_OP_EVENT) {
        return WAGW_STATE;
    }
    if (type == WAGW_OP_CHAT_MERGE && (key.n >= WAGW_KEY_MAX || value.n >= WAGW_KEY_MAX)) {
        return WAGW_LIMIT;
    }

    op = wagw_arena_zalloc(&t->arena, sizeof(wagw_op_t));
    if (op == NULL) {
        return WAGW_NOMEM;
    }

    op->op = (uint8_t)type;
    op->key = wagw_arena_str(&t->arena, key);
    op->value = wagw_arena_str(&t->arena, value);
    if (op->key.p == NULL || op->value.p == NULL) {
        return WAGW_NOMEM;
    }

    if (type == WAGW_OP_WIPE) {
        wagw_txn_wiped(t);

    } else if (type == WAGW_OP_CHAT_MERGE && wagw_txn_merged(t, op) != WAGW_OK) {
        return WAGW_NOMEM;
    }

    wagw_txn_link(t, op);
    return WAGW_OK;
}

int wagw_txn_event(wagw_txn_t *t, const wagw_event_t *ev)
{
    wagw_op_t *op;

    op = wagw_arena_zalloc(&t->arena, sizeof(wagw_op_t));
    if (op == NULL) {
        return WAGW_NOMEM;
    }

    op->op = WAGW_OP_EVENT;
    op->event = wagw_rec_event(&t->arena, ev);
    if (op->event == NULL) {
        return WAGW_NOMEM;
    }

    wagw_txn_link(t, op);
    return WAGW_OK;
}

bool wagw_txn_changed(const wagw_txn_t *t)
{
    return t->ops != NULL;
}

static void wagw_txn_end(wagw_txn_t *t)
{
    t->ops = NULL;
    t->ops_last = NULL;
    t->scans = NULL;
    t->scans_asked = NULL;

    if (t->index != NULL) {
        wagw_txn_index_clear(t->index);
    }
}

int wagw_txn_commit(wagw_txn_t *t, wagw_batch_t *batch)
{
    int rc;
    bool move;
    wagw_op_t *op;

    rc = WAGW_OK;
    move = batch->arena.head == NULL;

    for (op = move ? NULL : t->ops; op != NULL && rc == WAGW_OK; op = op->next) {
        if (op->op == WAGW_OP_EVENT) {
            rc = wagw_batch_event(batch, op->event);
        } else {
            rc = wagw_batch_add(batch, op->op, op->kind, op->key, op->value);
        }
    }

    if (rc == WAGW_OK && t->ops != NULL) {
        rc = wagw_cache_apply(t->cache, t->instance, batch->seq, t->ops);
    }

    if (rc != WAGW_OK || !move) {
        wagw_txn_rollback(t);
        return rc;
    }

    /* the batch takes the arena as it is: nothing is copied twice */
    batch->arena = t->arena;
    memset(&t->arena, 0, sizeof(wagw_arena_t));

    batch->ops = t->ops;
    batch->last = t->ops_last;
    for (op = t->ops; op != NULL; op = op->next) {
        batch->nops++;
    }

    wagw_txn_end(t);
    return WAGW_OK;
}

void wagw_txn_rollback(wagw_txn_t *t)
{
    wagw_op_t *op;

    for (op = t->ops; op != NULL; op = op->next) {
        wagw_wipe((void *)(uintptr_t)op->value.p, op->value.n);
    }

    wagw_txn_end(t);
    wagw_arena_reset(&t->arena);
}

void wagw_txn_free(wagw_txn_t *t)
{
    wagw_txn_index_t *ix;

    wagw_txn_rollback(t);
    wagw_arena_free(&t->arena);

    ix = t->index;
    if (ix != NULL) {
        free(ix->slots);
        wagw_arena_free(&ix->miss_arena);
        free(ix);
    }

    memset(t, 0, sizeof(wagw_txn_t));
}
