/*
 * Webhooks inside: what the three files share.
 *
 *   ngx_wagw_webhook.c        the hooks, their options, event -> deliveries
 *   ngx_wagw_webhook_queue.c  outbox: what is due, order, retries, breaker
 *   ngx_wagw_webhook_http.c   libcurl multi on the owner's loop
 *
 * Owner process only.
 */

#ifndef NGX_WAGW_WEBHOOK_H
#define NGX_WAGW_WEBHOOK_H

#include "ngx_wagw.h"

#include <curl/curl.h>

#pragma GCC visibility push(hidden)

#define NGX_WAGW_HOOK_TIMEOUT 10000
#define NGX_WAGW_HOOK_RESPONSE 4096
#define NGX_WAGW_HOOK_BATCH 100

/* ---- one HTTP POST ------------------------------------------------------ */

typedef struct ngx_wagw_post_s ngx_wagw_post_t;

struct ngx_wagw_post_s {
    /* from the caller */
    const char *url;            /* used before ngx_wagw_http_post() returns */
    struct curl_slist *headers; /* taken over */
    wagw_str_t body;            /* borrowed until done() */
    void (*done)(ngx_wagw_post_t *post);
    void *data;

    /* the outcome */
    ngx_uint_t status;      /* HTTP, 0: none */
    const char *error;      /* NULL when an answer came; valid in done() */
    wagw_buf_t response;    /* its first 4 KiB; freed after done() */
    ngx_uint_t retry_after; /* s */
    uint32_t duration_ms;

    /* private */
    CURL *easy;
    size_t received;
    ngx_msec_t started;
    char why[CURL_ERROR_SIZE];
    unsigned refused : 1;
    unsigned enough : 1;
    ngx_queue_t queue;
};

ngx_int_t ngx_wagw_http_init(ngx_cycle_t *cycle, ngx_wagw_main_conf_t *wmcf);
/* Ends every transfer; their done() sees an error. */
void ngx_wagw_http_done(void);
/* done() is called later, never from inside; NGX_ERROR: it will not be. */
ngx_int_t ngx_wagw_http_post(ngx_wagw_post_t *post);
/* http or https with a host, no blanks or control characters. */
ngx_uint_t ngx_wagw_http_url_ok(wagw_str_t url);

/* ---- hooks -------------------------------------------------------------- */

typedef enum { NGX_WAGW_HOOK_EXPONENTIAL = 0, NGX_WAGW_HOOK_LINEAR, NGX_WAGW_HOOK_CONSTANT } ngx_wagw_hook_policy_t;

typedef struct {
    ngx_wagw_hook_t hook; /* first: what the rest of the owner sees */
    ngx_str_node_t node;  /* by id */

    /* options */
    ngx_uint_t policy;
    ngx_uint_t attempts;
    ngx_msec_t delay;
    ngx_uint_t batch_max; /* 0: no batches */
    ngx_msec_t batch_ms;
    cJSON *options; /* filter is looked up there */
    cJSON *headers;
    unsigned retry_all : 1;
    unsigned ordered : 1;

    /* the queue's */
    ngx_queue_t ready; /* loaded rows in order of their numbers */
    ngx_queue_t busy;  /* rows under way, or whose result is not durable yet */
    ngx_uint_t nready, nbusy;
    ngx_uint_t inflight; /* HTTP requests */
    ngx_event_t timer;
    int64_t probe_ms;       /* breaker open: not before */
    int64_t spread_ms;      /* read past busy chats: not before */
    ngx_msec_t spread_wait; /* ... and that long between them */
    ngx_queue_t runnable;   /* hooks that may have something to start */
    ngx_queue_t wanted;     /* hooks whose outbox is to be read */
    unsigned is_runnable : 1;
    unsigned is_wanted : 1;
    unsigned is_dirty : 1; /* a batch with deliveries was expanded */
    unsigned fetching : 1;
    unsigned more : 1;    /* the last read was cut off by its limit */
    unsigned spread : 1;  /* the next read looks past the chats that fill the window */
    unsigned removed : 1; /* freed when nothing is busy */
} ngx_wagw_hook_full_t;

ngx_wagw_hook_full_t *ngx_wagw_webhook_find(wagw_str_t id);
/* Frees a removed hook once nothing of it is busy. */
void ngx_wagw_webhook_unref(ngx_wagw_hook_full_t *h);

ngx_int_t ngx_wagw_hookq_init(ngx_cycle_t *cycle, ngx_wagw_main_conf_t *wmcf);
void ngx_wagw_hookq_done(void);
void ngx_wagw_hookq_attach(ngx_wagw_hook_full_t *h);
void ngx_wagw_hookq_detach(ngx_wagw_hook_full_t *h);
/* Its outbox has (or may have) something due. */
void ngx_wagw_hookq_want(ngx_wagw_hook_full_t *h);
/* The breaker is open and no probe is due. */
ngx_uint_t ngx_wagw_hookq_open(ngx_wagw_hook_full_t *h);
/* A batch that holds deliveries of it is being built. */
void ngx_wagw_hookq_dirty(ngx_wagw_hook_full_t *h);

/* Headers of contract 4.2; NULL without memory.  custom may be NULL. */
struct curl_slist *ngx_wagw_webhook_headers(ngx_wagw_main_conf_t *wmcf, wagw_str_t delivery_id, wagw_str_t instance_id,
                                            wagw_str_t event, wagw_str_t event_id, ngx_uint_t attempt,
                                            wagw_str_t secret, wagw_str_t body, const cJSON *custom);
/* Name and value may be sent as a header of an endpoint. */
ngx_uint_t ngx_wagw_webhook_header_ok(const char *name, const char *value);
/* A name of contract 4.4, an alias, "*", "all" or "group.*". */
ngx_uint_t ngx_wagw_webhook_event_known(const char *name);
/* wagw_event_names doc */
ngx_uint_t ngx_wagw_webhook_doc_names(void);

/* ---- the queue, between reading and sending -------------------------------- */

#define NGX_WAGW_HOOKQ_PER_HOOK 4 /* requests at once */
#define NGX_WAGW_HOOKQ_WINDOW 32  /* ready rows per hook */
#define NGX_WAGW_HOOKQ_SPREAD 100 /* ms between reads past busy chats; doubled while they find nothing */
#define NGX_WAGW_HOOKQ_SPREAD_MAX 1600
#define NGX_WAGW_HOOKQ_AGAIN 1000 /* the store failed */

typedef struct {
    ngx_queue_t queue; /* in the hook: ready, then busy */
    ngx_queue_t fly;   /* in its request */
    wagw_delivery_t d; /* strings behind the struct */
    size_t bytes;
    unsigned answered : 1;
} ngx_wagw_row_t;

typedef struct {
    ngx_wagw_main_conf_t *wmcf;
    ngx_log_t *log;
    ngx_queue_t wanted;
    ngx_queue_t runnable;
    ngx_queue_t dirty;
    ngx_uint_t inflight;
    size_t bytes;
    ngx_event_t timer; /* the store failed: read again */
    unsigned ready : 1;
    unsigned reading : 1;
} ngx_wagw_hookq_t;

extern ngx_wagw_hookq_t ngx_wagw_hookq;

void ngx_wagw_row_free(ngx_wagw_row_t *row);
void ngx_wagw_hookq_runnable(ngx_wagw_hook_full_t *h);
void ngx_wagw_hookq_not_runnable(ngx_wagw_hook_full_t *h);
/* Looks at the hook again then; the earliest wish counts. */
void ngx_wagw_hookq_at(ngx_wagw_hook_full_t *h, int64_t at_ms);
/* Reads the outbox of the wanted hooks, starts what may start. */
void ngx_wagw_hookq_read(void);
void ngx_wagw_hookq_run(void);

#pragma GCC visibility pop

#endif
