/* Rows that the worker answers by itself (contract 3.15). */

#include "ngx_wagw_http.h"

#include "pages.h"

typedef ngx_int_t (*local_pt)(ngx_http_request_t *r, ngx_wagw_ctx_t *ctx);

/* p lives as long as the request. */
static ngx_int_t local_text(ngx_http_request_t *r, ngx_wagw_ctx_t *ctx, const char *content_type, const void *p,
                            size_t n)
{
    ngx_str_t type, body;

    type.data = (u_char *)content_type;
    type.len = ngx_strlen(content_type);
    body.data = (u_char *)p;
    body.len = n;
    return ngx_wagw_send(r, ctx, 200, &type, &body);
}

/* Frees b. */
static ngx_int_t local_json(ngx_http_request_t *r, ngx_wagw_ctx_t *ctx, wagw_buf_t *b)
{
    size_t n = b->n;
    u_char *p = b->failed ? NULL : ngx_pnalloc(r->pool, n + 1);

    if (p) {
        ngx_memcpy(p, b->p, n);
    }
    wagw_buf_free(b);
    return p ? local_text(r, ctx, NGX_WAGW_JSON_TYPE, p, n) : NGX_HTTP_INTERNAL_SERVER_ERROR;
}

/* The envelope, left open. */
static wagw_json_t local_envelope(wagw_buf_t *b, ngx_wagw_ctx_t *ctx)
{
    wagw_json_t j = wagw_json(b);

    wagw_json_open(&j, '{');
    wagw_json_kbool(&j, "success", true);
    wagw_json_kstr(&j, "requestId", wagw_str(ctx->request_id.data, ctx->request_id.len));
    return j;
}

static ngx_int_t local_ping(ngx_http_request_t *r, ngx_wagw_ctx_t *ctx)
{
    wagw_buf_t b = {0};
    wagw_json_t j = local_envelope(&b, ctx);
    ngx_time_t *tp = ngx_timeofday();

    wagw_json_kraw(&j, "data", WAGW_STR("{}"));
    wagw_json_kcstr(&j, "message", "pong");
    wagw_json_kiso(&j, "timestamp", (int64_t)tp->sec * 1000 + tp->msec);
    wagw_json_close(&j);
    return local_json(r, ctx, &b);
}

/* This process serves: whether calls succeed is /ready's to say. */
static ngx_int_t local_live(ngx_http_request_t *r, ngx_wagw_ctx_t *ctx)
{
    wagw_buf_t b = {0};
    wagw_json_t j = local_envelope(&b, ctx);

    wagw_json_kraw(&j, "data", WAGW_STR("{}"));
    wagw_json_kcstr(&j, "status", "ok");
    wagw_json_close(&j);
    return local_json(r, ctx, &b);
}

static ngx_uint_t local_wants_html(ngx_http_request_t *r)
{
    ngx_table_elt_t *accept = ngx_wagw_header(r, "Accept");

    return accept && ngx_strlcasestrn(accept->value.data, accept->value.data + accept->value.len, (u_char *)"text/html",
                                      sizeof("text/html") - 2) != NULL;
}

static ngx_int_t local_banner(ngx_http_request_t *r, ngx_wagw_ctx_t *ctx)
{
    wagw_buf_t b = {0};
    wagw_json_t j;

    if (local_wants_html(r)) {
        return local_text(r, ctx, "text/html; charset=utf-8", ngx_wagw_page_root_html,
                          sizeof(ngx_wagw_page_root_html) - 1);
    }
    j = local_envelope(&b, ctx);
    wagw_json_key(&j, "data");
    wagw_json_open(&j, '{');
    wagw_json_kcstr(&j, "name", "wagw");
    wagw_json_kcstr(&j, "version", NGX_WAGW_VERSION);
    wagw_json_kcstr(&j, "docs", "/docs");
    wagw_json_kcstr(&j, "openapi", "/openapi.json");
    wagw_json_kcstr(&j, "health", "/health");
    wagw_json_close(&j);
    wagw_json_close(&j);
    return local_json(r, ctx, &b);
}

static ngx_int_t local_docs(ngx_http_request_t *r, ngx_wagw_ctx_t *ctx)
{
    return local_text(r, ctx, "text/html; charset=utf-8", ngx_wagw_page_docs_html, sizeof(ngx_wagw_page_docs_html) - 1);
}

static ngx_int_t local_openapi(ngx_http_request_t *r, ngx_wagw_ctx_t *ctx)
{
    static wagw_buf_t made; /* the table does not change while the process lives */

    if (made.n == 0 && ngx_wagw_openapi(&made) != WAGW_OK) {
        wagw_buf_free(&made);
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }
    return local_text(r, ctx, NGX_WAGW_JSON_TYPE, made.p, made.n);
}

static const struct {
    const char *path;
    local_pt answer;
} locals[] = {
    {"/api/observability/ping", local_ping}, {"/live", local_live}, {"/", local_banner}, {"/docs", local_docs},
    {"/openapi.json", local_openapi},
};

ngx_int_t ngx_wagw_local(ngx_http_request_t *r, ngx_wagw_ctx_t *ctx)
{
    ngx_uint_t i;

    for (i = 0; i < sizeof(locals) / sizeof(locals[0]); i++) {
        if (ngx_strcmp(ctx->match.route->path, locals[i].path) == 0) {
            return locals[i].answer(r, ctx);
        }
    }
    return NGX_HTTP_INTERNAL_SERVER_ERROR; /* every L row of the table has its line above */
}
