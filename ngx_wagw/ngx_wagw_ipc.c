/*
 * The owner's end of ipc: listens on owner.sock in the state directory, makes
 * a call of each CALL frame and writes its answer back.
 *
 * A call belongs to its peer until it is answered; when the peer goes away,
 * the call lives on without one, and its answer goes nowhere.
 */

#include "ngx_wagw_http.h"

#include <sys/stat.h>
#include <sys/un.h>

#define IPC_BACKLOG 511
#define IPC_OUT_PAUSE (1024 * 1024)     /* above it no more calls are read from this worker */
#define IPC_OUT_MAX (128 * 1024 * 1024) /* above it the worker is lost */

typedef struct {
    ngx_connection_t *c;
    wagw_buf_t in, out;
    ngx_queue_t calls; /* ipc_call_t */
    ngx_queue_t queue;
    ngx_event_t flush;
    unsigned greeted : 1;
    unsigned paused : 1;
    unsigned last : 1; /* the flush was put behind what else this turn has to do */
} ipc_peer_t;

typedef struct {
    ngx_wagw_call_t call; /* first: the owner knows this pointer */
    ipc_peer_t *peer;
    ngx_queue_t queue;
} ipc_call_t;

static struct {
    ngx_cycle_t *cycle;
    ngx_wagw_main_conf_t *conf;
    ngx_connection_t *c;
    ngx_queue_t peers;
    ngx_event_t again;
    uint64_t serial;
} ipc;

static void ipc_accept(ngx_event_t *ev);
static void ipc_read(ngx_event_t *ev);
static void ipc_write(ngx_event_t *ev);
static void ipc_flush(ngx_event_t *ev);
static void ipc_drop(ipc_peer_t *peer);
static ngx_int_t ipc_frame(ipc_peer_t *peer, ngx_wagw_frame_t *f);
static ngx_int_t ipc_take(ipc_peer_t *peer, ngx_wagw_frame_t *f);
static void ipc_key(ipc_peer_t *peer, ngx_wagw_frame_t *f);
static void ipc_settings(ipc_peer_t *peer, ngx_wagw_frame_t *f);

ngx_int_t ngx_wagw_ipc_listen(ngx_cycle_t *cycle, ngx_wagw_main_conf_t *wmcf)
{
    char suffix[32];
    ngx_socket_t s;
    ngx_connection_t *c;
    struct sockaddr_un sun, path;

    snprintf(suffix, sizeof(suffix), ".%d", (int)ngx_pid);
    if (ngx_wagw_socket_address(wmcf, suffix, &sun) != NGX_OK || ngx_wagw_socket_address(wmcf, "", &path) != NGX_OK) {
        return NGX_ERROR;
    }
    s = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (s == (ngx_socket_t)-1) {
        return NGX_ERROR;
    }
    /* bound under another name and renamed: the path always leads somewhere */
    unlink(sun.sun_path);
    if (bind(s, (struct sockaddr *)&sun, sizeof(sun)) == -1 || chmod(sun.sun_path, 0600) == -1 ||
        listen(s, IPC_BACKLOG) == -1 || rename(sun.sun_path, path.sun_path) == -1) {
        goto failed;
    }
    c = ngx_get_connection(s, cycle->log);
    if (c == NULL) {
        goto failed;
    }
    c->log = c->read->log = c->write->log = cycle->log;
    c->read->handler = ipc_accept;
    c->read->channel = 1;
    c->read->accept = 1;
    if (ngx_add_event(c->read, NGX_READ_EVENT, 0) != NGX_OK) {
        ngx_close_connection(c);
        return NGX_ERROR;
    }
    ipc.cycle = cycle;
    ipc.conf = wmcf;
    ipc.c = c;
    if (ipc.serial == 0) {
        ipc.serial = 1;
    }
    ngx_queue_init(&ipc.peers);
    ngx_memzero(&ipc.again, sizeof(ipc.again));
    ipc.again.handler = ipc_accept;
    ipc.again.log = cycle->log;
    ipc.again.cancelable = 1;
    ipc.again.data = c;
    return NGX_OK;

failed:
    ngx_log_error(NGX_LOG_DEBUG, cycle->log, ngx_errno, "wagw: cannot listen on \"%s\"", path.sun_path);
    close(s);
    return NGX_ERROR;
}

void ngx_wagw_ipc_close(void)
{
    if (ipc.c == NULL) {
        return;
    }
    if (ipc.again.timer_set) {
        ngx_del_timer(&ipc.again);
    }
    ngx_close_connection(ipc.c);
    ipc.c = NULL;
    while (!ngx_queue_empty(&ipc.peers)) {
        ipc_flush(&(ngx_queue_data(ngx_queue_head(&ipc.peers), ipc_peer_t, queue))->flush);
        if (!ngx_queue_empty(&ipc.peers)) {
            ipc_drop(ngx_queue_data(ngx_queue_head(&ipc.peers), ipc_peer_t, queue));
        }
    }
}

static void ipc_accept(ngx_event_t *ev)
{
    size_t at;
    ngx_socket_t s;
    ipc_peer_t *peer;
    ngx_connection_t *c;

    for (;;) {
        s = accept4(ipc.c->fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
        if (s == (ngx_socket_t)-1) {
            if (ngx_errno == NGX_EINTR || ngx_errno == NGX_ECONNABORTED) {
                continue;
            }
            if (ngx_errno != NGX_EAGAIN) {
                ngx_log_error(NGX_LOG_ALERT, ipc.cycle->log, ngx_errno, "wagw: accept() failed");
                ngx_add_timer(&ipc.again, 100);
            }
            return;
        }
        if (ngx_wagw_peer_trusted(s) != NGX_OK) {
            ngx_log_error(NGX_LOG_ALERT, ipc.cycle->log, 0, "wagw: a connection of another user was refused");
            close(s);
            continue;
        }
        peer = calloc(1, sizeof(ipc_peer_t));
        c = peer ? ngx_get_connection(s, ipc.cycle->log) : NULL;
        if (c == NULL) {
            free(peer);
            close(s);
            continue;
        }
        peer->c = c;
        ngx_queue_init(&peer->calls);
        ngx_queue_insert_tail(&ipc.peers, &peer->queue);
        peer->flush.handler = ipc_flush;
        peer->flush.data = peer;
        peer->flush.log = ipc.cycle->log;
        c->data = peer;
        c->recv = ngx_recv;
        c->send = ngx_send;
        c->log = c->read->log = c->write->log = ipc.cycle->log;
        c->read->handler = ipc_read;
        c->write->handler = ipc_write;
        c->read->channel = 1;
        c->write->channel = 1;
        if (ngx_add_conn == NULL || ngx_add_conn(c) != NGX_OK) {
            ipc_drop(peer);
            continue;
        }
        at = ngx_wagw_frame_begin(&peer->out, 0, NGX_WAGW_OP_HELLO, 0);
        ngx_wagw_put_u32(&peer->out, NGX_WAGW_PROTO);
        ngx_wagw_put_u32(&peer->out, ngx_wagw_route_checksum());
        ngx_wagw_put_u32(&peer->out, ngx_pid);
        ngx_wagw_put_u32(&peer->out, 0);
        ngx_wagw_frame_end(&peer->out, at);
        ngx_post_event(&peer->flush, &ngx_posted_events);
    }
}

static void ipc_drop(ipc_peer_t *peer)
{
    ipc_call_t *ic;
    ngx_queue_t *q;

    while (!ngx_queue_empty(&peer->calls)) {
        q = ngx_queue_head(&peer->calls);
        ic = ngx_queue_data(q, ipc_call_t, queue);
        ngx_queue_remove(q);
        ngx_queue_init(q);
        ic->peer = NULL;
        ic->call.peer = NULL;
        ngx_wagw_owner_call_gone(&ic->call); /* may end the call */
    }
    ngx_queue_remove(&peer->queue);
    if (peer->flush.posted) {
        ngx_delete_posted_event(&peer->flush);
    }
    ngx_close_connection(peer->c);
    wagw_buf_free(&peer->in);
    wagw_buf_free(&peer->out);
    free(peer);
}

static void ipc_write(ngx_event_t *ev)
{
    ngx_connection_t *c = ev->data;

    ipc_flush(&((ipc_peer_t *)c->data)->flush);
}

static void ipc_flush(ngx_event_t *ev)
{
    size_t at = 0;
    ssize_t n;
    ipc_peer_t *peer = ev->data;

    /* the registry is written by a posted event too, and before any answer */
    if (!peer->last && ipc.c) {
        peer->last = 1;
        ngx_post_event(ev, &ngx_posted_events);
        return;
    }
    peer->last = 0;

    while (at < peer->out.n) {
        n = send(peer->c->fd, peer->out.p + at, peer->out.n - at, MSG_NOSIGNAL);
        if (n == -1) {
            if (ngx_errno == NGX_EINTR) {
                continue;
            }
            if (ngx_errno == NGX_EAGAIN) {
                break;
            }
            ipc_drop(peer);
            return;
        }
        at += n;
    }
    wagw_buf_consume(&peer->out, at);
    if (peer->out.n == 0 && peer->out.cap > 65536) {
        wagw_buf_free(&peer->out);
        ngx_memzero(&peer->out, sizeof(peer->out));
    }
    if (peer->paused && peer->out.n < IPC_OUT_PAUSE / 2) {
        peer->paused = 0;
        ngx_post_event(peer->c->read, &ngx_posted_events);
    }
}

static void ipc_read(ngx_event_t *ev)
{
    size_t at;
    ngx_int_t rc, frc;
    ipc_peer_t *peer;
    ngx_connection_t *c = ev->data;
    ngx_wagw_frame_t f;

    peer = c->data;
    do {
        if (peer->out.n > IPC_OUT_PAUSE) {
            peer->paused = 1; /* what was read stays in `in` */
            return;
        }
        rc = ngx_wagw_stream_read(c, &peer->in, 2 * NGX_WAGW_FRAME_MAX);
        at = 0;
        while ((frc = ngx_wagw_frame_next(&peer->in, &at, &f)) == NGX_OK) {
            frc = ipc_frame(peer, &f);
            if (frc != NGX_OK) {
                break;
            }
        }
        if (frc == NGX_ERROR) {
            ngx_log_error(NGX_LOG_ERR, c->log, 0, "wagw: malformed frame from a worker");
            ipc_drop(peer);
            return;
        }
        wagw_buf_consume(&peer->in, at);
    } while (rc == NGX_DONE);

    if (rc != NGX_AGAIN) {
        ipc_drop(peer);
        return;
    }
    if (peer->in.n == 0 && peer->in.cap > 65536) {
        wagw_buf_free(&peer->in);
        ngx_memzero(&peer->in, sizeof(peer->in));
    }
}

static ngx_int_t ipc_frame(ipc_peer_t *peer, ngx_wagw_frame_t *f)
{
    ipc_call_t *ic;
    ngx_queue_t *q;
    ngx_wagw_reader_t r = ngx_wagw_reader(f);

    if (!peer->greeted) {
        if (f->op != NGX_WAGW_OP_HELLO || ngx_wagw_get_u32(&r) != NGX_WAGW_PROTO ||
            ngx_wagw_get_u32(&r) != ngx_wagw_route_checksum()) {
            return NGX_ERROR; /* it has our hello and says so itself */
        }
        peer->greeted = 1;
        return NGX_OK;
    }

    switch (f->op) {
    case NGX_WAGW_OP_CALL:
        return ipc_take(peer, f);

    case NGX_WAGW_OP_CANCEL:
        for (q = ngx_queue_head(&peer->calls); q != ngx_queue_sentinel(&peer->calls); q = ngx_queue_next(q)) {
            ic = ngx_queue_data(q, ipc_call_t, queue);
            if (ic->call.frame_id == f->id) {
                ngx_queue_remove(q);
                ngx_queue_init(q);
                ic->peer = NULL;
                ic->call.peer = NULL;
                ngx_wagw_owner_call_gone(&ic->call);
                break;
            }
        }
        return NGX_OK;

    case NGX_WAGW_OP_KEY:
        ipc_key(peer, f);
        return NGX_OK;

    case NGX_WAGW_OP_SETTINGS:
        ipc_settings(peer, f);
        return NGX_OK;

    default:
        return NGX_ERROR;
    }
}

static ngx_int_t ipc_take(ipc_peer_t *peer, ngx_wagw_frame_t *f)
{
    ngx_str_t hash, params;
    ngx_pool_t *pool;
    ipc_call_t *ic;
    ngx_uint_t route;
    ngx_wagw_call_t *call;
    ngx_wagw_reader_t r = ngx_wagw_reader(f);

    pool = ngx_create_pool(2048, ipc.cycle->log);
    if (pool == NULL) {
        return NGX_ERROR;
    }
    ic = ngx_pcalloc(pool, sizeof(ipc_call_t));
    if (ic == NULL) {
        goto failed;
    }
    call = &ic->call;
    call->pool = pool;
    call->frame_id = f->id;

    route = ngx_wagw_get_u32(&r);
    call->perm = ngx_wagw_get_u32(&r);
    call->timeout = ngx_wagw_get_u32(&r);
    call->from_loopback = ngx_wagw_get_u32(&r);
    hash = ngx_wagw_get_str(&r);
    if (ngx_wagw_get_copy(&r, pool, &call->request_id) != NGX_OK ||
        ngx_wagw_get_copy(&r, pool, &call->key_id) != NGX_OK ||
        ngx_wagw_get_copy(&r, pool, &call->key_instances) != NGX_OK ||
        ngx_wagw_get_copy(&r, pool, &call->instance_id) != NGX_OK ||
        ngx_wagw_get_copy(&r, pool, &call->idempotency_key) != NGX_OK ||
        ngx_wagw_get_copy(&r, pool, &call->path) != NGX_OK || ngx_wagw_get_copy(&r, pool, &call->accept) != NGX_OK) {
        goto failed;
    }
    params = ngx_wagw_get_str(&r);
    if (r.bad || hash.len != 32 || route >= ngx_wagw_nroutes) {
        goto failed;
    }
    call->route = &ngx_wagw_routes[route];
    ngx_memcpy(call->body_hash, hash.data, 32);
    call->params = cJSON_ParseWithLength((char *)params.data, params.len);
    if (!cJSON_IsObject(call->params)) {
        cJSON_Delete(call->params);
        goto failed;
    }
    call->serial = ipc.serial++;
    call->peer = peer;
    ic->peer = peer;
    ngx_queue_init(&call->queue);
    ngx_queue_insert_tail(&peer->calls, &ic->queue);

    ngx_wagw_owner_call(call);
    return NGX_OK;

failed:
    ngx_destroy_pool(pool);
    return NGX_ERROR;
}

void ngx_wagw_ipc_answer(ngx_wagw_call_t *call, ngx_uint_t status, const char *content_type, wagw_str_t body)
{
    size_t at, part;
    ngx_uint_t flags;
    ipc_call_t *ic = (ipc_call_t *)call;
    ipc_peer_t *peer = ic->peer;
    wagw_buf_t *out;

    ngx_queue_remove(&ic->queue);
    if (peer) {
        if (content_type == NULL) {
            content_type = NGX_WAGW_JSON_TYPE;
        }
        out = &peer->out;
        part = ngx_min(body.n, NGX_WAGW_FRAME_PART);
        flags = (part < body.n ? NGX_WAGW_FLAG_MORE : 0) | (call->replayed ? NGX_WAGW_FLAG_REPLAYED : 0);
        at = ngx_wagw_frame_begin(out, call->frame_id, NGX_WAGW_OP_REPLY, flags);
        ngx_wagw_put_u32(out, status);
        ngx_wagw_put_u32(out, call->retry_after);
        ngx_wagw_put_str(out, call->message_id.data, call->message_id.len);
        ngx_wagw_put_str(out, content_type, ngx_strlen(content_type));
        ngx_wagw_put_str(out, body.p, part);
        ngx_wagw_frame_end(out, at);
        while (part < body.n) {
            body.p += part;
            body.n -= part;
            part = ngx_min(body.n, NGX_WAGW_FRAME_PART);
            at = ngx_wagw_frame_begin(out, call->frame_id, NGX_WAGW_OP_DATA, part < body.n ? NGX_WAGW_FLAG_MORE : 0);
            wagw_buf_add(out, body.p, part);
            ngx_wagw_frame_end(out, at);
        }
        if (out->failed || out->n > IPC_OUT_MAX) {
            /* half a frame must not be sent: the worker sees the end of the stream */
            ngx_log_error(NGX_LOG_ERR, ipc.cycle->log, 0, "wagw: a worker does not take its answers");
            wagw_buf_free(out);
            ngx_memzero(out, sizeof(*out));
            shutdown(peer->c->fd, SHUT_RDWR);
        } else if (!peer->flush.posted) {
            ngx_post_event(&peer->flush, &ngx_posted_events);
        }
    }
    cJSON_Delete(call->params);
    ngx_destroy_pool(call->pool);
}

static void ipc_key(ipc_peer_t *peer, ngx_wagw_frame_t *f)
{
    size_t at;
    ngx_int_t rc;
    ngx_pool_t *pool;
    wagw_buf_t *out = &peer->out;
    ngx_wagw_key_t k;

    if (f->n != 32) {
        return;
    }
    ngx_memzero(&k, sizeof(k));
    pool = ngx_create_pool(1024, ipc.cycle->log);
    rc = pool ? ngx_wagw_registry_key_ask(f->p, pool, &k) : NGX_AGAIN;

    at = ngx_wagw_frame_begin(out, f->id, NGX_WAGW_OP_KEY_REPLY, 0);
    ngx_wagw_put_u32(out, rc == NGX_OK ? 1 : (rc == NGX_DECLINED ? 0 : 2));
    if (rc == NGX_OK) {
        ngx_wagw_put_u32(out, k.perm);
        ngx_wagw_put_u32(out, k.active);
        ngx_wagw_put_u64(out, k.expires_ms);
        ngx_wagw_put_str(out, k.id.data, k.id.len);
        ngx_wagw_put_str(out, k.instances.data, k.instances.len);
        ngx_wagw_put_str(out, k.ip_allow.data, k.ip_allow.len);
    }
    ngx_wagw_frame_end(out, at);
    if (pool) {
        ngx_destroy_pool(pool);
    }
    ngx_post_event(&peer->flush, &ngx_posted_events);
}

/* From worker 0 of a reload.  The first word names the owner that is meant: in
 * standby the workers of another nginx reach us too. */
static void ipc_settings(ipc_peer_t *peer, ngx_wagw_frame_t *f)
{
    size_t at;
    ngx_uint_t status = 409;
    wagw_buf_t *out = &peer->out;
    ngx_wagw_reader_t r = ngx_wagw_reader(f);
    ngx_wagw_main_conf_t new = *ipc.conf;

    if (ngx_wagw_get_u32(&r) == (uint32_t)ngx_pid) {
        if (ngx_wagw_settings_read(&r, ipc.cycle->pool, &new) == NGX_OK) {
            ngx_wagw_owner_settings(ipc.cycle, &new);
            *ipc.conf = new;
            status = 200;
            ngx_log_error(NGX_LOG_NOTICE, ipc.cycle->log, 0, "wagw: the owner has taken the new settings over");
        } else {
            status = 400;
        }
    }
    at = ngx_wagw_frame_begin(out, f->id, NGX_WAGW_OP_REPLY, 0);
    ngx_wagw_put_u32(out, status);
    ngx_wagw_put_u32(out, 0);
    ngx_wagw_put_str(out, NULL, 0);
    ngx_wagw_put_str(out, NULL, 0);
    ngx_wagw_put_str(out, NULL, 0);
    ngx_wagw_frame_end(out, at);
    ngx_post_event(&peer->flush, &ngx_posted_events);
}
