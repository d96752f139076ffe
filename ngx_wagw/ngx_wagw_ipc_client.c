/*
 * The workers' end of ipc: one connection to the owner, opened when the first
 * call needs it, shared by all waiting requests.
 *
 * A waiter is pending (no owner yet, or one that still opens its store; at
 * most 2 s), then queued (its frame is
 * being written), then asked.  When the owner dies, the asked fail at once;
 * what was not begun to be written goes back to pending, since the owner
 * cannot have seen it.  Exactly one of answer, time-out, failure and _forget()
 * ends a waiter.
 */

#include "ngx_wagw_http.h"

#include <sys/un.h>
#include <sys/uio.h>

#define CLIENT_PENDING_MAX 2000 /* ms, architecture section 4 */
#define CLIENT_RETRY 20         /* ms between attempts to connect */
#define CLIENT_QUEUED_MAX (1024 * 1024)
#define CLIENT_REPLY_MAX (64 * 1024 * 1024)
#define CLIENT_INDEX_BITS 20
#define CLIENT_IOV 32

enum { W_IDLE = 0, W_PENDING, W_QUEUED, W_ASKED };

static struct {
    ngx_wagw_main_conf_t *conf;
    ngx_cycle_t *cycle;
    ngx_connection_t *c;
    wagw_buf_t in;
    ngx_queue_t pending, queued, asked;
    wagw_buf_t control; /* hello and cancels: written before the queued */
    wagw_buf_t rest;    /* of a frame that was begun, when its waiter left */
    size_t queued_bytes;
    ngx_event_t flush, retry;
    ngx_wagw_waiter_t **table;
    uint32_t *gen;
    uint32_t cap, free_hint, used;
    uint32_t owner_pid;
    unsigned greeted : 1; /* the owner's hello was read and fits */
    unsigned wrong : 1;   /* it did not fit */
} client;

static ngx_uint_t client_gated(void);
static void client_promote(ngx_wagw_waiter_t *w);
static void client_connect(void);
static void client_close(void);
static void client_read(ngx_event_t *ev);
static void client_write(ngx_event_t *ev);
static void client_flush(ngx_event_t *ev);
static void client_retry(ngx_event_t *ev);
static void client_timeout(ngx_event_t *ev);
static ngx_int_t client_frame(ngx_wagw_frame_t *f);
static void client_finish(ngx_wagw_waiter_t *w, ngx_int_t rc);
static void client_release(ngx_wagw_waiter_t *w);

ngx_int_t ngx_wagw_ipc_client_init(ngx_cycle_t *cycle, ngx_wagw_main_conf_t *wmcf)
{
    ngx_memzero(&client, sizeof(client));
    client.conf = wmcf;
    client.cycle = cycle;
    ngx_queue_init(&client.pending);
    ngx_queue_init(&client.queued);
    ngx_queue_init(&client.asked);
    client.flush.handler = client_flush;
    client.flush.log = cycle->log;
    client.retry.handler = client_retry;
    client.retry.log = cycle->log;
    client.retry.cancelable = 1;
    client.retry.data = &client;
    return NGX_OK;
}

void ngx_wagw_ipc_client_exit(ngx_cycle_t *cycle)
{
    if (client.conf == NULL) {
        return;
    }
    client_close();
    wagw_buf_free(&client.in);
    wagw_buf_free(&client.control);
    wagw_buf_free(&client.rest);
    free(client.table);
    free(client.gen);
    ngx_memzero(&client, sizeof(client));
}

/* ---- ids: index in the low bits, generation above, so that a late answer finds nobody ---- */

static ngx_int_t client_id(ngx_wagw_waiter_t *w)
{
    uint32_t i, n, cap, *gen;
    ngx_wagw_waiter_t **table;

    if (client.used == client.cap) {
        cap = client.cap ? client.cap * 2 : 64;
        if (cap > 1u << CLIENT_INDEX_BITS) {
            return NGX_ERROR;
        }
        table = realloc(client.table, cap * sizeof(*table));
        if (table == NULL) {
            return NGX_ERROR;
        }
        client.table = table;
        gen = realloc(client.gen, cap * sizeof(*gen));
        if (gen == NULL) {
            return NGX_ERROR;
        }
        client.gen = gen;
        ngx_memzero(&table[client.cap], (cap - client.cap) * sizeof(*table));
        ngx_memzero(&gen[client.cap], (cap - client.cap) * sizeof(*gen));
        client.free_hint = client.cap;
        client.cap = cap;
    }
    for (i = client.free_hint, n = 0; n < client.cap; i = (i + 1) % client.cap, n++) {
        if (client.table[i] == NULL) {
            break;
        }
    }
    client.table[i] = w;
    client.used++;
    client.free_hint = (i + 1) % client.cap;
    client.gen[i] = (client.gen[i] + 1) & ((1u << (32 - CLIENT_INDEX_BITS)) - 1);
    w->id = i | client.gen[i] << CLIENT_INDEX_BITS;
    return NGX_OK;
}

static ngx_wagw_waiter_t *client_waiter(uint32_t id)
{
    uint32_t i = id & ((1u << CLIENT_INDEX_BITS) - 1);

    return i < client.cap && client.table[i] && client.table[i]->id == id ? client.table[i] : NULL;
}

/* ---- sending ---- */

ngx_int_t ngx_wagw_ipc_send(ngx_wagw_waiter_t *w, wagw_buf_t *frame)
{
    if (client.conf == NULL || (client.queued_bytes && client.queued_bytes + frame->n > CLIENT_QUEUED_MAX)) {
        wagw_buf_free(frame);
        return NGX_BUSY;
    }
    if (frame->failed || client_id(w) != NGX_OK) {
        wagw_buf_free(frame);
        return NGX_ERROR;
    }
    frame->p[4] = w->id & 0xff;
    frame->p[5] = w->id >> 8 & 0xff;
    frame->p[6] = w->id >> 16 & 0xff;
    frame->p[7] = w->id >> 24 & 0xff;

    w->frame = *frame;
    ngx_memzero(frame, sizeof(*frame));
    w->sent = 0;
    ngx_memzero(&w->reply, sizeof(w->reply));
    ngx_memzero(&w->timer, sizeof(w->timer));
    w->timer.handler = client_timeout;
    w->timer.data = w;
    w->timer.log = client.cycle->log;
    w->timer.cancelable = w->background;

    client.queued_bytes += w->frame.n;
    w->state = W_PENDING;
    ngx_queue_insert_tail(&client.pending, &w->queue);
    ngx_add_timer(&w->timer, CLIENT_PENDING_MAX);

    if (client.c == NULL) {
        if (!client.retry.timer_set) {
            client_connect();
        }
    } else if (client.greeted) {
        ngx_post_event(&client.flush, &ngx_posted_events);
    }
    return NGX_OK;
}

void ngx_wagw_ipc_forget(ngx_wagw_waiter_t *w)
{
    size_t at;

    if (w->state == W_IDLE) {
        return;
    }
    if (w->state == W_QUEUED && w->sent) {
        wagw_buf_add(&client.rest, w->frame.p + w->sent, w->frame.n - w->sent);
        w->state = W_ASKED;
    }
    if (w->state == W_ASKED && client.c) {
        at = ngx_wagw_frame_begin(&client.control, w->id, NGX_WAGW_OP_CANCEL, 0);
        ngx_wagw_frame_end(&client.control, at);
        ngx_post_event(&client.flush, &ngx_posted_events);
    }
    client_release(w);
}

/* Takes the waiter out of everything; its memory is the caller's again. */
static void client_release(ngx_wagw_waiter_t *w)
{
    uint32_t i = w->id & ((1u << CLIENT_INDEX_BITS) - 1);

    if (w->state == W_IDLE) {
        return;
    }
    if (w->timer.timer_set) {
        ngx_del_timer(&w->timer);
    }
    client.queued_bytes -= w->frame.n;
    ngx_queue_remove(&w->queue);
    wagw_buf_free(&w->frame);
    client.table[i] = NULL;
    client.used--;
    client.free_hint = i;
    w->state = W_IDLE;
}

static void client_finish(ngx_wagw_waiter_t *w, ngx_int_t rc)
{
    ngx_wagw_reply_t reply = w->reply;

    ngx_memzero(&w->reply, sizeof(w->reply));
    client_release(w);
    w->handler(w, rc, &reply); /* w may be gone now */
    wagw_buf_free(&reply.body);
}

static void client_timeout(ngx_event_t *ev)
{
    size_t at;
    ngx_wagw_waiter_t *w = ev->data;

    if (w->state == W_PENDING) {
        if (client.greeted) { /* gated too long: the owner shall say why */
            client_promote(w);
            ngx_post_event(&client.flush, &ngx_posted_events);
            return;
        }
        client_finish(w, NGX_DECLINED);
        return;
    }
    if (w->state == W_QUEUED && w->sent) {
        wagw_buf_add(&client.rest, w->frame.p + w->sent, w->frame.n - w->sent);
    }
    if (w->state == W_ASKED || w->sent) {
        at = ngx_wagw_frame_begin(&client.control, w->id, NGX_WAGW_OP_CANCEL, 0);
        ngx_wagw_frame_end(&client.control, at);
        ngx_post_event(&client.flush, &ngx_posted_events);
    }
    wagw_buf_free(&w->reply.body);
    client_finish(w, NGX_ABORT);
}

/* An owner of ours has begun and cannot know yet which keys and instances exist. */
static ngx_uint_t client_gated(void)
{
    ngx_uint_t state = ngx_wagw_zone_state(client.conf->zone);

    return (state & NGX_WAGW_ZONE_BEGUN) && !(state & NGX_WAGW_ZONE_COMPLETE);
}

static void client_promote(ngx_wagw_waiter_t *w)
{
    ngx_queue_remove(&w->queue);
    ngx_queue_insert_tail(&client.queued, &w->queue);
    w->state = W_QUEUED;
    w->sent = 0;
    ngx_add_timer(&w->timer, w->timeout);
}

static ngx_int_t client_write_buf(wagw_buf_t *b)
{
    ssize_t n;

    while (b->n) {
        n = send(client.c->fd, b->p, b->n, MSG_NOSIGNAL);
        if (n == -1) {
            if (ngx_errno == NGX_EINTR) {
                continue;
            }
            return ngx_errno == NGX_EAGAIN ? NGX_AGAIN : NGX_ERROR;
        }
        wagw_buf_consume(b, n);
    }
    return NGX_OK;
}

static void client_flush(ngx_event_t *ev)
{
    size_t left;
    ssize_t n;
    ngx_int_t rc;
    ngx_uint_t k;
    ngx_queue_t *q;
    struct iovec iov[CLIENT_IOV];
    ngx_wagw_waiter_t *w;

    if (client.c == NULL) {
        return;
    }
    if (client_gated()) {
        if (!ngx_queue_empty(&client.pending) && !client.retry.timer_set) {
            ngx_add_timer(&client.retry, CLIENT_RETRY);
        }
    } else {
        while (client.greeted && !ngx_queue_empty(&client.pending)) {
            client_promote(ngx_queue_data(ngx_queue_head(&client.pending), ngx_wagw_waiter_t, queue));
        }
    }

    for (;;) {
        /* the rest of a begun frame, or the head of the queue when it is
         * begun, must end before control frames may come between */
        rc = client_write_buf(&client.rest);
        if (rc == NGX_OK && (ngx_queue_empty(&client.queued) ||
                             (ngx_queue_data(ngx_queue_head(&client.queued), ngx_wagw_waiter_t, queue))->sent == 0)) {
            rc = client_write_buf(&client.control);
        }
        if (rc == NGX_AGAIN || (rc == NGX_OK && ngx_queue_empty(&client.queued))) {
            return;
        }
        if (rc == NGX_ERROR) {
            client_close();
            return;
        }
        for (k = 0, q = ngx_queue_head(&client.queued); q != ngx_queue_sentinel(&client.queued) && k < CLIENT_IOV;
             q = ngx_queue_next(q), k++) {
            w = ngx_queue_data(q, ngx_wagw_waiter_t, queue);
            iov[k].iov_base = w->frame.p + w->sent;
            iov[k].iov_len = w->frame.n - w->sent;
        }
        n = writev(client.c->fd, iov, k);
        if (n == -1) {
            if (ngx_errno == NGX_EINTR) {
                continue;
            }
            if (ngx_errno == NGX_EAGAIN) {
                return;
            }
            client_close();
            return;
        }
        while (n > 0) {
            w = ngx_queue_data(ngx_queue_head(&client.queued), ngx_wagw_waiter_t, queue);
            left = w->frame.n - w->sent;
            if ((size_t)n < left) {
                w->sent += n;
                break;
            }
            n -= left;
            w->sent = w->frame.n;
            client.queued_bytes -= w->frame.n;
            wagw_buf_free(&w->frame);
            ngx_memzero(&w->frame, sizeof(w->frame));
            ngx_queue_remove(&w->queue);
            ngx_queue_insert_tail(&client.asked, &w->queue);
            w->state = W_ASKED;
        }
    }
}

/* ---- the connection ---- */

static void client_connect(void)
{
    size_t at;
    ngx_socket_t s;
    ngx_connection_t *c;
    struct sockaddr_un sun;

    if (ngx_wagw_socket_address(client.conf, "", &sun) != NGX_OK) {
        goto later;
    }
    s = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (s == (ngx_socket_t)-1) {
        ngx_log_error(NGX_LOG_ALERT, client.cycle->log, ngx_socket_errno, "wagw: socket() failed");
        goto later;
    }
    if (connect(s, (struct sockaddr *)&sun, sizeof(sun)) == -1) {
        ngx_log_debug1(NGX_LOG_DEBUG_HTTP, client.cycle->log, ngx_socket_errno, "wagw: connect() to \"%s\" failed",
                       sun.sun_path);
        close(s);
        goto later;
    }
    if (ngx_wagw_peer_trusted(s) != NGX_OK) {
        ngx_log_error(NGX_LOG_ALERT, client.cycle->log, 0, "wagw: \"%s\" belongs to another user", sun.sun_path);
        close(s);
        goto later;
    }
    c = ngx_get_connection(s, client.cycle->log);
    if (c == NULL) {
        close(s);
        goto later;
    }
    c->recv = ngx_recv;
    c->send = ngx_send;
    c->log = client.cycle->log;
    c->read->log = c->write->log = c->log;
    c->read->handler = client_read;
    c->write->handler = client_write;
    c->read->channel = 1; /* a graceful exit does not complain about it */
    c->write->channel = 1;
    client.c = c;
    client.greeted = 0;
    if (ngx_add_conn == NULL || ngx_add_conn(c) != NGX_OK) {
        client_close();
        goto later;
    }
    at = ngx_wagw_frame_begin(&client.control, 0, NGX_WAGW_OP_HELLO, 0);
    ngx_wagw_put_u32(&client.control, NGX_WAGW_PROTO);
    ngx_wagw_put_u32(&client.control, ngx_wagw_route_checksum());
    ngx_wagw_put_u32(&client.control, ngx_pid);
    ngx_wagw_put_u32(&client.control, 0);
    ngx_wagw_frame_end(&client.control, at);
    ngx_post_event(&client.flush, &ngx_posted_events);
    return;

later:
    if (!client.retry.timer_set) {
        ngx_add_timer(&client.retry, CLIENT_RETRY);
    }
}

static void client_retry(ngx_event_t *ev)
{
    if (ngx_queue_empty(&client.pending)) {
        return;
    }
    if (client.c == NULL) {
        client_connect();
    } else {
        client_flush(&client.flush);
    }
}

static void client_close(void)
{
    ngx_queue_t *q;
    ngx_connection_t *c = client.c;
    ngx_wagw_waiter_t *w;

    if (c == NULL) {
        return;
    }
    client.c = NULL;
    client.greeted = 0;
    ngx_close_connection(c);
    if (client.flush.posted) {
        ngx_delete_posted_event(&client.flush);
    }
    wagw_buf_reset(&client.in);
    wagw_buf_reset(&client.control);
    wagw_buf_reset(&client.rest);

    /* begun frames count as handed over: the owner may have read them whole */
    while (!ngx_queue_empty(&client.queued)) {
        q = ngx_queue_last(&client.queued);
        w = ngx_queue_data(q, ngx_wagw_waiter_t, queue);
        ngx_queue_remove(q);
        if (w->sent) {
            ngx_queue_insert_tail(&client.asked, q);
            w->state = W_ASKED;
        } else {
            ngx_queue_insert_head(&client.pending, q);
            w->state = W_PENDING;
            ngx_add_timer(&w->timer, CLIENT_PENDING_MAX);
        }
    }
    while (!ngx_queue_empty(&client.asked)) {
        w = ngx_queue_data(ngx_queue_head(&client.asked), ngx_wagw_waiter_t, queue);
        wagw_buf_free(&w->reply.body);
        client_finish(w, NGX_DECLINED);
    }
    if (client.c == NULL && !ngx_queue_empty(&client.pending) && !client.retry.timer_set) {
        ngx_add_timer(&client.retry, client.wrong ? 500 : CLIENT_RETRY);
    }
}

static void client_write(ngx_event_t *ev)
{
    client_flush(ev);
}

static void client_read(ngx_event_t *ev)
{
    size_t at;
    ngx_int_t rc, frc;
    ngx_connection_t *c = ev->data;
    ngx_wagw_frame_t f;

    do {
        rc = ngx_wagw_stream_read(c, &client.in, 2 * NGX_WAGW_FRAME_MAX);
        at = 0;
        while ((frc = ngx_wagw_frame_next(&client.in, &at, &f)) == NGX_OK) {
            frc = client_frame(&f);
            if (client.c != c) {
                return; /* a handler led to closing it */
            }
            if (frc != NGX_OK) {
                break;
            }
        }
        if (frc == NGX_ERROR) {
            ngx_log_error(NGX_LOG_ERR, c->log, 0, "wagw: malformed frame from the owner");
            client_close();
            return;
        }
        wagw_buf_consume(&client.in, at);
    } while (rc == NGX_DONE);

    if (rc != NGX_AGAIN) {
        ngx_log_error(NGX_LOG_NOTICE, c->log, 0, "wagw: the owner closed its connection");
        client_close();
        return;
    }
    if (client.in.n == 0) {
        wagw_buf_free(&client.in);
        ngx_memzero(&client.in, sizeof(client.in));
    }
}

static ngx_int_t client_frame(ngx_wagw_frame_t *f)
{
    ngx_wagw_reply_t *reply;
    ngx_wagw_reader_t r = ngx_wagw_reader(f);
    ngx_wagw_waiter_t *w;
    ngx_str_t body;
    uint32_t proto, sum;

    if (f->op == NGX_WAGW_OP_HELLO) {
        proto = ngx_wagw_get_u32(&r);
        sum = ngx_wagw_get_u32(&r);
        client.owner_pid = ngx_wagw_get_u32(&r);
        client.wrong = r.bad || proto != NGX_WAGW_PROTO || sum != ngx_wagw_route_checksum();
        if (client.wrong) {
            ngx_log_error(NGX_LOG_ERR, client.cycle->log, 0,
                          "wagw: the owner, pid %uD, runs another version of the module: restart nginx",
                          client.owner_pid);
            return NGX_ERROR;
        }
        client.greeted = 1;
        ngx_post_event(&client.flush, &ngx_posted_events);
        return NGX_OK;
    }
    if (!client.greeted) {
        return NGX_ERROR;
    }
    w = client_waiter(f->id);
    if (w == NULL || w->state != W_ASKED) {
        return NGX_OK; /* it gave up */
    }
    reply = &w->reply;

    switch (f->op) {
    case NGX_WAGW_OP_REPLY:
        wagw_buf_reset(&reply->body);
        reply->op = f->op;
        reply->flags = f->flags;
        reply->status = ngx_wagw_get_u32(&r);
        reply->retry_after = ngx_wagw_get_u32(&r);
        reply->message_id = ngx_wagw_get_str(&r);
        reply->content_type = ngx_wagw_get_str(&r);
        body = ngx_wagw_get_str(&r);
        if (r.bad || reply->message_id.len > 128 || reply->content_type.len > 128) {
            return NGX_ERROR;
        }
        /* the views must outlive this frame when more follow: kept at the front of the body */
        wagw_buf_str(&reply->body, wagw_str(reply->message_id.data, reply->message_id.len));
        wagw_buf_str(&reply->body, wagw_str(reply->content_type.data, reply->content_type.len));
        wagw_buf_str(&reply->body, wagw_str(body.data, body.len));
        break;

    case NGX_WAGW_OP_DATA:
        if (reply->op != NGX_WAGW_OP_REPLY || reply->body.n + f->n > CLIENT_REPLY_MAX) {
            return NGX_ERROR;
        }
        wagw_buf_add(&reply->body, f->p, f->n);
        break;

    case NGX_WAGW_OP_KEY_REPLY:
        reply->op = f->op;
        reply->frame = f;
        client_finish(w, NGX_OK);
        return NGX_OK;

    default:
        return NGX_ERROR;
    }

    if (reply->body.failed) {
        client_finish(w, NGX_ERROR);
        return NGX_OK;
    }
    if (!(f->flags & NGX_WAGW_FLAG_MORE)) {
        reply->message_id.data = reply->body.p;
        reply->content_type.data = reply->body.p + reply->message_id.len;
        client_finish(w, NGX_OK);
    }
    return NGX_OK;
}

/* ---- settings after a reload ---- */

typedef struct {
    ngx_wagw_waiter_t w;
    ngx_pid_t owner;
    ngx_event_t again;
} client_settings_t;

static client_settings_t client_settings;

static void client_settings_send(ngx_event_t *ev)
{
    size_t at;
    wagw_buf_t frame = {0};

    at = ngx_wagw_frame_begin(&frame, 0, NGX_WAGW_OP_SETTINGS, 0);
    ngx_wagw_put_u32(&frame, client_settings.owner);
    ngx_wagw_settings_write(&frame, client.conf);
    if (ngx_wagw_frame_end(&frame, at) != NGX_OK) {
        wagw_buf_free(&frame);
        return;
    }
    if (ngx_wagw_ipc_send(&client_settings.w, &frame) != NGX_OK) {
        ngx_add_timer(&client_settings.again, 1000);
    }
}

static void client_settings_done(ngx_wagw_waiter_t *w, ngx_int_t rc, ngx_wagw_reply_t *reply)
{
    if (rc != NGX_OK) {
        ngx_add_timer(&client_settings.again, 1000);
        return;
    }
    if (reply->status != 200) {
        ngx_log_error(NGX_LOG_NOTICE, client.cycle->log, 0,
                      "wagw: another owner holds the state directory, "
                      "it keeps its settings");
    }
}

void ngx_wagw_ipc_client_settings(ngx_wagw_main_conf_t *wmcf, ngx_pid_t owner)
{
    ngx_memzero(&client_settings, sizeof(client_settings));
    client_settings.owner = owner;
    client_settings.w.handler = client_settings_done;
    client_settings.w.timeout = 5000;
    client_settings.w.background = 1;
    client_settings.again.handler = client_settings_send;
    client_settings.again.log = client.cycle->log;
    client_settings.again.cancelable = 1;
    client_settings.again.data = &client_settings;
    ngx_add_timer(&client_settings.again, 1);
}
