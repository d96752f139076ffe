#include "ngx_wagw_calls.h"

#include <openssl/rand.h>

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

NGX_WAGW_HANDLER(new_message_id)
{
    char id[24];
    u_char random[16];
    wagw_buf_t b;
    wagw_str_t own;
    wagw_json_t j;
    wagw_client_info_t info;

    wagw_client_info(ngx_wagw_call_instance(call)->client, &info);
    own = wagw_str(info.jid.user, info.linked ? info.jid.user_len : 0);

    if (RAND_bytes(random, sizeof(random)) != 1 ||
        wagw_message_id(id, ngx_wagw_now_ms() / 1000, own, random) != WAGW_OK) {
        ngx_wagw_call_fail(call, 500, "INTERNAL", "Internal error", WAGW_STR_NULL);
        return;
    }

    ngx_memzero(&b, sizeof(b));
    j = wagw_json(&b);
    wagw_json_open(&j, '{');
    wagw_json_kcstr(&j, "messageId", id);
    wagw_json_close(&j);
    ngx_wagw_call_data(call, 200, &b, NULL);
}
