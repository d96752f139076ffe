/*
 * Inside the socket's two files only.
 */

#ifndef NGX_WAGW_SOCKET_H
#define NGX_WAGW_SOCKET_H

#include "ngx_wagw_owner.h"
#include "ngx_wagw_ws.h"

#include <openssl/ssl.h>

#pragma GCC visibility push(hidden)

#define WAGW_SOCKET_ADDRS 16

typedef struct {
    ngx_sockaddr_t sa;
    socklen_t len;
} ngx_wagw_addr_t;

/* The name was looked up, or not: n == 0 and why.  On the loop, never from
 * within ngx_wagw_socket_resolve(). */
typedef void (*ngx_wagw_resolved_pt)(const ngx_wagw_addr_t *addrs, ngx_uint_t n, const char *why);

ngx_int_t ngx_wagw_socket_resolve_init(ngx_str_t *host, in_port_t port, ngx_wagw_resolved_pt done);
/* One lookup runs at a time and serves everyone who waits; answers keep 60 s. */
void ngx_wagw_socket_resolve(void);

/* trusted: a file, or empty for the system's.  NULL after logging. */
SSL_CTX *ngx_wagw_tls_context(ngx_str_t *trusted, ngx_log_t *log);
/* A client's SSL on fd that accepts only a certificate for host. */
SSL *ngx_wagw_tls_start(SSL_CTX *ctx, ngx_fd_t fd, const char *host);
/* Texts for the log, static; NULL when there is nothing to say. */
const char *ngx_wagw_tls_verify_error(SSL *ssl, const char *host);
const char *ngx_wagw_tls_error(void);

#pragma GCC visibility pop

#endif
