/* Rows that the worker answers by itself. */

#include "ngx_wagw_http.h"

ngx_int_t ngx_wagw_local(ngx_http_request_t *r, ngx_wagw_ctx_t *ctx)
{
    ngx_str_t type = ngx_string(NGX_WAGW_JSON_TYPE), body;
    wagw_buf_t b = {0};
    wagw_json_t j = wagw_json(&b);
    ngx_time_t *tp = ngx_timeofday();

    /* ping: contract 3.15 */
    wagw_json_open(&j, '{');
    wagw_json_kbool(&j, "success", true);
    wagw_json_kraw(&j, "data", WAGW_STR("{}"));
    wagw_json_kcstr(&j, "message", "pong");
    wagw_json_kiso(&j, "timestamp", (int64_t)tp->sec * 1000 + tp->msec);
    wagw_json_kstr(&j, "requestId", wagw_str(ctx->request_id.data, ctx->request_id.len));
    wagw_json_close(&j);

    body.data = b.failed ? NULL : ngx_pnalloc(r->pool, b.n);
    if (body.data == NULL) {
        wagw_buf_free(&b);
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }
    ngx_memcpy(body.data, b.p, b.n);
    body.len = b.n;
    wagw_buf_free(&b);
    return ngx_wagw_send(r, ctx, 200, &type, &body);
}
