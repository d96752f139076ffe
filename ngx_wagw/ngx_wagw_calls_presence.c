#include "ngx_wagw_calls.h"

/* Presence and calls: the engine knows both; here only counts are added. */

/* `count` of a list or a map beside its data. */
static void counted_reply(ngx_wagw_call_t *call, const wagw_result_t *r)
{
    cJSON *data;
    wagw_buf_t extra = {0};

    if (r->status >= 300) {
        ngx_wagw_call_result(call, r);
        return;
    }

    data = cJSON_ParseWithLength((const char *)r->data.p, r->data.n);
    wagw_buf_printf(&extra, "\"count\":%d", cJSON_GetArraySize(data));
    cJSON_Delete(data);

    ngx_wagw_call_ok(call, (ngx_uint_t)r->status, r->data, r->message, wagw_buf_view(&extra));
    wagw_buf_free(&extra);
}

static void counted(ngx_wagw_call_t *call, wagw_cmd_t cmd)
{
    call->reply = counted_reply;
    ngx_wagw_call_command(call, cmd);
}

NGX_WAGW_HANDLER(presence_list)
{
    counted(call, WAGW_CMD_PRESENCES);
}

NGX_WAGW_HANDLER(presence_get)
{
    ngx_wagw_call_command(call, WAGW_CMD_PRESENCE_GET);
}

NGX_WAGW_HANDLER(presence_subscribe)
{
    ngx_wagw_call_command(call, WAGW_CMD_PRESENCE_SUBSCRIBE);
}

NGX_WAGW_HANDLER(calls_list)
{
    counted(call, WAGW_CMD_CALLS);
}

NGX_WAGW_HANDLER(call_reject)
{
    ngx_wagw_call_command(call, WAGW_CMD_CALL_REJECT);
}

NGX_WAGW_HANDLER(blocklist)
{
    counted(call, WAGW_CMD_BLOCKLIST);
}
