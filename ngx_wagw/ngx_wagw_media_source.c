/*
 * What the caller gave, as plaintext into ngx_wagw_media_take(): the file of
 * the body, base64 of it or of a parameter, an address, an earlier upload.
 * All of it runs in a thread.
 */

#include "ngx_wagw_media.h"

#define MEDIA_CHUNK 49152 /* of base64: a multiple of four */

/* ---- base64 ---- */

typedef struct {
    uint32_t bits;
    unsigned n;
    bool end, escape, begun;
    wagw_buf_t out;
    char prefix[160];
    size_t nprefix;
} media_base64_t;

static int media_base64_value(uint8_t c)
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
    return c == '+' || c == '-' ? 62 : c == '/' || c == '_' ? 63 : -1;
}

static bool media_base64_char(media_base64_t *d, uint8_t c)
{
    int v;

    if (c == '=') {
        d->end = true;
        return true;
    }
    if (c == '\n' || c == '\r' || c == ' ' || c == '\t') {
        return true;
    }
    v = media_base64_value(c);
    if (v < 0 || d->end) {
        return false;
    }
    d->bits = d->bits << 6 | (uint32_t)v;
    if (++d->n == 4) {
        wagw_buf_be(&d->out, d->bits & 0xffffff, 3);
        d->bits = d->n = 0;
    }
    return true;
}

static bool media_base64_last(media_base64_t *d)
{
    if (d->n == 1) {
        return false;
    }
    if (d->n == 2) {
        wagw_buf_u8(&d->out, (uint8_t)(d->bits >> 4));
    } else if (d->n == 3) {
        wagw_buf_be(&d->out, d->bits >> 2 & 0xffff, 2);
    }
    return true;
}

/* "data:image/png;base64," */
static bool media_data_prefix(ngx_wagw_media_t *m, media_base64_t *d)
{
    char *semi;

    d->prefix[d->nprefix] = '\0';
    semi = strchr(d->prefix, ';');
    if (semi == NULL || strstr(semi, ";base64") == NULL) {
        return false;
    }
    *semi = '\0';
    if (semi > d->prefix + 5) {
        free(m->source_type);
        m->source_type = strdup(d->prefix + 5);
    }
    return true;
}

static bool media_base64(ngx_wagw_media_t *m, media_base64_t *d, const uint8_t *p, size_t n)
{
    uint8_t c;

    for (size_t i = 0; i < n; i++) {
        c = p[i];
        if (m->in_escaped && (c == '\\' || d->escape)) {
            d->escape = !d->escape;
            if (d->escape) {
                continue;
            }
            c = c == 'n' || c == 'r' || c == 't' ? ' ' : c;
        }
        if (!d->begun) {
            /* a data URL shows within its first five characters */
            if (d->nprefix < 5 ? c != (uint8_t) "data:"[d->nprefix] : c == ',') {
                d->begun = true;
                if (d->nprefix >= 5) {
                    if (!media_data_prefix(m, d)) {
                        return false;
                    }
                    continue;
                }
                for (size_t k = 0; k < d->nprefix; k++) {
                    (void)media_base64_char(d, (uint8_t)d->prefix[k]);
                }
            } else {
                if (d->nprefix == sizeof(d->prefix) - 1) {
                    return false;
                }
                d->prefix[d->nprefix++] = (char)c;
                continue;
            }
        }
        if (!media_base64_char(d, c)) {
            return false;
        }
    }
    return !d->out.failed;
}

static void source_base64(ngx_wagw_media_t *m)
{
    bool good = true;
    size_t n, len = m->text ? strlen(m->text) : 0, at = 0;
    ssize_t got;
    uint8_t *chunk = malloc(MEDIA_CHUNK);
    media_base64_t *d = calloc(1, sizeof(*d));

    if (chunk == NULL || d == NULL) {
        ngx_wagw_media_fail(m, 500, "INTERNAL", "Out of memory");
        goto done;
    }
    while (good && (m->text ? at < len : m->in_left > 0)) {
        if (m->text) {
            n = ngx_min(MEDIA_CHUNK, len - at);
            good = media_base64(m, d, (const uint8_t *)m->text + at, n);
            at += n;
        } else {
            got = pread(m->in_fd, chunk, (size_t)ngx_min((off_t)MEDIA_CHUNK, m->in_left), m->in_at);
            if (got <= 0) {
                ngx_wagw_media_fail(m, 500, "INTERNAL", "The body cannot be read");
                goto done;
            }
            m->in_at += got;
            m->in_left -= got;
            good = media_base64(m, d, chunk, (size_t)got);
        }
        if (good && !ngx_wagw_media_take(m, wagw_buf_view(&d->out))) {
            goto done;
        }
        wagw_buf_reset(&d->out);
    }
    if (good && !d->begun) {
        /* shorter than the beginning of a data URL */
        good = d->nprefix < 5;
        for (size_t k = 0; good && k < d->nprefix; k++) {
            good = media_base64_char(d, (uint8_t)d->prefix[k]);
        }
    }
    if (!good || !media_base64_last(d)) {
        ngx_wagw_media_fail(m, 400, "VALIDATION_FAILED", "must be base64 or a data URL with base64");
        goto done;
    }
    (void)ngx_wagw_media_take(m, wagw_buf_view(&d->out));

done:
    if (d) {
        wagw_buf_wipe(&d->out);
    }
    free(d);
    free(chunk);
}

static void source_file(ngx_wagw_media_t *m)
{
    ssize_t n;
    uint8_t *chunk = malloc(65536);

    if (chunk == NULL) {
        ngx_wagw_media_fail(m, 500, "INTERNAL", "Out of memory");
        return;
    }
    while (m->in_left > 0) {
        n = pread(m->in_fd, chunk, (size_t)ngx_min((off_t)65536, m->in_left), m->in_at);
        if (n == -1 && ngx_errno == NGX_EINTR) {
            continue;
        }
        if (n <= 0) {
            ngx_wagw_media_fail(m, 500, "INTERNAL", "The body cannot be read");
            break;
        }
        m->in_at += n;
        m->in_left -= n;
        if (!ngx_wagw_media_take(m, wagw_str(chunk, (size_t)n))) {
            break;
        }
    }
    free(chunk);
}

static void source_kept(ngx_wagw_media_t *m)
{
    wagw_str_t piece;

    do {
        if (!ngx_wagw_media_reader_next(m->kept, &piece)) {
            ngx_wagw_media_fail(m, 500, "INTERNAL", "The uploaded file cannot be read");
            return;
        }
    } while (piece.n && ngx_wagw_media_take(m, piece));
}

void ngx_wagw_media_source(ngx_wagw_media_t *m)
{
    if (m->in_fd != -1 && !m->in_base64) {
        source_file(m);
    } else if (m->kept) {
        source_kept(m);
    } else if (m->url) {
        ngx_wagw_media_fetch(m);
    } else {
        source_base64(m);
    }
    if (m->in_fd != -1) {
        close(m->in_fd);
        m->in_fd = -1;
    }
}
