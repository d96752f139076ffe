/*
 * Keys, LTHash, MACs, and the records of a collection.
 */

#include "internal.h"

#include <stdlib.h>

#define STATE_SIZE (8 + WAGW_LTHASH)
#define PROBES_MAX 1024 /* half of the places are free: hundreds are beyond chance */

static const char *const names[WAGW_APP_COLLECTIONS] = {"critical_block", "critical_unblock_low", "regular_high",
                                                        "regular_low", "regular"};

const char *wagw_app_name(wagw_app_collection_t c)
{
    return names[c];
}

int wagw_app_find(wagw_str_t name, wagw_app_collection_t *c)
{
    for (unsigned i = 0; i < WAGW_APP_COLLECTIONS; i++) {
        if (wagw_str_eq(name, wagw_cstr(names[i]))) {
            *c = i;
            return WAGW_OK;
        }
    }
    return WAGW_NOT_FOUND;
}

int wagw_app_expand(wagw_app_keys_t *out, wagw_str_t key_data)
{
    return wagw_hkdf((uint8_t *)out, sizeof(*out), key_data, WAGW_STR_NULL, WAGW_STR("WhatsApp Mutation Keys"));
}

static int lthash(uint8_t hash[WAGW_LTHASH], const uint8_t mac[32], bool add)
{
    int rc;
    uint8_t e[WAGW_LTHASH];
    unsigned a, b;

    rc = wagw_hkdf(e, sizeof(e), wagw_str(mac, 32), WAGW_STR_NULL, WAGW_STR("WhatsApp Patch Integrity"));
    if (rc != WAGW_OK) {
        return rc;
    }
    for (size_t i = 0; i < WAGW_LTHASH; i += 2) {
        a = hash[i] | (unsigned)hash[i + 1] << 8;
        b = e[i] | (unsigned)e[i + 1] << 8;
        a = add ? a + b : a - b;
        hash[i] = (uint8_t)a;
        hash[i + 1] = (uint8_t)(a >> 8);
    }
    return WAGW_OK;
}

int wagw_lthash_add(uint8_t hash[WAGW_LTHASH], const uint8_t mac[32])
{
    return lthash(hash, mac, true);
}

int wagw_lthash_sub(uint8_t hash[WAGW_LTHASH], const uint8_t mac[32])
{
    return lthash(hash, mac, false);
}

/* ---- MACs (07 section 4) ---- */

int wagw_app_value_mac(uint8_t out[32], const wagw_app_keys_t *k, bool remove, wagw_str_t key_id, wagw_str_t enc)
{
    int rc;
    uint8_t mac[64];
    wagw_buf_t b = {0};

    wagw_buf_u8(&b, remove ? 2 : 1);
    wagw_buf_str(&b, key_id);
    wagw_buf_str(&b, enc);
    wagw_buf_be(&b, 1 + key_id.n, 8);
    rc = b.failed ? WAGW_NOMEM : wagw_hmac_sha512(mac, wagw_str(k->value_mac, 32), wagw_buf_view(&b));
    wagw_buf_free(&b);
    if (rc == WAGW_OK) {
        memcpy(out, mac, 32);
    }
    return rc;
}

int wagw_app_snapshot_mac(uint8_t out[32], const wagw_app_keys_t *k, const wagw_app_state_t *s, wagw_app_collection_t c)
{
    int rc;
    wagw_buf_t b = {0};

    wagw_buf_add(&b, s->hash, sizeof(s->hash));
    wagw_buf_be(&b, s->version, 8);
    wagw_buf_cstr(&b, names[c]);
    rc = b.failed ? WAGW_NOMEM : wagw_hmac_sha256(out, wagw_str(k->snapshot_mac, 32), wagw_buf_view(&b));
    wagw_buf_free(&b);
    return rc;
}

int wagw_app_patch_mac(uint8_t out[32], const wagw_app_keys_t *k, const uint8_t snapshot_mac[32], wagw_str_t macs,
                       uint64_t version, wagw_app_collection_t c)
{
    int rc;
    wagw_buf_t b = {0};

    wagw_buf_add(&b, snapshot_mac, 32);
    wagw_buf_str(&b, macs);
    wagw_buf_be(&b, version, 8);
    wagw_buf_cstr(&b, names[c]);
    rc = b.failed ? WAGW_NOMEM : wagw_hmac_sha256(out, wagw_str(k->patch_mac, 32), wagw_buf_view(&b));
    wagw_buf_free(&b);
    return rc;
}

/* ---- records ---- */

int wagw_app_state(wagw_txn_t *t, wagw_app_collection_t c, wagw_app_state_t *s)
{
    int rc;
    wagw_str_t v;

    memset(s, 0, sizeof(*s));
    rc = wagw_txn_get(t, WAGW_REC_APP_STATE, wagw_cstr(names[c]), &v);
    if (rc == WAGW_NOT_FOUND) {
        return WAGW_OK;
    }
    if (rc != WAGW_OK) {
        return rc;
    }
    if (v.n == STATE_SIZE) {
        for (unsigned i = 0; i < 8; i++) {
            s->version = s->version << 8 | v.p[i];
        }
        memcpy(s->hash, v.p + 8, WAGW_LTHASH);
    }
    return WAGW_OK;
}

int wagw_app_state_put(wagw_txn_t *t, wagw_app_collection_t c, const wagw_app_state_t *s)
{
    uint8_t v[STATE_SIZE];

    for (unsigned i = 0; i < 8; i++) {
        v[i] = (uint8_t)(s->version >> (56 - 8 * i));
    }
    memcpy(v + 8, s->hash, WAGW_LTHASH);
    return wagw_txn_put(t, WAGW_REC_APP_STATE, wagw_cstr(names[c]), wagw_str(v, sizeof(v)));
}

static size_t index_key(char out[128], wagw_app_collection_t c, const uint8_t mac[32])
{
    static const char hex[] = "0123456789abcdef";
    size_t n = strlen(names[c]);

    memcpy(out, names[c], n);
    out[n++] = '|';
    for (unsigned i = 0; i < 32; i++) {
        out[n++] = hex[mac[i] >> 4];
        out[n++] = hex[mac[i] & 15];
    }
    return n;
}

static int forget_one(void *data, wagw_str_t key, wagw_str_t value)
{
    (void)value;
    return wagw_txn_del(data, WAGW_REC_APP_INDEX, key);
}

int wagw_app_forget(wagw_txn_t *t, wagw_app_collection_t c)
{
    int rc;
    char prefix[32];
    size_t n = strlen(names[c]);

    memcpy(prefix, names[c], n);
    prefix[n++] = '|';
    rc = wagw_txn_scan(t, WAGW_REC_APP_INDEX, wagw_str(prefix, n), forget_one, t);
    return rc == WAGW_OK ? wagw_txn_del(t, WAGW_REC_APP_STATE, wagw_cstr(names[c])) : rc;
}

/* keyData of a serialised AppStateSyncKeyData, and its time. */
static int key_data(wagw_str_t v, wagw_str_t *data, uint64_t *at)
{
    int rc;
    wagw_wire_t w = wagw_wire(v);
    wagw_wire_field_t f;

    *data = WAGW_STR_NULL;
    *at = 0;
    while ((rc = wagw_wire_next(&w, &f)) == WAGW_OK) {
        if (f.num == 1 && f.type == 2) {
            *data = f.val;
        } else if (f.num == 3 && f.type == 0) {
            *at = f.u;
        }
    }
    return rc == WAGW_NOT_FOUND && data->n >= 16 ? WAGW_OK : WAGW_NOT_FOUND;
}

int wagw_app_key(wagw_txn_t *t, wagw_str_t key_id, wagw_app_keys_t *out)
{
    int rc;
    uint64_t at;
    wagw_buf_t hex = {0};
    wagw_str_t v, data;

    if (key_id.n == 0 || key_id.n > WAGW_APP_KEY_ID_MAX) {
        return WAGW_NOT_FOUND;
    }
    rc = wagw_hex_encode(&hex, key_id);
    if (rc == WAGW_OK) {
        rc = wagw_txn_get(t, WAGW_REC_APP_KEY, wagw_buf_view(&hex), &v);
    }
    wagw_buf_free(&hex);
    if (rc == WAGW_OK) {
        rc = key_data(v, &data, &at);
    }
    return rc == WAGW_OK ? wagw_app_expand(out, data) : rc;
}

typedef struct {
    wagw_txn_t *t;
    wagw_arena_t *a;
    int64_t expired;
    wagw_app_collection_t c;
    wagw_str_t index;
    int rc; /* of a look-up that has to wait */
    wagw_str_t best;
    int64_t epoch;
    uint64_t at;
} scan_t;

/* 2 bytes device, 4 bytes epoch, in the usual form. */
static int64_t key_epoch(wagw_str_t id)
{
    return id.n == 6 ? (int64_t)((uint32_t)id.p[2] << 24 | (uint32_t)id.p[3] << 16 | (uint32_t)id.p[4] << 8 | id.p[5])
                     : 0;
}

static int scan_better(scan_t *s, wagw_str_t id, uint64_t at)
{
    int64_t epoch = key_epoch(id);

    if (s->best.n == 0 || epoch > s->epoch || (epoch == s->epoch && at > s->at)) {
        s->best = id;
        s->epoch = epoch;
        s->at = at;
    }
    return WAGW_OK;
}

static int scan_id(scan_t *s, wagw_str_t key, wagw_str_t *id)
{
    wagw_buf_t b = {0};

    if (wagw_hex_decode(&b, key) == WAGW_OK) {
        *id = wagw_arena_str(s->a, wagw_buf_view(&b));
    } else {
        *id = WAGW_STR("");
    }
    wagw_buf_free(&b);
    return id->p ? WAGW_OK : WAGW_NOMEM;
}

static int scan_best(void *data, wagw_str_t key, wagw_str_t value)
{
    int rc;
    scan_t *s = data;
    uint64_t at;
    wagw_str_t id, secret;

    rc = scan_id(s, key, &id);
    if (rc != WAGW_OK || key_data(value, &secret, &at) != WAGW_OK || (id.n == 6 && key_epoch(id) <= s->expired)) {
        return rc;
    }
    return scan_better(s, id, at);
}

int wagw_app_key_best(wagw_txn_t *t, wagw_arena_t *a, int64_t expired, wagw_str_t *key_id)
{
    int rc;
    scan_t s = {.t = t, .a = a, .expired = expired};

    rc = wagw_txn_scan(t, WAGW_REC_APP_KEY, WAGW_STR(""), scan_best, &s);
    *key_id = s.best;
    return rc != WAGW_OK ? rc : s.best.n ? WAGW_OK : WAGW_NOT_FOUND;
}

static int scan_of(void *data, wagw_str_t key, wagw_str_t value)
{
    int rc;
    char text[128];
    size_t n;
    scan_t *s = data;
    uint8_t mac[32];
    uint64_t at;
    wagw_str_t id, secret, v;
    wagw_app_keys_t k;

    rc = scan_id(s, key, &id);
    if (rc != WAGW_OK || id.n == 0 || key_data(value, &secret, &at) != WAGW_OK) {
        return rc;
    }
    rc = wagw_app_expand(&k, secret);
    if (rc == WAGW_OK) {
        rc = wagw_hmac_sha256(mac, wagw_str(k.index, 32), s->index);
    }
    wagw_wipe(&k, sizeof(k));
    if (rc != WAGW_OK) {
        return rc;
    }
    n = index_key(text, s->c, mac);
    rc = wagw_txn_get(s->t, WAGW_REC_APP_INDEX, wagw_str(text, n), &v);
    if (rc == WAGW_OK) {
        return scan_better(s, id, at);
    }
    if (rc == WAGW_AGAIN) {
        s->rc = rc; /* the others are asked for in the same load */
        return WAGW_OK;
    }
    return rc == WAGW_NOT_FOUND ? WAGW_OK : rc;
}

int wagw_app_key_of(wagw_txn_t *t, wagw_arena_t *a, wagw_app_collection_t c, wagw_str_t index, wagw_str_t *key_id)
{
    int rc;
    scan_t s = {.t = t, .a = a, .c = c, .index = index};

    rc = wagw_txn_scan(t, WAGW_REC_APP_KEY, WAGW_STR(""), scan_of, &s);
    if (rc == WAGW_OK) {
        rc = s.rc;
    }
    *key_id = s.best;
    return rc != WAGW_OK ? rc : s.best.n ? WAGW_OK : WAGW_NOT_FOUND;
}

/* ---- the index while a patch is worked on ---- */

int wagw_app_index_init(wagw_app_index_t *x, wagw_arena_t *a, size_t n)
{
    x->n = 0;
    x->cap = 16;
    while (x->cap < n * 2) {
        x->cap *= 2;
    }
    x->entries = wagw_arena_zalloc(a, x->cap * sizeof(*x->entries));
    return x->entries ? WAGW_OK : WAGW_NOMEM;
}

int wagw_app_index_get(wagw_app_index_t *x, wagw_txn_t *t, wagw_app_collection_t c, bool fresh, const uint8_t mac[32],
                       wagw_app_entry_t **out)
{
    int rc;
    char text[128];
    size_t at, n, probes = 0;
    uint64_t h;
    wagw_str_t v;
    wagw_app_entry_t *e;

    /* real MACs are random; those that were made to meet in one place are refused */
    memcpy(&h, mac, sizeof(h));
    for (at = h & (x->cap - 1);; at = (at + 1) & (x->cap - 1)) {
        if (++probes > PROBES_MAX) {
            return WAGW_LIMIT;
        }
        e = &x->entries[at];
        if (e->mac == NULL) {
            break;
        }
        if (memcmp(e->mac, mac, WAGW_APP_MAC) == 0) {
            *out = e;
            return WAGW_OK;
        }
    }
    if (!fresh) {
        n = index_key(text, c, mac);
        rc = wagw_txn_get(t, WAGW_REC_APP_INDEX, wagw_str(text, n), &v);
        if (rc == WAGW_OK && v.n > WAGW_APP_MAC) {
            e->was = e->is = true;
            memcpy(e->value_mac, v.p, WAGW_APP_MAC);
        } else if (rc != WAGW_OK && rc != WAGW_NOT_FOUND) {
            return rc;
        }
    }
    e->mac = mac;
    x->n++;
    *out = e;
    return WAGW_OK;
}

int wagw_app_index_apply(wagw_app_entry_t *e, uint8_t hash[WAGW_LTHASH], bool remove, const uint8_t value_mac[32],
                         wagw_str_t key_id)
{
    int rc = WAGW_OK;

    if (e->is) {
        rc = wagw_lthash_sub(hash, e->value_mac);
    }
    e->is = !remove;
    if (rc == WAGW_OK && !remove) {
        memcpy(e->value_mac, value_mac, WAGW_APP_MAC);
        e->key_id = key_id;
        rc = wagw_lthash_add(hash, value_mac);
    }
    return rc;
}

int wagw_app_index_store(const wagw_app_index_t *x, wagw_txn_t *t, wagw_app_collection_t c)
{
    int rc = WAGW_OK;
    char text[128];
    size_t n;
    uint8_t v[WAGW_APP_MAC + WAGW_APP_KEY_ID_MAX];

    for (size_t i = 0; i < x->cap && rc == WAGW_OK; i++) {
        const wagw_app_entry_t *e = &x->entries[i];

        if (e->mac == NULL || (!e->is && !e->was) || (e->is && e->key_id.n == 0)) {
            continue; /* nothing there, or only looked at */
        }
        n = index_key(text, c, e->mac);
        if (!e->is) {
            rc = wagw_txn_del(t, WAGW_REC_APP_INDEX, wagw_str(text, n));
            continue;
        }
        memcpy(v, e->value_mac, WAGW_APP_MAC);
        memcpy(v + WAGW_APP_MAC, e->key_id.p, e->key_id.n);
        rc = wagw_txn_put(t, WAGW_REC_APP_INDEX, wagw_str(text, n), wagw_str(v, WAGW_APP_MAC + e->key_id.n));
    }
    return rc;
}
