/*
 * The driver of the engines: what wagw_client_ops_t asks for is done with
 * sockets, the store thread, timers and task threads, and every answer is
 * given from an event of the loop, never from within an op.
 */

#include "ngx_wagw_media.h"
#include "ngx_wagw_queue.h"

typedef struct {
    ngx_wagw_job_t job;
    ngx_wagw_instance_t *in;
    wagw_batch_t *batch; /* a commit */
    uint32_t epoch;
    wagw_load_t *asked; /* a load, the thread's own copy */
    wagw_rec_t *recs;
    wagw_arena_t arena;
    ngx_uint_t events;
} turn_t;

typedef struct {
    ngx_wagw_task_t task;
    ngx_wagw_instance_t *in;
    wagw_work_t *work;
} work_t;

static ngx_uint_t waiting; /* store jobs of all instances */

static void op_connect(void *d)
{
    ngx_wagw_instance_t *in = d;

    if (!in->deleting) {
        ngx_wagw_socket_open(in);
    }
}

static void op_close(void *d)
{
    ngx_wagw_socket_close(d);
}

static void op_send(void *d, wagw_str_t bytes)
{
    ngx_wagw_socket_send(d, bytes);
}

/* An engine that gets no answer hangs for ever: better a restart by the master. */
__attribute__((noreturn)) static void driver_no_memory(void)
{
    ngx_log_error(NGX_LOG_EMERG, ngx_cycle->log, 0, "wagw: no memory for a turn");
    ngx_abort();
}

static turn_t *turn_make(ngx_wagw_instance_t *in)
{
    turn_t *t;

    t = calloc(1, sizeof(*t));
    if (t == NULL) {
        driver_no_memory();
    }

    t->in = in;
    t->epoch = in->epoch;
    t->job.data = t;
    t->job.again = 1;

    in->jobs++;
    waiting++;

    return t;
}

/* The job is back.  False: the instance was dropped meanwhile. */
static bool turn_back(turn_t *t)
{
    t->in->jobs--;
    waiting--;

    if (!t->in->deleting) {
        return true;
    }

    ngx_wagw_instance_free(t->in);

    return false;
}

static void turn_free(turn_t *t)
{
    if (t->batch) {
        wagw_batch_destroy(t->batch);
    }

    wagw_arena_free(&t->arena);
    free(t);
}

static int load_run(wagw_store_t *s, ngx_wagw_job_t *job)
{
    turn_t *t = job->data;

    t->recs = NULL;

    return wagw_store_load(s, t->in->num, t->asked, &t->arena, &t->recs);
}

static void load_done(ngx_wagw_job_t *job)
{
    turn_t *t = job->data;

    if (turn_back(t)) {
        if (job->rc != WAGW_OK) {
            ngx_log_error(NGX_LOG_ERR, ngx_cycle->log, 0, "wagw instance %V: records cannot be loaded: %s", &t->in->id,
                          wagw_rc_name(job->rc));
        }

        wagw_client_loaded(t->in->client, t->asked, t->recs, job->rc == WAGW_OK ? WAGW_OK : WAGW_IO, ngx_wagw_now_ms());
    }

    for (wagw_rec_t *r = t->recs; r; r = r->next) {
        wagw_wipe((void *)r->value.p, r->value.n);
    }

    turn_free(t);
}

static void op_load(void *d, const wagw_load_t *asked)
{
    ngx_wagw_instance_t *in = d;
    wagw_load_t *l, **last;
    turn_t *t;

    t = turn_make(in);

    for (last = &t->asked; asked; asked = asked->next) {
        l = wagw_arena_alloc(&t->arena, sizeof(*l));
        if (l == NULL) {
            driver_no_memory();
        }

        *l = *asked;
        l->next = NULL;
        *last = l;
        last = &l->next;
    }

    t->job.run = load_run;
    t->job.done = load_done;
    ngx_wagw_store_post(&t->job);
}

static int commit_run(wagw_store_t *s, ngx_wagw_job_t *job)
{
    turn_t *t = job->data;

    /* it was computed upon one that was lost */
    if (t->in->failed_epoch >= t->epoch) {
        return WAGW_IO;
    }

    return wagw_store_apply(s, t->batch);
}

static void commit_lost(ngx_wagw_job_t *job)
{
    turn_t *t = job->data;

    t->in->failed_epoch = t->epoch;
}

static void commit_done(ngx_wagw_job_t *job)
{
    turn_t *t = job->data;
    uint64_t seq = t->batch->seq;
    int rc = job->rc;

    if (turn_back(t)) {
        if (rc != WAGW_OK) {
            ngx_log_error(NGX_LOG_ERR, ngx_cycle->log, 0, "wagw instance %V: commit %uL failed: %s", &t->in->id, seq,
                          wagw_rc_name(rc));

            if (t->epoch == t->in->epoch) {
                t->in->epoch++;
            }
        }

        wagw_client_committed(t->in->client, seq, rc == WAGW_OK ? WAGW_OK : WAGW_IO, ngx_wagw_now_ms());

        if (rc == WAGW_OK && t->events && !t->in->deleting) {
            ngx_wagw_media_auto(t->in, t->batch);
        }
    }

    if (rc == WAGW_OK && t->events) {
        ngx_wagw_webhook_kick();
    }

    turn_free(t);
}

static void op_commit(void *d, wagw_batch_t *batch)
{
    ngx_wagw_instance_t *in = d;
    wagw_op_t *op;
    turn_t *t;

    t = turn_make(in);
    t->batch = batch;

    for (op = batch->ops; op; op = op->next) {
        t->events += op->op == WAGW_OP_EVENT;
    }

    if (t->events) {
        ngx_wagw_webhook_expand(in, batch);
    }

    t->job.run = commit_run;
    t->job.done = commit_done;
    t->job.lost = commit_lost;
    t->job.write = 1;
    ngx_wagw_store_post(&t->job);
}

static void op_reply(void *d, uint64_t command, const wagw_result_t *r)
{
    (void)d;

    if (command & NGX_WAGW_BLOB_SERIAL) {
        ngx_wagw_media_blob_reply(command, r);
        return;
    }

    if (command & NGX_WAGW_QUEUE_SERIAL) {
        ngx_wagw_queue_told(command, r);
        return;
    }

    ngx_wagw_calls_reply(command, r);
}

void ngx_wagw_driver_tick(ngx_event_t *ev)
{
    ngx_wagw_instance_t *in = ev->data;
    int64_t now = ngx_wagw_now_ms();

    /* the wall clock is what the engine knows; nginx's timers have their own */
    if (now < in->tick_at) {
        ngx_add_timer(ev, (ngx_msec_t)(in->tick_at - now));
        return;
    }

    in->tick_at = 0;
    wagw_client_tick(in->client, now);
}

static void op_timer(void *d, int64_t at_ms)
{
    ngx_wagw_instance_t *in = d;
    int64_t wait;

    if (in->deleting) {
        return;
    }

    in->tick_at = at_ms;

    /* a set timer is not moved by less than 300 ms: take it out first */
    if (in->timer.timer_set) {
        ngx_del_timer(&in->timer);
    }

    if (at_ms == 0) {
        return;
    }

    wait = at_ms - ngx_wagw_now_ms();
    wait = wait < 0 ? 0 : wait > 3600000 ? 3600000 : wait;

    ngx_add_timer(&in->timer, (ngx_msec_t)wait);
}

static void work_run(ngx_wagw_task_t *task)
{
    work_t *w = task->data;

    w->work->run(w->work);
}

static void work_done(ngx_wagw_task_t *task)
{
    work_t *w = task->data;
    ngx_wagw_instance_t *in = w->in;

    in->works--;
    wagw_client_worked(in->client, w->work, ngx_wagw_now_ms());

    if (in->deleting && in->works == 0) {
        wagw_client_destroy(in->client);
        in->client = NULL;
        ngx_wagw_instance_free(in);
    }

    free(w);
}

static void op_work(void *d, wagw_work_t *work)
{
    ngx_wagw_instance_t *in = d;
    work_t *w;

    w = calloc(1, sizeof(*w));
    if (w == NULL) {
        driver_no_memory();
    }

    w->in = in;
    w->work = work;
    w->task.run = work_run;
    w->task.done = work_done;
    w->task.data = w;

    in->works++;
    ngx_wagw_task_post(&w->task);
}

static void op_changed(void *d)
{
    ngx_wagw_instance_mark(d);
}

static void op_log(void *d, wagw_log_t level, const char *text)
{
    static const ngx_uint_t levels[] = {NGX_LOG_DEBUG, NGX_LOG_INFO, NGX_LOG_NOTICE, NGX_LOG_WARN, NGX_LOG_ERR};
    ngx_wagw_instance_t *in = d;

    ngx_log_error(levels[level], ngx_cycle->log, 0, "wagw instance %V: %s", &in->id, text);
}

static void op_fetch(void *d, const wagw_fetch_t *f)
{
    ngx_wagw_media_blob(d, f);
}

const wagw_client_ops_t ngx_wagw_driver_ops = {
    .connect = op_connect,
    .close = op_close,
    .send = op_send,
    .load = op_load,
    .commit = op_commit,
    .reply = op_reply,
    .timer = op_timer,
    .work = op_work,
    .changed = op_changed,
    .log = op_log,
    .fetch = op_fetch,
};

ngx_uint_t ngx_wagw_instances_waiting(void)
{
    return waiting;
}
