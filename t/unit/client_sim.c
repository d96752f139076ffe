/*
 * The driver of the engines under test: one queue of what they asked for, one
 * clock, crashes.  Nothing is answered inside a call of the engine.
 */

#include "client_sim.h"

#define STEPS_MAX 400000

typedef enum {
    TASK_CONNECT = 1,
    TASK_TO_SERVER,
    TASK_TO_CLIENT,
    TASK_LOST,
    TASK_GONE,
    TASK_LOAD,
    TASK_COMMIT,
    TASK_COMMITTED,
    TASK_WORK
} kind_t;

typedef struct sim_task_s sim_task_t;
struct sim_task_s {
    sim_task_t *next;
    kind_t kind;
    sim_engine_t *e;
    uint32_t life, conn;
    int number; /* rc, HTTP status */
    uint64_t seq;
    wagw_buf_t bytes;
    wagw_load_t *load;
    wagw_batch_t *batch;
    wagw_work_t *work;
};

static sim_task_t *task(sim_engine_t *e, kind_t kind)
{
    sim_task_t *t = calloc(1, sizeof(*t));

    assert_non_null(t);
    t->kind = kind;
    t->e = e;
    t->life = e->life;
    t->conn = e->conn;
    *e->w->tasks_last = t;
    e->w->tasks_last = &t->next;
    return t;
}

static void task_free(sim_task_t *t)
{
    wagw_load_t *l;

    wagw_buf_free(&t->bytes);
    while ((l = t->load) != NULL) {
        t->load = l->next;
        free(l);
    }
    if (t->batch) {
        wagw_batch_destroy(t->batch);
    }
    free(t->work);
    free(t);
}

/* ---- what the engine asks for ---------------------------------------------------- */

static void on_connect(void *d)
{
    sim_engine_t *e = d;

    assert_int_equal(e->conn, 0);
    e->connects++;
    e->conn = ++e->w->nconns;
    task(e, TASK_CONNECT);
}

static void on_close(void *d)
{
    sim_engine_t *e = d;

    e->closes++;
    if (e->conn) {
        task(e, TASK_GONE);
        e->conn = 0;
    }
}

static void on_send(void *d, wagw_str_t bytes)
{
    sim_engine_t *e = d;
    sim_task_t *t;

    if (e->muted) {
        return;
    }
    assert_int_not_equal(e->conn, 0);
    assert_true(bytes.n > 0);
    t = task(e, TASK_TO_SERVER);
    assert_int_equal(wagw_buf_str(&t->bytes, bytes), WAGW_OK);
}

static void on_load(void *d, const wagw_load_t *asked)
{
    sim_engine_t *e = d;
    sim_task_t *t;
    wagw_load_t **last;

    if (e->muted) {
        return;
    }
    assert_non_null(asked);
    e->loads++;
    t = task(e, TASK_LOAD);
    for (last = &t->load; asked; asked = asked->next) {
        *last = malloc(sizeof(**last));
        assert_non_null(*last);
        **last = *asked;
        (*last)->next = NULL;
        last = &(*last)->next;
    }
}

static void on_commit(void *d, wagw_batch_t *batch)
{
    sim_engine_t *e = d;

    assert_int_equal(batch->instance, e->num);
    if (e->muted) {
        wagw_batch_destroy(batch);
        return;
    }
    e->commits++;
    task(e, TASK_COMMIT)->batch = batch;
}

static cJSON *parsed(wagw_str_t json)
{
    cJSON *v;

    if (json.n == 0) {
        return NULL;
    }
    v = cJSON_ParseWithLength((const char *)json.p, json.n);
    if (v == NULL) {
        fail_msg("not JSON: %.*s", (int)json.n, (const char *)json.p);
    }
    return v;
}

static void on_reply(void *d, uint64_t command, const wagw_result_t *r)
{
    sim_engine_t *e = d;
    sim_reply_t *p = sim_reply(e, command);

    if (e->muted) {
        return;
    }
    assert_int_not_equal(command, 0);
    if (p) {
        p->times++;
        fail_msg("%s: command %llu was answered again with %d %s", e->name, (unsigned long long)command, r->status,
                 r->code ? r->code : "");
    }
    p = calloc(1, sizeof(*p));
    assert_non_null(p);
    p->command = command;
    p->status = r->status;
    p->retry_after = r->retry_after;
    p->times = 1;
    snprintf(p->code, sizeof(p->code), "%s", r->code ? r->code : "");
    if (r->status >= 400) {
        assert_non_null(r->code);
        assert_non_null(r->error);
    } else {
        assert_null(r->code);
    }
    p->text = strdup(r->status >= 400 ? r->error : r->message ? r->message : "");
    p->data = parsed(r->data);
    p->details = parsed(r->details);
    snprintf(p->message_id, sizeof(p->message_id), "%.*s", (int)r->message_id.n, (const char *)r->message_id.p);
    p->next = e->replies;
    e->replies = p;
}

static void on_timer(void *d, int64_t at_ms)
{
    ((sim_engine_t *)d)->timer_at = at_ms;
}

static void on_work(void *d, wagw_work_t *w)
{
    sim_engine_t *e = d;

    if (e->muted) {
        free(w);
        return;
    }
    task(e, TASK_WORK)->work = w;
}

static void on_changed(void *d)
{
    ((sim_engine_t *)d)->changes++;
}

static void on_log(void *d, wagw_log_t level, const char *text)
{
    sim_engine_t *e = d;
    size_t n = strlen(e->logs);

    if (e->muted) {
        return;
    }
    snprintf(e->last_log, sizeof(e->last_log), "%s", text);
    if (level >= WAGW_LOG_WARN && n + strlen(text) + 2 < sizeof(e->logs)) {
        snprintf(e->logs + n, sizeof(e->logs) - n, "%s\n", text);
    }
    e->errors += level == WAGW_LOG_ERROR;
    if (e->verbose || getenv("SIM_LOG")) {
        print_message("[%s %lld %d] %s\n", e->name, (long long)(e->w->now - SIM_START), level, text);
    }
}

static void on_random(void *d, uint8_t *p, size_t n)
{
    sim_engine_t *e = d;

    if (e->nfed && e->fed[0].n == n) {
        memcpy(p, e->fed[0].p, n);
        e->nfed--;
        memmove(e->fed, e->fed + 1, e->nfed * sizeof(e->fed[0]));
        return;
    }
    vec_random(&e->seed, p, n);
}

void sim_feed(sim_engine_t *e, const uint8_t *p, size_t n)
{
    assert_true(e->nfed < 8 && n <= 32);
    e->fed[e->nfed].n = n;
    memcpy(e->fed[e->nfed++].p, p, n);
}

static void on_fetch(void *d, const wagw_fetch_t *f)
{
    sim_engine_t *e = d;

    if (!e->muted) {
        e->fetching = f->id;
        e->fetches++;
    }
}

static const wagw_client_ops_t ops = {
    .connect = on_connect,
    .close = on_close,
    .send = on_send,
    .load = on_load,
    .commit = on_commit,
    .reply = on_reply,
    .timer = on_timer,
    .work = on_work,
    .changed = on_changed,
    .log = on_log,
    .fetch = on_fetch,
};

void sim_fetched(sim_engine_t *e, int rc, wagw_str_t bytes)
{
    uint64_t id = e->fetching;

    assert_int_not_equal(id, 0);
    e->fetching = 0;
    wagw_client_fetched(e->c, id, rc, bytes, e->w->now);
    sim_run(e->w);
}

/* ---- what is answered --------------------------------------------------------------- */

static void record_events(sim_engine_t *e, const wagw_batch_t *b)
{
    sim_event_t *ev;

    for (const wagw_op_t *op = b->ops; op; op = op->next) {
        if (op->op == WAGW_OP_INSTANCE) {
            wagw_buf_reset(&e->row_bytes);
            wagw_buf_str(&e->row_bytes, op->value);
            assert_int_equal(wagw_row_instance_decode(&e->row, wagw_buf_view(&e->row_bytes)), WAGW_OK);
        }
        if (op->op != WAGW_OP_EVENT) {
            continue;
        }
        /* contract 7 item 6: no gaps */
        assert_int_equal(op->event->seq, e->event_seq + 1);
        e->event_seq = op->event->seq;
        ev = calloc(1, sizeof(*ev));
        assert_non_null(ev);
        ev->seq = op->event->seq;
        snprintf(ev->id, sizeof(ev->id), "%s", op->event->id);
        snprintf(ev->name, sizeof(ev->name), "%s", op->event->name);
        ev->data = parsed(op->event->data);
        assert_non_null(ev->data);
        *e->events_last = ev;
        e->events_last = &ev->next;
    }
}

static void perform(sim_t *w, sim_task_t *t)
{
    sim_engine_t *e = t->e;
    sim_task_t *u;
    wagw_arena_t a = {0};
    bool alive = t->life == e->life && e->c != NULL;

    switch (t->kind) {
    case TASK_CONNECT:
        if (!alive || e->conn != t->conn) {
            break;
        }
        if (e->refuse_connects) {
            e->refuse_connects--;
            e->conn = 0;
            wagw_client_closed(e->c, 0, "connection refused", w->now);
            break;
        }
        sim_server_opened(w, e, t->conn);
        wagw_client_opened(e->c, w->now);
        break;

    case TASK_TO_SERVER: /* it has left the process */
        sim_server_received(w, t->conn, wagw_buf_view(&t->bytes));
        break;

    case TASK_GONE:
        sim_server_closed(w, t->conn);
        break;

    case TASK_TO_CLIENT:
        if (alive && e->conn == t->conn) {
            wagw_client_received(e->c, t->bytes.p, t->bytes.n, w->now);
        }
        break;

    case TASK_LOST:
        if (alive && e->conn == t->conn) {
            e->conn = 0;
            wagw_client_closed(e->c, t->number, "closed by the server", w->now);
        }
        break;

    case TASK_LOAD:
        if (!alive) {
            break;
        }
        if (e->fail_loads) {
            e->fail_loads--;
            wagw_client_loaded(e->c, t->load, NULL, WAGW_IO, w->now);
            break;
        }
        wagw_client_loaded(e->c, t->load, sim_mem_load(&e->mem, t->load, &a), WAGW_OK, w->now);
        break;

    case TASK_COMMIT:
        if (!alive) {
            break;
        }
        u = task(e, TASK_COMMITTED);
        u->seq = t->batch->seq;
        if (e->fail_commits || e->failing || u->seq <= e->fail_upto) {
            /* whatever the engine issued before it knows fails with it */
            e->fail_commits -= e->fail_commits > 0;
            e->failing = true;
            u->number = WAGW_IO;
        } else {
            record_events(e, t->batch);
            sim_mem_apply(&e->mem, t->batch);
        }
        break;

    case TASK_COMMITTED:
        if (alive) {
            if (t->number != WAGW_OK) {
                e->failing = false;
                for (u = w->tasks; u; u = u->next) {
                    if (u->e == e && u->life == e->life && u->kind == TASK_COMMIT) {
                        e->fail_upto = u->batch->seq;
                    }
                }
            }
            wagw_client_committed(e->c, t->seq, t->number, w->now);
        }
        break;

    case TASK_WORK:
        if (alive) {
            t->work->run(t->work);
            wagw_client_worked(e->c, t->work, w->now);
            t->work = NULL;
        }
        break;
    }
    wagw_arena_free(&a);
}

/* A load is ordered behind the commits that were issued before it. */
static bool is_held(const sim_task_t *t)
{
    if (t->life != t->e->life) {
        return false;
    }
    if (t->kind == TASK_LOAD && t->e->hold_commits) {
        for (const sim_task_t *h = t->e->w->held; h; h = h->next) {
            if (h->e == t->e && h->kind == TASK_COMMIT) {
                return true;
            }
        }
    }
    return (t->e->hold_commits && (t->kind == TASK_COMMIT || t->kind == TASK_COMMITTED)) ||
           (t->e->hold_loads && t->kind == TASK_LOAD) || (t->e->hold_work && t->kind == TASK_WORK);
}

bool sim_step(sim_t *w)
{
    sim_task_t *t, **last;

    while ((t = w->tasks) != NULL) {
        w->tasks = t->next;
        if (w->tasks == NULL) {
            w->tasks_last = &w->tasks;
        }
        t->next = NULL;
        if (is_held(t)) {
            for (last = &w->held; *last; last = &(*last)->next) {
            }
            *last = t;
            continue;
        }
        w->steps++;
        perform(w, t);
        task_free(t);
        return true;
    }
    return false;
}

void sim_run(sim_t *w)
{
    uint64_t from = w->steps;

    while (sim_step(w)) {
        if (w->steps - from > STEPS_MAX) {
            fail_msg("the engines never come to rest");
        }
    }
}

void sim_release(sim_engine_t *e)
{
    sim_task_t *t, **at, *mine = NULL, **last = &mine;

    e->hold_commits = e->hold_loads = e->hold_work = false;
    for (at = &e->w->held; (t = *at) != NULL;) {
        if (t->e == e) {
            *at = t->next;
            t->next = NULL;
            *last = t;
            last = &t->next;
        } else {
            at = &t->next;
        }
    }
    /* ahead of what was queued since */
    *last = e->w->tasks;
    if (e->w->tasks == NULL) {
        e->w->tasks_last = last;
    }
    e->w->tasks = mine;
    if (e->w->tasks == NULL) {
        e->w->tasks_last = &e->w->tasks;
    }
}

void sim_advance(sim_t *w, int64_t ms)
{
    int64_t end = w->now + ms, at;
    sim_engine_t *e, *first;
    unsigned ticks = 0;

    for (;;) {
        sim_run(w);
        at = INT64_MAX;
        first = NULL;
        for (e = w->engines; e; e = e->next) {
            if (e->c && e->timer_at && e->timer_at < at) {
                at = e->timer_at;
                first = e;
            }
        }
        if (first == NULL || at > end) {
            break;
        }
        w->now = at > w->now ? at : w->now;
        first->timer_at = 0;
        wagw_client_tick(first->c, w->now);
        if (++ticks > 20000) {
            fail_msg("the engine %s wants ticks without end", first->name);
        }
    }
    w->now = end;
    for (e = w->engines; e; e = e->next) {
        if (e->c) {
            wagw_client_tick(e->c, w->now);
        }
    }
    sim_run(w);
}

/* ---- worlds and engines ---------------------------------------------------------------- */

int64_t sim_now(const sim_t *w)
{
    return w->now;
}

sim_t *sim_new(uint64_t seed)
{
    sim_t *w = calloc(1, sizeof(*w));

    assert_non_null(w);
    w->now = SIM_START;
    w->seed = seed * 1000003 + 17;
    w->random = w->seed ^ 0x5eed;
    w->tasks_last = &w->tasks;
    w->log_last = &w->log;
    w->orders.refs = 6;
    assert_int_equal(wagw_x25519_keypair(&w->root, vec_random, &w->random), WAGW_OK);
    assert_int_equal(wagw_x25519_keypair(&w->static_key, vec_random, &w->random), WAGW_OK);
    {
        wagw_keypair_t between;

        assert_int_equal(wagw_x25519_keypair(&between, vec_random, &w->random), WAGW_OK);
        assert_int_equal(wagw_noise_make_chain(&w->chain, &w->root, &between, w->static_key.pub, 1600000000, 4102444800,
                                               vec_random, &w->random),
                         WAGW_OK);
    }
    return w;
}

static void engine_create(sim_engine_t *e)
{
    e->sh.cache = wagw_cache_create(8u << 20);
    assert_non_null(e->sh.cache);
    assert_int_equal(wagw_signal_create(&e->sh.signal, on_random, e), WAGW_OK);
    e->c = wagw_client_create(e->num, &e->sh, &e->conf, &ops, e, e->event_seq);
    assert_non_null(e->c);
    e->timer_at = 0;
    e->failing = false;
    e->fail_upto = 0;
    e->muted = false;
}

void sim_engine_destroy(sim_engine_t *e)
{
    e->muted = true;
    wagw_client_destroy(e->c);
    e->c = NULL;
    wagw_signal_destroy(e->sh.signal);
    wagw_cache_destroy(e->sh.cache);
    e->timer_at = 0;
    e->conn = 0;
}

sim_engine_t *sim_engine(sim_t *w, const char *name)
{
    sim_engine_t *e = calloc(1, sizeof(*e)), **last;

    assert_non_null(e);
    e->w = w;
    e->name = name;
    e->num = ++w->nengines;
    e->seed = w->seed + e->num * 7919;
    e->events_last = &e->events;
    e->conf = (wagw_client_conf_t){.os = "Mac OS",
                                   .browser = "Chrome",
                                   .country = "US",
                                   .link_preview = true,
                                   .check_number = true,
                                   .timeout_ms = 60000};
    e->sh.random = on_random;
    e->sh.random_data = e;
    e->sh.version[0] = 2;
    e->sh.version[1] = 3000;
    e->sh.version[2] = 1043857760;
    memcpy(e->sh.root, w->root.pub, 32);
    engine_create(e);
    for (last = &w->engines; *last; last = &(*last)->next) {
    }
    *last = e;
    return e;
}

void sim_start(sim_engine_t *e, bool pair)
{
    wagw_client_start(e->c, pair, e->w->now);
}

static void drop_tasks(sim_task_t **at, sim_engine_t *e, bool lose)
{
    sim_task_t *t;

    while ((t = *at) != NULL) {
        if (t->e == e && t->life == e->life && (t->kind != TASK_TO_SERVER || lose) && t->kind != TASK_GONE) {
            *at = t->next;
            task_free(t);
            continue;
        }
        at = &t->next;
    }
}

void sim_crash(sim_engine_t *e, bool lose)
{
    sim_t *w = e->w;
    uint32_t conn = e->conn;
    sim_task_t *t;

    drop_tasks(&w->tasks, e, lose);
    drop_tasks(&w->held, e, lose);
    for (w->tasks_last = &w->tasks; *w->tasks_last; w->tasks_last = &(*w->tasks_last)->next) {
    }
    sim_engine_destroy(e);
    if (conn) {
        /* the server notices behind what was sent */
        t = task(e, TASK_GONE);
        t->conn = conn;
    }
    e->life++;
}

void sim_revive(sim_engine_t *e)
{
    engine_create(e);
    sim_start(e, false);
}

static void reply_free(sim_reply_t *r)
{
    cJSON_Delete(r->data);
    cJSON_Delete(r->details);
    free(r->text);
    free(r);
}

void sim_free(sim_t *w)
{
    sim_engine_t *e;
    sim_event_t *ev;
    sim_reply_t *r;
    sim_task_t *t;

    for (e = w->engines; e; e = e->next) {
        if (e->c) {
            sim_engine_destroy(e);
        }
    }
    while ((t = w->tasks) != NULL) {
        w->tasks = t->next;
        task_free(t);
    }
    while ((t = w->held) != NULL) {
        w->held = t->next;
        task_free(t);
    }
    while ((e = w->engines) != NULL) {
        w->engines = e->next;
        while ((ev = e->events) != NULL) {
            e->events = ev->next;
            cJSON_Delete(ev->data);
            free(ev);
        }
        while ((r = e->replies) != NULL) {
            e->replies = r->next;
            reply_free(r);
        }
        wagw_buf_free(&e->row_bytes);
        sim_mem_free(&e->mem);
        free(e);
    }
    sim_server_free(w);
    wagw_buf_free(&w->chain);
    free(w);
}

void sim_push_bytes(sim_engine_t *e, wagw_str_t bytes)
{
    size_t n;
    sim_task_t *t;

    while (bytes.n) {
        n = e->w->orders.chop && e->w->orders.chop < bytes.n ? e->w->orders.chop : bytes.n;
        t = task(e, TASK_TO_CLIENT);
        wagw_buf_add(&t->bytes, bytes.p, n);
        bytes = wagw_str(bytes.p + n, bytes.n - n);
    }
}

void sim_cut(sim_engine_t *e, int http_status)
{
    sim_task_t *t = task(e, TASK_LOST);

    t->number = http_status;
    sim_server_closed(e->w, e->conn);
}
