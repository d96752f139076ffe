/*
 * Reading: snapshots and patches, verified in the order of protocol 07
 * section 5: parse, key, LTHash, patch MAC, then each record.
 */

#include "internal.h"

#include <cjson/cJSON.h>
#include <stdlib.h>

#define INDEX_MAX 4096       /* bytes of an index */
#define VALUE_MAX (1u << 20) /* bytes of an encrypted value */

typedef struct {
    bool remove;
    const uint8_t *index;
    wagw_str_t blob; /* iv, ciphertext, MAC */
    wagw_str_t key_id;
    wagw_app_entry_t *entry;
} rec_t;

typedef struct {
    uint64_t version;
    wagw_str_t key_id, mac, snapshot_mac;
    bool external;
    rec_t *recs;
    size_t n;
} list_t;

typedef struct {
    wagw_txn_t *t;
    wagw_arena_t *a;
    wagw_app_collection_t c;
    wagw_app_error_t *err;
    wagw_str_t key_id; /* the key that is expanded */
    wagw_app_keys_t keys;
} work_t;

static int fail(wagw_app_error_t *err, int rc, const char *why)
{
    if (err) {
        err->why = why;
    }
    return rc;
}

static int malformed(wagw_app_error_t *err)
{
    return fail(err, WAGW_MALFORMED, "malformed");
}

/* Field `num` of one level, a view or empty. */
static int inner(wagw_str_t bytes, uint32_t num, wagw_str_t *out)
{
    int rc;
    wagw_wire_field_t f;

    rc = wagw_wire_find(bytes, num, &f);
    *out = rc == WAGW_OK ? f.val : WAGW_STR_NULL;
    return rc == WAGW_NOT_FOUND ? WAGW_OK : rc;
}

static int parse_version(wagw_str_t bytes, uint64_t *version)
{
    int rc;
    wagw_wire_t w = wagw_wire(bytes);
    wagw_wire_field_t f;

    while ((rc = wagw_wire_next(&w, &f)) == WAGW_OK) {
        if (f.num == 1 && f.type == 0) {
            *version = f.u;
        }
    }
    return rc == WAGW_NOT_FOUND ? WAGW_OK : rc;
}

/* SyncdRecord */
static int parse_record(rec_t *r, wagw_str_t bytes)
{
    wagw_str_t index, value, key;

    if (inner(bytes, 1, &index) != WAGW_OK || inner(bytes, 2, &value) != WAGW_OK || inner(bytes, 3, &key) != WAGW_OK ||
        inner(index, 1, &index) != WAGW_OK || inner(value, 1, &r->blob) != WAGW_OK ||
        inner(key, 1, &r->key_id) != WAGW_OK) {
        return WAGW_MALFORMED;
    }
    /* an iv, at least one block, a MAC */
    if (index.n != WAGW_APP_MAC || r->blob.n < WAGW_APP_IV + 16 + WAGW_APP_MAC || r->blob.n > VALUE_MAX ||
        r->key_id.n == 0 || r->key_id.n > WAGW_APP_KEY_ID_MAX) {
        return WAGW_MALFORMED;
    }
    r->index = index.p;
    return WAGW_OK;
}

/* SyncdMutation */
static int parse_mutation(rec_t *r, wagw_str_t bytes)
{
    int rc;
    wagw_str_t record = WAGW_STR_NULL;
    wagw_wire_t w = wagw_wire(bytes);
    wagw_wire_field_t f;

    r->remove = false;
    while ((rc = wagw_wire_next(&w, &f)) == WAGW_OK) {
        if (f.num == 1 && f.type == 0) {
            if (f.u > 1) {
                return WAGW_MALFORMED;
            }
            r->remove = f.u == 1;
        } else if (f.num == 2 && f.type == 2) {
            record = f.val;
        }
    }
    return rc == WAGW_NOT_FOUND ? parse_record(r, record) : rc;
}

/* All mutations (or bare records) under field `num`. */
static int parse_list(list_t *l, wagw_arena_t *a, wagw_str_t bytes, uint32_t num, bool records)
{
    int rc;
    size_t n = 0;
    wagw_wire_t w = wagw_wire(bytes);
    wagw_wire_field_t f;

    while ((rc = wagw_wire_next(&w, &f)) == WAGW_OK) {
        n += f.num == num && f.type == 2;
    }
    if (rc != WAGW_NOT_FOUND) {
        return WAGW_MALFORMED;
    }
    if (n > WAGW_APP_MUTATIONS_MAX) {
        return WAGW_LIMIT;
    }
    l->n = n;
    l->recs = wagw_arena_zalloc(a, (n + 1) * sizeof(*l->recs));
    if (l->recs == NULL) {
        return WAGW_NOMEM;
    }
    n = 0;
    w = wagw_wire(bytes);
    while (wagw_wire_next(&w, &f) == WAGW_OK) {
        if (f.num == num && f.type == 2) {
            rc = records ? parse_record(&l->recs[n++], f.val) : parse_mutation(&l->recs[n++], f.val);
            if (rc != WAGW_OK) {
                return WAGW_MALFORMED;
            }
        }
    }
    return WAGW_OK;
}

static int parse_snapshot(list_t *l, wagw_arena_t *a, wagw_str_t bytes)
{
    wagw_str_t version, key;

    memset(l, 0, sizeof(*l));
    if (inner(bytes, 1, &version) != WAGW_OK || inner(bytes, 3, &l->mac) != WAGW_OK ||
        inner(bytes, 4, &key) != WAGW_OK || inner(key, 1, &l->key_id) != WAGW_OK ||
        parse_version(version, &l->version) != WAGW_OK || l->version == 0 || l->mac.n != WAGW_APP_MAC ||
        l->key_id.n == 0 || l->key_id.n > WAGW_APP_KEY_ID_MAX) {
        return WAGW_MALFORMED;
    }
    return parse_list(l, a, bytes, 2, true);
}

static int parse_patch(list_t *l, wagw_arena_t *a, wagw_str_t bytes, wagw_str_t external, uint64_t version)
{
    int rc;
    wagw_str_t v, key, ref;

    memset(l, 0, sizeof(*l));
    l->version = version;
    if (inner(bytes, 1, &v) != WAGW_OK || inner(bytes, 3, &ref) != WAGW_OK ||
        inner(bytes, 4, &l->snapshot_mac) != WAGW_OK || inner(bytes, 5, &l->mac) != WAGW_OK ||
        inner(bytes, 6, &key) != WAGW_OK || inner(key, 1, &l->key_id) != WAGW_OK ||
        (v.p && parse_version(v, &l->version) != WAGW_OK) || l->version == 0 || l->snapshot_mac.n != WAGW_APP_MAC ||
        l->mac.n != WAGW_APP_MAC || l->key_id.n == 0 || l->key_id.n > WAGW_APP_KEY_ID_MAX) {
        return WAGW_MALFORMED;
    }
    if (ref.p == NULL) {
        return parse_list(l, a, bytes, 2, false);
    }
    if (external.p == NULL) {
        return WAGW_MALFORMED; /* the list is elsewhere and was not brought */
    }
    rc = parse_list(l, a, external, 1, false);
    return rc == WAGW_OK && l->n == 0 ? WAGW_MALFORMED : rc;
}

/* Expands a key unless it is the one at hand. */
static int use_key(work_t *w, wagw_str_t id)
{
    int rc;

    if (w->key_id.n && wagw_str_eq(w->key_id, id)) {
        return WAGW_OK;
    }
    rc = wagw_app_key(w->t, id, &w->keys);
    w->key_id = rc == WAGW_OK ? id : WAGW_STR_NULL;
    if (rc == WAGW_NOT_FOUND && w->err) {
        w->err->key_len = id.n <= WAGW_APP_KEY_ID_MAX ? id.n : 0;
        memcpy(w->err->key, id.p, w->err->key_len);
        w->err->why = "missing_key";
    }
    return rc;
}

/* Everything that will be read, so that one load brings it all. */
static int preload(work_t *w, list_t *l, wagw_app_index_t *x, bool fresh)
{
    int rc, again = WAGW_OK;
    wagw_str_t seen = WAGW_STR_NULL;
    wagw_app_keys_t k;

    rc = wagw_app_key(w->t, l->key_id, &k);
    again = rc == WAGW_AGAIN ? rc : again;
    for (size_t i = 0; i < l->n; i++) {
        rec_t *r = &l->recs[i];

        if (!wagw_str_eq(seen, r->key_id)) {
            seen = r->key_id;
            rc = wagw_app_key(w->t, seen, &k);
            again = rc == WAGW_AGAIN ? rc : again;
        }
        rc = wagw_app_index_get(x, w->t, w->c, fresh, r->index, &r->entry);
        if (rc == WAGW_AGAIN) {
            again = rc;
        } else if (rc != WAGW_OK) {
            return rc;
        }
    }
    wagw_wipe(&k, sizeof(k));
    return again;
}

int wagw_app_index_parts(wagw_app_mutation_t *m, wagw_arena_t *a)
{
    cJSON *json = cJSON_ParseWithLength((const char *)m->index.p, m->index.n);
    const cJSON *e;

    m->nparts = 0;
    if (cJSON_IsArray(json) && cJSON_GetArraySize(json) <= WAGW_APP_PARTS_MAX) {
        cJSON_ArrayForEach(e, json)
        {
            if (!cJSON_IsString(e)) {
                m->nparts = 0;
                break;
            }
            m->part[m->nparts] = wagw_arena_str(a, wagw_cstr(e->valuestring));
            if (m->part[m->nparts++].p == NULL) {
                cJSON_Delete(json);
                return WAGW_NOMEM;
            }
        }
    }
    cJSON_Delete(json);
    return WAGW_OK;
}

/* One record: MAC, decryption, index MAC. */
static int open_record(work_t *w, const rec_t *r, wagw_app_mutation_t *m)
{
    int rc;
    uint8_t mac[32];
    wagw_buf_t plain = {0};
    wagw_str_t enc = wagw_str(r->blob.p, r->blob.n - WAGW_APP_MAC), data;
    wagw_wire_t wire;
    wagw_wire_field_t f;

    rc = use_key(w, r->key_id);
    if (rc != WAGW_OK) {
        return rc;
    }
    rc = wagw_app_value_mac(mac, &w->keys, r->remove, r->key_id, enc);
    if (rc != WAGW_OK) {
        return rc;
    }
    if (!wagw_ct_equal(mac, enc.p + enc.n, WAGW_APP_MAC)) {
        return fail(w->err, WAGW_CRYPTO, "value_mac_mismatch");
    }
    rc = wagw_cbc_decrypt(&plain, w->keys.value, enc.p, wagw_str(enc.p + WAGW_APP_IV, enc.n - WAGW_APP_IV));
    if (rc != WAGW_OK) {
        wagw_buf_wipe(&plain);
        return rc == WAGW_NOMEM ? rc : fail(w->err, WAGW_MALFORMED, "decrypt");
    }
    data = wagw_arena_str(w->a, wagw_buf_view(&plain));
    wagw_buf_wipe(&plain);
    if (data.p == NULL) {
        return WAGW_NOMEM;
    }
    memset(m, 0, sizeof(*m));
    m->remove = r->remove;
    wire = wagw_wire(data);
    while ((rc = wagw_wire_next(&wire, &f)) == WAGW_OK) {
        if (f.num == 1 && f.type == 2) {
            m->index = f.val;
        } else if (f.num == 2 && f.type == 2) {
            m->value = f.val;
        } else if (f.num == 4 && f.type == 0) {
            m->version = (int32_t)f.u;
        }
    }
    if (rc != WAGW_NOT_FOUND || m->index.n > INDEX_MAX) {
        return malformed(w->err);
    }
    rc = wagw_hmac_sha256(mac, wagw_str(w->keys.index, 32), m->index);
    if (rc != WAGW_OK) {
        return rc;
    }
    if (!wagw_ct_equal(mac, r->index, WAGW_APP_MAC)) {
        return fail(w->err, WAGW_CRYPTO, "index_mac_mismatch");
    }
    return wagw_app_index_parts(m, w->a);
}

/* SyncActionValue.timestamp */
static uint64_t value_time(wagw_str_t value)
{
    int rc;
    uint64_t at = 0;
    wagw_wire_t w = wagw_wire(value);
    wagw_wire_field_t f;

    while ((rc = wagw_wire_next(&w, &f)) == WAGW_OK) {
        if (f.num == 1 && f.type == 0) {
            at = f.u;
        }
    }
    return at;
}

static int by_index(const void *a, const void *b)
{
    const wagw_app_mutation_t *x = *(const wagw_app_mutation_t *const *)a, *y = *(const wagw_app_mutation_t *const *)b;
    size_t n = x->index.n < y->index.n ? x->index.n : y->index.n;
    int d = memcmp(x->index.p, y->index.p, n);

    return d ? d : x->index.n < y->index.n ? -1 : x->index.n > y->index.n;
}

void wagw_app_newest(wagw_app_mutation_t **m, size_t n)
{
    size_t best = 0;

    qsort(m, n, sizeof(*m), by_index);
    for (size_t i = 0; i < n; i++) {
        if (i > 0 && wagw_str_eq(m[i]->index, m[best]->index)) {
            if (value_time(m[i]->value) > value_time(m[best]->value)) {
                m[best]->last = false;
                best = i;
            } else {
                m[i]->last = false;
            }
        } else {
            best = i;
        }
    }
}

/* Marks all but the last mutation of each index. */
static void mark_last(list_t *l, wagw_app_mutation_t *m)
{
    for (size_t i = l->n; i-- > 0;) {
        /* the key id of an entry has done its work: emptied, it says "seen" */
        m[i].last = l->recs[i].entry->mac != NULL;
        l->recs[i].entry->mac = NULL;
    }
}

static int finish(work_t *w, list_t *l, const wagw_app_state_t *s, wagw_app_index_t *x, bool snapshot,
                  wagw_app_mutation_pt cb, void *data)
{
    wagw_app_mutation_t **sorted;
    int rc = WAGW_OK;
    wagw_app_mutation_t *m = wagw_arena_alloc(w->a, (l->n + 1) * sizeof(*m));

    if (m == NULL) {
        return WAGW_NOMEM;
    }
    for (size_t i = 0; i < l->n && rc == WAGW_OK; i++) {
        rc = open_record(w, &l->recs[i], &m[i]);
    }
    if (rc != WAGW_OK) {
        return rc;
    }
    rc = wagw_app_index_store(x, w->t, w->c);
    if (rc == WAGW_OK) {
        rc = wagw_app_state_put(w->t, w->c, s);
    }
    mark_last(l, m);
    if (snapshot && rc == WAGW_OK && cb) {
        /* its records have no order: of an index under several keys the newest counts */
        sorted = wagw_arena_alloc(w->a, (l->n + 1) * sizeof(*sorted));
        if (sorted == NULL) {
            return WAGW_NOMEM;
        }
        for (size_t i = 0; i < l->n; i++) {
            sorted[i] = &m[i];
        }
        wagw_app_newest(sorted, l->n);
    }
    for (size_t i = 0; i < l->n && rc == WAGW_OK && cb; i++) {
        rc = cb(data, &m[i]);
    }
    return rc;
}

static int apply_all(list_t *l, uint8_t hash[WAGW_LTHASH])
{
    int rc = WAGW_OK;

    for (size_t i = 0; i < l->n && rc == WAGW_OK; i++) {
        const rec_t *r = &l->recs[i];

        rc = wagw_app_index_apply(r->entry, hash, r->remove, r->blob.p + r->blob.n - WAGW_APP_MAC, r->key_id);
    }
    return rc;
}

int wagw_app_snapshot(wagw_txn_t *t, wagw_arena_t *a, wagw_app_collection_t c, wagw_str_t snapshot,
                      wagw_app_mutation_pt cb, void *data, wagw_app_error_t *err)
{
    int rc;
    work_t w = {.t = t, .a = a, .c = c, .err = err};
    list_t l;
    uint8_t mac[32];
    wagw_app_state_t s = {0};
    wagw_app_index_t x;

    rc = parse_snapshot(&l, a, snapshot);
    if (rc != WAGW_OK) {
        return rc == WAGW_MALFORMED ? malformed(err) : fail(err, rc, "limit");
    }
    rc = wagw_app_index_init(&x, a, l.n);
    if (rc == WAGW_OK) {
        rc = preload(&w, &l, &x, true);
    }
    if (rc == WAGW_OK) {
        rc = use_key(&w, l.key_id);
    }
    if (rc == WAGW_OK) {
        s.version = l.version;
        rc = apply_all(&l, s.hash);
    }
    if (rc == WAGW_OK) {
        rc = wagw_app_snapshot_mac(mac, &w.keys, &s, c);
    }
    if (rc == WAGW_OK && !wagw_ct_equal(mac, l.mac.p, WAGW_APP_MAC)) {
        rc = fail(err, WAGW_CRYPTO, "snapshot_mac_mismatch");
    }
    if (rc == WAGW_OK) {
        rc = wagw_app_forget(t, c);
    }
    if (rc == WAGW_OK) {
        rc = finish(&w, &l, &s, &x, true, cb, data);
    }
    wagw_wipe(&w.keys, sizeof(w.keys));
    return rc;
}

int wagw_app_patch(wagw_txn_t *t, wagw_arena_t *a, wagw_app_collection_t c, wagw_str_t patch, wagw_str_t external,
                   uint64_t version, wagw_app_mutation_pt cb, void *data, wagw_app_error_t *err)
{
    int rc;
    work_t w = {.t = t, .a = a, .c = c, .err = err};
    list_t l;
    uint8_t mac[32], *macs;
    wagw_app_state_t s;
    wagw_app_index_t x;

    rc = parse_patch(&l, a, patch, external, version);
    if (rc != WAGW_OK) {
        return rc == WAGW_MALFORMED ? malformed(err) : fail(err, rc, "limit");
    }
    rc = wagw_app_state(t, c, &s);
    if (rc == WAGW_OK && l.version <= s.version) {
        return WAGW_DUPLICATE;
    }
    if (rc == WAGW_OK || rc == WAGW_AGAIN) {
        int again = rc;

        rc = wagw_app_index_init(&x, a, l.n);
        if (rc == WAGW_OK) {
            rc = preload(&w, &l, &x, false);
        }
        rc = rc == WAGW_OK ? again : rc;
    }
    if (rc == WAGW_OK) {
        rc = use_key(&w, l.key_id);
    }
    if (rc == WAGW_OK) {
        s.version = l.version;
        rc = apply_all(&l, s.hash);
    }
    if (rc == WAGW_OK) {
        rc = wagw_app_snapshot_mac(mac, &w.keys, &s, c);
    }
    if (rc == WAGW_OK && !wagw_ct_equal(mac, l.snapshot_mac.p, WAGW_APP_MAC)) {
        rc = fail(err, WAGW_CRYPTO, "snapshot_mac_mismatch");
    }
    if (rc == WAGW_OK) {
        macs = wagw_arena_alloc(a, (l.n + 1) * WAGW_APP_MAC);
        if (macs == NULL) {
            rc = WAGW_NOMEM;
        }
        for (size_t i = 0; i < l.n && rc == WAGW_OK; i++) {
            memcpy(macs + i * WAGW_APP_MAC, l.recs[i].blob.p + l.recs[i].blob.n - WAGW_APP_MAC, WAGW_APP_MAC);
        }
        if (rc == WAGW_OK) {
            rc = wagw_app_patch_mac(mac, &w.keys, l.snapshot_mac.p, wagw_str(macs, l.n * WAGW_APP_MAC), l.version, c);
        }
    }
    if (rc == WAGW_OK && !wagw_ct_equal(mac, l.mac.p, WAGW_APP_MAC)) {
        rc = fail(err, WAGW_CRYPTO, "patch_mac_mismatch");
    }
    if (rc == WAGW_OK) {
        rc = finish(&w, &l, &s, &x, false, cb, data);
    }
    wagw_wipe(&w.keys, sizeof(w.keys));
    return rc;
}
