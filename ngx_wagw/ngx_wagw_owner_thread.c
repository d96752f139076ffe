/*
 * Threads of the owner: how they start, how they tell the loop something, and
 * the two that run blocking tasks.
 */

#include "ngx_wagw_owner.h"

#include <pthread.h>
#include <sys/eventfd.h>

#define TASK_THREADS 2
#define TASK_MEDIA_THREADS 8
#define TASK_STOP_SECONDS 2

typedef struct {
    pthread_t tid[TASK_MEDIA_THREADS];
    ngx_uint_t n, max, idle;
    pthread_cond_t cond;
    ngx_wagw_task_t *head, **tail; /* to run */
    ngx_uint_t waiting;
} task_lane_t;

static struct {
    task_lane_t lane[2]; /* short ones, media */
    pthread_mutex_t mutex;
    ngx_wagw_task_t *done, **done_tail;
    ngx_uint_t stop;
    ngx_log_t *log;
    ngx_wagw_bell_t bell;
} tasks = {.mutex = PTHREAD_MUTEX_INITIALIZER,
           .lane = {{.max = TASK_THREADS, .cond = PTHREAD_COND_INITIALIZER},
                    {.max = TASK_MEDIA_THREADS, .cond = PTHREAD_COND_INITIALIZER}}};

ngx_connection_t ngx_wagw_no_connection = {.fd = (ngx_socket_t)-1};

static void bell_read(ngx_event_t *ev)
{
    ngx_connection_t *c = ev->data;
    ngx_wagw_bell_t *b = c->data;
    uint64_t n;

    if (read(b->fd, &n, sizeof(n)) == -1 && ngx_errno != NGX_EAGAIN) {
        ngx_log_error(NGX_LOG_ALERT, ev->log, ngx_errno, "wagw: read of an eventfd failed");
    }

    b->handler();
}

static void bell_write(ngx_event_t *ev)
{
    (void)ev;
}

ngx_int_t ngx_wagw_bell_open(ngx_wagw_bell_t *b, void (*handler)(void), ngx_log_t *log)
{
    b->handler = handler;

    b->fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
    if (b->fd == -1) {
        ngx_log_error(NGX_LOG_ALERT, log, ngx_errno, "wagw: eventfd() failed");
        return NGX_ERROR;
    }

    b->c = ngx_get_connection(b->fd, log);
    if (b->c == NULL) {
        close(b->fd);
        return NGX_ERROR;
    }

    b->c->data = b;
    b->c->log = log;
    b->c->read->log = log;
    b->c->write->log = log;
    b->c->read->handler = bell_read;
    b->c->write->handler = bell_write;
    b->c->read->channel = 1; /* a graceful exit must not complain about it */
    b->c->write->channel = 1;

    if (ngx_add_event(b->c->read, NGX_READ_EVENT,
                      (ngx_event_flags & NGX_USE_CLEAR_EVENT) ? NGX_CLEAR_EVENT : NGX_LEVEL_EVENT) != NGX_OK) {
        ngx_wagw_bell_close(b);
        return NGX_ERROR;
    }

    return NGX_OK;
}

void ngx_wagw_bell_ring(ngx_wagw_bell_t *b)
{
    uint64_t one = 1;

    if (b->fd == -1) {
        return;
    }

    /* EAGAIN: the counter is at its end, so the loop is being woken anyway */
    while (write(b->fd, &one, sizeof(one)) == -1 && errno == EINTR) {
    }
}

void ngx_wagw_bell_close(ngx_wagw_bell_t *b)
{
    if (b->c) {
        ngx_close_connection(b->c);
        b->c = NULL;
        b->fd = -1;
    }
}

ngx_int_t ngx_wagw_thread_start(pthread_t *tid, void *(*main)(void *), void *data, ngx_log_t *log)
{
    sigset_t all, old;
    pthread_attr_t attr;
    int err;

    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &old);

    pthread_attr_init(&attr);
    pthread_attr_setstacksize(&attr, 1024 * 1024);
    err = pthread_create(tid, &attr, main, data);
    pthread_attr_destroy(&attr);

    pthread_sigmask(SIG_SETMASK, &old, NULL);

    if (err) {
        ngx_log_error(NGX_LOG_ALERT, log, err, "wagw: pthread_create() failed");
        return NGX_ERROR;
    }

    return NGX_OK;
}

static void *tasks_main(void *data)
{
    ngx_wagw_task_t *t;
    task_lane_t *lane = data;

    pthread_mutex_lock(&tasks.mutex);

    for (;;) {
        while (lane->head == NULL && !tasks.stop) {
            lane->idle++;
            pthread_cond_wait(&lane->cond, &tasks.mutex);
            lane->idle--;
        }

        if (tasks.stop) {
            break;
        }

        t = lane->head;
        lane->head = t->next;
        lane->waiting--;
        if (lane->head == NULL) {
            lane->tail = &lane->head;
        }

        pthread_mutex_unlock(&tasks.mutex);

        t->run(t);

        pthread_mutex_lock(&tasks.mutex);
        t->next = NULL;
        *tasks.done_tail = t;
        tasks.done_tail = &t->next;
        ngx_wagw_bell_ring(&tasks.bell);
    }

    pthread_mutex_unlock(&tasks.mutex);

    return NULL;
}

static void tasks_done(void)
{
    ngx_wagw_task_t *t, *next;

    pthread_mutex_lock(&tasks.mutex);
    t = tasks.done;
    tasks.done = NULL;
    tasks.done_tail = &tasks.done;
    pthread_mutex_unlock(&tasks.mutex);

    for (; t; t = next) {
        next = t->next;
        t->done(t);
    }
}

ngx_int_t ngx_wagw_tasks_start(ngx_log_t *log)
{
    ngx_uint_t i;
    task_lane_t *lane;

    for (i = 0; i < 2; i++) {
        lane = &tasks.lane[i];
        lane->head = NULL;
        lane->tail = &lane->head;
        lane->n = 0;
        lane->idle = 0;
        lane->waiting = 0;
    }
    tasks.done = NULL;
    tasks.done_tail = &tasks.done;
    tasks.stop = 0;
    tasks.log = log;

    if (ngx_wagw_bell_open(&tasks.bell, tasks_done, log) != NGX_OK) {
        return NGX_ERROR;
    }

    lane = &tasks.lane[0];
    while (lane->n < lane->max) {
        if (ngx_wagw_thread_start(&lane->tid[lane->n], tasks_main, lane, log) != NGX_OK) {
            return lane->n ? NGX_OK : NGX_ERROR;
        }
        lane->n++;
    }

    return NGX_OK;
}

ngx_int_t ngx_wagw_task_post(ngx_wagw_task_t *task)
{
    ngx_int_t rc = NGX_OK;
    task_lane_t *lane = &tasks.lane[task->media];

    task->next = NULL;

    pthread_mutex_lock(&tasks.mutex);

    if (lane->waiting >= lane->idle && lane->n < lane->max) {
        if (ngx_wagw_thread_start(&lane->tid[lane->n], tasks_main, lane, tasks.log) == NGX_OK) {
            lane->n++;
        } else if (lane->n == 0) {
            rc = NGX_ERROR;
        }
    }
    if (rc == NGX_OK) {
        *lane->tail = task;
        lane->tail = &task->next;
        lane->waiting++;
        pthread_cond_signal(&lane->cond);
    }

    pthread_mutex_unlock(&tasks.mutex);

    return rc;
}

/*
 * The process is about to end: exit() takes down what the threads use, and
 * nginx as a single process unmaps this code first.  Media tasks were told to
 * stop; a lookup that hangs is left behind when the time is over.
 */
void ngx_wagw_tasks_stop(void)
{
    ngx_uint_t i;
    pthread_t tid;
    struct timespec until;

    pthread_mutex_lock(&tasks.mutex);
    tasks.stop = 1;
    pthread_cond_broadcast(&tasks.lane[0].cond);
    pthread_cond_broadcast(&tasks.lane[1].cond);
    pthread_mutex_unlock(&tasks.mutex);

    clock_gettime(CLOCK_REALTIME, &until);
    until.tv_sec += TASK_STOP_SECONDS;

    for (i = 0; i < 2; i++) {
        while (tasks.lane[i].n) {
            tid = tasks.lane[i].tid[--tasks.lane[i].n];

            if (pthread_timedjoin_np(tid, NULL, &until) != 0) {
                pthread_detach(tid);
            }
        }
    }
}
