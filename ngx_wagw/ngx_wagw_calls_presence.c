#include "ngx_wagw_calls.h"

/* Presence and calls: the engine knows both; here only counts are added. */

static void counted(ngx_wagw_call_t *call, wagw_cmd_t cmd)
{
    call->reply = ngx_wagw_call_counted;
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
