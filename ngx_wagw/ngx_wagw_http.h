/*
 * The worker half: what its files share.  A request goes
 *
 *     preaccess  route, key, 501, rate limit, body      (ngx_wagw_request.c)
 *     ...        nginx's own limits and access checks
 *     content    preflight, instance, fields, state, owner
 *
 * A refusal found early is kept in the context and sent in the content phase,
 * so that limit_req and auth_request see refused requests too.
 */

#ifndef NGX_WAGW_HTTP_H
#define NGX_WAGW_HTTP_H

#include "ngx_wagw.h"
#include "ngx_wagw_frame.h"
#include "ngx_wagw_routes.h"

#pragma GCC visibility push(hidden)

extern ngx_module_t ngx_http_wagw_module;

typedef enum { NGX_WAGW_CORS_OFF = 0, NGX_WAGW_CORS_ANY, NGX_WAGW_CORS_LIST } ngx_wagw_cors_t;

typedef struct {
    ngx_uint_t serve;              /* 0 off, 1 all, 2 the groups */
    ngx_array_t *groups;           /* of ngx_str_t */
    const ngx_wagw_route_t *place; /* wagw_metrics and the like: this row, whatever the path */
    ngx_uint_t rate;               /* requests in the window, 0 off */
    ngx_uint_t window;             /* s */
    ngx_msec_t timeout;
    ngx_flag_t auth;
    ngx_flag_t query_key;
    ngx_uint_t cors;      /* ngx_wagw_cors_t */
    ngx_array_t *origins; /* of ngx_str_t */
} ngx_wagw_loc_conf_t;

/* ---- registry, the readers' side (ngx_wagw_registry.c) ------------------- */

ngx_int_t ngx_wagw_zone_init(ngx_shm_zone_t *zone, void *old);

#define NGX_WAGW_ZONE_BEGUN 0x01    /* an owner rebuilds or has rebuilt it */
#define NGX_WAGW_ZONE_COMPLETE 0x02 /* what is not here does not exist */
#define NGX_WAGW_ZONE_STORE 0x04    /* the owner's store is open */
#define NGX_WAGW_ZONE_READY 0x08    /* the owner has said so */

ngx_uint_t ngx_wagw_zone_state(ngx_shm_zone_t *zone);
/* A new owner process: how long it waits (ms) when its forerunners died young. */
ngx_msec_t ngx_wagw_zone_start(ngx_shm_zone_t *zone);

typedef struct {
    u_char id[64];
    ngx_uint_t status;
} ngx_wagw_slot_view_t;

/* NGX_OK, NGX_DECLINED: there is none, NGX_AGAIN: only the owner knows. */
ngx_int_t ngx_wagw_registry_find(ngx_shm_zone_t *zone, ngx_str_t *id, ngx_wagw_slot_view_t *v);

typedef struct {
    ngx_str_t id;
    ngx_uint_t perm;
    ngx_uint_t active;
    int64_t expires_ms;  /* 0 never */
    ngx_str_t instances; /* JSON array or empty */
    ngx_str_t ip_allow;  /* JSON array or empty */
} ngx_wagw_key_t;

/* As above, by SHA-256; strings are copied into pool. */
ngx_int_t ngx_wagw_registry_key_find(ngx_shm_zone_t *zone, const u_char hash[32], ngx_pool_t *pool, ngx_wagw_key_t *k);
/* The owner's process, before its start: registry_ready() works from here on. */
void ngx_wagw_registry_attach(ngx_wagw_main_conf_t *wmcf);
/* In the owner, which also knows the keys that did not fit. */
ngx_int_t ngx_wagw_registry_key_ask(const u_char hash[32], ngx_pool_t *pool, ngx_wagw_key_t *k);
/* There is certainly no key. */
ngx_uint_t ngx_wagw_registry_no_keys(ngx_shm_zone_t *zone);

/* The fixed window of one key under one limit; counts this request. */
typedef struct {
    ngx_uint_t limit, remaining, reset, window;
    ngx_uint_t refused;
} ngx_wagw_rate_t;

void ngx_wagw_rate_count(ngx_shm_zone_t *zone, ngx_str_t *key_id, ngx_uint_t limit, ngx_uint_t window, time_t now,
                         ngx_wagw_rate_t *r);

/* ---- ipc, the workers' end (ngx_wagw_ipc_client.c) ------------------------ */

typedef struct ngx_wagw_waiter_s ngx_wagw_waiter_t;

typedef struct {
    ngx_uint_t op;
    ngx_uint_t flags;
    ngx_uint_t status;
    ngx_uint_t retry_after;
    ngx_str_t message_id, content_type;
    wagw_buf_t body;         /* message id, content type, body proper; taken over by setting it to zero */
    ngx_wagw_frame_t *frame; /* of another op than REPLY */
} ngx_wagw_reply_t;

/* rc: NGX_OK, NGX_DECLINED no owner (never came or died), NGX_BUSY over the
 * back-pressure limit, NGX_ABORT it did not answer in time. */
typedef void (*ngx_wagw_waiter_pt)(ngx_wagw_waiter_t *w, ngx_int_t rc, ngx_wagw_reply_t *reply);

struct ngx_wagw_waiter_s {
    ngx_wagw_waiter_pt handler; /* called at most once, not after _forget() */
    void *data;
    ngx_msec_t timeout;      /* from being sent to the answer */
    unsigned background : 1; /* does not keep a quitting worker alive */

    /* private */
    ngx_queue_t queue;
    ngx_event_t timer;
    wagw_buf_t frame;
    size_t sent;
    uint32_t id;
    unsigned state : 3;
    ngx_wagw_reply_t reply;
};

/* The frame is taken over; its id is filled in.  Before the owner is there the
 * waiter waits for it, up to 2 s.  Never calls the handler by itself. */
ngx_int_t ngx_wagw_ipc_send(ngx_wagw_waiter_t *w, wagw_buf_t *frame);
void ngx_wagw_ipc_forget(ngx_wagw_waiter_t *w);
ngx_int_t ngx_wagw_ipc_client_init(ngx_cycle_t *cycle, ngx_wagw_main_conf_t *wmcf);
void ngx_wagw_ipc_client_exit(ngx_cycle_t *cycle);
/* Worker 0 after a reload: the new hot settings go to our owner. */
void ngx_wagw_ipc_client_settings(ngx_wagw_main_conf_t *wmcf, ngx_pid_t owner);

/* ---- processes (ngx_wagw_process.c) ---------------------------------------- */

ngx_int_t ngx_wagw_process_register(ngx_cycle_t *cycle, ngx_wagw_main_conf_t *wmcf);
ngx_int_t ngx_wagw_process_init(ngx_cycle_t *cycle, ngx_wagw_main_conf_t *wmcf);
void ngx_wagw_process_exit(ngx_cycle_t *cycle, ngx_wagw_main_conf_t *wmcf);

/* ---- a request ------------------------------------------------------------- */

typedef enum {
    NGX_WAGW_ST_NEW = 0,
    NGX_WAGW_ST_KEY,   /* waits for the owner to know the key */
    NGX_WAGW_ST_LIMIT, /* key accepted */
    NGX_WAGW_ST_BODY,  /* being read */
    NGX_WAGW_ST_READY, /* for the content phase */
    NGX_WAGW_ST_ASKED  /* the owner has it */
} ngx_wagw_state_t;

typedef struct {
    ngx_uint_t state;
    ngx_http_request_t *request;
    ngx_wagw_match_t match;
    ngx_str_t path;
    ngx_str_t request_id;
    ngx_wagw_key_t key; /* perm is complete: implied bits are set */
    u_char key_hash[32];
    ngx_str_t instance_id;
    ngx_str_t idempotency_key;
    u_char body_hash[32];
    cJSON *params;
    ngx_str_t message_id;
    ngx_msec_t asked;        /* ngx_current_msec, 0 not yet */
    ngx_msec_int_t owner_ms; /* -1 not known */
    ngx_wagw_rate_t rate;
    ngx_uint_t retry_after;

    /* a refusal found before the content phase */
    ngx_uint_t status;
    const char *code;
    const char *error;
    const char *hint;
    ngx_str_t details;

    unsigned answered : 1; /* the response is ours: the filters leave its body alone */
    unsigned replaced : 1; /* nginx's own page gives way to `out` */
    unsigned replayed : 1;
    unsigned preflight : 1;
    unsigned suspended : 1; /* the body is being read, the phases wait */
    unsigned headers : 1;   /* our headers are in */
    unsigned have_rate : 1;
    ngx_str_t out; /* with `replaced` */
    ngx_wagw_waiter_t waiter;
    void *sending; /* ngx_wagw_media_send.c */
} ngx_wagw_ctx_t;

/* ngx_wagw_request.c */
ngx_int_t ngx_wagw_preaccess_handler(ngx_http_request_t *r);
ngx_int_t ngx_wagw_content_handler(ngx_http_request_t *r);

/* ngx_wagw_auth.c: NGX_OK, NGX_DECLINED (refusal noted in ctx), NGX_AGAIN (the
 * owner must be asked for ctx->key_hash). */
ngx_int_t ngx_wagw_auth(ngx_http_request_t *r, ngx_wagw_ctx_t *ctx);
/* With ctx->key found (or NULL: not known). */
ngx_int_t ngx_wagw_auth_key(ngx_http_request_t *r, ngx_wagw_ctx_t *ctx, ngx_wagw_key_t *k);
/* A key bound to instances sees only these. */
ngx_uint_t ngx_wagw_auth_sees(ngx_wagw_ctx_t *ctx, ngx_str_t *instance);
ngx_uint_t ngx_wagw_from_loopback(ngx_http_request_t *r);

/* ngx_wagw_body.c: path parameters, query and body into ctx->params.  NGX_OK,
 * NGX_DECLINED (noted in ctx), NGX_ERROR. */
ngx_int_t ngx_wagw_params(ngx_http_request_t *r, ngx_wagw_ctx_t *ctx);
ngx_int_t ngx_wagw_refuse_json(ngx_wagw_ctx_t *ctx, ngx_wagw_json_rc_t rc);
/* ngx_wagw_spool.c: the same for a body that nginx has put into a file; what
 * stays there is described in *spool.  NGX_DONE: it is not for this. */
ngx_int_t ngx_wagw_spool(ngx_http_request_t *r, ngx_wagw_ctx_t *ctx, ngx_str_t *type, cJSON **spool);
/* ngx_wagw_media_send.c: answers with a file of the owner's. */
#define NGX_WAGW_FILE_TYPE "wagw/file" /* content type of such a reply; its body is JSON */
ngx_int_t ngx_wagw_media_send(ngx_http_request_t *r, ngx_wagw_ctx_t *ctx, ngx_str_t *description);

/* ngx_wagw_reply.c */
#define NGX_WAGW_JSON_TYPE "application/json; charset=utf-8"

/* Notes a refusal and returns NGX_DECLINED.  details: JSON, may be empty. */
ngx_int_t ngx_wagw_refuse(ngx_wagw_ctx_t *ctx, ngx_uint_t status, const char *code, const char *error);
ngx_int_t ngx_wagw_refuse_field(ngx_wagw_ctx_t *ctx, const char *code, const char *field, const char *reason);
/* Sends the noted refusal; result for ngx_http_finalize_request(). */
ngx_int_t ngx_wagw_send_refusal(ngx_http_request_t *r, ngx_wagw_ctx_t *ctx);
/* Sends a body, which must live as long as the request. */
ngx_int_t ngx_wagw_send(ngx_http_request_t *r, ngx_wagw_ctx_t *ctx, ngx_uint_t status, ngx_str_t *type,
                        ngx_str_t *body);
/* The error envelope of contract 1.5 in pool; extra: further members or empty. */
ngx_int_t ngx_wagw_error_body(ngx_pool_t *pool, ngx_wagw_ctx_t *ctx, ngx_str_t *extra, ngx_str_t *out);
ngx_int_t ngx_wagw_reply_init(ngx_conf_t *cf);

/* ngx_wagw_context.c: the request's context, made on first use; request id and variables */
ngx_wagw_ctx_t *ngx_wagw_context(ngx_http_request_t *r);
ngx_int_t ngx_wagw_variables_add(ngx_conf_t *cf);
ngx_table_elt_t *ngx_wagw_header(ngx_http_request_t *r, const char *name);

/* ngx_wagw_local.c: rows answered in the worker */
/* OpenAPI 3 of the route table, appended; WAGW_NOMEM. */
int ngx_wagw_openapi(wagw_buf_t *out);
ngx_int_t ngx_wagw_local(ngx_http_request_t *r, ngx_wagw_ctx_t *ctx);

/* ngx_wagw_directives.c */
char *ngx_wagw_conf_zone(ngx_conf_t *cf, ngx_command_t *cmd, void *conf);
char *ngx_wagw_conf_state_dir(ngx_conf_t *cf, ngx_command_t *cmd, void *conf);
char *ngx_wagw_conf_store(ngx_conf_t *cf, ngx_command_t *cmd, void *conf);
char *ngx_wagw_conf_store_password(ngx_conf_t *cf, ngx_command_t *cmd, void *conf);
char *ngx_wagw_conf_api_key(ngx_conf_t *cf, ngx_command_t *cmd, void *conf);
char *ngx_wagw_conf_encryption_key(ngx_conf_t *cf, ngx_command_t *cmd, void *conf);
char *ngx_wagw_conf_whatsapp_url(ngx_conf_t *cf, ngx_command_t *cmd, void *conf);
char *ngx_wagw_conf_whatsapp_root(ngx_conf_t *cf, ngx_command_t *cmd, void *conf);
char *ngx_wagw_conf_whatsapp_version(ngx_conf_t *cf, ngx_command_t *cmd, void *conf);
char *ngx_wagw_conf_trusted(ngx_conf_t *cf, ngx_command_t *cmd, void *conf);
char *ngx_wagw_conf_outbound_allow(ngx_conf_t *cf, ngx_command_t *cmd, void *conf);
char *ngx_wagw_conf_media_limit(ngx_conf_t *cf, ngx_command_t *cmd, void *conf);
char *ngx_wagw_conf_media_keep(ngx_conf_t *cf, ngx_command_t *cmd, void *conf);
char *ngx_wagw_conf_signature(ngx_conf_t *cf, ngx_command_t *cmd, void *conf);
char *ngx_wagw_conf_serve(ngx_conf_t *cf, ngx_command_t *cmd, void *conf);
char *ngx_wagw_conf_place(ngx_conf_t *cf, ngx_command_t *cmd, void *conf);
char *ngx_wagw_conf_rate(ngx_conf_t *cf, ngx_command_t *cmd, void *conf);
char *ngx_wagw_conf_cors(ngx_conf_t *cf, ngx_command_t *cmd, void *conf);
/* Defaults that need the whole block: state directory, store, URL, version. */
char *ngx_wagw_conf_complete(ngx_conf_t *cf, ngx_wagw_main_conf_t *wmcf);

#pragma GCC visibility pop

#endif
