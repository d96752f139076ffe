/*
 * The settings retentionDays and storeMessages: old messages are deleted in
 * small jobs of the store thread, one at a time, so that commits go between
 * them.  What is not to be stored at all stays for an hour, because peers may
 * ask for it again; listings do not show it.
 */

#include "ngx_wagw_queue.h"

#define RETENTION_STEP 200
#define RETENTION_ROUND_MS (10 * 60 * 1000)
#define RETENTION_PAUSE_MS 20 /* between two steps */
#define UNLISTED_MS (3600 * 1000LL)
#define DAY_MS (24 * 3600 * 1000LL)

static struct {
    ngx_event_t timer;
    ngx_wagw_job_t job;
    uint32_t num; /* the instance whose turn it is */
    int64_t before_ms;
    uint32_t deleted;
    unsigned unlisted : 1; /* this step is about what is not listed */
    unsigned busy : 1;
    unsigned stopped : 1;
} ret;

static int64_t retention_days(ngx_wagw_instance_t *in)
{
    const cJSON *v = cJSON_GetObjectItemCaseSensitive(in->settings, "retentionDays");

    return cJSON_IsNumber(v) && v->valuedouble >= 1 && v->valuedouble <= 36500 ? (int64_t)v->valuedouble : 0;
}

/* The next step behind the present one: of the same instance, or of a later one. */
static bool retention_next(void)
{
    ngx_queue_t *q, *all = ngx_wagw_instances();
    ngx_wagw_instance_t *in, *best = NULL;
    int64_t now = ngx_wagw_now_ms();

    for (q = ngx_queue_head(all); q != ngx_queue_sentinel(all); q = ngx_queue_next(q)) {
        in = ngx_queue_data(q, ngx_wagw_instance_t, queue);

        if (in->num == ret.num && !ret.unlisted) {
            ret.unlisted = 1;
            ret.before_ms = now - UNLISTED_MS;
            return true;
        }

        if (in->num > ret.num && (best == NULL || in->num < best->num)) {
            best = in;
        }
    }

    if (best == NULL) {
        return false;
    }

    ret.num = best->num;
    ret.unlisted = retention_days(best) == 0;
    ret.before_ms = now - (ret.unlisted ? UNLISTED_MS : retention_days(best) * DAY_MS);

    return true;
}

static int retention_run(wagw_store_t *s, ngx_wagw_job_t *job)
{
    return wagw_store_retention(s, ret.num, ret.before_ms, ret.unlisted, RETENTION_STEP, &ret.deleted);
}

static void retention_done(ngx_wagw_job_t *job)
{
    ret.busy = 0;

    if (ret.stopped) {
        return;
    }

    if (job->rc == WAGW_OK && (ret.deleted >= RETENTION_STEP || retention_next())) {
        ngx_add_timer(&ret.timer, RETENTION_PAUSE_MS);
        return;
    }

    if (job->rc != WAGW_OK) {
        ngx_log_error(NGX_LOG_ERR, ngx_cycle->log, 0, "wagw: old messages were not deleted: %s", wagw_rc_name(job->rc));
    }

    /* a new round */
    ret.num = 0;
    ret.unlisted = 1;
    ngx_add_timer(&ret.timer, RETENTION_ROUND_MS);
}

static void retention_step(ngx_event_t *ev)
{
    if (ret.num == 0 && !retention_next()) {
        ngx_add_timer(ev, RETENTION_ROUND_MS);
        return;
    }

    ret.busy = 1;
    ngx_memzero(&ret.job, sizeof(ret.job));
    ret.job.write = 1;
    ret.job.run = retention_run;
    ret.job.done = retention_done;
    ngx_wagw_store_post(&ret.job);
}

void ngx_wagw_retention_start(void)
{
    ngx_memzero(&ret, sizeof(ret));
    ret.unlisted = 1;
    ret.timer.handler = retention_step;
    ret.timer.data = &ngx_wagw_no_connection;
    ret.timer.log = ngx_cycle->log;
    ret.timer.cancelable = 1;
    ngx_add_timer(&ret.timer, 1000);
}

void ngx_wagw_retention_kick(ngx_wagw_instance_t *in)
{
    if (ret.timer.handler == NULL || ret.stopped || ret.busy || retention_days(in) == 0) {
        return;
    }

    /* from the beginning: whoever changed a setting waits for it */
    ret.num = 0;
    ret.unlisted = 1;

    if (ret.timer.timer_set) {
        ngx_del_timer(&ret.timer);
    }

    ngx_add_timer(&ret.timer, RETENTION_PAUSE_MS);
}

void ngx_wagw_retention_stop(void)
{
    ret.stopped = 1;

    if (ret.timer.timer_set) {
        ngx_del_timer(&ret.timer);
    }
}
