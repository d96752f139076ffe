/*
 * Listening, TLS with a certificate of our own, the life of a connection.
 * A connection is closed in two steps: `dead` marks it, a sweep frees it once
 * no callback of it can be on the stack any more.
 */

#include "sandbox.h"

#include <event2/bufferevent_ssl.h>
#include <event2/listener.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>

#include <arpa/inet.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>

static SSL_CTX *sbx_ssl;
static char *sbx_pem;
static struct event *sbx_sweeper;

static int sbx_cert_ext(X509 *crt, int nid, const char *value)
{
    int ok;
    X509V3_CTX ctx;
    X509_EXTENSION *ext;

    X509V3_set_ctx(&ctx, crt, crt, NULL, NULL, 0);
    ext = X509V3_EXT_conf_nid(NULL, &ctx, nid, value);
    if (ext == NULL) {
        return 0;
    }
    ok = X509_add_ext(crt, ext, -1);
    X509_EXTENSION_free(ext);
    return ok;
}

static X509 *sbx_cert_make(EVP_PKEY *key)
{
    X509 *crt;
    X509_NAME *name;

    crt = X509_new();
    if (crt == NULL) {
        return NULL;
    }

    name = X509_get_subject_name(crt);
    if (!X509_set_version(crt, 2) || !ASN1_INTEGER_set(X509_get_serialNumber(crt), (long)(sbx_random_u32() >> 1)) ||
        X509_gmtime_adj(X509_getm_notBefore(crt), -86400) == NULL ||
        X509_gmtime_adj(X509_getm_notAfter(crt), 825L * 86400) == NULL || !X509_set_pubkey(crt, key) ||
        !X509_NAME_add_entry_by_txt(name, "CN", MBSTRING_ASC, (const uint8_t *)"wagw-sandbox", -1, -1, 0) ||
        !X509_set_issuer_name(crt, name) || !sbx_cert_ext(crt, NID_basic_constraints, "critical,CA:TRUE") ||
        !sbx_cert_ext(crt, NID_subject_alt_name,
                      "DNS:localhost,IP:127.0.0.1,DNS:web.whatsapp.com,DNS:mmg.whatsapp.net") ||
        !X509_sign(crt, key, EVP_sha256())) {
        X509_free(crt);
        return NULL;
    }
    return crt;
}

int sbx_tls_init(const char *cert_out)
{
    int rc;
    long n;
    BIO *mem;
    X509 *crt;
    FILE *f;
    char *p;
    EVP_PKEY *key;

    rc = -1;
    crt = NULL;
    mem = NULL;
    key = EVP_EC_gen("P-256");
    sbx_ssl = SSL_CTX_new(TLS_server_method());
    if (key == NULL || sbx_ssl == NULL) {
        goto done;
    }

    crt = sbx_cert_make(key);
    mem = BIO_new(BIO_s_mem());
    if (crt == NULL || mem == NULL || !PEM_write_bio_X509(mem, crt)) {
        goto done;
    }
    n = BIO_get_mem_data(mem, &p);
    sbx_pem = sbx_strndup(wagw_str(p, (size_t)n));

    if (SSL_CTX_use_certificate(sbx_ssl, crt) != 1 || SSL_CTX_use_PrivateKey(sbx_ssl, key) != 1 ||
        SSL_CTX_set_min_proto_version(sbx_ssl, TLS1_2_VERSION) != 1) {
        goto done;
    }
    /* idle connections hold no record buffers: ten thousand of them are the normal case */
    SSL_CTX_set_mode(sbx_ssl, SSL_MODE_RELEASE_BUFFERS);
    SSL_CTX_set_session_cache_mode(sbx_ssl, SSL_SESS_CACHE_OFF);
    SSL_CTX_set_num_tickets(sbx_ssl, 0);

    if (cert_out != NULL) {
        f = fopen(cert_out, "w");
        if (f == NULL || fputs(sbx_pem, f) < 0 || fclose(f) != 0) {
            fprintf(stderr, "wagw-sandbox: cannot write %s\n", cert_out);
            goto done;
        }
    }
    rc = 0;

done:

    EVP_PKEY_free(key);
    X509_free(crt);
    BIO_free(mem);
    return rc;
}

const char *sbx_tls_pem(void)
{
    return sbx_pem;
}

static void sbx_sweep(evutil_socket_t fd, short what, void *data)
{
    sbx_conn_t *c, *next;

    (void)fd;
    (void)what;
    (void)data;

    for (c = sbx.conns; c != NULL; c = next) {
        next = c->next;
        if (!c->dead) {
            continue;
        }
        if (c->prev != NULL) {
            c->prev->next = c->next;
        } else {
            sbx.conns = c->next;
        }
        if (c->next != NULL) {
            c->next->prev = c->prev;
        }
        bufferevent_free(c->bev);
        wagw_noise_wipe(&c->noise);
        wagw_buf_free(&c->stream);
        sbx_log_clear(&c->log);
        free(c);
    }
}

void sbx_conn_close(sbx_conn_t *c)
{
    struct timeval now = {0, 0};

    if (c->dead) {
        return;
    }
    c->dead = true;
    c->closing = true;
    bufferevent_disable(c->bev, EV_READ | EV_WRITE);
    bufferevent_setcb(c->bev, NULL, NULL, NULL, NULL);

    if (c->state != SBX_HTTP) {
        sbx.nconns--;
        sbx_stream_gone(c);
    }
    if (c->req != NULL) {
        sbx_http_gone(c);
    }
    c->state = SBX_CLOSING;
    sbx_changed();

    if (sbx_sweeper == NULL) {
        sbx_sweeper = evtimer_new(sbx.base, sbx_sweep, NULL);
    }
    evtimer_add(sbx_sweeper, &now);
}

void sbx_conn_finish(sbx_conn_t *c)
{
    if (c->dead || c->closing) {
        return;
    }
    c->closing = true;
    if (c->device != NULL || c->pairing != NULL) {
        sbx_stream_gone(c);
    }
    if (evbuffer_get_length(bufferevent_get_output(c->bev)) == 0) {
        sbx_conn_close(c);
    }
}

void sbx_conns_reset(void)
{
    sbx_conn_t *c;

    for (c = sbx.conns; c != NULL; c = c->next) {
        if (c->state != SBX_HTTP) {
            sbx_conn_close(c);
        }
    }
}

sbx_conn_t *sbx_conn_find(uint64_t id)
{
    sbx_conn_t *c;

    for (c = sbx.conns; c != NULL; c = c->next) {
        if (c->id == id && !c->closing) {
            return c;
        }
    }
    return NULL;
}

static void sbx_on_read(struct bufferevent *bev, void *data)
{
    sbx_conn_t *c;

    c = data;
    if (c->closing) {
        evbuffer_drain(bufferevent_get_input(bev), (size_t)-1);
        return;
    }
    if (c->state == SBX_HTTP) {
        sbx_http_read(c);
    }
    if (c->state != SBX_HTTP && !c->closing) {
        sbx_ws_read(c);
    }
}

static void sbx_on_write(struct bufferevent *bev, void *data)
{
    sbx_conn_t *c;

    c = data;
    if (c->closing && evbuffer_get_length(bufferevent_get_output(bev)) == 0) {
        sbx_conn_close(c);
    }
}

static void sbx_on_event(struct bufferevent *bev, short what, void *data)
{
    (void)bev;
    if (what & (BEV_EVENT_EOF | BEV_EVENT_ERROR | BEV_EVENT_TIMEOUT)) {
        ERR_clear_error();
        sbx_conn_close(data);
    }
}

static void sbx_on_accept(struct evconnlistener *l, evutil_socket_t fd, struct sockaddr *sa, int len, void *tls)
{
    SSL *ssl;
    int one;
    sbx_conn_t *c;

    (void)l;
    (void)sa;
    (void)len;

    one = 1;
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));

    c = sbx_alloc(sizeof(sbx_conn_t));
    if (tls != NULL) {
        ssl = SSL_new(sbx_ssl);
        c->bev = ssl ? bufferevent_openssl_socket_new(sbx.base, fd, ssl, BUFFEREVENT_SSL_ACCEPTING,
                                                      BEV_OPT_CLOSE_ON_FREE | BEV_OPT_DEFER_CALLBACKS)
                     : NULL;
        if (c->bev != NULL) {
            bufferevent_openssl_set_allow_dirty_shutdown(c->bev, 1);
        } else {
            SSL_free(ssl);
        }
    } else {
        c->bev = bufferevent_socket_new(sbx.base, fd, BEV_OPT_CLOSE_ON_FREE | BEV_OPT_DEFER_CALLBACKS);
    }
    if (c->bev == NULL) {
        evutil_closesocket(fd);
        free(c);
        return;
    }

    c->id = ++sbx.next_conn;
    c->next = sbx.conns;
    if (sbx.conns != NULL) {
        sbx.conns->prev = c;
    }
    sbx.conns = c;

    bufferevent_setcb(c->bev, sbx_on_read, sbx_on_write, sbx_on_event, c);
    bufferevent_enable(c->bev, EV_READ | EV_WRITE);
}

int sbx_listen(const char *host, unsigned *port, bool tls)
{
    socklen_t len;
    struct sockaddr_in sin;
    struct evconnlistener *l;
    static char is_tls;

    memset(&sin, 0, sizeof(sin));
    sin.sin_family = AF_INET;
    sin.sin_port = htons((uint16_t)*port);
    if (inet_pton(AF_INET, host, &sin.sin_addr) != 1) {
        fprintf(stderr, "wagw-sandbox: --host wants an IPv4 address\n");
        return -1;
    }

    l = evconnlistener_new_bind(sbx.base, sbx_on_accept, tls ? &is_tls : NULL,
                                LEV_OPT_CLOSE_ON_FREE | LEV_OPT_CLOSE_ON_EXEC | LEV_OPT_REUSEABLE, 4096,
                                (struct sockaddr *)&sin, sizeof(sin));
    if (l == NULL) {
        fprintf(stderr, "wagw-sandbox: cannot listen on %s:%u\n", host, *port);
        return -1;
    }

    len = sizeof(sin);
    if (getsockname(evconnlistener_get_fd(l), (struct sockaddr *)&sin, &len) != 0) {
        return -1;
    }
    *port = ntohs(sin.sin_port);
    return 0;
}
