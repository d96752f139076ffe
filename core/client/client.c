/*
 * Life of an instance's connection (01 sections 1 to 10, 03 section 1): when
 * to connect, the frames, the timers, what a lost connection means.
 */

#include "client_i.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#define OPEN_TIMEOUT_MS     30000
#define HELLO_TIMEOUT_MS    20000
#define FINISH_TIMEOUT_MS   30000       /* 01 section 6, local rule */
#define SIGNED_TIMEOUT_MS   30000       /* 03 section 6 step 9 */
#define DEAD_AFTER_MS       35000
#define DEAD_LOOK_MS        10000
#define STABLE_AFTER_MS     60000
#define BACKOFF_MAX_S       60
#define RX_MAX              (WAGW_FRAME_MAX + 3)


typedef struct {
    wagw_item_t   item;
    size_t        n;
    uint8_t       p[];
} node_item_t;

typedef struct {
    wagw_item_t   item;
    uint64_t      id;
    wagw_cmd_t    cmd;
    cJSON        *params;
} command_item_t;

typedef struct {
    wagw_item_t    item;
    wagw_status_t  status;
    int            code;
    int64_t        at;
    char           reason[64];
    char           qr[640];
    char           pairing_code[WAGW_PAIR_CODE_LEN + 1];
} status_item_t;


static int client_load(wagw_turn_t *t, uint64_t unused);
static int client_new_identity(wagw_turn_t *t, uint64_t unused);
static void client_lost(wagw_client_t *c, int code, const char *reason);
static void client_frame(wagw_client_t *c, wagw_str_t body);


const char *
wagw_status_name(wagw_status_t s)
{
    static const char *const names[] = {
        "disconnected", "connecting", "qr", "pairing", "passkey", "connected", "logged_out", "banned", "conflict",
        "paused", "failed"
    };

    return (unsigned) s < sizeof(names) / sizeof(names[0]) ? names[s] : "disconnected";
}


wagw_client_t *
wagw_client_create(uint32_t instance, const wagw_client_shared_t *sh, const wagw_client_conf_t *conf,
    const wagw_client_ops_t *ops, void *driver, uint64_t event_seq)
{
    wagw_client_t  *c = calloc(1, sizeof(*c));

    if (c == NULL) {
        return NULL;
    }
    c->instance = instance;
    c->sh = sh;
    c->conf = *conf;
    c->ops = ops;
    c->driver = driver;
    c->event_seq = event_seq;
    c->items_last = &c->items;
    c->out_last = &c->out;
    c->jobs_last = &c->jobs;
    c->unacked_last = &c->unacked;
    return c;
}


void
wagw_client_destroy(wagw_client_t *c)
{
    wagw_out_t     *o;
    wagw_iq_t      *iq;
    wagw_ask_t     *ask;
    wagw_item_t    *item;
    wagw_load_t    *l;
    wagw_wait_t    *w;
    wagw_result_t   r = { 0 };

    if (c == NULL) {
        return;
    }
    r.status = 503;
    r.code = "DRAINING";
    r.error = "The instance is being stopped";
    r.retry_after = 1;

    c->running = true;      /* nothing runs any more */
    if (c->conn != WAGW_CONN_IDLE) {
        c->ops->close(c->driver);
    }
    while ((item = c->items) != NULL) {
        c->items = item->next;
        item->done(c, item, WAGW_STATE);
    }
    while ((iq = c->iqs) != NULL) {
        c->iqs = iq->next;
        if (iq->command) {
            c->ops->reply(c->driver, iq->command, &r);
        }
        free(iq);
    }
    while ((w = c->waits) != NULL) {
        c->waits = w->next;
        c->ops->reply(c->driver, w->command, &r);
        free(w);
    }
    for (wagw_job_t *j = c->jobs; j; j = j->next) {
        if (j->command && !j->accepted) {
            c->ops->reply(c->driver, j->command, &r);
        }
    }
    for (wagw_job_t *j = c->unacked; j; j = j->next) {
        if (j->command && !j->accepted) {
            c->ops->reply(c->driver, j->command, &r);
        }
    }
    while ((o = c->out) != NULL) {
        c->out = o->next;
        if (o->type == WAGW_OUT_REPLY) {
            c->ops->reply(c->driver, o->command, &r);
        }
        free(o);
    }
    while ((l = c->asked) != NULL) {
        c->asked = l->next;
        free(l);
    }
    while ((ask = c->asks) != NULL) {
        c->asks = ask->next;
        free(ask);
    }
    wagw_send_free(c);
    wagw_pair_clear(c);
    if (c->noise) {
        wagw_noise_wipe(c->noise);
        free(c->noise);
    }
    wagw_buf_wipe(&c->rx);
    if (c->creds) {
        wagw_wipe(c->creds, sizeof(*c->creds));
        free(c->creds);
    }
    free(c);
}


void
wagw_client_configure(wagw_client_t *c, const wagw_client_conf_t *conf)
{
    c->conf = *conf;
}


void
wagw_client_start(wagw_client_t *c, bool pair, int64_t now)
{
    c->now = now;
    c->started = true;
    c->wanted = true;
    c->permanent = false;
    c->want_pair = c->want_pair || pair;
    c->attempts = 0;
    wagw_client_timer(c, WAGW_TIMER_RECONNECT, 0);
    wagw_client_try_connect(c);
    wagw_client_arm(c);
}


void
wagw_client_stop(wagw_client_t *c, bool paused, int64_t now)
{
    c->now = now;
    c->wanted = false;
    c->want_pair = false;
    c->restart_now = false;
    wagw_client_timer(c, WAGW_TIMER_RECONNECT, 0);
    c->permanent = true;
    if (c->conn != WAGW_CONN_IDLE) {
        wagw_client_hangup(c, 0, NULL);
    }
    wagw_client_status(c, paused ? WAGW_STATUS_PAUSED : WAGW_STATUS_DISCONNECTED, 0, NULL);
    wagw_client_arm(c);
}


void
wagw_client_set_status(wagw_client_t *c, wagw_status_t s)
{
    c->status = s;
    c->ops->changed(c->driver);
}


/* ---- connecting ------------------------------------------------------------ */

void
wagw_client_try_connect(wagw_client_t *c)
{
    if (c->conn != WAGW_CONN_IDLE || !c->wanted || c->creds_bad || c->timers[WAGW_TIMER_RECONNECT]) {
        return;
    }
    if (!c->creds_loaded) {
        (void) wagw_turn_later(c, client_load, 0, false);
        return;
    }
    if (c->creds == NULL) {
        if (c->want_pair) {
            (void) wagw_turn_later(c, client_new_identity, 0, false);
        }
        return;
    }
    if (!c->creds->paired && !c->want_pair) {
        return;
    }
    c->epoch++;
    c->registering = !c->creds->paired;
    c->server_offset_ms = 0;
    wagw_client_state(c, WAGW_CONN_OPENING, OPEN_TIMEOUT_MS);
    wagw_client_status(c, WAGW_STATUS_CONNECTING, 0, NULL);
    c->ops->connect(c->driver);
}


static void
loaded_then(wagw_client_t *c, void *arg)
{
    wagw_creds_t  *creds = arg;

    c->creds_loaded = true;
    if (creds) {
        c->creds = malloc(sizeof(*c->creds));
        if (c->creds == NULL) {
            c->creds_loaded = false;
            return;
        }
        *c->creds = *creds;
        wagw_wipe(creds, sizeof(*creds));
    }
    c->ops->changed(c->driver);
    wagw_client_try_connect(c);
}


static void
bad_then(wagw_client_t *c, void *arg)
{
    (void) arg;
    c->creds_bad = true;
    c->wanted = false;
    wagw_client_log(c, WAGW_LOG_ERROR, "the stored credentials cannot be read; they are left as they are");
    wagw_client_status(c, WAGW_STATUS_FAILED, 500, "credentials_unreadable");
    wagw_client_wake_waits(c);
}


static int
client_load(wagw_turn_t *t, uint64_t unused)
{
    int            rc;
    wagw_str_t     v;
    wagw_creds_t   creds;

    (void) unused;
    if (t->c->creds_loaded || t->c->creds_bad) {
        return WAGW_OK;
    }
    rc = wagw_txn_get(&t->txn, WAGW_REC_CREDS, WAGW_STR(""), &v);
    if (rc == WAGW_NOT_FOUND) {
        return wagw_turn_then(t, loaded_then, NULL, 0);
    }
    if (rc != WAGW_OK) {
        return rc;
    }
    if (wagw_creds_decode(&creds, v) != WAGW_OK) {
        return wagw_turn_then(t, bad_then, NULL, 0);
    }
    rc = wagw_turn_then(t, loaded_then, &creds, sizeof(creds));
    wagw_wipe(&creds, sizeof(creds));
    return rc;
}


static void
connect_then(wagw_client_t *c, void *arg)
{
    (void) arg;
    wagw_client_try_connect(c);
}


static int
client_new_identity(wagw_turn_t *t, uint64_t unused)
{
    wagw_creds_t  *creds;

    (void) unused;
    if (t->c->creds) {
        return WAGW_OK;
    }
    creds = wagw_turn_creds(t);
    if (creds == NULL) {
        return WAGW_NOMEM;
    }
    WAGW_TRY(wagw_creds_make(t, creds));
    return wagw_turn_then(t, connect_then, NULL, 0);
}


void
wagw_client_opened(wagw_client_t *c, int64_t now)
{
    wagw_buf_t  b = { 0 };

    c->now = now;
    if (c->conn != WAGW_CONN_OPENING || c->creds == NULL) {
        return;
    }
    c->noise = malloc(sizeof(*c->noise));
    if (c->noise == NULL
        || wagw_noise_client_init(c->noise, NULL, c->sh->random, c->sh->random_data) != WAGW_OK
        || wagw_noise_client_hello(c->noise, &b, wagw_str(c->creds->routing, c->creds->routing_len)) != WAGW_OK
        || b.failed)
    {
        wagw_buf_free(&b);
        wagw_client_hangup(c, 500, "connection_lost");
        return;
    }
    c->iq_prefix[0] = '\0';
    c->iq_num = 0;
    c->rx_last = now;
    wagw_client_state(c, WAGW_CONN_HELLO, HELLO_TIMEOUT_MS);
    c->ops->send(c->driver, wagw_buf_view(&b));
    wagw_buf_free(&b);
    wagw_client_arm(c);
}


void
wagw_client_received(wagw_client_t *c, const uint8_t *p, size_t n, int64_t now)
{
    int         rc;
    bool        partial = c->rx.n != 0;
    size_t      used;
    uint32_t    epoch = c->epoch;
    wagw_str_t  in, body;

    c->now = now;
    if (c->noise == NULL) {
        return;
    }
    c->rx_last = now;

    in = wagw_str(p, n);
    if (partial) {
        if (c->rx.n + n > RX_MAX + (1u << 20) || wagw_buf_add(&c->rx, p, n) != WAGW_OK) {
            wagw_client_hangup(c, 428, "connection_lost");
            return;
        }
        in = wagw_buf_view(&c->rx);
    }

    for ( ;; ) {
        rc = wagw_frame_next(in, WAGW_FRAME_MAX, &body, &used);
        if (rc != WAGW_OK) {
            break;
        }
        client_frame(c, body);
        if (c->epoch != epoch || c->noise == NULL) {
            return;
        }
        in.p += used;
        in.n -= used;
    }
    if (rc != WAGW_AGAIN) {
        wagw_client_log(c, WAGW_LOG_ERROR, "a frame of impossible length, connection dropped");
        wagw_client_hangup(c, 428, "connection_lost");
        return;
    }

    /* the rest of a frame is kept; without one, no buffer stays */
    if (partial) {
        if (in.n == 0) {
            wagw_buf_free(&c->rx);
        } else {
            wagw_buf_consume(&c->rx, c->rx.n - in.n);
        }
    } else if (in.n && wagw_buf_add(&c->rx, in.p, in.n) != WAGW_OK) {
        wagw_client_hangup(c, 428, "connection_lost");
        return;
    }
    wagw_client_arm(c);
}


static void
client_hello(wagw_client_t *c, wagw_str_t body)
{
    int          rc;
    wagw_buf_t   payload = { 0 }, out = { 0 };
    const char  *why = "malformed";

    rc = c->registering ? wagw_payload_registration(&payload, c->creds, &c->conf, c->sh->version)
                        : wagw_payload_login(&payload, c->creds, &c->conf, c->sh->version);
    if (rc == WAGW_OK) {
        rc = wagw_noise_client_finish(c->noise, &out, body, wagw_buf_view(&payload), &c->creds->noise, c->sh->root,
            c->now / 1000, &why);
    }
    wagw_buf_wipe(&payload);
    if (rc != WAGW_OK || out.failed) {
        wagw_buf_free(&out);
        wagw_client_log(c, WAGW_LOG_ERROR, "the server's handshake is refused: %s", why);
        wagw_client_hangup(c, 428, "connection_lost");
        return;
    }
    c->ops->send(c->driver, wagw_buf_view(&out));
    wagw_buf_free(&out);
    wagw_client_state(c, WAGW_CONN_FINISH, FINISH_TIMEOUT_MS);
    wagw_client_timer(c, WAGW_TIMER_PING, c->now + 20000);
}


static int
node_run(wagw_turn_t *t, wagw_item_t *item)
{
    int           rc;
    node_item_t  *ni = (node_item_t *) item;
    wagw_node_t  *n;

    rc = wagw_node_decode(&n, &t->arena, wagw_str(ni->p, ni->n));
    if (rc != WAGW_OK) {
        return rc == WAGW_NOMEM ? rc : WAGW_MALFORMED;
    }
    return wagw_receive_node(t, n);
}


static void
node_done(wagw_client_t *c, wagw_item_t *item, int rc)
{
    node_item_t  *ni = (node_item_t *) item;

    if (rc != WAGW_OK && item->epoch == c->epoch) {
        /* not acknowledged, so that it comes again after the reconnect */
        wagw_client_log(c, WAGW_LOG_ERROR, "a stanza could not be handled (%s), connection dropped", wagw_rc_name(rc));
        wagw_client_hangup(c, 428, "connection_lost");
    }
    wagw_wipe(ni->p, ni->n);
    free(ni);
}


static void
client_frame(wagw_client_t *c, wagw_str_t body)
{
    int           rc;
    wagw_buf_t    plain = { 0 };
    node_item_t  *ni;

    if (c->conn == WAGW_CONN_HELLO) {
        client_hello(c, body);
        return;
    }

    rc = wagw_noise_open(c->noise, &plain, body);
    if (rc == WAGW_OK) {
        ni = calloc(1, sizeof(*ni) + plain.n);
        if (ni != NULL) {
            ni->item.run = node_run;
            ni->item.done = node_done;
            ni->item.epoch = c->epoch;
            ni->item.bytes = (uint32_t) plain.n + sizeof(*ni);
            ni->n = plain.n;
            memcpy(ni->p, plain.p, plain.n);
            wagw_buf_wipe(&plain);
            wagw_turn_push(c, &ni->item);
            return;
        }
        rc = WAGW_NOMEM;
    }
    wagw_buf_wipe(&plain);
    wagw_client_log(c, WAGW_LOG_ERROR, "a frame cannot be opened (%s), connection dropped", wagw_rc_name(rc));
    wagw_client_hangup(c, 428, "connection_lost");
}


/* ---- losing the connection ------------------------------------------------- */

void
wagw_client_closed(wagw_client_t *c, int http_status, const char *why, int64_t now)
{
    c->now = now;
    if (c->conn == WAGW_CONN_IDLE) {
        return;
    }
    if (why) {
        wagw_client_log(c, WAGW_LOG_INFO, "connection closed: %s%s", why, http_status ? " (upgrade refused)" : "");
    }
    client_lost(c, http_status ? http_status : 428, "connection_lost");
    wagw_client_arm(c);
}


void
wagw_client_hangup(wagw_client_t *c, int code, const char *reason)
{
    if (c->conn == WAGW_CONN_IDLE) {
        return;
    }
    c->ops->close(c->driver);
    client_lost(c, code, reason);
    wagw_client_arm(c);
}


static void
client_backoff(wagw_client_t *c)
{
    int64_t   ms = 0;
    uint32_t  r;

    if (c->attempts > 0) {
        ms = c->attempts > 6 ? BACKOFF_MAX_S : (int64_t) 1 << (c->attempts - 1);
        ms = (ms > BACKOFF_MAX_S ? BACKOFF_MAX_S : ms) * 1000;
        c->sh->random(c->sh->random_data, (uint8_t *) &r, sizeof(r));
        ms += ms * ((int64_t) (r % 401) - 200) / 1000;
    }
    if (c->attempts < 32) {
        c->attempts++;
    }
    c->reconnects++;
    wagw_client_timer(c, WAGW_TIMER_RECONNECT, c->now + ms + 1);
}


static void
client_lost(wagw_client_t *c, int code, const char *reason)
{
    bool  again, was_pairing;

    was_pairing = c->registering;
    again = c->restart_now || c->conn == WAGW_CONN_SIGNED;
    c->restart_now = false;
    c->conn = WAGW_CONN_IDLE;
    c->epoch++;
    c->available = false;
    c->uploading = false;
    if (c->noise) {
        wagw_noise_wipe(c->noise);
        free(c->noise);
        c->noise = NULL;
    }
    wagw_buf_wipe(&c->rx);
    for (unsigned i = WAGW_TIMER_STATE; i < WAGW_TIMER_N; i++) {
        if (i != WAGW_TIMER_PHONE) {
            c->timers[i] = 0;
        }
    }
    wagw_iq_drop_all(c);

    if (again && c->creds && c->creds->paired) {
        /* 515: no report, no back-off */
        c->want_pair = false;
        wagw_pair_clear(c);
        wagw_client_timer(c, WAGW_TIMER_RECONNECT, c->now + 1);
        return;
    }
    if (code) {
        c->disconnect_code = code;
        c->disconnect_ms = c->now;
        if (reason) {
            snprintf(c->disconnect_reason, sizeof(c->disconnect_reason), "%s", reason);
        }
    }
    if (c->permanent) {
        wagw_pair_clear(c);
        wagw_client_wake_waits(c);
        return;
    }
    if (was_pairing && !(c->creds && c->creds->paired)) {
        /* an unpaired connection is opened again only on request */
        c->want_pair = false;
        wagw_pair_clear(c);
        wagw_client_status(c, WAGW_STATUS_DISCONNECTED, code, reason);
        wagw_client_wake_waits(c);
        return;
    }
    wagw_client_status(c, WAGW_STATUS_DISCONNECTED, code, reason);
    wagw_client_wake_waits(c);
    if (c->wanted) {
        client_backoff(c);
    }
}


void
wagw_client_state(wagw_client_t *c, wagw_conn_t s, int64_t timeout_ms)
{
    c->conn = s;
    wagw_client_timer(c, WAGW_TIMER_STATE, timeout_ms ? c->now + timeout_ms : 0);
    if (s == WAGW_CONN_OPEN) {
        c->connected_ms = c->now;
        wagw_client_timer(c, WAGW_TIMER_STABLE, c->now + STABLE_AFTER_MS);
    }
}


/* ---- status ------------------------------------------------------------------ */

static int
status_run(wagw_turn_t *t, wagw_item_t *item)
{
    size_t                n;
    char                  jid[WAGW_JID_TEXT_MAX], lid[WAGW_JID_TEXT_MAX];
    wagw_buf_t            b = { 0 };
    wagw_json_t           j = wagw_json(&b);
    status_item_t        *s = (status_item_t *) item;
    const wagw_creds_t   *me = wagw_turn_me(t);
    wagw_row_instance_t   row;

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
    WAGW_TRY(wagw_event_emit(t, "session.status", WAGW_STR_NULL, &b));

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
    row.status = wagw_cstr(wagw_status_name(s->status));
    row.connected_ms = t->c->connected_ms;
    row.disconnect_code = t->c->disconnect_code;
    row.disconnect_reason = wagw_cstr(t->c->disconnect_reason);
    row.disconnect_ms = t->c->disconnect_ms;
    if (wagw_row_instance_encode(&b, &row) != WAGW_OK
        || wagw_txn_op(&t->txn, WAGW_OP_INSTANCE, WAGW_STR_NULL, wagw_buf_view(&b)) != WAGW_OK)
    {
        wagw_buf_free(&b);
        return WAGW_NOMEM;
    }
    wagw_buf_free(&b);
    return WAGW_OK;
}


static void
status_done(wagw_client_t *c, wagw_item_t *item, int rc)
{
    if (rc != WAGW_OK) {
        wagw_client_log(c, WAGW_LOG_WARN, "a status change could not be stored: %s", wagw_rc_name(rc));
    }
    free(item);
}


void
wagw_client_status(wagw_client_t *c, wagw_status_t s, int code, const char *reason)
{
    status_item_t  *it;

    if (c->status == s && s != WAGW_STATUS_QR && s != WAGW_STATUS_PAIRING && code == 0) {
        return;
    }
    c->status = (uint8_t) s;
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


void
wagw_client_info(const wagw_client_t *c, wagw_client_info_t *out)
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
    out->queue = c->njobs;
}


/* ---- timers -------------------------------------------------------------------- */

void
wagw_client_timer(wagw_client_t *c, wagw_timer_t which, int64_t at)
{
    c->timers[which] = at;
}


void
wagw_client_arm(wagw_client_t *c)
{
    int64_t  at = 0;

#define EARLIER(x)  do { int64_t x_ = (x); if (x_ && (at == 0 || x_ < at)) at = x_; } while (0)
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


static int
ping_answer(wagw_turn_t *t, const wagw_node_t *node, uint64_t arg)
{
    (void) arg;
    if (node == NULL && t->c->conn >= WAGW_CONN_FINISH) {
        wagw_client_log(t->c, WAGW_LOG_DEBUG, "a ping was not answered");
    }
    return WAGW_OK;
}


static int
client_ping(wagw_turn_t *t, uint64_t unused)
{
    wagw_node_t  *iq = wagw_iq(t, "get", "w:p");

    (void) unused;
    if (wagw_node_child(&t->arena, iq, "ping") == NULL) {
        return WAGW_NOMEM;
    }
    return wagw_iq_send(t, iq, ping_answer, 0);
}


static int
client_chatstate_end(wagw_turn_t *t, uint64_t unused)
{
    wagw_node_t  *n = wagw_node(&t->arena, "chatstate");

    (void) unused;
    wagw_node_attr_jid(&t->arena, n, "to", &t->c->chatstate_to);
    wagw_node_child(&t->arena, n, "paused");
    return wagw_turn_send(t, n);
}


void
wagw_client_tick(wagw_client_t *c, int64_t now)
{
    uint32_t  r;

    c->now = now;
    c->timer_set = -1;
#define DUE(which)  (c->timers[which] && c->timers[which] <= now && ((c->timers[which] = 0), true))

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
            (void) wagw_turn_later(c, client_ping, 0, true);
            c->sh->random(c->sh->random_data, (uint8_t *) &r, sizeof(r));
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
        c->attempts = 0;
    }
    if (DUE(WAGW_TIMER_CHATSTATE) && c->conn == WAGW_CONN_OPEN) {
        (void) wagw_turn_later(c, client_chatstate_end, 0, true);
    }
    if (DUE(WAGW_TIMER_JOB) && c->conn == WAGW_CONN_OPEN) {
        (void) wagw_turn_later(c, wagw_send_pump, 0, true);
    }
    if (DUE(WAGW_TIMER_PHONE) && c->conn == WAGW_CONN_OPEN) {
        (void) wagw_turn_later(c, wagw_phone_ask, 0, true);
    }
#undef DUE
    wagw_iq_expire(c, now);
    wagw_send_expire(c, now);
    wagw_client_arm(c);
}


/* ---- commands --------------------------------------------------------------------- */

static int
command_run(wagw_turn_t *t, wagw_item_t *item)
{
    command_item_t  *ci = (command_item_t *) item;

    return wagw_command_run(t, ci->id, ci->cmd, ci->params);
}


static void
command_done(wagw_client_t *c, wagw_item_t *item, int rc)
{
    wagw_result_t    r = { 0 };
    command_item_t  *ci = (command_item_t *) item;

    if (rc != WAGW_OK && ci->id) {
        r.status = rc == WAGW_IO || rc == WAGW_STATE ? 503 : 500;
        r.code = rc == WAGW_IO ? "DB_UNAVAILABLE" : rc == WAGW_STATE ? "DRAINING" : "INTERNAL";
        r.error = rc == WAGW_IO ? "The database did not answer" : rc == WAGW_STATE ? "The instance is being stopped"
                                                                               : "Internal error";
        if (rc != WAGW_IO && rc != WAGW_STATE) {
            wagw_client_log(c, WAGW_LOG_ERROR, "a command failed: %s", wagw_rc_name(rc));
        }
        c->ops->reply(c->driver, ci->id, &r);
    }
    cJSON_Delete(ci->params);
    free(ci);
}


void
wagw_client_command(wagw_client_t *c, uint64_t id, wagw_cmd_t cmd, const cJSON *params, int64_t now)
{
    command_item_t  *ci;
    wagw_result_t    r = { 0 };

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
static bool
command_take(wagw_client_t *c, uint64_t id, bool *sent, wagw_cmd_t *cmd)
{
    wagw_iq_t     *iq;
    wagw_wait_t  **w, *found;

    *sent = false;
    *cmd = 0;
    for (wagw_item_t *it = c->items; it; it = it->next) {
        if (it->run == command_run && ((command_item_t *) it)->id == id) {
            ((command_item_t *) it)->id = 0;
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
    return false;
}


void
wagw_client_forget(wagw_client_t *c, uint64_t command)
{
    bool        sent;
    wagw_cmd_t  cmd;

    (void) command_take(c, command, &sent, &cmd);
}


bool
wagw_client_timeout(wagw_client_t *c, uint64_t command, int64_t now)
{
    bool           sent;
    wagw_cmd_t     cmd;
    wagw_result_t  r = { 0 };

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


void
wagw_client_worked(wagw_client_t *c, wagw_work_t *w, int64_t now)
{
    c->now = now;
    wagw_code_worked(c, w);
    wagw_client_arm(c);
}


void
wagw_client_log(wagw_client_t *c, wagw_log_t level, const char *fmt, ...)
{
    char     text[512];
    va_list  ap;

    va_start(ap, fmt);
    vsnprintf(text, sizeof(text), fmt, ap);
    va_end(ap);
    c->ops->log(c->driver, level, text);
}
