#include "ngx_wagw.h"

/*
 * The policy is applied to the address that is really connected to, so a name
 * that resolves differently the second time gains nothing.  Addresses that
 * embed an IPv4 address are judged by what they embed.
 */

typedef struct {
    uint32_t net;
    ngx_uint_t bits;
} ngx_wagw_net4_t;

/* RFC 6890 and successors: everything that is not the public internet */
static const ngx_wagw_net4_t ngx_wagw_outbound_special4[] = {
    {0x00000000, 8},  /* this network */
    {0x0a000000, 8},  /* private */
    {0x64400000, 10}, /* shared, carrier NAT */
    {0x7f000000, 8},  /* loopback */
    {0xa9fe0000, 16}, /* link-local, cloud metadata */
    {0xac100000, 12}, /* private */
    {0xc0000000, 24}, /* protocol assignments */
    {0xc0000200, 24}, /* documentation */
    {0xc0586300, 24}, /* 6to4 relays */
    {0xc0a80000, 16}, /* private */
    {0xc6120000, 15}, /* benchmarks */
    {0xc6336400, 24}, /* documentation */
    {0xcb007100, 24}, /* documentation */
    {0xe0000000, 4},  /* multicast */
    {0xf0000000, 4},  /* reserved, broadcast */
};

static ngx_uint_t ngx_wagw_outbound_public4(uint32_t addr)
{
    ngx_uint_t i;
    uint32_t mask;

    for (i = 0; i < sizeof(ngx_wagw_outbound_special4) / sizeof(ngx_wagw_net4_t); i++) {
        mask = 0xffffffff << (32 - ngx_wagw_outbound_special4[i].bits);

        if ((addr & mask) == ngx_wagw_outbound_special4[i].net) {
            return 0;
        }
    }

    return 1;
}

static uint32_t ngx_wagw_outbound_be32(const u_char *p)
{
    return (uint32_t)p[0] << 24 | (uint32_t)p[1] << 16 | (uint32_t)p[2] << 8 | p[3];
}

static ngx_uint_t ngx_wagw_outbound_public6(const u_char *p)
{
    static const u_char nat64[12] = {0x00, 0x64, 0xff, 0x9b};

    if (p[0] == 0x20 && p[1] == 0x02) { /* 6to4 */
        return ngx_wagw_outbound_public4(ngx_wagw_outbound_be32(p + 2));
    }

    if (ngx_memcmp(p, nat64, 12) == 0) {
        return ngx_wagw_outbound_public4(ngx_wagw_outbound_be32(p + 12));
    }

    if ((p[0] & 0xe0) != 0x20) { /* only 2000::/3 is global unicast */
        return 0;
    }

    if (p[0] == 0x20 && p[1] == 0x01 && p[2] < 0x02) { /* 2001::/23: Teredo, ORCHID, benchmarks ... */
        return 0;
    }

    if (p[0] == 0x20 && p[1] == 0x01 && p[2] == 0x0d && p[3] == 0xb8) { /* documentation */
        return 0;
    }

    if (p[0] == 0x3f && p[1] == 0xff && p[2] < 0x10) { /* documentation, 3fff::/20 */
        return 0;
    }

    return 1;
}

static ngx_uint_t ngx_wagw_outbound_listed(ngx_array_t *list, sa_family_t family, const u_char *addr)
{
    ngx_cidr_t *cidr;
    ngx_uint_t i, k;
    in_addr_t v4;
    const u_char *net, *mask;

    if (list == NULL) {
        return 0;
    }

    cidr = list->elts;

    for (i = 0; i < list->nelts; i++) {

        if (cidr[i].family != family) {
            continue;
        }

        if (family == AF_INET) {
            ngx_memcpy(&v4, addr, 4);

            if ((v4 & cidr[i].u.in.mask) == cidr[i].u.in.addr) {
                return 1;
            }

            continue;
        }

#if (NGX_HAVE_INET6)
        net = cidr[i].u.in6.addr.s6_addr;
        mask = cidr[i].u.in6.mask.s6_addr;

        for (k = 0; k < 16 && (addr[k] & mask[k]) == net[k]; k++) { /* void */
        }

        if (k == 16) {
            return 1;
        }
#endif
    }

    return 0;
}

ngx_int_t ngx_wagw_outbound_allowed(ngx_wagw_main_conf_t *wmcf, struct sockaddr *sa)
{
    const u_char *p;
    struct sockaddr_in *sin;
#if (NGX_HAVE_INET6)
    struct sockaddr_in6 *sin6;
    static const u_char mapped[12] = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff};
#endif

    switch (sa->sa_family) {

    case AF_INET:
        sin = (struct sockaddr_in *)sa;
        p = (const u_char *)&sin->sin_addr;
        break;

#if (NGX_HAVE_INET6)
    case AF_INET6:
        sin6 = (struct sockaddr_in6 *)sa;
        p = sin6->sin6_addr.s6_addr;

        if (ngx_memcmp(p, mapped, 12) == 0) {
            p += 12;
            break;
        }

        if (ngx_wagw_outbound_public6(p) || ngx_wagw_outbound_listed(wmcf->outbound_allow, AF_INET6, p)) {
            return NGX_OK;
        }

        return NGX_DECLINED;
#endif

    default:
        return NGX_DECLINED;
    }

    if (ngx_wagw_outbound_public4(ngx_wagw_outbound_be32(p)) ||
        ngx_wagw_outbound_listed(wmcf->outbound_allow, AF_INET, p)) {
        return NGX_OK;
    }

    return NGX_DECLINED;
}
