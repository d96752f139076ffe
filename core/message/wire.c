#include "internal.h"

wagw_wire_t wagw_wire(wagw_str_t bytes)
{
    wagw_wire_t w;

    w.p = bytes.p;
    w.end = bytes.n ? bytes.p + bytes.n : bytes.p;

    return w;
}

static int wagw_wire_varint(wagw_wire_t *w, uint64_t *out)
{
    uint64_t v = 0;

    for (unsigned shift = 0; shift < 70; shift += 7) {
        if (w->p == w->end) {
            return WAGW_MALFORMED;
        }

        uint8_t c = *w->p++;

        if (shift == 63 && c > 1) {
            return WAGW_MALFORMED;
        }

        v |= (uint64_t)(c & 0x7f) << shift;

        if (c < 0x80) {
            *out = v;
            return WAGW_OK;
        }
    }

    return WAGW_MALFORMED;
}

int wagw_wire_next(wagw_wire_t *w, wagw_wire_field_t *f)
{
    uint64_t v, n;
    const uint8_t *start = w->p;

    if (w->p == w->end) {
        return WAGW_NOT_FOUND;
    }

    if (wagw_wire_varint(w, &v) != WAGW_OK || v >> 3 == 0 || v >> 3 > 536870911) {
        return WAGW_MALFORMED;
    }

    f->num = (uint32_t)(v >> 3);
    f->type = (unsigned)(v & 7);
    f->u = 0;

    switch (f->type) {
    case 0:
        n = 0;
        if (wagw_wire_varint(w, &f->u) != WAGW_OK) {
            return WAGW_MALFORMED;
        }
        break;

    case 1:
        n = 8;
        break;

    case 2:
        if (wagw_wire_varint(w, &n) != WAGW_OK) {
            return WAGW_MALFORMED;
        }
        break;

    case 5:
        n = 4;
        break;

    default:
        return WAGW_MALFORMED;
    }

    if (n > (uint64_t)(w->end - w->p)) {
        return WAGW_MALFORMED;
    }

    f->val = wagw_str(w->p, (size_t)n);
    w->p += n;
    f->raw = wagw_str(start, (size_t)(w->p - start));

    return WAGW_OK;
}

int wagw_wire_find(wagw_str_t bytes, uint32_t num, wagw_wire_field_t *f)
{
    int rc;
    bool found = false;
    wagw_wire_t w = wagw_wire(bytes);
    wagw_wire_field_t one;

    while ((rc = wagw_wire_next(&w, &one)) == WAGW_OK) {
        if (one.num == num && one.type == 2) {
            *f = one;
            found = true;
        }
    }

    if (rc != WAGW_NOT_FOUND) {
        return rc;
    }

    return found ? WAGW_OK : WAGW_NOT_FOUND;
}

int wagw_wire_put_varint(wagw_buf_t *b, uint64_t v)
{
    uint8_t out[10];
    size_t n = 0;

    while (v >= 0x80) {
        out[n++] = (uint8_t)(v | 0x80);
        v >>= 7;
    }

    out[n++] = (uint8_t)v;

    return wagw_buf_add(b, out, n);
}

int wagw_wire_put_bytes(wagw_buf_t *b, uint32_t num, wagw_str_t v)
{
    wagw_wire_put_varint(b, (uint64_t)num << 3 | 2);
    wagw_wire_put_varint(b, v.n);

    return wagw_buf_str(b, v);
}

static int wagw_wire_walk(const ProtobufCMessageDescriptor *d, wagw_str_t bytes, unsigned depth, uint32_t *left)
{
    int rc;
    wagw_wire_t w = wagw_wire(bytes);
    wagw_wire_field_t f;
    const ProtobufCFieldDescriptor *fd;

    if (depth == 0) {
        return WAGW_LIMIT;
    }

    while ((rc = wagw_wire_next(&w, &f)) == WAGW_OK) {

        if ((*left)-- == 0) {
            return WAGW_LIMIT;
        }

        if (f.type != 2) {
            continue;
        }

        fd = protobuf_c_message_descriptor_get_field(d, f.num);

        if (fd && fd->type == PROTOBUF_C_TYPE_MESSAGE) {
            rc = wagw_wire_walk(fd->descriptor, f.val, depth - 1, left);
            if (rc != WAGW_OK) {
                return rc;
            }
        }
    }

    return rc == WAGW_NOT_FOUND ? WAGW_OK : rc;
}

int wagw_wire_check(const ProtobufCMessageDescriptor *d, wagw_str_t bytes)
{
    uint32_t left = WAGW_MESSAGE_FIELDS;

    if (bytes.n > WAGW_MESSAGE_MAX) {
        return WAGW_LIMIT;
    }

    return wagw_wire_walk(d, bytes, WAGW_MESSAGE_DEPTH, &left);
}

/*
 * protobuf-c asks for a whole structure per sub-message (a Message has ~1 KiB
 * of pointers), so two bytes of input may cost a kilobyte: the budget keeps
 * that proportionate, and being an arena there is nothing to free.
 */

typedef struct {
    wagw_arena_t *arena;
    size_t left;
    bool limit;
} wagw_pb_budget_t;

static void *wagw_pb_alloc(void *data, size_t n)
{
    wagw_pb_budget_t *b = data;

    if (n > b->left) {
        b->limit = true;
        return NULL;
    }

    b->left -= n;

    return wagw_arena_alloc(b->arena, n ? n : 1);
}

static void wagw_pb_unused(void *data, void *p)
{
    (void)data;
    (void)p;
}

ProtobufCMessage *wagw_pb_unpack(wagw_arena_t *a, const ProtobufCMessageDescriptor *d, wagw_str_t bytes, int *rc)
{
    wagw_pb_budget_t budget = {a, 4 * 1024 * 1024 + 8 * bytes.n, false};
    ProtobufCAllocator allocator = {wagw_pb_alloc, wagw_pb_unused, &budget};
    ProtobufCMessage *m;
    static const uint8_t nothing[1];

    *rc = wagw_wire_check(d, bytes);
    if (*rc != WAGW_OK) {
        return NULL;
    }

    m = protobuf_c_message_unpack(d, &allocator, bytes.n, bytes.n ? bytes.p : nothing);
    if (m == NULL) {
        *rc = budget.limit ? WAGW_LIMIT : WAGW_MALFORMED;
    }

    return m;
}

wagw_str_t wagw_pb_pack(wagw_arena_t *a, const void *message)
{
    size_t n = protobuf_c_message_get_packed_size(message);
    uint8_t *p = wagw_arena_alloc(a, n + 1);

    if (p == NULL) {
        return WAGW_STR_NULL;
    }

    protobuf_c_message_pack(message, p);

    return wagw_str(p, n);
}

bool wagw_pb_has(const ProtobufCMessage *m, const ProtobufCFieldDescriptor *f)
{
    const uint8_t *base = (const uint8_t *)m;

    if (f->label == PROTOBUF_C_LABEL_REPEATED) {
        return *(const size_t *)(base + f->quantifier_offset) != 0;
    }

    if (f->flags & PROTOBUF_C_FIELD_FLAG_ONEOF) {
        return *(const uint32_t *)(base + f->quantifier_offset) == f->id;
    }

    if (f->type == PROTOBUF_C_TYPE_MESSAGE || f->type == PROTOBUF_C_TYPE_STRING) {
        return *(void *const *)(base + f->offset) != NULL;
    }

    return *(const protobuf_c_boolean *)(base + f->quantifier_offset) != 0;
}

static const void *wagw_pb_typed(const ProtobufCMessage *m, const char *name, const ProtobufCFieldDescriptor **fd)
{
    if (m == NULL) {
        return NULL;
    }

    *fd = protobuf_c_message_descriptor_get_field_by_name(m->descriptor, name);

    if (*fd == NULL || (*fd)->label == PROTOBUF_C_LABEL_REPEATED || !wagw_pb_has(m, *fd)) {
        return NULL;
    }

    return (const uint8_t *)m + (*fd)->offset;
}

const void *wagw_pb_field(const ProtobufCMessage *m, const char *name)
{
    const ProtobufCFieldDescriptor *fd;

    return wagw_pb_typed(m, name, &fd);
}

const char *wagw_pb_str(const void *m, const char *name)
{
    const ProtobufCFieldDescriptor *fd;
    const void *p = wagw_pb_typed(m, name, &fd);

    return p && fd->type == PROTOBUF_C_TYPE_STRING ? *(char *const *)p : NULL;
}

ProtobufCMessage *wagw_pb_sub(const void *m, const char *name)
{
    const ProtobufCFieldDescriptor *fd;
    const void *p = wagw_pb_typed(m, name, &fd);

    return p && fd->type == PROTOBUF_C_TYPE_MESSAGE ? *(ProtobufCMessage *const *)p : NULL;
}

bool wagw_pb_bytes(const void *m, const char *name, wagw_str_t *v)
{
    const ProtobufCFieldDescriptor *fd;
    const void *p = wagw_pb_typed(m, name, &fd);

    if (p == NULL || fd->type != PROTOBUF_C_TYPE_BYTES) {
        return false;
    }

    *v = wagw_pb_view(p);

    return true;
}

bool wagw_pb_uint(const void *m, const char *name, uint64_t *v)
{
    const ProtobufCFieldDescriptor *fd;
    const void *p = wagw_pb_typed(m, name, &fd);

    if (p == NULL) {
        return false;
    }

    switch (fd->type) {
    case PROTOBUF_C_TYPE_UINT32:
    case PROTOBUF_C_TYPE_FIXED32:
        *v = *(const uint32_t *)p;
        return true;

    case PROTOBUF_C_TYPE_INT32:
    case PROTOBUF_C_TYPE_SINT32:
    case PROTOBUF_C_TYPE_SFIXED32:
    case PROTOBUF_C_TYPE_ENUM:
        *v = (uint64_t)(int64_t) * (const int32_t *)p;
        return true;

    case PROTOBUF_C_TYPE_BOOL:
        *v = *(const protobuf_c_boolean *)p != 0;
        return true;

    case PROTOBUF_C_TYPE_INT64:
    case PROTOBUF_C_TYPE_SINT64:
    case PROTOBUF_C_TYPE_SFIXED64:
    case PROTOBUF_C_TYPE_UINT64:
    case PROTOBUF_C_TYPE_FIXED64:
        *v = *(const uint64_t *)p;
        return true;

    default:
        return false;
    }
}

void *wagw_pb_new(wagw_arena_t *a, const ProtobufCMessageDescriptor *d)
{
    ProtobufCMessage *m = wagw_arena_zalloc(a, d->sizeof_message);

    if (m) {
        protobuf_c_message_init(d, m);
    }

    return m;
}

char *wagw_pb_dup(wagw_arena_t *a, wagw_str_t s)
{
    wagw_str_t copy = wagw_arena_str(a, s.p ? s : wagw_cstr(""));

    return (char *)copy.p;
}
