/*
 * Sends that wait, in the owner: jobs are rows of the store (sqlite_jobs.c),
 * and what is here of them is what is needed to choose the next one.
 *
 *   ngx_wagw_queue.c        which one is next, and when
 *   ngx_wagw_queue_work.c   one item: read -> send -> tell
 *   ngx_wagw_queue_one.c    single messages that have to wait
 *   ngx_wagw_pacing.c       limits
 *   ngx_wagw_calls_queue.c, ngx_wagw_calls_bulk.c   the calls
 *
 * An item is sent by a call of the owner's own to the row of its kind, so it
 * goes every way that a caller's goes.  Its message id was stored before, and
 * each try asks the engine to go on with what is stored under it: killed at
 * any moment, it is sent once.
 */

#ifndef NGX_WAGW_QUEUE_H
#define NGX_WAGW_QUEUE_H

#include "ngx_wagw_owner.h"
#include "ngx_wagw_calls.h"
#include "ngx_wagw_pacing.h"

#pragma GCC visibility push(hidden)

#define NGX_WAGW_QUEUE_SERIAL (1ULL << 62)
#define NGX_WAGW_QUEUE_TTL_MS (24 * 3600 * 1000LL)
#define NGX_WAGW_QUEUE_MAX 20000 /* pending items of an instance */

typedef struct ngx_wagw_sendq_s ngx_wagw_sendq_t;
typedef struct ngx_wagw_sends_s ngx_wagw_sends_t;
typedef struct ngx_wagw_work_s ngx_wagw_work_t;

/* A call that waits for a job's end. */
typedef struct {
    uint64_t serial; /* 0 none */
    void (*handler)(ngx_wagw_call_t *call, ngx_wagw_sends_t *j);
} ngx_wagw_sends_wait_t;

struct ngx_wagw_sends_s {
    ngx_queue_t queue;
    uint64_t num;
    char id[37];
    uint8_t kind, priority;
    uint32_t delay_ms, jitter_ms;
    int64_t created_ms, next_ms, expires_ms;
    uint32_t total, pending, sent, failed;
    uint32_t tries; /* of the present item, in this process */
    char *to;       /* of a single message; malloc'ed */
    char *schedule; /* id of the schedule whose run it is, or NULL; malloc'ed */
    char *whom;     /* its only recipient, or NULL; malloc'ed */
    char message_id[68];
    ngx_wagw_work_t *work;
    ngx_wagw_sends_wait_t wait, cancel_wait;
    cJSON *answer; /* to a single message: the envelope */
    ngx_uint_t answer_status;
    unsigned cancel : 1; /* what is left is to be cancelled */
    unsigned over : 1;
};

struct ngx_wagw_sendq_s {
    ngx_wagw_instance_t *in; /* NULL: dropped */
    ngx_queue_t jobs;        /* by num */
    ngx_uint_t works;        /* that know us */
    ngx_uint_t in_flight;
    ngx_event_t timer;
    int64_t minute_ms; /* of the count of the present minute */
    uint32_t minute, minute_before;
    ngx_wagw_pacing_t pacing;
    unsigned paused : 1;
};

/* The queue of an instance, made when there is none; NULL without memory. */
ngx_wagw_sendq_t *ngx_wagw_queue_of(ngx_wagw_instance_t *in);
/* At the start: what the store holds. */
void ngx_wagw_queue_load(ngx_wagw_instance_t *in, const wagw_sends_t *row);
void ngx_wagw_queue_load_state(ngx_wagw_instance_t *in, const wagw_queue_row_t *row);
/* A job that was stored just now; NULL without memory (the next start finds it). */
ngx_wagw_sends_t *ngx_wagw_queue_add(ngx_wagw_instance_t *in, const wagw_sends_t *row);
ngx_wagw_sends_t *ngx_wagw_queue_find(ngx_wagw_instance_t *in, wagw_str_t id);
/* It connected, or its settings changed; from anywhere. */
void ngx_wagw_queue_wake(ngx_wagw_instance_t *in);
/* The instance goes. */
void ngx_wagw_queue_drop(ngx_wagw_instance_t *in);
/* No new ones from here on. */
void ngx_wagw_queue_stop(void);
/* Forgets jobs that ended a week ago. */
void ngx_wagw_queue_prune(void);

/* The pacing settings changed. */
void ngx_wagw_queue_conf(ngx_wagw_instance_t *in);
/* A single message must wait its turn here. */
bool ngx_wagw_queue_holds(ngx_wagw_instance_t *in);
/* When (ms) one that is queued now is likely to leave. */
int64_t ngx_wagw_queue_when(ngx_wagw_instance_t *in);
/* A send of a caller: true: the queue has it, and answers the call. */
bool ngx_wagw_queue_gate(ngx_wagw_call_t *call, ngx_wagw_instance_t *in, wagw_cmd_t cmd, cJSON *params);
/* What pacing has counted, to the store. */
void ngx_wagw_queue_save(ngx_wagw_sendq_t *q);
/* A message that begins a chat is about to leave; false: not today, *at_ms says when. */
bool ngx_wagw_queue_new_chat(ngx_wagw_sendq_t *q, int64_t *at_ms);

/* What is pending. */
ngx_uint_t ngx_wagw_queue_depth(ngx_wagw_instance_t *in);
/* {depth, inFlight, paused, oldestSeconds, ratePerMinute} */
void ngx_wagw_queue_json(ngx_wagw_instance_t *in, wagw_json_t *j);
void ngx_wagw_queue_pause(ngx_wagw_sendq_t *q, bool paused);
/* Ends a job, cancelled, as soon as what it is sending is sent. */
void ngx_wagw_queue_cancel(ngx_wagw_sendq_t *q, ngx_wagw_sends_t *j);

/* ---- between the two files ---------------------------------------------------- */

/* Begins with the job's next item; NGX_ERROR: no memory. */
ngx_int_t ngx_wagw_work_begin(ngx_wagw_sendq_t *q, ngx_wagw_sends_t *j);
/* Ends the job: every pending item gets the status. */
ngx_int_t ngx_wagw_work_rest(ngx_wagw_sendq_t *q, ngx_wagw_sends_t *j, wagw_item_status_t status, const char *code,
                             const char *error);
/* The work is over, j->work is NULL; again_ms: not before that. */
void ngx_wagw_queue_worked(ngx_wagw_sendq_t *q, ngx_wagw_sends_t *j, int64_t again_ms);
/* Of an engine: the answer to a work's event. */
void ngx_wagw_queue_told(uint64_t serial, const wagw_result_t *r);
/* The send row of a content's type, or NULL. */
const ngx_wagw_route_t *ngx_wagw_queue_route(const char *type);
/* Parameters of that row's call for a recipient: rendered, checked.  rc of the
 * check; on WAGW_MALFORMED code and details. */
int ngx_wagw_queue_params(const ngx_wagw_route_t *route, const cJSON *content, const cJSON *variables, const char *to,
                          ngx_str_t *instance_id, cJSON **params, const char **code, wagw_buf_t *details);

/* The same of what is rendered already, in place. */
int ngx_wagw_queue_rendered(const ngx_wagw_route_t *route, cJSON *params, const char *to, ngx_str_t *instance_id,
                            const char **code, wagw_buf_t *details);
/* Members of `rendered` that were a placeholder as a whole in `content` get their field's type. */
int ngx_wagw_queue_types(const ngx_wagw_route_t *route, const cJSON *content, cJSON *rendered);

#pragma GCC visibility pop

#endif
