/*
 * The store thread.  Jobs run in the order of posting; everything that is in
 * the queue when the thread looks joins one transaction, up to GROUP_MAX jobs
 * (group commit).  The loop hands over what one of its rounds has posted at
 * the round's end, so that a burst is one group and wakes the thread once.  A failed group is rolled back: jobs that
 * may be repeated run again one by one, so that one bad batch does not take its neighbours with it; the others come
 * back with WAGW_IO.
 */

#include "ngx_wagw_owner.h"

#include <pthread.h>

#define GROUP_MAX 256
#define LAZY_MS 20
#define REOPEN_SECONDS 1

typedef struct {
    ngx_wagw_job_t *head;
    ngx_wagw_job_t **tail;
} job_list_t;

static struct {
    pthread_t tid;
    pthread_mutex_t mutex;
    pthread_cond_t cond;
    job_list_t posted; /* the loop's: this round's jobs */
    job_list_t lazy;   /* the loop's: they wait for company */
    ngx_event_t hand_over;
    ngx_event_t lazy_timer;
    job_list_t in;
    job_list_t out;
    ngx_wagw_bell_t bell;
    wagw_store_conf_t conf;
    void (*opened)(void);
    char why[512];
    ngx_uint_t failures;  /* to open */
    ngx_uint_t told;      /* failures logged */
    unsigned running : 1; /* the thread exists */
    unsigned stop : 1;
    unsigned open : 1;      /* the thread's word */
    unsigned open_seen : 1; /* the loop's */
} st = {.mutex = PTHREAD_MUTEX_INITIALIZER, .cond = PTHREAD_COND_INITIALIZER};

static void *store_main(void *data);
static void store_done(void);
static void store_round(ngx_event_t *ev);
static void store_lazy(ngx_event_t *ev);

static void jobs_init(job_list_t *l)
{
    l->head = NULL;
    l->tail = &l->head;
}

static void jobs_add(job_list_t *l, ngx_wagw_job_t *job)
{
    job->next = NULL;
    *l->tail = job;
    l->tail = &job->next;
}

/* All of `from` behind what is in l. */
static void jobs_move(job_list_t *l, job_list_t *from)
{
    if (from->head) {
        *l->tail = from->head;
        l->tail = from->tail;
        jobs_init(from);
    }
}

static ngx_wagw_job_t *jobs_take(job_list_t *l)
{
    ngx_wagw_job_t *job = l->head;

    jobs_init(l);

    return job;
}

static char *store_text(ngx_str_t *s)
{
    char *p = malloc(s->len + 1);

    if (p) {
        ngx_memcpy(p, s->data, s->len);
        p[s->len] = '\0';
    }

    return p;
}

ngx_int_t ngx_wagw_store_start(ngx_cycle_t *cycle, ngx_wagw_main_conf_t *wmcf, void (*opened)(void))
{
    uint8_t *key;

    jobs_init(&st.posted);
    jobs_init(&st.lazy);
    jobs_init(&st.in);
    jobs_init(&st.out);
    ngx_memzero(&st.hand_over, sizeof(ngx_event_t));
    st.hand_over.handler = store_round;
    st.hand_over.data = &ngx_wagw_no_connection;
    st.hand_over.log = cycle->log;
    ngx_memzero(&st.lazy_timer, sizeof(ngx_event_t));
    st.lazy_timer.handler = store_lazy;
    st.lazy_timer.data = &ngx_wagw_no_connection;
    st.lazy_timer.log = cycle->log;
    st.opened = opened;
    st.stop = 0;

    /* the thread's own copies: a reload may free the configuration */
    st.conf.dsn = store_text(&wmcf->store);
    st.conf.password = wmcf->store_password.len ? store_text(&wmcf->store_password) : NULL;

    if (st.conf.dsn == NULL) {
        return NGX_ERROR;
    }

    if (wmcf->encryption_key.len == 32) {
        key = malloc(32);
        if (key == NULL) {
            return NGX_ERROR;
        }

        ngx_memcpy(key, wmcf->encryption_key.data, 32);
        st.conf.encryption_key = key;
    }

    if (ngx_wagw_bell_open(&st.bell, store_done, cycle->log) != NGX_OK) {
        return NGX_ERROR;
    }

    if (ngx_wagw_thread_start(&st.tid, store_main, NULL, cycle->log) != NGX_OK) {
        ngx_wagw_bell_close(&st.bell);
        return NGX_ERROR;
    }

    st.running = 1;

    return NGX_OK;
}

void ngx_wagw_store_post(ngx_wagw_job_t *job)
{
    job->rc = WAGW_IO;
    job->ran = 0;

    if (st.running && !st.stop && job->lazy) {
        jobs_add(&st.lazy, job);

        if (!st.lazy_timer.timer_set) {
            ngx_add_timer(&st.lazy_timer, LAZY_MS);
        }

        return;
    }

    if (st.running && !st.stop) {
        jobs_add(&st.posted, job);
        ngx_post_event(&st.hand_over, &ngx_posted_events);
        return;
    }

    /* never from within the caller: it comes back on the loop's next turn */
    pthread_mutex_lock(&st.mutex);
    jobs_add(&st.out, job);
    pthread_mutex_unlock(&st.mutex);

    ngx_wagw_bell_ring(&st.bell);
}

static void store_round(ngx_event_t *ev)
{
    (void)ev;

    ngx_wagw_store_hand_over();
}

void ngx_wagw_store_hand_over(void)
{
    if (st.posted.head == NULL) {
        return;
    }

    jobs_move(&st.posted, &st.lazy);

    pthread_mutex_lock(&st.mutex);
    jobs_move(&st.in, &st.posted);
    pthread_cond_signal(&st.cond);
    pthread_mutex_unlock(&st.mutex);
}

static void store_lazy(ngx_event_t *ev)
{
    (void)ev;

    jobs_move(&st.posted, &st.lazy);
    ngx_wagw_store_hand_over();
}

ngx_uint_t ngx_wagw_store_is_open(void)
{
    return st.open_seen;
}

/* On the loop: what the thread has finished. */
static void store_done(void)
{
    ngx_wagw_job_t *job, *next;
    ngx_uint_t open, failures;
    char why[sizeof(st.why)];

    pthread_mutex_lock(&st.mutex);
    job = jobs_take(&st.out);
    open = st.open;
    failures = st.failures;
    ngx_memcpy(why, st.why, sizeof(why));
    pthread_mutex_unlock(&st.mutex);

    if (failures != st.told) {
        /* once at the beginning, then every minute */
        if (st.told == 0 || failures % (60 / REOPEN_SECONDS) == 0) {
            ngx_log_error(NGX_LOG_CRIT, ngx_cycle->log, 0, "wagw: store cannot be opened, will try again: %s", why);
        }

        st.told = failures;
    }

    if (open && !st.open_seen) {
        st.open_seen = 1;
        ngx_log_error(NGX_LOG_NOTICE, ngx_cycle->log, 0, "wagw: store is open");
        st.opened();
    }

    for (; job; job = next) {
        next = job->next;
        job->done(job);
    }
}

static void store_publish(ngx_wagw_job_t *job, size_t n)
{
    ngx_wagw_job_t *next;

    pthread_mutex_lock(&st.mutex);

    for (; n; n--, job = next) {
        next = job->next;
        jobs_add(&st.out, job);
    }

    pthread_mutex_unlock(&st.mutex);

    ngx_wagw_bell_ring(&st.bell);
}

/* The transaction must not be kept: a batch that was not applied as a whole,
 * or a handler's write that broke off.  "Not found" and the like are answers. */
static bool store_broke(const ngx_wagw_job_t *job)
{
    if (!job->write || job->rc == WAGW_OK) {
        return false;
    }

    if (job->again) {
        return true;
    }

    return job->rc == WAGW_IO || job->rc == WAGW_NOMEM || job->rc == WAGW_ERROR || job->rc == WAGW_CRYPTO;
}

static void store_lost(ngx_wagw_job_t *job)
{
    if (job->rc == WAGW_OK) {
        job->rc = WAGW_IO;
    }

    if (job->lost) {
        job->lost(job);
    }
}

static void store_run_alone(wagw_store_t *s, ngx_wagw_job_t *job)
{
    if (!job->write) {
        job->rc = job->run(s, job);
        return;
    }

    if (wagw_store_begin(s) != WAGW_OK) {
        job->rc = WAGW_IO;
        store_lost(job);
        return;
    }

    job->rc = job->run(s, job);

    if (store_broke(job)) {
        wagw_store_end(s, false);
        store_lost(job);
        return;
    }

    if (wagw_store_end(s, true) != WAGW_OK) {
        job->rc = WAGW_IO;
        store_lost(job);
    }
}

/* Everything that ran inside the group's transaction has not happened. */
static void store_group_again(wagw_store_t *s, ngx_wagw_job_t *job, size_t n, size_t writes)
{
    for (; n; n--, job = job->next) {
        if (job->ran && (!job->again || (job->write && writes == 1))) {
            job->rc = WAGW_IO;

            if (job->write) {
                store_lost(job);
            }

            continue;
        }

        store_run_alone(s, job);
    }
}

static void store_group(wagw_store_t *s, ngx_wagw_job_t *first, size_t n)
{
    ngx_wagw_job_t *job = first;
    size_t i, begun = n, writes = 0;
    bool broke = false;

    for (i = 0; i < n && !broke; i++, job = job->next) {
        if (job->write && writes++ == 0) {
            if (wagw_store_begin(s) != WAGW_OK) {
                /* no transaction, no write: each tries for itself */
                for (; i < n; i++, job = job->next) {
                    store_run_alone(s, job);
                }

                return;
            }

            first = job;
            begun = n - i;
        }

        job->ran = 1;
        job->rc = job->run(s, job);
        broke = store_broke(job);
    }

    if (writes == 0) {
        return;
    }

    if (broke) {
        wagw_store_end(s, false);

    } else if (wagw_store_end(s, true) == WAGW_OK) {
        return;
    }

    store_group_again(s, first, begun, writes);
}

static void store_open(wagw_store_t **s)
{
    char why[sizeof(st.why)] = "";
    int rc;

    rc = wagw_store_open(s, &st.conf, why, sizeof(why));

    pthread_mutex_lock(&st.mutex);

    if (rc == WAGW_OK) {
        st.open = 1;

    } else {
        *s = NULL;
        st.failures++;
        ngx_memcpy(st.why, why, sizeof(why));
    }

    pthread_mutex_unlock(&st.mutex);

    ngx_wagw_bell_ring(&st.bell);
}

/* Waits for jobs; while the store is closed at most until the next try. */
static ngx_wagw_job_t *store_wait(bool open, bool *stop)
{
    struct timespec until;
    ngx_wagw_job_t *job;
    int rc = 0;

    clock_gettime(CLOCK_REALTIME, &until);
    until.tv_sec += REOPEN_SECONDS;

    pthread_mutex_lock(&st.mutex);

    while (st.in.head == NULL && !st.stop && rc == 0) {
        rc = open ? pthread_cond_wait(&st.cond, &st.mutex) : pthread_cond_timedwait(&st.cond, &st.mutex, &until);
    }

    job = jobs_take(&st.in);
    *stop = st.stop;

    pthread_mutex_unlock(&st.mutex);

    return job;
}

static void *store_main(void *data)
{
    wagw_store_t *s = NULL;
    ngx_wagw_job_t *job, *rest;
    bool stop = false;
    size_t n;

    (void)data;

    store_open(&s);

    for (;;) {
        job = store_wait(s != NULL, &stop);

        if (job == NULL && stop) {
            break;
        }

        if (job == NULL) {
            if (s == NULL) {
                store_open(&s);
            }

            continue;
        }

        while (job) {
            for (n = 0, rest = job; rest && n < GROUP_MAX; rest = rest->next) {
                n++;
            }

            if (s) {
                store_group(s, job, n);
            }

            store_publish(job, n);
            job = rest;
        }
    }

    if (s) {
        wagw_store_close(s);
    }

    return NULL;
}

void ngx_wagw_store_stop(void)
{
    if (!st.running) {
        return;
    }

    store_lazy(&st.lazy_timer);

    if (st.lazy_timer.timer_set) {
        ngx_del_timer(&st.lazy_timer);
    }

    if (st.hand_over.posted) {
        ngx_delete_posted_event(&st.hand_over);
    }

    pthread_mutex_lock(&st.mutex);
    st.stop = 1;
    pthread_cond_signal(&st.cond);
    pthread_mutex_unlock(&st.mutex);

    pthread_join(st.tid, NULL);
    st.running = 0;

    store_done();
    ngx_wagw_bell_close(&st.bell);

    st.open = st.open_seen = 0;

    free((void *)st.conf.dsn);

    if (st.conf.password) {
        ngx_explicit_memzero((void *)st.conf.password, strlen(st.conf.password));
        free((void *)st.conf.password);
    }

    if (st.conf.encryption_key) {
        ngx_explicit_memzero((void *)st.conf.encryption_key, 32);
        free((void *)st.conf.encryption_key);
    }

    ngx_memzero(&st.conf, sizeof(wagw_store_conf_t));
}
