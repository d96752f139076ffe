/*
 * The worker's half of getting media: opens the file that the owner names and
 * sends it, decrypted on the way, one buffer after the other.  Ranges are
 * ours, because any block of the file can be decrypted on its own.
 */

#include "ngx_wagw_headers.h"
#include "ngx_wagw_http.h"
#include "../core/media/media.h"

#include <ctype.h>
#include <fcntl.h>

#define SEND_BUFFER 32768

typedef struct {
    ngx_fd_t fd;
    wagw_media_open_t *open; /* NULL: the file is not encrypted */
    uint64_t at, end;        /* in the file */
    wagw_buf_t plain;
    ngx_buf_t *buf;
    ngx_chain_t out, *free, *busy;
    u_char chunk[SEND_BUFFER];
} send_t;

static void send_cleanup(void *data)
{
    send_t *s = data;

    if (s->fd != NGX_INVALID_FILE) {
        close(s->fd);
    }
    wagw_media_open_free(s->open);
    wagw_buf_wipe(&s->plain);
}

static ngx_int_t send_header(ngx_http_request_t *r, const char *name, const char *value, size_t n)
{
    ngx_table_elt_t *h = ngx_list_push(&r->headers_out.headers);

    if (h == NULL) {
        return NGX_ERROR;
    }
    h->hash = 1;
    h->key.data = (u_char *)name;
    h->key.len = ngx_strlen(name);
    h->value.len = n;
    h->value.data = ngx_pnalloc(r->pool, n + 1);
    if (h->value.data == NULL) {
        return NGX_ERROR;
    }
    ngx_cpystrn(h->value.data, (u_char *)value, n + 1);
    return NGX_OK;
}

/* A type that others wrote: a token, a slash, a token, perhaps parameters. */
static bool send_type_ok(const char *s)
{
    size_t n = 0;
    const char *slash = strchr(s, '/');

    for (; s[n]; n++) {
        if ((unsigned char)s[n] < 0x20 || (unsigned char)s[n] > 0x7e) {
            return false;
        }
    }
    return n < 128 && slash && slash > s && slash[1] && !isspace((unsigned char)s[0]);
}

/* What a browser may show on this site without running anything of it. */
static bool send_harmless(const char *type)
{
    return (strncmp(type, "image/", 6) == 0 && strstr(type, "svg") == NULL) || strncmp(type, "audio/", 6) == 0 ||
           strncmp(type, "video/", 6) == 0;
}

static ngx_int_t send_disposition(ngx_http_request_t *r, const char *name, bool attachment)
{
    ngx_int_t rc;
    wagw_buf_t b = {0};

    wagw_buf_cstr(&b, attachment ? "attachment" : "inline");
    if (name && *name) {
        wagw_buf_cstr(&b, "; filename*=UTF-8''");
        for (; *name; name++) {
            if (isalnum((unsigned char)*name) || strchr("-_.~", *name)) {
                wagw_buf_u8(&b, (uint8_t)*name);
            } else {
                wagw_buf_printf(&b, "%%%02X", (uint8_t)*name);
            }
        }
    }
    rc = b.failed ? NGX_ERROR : send_header(r, "Content-Disposition", (char *)b.p, b.n);
    wagw_buf_free(&b);
    return rc;
}

/* One range: NGX_OK, NGX_DECLINED (none, or what we do not do), NGX_ERROR (416). */
static ngx_int_t send_range(ngx_http_request_t *r, uint64_t size, ngx_str_t *etag, uint64_t *from, uint64_t *to)
{
    int rc;
    ngx_str_t *v;
    ngx_table_elt_t *h = ngx_wagw_header(r, "If-Range");

    if (r->headers_in.range == NULL || size == 0) {
        return NGX_DECLINED;
    }
    if (h && (h->value.len != etag->len || ngx_memcmp(h->value.data, etag->data, etag->len) != 0)) {
        return NGX_DECLINED;
    }
    v = &r->headers_in.range->value;
    rc = ngx_wagw_headers_range(wagw_str(v->data, v->len), size, from, to);
    return rc == WAGW_OK ? NGX_OK : rc == WAGW_LIMIT ? NGX_ERROR : NGX_DECLINED;
}

/* The next plaintext into the buffer; NGX_DONE when it was the last. */
static ngx_int_t send_fill(send_t *s)
{
    ssize_t n;
    size_t want;

    wagw_buf_reset(&s->plain);
    while (s->plain.n == 0) {
        if (s->at >= s->end) {
            return NGX_ERROR; /* shorter than it said */
        }
        want = ngx_min(SEND_BUFFER, s->end - s->at);
        n = pread(s->fd, s->chunk, want, (off_t)s->at);
        if (n == -1 && ngx_errno == NGX_EINTR) {
            continue;
        }
        if (n <= 0) {
            return NGX_ERROR;
        }
        s->at += (uint64_t)n;
        if (s->open == NULL) {
            s->buf->pos = s->chunk;
            s->buf->last = s->chunk + n;
            break;
        }
        if (wagw_media_open_add(s->open, &s->plain, wagw_str(s->chunk, (size_t)n)) != WAGW_OK) {
            return NGX_ERROR;
        }
        s->buf->pos = s->plain.p;
        s->buf->last = s->plain.p + s->plain.n;
    }
    s->buf->start = s->buf->pos;
    s->buf->end = s->buf->last;
    return s->at >= s->end ? NGX_DONE : NGX_OK;
}

static ngx_int_t send_more(ngx_http_request_t *r, send_t *s)
{
    ngx_int_t rc, filled = NGX_OK;
    ngx_chain_t *cl;

    for (;;) {
        /* the one buffer is used again once all of it has gone */
        if (s->buf->pos != s->buf->last || r->buffered) {
            rc = ngx_http_output_filter(r, NULL);
            if (rc == NGX_ERROR) {
                return rc;
            }
            if (s->buf->pos != s->buf->last || r->buffered) {
                return NGX_AGAIN;
            }
        }
        if (s->buf->last_buf) {
            return NGX_OK;
        }
        filled = send_fill(s);
        if (filled == NGX_ERROR) {
            return NGX_ERROR;
        }
        s->buf->flush = 1;
        if (filled == NGX_DONE) {
            s->buf->last_buf = r == r->main;
            s->buf->last_in_chain = 1;
        }
        cl = &s->out;
        cl->buf = s->buf;
        cl->next = NULL;
        rc = ngx_http_output_filter(r, cl);
        if (rc == NGX_ERROR) {
            return rc;
        }
    }
}

static void send_write(ngx_http_request_t *r)
{
    ngx_int_t rc;
    ngx_event_t *wev = r->connection->write;
    ngx_http_core_loc_conf_t *clcf = ngx_http_get_module_loc_conf(r->main, ngx_http_core_module);
    send_t *s = ((ngx_wagw_ctx_t *)ngx_http_get_module_ctx(r, ngx_http_wagw_module))->sending;

    if (wev->timedout) {
        r->connection->timedout = 1;
        ngx_http_finalize_request(r, NGX_HTTP_REQUEST_TIME_OUT);
        return;
    }
    if (wev->delayed) {
        if (ngx_handle_write_event(wev, 0) != NGX_OK) {
            ngx_http_finalize_request(r, NGX_ERROR);
        }
        return;
    }
    rc = send_more(r, s);
    if (rc != NGX_AGAIN) {
        ngx_http_finalize_request(r, rc);
        return;
    }
    if (!wev->delayed) {
        ngx_add_timer(wev, clcf->send_timeout);
    }
    if (ngx_handle_write_event(wev, clcf->send_lowat) != NGX_OK) {
        ngx_http_finalize_request(r, NGX_ERROR);
    }
}

static ngx_int_t send_fixed(const cJSON *d, const char *name, uint8_t *out, size_t n)
{
    ngx_int_t rc = NGX_ERROR;
    wagw_buf_t b = {0};
    const char *s = cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(d, name));

    if (s && wagw_base64_decode(&b, wagw_cstr(s)) == WAGW_OK && b.n == n) {
        memcpy(out, b.p, n);
        rc = NGX_OK;
    }
    wagw_buf_wipe(&b);
    return rc;
}

static ngx_int_t send_etag(ngx_http_request_t *r, const cJSON *d, ngx_str_t *etag)
{
    uint8_t sum[32];
    u_char *p;

    ngx_str_null(etag);
    if (send_fixed(d, "sha256", sum, 32) != NGX_OK) {
        return NGX_OK;
    }
    p = ngx_pnalloc(r->pool, 34);
    r->headers_out.etag = ngx_list_push(&r->headers_out.headers);
    if (p == NULL || r->headers_out.etag == NULL) {
        return NGX_ERROR;
    }
    etag->data = p;
    etag->len = 34;
    *p++ = '"';
    p = ngx_hex_dump(p, sum, 16);
    *p = '"';
    r->headers_out.etag->hash = 1;
    ngx_str_set(&r->headers_out.etag->key, "ETag");
    r->headers_out.etag->value = *etag;
    return NGX_OK;
}

ngx_int_t ngx_wagw_media_send(ngx_http_request_t *r, ngx_wagw_ctx_t *ctx, ngx_str_t *description)
{
    int n;
    char range[80];
    send_t *s;
    uint64_t size, from = 0, to;
    ngx_int_t rc;
    ngx_str_t etag, none = ngx_null_string;
    ngx_pool_cleanup_t *cln;
    wagw_media_keys_t keys;
    bool envelope;
    const char *type, *path, *name;
    cJSON *d = cJSON_ParseWithLength((char *)description->data, description->len);

    rc = NGX_HTTP_INTERNAL_SERVER_ERROR;
    path = cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(d, "path"));
    name = cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(d, "fileName"));
    type = cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(d, "mimetype"));
    size = to = (uint64_t)cJSON_GetNumberValue(cJSON_GetObjectItemCaseSensitive(d, "size"));
    if (type == NULL || !send_type_ok(type)) {
        type = "application/octet-stream";
    }
    ngx_memzero(&keys, sizeof(keys));
    s = ngx_pcalloc(r->pool, sizeof(send_t));
    cln = ngx_pool_cleanup_add(r->pool, 0);
    if (path == NULL || s == NULL || cln == NULL) {
        goto done;
    }
    s->fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
    cln->handler = send_cleanup;
    cln->data = s;
    if (s->fd == NGX_INVALID_FILE) {
        ngx_log_error(NGX_LOG_ERR, r->connection->log, ngx_errno, "wagw: \"%s\" cannot be opened", path);
        goto done;
    }

    ctx->answered = 1;
    r->headers_out.status = NGX_HTTP_OK;
    r->headers_out.content_type.len = ngx_strlen(type);
    r->headers_out.content_type.data = ngx_pnalloc(r->pool, r->headers_out.content_type.len + 1);
    if (r->headers_out.content_type.data == NULL) {
        goto done;
    }
    ngx_cpystrn(r->headers_out.content_type.data, (u_char *)type, r->headers_out.content_type.len + 1);
    r->headers_out.content_type_len = strcspn(type, ";");
    r->headers_out.content_type_lowcase = NULL;
    envelope = cJSON_IsTrue(cJSON_GetObjectItemCaseSensitive(d, "envelope"));
    ngx_str_null(&etag);
    if (envelope) {
        goto whole;
    }
    if (send_etag(r, d, &etag) != NGX_OK || send_header(r, "Accept-Ranges", "bytes", 5) != NGX_OK ||
        send_header(r, "X-Content-Type-Options", "nosniff", 7) != NGX_OK ||
        send_header(r, "Cache-Control", "private", 7) != NGX_OK ||
        send_disposition(r, name,
                         !send_harmless(type) || cJSON_IsTrue(cJSON_GetObjectItemCaseSensitive(d, "attachment"))) !=
            NGX_OK) {
        goto done;
    }

    rc = send_range(r, size, &etag, &from, &to);
    if (rc == NGX_ERROR) {
        n = snprintf(range, sizeof(range), "bytes */%llu", (unsigned long long)size);
        ngx_http_clear_etag(r);
        rc = send_header(r, "Content-Range", range, (size_t)n) == NGX_OK
                 ? ngx_wagw_send(r, ctx, NGX_HTTP_RANGE_NOT_SATISFIABLE, &none, &none)
                 : NGX_HTTP_INTERNAL_SERVER_ERROR;
        goto done;
    }
    if (rc == NGX_OK) {
        n = snprintf(range, sizeof(range), "bytes %llu-%llu/%llu", (unsigned long long)from, (unsigned long long)to - 1,
                     (unsigned long long)size);
        r->headers_out.status = NGX_HTTP_PARTIAL_CONTENT;
        if (send_header(r, "Content-Range", range, (size_t)n) != NGX_OK) {
            rc = NGX_HTTP_INTERNAL_SERVER_ERROR;
            goto done;
        }
    }

whole:
    rc = NGX_HTTP_INTERNAL_SERVER_ERROR;
    s->at = from;
    s->end = to;
    if (cJSON_GetObjectItemCaseSensitive(d, "key")) {
        if (send_fixed(d, "key", keys.cipher, 32) != NGX_OK || send_fixed(d, "iv", keys.iv, 16) != NGX_OK ||
            (s->open = wagw_media_open(&keys, from, to, &s->at, &s->end)) == NULL) {
            goto done;
        }
    }
    r->headers_out.content_length_n = (off_t)(to - from);
    if (to == from) {
        r->header_only = 1;
    }
    rc = ngx_http_send_header(r);
    if (rc == NGX_ERROR || rc > NGX_OK || r->header_only) {
        goto done;
    }
    s->buf = ngx_calloc_buf(r->pool);
    if (s->buf == NULL) {
        rc = NGX_ERROR;
        goto done;
    }
    s->buf->temporary = 1;
    ctx->sending = s;
    r->read_event_handler = ngx_http_test_reading;
    r->write_event_handler = send_write;
    rc = send_more(r, s);
    if (rc == NGX_AGAIN) {
        ngx_http_core_loc_conf_t *clcf = ngx_http_get_module_loc_conf(r->main, ngx_http_core_module);

        if (!r->connection->write->delayed) {
            ngx_add_timer(r->connection->write, clcf->send_timeout);
        }
        if (ngx_handle_write_event(r->connection->write, clcf->send_lowat) != NGX_OK) {
            rc = NGX_ERROR;
        } else {
            rc = NGX_DONE; /* send_write() goes on */
            r->main->count++;
        }
    }

done:
    wagw_wipe(&keys, sizeof(keys));
    cJSON_Delete(d);
    return rc;
}
