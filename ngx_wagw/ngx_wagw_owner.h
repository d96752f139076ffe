/*
 * Inside the owner's room only (ngx_wagw_owner*.c, _store.c, _socket.c).
 */

#ifndef NGX_WAGW_OWNER_H
#define NGX_WAGW_OWNER_H

#include "ngx_wagw.h"

#pragma GCC visibility push(hidden)

/* `data` of timers that need none: nginx's debug log prints the descriptor of
 * the connection that it takes every event's data for. */
extern ngx_connection_t ngx_wagw_no_connection;

/* ---- a thread's way back to the loop (ngx_wagw_owner_thread.c) ----------- */

typedef struct {
    ngx_fd_t fd;
    ngx_connection_t *c;
    void (*handler)(void);
} ngx_wagw_bell_t;

/* handler runs on the loop some time after each ring. */
ngx_int_t ngx_wagw_bell_open(ngx_wagw_bell_t *b, void (*handler)(void), ngx_log_t *log);
void ngx_wagw_bell_ring(ngx_wagw_bell_t *b); /* from any thread */
void ngx_wagw_bell_close(ngx_wagw_bell_t *b);

/* pthread_create with every signal blocked: they belong to nginx's thread. */
ngx_int_t ngx_wagw_thread_start(pthread_t *tid, void *(*main)(void *), void *data, ngx_log_t *log);

/* Tasks that block or burn CPU, no order: two threads for what is soon over
 * (name lookups, PBKDF2, one HTTP fetch), others for media, which may take
 * minutes; those are started when first needed. */
typedef struct ngx_wagw_task_s ngx_wagw_task_t;
struct ngx_wagw_task_s {
    void (*run)(ngx_wagw_task_t *task);  /* in a thread */
    void (*done)(ngx_wagw_task_t *task); /* on the loop */
    void *data;
    unsigned media : 1;
    ngx_wagw_task_t *next;
};

ngx_int_t ngx_wagw_tasks_start(ngx_log_t *log);
/* NGX_ERROR: no thread for it, it will not be done.  Never for short ones. */
ngx_int_t ngx_wagw_task_post(ngx_wagw_task_t *task);
void ngx_wagw_tasks_stop(void);

/* ---- instances and their driver (ngx_wagw_owner_instance.c) --------------- */

/* n random bytes for any purpose; cannot fail. */
void ngx_wagw_random(void *unused, uint8_t *p, size_t n);
ngx_int_t ngx_wagw_instances_init(ngx_cycle_t *cycle, ngx_wagw_main_conf_t *wmcf);
void ngx_wagw_instances_done(void);
/* Connects it when its turn comes: 320 a second. */
void ngx_wagw_instance_autostart(ngx_wagw_instance_t *in);
/* No memory for a socket: tells the engine on the loop's next turn. */
void ngx_wagw_instance_open_failed(ngx_wagw_instance_t *in);
void ngx_wagw_instances_stop(void);          /* closes every connection */
ngx_uint_t ngx_wagw_instances_waiting(void); /* loads and commits that did not come back */

/* Registry slot and whatever else hangs on the engine's state: this turn. */
void ngx_wagw_instance_mark(ngx_wagw_instance_t *in);
/* Of a dropped one: now, or once nothing knows it any more. */
void ngx_wagw_instance_free(ngx_wagw_instance_t *in);

/* ---- driver (ngx_wagw_owner_driver.c) -------------------------------------- */

extern const wagw_client_ops_t ngx_wagw_driver_ops; /* driver = the instance */
void ngx_wagw_driver_tick(ngx_event_t *ev);

/* ---- calls (ngx_wagw_owner_call.c) ---------------------------------------- */

ngx_int_t ngx_wagw_calls_init(void);
void ngx_wagw_calls_ready(ngx_uint_t ready); /* the store was read: instances are known */
void ngx_wagw_calls_drain(ngx_uint_t final); /* refuse new ones; final: answer those still open */
ngx_uint_t ngx_wagw_calls_open(void);
/* The open call with this serial, or NULL. */
ngx_wagw_call_t *ngx_wagw_call_open(uint64_t serial);
/*
 * A call of the owner's own, to be given to ngx_wagw_owner_call(): its answer
 * goes to taken(maker, status, body), maybe from within an engine's op.
 * params are taken over; send_id (may be NULL) is copied.  NULL without memory.
 */
ngx_wagw_call_t *ngx_wagw_call_make(const ngx_wagw_route_t *route, ngx_str_t *instance_id, cJSON *params,
                                    const char *send_id, void (*taken)(void *maker, ngx_uint_t status, wagw_str_t body),
                                    void *maker);
/* An engine's reply op. */
void ngx_wagw_calls_reply(uint64_t serial, const wagw_result_t *r);
/* A call came with this key (ngx_wagw_calls_keys.c). */
void ngx_wagw_key_used(ngx_str_t *id);
/* Forgets day-old idempotency keys. */
void ngx_wagw_calls_prune(void);

/* ---- old messages (ngx_wagw_retention.c) ------------------------------------ */

void ngx_wagw_retention_start(void);
void ngx_wagw_retention_stop(void);
/* Its settings changed: does not wait for the next round. */
void ngx_wagw_retention_kick(ngx_wagw_instance_t *in);

/* ---- WhatsApp's client version (ngx_wagw_owner_version.c) ----------------- */

/* META record of instance 0 that keeps it. */
#define NGX_WAGW_VERSION_KEY "wa_version"

ngx_int_t ngx_wagw_version_init(ngx_wagw_main_conf_t *wmcf, wagw_client_shared_t *sh);
/* From the store: what an earlier owner learned. */
void ngx_wagw_version_stored(wagw_str_t text);
/* An instance was refused with 405: asks once, then reconnects those that were. */
void ngx_wagw_version_refused(ngx_wagw_instance_t *in);

#pragma GCC visibility pop

#endif
