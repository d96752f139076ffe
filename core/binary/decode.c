#include <zlib.h>

#include "node.h"
#include "token.h"
#include "wire.h"

typedef struct {
    const uint8_t *p;
    const uint8_t *end;
    wagw_arena_t *a;
    size_t used_before; /* of the arena */
    uint32_t nodes;
} decoder_t;

/* What a value was on the wire. */
typedef enum { VALUE_STRING = 0, VALUE_EMPTY, VALUE_BINARY, VALUE_JID } value_kind_t;

static int decode_value(decoder_t *d, uint8_t tag, wagw_str_t *out, value_kind_t *kind, unsigned nest);

static size_t decode_left(const decoder_t *d)
{
    return (size_t)(d->end - d->p);
}

static int decode_be(decoder_t *d, unsigned bytes, uint32_t *out)
{
    uint32_t v = 0;

    if (decode_left(d) < bytes) {
        return WAGW_MALFORMED;
    }
    while (bytes-- > 0) {
        v = v << 8 | *d->p++;
    }
    *out = v;
    return WAGW_OK;
}

/* A frame of a few kilobytes may ask for megabytes of small pieces. */
static int decode_alloc(decoder_t *d, size_t n, void **out)
{
    if (d->a->used - d->used_before > WIRE_MEMORY_MAX) {
        return WAGW_LIMIT;
    }
    *out = wagw_arena_alloc(d->a, n);
    return *out == NULL ? WAGW_NOMEM : WAGW_OK;
}

static int decode_packed(decoder_t *d, bool hex, wagw_str_t *out)
{
    static const char hex_digits[] = "0123456789ABCDEF";
    static const char nibbles[] = {'0', '1', '2', '3', '4', '5', '6', '7', '8', '9', '-', '.', -1, -1, -1, '\0'};
    uint32_t size, bytes;
    size_t i, n = 0;
    char *text;
    void *p;
    int rc;

    rc = decode_be(d, 1, &size);
    if (rc != WAGW_OK) {
        return rc;
    }
    bytes = size & 0x7f;
    if (bytes > decode_left(d)) {
        return WAGW_MALFORMED;
    }
    if (bytes == 0) {
        *out = WAGW_STR("");
        return WAGW_OK;
    }
    rc = decode_alloc(d, 2 * bytes, &p);
    if (rc != WAGW_OK) {
        return rc;
    }
    text = p;
    for (i = 0; i < bytes; i++) {
        uint8_t hi = d->p[i] >> 4, lo = d->p[i] & 15;

        text[n++] = hex ? hex_digits[hi] : nibbles[hi];
        text[n++] = hex ? hex_digits[lo] : nibbles[lo];
        /* the filler half-byte must be a legal one too */
        if (!hex && (nibbles[hi] < 0 || nibbles[lo] < 0)) {
            return WAGW_MALFORMED;
        }
    }
    d->p += bytes;
    *out = wagw_str(text, n - (size >> 7));
    return WAGW_OK;
}

/* A part of a JID: some string, empty allowed. */
static int decode_part(decoder_t *d, wagw_str_t *out, unsigned nest)
{
    uint32_t tag;
    value_kind_t kind;
    int rc = decode_be(d, 1, &tag);

    return rc == WAGW_OK ? decode_value(d, (uint8_t)tag, out, &kind, nest) : rc;
}

static int decode_jid_text(decoder_t *d, wagw_str_t user, const char *device, wagw_str_t server, wagw_str_t *out)
{
    size_t n = user.n + server.n + 1 + strlen(device);
    uint8_t *at;
    void *p;
    int rc;

    rc = decode_alloc(d, n, &p);
    if (rc != WAGW_OK) {
        return rc;
    }
    at = p;
    if (user.n > 0) {
        memcpy(at, user.p, user.n);
        at += user.n;
    }
    memcpy(at, device, strlen(device));
    at += strlen(device);
    *at++ = '@';
    memcpy(at, server.p, server.n);
    *out = wagw_str(p, n);
    return WAGW_OK;
}

/* `:number` in a static-size text. */
static const char *decode_device(char out[8], uint32_t device)
{
    char digits[6];
    size_t n = 0, i = 0;

    do {
        digits[n++] = (char)('0' + device % 10);
        device /= 10;
    } while (device != 0);

    out[i++] = ':';
    while (n > 0) {
        out[i++] = digits[--n];
    }
    out[i] = '\0';
    return out;
}

static int decode_jid_pair(decoder_t *d, wagw_str_t *out, unsigned nest)
{
    wagw_str_t user = WAGW_STR_NULL, server = WAGW_STR_NULL;
    int rc;

    rc = decode_part(d, &user, WIRE_JID_NEST_MAX);
    if (rc == WAGW_OK) {
        rc = decode_part(d, &server, nest + 1);
    }
    if (rc == WAGW_OK && server.n == 0) {
        rc = WAGW_MALFORMED;
    }
    return rc == WAGW_OK ? decode_jid_text(d, user, "", server, out) : rc;
}

static int decode_ad_jid(decoder_t *d, wagw_str_t *out)
{
    uint32_t domain, device;
    wagw_str_t user = WAGW_STR_NULL, server = WAGW_STR_NULL;
    char text[8];
    int rc;

    rc = decode_be(d, 1, &domain);
    if (rc == WAGW_OK) {
        rc = decode_be(d, 1, &device);
    }
    if (rc == WAGW_OK) {
        rc = decode_part(d, &user, WIRE_JID_NEST_MAX);
    }
    if (rc != WAGW_OK) {
        return rc;
    }
    switch (domain) {
    case WIRE_DOMAIN_LID:
        server = WAGW_STR("lid");
        break;
    case WIRE_DOMAIN_HOSTED:
        server = WAGW_STR("hosted");
        break;
    case WIRE_DOMAIN_HOSTED_LID:
        server = WAGW_STR("hosted.lid");
        break;
    default:
        server = WAGW_STR("s.whatsapp.net");
        break;
    }
    return decode_jid_text(d, user, device != 0 ? decode_device(text, device) : "", server, out);
}

static int decode_fb_jid(decoder_t *d, wagw_str_t *out)
{
    uint32_t device = 0;
    wagw_str_t user = WAGW_STR_NULL, server = WAGW_STR_NULL;
    char text[8];
    int rc;

    rc = decode_part(d, &user, WIRE_JID_NEST_MAX);
    if (rc == WAGW_OK) {
        rc = decode_be(d, 2, &device);
    }
    if (rc == WAGW_OK) {
        rc = decode_part(d, &server, WIRE_JID_NEST_MAX);
    }
    if (rc == WAGW_OK && !wagw_str_is(server, "msgr")) {
        rc = WAGW_MALFORMED;
    }
    return rc == WAGW_OK ? decode_jid_text(d, user, decode_device(text, device), server, out) : rc;
}

static int decode_interop_jid(decoder_t *d, wagw_str_t *out)
{
    uint32_t device = 0, integrator = 0;
    wagw_str_t user = WAGW_STR_NULL, server = WAGW_STR_NULL, full;
    char text[8];
    int rc;

    rc = decode_part(d, &user, WIRE_JID_NEST_MAX);
    if (rc == WAGW_OK) {
        rc = decode_be(d, 2, &device);
    }
    if (rc == WAGW_OK) {
        rc = decode_be(d, 2, &integrator);
    }
    if (rc == WAGW_OK) {
        rc = decode_part(d, &server, WIRE_JID_NEST_MAX);
    }
    if (rc == WAGW_OK && !wagw_str_is(server, "interop")) {
        rc = WAGW_MALFORMED;
    }
    if (rc != WAGW_OK) {
        return rc;
    }
    full = wagw_arena_printf(d->a, "%u-%.*s", integrator, (int)user.n, user.n > 0 ? (const char *)user.p : "");
    if (full.p == NULL) {
        return WAGW_NOMEM;
    }
    return decode_jid_text(d, full, decode_device(text, device), server, out);
}

static int decode_binary(decoder_t *d, uint8_t tag, wagw_str_t *out)
{
    uint32_t n;
    int rc;

    rc = decode_be(d, tag == WIRE_BINARY_8 ? 1 : tag == WIRE_BINARY_20 ? 3 : 4, &n);
    if (rc != WAGW_OK) {
        return rc;
    }
    if (tag == WIRE_BINARY_20) {
        n &= 0xfffff;
    }
    if (n > decode_left(d)) {
        return WAGW_MALFORMED;
    }
    *out = wagw_str(d->p, n);
    d->p += n;
    return WAGW_OK;
}

/* Any value but a list.  `nest` counts JIDs inside JIDs. */
static int decode_value(decoder_t *d, uint8_t tag, wagw_str_t *out, value_kind_t *kind, unsigned nest)
{
    uint32_t i;
    int rc;

    *kind = VALUE_STRING;

    switch (tag) {
    case WIRE_LIST_EMPTY:
        *kind = VALUE_EMPTY;
        *out = WAGW_STR("");
        return WAGW_OK;

    case WIRE_BINARY_8:
    case WIRE_BINARY_20:
    case WIRE_BINARY_32:
        *kind = VALUE_BINARY;
        return decode_binary(d, tag, out);

    case WIRE_NIBBLE_8:
    case WIRE_HEX_8:
        return decode_packed(d, tag == WIRE_HEX_8, out);

    case WIRE_JID_PAIR:
    case WIRE_AD_JID:
    case WIRE_FB_JID:
    case WIRE_INTEROP_JID:
        if (nest >= WIRE_JID_NEST_MAX) {
            return WAGW_LIMIT;
        }
        *kind = VALUE_JID;
        return tag == WIRE_JID_PAIR ? decode_jid_pair(d, out, nest)
               : tag == WIRE_AD_JID ? decode_ad_jid(d, out)
               : tag == WIRE_FB_JID ? decode_fb_jid(d, out)
                                    : decode_interop_jid(d, out);
    }

    if (tag >= WIRE_DICT_0 && tag <= WIRE_DICT_3) {
        rc = decode_be(d, 1, &i);
        if (rc != WAGW_OK) {
            return rc;
        }
        *out = wagw_token_word(WIRE_DICT_0 + 256u * (tag - WIRE_DICT_0) + i);
    } else if (tag < WIRE_DICT_0) {
        *out = wagw_token_word(tag);
    } else {
        return WAGW_MALFORMED;
    }
    return out->p != NULL ? WAGW_OK : WAGW_MALFORMED;
}

/* The size of a list whose first byte is `tag`. */
static int decode_list(decoder_t *d, uint8_t tag, uint32_t *size)
{
    switch (tag) {
    case WIRE_LIST_EMPTY:
        *size = 0;
        return WAGW_OK;
    case WIRE_LIST_8:
        return decode_be(d, 1, size);
    case WIRE_LIST_16:
        return decode_be(d, 2, size);
    }
    return WAGW_MALFORMED;
}

/* The last of repeated keys wins and stands where the first one stood. */
static int decode_attr(decoder_t *d, wagw_node_t *n)
{
    uint32_t tag;
    wagw_str_t key, value = WAGW_STR_NULL;
    value_kind_t kind = VALUE_EMPTY;
    wagw_attr_t *at;
    void *p;
    int rc;

    rc = decode_part(d, &key, 0);
    if (rc == WAGW_OK) {
        rc = decode_be(d, 1, &tag);
    }
    if (rc == WAGW_OK) {
        rc = decode_value(d, (uint8_t)tag, &value, &kind, 0);
    }
    if (rc != WAGW_OK) {
        return rc;
    }

    for (at = n->attrs; at != NULL; at = at->next) {
        if (wagw_str_eq(at->key, key)) {
            break;
        }
    }
    if (at == NULL) {
        rc = decode_alloc(d, sizeof(*at), &p);
        if (rc != WAGW_OK) {
            return rc;
        }
        at = p;
        at->key = key;
        at->next = NULL;
        if (n->attrs_last != NULL) {
            n->attrs_last->next = at;
        } else {
            n->attrs = at;
        }
        n->attrs_last = at;
        n->nattrs++;
    }
    at->value = value;
    at->is_jid = kind == VALUE_JID;
    return WAGW_OK;
}

static int decode_node(decoder_t *d, wagw_node_t **out, unsigned depth);

static int decode_content(decoder_t *d, wagw_node_t *n, unsigned depth)
{
    uint32_t tag, size;
    value_kind_t kind;
    wagw_node_t *child;
    int rc;

    rc = decode_be(d, 1, &tag);
    if (rc != WAGW_OK) {
        return rc;
    }

    if (tag == WIRE_LIST_EMPTY || tag == WIRE_LIST_8 || tag == WIRE_LIST_16) {
        n->content = WAGW_CONTENT_NODES;
        rc = decode_list(d, (uint8_t)tag, &size);
        /* the smallest child is a list header of two bytes and a token */
        if (rc == WAGW_OK && size > decode_left(d) / 3) {
            rc = WAGW_MALFORMED;
        }
        for (; rc == WAGW_OK && size > 0; size--) {
            rc = decode_node(d, &child, depth + 1);
            if (rc == WAGW_OK) {
                wagw_node_append(n, child);
            }
        }
        return rc;
    }

    rc = decode_value(d, (uint8_t)tag, &n->data, &kind, 0);
    n->content = kind == VALUE_BINARY ? WAGW_CONTENT_BYTES : WAGW_CONTENT_TEXT;
    n->text_is_jid = kind == VALUE_JID;
    return rc;
}

static int decode_node(decoder_t *d, wagw_node_t **out, unsigned depth)
{
    uint32_t tag, size, pairs;
    wagw_node_t *n;
    void *p;
    int rc;

    if (depth >= WIRE_DEPTH_MAX || d->nodes == WIRE_NODES_MAX) {
        return WAGW_LIMIT;
    }
    d->nodes++;

    rc = decode_be(d, 1, &tag);
    if (rc == WAGW_OK) {
        rc = decode_list(d, (uint8_t)tag, &size);
    }
    if (rc != WAGW_OK) {
        return rc;
    }
    pairs = (size - 1) / 2;
    if (size == 0 || size > decode_left(d)) {
        return WAGW_MALFORMED;
    }
    if (pairs > WIRE_ATTRS_MAX) {
        return WAGW_LIMIT;
    }

    rc = decode_alloc(d, sizeof(*n), &p);
    if (rc != WAGW_OK) {
        return rc;
    }
    n = p;
    memset(n, 0, sizeof(*n));

    rc = decode_part(d, &n->tag, 0);
    if (rc == WAGW_OK && n->tag.n == 0) {
        rc = WAGW_MALFORMED;
    }
    for (; rc == WAGW_OK && pairs > 0; pairs--) {
        rc = decode_attr(d, n);
    }
    if (rc == WAGW_OK && size % 2 == 0) {
        rc = decode_content(d, n, depth);
    }
    *out = n;
    return rc;
}

static int decode_inflate(wagw_arena_t *a, wagw_str_t in, wagw_str_t *out)
{
    z_stream z;
    wagw_buf_t buf = {0};
    size_t step;
    int rc, zrc;

    memset(&z, 0, sizeof(z));
    if (in.n == 0 || in.n > WIRE_PLAIN_MAX || inflateInit(&z) != Z_OK) {
        return in.n == 0 ? WAGW_MALFORMED : in.n > WIRE_PLAIN_MAX ? WAGW_LIMIT : WAGW_NOMEM;
    }
    z.next_in = (Bytef *)in.p;
    z.avail_in = (uInt)in.n;

    rc = WAGW_OK;
    do {
        /* one byte over the limit tells "just fits" from "too long" */
        step = WIRE_PLAIN_MAX + 1 - buf.n;
        if (step > buf.n + 4096) {
            step = buf.n + 4096;
        }
        rc = wagw_buf_reserve(&buf, step);
        if (rc != WAGW_OK) {
            break;
        }
        z.next_out = buf.p + buf.n;
        z.avail_out = (uInt)step;
        zrc = inflate(&z, Z_NO_FLUSH);
        buf.n += step - z.avail_out;

        if (buf.n > WIRE_PLAIN_MAX) {
            rc = WAGW_LIMIT;
        } else if (zrc != Z_STREAM_END && (zrc != Z_OK || z.avail_out > 0)) {
            /* damaged, or all input taken and no end in sight */
            rc = zrc == Z_MEM_ERROR ? WAGW_NOMEM : WAGW_MALFORMED;
        }
    } while (rc == WAGW_OK && zrc != Z_STREAM_END);

    if (rc == WAGW_OK && z.avail_in > 0) {
        rc = WAGW_MALFORMED;
    }
    inflateEnd(&z);
    if (rc == WAGW_OK) {
        *out = wagw_arena_str(a, wagw_buf_view(&buf));
        rc = out->p == NULL ? WAGW_NOMEM : WAGW_OK;
    }
    wagw_buf_free(&buf);
    return rc;
}

int wagw_node_decode(wagw_node_t **out, wagw_arena_t *a, wagw_str_t plaintext)
{
    decoder_t d;
    wagw_str_t body;
    int rc;

    *out = NULL;
    if (plaintext.n == 0) {
        return WAGW_MALFORMED;
    }
    if (plaintext.n - 1 > WIRE_PLAIN_MAX) {
        return WAGW_LIMIT;
    }
    body = wagw_str(plaintext.p + 1, plaintext.n - 1);
    if (plaintext.p[0] & WIRE_FLAG_ZLIB) {
        rc = decode_inflate(a, body, &body);
        if (rc != WAGW_OK) {
            return rc;
        }
    }

    memset(&d, 0, sizeof(d));
    d.p = body.p;
    d.end = body.p + body.n;
    d.a = a;
    d.used_before = a->used;

    rc = decode_node(&d, out, 0);
    if (rc == WAGW_OK && d.p != d.end) {
        rc = WAGW_MALFORMED;
    }
    if (rc != WAGW_OK) {
        *out = NULL;
    }
    return rc;
}
