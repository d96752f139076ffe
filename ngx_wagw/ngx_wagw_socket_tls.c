/*
 * TLS of the socket: OpenSSL itself on a non-blocking descriptor, so that the
 * module works with an nginx built without SSL, and chain and host name are
 * checked by OpenSSL within the handshake.
 */

#include "ngx_wagw_socket.h"

#include <openssl/err.h>
#include <openssl/x509v3.h>

const char *ngx_wagw_tls_error(void)
{
    static char text[192];
    unsigned long e = ERR_peek_last_error();

    if (e == 0) {
        return NULL;
    }

    ngx_memcpy(text, "TLS: ", 5);
    ERR_error_string_n(e, text + 5, sizeof(text) - 5);
    ERR_clear_error();

    return text;
}

SSL_CTX *ngx_wagw_tls_context(ngx_str_t *trusted, ngx_log_t *log)
{
    const char *file;
    char path[NGX_MAX_PATH];
    SSL_CTX *ctx;
    int ok;

    ctx = SSL_CTX_new(TLS_client_method());
    if (ctx == NULL) {
        return NULL;
    }

    SSL_CTX_set_min_proto_version(ctx, TLS1_2_VERSION);
    SSL_CTX_set_options(ctx, SSL_OP_NO_COMPRESSION | SSL_OP_NO_RENEGOTIATION);
    SSL_CTX_set_session_cache_mode(ctx, SSL_SESS_CACHE_OFF);
    SSL_CTX_set_mode(ctx,
                     SSL_MODE_RELEASE_BUFFERS | SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
    SSL_CTX_set_verify(ctx, SSL_VERIFY_PEER, NULL);

    if (trusted->len == 0) {
        ok = SSL_CTX_set_default_verify_paths(ctx);
        file = "the system's";

    } else {
        if (trusted->len >= sizeof(path)) {
            SSL_CTX_free(ctx);
            return NULL;
        }

        ngx_memcpy(path, trusted->data, trusted->len);
        path[trusted->len] = '\0';

        ok = SSL_CTX_load_verify_locations(ctx, path, NULL);
        file = path;

        /* the file may hold the server's own self-signed certificate */
        X509_VERIFY_PARAM_set_flags(SSL_CTX_get0_param(ctx), X509_V_FLAG_PARTIAL_CHAIN);
    }

    if (ok != 1) {
        ngx_log_error(NGX_LOG_CRIT, log, 0, "wagw: trusted certificates \"%s\" cannot be loaded: %s", file,
                      ngx_wagw_tls_error());
        SSL_CTX_free(ctx);
        return NULL;
    }

    return ctx;
}

const char *ngx_wagw_tls_verify_error(SSL *ssl, const char *host)
{
    static char text[512];
    long rc = SSL_get_verify_result(ssl);

    if (rc == X509_V_OK) {
        return NULL;
    }

    snprintf(text, sizeof(text), "TLS: certificate of %s is not accepted: %s", host, X509_verify_cert_error_string(rc));
    ERR_clear_error();

    return text;
}

SSL *ngx_wagw_tls_start(SSL_CTX *ctx, ngx_fd_t fd, const char *host)
{
    X509_VERIFY_PARAM *param;
    unsigned char ip[16];
    SSL *ssl;
    int ok;

    ssl = SSL_new(ctx);
    if (ssl == NULL) {
        return NULL;
    }

    SSL_set_connect_state(ssl);

    param = SSL_get0_param(ssl);
    X509_VERIFY_PARAM_set_hostflags(param, X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS);

    /* an address in the URL is compared with the certificate's addresses and not sent as SNI */
    if (inet_pton(AF_INET, host, ip) == 1 || inet_pton(AF_INET6, host, ip) == 1) {
        ok = X509_VERIFY_PARAM_set1_ip_asc(param, host);

    } else {
        ok = X509_VERIFY_PARAM_set1_host(param, host, 0) == 1 && SSL_set_tlsext_host_name(ssl, host) == 1;
    }

    if (ok != 1 || SSL_set_fd(ssl, fd) != 1) {
        SSL_free(ssl);
        return NULL;
    }

    return ssl;
}
