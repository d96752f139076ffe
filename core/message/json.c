#include "internal.h"

#include <math.h>
#include <stdio.h>

/*
 * Protobuf JSON by descriptors: field names of the schema, 64-bit integers as
 * decimal strings, enums by the short name of their value, bytes as base64.
 */

#define WAGW_PBJSON_DEPTH 56 /* the JSON writer and reader go to 64 */

/* The schema writes values as PATH__NAME. */
static const char *wagw_pbjson_short(const char *name)
{
    const char *s = strstr(name, "__");

    return s ? s + 2 : name;
}

static void wagw_pbjson_object(wagw_json_t *j, const ProtobufCMessage *m, unsigned depth);

static void wagw_pbjson_value(wagw_json_t *j, const ProtobufCFieldDescriptor *f, const void *p, unsigned depth)
{
    char text[24];
    const ProtobufCEnumValue *ev;

    switch (f->type) {
    case PROTOBUF_C_TYPE_INT32:
    case PROTOBUF_C_TYPE_SINT32:
    case PROTOBUF_C_TYPE_SFIXED32:
        wagw_json_int(j, *(const int32_t *)p);
        break;

    case PROTOBUF_C_TYPE_UINT32:
    case PROTOBUF_C_TYPE_FIXED32:
        wagw_json_uint(j, *(const uint32_t *)p);
        break;

    case PROTOBUF_C_TYPE_INT64:
    case PROTOBUF_C_TYPE_SINT64:
    case PROTOBUF_C_TYPE_SFIXED64:
        snprintf(text, sizeof(text), "%lld", (long long)*(const int64_t *)p);
        wagw_json_cstr(j, text);
        break;

    case PROTOBUF_C_TYPE_UINT64:
    case PROTOBUF_C_TYPE_FIXED64:
        snprintf(text, sizeof(text), "%llu", (unsigned long long)*(const uint64_t *)p);
        wagw_json_cstr(j, text);
        break;

    case PROTOBUF_C_TYPE_FLOAT:
        wagw_json_num(j, (double)*(const float *)p);
        break;

    case PROTOBUF_C_TYPE_DOUBLE:
        wagw_json_num(j, *(const double *)p);
        break;

    case PROTOBUF_C_TYPE_BOOL:
        wagw_json_bool(j, *(const protobuf_c_boolean *)p);
        break;

    case PROTOBUF_C_TYPE_ENUM:
        ev = protobuf_c_enum_descriptor_get_value(f->descriptor, *(const int *)p);
        if (ev) {
            wagw_json_cstr(j, wagw_pbjson_short(ev->name));
        } else {
            wagw_json_int(j, *(const int *)p);
        }
        break;

    case PROTOBUF_C_TYPE_STRING:
        wagw_json_cstr(j, *(char *const *)p);
        break;

    case PROTOBUF_C_TYPE_BYTES:
        wagw_json_base64(j, wagw_pb_view(p));
        break;

    case PROTOBUF_C_TYPE_MESSAGE:
        wagw_pbjson_object(j, *(ProtobufCMessage *const *)p, depth + 1);
        break;
    }
}

static size_t wagw_pbjson_size(ProtobufCType type)
{
    switch (type) {
    case PROTOBUF_C_TYPE_INT64:
    case PROTOBUF_C_TYPE_SINT64:
    case PROTOBUF_C_TYPE_SFIXED64:
    case PROTOBUF_C_TYPE_UINT64:
    case PROTOBUF_C_TYPE_FIXED64:
    case PROTOBUF_C_TYPE_DOUBLE:
        return 8;

    case PROTOBUF_C_TYPE_BOOL:
        return sizeof(protobuf_c_boolean);

    case PROTOBUF_C_TYPE_STRING:
    case PROTOBUF_C_TYPE_MESSAGE:
        return sizeof(void *);

    case PROTOBUF_C_TYPE_BYTES:
        return sizeof(ProtobufCBinaryData);

    default:
        return 4;
    }
}

static void wagw_pbjson_object(wagw_json_t *j, const ProtobufCMessage *m, unsigned depth)
{
    const uint8_t *base = (const uint8_t *)m;

    wagw_json_open(j, '{');

    for (unsigned i = 0; depth < WAGW_PBJSON_DEPTH && i < m->descriptor->n_fields; i++) {
        const ProtobufCFieldDescriptor *f = &m->descriptor->fields[i];

        if (!wagw_pb_has(m, f)) {
            continue;
        }

        wagw_json_key(j, f->name);

        if (f->label != PROTOBUF_C_LABEL_REPEATED) {
            wagw_pbjson_value(j, f, base + f->offset, depth);
            continue;
        }

        wagw_json_open(j, '[');

        for (size_t k = 0; k < *(const size_t *)(base + f->quantifier_offset); k++) {
            const uint8_t *items = *(uint8_t *const *)(base + f->offset);

            wagw_pbjson_value(j, f, items + k * wagw_pbjson_size(f->type), depth + 1);
        }

        wagw_json_close(j);
    }

    wagw_json_close(j);
}

int wagw_message_json(wagw_buf_t *out, wagw_str_t bytes)
{
    return wagw_pb_json(out, &wa__message__descriptor, bytes);
}

int wagw_pb_json(wagw_buf_t *out, const ProtobufCMessageDescriptor *d, wagw_str_t bytes)
{
    int rc;
    wagw_arena_t a = {0};
    wagw_json_t j;
    ProtobufCMessage *m = wagw_pb_unpack(&a, d, bytes, &rc);

    if (m) {
        j = wagw_json(out);
        wagw_pbjson_object(&j, m, 0);
        rc = out->failed ? WAGW_NOMEM : WAGW_OK;
    }

    wagw_arena_free(&a);

    return rc;
}

#define WAGW_PBJSON_PATH 400

typedef struct {
    wagw_arena_t *a;
    const char **field;
    wagw_buf_t *path; /* of the culprit, or NULL */
} wagw_pbjson_in_t;

/* Outer names go before what is there already. */
static void wagw_pbjson_prepend(const wagw_pbjson_in_t *in, const char *name, size_t index)
{
    wagw_buf_t b = {0};

    if (in->path == NULL || in->path->n + strlen(name) > WAGW_PBJSON_PATH) {
        return;
    }

    if (*name) {
        wagw_buf_cstr(&b, name);
        if (in->path->n && in->path->p[0] != '[') {
            wagw_buf_u8(&b, '.');
        }
    } else {
        wagw_buf_printf(&b, "[%zu]", index);
        if (in->path->n && in->path->p[0] != '[') {
            wagw_buf_u8(&b, '.');
        }
    }

    wagw_buf_str(&b, wagw_buf_view(in->path));
    wagw_buf_reset(in->path);
    wagw_buf_str(in->path, wagw_buf_view(&b));
    wagw_buf_free(&b);
}

static int wagw_pbjson_fill(wagw_pbjson_in_t *in, ProtobufCMessage *m, const cJSON *json, unsigned depth);

/* A whole number from a JSON number or a decimal string. */
static bool wagw_pbjson_integer(const cJSON *v, bool is_signed, int64_t *i, uint64_t *u)
{
    if (cJSON_IsString(v)) {
        return is_signed ? wagw_str_i64(wagw_cstr(v->valuestring), i) == WAGW_OK
                         : wagw_str_u64(wagw_cstr(v->valuestring), u) == WAGW_OK;
    }

    if (!cJSON_IsNumber(v) || v->valuedouble != floor(v->valuedouble) || fabs(v->valuedouble) > 9007199254740992.0 ||
        (!is_signed && v->valuedouble < 0)) {
        return false;
    }

    *i = (int64_t)v->valuedouble;
    *u = (uint64_t)*i;

    return true;
}

static bool wagw_pbjson_enum(const ProtobufCEnumDescriptor *d, const cJSON *v, int *out)
{
    int64_t i;
    uint64_t u;

    if (cJSON_IsNumber(v)) {
        if (!wagw_pbjson_integer(v, true, &i, &u) || i < INT32_MIN || i > INT32_MAX) {
            return false;
        }
        *out = (int)i;
        return true;
    }

    for (unsigned k = 0; cJSON_IsString(v) && k < d->n_values; k++) {
        if (strcmp(wagw_pbjson_short(d->values[k].name), v->valuestring) == 0) {
            *out = d->values[k].value;
            return true;
        }
    }

    return false;
}

static int wagw_pbjson_bytes(wagw_pbjson_in_t *in, const cJSON *v, ProtobufCBinaryData *out)
{
    int rc;
    wagw_str_t copy;
    wagw_buf_t b = {0};
    const char *hex = cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(v, "$hex"));

    if (hex) {
        rc = wagw_hex_decode(&b, wagw_cstr(hex));
    } else if (cJSON_IsString(v)) {
        rc = wagw_base64_decode(&b, wagw_cstr(v->valuestring));
    } else {
        rc = WAGW_MALFORMED;
    }

    if (rc == WAGW_OK) {
        copy = wagw_arena_str(in->a, wagw_buf_view(&b));
        out->data = (uint8_t *)copy.p;
        out->len = copy.n;
        rc = copy.p ? WAGW_OK : WAGW_NOMEM;
    }

    wagw_buf_free(&b);

    return rc;
}

static int wagw_pbjson_parse(wagw_pbjson_in_t *in, const ProtobufCFieldDescriptor *f, void *p, const cJSON *v,
                             unsigned depth)
{
    int64_t i = 0;
    uint64_t u = 0;
    ProtobufCMessage *sub;

    switch (f->type) {
    case PROTOBUF_C_TYPE_INT32:
    case PROTOBUF_C_TYPE_SINT32:
    case PROTOBUF_C_TYPE_SFIXED32:
        if (!wagw_pbjson_integer(v, true, &i, &u) || i < INT32_MIN || i > INT32_MAX) {
            return WAGW_MALFORMED;
        }
        *(int32_t *)p = (int32_t)i;
        return WAGW_OK;

    case PROTOBUF_C_TYPE_UINT32:
    case PROTOBUF_C_TYPE_FIXED32:
        if (!wagw_pbjson_integer(v, false, &i, &u) || u > UINT32_MAX) {
            return WAGW_MALFORMED;
        }
        *(uint32_t *)p = (uint32_t)u;
        return WAGW_OK;

    case PROTOBUF_C_TYPE_INT64:
    case PROTOBUF_C_TYPE_SINT64:
    case PROTOBUF_C_TYPE_SFIXED64:
        return wagw_pbjson_integer(v, true, p, &u) ? WAGW_OK : WAGW_MALFORMED;

    case PROTOBUF_C_TYPE_UINT64:
    case PROTOBUF_C_TYPE_FIXED64:
        return wagw_pbjson_integer(v, false, &i, p) ? WAGW_OK : WAGW_MALFORMED;

    case PROTOBUF_C_TYPE_FLOAT:
        if (!cJSON_IsNumber(v)) {
            return WAGW_MALFORMED;
        }
        *(float *)p = (float)v->valuedouble;
        return WAGW_OK;

    case PROTOBUF_C_TYPE_DOUBLE:
        if (!cJSON_IsNumber(v)) {
            return WAGW_MALFORMED;
        }
        *(double *)p = v->valuedouble;
        return WAGW_OK;

    case PROTOBUF_C_TYPE_BOOL:
        if (!cJSON_IsBool(v)) {
            return WAGW_MALFORMED;
        }
        *(protobuf_c_boolean *)p = cJSON_IsTrue(v);
        return WAGW_OK;

    case PROTOBUF_C_TYPE_ENUM:
        return wagw_pbjson_enum(f->descriptor, v, p) ? WAGW_OK : WAGW_MALFORMED;

    case PROTOBUF_C_TYPE_STRING:
        if (!cJSON_IsString(v)) {
            return WAGW_MALFORMED;
        }
        *(char **)p = wagw_pb_dup(in->a, wagw_cstr(v->valuestring));
        return *(char **)p ? WAGW_OK : WAGW_NOMEM;

    case PROTOBUF_C_TYPE_BYTES:
        return wagw_pbjson_bytes(in, v, p);

    case PROTOBUF_C_TYPE_MESSAGE:
        if (!cJSON_IsObject(v)) {
            return WAGW_MALFORMED;
        }

        sub = wagw_pb_new(in->a, f->descriptor);
        if (sub == NULL) {
            return WAGW_NOMEM;
        }
        *(ProtobufCMessage **)p = sub;

        return wagw_pbjson_fill(in, sub, v, depth + 1);
    }

    return WAGW_MALFORMED;
}

static int wagw_pbjson_list(wagw_pbjson_in_t *in, const ProtobufCFieldDescriptor *f, uint8_t *base, const cJSON *v,
                            unsigned depth)
{
    int rc;
    size_t size = wagw_pbjson_size(f->type), n, k = 0;
    uint8_t *items;
    const cJSON *one;

    if (!cJSON_IsArray(v)) {
        return WAGW_MALFORMED;
    }

    n = (size_t)cJSON_GetArraySize(v);
    items = wagw_arena_zalloc(in->a, (n + 1) * size);
    if (items == NULL) {
        return WAGW_NOMEM;
    }

    *(uint8_t **)(base + f->offset) = items;
    *(size_t *)(base + f->quantifier_offset) = n;

    cJSON_ArrayForEach(one, v)
    {
        rc = wagw_pbjson_parse(in, f, items, one, depth);
        if (rc != WAGW_OK) {
            wagw_pbjson_prepend(in, "", k);
            return rc;
        }
        items += size;
        k++;
    }

    return WAGW_OK;
}

static int wagw_pbjson_fill(wagw_pbjson_in_t *in, ProtobufCMessage *m, const cJSON *json, unsigned depth)
{
    int rc = WAGW_OK;
    uint8_t *base = (uint8_t *)m;
    const cJSON *v;
    const ProtobufCFieldDescriptor *f;

    if (depth > WAGW_PBJSON_DEPTH) {
        return WAGW_LIMIT;
    }

    cJSON_ArrayForEach(v, json)
    {
        f = protobuf_c_message_descriptor_get_field_by_name(m->descriptor, v->string);

        if (f == NULL) {
            rc = WAGW_MALFORMED;

        } else if (cJSON_IsNull(v)) {
            continue;

        } else if (f->label == PROTOBUF_C_LABEL_REPEATED) {
            rc = wagw_pbjson_list(in, f, base, v, depth);

        } else if ((f->flags & PROTOBUF_C_FIELD_FLAG_ONEOF) && *(uint32_t *)(base + f->quantifier_offset) != 0) {
            /* two members of one union */
            rc = WAGW_MALFORMED;

        } else {
            rc = wagw_pbjson_parse(in, f, base + f->offset, v, depth);

            if (f->flags & PROTOBUF_C_FIELD_FLAG_ONEOF) {
                *(uint32_t *)(base + f->quantifier_offset) = f->id;

            } else if (f->type != PROTOBUF_C_TYPE_MESSAGE && f->type != PROTOBUF_C_TYPE_STRING) {
                *(protobuf_c_boolean *)(base + f->quantifier_offset) = 1;
            }
        }

        if (rc != WAGW_OK) {
            if (*in->field == NULL) {
                *in->field = f ? f->name : v->string;
            }
            wagw_pbjson_prepend(in, v->string, 0);
            return rc;
        }
    }

    return WAGW_OK;
}

static int wagw_pbjson_read(wagw_buf_t *out, const ProtobufCMessageDescriptor *d, const cJSON *json, const char **field,
                            wagw_buf_t *path)
{
    int rc;
    wagw_arena_t a = {0};
    wagw_str_t bytes;
    wagw_pbjson_in_t in = {&a, field, path};
    ProtobufCMessage *m;

    *field = NULL;

    if (!cJSON_IsObject(json)) {
        return WAGW_MALFORMED;
    }

    m = wagw_pb_new(&a, d);
    rc = m ? wagw_pbjson_fill(&in, m, json, 0) : WAGW_NOMEM;

    if (rc == WAGW_OK) {
        bytes = wagw_pb_pack(&a, m);

        if (bytes.p == NULL) {
            rc = WAGW_NOMEM;
        } else if (bytes.n > WAGW_MESSAGE_MAX) {
            rc = WAGW_LIMIT;
        } else {
            rc = wagw_buf_str(out, bytes);
        }
    }

    wagw_arena_free(&a);

    return rc;
}

int wagw_message_from_json(wagw_buf_t *out, const cJSON *json, const char **field)
{
    return wagw_pb_from_json(out, &wa__message__descriptor, json, field);
}

int wagw_message_from_json_at(wagw_buf_t *out, const cJSON *json, wagw_buf_t *path)
{
    const char *field;

    return wagw_pbjson_read(out, &wa__message__descriptor, json, &field, path);
}

int wagw_pb_from_json(wagw_buf_t *out, const ProtobufCMessageDescriptor *d, const cJSON *json, const char **field)
{
    const char *unused;

    return wagw_pbjson_read(out, d, json, field ? field : &unused, NULL);
}
