/*
 * core/appstate, shared inside the room: the index while a patch is worked on.
 */

#ifndef WAGW_APPSTATE_INTERNAL_H
#define WAGW_APPSTATE_INTERNAL_H

#include "appstate.h"
#include "../message/internal.h"

#define WAGW_APP_IV 16
#define WAGW_APP_MAC 32

/* One index MAC that a patch touches. */
typedef struct {
    const uint8_t *mac;
    bool was; /* in the store */
    bool is;  /* after what was worked so far */
    uint8_t value_mac[WAGW_APP_MAC];
    wagw_str_t key_id; /* of what is */
} wagw_app_entry_t;

typedef struct {
    wagw_app_entry_t *entries;
    size_t n, cap; /* cap: a power of two */
} wagw_app_index_t;

int wagw_app_index_init(wagw_app_index_t *x, wagw_arena_t *a, size_t n);
/* The entry of a MAC, made when new; fresh: the store holds nothing. */
int wagw_app_index_get(wagw_app_index_t *x, wagw_txn_t *t, wagw_app_collection_t c, bool fresh, const uint8_t mac[32],
                       wagw_app_entry_t **out);
/* 07 section 3: one mutation upon hash and entry. */
int wagw_app_index_apply(wagw_app_entry_t *e, uint8_t hash[WAGW_LTHASH], bool remove, const uint8_t value_mac[32],
                         wagw_str_t key_id);
int wagw_app_index_store(const wagw_app_index_t *x, wagw_txn_t *t, wagw_app_collection_t c);
int wagw_app_state_put(wagw_txn_t *t, wagw_app_collection_t c, const wagw_app_state_t *s);

/* The parts of m->index; nparts 0: it is no array of strings. */
int wagw_app_index_parts(wagw_app_mutation_t *m, wagw_arena_t *a);

/* Sorts, and takes `last` from all but the newest of each index. */
void wagw_app_newest(wagw_app_mutation_t **m, size_t n);

int wagw_app_value_mac(uint8_t out[32], const wagw_app_keys_t *k, bool remove, wagw_str_t key_id, wagw_str_t enc);
int wagw_app_snapshot_mac(uint8_t out[32], const wagw_app_keys_t *k, const wagw_app_state_t *s,
                          wagw_app_collection_t c);
/* macs: the value MACs of all mutations, one after the other. */
int wagw_app_patch_mac(uint8_t out[32], const wagw_app_keys_t *k, const uint8_t snapshot_mac[32], wagw_str_t macs,
                       uint64_t version, wagw_app_collection_t c);

#endif
