/*
 * Sends of the future (contract 3.16).  All of it is in the store; here is one
 * timer, set to what is due next.  A run is a job of the queue
 * (ngx_wagw_queue.h), made in the transaction that claims its due time.
 *
 *   ngx_wagw_schedule.c         the timer, and a run's job
 *   ngx_wagw_calls_schedule.c, ngx_wagw_calls_schedule_run.c   the calls
 *   ngx_wagw_cron.c             when cron is due
 */

#ifndef NGX_WAGW_SCHEDULE_H
#define NGX_WAGW_SCHEDULE_H

#include "ngx_wagw_queue.h"

#pragma GCC visibility push(hidden)

typedef struct {
    wagw_sends_t row;
    wagw_sends_item_t *items;
    size_t n;
    char id[37];
} ngx_wagw_schedule_run_t;

/* The store was read: what is due, or was while we were away, is sent. */
void ngx_wagw_schedule_start(void);
void ngx_wagw_schedule_stop(void);
/* Something may be due at at_ms. */
void ngx_wagw_schedule_wake(int64_t at_ms);

/* 409: it is not waiting for its time. */
void ngx_wagw_schedule_not_waiting(ngx_wagw_call_t *call);

/* On the store's thread: */

/* The job of a run, in arena a; an id that is given stays.  WAGW_MALFORMED: its body cannot be read. */
int ngx_wagw_schedule_job(const wagw_schedule_t *c, int64_t due_ms, int64_t now_ms, wagw_arena_t *a,
                          ngx_wagw_schedule_run_t *run);
/* When a cron schedule is due behind after_ms, 0 never again.  WAGW_MALFORMED:
 * the expression; WAGW_NOT_FOUND: the zone. */
int ngx_wagw_schedule_due(const wagw_schedule_t *c, int64_t after_ms, int64_t *next_ms);

#pragma GCC visibility pop

#endif
