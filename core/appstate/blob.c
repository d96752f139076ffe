/*
 * References to encrypted blobs, and what was downloaded for them.
 */

#include "internal.h"

#define BLOB_MAC 10

int wagw_app_blob(wagw_str_t reference, wagw_app_blob_t *out)
{
    int rc;
    wagw_wire_t w = wagw_wire(reference);
    wagw_wire_field_t f;

    memset(out, 0, sizeof(*out));
    while ((rc = wagw_wire_next(&w, &f)) == WAGW_OK) {
        if (f.num == 4 && f.type == 0) {
            out->length = f.u;
        }
        if (f.type != 2) {
            continue;
        }
        switch (f.num) {
        case 1:
            out->media_key = f.val;
            break;
        case 2:
            out->direct_path = f.val;
            break;
        case 5:
            out->sha256 = f.val;
            break;
        case 6:
            out->enc_sha256 = f.val;
            break;
        }
    }
    if (rc != WAGW_NOT_FOUND || out->media_key.n != 32 || out->direct_path.n == 0 || out->direct_path.p[0] != '/' ||
        (out->sha256.n && out->sha256.n != 32) || (out->enc_sha256.n && out->enc_sha256.n != 32)) {
        return WAGW_MALFORMED;
    }
    return WAGW_OK;
}

int wagw_app_patch_blob(wagw_str_t patch, wagw_app_blob_t *out)
{
    int rc;
    wagw_wire_field_t f;

    rc = wagw_wire_find(patch, 3, &f);
    return rc == WAGW_OK ? wagw_app_blob(f.val, out) : rc;
}

int wagw_blob_open(wagw_buf_t *out, const wagw_app_blob_t *b, const char *info, wagw_str_t body, const char **why)
{
    int rc;
    size_t start = out->n;
    uint8_t keys[112], mac[32];
    wagw_buf_t signed_part = {0};
    wagw_str_t text;

    *why = "malformed";
    if (body.n <= BLOB_MAC) {
        *why = "too_short";
        return WAGW_MALFORMED;
    }
    if (b->enc_sha256.n == 32) {
        rc = wagw_sha256(mac, body);
        if (rc != WAGW_OK || !wagw_ct_equal(mac, b->enc_sha256.p, 32)) {
            *why = "enc_sha256_mismatch";
            return WAGW_CRYPTO;
        }
    }
    rc = wagw_hkdf(keys, sizeof(keys), b->media_key, WAGW_STR_NULL, wagw_cstr(info));
    if (rc != WAGW_OK) {
        return rc;
    }
    text = wagw_str(body.p, body.n - BLOB_MAC);
    wagw_buf_add(&signed_part, keys, 16);
    wagw_buf_str(&signed_part, text);
    rc = signed_part.failed ? WAGW_NOMEM : wagw_hmac_sha256(mac, wagw_str(keys + 48, 32), wagw_buf_view(&signed_part));
    wagw_buf_free(&signed_part);
    if (rc == WAGW_OK && !wagw_ct_equal(mac, text.p + text.n, BLOB_MAC)) {
        *why = "mac_mismatch";
        rc = WAGW_CRYPTO;
    }
    if (rc == WAGW_OK && text.n % 16 != 0) {
        *why = "bad_block_length";
        rc = WAGW_MALFORMED;
    }
    if (rc == WAGW_OK) {
        *why = "bad_padding";
        rc = wagw_cbc_decrypt(out, keys + 16, keys, text);
    }
    if (rc == WAGW_OK && b->sha256.n == 32) {
        rc = wagw_sha256(mac, wagw_str(out->p + start, out->n - start));
        if (rc == WAGW_OK && !wagw_ct_equal(mac, b->sha256.p, 32)) {
            *why = "sha256_mismatch";
            rc = WAGW_CRYPTO;
        }
    }
    wagw_wipe(keys, sizeof(keys));
    if (rc != WAGW_OK) {
        out->n = start;
    } else {
        *why = NULL;
    }
    return rc;
}
