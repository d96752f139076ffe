/*
 * The server's answer to a message (04 section 16), and what is sent again
 * after a login because its answer never came.
 */

#include "send_i.h"

#include <stdio.h>
#include <stdlib.h>

typedef struct {
    char id[68];
    bool again;
} acked_t;

static void acked_then(wagw_client_t *c, void *arg)
{
    acked_t *a = arg;
    wagw_job_t *j = wagw_unacked_unlink(c, wagw_cstr(a->id));

    if (j == NULL) {
        return;
    }
    if (!a->again) {
        wagw_job_free(c, j);
        return;
    }
    /* once more, ahead of the others */
    j->rebuilt = true;
    j->state = WAGW_JOB_NEW;
    j->devices_asked = j->bundles_asked = false;
    j->asked_upto = j->lids_upto = 0;
    free(j->given);
    j->given = NULL;
    j->given_len = 0;
    j->next = c->jobs;
    c->jobs = j;
    if (j->next == NULL) {
        c->jobs_last = &j->next;
    }
    (void)wagw_turn_later(c, wagw_send_pump, 0, true);
}

static void count_then(wagw_client_t *c, void *arg)
{
    if (*(bool *)arg) {
        c->sent++;
    } else {
        c->failed++;
    }
    c->ops->changed(c->driver);
}

static int ack_error(wagw_turn_t *t, wagw_job_t *job, wagw_row_message_t *row, int code)
{
    bool again = false, no = false;
    wagw_jid_t to, twin;
    wagw_buf_t b = {0};
    wagw_json_t j;
    wagw_creds_t *creds;
    wagw_result_t r = {0};

    if (wagw_jid_parse(&to, row->to) != WAGW_OK) {
        return WAGW_OK;
    }
    if (job && !job->rebuilt) {
        switch (code) {
        case 479:
        case 475:
            again = true;
            break;
        case 420:
        case 421:
            again = wagw_jid_is_group(&to) || wagw_jid_is_status(&to);
            break;
        case 400:
            again = wagw_jid_is_lid(&to) && wagw_turn_me(t)->lid_migrated == 0;
            if (again && (creds = wagw_turn_creds(t)) != NULL) {
                creds->lid_migrated = 2;
            }
            break;
        case 463:
            again = wagw_jid_is_pn(&to) && wagw_lid_twin(t, &to, &twin) == WAGW_OK;
            if (again && (creds = wagw_turn_creds(t)) != NULL) {
                creds->lid_migrated = 1;
            }
            break;
        default:
            break;
        }
    }
    if (again) {
        acked_t a = {.again = true};
        wagw_jid_t own = wagw_jid_user(&t->c->creds->jid);

        memcpy(a.id, job->id, sizeof(a.id));
        WAGW_TRY(wagw_devices_forget(t, &to));
        WAGW_TRY(wagw_devices_forget(t, &own));
        if (wagw_jid_is_status(&to)) {
            WAGW_TRY(wagw_story_stale(t, row));
        }
        if (wagw_jid_is_group(&to)) {
            WAGW_TRY(wagw_group_stale(t, &to));
            if (code == 421) {
                WAGW_TRY(wagw_group_rotate(t, &to)); /* members know us by another name now */
            }
        }
        return wagw_turn_then(t, acked_then, &a, sizeof(a));
    }

    if (wagw_jid_is_group(&to) && (code == 403 || code == 404)) {
        WAGW_TRY(wagw_group_forget(t, &to)); /* we are no member, or no admin, any more */
    }
    row->status = WAGW_MSG_FAILED;
    row->error = (uint32_t)code;
    row->stanza = WAGW_STR_NULL;
    WAGW_TRY(wagw_turn_message_put(t, row));

    wagw_iq_result(&r, &t->arena, code, WAGW_STR_NULL);
    if (code == 463) {
        WAGW_TRY(wagw_limit_refused(t, &r));
    } else if (code != 403 && code != 401 && code != 429) {
        r.status = 502;
        r.code = "WA_ERROR";
        r.error = "WhatsApp refused the message";
    }
    r.message_id = row->id;
    if (job && !job->accepted) {
        WAGW_TRY(wagw_turn_reply(t, job->command, &r));
    }

    j = wagw_json(&b);
    wagw_json_open(&j, '{');
    wagw_json_kstr(&j, "messageId", row->id);
    wagw_json_kstr(&j, "to", row->chat);
    wagw_json_kstr(&j, "chatId", row->chat);
    wagw_json_kcstr(&j, "error", r.error);
    wagw_json_kint(&j, "code", code);
    if (row->ref.n) {
        wagw_json_kstr(&j, "ref", row->ref);
    }
    wagw_json_close(&j);
    WAGW_TRY(wagw_event_emit(t, "message.failed", row->chat, &b));
    WAGW_TRY(wagw_turn_then(t, count_then, &no, sizeof(no)));
    if (job) {
        acked_t a = {.again = false};

        memcpy(a.id, job->id, sizeof(a.id));
        return wagw_turn_then(t, acked_then, &a, sizeof(a));
    }
    return WAGW_OK;
}

int wagw_send_ack(wagw_turn_t *t, const wagw_node_t *ack)
{
    int rc;
    bool yes = true;
    acked_t a = {.again = false};
    uint64_t at, error;
    wagw_str_t id = wagw_node_get(ack, "id");
    wagw_jid_t from, chat;
    wagw_job_t *job;
    wagw_incoming_t in;
    wagw_row_message_t row;

    if (id.n == 0 || id.n >= sizeof(a.id) || wagw_node_get_jid(ack, "from", &from) != WAGW_OK) {
        return WAGW_OK;
    }
    WAGW_TRY(wagw_chat_canonical(t, &from, &chat));
    rc = wagw_turn_message(t, wagw_jid_str(&t->arena, &chat), id, WAGW_STR(""), &row);
    if (rc == WAGW_NOT_FOUND) {
        return WAGW_OK; /* a peer message, a retry: nothing waits */
    }
    WAGW_TRY(rc);
    if (row.status != WAGW_MSG_PENDING) {
        return WAGW_OK;
    }
    job = wagw_unacked_find(t->c, id);
    if (wagw_node_get_u64(ack, "error", &error) == WAGW_OK && error > 0 && error < 100000) {
        return ack_error(t, job, &row, (int)error);
    }

    row.status = WAGW_MSG_SENT;
    row.stanza = WAGW_STR_NULL;
    /* the server's time; within the same second ours is the finer one, and the
     * listings' indexes stay as they are */
    if (wagw_node_get_u64(ack, "t", &at) == WAGW_OK && at && at < (1ull << 40) && (int64_t)at != row.t_ms / 1000) {
        row.t_ms = wagw_server_ms(t->now, at);
    }
    WAGW_TRY(wagw_turn_message_put(t, &row));

    if (row.flags & WAGW_ROW_HIDDEN) {
        /* a reaction, an edit, a revoke: now it is true here too */
        memset(&in, 0, sizeof(in));
        in.id = row.id;
        in.from_me = true;
        in.chat = chat;
        in.wire_chat = from;
        in.sender = wagw_jid_user(wagw_jid_is_lid(&from) ? &t->c->creds->lid : &t->c->creds->jid);
        in.t_ms = row.t_ms;
        WAGW_TRY(wagw_apply_content(t, &in, row.content));
    } else {
        WAGW_TRY(wagw_event_message(t, "message.sent", &row, "api"));
    }
    if (wagw_node_has(ack, "phash")) {
        /* the server knows another device list */
        wagw_jid_t own = wagw_jid_user(&t->c->creds->jid);

        WAGW_TRY(wagw_devices_forget(t, &from));
        WAGW_TRY(wagw_devices_forget(t, &own));
        if (wagw_jid_is_group(&from)) {
            WAGW_TRY(wagw_group_stale(t, &from));
        } else if (wagw_jid_is_status(&from)) {
            WAGW_TRY(wagw_story_stale(t, &row));
        }
    }
    if (job && job->given_len) {
        WAGW_TRY(wagw_group_given(t, &from, job->key_id, job->given, job->given_len));
    }
    WAGW_TRY(wagw_token_issue(t, &from));
    if (job && !job->accepted) {
        WAGW_TRY(wagw_job_answer(t, job, &row));
    }
    WAGW_TRY(wagw_turn_then(t, count_then, &yes, sizeof(yes)));
    memcpy(a.id, id.p, id.n);
    return wagw_turn_then(t, acked_then, &a, sizeof(a));
}

/* ---- after a login --------------------------------------------------------------------------------------- */

typedef struct {
    wagw_turn_t *t;
    int rc;
} pending_t;

static void pending_then(wagw_client_t *c, void *arg)
{
    wagw_job_t *j;

    if (wagw_unacked_find(c, wagw_cstr(arg))) {
        return;
    }
    j = calloc(1, sizeof(*j));
    if (j == NULL) {
        return;
    }
    j->serial = ++c->job_serial;
    snprintf(j->id, sizeof(j->id), "%s", (char *)arg);
    c->njobs++;
    wagw_unacked_add(c, j);
}

static int pending_row(void *data, wagw_str_t key, wagw_str_t value)
{
    char id[68] = {0};
    pending_t *p = data;
    wagw_row_message_t row;

    (void)key;
    if (wagw_row_message_decode(&row, value) != WAGW_OK || row.stanza.n == 0 || row.id.n >= sizeof(id)) {
        return 0;
    }
    memcpy(id, row.id.p, row.id.n);
    p->rc = wagw_turn_send_bytes(p->t, row.stanza);
    if (p->rc == WAGW_OK) {
        p->rc = wagw_turn_then(p->t, pending_then, id, sizeof(id));
    }
    return p->rc;
}

int wagw_send_pending(wagw_turn_t *t, uint64_t unused)
{
    int rc;
    pending_t p = {t, WAGW_OK};

    (void)unused;
    rc = wagw_txn_scan(&t->txn, WAGW_REC_PENDING, WAGW_STR(""), pending_row, &p);
    return p.rc != WAGW_OK ? p.rc : rc;
}
