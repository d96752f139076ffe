/*
 * core/appstate: the five encrypted collections that all devices of an account
 * share (protocol 07).  Pure: bytes in, records of a wagw_txn_t in and out.
 *
 * Records: WAGW_REC_APP_KEY    hex(key id) -> AppStateSyncKeyData
 *          WAGW_REC_APP_STATE  "<collection>" -> version, LTHash
 *          WAGW_REC_APP_INDEX  "<collection>|<hex index MAC>" -> value MAC, key id
 *
 * Law: a patch or snapshot is verified as a whole before the first record of
 * it is written, and its mutations are told only after that.
 */

#ifndef WAGW_APPSTATE_H
#define WAGW_APPSTATE_H

#include "../base/base.h"
#include "../crypto/crypto.h"
#include "../store/record.h"

#define WAGW_APP_COLLECTIONS 5
#define WAGW_APP_KEY_ID_MAX 64
#define WAGW_APP_MUTATIONS_MAX 200000
#define WAGW_APP_PARTS_MAX 8

/* In the order in which they are synchronised. */
typedef enum {
    WAGW_APP_CRITICAL_BLOCK = 0,
    WAGW_APP_CRITICAL_UNBLOCK_LOW,
    WAGW_APP_REGULAR_HIGH,
    WAGW_APP_REGULAR_LOW,
    WAGW_APP_REGULAR
} wagw_app_collection_t;

const char *wagw_app_name(wagw_app_collection_t c);
int wagw_app_find(wagw_str_t name, wagw_app_collection_t *c); /* WAGW_NOT_FOUND */

/* Expanded sync key (07 section 2). */
typedef struct {
    uint8_t index[32];
    uint8_t value[32];
    uint8_t value_mac[32];
    uint8_t snapshot_mac[32];
    uint8_t patch_mac[32];
} wagw_app_keys_t;

int wagw_app_expand(wagw_app_keys_t *out, wagw_str_t key_data);

/* LTHash (07 section 3). */
#define WAGW_LTHASH 128
int wagw_lthash_add(uint8_t hash[WAGW_LTHASH], const uint8_t mac[32]);
int wagw_lthash_sub(uint8_t hash[WAGW_LTHASH], const uint8_t mac[32]);

typedef struct {
    uint64_t version; /* 0: never synchronised */
    uint8_t hash[WAGW_LTHASH];
} wagw_app_state_t;

/* What made it fail, for the log and for the recovery. */
typedef struct {
    const char *why; /* static: "snapshot_mac_mismatch", "missing_key", ... */
    size_t key_len;  /* missing_key */
    uint8_t key[WAGW_APP_KEY_ID_MAX];
} wagw_app_error_t;

/* One change, verified and decrypted.  Views live in the arena. */
typedef struct {
    bool remove;
    bool last;        /* no later mutation of the same patch has this index */
    wagw_str_t index; /* the JSON, as it was signed */
    wagw_str_t part[WAGW_APP_PARTS_MAX];
    size_t nparts;    /* 0: the index is no array of strings */
    wagw_str_t value; /* serialised SyncActionValue, may be empty */
    int32_t version;  /* of the action */
} wagw_app_mutation_t;

typedef int (*wagw_app_mutation_pt)(void *data, const wagw_app_mutation_t *m);

/* An absent state is version 0 with a zero hash (WAGW_OK). */
int wagw_app_state(wagw_txn_t *t, wagw_app_collection_t c, wagw_app_state_t *s);
/* Forgets version, hash and index: the next fetch asks for a snapshot. */
int wagw_app_forget(wagw_txn_t *t, wagw_app_collection_t c);
/* WAGW_NOT_FOUND: the phone never sent it. */
int wagw_app_key(wagw_txn_t *t, wagw_str_t key_id, wagw_app_keys_t *out);
/* The key for own patches: the highest epoch above `expired`, then the newest.
 * WAGW_NOT_FOUND: there is none yet. */
int wagw_app_key_best(wagw_txn_t *t, wagw_arena_t *a, int64_t expired, wagw_str_t *key_id);
/* The key under which the collection holds the index JSON: the newest of
 * several.  WAGW_NOT_FOUND: no record has this index. */
int wagw_app_key_of(wagw_txn_t *t, wagw_arena_t *a, wagw_app_collection_t c, wagw_str_t index, wagw_str_t *key_id);

/*
 * WAGW_OK: verified and stored.  WAGW_MALFORMED, WAGW_LIMIT, WAGW_CRYPTO,
 * WAGW_NOT_FOUND (a key is missing: err names it), WAGW_DUPLICATE (a patch
 * that the state already holds), WAGW_AGAIN; nothing was written then.
 * cb may be NULL.  Its own failure is handed on.
 *
 * A snapshot replaces what is stored.  external: the downloaded list of a
 * patch that names one (SyncdMutations), p NULL when there is none; version:
 * for a patch that does not carry its own.
 */
int wagw_app_snapshot(wagw_txn_t *t, wagw_arena_t *a, wagw_app_collection_t c, wagw_str_t snapshot,
                      wagw_app_mutation_pt cb, void *data, wagw_app_error_t *err);
int wagw_app_patch(wagw_txn_t *t, wagw_arena_t *a, wagw_app_collection_t c, wagw_str_t patch, wagw_str_t external,
                   uint64_t version, wagw_app_mutation_pt cb, void *data, wagw_app_error_t *err);

/*
 * The phone's own copy of a collection (SyncdSnapshotRecovery, inflated).  The
 * caller has made sure that it came from our device 0.  It replaces what is
 * stored when it is newer; WAGW_DUPLICATE: it is not.  Otherwise as above.
 */
int wagw_app_recover(wagw_txn_t *t, wagw_arena_t *a, wagw_app_collection_t c, wagw_str_t bytes, wagw_app_mutation_pt cb,
                     void *data, wagw_app_error_t *err);
/* Which collection such a copy is of; WAGW_NOT_FOUND, WAGW_MALFORMED. */
int wagw_app_recovery_of(wagw_str_t bytes, wagw_app_collection_t *c);
/* gzip or zlib, at most `max` bytes (WAGW_LIMIT). */
int wagw_app_gunzip(wagw_buf_t *out, wagw_str_t in, size_t max);

/* An encrypted blob of the media hosts (md-app-state). */
typedef struct {
    wagw_str_t media_key;
    wagw_str_t direct_path;
    wagw_str_t sha256, enc_sha256; /* 32 bytes or empty */
    uint64_t length;               /* of the plaintext, 0 unknown */
} wagw_app_blob_t;

/* The ExternalBlobReference of a <snapshot> / of a patch (WAGW_NOT_FOUND: it has none). */
int wagw_app_blob(wagw_str_t reference, wagw_app_blob_t *out);
int wagw_app_patch_blob(wagw_str_t patch, wagw_app_blob_t *out);
/* What is to be changed. */
typedef struct {
    bool remove;
    wagw_str_t index; /* JSON */
    wagw_str_t value; /* serialised SyncActionValue */
    int32_t version;  /* of the action */
    wagw_str_t key;   /* key id of this record; empty: the patch's */
    uint8_t iv[16];
} wagw_app_change_t;

/* The patch for <patch>, without its version, on top of the stored state,
 * which stays as it is: once the server took it, it is given to
 * wagw_app_patch() with version + 1. */
int wagw_app_encode(wagw_txn_t *t, wagw_arena_t *a, wagw_app_collection_t c, wagw_str_t key_id,
                    const wagw_app_change_t *changes, size_t n, wagw_buf_t *patch, wagw_app_error_t *err);
/* ["archive","chat"] of nparts strings. */
int wagw_app_index(wagw_buf_t *out, const wagw_str_t *part, size_t nparts);

#endif
