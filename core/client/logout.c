/*
 * Unlinking from our side (12 section 1): WhatsApp is told when it can be, the
 * credentials are wiped either way.
 */

#include "client_i.h"

#include <stdlib.h>

static void logout_then(wagw_client_t *c, void *arg)
{
    (void)arg;
    c->permanent = true;
    c->wanted = c->want_pair = false;
    wagw_client_timer(c, WAGW_TIMER_RECONNECT, 0);
    if (c->creds) {
        wagw_wipe(c->creds, sizeof(*c->creds));
        free(c->creds);
        c->creds = NULL;
    }
    c->creds_loaded = true;
    c->creds_bad = false;
    wagw_client_hangup(c, 401, "logged_out");
    wagw_client_status(c, WAGW_STATUS_LOGGED_OUT, 0, "logged_out");
}

static int logout_local(wagw_turn_t *t, uint64_t command, bool remote)
{
    int rc;
    wagw_buf_t b = {0};
    wagw_json_t j = wagw_json(&b);
    wagw_result_t r = {0};

    WAGW_TRY(wagw_txn_op(&t->txn, WAGW_OP_WIPE, WAGW_STR_NULL, WAGW_STR_NULL));
    WAGW_TRY(wagw_turn_then(t, logout_then, NULL, 0));
    wagw_json_open(&j, '{');
    wagw_json_kbool(&j, "remote", remote);
    wagw_json_close(&j);
    r.status = 200;
    r.message = "Logged out successfully";
    r.data = wagw_buf_view(&b);
    rc = b.failed ? WAGW_NOMEM : wagw_turn_reply(t, command, &r);
    wagw_buf_free(&b);
    return rc;
}

static int logout_answer(wagw_turn_t *t, const wagw_node_t *node, uint64_t command)
{
    return logout_local(t, command, node != NULL && wagw_iq_error(node, NULL) == 0);
}

int wagw_logout_command(wagw_turn_t *t, uint64_t command)
{
    wagw_node_t *iq, *n;
    const wagw_creds_t *me = wagw_turn_me(t);

    if (me == NULL || !me->paired || t->c->conn < WAGW_CONN_LOGIN) {
        return logout_local(t, command, false);
    }
    iq = wagw_iq(t, "set", "md");
    n = wagw_node_child(&t->arena, iq, "remove-companion-device");
    wagw_node_attr_jid(&t->arena, n, "jid", &me->jid);
    wagw_node_attrc(&t->arena, n, "reason", "user_initiated");
    return wagw_iq_send_for(t, iq, logout_answer, command);
}
