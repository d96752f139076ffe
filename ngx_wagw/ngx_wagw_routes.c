/* Matching a path against the route table.  Pure: no request, no memory of
 * its own but the table's segments, cut once per process. */

#include "ngx_wagw_routes.h"

typedef struct {
    const char *p;
    uint8_t n;
    uint8_t param;
} route_seg_t;

typedef struct {
    uint8_t n;
    route_seg_t seg[NGX_WAGW_SEGMENTS];
    ngx_uint_t same; /* the first row with this path */
} route_path_t;

static route_path_t *route_paths; /* parallel to ngx_wagw_routes, kept for the process's life */

static ngx_int_t route_prepare(void);
static ngx_uint_t route_cut(const u_char *p, size_t n, ngx_str_t *seg);

static ngx_int_t route_prepare(void)
{
    ngx_uint_t i, k, n;
    ngx_str_t seg[NGX_WAGW_SEGMENTS];
    route_path_t *paths;

    if (route_paths) {
        return NGX_OK;
    }
    paths = ngx_calloc(ngx_wagw_nroutes * sizeof(route_path_t), ngx_cycle->log);
    if (paths == NULL) {
        return NGX_ERROR;
    }
    for (i = 0; i < ngx_wagw_nroutes; i++) {
        n = route_cut((u_char *)ngx_wagw_routes[i].path, ngx_strlen(ngx_wagw_routes[i].path), seg);
        paths[i].n = n;
        for (k = 0; k < n; k++) {
            paths[i].seg[k].param = seg[k].len && seg[k].data[0] == ':';
            paths[i].seg[k].p = (char *)seg[k].data + paths[i].seg[k].param;
            paths[i].seg[k].n = seg[k].len - paths[i].seg[k].param;
        }
        for (k = 0; ngx_strcmp(ngx_wagw_routes[k].path, ngx_wagw_routes[i].path) != 0; k++) {
            /* void */
        }
        paths[i].same = k;
    }
    route_paths = paths;
    return NGX_OK;
}

/* "/a/b" -> a, b; "/" -> nothing.  More than fit: NGX_WAGW_SEGMENTS + 1. */
static ngx_uint_t route_cut(const u_char *p, size_t n, ngx_str_t *seg)
{
    size_t i, start;
    ngx_uint_t count = 0;

    for (i = 1, start = 1; i <= n; i++) {
        if (i < n && p[i] != '/') {
            continue;
        }
        if (i > start || i < n) {
            if (count == NGX_WAGW_SEGMENTS) {
                return NGX_WAGW_SEGMENTS + 1;
            }
            seg[count].data = (u_char *)p + start;
            seg[count++].len = i - start;
        }
        start = i + 1;
    }
    return count;
}

ngx_int_t ngx_wagw_path_normalise(ngx_pool_t *pool, ngx_str_t *uri, ngx_str_t *path)
{
    size_t n = uri->len;
    u_char *p = uri->data;

    while (n > 1 && p[n - 1] == '/') {
        n--;
    }
    if (n >= 7 && ngx_memcmp(p, "/api/v1", 7) == 0 && (n == 7 || p[7] == '/')) {
        path->data = ngx_pnalloc(pool, n - 3);
        if (path->data == NULL) {
            return NGX_ERROR;
        }
        ngx_memcpy(path->data, "/api", 4);
        ngx_memcpy(path->data + 4, p + 7, n - 7);
        path->len = n - 3;
        return NGX_OK;
    }
    path->data = p;
    path->len = n;
    return NGX_OK;
}

ngx_int_t ngx_wagw_route_match(ngx_str_t *path, ngx_str_t *method, ngx_wagw_match_t *m)
{
    u_char *p;
    ngx_uint_t i, k, n, fixed, best_fixed = 0;
    ngx_str_t seg[NGX_WAGW_SEGMENTS];
    const char *want;
    route_path_t *rp;
    const ngx_wagw_route_t *best = NULL;

    ngx_memzero(m, sizeof(ngx_wagw_match_t));
    if (route_prepare() != NGX_OK || path->len == 0 || path->data[0] != '/') {
        return NGX_ERROR;
    }
    n = route_cut(path->data, path->len, seg);
    if (n > NGX_WAGW_SEGMENTS) {
        return NGX_ERROR;
    }

    for (i = 0; i < ngx_wagw_nroutes; i++) {
        rp = &route_paths[i];
        if (rp->n != n) {
            continue;
        }
        fixed = 0;
        /* from the end, where paths differ most */
        for (k = n; k > 0; k--) {
            if (rp->seg[k - 1].param) {
                if (seg[k - 1].len == 0) {
                    break;
                }
                continue;
            }
            if (rp->seg[k - 1].n != seg[k - 1].len ||
                ngx_memcmp(rp->seg[k - 1].p, seg[k - 1].data, seg[k - 1].len) != 0) {
                break;
            }
            fixed |= 1u << (NGX_WAGW_SEGMENTS - (k - 1));
        }
        if (k == 0 && (best == NULL || fixed > best_fixed)) {
            best = &ngx_wagw_routes[i];
            best_fixed = fixed;
        }
    }
    if (best == NULL) {
        return NGX_ERROR;
    }
    m->any = best;

    want = method->len == 4 && ngx_memcmp(method->data, "HEAD", 4) == 0 ? "GET" : NULL;
    p = (u_char *)m->allow;
    for (i = 0; i < ngx_wagw_nroutes; i++) {
        if (route_paths[i].same != route_paths[best - ngx_wagw_routes].same) {
            continue;
        }
        p = ngx_snprintf(p, (u_char *)m->allow + sizeof(m->allow) - 1 - p, "%s%s%s",
                         p == (u_char *)m->allow ? "" : ", ", ngx_wagw_routes[i].method,
                         ngx_strcmp(ngx_wagw_routes[i].method, "GET") == 0 ? ", HEAD" : "");
        if (want ? ngx_strcmp(ngx_wagw_routes[i].method, want) == 0
                 : (ngx_strlen(ngx_wagw_routes[i].method) == method->len &&
                    ngx_memcmp(ngx_wagw_routes[i].method, method->data, method->len) == 0)) {
            m->route = &ngx_wagw_routes[i];
        }
    }
    *p = '\0';

    rp = &route_paths[best - ngx_wagw_routes];
    for (k = 0; k < n; k++) {
        if (rp->seg[k].param) {
            m->params[m->nparams].name.data = (u_char *)rp->seg[k].p;
            m->params[m->nparams].name.len = rp->seg[k].n;
            m->params[m->nparams++].value = seg[k];
        }
    }
    return m->route ? NGX_OK : NGX_DECLINED;
}

const ngx_wagw_route_t *ngx_wagw_route_find(const char *method, const char *path)
{
    ngx_uint_t i;

    for (i = 0; i < ngx_wagw_nroutes; i++) {
        if (ngx_strcmp(ngx_wagw_routes[i].path, path) == 0 && ngx_strcmp(ngx_wagw_routes[i].method, method) == 0) {
            return &ngx_wagw_routes[i];
        }
    }
    return NULL;
}

uint32_t ngx_wagw_route_checksum(void)
{
    uint32_t crc;
    ngx_uint_t i;

    ngx_crc32_init(crc);
    for (i = 0; i < ngx_wagw_nroutes; i++) {
        ngx_crc32_update(&crc, (u_char *)ngx_wagw_routes[i].method, ngx_strlen(ngx_wagw_routes[i].method));
        ngx_crc32_update(&crc, (u_char *)ngx_wagw_routes[i].path, ngx_strlen(ngx_wagw_routes[i].path));
    }
    ngx_crc32_final(crc);
    return crc;
}
