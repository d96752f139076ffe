#include "ngx_wagw_calls.h"

/*
 * Deleting a message: here only, on the own devices, for everyone.  The row
 * goes by a turn of the engine in each case: its cache must not bring it back
 * with a late receipt.
 */

typedef struct {
    uint32_t num;
    wagw_str_t chat, id;
    wagw_buf_t in_chat, last;
    bool revoked; /* for everyone, and now the row */
} delete_t;

static void delete_answer(ngx_wagw_call_t *call)
{
    wagw_buf_t b = {0};
    wagw_json_t j = wagw_json(&b);

    wagw_json_open(&j, '{');
    wagw_json_key(&j, "deleted");
    wagw_json_open(&j, '{');
    wagw_json_kstr(&j, "messageId", ngx_wagw_param_str(call, "messageId"));
    wagw_json_kint(&j, "count", 1);
    wagw_json_close(&j);
    wagw_json_close(&j);

    ngx_wagw_call_data(call, 200, &b, "Message deleted successfully");
}

static int place_run(wagw_store_t *s, ngx_wagw_job_t *job)
{
    delete_t *d = ((ngx_wagw_call_t *)job->data)->data;

    wagw_buf_reset(&d->in_chat);
    wagw_buf_reset(&d->last);

    return wagw_store_message_place(s, d->num, d->chat, d->id, &d->in_chat, &d->last);
}

static void place_done(ngx_wagw_job_t *job)
{
    cJSON *last;
    ngx_wagw_call_t *call = job->data;
    delete_t *d = call->data;

    if (job->rc == WAGW_OK && wagw_buf_u8(&d->in_chat, 0) == WAGW_OK) {
        ngx_wagw_param_set(call, "chatId", (const char *)d->in_chat.p);
        last = cJSON_ParseWithLength((const char *)d->last.p, d->last.n);
        cJSON_DeleteItemFromObjectCaseSensitive(call->params, "_last");
        cJSON_AddItemToObject(call->params, "_last", last);
        wagw_buf_free(&d->in_chat);
        wagw_buf_free(&d->last);
        ngx_wagw_call_command(call, WAGW_CMD_DELETE_LOCAL);
        return;
    }

    wagw_buf_free(&d->in_chat);
    wagw_buf_free(&d->last);

    if (job->rc == WAGW_NOT_FOUND && d->revoked) {
        delete_answer(call);
    } else if (job->rc == WAGW_NOT_FOUND) {
        ngx_wagw_call_fail(call, 404, "MESSAGE_NOT_FOUND", "Message not found", WAGW_STR_NULL);
    } else {
        ngx_wagw_call_store_failed(call);
    }
}

static void delete_local(ngx_wagw_call_t *call, bool revoked)
{
    delete_t *d;

    d = ngx_wagw_call_ctx(call, sizeof(delete_t));
    if (d == NULL) {
        return;
    }

    d->revoked = revoked;
    d->num = ngx_wagw_call_instance(call)->num;
    d->chat = ngx_wagw_param_str(call, "chatId");
    d->id = ngx_wagw_param_str(call, "messageId");
    ngx_wagw_call_store(call, 0, place_run, place_done);
}

static void delete_revoked(ngx_wagw_call_t *call, const wagw_result_t *r)
{
    if (r->status == 200 || r->status == 202) {
        delete_answer(call);
    } else {
        ngx_wagw_call_result(call, r);
    }
}

/* Below a chat the row goes too (contract 3.5). */
static void delete_revoked_row(ngx_wagw_call_t *call, const wagw_result_t *r)
{
    if (r->status != 200 && r->status != 202) {
        ngx_wagw_call_result(call, r);
        return;
    }

    call->reply = NULL;
    delete_local(call, true);
}

static void delete_scoped(ngx_wagw_call_t *call, void (*revoked)(ngx_wagw_call_t *call, const wagw_result_t *r))
{
    wagw_str_t scope;
    wagw_client_info_t info;

    scope = ngx_wagw_param_str(call, "scope");

    if (!wagw_str_is(scope, "me") && !wagw_str_is(scope, "everyone")) {
        delete_local(call, false);
        return;
    }

    wagw_client_info(ngx_wagw_call_instance(call)->client, &info);

    if (info.status != WAGW_STATUS_CONNECTED) {
        ngx_wagw_call_fail(call, 409, "INSTANCE_NOT_CONNECTED", "Instance not found or not connected", WAGW_STR_NULL);
        return;
    }

    if (wagw_str_is(scope, "me")) {
        ngx_wagw_call_command_at(call, WAGW_CMD_DELETE_FOR_ME, "chatId");
        return;
    }

    call->reply = revoked;
    ngx_wagw_call_command_at(call, WAGW_CMD_REVOKE, "chatId");
}

NGX_WAGW_HANDLER(message_delete)
{
    delete_scoped(call, delete_revoked);
}

NGX_WAGW_HANDLER(chats_message_delete)
{
    delete_scoped(call, delete_revoked_row);
}
