/*
 * The registry: what workers may know without asking.  Writers run in the
 * owner only; readers copy an entry to their stack and look at its seq.  The
 * keys and instances that the zone cannot hold stay in the owner's memory.
 */

#include "ngx_wagw_zone.h"

#include <openssl/crypto.h>

typedef struct {
    ngx_queue_t queue;
    ngx_wagw_zone_key_t k;
    ngx_str_t instances, ip_allow; /* malloc'ed */
} registry_more_t;

static ngx_wagw_zone_t *registry; /* the owner's own view */
static ngx_queue_t registry_more; /* keys with something that does not fit */

static uint32_t *table_index(ngx_wagw_zone_t *z, ngx_wagw_table_t *t)
{
    return (uint32_t *)((u_char *)z + t->index_at);
}

static ngx_wagw_entry_t *table_entry(ngx_wagw_zone_t *z, ngx_wagw_table_t *t, uint32_t i)
{
    return (ngx_wagw_entry_t *)((u_char *)z + t->entries_at + (size_t)i * t->stride);
}

static void entry_lock(ngx_wagw_entry_t *e)
{
    e->seq |= 1; /* an owner that died in here left it odd */
    ngx_memory_barrier();
}

static void entry_unlock(ngx_wagw_entry_t *e)
{
    ngx_memory_barrier();
    e->seq++;
}

/* Copies an entry when its key is this one: NGX_OK, NGX_DECLINED another,
 * NGX_AGAIN it is being written all the time. */
static ngx_int_t entry_read(ngx_wagw_entry_t *e, ngx_wagw_table_t *t, uint32_t hash, const u_char *key, u_char *copy)
{
    ngx_uint_t i;
    ngx_atomic_uint_t seq;

    for (i = 0; i < NGX_WAGW_TRIES; i++) {
        seq = e->seq;
        if (seq & 1) {
            ngx_cpu_pause();
            continue;
        }
        ngx_memory_barrier();
        if (e->hash != hash) {
            return NGX_DECLINED;
        }
        ngx_memcpy(copy, e, t->stride);
        ngx_memory_barrier();
        if (e->seq == seq) {
            e = (ngx_wagw_entry_t *)copy;
            return e->used && CRYPTO_memcmp(copy + t->key_at, key, t->key_len) == 0 ? NGX_OK : NGX_DECLINED;
        }
    }
    return NGX_AGAIN;
}

static ngx_int_t table_read(ngx_wagw_zone_t *z, ngx_wagw_table_t *t, uint32_t hash, const u_char *key, u_char *copy)
{
    uint32_t *index = table_index(z, t), i, n, v;
    ngx_int_t rc, result = NGX_DECLINED;
    ngx_atomic_uint_t seq = t->seq;

    if (seq & 1) {
        return NGX_AGAIN;
    }
    ngx_memory_barrier();
    for (i = hash & t->mask, n = 0; n <= t->mask; i = (i + 1) & t->mask, n++) {
        v = index[i];
        if (v == 0) {
            break;
        }
        if (v == NGX_WAGW_TOMB || v > t->cap) {
            continue;
        }
        rc = entry_read(table_entry(z, t, v - 1), t, hash, key, copy);
        if (rc == NGX_OK) {
            return NGX_OK;
        }
        if (rc == NGX_AGAIN) {
            result = NGX_AGAIN;
        }
    }
    ngx_memory_barrier();
    return t->seq == seq ? result : NGX_AGAIN;
}

/* The writer's own look-up: it sees its entries as they are. */
static ngx_wagw_entry_t *table_find(ngx_wagw_zone_t *z, ngx_wagw_table_t *t, uint32_t hash, const u_char *key,
                                    uint32_t **cell)
{
    uint32_t *index = table_index(z, t), i, n;
    ngx_wagw_entry_t *e;

    for (i = hash & t->mask, n = 0; n <= t->mask && index[i] != 0; i = (i + 1) & t->mask, n++) {
        if (index[i] == NGX_WAGW_TOMB) {
            continue;
        }
        e = table_entry(z, t, index[i] - 1);
        if (e->used && e->hash == hash && CRYPTO_memcmp((u_char *)e + t->key_at, key, t->key_len) == 0) {
            if (cell) {
                *cell = &index[i];
            }
            return e;
        }
    }
    return NULL;
}

static void table_link(ngx_wagw_zone_t *z, ngx_wagw_table_t *t, uint32_t hash, uint32_t number)
{
    uint32_t *index = table_index(z, t), i;

    for (i = hash & t->mask; index[i] != 0 && index[i] != NGX_WAGW_TOMB; i = (i + 1) & t->mask) {
    }
    if (index[i] == NGX_WAGW_TOMB) {
        t->tombs--;
    }
    ngx_memory_barrier();
    index[i] = number;
}

static void table_rebuild(ngx_wagw_zone_t *z, ngx_wagw_table_t *t)
{
    uint32_t i;
    ngx_wagw_entry_t *e;

    t->seq |= 1;
    ngx_memory_barrier();
    ngx_memzero(table_index(z, t), ((size_t)t->mask + 1) * sizeof(uint32_t));
    t->tombs = 0;
    for (i = 0; i < t->cap; i++) {
        e = table_entry(z, t, i);
        if (e->used) {
            table_link(z, t, e->hash, i + 1);
        }
    }
    ngx_memory_barrier();
    t->seq++;
}

static void table_clear(ngx_wagw_zone_t *z, ngx_wagw_table_t *t)
{
    uint32_t i;
    ngx_wagw_entry_t *e;

    t->seq |= 1;
    ngx_memory_barrier();
    ngx_memzero(table_index(z, t), ((size_t)t->mask + 1) * sizeof(uint32_t));
    for (i = 0; i < t->cap; i++) {
        e = table_entry(z, t, i);
        if (e->used || (e->seq & 1)) {
            entry_lock(e);
            e->used = 0;
            entry_unlock(e);
        }
    }
    t->count = t->tombs = t->hint = 0;
    ngx_memory_barrier();
    t->seq++;
}

/* A locked entry for the key, new or old; NULL: full. */
static ngx_wagw_entry_t *table_take(ngx_wagw_zone_t *z, ngx_wagw_table_t *t, uint32_t hash, const u_char *key,
                                    uint32_t *number)
{
    uint32_t i, n;
    ngx_wagw_entry_t *e;

    *number = 0;
    e = table_find(z, t, hash, key, NULL);
    if (e) {
        entry_lock(e);
        return e;
    }
    if (t->count == t->cap) {
        return NULL;
    }
    for (i = t->hint, n = 0; n < t->cap; i = (i + 1) % t->cap, n++) {
        e = table_entry(z, t, i);
        if (!e->used) {
            entry_lock(e);
            ngx_memzero((u_char *)e + sizeof(ngx_wagw_entry_t), t->stride - sizeof(ngx_wagw_entry_t));
            e->hash = hash;
            e->used = 1;
            ngx_memcpy((u_char *)e + t->key_at, key, t->key_len);
            t->count++;
            t->hint = (i + 1) % t->cap;
            *number = i + 1;
            return e;
        }
    }
    return NULL;
}

static void table_give(ngx_wagw_zone_t *z, ngx_wagw_table_t *t, ngx_wagw_entry_t *e, uint32_t number)
{
    entry_unlock(e);
    if (number) {
        table_link(z, t, e->hash, number);
    }
}

static void table_drop(ngx_wagw_zone_t *z, ngx_wagw_table_t *t, uint32_t hash, const u_char *key)
{
    uint32_t *cell;
    ngx_wagw_entry_t *e = table_find(z, t, hash, key, &cell);

    if (e == NULL) {
        return;
    }
    *cell = NGX_WAGW_TOMB;
    t->tombs++;
    t->count--;
    entry_lock(e);
    e->used = 0;
    entry_unlock(e);
    if (t->tombs > t->mask / 4) {
        table_rebuild(z, t);
    }
}

static void table_lay_out(ngx_wagw_table_t *t, uint32_t cap, uint32_t stride, uint32_t key_at, uint32_t key_len,
                          size_t *at)
{
    uint32_t cells = 16;

    while (cells < cap * 2) {
        cells *= 2;
    }
    t->cap = cap;
    t->mask = cells - 1;
    t->stride = stride;
    t->key_at = key_at;
    t->key_len = key_len;
    t->index_at = *at;
    *at += (size_t)cells * sizeof(uint32_t);
    *at = ngx_align(*at, 64);
    t->entries_at = *at;
    *at += (size_t)cap * stride;
}

ngx_int_t ngx_wagw_zone_init(ngx_shm_zone_t *zone, void *old)
{
    size_t size, at, whole;
    uint32_t cells, keys, slots;
    ngx_wagw_zone_t *z;
    ngx_slab_pool_t *pool;

    if (old) {
        zone->data = old;
        return NGX_OK;
    }
    pool = (ngx_slab_pool_t *)zone->shm.addr;
    if (pool->pfree < 16) {
        ngx_log_error(NGX_LOG_EMERG, zone->shm.log, 0, "wagw zone \"%V\" is too small", &zone->shm.name);
        return NGX_ERROR;
    }
    size = (size_t)(pool->pfree - 1) * ngx_pagesize;
    z = ngx_slab_calloc(pool, size);
    if (z == NULL) {
        return NGX_ERROR;
    }

    for (cells = 64; (size_t)cells * 2 * sizeof(ngx_wagw_rate_cell_t) <= size / 32; cells *= 2) {
    }
    z->rate_mask = cells - 1;
    z->rate_at = ngx_align(sizeof(ngx_wagw_zone_t), 64);
    keys = size / 10 / (sizeof(ngx_wagw_zone_key_t) + 16);
    for (slots = size / sizeof(ngx_wagw_zone_slot_t);; slots -= slots / 64 + 1) {
        at = ngx_align(z->rate_at + (size_t)cells * sizeof(ngx_wagw_rate_cell_t), 64);
        table_lay_out(&z->keys, keys, sizeof(ngx_wagw_zone_key_t), offsetof(ngx_wagw_zone_key_t, hash), 32, &at);
        at = ngx_align(at, 64);
        table_lay_out(&z->slots, slots, sizeof(ngx_wagw_zone_slot_t), offsetof(ngx_wagw_zone_slot_t, id), 64, &at);
        whole = at;
        if (whole <= size) {
            break;
        }
    }
    z->size = size;
    z->magic = NGX_WAGW_ZONE_MAGIC;
    zone->data = z;
    return NGX_OK;
}

/* ---- readers ---- */

ngx_uint_t ngx_wagw_zone_state(ngx_shm_zone_t *zone)
{
    ngx_wagw_zone_t *z = zone->data;
    ngx_uint_t state = 0;

    state |= z->begun ? NGX_WAGW_ZONE_BEGUN : 0;
    state |= z->ready ? NGX_WAGW_ZONE_READY : 0;
    state |= z->store ? NGX_WAGW_ZONE_STORE : 0;
    state |= z->begun && z->ready && z->store ? NGX_WAGW_ZONE_COMPLETE : 0;
    return state;
}

ngx_msec_t ngx_wagw_zone_start(ngx_shm_zone_t *zone)
{
    ngx_wagw_zone_t *z = zone->data;
    int64_t now = time(NULL);

    z->young = now - z->last_start <= 1 ? z->young + 1 : 0;
    z->last_start = now;
    return z->young < 20 ? 0 : 1000;
}

static uint32_t slot_key(ngx_str_t *id, u_char key[64])
{
    ngx_memzero(key, 64);
    ngx_memcpy(key, id->data, ngx_min(id->len, 64));
    return ngx_murmur_hash2(id->data, id->len);
}

ngx_int_t ngx_wagw_registry_find(ngx_shm_zone_t *zone, ngx_str_t *id, ngx_wagw_slot_view_t *v)
{
    u_char key[64];
    uint32_t hash;
    ngx_int_t rc;
    ngx_uint_t complete = ngx_wagw_zone_state(zone) & NGX_WAGW_ZONE_COMPLETE;
    ngx_wagw_zone_t *z = zone->data;
    ngx_wagw_zone_slot_t slot;

    if (id->len == 0 || id->len > 64) {
        return NGX_DECLINED;
    }
    hash = slot_key(id, key);
    rc = table_read(z, &z->slots, hash, key, (u_char *)&slot);
    if (rc == NGX_OK) {
        ngx_memcpy(v->id, slot.id, 64);
        v->status = slot.status;
        return NGX_OK;
    }
    return rc == NGX_DECLINED && complete && !z->more_slots ? NGX_DECLINED : NGX_AGAIN;
}

static ngx_int_t key_copy(ngx_pool_t *pool, ngx_str_t *to, const u_char *p, size_t n)
{
    to->len = n;
    to->data = NULL;
    if (n == 0) {
        return NGX_OK;
    }
    to->data = ngx_pnalloc(pool, n);
    if (to->data == NULL) {
        return NGX_ERROR;
    }
    ngx_memcpy(to->data, p, n);
    return NGX_OK;
}

static ngx_int_t key_view(const ngx_wagw_zone_key_t *zk, ngx_str_t *instances, ngx_str_t *ip_allow, ngx_pool_t *pool,
                          ngx_wagw_key_t *k)
{
    k->perm = zk->perm;
    k->active = zk->active;
    k->expires_ms = zk->expires;
    if (key_copy(pool, &k->id, zk->id, zk->id_len) != NGX_OK ||
        key_copy(pool, &k->instances, instances->data, instances->len) != NGX_OK ||
        key_copy(pool, &k->ip_allow, ip_allow->data, ip_allow->len) != NGX_OK) {
        return NGX_ERROR;
    }
    return NGX_OK;
}

static uint32_t key_hash32(const u_char hash[32])
{
    uint32_t v;

    ngx_memcpy(&v, hash, 4);
    return v;
}

ngx_int_t ngx_wagw_registry_key_find(ngx_shm_zone_t *zone, const u_char hash[32], ngx_pool_t *pool, ngx_wagw_key_t *k)
{
    ngx_int_t rc;
    ngx_str_t instances, ip;
    ngx_uint_t complete = ngx_wagw_zone_state(zone) & NGX_WAGW_ZONE_COMPLETE;
    ngx_wagw_zone_t *z = zone->data;
    ngx_wagw_zone_key_t zk;

    rc = table_read(z, &z->keys, key_hash32(hash), hash, (u_char *)&zk);
    if (rc == NGX_OK) {
        if (zk.too_long) {
            return NGX_AGAIN;
        }
        instances.data = zk.text;
        instances.len = zk.instances_len;
        ip.data = zk.text + zk.instances_len;
        ip.len = zk.ip_len;
        return key_view(&zk, &instances, &ip, pool, k);
    }
    return rc == NGX_DECLINED && complete && !z->more_keys ? NGX_DECLINED : NGX_AGAIN;
}

ngx_uint_t ngx_wagw_registry_no_keys(ngx_shm_zone_t *zone)
{
    ngx_wagw_zone_t *z = zone->data;

    return (ngx_wagw_zone_state(zone) & NGX_WAGW_ZONE_COMPLETE) && z->keys.count == 0 && !z->more_keys;
}

/* ---- the owner ---- */

void ngx_wagw_registry_attach(ngx_wagw_main_conf_t *wmcf)
{
    registry = wmcf->zone ? wmcf->zone->data : NULL;
    if (registry_more.next == NULL) {
        ngx_queue_init(&registry_more);
    }
}

ngx_int_t ngx_wagw_registry_begin(ngx_wagw_main_conf_t *wmcf)
{
    registry_more_t *m;

    if (wmcf->zone == NULL || wmcf->zone->data == NULL) {
        return NGX_ERROR;
    }
    if (registry_more.next) {
        while (!ngx_queue_empty(&registry_more)) {
            m = ngx_queue_data(ngx_queue_head(&registry_more), registry_more_t, queue);
            ngx_queue_remove(&m->queue);
            free(m->instances.data);
            free(m->ip_allow.data);
            free(m);
        }
    }
    ngx_queue_init(&registry_more);

    registry = wmcf->zone->data;
    registry->ready = registry->store = 0;
    registry->begun = 1;
    registry->more_keys = registry->more_slots = 0;
    ngx_memory_barrier();
    table_clear(registry, &registry->keys);
    table_clear(registry, &registry->slots);
    return NGX_OK;
}

void ngx_wagw_registry_ready(ngx_uint_t store_open)
{
    if (registry) {
        registry->store = store_open ? 1 : 0;
        ngx_memory_barrier();
        registry->ready = 1;
    }
}

ngx_int_t ngx_wagw_registry_set(const ngx_wagw_slot_info_t *i)
{
    u_char key[64];
    uint32_t hash, number;
    ngx_str_t id = i->id;
    ngx_wagw_zone_slot_t *s;

    if (registry == NULL || id.len == 0 || id.len > 64) {
        return NGX_ERROR;
    }
    hash = slot_key(&id, key);
    s = (ngx_wagw_zone_slot_t *)table_take(registry, &registry->slots, hash, key, &number);
    if (s == NULL) {
        registry->more_slots = 1;
        return NGX_DECLINED;
    }
    s->status = i->status;
    s->jid_len = ngx_min(i->jid.len, sizeof(s->jid));
    if (s->jid_len) {
        ngx_memcpy(s->jid, i->jid.data, s->jid_len);
    }
    s->reason = i->reason;
    s->created = i->created;
    s->connected = i->connected;
    s->last_seen = i->last_seen;
    s->sent = i->sent;
    s->received = i->received;
    s->webhook_failed = i->webhook_failed;
    s->queue = i->queue;
    table_give(registry, &registry->slots, &s->e, number);
    return NGX_OK;
}

void ngx_wagw_registry_remove(ngx_str_t *id)
{
    u_char key[64];
    uint32_t hash;

    if (registry && id->len && id->len <= 64) {
        hash = slot_key(id, key);
        table_drop(registry, &registry->slots, hash, key);
    }
}

static ngx_int_t more_dup(ngx_str_t *to, wagw_str_t from)
{
    to->len = from.n;
    to->data = malloc(from.n + 1);
    if (to->data == NULL) {
        return NGX_ERROR;
    }
    if (from.n) {
        ngx_memcpy(to->data, from.p, from.n);
    }
    return NGX_OK;
}

ngx_int_t ngx_wagw_registry_key_set(const wagw_api_key_t *k)
{
    uint32_t number;
    ngx_uint_t too_long;
    registry_more_t *m;
    ngx_wagw_zone_key_t *zk, plain;

    if (registry == NULL || k->id.n == 0 || k->id.n > sizeof(plain.id)) {
        return NGX_ERROR;
    }
    ngx_wagw_registry_key_remove(k->id);

    ngx_memzero(&plain, sizeof(plain));
    ngx_memcpy(plain.hash, k->hash, 32);
    ngx_memcpy(plain.id, k->id.p, k->id.n);
    plain.id_len = k->id.n;
    plain.perm = k->permissions;
    plain.active = k->active;
    plain.expires = k->expires_ms;
    too_long = k->instances.n > sizeof(plain.text) || k->instances.n + k->ip_allow.n > sizeof(plain.text);

    zk = (ngx_wagw_zone_key_t *)table_take(registry, &registry->keys, key_hash32(k->hash), k->hash, &number);
    if (zk == NULL || too_long) {
        m = malloc(sizeof(registry_more_t));
        if (m == NULL || more_dup(&m->instances, k->instances) != NGX_OK ||
            more_dup(&m->ip_allow, k->ip_allow) != NGX_OK) {
            return NGX_ERROR; /* the entry stays odd for readers: they ask, and get "unknown" */
        }
        m->k = plain;
        ngx_queue_insert_tail(&registry_more, &m->queue);
    }
    if (zk == NULL) {
        registry->more_keys = 1;
        return NGX_DECLINED;
    }
    plain.too_long = too_long;
    if (!too_long) {
        plain.instances_len = k->instances.n;
        plain.ip_len = k->ip_allow.n;
        if (k->instances.n) {
            ngx_memcpy(plain.text, k->instances.p, k->instances.n);
        }
        if (k->ip_allow.n) {
            ngx_memcpy(plain.text + k->instances.n, k->ip_allow.p, k->ip_allow.n);
        }
    }
    ngx_memcpy((u_char *)zk + sizeof(ngx_wagw_entry_t), (u_char *)&plain + sizeof(ngx_wagw_entry_t),
               sizeof(plain) - sizeof(ngx_wagw_entry_t));
    table_give(registry, &registry->keys, &zk->e, number);
    return NGX_OK;
}

void ngx_wagw_registry_key_remove(wagw_str_t id)
{
    uint32_t i;
    u_char hash[32];
    ngx_queue_t *q;
    registry_more_t *m;
    ngx_wagw_zone_key_t *zk;

    if (registry == NULL) {
        return;
    }
    for (q = ngx_queue_head(&registry_more); q != ngx_queue_sentinel(&registry_more); q = ngx_queue_next(q)) {
        m = ngx_queue_data(q, registry_more_t, queue);
        if (wagw_str_eq(wagw_str(m->k.id, m->k.id_len), id)) {
            ngx_queue_remove(&m->queue);
            free(m->instances.data);
            free(m->ip_allow.data);
            free(m);
            break;
        }
    }
    for (i = 0; registry->keys.count && i < registry->keys.cap; i++) {
        zk = (ngx_wagw_zone_key_t *)table_entry(registry, &registry->keys, i);
        if (zk->e.used && wagw_str_eq(wagw_str(zk->id, zk->id_len), id)) {
            ngx_memcpy(hash, zk->hash, 32);
            table_drop(registry, &registry->keys, key_hash32(hash), hash);
            return;
        }
    }
}

ngx_int_t ngx_wagw_registry_key_ask(const u_char hash[32], ngx_pool_t *pool, ngx_wagw_key_t *k)
{
    uint32_t h = key_hash32(hash);
    ngx_str_t instances, ip;
    ngx_queue_t *q;
    registry_more_t *m;
    ngx_wagw_zone_key_t *zk;

    if (registry == NULL || !registry->ready || !registry->store) {
        return NGX_AGAIN;
    }
    for (q = ngx_queue_head(&registry_more); q != ngx_queue_sentinel(&registry_more); q = ngx_queue_next(q)) {
        m = ngx_queue_data(q, registry_more_t, queue);
        if (CRYPTO_memcmp(m->k.hash, hash, 32) == 0) {
            return key_view(&m->k, &m->instances, &m->ip_allow, pool, k);
        }
    }
    zk = (ngx_wagw_zone_key_t *)table_find(registry, &registry->keys, h, hash, NULL);
    if (zk == NULL || zk->too_long) {
        return NGX_DECLINED;
    }
    instances.data = zk->text;
    instances.len = zk->instances_len;
    ip.data = zk->text + zk->instances_len;
    ip.len = zk->ip_len;
    return key_view(zk, &instances, &ip, pool, k);
}
