/* SHA-256 is called directly: for the short inputs of the ratchets and of HKDF
 * the way through EVP costs as much as the hash.  OpenSSL 3 advises against it
 * for those who want to exchange the implementation. */
#define OPENSSL_SUPPRESS_DEPRECATED

#include <limits.h>

#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/sha.h>

#include "crypto.h"

#define HASH_BLOCK_MAX 128
#define HMAC_BLOCK 64
#define HKDF_MAX (255 * 32)

typedef enum { HASH_SHA256 = 0, HASH_SHA512, HASH_MD5, HASH_COUNT } hash_t;

static const struct {
    const char *name;
    size_t size;
    size_t block;
} hash_kinds[HASH_COUNT] = {{"SHA256", 32, 64}, {"SHA512", 64, 128}, {"MD5", 16, 64}};

/*
 * Fetched once and kept for the process's life: a fetch costs more than hashing
 * a short input.  Two threads that come first at once both fetch, one keeps.
 * Contexts are made per call, so that threads share nothing that changes.
 */
static EVP_MD *hash_fetched[HASH_COUNT];

static EVP_MD *hash_md(hash_t kind)
{
    EVP_MD *md = __atomic_load_n(&hash_fetched[kind], __ATOMIC_ACQUIRE), *none = NULL;

    if (md != NULL) {
        return md;
    }
    md = EVP_MD_fetch(NULL, hash_kinds[kind].name, NULL);
    if (md != NULL &&
        !__atomic_compare_exchange_n(&hash_fetched[kind], &none, md, false, __ATOMIC_ACQ_REL, __ATOMIC_ACQUIRE)) {
        EVP_MD_free(md);
        md = none;
    }
    return md;
}

static int hash_with(EVP_MD_CTX *ctx, hash_t kind, uint8_t *out, const wagw_str_t *parts, size_t n)
{
    size_t i;
    EVP_MD *md = hash_md(kind);

    if (ctx == NULL || md == NULL || EVP_DigestInit_ex2(ctx, md, NULL) != 1) {
        return WAGW_ERROR;
    }
    for (i = 0; i < n; i++) {
        if (parts[i].n > 0 && EVP_DigestUpdate(ctx, parts[i].p, parts[i].n) != 1) {
            return WAGW_ERROR;
        }
    }
    return EVP_DigestFinal_ex(ctx, out, NULL) == 1 ? WAGW_OK : WAGW_ERROR;
}

/* Frees the context and leaves nothing in OpenSSL's error queue, which
 * belongs to whoever talks TLS in this thread. */
static int hash_end(EVP_MD_CTX *ctx, int rc)
{
    EVP_MD_CTX_free(ctx);
    if (rc != WAGW_OK) {
        ERR_clear_error();
    }
    return rc;
}

static int hash_parts(hash_t kind, uint8_t *out, const wagw_str_t *parts, size_t n)
{
    EVP_MD_CTX *ctx = EVP_MD_CTX_new();

    return hash_end(ctx, hash_with(ctx, kind, out, parts, n));
}

static int sha256_parts(uint8_t out[32], const wagw_str_t *parts, size_t n)
{
    SHA256_CTX ctx;
    bool ok = SHA256_Init(&ctx) == 1;

    for (size_t i = 0; i < n && ok; i++) {
        ok = parts[i].n == 0 || SHA256_Update(&ctx, parts[i].p, parts[i].n) == 1;
    }
    ok = ok && SHA256_Final(out, &ctx) == 1;
    wagw_wipe(&ctx, sizeof(ctx));
    return ok ? WAGW_OK : WAGW_ERROR;
}

int wagw_sha256(uint8_t out[32], wagw_str_t in)
{
    return sha256_parts(out, &in, 1);
}

int wagw_sha256_2(uint8_t out[32], wagw_str_t a, wagw_str_t b)
{
    wagw_str_t parts[2] = {a, b};

    return sha256_parts(out, parts, 2);
}

int wagw_md5(uint8_t out[16], wagw_str_t in)
{
    return hash_parts(HASH_MD5, out, &in, 1);
}

/*
 * RFC 2104 in one digest context: OpenSSL's own HMAC objects are dear to make
 * and hold a copy of the key until they are freed.
 */
static int hmac_parts(hash_t kind, uint8_t *out, wagw_str_t key, const wagw_str_t *parts, size_t n)
{
    size_t i, size = hash_kinds[kind].size, block = hash_kinds[kind].block;
    uint8_t pad[HASH_BLOCK_MAX] = {0}, inner[64];
    wagw_str_t all[5] = {{pad, block}};
    EVP_MD_CTX *ctx = NULL;
    int rc = WAGW_ERROR;

    if (n > sizeof(all) / sizeof(all[0]) - 1) {
        goto done;
    }
    ctx = EVP_MD_CTX_new();
    if (key.n > block) {
        rc = hash_with(ctx, kind, pad, &key, 1);
        if (rc != WAGW_OK) {
            goto done;
        }
    } else if (key.n > 0) {
        memcpy(pad, key.p, key.n);
    }

    for (i = 0; i < block; i++) {
        pad[i] ^= 0x36;
    }
    for (i = 0; i < n; i++) {
        all[i + 1] = parts[i];
    }
    rc = hash_with(ctx, kind, inner, all, n + 1);
    if (rc != WAGW_OK) {
        goto done;
    }
    for (i = 0; i < block; i++) {
        pad[i] ^= 0x36 ^ 0x5c;
    }
    all[1] = wagw_str(inner, size);
    rc = hash_with(ctx, kind, out, all, 2);

done:

    wagw_wipe(pad, sizeof(pad));
    wagw_wipe(inner, sizeof(inner));
    return hash_end(ctx, rc);
}

void wagw_hmac_begin(wagw_hmac_t *h, wagw_str_t key)
{
    uint8_t pad[HMAC_BLOCK] = {0};
    SHA256_CTX *in = (SHA256_CTX *)(void *)h->inner, *out = (SHA256_CTX *)(void *)h->outer;

    _Static_assert(sizeof(SHA256_CTX) <= sizeof(h->inner), "room for OpenSSL's state");

    if (key.n > sizeof(pad)) {
        (void)wagw_sha256(pad, key);
    } else if (key.n > 0) {
        memcpy(pad, key.p, key.n);
    }

    for (size_t i = 0; i < sizeof(pad); i++) {
        pad[i] ^= 0x36;
    }
    SHA256_Init(in);
    SHA256_Update(in, pad, sizeof(pad));
    for (size_t i = 0; i < sizeof(pad); i++) {
        pad[i] ^= 0x36 ^ 0x5c;
    }
    SHA256_Init(out);
    SHA256_Update(out, pad, sizeof(pad));
    wagw_wipe(pad, sizeof(pad));
}

void wagw_hmac_add(wagw_hmac_t *h, wagw_str_t part)
{
    if (part.n > 0) {
        SHA256_Update((SHA256_CTX *)(void *)h->inner, part.p, part.n);
    }
}

void wagw_hmac_end(wagw_hmac_t *h, uint8_t mac[32])
{
    SHA256_CTX *in = (SHA256_CTX *)(void *)h->inner, *out = (SHA256_CTX *)(void *)h->outer;

    SHA256_Final(mac, in);
    SHA256_Update(out, mac, 32);
    SHA256_Final(mac, out);
    wagw_wipe(h, sizeof(*h));
}

int wagw_hmac_sha256(uint8_t out[32], wagw_str_t key, wagw_str_t in)
{
    wagw_hmac_t h;

    wagw_hmac_begin(&h, key);
    wagw_hmac_add(&h, in);
    wagw_hmac_end(&h, out);
    return WAGW_OK;
}

int wagw_hmac_sha512(uint8_t out[64], wagw_str_t key, wagw_str_t in)
{
    return hmac_parts(HASH_SHA512, out, key, &in, 1);
}

int wagw_hkdf(uint8_t *out, size_t n, wagw_str_t ikm, wagw_str_t salt, wagw_str_t info)
{
    uint8_t prk[32], t[32], count = 0;
    wagw_hmac_t keyed, h;
    size_t take, tn = 0;

    if (n > HKDF_MAX) {
        return WAGW_ERROR;
    }
    (void)wagw_hmac_sha256(prk, salt, ikm);
    wagw_hmac_begin(&keyed, wagw_str(prk, sizeof(prk)));

    while (n > 0) {
        count++;
        h = keyed;
        wagw_hmac_add(&h, wagw_str(t, tn));
        wagw_hmac_add(&h, info);
        wagw_hmac_add(&h, wagw_str(&count, 1));
        wagw_hmac_end(&h, t);
        tn = sizeof(t);
        take = n < tn ? n : tn;
        memcpy(out, t, take);
        out += take;
        n -= take;
    }
    wagw_wipe(&keyed, sizeof(keyed));
    wagw_wipe(prk, sizeof(prk));
    wagw_wipe(t, sizeof(t));
    return WAGW_OK;
}

int wagw_pbkdf2_sha256(uint8_t *out, size_t n, wagw_str_t password, wagw_str_t salt, unsigned iterations)
{
    if (n > INT_MAX || password.n > INT_MAX || salt.n > INT_MAX || iterations == 0 || iterations > INT_MAX ||
        hash_md(HASH_SHA256) == NULL) {
        return WAGW_ERROR;
    }
    /* OpenSSL takes a NULL password for an empty one, and wants some pointer for the salt */
    if (PKCS5_PBKDF2_HMAC((const char *)password.p, (int)password.n, salt.n > 0 ? salt.p : (const uint8_t *)"",
                          (int)salt.n, (int)iterations, EVP_sha256(), (int)n, out) != 1) {
        ERR_clear_error();
        return WAGW_ERROR;
    }
    return WAGW_OK;
}
