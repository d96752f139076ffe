#include <stdlib.h>

#include "base.h"

const char *wagw_rc_name(int rc)
{
    switch (rc) {
    case WAGW_OK:
        return "ok";
    case WAGW_ERROR:
        return "error";
    case WAGW_AGAIN:
        return "again";
    case WAGW_NOMEM:
        return "no memory";
    case WAGW_MALFORMED:
        return "malformed";
    case WAGW_LIMIT:
        return "over a limit";
    case WAGW_CRYPTO:
        return "does not verify";
    case WAGW_NOT_FOUND:
        return "not found";
    case WAGW_STATE:
        return "wrong state";
    case WAGW_DUPLICATE:
        return "duplicate";
    case WAGW_NO_SESSION:
        return "no session";
    case WAGW_NO_PREKEY:
        return "no prekey";
    case WAGW_IO:
        return "store failed";
    }
    return "unknown";
}

bool wagw_str_starts(wagw_str_t s, wagw_str_t prefix)
{
    return s.n >= prefix.n && (prefix.n == 0 || memcmp(s.p, prefix.p, prefix.n) == 0);
}

bool wagw_str_ends(wagw_str_t s, wagw_str_t suffix)
{
    return s.n >= suffix.n && (suffix.n == 0 || memcmp(s.p + s.n - suffix.n, suffix.p, suffix.n) == 0);
}

int wagw_str_u64(wagw_str_t s, uint64_t *out)
{
    size_t i;
    uint64_t v = 0;

    if (s.n == 0) {
        return WAGW_MALFORMED;
    }
    for (i = 0; i < s.n; i++) {
        unsigned d = (unsigned)s.p[i] - '0';

        if (d > 9 || v > (UINT64_MAX - d) / 10) {
            return WAGW_MALFORMED;
        }
        v = v * 10 + d;
    }
    *out = v;
    return WAGW_OK;
}

int wagw_str_i64(wagw_str_t s, int64_t *out)
{
    uint64_t v;
    bool minus = s.n > 0 && s.p[0] == '-';

    if (wagw_str_u64(minus ? wagw_str(s.p + 1, s.n - 1) : s, &v) != WAGW_OK) {
        return WAGW_MALFORMED;
    }
    if (v > (uint64_t)INT64_MAX + minus) {
        return WAGW_MALFORMED;
    }
    *out = minus ? (int64_t)(0 - v) : (int64_t)v;
    return WAGW_OK;
}

char *wagw_str_dup(wagw_str_t s)
{
    char *p;

    if ((s.n > 0 && memchr(s.p, '\0', s.n) != NULL) || s.n == SIZE_MAX) {
        return NULL;
    }
    p = malloc(s.n + 1);
    if (p != NULL) {
        if (s.n > 0) {
            memcpy(p, s.p, s.n);
        }
        p[s.n] = '\0';
    }
    return p;
}

bool wagw_utf8_valid(wagw_str_t s)
{
    size_t i = 0;

    while (i < s.n) {
        uint8_t c = s.p[i++];
        uint8_t lo = 0x80, hi = 0xbf;
        unsigned more;

        if (c < 0x80) {
            continue;
        }
        if (c >= 0xc2 && c <= 0xdf) {
            more = 1;
        } else if (c >= 0xe0 && c <= 0xef) {
            more = 2;
            lo = c == 0xe0 ? 0xa0 : lo;
            hi = c == 0xed ? 0x9f : hi;
        } else if (c >= 0xf0 && c <= 0xf4) {
            more = 3;
            lo = c == 0xf0 ? 0x90 : lo;
            hi = c == 0xf4 ? 0x8f : hi;
        } else {
            return false;
        }
        while (more-- > 0) {
            if (i == s.n || s.p[i] < lo || s.p[i] > hi) {
                return false;
            }
            lo = 0x80;
            hi = 0xbf;
            i++;
        }
    }
    return true;
}

void wagw_wipe(void *p, size_t n)
{
    if (n > 0) {
        explicit_bzero(p, n);
    }
}

bool wagw_ct_equal(const void *a, const void *b, size_t n)
{
    size_t i;
    const volatile uint8_t *x = a, *y = b;
    uint8_t diff = 0;

    for (i = 0; i < n; i++) {
        diff |= x[i] ^ y[i];
    }
    return diff == 0;
}

size_t wagw_u64_text(uint64_t v, char out[21])
{
    char digits[20];
    size_t i = sizeof(digits), n;

    do {
        digits[--i] = (char)('0' + v % 10);
        v /= 10;
    } while (v != 0);

    n = sizeof(digits) - i;
    memcpy(out, digits + i, n);
    out[n] = '\0';
    return n;
}
