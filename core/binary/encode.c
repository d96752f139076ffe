#include "node.h"
#include "token.h"
#include "wire.h"

static int encode_string(wagw_buf_t *out, wagw_str_t s, bool jid, unsigned nest);

static int encode_list(wagw_buf_t *out, size_t size)
{
    if (size == 0) {
        return wagw_buf_u8(out, WIRE_LIST_EMPTY);
    }
    if (size <= UINT8_MAX) {
        wagw_buf_u8(out, WIRE_LIST_8);
        return wagw_buf_u8(out, (uint8_t)size);
    }
    if (size > WIRE_LIST_MAX) {
        return WAGW_LIMIT;
    }
    wagw_buf_u8(out, WIRE_LIST_16);
    return wagw_buf_be(out, size, 2);
}

static int encode_binary(wagw_buf_t *out, wagw_str_t s)
{
    if (s.n < 1u << 8) {
        wagw_buf_u8(out, WIRE_BINARY_8);
        wagw_buf_u8(out, (uint8_t)s.n);
    } else if (s.n < 1u << 20) {
        wagw_buf_u8(out, WIRE_BINARY_20);
        wagw_buf_be(out, s.n, 3);
    } else if (s.n <= WIRE_PLAIN_MAX) {
        wagw_buf_u8(out, WIRE_BINARY_32);
        wagw_buf_be(out, s.n, 4);
    } else {
        return WAGW_LIMIT;
    }
    return wagw_buf_str(out, s);
}

/* -1: the character cannot be packed. */
static int encode_nibble(uint8_t c)
{
    return c >= '0' && c <= '9' ? c - '0' : c == '-' ? 10 : c == '.' ? 11 : -1;
}

static int encode_hex(uint8_t c)
{
    return c >= '0' && c <= '9' ? c - '0' : c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
}

/* False: some character does not fit, nothing was written. */
static bool encode_packed(wagw_buf_t *out, wagw_str_t s, uint8_t tag, int (*half)(uint8_t))
{
    size_t i;
    uint8_t packed[(WIRE_PACKED_MAX + 1) / 2];

    for (i = 0; i < s.n; i++) {
        int v = half(s.p[i]);

        if (v < 0) {
            return false;
        }
        if (i % 2 == 0) {
            packed[i / 2] = (uint8_t)(v << 4 | 15);
        } else {
            packed[i / 2] = (uint8_t)((packed[i / 2] & 0xf0) | v);
        }
    }
    wagw_buf_u8(out, tag);
    wagw_buf_u8(out, (uint8_t)((s.n + 1) / 2 | (s.n % 2) << 7));
    wagw_buf_add(out, packed, (s.n + 1) / 2);
    return true;
}

/* Cuts `head<sep>number` of which the number is at most max. */
static bool encode_cut(wagw_str_t s, char sep, uint64_t max, wagw_str_t *head, uint64_t *number)
{
    const uint8_t *at = s.n > 0 ? memchr(s.p, sep, s.n) : NULL;

    if (at == NULL || wagw_str_u64(wagw_str(at + 1, (size_t)(s.p + s.n - at - 1)), number) != WAGW_OK ||
        *number > max) {
        return false;
    }
    *head = wagw_str(s.p, (size_t)(at - s.p));
    return true;
}

/*
 * The forms that the references choose: AD_JID when a device is named, be it
 * 0, else JID_PAIR; Messenger and interop users with a device have their own.
 */
static int encode_jid(wagw_buf_t *out, wagw_str_t text, const uint8_t *at, unsigned nest)
{
    wagw_str_t user = wagw_str(text.p, (size_t)(at - text.p));
    wagw_str_t server = wagw_str(at + 1, text.n - user.n - 1);
    uint64_t device = 0, agent = 0, integrator;
    bool msgr = wagw_str_is(server, "msgr"), interop = wagw_str_is(server, "interop"), has_device;
    int rc;

    has_device = encode_cut(user, ':', msgr || interop ? UINT16_MAX : UINT8_MAX, &user, &device);
    if (!msgr && !interop) {
        encode_cut(user, '_', UINT8_MAX, &user, &agent);
    }

    if (!has_device) {
        wagw_buf_u8(out, WIRE_JID_PAIR);
        rc = user.n == 0 ? wagw_buf_u8(out, WIRE_LIST_EMPTY) : encode_string(out, user, false, nest);
        return rc == WAGW_OK ? encode_string(out, server, true, nest + 1) : rc;
    }
    if (interop) {
        const uint8_t *dash = user.n > 0 ? memchr(user.p, '-', user.n) : NULL;

        if (dash == NULL || wagw_str_u64(wagw_str(user.p, (size_t)(dash - user.p)), &integrator) != WAGW_OK ||
            integrator > UINT16_MAX) {
            return WAGW_MALFORMED;
        }
        wagw_buf_u8(out, WIRE_INTEROP_JID);
        encode_string(out, wagw_str(dash + 1, (size_t)(user.p + user.n - dash - 1)), false, nest);
        wagw_buf_be(out, device, 2);
        wagw_buf_be(out, integrator, 2);
        return encode_string(out, server, false, nest);
    }
    if (msgr) {
        wagw_buf_u8(out, WIRE_FB_JID);
        encode_string(out, user, false, nest);
        wagw_buf_be(out, device, 2);
        return encode_string(out, server, false, nest);
    }

    if (wagw_str_is(server, "lid")) {
        agent = WIRE_DOMAIN_LID;
    } else if (wagw_str_is(server, "hosted")) {
        agent = WIRE_DOMAIN_HOSTED;
    } else if (wagw_str_is(server, "hosted.lid")) {
        agent = WIRE_DOMAIN_HOSTED_LID;
    }
    wagw_buf_u8(out, WIRE_AD_JID);
    wagw_buf_u8(out, (uint8_t)agent);
    wagw_buf_u8(out, (uint8_t)device);
    return encode_string(out, user, false, nest);
}

static int encode_string(wagw_buf_t *out, wagw_str_t s, bool jid, unsigned nest)
{
    unsigned token;
    const uint8_t *at;

    token = wagw_token_find(s);
    if (token >= WIRE_DICT_0) {
        return wagw_buf_be(out, (WIRE_DICT_0 << 8) + token - WIRE_DICT_0, 2);
    }
    if (token > 0) {
        return wagw_buf_u8(out, (uint8_t)token);
    }
    if (s.n > 0 && s.n <= WIRE_PACKED_MAX &&
        (encode_packed(out, s, WIRE_NIBBLE_8, encode_nibble) || encode_packed(out, s, WIRE_HEX_8, encode_hex))) {
        return WAGW_OK;
    }
    if (jid && nest < WIRE_JID_NEST_MAX) {
        at = s.n > 0 ? memchr(s.p, '@', s.n) : NULL;
        /* a JID's server is never empty: what ends in an @ is some text */
        if (at != NULL && at + 1 < s.p + s.n) {
            return encode_jid(out, s, at, nest);
        }
    }
    return encode_binary(out, s);
}

static int encode_node(wagw_buf_t *out, const wagw_node_t *n, unsigned depth)
{
    const wagw_attr_t *at;
    const wagw_node_t *child;
    int rc;

    if (depth >= WIRE_DEPTH_MAX) {
        return WAGW_LIMIT;
    }
    if (n->tag.n == 0) {
        return WAGW_MALFORMED;
    }
    rc = encode_list(out, 1 + 2 * (size_t)n->nattrs + (n->content != WAGW_CONTENT_NONE));
    if (rc == WAGW_OK) {
        rc = encode_string(out, n->tag, true, 0);
    }
    for (at = n->attrs; rc == WAGW_OK && at != NULL; at = at->next) {
        rc = encode_string(out, at->key, true, 0);
        if (rc == WAGW_OK) {
            rc = encode_string(out, at->value, at->is_jid, 0);
        }
    }
    if (rc != WAGW_OK) {
        return rc;
    }

    switch (n->content) {
    case WAGW_CONTENT_NODES:
        rc = encode_list(out, n->nchildren);
        for (child = n->child; rc == WAGW_OK && child != NULL; child = child->next) {
            rc = encode_node(out, child, depth + 1);
        }
        return rc;
    case WAGW_CONTENT_BYTES:
        return encode_binary(out, n->data);
    case WAGW_CONTENT_TEXT:
        return encode_string(out, n->data, n->text_is_jid, 0);
    default:
        return WAGW_OK;
    }
}

int wagw_node_encode(wagw_buf_t *out, const wagw_node_t *n)
{
    size_t before = out->n;
    int rc;

    if (n == NULL) {
        return WAGW_NOMEM;
    }
    wagw_buf_u8(out, 0);
    rc = encode_node(out, n, 0);
    if (rc == WAGW_OK && out->failed) {
        rc = WAGW_NOMEM;
    }
    if (rc == WAGW_OK && out->n - before - 1 > WIRE_PLAIN_MAX) {
        rc = WAGW_LIMIT;
    }
    if (rc != WAGW_OK) {
        out->n = before;
    }
    return rc;
}
