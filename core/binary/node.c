#include "node.h"
#include "wire.h"

#define DUMP_BYTES_MAX 64

wagw_node_t *wagw_node(wagw_arena_t *a, const char *tag)
{
    wagw_node_t *n = wagw_arena_zalloc(a, sizeof(*n));

    if (n != NULL) {
        n->tag = wagw_cstr(tag);
    }
    return n;
}

wagw_node_t *wagw_node_append(wagw_node_t *parent, wagw_node_t *child)
{
    if (parent == NULL || child == NULL) {
        return NULL;
    }
    if (parent->last != NULL) {
        parent->last->next = child;
    } else {
        parent->child = child;
    }
    parent->last = child;
    parent->nchildren++;
    parent->content = WAGW_CONTENT_NODES;
    return child;
}

wagw_node_t *wagw_node_child(wagw_arena_t *a, wagw_node_t *parent, const char *tag)
{
    return parent ? wagw_node_append(parent, wagw_node(a, tag)) : NULL;
}

static wagw_node_t *node_add_attr(wagw_arena_t *a, wagw_node_t *n, wagw_str_t key, wagw_str_t value, bool is_jid)
{
    wagw_attr_t *at;

    if (n == NULL || key.p == NULL) {
        return NULL;
    }
    if (value.p == NULL) {
        return n;
    }
    at = wagw_arena_zalloc(a, sizeof(*at));
    if (at == NULL) {
        return NULL;
    }
    at->key = key;
    at->value = value;
    at->is_jid = is_jid;
    if (n->attrs_last != NULL) {
        n->attrs_last->next = at;
    } else {
        n->attrs = at;
    }
    n->attrs_last = at;
    n->nattrs++;
    return n;
}

wagw_node_t *wagw_node_attr(wagw_arena_t *a, wagw_node_t *n, const char *key, wagw_str_t value)
{
    return node_add_attr(a, n, wagw_cstr(key), value, false);
}

wagw_node_t *wagw_node_attrc(wagw_arena_t *a, wagw_node_t *n, const char *key, const char *value)
{
    return node_add_attr(a, n, wagw_cstr(key), wagw_cstr(value), false);
}

wagw_node_t *wagw_node_attr_int(wagw_arena_t *a, wagw_node_t *n, const char *key, int64_t value)
{
    wagw_str_t text = wagw_arena_printf(a, "%lld", (long long)value);

    return text.p ? node_add_attr(a, n, wagw_cstr(key), text, false) : NULL;
}

wagw_node_t *wagw_node_attr_jid(wagw_arena_t *a, wagw_node_t *n, const char *key, const wagw_jid_t *jid)
{
    wagw_str_t text;

    /* hosted users are written with their domain type, which needs a device */
    if (jid->device == 0 && (jid->server == WAGW_SRV_HOSTED || jid->server == WAGW_SRV_HOSTED_LID)) {
        text = wagw_arena_printf(a, "%.*s:0@%s", jid->user_len, jid->user, wagw_server_name(jid->server));
    } else {
        text = wagw_jid_str(a, jid);
    }
    return text.p ? node_add_attr(a, n, wagw_cstr(key), text, true) : NULL;
}

wagw_node_t *wagw_node_attr_server(wagw_arena_t *a, wagw_node_t *n, const char *key)
{
    return node_add_attr(a, n, wagw_cstr(key), WAGW_STR("@s.whatsapp.net"), true);
}

static wagw_node_t *node_set_data(wagw_node_t *n, wagw_node_content_t content, wagw_str_t data)
{
    if (n == NULL || (data.p == NULL && data.n > 0)) {
        return NULL;
    }
    n->content = (uint8_t)content;
    n->data = data.p ? data : WAGW_STR("");
    return n;
}

wagw_node_t *wagw_node_bytes(wagw_node_t *n, wagw_str_t data)
{
    return node_set_data(n, WAGW_CONTENT_BYTES, data);
}

wagw_node_t *wagw_node_bytes_copy(wagw_arena_t *a, wagw_node_t *n, wagw_str_t data)
{
    wagw_str_t copy;

    if (n == NULL) {
        return NULL;
    }
    copy = wagw_arena_str(a, data);
    return copy.p ? node_set_data(n, WAGW_CONTENT_BYTES, copy) : NULL;
}

wagw_node_t *wagw_node_text(wagw_node_t *n, wagw_str_t text)
{
    return node_set_data(n, WAGW_CONTENT_TEXT, text);
}

static wagw_node_t *node_clone(wagw_arena_t *a, const wagw_node_t *n, unsigned depth)
{
    wagw_node_t *copy;
    const wagw_attr_t *at;
    const wagw_node_t *child;

    if (depth >= WIRE_DEPTH_MAX) {
        return NULL;
    }
    copy = wagw_arena_zalloc(a, sizeof(*copy));
    if (copy == NULL) {
        return NULL;
    }
    copy->tag = wagw_arena_str(a, n->tag);
    if (copy->tag.p == NULL) {
        return NULL;
    }
    for (at = n->attrs; at != NULL; at = at->next) {
        wagw_str_t value = wagw_arena_str(a, at->value);

        if (value.p == NULL || node_add_attr(a, copy, wagw_arena_str(a, at->key), value, at->is_jid) == NULL) {
            return NULL;
        }
    }
    for (child = n->child; child != NULL; child = child->next) {
        if (wagw_node_append(copy, node_clone(a, child, depth + 1)) == NULL) {
            return NULL;
        }
    }
    copy->content = n->content;
    copy->text_is_jid = n->text_is_jid;
    if (n->content == WAGW_CONTENT_BYTES || n->content == WAGW_CONTENT_TEXT) {
        copy->data = wagw_arena_str(a, n->data);
        if (copy->data.p == NULL) {
            return NULL;
        }
    }
    return copy;
}

wagw_node_t *wagw_node_clone(wagw_arena_t *a, const wagw_node_t *n)
{
    return n ? node_clone(a, n, 0) : NULL;
}

static bool node_word_is(wagw_str_t s, const char *word)
{
    return s.n == strlen(word) && memcmp(s.p, word, s.n) == 0;
}

static const wagw_attr_t *node_find_attr(const wagw_node_t *n, const char *key)
{
    const wagw_attr_t *at = n ? n->attrs : NULL;

    while (at != NULL && !node_word_is(at->key, key)) {
        at = at->next;
    }
    return at;
}

wagw_str_t wagw_node_get(const wagw_node_t *n, const char *key)
{
    const wagw_attr_t *at = node_find_attr(n, key);

    if (at == NULL) {
        return WAGW_STR_NULL;
    }
    return at->value.p ? at->value : WAGW_STR("");
}

bool wagw_node_has(const wagw_node_t *n, const char *key)
{
    return node_find_attr(n, key) != NULL;
}

bool wagw_node_is(const wagw_node_t *n, const char *tag)
{
    return n != NULL && node_word_is(n->tag, tag);
}

bool wagw_node_attr_is(const wagw_node_t *n, const char *key, const char *value)
{
    const wagw_attr_t *at = node_find_attr(n, key);

    return at != NULL && wagw_str_eq(at->value, wagw_cstr(value));
}

int wagw_node_get_u64(const wagw_node_t *n, const char *key, uint64_t *out)
{
    wagw_str_t s = wagw_node_get(n, key);

    return s.p ? wagw_str_u64(s, out) : WAGW_NOT_FOUND;
}

int wagw_node_get_jid(const wagw_node_t *n, const char *key, wagw_jid_t *out)
{
    wagw_str_t s = wagw_node_get(n, key);

    if (s.p == NULL) {
        memset(out, 0, sizeof(*out));
        return WAGW_NOT_FOUND;
    }
    if (wagw_jid_parse(out, s) != WAGW_OK) {
        memset(out, 0, sizeof(*out));
        return WAGW_MALFORMED;
    }
    return WAGW_OK;
}

const wagw_node_t *wagw_node_find(const wagw_node_t *n, const char *tag)
{
    const wagw_node_t *child = n ? n->child : NULL;

    while (child != NULL && !node_word_is(child->tag, tag)) {
        child = child->next;
    }
    return child;
}

const wagw_node_t *wagw_node_find_next(const wagw_node_t *child, const char *tag)
{
    do {
        child = child ? child->next : NULL;
    } while (child != NULL && !node_word_is(child->tag, tag));
    return child;
}

wagw_str_t wagw_node_data(const wagw_node_t *n)
{
    if (n == NULL || (n->content != WAGW_CONTENT_BYTES && n->content != WAGW_CONTENT_TEXT)) {
        return WAGW_STR_NULL;
    }
    return n->data;
}

bool wagw_attr_from_server(const wagw_node_t *n)
{
    return wagw_node_attr_is(n, "from", "@s.whatsapp.net") || wagw_node_attr_is(n, "from", "s.whatsapp.net");
}

/* What arrives from outside must not write lines or escapes into a log. */
static void dump_text(wagw_buf_t *out, wagw_str_t s)
{
    size_t i;

    for (i = 0; i < s.n; i++) {
        uint8_t c = s.p[i];

        if (c < 0x20 || c == 0x7f || c == '"' || c == '\\') {
            wagw_buf_printf(out, "\\x%02x", c);
        } else {
            wagw_buf_u8(out, c);
        }
    }
}

static void dump_node(wagw_buf_t *out, const wagw_node_t *n, unsigned depth)
{
    const wagw_attr_t *at;
    const wagw_node_t *child;

    wagw_buf_u8(out, '<');
    dump_text(out, n->tag);
    for (at = n->attrs; at != NULL; at = at->next) {
        wagw_buf_u8(out, ' ');
        dump_text(out, at->key);
        wagw_buf_cstr(out, "=\"");
        dump_text(out, at->value);
        wagw_buf_u8(out, '"');
    }
    if (n->content == WAGW_CONTENT_NONE || (n->content == WAGW_CONTENT_NODES && n->child == NULL)) {
        wagw_buf_cstr(out, "/>");
        return;
    }
    wagw_buf_u8(out, '>');

    if (n->content == WAGW_CONTENT_TEXT) {
        dump_text(out, n->data);
    } else if (n->content == WAGW_CONTENT_BYTES) {
        wagw_hex_encode(out, wagw_str(n->data.p, n->data.n < DUMP_BYTES_MAX ? n->data.n : DUMP_BYTES_MAX));
        if (n->data.n > DUMP_BYTES_MAX) {
            wagw_buf_printf(out, "...(%zu bytes)", n->data.n);
        }
    } else if (depth + 1 >= WIRE_DEPTH_MAX) {
        wagw_buf_cstr(out, "...");
    } else {
        for (child = n->child; child != NULL; child = child->next) {
            dump_node(out, child, depth + 1);
        }
    }
    wagw_buf_cstr(out, "</");
    dump_text(out, n->tag);
    wagw_buf_u8(out, '>');
}

int wagw_node_dump(wagw_buf_t *out, const wagw_node_t *n)
{
    if (n == NULL) {
        return WAGW_OK;
    }
    dump_node(out, n, 0);
    return out->failed ? WAGW_NOMEM : WAGW_OK;
}
