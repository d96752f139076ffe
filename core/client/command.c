/*
 * REST commands other than sending a message (contract 3.2, 3.4, 3.9, 3.10;
 * 12).  Parameters were validated by the route table; what only the engine can
 * judge is refused here with the contract's codes.
 */

#include "account_i.h"

#include <stdio.h>
#include <stdlib.h>

#define SEEN_MAX 200

wagw_str_t wagw_param_str(const cJSON *params, const char *name)
{
    const cJSON *v = cJSON_GetObjectItemCaseSensitive(params, name);

    return cJSON_IsString(v) ? wagw_cstr(v->valuestring) : WAGW_STR_NULL;
}

bool wagw_param_bool(const cJSON *params, const char *name, bool dflt)
{
    const cJSON *v = cJSON_GetObjectItemCaseSensitive(params, name);

    return cJSON_IsBool(v) ? cJSON_IsTrue(v) : dflt;
}

int64_t wagw_param_int(const cJSON *params, const char *name, int64_t dflt)
{
    const cJSON *v = cJSON_GetObjectItemCaseSensitive(params, name);

    return cJSON_IsNumber(v) ? (int64_t)v->valuedouble : dflt;
}

int wagw_param_jid(wagw_turn_t *t, uint64_t command, const cJSON *params, const char *name, const char *alias,
                   wagw_jid_t *out)
{
    wagw_str_t s = wagw_param_str(params, name);
    wagw_result_t r = {0};

    memset(out, 0, sizeof(*out));
    if (s.n == 0 && alias) {
        s = wagw_param_str(params, alias);
    }
    if (s.n && wagw_jid_from_caller(out, s) == WAGW_OK && !wagw_jid_empty(out)) {
        if (wagw_jid_is_person(out)) {
            *out = wagw_jid_user(out);
        }
        return WAGW_OK;
    }
    memset(out, 0, sizeof(*out));
    r.status = 400;
    r.code = "INVALID_JID";
    r.error = "Not a number, group or channel that WhatsApp knows the form of";
    r.details = wagw_arena_printf(&t->arena, "{\"field\":\"%s\"}", name);
    return wagw_turn_reply(t, command, &r);
}

int wagw_command_ok(wagw_turn_t *t, uint64_t command, wagw_buf_t *data, const char *message)
{
    int rc;
    wagw_result_t r = {0};

    r.status = 200;
    r.message = message;
    if (data) {
        r.data = wagw_buf_view(data);
    }
    rc = data && data->failed ? WAGW_NOMEM : wagw_turn_reply(t, command, &r);
    if (data) {
        wagw_buf_free(data);
    }
    return rc;
}

static int not_connected(wagw_turn_t *t, uint64_t command)
{
    return wagw_turn_fail(t, command, 409, "INSTANCE_NOT_CONNECTED", "Instance not found or not connected");
}

/* ---- seen -------------------------------------------------------------------- */

typedef struct {
    wagw_turn_t *t;
    wagw_str_t ids[SEEN_MAX];
    wagw_row_message_t rows[SEEN_MAX];
    size_t n;
} seen_t;

/* One receipt per author, in the order of the ids. */
static int seen_send(wagw_turn_t *t, seen_t *s)
{
    bool done[SEEN_MAX] = {false};
    size_t n;
    wagw_jid_t chat, author;
    wagw_str_t ids[SEEN_MAX];
    wagw_group_t g;

    for (size_t i = 0; i < s->n; i++) {
        if (done[i] || s->rows[i].from_me || wagw_jid_parse(&chat, s->rows[i].to) != WAGW_OK) {
            continue;
        }
        n = 0;
        for (size_t k = i; k < s->n; k++) {
            if (!done[k] && !s->rows[k].from_me && wagw_str_eq(s->rows[k].sender, s->rows[i].sender) &&
                wagw_str_eq(s->rows[k].to, s->rows[i].to)) {
                done[k] = true;
                ids[n++] = s->rows[k].id;
            }
        }
        if (wagw_jid_is_person(&chat)) {
            WAGW_TRY(wagw_receipt_read(t, &chat, NULL, ids, n));
        } else if (wagw_jid_parse(&author, s->rows[i].sender) == WAGW_OK) {
            /* named as the group names its members, not as the row does */
            WAGW_TRY(wagw_group_get(t, &chat, &g));
            WAGW_TRY(wagw_lid_in(t, &author, g.fetched_ms == 0 || g.lid, &author));
            WAGW_TRY(wagw_receipt_read(t, &chat, &author, ids, n));
        }
    }
    return WAGW_OK;
}

static int seen_add(wagw_turn_t *t, seen_t *s, wagw_str_t chat, wagw_str_t id)
{
    int rc;

    if (s->n >= SEEN_MAX || id.n == 0) {
        return WAGW_OK;
    }
    rc = wagw_turn_message_find(t, chat, id, &s->rows[s->n], NULL);
    if (rc == WAGW_OK) {
        s->n++;
        return WAGW_OK;
    }
    return rc == WAGW_NOT_FOUND ? WAGW_OK : rc;
}

/* ids: the messages the caller named, or those the owner found unread. */
static int command_seen(wagw_turn_t *t, uint64_t command, const cJSON *params)
{
    int rc;
    seen_t *s;
    wagw_buf_t b = {0};
    wagw_jid_t chat;
    wagw_str_t text;
    wagw_json_t j = wagw_json(&b);
    const cJSON *item, *list;
    wagw_row_chat_t row;

    WAGW_TRY(wagw_param_jid(t, command, params, "chatId", NULL, &chat));
    if (wagw_jid_empty(&chat)) {
        return WAGW_OK;
    }
    WAGW_TRY(wagw_chat_canonical(t, &chat, &chat));
    text = wagw_jid_str(&t->arena, &chat);
    s = wagw_arena_zalloc(&t->arena, sizeof(*s));
    if (s == NULL) {
        return WAGW_NOMEM;
    }
    WAGW_TRY(seen_add(t, s, text, wagw_param_str(params, "messageId")));
    list = cJSON_GetObjectItemCaseSensitive(params, "messageIds");
    cJSON_ArrayForEach(item, list)
    {
        if (cJSON_IsString(item)) {
            WAGW_TRY(seen_add(t, s, text, wagw_cstr(item->valuestring)));
        }
    }
    WAGW_TRY(seen_send(t, s));

    rc = wagw_turn_chat(t, text, &row);
    if (rc == WAGW_OK && (row.unread || row.marked_unread)) {
        WAGW_TRY(wagw_app_seen(t, text));
        row.unread = 0;
        row.marked_unread = false;
        WAGW_TRY(wagw_turn_chat_put(t, &row));
    } else if (rc != WAGW_OK && rc != WAGW_NOT_FOUND) {
        return rc;
    }
    wagw_json_open(&j, '{');
    wagw_json_kstr(&j, "chatId", text);
    wagw_json_kint(&j, "marked", (int64_t)s->n);
    wagw_json_close(&j);
    return wagw_command_ok(
        t, command, &b, cJSON_HasObjectItem(params, "_read") ? "Messages marked as read" : "Messages marked as seen");
}

/* ---- linking and unlinking ------------------------------------------------------------------ */

static void qr_reply(wagw_client_t *c, uint64_t command)
{
    wagw_buf_t b = {0};
    wagw_json_t j = wagw_json(&b);
    wagw_result_t r = {0};
    wagw_pairing_t *p = c->pairing;

    wagw_json_open(&j, '{');
    wagw_json_kcstr(&j, "raw", p->qr);
    wagw_json_kint(&j, "expiresIn", (p->qr_expires - c->now + 999) / 1000);
    wagw_json_kint(&j, "attempt", p->at + 1);
    wagw_json_close(&j);
    r.status = 200;
    r.data = wagw_buf_view(&b);
    c->ops->reply(c->driver, command, &r);
    wagw_buf_free(&b);
}

/* A QR appeared, or the hope for one is gone. */
void wagw_client_wake_waits(wagw_client_t *c)
{
    wagw_wait_t *w, *all;
    wagw_result_t r = {0};

    if (c->conn != WAGW_CONN_IDLE && c->status != WAGW_STATUS_QR && !(c->creds && c->creds->paired)) {
        return;
    }
    all = c->waits;
    c->waits = NULL;
    while ((w = all) != NULL) {
        all = w->next;
        if (c->status == WAGW_STATUS_QR && c->pairing && c->pairing->qr[0]) {
            qr_reply(c, w->command);
        } else if (c->creds && c->creds->paired) {
            r.status = 409;
            r.code = "ALREADY_CONNECTED";
            r.error = "Instance is already registered";
            c->ops->reply(c->driver, w->command, &r);
        } else {
            r.status = 404;
            r.code = "QR_NOT_AVAILABLE";
            r.error = "QR code not available yet";
            c->ops->reply(c->driver, w->command, &r);
        }
        free(w);
    }
}

static void qr_then(wagw_client_t *c, void *arg)
{
    wagw_wait_t *w;

    if (c->status == WAGW_STATUS_QR && c->pairing && c->pairing->qr[0]) {
        qr_reply(c, *(uint64_t *)arg);
        return;
    }
    w = calloc(1, sizeof(*w));
    if (w == NULL) {
        return;
    }
    w->command = *(uint64_t *)arg;
    w->cmd = WAGW_CMD_QR;
    w->next = c->waits;
    c->waits = w;
    if (c->conn == WAGW_CONN_IDLE) {
        wagw_client_start(c, true, c->now);
    }
}

/* Linking is refused for what is linked, or may be: *refused, answered. */
int wagw_link_refuse(wagw_turn_t *t, uint64_t command, bool *refused)
{
    int rc;
    bool linked;
    wagw_str_t v;
    wagw_creds_t creds;

    *refused = true;
    if (t->c->creds_bad) {
        return wagw_turn_fail(t, command, 409, "INSTANCE_NOT_CONNECTED", "The stored credentials cannot be read");
    }
    linked = t->c->creds && t->c->creds->paired;
    if (!t->c->creds_loaded) {
        /* an instance that was never started */
        rc = wagw_txn_get(&t->txn, WAGW_REC_CREDS, WAGW_STR(""), &v);
        if (rc == WAGW_OK) {
            linked = wagw_creds_decode(&creds, v) != WAGW_OK || creds.paired;
            wagw_wipe(&creds, sizeof(creds));
        } else if (rc != WAGW_NOT_FOUND) {
            return rc;
        }
    }
    if (linked) {
        return wagw_turn_fail(t, command, 409, "ALREADY_CONNECTED", "Instance is already registered");
    }
    *refused = false;
    return WAGW_OK;
}

static int command_qr(wagw_turn_t *t, uint64_t command)
{
    bool refused;

    WAGW_TRY(wagw_link_refuse(t, command, &refused));
    if (refused) {
        return WAGW_OK;
    }
    return wagw_turn_then(t, qr_then, &command, sizeof(command));
}

/* ---- all of them --------------------------------------------------------------------------------- */

int wagw_command_run(wagw_turn_t *t, uint64_t id, wagw_cmd_t cmd, const cJSON *params)
{
    if (cmd >= WAGW_CMD_GROUPS && cmd <= WAGW_CMD_GROUP_DECIDE) {
        return wagw_group_command(t, id, cmd, params);
    }

    switch (cmd) {

    case WAGW_CMD_SEND:
    case WAGW_CMD_SEND_AT:
    case WAGW_CMD_REACTION:
    case WAGW_CMD_EDIT:
    case WAGW_CMD_REVOKE:
    case WAGW_CMD_FORWARD:
        return wagw_send_command(t, id, wagw_job_kind(cmd, params), params);

    case WAGW_CMD_QR:
        return command_qr(t, id);

    case WAGW_CMD_PAIRING_CODE:
        return wagw_code_command(t, id, params);

    case WAGW_CMD_LOGOUT:
        return wagw_logout_command(t, id);

    case WAGW_CMD_DELETE_LOCAL:
        return wagw_discard_command(t, id, params);

    case WAGW_CMD_LID_OF:
        return wagw_lid_of_command(t, id, params);

    case WAGW_CMD_LABELS:
    case WAGW_CMD_LABEL_PUT:
    case WAGW_CMD_LABELS_OF_CHAT:
    case WAGW_CMD_LABEL_CHATS:
    case WAGW_CMD_LABEL_SET:
        return wagw_label_command(t, id, cmd, params);

    case WAGW_CMD_PRESENCES:
        return wagw_presences_command(t, id);

    case WAGW_CMD_CALLS:
        return wagw_calls_command(t, id, params);

    case WAGW_CMD_CHAT_DELETE:
        if (wagw_param_bool(params, "local", false)) {
            return wagw_app_changed(t, id, cmd, params);
        }
        break;

    default:
        break;
    }

    if (t->c->conn != WAGW_CONN_OPEN) {
        return not_connected(t, id);
    }

    switch (cmd) {

    case WAGW_CMD_SEEN:
        return command_seen(t, id, params);

    case WAGW_CMD_CHATSTATE:
        return wagw_chatstate_command(t, id, params, wagw_param_str(params, "state"),
                                      wagw_str_is(wagw_param_str(params, "state"), "paused")
                                          ? "Typing indicator stopped"
                                          : "Typing indicator started");

    case WAGW_CMD_PRESENCE:
        return wagw_presence_command(t, id, params);

    case WAGW_CMD_PRESENCE_SUBSCRIBE:
        return wagw_presence_subscribe_command(t, id, params);

    case WAGW_CMD_PRESENCE_GET:
        return wagw_presence_get_command(t, id, params);

    case WAGW_CMD_CALL_REJECT:
        return wagw_call_reject_command(t, id, params);

    case WAGW_CMD_PICTURE:
        return wagw_picture_command(t, id, params);

    case WAGW_CMD_PICTURE_SET:
        return wagw_picture_set_command(t, id, params);

    case WAGW_CMD_ABOUT:
        return wagw_about_command(t, id, params);

    case WAGW_CMD_ABOUT_SET:
        return wagw_about_set_command(t, id, params);

    case WAGW_CMD_BLOCK:
        return wagw_block_command(t, id, params);

    case WAGW_CMD_BLOCKLIST:
        return wagw_blocklist_command(t, id);

    case WAGW_CMD_PRIVACY:
        return wagw_privacy_command(t, id);

    case WAGW_CMD_PRIVACY_SET:
        return wagw_privacy_set_command(t, id, params);

    case WAGW_CMD_DISAPPEARING:
        return wagw_disappearing_command(t, id);

    case WAGW_CMD_QR_LINK:
        return wagw_qr_link_command(t, id);

    case WAGW_CMD_BUSINESS:
        return wagw_business_command(t, id, params);

    case WAGW_CMD_BUSINESS_SET:
        return wagw_business_set_command(t, id, params);

    case WAGW_CMD_STAR:
    case WAGW_CMD_ARCHIVE:
    case WAGW_CMD_PIN_CHAT:
    case WAGW_CMD_MUTE:
    case WAGW_CMD_UNREAD:
    case WAGW_CMD_CHAT_DELETE:
    case WAGW_CMD_CHAT_CLEAR:
    case WAGW_CMD_DELETE_FOR_ME:
    case WAGW_CMD_CONTACT:
    case WAGW_CMD_PUSH_NAME:
    case WAGW_CMD_STORY_PUT:
        return wagw_app_changed(t, id, cmd, params);

    case WAGW_CMD_HISTORY:
        return wagw_history_command(t, id, params);

    case WAGW_CMD_MEDIA_RETRY:
        return wagw_media_retry_command(t, id, params);

    case WAGW_CMD_MEDIA_CONN:
        return wagw_media_conn_command(t, id);

    case WAGW_CMD_PRODUCT:
        return wagw_product_command(t, id, params);

    case WAGW_CMD_CHECK_EXISTS:
        return wagw_exists_command(t, id, params);

    case WAGW_CMD_STORY_SEEN:
    case WAGW_CMD_STORY_GET:
        return wagw_story_command(t, id, cmd, params);

    default:
        return wagw_turn_fail(t, id, 501, "NOT_SUPPORTED", "Not built yet");
    }
}
