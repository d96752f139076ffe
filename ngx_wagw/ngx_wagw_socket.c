/*
 * The TLS WebSocket to WhatsApp, on nginx's loop.
 *
 * A socket belongs to an instance until one of: the engine closes it (silent),
 * or it fails (wagw_client_closed() is called once).  The engine's ops come
 * from within the engine, so nothing here calls it back from them: failures
 * are posted.  While a handler is on the stack (busy) a closed socket is only
 * marked, and freed by that handler.
 */

#include "ngx_wagw_socket.h"

#include <openssl/err.h>
#include <openssl/rand.h>

#define SOCKET_ORIGIN "https://web.whatsapp.com"
#define SOCKET_OPEN_MS 20000              /* TCP, TLS and upgrade together */
#define SOCKET_OUT_MAX (32 * 1024 * 1024) /* unsent bytes of one connection */
#define SOCKET_READS 8                    /* per turn, then the others */

typedef enum { SOCKET_RESOLVE = 0, SOCKET_CONNECT, SOCKET_TLS, SOCKET_UPGRADE, SOCKET_OPEN } socket_state_t;

typedef struct {
    wagw_buf_t in; /* the answer's head so far */
    char accept[29];
} socket_upgrade_t;

typedef struct {
    ngx_wagw_instance_t *in; /* NULL: closed */
    ngx_connection_t *c;
    SSL *ssl;
    socket_upgrade_t *upgrade; /* until it is open */
    wagw_buf_t out;
    wagw_ws_t ws;
    ngx_event_t ev;       /* posted failure */
    ngx_event_t deadline; /* for SOCKET_OPEN_MS */
    ngx_queue_t queue;    /* SOCKET_RESOLVE: those who wait */
    const char *why;
    ngx_uint_t addr, tried;
    uint8_t state;
    unsigned busy : 1;
    unsigned handshaken : 1; /* TLS */
} socket_t;

static struct {
    ngx_wagw_main_conf_t *wmcf;
    SSL_CTX *ctx;
    ngx_log_t *log;
    ngx_queue_t waiting;
    ngx_wagw_addr_t addrs[WAGW_SOCKET_ADDRS];
    ngx_uint_t naddrs;
    ngx_uint_t turn; /* spreads connections over the addresses */
    char host[512];  /* for Host: */
    char tls_name[256];
    u_char rbuf[16384]; /* one for all: nothing of it outlives a handler */
} so;

static void socket_fail(socket_t *s, int status, const char *why);
static void socket_next(socket_t *s);
static void socket_read(ngx_event_t *ev);
static void socket_write(ngx_event_t *ev);

static ngx_uint_t socket_is_loopback(const struct sockaddr *sa)
{
    const struct sockaddr_in6 *sin6;

    if (sa->sa_family == AF_INET) {
        return (ntohl(((const struct sockaddr_in *)sa)->sin_addr.s_addr) >> 24) == 127;
    }

    sin6 = (const struct sockaddr_in6 *)sa;

    return sa->sa_family == AF_INET6 && IN6_IS_ADDR_LOOPBACK(&sin6->sin6_addr);
}

/* Releases everything but the memory of the socket itself. */
static void socket_release(socket_t *s)
{
    if (s->state == SOCKET_RESOLVE && s->queue.next) {
        ngx_queue_remove(&s->queue);
        s->queue.next = NULL;
    }

    if (s->ev.posted) {
        ngx_delete_posted_event(&s->ev);
    }

    if (s->deadline.timer_set) {
        ngx_del_timer(&s->deadline);
    }

    if (s->ssl) {
        if (s->handshaken) {
            SSL_set_quiet_shutdown(s->ssl, s->state != SOCKET_OPEN);
            SSL_shutdown(s->ssl);
        }

        SSL_free(s->ssl);
        ERR_clear_error();
        s->ssl = NULL;
    }

    if (s->c) {
        ngx_close_connection(s->c);
        s->c = NULL;
    }

    if (s->upgrade) {
        wagw_buf_free(&s->upgrade->in);
        free(s->upgrade);
        s->upgrade = NULL;
    }

    wagw_buf_free(&s->out);
}

/* Cuts the tie to the instance; the memory goes now or with the handler. */
static void socket_drop(socket_t *s)
{
    if (s->in) {
        s->in->socket = NULL;
        s->in = NULL;
    }

    if (!s->busy) {
        socket_release(s);
        free(s);
    }
}

/* Only from an event, never from within the engine. */
static void socket_fail(socket_t *s, int status, const char *why)
{
    ngx_wagw_instance_t *in = s->in;

    if (in == NULL) {
        return;
    }

    /* losing an open connection is a matter of course, and the engine says so */
    if (s->state != SOCKET_OPEN && status) {
        ngx_log_error(NGX_LOG_ERR, so.log, 0, "wagw instance %V: %s: %s with status %d", &in->id, so.host, why, status);

    } else if (s->state != SOCKET_OPEN) {
        ngx_log_error(NGX_LOG_ERR, so.log, 0, "wagw instance %V: %s cannot be reached: %s", &in->id, so.host, why);
    }

    socket_drop(s);
    wagw_client_closed(in->client, status, why, ngx_wagw_now_ms());
}

static void socket_fail_event(ngx_event_t *ev)
{
    socket_t *s = ev->data;

    socket_fail(s, 0, s->why);
}

static void socket_fail_later(socket_t *s, const char *why)
{
    if (s->why == NULL) {
        s->why = why;
        ngx_post_event(&s->ev, &ngx_posted_events);
    }
}

/* One write for everything that is waiting. */
static ngx_int_t socket_flush(socket_t *s)
{
    ssize_t n;

    while (s->out.n) {
        if (s->ssl) {
            ERR_clear_error();
            n = SSL_write(s->ssl, s->out.p, s->out.n > INT_MAX ? INT_MAX : (int)s->out.n);

            if (n <= 0) {
                switch (SSL_get_error(s->ssl, (int)n)) {
                case SSL_ERROR_WANT_READ:
                case SSL_ERROR_WANT_WRITE:
                    return NGX_AGAIN;
                default:
                    return NGX_ERROR;
                }
            }

        } else {
            n = send(s->c->fd, s->out.p, s->out.n, MSG_NOSIGNAL);

            if (n == -1) {
                if (ngx_errno == NGX_EINTR) {
                    continue;
                }

                return ngx_errno == NGX_EAGAIN ? NGX_AGAIN : NGX_ERROR;
            }
        }

        wagw_buf_consume(&s->out, (size_t)n);
    }

    wagw_buf_free(&s->out);

    return NGX_OK;
}

/* > 0 bytes, 0 end, NGX_AGAIN, NGX_ERROR. */
static ssize_t socket_recv(socket_t *s)
{
    ssize_t n;

    if (s->ssl) {
        ERR_clear_error();
        n = SSL_read(s->ssl, so.rbuf, sizeof(so.rbuf));
        if (n > 0) {
            return n;
        }

        switch (SSL_get_error(s->ssl, (int)n)) {
        case SSL_ERROR_WANT_READ:
        case SSL_ERROR_WANT_WRITE:
            return NGX_AGAIN;
        case SSL_ERROR_ZERO_RETURN:
            return 0;
        default:
            return NGX_ERROR;
        }
    }

    do {
        n = recv(s->c->fd, so.rbuf, sizeof(so.rbuf), 0);
    } while (n == -1 && ngx_errno == NGX_EINTR);

    if (n >= 0) {
        return n;
    }

    return ngx_errno == NGX_EAGAIN ? NGX_AGAIN : NGX_ERROR;
}

static ngx_int_t socket_frame(socket_t *s, wagw_ws_opcode_t opcode, wagw_str_t payload)
{
    uint8_t mask[4];

    ngx_wagw_random(NULL, mask, sizeof(mask));

    return wagw_ws_frame(&s->out, opcode, payload, mask) == WAGW_OK ? NGX_OK : NGX_ERROR;
}

static void socket_post_write(socket_t *s)
{
    ngx_post_event(s->c->write, &ngx_posted_events);
}

/* Gives the event model what it needs after a handler; NGX_ERROR is fatal. */
static ngx_int_t socket_rearm(socket_t *s)
{
    if (ngx_handle_read_event(s->c->read, 0) != NGX_OK) {
        return NGX_ERROR;
    }

    if (ngx_event_flags & NGX_USE_CLEAR_EVENT) {
        return NGX_OK;
    }

    if (s->out.n || s->state < SOCKET_UPGRADE) {
        return s->c->write->active ? NGX_OK : ngx_add_event(s->c->write, NGX_WRITE_EVENT, NGX_LEVEL_EVENT);
    }

    return s->c->write->active ? ngx_del_event(s->c->write, NGX_WRITE_EVENT, 0) : NGX_OK;
}

static ngx_int_t socket_upgrade(socket_t *s)
{
    uint8_t nonce[16];
    socket_upgrade_t *u;

    u = calloc(1, sizeof(*u));
    if (u == NULL) {
        return NGX_ERROR;
    }

    s->upgrade = u;
    s->state = SOCKET_UPGRADE;

    if (RAND_bytes(nonce, sizeof(nonce)) != 1 ||
        wagw_ws_request(&s->out, wagw_cstr(so.host), wagw_str(so.wmcf->whatsapp_path.data, so.wmcf->whatsapp_path.len),
                        SOCKET_ORIGIN, nonce, u->accept) != WAGW_OK) {
        return NGX_ERROR;
    }

    return socket_flush(s) == NGX_ERROR ? NGX_ERROR : NGX_OK;
}

/* NGX_OK, NGX_AGAIN, or NGX_ERROR with *why. */
static ngx_int_t socket_handshake(socket_t *s, const char **why)
{
    int n;

    ERR_clear_error();

    n = SSL_do_handshake(s->ssl);

    if (n == 1) {
        s->handshaken = 1;
        return socket_upgrade(s);
    }

    switch (SSL_get_error(s->ssl, n)) {
    case SSL_ERROR_WANT_READ:
    case SSL_ERROR_WANT_WRITE:
        return NGX_AGAIN;
    }

    *why = ngx_wagw_tls_verify_error(s->ssl, so.tls_name);

    if (*why == NULL) {
        *why = ngx_wagw_tls_error();
    }

    if (*why == NULL) {
        *why = "connection closed in the TLS handshake";
    }

    return NGX_ERROR;
}

/* TCP is up. */
static ngx_int_t socket_connected(socket_t *s, const char **why)
{
    if (!so.wmcf->whatsapp_tls) {
        return socket_upgrade(s);
    }

    s->state = SOCKET_TLS;

    s->ssl = ngx_wagw_tls_start(so.ctx, s->c->fd, so.tls_name);
    if (s->ssl == NULL) {
        return NGX_ERROR;
    }

    return socket_handshake(s, why);
}

/* The answer to the upgrade; what follows its head is WebSocket already. */
static ngx_int_t socket_upgrade_answer(socket_t *s, wagw_str_t *in, int *status, const char **why)
{
    socket_upgrade_t *u = s->upgrade;
    size_t used, before = u->in.n;
    int rc;

    if (wagw_buf_str(&u->in, *in) != WAGW_OK) {
        return NGX_ERROR;
    }

    rc = wagw_ws_response(wagw_buf_view(&u->in), u->accept, &used, status, why);

    if (rc == WAGW_AGAIN) {
        *in = WAGW_STR_NULL;
        return NGX_OK;
    }

    if (rc != WAGW_OK) {
        return NGX_ERROR;
    }

    used -= before;
    *in = wagw_str(in->p + used, in->n - used);

    wagw_buf_free(&u->in);
    free(u);
    s->upgrade = NULL;

    if (s->deadline.timer_set) {
        ngx_del_timer(&s->deadline);
    }

    s->state = SOCKET_OPEN;
    wagw_client_opened(s->in->client, ngx_wagw_now_ms());

    return NGX_OK;
}

/* Everything in `in`; stops when the engine closed the socket. */
static ngx_int_t socket_consume(socket_t *s, wagw_str_t in, int *status, const char **why)
{
    wagw_ws_event_t ev;
    uint8_t mask[4];
    int rc;

    if (s->state == SOCKET_UPGRADE && socket_upgrade_answer(s, &in, status, why) != NGX_OK) {
        return NGX_ERROR;
    }

    while (s->in && s->state == SOCKET_OPEN) {
        rc = wagw_ws_next(&s->ws, &in, &ev);

        if (rc == WAGW_AGAIN) {
            break;
        }

        if (rc != WAGW_OK) {
            *why = ev.why;
            ngx_log_error(NGX_LOG_ERR, so.log, 0, "wagw instance %V: %s breaks the WebSocket protocol: %s", &s->in->id,
                          so.host, ev.why);
            (void)(RAND_bytes(mask, sizeof(mask)) == 1 && wagw_ws_close_frame(&s->out, ev.code, mask) == WAGW_OK &&
                   socket_flush(s) == NGX_OK);
            return NGX_ERROR;
        }

        switch (ev.opcode) {
        case WAGW_WS_BINARY:
            if (ev.payload.n) {
                wagw_client_received(s->in->client, ev.payload.p, ev.payload.n, ngx_wagw_now_ms());
            }
            break;

        case WAGW_WS_TEXT:
            if (ev.last) {
                ngx_log_error(NGX_LOG_INFO, so.log, 0, "wagw instance %V: text message from the server ignored",
                              &s->in->id);
            }
            break;

        case WAGW_WS_PING:
            /* one that pings without reading gets no more answers */
            if (s->out.n < sizeof(so.rbuf)) {
                if (socket_frame(s, WAGW_WS_PONG, ev.payload) != NGX_OK) {
                    return NGX_ERROR;
                }

                socket_post_write(s);
            }
            break;

        case WAGW_WS_CLOSE:
            *why = "closed by the server";
            (void)(RAND_bytes(mask, sizeof(mask)) == 1 && wagw_ws_close_frame(&s->out, 1000, mask) == WAGW_OK &&
                   socket_flush(s) == NGX_OK);
            return NGX_ERROR;
        }
    }

    return NGX_OK;
}

/* NGX_OK: nothing more for now.  NGX_DONE: more may be there, let others run. */
static ngx_int_t socket_read_some(socket_t *s, int *status, const char **why)
{
    ngx_uint_t i;
    ssize_t n;

    for (i = 0; i < SOCKET_READS && s->in; i++) {
        n = socket_recv(s);

        if (n == NGX_AGAIN) {
            s->c->read->ready = 0;
            return NGX_OK;
        }

        if (n == 0) {
            *why = "connection closed by the server";
            return NGX_ERROR;
        }

        if (n < 0) {
            *why = s->ssl ? ngx_wagw_tls_error() : strerror(ngx_errno);
            return NGX_ERROR;
        }

        if (socket_consume(s, wagw_str(so.rbuf, (size_t)n), status, why) != NGX_OK) {
            return NGX_ERROR;
        }
    }

    return NGX_DONE;
}

/* Ends a handler: the socket may have been closed, may fail, or goes on. */
static void socket_leave(socket_t *s, ngx_int_t rc, int status, const char *why)
{
    s->busy = 0;

    if (s->in == NULL) {
        socket_release(s);
        free(s);
        return;
    }

    if (rc == NGX_ERROR || socket_rearm(s) != NGX_OK) {
        if (s->state < SOCKET_UPGRADE && s->state >= SOCKET_CONNECT && status == 0 && s->tried < so.naddrs &&
            s->ssl == NULL) {
            /* TCP failed: the host's next address */
            ngx_log_error(NGX_LOG_INFO, so.log, 0, "wagw instance %V: connect failed: %s", &s->in->id,
                          why ? why : "unknown");
            ngx_close_connection(s->c);
            s->c = NULL;
            socket_next(s);
            return;
        }

        socket_fail(s, status, why ? why : "connection lost");
    }
}

static void socket_read(ngx_event_t *ev)
{
    ngx_connection_t *c = ev->data;
    socket_t *s = c->data;
    const char *why = NULL;
    ngx_int_t rc = NGX_OK;
    int status = 0;

    if (s->state == SOCKET_CONNECT) {
        return; /* the write event tells */
    }

    s->busy = 1;

    if (s->state == SOCKET_TLS) {
        rc = socket_handshake(s, &why);
    }

    if (rc != NGX_ERROR && s->state >= SOCKET_UPGRADE) {
        rc = socket_read_some(s, &status, &why);

        if (rc == NGX_DONE && s->in) {
            ngx_post_event(c->read, &ngx_posted_next_events);
        }
    }

    socket_leave(s, rc, status, why);
}

static void socket_write(ngx_event_t *ev)
{
    ngx_connection_t *c = ev->data;
    socket_t *s = c->data;
    const char *why = NULL;
    ngx_int_t rc = NGX_OK;
    socklen_t len = sizeof(int);
    int err = 0;

    s->busy = 1;

    switch (s->state) {
    case SOCKET_CONNECT:
        if (getsockopt(c->fd, SOL_SOCKET, SO_ERROR, &err, &len) == -1) {
            err = ngx_errno;
        }

        if (err) {
            why = strerror(err);
            rc = NGX_ERROR;
        } else {
            rc = socket_connected(s, &why);
        }
        break;

    case SOCKET_TLS:
        rc = socket_handshake(s, &why);
        break;

    default:
        rc = socket_flush(s);

        if (rc == NGX_ERROR) {
            why = s->ssl ? ngx_wagw_tls_error() : strerror(ngx_errno);
        }
    }

    socket_leave(s, rc, 0, why);
}

/* NGX_OK: on its way.  NGX_DECLINED: this address failed at once.  NGX_ERROR:
 * so will all. */
static ngx_int_t socket_try(socket_t *s, const ngx_wagw_addr_t *a, const char **why)
{
    ngx_connection_t *c;
    ngx_socket_t fd;
    int one = 1;

    *why = "ws:// is for loopback only";

    if (!so.wmcf->whatsapp_tls && !socket_is_loopback(&a->sa.sockaddr)) {
        return NGX_DECLINED;
    }

    *why = "socket() failed";

    fd = socket(a->sa.sockaddr.sa_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd == -1) {
        return NGX_DECLINED;
    }

    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));

    *why = "no free connection (wagw_owner_connections)";

    c = ngx_get_connection(fd, so.log);
    if (c == NULL) {
        close(fd);
        return NGX_ERROR;
    }

    s->c = c;
    s->state = SOCKET_CONNECT;

    c->data = s;
    c->log = so.log;
    c->read->log = so.log;
    c->write->log = so.log;
    c->read->handler = socket_read;
    c->write->handler = socket_write;
    c->read->channel = 1;
    c->write->channel = 1;

    *why = "event registration failed";

    if (ngx_add_conn && ngx_add_conn(c) != NGX_OK) {
        return NGX_ERROR;
    }

    if (connect(fd, &a->sa.sockaddr, a->len) == -1 && ngx_errno != NGX_EINPROGRESS) {
        *why = strerror(ngx_errno);
        return NGX_DECLINED;
    }

    if (ngx_add_conn == NULL && (ngx_add_event(c->read, NGX_READ_EVENT, NGX_LEVEL_EVENT) != NGX_OK ||
                                 ngx_add_event(c->write, NGX_WRITE_EVENT, NGX_LEVEL_EVENT) != NGX_OK)) {
        return NGX_ERROR;
    }

    return NGX_OK;
}

/* Starts TCP to the next address that can be tried; a failure is posted. */
static void socket_next(socket_t *s)
{
    const char *why = NULL;
    ngx_int_t rc = NGX_DECLINED;

    while (rc == NGX_DECLINED && s->tried < so.naddrs) {
        rc = socket_try(s, &so.addrs[(s->addr + s->tried++) % so.naddrs], &why);

        if (rc != NGX_OK && s->c) {
            ngx_close_connection(s->c);
            s->c = NULL;
        }
    }

    if (rc != NGX_OK) {
        socket_fail_later(s, why);
    }
}

static void socket_resolved(const ngx_wagw_addr_t *addrs, ngx_uint_t n, const char *why)
{
    ngx_queue_t list, *q;
    socket_t *s;

    ngx_queue_init(&list);
    ngx_queue_add(&list, &so.waiting);
    ngx_queue_init(&so.waiting);

    so.naddrs = n;

    if (n) {
        ngx_memcpy(so.addrs, addrs, n * sizeof(*addrs));
    }

    while (!ngx_queue_empty(&list)) {
        q = ngx_queue_head(&list);
        ngx_queue_remove(q);
        q->next = NULL;
        s = ngx_queue_data(q, socket_t, queue);

        if (n == 0) {
            socket_fail(s, 0, why);
            continue;
        }

        s->addr = so.turn++ % n;
        s->tried = 0;
        socket_next(s);
    }
}

static void socket_deadline(ngx_event_t *ev)
{
    static const char *const where[] = {"name lookup", "connect", "TLS handshake", "upgrade", ""};
    socket_t *s = ev->data;
    char why[64];

    snprintf(why, sizeof(why), "timed out in %s", where[s->state]);
    socket_fail(s, 0, why);
}

ngx_int_t ngx_wagw_socket_init(ngx_cycle_t *cycle, ngx_wagw_main_conf_t *wmcf)
{
    ngx_str_t *h = &wmcf->whatsapp_host;
    in_port_t standard = wmcf->whatsapp_tls ? 443 : 80;
    ngx_uint_t v6 = ngx_strlchr(h->data, h->data + h->len, ':') != NULL;
    int n;

    ngx_memzero(&so, sizeof(so));
    so.wmcf = wmcf;
    so.log = cycle->log;
    ngx_queue_init(&so.waiting);

    if (h->len >= sizeof(so.tls_name)) {
        ngx_log_error(NGX_LOG_CRIT, cycle->log, 0, "wagw: host name \"%V\" is too long", h);
        return NGX_ERROR;
    }

    ngx_memcpy(so.tls_name, h->data, h->len);

    n = snprintf(so.host, sizeof(so.host), v6 ? "[%s]" : "%s", so.tls_name);

    if (wmcf->whatsapp_port != standard) {
        snprintf(so.host + n, sizeof(so.host) - (size_t)n, ":%u", (unsigned)wmcf->whatsapp_port);
    }

    if (wmcf->whatsapp_tls) {
        so.ctx = ngx_wagw_tls_context(&wmcf->trusted_certificate, so.log);
        if (so.ctx == NULL) {
            return NGX_ERROR;
        }
    }

    return ngx_wagw_socket_resolve_init(h, wmcf->whatsapp_port, socket_resolved);
}

void ngx_wagw_socket_open(ngx_wagw_instance_t *in)
{
    socket_t *s;

    ngx_wagw_socket_close(in);

    s = calloc(1, sizeof(*s));
    if (s == NULL) {
        ngx_wagw_instance_open_failed(in);
        return;
    }

    in->socket = s;
    s->in = in;
    s->ev.handler = socket_fail_event;
    s->ev.data = s;
    s->ev.log = so.log;
    s->deadline.handler = socket_deadline;
    s->deadline.data = s;
    s->deadline.log = so.log;

    ngx_queue_insert_tail(&so.waiting, &s->queue);
    ngx_add_timer(&s->deadline, SOCKET_OPEN_MS);
    ngx_wagw_socket_resolve();
}

void ngx_wagw_socket_send(ngx_wagw_instance_t *in, wagw_str_t bytes)
{
    socket_t *s = in->socket;

    if (s == NULL || s->state != SOCKET_OPEN) {
        return;
    }

    if (s->out.n > SOCKET_OUT_MAX - bytes.n) {
        socket_fail_later(s, "the server does not read");
        return;
    }

    if (socket_frame(s, WAGW_WS_BINARY, bytes) != NGX_OK) {
        socket_fail_later(s, "no memory to send");
        return;
    }

    socket_post_write(s);
}

void ngx_wagw_socket_close(ngx_wagw_instance_t *in)
{
    socket_t *s = in->socket;
    uint8_t mask[4];

    if (s == NULL) {
        return;
    }

    if (s->state == SOCKET_OPEN && RAND_bytes(mask, sizeof(mask)) == 1 &&
        wagw_ws_close_frame(&s->out, 1000, mask) == WAGW_OK) {
        socket_flush(s);
    }

    socket_drop(s);
}
