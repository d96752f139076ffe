/*
 * Bodies of calls that carry media.  nginx has put the body into a file; what
 * is a file of the caller's stays there, the rest becomes parameters.  The
 * owner is told path, offset and length of each file in params._spool:
 *
 *     {"path":"/..","parts":{"file":{"offset":1,"length":2,"base64":false,...}}}
 *
 * A part's name is that of the parameter in whose place it stands.  Members
 * that begin with "_" never come from a caller: body.c takes them out.
 */

#include "ngx_wagw_http.h"

#include <openssl/rand.h>

#define SPOOL_CHUNK 65536
#define SPOOL_STRING (400 * 1024) /* a longer string of JSON stays in the file */
#define SPOOL_TEXT (900 * 1024)   /* all that does not stay there */
#define SPOOL_PARTS 100
#define SPOOL_HEAD 4096   /* of a multipart part */
#define SPOOL_VALUE 65536 /* a field of multipart that is no file */
#define SPOOL_FILES 8

typedef struct {
    ngx_fd_t fd;
    off_t size;
    u_char buf[SPOOL_CHUNK];
    off_t at; /* of buf in the file */
    size_t n;
} spool_t;

static ngx_int_t spool_read(spool_t *s, off_t at)
{
    ssize_t n;

    do {
        n = pread(s->fd, s->buf, SPOOL_CHUNK, at);
    } while (n == -1 && ngx_errno == NGX_EINTR);
    if (n < 0) {
        return NGX_ERROR;
    }
    s->at = at;
    s->n = (size_t)n;
    return NGX_OK;
}

/* Offset of the needle at or behind `from`; -1: none, -2: cannot read. */
static off_t spool_find(spool_t *s, off_t from, const u_char *needle, size_t len)
{
    u_char *p;

    while (from + (off_t)len <= s->size) {
        if (spool_read(s, from) != NGX_OK) {
            return -2;
        }
        if (s->n < len) {
            return -2;
        }
        p = memmem(s->buf, s->n, needle, len);
        if (p) {
            return from + (p - s->buf);
        }
        from += s->n - len + 1;
    }
    return -1;
}

static cJSON *spool_part(cJSON *parts, const char *name, off_t offset, off_t length, ngx_uint_t base64)
{
    cJSON *part = cJSON_AddObjectToObject(parts, name);

    if (part == NULL || cJSON_AddNumberToObject(part, "offset", (double)offset) == NULL ||
        cJSON_AddNumberToObject(part, "length", (double)length) == NULL ||
        cJSON_AddBoolToObject(part, "base64", base64) == NULL) {
        return NULL;
    }
    return part;
}

/* ---- JSON ---- */

typedef struct {
    off_t offset, length;
} spool_string_t;

typedef struct {
    char nonce[33];
    spool_string_t strings[SPOOL_FILES];
    ngx_uint_t n;
} spool_json_t;

/* Copies the text, long strings left out: "NONCE:index" stands for them. */
static ngx_int_t spool_shorten(spool_t *s, spool_json_t *j, wagw_buf_t *out)
{
    u_char c;
    off_t at, start = 0;
    size_t i, before = 0;
    ngx_uint_t in_string = 0, escaped = 0, left_out = 0;

    for (at = 0; at < s->size; at += s->n) {
        if (spool_read(s, at) != NGX_OK || s->n == 0) {
            return NGX_ERROR;
        }
        for (i = 0; i < s->n; i++) {
            c = s->buf[i];
            if (!in_string) {
                wagw_buf_u8(out, c);
                if (c == '"') {
                    in_string = 1;
                    start = at + (off_t)i + 1;
                    before = out->n;
                }
                continue;
            }
            if (!escaped && c == '"') {
                in_string = 0;
                if (left_out) {
                    j->strings[j->n].offset = start;
                    j->strings[j->n].length = at + (off_t)i - start;
                    wagw_buf_printf(out, "%s:%u", j->nonce, (unsigned)j->n);
                    j->n++;
                    left_out = 0;
                }
            } else {
                escaped = !escaped && c == '\\';
                if (left_out) {
                    continue;
                }
                if (out->n - before >= SPOOL_STRING) {
                    if (j->n == SPOOL_FILES) {
                        return NGX_DECLINED;
                    }
                    out->n = before;
                    left_out = 1;
                    continue;
                }
            }
            wagw_buf_u8(out, c);
        }
        if (out->n > SPOOL_TEXT) {
            return NGX_DECLINED;
        }
        if (out->failed) {
            return NGX_ERROR;
        }
    }
    return NGX_OK;
}

/* Which left-out string a value stands for; -1: it is an ordinary one. */
static int spool_index(const spool_json_t *j, const cJSON *item)
{
    ngx_int_t n;
    const char *s = cJSON_GetStringValue(item);

    if (s == NULL || ngx_strncmp(s, j->nonce, 32) != 0 || s[32] != ':') {
        return -1;
    }
    n = ngx_atoi((u_char *)s + 33, ngx_strlen(s + 33));
    return n >= 0 && (ngx_uint_t)n < j->n ? (int)n : -1;
}

/* Places where a file may stand: a member, or a member of a member. */
static ngx_int_t spool_places(ngx_wagw_ctx_t *ctx, const spool_json_t *j, cJSON *parts)
{
    int k;
    char name[128];
    cJSON *item, *sub;
    ngx_uint_t found = 0;

    cJSON_ArrayForEach(item, ctx->params)
    {
        k = spool_index(j, item);
        if (k >= 0) {
            if (spool_part(parts, item->string, j->strings[k].offset, j->strings[k].length, 1) == NULL) {
                return NGX_ERROR;
            }
            item->valuestring[0] = '\0';
            found++;
        }
        if (!cJSON_IsObject(item)) {
            continue;
        }
        cJSON_ArrayForEach(sub, item)
        {
            k = spool_index(j, sub);
            if (k < 0) {
                continue;
            }
            snprintf(name, sizeof(name), "%s.%s", item->string, sub->string);
            if (spool_part(parts, name, j->strings[k].offset, j->strings[k].length, 1) == NULL) {
                return NGX_ERROR;
            }
            sub->valuestring[0] = '\0';
            found++;
        }
    }
    if (found < j->n) {
        return ngx_wagw_refuse_field(ctx, "VALIDATION_FAILED", "body", "a string is too long");
    }
    return NGX_OK;
}

static ngx_int_t spool_json(ngx_http_request_t *r, ngx_wagw_ctx_t *ctx, spool_t *s, cJSON *parts)
{
    size_t i;
    u_char random[16];
    ngx_int_t rc;
    wagw_buf_t text = {0};
    spool_json_t j;
    ngx_wagw_json_rc_t jrc;

    ngx_memzero(&j, sizeof(j));
    if (RAND_bytes(random, sizeof(random)) != 1) {
        return NGX_ERROR;
    }
    for (i = 0; i < sizeof(random); i++) {
        snprintf(j.nonce + 2 * i, 3, "%02x", random[i]);
    }
    rc = spool_shorten(s, &j, &text);
    if (rc == NGX_DECLINED) {
        ngx_wagw_refuse(ctx, 413, "BODY_TOO_LARGE", "Request body too large");
    }
    if (rc == NGX_OK) {
        jrc = ngx_wagw_json_check(text.p, text.n);
        if (jrc != NGX_WAGW_JSON_OK) {
            rc = ngx_wagw_refuse_json(ctx, jrc);
        }
    }
    if (rc == NGX_OK) {
        ctx->params = cJSON_ParseWithLength((char *)text.p, text.n);
        if (ctx->params == NULL) {
            rc = ngx_wagw_refuse_json(ctx, NGX_WAGW_JSON_SYNTAX);
        } else if (!cJSON_IsObject(ctx->params)) {
            rc = ngx_wagw_refuse_field(ctx, "VALIDATION_FAILED", "body", "must be an object");
        } else {
            rc = spool_places(ctx, &j, parts);
        }
    }
    wagw_buf_free(&text);
    return rc;
}

/* ---- multipart ---- */

/* The value of a parameter of a header line, as a string of the request's pool. */
static char *spool_parameter(ngx_pool_t *pool, u_char *p, u_char *end, const char *name)
{
    char *out;
    u_char *v, *d;
    size_t len = ngx_strlen(name);

    for (; p + len + 1 < end; p++) {
        if ((p[-1] != ';' && p[-1] != ' ') || ngx_strncasecmp(p, (u_char *)name, len) != 0 || p[len] != '=') {
            continue;
        }
        v = p + len + 1;
        out = ngx_pnalloc(pool, end - v + 1);
        if (out == NULL) {
            return NULL;
        }
        d = (u_char *)out;
        if (*v == '"') {
            for (v++; v < end && *v != '"'; v++) {
                if (*v == '\\' && v + 1 < end && (v[1] == '"' || v[1] == '\\')) {
                    v++;
                }
                *d++ = *v;
            }
        } else {
            for (; v < end && *v != ';' && *v != ' '; v++) {
                *d++ = *v;
            }
        }
        *d = '\0';
        if (ngx_strlen(out) != (size_t)(d - (u_char *)out) || !wagw_utf8_valid(wagw_cstr(out))) {
            return NULL;
        }
        return out;
    }
    return NULL;
}

typedef struct {
    char *name, *file, *type;
} spool_head_t;

static void spool_head(ngx_pool_t *pool, u_char *p, u_char *end, spool_head_t *h)
{
    u_char *line, *last, *v;

    ngx_memzero(h, sizeof(*h));
    for (line = p; line < end; line = last + 2) {
        for (last = line; last + 1 < end && !(last[0] == '\r' && last[1] == '\n'); last++) {
        }
        if (last + 1 >= end) {
            last = end;
        }
        v = ngx_strlchr(line, last, ':');
        if (v == NULL) {
            continue;
        }
        if (v - line == 19 && ngx_strncasecmp(line, (u_char *)"Content-Disposition", 19) == 0) {
            h->name = spool_parameter(pool, v + 1, last, "name");
            h->file = spool_parameter(pool, v + 1, last, "filename");
        } else if (v - line == 12 && ngx_strncasecmp(line, (u_char *)"Content-Type", 12) == 0) {
            for (v++; v < last && *v == ' '; v++) {
            }
            h->type = ngx_pnalloc(pool, last - v + 1);
            if (h->type) {
                ngx_cpystrn((u_char *)h->type, v, last - v + 1);
            }
        }
    }
}

static ngx_int_t spool_multipart_bad(ngx_wagw_ctx_t *ctx)
{
    return ngx_wagw_refuse_field(ctx, "VALIDATION_FAILED", "body", "is not well-formed multipart/form-data");
}

static ngx_int_t spool_value(ngx_http_request_t *r, ngx_wagw_ctx_t *ctx, spool_t *s, const char *name, off_t at,
                             off_t len)
{
    char *text;
    cJSON *item;

    if (len > SPOOL_VALUE) {
        return ngx_wagw_refuse_field(ctx, "VALIDATION_FAILED", name, "too long");
    }
    text = ngx_pnalloc(r->pool, (size_t)len + 1);
    if (text == NULL || pread(s->fd, text, (size_t)len, at) != (ssize_t)len) {
        return NGX_ERROR;
    }
    text[len] = '\0';
    if (ngx_strlen(text) != (size_t)len || !wagw_utf8_valid(wagw_str(text, (size_t)len))) {
        return ngx_wagw_refuse_field(ctx, "VALIDATION_FAILED", name, "must be UTF-8 without NUL characters");
    }
    if (name[0] == '_' || cJSON_GetObjectItemCaseSensitive(ctx->params, name)) {
        return NGX_OK;
    }
    item = ngx_wagw_fields_value(ctx->match.route->fields, name, text);
    if (item == NULL || !cJSON_AddItemToObject(ctx->params, name, item)) {
        cJSON_Delete(item);
        return NGX_ERROR;
    }
    return NGX_OK;
}

static char *spool_boundary(ngx_pool_t *pool, ngx_str_t *type)
{
    return spool_parameter(pool, type->data + 19, type->data + type->len, "boundary");
}

static ngx_int_t spool_multipart(ngx_http_request_t *r, ngx_wagw_ctx_t *ctx, spool_t *s, ngx_str_t *type, cJSON *parts)
{
    char *boundary;
    cJSON *part;
    off_t at, end, body;
    u_char delimiter[80], head[SPOOL_HEAD];
    size_t len;
    ssize_t n;
    u_char *p;
    ngx_int_t rc;
    ngx_uint_t count;
    spool_head_t h;

    boundary = spool_boundary(r->pool, type);
    if (boundary == NULL || *boundary == '\0' || ngx_strlen(boundary) > 70) {
        return spool_multipart_bad(ctx);
    }
    len = (size_t)snprintf((char *)delimiter, sizeof(delimiter), "\r\n--%s", boundary);

    ctx->params = cJSON_CreateObject();
    if (ctx->params == NULL) {
        return NGX_ERROR;
    }
    /* the first delimiter may have nothing before it */
    at = spool_find(s, 0, delimiter + 2, len - 2);
    if (at < 0) {
        return at == -2 ? NGX_ERROR : spool_multipart_bad(ctx);
    }
    at += (off_t)len - 2;

    for (count = 0;; count++) {
        n = pread(s->fd, head, sizeof(head), at);
        if (n < 2) {
            return spool_multipart_bad(ctx);
        }
        if (head[0] == '-' && head[1] == '-') {
            return NGX_OK;
        }
        p = memmem(head, (size_t)n, "\r\n\r\n", 4);
        if (head[0] != '\r' || head[1] != '\n' || p == NULL || count == SPOOL_PARTS) {
            return spool_multipart_bad(ctx);
        }
        spool_head(r->pool, head + 2, p + 2, &h);
        body = at + (p + 4 - head);
        end = spool_find(s, body, delimiter, len);
        if (end < 0) {
            return end == -2 ? NGX_ERROR : spool_multipart_bad(ctx);
        }
        at = end + (off_t)len;
        if (h.name == NULL || *h.name == '\0') {
            return spool_multipart_bad(ctx);
        }
        if (h.file == NULL && ngx_strcmp(h.name, "file") != 0) {
            rc = spool_value(r, ctx, s, h.name, body, end - body);
            if (rc != NGX_OK) {
                return rc;
            }
            continue;
        }
        if (cJSON_GetObjectItemCaseSensitive(parts, "file")) {
            continue; /* one message carries one */
        }
        part = spool_part(parts, "file", body, end - body, 0);
        if (part == NULL || (h.file && *h.file && cJSON_AddStringToObject(part, "fileName", h.file) == NULL) ||
            (h.type && *h.type && cJSON_AddStringToObject(part, "mimetype", h.type) == NULL)) {
            return NGX_ERROR;
        }
    }
}

/* ---- both ---- */

static ngx_int_t spool_hash_range(spool_t *s, wagw_digest_t *d, off_t at, off_t end)
{
    size_t n;

    for (; at < end; at += (off_t)n) {
        if (spool_read(s, at) != NGX_OK || s->n == 0) {
            return NGX_ERROR;
        }
        n = (size_t)ngx_min((off_t)s->n, end - at);
        if (wagw_digest_add(d, wagw_str(s->buf, n)) != WAGW_OK) {
            return NGX_ERROR;
        }
    }
    return NGX_OK;
}

/* The boundary of multipart is no part of what is said: clients make a new one for every try. */
static ngx_int_t spool_hash(ngx_wagw_ctx_t *ctx, spool_t *s, const char *boundary)
{
    off_t at, end;
    size_t len = boundary ? ngx_strlen(boundary) : 0;
    ngx_int_t rc;
    wagw_digest_t *d = wagw_digest_sha256();

    if (d == NULL) {
        return NGX_ERROR;
    }
    for (rc = NGX_OK, at = 0; rc == NGX_OK && at < s->size; at = end + (off_t)len) {
        end = len ? spool_find(s, at, (const u_char *)boundary, len) : -1;
        if (end == -2) {
            rc = NGX_ERROR;
            break;
        }
        rc = spool_hash_range(s, d, at, end == -1 ? s->size : end);
        if (rc != NGX_OK || end == -1) {
            break;
        }
        /* a mark, so that what stood on both sides does not run together */
        rc = wagw_digest_add(d, wagw_str("", 1)) == WAGW_OK ? NGX_OK : NGX_ERROR;
    }
    if (rc == NGX_OK && wagw_digest_end(d, ctx->body_hash) != WAGW_OK) {
        rc = NGX_ERROR;
    }
    wagw_digest_free(d);
    return rc;
}

ngx_int_t ngx_wagw_spool(ngx_http_request_t *r, ngx_wagw_ctx_t *ctx, ngx_str_t *type, cJSON **spool)
{
    cJSON *parts;
    spool_t *s;
    ngx_int_t rc;
    ngx_uint_t multipart;
    ngx_temp_file_t *tf = r->request_body ? r->request_body->temp_file : NULL;

    multipart = type->len > 19 && ngx_strncasecmp(type->data, (u_char *)"multipart/form-data", 19) == 0;
    if (tf == NULL || tf->file.offset == 0 ||
        (!multipart && type->len && ngx_strncasecmp(type->data, (u_char *)"application/json", 16) != 0)) {
        return NGX_DONE; /* nothing that would be better off here */
    }
    s = ngx_palloc(r->pool, sizeof(spool_t));
    *spool = cJSON_CreateObject();
    parts = cJSON_AddObjectToObject(*spool, "parts");
    if (s == NULL || parts == NULL || cJSON_AddStringToObject(*spool, "path", (char *)tf->file.name.data) == NULL) {
        return NGX_ERROR;
    }
    s->fd = tf->file.fd;
    s->size = tf->file.offset;

    rc = multipart ? spool_multipart(r, ctx, s, type, parts) : spool_json(r, ctx, s, parts);
    /* only who repeats a call has it compared */
    if (rc == NGX_OK && ctx->idempotency_key.len) {
        rc = spool_hash(ctx, s, multipart ? spool_boundary(r->pool, type) : NULL);
    }
    ngx_pfree(r->pool, s);
    return rc;
}
