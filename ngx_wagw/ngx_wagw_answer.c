/* The envelopes of a call's answer (contract 1.4, 1.5), in the owner. */

#include "ngx_wagw_http.h"

static struct {
    const char *code;
    ngx_uint_t status; /* what the seed answered */
} answer_seed[] = {{"INSTANCE_NOT_CONNECTED", 404}, {"ALREADY_CONNECTED", 400}, {NULL, 0}};

static ngx_wagw_main_conf_t *answer_conf(void)
{
    return ngx_http_cycle_get_module_main_conf(ngx_cycle, ngx_http_wagw_module);
}

static ngx_uint_t answer_status(ngx_uint_t status, const char *code)
{
    ngx_uint_t i;

    if (answer_conf()->compat == 0) {
        return status;
    }
    for (i = 0; code && answer_seed[i].code; i++) {
        if (ngx_strcmp(code, answer_seed[i].code) == 0) {
            return answer_seed[i].status;
        }
    }
    return status == 201 ? 200 : status;
}

static void answer_send(ngx_wagw_call_t *call, ngx_uint_t status, wagw_buf_t *b)
{
    static const char lost[] = "{\"success\":false,\"error\":\"Out of memory\",\"code\":\"INTERNAL\"}";

    if (b->failed) {
        ngx_wagw_owner_answered(call, 500, NULL, WAGW_STR(lost));
    } else {
        ngx_wagw_owner_answered(call, status, NULL, wagw_buf_view(b));
    }
    wagw_buf_free(b);
}

void ngx_wagw_call_ok(ngx_wagw_call_t *call, ngx_uint_t status, wagw_str_t data, const char *message, wagw_str_t extra)
{
    wagw_buf_t b = {0};
    wagw_json_t j = wagw_json(&b);

    wagw_json_open(&j, '{');
    wagw_json_kbool(&j, "success", true);
    wagw_json_kraw(&j, "data", data.n ? data : WAGW_STR("{}"));
    if (message) {
        wagw_json_kcstr(&j, "message", message);
    }
    if (extra.n) {
        wagw_buf_u8(&b, ',');
        wagw_buf_str(&b, extra);
    }
    wagw_json_kstr(&j, "requestId", wagw_str(call->request_id.data, call->request_id.len));
    wagw_json_close(&j);
    answer_send(call, answer_status(status, NULL), &b);
}

void ngx_wagw_call_fail(ngx_wagw_call_t *call, ngx_uint_t status, const char *code, const char *error,
                        wagw_str_t details)
{
    ngx_wagw_call_fail_retry(call, status, code, error, details, NULL, 0);
}

void ngx_wagw_call_fail_retry(ngx_wagw_call_t *call, ngx_uint_t status, const char *code, const char *error,
                              wagw_str_t details, const char *hint, ngx_uint_t retry_after)
{
    wagw_buf_t b = {0};
    wagw_json_t j = wagw_json(&b);

    call->retry_after = retry_after;
    wagw_json_open(&j, '{');
    wagw_json_kbool(&j, "success", false);
    wagw_json_kcstr(&j, "error", error ? error : "Error");
    wagw_json_kcstr(&j, "code", code ? code : "INTERNAL");
    if (details.n) {
        wagw_json_kraw(&j, "details", details);
    }
    if (hint) {
        wagw_json_kcstr(&j, "hint", hint);
    }
    if (retry_after) {
        wagw_json_kint(&j, "retryAfter", retry_after);
    }
    wagw_json_kstr(&j, "requestId", wagw_str(call->request_id.data, call->request_id.len));
    wagw_json_close(&j);
    answer_send(call, answer_status(status, code), &b);
}

void ngx_wagw_call_result(ngx_wagw_call_t *call, const wagw_result_t *r)
{
    if (r->message_id.n && call->message_id.len == 0) {
        call->message_id.data = ngx_pnalloc(call->pool, r->message_id.n);
        if (call->message_id.data) {
            ngx_memcpy(call->message_id.data, r->message_id.p, r->message_id.n);
            call->message_id.len = r->message_id.n;
        }
    }
    if (r->code || r->status >= 400) {
        ngx_wagw_call_fail_retry(call, r->status, r->code, r->error, r->details, r->hint,
                                 r->retry_after > 0 ? r->retry_after : 0);
        return;
    }
    ngx_wagw_call_ok(call, r->status, r->data, r->message, WAGW_STR_NULL);
}

void ngx_wagw_call_raw(ngx_wagw_call_t *call, ngx_uint_t status, const char *content_type, wagw_str_t body)
{
    ngx_wagw_owner_answered(call, status, content_type, body);
}
