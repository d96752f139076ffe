/*
 * The address of the one host all sockets go to.  getaddrinfo() blocks, so it
 * runs on a task thread; what it found is kept for a minute.
 */

#include "ngx_wagw_socket.h"

#include <netdb.h>

#define RESOLVE_KEEP_MS 60000

typedef struct {
    ngx_wagw_task_t task;
    char *host;
    char service[8];
    ngx_wagw_addr_t addrs[WAGW_SOCKET_ADDRS];
    ngx_uint_t n;
    char why[128];
    int64_t until_ms;
    ngx_event_t ready; /* posted when the kept answer serves */
    ngx_wagw_resolved_pt done;
    unsigned running : 1;
} resolver_t;

static resolver_t resolver;

static void resolve_run(ngx_wagw_task_t *task)
{
    resolver_t *r = task->data;
    struct addrinfo hints, *list, *ai;
    int err;

    ngx_memzero(&hints, sizeof(hints));
    hints.ai_family = AF_UNSPEC;
    hints.ai_socktype = SOCK_STREAM;
    hints.ai_flags = AI_NUMERICSERV | AI_ADDRCONFIG;

    r->n = 0;

    err = getaddrinfo(r->host, r->service, &hints, &list);

    if (err == EAI_NONAME || err == EAI_ADDRFAMILY) {
        /* AI_ADDRCONFIG hides ::1 and 127.0.0.1 on a host without other addresses */
        hints.ai_flags = AI_NUMERICSERV;
        err = getaddrinfo(r->host, r->service, &hints, &list);
    }

    if (err) {
        snprintf(r->why, sizeof(r->why), "%s cannot be resolved: %s", r->host, gai_strerror(err));
        return;
    }

    for (ai = list; ai && r->n < WAGW_SOCKET_ADDRS; ai = ai->ai_next) {
        if (ai->ai_addrlen <= sizeof(ngx_sockaddr_t)) {
            ngx_memcpy(&r->addrs[r->n].sa, ai->ai_addr, ai->ai_addrlen);
            r->addrs[r->n++].len = ai->ai_addrlen;
        }
    }

    freeaddrinfo(list);

    if (r->n == 0) {
        snprintf(r->why, sizeof(r->why), "%s has no address", r->host);
    }
}

static void resolve_done(ngx_wagw_task_t *task)
{
    resolver_t *r = task->data;

    r->running = 0;
    r->until_ms = r->n ? ngx_wagw_now_ms() + RESOLVE_KEEP_MS : 0;
    r->done(r->addrs, r->n, r->why);
}

static void resolve_ready(ngx_event_t *ev)
{
    resolver_t *r = ev->data;

    r->done(r->addrs, r->n, r->why);
}

ngx_int_t ngx_wagw_socket_resolve_init(ngx_str_t *host, in_port_t port, ngx_wagw_resolved_pt done)
{
    resolver_t *r = &resolver;

    ngx_memzero(r, sizeof(*r));

    r->host = calloc(1, host->len + 1);
    if (r->host == NULL) {
        return NGX_ERROR;
    }

    ngx_memcpy(r->host, host->data, host->len);
    snprintf(r->service, sizeof(r->service), "%u", (unsigned)port);

    r->task.run = resolve_run;
    r->task.done = resolve_done;
    r->task.data = r;
    r->ready.handler = resolve_ready;
    r->ready.data = r;
    r->ready.log = ngx_cycle->log;
    r->done = done;

    return NGX_OK;
}

void ngx_wagw_socket_resolve(void)
{
    resolver_t *r = &resolver;

    if (r->running) {
        return;
    }

    if (r->until_ms > ngx_wagw_now_ms()) {
        ngx_post_event(&r->ready, &ngx_posted_events);
        return;
    }

    r->running = 1;
    ngx_wagw_task_post(&r->task);
}
