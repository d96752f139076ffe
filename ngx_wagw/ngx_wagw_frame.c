/* Writing and reading frames, and what both ends do with their socket. */

#include "ngx_wagw_frame.h"

#include <sys/un.h>

static void frame_le(u_char *p, uint64_t v, unsigned bytes)
{
    while (bytes--) {
        *p++ = v & 0xff;
        v >>= 8;
    }
}

static uint64_t frame_get(const u_char *p, unsigned bytes)
{
    uint64_t v = 0;

    while (bytes--) {
        v = v << 8 | p[bytes];
    }
    return v;
}

size_t ngx_wagw_frame_begin(wagw_buf_t *b, uint32_t id, ngx_uint_t op, ngx_uint_t flags)
{
    size_t at = b->n;
    u_char head[NGX_WAGW_FRAME_HEAD];

    frame_le(head, 0, 4);
    frame_le(head + 4, id, 4);
    frame_le(head + 8, op, 2);
    frame_le(head + 10, flags, 2);
    wagw_buf_add(b, head, sizeof(head));
    return at;
}

ngx_int_t ngx_wagw_frame_end(wagw_buf_t *b, size_t at)
{
    if (b->failed || b->n - at > NGX_WAGW_FRAME_MAX) {
        return NGX_ERROR;
    }
    frame_le(b->p + at, b->n - at - 4, 4);
    return NGX_OK;
}

void ngx_wagw_put_u32(wagw_buf_t *b, uint32_t v)
{
    u_char p[4];

    frame_le(p, v, 4);
    wagw_buf_add(b, p, 4);
}

void ngx_wagw_put_u64(wagw_buf_t *b, uint64_t v)
{
    u_char p[8];

    frame_le(p, v, 8);
    wagw_buf_add(b, p, 8);
}

void ngx_wagw_put_str(wagw_buf_t *b, const void *p, size_t n)
{
    ngx_wagw_put_u32(b, (uint32_t)n);
    if (n) {
        wagw_buf_add(b, p, n);
    }
}

ngx_int_t ngx_wagw_frame_next(const wagw_buf_t *b, size_t *at, ngx_wagw_frame_t *f)
{
    u_char *p;
    size_t len, have = b->n - *at;

    if (have < 4) {
        return NGX_AGAIN; /* the buffer may not even be there */
    }
    p = b->p + *at;
    len = frame_get(p, 4);
    if (len < NGX_WAGW_FRAME_HEAD - 4 || len > NGX_WAGW_FRAME_MAX) {
        return NGX_ERROR;
    }
    if (have < len + 4) {
        return NGX_AGAIN;
    }
    f->id = frame_get(p + 4, 4);
    f->op = frame_get(p + 8, 2);
    f->flags = frame_get(p + 10, 2);
    f->p = p + NGX_WAGW_FRAME_HEAD;
    f->n = len + 4 - NGX_WAGW_FRAME_HEAD;
    *at += len + 4;
    return NGX_OK;
}

ngx_wagw_reader_t ngx_wagw_reader(const ngx_wagw_frame_t *f)
{
    return (ngx_wagw_reader_t){f->p, f->p + f->n, 0};
}

static uint64_t frame_number(ngx_wagw_reader_t *r, unsigned bytes)
{
    uint64_t v;

    if (r->bad || (size_t)(r->end - r->p) < bytes) {
        r->bad = 1;
        return 0;
    }
    v = frame_get(r->p, bytes);
    r->p += bytes;
    return v;
}

uint32_t ngx_wagw_get_u32(ngx_wagw_reader_t *r)
{
    return (uint32_t)frame_number(r, 4);
}

uint64_t ngx_wagw_get_u64(ngx_wagw_reader_t *r)
{
    return frame_number(r, 8);
}

ngx_str_t ngx_wagw_get_str(ngx_wagw_reader_t *r)
{
    ngx_str_t s = ngx_null_string;
    size_t n = ngx_wagw_get_u32(r);

    if (r->bad || (size_t)(r->end - r->p) < n) {
        r->bad = 1;
        return s;
    }
    s.data = r->p;
    s.len = n;
    r->p += n;
    return s;
}

ngx_int_t ngx_wagw_get_copy(ngx_wagw_reader_t *r, ngx_pool_t *pool, ngx_str_t *s)
{
    ngx_str_t v = ngx_wagw_get_str(r);

    s->len = 0;
    s->data = ngx_pnalloc(pool, v.len + 1);
    if (s->data == NULL) {
        return NGX_ERROR;
    }
    if (v.len) {
        ngx_memcpy(s->data, v.data, v.len);
    }
    s->data[v.len] = '\0';
    s->len = v.len;
    return NGX_OK;
}

ngx_int_t ngx_wagw_stream_read(ngx_connection_t *c, wagw_buf_t *in, size_t room)
{
    ssize_t n;

    while (in->n < room) {
        if (wagw_buf_reserve(in, 16384) != WAGW_OK) {
            return NGX_ERROR;
        }
        n = recv(c->fd, in->p + in->n, in->cap - in->n, 0);
        if (n == 0) {
            return NGX_OK;
        }
        if (n == -1) {
            if (ngx_errno == NGX_EINTR) {
                continue;
            }
            if (ngx_errno == NGX_EAGAIN) {
                c->read->ready = 0;
                return NGX_AGAIN;
            }
            return NGX_ERROR;
        }
        in->n += n;
    }
    return NGX_DONE;
}

ngx_int_t ngx_wagw_socket_address(ngx_wagw_main_conf_t *wmcf, const char *suffix, struct sockaddr_un *sun)
{
    int n;
    char dir[NGX_MAX_PATH];
    struct stat had, now;
    static int fd = -1;

    ngx_memzero(sun, sizeof(*sun));
    sun->sun_family = AF_UNIX;
    n = snprintf(sun->sun_path, sizeof(sun->sun_path), "%.*s/owner.sock%s", (int)wmcf->state_dir.len,
                 (char *)wmcf->state_dir.data, suffix);
    if (n < (int)sizeof(sun->sun_path)) {
        return NGX_OK;
    }
    /* a deep directory: by a descriptor of it, as long as it is the same one */
    if (snprintf(dir, sizeof(dir), "%.*s", (int)wmcf->state_dir.len, (char *)wmcf->state_dir.data) >=
        (int)sizeof(dir)) {
        ngx_set_errno(ENAMETOOLONG);
        return NGX_ERROR;
    }
    if (stat(dir, &now) == -1) {
        return NGX_ERROR;
    }
    if (fd != -1 && (fstat(fd, &had) == -1 || had.st_ino != now.st_ino || had.st_dev != now.st_dev)) {
        close(fd);
        fd = -1;
    }
    if (fd == -1) {
        fd = open(dir, O_PATH | O_DIRECTORY | O_CLOEXEC);
        if (fd == -1) {
            return NGX_ERROR;
        }
    }
    snprintf(sun->sun_path, sizeof(sun->sun_path), "/proc/self/fd/%d/owner.sock%s", fd, suffix);
    return NGX_OK;
}

ngx_int_t ngx_wagw_peer_trusted(ngx_socket_t s)
{
    struct ucred cred;
    socklen_t len = sizeof(cred);

    if (getsockopt(s, SOL_SOCKET, SO_PEERCRED, &cred, &len) == -1) {
        return NGX_ERROR;
    }
    return cred.uid == geteuid() || cred.uid == 0 ? NGX_OK : NGX_DECLINED;
}

void ngx_wagw_settings_write(wagw_buf_t *b, ngx_wagw_main_conf_t *wmcf)
{
    ngx_uint_t i, n = wmcf->outbound_allow ? wmcf->outbound_allow->nelts : 0;
    ngx_cidr_t *cidr = wmcf->outbound_allow ? wmcf->outbound_allow->elts : NULL;

    ngx_wagw_put_u32(b, wmcf->master_key); /* that there is one: keys themselves are the workers' */
    for (i = 0; i < 3; i++) {
        ngx_wagw_put_u32(b, wmcf->whatsapp_version[i]);
    }
    ngx_wagw_put_u32(b, wmcf->whatsapp_version_auto);
    ngx_wagw_put_u32(b, wmcf->process_control);
    ngx_wagw_put_u32(b, wmcf->raw_messages);
    ngx_wagw_put_u32(b, wmcf->webhook_signature);
    ngx_wagw_put_u32(b, wmcf->event_names);
    ngx_wagw_put_u32(b, wmcf->compat);
    ngx_wagw_put_u32(b, wmcf->request_log);
    for (i = 0; i < NGX_WAGW_SIZES; i++) {
        ngx_wagw_put_u64(b, (uint64_t)wmcf->media_limit[i]);
        ngx_wagw_put_u64(b, (uint64_t)wmcf->media_url_limit[i]);
    }
    for (i = 0; i < 2; i++) {
        ngx_wagw_put_u64(b, (uint64_t)wmcf->media_keep_size[i]);
        ngx_wagw_put_u64(b, (uint64_t)wmcf->media_keep_time[i]);
    }
    ngx_wagw_put_u32(b, n);
    for (i = 0; i < n; i++) {
        ngx_wagw_put_str(b, &cidr[i], sizeof(ngx_cidr_t));
    }
}

ngx_int_t ngx_wagw_settings_read(ngx_wagw_reader_t *r, ngx_pool_t *pool, ngx_wagw_main_conf_t *wmcf)
{
    ngx_str_t s;
    ngx_uint_t i, n;
    ngx_cidr_t *cidr;
    ngx_wagw_main_conf_t new = *wmcf;

    new.master_key = ngx_wagw_get_u32(r);
    for (i = 0; i < 3; i++) {
        new.whatsapp_version[i] = ngx_wagw_get_u32(r);
    }
    new.whatsapp_version_auto = ngx_wagw_get_u32(r);
    new.process_control = ngx_wagw_get_u32(r);
    new.raw_messages = ngx_wagw_get_u32(r);
    new.webhook_signature = ngx_wagw_get_u32(r);
    new.event_names = ngx_wagw_get_u32(r);
    new.compat = ngx_wagw_get_u32(r);
    new.request_log = ngx_wagw_get_u32(r);
    for (i = 0; i < NGX_WAGW_SIZES; i++) {
        new.media_limit[i] = (off_t)ngx_wagw_get_u64(r);
        new.media_url_limit[i] = (off_t)ngx_wagw_get_u64(r);
    }
    for (i = 0; i < 2; i++) {
        new.media_keep_size[i] = (off_t)ngx_wagw_get_u64(r);
        new.media_keep_time[i] = (time_t)ngx_wagw_get_u64(r);
    }
    n = ngx_wagw_get_u32(r);
    new.outbound_allow = NULL;
    if (r->bad || n > NGX_WAGW_FRAME_MAX / sizeof(ngx_cidr_t)) {
        return NGX_ERROR;
    }
    if (n) {
        new.outbound_allow = ngx_array_create(pool, n, sizeof(ngx_cidr_t));
        if (new.outbound_allow == NULL) {
            return NGX_ERROR;
        }
    }
    for (i = 0; i < n; i++) {
        s = ngx_wagw_get_str(r);
        cidr = ngx_array_push(new.outbound_allow);
        if (cidr == NULL || s.len != sizeof(ngx_cidr_t)) {
            return NGX_ERROR;
        }
        ngx_memcpy(cidr, s.data, sizeof(ngx_cidr_t));
    }
    if (r->bad) {
        return NGX_ERROR;
    }
    *wmcf = new;
    return NGX_OK;
}
