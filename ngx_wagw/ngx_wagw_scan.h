/*
 * Bodies with media, looked through where nginx has put them: what is a file
 * of the caller's stays there and is described in `parts` (ngx_wagw_spool.c),
 * the rest becomes params.  No nginx: a fuzz target drives it with plain bytes.
 */

#ifndef NGX_WAGW_SCAN_H
#define NGX_WAGW_SCAN_H

#include "ngx_wagw_fields.h"

#include <sys/types.h>

#pragma GCC visibility push(hidden)

/* a fuzz target makes them smaller */
#ifndef NGX_WAGW_SCAN_CHUNK
#define NGX_WAGW_SCAN_CHUNK 65536         /* at least twice a delimiter */
#define NGX_WAGW_SCAN_STRING (400 * 1024) /* a longer string of JSON stays in the file */
#define NGX_WAGW_SCAN_TEXT (900 * 1024)   /* all that does not stay there */
#endif

typedef struct {
    int fd;
    off_t size;
    wagw_arena_t arena; /* names, for as long as a refusal is of interest */

    /* why WAGW_MALFORMED: not JSON, or this field is wrong */
    ngx_wagw_json_rc_t json; /* NGX_WAGW_JSON_OK: the field */
    const char *field, *reason;

    uint8_t buf[NGX_WAGW_SCAN_CHUNK];
    size_t n; /* in buf */
} ngx_wagw_scan_t;

/* nonce: 32 characters that no caller can guess, and NUL.  *params is the
 * caller's to delete whatever the result.  WAGW_OK; WAGW_MALFORMED; WAGW_LIMIT:
 * too much besides the files; WAGW_IO; WAGW_NOMEM. */
int ngx_wagw_scan_json(ngx_wagw_scan_t *s, const char nonce[33], cJSON **params, cJSON *parts);
/* type: the value of Content-Type, from "multipart/form-data" on.  Results as above. */
int ngx_wagw_scan_multipart(ngx_wagw_scan_t *s, wagw_str_t type, const ngx_wagw_field_t *fields, cJSON **params,
                            cJSON *parts);
/* SHA-256 of the body; of multipart (type not empty) without its boundaries. */
int ngx_wagw_scan_hash(ngx_wagw_scan_t *s, wagw_str_t type, uint8_t hash[32]);

#pragma GCC visibility pop

#endif
