#include "media.h"

#include <stdlib.h>

#define MEDIA_MAC 10
#define MEDIA_BLOCK 16
#define MEDIA_WINDOW 65536 /* of the sidecar; windows overlap by one block */

static const wagw_media_type_t media_types[] = {
    {"image", "WhatsApp Image Keys", "/mms/image", "image", false},
    {"video", "WhatsApp Video Keys", "/mms/video", "video", true},
    {"audio", "WhatsApp Audio Keys", "/mms/audio", "audio", true},
    {"document", "WhatsApp Document Keys", "/mms/document", "document", false},
    {"sticker", "WhatsApp Image Keys", "/mms/image", "image", false},
    {"ptt", "WhatsApp Audio Keys", "/mms/audio", "audio", true},
    {"gif", "WhatsApp Video Keys", "/mms/video", "video", true},
    {"ptv", "WhatsApp Video Keys", "/mms/video", "video", true},
    {"product", "WhatsApp Image Keys", "/mms/image", "image", false},
    {"sticker-pack", "WhatsApp Sticker Pack Keys", "/mms/sticker-pack", "sticker-pack", false},
    {"thumbnail-link", "WhatsApp Link Thumbnail Keys", "/mms/image", "thumbnail-link", false},
    {"thumbnail-image", "WhatsApp Image Thumbnail Keys", "/mms/thumbnail-image", "thumbnail-image", false},
    {"thumbnail-video", "WhatsApp Video Thumbnail Keys", "/mms/thumbnail-video", "thumbnail-video", false},
    {"thumbnail-document", "WhatsApp Document Thumbnail Keys", "/mms/thumbnail-document", "thumbnail-document", false},
    {"payment-bg-image", "WhatsApp Payment Background Keys", NULL, "payment-bg-image", false},
    {"md-msg-hist", "WhatsApp History Keys", "/mms/md-app-state", "md-msg-hist", false},
    {"md-app-state", "WhatsApp App State Keys", "/mms/md-app-state", "md-app-state", false},
};

const wagw_media_type_t *wagw_media_type(const char *name)
{
    for (size_t i = 0; i < sizeof(media_types) / sizeof(media_types[0]); i++) {
        if (strcmp(media_types[i].name, name) == 0) {
            return &media_types[i];
        }
    }
    return NULL;
}

int wagw_media_keys(wagw_media_keys_t *k, const wagw_media_type_t *type, const uint8_t key[32])
{
    int rc;
    uint8_t all[112];

    rc = wagw_hkdf(all, sizeof(all), wagw_str(key, 32), WAGW_STR_NULL, wagw_cstr(type->info));
    memcpy(k->iv, all, 16);
    memcpy(k->cipher, all + 16, 32);
    memcpy(k->mac, all + 48, 32);
    wagw_wipe(all, sizeof(all));

    return rc;
}

/* ---- encryption ---- */

struct wagw_media_seal_s {
    wagw_cbc_t *cbc;
    wagw_digest_t *sha, *enc_sha, *mac;
    uint64_t size, enc_size;

    /* the sidecar's windows: the present one, and the last one for its overlap */
    wagw_digest_t *window, *overlap;
    wagw_buf_t sidecar;
    uint64_t stream; /* bytes of iv || ciphertext || mac so far */
};

static int seal_window_end(wagw_media_seal_t *s, wagw_digest_t *d)
{
    uint8_t sum[32];
    int rc = wagw_digest_end(d, sum);

    return rc == WAGW_OK ? wagw_buf_add(&s->sidecar, sum, MEDIA_MAC) : rc;
}

/* Window n covers [n * 64 KiB, (n + 1) * 64 KiB + 16). */
static int seal_windows(wagw_media_seal_t *s, wagw_str_t in)
{
    size_t n;
    uint64_t in_window;
    wagw_digest_t *d;
    int rc = WAGW_OK;

    while (s->window && in.n && rc == WAGW_OK) {
        in_window = s->stream % MEDIA_WINDOW;

        if (in_window < MEDIA_BLOCK && s->stream >= MEDIA_WINDOW) {
            if (in_window == 0) {
                d = s->overlap;
                s->overlap = s->window;
                s->window = d;
            }
            n = MEDIA_BLOCK - in_window;
            n = n < in.n ? n : in.n;
            rc = wagw_digest_add(s->overlap, wagw_str(in.p, n));
            if (rc == WAGW_OK && in_window + n == MEDIA_BLOCK) {
                rc = seal_window_end(s, s->overlap);
            }
        } else {
            n = MEDIA_WINDOW - in_window;
            n = n < in.n ? n : in.n;
        }

        if (rc == WAGW_OK) {
            rc = wagw_digest_add(s->window, wagw_str(in.p, n));
        }
        s->stream += n;
        in.p += n;
        in.n -= n;
    }
    return rc;
}

wagw_media_seal_t *wagw_media_seal(const wagw_media_type_t *type, const uint8_t key[32])
{
    wagw_media_keys_t k;
    wagw_media_seal_t *s = calloc(1, sizeof(*s));

    if (s == NULL || wagw_media_keys(&k, type, key) != WAGW_OK) {
        free(s);
        return NULL;
    }
    s->cbc = wagw_cbc_stream(true, k.cipher, k.iv);
    s->sha = wagw_digest_sha256();
    s->enc_sha = wagw_digest_sha256();
    s->mac = wagw_digest_hmac(wagw_str(k.mac, sizeof(k.mac)));
    if (type->sidecar) {
        s->window = wagw_digest_hmac(wagw_str(k.mac, sizeof(k.mac)));
        s->overlap = wagw_digest_hmac(wagw_str(k.mac, sizeof(k.mac)));
    }
    if (s->cbc == NULL || s->sha == NULL || s->enc_sha == NULL || s->mac == NULL ||
        (type->sidecar && (s->window == NULL || s->overlap == NULL)) ||
        wagw_digest_add(s->mac, wagw_str(k.iv, sizeof(k.iv))) != WAGW_OK ||
        seal_windows(s, wagw_str(k.iv, sizeof(k.iv))) != WAGW_OK) {
        wagw_media_seal_free(s);
        s = NULL;
    }
    wagw_wipe(&k, sizeof(k));
    return s;
}

static int seal_out(wagw_media_seal_t *s, wagw_str_t bytes, bool cipher)
{
    int rc = wagw_digest_add(s->enc_sha, bytes);

    if (rc == WAGW_OK && cipher) {
        rc = wagw_digest_add(s->mac, bytes);
    }
    s->enc_size += bytes.n;

    return rc == WAGW_OK ? seal_windows(s, bytes) : rc;
}

int wagw_media_seal_add(wagw_media_seal_t *s, wagw_buf_t *out, wagw_str_t plain)
{
    size_t at = out->n;
    int rc;

    s->size += plain.n;
    rc = wagw_digest_add(s->sha, plain);
    if (rc == WAGW_OK) {
        rc = wagw_cbc_add(s->cbc, out, plain);
    }
    return rc == WAGW_OK ? seal_out(s, wagw_str(out->p + at, out->n - at), true) : rc;
}

int wagw_media_seal_end(wagw_media_seal_t *s, wagw_buf_t *out, wagw_media_sums_t *sums)
{
    size_t at = out->n;
    uint8_t mac[32];
    int rc;

    memset(sums, 0, sizeof(*sums));
    rc = wagw_cbc_end(s->cbc, out);
    if (rc == WAGW_OK) {
        rc = seal_out(s, wagw_str(out->p + at, out->n - at), true);
    }
    if (rc == WAGW_OK) {
        rc = wagw_digest_end(s->mac, mac);
    }
    if (rc == WAGW_OK) {
        rc = wagw_buf_add(out, mac, MEDIA_MAC);
    }
    if (rc == WAGW_OK) {
        rc = seal_out(s, wagw_str(mac, MEDIA_MAC), false);
    }
    if (rc == WAGW_OK && s->window) {
        /* a stream that ends inside an overlap leaves two windows open */
        if (s->stream % MEDIA_WINDOW && s->stream % MEDIA_WINDOW < MEDIA_BLOCK && s->stream > MEDIA_WINDOW) {
            rc = seal_window_end(s, s->overlap);
        }
        if (rc == WAGW_OK) {
            rc = seal_window_end(s, s->window);
        }
    }
    if (rc == WAGW_OK) {
        rc = wagw_digest_end(s->sha, sums->sha256);
    }
    if (rc == WAGW_OK) {
        rc = wagw_digest_end(s->enc_sha, sums->enc_sha256);
    }
    if (rc != WAGW_OK) {
        return rc;
    }
    memcpy(sums->mac, mac, MEDIA_MAC);
    sums->size = s->size;
    sums->enc_size = s->enc_size;
    sums->sidecar = s->sidecar;
    memset(&s->sidecar, 0, sizeof(s->sidecar));
    return WAGW_OK;
}

void wagw_media_seal_free(wagw_media_seal_t *s)
{
    if (s == NULL) {
        return;
    }
    wagw_cbc_free(s->cbc);
    wagw_digest_free(s->sha);
    wagw_digest_free(s->enc_sha);
    wagw_digest_free(s->mac);
    wagw_digest_free(s->window);
    wagw_digest_free(s->overlap);
    wagw_buf_free(&s->sidecar);
    free(s);
}

/* ---- check ---- */

struct wagw_media_check_s {
    wagw_cbc_t *cbc; /* NULL: not encrypted */
    wagw_digest_t *sha, *enc_sha, *mac;
    uint8_t want_sha[32], want_enc[32];
    bool has_sha, has_enc;
    int rc;
    uint64_t size;           /* bytes that came */
    uint8_t tail[MEDIA_MAC]; /* held back: the MAC, when nothing follows */
    size_t ntail;
    uint8_t last[MEDIA_BLOCK]; /* held back plaintext: the padding, when nothing follows */
    size_t nlast;
    wagw_buf_t plain;
};

const char *wagw_media_verdict_name(wagw_media_verdict_t v)
{
    static const char *const names[] = {"ok",
                                        "too_short",
                                        "enc_sha256_mismatch",
                                        "mac_mismatch",
                                        "bad_block_length",
                                        "bad_padding",
                                        "sha256_mismatch",
                                        "failed"};

    return names[v];
}

wagw_media_check_t *wagw_media_check(const wagw_media_keys_t *keys, wagw_str_t enc_sha256, wagw_str_t sha256)
{
    wagw_media_check_t *c = calloc(1, sizeof(*c));

    if (c == NULL) {
        return NULL;
    }
    c->has_sha = sha256.n == 32;
    c->has_enc = keys && enc_sha256.n == 32;
    if (c->has_sha) {
        memcpy(c->want_sha, sha256.p, 32);
    }
    if (c->has_enc) {
        memcpy(c->want_enc, enc_sha256.p, 32);
    }
    c->sha = wagw_digest_sha256();
    if (keys) {
        c->enc_sha = wagw_digest_sha256();
        c->mac = wagw_digest_hmac(wagw_str(keys->mac, sizeof(keys->mac)));
        c->cbc = wagw_cbc_stream(false, keys->cipher, keys->iv);
    }
    if (c->sha == NULL || (keys && (c->enc_sha == NULL || c->mac == NULL || c->cbc == NULL ||
                                    wagw_digest_add(c->mac, wagw_str(keys->iv, 16)) != WAGW_OK))) {
        wagw_media_check_free(c);
        return NULL;
    }
    return c;
}

/* All but the last block, whose padding is looked at in the end. */
static int check_plain(wagw_media_check_t *c)
{
    int rc;
    size_t n = c->plain.n;

    if (n < MEDIA_BLOCK) {
        return WAGW_OK; /* blocks are whole, so there is none */
    }
    rc = wagw_digest_add(c->sha, wagw_str(c->last, c->nlast));
    if (rc == WAGW_OK) {
        rc = wagw_digest_add(c->sha, wagw_str(c->plain.p, n - MEDIA_BLOCK));
    }
    memcpy(c->last, c->plain.p + n - MEDIA_BLOCK, MEDIA_BLOCK);
    c->nlast = MEDIA_BLOCK;
    return rc;
}

static int check_cipher(wagw_media_check_t *c, wagw_str_t bytes)
{
    int rc = wagw_digest_add(c->mac, bytes);

    if (rc == WAGW_OK) {
        wagw_buf_reset(&c->plain);
        rc = wagw_cbc_add(c->cbc, &c->plain, bytes);
    }
    return rc == WAGW_OK ? check_plain(c) : rc;
}

int wagw_media_check_add(wagw_media_check_t *c, wagw_str_t bytes)
{
    size_t pass;

    c->size += bytes.n;
    if (c->rc != WAGW_OK || bytes.n == 0) {
        return c->rc;
    }
    if (c->cbc == NULL) {
        return c->rc = wagw_digest_add(c->sha, bytes);
    }
    c->rc = wagw_digest_add(c->enc_sha, bytes);

    if (c->rc == WAGW_OK && c->ntail + bytes.n > MEDIA_MAC) {
        pass = c->ntail + bytes.n - MEDIA_MAC;
        if (pass > c->ntail) {
            pass -= c->ntail;
            c->rc = check_cipher(c, wagw_str(c->tail, c->ntail));
            c->ntail = 0;
            if (c->rc == WAGW_OK) {
                c->rc = check_cipher(c, wagw_str(bytes.p, pass));
            }
            bytes.p += pass;
            bytes.n -= pass;
        } else {
            c->rc = check_cipher(c, wagw_str(c->tail, pass));
            memmove(c->tail, c->tail + pass, c->ntail - pass);
            c->ntail -= pass;
        }
    }
    memcpy(c->tail + c->ntail, bytes.p, bytes.n);
    c->ntail += bytes.n;
    return c->rc;
}

wagw_media_verdict_t wagw_media_check_end(wagw_media_check_t *c, uint64_t *size)
{
    uint8_t sum[32], pad;

    if (c->rc != WAGW_OK) {
        return WAGW_MEDIA_FAILED;
    }
    *size = c->size;
    if (c->cbc == NULL) {
        if (wagw_digest_end(c->sha, sum) != WAGW_OK) {
            return WAGW_MEDIA_FAILED;
        }
        return c->has_sha && !wagw_ct_equal(sum, c->want_sha, 32) ? WAGW_MEDIA_SHA256 : WAGW_MEDIA_GOOD;
    }
    if (c->size <= MEDIA_MAC) {
        return WAGW_MEDIA_SHORT;
    }
    if (wagw_digest_end(c->enc_sha, sum) != WAGW_OK) {
        return WAGW_MEDIA_FAILED;
    }
    if (c->has_enc && !wagw_ct_equal(sum, c->want_enc, 32)) {
        return WAGW_MEDIA_ENC_SHA256;
    }
    if (wagw_digest_end(c->mac, sum) != WAGW_OK) {
        return WAGW_MEDIA_FAILED;
    }
    if (!wagw_ct_equal(sum, c->tail, MEDIA_MAC)) {
        return WAGW_MEDIA_MAC;
    }
    if ((c->size - MEDIA_MAC) % MEDIA_BLOCK) {
        return WAGW_MEDIA_BLOCK;
    }
    pad = c->last[MEDIA_BLOCK - 1];
    if (pad < 1 || pad > MEDIA_BLOCK) {
        return WAGW_MEDIA_PADDING;
    }
    for (size_t i = MEDIA_BLOCK - pad; i < MEDIA_BLOCK; i++) {
        if (c->last[i] != pad) {
            return WAGW_MEDIA_PADDING;
        }
    }
    if (wagw_digest_add(c->sha, wagw_str(c->last, MEDIA_BLOCK - pad)) != WAGW_OK ||
        wagw_digest_end(c->sha, sum) != WAGW_OK) {
        return WAGW_MEDIA_FAILED;
    }
    if (c->has_sha && !wagw_ct_equal(sum, c->want_sha, 32)) {
        return WAGW_MEDIA_SHA256;
    }
    *size = c->size - MEDIA_MAC - pad;
    return WAGW_MEDIA_GOOD;
}

void wagw_media_check_free(wagw_media_check_t *c)
{
    if (c == NULL) {
        return;
    }
    wagw_cbc_free(c->cbc);
    wagw_digest_free(c->sha);
    wagw_digest_free(c->enc_sha);
    wagw_digest_free(c->mac);
    wagw_buf_wipe(&c->plain);
    wagw_wipe(c, sizeof(*c));
    free(c);
}

/* ---- reading ---- */

struct wagw_media_open_s {
    wagw_media_keys_t keys;
    wagw_cbc_t *cbc; /* NULL: the block that is the IV is still coming */
    uint8_t iv[MEDIA_BLOCK];
    size_t niv;
    uint64_t skip; /* plaintext before the first wanted byte */
    uint64_t left; /* plaintext still wanted */
};

wagw_media_open_t *wagw_media_open(const wagw_media_keys_t *keys, uint64_t from, uint64_t to, uint64_t *start,
                                   uint64_t *end)
{
    uint64_t first = from / MEDIA_BLOCK;
    wagw_media_open_t *o = calloc(1, sizeof(*o));

    if (o == NULL) {
        return NULL;
    }
    o->keys = *keys;
    o->skip = from % MEDIA_BLOCK;
    o->left = to > from ? to - from : 0;
    *start = first ? (first - 1) * MEDIA_BLOCK : 0;
    *end = o->left ? ((to - 1) / MEDIA_BLOCK + 1) * MEDIA_BLOCK : *start;

    if (first == 0) {
        o->cbc = wagw_cbc_stream(false, keys->cipher, keys->iv);
        if (o->cbc == NULL) {
            wagw_media_open_free(o);
            return NULL;
        }
    }
    return o;
}

int wagw_media_open_add(wagw_media_open_t *o, wagw_buf_t *out, wagw_str_t bytes)
{
    int rc;
    size_t n, at;

    if (o->cbc == NULL) {
        n = MEDIA_BLOCK - o->niv;
        n = n < bytes.n ? n : bytes.n;
        memcpy(o->iv + o->niv, bytes.p, n);
        o->niv += n;
        bytes.p += n;
        bytes.n -= n;
        if (o->niv < MEDIA_BLOCK) {
            return WAGW_OK;
        }
        o->cbc = wagw_cbc_stream(false, o->keys.cipher, o->iv);
        if (o->cbc == NULL) {
            return WAGW_NOMEM;
        }
    }
    at = out->n;
    rc = wagw_cbc_add(o->cbc, out, bytes);
    if (rc != WAGW_OK) {
        return rc;
    }
    n = out->n - at;
    if (o->skip) {
        size_t drop = o->skip < n ? (size_t)o->skip : n;

        memmove(out->p + at, out->p + at + drop, n - drop);
        o->skip -= drop;
        n -= drop;
    }
    if (n > o->left) {
        n = (size_t)o->left;
    }
    o->left -= n;
    out->n = at + n;
    return WAGW_OK;
}

void wagw_media_open_free(wagw_media_open_t *o)
{
    if (o) {
        wagw_cbc_free(o->cbc);
        wagw_wipe(o, sizeof(*o));
        free(o);
    }
}
