/*
 * Life of an instance's connection (01 sections 1 to 10, 03 section 1): when
 * to connect, the frames, the timers, what a lost connection means.
 */

#include "account_i.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#define OPEN_TIMEOUT_MS 30000
#define HELLO_TIMEOUT_MS 20000
#define FINISH_TIMEOUT_MS 30000 /* 01 section 6, local rule */
#define SIGNED_TIMEOUT_MS 30000 /* 03 section 6 step 9 */
#define STABLE_AFTER_MS 60000
#define SHORT_MS 10000 /* a connection that ends sooner may do so again at once */
#define SHORT_FREE 4   /* so many of them do not widen the back-off */
#define BACKOFF_MAX_S 60
#define RX_MAX (WAGW_FRAME_MAX + 3)

typedef struct {
    wagw_item_t item;
    size_t n;
    uint8_t p[];
} node_item_t;

static int client_load(wagw_turn_t *t, uint64_t unused);
static int client_new_identity(wagw_turn_t *t, uint64_t unused);
static void client_lost(wagw_client_t *c, int code, const char *reason);
static void client_frame(wagw_client_t *c, wagw_str_t body);

wagw_client_t *wagw_client_create(uint32_t instance, const wagw_client_shared_t *sh, const wagw_client_conf_t *conf,
                                  const wagw_client_ops_t *ops, void *driver, uint64_t event_seq)
{
    wagw_client_t *c = calloc(1, sizeof(*c));

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
    c->marks_last = &c->marks;
    c->jobs_last = &c->jobs;
    c->unacked_last = &c->unacked;
    return c;
}

void wagw_client_destroy(wagw_client_t *c)
{
    wagw_out_t *o;
    wagw_iq_t *iq;
    wagw_ask_t *ask;
    wagw_item_t *item;
    wagw_load_t *l;
    wagw_wait_t *w;
    wagw_result_t r = {0};

    if (c == NULL) {
        return;
    }
    r.status = 503;
    r.code = "DRAINING";
    r.error = "The instance is being stopped";
    r.retry_after = 1;

    c->running = true; /* nothing runs any more */
    if (c->conn != WAGW_CONN_IDLE) {
        c->ops->close(c->driver);
        c->conn = WAGW_CONN_IDLE;
    }
    c->epoch++; /* what waits belongs to no connection and hangs up none */
    while ((item = c->items) != NULL) {
        c->items = item->next;
        item->done(c, item, WAGW_STATE);
    }
    wagw_turn_marks(c, UINT64_MAX, false);
    while ((iq = c->iqs) != NULL) {
        c->iqs = iq->next;
        if (iq->command) {
            c->ops->reply(c->driver, iq->command, &r);
        }
        wagw_iq_free(iq);
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
    wagw_media_free(c, &r);
    wagw_presence_free(c);
    wagw_send_free(c);
    wagw_app_abort(c, &r);
    wagw_history_free(c);
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

static int client_presence(wagw_turn_t *t, uint64_t available)
{
    return wagw_presence_send(t, available != 0);
}

void wagw_client_configure(wagw_client_t *c, const wagw_client_conf_t *conf)
{
    bool online = conf->always_online != c->conf.always_online;

    c->conf = *conf;
    if (online && c->conn == WAGW_CONN_OPEN) {
        (void)wagw_turn_later(c, client_presence, conf->always_online, true);
    }
}

void wagw_client_start(wagw_client_t *c, bool pair, int64_t now)
{
    c->now = now;
    c->started = true;
    c->wanted = true;
    c->permanent = false;
    c->want_pair = c->want_pair || pair;
    c->attempts = 0;
    c->shorts = 0;
    wagw_client_timer(c, WAGW_TIMER_RECONNECT, 0);
    if (!c->creds_loaded && !c->creds_bad) {
        wagw_client_status(c, WAGW_STATUS_CONNECTING, 0, NULL); /* unless it turns out unlinked */
    }
    wagw_client_try_connect(c);
    wagw_client_arm(c);
}

void wagw_client_stop(wagw_client_t *c, bool paused, int64_t now)
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

void wagw_client_set_status(wagw_client_t *c, wagw_status_t s)
{
    c->status = s;
    c->ops->changed(c->driver);
}

/* ---- connecting ------------------------------------------------------------ */

void wagw_client_try_connect(wagw_client_t *c)
{
    if (c->conn != WAGW_CONN_IDLE || !c->wanted || c->creds_bad || c->timers[WAGW_TIMER_RECONNECT]) {
        return;
    }
    if (!c->creds_loaded) {
        (void)wagw_turn_later(c, client_load, 0, false);
        return;
    }
    if (c->creds == NULL) {
        if (c->want_pair) {
            (void)wagw_turn_later(c, client_new_identity, 0, false);
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

static void loaded_then(wagw_client_t *c, void *arg)
{
    wagw_creds_t *creds = arg;

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
    if (c->conn == WAGW_CONN_IDLE && c->status == WAGW_STATUS_CONNECTING && !c->want_pair) {
        wagw_client_status(c, WAGW_STATUS_DISCONNECTED, 0, NULL);
    }
}

static void bad_then(wagw_client_t *c, void *arg)
{
    (void)arg;
    c->creds_bad = true;
    c->wanted = false;
    wagw_client_log(c, WAGW_LOG_ERROR, "the stored credentials cannot be read; they are left as they are");
    wagw_client_status(c, WAGW_STATUS_FAILED, 500, "credentials_unreadable");
    wagw_client_wake_waits(c);
}

static int client_load(wagw_turn_t *t, uint64_t unused)
{
    int rc;
    wagw_str_t v;
    wagw_creds_t creds;

    (void)unused;
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

static void connect_then(wagw_client_t *c, void *arg)
{
    (void)arg;
    wagw_client_try_connect(c);
}

static int client_new_identity(wagw_turn_t *t, uint64_t unused)
{
    wagw_creds_t *creds;

    (void)unused;
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

void wagw_client_opened(wagw_client_t *c, int64_t now)
{
    wagw_buf_t b = {0};

    c->now = now;
    if (c->conn != WAGW_CONN_OPENING || c->creds == NULL) {
        return;
    }
    c->noise = malloc(sizeof(*c->noise));
    if (c->noise == NULL || wagw_noise_client_init(c->noise, NULL, c->sh->random, c->sh->random_data) != WAGW_OK ||
        wagw_noise_client_hello(c->noise, &b, wagw_str(c->creds->routing, c->creds->routing_len)) != WAGW_OK ||
        b.failed) {
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

void wagw_client_received(wagw_client_t *c, const uint8_t *p, size_t n, int64_t now)
{
    int rc;
    bool partial = c->rx.n != 0;
    size_t used;
    uint32_t epoch = c->epoch;
    wagw_str_t in, body;

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

    for (;;) {
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

static void client_hello(wagw_client_t *c, wagw_str_t body)
{
    int rc;
    wagw_buf_t payload = {0}, out = {0};
    const char *why = "malformed";

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

static int node_run(wagw_turn_t *t, wagw_item_t *item)
{
    int rc;
    node_item_t *ni = (node_item_t *)item;
    wagw_node_t *n;

    rc = wagw_node_decode(&n, &t->arena, wagw_str(ni->p, ni->n));
    if (rc != WAGW_OK) {
        return rc == WAGW_NOMEM ? rc : WAGW_MALFORMED;
    }
    return wagw_receive_node(t, n);
}

/* Each message is looked up before it is decrypted: in a burst once for all. */
static void node_scout(wagw_turn_t *t, wagw_item_t *item)
{
    node_item_t *ni = (node_item_t *)item;
    wagw_node_t *n;

    if (t->c->creds && t->c->creds->paired && wagw_node_decode(&n, &t->arena, wagw_str(ni->p, ni->n)) == WAGW_OK &&
        wagw_node_is(n, "message")) {
        wagw_receive_message_scout(t, n);
    }
}

static void node_done(wagw_client_t *c, wagw_item_t *item, int rc)
{
    node_item_t *ni = (node_item_t *)item;

    if (rc != WAGW_OK && item->epoch == c->epoch) {
        /* not acknowledged, so that it comes again after the reconnect */
        wagw_client_log(c, WAGW_LOG_ERROR, "a stanza could not be handled (%s), connection dropped", wagw_rc_name(rc));
        wagw_client_hangup(c, 428, "connection_lost");
    }
    wagw_wipe(ni->p, ni->n);
    free(ni);
}

static void client_frame(wagw_client_t *c, wagw_str_t body)
{
    int rc;
    wagw_buf_t plain = {0};
    node_item_t *ni;

    if (c->conn == WAGW_CONN_HELLO) {
        client_hello(c, body);
        return;
    }

    rc = wagw_noise_open(c->noise, &plain, body);
    if (rc == WAGW_OK) {
        ni = calloc(1, sizeof(*ni) + plain.n);
        if (ni != NULL) {
            ni->item.run = node_run;
            ni->item.scout = node_scout;
            ni->item.done = node_done;
            ni->item.epoch = c->epoch;
            ni->item.bytes = (uint32_t)plain.n + sizeof(*ni);
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

void wagw_client_closed(wagw_client_t *c, int http_status, const char *why, int64_t now)
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

void wagw_client_hangup(wagw_client_t *c, int code, const char *reason)
{
    if (c->conn == WAGW_CONN_IDLE) {
        return;
    }
    c->ops->close(c->driver);
    client_lost(c, code, reason);
    wagw_client_arm(c);
}

/*
 * 0, 1, 2, 4 ... 60 s (01 section 10).  Two things widen it: tries in a row
 * that did not get as far as a login, and connections in a row that ended
 * within seconds of theirs (something we send or hold may be what ends them),
 * but for the first few, which wait a second at most.  A login forgets the
 * former, a connection that lasted the latter: after ten seconds all but the
 * one second, after a minute (WAGW_TIMER_STABLE) that too.
 */
static void client_backoff(wagw_client_t *c, bool was_open)
{
    int64_t ms = 0;
    uint32_t n, r;

    if (was_open && c->now - c->connected_ms >= SHORT_MS) {
        c->shorts = c->shorts ? 1 : 0;
    }
    n = c->attempts;
    if (c->shorts) {
        n += c->shorts > SHORT_FREE ? c->shorts - SHORT_FREE : 1;
    }
    if (n > 0) {
        ms = n > 6 ? BACKOFF_MAX_S : (int64_t)1 << (n - 1);
        ms *= 1000;
        c->sh->random(c->sh->random_data, (uint8_t *)&r, sizeof(r));
        ms += ms * ((int64_t)(r % 401) - 200) / 1000;
    }
    if (was_open) {
        c->shorts += c->shorts < 32;
    } else {
        c->attempts += c->attempts < 32;
    }
    c->reconnects++;
    wagw_client_timer(c, WAGW_TIMER_RECONNECT, c->now + ms + 1);
}

static void client_lost(wagw_client_t *c, int code, const char *reason)
{
    bool again, was_pairing, was_open;

    was_pairing = c->registering;
    was_open = c->conn == WAGW_CONN_OPEN;
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
        if (i != WAGW_TIMER_PHONE && i != WAGW_TIMER_HISTORY) {
            c->timers[i] = 0;
        }
    }
    wagw_iq_drop_all(c);
    wagw_app_lost(c);
    wagw_presence_tick(c, true);

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
        client_backoff(c, was_open);
    }
}

void wagw_client_state(wagw_client_t *c, wagw_conn_t s, int64_t timeout_ms)
{
    c->conn = s;
    wagw_client_timer(c, WAGW_TIMER_STATE, timeout_ms ? c->now + timeout_ms : 0);
    if (s == WAGW_CONN_OPEN) {
        c->connected_ms = c->now;
        c->attempts = 0;
        wagw_client_timer(c, WAGW_TIMER_STABLE, c->now + STABLE_AFTER_MS);
    }
}

void wagw_client_log(wagw_client_t *c, wagw_log_t level, const char *fmt, ...)
{
    char text[512];
    va_list ap;

    va_start(ap, fmt);
    vsnprintf(text, sizeof(text), fmt, ap);
    va_end(ap);
    c->ops->log(c->driver, level, text);
}
