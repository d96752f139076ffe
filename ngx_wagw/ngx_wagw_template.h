/*
 * Placeholders in send bodies (contract 3.16): {{name}}, with filters
 * {{name|default:"friend"}}, |upper, |lower, |date:"%d/%m/%Y".  No nginx: the
 * unit tests and a fuzz target use it too.
 */

#ifndef NGX_WAGW_TEMPLATE_H
#define NGX_WAGW_TEMPLATE_H

#include "../core/base/base.h"

#include <cjson/cJSON.h>

#pragma GCC visibility push(hidden)

#define NGX_WAGW_TEMPLATE_NAME 64           /* bytes of a name, at most */
#define NGX_WAGW_TEMPLATE_OUT (1024 * 1024) /* bytes of all rendered strings, at most */

/*
 * A copy of `body` in which every string (member names apart) is rendered.
 * `variables` is an object or NULL; a value is text, number or boolean, and
 * null, or "" before a default, is as absent.  keep: a placeholder without value stays as it is written; else
 * WAGW_NOT_FOUND, and `missing` (may be NULL) gets a JSON array of the names.
 * What is no placeholder (bad syntax, unknown filter) stays as it is written.
 * WAGW_LIMIT: longer than NGX_WAGW_TEMPLATE_OUT.
 */
int ngx_wagw_template_render(const cJSON *body, const cJSON *variables, bool keep, cJSON **out, cJSON **missing);
/* One text. */
int ngx_wagw_template_text(const char *text, const cJSON *variables, bool keep, wagw_buf_t *out, cJSON *missing);
/* Adds the names that placeholders of `body` use to the array, each once.
 * WAGW_MALFORMED: a filter is unknown; *filter (>= 65 bytes) is its name. */
int ngx_wagw_template_names(const cJSON *body, cJSON *names, char *filter);

#pragma GCC visibility pop

#endif
