#include "ngx_wagw_webhook.h"
#include "ngx_wagw_headers.h"

#include <signal.h>

/*
 * libcurl multi on nginx events.  curl tells which sockets it waits for; each
 * gets an ngx_connection_t (level-triggered, because curl does not promise to
 * read until EAGAIN).  curl may start resolver threads in any call that moves
 * transfers on, so signals are blocked around those: nginx's handlers belong
 * to the main thread.
 */

#define NGX_WAGW_HTTP_IDLE 16        /* kept easy handles */
#define NGX_WAGW_HTTP_TOTAL 256      /* connections */
#define NGX_WAGW_HTTP_BODY_MAX 65536 /* of an answer: no receiver needs more to say "ok" */

static struct {
    CURLM *multi;
    ngx_wagw_main_conf_t *wmcf;
    ngx_log_t *log;
    ngx_event_t timer;
    ngx_event_t posted;
    ngx_queue_t running;
    CURL *idle[NGX_WAGW_HTTP_IDLE];
    ngx_uint_t nidle;
    char *cafile;
    unsigned global : 1;
    unsigned stopping : 1;
} http;

static int ngx_wagw_http_socket(CURL *easy, curl_socket_t s, int what, void *data, void *sockp);
static int ngx_wagw_http_timer(CURLM *multi, long timeout_ms, void *data);
static void ngx_wagw_http_timer_handler(ngx_event_t *ev);
static void ngx_wagw_http_event_handler(ngx_event_t *ev);
static void ngx_wagw_http_finish(CURL *easy, CURLcode rc);

ngx_int_t ngx_wagw_http_init(ngx_cycle_t *cycle, ngx_wagw_main_conf_t *wmcf)
{
    ngx_memzero(&http, sizeof(http));
    ngx_queue_init(&http.running);

    http.wmcf = wmcf;
    http.log = cycle->log;

    if (curl_global_init(CURL_GLOBAL_DEFAULT) != CURLE_OK) {
        ngx_log_error(NGX_LOG_ERR, cycle->log, 0, "wagw: curl_global_init() failed");
        return NGX_ERROR;
    }

    http.global = 1;

    if (wmcf->trusted_certificate.len) {
        http.cafile = wagw_str_dup(wagw_str(wmcf->trusted_certificate.data, wmcf->trusted_certificate.len));
        if (http.cafile == NULL) {
            return NGX_ERROR;
        }
    }

    http.multi = curl_multi_init();
    if (http.multi == NULL) {
        return NGX_ERROR;
    }

    curl_multi_setopt(http.multi, CURLMOPT_SOCKETFUNCTION, ngx_wagw_http_socket);
    curl_multi_setopt(http.multi, CURLMOPT_TIMERFUNCTION, ngx_wagw_http_timer);
    curl_multi_setopt(http.multi, CURLMOPT_MAX_TOTAL_CONNECTIONS, (long)NGX_WAGW_HTTP_TOTAL);
    curl_multi_setopt(http.multi, CURLMOPT_MAXCONNECTS, 64L);

    http.timer.handler = ngx_wagw_http_timer_handler;
    http.timer.log = cycle->log;
    http.timer.data = &http;
    http.timer.cancelable = 1;

    http.posted.handler = ngx_wagw_http_timer_handler;
    http.posted.log = cycle->log;
    http.posted.data = &http;

    return NGX_OK;
}

void ngx_wagw_http_done(void)
{
    ngx_queue_t *q;
    ngx_wagw_post_t *post;

    http.stopping = 1;

    if (http.multi) {
        while (!ngx_queue_empty(&http.running)) {
            q = ngx_queue_head(&http.running);
            post = ngx_queue_data(q, ngx_wagw_post_t, queue);
            ngx_queue_remove(q);
            curl_multi_remove_handle(http.multi, post->easy);
            curl_easy_cleanup(post->easy);
            curl_slist_free_all(post->headers);
            wagw_buf_free(&post->response);
            post->easy = NULL;
            post->headers = NULL;
            post->error = "shutting down";
            post->done(post);
        }

        while (http.nidle) {
            curl_easy_cleanup(http.idle[--http.nidle]);
        }

        curl_multi_cleanup(http.multi);
        http.multi = NULL;
    }

    if (http.timer.timer_set) {
        ngx_del_timer(&http.timer);
    }

    if (http.posted.posted) {
        ngx_delete_posted_event(&http.posted);
    }

    free(http.cafile);
    http.cafile = NULL;

    if (http.global) {
        curl_global_cleanup();
        http.global = 0;
    }
}

static void ngx_wagw_http_block_signals(sigset_t *old)
{
    sigset_t all;

    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, old);
}

static void ngx_wagw_http_drive(curl_socket_t s, int bits)
{
    int n;
    CURLMsg *msg;
    sigset_t old;

    ngx_wagw_http_block_signals(&old);
    curl_multi_socket_action(http.multi, s, bits, &n);
    pthread_sigmask(SIG_SETMASK, &old, NULL);

    while (http.multi && (msg = curl_multi_info_read(http.multi, &n)) != NULL) {
        if (msg->msg == CURLMSG_DONE) {
            ngx_wagw_http_finish(msg->easy_handle, msg->data.result);
        }
    }
}

static void ngx_wagw_http_timer_handler(ngx_event_t *ev)
{
    ngx_wagw_http_drive(CURL_SOCKET_TIMEOUT, 0);
}

static void ngx_wagw_http_event_handler(ngx_event_t *ev)
{
    ngx_connection_t *c = ev->data;

    ngx_wagw_http_drive(c->fd, ev->write ? CURL_CSELECT_OUT : CURL_CSELECT_IN);
}

static int ngx_wagw_http_timer(CURLM *multi, long timeout_ms, void *data)
{
    if (http.timer.timer_set) {
        ngx_del_timer(&http.timer);
    }

    if (timeout_ms == 0) {
        ngx_post_event(&http.posted, &ngx_posted_events);

    } else if (timeout_ms > 0) {
        ngx_add_timer(&http.timer, (ngx_msec_t)timeout_ms);
    }

    return 0;
}

static int ngx_wagw_http_socket(CURL *easy, curl_socket_t s, int what, void *data, void *sockp)
{
    ngx_event_t *rev, *wev;
    ngx_connection_t *c = sockp;

    if (what == CURL_POLL_REMOVE) {

        if (c == NULL) {
            return 0;
        }

        /* at the end curl tells of sockets that it has closed already */
        if (c->read->active && !http.stopping) {
            ngx_del_event(c->read, NGX_READ_EVENT, 0);
        }

        if (c->write->active && !http.stopping) {
            ngx_del_event(c->write, NGX_WRITE_EVENT, 0);
        }

        curl_multi_assign(http.multi, s, NULL);

        /* curl closes the socket itself */
        ngx_free_connection(c);
        c->fd = (ngx_socket_t)-1;

        return 0;
    }

    if (c == NULL) {
        c = ngx_get_connection(s, http.log);
        if (c == NULL) {
            /* the transfer ends by its own time limit */
            return 0;
        }

        c->log = http.log;
        c->read->log = http.log;
        c->write->log = http.log;
        c->read->handler = ngx_wagw_http_event_handler;
        c->write->handler = ngx_wagw_http_event_handler;

        curl_multi_assign(http.multi, s, c);
    }

    rev = c->read;
    wev = c->write;

    if (what & CURL_POLL_IN) {
        if (!rev->active) {
            ngx_add_event(rev, NGX_READ_EVENT, NGX_LEVEL_EVENT);
        }

    } else if (rev->active) {
        ngx_del_event(rev, NGX_READ_EVENT, 0);
    }

    if (what & CURL_POLL_OUT) {
        if (!wev->active) {
            ngx_add_event(wev, NGX_WRITE_EVENT, NGX_LEVEL_EVENT);
        }

    } else if (wev->active) {
        ngx_del_event(wev, NGX_WRITE_EVENT, 0);
    }

    return 0;
}

static curl_socket_t ngx_wagw_http_open(void *data, curlsocktype purpose, struct curl_sockaddr *a)
{
    ngx_wagw_post_t *post = data;

    if (purpose != CURLSOCKTYPE_IPCXN || ngx_wagw_outbound_allowed(http.wmcf, &a->addr) != NGX_OK) {
        post->refused = 1;
        return CURL_SOCKET_BAD;
    }

    return socket(a->family, a->socktype | SOCK_CLOEXEC, a->protocol);
}

static size_t ngx_wagw_http_write(char *p, size_t size, size_t n, void *data)
{
    size_t room;
    ngx_wagw_post_t *post = data;

    n *= size;
    post->received += n;
    room = NGX_WAGW_HOOK_RESPONSE - post->response.n;

    wagw_buf_add(&post->response, p, n < room ? n : room);

    if (post->received > NGX_WAGW_HTTP_BODY_MAX) {
        post->enough = 1;
        return 0;
    }

    return n;
}

static size_t ngx_wagw_http_header(char *p, size_t size, size_t n, void *data)
{
    time_t at;
    uint64_t seconds;
    wagw_str_t v;
    ngx_wagw_post_t *post = data;

    n *= size;

    if (n > sizeof("Retry-After:") - 1 &&
        ngx_strncasecmp((u_char *)p, (u_char *)"Retry-After:", sizeof("Retry-After:") - 1) == 0) {

        v = wagw_str(p + sizeof("Retry-After:") - 1, n - (sizeof("Retry-After:") - 1));
        post->retry_after = 0;

        if (ngx_wagw_headers_retry_after(&v, &seconds) == WAGW_OK) {
            post->retry_after = (ngx_uint_t)seconds;
        } else if (v.n) {
            at = ngx_parse_http_time((u_char *)v.p, v.n);
            post->retry_after = at != NGX_ERROR && at > ngx_time() ? (ngx_uint_t)(at - ngx_time()) : 0;
        }
    }

    return n;
}

ngx_int_t ngx_wagw_http_post(ngx_wagw_post_t *post)
{
    CURL *e;
    sigset_t old;
    CURLMcode rc;

    if (http.multi == NULL) {
        goto failed;
    }

    e = http.nidle ? http.idle[--http.nidle] : curl_easy_init();
    if (e == NULL) {
        goto failed;
    }

    post->easy = e;
    post->status = 0;
    post->error = NULL;
    post->retry_after = 0;
    post->received = 0;
    post->refused = 0;
    post->enough = 0;
    post->why[0] = '\0';
    post->started = ngx_current_msec;
    ngx_memzero(&post->response, sizeof(wagw_buf_t));

    curl_easy_setopt(e, CURLOPT_URL, post->url);
    curl_easy_setopt(e, CURLOPT_PROTOCOLS_STR, "http,https");
    curl_easy_setopt(e, CURLOPT_FOLLOWLOCATION, 0L);
    curl_easy_setopt(e, CURLOPT_PROXY, "");
    curl_easy_setopt(e, CURLOPT_NOSIGNAL, 1L);
    curl_easy_setopt(e, CURLOPT_QUICK_EXIT, 1L);
    curl_easy_setopt(e, CURLOPT_HTTP_VERSION, (long)CURL_HTTP_VERSION_1_1);
    curl_easy_setopt(e, CURLOPT_TIMEOUT_MS, (long)NGX_WAGW_HOOK_TIMEOUT);
    curl_easy_setopt(e, CURLOPT_BUFFERSIZE, 4096L);
    curl_easy_setopt(e, CURLOPT_UPLOAD_BUFFERSIZE, 16384L);
    curl_easy_setopt(e, CURLOPT_SSL_VERIFYPEER, 1L);
    curl_easy_setopt(e, CURLOPT_SSL_VERIFYHOST, 2L);

    if (http.cafile) {
        curl_easy_setopt(e, CURLOPT_CAINFO, http.cafile);
        curl_easy_setopt(e, CURLOPT_CAPATH, NULL);
    }

    curl_easy_setopt(e, CURLOPT_POST, 1L);
    curl_easy_setopt(e, CURLOPT_POSTFIELDS, (const char *)post->body.p);
    curl_easy_setopt(e, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)post->body.n);
    curl_easy_setopt(e, CURLOPT_HTTPHEADER, post->headers);

    curl_easy_setopt(e, CURLOPT_OPENSOCKETFUNCTION, ngx_wagw_http_open);
    curl_easy_setopt(e, CURLOPT_OPENSOCKETDATA, post);
    curl_easy_setopt(e, CURLOPT_WRITEFUNCTION, ngx_wagw_http_write);
    curl_easy_setopt(e, CURLOPT_WRITEDATA, post);
    curl_easy_setopt(e, CURLOPT_HEADERFUNCTION, ngx_wagw_http_header);
    curl_easy_setopt(e, CURLOPT_HEADERDATA, post);
    curl_easy_setopt(e, CURLOPT_ERRORBUFFER, post->why);
    curl_easy_setopt(e, CURLOPT_PRIVATE, post);

    ngx_queue_insert_tail(&http.running, &post->queue);

    ngx_wagw_http_block_signals(&old);
    rc = curl_multi_add_handle(http.multi, e);
    pthread_sigmask(SIG_SETMASK, &old, NULL);

    if (rc != CURLM_OK) {
        ngx_queue_remove(&post->queue);
        curl_easy_cleanup(e);
        post->easy = NULL;
        goto failed;
    }

    return NGX_OK;

failed:

    curl_slist_free_all(post->headers);
    post->headers = NULL;

    return NGX_ERROR;
}

static void ngx_wagw_http_finish(CURL *easy, CURLcode rc)
{
    char *private;
    long status;
    ngx_wagw_post_t *post;

    private = NULL;
    status = 0;

    curl_easy_getinfo(easy, CURLINFO_PRIVATE, &private);
    curl_easy_getinfo(easy, CURLINFO_RESPONSE_CODE, &status);

    post = (ngx_wagw_post_t *)private;

    curl_multi_remove_handle(http.multi, easy);
    ngx_queue_remove(&post->queue);

    post->duration_ms = (uint32_t)(ngx_current_msec - post->started);

    if (rc == CURLE_OK || (rc == CURLE_WRITE_ERROR && post->enough)) {
        post->status = status > 0 ? (ngx_uint_t)status : 0;

    } else if (post->refused) {
        post->error = "address not allowed by the outbound policy";

    } else {
        post->error = post->why[0] ? post->why : curl_easy_strerror(rc);
    }

    curl_slist_free_all(post->headers);
    post->headers = NULL;
    post->easy = NULL;

    /* reset keeps the connections: they belong to the multi handle */
    curl_easy_reset(easy);

    if (http.nidle < NGX_WAGW_HTTP_IDLE) {
        http.idle[http.nidle++] = easy;
    } else {
        curl_easy_cleanup(easy);
    }

    {
        wagw_buf_t response = post->response;

        post->done(post);
        wagw_buf_free(&response);
    }
}

ngx_uint_t ngx_wagw_http_url_ok(wagw_str_t url)
{
    char *text, *part;
    size_t i;
    CURLU *u;
    ngx_uint_t ok;

    if (url.n == 0 || url.n > 2048) {
        return 0;
    }

    for (i = 0; i < url.n; i++) {
        if (url.p[i] <= 0x20 || url.p[i] == 0x7f) {
            return 0;
        }
    }

    ok = 0;
    part = NULL;
    text = wagw_str_dup(url);
    u = curl_url();

    if (text && u && curl_url_set(u, CURLUPART_URL, text, 0) == CURLUE_OK &&
        curl_url_get(u, CURLUPART_SCHEME, &part, 0) == CURLUE_OK) {

        ok = ngx_strcasecmp((u_char *)part, (u_char *)"http") == 0 ||
             ngx_strcasecmp((u_char *)part, (u_char *)"https") == 0;
        curl_free(part);

        if (ok) {
            part = NULL;
            ok = curl_url_get(u, CURLUPART_HOST, &part, 0) == CURLUE_OK && part[0] != '\0';
            curl_free(part);
        }
    }

    curl_url_cleanup(u);
    free(text);

    return ok;
}
