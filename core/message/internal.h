/*
 * core/message, shared inside the room only: protobuf at two levels (raw wire
 * fields, and protobuf-c structures that live in an arena), unwrapping, and
 * the table of content kinds.
 */

#ifndef WAGW_MESSAGE_INTERNAL_H
#define WAGW_MESSAGE_INTERNAL_H

#include "message.h"
#include "wa.pb-c.h"

#define WAGW_MESSAGE_MAX (1024 * 1024) /* bytes of one Message */
#define WAGW_MESSAGE_DEPTH 64          /* nested sub-messages */
#define WAGW_MESSAGE_FIELDS 65536      /* wire fields in all */
#define WAGW_UNWRAP_MAX 6              /* wrappers around one content */

/* wire.c: raw fields */

typedef struct {
    const uint8_t *p;
    const uint8_t *end;
} wagw_wire_t;

typedef struct {
    uint32_t num;
    unsigned type;  /* 0 varint, 1 fixed64, 2 bytes, 5 fixed32; groups are refused */
    wagw_str_t raw; /* tag and value */
    wagw_str_t val; /* value of type 1, 2, 5 */
    uint64_t u;     /* value of type 0 */
} wagw_wire_field_t;

wagw_wire_t wagw_wire(wagw_str_t bytes);
/* WAGW_OK, WAGW_NOT_FOUND at the end, WAGW_MALFORMED. */
int wagw_wire_next(wagw_wire_t *w, wagw_wire_field_t *f);
/* The last occurrence of a bytes field; WAGW_NOT_FOUND, WAGW_MALFORMED. */
int wagw_wire_find(wagw_str_t bytes, uint32_t num, wagw_wire_field_t *f);
int wagw_wire_put_varint(wagw_buf_t *b, uint64_t v);
int wagw_wire_put_bytes(wagw_buf_t *b, uint32_t num, wagw_str_t v);

/* Size, depth, count and well-formedness before protobuf-c sees the bytes
 * (it recurses without a limit). */
int wagw_wire_check(const ProtobufCMessageDescriptor *d, wagw_str_t bytes);

/* wire.c: protobuf-c structures */

/* Unpacks into the arena, never freed one by one.  What one call may allocate
 * is bounded by the size of the input.  NULL with *rc. */
ProtobufCMessage *wagw_pb_unpack(wagw_arena_t *a, const ProtobufCMessageDescriptor *d, wagw_str_t bytes, int *rc);
/* Serialised into the arena; p is NULL without memory. */
wagw_str_t wagw_pb_pack(wagw_arena_t *a, const void *message);

bool wagw_pb_has(const ProtobufCMessage *m, const ProtobufCFieldDescriptor *f);
/* Field by name: NULL when the type has no such field or it is absent. */
const void *wagw_pb_field(const ProtobufCMessage *m, const char *name);
const char *wagw_pb_str(const void *m, const char *name);        /* NULL when absent */
ProtobufCMessage *wagw_pb_sub(const void *m, const char *name);  /* singular sub-message */
bool wagw_pb_uint(const void *m, const char *name, uint64_t *v); /* any integer, enum or bool */
bool wagw_pb_bytes(const void *m, const char *name, wagw_str_t *v);
/* A zeroed structure in the arena, initialised as D. */
void *wagw_pb_new(wagw_arena_t *a, const ProtobufCMessageDescriptor *d);

#define WAGW_PB_NEW(a, lower) wagw_pb_new((a), &wa__##lower##__descriptor)

static inline wagw_str_t wagw_pb_view(const ProtobufCBinaryData *d)
{
    return wagw_str(d->data, d->len);
}

/* JSON under protobuf names, as in message.h, of any type. */
int wagw_pb_json(wagw_buf_t *out, const ProtobufCMessageDescriptor *d, wagw_str_t bytes);
int wagw_pb_from_json(wagw_buf_t *out, const ProtobufCMessageDescriptor *d, const cJSON *json, const char **field);

/* NUL-terminated copies for string fields; NULL in: NULL out. */
char *wagw_pb_dup(wagw_arena_t *a, wagw_str_t s);

/* kind.c */

typedef enum {
    WAGW_KIND_OTHER = 0,
    WAGW_KIND_TEXT,
    WAGW_KIND_MEDIA,
    WAGW_KIND_CONTACT,
    WAGW_KIND_CONTACTS,
    WAGW_KIND_LOCATION,
    WAGW_KIND_LIVE_LOCATION,
    WAGW_KIND_REACTION,
    WAGW_KIND_ENC_REACTION,
    WAGW_KIND_POLL,
    WAGW_KIND_POLL_VOTE,
    WAGW_KIND_POLL_RESULT,
    WAGW_KIND_EVENT,
    WAGW_KIND_EVENT_RESPONSE,
    WAGW_KIND_LIST,
    WAGW_KIND_BUTTONS,
    WAGW_KIND_TEMPLATE,
    WAGW_KIND_INTERACTIVE,
    WAGW_KIND_LIST_REPLY,
    WAGW_KIND_BUTTON_REPLY,
    WAGW_KIND_TEMPLATE_REPLY,
    WAGW_KIND_INTERACTIVE_REPLY,
    WAGW_KIND_GROUP_INVITE,
    WAGW_KIND_NEWSLETTER_INVITE,
    WAGW_KIND_PRODUCT,
    WAGW_KIND_ORDER,
    WAGW_KIND_PAYMENT,
    WAGW_KIND_CALL,
    WAGW_KIND_ALBUM,
    WAGW_KIND_COMMENT,
    WAGW_KIND_ENC_COMMENT,
    WAGW_KIND_SECRET, /* secretEncryptedMessage */
    WAGW_KIND_PIN,
    WAGW_KIND_KEEP,
    WAGW_KIND_PROTOCOL,
    WAGW_KIND_NAMED /* known by name only, nothing more to say */
} wagw_kind_t;

typedef struct {
    Wa__Message *message;                  /* the innermost one */
    Wa__MessageContextInfo *info;          /* its own, else the outermost */
    const ProtobufCFieldDescriptor *field; /* content field; NULL: none that is known */
    ProtobufCMessage *sub;                 /* its message, NULL for conversation */
    Wa__ContextInfo *context;              /* contextInfo of the content, or NULL */
    const char *proto_name;
    const char *type; /* contract type */
    wagw_kind_t kind;
    uint32_t unknown; /* an unknown field's number when there is no content field */
    bool empty;       /* nothing for an application in it */
    bool ephemeral;
    bool view_once;
    bool edited;    /* inside editedMessage */
    bool captioned; /* inside documentWithCaptionMessage */
    bool status_mention;
} wagw_open_t;

/* Walks through the wrappers and names the content. */
void wagw_message_open(wagw_open_t *o, Wa__Message *m);
/* 05 section 2.3; "" when there is none. */
const char *wagw_message_text(const wagw_open_t *o);
/* 04 section 8.3: `type` of message, `mediatype` of enc (or NULL), `polltype` (or NULL). */
void wagw_message_stanza(const wagw_open_t *o, const char **stanza, const char **media, const char **poll);

/* detail.c: JSON about one content; results are empty when there is nothing */

wagw_str_t wagw_detail_quoted(wagw_arena_t *a, const Wa__ContextInfo *c);
wagw_str_t wagw_detail_mentions(wagw_arena_t *a, const Wa__ContextInfo *c);
wagw_str_t wagw_detail_media(wagw_arena_t *a, const wagw_open_t *o);
/* The type-specific members, written into the object that is open; false
 * when there are none. */
bool wagw_detail_members(wagw_json_t *j, const wagw_open_t *o);

#endif
