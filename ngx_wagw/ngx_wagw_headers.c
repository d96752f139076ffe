#include "ngx_wagw_headers.h"

#include <strings.h>

#define HEADERS_BYTES (sizeof("bytes=") - 1)

/* What is too large for a number is larger than any file. */
static int headers_number(wagw_str_t s, uint64_t *v)
{
    for (size_t i = 0; i < s.n; i++) {
        if (s.p[i] < '0' || s.p[i] > '9') {
            return WAGW_MALFORMED;
        }
    }
    if (s.n && wagw_str_u64(s, v) != WAGW_OK) {
        *v = UINT64_MAX;
    }
    return WAGW_OK;
}

int ngx_wagw_headers_range(wagw_str_t v, uint64_t size, uint64_t *from, uint64_t *to)
{
    uint64_t a = 0, b = UINT64_MAX;
    const uint8_t *dash;
    wagw_str_t first, last;

    if (v.n <= HEADERS_BYTES || strncasecmp((const char *)v.p, "bytes=", HEADERS_BYTES) != 0) {
        return WAGW_MALFORMED;
    }
    v = wagw_str(v.p + HEADERS_BYTES, v.n - HEADERS_BYTES);
    dash = memchr(v.p, '-', v.n);
    if (dash == NULL) {
        return WAGW_MALFORMED;
    }
    first = wagw_str(v.p, (size_t)(dash - v.p));
    last = wagw_str(dash + 1, v.n - first.n - 1);
    if (first.n + last.n == 0 || headers_number(first, &a) != WAGW_OK || headers_number(last, &b) != WAGW_OK) {
        return WAGW_MALFORMED;
    }
    if (first.n == 0) { /* the last b bytes */
        if (b == 0) {
            return WAGW_LIMIT;
        }
        *from = b < size ? size - b : 0;
        *to = size;
        return WAGW_OK;
    }
    if (b < a) {
        return WAGW_MALFORMED;
    }
    if (a >= size) {
        return WAGW_LIMIT;
    }
    *from = a;
    *to = b >= size ? size : b + 1;
    return WAGW_OK;
}

static bool headers_blank(uint8_t c)
{
    return c == ' ' || c == '\t' || c == '\r' || c == '\n';
}

int ngx_wagw_headers_retry_after(wagw_str_t *v, uint64_t *seconds)
{
    while (v->n && headers_blank(*v->p)) {
        *v = wagw_str(v->p + 1, v->n - 1);
    }
    while (v->n && headers_blank(v->p[v->n - 1])) {
        v->n--;
    }
    return v->n ? headers_number(*v, seconds) : WAGW_MALFORMED;
}
