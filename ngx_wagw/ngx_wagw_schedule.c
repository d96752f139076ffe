#include "ngx_wagw_schedule.h"
#include "ngx_wagw_cron.h"

#include <openssl/rand.h>

#define SCHEDULE_ROUND 32
#define SCHEDULE_WAIT_MS 60000 /* the wall clock may be set meanwhile */
#define SCHEDULE_AGAIN_MS 1000

typedef struct {
    ngx_wagw_job_t job;
    wagw_arena_t arena;
    int64_t now_ms, next_ms;
    ngx_wagw_schedule_run_t run[SCHEDULE_ROUND];
    size_t n;
    bool more;
} round_t;

static struct {
    ngx_event_t timer;
    int64_t at_ms;   /* what the timer is for */
    int64_t wake_ms; /* asked for while a round was on its way, 0 none */
    unsigned started : 1;
    unsigned stopped : 1;
    unsigned round : 1;
} sched;

/* ---- a run's job, on the store's thread ---------------------------------------------- */

static wagw_str_t run_text(wagw_arena_t *a, const cJSON *v)
{
    char *text = cJSON_PrintUnformatted(v);
    wagw_str_t s = text ? wagw_arena_str(a, wagw_cstr(text)) : WAGW_STR_NULL;

    cJSON_free(text);

    return s;
}

static int run_items(const cJSON *to, wagw_str_t variables, wagw_arena_t *a, ngx_wagw_schedule_run_t *run)
{
    char id[24];
    u_char b[9];
    const cJSON *one;
    int n = cJSON_GetArraySize(to);

    if (n < 1) {
        return WAGW_MALFORMED;
    }

    run->n = 0;
    run->items = wagw_arena_alloc(a, (size_t)n * sizeof(wagw_sends_item_t));
    if (run->items == NULL) {
        return WAGW_NOMEM;
    }

    cJSON_ArrayForEach(one, to)
    {
        if (!cJSON_IsString(one)) {
            return WAGW_MALFORMED;
        }
        if (RAND_bytes(b, sizeof(b)) != 1) {
            return WAGW_NOMEM;
        }

        strcpy(id, "3EB0");
        for (unsigned i = 0; i < sizeof(b); i++) {
            snprintf(id + 4 + 2 * i, 3, "%02X", b[i]);
        }

        run->items[run->n] = (wagw_sends_item_t){
            .at = (uint32_t)run->n,
            .to = wagw_arena_str(a, wagw_cstr(one->valuestring)),
            .message_id = wagw_arena_str(a, wagw_cstr(id)),
            .variables = variables,
            .known = -1,
        };
        if (run->items[run->n].to.p == NULL || run->items[run->n].message_id.p == NULL) {
            return WAGW_NOMEM;
        }
        run->n++;
    }

    return WAGW_OK;
}

int ngx_wagw_schedule_job(const wagw_schedule_t *c, int64_t due_ms, int64_t now_ms, wagw_arena_t *a,
                          ngx_wagw_schedule_run_t *run)
{
    int rc = WAGW_MALFORMED;
    cJSON *body = cJSON_ParseWithLength((const char *)c->body.p, c->body.n),
          *to = cJSON_ParseWithLength((const char *)c->to.p, c->to.n),
          *content = cJSON_GetObjectItemCaseSensitive(body, "content");
    const cJSON *variables = cJSON_GetObjectItemCaseSensitive(body, "variables");
    const char *type = cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(body, "type"));

    if (!cJSON_IsObject(content) || type == NULL) {
        goto done;
    }

    cJSON_DeleteItemFromObjectCaseSensitive(content, "type");
    cJSON_AddStringToObject(content, "type", type);
    if (run->id[0] == '\0') {
        ngx_wagw_uuid(run->id);
    }

    run->row = (wagw_sends_t){
        .id = wagw_cstr(run->id),
        .instance = c->instance,
        .kind = WAGW_SENDS_SCHEDULE,
        .priority = c->priority,
        .created_ms = now_ms,
        .next_ms = now_ms,
        .expires_ms = due_ms + c->ttl_ms,
        .content = run_text(a, content),
        .schedule_id = c->id,
    };
    rc = run->row.content.p
             ? run_items(to, variables && variables->child ? run_text(a, variables) : WAGW_STR_NULL, a, run)
             : WAGW_NOMEM;
    if (rc == WAGW_OK) {
        run->row.to = run->items[0].to;
    }

done:

    cJSON_Delete(body);
    cJSON_Delete(to);

    return rc;
}

int ngx_wagw_schedule_due(const wagw_schedule_t *c, int64_t after_ms, int64_t *next_ms)
{
    int rc;
    ngx_wagw_cron_t cron;
    ngx_wagw_tz_t tz;

    *next_ms = 0;

    rc = ngx_wagw_cron_parse(&cron, c->cron);
    if (rc != WAGW_OK) {
        return rc;
    }

    rc = ngx_wagw_tz_load(&tz, c->time_zone);
    if (rc != WAGW_OK) {
        return rc;
    }

    *next_ms = 1000 * ngx_wagw_cron_next(&cron, &tz, after_ms / 1000);
    if (c->until_ms && *next_ms > c->until_ms) {
        *next_ms = 0;
    }
    ngx_wagw_tz_free(&tz);

    return WAGW_OK;
}

/* ---- a round --------------------------------------------------------------------------- */

/* One that is due; WAGW_NOT_FOUND: no more. */
static int round_one(wagw_store_t *s, round_t *r)
{
    int rc;
    int64_t next = 0;
    wagw_schedule_t c;
    ngx_wagw_schedule_run_t *run = &r->run[r->n];

    ngx_memzero(run, sizeof(*run));
    rc = wagw_store_schedule_due(s, r->now_ms, &r->arena, &c);
    if (rc != WAGW_OK) {
        return rc;
    }

    /* what was due meanwhile, while nobody was here, is one run */
    if (c.cron.n) {
        rc = ngx_wagw_schedule_due(&c, r->now_ms, &next);
    }

    if (rc == WAGW_OK) {
        rc = ngx_wagw_schedule_job(&c, c.next_ms, r->now_ms, &r->arena, run);
    }

    if (rc == WAGW_MALFORMED || rc == WAGW_NOT_FOUND) {
        return wagw_store_schedule_broken(s, c.num, r->now_ms, WAGW_STR("VALIDATION_FAILED"),
                                          rc == WAGW_NOT_FOUND ? WAGW_STR("There is no such time zone any more")
                                                               : WAGW_STR("The schedule cannot be read"));
    }

    if (rc == WAGW_OK) {
        rc = wagw_store_schedule_fire(s, c.num, c.next_ms, next, r->now_ms, &run->row, run->items, run->n);
        r->n += rc == WAGW_OK;
    }

    return rc;
}

static int round_run(wagw_store_t *s, ngx_wagw_job_t *job)
{
    int rc = WAGW_OK;
    round_t *r = job->data;

    wagw_arena_free(&r->arena);
    r->n = 0;

    for (int i = 0; i < SCHEDULE_ROUND && rc == WAGW_OK; i++) {
        rc = round_one(s, r);
    }

    r->more = rc == WAGW_OK;

    return rc == WAGW_OK || rc == WAGW_NOT_FOUND ? wagw_store_schedule_next(s, &r->next_ms) : rc;
}

static ngx_wagw_instance_t *round_instance(uint32_t num)
{
    ngx_queue_t *at, *all = ngx_wagw_instances();
    ngx_wagw_instance_t *in;

    for (at = ngx_queue_head(all); at != ngx_queue_sentinel(all); at = ngx_queue_next(at)) {
        in = ngx_queue_data(at, ngx_wagw_instance_t, queue);

        if (in->num == num) {
            return in;
        }
    }

    return NULL;
}

static void sched_arm(int64_t at_ms)
{
    int64_t wait = at_ms - ngx_wagw_now_ms();

    wait = wait < 0 ? 0 : wait > SCHEDULE_WAIT_MS ? SCHEDULE_WAIT_MS : wait;

    if (sched.timer.timer_set) {
        ngx_del_timer(&sched.timer);
    }

    sched.at_ms = at_ms;
    if (!sched.stopped) {
        ngx_add_timer(&sched.timer, (ngx_msec_t)wait);
    }
}

static void round_done(ngx_wagw_job_t *job)
{
    round_t *r = job->data;
    int64_t now = ngx_wagw_now_ms(), at = now + SCHEDULE_WAIT_MS;
    ngx_wagw_instance_t *in;

    sched.round = 0;

    for (size_t i = 0; job->rc == WAGW_OK && i < r->n; i++) {
        in = round_instance(r->run[i].row.instance);
        if (in && ngx_wagw_queue_add(in, &r->run[i].row) == NULL) {
            ngx_log_error(NGX_LOG_CRIT, ngx_cycle->log, 0, "wagw instance %V: no memory for a scheduled job", &in->id);
        }
    }

    if (job->rc != WAGW_OK) {
        ngx_log_error(NGX_LOG_ERR, ngx_cycle->log, 0, "wagw: schedules cannot be read: %s", wagw_rc_name(job->rc));
        at = now + SCHEDULE_AGAIN_MS;
    } else if (r->more) {
        at = now;
    } else if (r->next_ms) {
        at = r->next_ms;
    }

    if (sched.wake_ms && sched.wake_ms < at) {
        at = sched.wake_ms;
    }
    sched.wake_ms = 0;

    wagw_arena_free(&r->arena);
    free(r);
    sched_arm(at);
}

static void sched_round(ngx_event_t *ev)
{
    round_t *r = calloc(1, sizeof(*r));

    (void)ev;

    if (r == NULL) {
        sched_arm(ngx_wagw_now_ms() + SCHEDULE_AGAIN_MS);
        return;
    }

    sched.round = 1;
    r->now_ms = ngx_wagw_now_ms();
    r->job.data = r;
    r->job.run = round_run;
    r->job.done = round_done;
    r->job.write = 1;
    r->job.again = 1;
    ngx_wagw_store_post(&r->job);
}

void ngx_wagw_schedule_wake(int64_t at_ms)
{
    if (!sched.started || at_ms == 0) {
        return;
    }

    if (sched.round) {
        sched.wake_ms = sched.wake_ms && sched.wake_ms < at_ms ? sched.wake_ms : at_ms;
        return;
    }

    if (!sched.timer.timer_set || at_ms < sched.at_ms) {
        sched_arm(at_ms);
    }
}

void ngx_wagw_schedule_start(void)
{
    if (sched.started) {
        return;
    }

    sched.started = 1;
    sched.timer.handler = sched_round;
    sched.timer.data = &ngx_wagw_no_connection;
    sched.timer.log = ngx_cycle->log;
    sched.timer.cancelable = 1;
    sched_arm(0);
}

void ngx_wagw_schedule_stop(void)
{
    sched.stopped = 1;

    if (sched.timer.timer_set) {
        ngx_del_timer(&sched.timer);
    }
}
