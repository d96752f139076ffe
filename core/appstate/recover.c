/*
 * SyncdSnapshotRecovery: what the phone sends when a collection cannot be
 * repaired from the server (07 section 6).  It came over Signal from our own
 * phone and is not encrypted again; the value MACs and the LTHash are taken
 * over as they are.
 */

#include "internal.h"

#include <zlib.h>

#define STEP 65536
#define INDEX_MAX 4096

int wagw_app_gunzip(wagw_buf_t *out, wagw_str_t in, size_t max)
{
    int zrc;
    size_t got;
    z_stream z = {0};

    if (in.n == 0 || in.n > UINT32_MAX || inflateInit2(&z, 15 + 32) != Z_OK) {
        return WAGW_MALFORMED;
    }
    z.next_in = (Bytef *)in.p;
    z.avail_in = (uInt)in.n;
    do {
        if (wagw_buf_reserve(out, STEP) != WAGW_OK) {
            inflateEnd(&z);
            return WAGW_NOMEM;
        }
        z.next_out = out->p + out->n;
        z.avail_out = STEP;
        zrc = inflate(&z, Z_NO_FLUSH);
        got = STEP - z.avail_out;
        out->n += got;
    } while (zrc == Z_OK && got && out->n <= max);
    inflateEnd(&z);
    return zrc == Z_STREAM_END && out->n <= max ? WAGW_OK : out->n > max ? WAGW_LIMIT : WAGW_MALFORMED;
}

typedef struct {
    wagw_str_t key_id, mac;
    wagw_app_mutation_t m;
    uint8_t index[WAGW_APP_MAC];
} plain_t;

typedef struct {
    uint64_t version;
    wagw_str_t hash;
    plain_t *recs;
    size_t n;
} recovery_t;

/* SyncActionData */
static int parse_data(plain_t *r, wagw_str_t bytes)
{
    int rc;
    wagw_wire_t w = wagw_wire(bytes);
    wagw_wire_field_t f;

    while ((rc = wagw_wire_next(&w, &f)) == WAGW_OK) {
        if (f.num == 1 && f.type == 2) {
            r->m.index = f.val;
        } else if (f.num == 2 && f.type == 2) {
            r->m.value = f.val;
        } else if (f.num == 4 && f.type == 0) {
            r->m.version = (int32_t)f.u;
        }
    }
    return rc == WAGW_NOT_FOUND && r->m.index.n && r->m.index.n <= INDEX_MAX ? WAGW_OK : WAGW_MALFORMED;
}

/* SyncdPlainTextRecord */
static int parse_record(plain_t *r, wagw_str_t bytes)
{
    int rc;
    wagw_str_t data = WAGW_STR_NULL;
    wagw_wire_t w = wagw_wire(bytes);
    wagw_wire_field_t f;

    while ((rc = wagw_wire_next(&w, &f)) == WAGW_OK) {
        if (f.type != 2) {
            continue;
        }
        if (f.num == 1) {
            data = f.val;
        } else if (f.num == 2) {
            r->key_id = f.val;
        } else if (f.num == 3) {
            r->mac = f.val;
        }
    }
    if (rc != WAGW_NOT_FOUND || r->mac.n != WAGW_APP_MAC || r->key_id.n == 0 || r->key_id.n > WAGW_APP_KEY_ID_MAX) {
        return WAGW_MALFORMED;
    }
    return parse_data(r, data);
}

static int parse_recovery(recovery_t *x, wagw_arena_t *a, wagw_app_collection_t c, wagw_str_t bytes)
{
    int rc;
    wagw_str_t name = WAGW_STR_NULL, version = WAGW_STR_NULL;
    wagw_wire_t w = wagw_wire(bytes);
    wagw_wire_field_t f;

    memset(x, 0, sizeof(*x));
    while ((rc = wagw_wire_next(&w, &f)) == WAGW_OK) {
        if (f.type != 2) {
            continue;
        }
        if (f.num == 1) {
            version = f.val;
        } else if (f.num == 2) {
            name = f.val;
        } else if (f.num == 3) {
            x->n++;
        } else if (f.num == 4) {
            x->hash = f.val;
        }
    }
    if (rc != WAGW_NOT_FOUND || !wagw_str_eq(name, wagw_cstr(wagw_app_name(c))) || x->hash.n != WAGW_LTHASH) {
        return WAGW_MALFORMED;
    }
    w = wagw_wire(version);
    while (wagw_wire_next(&w, &f) == WAGW_OK) {
        if (f.num == 1 && f.type == 0) {
            x->version = f.u;
        }
    }
    if (x->version == 0) {
        return WAGW_MALFORMED;
    }
    if (x->n > WAGW_APP_MUTATIONS_MAX) {
        return WAGW_LIMIT;
    }
    x->recs = wagw_arena_zalloc(a, (x->n + 1) * sizeof(*x->recs));
    if (x->recs == NULL) {
        return WAGW_NOMEM;
    }
    x->n = 0;
    w = wagw_wire(bytes);
    while (wagw_wire_next(&w, &f) == WAGW_OK) {
        if (f.num == 3 && f.type == 2 && parse_record(&x->recs[x->n++], f.val) != WAGW_OK) {
            return WAGW_MALFORMED;
        }
    }
    return WAGW_OK;
}

/* Index MACs, under the key of each record; the keys are looked at as one load. */
static int index_records(wagw_txn_t *t, recovery_t *x, wagw_app_error_t *err)
{
    int rc, again = WAGW_OK;
    wagw_str_t have = WAGW_STR_NULL;
    wagw_app_keys_t k;

    memset(&k, 0, sizeof(k));
    for (size_t i = 0; i < x->n; i++) {
        plain_t *r = &x->recs[i];

        if (have.n == 0 || !wagw_str_eq(have, r->key_id)) {
            rc = wagw_app_key(t, r->key_id, &k);
            if (rc == WAGW_AGAIN) {
                again = rc;
                continue;
            }
            if (rc != WAGW_OK) {
                if (rc == WAGW_NOT_FOUND) {
                    err->why = "missing_key";
                    err->key_len = r->key_id.n;
                    memcpy(err->key, r->key_id.p, r->key_id.n);
                }
                again = rc;
                break;
            }
            have = r->key_id;
        }
        rc = wagw_hmac_sha256(r->index, wagw_str(k.index, 32), r->m.index);
        if (rc != WAGW_OK) {
            again = rc;
            break;
        }
    }
    wagw_wipe(&k, sizeof(k));
    return again;
}

int wagw_app_recovery_of(wagw_str_t bytes, wagw_app_collection_t *c)
{
    int rc;
    wagw_wire_field_t f;

    rc = wagw_wire_find(bytes, 2, &f);
    return rc == WAGW_OK ? wagw_app_find(f.val, c) : rc;
}

int wagw_app_recover(wagw_txn_t *t, wagw_arena_t *a, wagw_app_collection_t c, wagw_str_t bytes, wagw_app_mutation_pt cb,
                     void *data, wagw_app_error_t *err)
{
    int rc;
    wagw_app_state_t s;
    wagw_app_index_t x;
    wagw_app_entry_t *e;
    recovery_t r;
    wagw_app_mutation_t **sorted;

    rc = parse_recovery(&r, a, c, bytes);
    if (rc != WAGW_OK) {
        err->why = rc == WAGW_LIMIT ? "limit" : "malformed";
        return rc;
    }
    rc = wagw_app_state(t, c, &s);
    if (rc == WAGW_OK && r.version <= s.version) {
        return WAGW_DUPLICATE;
    }
    if (rc == WAGW_OK) {
        rc = index_records(t, &r, err);
    }
    if (rc == WAGW_OK) {
        rc = wagw_app_index_init(&x, a, r.n);
    }
    for (size_t i = 0; i < r.n && rc == WAGW_OK; i++) {
        uint8_t unused[WAGW_LTHASH] = {0};

        rc = wagw_app_index_get(&x, t, c, true, r.recs[i].index, &e);
        if (rc == WAGW_OK) {
            r.recs[i].m.last = true;
            rc = wagw_app_index_apply(e, unused, false, r.recs[i].mac.p, r.recs[i].key_id);
        }
        if (rc == WAGW_OK) {
            rc = wagw_app_index_parts(&r.recs[i].m, a);
        }
    }
    if (rc == WAGW_OK) {
        rc = wagw_app_forget(t, c);
    }
    if (rc == WAGW_OK) {
        rc = wagw_app_index_store(&x, t, c);
    }
    if (rc == WAGW_OK) {
        s.version = r.version;
        memcpy(s.hash, r.hash.p, WAGW_LTHASH);
        rc = wagw_app_state_put(t, c, &s);
    }
    sorted = wagw_arena_alloc(a, (r.n + 1) * sizeof(*sorted));
    if (sorted == NULL) {
        return WAGW_NOMEM;
    }
    for (size_t i = 0; i < r.n; i++) {
        sorted[i] = &r.recs[i].m;
    }
    wagw_app_newest(sorted, r.n);
    for (size_t i = 0; i < r.n && rc == WAGW_OK && cb; i++) {
        rc = cb(data, &r.recs[i].m);
    }
    return rc;
}
