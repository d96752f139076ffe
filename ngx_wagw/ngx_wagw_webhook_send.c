#include "ngx_wagw_webhook.h"

/*
 * Starts requests for ready rows, judges the answers and writes the results
 * (contract 4.3).
 */

#define NGX_WAGW_HOOKQ_TOTAL 200 /* requests at once, all hooks */
#define NGX_WAGW_HOOKQ_BREAKER 20
#define NGX_WAGW_HOOKQ_PROBE 60000
#define NGX_WAGW_HOOKQ_CAP (15 * 60 * 1000)

typedef struct {
    ngx_wagw_post_t post;
    ngx_wagw_hook_full_t *hook;
    ngx_queue_t rows;
    ngx_uint_t nrows;
    wagw_buf_t body;
    ngx_wagw_job_t job;
    ngx_event_t timer; /* result to be written again */
    wagw_buf_t response;
    char error[CURL_ERROR_SIZE];
} ngx_wagw_flight_t;

typedef struct {
    ngx_wagw_job_t job;
    wagw_webhook_t w; /* strings behind the struct */
} ngx_wagw_disable_t;

static void ngx_wagw_hookq_saved(ngx_wagw_job_t *job);

static ngx_uint_t ngx_wagw_hookq_same_chat(const wagw_delivery_t *a, const wagw_delivery_t *b)
{
    return a->instance == b->instance && wagw_str_eq(a->chat, b->chat);
}

static ngx_uint_t ngx_wagw_hookq_chat_busy(ngx_wagw_hook_full_t *h, ngx_wagw_row_t *row)
{
    ngx_queue_t *q;
    ngx_wagw_row_t *other;

    for (q = ngx_queue_head(&h->busy); q != ngx_queue_sentinel(&h->busy); q = ngx_queue_next(q)) {
        other = ngx_queue_data(q, ngx_wagw_row_t, queue);

        if ((!other->answered || h->ordered) && ngx_wagw_hookq_same_chat(&other->d, &row->d)) {
            return 1;
        }
    }

    return 0;
}

static void ngx_wagw_flight_free(ngx_wagw_flight_t *f)
{
    wagw_buf_wipe(&f->body);
    wagw_buf_free(&f->response);
    free(f);
}

/* Forgets a request and its rows. */
static void ngx_wagw_flight_drop(ngx_wagw_flight_t *f)
{
    ngx_queue_t *q;
    ngx_wagw_row_t *row;

    while (!ngx_queue_empty(&f->rows)) {
        q = ngx_queue_head(&f->rows);
        ngx_queue_remove(q);
        row = ngx_queue_data(q, ngx_wagw_row_t, fly);

        ngx_queue_remove(&row->queue);
        f->hook->nbusy--;
        ngx_wagw_row_free(row);
    }

    ngx_wagw_flight_free(f);
}

static ngx_msec_t ngx_wagw_hookq_delay(ngx_wagw_hook_full_t *h, ngx_uint_t attempts)
{
    uint64_t wait;
    ngx_uint_t i;

    wait = h->delay;

    switch (h->policy) {

    case NGX_WAGW_HOOK_CONSTANT:
        break;

    case NGX_WAGW_HOOK_LINEAR:
        wait *= attempts;
        break;

    default:
        for (i = 1; i < attempts && wait < NGX_WAGW_HOOKQ_CAP; i++) {
            wait *= 2;
        }
    }

    if (wait > NGX_WAGW_HOOKQ_CAP) {
        wait = NGX_WAGW_HOOKQ_CAP;
    }

    /* +-20 %, so that many hooks of one dead receiver do not come back together */
    return (ngx_msec_t)(wait * 4 / 5 + (uint64_t)ngx_random() % (wait * 2 / 5 + 1));
}

static ngx_uint_t ngx_wagw_hookq_final(ngx_wagw_hook_full_t *h, ngx_uint_t status)
{
    if (h->retry_all) {
        return 0;
    }

    switch (status) {
    case 400:
    case 401:
    case 403:
    case 404:
    case 410:
    case 422:
        return 1;
    }

    return 0;
}

static int ngx_wagw_hookq_disable_run(wagw_store_t *s, ngx_wagw_job_t *job)
{
    ngx_wagw_disable_t *d = job->data;

    return wagw_store_webhook_put(s, &d->w);
}

static void ngx_wagw_hookq_disable_done(ngx_wagw_job_t *job)
{
    ngx_wagw_disable_t *d = job->data;

    wagw_wipe(d + 1, d->w.secret.n);
    free(d);
}

/* 410 Gone: the receiver says it will never be back */
static void ngx_wagw_hookq_disable(ngx_wagw_hook_full_t *h)
{
    size_t i;
    uint8_t *p;
    wagw_str_t *s[6];
    ngx_wagw_disable_t *d;
    wagw_webhook_t *w = &h->hook.w;

    w->enabled = false;
    w->updated_ms = ngx_wagw_now_ms();

    ngx_log_error(NGX_LOG_WARN, ngx_wagw_hookq.log, 0, "wagw webhook: %*s answered 410 and is disabled", w->id.n,
                  w->id.p);

    d = malloc(sizeof(ngx_wagw_disable_t) + w->secret.n + w->id.n + w->url.n + w->events.n + w->headers.n +
               w->options.n);
    if (d == NULL) {
        return;
    }

    ngx_memzero(d, sizeof(ngx_wagw_disable_t));
    d->w = *w;

    s[0] = &d->w.secret;
    s[1] = &d->w.id;
    s[2] = &d->w.url;
    s[3] = &d->w.events;
    s[4] = &d->w.headers;
    s[5] = &d->w.options;
    p = (uint8_t *)(d + 1);

    for (i = 0; i < 6; i++) {
        if (s[i]->n) {
            ngx_memcpy(p, s[i]->p, s[i]->n);
        }

        s[i]->p = p;
        p += s[i]->n;
    }

    d->job.run = ngx_wagw_hookq_disable_run;
    d->job.done = ngx_wagw_hookq_disable_done;
    d->job.data = d;
    d->job.write = 1;
    ngx_wagw_store_post(&d->job);
}

static int ngx_wagw_hookq_save_run(wagw_store_t *s, ngx_wagw_job_t *job)
{
    int rc;
    ngx_queue_t *q;
    ngx_wagw_row_t *row;
    ngx_wagw_flight_t *f = job->data;

    for (q = ngx_queue_head(&f->rows); q != ngx_queue_sentinel(&f->rows); q = ngx_queue_next(q)) {
        row = ngx_queue_data(q, ngx_wagw_row_t, fly);
        rc = wagw_store_delivery_result(s, &row->d);

        /* a row that was pruned or deleted meanwhile needs no result */
        if (rc != WAGW_OK && rc != WAGW_NOT_FOUND) {
            return rc;
        }
    }

    return WAGW_OK;
}

static void ngx_wagw_hookq_save(ngx_wagw_flight_t *f)
{
    ngx_memzero(&f->job, sizeof(ngx_wagw_job_t));
    f->job.run = ngx_wagw_hookq_save_run;
    f->job.done = ngx_wagw_hookq_saved;
    f->job.data = f;
    f->job.write = 1;
    /* lost in a crash it is only delivered once more, under the same id; the
     * next row of an ordered webhook waits for it */
    f->job.lazy = !f->hook->ordered;
    ngx_wagw_store_post(&f->job);
}

static void ngx_wagw_hookq_save_handler(ngx_event_t *ev)
{
    ngx_wagw_hookq_save(ev->data);
}

static void ngx_wagw_hookq_judge(ngx_wagw_flight_t *f, ngx_uint_t *final, int64_t *wait)
{
    ngx_wagw_hook_full_t *h = f->hook;

    *final = ngx_wagw_hookq_final(h, f->post.status);
    *wait = 0;

    if (f->post.status >= 200 && f->post.status < 300) {
        h->hook.failures = 0;
        h->probe_ms = 0;
        return;
    }

    h->hook.failures++;

    if (h->hook.failures >= NGX_WAGW_HOOKQ_BREAKER) {
        h->probe_ms = ngx_wagw_now_ms() + NGX_WAGW_HOOKQ_PROBE;
    }

    if (f->post.status == 410 && !h->retry_all && h->hook.w.enabled && !h->removed) {
        ngx_wagw_hookq_disable(h);
    }

    if ((f->post.status == 429 || f->post.status == 503) && f->post.retry_after) {
        *wait = (int64_t)ngx_min(f->post.retry_after, 3600) * 1000;
    }
}

static void ngx_wagw_hookq_refill(ngx_wagw_hook_full_t *h)
{
    if (h->more && h->nready < NGX_WAGW_HOOKQ_WINDOW / 2 && !h->removed) {
        h->more = 0;
        ngx_wagw_hookq_want(h);
    }
}

static void ngx_wagw_hookq_answered(ngx_wagw_post_t *post)
{
    int64_t now, wait;
    ngx_uint_t final, ok;
    ngx_queue_t *q;
    ngx_wagw_row_t *row;
    wagw_delivery_t *d;
    ngx_wagw_flight_t *f = post->data;
    ngx_wagw_hook_full_t *h;

    f->hook->inflight--;
    ngx_wagw_hookq.inflight--;

    if (!ngx_wagw_hookq.ready) {
        /* stopping: the rows are still pending in the store */
        ngx_wagw_flight_drop(f);
        return;
    }

    now = ngx_wagw_now_ms();
    ok = post->status >= 200 && post->status < 300;
    ngx_wagw_hookq_judge(f, &final, &wait);

    wagw_buf_str(&f->response, wagw_buf_view(&post->response));

    if (post->error) {
        ngx_cpystrn((u_char *)f->error, (u_char *)post->error, sizeof(f->error));

    } else if (!ok) {
        ngx_snprintf((u_char *)f->error, sizeof(f->error), "HTTP %ui%Z", post->status);
    }

    for (q = ngx_queue_head(&f->rows); q != ngx_queue_sentinel(&f->rows); q = ngx_queue_next(q)) {
        row = ngx_queue_data(q, ngx_wagw_row_t, fly);
        d = &row->d;

        row->answered = 1;
        d->attempts++;
        d->status_code = (int32_t)post->status;
        d->response = wagw_buf_view(&f->response);
        d->error = wagw_cstr(f->error);
        d->updated_ms = now;
        d->duration_ms = post->duration_ms;
        d->next_ms = 0;

        if (ok) {
            d->status = WAGW_DLV_SUCCESS;

        } else if (final) {
            d->status = WAGW_DLV_FAILED;

        } else if (d->attempts >= f->hook->attempts) {
            d->status = WAGW_DLV_DEAD;

        } else {
            d->status = WAGW_DLV_PENDING;
            d->next_ms = now + (wait ? wait : (int64_t)ngx_wagw_hookq_delay(f->hook, d->attempts));
        }
    }

    if (!ok) {
        ngx_log_error(NGX_LOG_INFO, ngx_wagw_hookq.log, 0, "wagw webhook: %*s: %s", f->hook->hook.w.id.n,
                      f->hook->hook.w.id.p, f->error);
    }

    h = f->hook;
    ngx_wagw_hookq_save(f);
    ngx_wagw_hookq_refill(h);
    ngx_wagw_hookq_runnable(h);
    ngx_wagw_hookq_run();
}

static void ngx_wagw_hookq_saved(ngx_wagw_job_t *job)
{
    int64_t next;
    ngx_queue_t *q;
    ngx_wagw_row_t *row;
    ngx_wagw_flight_t *f = job->data;
    ngx_wagw_hook_full_t *h = f->hook;

    if (job->rc != WAGW_OK && ngx_wagw_hookq.ready) {
        /* written later: until then the row is busy and is not sent again */
        ngx_add_timer(&f->timer, NGX_WAGW_HOOKQ_AGAIN);
        return;
    }

    next = 0;

    for (q = ngx_queue_head(&f->rows); q != ngx_queue_sentinel(&f->rows); q = ngx_queue_next(q)) {
        row = ngx_queue_data(q, ngx_wagw_row_t, fly);

        if (row->d.status == WAGW_DLV_PENDING && (next == 0 || row->d.next_ms < next)) {
            next = row->d.next_ms;
        }
    }

    ngx_wagw_flight_drop(f);

    if (h->removed) {
        ngx_wagw_webhook_unref(h);

    } else {
        if (next) {
            ngx_wagw_hookq_at(h, next);
        }

        if (h->ordered) {
            ngx_wagw_hookq_want(h);
        }

        ngx_wagw_hookq_refill(h);
        ngx_wagw_hookq_runnable(h);
    }

    ngx_wagw_hookq_run();
    ngx_wagw_hookq_read();
}

static ngx_int_t ngx_wagw_hookq_body(ngx_wagw_flight_t *f)
{
    ngx_queue_t *q;
    ngx_uint_t first;
    ngx_wagw_row_t *row;

    if (f->hook->batch_max == 0) {
        row = ngx_queue_data(ngx_queue_head(&f->rows), ngx_wagw_row_t, fly);
        f->post.body = row->d.payload;
        return NGX_OK;
    }

    first = 1;
    wagw_buf_cstr(&f->body, "{\"batch\":true,\"events\":[");

    for (q = ngx_queue_head(&f->rows); q != ngx_queue_sentinel(&f->rows); q = ngx_queue_next(q)) {
        row = ngx_queue_data(q, ngx_wagw_row_t, fly);

        if (!first) {
            wagw_buf_u8(&f->body, ',');
        }

        first = 0;
        wagw_buf_str(&f->body, row->d.payload);
    }

    wagw_buf_cstr(&f->body, "]}");
    f->post.body = wagw_buf_view(&f->body);

    return f->body.failed ? NGX_ERROR : NGX_OK;
}

static ngx_int_t ngx_wagw_hookq_launch(ngx_wagw_flight_t *f)
{
    ngx_wagw_row_t *row;
    ngx_wagw_hook_full_t *h = f->hook;

    row = ngx_queue_data(ngx_queue_head(&f->rows), ngx_wagw_row_t, fly);

    if (ngx_wagw_hookq_body(f) != NGX_OK) {
        return NGX_ERROR;
    }

    f->post.url = (const char *)h->hook.w.url.p;
    f->post.done = ngx_wagw_hookq_answered;
    f->post.data = f;
    f->post.headers = ngx_wagw_webhook_headers(
        ngx_wagw_hookq.wmcf, row->d.id, row->d.instance_id, h->batch_max ? WAGW_STR("batch") : row->d.event,
        h->batch_max ? WAGW_STR_NULL : row->d.event_id, row->d.attempts, h->hook.w.secret, f->post.body, h->headers);

    if (f->post.headers == NULL) {
        return NGX_ERROR;
    }

    return ngx_wagw_http_post(&f->post);
}

ngx_uint_t ngx_wagw_hookq_open(ngx_wagw_hook_full_t *h)
{
    return h->hook.failures >= NGX_WAGW_HOOKQ_BREAKER && ngx_wagw_now_ms() < h->probe_ms;
}

/* NGX_OK: one request was started.  NGX_DECLINED: nothing may start now.  NGX_ERROR: no memory. */
static ngx_int_t ngx_wagw_hookq_start(ngx_wagw_hook_full_t *h)
{
    int64_t now, oldest;
    ngx_uint_t cap, open, max;
    ngx_queue_t *q, *next;
    ngx_wagw_row_t *row;
    ngx_wagw_flight_t *f;

    if (!h->hook.w.enabled || h->nready == 0) {
        return NGX_DECLINED;
    }

    now = ngx_wagw_now_ms();
    open = h->hook.failures >= NGX_WAGW_HOOKQ_BREAKER;
    cap = open || h->batch_max ? 1 : NGX_WAGW_HOOKQ_PER_HOOK;

    if (h->inflight >= cap || (h->batch_max && h->nbusy)) {
        return NGX_DECLINED;
    }

    if (ngx_wagw_hookq_open(h)) {
        ngx_wagw_hookq_at(h, h->probe_ms);
        return NGX_DECLINED;
    }

    if (h->batch_max && h->nready < h->batch_max) {
        row = ngx_queue_data(ngx_queue_head(&h->ready), ngx_wagw_row_t, queue);
        oldest = row->d.created_ms;

        if (now < oldest + (int64_t)h->batch_ms) {
            ngx_wagw_hookq_at(h, oldest + (int64_t)h->batch_ms);
            return NGX_DECLINED;
        }
    }

    f = calloc(1, sizeof(ngx_wagw_flight_t));
    if (f == NULL) {
        return NGX_ERROR;
    }

    f->hook = h;
    f->timer.handler = ngx_wagw_hookq_save_handler;
    f->timer.data = f;
    f->timer.log = ngx_wagw_hookq.log;
    f->timer.cancelable = 1;
    ngx_queue_init(&f->rows);
    max = h->batch_max ? h->batch_max : 1;

    for (q = ngx_queue_head(&h->ready); q != ngx_queue_sentinel(&h->ready) && f->nrows < max; q = next) {
        next = ngx_queue_next(q);
        row = ngx_queue_data(q, ngx_wagw_row_t, queue);

        if (!h->batch_max && ngx_wagw_hookq_chat_busy(h, row)) {
            continue;
        }

        ngx_queue_remove(q);
        ngx_queue_insert_tail(&h->busy, q);
        ngx_queue_insert_tail(&f->rows, &row->fly);
        f->nrows++;
    }

    if (f->nrows == 0) {
        /* every ready row waits for another one of its chat */
        free(f);

        if (h->more && !h->ordered && now >= h->spread_ms) {
            h->spread = 1;
            ngx_wagw_hookq_want(h);

        } else if (h->more && !h->ordered) {
            ngx_wagw_hookq_at(h, h->spread_ms);
        }

        return NGX_DECLINED;
    }

    h->nready -= f->nrows;
    h->nbusy += f->nrows;

    if (ngx_wagw_hookq_launch(f) != NGX_OK) {
        goto failed;
    }

    h->inflight++;
    ngx_wagw_hookq.inflight++;

    return NGX_OK;

failed:

    /* still pending in the store */
    ngx_wagw_flight_drop(f);
    h->more = 1;
    ngx_wagw_hookq_at(h, now + NGX_WAGW_HOOKQ_AGAIN);

    return NGX_ERROR;
}

void ngx_wagw_hookq_run(void)
{
    ngx_queue_t *q;
    ngx_wagw_hook_full_t *h;

    while (ngx_wagw_hookq.inflight < NGX_WAGW_HOOKQ_TOTAL && !ngx_queue_empty(&ngx_wagw_hookq.runnable)) {
        q = ngx_queue_head(&ngx_wagw_hookq.runnable);
        h = ngx_queue_data(q, ngx_wagw_hook_full_t, runnable);
        ngx_wagw_hookq_not_runnable(h);

        /* one at a time, round and round: no hook takes all the room */
        if (ngx_wagw_hookq_start(h) == NGX_OK) {
            ngx_wagw_hookq_runnable(h);
        }
    }
}
