/*
 * The timers of an instance: one deadline each, the earliest is what the
 * driver knows (01 sections 9, 10).
 */

#include "account_i.h"

#define DEAD_AFTER_MS 35000
#define DEAD_LOOK_MS 10000

void wagw_client_timer(wagw_client_t *c, wagw_timer_t which, int64_t at)
{
    c->timers[which] = at;
}

void wagw_client_arm(wagw_client_t *c)
{
    int64_t at = 0;

#define EARLIER(x)                                                                                                     \
    do {                                                                                                               \
        int64_t x_ = (x);                                                                                              \
        if (x_ && (at == 0 || x_ < at))                                                                                \
            at = x_;                                                                                                   \
    } while (0)
    for (unsigned i = 0; i < WAGW_TIMER_N; i++) {
        EARLIER(c->timers[i]);
    }
    if (c->iqs) {
        EARLIER(c->iqs->deadline);
    }
    if (c->unacked) {
        EARLIER(c->unacked->deadline);
    }
#undef EARLIER
    if (at != c->timer_set) {
        c->timer_set = at;
        c->ops->timer(c->driver, at);
    }
}

static int ping_answer(wagw_turn_t *t, const wagw_node_t *node, uint64_t arg)
{
    (void)arg;
    if (node == NULL && t->c->conn >= WAGW_CONN_FINISH) {
        wagw_client_log(t->c, WAGW_LOG_DEBUG, "a ping was not answered");
    }
    return WAGW_OK;
}

static int client_ping(wagw_turn_t *t, uint64_t unused)
{
    wagw_node_t *iq = wagw_iq(t, "get", "w:p");

    (void)unused;
    if (wagw_node_child(&t->arena, iq, "ping") == NULL) {
        return WAGW_NOMEM;
    }
    return wagw_iq_send(t, iq, ping_answer, 0);
}

static int client_chatstate_end(wagw_turn_t *t, uint64_t unused)
{
    wagw_node_t *n = wagw_node(&t->arena, "chatstate");

    (void)unused;
    wagw_node_attr_jid(&t->arena, n, "to", &t->c->chatstate_to);
    wagw_node_child(&t->arena, n, "paused");
    return wagw_turn_send(t, n);
}

void wagw_client_tick(wagw_client_t *c, int64_t now)
{
    uint32_t r;

    c->now = now;
    c->timer_set = -1;
#define DUE(which) (c->timers[which] && c->timers[which] <= now && ((c->timers[which] = 0), true))

    if (DUE(WAGW_TIMER_RECONNECT)) {
        wagw_client_try_connect(c);
    }
    if (DUE(WAGW_TIMER_STATE)) {
        switch (c->conn) {
        case WAGW_CONN_SIGNED:
            wagw_client_hangup(c, 515, "restart_required");
            break;
        default:
            wagw_client_log(c, WAGW_LOG_WARN, "no answer from the server in connection state %d", c->conn);
            wagw_client_hangup(c, 408, "timeout");
            break;
        }
    }
    if (DUE(WAGW_TIMER_PING) && c->conn >= WAGW_CONN_FINISH) {
        if (now - c->rx_last > DEAD_AFTER_MS) {
            wagw_client_hangup(c, 408, "connection_lost");
        } else {
            (void)wagw_turn_later(c, client_ping, 0, true);
            c->sh->random(c->sh->random_data, (uint8_t *)&r, sizeof(r));
            c->timers[WAGW_TIMER_PING] = now + 20000 + r % 10000;
            c->timers[WAGW_TIMER_DEAD] = now + DEAD_LOOK_MS;
        }
    }
    if (DUE(WAGW_TIMER_DEAD) && c->conn >= WAGW_CONN_FINISH && now - c->rx_last > DEAD_AFTER_MS) {
        wagw_client_hangup(c, 408, "connection_lost");
    }
    if (DUE(WAGW_TIMER_QR)) {
        wagw_pair_next_ref(c);
    }
    if (DUE(WAGW_TIMER_PAIR) && c->registering) {
        wagw_client_hangup(c, 408, "timeout");
    }
    if (DUE(WAGW_TIMER_STABLE)) {
        c->shorts = 0;
    }
    if (DUE(WAGW_TIMER_CHATSTATE) && c->conn == WAGW_CONN_OPEN) {
        (void)wagw_turn_later(c, client_chatstate_end, 0, true);
    }
    if (DUE(WAGW_TIMER_JOB) && c->conn == WAGW_CONN_OPEN) {
        (void)wagw_turn_later(c, wagw_send_pump, 0, true);
    }
    if (DUE(WAGW_TIMER_PHONE) && c->conn == WAGW_CONN_OPEN) {
        (void)wagw_turn_later(c, wagw_phone_ask, 0, true);
    }
    if (DUE(WAGW_TIMER_APP) && c->conn == WAGW_CONN_OPEN) {
        (void)wagw_turn_later(c, wagw_app_pump, 0, true);
    }
    if (DUE(WAGW_TIMER_PRESENCE)) {
        wagw_presence_tick(c, false);
    }
    if (DUE(WAGW_TIMER_HISTORY)) {
        wagw_history_tick(c);
    }
#undef DUE
    wagw_iq_expire(c, now);
    wagw_send_expire(c, now);
    wagw_client_arm(c);
}
