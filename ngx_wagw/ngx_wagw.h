/*
 * ngx_wagw: everything that includes nginx.  Two halves that meet only in
 * frames on a unix socket (ipc) and in the read-only zone (registry):
 *
 *   workers   module, request, routes, auth, variables, ipc (client end)
 *   owner     process, ipc (server end), owner, store, socket, webhook, calls
 *
 * Workers hold no key, open no database and never block.  The owner is one
 * process, or the single process itself with `master_process off`.
 */

#ifndef NGX_WAGW_H
#define NGX_WAGW_H

#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_event.h>
#include <ngx_http.h>

#include <cjson/cJSON.h>

#include "../core/base/base.h"
#include "../core/client/client.h"
#include "../core/store/store.h"
#include "ngx_wagw_fields.h"

/* after the nginx and library headers: hides every symbol of ours */
#pragma GCC visibility push(hidden)

#define NGX_WAGW_VERSION "0.1.0"
#define NGX_WAGW_PROTO 1 /* of the frames, in the hello */
#define NGX_WAGW_OWNER_TITLE "wagw owner process"

/* Kinds of media that have a size limit of their own. */
enum {
    NGX_WAGW_SIZE_IMAGE = 0,
    NGX_WAGW_SIZE_VIDEO,
    NGX_WAGW_SIZE_AUDIO,
    NGX_WAGW_SIZE_DOCUMENT,
    NGX_WAGW_SIZE_STICKER,
    NGX_WAGW_SIZES
};

/* ---- configuration (ngx_http_wagw_module.c) ---------------------------- */

typedef struct {
    ngx_flag_t used; /* some location serves */
    ngx_str_t zone_name;
    size_t zone_size;
    ngx_shm_zone_t *zone;
    ngx_str_t state_dir; /* absolute, no trailing slash */
    ngx_str_t store;     /* "sqlite:FILE", resolved */
    ngx_str_t store_password;
    ngx_str_t encryption_key; /* 32 bytes or empty */
    ngx_flag_t master_key;    /* one was given */
    u_char master_key_hash[32];
    ngx_str_t whatsapp_url;
    ngx_flag_t whatsapp_tls;
    ngx_str_t whatsapp_host; /* for TLS and Host: */
    in_port_t whatsapp_port;
    ngx_str_t whatsapp_path;
    u_char whatsapp_root[32];
    ngx_uint_t whatsapp_version[3];
    ngx_flag_t whatsapp_version_auto;
    ngx_str_t trusted_certificate; /* empty: the system's */
    ngx_array_t *outbound_allow;   /* of ngx_cidr_t, NULL: public only */
    ngx_uint_t owner_connections;
    ngx_flag_t process_control;
    ngx_flag_t raw_messages;                                            /* /api/message/send/raw */
    ngx_uint_t webhook_signature;                                       /* bits: 1 v1, 2 hub, 4 waha */
    ngx_uint_t event_names;                                             /* 0 canonical, 1 doc */
    ngx_uint_t compat;                                                  /* 0 off, 1 seed */
    ngx_uint_t request_log;                                             /* 0 off, 1 on, 2 body */
    off_t media_limit[NGX_WAGW_SIZES], media_url_limit[NGX_WAGW_SIZES]; /* bytes */
    off_t media_keep_size[2];  /* of uploads, of received media: bytes in all */
    time_t media_keep_time[2]; /* s */
} ngx_wagw_main_conf_t;

/* ---- permissions (contract 1.2) ---------------------------------------- */

#define NGX_WAGW_PERM_READ 0x01
#define NGX_WAGW_PERM_SEND 0x02
#define NGX_WAGW_PERM_WRITE 0x04 /* implies SEND */
#define NGX_WAGW_PERM_CONTROL 0x08
#define NGX_WAGW_PERM_ADMIN 0x10 /* implies all */
#define NGX_WAGW_PERM_PUBLIC 0x00

/* ---- route table (ngx_wagw_routes.c) ------------------------------------ */

typedef struct ngx_wagw_call_s ngx_wagw_call_t;
typedef void (*ngx_wagw_call_pt)(ngx_wagw_call_t *call); /* runs in the owner */

typedef struct {
    const char *method;
    const char *path;  /* "/api/instance/:instanceId/qr" */
    const char *group; /* "instance", "root", ... */
    ngx_uint_t perm;   /* NGX_WAGW_PERM_* */
    ngx_uint_t level;
    const ngx_wagw_field_t *fields; /* body and query, ended by name NULL; may be NULL */
    ngx_wagw_call_pt handler;       /* NULL: 501 NOT_SUPPORTED */
    ngx_uint_t flags;               /* NGX_WAGW_R_* */
    const char *section;            /* of the contract */
    const char *summary;
} ngx_wagw_route_t;

#define NGX_WAGW_R_INSTANCE 0x01     /* names an instance (path or body instanceId) that must exist */
#define NGX_WAGW_R_CONNECTED 0x02    /* needs status connected: else 409 INSTANCE_NOT_CONNECTED */
#define NGX_WAGW_R_LOCAL 0x04        /* answered in the worker, handler unused: ping, /health, ... */
#define NGX_WAGW_R_IDEMPOTENT 0x08   /* honours Idempotency-Key (every POST, PUT, DELETE of ours) */
#define NGX_WAGW_R_MEDIA 0x20        /* the body may hold a file: it is not read into memory */
#define NGX_WAGW_R_OPTIONAL_KEY 0x10 /* public call that shows more with a key */

extern const ngx_wagw_route_t ngx_wagw_routes[];
extern const ngx_uint_t ngx_wagw_nroutes;

/* ---- a REST call in the owner (ngx_wagw_ipc.c makes and answers it) ------ */

struct ngx_wagw_call_s {
    uint64_t serial; /* unique in this owner, used as the engine's command id */
    void *peer;      /* connection of the worker, NULL when it went away */
    uint32_t frame_id;
    const ngx_wagw_route_t *route;
    ngx_str_t request_id;
    ngx_str_t key_id; /* "master", a key's id, or empty */
    ngx_uint_t perm;
    ngx_str_t key_instances; /* JSON array of ids, empty = all */
    ngx_str_t instance_id;   /* from path or body, or empty */
    ngx_str_t idempotency_key;
    u_char body_hash[32];
    ngx_str_t path; /* normalised, for idempotency */
    ngx_msec_t timeout;
    ngx_uint_t from_loopback; /* bit 0; bit 1: carries X-Forwarded-For/Forwarded */
    ngx_str_t accept;
    cJSON *params; /* path parameters, query and body merged, validated, defaults filled in, aliases made canonical */
    ngx_pool_t *pool;                                             /* the call's; everything above lives in it */
    ngx_event_t timer;                                            /* the owner's, for waits of its own */
    void *data;                                                   /* the handler's */
    void (*reply)(ngx_wagw_call_t *call, const wagw_result_t *r); /* the handler's: takes the engine's result instead of
                                                                     ngx_wagw_call_result(); runs inside an op */
    void (*late)(ngx_wagw_call_t *call); /* the handler's: answers when the time is over, in place of 504 */
    /* of a call that the owner made itself (ngx_wagw_call_make): who takes the answer, and the id of the message in
     * every try */
    void (*taken)(void *maker, ngx_uint_t status, wagw_str_t body);
    void *maker;
    const char *send_id;
    void *queued;               /* the queue's, of a send that it holds */
    ngx_queue_t queue;          /* the owner's list of open calls */
    void *owner;                /* the owner's: idempotency, open jobs */
    ngx_str_t message_id;       /* for $wagw_message_id, set by whoever answers */
    ngx_uint_t retry_after;     /* s, 0 none: Retry-After */
    unsigned settings_only : 1; /* the body is settings */
    unsigned replayed : 1;      /* Idempotent-Replayed: true */
};

/* Exactly one of these ends a call; it is freed. */
/* Success envelope (contract 1.4).  data: JSON or empty = {}; extra: further
 * top-level members as JSON fragment `"count":3,"pagination":{..}` or empty. */
void ngx_wagw_call_ok(ngx_wagw_call_t *call, ngx_uint_t status, wagw_str_t data, const char *message, wagw_str_t extra);
/* Error envelope (1.5).  details: JSON or empty. */
void ngx_wagw_call_fail(ngx_wagw_call_t *call, ngx_uint_t status, const char *code, const char *error,
                        wagw_str_t details);
void ngx_wagw_call_fail_retry(ngx_wagw_call_t *call, ngx_uint_t status, const char *code, const char *error,
                              wagw_str_t details, const char *hint, ngx_uint_t retry_after);
/* From an engine's result. */
void ngx_wagw_call_result(ngx_wagw_call_t *call, const wagw_result_t *r);
/* Any body: QR pictures, media. */
void ngx_wagw_call_raw(ngx_wagw_call_t *call, ngx_uint_t status, const char *content_type, wagw_str_t body);

/*
 * The four above build status, content type (NULL: JSON) and body, and give
 * them to ngx_wagw_owner_answered() (owner), which stores an idempotent answer
 * first and then calls ngx_wagw_ipc_answer() (ipc): that one writes the frame
 * with message_id, retry_after and replayed of the call, takes the call off
 * its peer, and frees its pool.  body is borrowed until return in both.
 */
void ngx_wagw_owner_answered(ngx_wagw_call_t *call, ngx_uint_t status, const char *content_type, wagw_str_t body);
void ngx_wagw_ipc_answer(ngx_wagw_call_t *call, ngx_uint_t status, const char *content_type, wagw_str_t body);

/* Owner end: called by the owner once it holds the state directory's lock;
 * listens there and hands calls to ngx_wagw_owner_call().  Worker end: ngx_wagw_ipc_send() of the request. */
ngx_int_t ngx_wagw_ipc_listen(ngx_cycle_t *cycle, ngx_wagw_main_conf_t *wmcf);
void ngx_wagw_ipc_close(void);

/* ---- registry (ngx_wagw_registry.c); only the owner writes ---------------- */

typedef struct {
    ngx_str_t id, name;
    ngx_uint_t status; /* wagw_status_t */
    ngx_str_t jid;
    uint32_t reason;
    int64_t created, connected, last_seen;
    uint64_t sent, received, webhook_failed;
    uint32_t queue;
} ngx_wagw_slot_info_t;

/* owner start, with the lock held: rebuild, everything absent.  Without the lock
 * (a second owner in standby) it is not called, so its workers ask by ipc. */
ngx_int_t ngx_wagw_registry_begin(ngx_wagw_main_conf_t *wmcf);
void ngx_wagw_registry_ready(ngx_uint_t store_open);            /* owner answers; store is open or not */
ngx_int_t ngx_wagw_registry_set(const ngx_wagw_slot_info_t *i); /* NGX_DECLINED: zone full */
void ngx_wagw_registry_remove(ngx_str_t *id);
ngx_int_t ngx_wagw_registry_key_set(const wagw_api_key_t *k); /* insert or replace by id */
void ngx_wagw_registry_key_remove(wagw_str_t id);

/* ---- owner (ngx_wagw_owner.c) -------------------------------------------- */

/* Called in the owner process (or the single process) once its loop is set up,
 * and at its end; flush takes at most ~2 s. */
ngx_int_t ngx_wagw_owner_start(ngx_cycle_t *cycle, ngx_wagw_main_conf_t *wmcf);
void ngx_wagw_owner_stop(ngx_cycle_t *cycle);
/* From ipc: takes the call.  Checks instance and state, then route->handler. */
void ngx_wagw_owner_call(ngx_wagw_call_t *call);
/* The worker that asked went away. */
void ngx_wagw_owner_call_gone(ngx_wagw_call_t *call);
/* The configuration that it goes by, hot settings included. */
const ngx_wagw_main_conf_t *ngx_wagw_owner_conf(void);
/* A reload handed over new settings (hot ones only). */
void ngx_wagw_owner_settings(ngx_cycle_t *cycle, ngx_wagw_main_conf_t *wmcf);

typedef struct ngx_wagw_instance_s ngx_wagw_instance_t;

struct ngx_wagw_instance_s {
    uint32_t num;
    ngx_str_t id, name, phone; /* malloc'ed */
    cJSON *settings, *metadata;
    ngx_uint_t active, auto_connect;
    int64_t created_ms, updated_ms;
    wagw_client_t *client;
    void *socket;         /* ngx_wagw_socket_t, NULL when closed */
    ngx_event_t timer;    /* the engine's tick */
    ngx_queue_t webhooks; /* ngx_wagw_hook_t, this instance's */
    ngx_queue_t queue;    /* all instances, by creation */
    ngx_str_node_t node;  /* lookup by id */
    unsigned deleting : 1;
    void *sends; /* its queue (ngx_wagw_queue.c), NULL: nothing waits */

    /* the driver's own */
    ngx_queue_t dirty;     /* registry slot to be written this turn */
    ngx_queue_t start;     /* waits for its staggered start */
    ngx_str_t jid;         /* as stored, until the engine knows better; malloc'ed */
    int64_t tick_at;       /* what the engine's timer is set to */
    uint32_t jobs;         /* store jobs that will come back */
    uint32_t works;        /* the same of tasks on other threads */
    uint32_t epoch;        /* of batches; a failed one fails the rest of its epoch */
    uint32_t failed_epoch; /* the store thread's */
    unsigned is_dirty : 1;
    unsigned open_failed : 1;
    unsigned is_starting : 1;
};

/* Makes the engine and the registry slot of a stored row (at start, and after
 * wagw_store_instance_create).  A linked one with auto_connect is connected
 * when its turn comes; a new one is not.  NULL: no memory (503 CAPACITY). */
ngx_wagw_instance_t *ngx_wagw_instance_make(const wagw_instance_t *row);
/* Closes it, answers its open commands, removes the slot.  `in` is gone. */
void ngx_wagw_instance_drop(ngx_wagw_instance_t *in);
/* Settings, name or phone changed: tells engine and registry. */
void ngx_wagw_instance_conf(ngx_wagw_instance_t *in);
ngx_wagw_instance_t *ngx_wagw_instance_find(const u_char *id, size_t len);
/* The instance of a call that has NGX_WAGW_R_INSTANCE, already checked. */
ngx_wagw_instance_t *ngx_wagw_call_instance(ngx_wagw_call_t *call);
/* Each instance in order of creation. */
ngx_queue_t *ngx_wagw_instances(void);
/* Gives the call to the engine; the reply goes to the caller by itself. */
void ngx_wagw_call_command(ngx_wagw_call_t *call, wagw_cmd_t cmd);
/* fn on the loop's next round, unless the call has ended by then: a reply runs inside of the engine, which cannot be
 * given the next command there.  One at a time. */
void ngx_wagw_call_later(ngx_wagw_call_t *call, ngx_wagw_call_pt fn);
wagw_client_shared_t *ngx_wagw_shared(void);
int64_t ngx_wagw_now_ms(void);

/* ---- store thread (ngx_wagw_store.c) ------------------------------------- */

/*
 * Jobs run in order on one thread.  A `write` job and an engine's batch join
 * the running group transaction; done() is called on the loop after it is
 * durable (rc WAGW_OK) or was rolled back (WAGW_IO).
 */
typedef struct ngx_wagw_job_s ngx_wagw_job_t;
struct ngx_wagw_job_s {
    int (*run)(wagw_store_t *s, ngx_wagw_job_t *job); /* on the thread; its rc is kept */
    void (*done)(ngx_wagw_job_t *job);                /* on the loop */
    void (*lost)(ngx_wagw_job_t *job);                /* on the thread: not made durable; may be NULL */
    unsigned write : 1;
    unsigned again : 1; /* run() may be called once more after a rollback */
    unsigned lazy : 1;  /* not worth a transaction of its own: joins the next one, within 20 ms */
    unsigned ran : 1;   /* the thread's */
    int rc;             /* of run(), or WAGW_IO when the commit failed */
    void *data;
    ngx_wagw_job_t *next;
};

/* Opens in the background and tries again while that fails; `opened` is called
 * on the loop once it is open. */
ngx_int_t ngx_wagw_store_start(ngx_cycle_t *cycle, ngx_wagw_main_conf_t *wmcf, void (*opened)(void));
void ngx_wagw_store_stop(void); /* drains the queue, calls what is done, ends the thread */
void ngx_wagw_store_post(ngx_wagw_job_t *job);
/* What was posted goes to the thread now, not at the end of the loop's round:
 * for posts from outside a round. */
void ngx_wagw_store_hand_over(void);
ngx_uint_t ngx_wagw_store_is_open(void);
/* For a handler: runs `run` on the store thread with the call as job->data and
 * then `done`; the call may have lost its worker meanwhile (answering is still right). */
void ngx_wagw_call_store(ngx_wagw_call_t *call, ngx_uint_t write, int (*run)(wagw_store_t *s, ngx_wagw_job_t *job),
                         void (*done)(ngx_wagw_job_t *job));

/* ---- WebSocket client (ngx_wagw_socket.c) --------------------------------- */

/* Used by the owner's driver: opens for the instance; calls
 * wagw_client_opened / received / closed from events of the loop. */
ngx_int_t ngx_wagw_socket_init(ngx_cycle_t *cycle, ngx_wagw_main_conf_t *wmcf);
void ngx_wagw_socket_open(ngx_wagw_instance_t *in);
void ngx_wagw_socket_send(ngx_wagw_instance_t *in,
                          wagw_str_t bytes);         /* one binary message; buffered, one write per loop turn */
void ngx_wagw_socket_close(ngx_wagw_instance_t *in); /* silent for the client */

/* ---- webhooks (ngx_wagw_webhook.c) ---------------------------------------- */

typedef struct {
    wagw_webhook_t w;    /* strings malloc'ed, owned */
    cJSON *events;       /* parsed, NULL = all */
    ngx_queue_t queue;   /* in the instance, or the global list */
    ngx_uint_t failures; /* consecutive, for the breaker */
} ngx_wagw_hook_t;

ngx_int_t ngx_wagw_webhook_init(ngx_cycle_t *cycle, ngx_wagw_main_conf_t *wmcf);
void ngx_wagw_webhook_done(void);
/* From the owner, before a batch goes to the store: for each event op adds a
 * DELIVERY op per matching hook. */
void ngx_wagw_webhook_expand(ngx_wagw_instance_t *in, wagw_batch_t *batch);
/* From the owner, when such a batch is durable: deliver. */
void ngx_wagw_webhook_kick(void);
/* Loads hooks at owner start (on the loop, from rows read by the store). */
ngx_wagw_hook_t *ngx_wagw_webhook_add(const wagw_webhook_t *w); /* insert or replace by id */
void ngx_wagw_webhook_remove(wagw_str_t id);
ngx_queue_t *ngx_wagw_webhook_global(void);
/* Outbound-address policy: NGX_OK when the address may be reached. */
ngx_int_t ngx_wagw_outbound_allowed(ngx_wagw_main_conf_t *wmcf, struct sockaddr *sa);

/* ---- handlers by resource (ngx_wagw_calls_*.c) ---------------------------- */

#define NGX_WAGW_HANDLER(name) void ngx_wagw_call_##name(ngx_wagw_call_t *call)

NGX_WAGW_HANDLER(key_create);
NGX_WAGW_HANDLER(keys_list);
NGX_WAGW_HANDLER(key_get);
NGX_WAGW_HANDLER(key_update);
NGX_WAGW_HANDLER(key_delete);
NGX_WAGW_HANDLER(instance_create);
NGX_WAGW_HANDLER(instance_list);
NGX_WAGW_HANDLER(instance_get);
NGX_WAGW_HANDLER(instance_status);
NGX_WAGW_HANDLER(instance_qr);
NGX_WAGW_HANDLER(instance_pairing_code);
NGX_WAGW_HANDLER(instance_pairing_code_get);
NGX_WAGW_HANDLER(instance_info);
NGX_WAGW_HANDLER(instance_update);
NGX_WAGW_HANDLER(instance_restart);
NGX_WAGW_HANDLER(instance_logout);
NGX_WAGW_HANDLER(instance_delete);
NGX_WAGW_HANDLER(instance_connect);
NGX_WAGW_HANDLER(instance_disconnect);
NGX_WAGW_HANDLER(instance_webhook_list);
NGX_WAGW_HANDLER(instance_webhook_put);
NGX_WAGW_HANDLER(send_text);
NGX_WAGW_HANDLER(send_image);
NGX_WAGW_HANDLER(send_file);
NGX_WAGW_HANDLER(send_voice);
NGX_WAGW_HANDLER(send_audio);
NGX_WAGW_HANDLER(send_video);
NGX_WAGW_HANDLER(send_video_note);
NGX_WAGW_HANDLER(send_sticker);
NGX_WAGW_HANDLER(send_media);
NGX_WAGW_HANDLER(message_media);
NGX_WAGW_HANDLER(send_link_preview);
NGX_WAGW_HANDLER(send_list);
NGX_WAGW_HANDLER(send_buttons);
NGX_WAGW_HANDLER(send_poll);
NGX_WAGW_HANDLER(send_poll_vote);
NGX_WAGW_HANDLER(send_location);
NGX_WAGW_HANDLER(send_live_location);
NGX_WAGW_HANDLER(send_contact);
NGX_WAGW_HANDLER(send_event);
NGX_WAGW_HANDLER(send_bulk);
NGX_WAGW_HANDLER(settings_get);
NGX_WAGW_HANDLER(settings_put);
NGX_WAGW_HANDLER(rate_limit_get);
NGX_WAGW_HANDLER(rate_limit_put);
NGX_WAGW_HANDLER(rate_limit_reset);
NGX_WAGW_HANDLER(instance_stats);
NGX_WAGW_HANDLER(instance_webhook_delete);
NGX_WAGW_HANDLER(send_template);
NGX_WAGW_HANDLER(template_list);
NGX_WAGW_HANDLER(template_create);
NGX_WAGW_HANDLER(template_get);
NGX_WAGW_HANDLER(template_update);
NGX_WAGW_HANDLER(template_delete);
NGX_WAGW_HANDLER(template_render);
NGX_WAGW_HANDLER(schedule_list);
NGX_WAGW_HANDLER(schedule_create);
NGX_WAGW_HANDLER(schedule_get);
NGX_WAGW_HANDLER(schedule_update);
NGX_WAGW_HANDLER(schedule_delete);
NGX_WAGW_HANDLER(schedule_run);
NGX_WAGW_HANDLER(queue_get);
NGX_WAGW_HANDLER(queue_pause);
NGX_WAGW_HANDLER(queue_resume);
NGX_WAGW_HANDLER(queue_clear);
NGX_WAGW_HANDLER(queue_job_get);
NGX_WAGW_HANDLER(queue_job_cancel);
NGX_WAGW_HANDLER(event_respond);
NGX_WAGW_HANDLER(event_cancel);
NGX_WAGW_HANDLER(send_product);
NGX_WAGW_HANDLER(send_raw);
NGX_WAGW_HANDLER(chat_send);
NGX_WAGW_HANDLER(status_text);
NGX_WAGW_HANDLER(status_image);
NGX_WAGW_HANDLER(status_voice);
NGX_WAGW_HANDLER(status_video);
NGX_WAGW_HANDLER(status_delete);
NGX_WAGW_HANDLER(status_list);
NGX_WAGW_HANDLER(status_views);
NGX_WAGW_HANDLER(status_seen);
NGX_WAGW_HANDLER(status_privacy_get);
NGX_WAGW_HANDLER(status_privacy_put);
NGX_WAGW_HANDLER(message_pin);
NGX_WAGW_HANDLER(message_unpin);
NGX_WAGW_HANDLER(message_keep);
NGX_WAGW_HANDLER(message_put);
NGX_WAGW_HANDLER(message_votes);
NGX_WAGW_HANDLER(chat_ephemeral);
NGX_WAGW_HANDLER(media_convert_voice);
NGX_WAGW_HANDLER(media_convert_video);
NGX_WAGW_HANDLER(media_upload);
NGX_WAGW_HANDLER(media_uploaded_get);
NGX_WAGW_HANDLER(media_uploaded_delete);
NGX_WAGW_HANDLER(media_download);
NGX_WAGW_HANDLER(message_forward);
NGX_WAGW_HANDLER(message_seen);
NGX_WAGW_HANDLER(message_read);
NGX_WAGW_HANDLER(typing_start);
NGX_WAGW_HANDLER(typing_stop);
NGX_WAGW_HANDLER(typing);
NGX_WAGW_HANDLER(message_presence);
NGX_WAGW_HANDLER(reaction_put);
NGX_WAGW_HANDLER(reaction_delete);
NGX_WAGW_HANDLER(message_edit);
NGX_WAGW_HANDLER(message_revoke);
NGX_WAGW_HANDLER(message_chats);
NGX_WAGW_HANDLER(message_chat);
NGX_WAGW_HANDLER(message_all);
NGX_WAGW_HANDLER(message_get);
NGX_WAGW_HANDLER(message_receipts);
NGX_WAGW_HANDLER(message_reactions);
NGX_WAGW_HANDLER(message_delete);
NGX_WAGW_HANDLER(chats_list);
NGX_WAGW_HANDLER(chats_overview);
NGX_WAGW_HANDLER(chats_get);
NGX_WAGW_HANDLER(chats_messages);
NGX_WAGW_HANDLER(chats_pinned);
NGX_WAGW_HANDLER(chats_media);
NGX_WAGW_HANDLER(chats_read);
NGX_WAGW_HANDLER(chats_message_get);
NGX_WAGW_HANDLER(chats_message_delete);
NGX_WAGW_HANDLER(chats_message_put);
NGX_WAGW_HANDLER(message_star);
NGX_WAGW_HANDLER(chat_archive);
NGX_WAGW_HANDLER(chat_unarchive);
NGX_WAGW_HANDLER(chat_pin);
NGX_WAGW_HANDLER(chat_unpin);
NGX_WAGW_HANDLER(chat_mute);
NGX_WAGW_HANDLER(chat_unmute);
NGX_WAGW_HANDLER(chat_unread);
NGX_WAGW_HANDLER(chat_delete);
NGX_WAGW_HANDLER(chat_clear);
NGX_WAGW_HANDLER(contact_update);
NGX_WAGW_HANDLER(contact_put);
NGX_WAGW_HANDLER(contact_delete);
NGX_WAGW_HANDLER(profile_name);
NGX_WAGW_HANDLER(instance_history_sync);
NGX_WAGW_HANDLER(groups);
NGX_WAGW_HANDLER(groups_count);
NGX_WAGW_HANDLER(groups_refresh);
NGX_WAGW_HANDLER(group_get);
NGX_WAGW_HANDLER(group_participants);
NGX_WAGW_HANDLER(group_settings_get);
NGX_WAGW_HANDLER(group_restrict_get);
NGX_WAGW_HANDLER(group_announce_get);
NGX_WAGW_HANDLER(group_export);
NGX_WAGW_HANDLER(group_create);
NGX_WAGW_HANDLER(group_look);
NGX_WAGW_HANDLER(group_join);
NGX_WAGW_HANDLER(group_accept_message);
NGX_WAGW_HANDLER(group_leave);
NGX_WAGW_HANDLER(group_delete);
NGX_WAGW_HANDLER(group_code);
NGX_WAGW_HANDLER(group_code_reset);
NGX_WAGW_HANDLER(group_name);
NGX_WAGW_HANDLER(group_subject);
NGX_WAGW_HANDLER(group_description);
NGX_WAGW_HANDLER(group_settings_put);
NGX_WAGW_HANDLER(group_restrict_put);
NGX_WAGW_HANDLER(group_announce_put);
NGX_WAGW_HANDLER(group_add);
NGX_WAGW_HANDLER(group_remove);
NGX_WAGW_HANDLER(group_promote);
NGX_WAGW_HANDLER(group_demote);
NGX_WAGW_HANDLER(group_requests);
NGX_WAGW_HANDLER(group_approve);
NGX_WAGW_HANDLER(group_reject);
NGX_WAGW_HANDLER(group_send);
NGX_WAGW_HANDLER(group_invite);
NGX_WAGW_HANDLER(labels);
NGX_WAGW_HANDLER(label_create);
NGX_WAGW_HANDLER(label_update);
NGX_WAGW_HANDLER(label_delete);
NGX_WAGW_HANDLER(labels_of_chat);
NGX_WAGW_HANDLER(label_chats);
NGX_WAGW_HANDLER(labels_set);
NGX_WAGW_HANDLER(new_message_id);
NGX_WAGW_HANDLER(check_exists);
NGX_WAGW_HANDLER(check_exists_many);
NGX_WAGW_HANDLER(contacts_all);
NGX_WAGW_HANDLER(contacts_get);
NGX_WAGW_HANDLER(lids);
NGX_WAGW_HANDLER(lids_count);
NGX_WAGW_HANDLER(lid_get);
NGX_WAGW_HANDLER(lid_of);
NGX_WAGW_HANDLER(presence_set);
NGX_WAGW_HANDLER(presence_list);
NGX_WAGW_HANDLER(presence_get);
NGX_WAGW_HANDLER(presence_subscribe);
NGX_WAGW_HANDLER(calls_list);
NGX_WAGW_HANDLER(call_reject);
NGX_WAGW_HANDLER(blocklist);
NGX_WAGW_HANDLER(picture);
NGX_WAGW_HANDLER(contact_about);
NGX_WAGW_HANDLER(contact_block);
NGX_WAGW_HANDLER(contact_unblock);
NGX_WAGW_HANDLER(profile_get);
NGX_WAGW_HANDLER(profile_status);
NGX_WAGW_HANDLER(profile_picture);
NGX_WAGW_HANDLER(profile_picture_delete);
NGX_WAGW_HANDLER(privacy_get);
NGX_WAGW_HANDLER(privacy_put);
NGX_WAGW_HANDLER(profile_qr_link);
NGX_WAGW_HANDLER(business_get);
NGX_WAGW_HANDLER(business_put);
NGX_WAGW_HANDLER(group_picture);
NGX_WAGW_HANDLER(group_picture_put);
NGX_WAGW_HANDLER(group_picture_delete);
NGX_WAGW_HANDLER(webhook_test);
NGX_WAGW_HANDLER(webhook_logs);
NGX_WAGW_HANDLER(webhook_log_get);
NGX_WAGW_HANDLER(webhook_retry);
NGX_WAGW_HANDLER(webhook_stats);
NGX_WAGW_HANDLER(webhook_logs_delete);
NGX_WAGW_HANDLER(observability_health);
NGX_WAGW_HANDLER(observability_version);
NGX_WAGW_HANDLER(observability_environment);
NGX_WAGW_HANDLER(observability_status);
NGX_WAGW_HANDLER(health);

#pragma GCC visibility pop

#endif
