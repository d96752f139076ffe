/*
 * Which addresses a caller's URL may reach.  First byte: even an address (then
 * 16 bytes of it, then a list as the configuration has it), odd the text of a
 * URL.  One address has one verdict, however it is written.
 */

#include "../../ngx_wagw/ngx_wagw_fields.c"
#include "../../ngx_wagw/ngx_wagw_json.c"
#include "../../ngx_wagw/ngx_wagw_outbound.c"

#include <arpa/inet.h>
#include <curl/curl.h>

#define FUZZ_LIST 4

int LLVMFuzzerTestOneInput(const uint8_t *p, size_t n);

static void need(bool ok)
{
    if (!ok) {
        abort();
    }
}

static bool allowed4(ngx_wagw_main_conf_t *conf, const uint8_t *p)
{
    struct sockaddr_in sin = {.sin_family = AF_INET};

    memcpy(&sin.sin_addr, p, 4);
    return ngx_wagw_outbound_allowed(conf, (struct sockaddr *)&sin) == NGX_OK;
}

static bool allowed6(ngx_wagw_main_conf_t *conf, const uint8_t *head, size_t n, const uint8_t *p)
{
    struct sockaddr_in6 sin6 = {.sin6_family = AF_INET6};

    if (n) {
        memcpy(sin6.sin6_addr.s6_addr, head, n);
    }
    memcpy(sin6.sin6_addr.s6_addr + n, p, 16 - n);
    return ngx_wagw_outbound_allowed(conf, (struct sockaddr *)&sin6) == NGX_OK;
}

/* What may never be reached unasked, said another way than the table does. */
static bool inside(const uint8_t *p)
{
    return p[0] == 0 || p[0] == 10 || p[0] == 127 || (p[0] == 169 && p[1] == 254) || (p[0] == 192 && p[1] == 168) ||
           (p[0] == 172 && p[1] >= 16 && p[1] < 32) || (p[0] == 100 && p[1] >= 64 && p[1] < 128) || p[0] >= 224;
}

static void fuzz_address(const uint8_t *p, size_t n)
{
    static const uint8_t mapped[12] = {[10] = 0xff, 0xff}, nat64[12] = {0, 0x64, 0xff, 0x9b}, to4[2] = {0x20, 2};
    bool plain;
    ngx_cidr_t cidr[FUZZ_LIST], exact;
    ngx_array_t list = {.elts = cidr, .size = sizeof(ngx_cidr_t)}, one = {.elts = &exact, .nelts = 1};
    ngx_wagw_main_conf_t none, conf;

    memset(&none, 0, sizeof(none));
    memset(&conf, 0, sizeof(conf));
    for (size_t at = 16; list.nelts < FUZZ_LIST && n - at >= sizeof(ngx_cidr_t); at += sizeof(ngx_cidr_t)) {
        memcpy(&cidr[list.nelts++], p + at, sizeof(ngx_cidr_t));
    }

    plain = allowed4(&none, p);
    need(!(plain && inside(p)));
    need(allowed6(&none, mapped, 12, p) == plain);
    need(allowed6(&none, nat64, 12, p) == plain);
    need(allowed6(&none, to4, 2, p) == plain);
    if (allowed6(&none, NULL, 0, p)) {
        need(p[0] >> 5 == 1 || memcmp(p, mapped, 12) == 0 || memcmp(p, nat64, 12) == 0);
    }

    /* a list only ever adds */
    conf.outbound_allow = &list;
    need(allowed4(&conf, p) || !plain);
    need(allowed6(&conf, mapped, 12, p) == allowed4(&conf, p));
    need(allowed6(&conf, NULL, 0, p) || !allowed6(&none, NULL, 0, p));

    /* the address itself, listed, is reached */
    conf.outbound_allow = &one;
    memset(&exact, 0, sizeof(exact));
    exact.family = AF_INET;
    memcpy(&exact.u.in.addr, p, 4);
    exact.u.in.mask = 0xffffffff;
    need(allowed4(&conf, p));
}

/* What is taken has a scheme of the two and, to curl, a host; nothing in it breaks a line. */
static void fuzz_url(const uint8_t *p, size_t n)
{
    char *text = malloc(n + 1), *part = NULL;
    CURLU *u = curl_url();

    need(text && u);
    memcpy(text, p, n);
    text[n] = '\0';
    if (ngx_wagw_fields_url_ok(text)) {
        need(strlen(text) <= 2048 && strpbrk(text, " \t\r\n") == NULL);
        if (curl_url_set(u, CURLUPART_URL, text, 0) == CURLUE_OK) {
            need(curl_url_get(u, CURLUPART_SCHEME, &part, 0) == CURLUE_OK);
            need(strcmp(part, "http") == 0 || strcmp(part, "https") == 0);
            curl_free(part);
            need(curl_url_get(u, CURLUPART_HOST, &part, 0) == CURLUE_OK && *part);
            curl_free(part);
        }
    }
    curl_url_cleanup(u);
    free(text);
}

int LLVMFuzzerTestOneInput(const uint8_t *p, size_t n)
{
    if (n < 17) {
        return 0;
    }
    if (*p % 2 == 0) {
        fuzz_address(p + 1, n - 1);
    } else {
        fuzz_url(p + 1, n - 1);
    }
    return 0;
}
