/*
 * Jobs: the queue of those not yet encrypted, the list of those that wait for
 * their ack, and what callers are told.
 */

#include "send_i.h"

#include <stdlib.h>

#define ACK_TIMEOUT_MS 75000

wagw_job_t *wagw_job_find(wagw_client_t *c, uint64_t serial)
{
    for (wagw_job_t *j = c->jobs; j; j = j->next) {
        if (j->serial == serial) {
            return j;
        }
    }
    return NULL;
}

void wagw_job_free(wagw_client_t *c, wagw_job_t *j)
{
    c->njobs--;
    cJSON_Delete(j->params);
    free(j->given);
    free(j);
}

wagw_job_t *wagw_job_unlink(wagw_client_t *c, uint64_t serial)
{
    wagw_job_t **at, *j;

    for (at = &c->jobs; *at; at = &(*at)->next) {
        if ((*at)->serial == serial) {
            j = *at;
            *at = j->next;
            if (*at == NULL) {
                c->jobs_last = at;
            }
            j->next = NULL;
            return j;
        }
    }
    return NULL;
}

void wagw_job_drop(wagw_client_t *c, uint64_t serial)
{
    wagw_job_t *j = wagw_job_unlink(c, serial);

    if (j) {
        wagw_job_free(c, j);
    }
}

wagw_job_t *wagw_unacked_find(wagw_client_t *c, wagw_str_t id)
{
    for (wagw_job_t *j = c->unacked; j; j = j->next) {
        if (wagw_str_eq(wagw_cstr(j->id), id)) {
            return j;
        }
    }
    return NULL;
}

wagw_job_t *wagw_unacked_unlink(wagw_client_t *c, wagw_str_t id)
{
    wagw_job_t **at, *j;

    for (at = &c->unacked; *at; at = &(*at)->next) {
        j = *at;
        if (wagw_str_eq(wagw_cstr(j->id), id)) {
            *at = j->next;
            if (*at == NULL) {
                c->unacked_last = at;
            }
            j->next = NULL;
            return j;
        }
    }
    return NULL;
}

void wagw_unacked_add(wagw_client_t *c, wagw_job_t *j)
{
    j->state = WAGW_JOB_WAIT_ACK;
    j->deadline = c->now + ACK_TIMEOUT_MS;
    j->next = NULL;
    *c->unacked_last = j;
    c->unacked_last = &j->next;
}

/* Behind the first, which may be half done, by priority, else in order. */
void wagw_job_queue(wagw_client_t *c, wagw_job_t *j)
{
    wagw_job_t **at = &c->jobs;

    if (*at) {
        at = &(*at)->next;
    }
    while (*at && (*at)->priority >= j->priority) {
        at = &(*at)->next;
    }
    j->next = *at;
    *at = j;
    if (j->next == NULL) {
        c->jobs_last = &j->next;
    }
}

void wagw_send_free(wagw_client_t *c)
{
    wagw_job_t *j;

    while ((j = c->jobs) != NULL) {
        c->jobs = j->next;
        wagw_job_free(c, j);
    }
    while ((j = c->unacked) != NULL) {
        c->unacked = j->next;
        wagw_job_free(c, j);
    }
    c->jobs_last = &c->jobs;
    c->unacked_last = &c->unacked;
}

void wagw_send_abort(wagw_client_t *c, const wagw_result_t *r)
{
    for (int i = 0; i < 2; i++) {
        for (wagw_job_t *j = i ? c->unacked : c->jobs; j; j = j->next) {
            if (j->command && !j->accepted) {
                c->ops->reply(c->driver, j->command, r);
            }
        }
    }
    wagw_send_free(c);
    wagw_app_abort(c, r);
    wagw_history_free(c);
}

/* No ack on a living connection: unconfirmed, a late ack still counts (04 section 8.6). */
void wagw_send_expire(wagw_client_t *c, int64_t now)
{
    wagw_job_t *j;
    wagw_result_t r = {0};

    r.status = 504;
    r.code = "WA_TIMEOUT";
    r.error = "WhatsApp did not confirm the message in time";
    r.details = WAGW_STR("{\"sent\":true}");
    while ((j = c->unacked) != NULL && j->deadline <= now) {
        c->unacked = j->next;
        if (c->unacked == NULL) {
            c->unacked_last = &c->unacked;
        }
        if (j->command && !j->accepted) {
            r.message_id = wagw_cstr(j->id);
            c->ops->reply(c->driver, j->command, &r);
        }
        wagw_job_free(c, j);
    }
}

/* ---- answers --------------------------------------------------------------------- */

/* statusCode is the number that clients of the seed know: 0 failed, 1 pending, 2 sent … 5 played. */
static void result_json(wagw_json_t *j, const wagw_row_message_t *m, const char *status)
{
    wagw_json_open(j, '{');
    wagw_json_kstr(j, "messageId", m->id);
    wagw_json_kcstr(j, "status", status);
    wagw_json_kint(j, "statusCode", m->status == WAGW_MSG_FAILED ? 0 : m->status + 1);
    wagw_json_kint(j, "timestamp", m->t_ms / 1000);
    wagw_json_kiso(j, "sentAt", m->t_ms);
    wagw_json_kstr(j, "to", m->chat);
    wagw_json_kstr(j, "chatId", m->chat);
    if (m->ref.n) {
        wagw_json_kstr(j, "ref", m->ref);
    }
    wagw_json_key(j, "key");
    wagw_json_open(j, '{');
    wagw_json_kstr(j, "remoteJid", m->chat);
    wagw_json_kbool(j, "fromMe", true);
    wagw_json_kstr(j, "id", m->id);
    wagw_json_close(j);
    wagw_json_close(j);
}

int wagw_send_result(wagw_turn_t *t, const wagw_row_message_t *m, uint64_t command, int status, const char *text)
{
    int rc;
    wagw_buf_t b = {0};
    wagw_json_t j = wagw_json(&b);
    wagw_result_t r = {0};

    if (command == 0) {
        return WAGW_OK;
    }
    result_json(&j, m, status == 202 ? "queued" : wagw_msg_status_name(m->status));
    r.status = status;
    r.message = text;
    r.data = wagw_buf_view(&b);
    r.message_id = m->id;
    rc = b.failed ? WAGW_NOMEM : wagw_turn_reply(t, command, &r);
    wagw_buf_free(&b);
    return rc;
}

static const char *success_text(wagw_build_kind_t kind)
{
    switch (kind) {
    case WAGW_BUILD_TEXT:
        return "Text message sent successfully";
    case WAGW_BUILD_REACTION:
        return "Reaction added successfully";
    case WAGW_BUILD_EDIT:
        return "Message edited successfully";
    case WAGW_BUILD_REVOKE:
        return "Message deleted for everyone";
    case WAGW_BUILD_FORWARD:
        return "Message forwarded successfully";
    default:
        return "Message sent successfully";
    }
}

/* What an acknowledged job answers. */
int wagw_job_answer(wagw_turn_t *t, const wagw_job_t *job, const wagw_row_message_t *m)
{
    int rc;
    wagw_buf_t b = {0};
    wagw_json_t j = wagw_json(&b);
    wagw_result_t r = {0};

    if (job->kind != WAGW_BUILD_EDIT) {
        return wagw_send_result(t, m, job->command, 200, success_text(job->kind));
    }
    wagw_json_open(&j, '{');
    wagw_json_kcstr(&j, "messageId", job->target);
    wagw_json_kiso(&j, "editedAt", m->t_ms);
    wagw_json_close(&j);
    r.status = 200;
    r.message = success_text(job->kind);
    r.data = wagw_buf_view(&b);
    r.message_id = m->id;
    rc = b.failed ? WAGW_NOMEM : wagw_turn_reply(t, job->command, &r);
    wagw_buf_free(&b);
    return rc;
}

int wagw_job_field_error(wagw_turn_t *t, uint64_t command, const char *field, const char *reason)
{
    int rc;
    wagw_buf_t b = {0};
    wagw_json_t j = wagw_json(&b);
    wagw_result_t r = {0};

    wagw_json_field(&j, field, reason);
    r.status = 400;
    r.code = "VALIDATION_FAILED";
    r.error = "A field is not valid";
    r.details = wagw_buf_view(&b);
    rc = wagw_turn_reply(t, command, &r);
    wagw_buf_free(&b);
    return rc;
}
