/*
 * What goes out: the error envelope, our headers on every response of a
 * serving location, and the envelope in place of nginx's own error pages.
 */

#include "ngx_wagw_http.h"

static ngx_http_output_header_filter_pt reply_next_header;
static ngx_http_output_body_filter_pt reply_next_body;

static ngx_int_t reply_header_filter(ngx_http_request_t *r);
static ngx_int_t reply_body_filter(ngx_http_request_t *r, ngx_chain_t *in);

ngx_int_t ngx_wagw_reply_init(ngx_conf_t *cf)
{
    reply_next_header = ngx_http_top_header_filter;
    ngx_http_top_header_filter = reply_header_filter;
    reply_next_body = ngx_http_top_body_filter;
    ngx_http_top_body_filter = reply_body_filter;
    return NGX_OK;
}

ngx_int_t ngx_wagw_refuse(ngx_wagw_ctx_t *ctx, ngx_uint_t status, const char *code, const char *error)
{
    ctx->status = status;
    ctx->code = code;
    ctx->error = error;
    return NGX_DECLINED;
}

static ngx_int_t reply_details(ngx_wagw_ctx_t *ctx, wagw_buf_t *b)
{
    ctx->details.data = b->failed ? NULL : ngx_pnalloc(ctx->request->pool, b->n + 1);
    if (ctx->details.data) {
        ngx_memcpy(ctx->details.data, b->p, b->n);
        ctx->details.len = b->n;
    }
    wagw_buf_free(b);
    return ctx->details.data ? NGX_OK : NGX_ERROR;
}

ngx_int_t ngx_wagw_refuse_field(ngx_wagw_ctx_t *ctx, const char *code, const char *field, const char *reason)
{
    wagw_buf_t b = {0};
    wagw_json_t j = wagw_json(&b);

    wagw_json_field(&j, field, reason);
    if (reply_details(ctx, &b) != NGX_OK) {
        return NGX_ERROR;
    }
    return ngx_wagw_refuse(ctx, 400, code, "Validation failed");
}

ngx_int_t ngx_wagw_error_body(ngx_pool_t *pool, ngx_wagw_ctx_t *ctx, ngx_str_t *extra, ngx_str_t *out)
{
    wagw_buf_t b = {0};
    wagw_json_t j = wagw_json(&b);

    wagw_json_open(&j, '{');
    wagw_json_kbool(&j, "success", false);
    wagw_json_kcstr(&j, "error", ctx->error);
    wagw_json_kcstr(&j, "code", ctx->code);
    if (extra && extra->len) {
        wagw_buf_u8(&b, ',');
        wagw_buf_add(&b, extra->data, extra->len);
    }
    if (ctx->details.len) {
        wagw_json_kraw(&j, "details", wagw_str(ctx->details.data, ctx->details.len));
    }
    if (ctx->hint) {
        wagw_json_kcstr(&j, "hint", ctx->hint);
    }
    if (ctx->retry_after) {
        wagw_json_kint(&j, "retryAfter", ctx->retry_after);
    }
    wagw_json_kstr(&j, "requestId", wagw_str(ctx->request_id.data, ctx->request_id.len));
    wagw_json_close(&j);

    out->data = b.failed ? NULL : ngx_pnalloc(pool, b.n);
    if (out->data) {
        ngx_memcpy(out->data, b.p, b.n);
        out->len = b.n;
    }
    wagw_buf_free(&b);
    return out->data ? NGX_OK : NGX_ERROR;
}

/* path and method of contract 1.1's "Endpoint not found" */
static ngx_int_t reply_where(ngx_http_request_t *r, ngx_str_t *extra)
{
    wagw_buf_t b = {0};
    wagw_json_t j = wagw_json(&b);

    wagw_json_open(&j, '{');
    wagw_json_kstr(&j, "path", wagw_str(r->uri.data, r->uri.len));
    wagw_json_kstr(&j, "method", wagw_str(r->method_name.data, r->method_name.len));
    wagw_json_close(&j);
    if (b.failed || b.n < 2) {
        wagw_buf_free(&b);
        return NGX_ERROR;
    }
    extra->len = b.n - 2;
    extra->data = ngx_pnalloc(r->pool, b.n);
    if (extra->data) {
        ngx_memcpy(extra->data, b.p + 1, b.n - 2);
    }
    wagw_buf_free(&b);
    return extra->data ? NGX_OK : NGX_ERROR;
}

ngx_int_t ngx_wagw_send_refusal(ngx_http_request_t *r, ngx_wagw_ctx_t *ctx)
{
    ngx_str_t type = ngx_string(NGX_WAGW_JSON_TYPE), body, extra = ngx_null_string;
    ngx_wagw_main_conf_t *wmcf = ngx_http_get_module_main_conf(r, ngx_http_wagw_module);

    if (ngx_strcmp(ctx->code, "NOT_FOUND") == 0 && reply_where(r, &extra) != NGX_OK) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }
    if (wmcf->compat && ngx_strcmp(ctx->code, "INSTANCE_NOT_CONNECTED") == 0) {
        ctx->status = 404;
    }
    if (ngx_wagw_error_body(r->pool, ctx, &extra, &body) != NGX_OK) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }
    return ngx_wagw_send(r, ctx, ctx->status, &type, &body);
}

static void reply_set_type(ngx_http_request_t *r, ngx_str_t *type)
{
    u_char *semi = ngx_strlchr(type->data, type->data + type->len, ';');

    r->headers_out.content_type = *type;
    r->headers_out.content_type_len = semi ? (size_t)(semi - type->data) : type->len;
    r->headers_out.content_type_lowcase = NULL;
}

ngx_int_t ngx_wagw_send(ngx_http_request_t *r, ngx_wagw_ctx_t *ctx, ngx_uint_t status, ngx_str_t *type, ngx_str_t *body)
{
    ngx_int_t rc;
    ngx_buf_t *b;
    ngx_chain_t out;

    ctx->answered = 1;
    r->headers_out.status = status;
    r->headers_out.content_length_n = body->len;
    if (type->len) {
        reply_set_type(r, type);
    }
    if (body->len == 0) {
        r->header_only = 1;
    }
    rc = ngx_http_send_header(r);
    if (rc == NGX_ERROR || rc > NGX_OK || r->header_only) {
        return rc;
    }
    b = ngx_calloc_buf(r->pool);
    if (b == NULL) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }
    b->pos = body->data;
    b->last = body->data + body->len;
    b->memory = 1;
    b->last_buf = r == r->main;
    b->last_in_chain = 1;
    out.buf = b;
    out.next = NULL;
    return ngx_http_output_filter(r, &out);
}

/* ---- headers ---- */

static ngx_int_t reply_header(ngx_http_request_t *r, const char *name, ngx_str_t *value)
{
    ngx_table_elt_t *h = ngx_list_push(&r->headers_out.headers);

    if (h == NULL) {
        return NGX_ERROR;
    }
    h->hash = 1;
#if (nginx_version >= 1023000)
    h->next = NULL;
#endif
    h->key.data = (u_char *)name;
    h->key.len = ngx_strlen(name);
    h->value = *value;
    return NGX_OK;
}

static ngx_int_t reply_header_text(ngx_http_request_t *r, const char *name, const char *text)
{
    ngx_str_t value;

    value.data = (u_char *)text;
    value.len = ngx_strlen(text);
    return reply_header(r, name, &value);
}

static ngx_int_t reply_header_number(ngx_http_request_t *r, const char *name, ngx_uint_t n)
{
    ngx_str_t value;

    value.data = ngx_pnalloc(r->pool, NGX_INT_T_LEN);
    if (value.data == NULL) {
        return NGX_ERROR;
    }
    value.len = ngx_sprintf(value.data, "%ui", n) - value.data;
    return reply_header(r, name, &value);
}

static ngx_int_t reply_cors(ngx_http_request_t *r, ngx_wagw_ctx_t *ctx, ngx_wagw_loc_conf_t *wlcf)
{
    ngx_str_t *origins, *origin = NULL;
    ngx_uint_t i;
    ngx_table_elt_t *h;

    if (wlcf->cors == NGX_WAGW_CORS_OFF) {
        return NGX_OK;
    }
    if (wlcf->cors == NGX_WAGW_CORS_ANY) {
        if (reply_header_text(r, "Access-Control-Allow-Origin", "*") != NGX_OK) {
            return NGX_ERROR;
        }
    } else {
        h = ngx_wagw_header(r, "Origin");
        origins = wlcf->origins->elts;
        for (i = 0; h && i < wlcf->origins->nelts; i++) {
            if (origins[i].len == h->value.len && ngx_strncasecmp(origins[i].data, h->value.data, h->value.len) == 0) {
                origin = &h->value;
                break;
            }
        }
        if (reply_header_text(r, "Vary", "Origin") != NGX_OK) {
            return NGX_ERROR;
        }
        if (origin == NULL) {
            return NGX_OK;
        }
        if (reply_header(r, "Access-Control-Allow-Origin", origin) != NGX_OK ||
            reply_header_text(r, "Access-Control-Allow-Credentials", "true") != NGX_OK) {
            return NGX_ERROR;
        }
    }
    if (ctx->preflight) {
        if (reply_header_text(r, "Access-Control-Allow-Methods", ctx->match.allow) != NGX_OK ||
            reply_header_text(r, "Access-Control-Allow-Headers",
                              "Content-Type, X-API-Key, Authorization, apikey, Idempotency-Key, X-Request-Id") !=
                NGX_OK ||
            reply_header_text(r, "Access-Control-Max-Age", "86400") != NGX_OK) {
            return NGX_ERROR;
        }
        return NGX_OK;
    }
    return reply_header_text(r, "Access-Control-Expose-Headers",
                             "X-Request-Id, RateLimit-Limit, RateLimit-Remaining, RateLimit-Reset, RateLimit-Policy, "
                             "Retry-After, Idempotent-Replayed, Allow");
}

static ngx_int_t reply_headers(ngx_http_request_t *r, ngx_wagw_ctx_t *ctx, ngx_wagw_loc_conf_t *wlcf)
{
    ngx_str_t s;
    ngx_uint_t status = r->headers_out.status;

    if (reply_header(r, "X-Request-Id", &ctx->request_id) != NGX_OK || reply_cors(r, ctx, wlcf) != NGX_OK) {
        return NGX_ERROR;
    }
    if (ctx->have_rate) {
        s.data = ngx_pnalloc(r->pool, 2 * NGX_INT_T_LEN + 3);
        if (s.data == NULL) {
            return NGX_ERROR;
        }
        s.len = ngx_sprintf(s.data, "%ui;w=%ui", ctx->rate.limit, ctx->rate.window) - s.data;
        if (reply_header_number(r, "RateLimit-Limit", ctx->rate.limit) != NGX_OK ||
            reply_header_number(r, "RateLimit-Remaining", ctx->rate.remaining) != NGX_OK ||
            reply_header_number(r, "RateLimit-Reset", ctx->rate.reset) != NGX_OK ||
            reply_header(r, "RateLimit-Policy", &s) != NGX_OK) {
            return NGX_ERROR;
        }
    }
    if (ctx->retry_after && (status == 429 || status == 503) &&
        reply_header_number(r, "Retry-After", ctx->retry_after) != NGX_OK) {
        return NGX_ERROR;
    }
    if (status == 401 && ctx->answered && reply_header_text(r, "WWW-Authenticate", "ApiKey") != NGX_OK) {
        return NGX_ERROR;
    }
    if ((status == 405 || ctx->preflight) && ctx->match.allow[0]) {
        s.data = ngx_pnalloc(r->pool, sizeof(ctx->match.allow) + 10);
        if (s.data == NULL) {
            return NGX_ERROR;
        }
        s.len = ngx_sprintf(s.data, "%s, OPTIONS", ctx->match.allow) - s.data;
        if (reply_header(r, "Allow", &s) != NGX_OK) {
            return NGX_ERROR;
        }
    }
    if (ctx->replayed && reply_header_text(r, "Idempotent-Replayed", "true") != NGX_OK) {
        return NGX_ERROR;
    }
    return NGX_OK;
}

/* ---- nginx's own errors ---- */

static void reply_describe(ngx_http_request_t *r, ngx_wagw_ctx_t *ctx)
{
    static const struct {
        ngx_uint_t status;
        const char *code, *error;
    } known[] = {{401, "AUTH_INVALID", "Authorization required"},
                 {403, "AUTH_FORBIDDEN", "Forbidden"},
                 {404, "NOT_FOUND", "Endpoint not found"},
                 {405, "METHOD_NOT_ALLOWED", "Method not allowed"},
                 {413, "BODY_TOO_LARGE", "Request body too large"},
                 {415, "UNSUPPORTED_MEDIA", "Unsupported media type"},
                 {429, "RATE_LIMITED", "Too many requests, please try again later"},
                 {503, "OWNER_UNAVAILABLE", "Service unavailable"},
                 {504, "WA_TIMEOUT", "Gateway timeout"}};
    ngx_uint_t i, status = r->headers_out.status;

    ctx->hint = NULL;
    ngx_str_null(&ctx->details);
    if (r->main->limit_req_status == 3 || r->main->limit_conn_status == 2) { /* REJECTED in both modules */
        ctx->code = "RATE_LIMITED";
        ctx->error = "Too many requests, please try again later";
        ctx->retry_after = 1;
        return;
    }
    for (i = 0; i < sizeof(known) / sizeof(known[0]); i++) {
        if (known[i].status == status) {
            ctx->code = known[i].code;
            ctx->error = known[i].error;
            ctx->retry_after = status == 503 ? 1 : 0;
            return;
        }
    }
    if (status >= 500) { /* a caller shall find its request in the log */
        ngx_log_error(NGX_LOG_ERR, r->connection->log, 0, "wagw: request %V failed with %ui", &ctx->request_id, status);
    }
    ctx->code = status < 500 ? "VALIDATION_FAILED" : "INTERNAL";
    ctx->error = status < 500 ? "Bad request" : "Internal error";
}

static ngx_int_t reply_header_filter(ngx_http_request_t *r)
{
    ngx_str_t type = ngx_string(NGX_WAGW_JSON_TYPE);
    ngx_wagw_ctx_t *ctx;
    ngx_wagw_loc_conf_t *wlcf = ngx_http_get_module_loc_conf(r, ngx_http_wagw_module);

    if (r != r->main || (wlcf->serve == 0 && wlcf->place == NULL)) {
        return reply_next_header(r);
    }
    ctx = ngx_wagw_context(r);
    if (ctx == NULL) {
        return NGX_ERROR;
    }
    if (ctx->headers) {
        return reply_next_header(r);
    }
    ctx->headers = 1;

    if (!ctx->answered && r->headers_out.status >= 400) {
        reply_describe(r, ctx);
        if (ngx_wagw_error_body(r->pool, ctx, NULL, &ctx->out) != NGX_OK) {
            return NGX_ERROR;
        }
        ctx->replaced = 1;
        reply_set_type(r, &type);
        ngx_http_clear_content_length(r);
        ngx_http_clear_etag(r);
        ngx_http_clear_last_modified(r);
        ngx_http_clear_accept_ranges(r);
        r->headers_out.content_length_n = ctx->out.len;
    }
    if (reply_headers(r, ctx, wlcf) != NGX_OK) {
        return NGX_ERROR;
    }
    return reply_next_header(r);
}

static ngx_int_t reply_body_filter(ngx_http_request_t *r, ngx_chain_t *in)
{
    ngx_buf_t *b;
    ngx_chain_t out, *cl;
    ngx_wagw_ctx_t *ctx;

    if (r != r->main || in == NULL) {
        return reply_next_body(r, in);
    }
    ctx = ngx_http_get_module_ctx(r, ngx_http_wagw_module);
    if (ctx == NULL || !ctx->replaced) {
        return reply_next_body(r, in);
    }
    /* what nginx says itself is dropped, its memory given back */
    for (cl = in; cl; cl = cl->next) {
        cl->buf->pos = cl->buf->last;
        cl->buf->file_pos = cl->buf->file_last;
    }
    if (ctx->out.len == 0) {
        return NGX_OK;
    }
    b = ngx_calloc_buf(r->pool);
    if (b == NULL) {
        return NGX_ERROR;
    }
    b->pos = ctx->out.data;
    b->last = ctx->out.data + ctx->out.len;
    b->memory = 1;
    b->last_buf = 1;
    b->last_in_chain = 1;
    ctx->out.len = 0;
    out.buf = b;
    out.next = NULL;
    return reply_next_body(r, &out);
}
