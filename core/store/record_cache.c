/*
 * The record cache: one hash table of (instance, kind, key) with an LRU over
 * what is clean.  What the cache says is always newer than or equal to what
 * the store would answer.
 */

#include "record_private.h"

#include <stdlib.h>

#define WAGW_CACHE_MIN_BUCKETS 64

static void wagw_rlink_init(wagw_rlink_t *l)
{
    l->prev = l;
    l->next = l;
}

static bool wagw_rlink_empty(const wagw_rlink_t *l)
{
    return l->next == l;
}

static void wagw_rlink_remove(wagw_rlink_t *l)
{
    l->prev->next = l->next;
    l->next->prev = l->prev;
}

/* In front: the head's next. */
static void wagw_rlink_push(wagw_rlink_t *head, wagw_rlink_t *l)
{
    l->next = head->next;
    l->prev = head;
    head->next->prev = l;
    head->next = l;
}

static void wagw_rlink_append(wagw_rlink_t *head, wagw_rlink_t *l)
{
    wagw_rlink_push(head->prev, l);
}

static size_t wagw_entry_size(const wagw_entry_t *e)
{
    return sizeof(wagw_entry_t) + e->key_len + e->value_len;
}

wagw_cache_t *wagw_cache_create(size_t max_bytes)
{
    wagw_cache_t *c;

    c = calloc(1, sizeof(wagw_cache_t));
    if (c == NULL) {
        return NULL;
    }

    c->max = max_bytes;
    c->nbuckets = WAGW_CACHE_MIN_BUCKETS;
    c->ninsts = WAGW_CACHE_MIN_BUCKETS;
    c->buckets = calloc(c->nbuckets, sizeof(wagw_entry_t *));
    c->insts = calloc(c->ninsts, sizeof(wagw_cinst_t *));
    c->seed = (uint64_t)(uintptr_t)c ^ (uint64_t)(uintptr_t)c->buckets << 20;
    wagw_rlink_init(&c->lru);

    if (c->buckets == NULL || c->insts == NULL) {
        free(c->buckets);
        free(c->insts);
        free(c);
        return NULL;
    }

    return c;
}

size_t wagw_cache_bytes(const wagw_cache_t *c)
{
    return c->bytes;
}

static wagw_cinst_t **wagw_cache_inst_bucket(const wagw_cache_t *c, uint32_t instance)
{
    return &c->insts[(instance * 2654435761u) & (c->ninsts - 1)];
}

wagw_cinst_t *wagw_cache_inst(const wagw_cache_t *c, uint32_t instance)
{
    wagw_cinst_t *in;

    for (in = *wagw_cache_inst_bucket(c, instance); in != NULL; in = in->chain) {
        if (in->num == instance) {
            return in;
        }
    }

    return NULL;
}

static void wagw_cache_inst_grow(wagw_cache_t *c)
{
    size_t i, n;
    wagw_cinst_t *in, *next, **old, **bucket;

    old = c->insts;
    n = c->ninsts;

    c->insts = calloc(n * 2, sizeof(wagw_cinst_t *));
    if (c->insts == NULL) {
        c->insts = old; /* longer chains, nothing worse */
        return;
    }
    c->ninsts = n * 2;

    for (i = 0; i < n; i++) {
        for (in = old[i]; in != NULL; in = next) {
            next = in->chain;
            bucket = wagw_cache_inst_bucket(c, in->num);
            in->chain = *bucket;
            *bucket = in;
        }
    }

    free(old);
}

static wagw_cinst_t *wagw_cache_inst_get(wagw_cache_t *c, uint32_t instance)
{
    wagw_cinst_t *in, **bucket;

    in = wagw_cache_inst(c, instance);
    if (in != NULL) {
        return in;
    }

    in = calloc(1, sizeof(wagw_cinst_t));
    if (in == NULL) {
        return NULL;
    }

    in->num = instance;
    wagw_rlink_init(&in->entries);
    wagw_rlink_init(&in->dirty);

    if (c->icount >= c->ninsts) {
        wagw_cache_inst_grow(c);
    }

    bucket = wagw_cache_inst_bucket(c, instance);
    in->chain = *bucket;
    *bucket = in;
    c->icount++;
    c->bytes += sizeof(wagw_cinst_t);

    return in;
}

wagw_entry_t *wagw_cache_find(const wagw_cache_t *c, uint32_t instance, uint8_t kind, wagw_str_t key, uint64_t hash)
{
    wagw_entry_t *e;

    for (e = c->buckets[hash & (c->nbuckets - 1)]; e != NULL; e = e->chain) {
        if (e->hash == hash && e->kind == kind && e->inst->num == instance && wagw_str_eq(wagw_entry_key(e), key)) {
            return e;
        }
    }

    return NULL;
}

void wagw_cache_touch(wagw_cache_t *c, wagw_entry_t *e)
{
    if (e->dirty == 0 && c->lru.next != &e->link) {
        wagw_rlink_remove(&e->link);
        wagw_rlink_push(&c->lru, &e->link);
    }
}

static void wagw_cache_grow(wagw_cache_t *c)
{
    size_t i, n;
    wagw_entry_t *e, *next, **old, **bucket;

    old = c->buckets;
    n = c->nbuckets;

    c->buckets = calloc(n * 2, sizeof(wagw_entry_t *));
    if (c->buckets == NULL) {
        c->buckets = old;
        return;
    }
    c->nbuckets = n * 2;

    for (i = 0; i < n; i++) {
        for (e = old[i]; e != NULL; e = next) {
            next = e->chain;
            bucket = &c->buckets[e->hash & (c->nbuckets - 1)];
            e->chain = *bucket;
            *bucket = e;
        }
    }

    free(old);
}

static wagw_entry_t *wagw_entry_create(uint64_t hash, uint8_t kind, wagw_str_t key, wagw_str_t value)
{
    wagw_entry_t *e;

    e = malloc(sizeof(wagw_entry_t) + key.n + value.n);
    if (e == NULL) {
        return NULL;
    }

    e->chain = NULL;
    e->inst = NULL;
    e->hash = hash;
    e->dirty = 0;
    e->kind = kind;
    e->key_len = (uint16_t)key.n;
    e->value_len = (uint32_t)value.n;
    e->absent = false;
    e->filling = false;

    if (key.n != 0) {
        memcpy(e->data, key.p, key.n);
    }
    if (value.n != 0) {
        memcpy(e->data + key.n, value.p, value.n);
    }

    return e;
}

static void wagw_entry_free(wagw_entry_t *e)
{
    wagw_wipe(e->data + e->key_len, e->value_len);
    free(e);
}

/* The caller links e->link into the LRU or the dirty queue. */
static void wagw_cache_insert(wagw_cache_t *c, wagw_cinst_t *in, wagw_entry_t *e)
{
    wagw_entry_t **bucket;

    if (c->count >= c->nbuckets) {
        wagw_cache_grow(c);
    }

    bucket = &c->buckets[e->hash & (c->nbuckets - 1)];
    e->chain = *bucket;
    *bucket = e;
    e->inst = in;
    wagw_rlink_push(&in->entries, &e->peers);
    c->count++;
    c->bytes += wagw_entry_size(e);
}

static void wagw_cache_remove(wagw_cache_t *c, wagw_entry_t *e)
{
    wagw_entry_t **p;

    for (p = &c->buckets[e->hash & (c->nbuckets - 1)]; *p != e; p = &(*p)->chain) {
        /* void */
    }
    *p = e->chain;

    wagw_rlink_remove(&e->link);
    wagw_rlink_remove(&e->peers);
    c->count--;
    c->bytes -= wagw_entry_size(e);
    wagw_entry_free(e);
}

/* An instance without anything to remember costs nothing. */
static void wagw_cache_inst_release(wagw_cache_t *c, wagw_cinst_t *in)
{
    wagw_cinst_t **p;

    if (in->busy || !wagw_rlink_empty(&in->entries) || in->merges != NULL || in->wipe_seq != 0) {
        return;
    }

    for (p = wagw_cache_inst_bucket(c, in->num); *p != in; p = &(*p)->chain) {
        /* void */
    }
    *p = in->chain;
    c->icount--;
    c->bytes -= sizeof(wagw_cinst_t);
    free(in);
}

/* Never touches what a running fill has just brought: its turn needs it. */
static void wagw_cache_evict(wagw_cache_t *c)
{
    wagw_entry_t *e;
    wagw_cinst_t *in;

    while (c->bytes > c->max && !wagw_rlink_empty(&c->lru)) {
        e = WAGW_ENTRY_OF_LINK(c->lru.prev);
        if (e->filling) {
            break;
        }

        in = e->inst;
        wagw_cache_remove(c, e);
        wagw_cache_inst_release(c, in);
    }
}

static void wagw_cache_merge_free(wagw_cache_t *c, wagw_cmerge_t *m)
{
    c->bytes -= sizeof(wagw_cmerge_t) + m->from_len + m->to_len;
    free(m);
}

void wagw_cache_forget(wagw_cache_t *c, uint32_t instance)
{
    wagw_cinst_t *in;
    wagw_cmerge_t *m;

    in = wagw_cache_inst(c, instance);
    if (in == NULL) {
        return;
    }

    while (!wagw_rlink_empty(&in->entries)) {
        wagw_cache_remove(c, WAGW_ENTRY_OF_PEERS(in->entries.next));
    }

    while ((m = in->merges) != NULL) {
        in->merges = m->next;
        wagw_cache_merge_free(c, m);
    }

    in->wipe_seq = 0;
    wagw_cache_inst_release(c, in);
}

void wagw_cache_destroy(wagw_cache_t *c)
{
    size_t i;
    wagw_cinst_t *in;

    if (c == NULL) {
        return;
    }

    for (i = 0; i < c->ninsts; i++) {
        while ((in = c->insts[i]) != NULL) {
            wagw_cache_forget(c, in->num);
        }
    }

    free(c->buckets);
    free(c->insts);
    free(c);
}

/* The answer predates a merge that moved the record. */
static bool wagw_cache_stale(const wagw_cinst_t *in, const wagw_load_t *ask)
{
    wagw_str_t key;
    const wagw_cmerge_t *m;

    key = wagw_str(ask->key, ask->key_len);

    for (m = in->merges; m != NULL; m = m->next) {
        if (m->seq > ask->after && (wagw_rec_in_chat(ask->kind, key, wagw_str(m->text, m->from_len)) ||
                                    wagw_rec_in_chat(ask->kind, key, wagw_str(m->text + m->from_len, m->to_len)))) {
            return true;
        }
    }

    return false;
}

/* Replaces the placeholder of a record that exists. */
static int wagw_cache_fill_value(wagw_cache_t *c, wagw_entry_t *old, wagw_str_t value)
{
    wagw_entry_t *e;
    wagw_cinst_t *in;

    if (value.n > UINT32_MAX) {
        return WAGW_LIMIT;
    }

    e = wagw_entry_create(old->hash, old->kind, wagw_entry_key(old), value);
    if (e == NULL) {
        return WAGW_NOMEM;
    }

    e->filling = true;
    in = old->inst;
    wagw_cache_remove(c, old);
    wagw_cache_insert(c, in, e);
    wagw_rlink_push(&c->lru, &e->link);

    return WAGW_OK;
}

int wagw_cache_fill(wagw_cache_t *c, uint32_t instance, const wagw_load_t *asked, const wagw_rec_t *recs)
{
    int rc;
    uint64_t hash;
    wagw_str_t key;
    wagw_cinst_t *in;
    wagw_entry_t *e;
    wagw_rlink_t *l, *next;
    const wagw_rec_t *r;
    const wagw_load_t *a;

    in = wagw_cache_inst_get(c, instance);
    if (in == NULL) {
        return WAGW_NOMEM;
    }

    rc = WAGW_OK;
    in->busy = true;

    /* a placeholder "absent" per exact key that is not cached yet */
    for (a = asked; a != NULL; a = a->next) {
        if (a->prefix || wagw_cache_stale(in, a)) {
            continue;
        }

        key = wagw_str(a->key, a->key_len);
        hash = wagw_rec_hash(c, instance, a->kind, key);
        if (wagw_cache_find(c, instance, a->kind, key, hash) != NULL) {
            continue;
        }

        e = wagw_entry_create(hash, a->kind, key, WAGW_STR_NULL);
        if (e == NULL) {
            rc = WAGW_NOMEM;
            goto done;
        }

        e->absent = true;
        e->filling = true;
        wagw_cache_insert(c, in, e);
        wagw_rlink_push(&c->lru, &e->link);
    }

    for (r = recs; r != NULL; r = r->next) {
        if (r->kind < WAGW_REC_OPAQUE_END && in->wipe_seq != 0) {
            continue;
        }

        hash = wagw_rec_hash(c, instance, r->kind, r->key);
        e = wagw_cache_find(c, instance, r->kind, r->key, hash);
        if (e == NULL || !e->filling || !e->absent) {
            continue;
        }

        rc = wagw_cache_fill_value(c, e, r->value);
        if (rc != WAGW_OK) {
            goto done;
        }
    }

    wagw_cache_evict(c);

done:

    /* what this call brought is the newest of the LRU */
    for (l = c->lru.next; l != &c->lru; l = next) {
        next = l->next;
        e = WAGW_ENTRY_OF_LINK(l);
        if (!e->filling) {
            break;
        }

        e->filling = false;
        if (rc != WAGW_OK) {
            wagw_cache_remove(c, e); /* "absent" may be a lie */
        }
    }

    in->busy = false;
    wagw_cache_inst_release(c, in);

    return rc;
}

void wagw_cache_absent(wagw_cache_t *c, uint32_t instance, uint8_t kind, wagw_str_t key)
{
    wagw_load_t ask = {.kind = kind, .after = UINT64_MAX};

    if (key.n < WAGW_KEY_MAX) {
        memcpy(ask.key, key.p, key.n);
        ask.key_len = (uint16_t)key.n;
        (void)wagw_cache_fill(c, instance, &ask, NULL);
    }
}

void wagw_cache_committed(wagw_cache_t *c, uint32_t instance, uint64_t seq)
{
    wagw_cinst_t *in;
    wagw_entry_t *e;
    wagw_cmerge_t *m, **pm;

    in = wagw_cache_inst(c, instance);
    if (in == NULL) {
        return;
    }

    while (!wagw_rlink_empty(&in->dirty)) {
        e = WAGW_ENTRY_OF_LINK(in->dirty.next);
        if (e->dirty > seq) {
            break;
        }

        e->dirty = 0;
        wagw_rlink_remove(&e->link);
        wagw_rlink_push(&c->lru, &e->link);
    }

    for (pm = &in->merges; (m = *pm) != NULL; /* void */) {
        if (m->seq <= seq) {
            *pm = m->next;
            wagw_cache_merge_free(c, m);
        } else {
            pm = &m->next;
        }
    }

    if (in->wipe_seq <= seq) {
        in->wipe_seq = 0;
    }

    wagw_cache_inst_release(c, in);
    wagw_cache_evict(c);
}

static void wagw_cache_drop_wiped(wagw_cache_t *c, wagw_cinst_t *in)
{
    wagw_rlink_t *l, *next;

    for (l = in->entries.next; l != &in->entries; l = next) {
        next = l->next;
        if (WAGW_ENTRY_OF_PEERS(l)->kind < WAGW_REC_OPAQUE_END) {
            wagw_cache_remove(c, WAGW_ENTRY_OF_PEERS(l));
        }
    }
}

static void wagw_cache_drop_chat(wagw_cache_t *c, wagw_cinst_t *in, wagw_str_t chat)
{
    wagw_entry_t *e;
    wagw_rlink_t *l, *next;

    for (l = in->entries.next; l != &in->entries; l = next) {
        next = l->next;
        e = WAGW_ENTRY_OF_PEERS(l);
        if (wagw_rec_in_chat(e->kind, wagw_entry_key(e), chat)) {
            wagw_cache_remove(c, e);
        }
    }
}

static wagw_cmerge_t *wagw_cache_merge_create(const wagw_op_t *op, uint64_t seq)
{
    wagw_cmerge_t *m;

    if (op->key.n >= WAGW_KEY_MAX || op->value.n >= WAGW_KEY_MAX) {
        return NULL;
    }

    m = malloc(sizeof(wagw_cmerge_t) + op->key.n + op->value.n);
    if (m == NULL) {
        return NULL;
    }

    m->next = NULL;
    m->seq = seq;
    m->from_len = (uint16_t)op->key.n;
    m->to_len = (uint16_t)op->value.n;
    if (op->key.n != 0) {
        memcpy(m->text, op->key.p, op->key.n);
    }
    if (op->value.n != 0) {
        memcpy(m->text + op->key.n, op->value.p, op->value.n);
    }

    return m;
}

int wagw_cache_apply(wagw_cache_t *c, uint32_t instance, uint64_t seq, const wagw_op_t *ops)
{
    wagw_cinst_t *in;
    wagw_entry_t *e, *old, *fresh, **last;
    wagw_cmerge_t *m, *merges, **mlast;
    const wagw_op_t *op;

    in = wagw_cache_inst_get(c, instance);
    if (in == NULL) {
        return WAGW_NOMEM;
    }

    /* everything that can fail, before anything changes */

    fresh = NULL;
    last = &fresh;
    merges = NULL;
    mlast = &merges;

    for (op = ops; op != NULL; op = op->next) {
        switch (op->op) {

        case WAGW_OP_PUT:
        case WAGW_OP_DEL:
            e = wagw_entry_create(wagw_rec_hash(c, instance, op->kind, op->key), op->kind, op->key, op->value);
            if (e == NULL) {
                goto failed;
            }
            e->absent = op->op == WAGW_OP_DEL;
            *last = e;
            last = &e->chain;
            break;

        case WAGW_OP_CHAT_MERGE:
            m = wagw_cache_merge_create(op, seq);
            if (m == NULL) {
                goto failed;
            }
            *mlast = m;
            mlast = &m->next;
            break;

        default:
            break;
        }
    }

    in->last_seq = seq;

    for (op = ops; op != NULL; op = op->next) {
        switch (op->op) {

        case WAGW_OP_PUT:
        case WAGW_OP_DEL:
            e = fresh;
            fresh = e->chain;
            old = wagw_cache_find(c, instance, e->kind, wagw_entry_key(e), e->hash);
            if (old != NULL) {
                wagw_cache_remove(c, old);
            }
            wagw_cache_insert(c, in, e);
            e->dirty = seq;
            wagw_rlink_append(&in->dirty, &e->link);
            break;

        case WAGW_OP_WIPE:
            wagw_cache_drop_wiped(c, in);
            in->wipe_seq = seq;
            break;

        case WAGW_OP_CHAT_MERGE:
            wagw_cache_drop_chat(c, in, op->key);
            wagw_cache_drop_chat(c, in, op->value);
            m = merges;
            merges = m->next;
            m->next = in->merges;
            in->merges = m;
            c->bytes += sizeof(wagw_cmerge_t) + m->from_len + m->to_len;
            break;

        case WAGW_OP_CHAT_CLEAR:
            wagw_cache_drop_chat(c, in, op->key);
            break;

        default:
            break;
        }
    }

    wagw_cache_inst_release(c, in);
    wagw_cache_evict(c);

    return WAGW_OK;

failed:

    while ((e = fresh) != NULL) {
        fresh = e->chain;
        wagw_entry_free(e);
    }

    while ((m = merges) != NULL) {
        merges = m->next;
        free(m);
    }

    wagw_cache_inst_release(c, in);
    return WAGW_NOMEM;
}
