/*
 * What the caller gave, as plaintext into ngx_wagw_media_take(): the file of
 * the body, base64 of it or of a parameter, an address, an earlier upload.
 * All of it runs in a thread.
 */

#include "ngx_wagw_media.h"
#include "ngx_wagw_media_text.h"

#define MEDIA_CHUNK 49152 /* of base64: a multiple of four */

/* What the data URL said it is, before the first byte of it is taken. */
static void source_told(ngx_wagw_media_t *m, const ngx_wagw_base64_t *d)
{
    const char *type = ngx_wagw_base64_type(d);

    if (type) {
        free(m->source_type);
        m->source_type = strdup(type);
    }
}

static void source_base64(ngx_wagw_media_t *m)
{
    bool good = true, told = false;
    size_t n, len = m->text ? strlen(m->text) : 0, at = 0;
    ssize_t got;
    uint8_t *chunk = malloc(MEDIA_CHUNK);
    ngx_wagw_base64_t *d = calloc(1, sizeof(*d));

    if (chunk == NULL || d == NULL) {
        ngx_wagw_media_fail(m, 500, "INTERNAL", "Out of memory");
        goto done;
    }
    d->escaped = m->in_escaped;
    while (good && (m->text ? at < len : m->in_left > 0)) {
        if (m->text) {
            n = ngx_min(MEDIA_CHUNK, len - at);
            good = ngx_wagw_base64_add(d, wagw_str(m->text + at, n));
            at += n;
        } else {
            got = pread(m->in_fd, chunk, (size_t)ngx_min((off_t)MEDIA_CHUNK, m->in_left), m->in_at);
            if (got <= 0) {
                ngx_wagw_media_fail(m, 500, "INTERNAL", "The body cannot be read");
                goto done;
            }
            m->in_at += got;
            m->in_left -= got;
            good = ngx_wagw_base64_add(d, wagw_str(chunk, (size_t)got));
        }
        if (good && d->begun && !told) {
            source_told(m, d);
            told = true;
        }
        if (good && !ngx_wagw_media_take(m, wagw_buf_view(&d->out))) {
            goto done;
        }
        wagw_buf_reset(&d->out);
    }
    if (!good || !ngx_wagw_base64_end(d)) {
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
