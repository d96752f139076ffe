/*
 * Shared by the unit tests: the golden vectors of $VECTORS or t/vectors, and a
 * random source that gives the same bytes in every run.
 */

#ifndef WAGW_T_VECTORS_H
#define WAGW_T_VECTORS_H

#include <cjson/cJSON.h>

#include "../../core/base/base.h"

/* The parsed NAME.json (the suffix may be given or not); free with
 * cJSON_Delete.  Absent in $VECTORS: prints `vectors NAME: absent`, NULL.
 * Absent in t/vectors, or not JSON: the test fails. */
cJSON *vec_load(const char *name);

/* Names a row that only a later issue brings: `later NAME.json: ROW`. */
void vec_later(const char *name, const char *row);
/* Prints `vectors NAME.json: N passed, N failed, N later`. */
void vec_count(const char *name, unsigned passed, unsigned failed, unsigned later);

/* Bytes of a hex string, or of {"$hex": "..."}: how many were written.  A
 * member that is absent, no hex, or longer than cap gives VEC_NONE. */
#define VEC_NONE ((size_t)-1)
size_t vec_hex(const cJSON *obj, const char *key, uint8_t *out, size_t cap);
size_t vec_hex_item(const cJSON *item, uint8_t *out, size_t cap);

/* The same in an arena; p is NULL when absent or no hex (never for ""). */
wagw_str_t vec_bytes(wagw_arena_t *a, const cJSON *obj, const char *key);
wagw_str_t vec_bytes_item(wagw_arena_t *a, const cJSON *item);

/* A string item as it is meant, NULs included (cJSON ends strings at one, so
 * that vec_load puts U+E000 in their place); p is NULL for anything else. */
wagw_str_t vec_text(wagw_arena_t *a, const cJSON *item);

/* String member or NULL; number member (also written as text) or fallback. */
const char *vec_str(const cJSON *obj, const char *key);
int64_t vec_int(const cJSON *obj, const char *key, int64_t fallback);
bool vec_bool(const cJSON *obj, const char *key);
const cJSON *vec_get(const cJSON *obj, const char *key); /* case-sensitive, NULL-safe */

/* A wagw_random_pt; data is a uint64_t seed that moves on with each call. */
void vec_random(void *data, uint8_t *p, size_t n);

#endif
