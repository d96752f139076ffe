#include "sqlite.h"
#include "../crypto/crypto.h"

#include <openssl/rand.h>

/*
 * Sealed: nonce || ciphertext || tag.  The key in use is derived from the
 * operator's key and a salt of the database, so the same key file may serve
 * two databases.  meta 'seal' is 'plain', or salt || check.
 */

#define SALT_LEN 16
#define CHECK_LEN 32
#define NONCE_LEN 12
#define TAG_LEN 16
#define ID_MAX 480

static int seal_derive(wagw_store_t *s, const uint8_t *key, const uint8_t *salt, uint8_t *check)
{
    wagw_str_t k = wagw_str(key, 32), sl = wagw_str(salt, SALT_LEN);
    int rc;

    rc = wagw_hkdf(s->key, sizeof(s->key), k, sl, WAGW_STR("wagw store seal 1"));
    if (rc == WAGW_OK) {
        rc = wagw_hkdf(check, CHECK_LEN, k, sl, WAGW_STR("wagw store check 1"));
    }

    return rc;
}

static int seal_begin(wagw_store_t *s, const uint8_t *key)
{
    uint8_t v[SALT_LEN + CHECK_LEN];
    wagw_str_t value = WAGW_STR("plain");
    sqlite3_stmt *st;

    if (key != NULL) {
        if (RAND_bytes(v, SALT_LEN) != 1 || seal_derive(s, key, v, v + SALT_LEN) != WAGW_OK) {
            return wagw_store_fail(s, WAGW_CRYPTO, "%s: no randomness for the encryption key's salt", s->path);
        }

        value = wagw_str(v, sizeof(v));
    }

    st = wagw_sql(s, "INSERT INTO meta (name, value) VALUES ('seal', ?1)");
    wagw_sql_bind(st, "b", value);

    return wagw_sql_run(s, st);
}

int wagw_seal_open(wagw_store_t *s, const uint8_t *key)
{
    uint8_t check[CHECK_LEN];
    wagw_str_t v;
    sqlite3_stmt *st;
    int rc;

    if (key != NULL && RAND_bytes(s->nonce, NONCE_LEN) != 1) {
        return wagw_store_fail(s, WAGW_CRYPTO, "%s: no randomness", s->path);
    }

    s->sealed = key != NULL;

    st = wagw_sql(s, "SELECT value FROM meta WHERE name = 'seal'");
    rc = wagw_sql_step(s, st);

    if (rc == WAGW_NOT_FOUND) {
        return seal_begin(s, key);
    }

    if (rc != WAGW_OK) {
        return rc;
    }

    v = wagw_sql_str(st, 0);

    if (wagw_str_is(v, "plain")) {
        if (key != NULL) {
            rc = wagw_store_fail(s, WAGW_STATE,
                                 "%s: the database is not encrypted but an encryption key is set: "
                                 "remove wagw_encryption_key_file, or begin with a new database",
                                 s->path);
        }

    } else if (v.n != SALT_LEN + CHECK_LEN) {
        rc = wagw_store_fail(s, WAGW_MALFORMED, "%s: the record of the encryption key is damaged", s->path);

    } else if (key == NULL) {
        rc = wagw_store_fail(s, WAGW_STATE, "%s: the database is encrypted: wagw_encryption_key_file is needed",
                             s->path);

    } else if (seal_derive(s, key, v.p, check) != WAGW_OK) {
        rc = wagw_store_fail(s, WAGW_CRYPTO, "%s: the encryption key cannot be used", s->path);

    } else if (!wagw_ct_equal(check, v.p + SALT_LEN, CHECK_LEN)) {
        rc = wagw_store_fail(s, WAGW_CRYPTO, "%s: the encryption key is not the one this database was made with",
                             s->path);
    }

    wagw_sql_done(st);

    return rc;
}

static wagw_str_t seal_aad(uint8_t *aad, uint32_t inst, uint8_t kind, wagw_str_t id)
{
    aad[0] = (uint8_t)(inst >> 24);
    aad[1] = (uint8_t)(inst >> 16);
    aad[2] = (uint8_t)(inst >> 8);
    aad[3] = (uint8_t)inst;
    aad[4] = kind;

    if (id.n != 0) {
        memcpy(aad + 5, id.p, id.n);
    }

    return wagw_str(aad, 5 + id.n);
}

int wagw_seal(wagw_store_t *s, wagw_buf_t *out, uint32_t inst, uint8_t kind, wagw_str_t id, wagw_str_t value,
              wagw_str_t *sealed)
{
    uint8_t aad[5 + ID_MAX];

    if (!s->sealed) {
        *sealed = value;
        return WAGW_OK;
    }

    if (id.n > ID_MAX) {
        return WAGW_LIMIT;
    }

    /* 8 random bytes and a counter: under one key no nonce comes twice, and
     * the number of starts stays far below the birthday bound of 2^32 */
    if (++s->nonce_count == 0 && RAND_bytes(s->nonce, NONCE_LEN) != 1) {
        return WAGW_CRYPTO;
    }

    memcpy(s->nonce + 8, &s->nonce_count, 4);

    wagw_buf_reset(out);

    if (wagw_buf_reserve(out, NONCE_LEN + value.n + TAG_LEN) != WAGW_OK) {
        return WAGW_NOMEM;
    }

    memcpy(out->p, s->nonce, NONCE_LEN);

    if (wagw_gcm_seal(out->p + NONCE_LEN, s->key, s->nonce, seal_aad(aad, inst, kind, id), value) != WAGW_OK) {
        return WAGW_CRYPTO;
    }

    out->n = NONCE_LEN + value.n + TAG_LEN;
    *sealed = wagw_buf_view(out);

    return WAGW_OK;
}

int wagw_unseal(wagw_store_t *s, wagw_buf_t *out, uint32_t inst, uint8_t kind, wagw_str_t id, wagw_str_t sealed,
                wagw_str_t *value)
{
    uint8_t aad[5 + ID_MAX];
    wagw_str_t in;

    if (!s->sealed) {
        *value = sealed;
        return WAGW_OK;
    }

    if (sealed.n < NONCE_LEN + TAG_LEN || id.n > ID_MAX) {
        return wagw_store_fail(s, WAGW_CRYPTO, "%s: a sealed value is too short", s->path);
    }

    in = wagw_str(sealed.p + NONCE_LEN, sealed.n - NONCE_LEN);

    wagw_buf_reset(out);

    if (wagw_buf_reserve(out, in.n) != WAGW_OK) {
        return WAGW_NOMEM;
    }

    if (wagw_gcm_open(out->p, s->key, sealed.p, seal_aad(aad, inst, kind, id), in) != WAGW_OK) {
        return wagw_store_fail(s, WAGW_CRYPTO, "%s: a sealed value of kind %u was altered or belongs to another row",
                               s->path, kind);
    }

    out->n = in.n - TAG_LEN;
    *value = wagw_buf_view(out);

    return WAGW_OK;
}
