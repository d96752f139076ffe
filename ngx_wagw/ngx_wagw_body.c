/*
 * From bytes to ctx->params: the body (JSON or form), beneath it the query,
 * over both the path.  Runs in the worker, after the body was read.
 */

#include "ngx_wagw_http.h"

#define BODY_PAIRS 200 /* query and form */

static ngx_int_t body_bytes(ngx_http_request_t *r, ngx_str_t *body)
{
    u_char *p;
    size_t n = 0;
    ssize_t got;
    ngx_buf_t *b;
    ngx_chain_t *cl;

    ngx_str_null(body);
    if (r->request_body == NULL || r->request_body->bufs == NULL) {
        return NGX_OK;
    }
    for (cl = r->request_body->bufs; cl; cl = cl->next) {
        n += ngx_buf_size(cl->buf);
    }
    cl = r->request_body->bufs;
    if (cl->next == NULL && !cl->buf->in_file) {
        body->data = cl->buf->pos;
        body->len = n;
        return NGX_OK;
    }
    p = ngx_pnalloc(r->pool, n + 1);
    if (p == NULL) {
        return NGX_ERROR;
    }
    body->data = p;
    body->len = n;
    for (; cl; cl = cl->next) {
        b = cl->buf;
        if (!b->in_file) {
            if (b->pos < b->last) { /* the last buffer of a chunked body has no memory */
                p = ngx_cpymem(p, b->pos, b->last - b->pos);
            }
            continue;
        }
        n = b->file_last - b->file_pos;
        got = ngx_read_file(b->file, p, n, b->file_pos);
        if (got < 0 || (size_t)got != n) {
            return NGX_ERROR;
        }
        p += n;
    }
    return NGX_OK;
}

ngx_int_t ngx_wagw_refuse_json(ngx_wagw_ctx_t *ctx, ngx_wagw_json_rc_t rc)
{
    static const char *const text[] = {"",
                                       "The body is not valid JSON",
                                       "The JSON body is nested too deeply",
                                       "The JSON body has too many values",
                                       "The body is not valid UTF-8",
                                       "The body contains a NUL character"};

    if (rc == NGX_WAGW_JSON_NUL) {
        return ngx_wagw_refuse_field(ctx, "VALIDATION_FAILED", "body", "strings must not contain NUL characters");
    }
    return ngx_wagw_refuse(ctx, 400, "INVALID_JSON", text[rc]);
}

/* "type/subtype" of the header, any parameters behind it */
static ngx_uint_t body_type_is(ngx_str_t *header, const char *type)
{
    size_t n = ngx_strlen(type);

    return header->len >= n && ngx_strncasecmp(header->data, (u_char *)type, n) == 0 &&
           (header->len == n || header->data[n] == ';' || header->data[n] == ' ');
}

static int body_hex(u_char c)
{
    if (c >= '0' && c <= '9') {
        return c - '0';
    }
    c |= 0x20;
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

static char *body_decode(ngx_pool_t *pool, u_char *p, size_t n)
{
    size_t i;
    u_char *out, *d;

    out = d = ngx_pnalloc(pool, n + 1);
    if (out == NULL) {
        return NULL;
    }
    for (i = 0; i < n; i++) {
        if (p[i] == '+') {
            *d++ = ' ';
        } else if (p[i] == '%' && i + 2 < n && body_hex(p[i + 1]) >= 0 && body_hex(p[i + 2]) >= 0) {
            *d++ = body_hex(p[i + 1]) << 4 | body_hex(p[i + 2]);
            i += 2;
        } else {
            *d++ = p[i];
        }
    }
    *d = '\0';
    /* strings end at a NUL from here on, and JSON knows UTF-8 only */
    if (ngx_strlen(out) != (size_t)(d - out) || !wagw_utf8_valid(wagw_str(out, d - out))) {
        return NULL;
    }
    return (char *)out;
}

/* a=b&c=d into params; what is there already stays */
static ngx_int_t body_pairs(ngx_http_request_t *r, ngx_wagw_ctx_t *ctx, ngx_str_t *s, const char *where)
{
    char *name, *value;
    u_char *p = s->data, *end = s->data + s->len, *amp, *eq;
    cJSON *item;
    ngx_uint_t n = 0;

    while (p < end) {
        amp = ngx_strlchr(p, end, '&');
        amp = amp ? amp : end;
        if (amp > p) {
            if (++n > BODY_PAIRS) {
                return ngx_wagw_refuse_field(ctx, "VALIDATION_FAILED", where, "too many parameters");
            }
            eq = ngx_strlchr(p, amp, '=');
            name = body_decode(r->pool, p, (eq ? eq : amp) - p);
            value = body_decode(r->pool, eq ? eq + 1 : amp, eq ? amp - eq - 1 : 0);
            if (name == NULL || value == NULL) {
                return ngx_wagw_refuse_field(ctx, "VALIDATION_FAILED", where, "must be percent-encoded UTF-8");
            }
            if (*name && *name != '_' && ngx_strcmp(name, "apiKey") != 0 &&
                cJSON_GetObjectItemCaseSensitive(ctx->params, name) == NULL) {
                item = ngx_wagw_fields_value(ctx->match.route->fields, name, value);
                if (item == NULL || !cJSON_AddItemToObject(ctx->params, name, item)) {
                    cJSON_Delete(item);
                    return NGX_ERROR;
                }
            }
        }
        p = amp + 1;
    }
    return NGX_OK;
}

static void body_cleanup(void *data)
{
    cJSON_Delete(((ngx_wagw_ctx_t *)data)->params);
}

/* A body that is in memory, or will be. */
static ngx_int_t body_parse(ngx_http_request_t *r, ngx_wagw_ctx_t *ctx, ngx_str_t *type)
{
    ngx_str_t body;
    ngx_wagw_json_rc_t jrc;

    if (body_bytes(r, &body) != NGX_OK) {
        return NGX_ERROR;
    }
    wagw_sha256(ctx->body_hash, wagw_str(body.data, body.len));

    if (body.len && (type->len == 0 || body_type_is(type, "application/json"))) {
        jrc = ngx_wagw_json_check(body.data, body.len);
        if (jrc != NGX_WAGW_JSON_OK) {
            return ngx_wagw_refuse_json(ctx, jrc);
        }
        ctx->params = cJSON_ParseWithLength((char *)body.data, body.len);
        if (ctx->params == NULL) {
            return ngx_wagw_refuse_json(ctx, NGX_WAGW_JSON_SYNTAX);
        }
        if (!cJSON_IsObject(ctx->params)) {
            return ngx_wagw_refuse_field(ctx, "VALIDATION_FAILED", "body", "must be an object");
        }
        return NGX_OK;
    }
    ctx->params = cJSON_CreateObject();
    if (ctx->params == NULL) {
        return NGX_ERROR;
    }
    if (body.len == 0) {
        return NGX_OK;
    }
    if (!body_type_is(type, "application/x-www-form-urlencoded")) {
        return ngx_wagw_refuse(ctx, 415, "UNSUPPORTED_MEDIA", "The body must be application/json");
    }
    return body_pairs(r, ctx, &body, "body");
}

/* Names that begin with "_" are between the worker, the owner and the engine. */
static void body_private(cJSON *params)
{
    cJSON *item, *next;

    for (item = params->child; item; item = next) {
        next = item->next;
        if (item->string[0] == '_') {
            cJSON_Delete(cJSON_DetachItemViaPointer(params, item));
        }
    }
}

ngx_int_t ngx_wagw_params(ngx_http_request_t *r, ngx_wagw_ctx_t *ctx)
{
    char *name, *value;
    cJSON *item, *spool = NULL;
    ngx_int_t rc = NGX_DONE;
    ngx_str_t type = ngx_null_string;
    ngx_uint_t i;
    ngx_pool_cleanup_t *cln;

    cln = ngx_pool_cleanup_add(r->pool, 0);
    if (cln == NULL) {
        return NGX_ERROR;
    }
    cln->handler = body_cleanup;
    cln->data = ctx;

    if (r->headers_in.content_type) {
        type = r->headers_in.content_type->value;
    }
    if (ctx->match.route->flags & NGX_WAGW_R_MEDIA) {
        rc = ngx_wagw_spool(r, ctx, &type, &spool);
    }
    if (rc == NGX_DONE) {
        rc = body_parse(r, ctx, &type);
    }
    if (rc == NGX_OK) {
        body_private(ctx->params);
        if (spool && !cJSON_AddItemToObject(ctx->params, "_spool", spool)) {
            rc = NGX_ERROR;
        }
    }
    if (rc != NGX_OK) {
        cJSON_Delete(spool);
        return rc;
    }
    rc = body_pairs(r, ctx, &r->args, "query");
    if (rc != NGX_OK) {
        return rc;
    }

    for (i = 0; i < ctx->match.nparams; i++) {
        name = ngx_pnalloc(r->pool, ctx->match.params[i].name.len + 1);
        value = ngx_pnalloc(r->pool, ctx->match.params[i].value.len + 1);
        if (name == NULL || value == NULL) {
            return NGX_ERROR;
        }
        ngx_cpystrn((u_char *)name, ctx->match.params[i].name.data, ctx->match.params[i].name.len + 1);
        ngx_cpystrn((u_char *)value, ctx->match.params[i].value.data, ctx->match.params[i].value.len + 1);
        if (ngx_strlen(value) != ctx->match.params[i].value.len || !wagw_utf8_valid(wagw_cstr(value))) {
            return ngx_wagw_refuse_field(ctx, "VALIDATION_FAILED", name, "must be UTF-8 without NUL characters");
        }
        item = cJSON_CreateString(value);
        cJSON_DeleteItemFromObjectCaseSensitive(ctx->params, name);
        if (item == NULL || !cJSON_AddItemToObject(ctx->params, name, item)) {
            cJSON_Delete(item);
            return NGX_ERROR;
        }
    }
    return NGX_OK;
}
