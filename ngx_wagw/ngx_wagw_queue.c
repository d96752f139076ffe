/*
 * Which item of which job is next.  Runs on the loop only, from a timer or a
 * posted event, never within an engine's op.
 */

#include "ngx_wagw_queue.h"

#define QUEUE_PARALLEL 4       /* items of an instance on their way */
#define QUEUE_AGAIN_MS 1000    /* without memory */
#define QUEUE_WAIT_MAX 3600000 /* of nginx's timers */
#define QUEUE_KEEP_MS (7 * 24 * 3600 * 1000LL)

static ngx_uint_t queue_stopped;

static void queue_run(ngx_event_t *ev);

ngx_wagw_sendq_t *ngx_wagw_queue_of(ngx_wagw_instance_t *in)
{
    ngx_wagw_sendq_t *q = in->sends;

    if (q) {
        return q;
    }

    q = calloc(1, sizeof(*q));
    if (q == NULL) {
        return NULL;
    }

    q->in = in;
    ngx_queue_init(&q->jobs);
    q->timer.handler = queue_run;
    q->timer.data = q;
    q->timer.log = ngx_cycle->log;
    q->timer.cancelable = 1;
    in->sends = q;
    ngx_wagw_pacing_conf(&q->pacing, cJSON_GetObjectItemCaseSensitive(in->settings, "pacing"));

    return q;
}

void ngx_wagw_queue_conf(ngx_wagw_instance_t *in)
{
    const cJSON *settings = cJSON_GetObjectItemCaseSensitive(in->settings, "pacing");
    ngx_wagw_sendq_t *q = in->sends;

    if (q == NULL && settings && settings->child) {
        q = ngx_wagw_queue_of(in);
    }

    if (q) {
        ngx_wagw_pacing_conf(&q->pacing, settings);
        ngx_wagw_queue_wake(in);
    }
}

bool ngx_wagw_queue_holds(ngx_wagw_instance_t *in)
{
    ngx_wagw_sendq_t *q = in->sends;

    return q && (q->paused || ngx_wagw_pacing_on(&q->pacing));
}

static void queue_arm(ngx_wagw_sendq_t *q, int64_t at_ms)
{
    int64_t wait = at_ms - ngx_wagw_now_ms();

    wait = wait < 0 ? 0 : wait > QUEUE_WAIT_MAX ? QUEUE_WAIT_MAX : wait;

    /* a set timer is not moved by less than 300 ms: take it out first */
    if (q->timer.timer_set) {
        ngx_del_timer(&q->timer);
    }

    if (!queue_stopped) {
        ngx_add_timer(&q->timer, (ngx_msec_t)wait);
    }
}

void ngx_wagw_queue_wake(ngx_wagw_instance_t *in)
{
    ngx_wagw_sendq_t *q = in->sends;

    if (q && !ngx_queue_empty(&q->jobs)) {
        queue_arm(q, 0);
    }
}

void ngx_wagw_queue_stop(void)
{
    queue_stopped = 1;
}

static void sends_free(ngx_wagw_sends_t *j)
{
    ngx_queue_remove(&j->queue);
    cJSON_Delete(j->answer);
    free(j->to);
    free(j->schedule);
    free(j->whom);
    free(j);
}

void ngx_wagw_queue_drop(ngx_wagw_instance_t *in)
{
    ngx_queue_t *at, *next;
    ngx_wagw_sends_t *j;
    ngx_wagw_sendq_t *q = in->sends;

    if (q == NULL) {
        return;
    }

    in->sends = NULL;
    q->in = NULL;

    if (q->timer.timer_set) {
        ngx_del_timer(&q->timer);
    }

    for (at = ngx_queue_head(&q->jobs); at != ngx_queue_sentinel(&q->jobs); at = next) {
        next = ngx_queue_next(at);
        j = ngx_queue_data(at, ngx_wagw_sends_t, queue);

        if (j->work == NULL) {
            sends_free(j);
        }
    }

    /* else the last work that comes back frees it */
    if (q->works == 0) {
        free(q);
    }
}

/* ---- jobs ------------------------------------------------------------------------ */

ngx_wagw_sends_t *ngx_wagw_queue_add(ngx_wagw_instance_t *in, const wagw_sends_t *row)
{
    ngx_wagw_sends_t *j;
    ngx_wagw_sendq_t *q = ngx_wagw_queue_of(in);

    j = q ? calloc(1, sizeof(*j)) : NULL;
    if (j == NULL) {
        return NULL;
    }

    j->num = row->num;
    snprintf(j->id, sizeof(j->id), "%.*s", (int)row->id.n, (const char *)row->id.p);
    j->kind = row->kind;
    j->priority = row->priority;
    j->delay_ms = row->delay_ms;
    j->jitter_ms = row->jitter_ms;
    j->created_ms = row->created_ms;
    j->next_ms = row->next_ms;
    j->expires_ms = row->expires_ms;
    j->total = row->total;
    j->pending = row->pending;
    j->sent = row->sent;
    j->failed = row->failed;

    if (j->kind == WAGW_SENDS_ONE && row->to.n) {
        j->to = strndup((const char *)row->to.p, row->to.n);
        snprintf(j->message_id, sizeof(j->message_id), "%.*s", (int)row->message_id.n,
                 row->message_id.n ? (const char *)row->message_id.p : "");
    }

    if (j->kind == WAGW_SENDS_SCHEDULE) {
        j->cancel = row->cancelled;
        j->schedule = strndup(row->schedule_id.n ? (const char *)row->schedule_id.p : "", row->schedule_id.n);
        j->whom = j->total == 1 && row->to.n ? strndup((const char *)row->to.p, row->to.n) : NULL;
    }

    ngx_queue_insert_tail(&q->jobs, &j->queue);
    ngx_wagw_queue_wake(in);

    return j;
}

void ngx_wagw_queue_load(ngx_wagw_instance_t *in, const wagw_sends_t *row)
{
    if (ngx_wagw_queue_add(in, row) == NULL) {
        ngx_log_error(NGX_LOG_CRIT, ngx_cycle->log, 0, "wagw instance %V: no memory for a job", &in->id);
    }
}

void ngx_wagw_queue_load_state(ngx_wagw_instance_t *in, const wagw_queue_row_t *row)
{
    ngx_wagw_sendq_t *q = ngx_wagw_queue_of(in);

    if (q) {
        cJSON *used = cJSON_ParseWithLength((const char *)row->used.p, row->used.n);

        q->paused = row->paused;
        ngx_wagw_pacing_load(&q->pacing, used);
        cJSON_Delete(used);
    }
}

ngx_wagw_sends_t *ngx_wagw_queue_find(ngx_wagw_instance_t *in, wagw_str_t id)
{
    ngx_queue_t *at;
    ngx_wagw_sends_t *j;
    ngx_wagw_sendq_t *q = in->sends;

    if (q == NULL) {
        return NULL;
    }

    for (at = ngx_queue_head(&q->jobs); at != ngx_queue_sentinel(&q->jobs); at = ngx_queue_next(at)) {
        j = ngx_queue_data(at, ngx_wagw_sends_t, queue);

        if (wagw_str_is(id, j->id)) {
            return j;
        }
    }

    return NULL;
}

ngx_uint_t ngx_wagw_queue_depth(ngx_wagw_instance_t *in)
{
    ngx_uint_t n = 0;
    ngx_queue_t *at;
    ngx_wagw_sends_t *j;
    ngx_wagw_sendq_t *q = in->sends;

    if (q == NULL) {
        return 0;
    }

    for (at = ngx_queue_head(&q->jobs); at != ngx_queue_sentinel(&q->jobs); at = ngx_queue_next(at)) {
        j = ngx_queue_data(at, ngx_wagw_sends_t, queue);
        n += j->cancel ? 0 : j->pending;
    }

    return n;
}

void ngx_wagw_queue_json(ngx_wagw_instance_t *in, wagw_json_t *j)
{
    int64_t now = ngx_wagw_now_ms(), oldest = 0, rate = 0, gone;
    ngx_queue_t *at;
    ngx_wagw_sends_t *job;
    ngx_wagw_sendq_t *q = in->sends;
    wagw_client_info_t info;

    wagw_client_info(in->client, &info);

    for (at = q ? ngx_queue_head(&q->jobs) : NULL; q && at != ngx_queue_sentinel(&q->jobs); at = ngx_queue_next(at)) {
        job = ngx_queue_data(at, ngx_wagw_sends_t, queue);

        if (!job->cancel && job->pending && (oldest == 0 || job->created_ms < oldest)) {
            oldest = job->created_ms;
        }
    }

    if (q) {
        gone = now - q->minute_ms;
        rate = gone < 60000    ? q->minute + (int64_t)q->minute_before * (60000 - gone) / 60000
               : gone < 120000 ? (int64_t)q->minute * (120000 - gone) / 60000
                               : 0;
    }

    wagw_json_open(j, '{');
    wagw_json_kint(j, "depth", (int64_t)ngx_wagw_queue_depth(in) + info.queue);
    wagw_json_kint(j, "inFlight", q ? (int64_t)q->in_flight : 0);
    wagw_json_kbool(j, "paused", q && q->paused);
    wagw_json_kint(j, "oldestSeconds", oldest && now > oldest ? (now - oldest) / 1000 : 0);
    wagw_json_kint(j, "ratePerMinute", rate);
    wagw_json_close(j);
}

void ngx_wagw_queue_pause(ngx_wagw_sendq_t *q, bool paused)
{
    q->paused = paused;
    queue_arm(q, 0);
}

void ngx_wagw_queue_cancel(ngx_wagw_sendq_t *q, ngx_wagw_sends_t *j)
{
    j->cancel = 1;
    queue_arm(q, 0);
}

/* ---- pacing ----------------------------------------------------------------------- */

int64_t ngx_wagw_queue_when(ngx_wagw_instance_t *in)
{
    int64_t now = ngx_wagw_now_ms(), at, each;
    uint32_t limit;
    ngx_wagw_sendq_t *q = in->sends;

    at = ngx_wagw_pacing_at(&q->pacing, now);
    limit = ngx_wagw_pacing_limit(&q->pacing, NGX_WAGW_PACE_MINUTE, now);
    each = limit ? 60000 / limit : 0;
    each = each > q->pacing.min_delay_ms ? each : q->pacing.min_delay_ms;

    return at + each * (int64_t)ngx_wagw_queue_depth(in);
}

typedef struct {
    ngx_wagw_job_t job;
    wagw_queue_row_t row;
    wagw_buf_t used;
} queue_save_t;

static int save_run(wagw_store_t *s, ngx_wagw_job_t *job)
{
    queue_save_t *v = job->data;
    int rc = wagw_store_queue_put(s, &v->row);

    /* the instance has gone meanwhile */
    return rc == WAGW_STATE ? WAGW_OK : rc;
}

static void save_done(ngx_wagw_job_t *job)
{
    queue_save_t *v = job->data;

    wagw_buf_free(&v->used);
    free(v);
}

void ngx_wagw_queue_save(ngx_wagw_sendq_t *q)
{
    queue_save_t *v = calloc(1, sizeof(*v));

    if (v == NULL) {
        return;
    }

    ngx_wagw_pacing_save(&q->pacing, &v->used);
    v->row.instance = q->in->num;
    v->row.paused = q->paused;
    v->row.used = wagw_buf_view(&v->used);
    v->job.data = v;
    v->job.run = save_run;
    v->job.done = save_done;
    v->job.write = 1;
    v->job.lazy = 1;
    ngx_wagw_store_post(&v->job);
}

static void queue_warn(ngx_wagw_sendq_t *q, unsigned windows)
{
    char text[32];
    cJSON *params, *d;
    int64_t now = ngx_wagw_now_ms();

    for (int w = 0; w < NGX_WAGW_PACE_N; w++) {
        if (!(windows & 1u << w)) {
            continue;
        }

        params = cJSON_CreateObject();
        cJSON_AddStringToObject(params, "_event", "limit.warning");
        d = cJSON_AddObjectToObject(params, "_data");
        cJSON_AddStringToObject(d, "kind", "pacing");
        cJSON_AddStringToObject(d, "window", ngx_wagw_pacing_name(w));
        cJSON_AddNumberToObject(d, "used", q->pacing.used[w]);
        cJSON_AddNumberToObject(d, "limit", ngx_wagw_pacing_limit(&q->pacing, w, now));
        wagw_iso_text(ngx_wagw_pacing_ends(&q->pacing, w), text);
        cJSON_AddStringToObject(d, "resetAt", text);
        wagw_client_command(q->in->client, NGX_WAGW_QUEUE_SERIAL, WAGW_CMD_EVENT, params, now);
        cJSON_Delete(params);
    }
}

static void queue_take(ngx_wagw_sendq_t *q, bool new_chat)
{
    queue_warn(q, ngx_wagw_pacing_take(&q->pacing, ngx_wagw_now_ms(), new_chat, (uint32_t)ngx_random()));
    ngx_wagw_queue_save(q);
}

bool ngx_wagw_queue_new_chat(ngx_wagw_sendq_t *q, int64_t *at_ms)
{
    int64_t now = ngx_wagw_now_ms();

    *at_ms = ngx_wagw_pacing_chat_at(&q->pacing, now);

    if (*at_ms > now) {
        return false;
    }

    queue_take(q, true);

    return true;
}

/* ---- choice ----------------------------------------------------------------------- */

/* The oldest single message of the chat goes first, whatever its priority. */
static ngx_wagw_sends_t *queue_chat_head(ngx_wagw_sendq_t *q, ngx_wagw_sends_t *of)
{
    ngx_queue_t *at;
    ngx_wagw_sends_t *j;

    for (at = ngx_queue_head(&q->jobs); of->to && at != ngx_queue_sentinel(&q->jobs); at = ngx_queue_next(at)) {
        j = ngx_queue_data(at, ngx_wagw_sends_t, queue);

        if (j->to && !j->over && ngx_strcmp(j->to, of->to) == 0) {
            return j;
        }
    }

    return of;
}

static ngx_wagw_sends_t *queue_next(ngx_wagw_sendq_t *q, int64_t now)
{
    ngx_queue_t *at;
    ngx_wagw_sends_t *j, *head, *best = NULL;
    int priority = -1; /* that best was chosen for */

    for (at = ngx_queue_head(&q->jobs); at != ngx_queue_sentinel(&q->jobs); at = ngx_queue_next(at)) {
        j = ngx_queue_data(at, ngx_wagw_sends_t, queue);

        if (j->work || j->over || j->cancel || priority >= j->priority) {
            continue;
        }

        head = queue_chat_head(q, j);

        if (head->work == NULL && !head->cancel && head->next_ms <= now) {
            /* the place of j, but the turn of its chat's first */
            best = head;
            priority = j->priority;
        }
    }

    return best;
}

/* Jobs that ended without a work of theirs: cancelled, or their time is over. */
static int64_t queue_ends(ngx_wagw_sendq_t *q, int64_t now)
{
    int64_t at_ms = now + QUEUE_WAIT_MAX, rc = NGX_OK;
    ngx_queue_t *at, *next;
    ngx_wagw_sends_t *j;

    for (at = ngx_queue_head(&q->jobs); at != ngx_queue_sentinel(&q->jobs); at = next) {
        next = ngx_queue_next(at);
        j = ngx_queue_data(at, ngx_wagw_sends_t, queue);

        if (j->work || j->over) {
            continue;
        }

        if (j->cancel) {
            rc = ngx_wagw_work_rest(q, j, WAGW_ITEM_CANCELLED, "CANCELLED", "Cancelled");
        } else if (j->expires_ms <= now) {
            rc = ngx_wagw_work_rest(q, j, WAGW_ITEM_FAILED, "INSTANCE_NOT_CONNECTED",
                                    "The message waited too long for its instance");
        } else if (j->expires_ms < at_ms) {
            at_ms = j->expires_ms;
        }

        if (rc != NGX_OK) {
            at_ms = now + QUEUE_AGAIN_MS;
        }
    }

    return at_ms;
}

static void queue_run(ngx_event_t *ev)
{
    int64_t now = ngx_wagw_now_ms(), at_ms;
    ngx_queue_t *at;
    ngx_wagw_sends_t *j;
    ngx_wagw_sendq_t *q = ev->data;
    wagw_client_info_t info;

    if (queue_stopped || q->in == NULL) {
        return;
    }

    at_ms = queue_ends(q, now);
    wagw_client_info(q->in->client, &info);

    /* connecting wakes us, and so does resuming */
    if (!q->paused && info.status == WAGW_STATUS_CONNECTED) {
        bool paced = ngx_wagw_pacing_on(&q->pacing);

        /* paced ones leave one after the other */
        while (q->in_flight < (paced ? 1 : QUEUE_PARALLEL) && (j = queue_next(q, now)) != NULL) {
            int64_t turn = paced && j->tries == 0 ? ngx_wagw_pacing_at(&q->pacing, now) : now;

            if (turn > now) {
                at_ms = turn < at_ms ? turn : at_ms;
                break;
            }

            if (ngx_wagw_work_begin(q, j) != NGX_OK) {
                at_ms = now + QUEUE_AGAIN_MS;
                break;
            }

            if (paced && j->tries == 0) {
                queue_take(q, false);
            }
        }

        for (at = ngx_queue_head(&q->jobs); at != ngx_queue_sentinel(&q->jobs); at = ngx_queue_next(at)) {
            j = ngx_queue_data(at, ngx_wagw_sends_t, queue);

            if (j->work == NULL && !j->over && j->next_ms > now && j->next_ms < at_ms) {
                at_ms = j->next_ms;
            }
        }
    }

    if (!ngx_queue_empty(&q->jobs)) {
        queue_arm(q, at_ms);
    }
}

/* ---- what came of it ----------------------------------------------------------------- */

static void queue_count(ngx_wagw_sendq_t *q, int64_t now)
{
    if (now - q->minute_ms >= 60000 || now < q->minute_ms) {
        q->minute_before = now - q->minute_ms < 120000 ? q->minute : 0;
        q->minute = 0;
        q->minute_ms = now;
    }

    q->minute++;
}

static void queue_waiter(ngx_wagw_sends_wait_t *w, ngx_wagw_sends_t *j)
{
    ngx_wagw_call_t *call = w->serial ? ngx_wagw_call_open(w->serial) : NULL;

    w->serial = 0;

    if (call) {
        call->late = NULL;
        w->handler(call, j);
    }
}

void ngx_wagw_queue_worked(ngx_wagw_sendq_t *q, ngx_wagw_sends_t *j, int64_t again_ms)
{
    int64_t now = ngx_wagw_now_ms();

    j->work = NULL;

    if (q->in == NULL) {
        sends_free(j);
        if (q->works == 0) {
            free(q);
        }
        return;
    }

    j->next_ms = again_ms;

    if (j->tries == 0) {
        queue_count(q, now);
    }

    if (j->pending == 0) {
        j->over = 1;
        queue_waiter(&j->wait, j);
        queue_waiter(&j->cancel_wait, j);
        sends_free(j);
    }

    queue_arm(q, now);
}

static int prune_run(wagw_store_t *s, ngx_wagw_job_t *job)
{
    int rc = wagw_store_schedules_prune(s, *(int64_t *)(job + 1));

    if (rc != WAGW_OK) {
        return rc;
    }

    return wagw_store_sends_prune(s, *(int64_t *)(job + 1));
}

static void prune_done(ngx_wagw_job_t *job)
{
    free(job);
}

void ngx_wagw_queue_prune(void)
{
    ngx_wagw_job_t *job = calloc(1, sizeof(*job) + sizeof(int64_t));

    if (job) {
        *(int64_t *)(job + 1) = ngx_wagw_now_ms() - QUEUE_KEEP_MS;
        job->write = 1;
        job->run = prune_run;
        job->done = prune_done;
        ngx_wagw_store_post(job);
    }
}
