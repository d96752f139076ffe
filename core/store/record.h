/*
 * core/store/record: the records an engine works on, without any database.
 *
 * A turn (architecture, law 2) reads and writes through a wagw_txn_t.  A get
 * that is not in memory answers WAGW_AGAIN and notes what is missing; the
 * engine rolls the turn back, has the misses loaded, and runs it again from
 * its start.  So turn code is written straight down, as if everything were in
 * memory.  A turn that succeeds becomes one wagw_batch_t, which the store
 * writes in one transaction; until that is durable its records stay pinned.
 */

#ifndef WAGW_RECORD_H
#define WAGW_RECORD_H

#include "../base/base.h"

/*
 * Kinds below 64 are opaque to the store (one table, key -> value).  Kinds
 * from 64 have tables of their own; their values are the row encodings of
 * row.h, which the driver takes apart into columns.
 */
typedef enum {
    WAGW_REC_CREDS = 1,       /* key "": credentials of the instance (client/creds.c) */
    WAGW_REC_SESSION,         /* "<name>.<device>", e.g. "2001_1.12" (04 section 1.2) */
    WAGW_REC_IDENTITY,        /* the same key: 33 bytes */
    WAGW_REC_PREKEY,          /* "%08u": flag byte (1 uploaded) + libsignal record */
    WAGW_REC_SPREKEY,         /* "%08u": libsignal record */
    WAGW_REC_SENDER_KEY,      /* "<group>|<name>.<device>" */
    WAGW_REC_SENDER_KEY_SENT, /* "<group>": key id + devices that have our key */
    WAGW_REC_DEVICES,         /* "<user jid>": device list */
    WAGW_REC_LID_OF,          /* "<pn user>" -> lid user */
    WAGW_REC_PN_OF,           /* "<lid user>" -> pn user */
    WAGW_REC_RETRY,           /* retry counters */
    WAGW_REC_TOKEN,           /* trusted-contact tokens */
    WAGW_REC_META,            /* small named things: dirty timestamps, ... */
    WAGW_REC_APP_KEY,         /* app-state keys */
    WAGW_REC_APP_STATE,       /* app-state collections */
    WAGW_REC_APP_INDEX,       /* "<collection>|<index mac>" */
    WAGW_REC_GROUP,           /* "<group>": cached metadata */
    WAGW_REC_CALL = 24,       /* "<call id>": a call that came in */

    WAGW_REC_MESSAGE = 64, /* wagw_msgkey(): "<chat>|<id>|<sender>", sender empty for own */
    WAGW_REC_CHAT,         /* "<chat>" */
    WAGW_REC_CONTACT,      /* "<user jid>" */
    WAGW_REC_RECEIPT,      /* "<chat>|<id>|<user jid>" */
    WAGW_REC_REACTION,     /* "<chat>|<id>|<user jid>" */
    WAGW_REC_PENDING,      /* prefix load of "" only: message rows still pending, keys as MESSAGE, oldest first */
    WAGW_REC_VOTE          /* "<chat>|<id>|<user jid>": of a poll, or the answer to an event */
} wagw_rec_kind_t;

#define WAGW_KEY_MAX 320

/* What a turn was missing. */
typedef struct wagw_load_s wagw_load_t;
struct wagw_load_s {
    uint8_t kind;
    bool prefix; /* all records whose key begins with key */
    uint16_t key_len;
    char key[WAGW_KEY_MAX];
    uint64_t after; /* newest commit of the instance when it was noted; the load must be ordered behind it */
    wagw_load_t *next;
};

/* One record found by a load.  Absent records are answered by their absence. */
typedef struct wagw_rec_s wagw_rec_t;
struct wagw_rec_s {
    uint8_t kind;
    wagw_str_t key;
    wagw_str_t value;
    wagw_rec_t *next;
};

/* What a committed turn changes; written in order, in one transaction. */
typedef enum {
    WAGW_OP_PUT = 1,    /* kind, key, value */
    WAGW_OP_DEL,        /* kind, key */
    WAGW_OP_WIPE,       /* every record of kinds < 64 (logout): credentials, Signal, app state */
    WAGW_OP_CHAT_MERGE, /* key = old chat id (LID), value = new chat id (PN): messages, receipts, reactions, votes, chat
                         */
    WAGW_OP_EVENT,      /* event: see wagw_event_t; the driver stores event_seq and (later) the log */
    WAGW_OP_DELIVERY,   /* added by the owner for each webhook that wants the event */
    WAGW_OP_INSTANCE,   /* instance columns changed: value = row_instance encoding */
    WAGW_OP_IDEMPOTENCY, /* key = idempotency key, value = stored answer */
    WAGW_OP_SENDS,       /* value = wagw_sends_result_t: what came of a job's item */
    WAGW_OP_CHAT_CLEAR   /* key = chat, value = tlv 1: messages up to this ms, 2: not the starred ones; nothing of the
                            chat's messages is to be read later in the turn */
} wagw_op_type_t;

/* An outgoing event (contract 4.4).  seq is gap-free per instance. */
typedef struct {
    uint64_t seq;
    int64_t at_ms;
    char id[32];      /* "evt_" + ULID */
    const char *name; /* static: "message.received" ... */
    wagw_str_t chat;  /* ordering key, may be empty */
    wagw_str_t data;  /* JSON object */
} wagw_event_t;

typedef struct wagw_op_s wagw_op_t;
struct wagw_op_s {
    uint8_t op; /* wagw_op_type_t */
    uint8_t kind;
    wagw_str_t key;
    wagw_str_t value;
    wagw_event_t *event; /* WAGW_OP_EVENT */
    wagw_op_t *next;
};

typedef struct wagw_batch_s wagw_batch_t;
struct wagw_batch_s {
    uint32_t instance;
    uint64_t seq; /* of this instance's commits, 1.. since the engine was made */
    wagw_op_t *ops;
    wagw_op_t *last;
    size_t nops;
    wagw_arena_t arena; /* owns everything above */
    void *data;         /* the driver's */
    wagw_batch_t *next; /* the driver's */
};

wagw_batch_t *wagw_batch_create(uint32_t instance, uint64_t seq);
void wagw_batch_destroy(wagw_batch_t *b); /* wipes values */
int wagw_batch_add(wagw_batch_t *b, wagw_op_type_t op, uint8_t kind, wagw_str_t key, wagw_str_t value); /* copies */
int wagw_batch_event(wagw_batch_t *b, const wagw_event_t *ev);                                          /* copies */

/* The record cache: one per owner, bounded, LRU; dirty records are pinned. */
typedef struct wagw_cache_s wagw_cache_t;

/* max_bytes must hold what one turn reads, else the turn never gets it together. */
wagw_cache_t *wagw_cache_create(size_t max_bytes);
void wagw_cache_destroy(wagw_cache_t *c);
void wagw_cache_forget(wagw_cache_t *c, uint32_t instance); /* commit failed, instance closed */
/* The answer to a load of exact keys: recs holds what exists; every requested
 * exact key that is not in recs becomes "known absent".  A record that is
 * dirty or already cached keeps its (newer) value. */
int wagw_cache_fill(wagw_cache_t *c, uint32_t instance, const wagw_load_t *asked, const wagw_rec_t *recs);
/* The caller knows that the record does not exist (a new message has no
 * receipts): spares the load that would find it out.  Not within a turn: it
 * may evict what the turn's views point to. */
void wagw_cache_absent(wagw_cache_t *c, uint32_t instance, uint8_t kind, wagw_str_t key);
/* Commits up to seq are durable. */
void wagw_cache_committed(wagw_cache_t *c, uint32_t instance, uint64_t seq);
size_t wagw_cache_bytes(const wagw_cache_t *c);

/* A turn's view.  Zero-initialise before the first begin. */
typedef struct wagw_txn_s {
    wagw_cache_t *cache;
    uint32_t instance;
    wagw_op_t *ops; /* the overlay, newest value per key */
    wagw_op_t *ops_last;
    wagw_load_t *misses;
    const wagw_rec_t *scans;        /* records answered for prefix loads, given at the rerun */
    const wagw_load_t *scans_asked; /* which prefixes those were */
    wagw_arena_t arena;
    void *index; /* overlay lookup, private */
} wagw_txn_t;

void wagw_txn_begin(wagw_txn_t *t, wagw_cache_t *c, uint32_t instance);
/* WAGW_OK, WAGW_NOT_FOUND, WAGW_AGAIN (noted in misses), WAGW_NOMEM.  The view
 * is valid until the key is put or the txn ends. */
int wagw_txn_get(wagw_txn_t *t, uint8_t kind, wagw_str_t key, wagw_str_t *value);
int wagw_txn_put(wagw_txn_t *t, uint8_t kind, wagw_str_t key, wagw_str_t value); /* copies */
int wagw_txn_del(wagw_txn_t *t, uint8_t kind, wagw_str_t key);
/* Every record of the prefix, store and overlay merged.  cb may put and del.
 * WAGW_AGAIN until the prefix was loaded for this turn; a non-zero cb ends it.
 * The engine gives the answer by setting scans and scans_asked after begin;
 * the end of the run clears both.  The cache keeps no prefixes: a rerun that
 * asks for more must be given the earlier prefixes with it. */
typedef int (*wagw_scan_pt)(void *data, wagw_str_t key, wagw_str_t value);
int wagw_txn_scan(wagw_txn_t *t, uint8_t kind, wagw_str_t prefix, wagw_scan_pt cb, void *data);
/* Adds any other op (chat merge, wipe, instance, ...) in order.  After WIPE
 * every record of kinds < 64 is NOT_FOUND.  After CHAT_MERGE the old chat's
 * records are NOT_FOUND and the new chat's are as the store will merge them. */
int wagw_txn_op(wagw_txn_t *t, wagw_op_type_t op, wagw_str_t key, wagw_str_t value);
int wagw_txn_event(wagw_txn_t *t, const wagw_event_t *ev);
bool wagw_txn_changed(const wagw_txn_t *t);
/* Moves the overlay into the batch (in order) and into the cache as dirty
 * under batch->seq.  After WAGW_OP_WIPE or CHAT_MERGE the affected cached
 * records are dropped.  Ends the txn. */
int wagw_txn_commit(wagw_txn_t *t, wagw_batch_t *batch);
/* Drops everything but `misses`, which stay until the next begin. */
void wagw_txn_rollback(wagw_txn_t *t);
void wagw_txn_free(wagw_txn_t *t);

/* "<chat>|<id>|<sender>": NUL-terminated into out, length returned, 0 when too long or a part has a bar. */
size_t wagw_msgkey(char out[WAGW_KEY_MAX], wagw_str_t chat, wagw_str_t id, wagw_str_t sender);

#endif
