/*
 * The route table's private half: matching a path against it.
 */

#ifndef NGX_WAGW_ROUTES_H
#define NGX_WAGW_ROUTES_H

#include "ngx_wagw.h"

#pragma GCC visibility push(hidden)

#define NGX_WAGW_SEGMENTS 10 /* more than any row has */

typedef struct {
    ngx_str_t name;  /* without the colon */
    ngx_str_t value; /* of the request */
} ngx_wagw_path_param_t;

typedef struct {
    const ngx_wagw_route_t *route; /* NULL with NGX_DECLINED: wrong method */
    const ngx_wagw_route_t *any;   /* a row of this path, whatever the method */
    ngx_uint_t nparams;
    ngx_wagw_path_param_t params[NGX_WAGW_SEGMENTS];
    char allow[64]; /* "GET, HEAD, PUT": the methods of this path */
} ngx_wagw_match_t;

/*
 * path: already without "/v1" and trailing slash (ngx_wagw_path_normalise).
 * NGX_OK; NGX_DECLINED: the path is known, the method is not; NGX_ERROR: no
 * such path.  Fixed words win over parameters, from the left.  HEAD is GET.
 */
ngx_int_t ngx_wagw_route_match(ngx_str_t *path, ngx_str_t *method, ngx_wagw_match_t *m);
/* Takes "/v1" out behind "/api" and slashes off the end; NGX_ERROR without memory. */
ngx_int_t ngx_wagw_path_normalise(ngx_pool_t *pool, ngx_str_t *uri, ngx_str_t *path);
/* A row by its method and path as written in the table, or NULL. */
const ngx_wagw_route_t *ngx_wagw_route_find(const char *method, const char *path);
/* Changes with any change of the table's order: both ends of ipc must agree. */
uint32_t ngx_wagw_route_checksum(void);

#pragma GCC visibility pop

#endif
