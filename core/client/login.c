/*
 * What the server says of the session itself: success and the order of work
 * after it, failure, stream errors, ib (01 section 6, 03 section 11).
 */

#include "account_i.h"

#include <stdio.h>
#include <stdlib.h>

#define ACTIVE_TIMEOUT_MS 90000
#define UNIFIED_SHIFT_MS (3 * 86400000LL)
#define UNIFIED_PERIOD_MS 604800000LL

typedef struct {
    int code;
    wagw_status_t status;
    bool permanent;
    bool restart;
    int64_t not_before; /* ms, 0 none */
    char reason[32];
} ended_t;

static int wipe_identity(wagw_turn_t *t)
{
    return wagw_txn_op(&t->txn, WAGW_OP_WIPE, WAGW_STR_NULL, WAGW_STR_NULL);
}

/* The instance keeps its history; everything secret is gone. */
static void wiped_then(wagw_client_t *c, void *arg)
{
    (void)arg;
    if (c->creds) {
        wagw_wipe(c->creds, sizeof(*c->creds));
        free(c->creds);
        c->creds = NULL;
    }
    c->want_pair = false;
    c->wanted = false;
}

static void ended_then(wagw_client_t *c, void *arg)
{
    ended_t *e = arg;

    c->restart_now = e->restart;
    if (e->restart) {
        wagw_client_hangup(c, 0, NULL);
        return;
    }
    if (!e->permanent) {
        wagw_client_hangup(c, e->code, e->reason);
        return;
    }
    c->permanent = true;
    c->disconnect_code = e->code;
    c->disconnect_ms = c->now;
    snprintf(c->disconnect_reason, sizeof(c->disconnect_reason), "%s", e->reason);
    wagw_client_hangup(c, e->code, e->reason);
    wagw_client_status(c, e->status, e->code, e->reason);
    if (e->not_before) {
        c->permanent = false;
        wagw_client_timer(c, WAGW_TIMER_RECONNECT, e->not_before);
    } else {
        wagw_result_t r = {0};

        c->wanted = false;
        r.status = 409;
        r.code = "INSTANCE_NOT_CONNECTED";
        r.error = "Instance not found or not connected";
        wagw_send_abort(c, &r);
    }
    wagw_client_wake_waits(c);
}

static int ended(wagw_turn_t *t, int code, wagw_status_t status, bool permanent, const char *reason, int64_t not_before,
                 bool wipe)
{
    ended_t e = {0};

    e.code = code;
    e.status = status;
    e.permanent = permanent;
    e.not_before = not_before;
    snprintf(e.reason, sizeof(e.reason), "%s", reason);
    if (wipe) {
        WAGW_TRY(wipe_identity(t));
        WAGW_TRY(wagw_turn_then(t, wiped_then, NULL, 0));
    }
    return wagw_turn_then(t, ended_then, &e, sizeof(e));
}

static void success_then(wagw_client_t *c, void *arg)
{
    c->server_offset_ms = *(int64_t *)arg;
    wagw_client_state(c, WAGW_CONN_LOGIN, 0);
    wagw_client_timer(c, WAGW_TIMER_STATE, c->now + ACTIVE_TIMEOUT_MS);
}

int wagw_login_success(wagw_turn_t *t, const wagw_node_t *n)
{
    int64_t offset = 0;
    uint64_t at;
    wagw_jid_t lid, own;
    wagw_creds_t *creds;
    wagw_client_t *c = t->c;

    if (c->registering || c->conn != WAGW_CONN_FINISH) {
        wagw_client_log(c, WAGW_LOG_WARN, "unexpected success ignored");
        return WAGW_OK;
    }
    if (wagw_node_get_u64(n, "t", &at) == WAGW_OK && at < (1ull << 40)) {
        offset = (int64_t)at * 1000 - t->now;
    }
    if (wagw_node_get_jid(n, "lid", &lid) == WAGW_OK && wagw_jid_is_lid(&lid)) {
        own = c->creds->lid;
        if (!wagw_jid_eq(&own, &lid)) {
            if (!wagw_jid_empty(&own)) {
                wagw_client_log(c, WAGW_LOG_NOTICE, "the account has a new LID");
            }
            creds = wagw_turn_creds(t);
            if (creds == NULL) {
                return WAGW_NOMEM;
            }
            creds->lid = lid;
            WAGW_TRY(wagw_lid_learn(t, &creds->jid, &lid, NULL));
        }
    }
    WAGW_TRY(wagw_turn_then(t, success_then, &offset, sizeof(offset)));
    return wagw_prekeys_check(t, 0);
}

static void open_then(wagw_client_t *c, void *arg)
{
    (void)arg;
    if (c->conn != WAGW_CONN_LOGIN) {
        return;
    }
    wagw_client_state(c, WAGW_CONN_OPEN, 0);
    wagw_client_status(c, WAGW_STATUS_CONNECTED, 0, NULL);
    wagw_client_wake_waits(c);
    (void)wagw_turn_later(c, wagw_send_pending, 0, true);
    (void)wagw_turn_later(c, wagw_send_pump, 0, true);
    (void)wagw_turn_later(c, wagw_app_pump, 0, true);
    (void)wagw_turn_later(c, wagw_account_begin, 0, true);
    (void)wagw_turn_later(c, wagw_calls_due, 0, true);
    if (c->presences) {
        (void)wagw_turn_later(c, wagw_presence_again, 0, true);
    }
    (void)wagw_turn_later(c, wagw_history_begin, 0, false);
}

static int active_answer(wagw_turn_t *t, const wagw_node_t *node, uint64_t arg)
{
    wagw_node_t *ib;

    (void)arg;
    if (t->c->conn != WAGW_CONN_LOGIN) {
        return WAGW_OK;
    }
    if (node == NULL || wagw_iq_error(node, NULL)) {
        return ended(t, 408, WAGW_STATUS_DISCONNECTED, false, "connection_lost", 0, false);
    }
    WAGW_TRY(wagw_prekeys_digest(t));
    WAGW_TRY(wagw_prekeys_rotate(t));
    WAGW_TRY(wagw_limit_restore(t));
    ib = wagw_node(&t->arena, "ib");
    wagw_node_attrc(
        &t->arena, wagw_node_child(&t->arena, ib, "unified_session"), "id",
        (const char *)wagw_arena_printf(
            &t->arena, "%lld", (long long)((t->now + t->c->server_offset_ms + UNIFIED_SHIFT_MS) % UNIFIED_PERIOD_MS))
            .p);
    WAGW_TRY(wagw_turn_send(t, ib));
    if (t->c->conf.always_online) {
        WAGW_TRY(wagw_presence_send(t, true));
    }
    return wagw_turn_then(t, open_then, NULL, 0);
}

int wagw_login_active(wagw_turn_t *t)
{
    wagw_node_t *iq = wagw_iq(t, "set", "passive");

    wagw_node_child(&t->arena, iq, "active");
    return wagw_iq_send(t, iq, active_answer, 0);
}

/* 01 section 6, table of failures; contract section 7 item 7. */
int wagw_login_failure(wagw_turn_t *t, const wagw_node_t *n)
{
    int code;
    int64_t until = 0;
    uint64_t reason = 500, expire;

    if (wagw_node_get_u64(n, "reason", &reason) != WAGW_OK || reason > 99999) {
        reason = 500;
    }
    code = (int)reason;
    wagw_client_log(t->c, WAGW_LOG_WARN, "login refused with %d", code);

    switch (code) {
    case 401:
    case 406:
        return ended(t, code, WAGW_STATUS_LOGGED_OUT, true, "logged_out", 0, true);
    case 403:
        return ended(t, code, WAGW_STATUS_BANNED, true, "banned", 0, false);
    case 402:
        if (wagw_node_get_u64(n, "expire", &expire) == WAGW_OK && expire < (1u << 30)) {
            until = t->now + (int64_t)expire * 1000;
        }
        return ended(t, code, WAGW_STATUS_BANNED, true, "banned", until, false);
    case 405:
        return ended(t, code, WAGW_STATUS_FAILED, true, "client_too_old", 0, false);
    case 500:
    case 501:
    case 503:
        return ended(t, code, WAGW_STATUS_DISCONNECTED, false, "connection_lost", 0, false);
    default:
        return ended(t, code, WAGW_STATUS_FAILED, true, "refused", 0, false);
    }
}

int wagw_login_stream_error(wagw_turn_t *t, const wagw_node_t *n)
{
    int code = 500;
    ended_t e = {0};
    uint64_t u;
    wagw_buf_t dump = {0};
    const wagw_node_t *conflict = wagw_node_find(n, "conflict");

    if (wagw_node_get_u64(n, "code", &u) == WAGW_OK && u < 100000) {
        code = (int)u;
    } else if (conflict) {
        code = 440;
    }

    if (code == 515) {
        e.restart = true;
        return wagw_turn_then(t, ended_then, &e, sizeof(e));
    }
    if (conflict && wagw_node_attr_is(conflict, "type", "replaced")) {
        return ended(t, 440, WAGW_STATUS_CONFLICT, true, "replaced", 0, false);
    }
    if (code == 401 || (conflict && wagw_node_attr_is(conflict, "type", "device_removed"))) {
        return ended(t, 401, WAGW_STATUS_LOGGED_OUT, true, "logged_out", 0, true);
    }
    if (code == 403) {
        return ended(t, 403, WAGW_STATUS_BANNED, true, "banned", 0, false);
    }
    if (wagw_node_dump(&dump, n) == WAGW_OK && wagw_buf_u8(&dump, 0) == WAGW_OK) {
        wagw_client_log(t->c, WAGW_LOG_WARN, "stream error %d: %s", code, (char *)dump.p);
    }
    wagw_buf_free(&dump);
    return ended(t, code, WAGW_STATUS_DISCONNECTED, false, "connection_lost", 0, false);
}

static int ignore_answer(wagw_turn_t *t, const wagw_node_t *node, uint64_t arg)
{
    (void)t;
    (void)node;
    (void)arg;
    return WAGW_OK;
}

static int ib_dirty(wagw_turn_t *t, const wagw_node_t *n)
{
    uint64_t at = 0;
    wagw_str_t type = wagw_node_get(n, "type");
    wagw_node_t *iq, *clean;
    wagw_creds_t *creds;

    if (wagw_str_is(type, "groups")) {
        return wagw_group_dirty(t);
    }
    if (!wagw_str_is(type, "account_sync")) {
        return WAGW_OK;
    }
    if (wagw_node_get_u64(n, "timestamp", &at) != WAGW_OK) {
        return WAGW_OK;
    }
    if (wagw_turn_me(t)->account_sync_t) {
        iq = wagw_iq(t, "set", "urn:xmpp:whatsapp:dirty");
        clean = wagw_node_child(&t->arena, iq, "clean");
        wagw_node_attrc(&t->arena, clean, "type", "account_sync");
        wagw_node_attr_int(&t->arena, clean, "timestamp", (int64_t)wagw_turn_me(t)->account_sync_t);
        WAGW_TRY(wagw_iq_send(t, iq, ignore_answer, 0));
    }
    creds = wagw_turn_creds(t);
    if (creds == NULL) {
        return WAGW_NOMEM;
    }
    creds->account_sync_t = at;
    return WAGW_OK;
}

int wagw_login_ib(wagw_turn_t *t, const wagw_node_t *n)
{
    wagw_str_t s;
    wagw_node_t *ib, *batch;
    wagw_creds_t *creds;
    const wagw_node_t *k;

    for (k = n->content == WAGW_CONTENT_NODES ? n->child : NULL; k; k = k->next) {
        if (wagw_node_is(k, "edge_routing")) {
            s = wagw_node_data(wagw_node_find(k, "routing_info"));
            if (s.n && s.n <= WAGW_ROUTING_MAX && t->c->creds &&
                !wagw_str_eq(s, wagw_str(t->c->creds->routing, t->c->creds->routing_len))) {
                creds = wagw_turn_creds(t);
                if (creds == NULL) {
                    return WAGW_NOMEM;
                }
                memcpy(creds->routing, s.p, s.n);
                creds->routing_len = (uint16_t)s.n;
            }
        } else if (wagw_node_is(k, "offline_preview")) {
            ib = wagw_node(&t->arena, "ib");
            batch = wagw_node_child(&t->arena, ib, "offline_batch");
            wagw_node_attrc(&t->arena, batch, "count", "100");
            WAGW_TRY(wagw_turn_send(t, ib));
        } else if (wagw_node_is(k, "dirty")) {
            WAGW_TRY(ib_dirty(t, k));
        } else if (wagw_node_is(k, "downgrade_webclient")) {
            return ended(t, 411, WAGW_STATUS_FAILED, true, "multidevice_mismatch", 0, false);
        }
    }
    return WAGW_OK;
}
