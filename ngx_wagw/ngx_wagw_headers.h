/*
 * Header values whose grammar is ours to read.  No nginx: a fuzz target drives
 * them with plain bytes.
 */

#ifndef NGX_WAGW_HEADERS_H
#define NGX_WAGW_HEADERS_H

#include "../core/base/base.h"

#pragma GCC visibility push(hidden)

/* One range of a file of `size` bytes (not 0): from, and the first byte behind
 * it.  WAGW_OK; WAGW_MALFORMED: more ranges, another unit or nonsense, which
 * is as if there were none; WAGW_LIMIT: outside the file (416). */
int ngx_wagw_headers_range(wagw_str_t v, uint64_t size, uint64_t *from, uint64_t *to);
/* Retry-After: WAGW_OK and seconds; WAGW_MALFORMED: *v without the blanks
 * around it may be a date. */
int ngx_wagw_headers_retry_after(wagw_str_t *v, uint64_t *seconds);

#pragma GCC visibility pop

#endif
