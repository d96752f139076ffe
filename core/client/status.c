/*
 * What the instance is, for observers, and how it is told (contract 3.2, 4.4:
 * session.status).
 */

#include "client_i.h"

#include <stdio.h>
#include <stdlib.h>

typedef struct {
    wagw_item_t item;
    wagw_status_t status;
    int code;
    int64_t at;
    char reason[64];
    char qr[640];
    char pairing_code[WAGW_PAIR_CODE_LEN + 1];
} status_item_t;

const char *wagw_status_name(wagw_status_t s)
{
    static const char *const names[] = {"disconnected", "connecting", "qr",       "pairing", "passkey", "connected",
                                        "logged_out",   "banned",     "conflict", "paused",  "failed"};

    return (unsigned)s < sizeof(names) / sizeof(names[0]) ? names[s] : "disconnected";
}

/* Whose instance it is.  A start says "connecting" before the credentials are in
 * memory: the columns written then must not forget the account, or an owner that
 * dies right after leaves an instance which the next one takes for unlinked. */
static int status_me(wagw_turn_t *t, wagw_creds_t *stored, const wagw_creds_t **me)
{
    int rc;
    wagw_str_t v;

    *me = wagw_turn_me(t);
    if (*me || t->c->creds_loaded || t->c->creds_bad) {
        return WAGW_OK;
    }
    rc = wagw_txn_get(&t->txn, WAGW_REC_CREDS, WAGW_STR(""), &v);
    if (rc == WAGW_OK && wagw_creds_decode(stored, v) == WAGW_OK) {
        *me = stored;
    }
    return rc == WAGW_NOT_FOUND ? WAGW_OK : rc;
}

/* The engine's columns of the instance. */
int wagw_status_store(wagw_turn_t *t, unsigned status)
{
    int rc;
    size_t n;
    char jid[WAGW_JID_TEXT_MAX], lid[WAGW_JID_TEXT_MAX];
    wagw_buf_t b = {0};
    wagw_creds_t stored = {0};
    const wagw_creds_t *me;
    wagw_row_instance_t row;

    rc = status_me(t, &stored, &me);
    if (rc != WAGW_OK) {
        return rc;
    }

    memset(&row, 0, sizeof(row));
    if (me && me->paired) {
        n = wagw_jid_text(&me->jid, jid);
        row.jid = wagw_str(jid, n);
        if (!wagw_jid_empty(&me->lid)) {
            n = wagw_jid_text(&me->lid, lid);
            row.lid = wagw_str(lid, n);
        }
        row.push_name = wagw_cstr(me->push_name);
        row.platform = wagw_cstr(me->platform);
        row.business_name = wagw_cstr(me->business_name);
    }
    row.status = wagw_cstr(wagw_status_name(status));
    row.connected_ms = t->c->connected_ms;
    row.disconnect_code = t->c->disconnect_code;
    row.disconnect_reason = wagw_cstr(t->c->disconnect_reason);
    row.disconnect_ms = t->c->disconnect_ms;
    rc = wagw_row_instance_encode(&b, &row);
    if (rc == WAGW_OK) {
        rc = wagw_txn_op(&t->txn, WAGW_OP_INSTANCE, WAGW_STR_NULL, wagw_buf_view(&b));
    }
    wagw_buf_free(&b);
    wagw_wipe(&stored, sizeof(stored));
    return rc;
}

static int status_run(wagw_turn_t *t, wagw_item_t *item)
{
    wagw_buf_t b = {0};
    wagw_json_t j = wagw_json(&b);
    status_item_t *s = (status_item_t *)item;
    wagw_creds_t stored = {0};
    const wagw_creds_t *me;

    WAGW_TRY(status_me(t, &stored, &me));
    wagw_json_open(&j, '{');
    wagw_json_kcstr(&j, "status", wagw_status_name(s->status));
    if (me && me->paired) {
        wagw_json_kcstr(&j, "phoneNumber", me->jid.user);
    }
    if (s->qr[0]) {
        wagw_json_kcstr(&j, "qrCode", s->qr);
    }
    if (s->pairing_code[0]) {
        wagw_json_kcstr(&j, "pairingCode", s->pairing_code);
    }
    if (s->reason[0]) {
        wagw_json_kcstr(&j, "reason", s->reason);
    }
    if (s->code) {
        wagw_json_kint(&j, "code", s->code);
    }
    wagw_json_close(&j);
    wagw_wipe(&stored, sizeof(stored));
    WAGW_TRY(wagw_event_emit(t, "session.status", WAGW_STR_NULL, &b));

    return wagw_status_store(t, s->status);
}

static void status_done(wagw_client_t *c, wagw_item_t *item, int rc)
{
    if (rc != WAGW_OK) {
        wagw_client_log(c, WAGW_LOG_WARN, "a status change could not be stored: %s", wagw_rc_name(rc));
    }
    free(item);
}

void wagw_client_status(wagw_client_t *c, wagw_status_t s, int code, const char *reason)
{
    status_item_t *it;

    if (c->status == s && s != WAGW_STATUS_QR && s != WAGW_STATUS_PAIRING && code == 0) {
        return;
    }
    c->status = (uint8_t)s;
    c->ops->changed(c->driver);

    it = calloc(1, sizeof(*it));
    if (it == NULL) {
        return;
    }
    it->item.run = status_run;
    it->item.done = status_done;
    it->status = s;
    it->code = code;
    it->at = c->now;
    if (reason) {
        snprintf(it->reason, sizeof(it->reason), "%s", reason);
    }
    if (c->pairing && s == WAGW_STATUS_QR) {
        memcpy(it->qr, c->pairing->qr, sizeof(it->qr));
    }
    if (c->pairing && s == WAGW_STATUS_PAIRING) {
        memcpy(it->pairing_code, c->pairing->code, sizeof(it->pairing_code));
    }
    wagw_turn_push(c, &it->item);
}

void wagw_client_info(const wagw_client_t *c, wagw_client_info_t *out)
{
    memset(out, 0, sizeof(*out));
    out->status = c->status;
    if (c->creds && c->creds->paired) {
        out->linked = true;
        out->jid = c->creds->jid;
        out->lid = c->creds->lid;
        out->push_name = wagw_cstr(c->creds->push_name);
        out->platform = wagw_cstr(c->creds->platform);
        out->business_name = wagw_cstr(c->creds->business_name);
    }
    if (c->pairing) {
        if (c->status == WAGW_STATUS_QR) {
            out->qr = wagw_cstr(c->pairing->qr);
            out->qr_expires_ms = c->pairing->qr_expires;
            out->qr_attempt = c->pairing->at + 1;
        }
        if (c->status == WAGW_STATUS_PAIRING) {
            out->pairing_code = wagw_cstr(c->pairing->code);
        }
    }
    out->connected_ms = c->connected_ms;
    out->disconnect_code = c->disconnect_code;
    out->disconnect_reason = wagw_cstr(c->disconnect_reason);
    out->disconnect_ms = c->disconnect_ms;
    out->sent = c->sent;
    out->received = c->received;
    out->failed = c->failed;
    out->reconnects = c->reconnects;
    out->ignored = c->ignored;
    out->queue = c->njobs;
}
