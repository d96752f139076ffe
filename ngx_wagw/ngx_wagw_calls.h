/*
 * What the handlers (ngx_wagw_calls_*.c) share.  Handlers run in the owner and
 * are thin: parameters -> engine command or store job -> contract answer.
 */

#ifndef NGX_WAGW_CALLS_H
#define NGX_WAGW_CALLS_H

#include "ngx_wagw.h"

#pragma GCC visibility push(hidden)

/* ---- parameters (validated already; these only fetch) ---------------------- */

/* Text, or an empty view. */
wagw_str_t ngx_wagw_param_str(ngx_wagw_call_t *call, const char *name);
int64_t ngx_wagw_param_int(ngx_wagw_call_t *call, const char *name, int64_t dflt);
/* 0, 1, or -1 when absent. */
int ngx_wagw_param_bool(ngx_wagw_call_t *call, const char *name);
/* ms since 1970, 0 when absent or not a time. */
int64_t ngx_wagw_param_time(ngx_wagw_call_t *call, const char *name);
cJSON *ngx_wagw_param(ngx_wagw_call_t *call, const char *name);
/* o as JSON text in the call's pool; NGX_ERROR without memory. */
ngx_int_t ngx_wagw_call_json(ngx_wagw_call_t *call, const cJSON *o, wagw_str_t *out);
/* Adds or replaces a text parameter. */
void ngx_wagw_param_set(ngx_wagw_call_t *call, const char *name, const char *value);

/* ---- answers ---------------------------------------------------------------- */

/* 400 VALIDATION_FAILED with details.fields. */
void ngx_wagw_call_invalid(ngx_wagw_call_t *call, const char *field, const char *reason);
/* Seconds of a disappearing timer as WhatsApp's clients offer them (0 off);
 * false: the call was answered. */
bool ngx_wagw_call_timer(ngx_wagw_call_t *call, const char *field, int64_t seconds);
/* 503 DB_UNAVAILABLE: a store job came back with something unexpected. */
void ngx_wagw_call_store_failed(ngx_wagw_call_t *call);
/* data and message, 200; frees the buffer. */
void ngx_wagw_call_data(ngx_wagw_call_t *call, ngx_uint_t status, wagw_buf_t *data, const char *message);

/* A reply of the engine as it is, with `count` of its list or map beside it. */
void ngx_wagw_call_counted(ngx_wagw_call_t *call, const wagw_result_t *r);

/* A listing: data is the array; count, total (UINT64_MAX unknown) and
 * pagination go to the top level.  Frees the buffers. */
typedef struct {
    wagw_buf_t json;
    wagw_buf_t next_cursor;
    uint32_t count;
    uint64_t total;
    bool more;
    uint32_t limit, offset;
    unsigned paginated : 1;
} ngx_wagw_list_t;

void ngx_wagw_call_list(ngx_wagw_call_t *call, ngx_wagw_list_t *list, const char *message);
void ngx_wagw_list_free(ngx_wagw_list_t *list);
/* limit (1..500, dflt when absent) and offset. */
void ngx_wagw_list_page(ngx_wagw_call_t *call, ngx_wagw_list_t *list, uint32_t dflt);

/* Looks up the chat of `messageId` into `field` when the caller did not name it,
 * then gives the command to the engine; 404 MESSAGE_NOT_FOUND. */
void ngx_wagw_call_command_at(ngx_wagw_call_t *call, wagw_cmd_t cmd, const char *field);

/* Zeroed memory of the call's pool, in call->data too; answers 500 and returns
 * NULL without memory. */
void *ngx_wagw_call_ctx(ngx_wagw_call_t *call, size_t size);

/* n (at most 32) random bytes, which are the same in every try of an idempotent
 * call; `what` and `at` tell apart what one call needs several of. */
bool ngx_wagw_call_bytes(ngx_wagw_call_t *call, const char *what, uint32_t at, u_char *out, size_t n);
bool ngx_wagw_call_uuid(ngx_wagw_call_t *call, const char *what, char id[37]);

/* The key of the call may see this instance. */
ngx_uint_t ngx_wagw_call_sees(ngx_wagw_call_t *call, ngx_str_t *instance_id);

/* Owner start: the uptime counts from here. */
void ngx_wagw_calls_started(void);
/* A master key is configured. */
ngx_uint_t ngx_wagw_calls_master_key(void);
/* At most so many instances (wagw_owner_connections). */
ngx_uint_t ngx_wagw_calls_instance_limit(void);
/* UUID v4 text, NUL-terminated. */
void ngx_wagw_uuid(char out[37]);

/* ---- API keys (ngx_wagw_calls_key.c) -------------------------------------------- */

void ngx_wagw_key_permissions_json(wagw_json_t *j, uint32_t bits);
/* Parameters permissions and instanceIds; NGX_DECLINED: answered. */
ngx_int_t ngx_wagw_key_permissions(ngx_wagw_call_t *call, uint32_t *bits);
ngx_int_t ngx_wagw_key_instances(ngx_wagw_call_t *call, wagw_str_t *out);

/* ---- pictures of a QR code (ngx_wagw_qr.c) -------------------------------------- */

/* size: wanted edge in pixels, 0 = natural.  Appends. */
int ngx_wagw_qr_png(wagw_buf_t *out, wagw_str_t text, ngx_uint_t size);
int ngx_wagw_qr_svg(wagw_buf_t *out, wagw_str_t text, ngx_uint_t size);
/* For a terminal: two modules per character, with quiet zone. */
int ngx_wagw_qr_text(wagw_buf_t *out, wagw_str_t text);
/* "data:image/png;base64,..." */
int ngx_wagw_qr_data_url(wagw_buf_t *out, wagw_str_t text, ngx_uint_t size);

/* ---- instances (ngx_wagw_calls_view.c, _settings.c) ---------------------------- */

/* Answers with the instance object. */
void ngx_wagw_call_instance_view(ngx_wagw_call_t *call, ngx_wagw_instance_t *in, ngx_uint_t status,
                                 const char *message);
/* Credentials of a completed linking exist, connected or not. */
ngx_uint_t ngx_wagw_instance_linked(ngx_wagw_instance_t *in);
/* Settings with the defaults filled in. */
void ngx_wagw_settings_json(wagw_json_t *j, const char *key, const cJSON *settings);
void ngx_wagw_settings_members(wagw_json_t *j, const cJSON *settings);
/* Answers with the instance's settings, or with its rate limits. */
void ngx_wagw_settings_answer(ngx_wagw_call_t *call, const char *message);
void ngx_wagw_rate_limit_answer(ngx_wagw_call_t *call, const char *message);
/* Changes `settings` by the parameters settings, browser, syncHistory.  Answers
 * 400 (or 501) and returns NGX_DECLINED when one of them is wrong. */
ngx_int_t ngx_wagw_settings_apply(ngx_wagw_call_t *call, cJSON *settings);

/* ---- webhooks of an instance (ngx_wagw_calls_hooks.c) --------------------------- */

/* The contract's webhook object. */
void ngx_wagw_hook_json(wagw_json_t *j, ngx_wagw_hook_t *hook);
/* The instance's first webhook, or NULL. */
ngx_wagw_hook_t *ngx_wagw_hook_first(ngx_wagw_instance_t *in);
/*
 * Checks url, events, headers, retry, batch, filter of an object (names given
 * by the caller, because create spells them webhookUrl, ...).  Answers 400 and
 * returns NGX_DECLINED when something is wrong.
 */
ngx_int_t ngx_wagw_hook_check(ngx_wagw_call_t *call, const char *url, const char *events, const char *headers);
/* A row from the parameters over `old` (may be NULL); strings in the call's pool. */
ngx_int_t ngx_wagw_hook_row(ngx_wagw_call_t *call, wagw_webhook_t *w, uint32_t instance, ngx_wagw_hook_t *old,
                            const char *url, const char *events, const char *secret, const char *headers);

/* ---- templates (ngx_wagw_calls_template.c) ---------------------------------------- */

/* What the key of the call may see, in the call's pool; NGX_ERROR: answered. */
ngx_int_t ngx_wagw_call_scope(ngx_wagw_call_t *call, wagw_scope_t *scope);
/* The instance that the parameter instanceId names, 0 when it is absent; NGX_DECLINED: answered. */
ngx_int_t ngx_wagw_call_instance_param(ngx_wagw_call_t *call, uint32_t *num);
/* 422: names of variables that have no value. */
void ngx_wagw_call_missing(ngx_wagw_call_t *call, const cJSON *names);
/*
 * A send body with placeholders, as it can be said before their values are
 * known: what is no placeholder must be right.  names (may be NULL) gets what
 * it uses.  NGX_DECLINED: answered with 400.
 */
ngx_int_t ngx_wagw_call_content(ngx_wagw_call_t *call, const char *type, const cJSON *content, cJSON *names);

#pragma GCC visibility pop

#endif
