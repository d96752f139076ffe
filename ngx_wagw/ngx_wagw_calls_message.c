#include "ngx_wagw_calls.h"

/* Calls that become one command of the engine, which answers them. */

NGX_WAGW_HANDLER(send_text)
{
    ngx_wagw_call_command(call, WAGW_CMD_SEND);
}

NGX_WAGW_HANDLER(message_forward)
{
    ngx_wagw_call_command(call, WAGW_CMD_FORWARD);
}

NGX_WAGW_HANDLER(message_seen)
{
    ngx_wagw_call_command(call, WAGW_CMD_SEEN);
}

NGX_WAGW_HANDLER(message_read)
{
    ngx_wagw_call_command(call, WAGW_CMD_SEEN);
}

NGX_WAGW_HANDLER(chats_read)
{
    ngx_wagw_call_command(call, WAGW_CMD_SEEN);
}

NGX_WAGW_HANDLER(typing_start)
{
    wagw_str_t media;

    media = ngx_wagw_param_str(call, "media");
    ngx_wagw_param_set(call, "state", wagw_str_is(media, "audio") ? "recording" : "composing");
    ngx_wagw_call_command(call, WAGW_CMD_CHATSTATE);
}

NGX_WAGW_HANDLER(typing_stop)
{
    ngx_wagw_param_set(call, "state", "paused");
    ngx_wagw_call_command(call, WAGW_CMD_CHATSTATE);
}

NGX_WAGW_HANDLER(typing)
{
    /* composing now, paused after `duration`: the engine keeps the timer */
    ngx_wagw_param_set(call, "state", "composing");
    ngx_wagw_call_command(call, WAGW_CMD_CHATSTATE);
}

NGX_WAGW_HANDLER(message_presence)
{
    wagw_str_t presence;

    presence = ngx_wagw_param_str(call, "presence");

    if (!wagw_str_is(presence, "available") && !wagw_str_is(presence, "unavailable") &&
        ngx_wagw_param_str(call, "chatId").n == 0) {
        ngx_wagw_call_invalid(call, "chatId", "required for composing, recording and paused");
        return;
    }

    ngx_wagw_call_command(call, WAGW_CMD_PRESENCE);
}

NGX_WAGW_HANDLER(presence_set)
{
    ngx_wagw_call_message_presence(call);
}

NGX_WAGW_HANDLER(reaction_put)
{
    ngx_wagw_call_command(call, WAGW_CMD_REACTION);
}

NGX_WAGW_HANDLER(reaction_delete)
{
    ngx_wagw_param_set(call, "emoji", "");
    ngx_wagw_call_command(call, WAGW_CMD_REACTION);
}

NGX_WAGW_HANDLER(message_edit)
{
    ngx_wagw_call_command(call, WAGW_CMD_EDIT);
}

NGX_WAGW_HANDLER(chats_message_put)
{
    ngx_wagw_call_command(call, WAGW_CMD_EDIT);
}

NGX_WAGW_HANDLER(message_revoke)
{
    ngx_wagw_call_command(call, WAGW_CMD_REVOKE);
}

NGX_WAGW_HANDLER(check_exists)
{
    ngx_wagw_call_command(call, WAGW_CMD_CHECK_EXISTS);
}

NGX_WAGW_HANDLER(check_exists_many)
{
    ngx_wagw_call_command(call, WAGW_CMD_CHECK_EXISTS);
}
