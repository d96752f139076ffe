#include "ngx_wagw_webhook.h"

/*
 * The outbox at work.  Rows are the truth; memory holds a small window of each
 * hook's due rows.
 *
 *   wanted ──read──► ready ──start──► busy ──answer──► result written ──► gone
 *
 * A row stays in `busy` until its result is durable, so a read cannot bring it
 * again.  The next row of the same chat waits for its answer, with `ordered`
 * for its result.  A crash in between repeats deliveries under the same ids,
 * in the same order: at least once.
 *
 * A chat that is slower than its events fills the window.  When that leaves
 * requests unused, a read takes only a few rows of each chat, so that the
 * others do not wait behind the busy one.
 */

#define NGX_WAGW_HOOKQ_READ 16                  /* hooks per read */
#define NGX_WAGW_HOOKQ_BYTES (16 * 1024 * 1024) /* loaded payloads; at most one read's worth above it */
#define NGX_WAGW_HOOKQ_READ_BYTES (4 * 1024 * 1024)

typedef struct {
    char id[64];
    size_t id_len;
    ngx_uint_t ordered;
    ngx_uint_t spread;
    uint32_t limit;
    uint32_t n;
    int64_t next_ms;
    ngx_queue_t rows;
} ngx_wagw_read_item_t;

typedef struct {
    ngx_wagw_job_t job;
    int64_t now;
    size_t bytes;
    ngx_uint_t n;
    ngx_uint_t cut; /* items from here on were not read */
    ngx_wagw_read_item_t item[NGX_WAGW_HOOKQ_READ];
} ngx_wagw_read_t;

ngx_wagw_hookq_t ngx_wagw_hookq;

static void ngx_wagw_hookq_read_done(ngx_wagw_job_t *job);

static void ngx_wagw_hookq_again_handler(ngx_event_t *ev)
{
    ngx_wagw_hookq_read();
}

ngx_int_t ngx_wagw_hookq_init(ngx_cycle_t *cycle, ngx_wagw_main_conf_t *wmcf)
{
    if (!ngx_wagw_hookq.ready) {
        ngx_queue_init(&ngx_wagw_hookq.wanted);
        ngx_queue_init(&ngx_wagw_hookq.runnable);
        ngx_queue_init(&ngx_wagw_hookq.dirty);
    }

    ngx_wagw_hookq.wmcf = wmcf;
    ngx_wagw_hookq.log = cycle->log;
    ngx_wagw_hookq.timer.handler = ngx_wagw_hookq_again_handler;
    ngx_wagw_hookq.timer.log = cycle->log;
    ngx_wagw_hookq.timer.data = &ngx_wagw_hookq;
    ngx_wagw_hookq.timer.cancelable = 1;
    ngx_wagw_hookq.ready = 1;

    return NGX_OK;
}

void ngx_wagw_hookq_done(void)
{
    if (ngx_wagw_hookq.timer.timer_set) {
        ngx_del_timer(&ngx_wagw_hookq.timer);
    }

    ngx_wagw_hookq.ready = 0;
}

void ngx_wagw_row_free(ngx_wagw_row_t *row)
{
    ngx_wagw_hookq.bytes -= row->bytes;
    wagw_wipe((void *)row->d.payload.p, row->d.payload.n);
    free(row);
}

static void ngx_wagw_rows_free(ngx_queue_t *rows)
{
    ngx_queue_t *q;

    while (!ngx_queue_empty(rows)) {
        q = ngx_queue_head(rows);
        ngx_queue_remove(q);
        ngx_wagw_row_free(ngx_queue_data(q, ngx_wagw_row_t, queue));
    }
}

void ngx_wagw_hookq_runnable(ngx_wagw_hook_full_t *h)
{
    if (!h->is_runnable && !h->removed && h->nready) {
        h->is_runnable = 1;
        ngx_queue_insert_tail(&ngx_wagw_hookq.runnable, &h->runnable);
    }
}

void ngx_wagw_hookq_not_runnable(ngx_wagw_hook_full_t *h)
{
    if (h->is_runnable) {
        h->is_runnable = 0;
        ngx_queue_remove(&h->runnable);
    }
}

static void ngx_wagw_hookq_timer_handler(ngx_event_t *ev)
{
    ngx_wagw_hook_full_t *h = ev->data;

    ngx_wagw_hookq_runnable(h);
    ngx_wagw_hookq_want(h);
    ngx_wagw_hookq_run();
}

void ngx_wagw_hookq_at(ngx_wagw_hook_full_t *h, int64_t at_ms)
{
    int64_t wait;
    ngx_msec_t key;

    wait = at_ms - ngx_wagw_now_ms();

    if (wait < 1) {
        wait = 1;
    }

    if (wait > 3600000) {
        wait = 3600000;
    }

    key = ngx_current_msec + (ngx_msec_t)wait;

    if (h->timer.timer_set && (ngx_msec_int_t)(h->timer.timer.key - key) <= 0) {
        return;
    }

    ngx_add_timer(&h->timer, (ngx_msec_t)wait);
}

void ngx_wagw_hookq_attach(ngx_wagw_hook_full_t *h)
{
    ngx_queue_init(&h->ready);
    ngx_queue_init(&h->busy);

    h->timer.handler = ngx_wagw_hookq_timer_handler;
    h->timer.data = h;
    h->timer.log = ngx_cycle->log;
    h->timer.cancelable = 1;

    if (!ngx_wagw_hookq.ready) {
        ngx_queue_init(&ngx_wagw_hookq.wanted);
        ngx_queue_init(&ngx_wagw_hookq.runnable);
        ngx_queue_init(&ngx_wagw_hookq.dirty);
        ngx_wagw_hookq.ready = 1;
    }
}

void ngx_wagw_hookq_detach(ngx_wagw_hook_full_t *h)
{
    if (h->timer.timer_set) {
        ngx_del_timer(&h->timer);
    }

    ngx_wagw_hookq_not_runnable(h);

    if (h->is_wanted) {
        h->is_wanted = 0;
        ngx_queue_remove(&h->wanted);
    }

    ngx_wagw_rows_free(&h->ready);
    h->nready = 0;
}

void ngx_wagw_hookq_dirty(ngx_wagw_hook_full_t *h)
{
    /* already wanted or not, the batch under construction is not in the store yet: the kick reads after it */
    h->is_dirty = 1;

    if (!h->is_wanted) {
        h->is_wanted = 1;
        ngx_queue_insert_tail(&ngx_wagw_hookq.dirty, &h->wanted);
    }
}

void ngx_wagw_hookq_want(ngx_wagw_hook_full_t *h)
{
    if (h->removed || !h->hook.w.enabled) {
        return;
    }

    if (h->is_wanted) {
        ngx_queue_remove(&h->wanted);
    }

    h->is_wanted = 1;
    h->is_dirty = 0;
    ngx_queue_insert_tail(&ngx_wagw_hookq.wanted, &h->wanted);

    ngx_wagw_hookq_read();
}

void ngx_wagw_webhook_kick(void)
{
    ngx_queue_t *q;
    ngx_wagw_hook_full_t *h;

    if (!ngx_wagw_hookq.ready) {
        return;
    }

    while (!ngx_queue_empty(&ngx_wagw_hookq.dirty)) {
        q = ngx_queue_head(&ngx_wagw_hookq.dirty);
        h = ngx_queue_data(q, ngx_wagw_hook_full_t, wanted);
        ngx_queue_remove(q);
        h->is_dirty = 0;
        ngx_queue_insert_tail(&ngx_wagw_hookq.wanted, q);
    }

    ngx_wagw_hookq_read();
}

/* ---- reading ------------------------------------------------------------ */

static int ngx_wagw_hookq_row(void *data, const wagw_delivery_t *d)
{
    size_t i, n;
    uint8_t *p;
    ngx_wagw_row_t *row;
    wagw_str_t *s[8];
    void **arg = data;
    ngx_wagw_read_t *r = arg[0];
    ngx_wagw_read_item_t *item = arg[1];

    n = sizeof(ngx_wagw_row_t) + d->id.n + d->webhook_id.n + d->instance_id.n + d->event.n + d->event_id.n + d->chat.n +
        d->payload.n;

    row = malloc(n);
    if (row == NULL) {
        return WAGW_NOMEM;
    }

    ngx_memzero(row, sizeof(ngx_wagw_row_t));
    row->d = *d;
    row->d.url = row->d.response = row->d.error = WAGW_STR_NULL;
    row->bytes = n;
    p = (uint8_t *)row + sizeof(ngx_wagw_row_t);

    s[0] = &row->d.id;
    s[1] = &row->d.webhook_id;
    s[2] = &row->d.instance_id;
    s[3] = &row->d.event;
    s[4] = &row->d.event_id;
    s[5] = &row->d.chat;
    s[6] = &row->d.payload;

    for (i = 0; i < 7; i++) {
        if (s[i]->n) {
            ngx_memcpy(p, s[i]->p, s[i]->n);
        }

        s[i]->p = p;
        p += s[i]->n;
    }

    ngx_queue_insert_tail(&item->rows, &row->queue);
    item->n++;
    r->bytes += n;

    /* any non-zero value ends the listing */
    return r->bytes > NGX_WAGW_HOOKQ_READ_BYTES ? WAGW_LIMIT : 0;
}

static int ngx_wagw_hookq_read_run(wagw_store_t *s, ngx_wagw_job_t *job)
{
    int rc;
    void *arg[2];
    ngx_wagw_read_t *r = job->data;
    ngx_wagw_read_item_t *item;

    for (r->cut = 0; r->cut < r->n && r->bytes < NGX_WAGW_HOOKQ_READ_BYTES; r->cut++) {
        item = &r->item[r->cut];
        arg[0] = r;
        arg[1] = item;

        rc = wagw_store_deliveries_of(s, wagw_str(item->id, item->id_len), r->now, item->ordered != 0,
                                      item->spread ? 0 : item->limit, ngx_wagw_hookq_row, arg, &item->next_ms);

        if (rc == WAGW_OK && item->spread) {
            rc = wagw_store_deliveries_spread(s, wagw_str(item->id, item->id_len), r->now, item->limit,
                                              ngx_wagw_hookq_row, arg);
        }

        if (rc == WAGW_LIMIT) {
            /* there is more, at once */
            item->limit = item->n;
            continue;
        }

        if (rc != WAGW_OK) {
            return rc;
        }
    }

    return WAGW_OK;
}

void ngx_wagw_hookq_read(void)
{
    ngx_queue_t *q;
    ngx_wagw_read_t *r;
    ngx_wagw_read_item_t *item;
    ngx_wagw_hook_full_t *h;

    if (ngx_wagw_hookq.reading || ngx_wagw_hookq.wmcf == NULL || ngx_wagw_hookq.bytes > NGX_WAGW_HOOKQ_BYTES ||
        ngx_wagw_hookq.timer.timer_set || ngx_queue_empty(&ngx_wagw_hookq.wanted)) {
        return;
    }

    r = calloc(1, sizeof(ngx_wagw_read_t));
    if (r == NULL) {
        ngx_add_timer(&ngx_wagw_hookq.timer, NGX_WAGW_HOOKQ_AGAIN);
        return;
    }

    r->now = ngx_wagw_now_ms();

    while (!ngx_queue_empty(&ngx_wagw_hookq.wanted) && r->n < NGX_WAGW_HOOKQ_READ) {
        q = ngx_queue_head(&ngx_wagw_hookq.wanted);
        h = ngx_queue_data(q, ngx_wagw_hook_full_t, wanted);
        ngx_queue_remove(q);
        h->is_wanted = 0;

        if (!h->hook.w.enabled || h->hook.w.id.n > sizeof(item->id)) {
            continue;
        }

        if (ngx_wagw_hookq_open(h)) {
            /* nothing would be sent: read when the probe is due, or has gone well */
            h->more = 1;
            ngx_wagw_hookq_at(h, h->probe_ms);
            continue;
        }

        if (h->nready >= NGX_WAGW_HOOKQ_WINDOW && h->nready >= h->batch_max && !h->spread) {
            /* read again when the window has room, or past what fills it when that leaves requests unused */
            h->more = 1;

            if (!h->ordered && !h->batch_max && h->inflight < NGX_WAGW_HOOKQ_PER_HOOK) {
                ngx_wagw_hookq_at(h, ngx_max(h->spread_ms, r->now + NGX_WAGW_HOOKQ_SPREAD));
            }

            continue;
        }

        item = &r->item[r->n++];
        ngx_memcpy(item->id, h->hook.w.id.p, h->hook.w.id.n);
        item->id_len = h->hook.w.id.n;
        item->ordered = h->ordered;
        item->spread = h->spread;

        if (h->spread) {
            h->spread = 0;
            h->spread_wait =
                h->spread_wait ? ngx_min(2 * h->spread_wait, NGX_WAGW_HOOKQ_SPREAD_MAX) : NGX_WAGW_HOOKQ_SPREAD;
            h->spread_ms = r->now + (int64_t)h->spread_wait;
        }

        item->limit = (uint32_t)(h->nready + h->nbusy + ngx_max(NGX_WAGW_HOOKQ_WINDOW, h->batch_max));
        ngx_queue_init(&item->rows);
    }

    if (r->n == 0) {
        free(r);
        return;
    }

    ngx_wagw_hookq.reading = 1;
    r->job.run = ngx_wagw_hookq_read_run;
    r->job.done = ngx_wagw_hookq_read_done;
    r->job.data = r;
    ngx_wagw_store_post(&r->job);
}

static ngx_wagw_row_t *ngx_wagw_hookq_known(ngx_queue_t *list, uint64_t num)
{
    ngx_queue_t *q;
    ngx_wagw_row_t *row;

    for (q = ngx_queue_head(list); q != ngx_queue_sentinel(list); q = ngx_queue_next(q)) {
        row = ngx_queue_data(q, ngx_wagw_row_t, queue);

        if (row->d.num == num) {
            return row;
        }
    }

    return NULL;
}

static void ngx_wagw_hookq_take(ngx_wagw_hook_full_t *h, ngx_wagw_read_item_t *item)
{
    ngx_queue_t *q, *at;
    ngx_wagw_row_t *row, *other;

    h->more = item->spread || item->n >= item->limit;

    while (!ngx_queue_empty(&item->rows)) {
        q = ngx_queue_head(&item->rows);
        ngx_queue_remove(q);
        row = ngx_queue_data(q, ngx_wagw_row_t, queue);

        if (ngx_wagw_hookq_known(&h->ready, row->d.num) || ngx_wagw_hookq_known(&h->busy, row->d.num)) {
            ngx_wagw_row_free(row);
            continue;
        }

        /* a retried row has a low number and goes before newer ones */
        for (at = ngx_queue_last(&h->ready); at != ngx_queue_sentinel(&h->ready); at = ngx_queue_prev(at)) {
            other = ngx_queue_data(at, ngx_wagw_row_t, queue);

            if (other->d.num < row->d.num) {
                break;
            }
        }

        ngx_queue_insert_after(at, q);
        h->nready++;
        h->spread_wait = 0;
    }

    if (item->next_ms) {
        ngx_wagw_hookq_at(h, item->next_ms);
    }

    ngx_wagw_hookq_runnable(h);
}

static void ngx_wagw_hookq_read_done(ngx_wagw_job_t *job)
{
    ngx_uint_t i;
    ngx_wagw_read_t *r = job->data;
    ngx_wagw_hook_full_t *h;

    ngx_wagw_hookq.reading = 0;
    ngx_wagw_hookq.bytes += r->bytes;

    if (!ngx_wagw_hookq.ready) {
        for (i = 0; i < r->n; i++) {
            ngx_wagw_rows_free(&r->item[i].rows);
        }

        free(r);
        return;
    }

    for (i = 0; i < r->n; i++) {
        h = ngx_wagw_webhook_find(wagw_str(r->item[i].id, r->item[i].id_len));

        if (h == NULL || job->rc != WAGW_OK || i >= r->cut) {
            ngx_wagw_rows_free(&r->item[i].rows);

            if (h && !h->is_wanted && h->hook.w.enabled) {
                h->is_wanted = 1;
                ngx_queue_insert_tail(&ngx_wagw_hookq.wanted, &h->wanted);
            }

            continue;
        }

        ngx_wagw_hookq_take(h, &r->item[i]);
    }

    if (job->rc != WAGW_OK) {
        ngx_log_error(NGX_LOG_ERR, ngx_wagw_hookq.log, 0, "wagw webhook: outbox cannot be read: %s",
                      wagw_rc_name(job->rc));
        ngx_add_timer(&ngx_wagw_hookq.timer, NGX_WAGW_HOOKQ_AGAIN);
    }

    free(r);

    ngx_wagw_hookq_run();
    ngx_wagw_hookq_read();
}
