/*
 * Commands as items: from the driver into a turn, and back out when their
 * caller goes away or its time is over.
 */

#include "account_i.h"

#include <stdlib.h>

typedef struct {
    wagw_item_t item;
    uint64_t id;
    wagw_cmd_t cmd;
    cJSON *params;
} command_item_t;

static int command_run(wagw_turn_t *t, wagw_item_t *item)
{
    command_item_t *ci = (command_item_t *)item;

    return ci->cmd == WAGW_CMD_EVENT ? wagw_event_command(t, ci->id, ci->params)
                                     : wagw_command_run(t, ci->id, ci->cmd, ci->params);
}

static void command_done(wagw_client_t *c, wagw_item_t *item, int rc)
{
    wagw_result_t r = {0};
    command_item_t *ci = (command_item_t *)item;

    if (rc != WAGW_OK && ci->id) {
        r.status = rc == WAGW_IO || rc == WAGW_STATE ? 503 : 500;
        r.code = rc == WAGW_IO ? "DB_UNAVAILABLE" : rc == WAGW_STATE ? "DRAINING" : "INTERNAL";
        r.error = rc == WAGW_IO      ? "The database did not answer"
                  : rc == WAGW_STATE ? "The instance is being stopped"
                                     : "Internal error";
        if (rc != WAGW_IO && rc != WAGW_STATE) {
            wagw_client_log(c, WAGW_LOG_ERROR, "a command failed: %s", wagw_rc_name(rc));
        }
        c->ops->reply(c->driver, ci->id, &r);
    }
    cJSON_Delete(ci->params);
    free(ci);
}

void wagw_client_command(wagw_client_t *c, uint64_t id, wagw_cmd_t cmd, const cJSON *params, int64_t now)
{
    command_item_t *ci;
    wagw_result_t r = {0};

    c->now = now;
    ci = calloc(1, sizeof(*ci));
    if (ci) {
        ci->params = params ? cJSON_Duplicate(params, 1) : cJSON_CreateObject();
    }
    if (ci == NULL || ci->params == NULL) {
        free(ci);
        r.status = 500;
        r.code = "INTERNAL";
        r.error = "Out of memory";
        c->ops->reply(c->driver, id, &r);
        return;
    }
    ci->item.run = command_run;
    ci->item.done = command_done;
    ci->id = id;
    ci->cmd = cmd;
    wagw_turn_push(c, &ci->item);
    wagw_client_arm(c);
}

/* Takes a command from whoever holds it; *sent: its stanza may have left. */
static bool command_take(wagw_client_t *c, uint64_t id, bool *sent, wagw_cmd_t *cmd)
{
    wagw_iq_t *iq;
    wagw_wait_t **w, *found;

    *sent = false;
    *cmd = 0;
    for (wagw_item_t *it = c->items; it; it = it->next) {
        if (it->run == command_run && ((command_item_t *)it)->id == id) {
            ((command_item_t *)it)->id = 0;
            return true;
        }
    }
    for (w = &c->waits; *w; w = &(*w)->next) {
        if ((*w)->command == id) {
            found = *w;
            *w = found->next;
            *cmd = found->cmd;
            free(found);
            return true;
        }
    }
    for (wagw_job_t *j = c->jobs; j; j = j->next) {
        if (j->command == id) {
            j->command = 0;
            return true;
        }
    }
    for (wagw_job_t *j = c->unacked; j; j = j->next) {
        if (j->command == id) {
            j->command = 0;
            *sent = true;
            return true;
        }
    }
    for (iq = c->iqs; iq; iq = iq->next) {
        if (iq->command == id) {
            iq->command = 0;
            iq->arg = 0;
            *sent = true;
            return true;
        }
    }
    if (c->pairing && c->pairing->command == id) {
        c->pairing->command = 0;
        *sent = true;
        return true;
    }
    if (wagw_media_unwait(c, id)) {
        *sent = true;
        return true;
    }
    if (wagw_presence_unwait(c, id)) {
        *sent = true;
        return true;
    }
    return wagw_app_unwait(c, id, sent);
}

void wagw_client_forget(wagw_client_t *c, uint64_t command)
{
    bool sent;
    wagw_cmd_t cmd;

    (void)command_take(c, command, &sent, &cmd);
}

bool wagw_client_timeout(wagw_client_t *c, uint64_t command, int64_t now)
{
    bool sent;
    wagw_cmd_t cmd;
    wagw_result_t r = {0};

    c->now = now;
    if (!command_take(c, command, &sent, &cmd)) {
        return false;
    }
    r.status = 504;
    r.code = "WA_TIMEOUT";
    r.error = "WhatsApp did not answer in time";
    r.details = sent ? WAGW_STR("{\"sent\":true}") : WAGW_STR("{\"sent\":false}");
    if (cmd == WAGW_CMD_QR) {
        r.status = 404;
        r.code = "QR_NOT_AVAILABLE";
        r.error = "QR code not available yet";
        r.details = WAGW_STR_NULL;
    }
    c->ops->reply(c->driver, command, &r);
    return true;
}

void wagw_client_worked(wagw_client_t *c, wagw_work_t *w, int64_t now)
{
    c->now = now;
    w->done(c, w);
    wagw_client_arm(c);
}
