#include "base.h"

/* Hex and base64. */

static const char base64_std[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
static const char base64_url[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

int wagw_hex_encode(wagw_buf_t *out, wagw_str_t in)
{
    static const char digits[] = "0123456789abcdef";
    size_t i;
    int rc;

    if (in.n > SIZE_MAX / 4) {
        out->failed = true;
        return WAGW_NOMEM;
    }
    rc = wagw_buf_reserve(out, in.n * 2);
    if (rc != WAGW_OK) {
        return rc;
    }
    for (i = 0; i < in.n; i++) {
        out->p[out->n++] = (uint8_t)digits[in.p[i] >> 4];
        out->p[out->n++] = (uint8_t)digits[in.p[i] & 15];
    }
    return WAGW_OK;
}

static int hex_nibble(uint8_t c)
{
    if (c >= '0' && c <= '9') {
        return c - '0';
    }
    c |= 0x20;
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

int wagw_hex_fixed(uint8_t *out, size_t n, wagw_str_t in)
{
    size_t i;

    if (in.n % 2 != 0 || in.n / 2 != n) {
        return WAGW_MALFORMED;
    }
    for (i = 0; i < n; i++) {
        int hi = hex_nibble(in.p[2 * i]), lo = hex_nibble(in.p[2 * i + 1]);

        if (hi < 0 || lo < 0) {
            return WAGW_MALFORMED;
        }
        out[i] = (uint8_t)(hi << 4 | lo);
    }
    return WAGW_OK;
}

int wagw_hex_decode(wagw_buf_t *out, wagw_str_t in)
{
    int rc;

    if (in.n % 2 != 0) {
        return WAGW_MALFORMED;
    }
    rc = wagw_buf_reserve(out, in.n / 2);
    if (rc != WAGW_OK || in.n == 0) {
        return rc;
    }
    rc = wagw_hex_fixed(out->p + out->n, in.n / 2, in);
    if (rc == WAGW_OK) {
        out->n += in.n / 2;
    }
    return rc;
}

static int base64_encode(wagw_buf_t *out, wagw_str_t in, const char *alphabet, bool pad)
{
    size_t i;
    uint32_t v;
    int rc;

    if (in.n > SIZE_MAX / 4) {
        out->failed = true;
        return WAGW_NOMEM;
    }
    rc = wagw_buf_reserve(out, (in.n + 2) / 3 * 4);
    if (rc != WAGW_OK) {
        return rc;
    }
    for (i = 0; i + 3 <= in.n; i += 3) {
        v = (uint32_t)in.p[i] << 16 | (uint32_t)in.p[i + 1] << 8 | in.p[i + 2];
        out->p[out->n++] = (uint8_t)alphabet[v >> 18];
        out->p[out->n++] = (uint8_t)alphabet[v >> 12 & 63];
        out->p[out->n++] = (uint8_t)alphabet[v >> 6 & 63];
        out->p[out->n++] = (uint8_t)alphabet[v & 63];
    }
    if (i < in.n) {
        bool two = in.n - i == 2;

        v = (uint32_t)in.p[i] << 16 | (two ? (uint32_t)in.p[i + 1] << 8 : 0);
        out->p[out->n++] = (uint8_t)alphabet[v >> 18];
        out->p[out->n++] = (uint8_t)alphabet[v >> 12 & 63];
        if (two) {
            out->p[out->n++] = (uint8_t)alphabet[v >> 6 & 63];
        }
        if (pad) {
            out->p[out->n++] = '=';
            if (!two) {
                out->p[out->n++] = '=';
            }
        }
    }
    return WAGW_OK;
}

int wagw_base64_encode(wagw_buf_t *out, wagw_str_t in)
{
    return base64_encode(out, in, base64_std, true);
}

int wagw_base64url_encode(wagw_buf_t *out, wagw_str_t in)
{
    return base64_encode(out, in, base64_url, false);
}

int wagw_base64_value(uint8_t c)
{
    if (c >= 'A' && c <= 'Z') {
        return c - 'A';
    }
    if (c >= 'a' && c <= 'z') {
        return c - 'a' + 26;
    }
    if (c >= '0' && c <= '9') {
        return c - '0' + 52;
    }
    if (c == '+' || c == '-') {
        return 62;
    }
    return c == '/' || c == '_' ? 63 : -1;
}

int wagw_base64_decode(wagw_buf_t *out, wagw_str_t in)
{
    size_t i, start = out->n;
    uint32_t v = 0;
    unsigned bits = 0;
    int rc;

    /* padding completes a group of four or is left out, nothing between */
    if (in.n > 0 && in.p[in.n - 1] == '=') {
        if (in.n % 4 != 0) {
            return WAGW_MALFORMED;
        }
        in.n -= in.p[in.n - 2] == '=' ? 2 : 1;
    }
    if (in.n % 4 == 1) {
        return WAGW_MALFORMED;
    }
    rc = wagw_buf_reserve(out, in.n / 4 * 3 + 3);
    if (rc != WAGW_OK) {
        return rc;
    }
    for (i = 0; i < in.n; i++) {
        int d = wagw_base64_value(in.p[i]);

        if (d < 0) {
            out->n = start;
            return WAGW_MALFORMED;
        }
        v = v << 6 | (uint32_t)d;
        bits += 6;
        if (bits >= 8) {
            bits -= 8;
            out->p[out->n++] = (uint8_t)(v >> bits);
        }
    }
    return WAGW_OK;
}
