/*
 * Shared by the store's tests: a store in a directory of its own, batches
 * written down in one line, answers as cJSON.
 */

#ifndef WAGW_T_STORE_UTIL_H
#define WAGW_T_STORE_UTIL_H

#include <cjson/cJSON.h>

#include "../../core/store/store.h"

typedef struct {
    char dir[64];
    char dsn[128];
    char path[120];
    const uint8_t *key; /* encryption key or NULL */
    wagw_store_t *s;
    uint32_t num; /* of instance "one", made by stu_begin() */
} stu_t;

extern const uint8_t stu_key[32];

/* Fail the running test when something is wrong. */
void stu_begin(stu_t *t, const uint8_t *key);
void stu_reopen(stu_t *t);
void stu_end(stu_t *t); /* removes the directory */
uint32_t stu_instance(stu_t *t, const char *id);

wagw_batch_t *stu_batch(uint32_t instance);
void stu_put(wagw_batch_t *b, uint8_t kind, const char *key, wagw_str_t value);
void stu_message(wagw_batch_t *b, const wagw_row_message_t *m);
void stu_chat(wagw_batch_t *b, const wagw_row_chat_t *c);
void stu_delivery(wagw_batch_t *b, const wagw_delivery_t *d);
/* Applies in a transaction of its own and destroys the batch. */
void stu_apply(stu_t *t, wagw_batch_t *b);

/* One received or own text message, committed. */
void stu_text(stu_t *t, const char *chat, const char *id, bool from_me, int64_t t_ms, const char *body);

/* Records of an exact key or a prefix; valid until the arena is freed. */
wagw_rec_t *stu_load(stu_t *t, uint32_t instance, uint8_t kind, const char *key, bool prefix, wagw_arena_t *a);
bool stu_has(stu_t *t, uint32_t instance, uint8_t kind, const char *key);

/* Parses and frees the buffer's JSON. */
cJSON *stu_json(wagw_buf_t *b);
const char *stu_get(const cJSON *o, const char *key); /* string member; fails when it is none */

#endif
