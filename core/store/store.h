/*
 * core/store: the database.  These calls open files and block: they run on
 * the owner's store thread only (architecture, law 1).  One handle, one
 * thread.  SQL text lives in sql/ (migrations) and in the driver.
 *
 *     wagw_store_begin(s);  commits and writes of many instances ...
 *     wagw_store_end(s, true);                      -- one durable transaction
 *
 * Calls outside begin/end are transactions of their own.
 */

#ifndef WAGW_STORE_H
#define WAGW_STORE_H

#include "../base/base.h"
#include "record.h"
#include "row.h"

typedef struct wagw_store_s wagw_store_t;

typedef struct {
    const char *dsn;               /* "sqlite:/path/wagw.db" */
    const char *password;          /* later issues */
    const uint8_t *encryption_key; /* 32 bytes or NULL: record values are sealed at rest */
    const char *migrations;        /* directory with NNN-*.sql, or NULL: the built-in copy */
} wagw_store_conf_t;

/* Opens, applies migrations.  why (>= 256 bytes) gets a text with the path. */
int wagw_store_open(wagw_store_t **s, const wagw_store_conf_t *conf, char *why, size_t why_len);
void wagw_store_close(wagw_store_t *s);
/* Text of the last failure, for the log; never holds a secret. */
const char *wagw_store_error(wagw_store_t *s);

int wagw_store_begin(wagw_store_t *s);
int wagw_store_end(wagw_store_t *s, bool commit);

/*
 * Applies one batch.  All or nothing: a row that does not decode refuses its
 * batch (WAGW_MALFORMED, WAGW_LIMIT), a deleted instance too (WAGW_NOT_FOUND),
 * and the transaction goes on; on any other error the whole transaction is
 * lost and end() answers WAGW_IO.  Much is written by end() only, so the batch
 * must live until then.  The key of a PUT decides which row it is,
 * not the same fields inside the row.  CHAT_MERGE also gives the old id, where
 * it is the author of a message, a receipt or a reaction of that chat, the new
 * form: keys become "<new>|<id>|<new>".  Instance 0 holds records of the owner
 * itself (kinds below 64).
 */
int wagw_store_apply(wagw_store_t *s, const wagw_batch_t *b);
/* Records for a load list (exact and prefix); recs are allocated in a. */
int wagw_store_load(wagw_store_t *s, uint32_t instance, const wagw_load_t *asked, wagw_arena_t *a, wagw_rec_t **recs);

/* Instances. */
typedef struct {
    uint32_t num; /* the number records and batches use */
    wagw_str_t id, name;
    wagw_str_t phone;    /* given at creation */
    wagw_str_t settings; /* JSON object */
    wagw_str_t metadata; /* JSON object */
    bool active;         /* false: paused by the operator */
    bool auto_connect;
    int64_t created_ms, updated_ms;
    uint64_t event_seq;
    wagw_row_instance_t engine; /* columns the engine owns */
    uint64_t messages, chats;   /* counts, set by the store */
} wagw_instance_t;

typedef int (*wagw_instance_pt)(void *data, const wagw_instance_t *i);

int wagw_store_instance_create(wagw_store_t *s, wagw_instance_t *i); /* sets num; WAGW_DUPLICATE: id or phone taken */
int wagw_store_instance_update(wagw_store_t *s,
                               const wagw_instance_t *i); /* name, phone, settings, metadata, active, updated_ms */
int wagw_store_instance_delete(wagw_store_t *s, uint32_t num, bool keep_messages);
int wagw_store_instance_each(wagw_store_t *s, wagw_instance_pt cb, void *data);
int wagw_store_instance_counts(wagw_store_t *s, uint32_t num, uint64_t *messages, uint64_t *chats);

/* Listings: append the JSON array of contract objects; *count its length,
 * *total what matches (or UINT64_MAX when not known).  A page of messages that
 * is filtered (type, status, from_me, flags, media, q) looks at a bounded stretch of history:
 * it may be short and still have *more and a cursor.  WAGW_NOT_FOUND: before or
 * after is unknown; WAGW_MALFORMED: cursor or status is. */
typedef struct {
    wagw_str_t instance_id;
    wagw_str_t chat;            /* any form: canonical, LID, PN; empty = all */
    wagw_str_t type, status, q; /* empty = all */
    int from_me;                /* -1 all */
    uint32_t flags;             /* wagw_row_flag_t: only with one of these; 0 all */
    bool media;                 /* only with media */
    int64_t since_ms, until_ms; /* 0 none */
    wagw_str_t before, after;   /* message ids */
    wagw_str_t cursor;          /* opaque, from next_cursor */
    uint32_t limit, offset;
    bool not_revoked;
    bool with_chat; /* message + chat{chatId,name,isGroup} */
} wagw_message_filter_t;

int wagw_store_messages(wagw_store_t *s, uint32_t num, const wagw_message_filter_t *f, wagw_buf_t *json,
                        uint32_t *count, uint64_t *total, bool *more, wagw_buf_t *next_cursor);
/* One message object by id (chat may be empty); WAGW_NOT_FOUND. */
/* How many chats are pinned, `but` apart. */
int wagw_store_chats_pinned(wagw_store_t *s, uint32_t num, wagw_str_t but, uint32_t *n);
/* The id of the oldest message of a chat, by any of its ids; WAGW_NOT_FOUND. */
int wagw_store_message_oldest(wagw_store_t *s, uint32_t num, wagw_str_t chat, wagw_buf_t *id);
int wagw_store_message_get(wagw_store_t *s, uint32_t num, wagw_str_t instance_id, wagw_str_t chat, wagw_str_t id,
                           bool with_chat, wagw_buf_t *json);
/* The content alone: a serialised Message, and its canonical chat (may be NULL). */
int wagw_store_message_content(wagw_store_t *s, uint32_t num, wagw_str_t chat, wagw_str_t id, wagw_buf_t *content,
                               wagw_buf_t *in_chat);
/* Where a message is, and what its chat would show as the last without it: {ms, id, body, type, fromMe}, or {}. */
int wagw_store_message_place(wagw_store_t *s, uint32_t num, wagw_str_t chat, wagw_str_t id, wagw_buf_t *in_chat,
                             wagw_buf_t *last);
int wagw_store_message_receipts(wagw_store_t *s, uint32_t num, wagw_str_t id, wagw_buf_t *json, uint32_t *count);
/* [{option, votes, voters}] of a poll or an event; WAGW_STATE: the message is neither. */
int wagw_store_message_votes(wagw_store_t *s, uint32_t num, wagw_str_t id, wagw_buf_t *json, uint32_t *count);
/* [{jid, viewedAt}] of an own message, in the order of the views; WAGW_NOT_FOUND: there is no such one. */
int wagw_store_message_views(wagw_store_t *s, uint32_t num, wagw_str_t chat, wagw_str_t id, wagw_buf_t *json,
                             uint32_t *count);
int wagw_store_message_reactions(wagw_store_t *s, uint32_t num, wagw_str_t id, wagw_buf_t *json, uint32_t *count);

typedef struct {
    int sort; /* 0 lastMessageAt, 1 name, 2 unreadCount */
    bool ascending;
    int archived, unread; /* -1 all */
    int type;             /* -1 all, 0 user, 1 group, 2 channel */
    wagw_str_t q;
    uint32_t limit, offset;
    bool overview; /* the short object */
} wagw_chat_filter_t;

int wagw_store_chats(wagw_store_t *s, uint32_t num, const wagw_chat_filter_t *f, wagw_buf_t *json, uint32_t *count,
                     uint64_t *total, bool *more);
int wagw_store_chat_get(wagw_store_t *s, uint32_t num, wagw_str_t chat, wagw_buf_t *json); /* any form of the id */
/* Canonical id of a chat named in any form, or the input itself. */
int wagw_store_chat_resolve(wagw_store_t *s, uint32_t num, wagw_str_t chat, wagw_buf_t *canonical, bool *exists);
int wagw_store_contacts(wagw_store_t *s, uint32_t num, wagw_str_t q, int blocked, uint32_t limit, uint32_t offset,
                        wagw_buf_t *json, uint32_t *count, bool *more);
int wagw_store_contact_get(wagw_store_t *s, uint32_t num, wagw_str_t jid, wagw_buf_t *json);
int wagw_store_lids(wagw_store_t *s, uint32_t num, uint32_t limit, uint32_t offset, wagw_buf_t *json, uint32_t *count,
                    uint64_t *total);
int wagw_store_lid_get(wagw_store_t *s, uint32_t num, wagw_str_t lid_user, wagw_buf_t *pn_user);

/* API keys: only the SHA-256 is stored. */
typedef struct {
    uint32_t num;
    wagw_str_t id, name, prefix; /* prefix: first 6 characters, for display */
    uint8_t hash[32];
    uint32_t permissions; /* bits, ngx_wagw's meaning */
    wagw_str_t instances; /* JSON array or empty = all */
    wagw_str_t ip_allow;  /* JSON array or empty */
    bool active;
    int64_t created_ms, last_used_ms, expires_ms;
} wagw_api_key_t;

typedef int (*wagw_api_key_pt)(void *data, const wagw_api_key_t *k);
int wagw_store_key_create(wagw_store_t *s, wagw_api_key_t *k);
int wagw_store_key_update(wagw_store_t *s, const wagw_api_key_t *k);
int wagw_store_key_delete(wagw_store_t *s, wagw_str_t id);
int wagw_store_key_used(wagw_store_t *s, wagw_str_t id, int64_t at_ms); /* its last use */
int wagw_store_key_each(wagw_store_t *s, wagw_api_key_pt cb, void *data);

/* Webhooks and their outbox (contract 3.14, 4). */
typedef struct {
    uint32_t num;      /* row id */
    wagw_str_t id;     /* uuid */
    uint32_t instance; /* 0 = global */
    wagw_str_t url;
    wagw_str_t events;  /* JSON array or empty = all */
    wagw_str_t secret;  /* sealed at rest when a key is set */
    wagw_str_t headers; /* JSON object or empty */
    wagw_str_t options; /* JSON: retry, batch, filter, ordered, retryAll */
    bool enabled;
    int64_t created_ms, updated_ms;
} wagw_webhook_t;

typedef int (*wagw_webhook_pt)(void *data, const wagw_webhook_t *w);
int wagw_store_webhook_put(wagw_store_t *s, wagw_webhook_t *w); /* num 0: created, num set */
int wagw_store_webhook_delete(wagw_store_t *s, wagw_str_t id);
int wagw_store_webhook_each(wagw_store_t *s, wagw_webhook_pt cb, void *data);

typedef enum { WAGW_DLV_PENDING = 0, WAGW_DLV_SUCCESS, WAGW_DLV_FAILED, WAGW_DLV_DEAD } wagw_delivery_status_t;

typedef struct {
    uint64_t num;  /* row id */
    wagw_str_t id; /* delivery id, X-Webhook-ID */
    wagw_str_t webhook_id;
    uint32_t instance;
    wagw_str_t instance_id;
    wagw_str_t url;
    wagw_str_t event, event_id, chat;
    uint64_t seq;
    wagw_str_t payload; /* the whole envelope, as it is sent */
    uint8_t status;
    int32_t status_code;
    wagw_str_t response; /* <= 4 KiB */
    wagw_str_t error;
    uint32_t attempts;
    int64_t next_ms, created_ms, updated_ms;
    uint32_t duration_ms;
} wagw_delivery_t;

/* Encoding used as value of WAGW_OP_DELIVERY. */
int wagw_row_delivery_encode(wagw_buf_t *out, const wagw_delivery_t *d);
int wagw_row_delivery_decode(wagw_delivery_t *d, wagw_str_t in);

typedef int (*wagw_delivery_pt)(void *data, const wagw_delivery_t *d);
/* Pending ones of a webhook that are due at or before now, by due time and row number, at most limit.  ordered: only
 * the oldest pending row of each (instance, chat), so that a row waiting for its retry holds back its chat (rows queued
 * while the webhook's options said ordered). *next_ms: the earliest later due time of that webhook, 0 none. */
int wagw_store_deliveries_of(wagw_store_t *s, wagw_str_t webhook_id, int64_t now_ms, bool ordered, uint32_t limit,
                             wagw_delivery_pt cb, void *data, int64_t *next_ms);
/* Of one webhook's oldest due rows (a bounded number) the first few of each (instance, chat), at most limit: what lies
 * behind the backlog of a busy chat. */
int wagw_store_deliveries_spread(wagw_store_t *s, wagw_str_t webhook_id, int64_t now_ms, uint32_t limit,
                                 wagw_delivery_pt cb, void *data);
/* Result of an attempt, by delivery id: status, status_code, response, error, attempts, next_ms, updated_ms,
 * duration_ms. */
int wagw_store_delivery_result(wagw_store_t *s, const wagw_delivery_t *d);
int wagw_store_deliveries(wagw_store_t *s, uint32_t instance, int status, wagw_str_t event, int64_t since_ms,
                          uint32_t limit, uint32_t offset, wagw_buf_t *json, uint32_t *count, uint64_t *total);
int wagw_store_delivery_get(wagw_store_t *s, wagw_str_t id, wagw_buf_t *json, wagw_arena_t *a,
                            wagw_delivery_t *d); /* json may be NULL */
int wagw_store_delivery_stats(wagw_store_t *s, uint32_t instance, int64_t since_ms, int64_t now_ms, uint32_t days,
                              wagw_str_t instance_id, wagw_buf_t *json);
int wagw_store_deliveries_prune(wagw_store_t *s, uint32_t instance, int64_t before_ms,
                                uint64_t *deleted); /* never undelivered */
/* Re-arms deliveries: by id, or by instance/status/since; *n how many. */
int wagw_store_deliveries_retry(wagw_store_t *s, wagw_str_t id, uint32_t instance, int status, int64_t since_ms,
                                int64_t now_ms, uint64_t *n);

/* Idempotency (contract 1.8): key = sha256 of key id, method, path, header. */
typedef struct {
    uint8_t key[32];
    uint8_t body_hash[32];
    bool done;
    int32_t status;
    wagw_str_t body;       /* the stored answer */
    wagw_str_t message_id; /* derived before the first attempt */
    int64_t created_ms;
} wagw_idempotency_t;

/* Value of WAGW_OP_IDEMPOTENCY (its key: the 32 bytes): status and body. */
int wagw_row_idempotency_encode(wagw_buf_t *out, const wagw_idempotency_t *i);
int wagw_row_idempotency_decode(wagw_idempotency_t *i, wagw_str_t in);

/* WAGW_OK: new, stored as running with message_id.  WAGW_DUPLICATE: *old (in
 * arena a) is what is there. */
int wagw_store_idempotency_begin(wagw_store_t *s, const wagw_idempotency_t *i, wagw_arena_t *a,
                                 wagw_idempotency_t *old);
int wagw_store_idempotency_done(wagw_store_t *s, const wagw_idempotency_t *i);
int wagw_store_idempotency_prune(wagw_store_t *s, int64_t before_ms);

/* Sends that wait (sqlite_jobs.c; contract 3.16). */
typedef enum { WAGW_SENDS_BULK = 0, WAGW_SENDS_ONE, WAGW_SENDS_SCHEDULE } wagw_sends_kind_t;
typedef enum { WAGW_SENDS_OPEN = 0, WAGW_SENDS_DONE, WAGW_SENDS_CANCELLED, WAGW_SENDS_FAILED } wagw_sends_status_t;

typedef struct {
    uint32_t at;
    wagw_str_t to;
    wagw_str_t message_id; /* of every try */
    wagw_str_t variables;  /* JSON object or empty; sealed at rest */
    int known;             /* status of the message that is stored under the id, -1 none */
} wagw_sends_item_t;

typedef struct {
    uint64_t num;  /* row id */
    wagw_str_t id; /* uuid */
    uint32_t instance;
    uint8_t kind, status, priority;
    uint32_t delay_ms, jitter_ms;
    int64_t created_ms, next_ms, expires_ms;
    uint32_t total, pending, sent, failed;
    wagw_str_t content;        /* JSON; sealed at rest */
    wagw_str_t to, message_id; /* of the first one that is pending; read only */
    uint64_t schedule;         /* whose it is, 0 none */
    wagw_str_t schedule_id;    /* read only */
    bool cancelled;            /* its schedule was; read only */
} wagw_sends_t;

typedef int (*wagw_sends_pt)(void *data, const wagw_sends_t *j);

/* With its items, all pending; sets num.  WAGW_DUPLICATE: the id is there. */
int wagw_store_sends_create(wagw_store_t *s, wagw_sends_t *j, const wagw_sends_item_t *items, size_t n);
/* Open ones by num, without content. */
int wagw_store_sends_each(wagw_store_t *s, wagw_sends_pt cb, void *data);
/* The first pending item, and the job's content, in arena a.  WAGW_NOT_FOUND: none is. */
int wagw_store_sends_next(wagw_store_t *s, uint64_t num, wagw_arena_t *a, wagw_sends_t *j, wagw_sends_item_t *item);
/* The contract's job object; instance (may be NULL) gets the number.  WAGW_NOT_FOUND. */
int wagw_store_sends_get(wagw_store_t *s, wagw_str_t id, uint32_t *instance, wagw_buf_t *json);
/* Forgets jobs that ended before. */
int wagw_store_sends_prune(wagw_store_t *s, int64_t before_ms);

/* An item that is no longer pending stays as it is. */
int wagw_store_sends_result(wagw_store_t *s, const wagw_sends_result_t *r);

typedef struct {
    uint32_t instance;
    bool paused;
    wagw_str_t used; /* JSON object: what pacing has counted */
} wagw_queue_row_t;

typedef int (*wagw_queue_pt)(void *data, const wagw_queue_row_t *q);
int wagw_store_queue_put(wagw_store_t *s, const wagw_queue_row_t *q);
int wagw_store_queue_each(wagw_store_t *s, wagw_queue_pt cb, void *data);

/*
 * Templates (sqlite_templates.c; contract 3.16).  A scope says what a key may
 * see: with instances (a JSON array of numbers) theirs, and what is of no
 * instance and was made by `key`; with instances empty everything.  A row that
 * is there but not seen is WAGW_NOT_FOUND.
 */
typedef struct {
    wagw_str_t instances;
    wagw_str_t key;
} wagw_scope_t;

typedef struct {
    wagw_str_t id;
    uint32_t instance;      /* 0 of none */
    wagw_str_t instance_id; /* read only */
    wagw_str_t owner;       /* key that made it */
    wagw_str_t name, type, language;
    wagw_str_t variables; /* JSON array */
    wagw_str_t content;   /* JSON object; sealed at rest */
    int64_t created_ms, updated_ms;
} wagw_template_t;

/* WAGW_DUPLICATE: the name is taken, or the id; WAGW_STATE: the instance has gone. */
int wagw_store_template_create(wagw_store_t *s, const wagw_template_t *t);
/* Everything but id, owner and created_ms; also WAGW_NOT_FOUND. */
int wagw_store_template_update(wagw_store_t *s, const wagw_scope_t *scope, const wagw_template_t *t);
int wagw_store_template_delete(wagw_store_t *s, const wagw_scope_t *scope, wagw_str_t id);
/* By id, or with an empty id by the name as an instance knows it: its own
 * template, else one of no instance, the key's own first.  In arena a. */
int wagw_store_template_get(wagw_store_t *s, const wagw_scope_t *scope, wagw_str_t id, wagw_str_t name,
                            uint32_t instance, wagw_arena_t *a, wagw_template_t *t);
/* By name; instance 0: any; q: a part of the name.  *total may be NULL. */
typedef int (*wagw_template_pt)(void *data, const wagw_template_t *t);
int wagw_store_templates(wagw_store_t *s, const wagw_scope_t *scope, uint32_t instance, wagw_str_t q, uint32_t limit,
                         uint32_t offset, wagw_template_pt cb, void *data, uint64_t *total);

/* Sends of the future (sqlite_schedules.c). */
typedef enum {
    WAGW_SCHEDULED = 0,
    WAGW_SCHEDULE_RUNNING,
    WAGW_SCHEDULE_DONE,
    WAGW_SCHEDULE_FAILED,
    WAGW_SCHEDULE_CANCELLED
} wagw_schedule_status_t;

const char *wagw_schedule_status_name(unsigned status);

typedef struct {
    uint64_t num;
    wagw_str_t id;
    uint32_t instance;
    wagw_str_t instance_id; /* read only */
    uint8_t status, priority;
    int64_t next_ms;            /* due, 0 never again */
    int64_t send_ms;            /* 0: by cron */
    wagw_str_t cron, time_zone; /* empty zone: UTC */
    int64_t until_ms, ttl_ms;
    int64_t created_ms, updated_ms, finished_ms, last_ms;
    uint32_t runs, sent, failed; /* messages, the last two */
    wagw_str_t code, error, template_id;
    wagw_str_t to;   /* JSON array */
    wagw_str_t body; /* JSON object; sealed at rest */
} wagw_schedule_t;

typedef int (*wagw_schedule_pt)(void *data, const wagw_schedule_t *c);

/* WAGW_DUPLICATE: the id is there; WAGW_STATE: the instance has gone. */
int wagw_store_schedule_create(wagw_store_t *s, const wagw_schedule_t *c);
/* What a caller may change, and next_ms, which was was_ms: a due time that was
 * claimed meanwhile does not come back.  WAGW_NOT_FOUND: so it is, or it is not waiting any more. */
int wagw_store_schedule_update(wagw_store_t *s, const wagw_schedule_t *c, int64_t was_ms);
/* Never again; one that has ended stays as it is. */
int wagw_store_schedule_cancel(wagw_store_t *s, wagw_str_t id, int64_t now_ms);
/* In arena a; scope as of templates. */
int wagw_store_schedule_get(wagw_store_t *s, const wagw_scope_t *scope, wagw_str_t id, wagw_arena_t *a,
                            wagw_schedule_t *c);
/* Newest first; instance 0 and status -1: any. */
int wagw_store_schedules(wagw_store_t *s, const wagw_scope_t *scope, uint32_t instance, int status, uint32_t limit,
                         uint32_t offset, wagw_schedule_pt cb, void *data, uint64_t *total);
/* The first one due at or before now, in arena a; WAGW_NOT_FOUND. */
int wagw_store_schedule_due(wagw_store_t *s, int64_t now_ms, wagw_arena_t *a, wagw_schedule_t *c);
/* When the next one is due, 0 never. */
int wagw_store_schedule_next(wagw_store_t *s, int64_t *next_ms);
/*
 * Claims a due time: it was due_ms and is next_ms from here on, and its job is
 * made (sets j->schedule and num).  WAGW_NOT_FOUND: somebody did.
 */
int wagw_store_schedule_fire(wagw_store_t *s, uint64_t num, int64_t due_ms, int64_t next_ms, int64_t now_ms,
                             wagw_sends_t *j, const wagw_sends_item_t *items, size_t n);
/* It cannot be run at all. */
int wagw_store_schedule_broken(wagw_store_t *s, uint64_t num, int64_t now_ms, wagw_str_t code, wagw_str_t error);
/* A job of it has ended: what is told by the schedule.  Part of wagw_store_sends_result(). */
int wagw_store_schedule_ended(wagw_store_t *s, uint64_t job, int64_t now_ms);
int wagw_store_schedules_prune(wagw_store_t *s, int64_t before_ms);

/*
 * Deletes at most `limit` messages of before, with what hangs on them; not what is starred, kept or still to be sent.
 * unlisted: only rows that are not to be stored for good.  deleted == limit: there may be more.
 */
int wagw_store_retention(wagw_store_t *s, uint32_t num, int64_t before_ms, bool unlisted, uint32_t limit,
                         uint32_t *deleted);

/* Maintenance numbers for health. */

#endif
