/*
 * Shared by record.c (batches), record_cache.c and record_txn.c; nobody else
 * includes it.
 */

#ifndef WAGW_RECORD_PRIVATE_H
#define WAGW_RECORD_PRIVATE_H

#include "record.h"

#define WAGW_REC_OPAQUE_END 64 /* kinds below are wiped at logout */

typedef struct wagw_entry_s wagw_entry_t;
typedef struct wagw_cinst_s wagw_cinst_t;
typedef struct wagw_cmerge_s wagw_cmerge_t;
typedef struct wagw_rlink_s wagw_rlink_t;

struct wagw_rlink_s {
    wagw_rlink_t *prev;
    wagw_rlink_t *next;
};

/*
 * One cached record.  A clean entry is linked into the cache's LRU, a dirty
 * one into its instance's queue in order of seq: the same link serves both,
 * so what is dirty cannot be evicted.
 */
struct wagw_entry_s {
    wagw_rlink_t link;   /* first member */
    wagw_rlink_t peers;  /* all entries of the instance */
    wagw_entry_t *chain; /* hash bucket */
    wagw_cinst_t *inst;
    uint64_t hash;
    uint64_t dirty; /* seq of the commit that wrote it, 0 = durable */
    uint32_t value_len;
    uint16_t key_len;
    uint8_t kind;
    bool absent : 1;  /* known not to exist */
    bool filling : 1; /* made by the running fill, not yet answered */
    uint8_t data[];   /* key, value */
};

/* A CHAT_MERGE that is not durable yet. */
struct wagw_cmerge_s {
    wagw_cmerge_t *next;
    uint64_t seq;
    uint16_t from_len;
    uint16_t to_len;
    char text[]; /* from, to */
};

struct wagw_cinst_s {
    wagw_cinst_t *chain;
    uint32_t num;
    bool busy; /* a fill holds a pointer: not to be released */
    wagw_rlink_t entries;
    wagw_rlink_t dirty;
    uint64_t last_seq; /* newest commit seen */
    uint64_t wipe_seq; /* a WIPE not durable yet: the store still shows what is gone */
    wagw_cmerge_t *merges;
};

struct wagw_cache_s {
    size_t max;
    size_t bytes;
    wagw_entry_t **buckets;
    size_t nbuckets; /* power of two */
    size_t count;
    wagw_cinst_t **insts;
    size_t ninsts; /* power of two */
    size_t icount;
    wagw_rlink_t lru; /* next = newest */
    uint64_t seed;
};

uint64_t wagw_rec_hash(const wagw_cache_t *c, uint32_t instance, uint8_t kind, wagw_str_t key);

wagw_cinst_t *wagw_cache_inst(const wagw_cache_t *c, uint32_t instance);
wagw_entry_t *wagw_cache_find(const wagw_cache_t *c, uint32_t instance, uint8_t kind, wagw_str_t key, uint64_t hash);
void wagw_cache_touch(wagw_cache_t *c, wagw_entry_t *e);
/* Applies committed ops as dirty under seq: all of them or, WAGW_NOMEM, none. */
int wagw_cache_apply(wagw_cache_t *c, uint32_t instance, uint64_t seq, const wagw_op_t *ops);

/* record_merge.c, for CHAT_MERGE inside a turn; what does not decode stays.
 * A row of the old chat as the new chat's. */
int wagw_rec_rename(wagw_arena_t *a, uint8_t kind, wagw_str_t chat, wagw_str_t *value);
/* *value, the new chat's row, with what the old one adds. */
int wagw_rec_join(wagw_arena_t *a, wagw_str_t from, wagw_str_t *value);

/* A copy of the event in the arena; NULL without memory. */
wagw_event_t *wagw_rec_event(wagw_arena_t *a, const wagw_event_t *ev);

/* The record belongs to the chat (kinds that CHAT_MERGE moves). */
bool wagw_rec_in_chat(uint8_t kind, wagw_str_t key, wagw_str_t chat);

static inline wagw_str_t wagw_entry_key(const wagw_entry_t *e)
{
    return wagw_str(e->data, e->key_len);
}

static inline wagw_str_t wagw_entry_value(const wagw_entry_t *e)
{
    return wagw_str(e->data + e->key_len, e->value_len);
}

/* Op codes of slots that no list holds. */
#define WAGW_OP_MISSED 0 /* noted in misses */
#define WAGW_OP_GONE 255 /* wiped or moved by a merge: look beneath */

typedef struct {
    uint64_t hash;
    wagw_op_t *op;
} wagw_txn_slot_t;

typedef struct {
    wagw_txn_slot_t *slots;
    size_t nslots; /* power of two */
    size_t used;
    uint64_t after; /* newest commit of the instance at begin */
    wagw_load_t **miss_last;
    wagw_arena_t miss_arena;
    bool wiped;  /* this turn holds a WIPE */
    bool merged; /* ... a CHAT_MERGE */
} wagw_txn_index_t;

wagw_op_t *wagw_txn_lookup(const wagw_txn_index_t *ix, uint64_t hash, uint8_t kind, wagw_str_t key);
int wagw_txn_index_set(wagw_txn_index_t *ix, uint64_t hash, wagw_op_t *op);
int wagw_txn_miss(wagw_txn_t *t, uint8_t kind, bool prefix, wagw_str_t key);

#define WAGW_ENTRY_OF_PEERS(l) ((wagw_entry_t *)(void *)((uint8_t *)(l)-offsetof(wagw_entry_t, peers)))
#define WAGW_ENTRY_OF_LINK(l) ((wagw_entry_t *)(void *)(l))

#endif
