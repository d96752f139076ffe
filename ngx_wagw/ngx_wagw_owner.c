/*
 * The owner's life: lock on the state directory, ipc, store, what the store
 * holds, instances, and the end.
 *
 *     LOCK -> (ipc, store thread) -> store open -> READ -> READY
 *
 * Until READY calls are answered 503.  An owner that finds the lock taken
 * waits: the other one is leaving (upgrade), or is a second nginx, and then
 * this one must not log in with the same credentials.
 */

#include "ngx_wagw_media.h"
#include "ngx_wagw_schedule.h"

#include <sys/file.h>
#include <sys/stat.h>

#define LOCK_WAIT_MS 100
#define DIR_WAIT_MS 1000
#define STOP_MS 2000
#define PRUNE_MS (3600 * 1000)

typedef struct {
    ngx_wagw_job_t job;
    wagw_arena_t arena;
    struct key_s {
        wagw_api_key_t k;
        struct key_s *next;
    } * keys, **keys_last;
    struct hook_s {
        wagw_webhook_t w;
        struct hook_s *next;
    } * hooks, **hooks_last;
    struct row_s {
        wagw_instance_t i;
        struct row_s *next;
    } * rows, **rows_last;
    struct sends_s {
        wagw_sends_t j;
        struct sends_s *next;
    } * sends, **sends_last;
    struct sendq_s {
        wagw_queue_row_t q;
        struct sendq_s *next;
    } * queues;
    wagw_str_t version;
    ngx_uint_t n;
} state_t;

static struct {
    ngx_cycle_t *cycle;
    ngx_wagw_main_conf_t *wmcf;
    ngx_event_t timer;
    ngx_event_t prune;
    ngx_fd_t lock;
    ngx_err_t told; /* why the directory could not be used, as logged */
    ngx_uint_t told_waiting;
    unsigned started : 1;
    unsigned registry : 1;
    unsigned locked : 1;
    unsigned listening : 1;
    unsigned media : 1; /* its directory is made and empty */
    unsigned storing : 1;
    unsigned stopping : 1;
} ow;

static void owner_lock(ngx_event_t *ev);
static void owner_store_opened(void);

ngx_int_t ngx_wagw_owner_start(ngx_cycle_t *cycle, ngx_wagw_main_conf_t *wmcf)
{
    ngx_memzero(&ow, sizeof(ow));

    ow.cycle = cycle;
    ow.wmcf = wmcf;
    ow.lock = NGX_INVALID_FILE;
    ow.timer.handler = owner_lock;
    ow.timer.data = &ngx_wagw_no_connection;
    ow.timer.log = cycle->log;
    ow.timer.cancelable = 1;

    if (ngx_wagw_tasks_start(cycle->log) != NGX_OK || ngx_wagw_calls_init() != NGX_OK ||
        ngx_wagw_instances_init(cycle, wmcf) != NGX_OK || ngx_wagw_version_init(wmcf, ngx_wagw_shared()) != NGX_OK ||
        ngx_wagw_socket_init(cycle, wmcf) != NGX_OK || ngx_wagw_webhook_init(cycle, wmcf) != NGX_OK) {
        ngx_log_error(NGX_LOG_EMERG, cycle->log, 0, "wagw: the owner cannot start");
        return NGX_ERROR;
    }

    ow.started = 1;

    /* not from here: the first turn of the loop must have a timer to wake it */
    ngx_add_timer(&ow.timer, 0);

    return NGX_OK;
}

/* ---- state directory ------------------------------------------------------------ */

static void owner_again(ngx_msec_t ms)
{
    ngx_add_timer(&ow.timer, ms);
}

static void owner_registry(void)
{
    if (ow.registry) {
        return;
    }

    if (ngx_wagw_registry_begin(ow.wmcf) != NGX_OK) {
        ngx_log_error(NGX_LOG_EMERG, ow.cycle->log, 0, "wagw: the registry cannot be rebuilt");
        return;
    }

    ow.registry = 1;
}

static void owner_dir_failed(ngx_err_t err, const char *what)
{
    if (err != ow.told) {
        ow.told = err;
        ngx_log_error(NGX_LOG_CRIT, ow.cycle->log, err, "wagw: %s \"%V\" failed, will try again", what,
                      &ow.wmcf->state_dir);
    }

    /* workers answer DB_UNAVAILABLE instead of waiting for a socket */
    owner_registry();
    ngx_wagw_registry_ready(0);
    owner_again(DIR_WAIT_MS);
}

static void owner_lock_waits(void)
{
    char pid[32];
    ssize_t n;

    if (!ow.told_waiting) {
        ow.told_waiting = 1;
        n = pread(ow.lock, pid, sizeof(pid) - 1, 0);
        pid[n > 0 ? n : 0] = '\0';

        if (n > 0 && pid[n - 1] == '\n') {
            pid[n - 1] = '\0';
        }

        ngx_log_error(NGX_LOG_NOTICE, ow.cycle->log, 0,
                      "wagw: state directory \"%V\" belongs to another owner (process %s), waiting for it to end",
                      &ow.wmcf->state_dir, pid[0] ? pid : "unknown");
    }

    owner_again(LOCK_WAIT_MS);
}

static ngx_int_t owner_lock_open(void)
{
    char path[NGX_MAX_PATH];
    int n;

    n = snprintf(path, sizeof(path), "%.*s/lock", (int)ow.wmcf->state_dir.len, (char *)ow.wmcf->state_dir.data);
    if (n >= (int)sizeof(path)) {
        errno = ENAMETOOLONG;
        return NGX_ERROR;
    }

    ow.lock = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);

    if (ow.lock == -1 && errno == ENOENT) {
        path[n - 5] = '\0';

        if (mkdir(path, 0700) == -1) {
            return NGX_ERROR;
        }

        path[n - 5] = '/';
        ow.lock = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    }

    return ow.lock == -1 ? NGX_ERROR : NGX_OK;
}

static ngx_int_t owner_lock_take(void)
{
    char pid[32];
    int n;

    if (flock(ow.lock, LOCK_EX | LOCK_NB) == -1) {
        return errno == EWOULDBLOCK ? NGX_AGAIN : NGX_ERROR;
    }

    n = snprintf(pid, sizeof(pid), "%ld\n", (long)getpid());

    if (ftruncate(ow.lock, 0) == -1 || pwrite(ow.lock, pid, (size_t)n, 0) != n) {
        /* only its text is for people; the lock itself holds */
        ngx_log_error(NGX_LOG_WARN, ow.cycle->log, errno, "wagw: the lock file cannot be written");
    }

    ow.locked = 1;

    if (ow.told_waiting) {
        ngx_log_error(NGX_LOG_NOTICE, ow.cycle->log, 0, "wagw: state directory \"%V\" is ours now",
                      &ow.wmcf->state_dir);
    }

    return NGX_OK;
}

static void owner_lock(ngx_event_t *ev)
{
    ngx_int_t rc;

    (void)ev;

    if (ow.lock == NGX_INVALID_FILE && owner_lock_open() != NGX_OK) {
        owner_dir_failed(errno, "opening the lock in state directory");
        return;
    }

    if (!ow.locked) {
        rc = owner_lock_take();

        if (rc == NGX_AGAIN) {
            owner_lock_waits();
            return;
        }

        if (rc != NGX_OK) {
            owner_dir_failed(errno, "locking state directory");
            return;
        }

        owner_registry();
    }

    if (!ow.media) {
        if (ngx_wagw_media_init(ow.cycle, ow.wmcf) != NGX_OK) {
            owner_dir_failed(errno, "keeping media in state directory");
            return;
        }

        ow.media = 1;
    }

    if (!ow.listening) {
        if (ngx_wagw_ipc_listen(ow.cycle, ow.wmcf) != NGX_OK) {
            owner_dir_failed(errno, "listening in state directory");
            return;
        }

        ow.listening = 1;
    }

    ngx_wagw_registry_ready(0);

    if (ngx_wagw_store_start(ow.cycle, ow.wmcf, owner_store_opened) != NGX_OK) {
        owner_dir_failed(errno, "starting the store thread for");
        return;
    }

    ow.storing = 1;
}

/* ---- what the store holds --------------------------------------------------------- */

static wagw_str_t state_str(state_t *st, wagw_str_t s)
{
    return s.n ? wagw_arena_str(&st->arena, s) : WAGW_STR_NULL;
}

static int state_key(void *data, const wagw_api_key_t *k)
{
    state_t *st = data;
    struct key_s *e = wagw_arena_alloc(&st->arena, sizeof(*e));

    if (e == NULL) {
        return WAGW_NOMEM;
    }

    e->k = *k;
    e->k.id = state_str(st, k->id);
    e->k.name = state_str(st, k->name);
    e->k.prefix = state_str(st, k->prefix);
    e->k.instances = state_str(st, k->instances);
    e->k.ip_allow = state_str(st, k->ip_allow);
    e->next = NULL;
    *st->keys_last = e;
    st->keys_last = &e->next;

    return WAGW_OK;
}

static int state_hook(void *data, const wagw_webhook_t *w)
{
    state_t *st = data;
    struct hook_s *e = wagw_arena_alloc(&st->arena, sizeof(*e));

    if (e == NULL) {
        return WAGW_NOMEM;
    }

    e->w = *w;
    e->w.id = state_str(st, w->id);
    e->w.url = state_str(st, w->url);
    e->w.events = state_str(st, w->events);
    e->w.secret = state_str(st, w->secret);
    e->w.headers = state_str(st, w->headers);
    e->w.options = state_str(st, w->options);
    e->next = NULL;
    *st->hooks_last = e;
    st->hooks_last = &e->next;

    return WAGW_OK;
}

static int state_row(void *data, const wagw_instance_t *i)
{
    state_t *st = data;
    struct row_s *e = wagw_arena_alloc(&st->arena, sizeof(*e));

    if (e == NULL) {
        return WAGW_NOMEM;
    }

    e->i = *i;
    e->i.id = state_str(st, i->id);
    e->i.name = state_str(st, i->name);
    e->i.phone = state_str(st, i->phone);
    e->i.settings = state_str(st, i->settings);
    e->i.metadata = state_str(st, i->metadata);
    e->i.engine.jid = state_str(st, i->engine.jid);
    e->i.engine.lid = state_str(st, i->engine.lid);
    e->i.engine.push_name = state_str(st, i->engine.push_name);
    e->i.engine.platform = state_str(st, i->engine.platform);
    e->i.engine.business_name = state_str(st, i->engine.business_name);
    e->i.engine.status = state_str(st, i->engine.status);
    e->i.engine.disconnect_reason = state_str(st, i->engine.disconnect_reason);
    e->next = NULL;
    *st->rows_last = e;
    st->rows_last = &e->next;
    st->n++;

    return WAGW_OK;
}

static int state_sends(void *data, const wagw_sends_t *j)
{
    state_t *st = data;
    struct sends_s *e = wagw_arena_alloc(&st->arena, sizeof(*e));

    if (e == NULL) {
        return WAGW_NOMEM;
    }

    e->j = *j;
    e->j.id = state_str(st, j->id);
    e->j.to = state_str(st, j->to);
    e->j.message_id = state_str(st, j->message_id);
    e->j.schedule_id = state_str(st, j->schedule_id);
    e->next = NULL;
    *st->sends_last = e;
    st->sends_last = &e->next;

    return WAGW_OK;
}

static int state_queue(void *data, const wagw_queue_row_t *q)
{
    state_t *st = data;
    struct sendq_s *e = wagw_arena_alloc(&st->arena, sizeof(*e));

    if (e == NULL) {
        return WAGW_NOMEM;
    }

    e->q = *q;
    e->q.used = state_str(st, q->used);
    e->next = st->queues;
    st->queues = e;

    return WAGW_OK;
}

static int state_read(wagw_store_t *s, ngx_wagw_job_t *job)
{
    state_t *st = job->data;
    wagw_load_t asked;
    wagw_rec_t *recs = NULL;
    int rc;

    st->keys_last = &st->keys;
    st->hooks_last = &st->hooks;
    st->rows_last = &st->rows;
    st->sends_last = &st->sends;

    rc = wagw_store_key_each(s, state_key, st);

    if (rc == WAGW_OK) {
        rc = wagw_store_instance_each(s, state_row, st);
    }

    if (rc == WAGW_OK) {
        rc = wagw_store_webhook_each(s, state_hook, st);
    }

    if (rc == WAGW_OK) {
        rc = wagw_store_queue_each(s, state_queue, st);
    }

    if (rc == WAGW_OK) {
        rc = wagw_store_sends_each(s, state_sends, st);
    }

    if (rc == WAGW_OK) {
        ngx_memzero(&asked, sizeof(asked));
        asked.kind = WAGW_REC_META;
        asked.key_len = (uint16_t)snprintf(asked.key, sizeof(asked.key), NGX_WAGW_VERSION_KEY);
        rc = wagw_store_load(s, 0, &asked, &st->arena, &recs);
    }

    if (rc == WAGW_OK && recs) {
        st->version = recs->value;
    }

    return rc;
}

/* Jobs and paused queues to their instances, which are few beside them. */
static void state_queues(state_t *st)
{
    ngx_queue_t *q, *all = ngx_wagw_instances();
    ngx_wagw_instance_t *in;

    for (q = ngx_queue_head(all); q != ngx_queue_sentinel(all) && (st->queues || st->sends); q = ngx_queue_next(q)) {
        in = ngx_queue_data(q, ngx_wagw_instance_t, queue);

        for (struct sendq_s *e = st->queues; e; e = e->next) {
            if (e->q.instance == in->num) {
                ngx_wagw_queue_load_state(in, &e->q);
            }
        }

        for (struct sends_s *e = st->sends; e; e = e->next) {
            if (e->j.instance == in->num) {
                ngx_wagw_queue_load(in, &e->j);
            }
        }
    }
}

static void owner_prune(ngx_event_t *ev)
{
    ngx_wagw_calls_prune();
    ngx_wagw_queue_prune();
    ngx_add_timer(ev, PRUNE_MS);
}

static void owner_read_again(ngx_event_t *ev)
{
    (void)ev;

    owner_store_opened();
}

static void state_done(ngx_wagw_job_t *job)
{
    state_t *st = job->data;

    if (ow.stopping) {
        goto done;
    }

    if (job->rc != WAGW_OK) {
        ngx_log_error(NGX_LOG_CRIT, ow.cycle->log, 0, "wagw: the store cannot be read, will try again: %s",
                      wagw_rc_name(job->rc));
        ow.timer.handler = owner_read_again;
        owner_again(DIR_WAIT_MS);
        goto done;
    }

    if (st->version.n) {
        ngx_wagw_version_stored(st->version);
    }

    for (struct key_s *e = st->keys; e; e = e->next) {
        (void)ngx_wagw_registry_key_set(&e->k);
    }

    for (struct row_s *e = st->rows; e; e = e->next) {
        if (ngx_wagw_instance_make(&e->i) == NULL) {
            ngx_log_error(NGX_LOG_CRIT, ow.cycle->log, 0, "wagw: instance %*s cannot be loaded", e->i.id.n, e->i.id.p);
        }
    }

    for (struct hook_s *e = st->hooks; e; e = e->next) {
        if (ngx_wagw_webhook_add(&e->w) == NULL) {
            ngx_log_error(NGX_LOG_ERR, ow.cycle->log, 0, "wagw: webhook %*s cannot be loaded", e->w.id.n, e->w.id.p);
        }
    }

    state_queues(st);

    ngx_log_error(NGX_LOG_NOTICE, ow.cycle->log, 0, "wagw: owner is ready, %ui instances", st->n);

    ngx_wagw_calls_ready(1);
    ngx_wagw_registry_ready(1);
    ngx_wagw_webhook_kick();

    ngx_wagw_retention_start();
    ngx_wagw_schedule_start();
    ow.prune.handler = owner_prune;
    ow.prune.data = &ngx_wagw_no_connection;
    ow.prune.log = ow.cycle->log;
    ow.prune.cancelable = 1;
    ngx_add_timer(&ow.prune, 1);

done:
    wagw_arena_free(&st->arena);
    free(st);
}

static void owner_store_opened(void)
{
    state_t *st;

    st = calloc(1, sizeof(*st));
    if (st == NULL) {
        ow.timer.handler = owner_read_again;
        owner_again(DIR_WAIT_MS);
        return;
    }

    st->job.data = st;
    st->job.run = state_read;
    st->job.done = state_done;
    ngx_wagw_store_post(&st->job);
}

/* ---- reload and end ------------------------------------------------------------------ */

const ngx_wagw_main_conf_t *ngx_wagw_owner_conf(void)
{
    return ow.wmcf;
}

void ngx_wagw_owner_settings(ngx_cycle_t *cycle, ngx_wagw_main_conf_t *wmcf)
{
    wagw_client_shared_t *sh = ngx_wagw_shared();
    unsigned i;

    (void)cycle;

    ow.wmcf->webhook_signature = wmcf->webhook_signature;
    ow.wmcf->event_names = wmcf->event_names;
    ow.wmcf->compat = wmcf->compat;
    ow.wmcf->request_log = wmcf->request_log;
    ow.wmcf->process_control = wmcf->process_control;
    ow.wmcf->raw_messages = wmcf->raw_messages;

    /* a version that was learned is newer than the built-in one */
    if (!wmcf->whatsapp_version_auto) {
        for (i = 0; i < 3; i++) {
            sh->version[i] = (uint32_t)wmcf->whatsapp_version[i];
        }
    }

    ow.wmcf->whatsapp_version_auto = wmcf->whatsapp_version_auto;
}

/* Only ends a wait of the loop. */
static void owner_wake(ngx_event_t *ev)
{
    (void)ev;
}

/* Lets what was handed in come to its end: commits, their stanzas, answers.
 * Calls that wait for WhatsApp get half of the time. */
static void owner_flush(ngx_cycle_t *cycle)
{
    ngx_msec_t begin = ngx_current_msec;
    ngx_uint_t told = 0;
    ngx_event_t wake;

    ngx_memzero(&wake, sizeof(wake));
    wake.handler = owner_wake;
    wake.data = &ngx_wagw_no_connection;
    wake.log = cycle->log;

    while (ngx_current_msec - begin < STOP_MS && (ngx_wagw_instances_waiting() || ngx_wagw_calls_open())) {
        if (!told && ngx_current_msec - begin >= STOP_MS / 2) {
            told = 1;
            ngx_wagw_calls_drain(1);
            continue;
        }

        if (!wake.timer_set) {
            ngx_add_timer(&wake, STOP_MS / 2);
        }

        ngx_wagw_store_hand_over();
        ngx_process_events_and_timers(cycle);
    }

    if (wake.timer_set) {
        ngx_del_timer(&wake);
    }
}

void ngx_wagw_owner_stop(ngx_cycle_t *cycle)
{
    if (!ow.started || ow.stopping) {
        return;
    }

    ow.stopping = 1;

    ngx_wagw_queue_stop();
    ngx_wagw_schedule_stop();
    ngx_wagw_retention_stop();
    ngx_wagw_calls_drain(0);
    owner_flush(cycle);
    ngx_wagw_calls_drain(1);
    ngx_wagw_media_stop();

    ngx_wagw_webhook_done();
    ngx_wagw_instances_stop();

    if (ow.storing) {
        ngx_wagw_store_stop();
    }

    ngx_wagw_instances_done();
    ngx_wagw_tasks_stop();

    if (ow.media) {
        ngx_wagw_media_done();
    }

    if (ow.listening) {
        ngx_wagw_ipc_close();
    }

    if (ow.timer.timer_set) {
        ngx_del_timer(&ow.timer);
    }

    if (ow.prune.timer_set) {
        ngx_del_timer(&ow.prune);
    }

    if (ow.lock != NGX_INVALID_FILE) {
        close(ow.lock);
        ow.lock = NGX_INVALID_FILE;
    }

    ow.started = 0;
    ngx_log_error(NGX_LOG_NOTICE, cycle->log, 0, "wagw: owner has ended");
}
