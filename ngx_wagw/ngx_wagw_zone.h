/*
 * The zone: one block, laid out once and kept over reload.
 *
 *     head | rate cells | key index | keys | instance index | slots
 *
 * Only the owner writes keys and slots; only workers write rate cells.  Each
 * entry has its own seqlock (seq is odd while it is written), so a process
 * that dies anywhere blocks nobody: the next owner begins everything anew.
 */

#ifndef NGX_WAGW_ZONE_H
#define NGX_WAGW_ZONE_H

#include "ngx_wagw_http.h"

#pragma GCC visibility push(hidden)

#define NGX_WAGW_ZONE_MAGIC 0x77616702
#define NGX_WAGW_TOMB 0xffffffffu
#define NGX_WAGW_TRIES 100

typedef struct { /* begins every entry */
    ngx_atomic_t seq;
    uint32_t hash;
    uint32_t used;
} ngx_wagw_entry_t;

typedef struct {
    ngx_atomic_t seq; /* odd while the index is rebuilt */
    uint32_t cap;     /* entries */
    uint32_t mask;    /* of the index */
    uint32_t count, tombs, hint;
    uint32_t stride; /* bytes of an entry */
    uint32_t key_at, key_len;
    size_t index_at, entries_at; /* from the head */
} ngx_wagw_table_t;

typedef struct {
    ngx_wagw_entry_t e;
    u_char hash[32]; /* SHA-256 of the key */
    u_char id[40];
    uint32_t id_len;
    uint32_t perm;
    uint32_t active;
    uint32_t too_long; /* instances or ip_allow do not fit: ask the owner */
    int64_t expires;
    uint16_t instances_len, ip_len;
    u_char text[388]; /* instances, then ip_allow */
} ngx_wagw_zone_key_t;

typedef struct {
    ngx_wagw_entry_t e;
    u_char id[64]; /* padded with zeros */
    uint8_t status, jid_len, pad[2];
    uint32_t reason;
    int64_t created, connected, last_seen;
    uint64_t sent, received, webhook_failed;
    uint32_t queue, pad2;
    u_char jid[64];
    u_char pad3[48];
} ngx_wagw_zone_slot_t; /* 256 bytes */

typedef struct {
    ngx_atomic_t tag;   /* of key, limit and window; 0 free */
    ngx_atomic_t value; /* window number << 32 | count */
} ngx_wagw_rate_cell_t;

typedef struct {
    uint32_t magic;
    uint32_t size;
    int64_t last_start; /* s, of an owner process */
    uint32_t young;     /* owners in a row that lived less than a second */
    ngx_atomic_t begun, ready, store;
    ngx_atomic_t more_keys, more_slots; /* some did not fit: absence proves nothing */
    uint32_t rate_mask;
    size_t rate_at;
    ngx_wagw_table_t keys, slots;
} ngx_wagw_zone_t;

#pragma GCC visibility pop

#endif
