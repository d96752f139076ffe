/*
 * Frames between workers and the owner: little-endian
 *     u32 length (of what follows)  u32 id  u16 op  u16 flags  payload
 * and the fields inside: u32, u64, and strings with a u32 length before them.
 * Both ends trust the other no further than their lengths: what does not fit
 * is NGX_ERROR and ends the connection.
 */

#ifndef NGX_WAGW_FRAME_H
#define NGX_WAGW_FRAME_H

#include "ngx_wagw.h"

#pragma GCC visibility push(hidden)

#define NGX_WAGW_FRAME_HEAD 12
#define NGX_WAGW_FRAME_MAX (1024 * 1024)
#define NGX_WAGW_FRAME_PART (256 * 1024) /* a longer answer comes in DATA frames */

typedef enum {
    NGX_WAGW_OP_HELLO = 1, /* both ways, first: proto, route checksum, pid, generation */
    NGX_WAGW_OP_CALL,      /* worker: a REST call */
    NGX_WAGW_OP_REPLY,     /* owner: status, retry_after, message id, type, first part of the body */
    NGX_WAGW_OP_DATA,      /* owner: more body; flag MORE as long as another follows */
    NGX_WAGW_OP_CANCEL,    /* worker: the client of `id` went away */
    NGX_WAGW_OP_KEY,       /* worker: what is the key with this hash? */
    NGX_WAGW_OP_KEY_REPLY, /* owner: 0 unknown, 1 known (fields follow), 2 cannot say yet */
    NGX_WAGW_OP_SETTINGS   /* worker 0 after a reload: the hot settings; answered by REPLY */
} ngx_wagw_op_t;

#define NGX_WAGW_FLAG_MORE 0x01
#define NGX_WAGW_FLAG_REPLAYED 0x02

typedef struct {
    uint32_t id;
    uint16_t op;
    uint16_t flags;
    u_char *p; /* payload, in the receive buffer */
    size_t n;
} ngx_wagw_frame_t;

/* Begins a frame in b and returns where, for _end(). */
size_t ngx_wagw_frame_begin(wagw_buf_t *b, uint32_t id, ngx_uint_t op, ngx_uint_t flags);
/* Writes the length.  NGX_ERROR: without memory or over the maximum. */
ngx_int_t ngx_wagw_frame_end(wagw_buf_t *b, size_t at);
void ngx_wagw_put_u32(wagw_buf_t *b, uint32_t v);
void ngx_wagw_put_u64(wagw_buf_t *b, uint64_t v);
void ngx_wagw_put_str(wagw_buf_t *b, const void *p, size_t n);

/* The next whole frame at *at, which moves on: NGX_OK, NGX_AGAIN, NGX_ERROR. */
ngx_int_t ngx_wagw_frame_next(const wagw_buf_t *b, size_t *at, ngx_wagw_frame_t *f);

/* Reading a payload: `bad` sticks, values read after it are zero or empty. */
typedef struct {
    u_char *p, *end;
    unsigned bad : 1;
} ngx_wagw_reader_t;

ngx_wagw_reader_t ngx_wagw_reader(const ngx_wagw_frame_t *f);
uint32_t ngx_wagw_get_u32(ngx_wagw_reader_t *r);
uint64_t ngx_wagw_get_u64(ngx_wagw_reader_t *r);
ngx_str_t ngx_wagw_get_str(ngx_wagw_reader_t *r);                                  /* view */
ngx_int_t ngx_wagw_get_copy(ngx_wagw_reader_t *r, ngx_pool_t *pool, ngx_str_t *s); /* NUL behind it */

/* Appends what is readable from a non-blocking stream to `in`: NGX_AGAIN when
 * all is read, NGX_DONE when `room` bytes are waiting (call again after they
 * were taken), NGX_OK at the end of the stream, NGX_ERROR. */
ngx_int_t ngx_wagw_stream_read(ngx_connection_t *c, wagw_buf_t *in, size_t room);
/* "owner.sock" in the state directory. */
ngx_int_t ngx_wagw_socket_address(ngx_wagw_main_conf_t *wmcf, const char *suffix, struct sockaddr_un *sun);
/* The process at the other end runs as we do, or as root. */
ngx_int_t ngx_wagw_peer_trusted(ngx_socket_t s);

/* The settings that a reload hands to a living owner. */
void ngx_wagw_settings_write(wagw_buf_t *b, ngx_wagw_main_conf_t *wmcf);
/* Into a copy made in pool; NGX_ERROR leaves *wmcf as it was. */
ngx_int_t ngx_wagw_settings_read(ngx_wagw_reader_t *r, ngx_pool_t *pool, ngx_wagw_main_conf_t *wmcf);

#pragma GCC visibility pop

#endif
