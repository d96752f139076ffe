/*
 * core/store/row: the rows with tables of their own, and their encoding (a
 * tag-length-value list; unknown tags are skipped, absent fields are zero).
 * Views point into the encoded bytes.
 */

#ifndef WAGW_ROW_H
#define WAGW_ROW_H

#include "../base/base.h"

typedef enum { /* contract 3.4 */
               WAGW_MSG_PENDING = 0,
               WAGW_MSG_SENT = 1,
               WAGW_MSG_DELIVERED = 2,
               WAGW_MSG_READ = 3,
               WAGW_MSG_PLAYED = 4,
               WAGW_MSG_FAILED = 5,
               WAGW_MSG_RECEIVED = 6
} wagw_msg_status_t;

const char *wagw_msg_status_name(unsigned status);

typedef enum {
    WAGW_ROW_FORWARDED = 1 << 0,
    WAGW_ROW_EPHEMERAL = 1 << 1,
    WAGW_ROW_EDITED = 1 << 2,
    WAGW_ROW_REVOKED = 1 << 3,
    WAGW_ROW_VIEW_ONCE = 1 << 4,
    WAGW_ROW_APP = 1 << 5,         /* own, typed on the phone or another companion */
    WAGW_ROW_HIDDEN = 1 << 6,      /* kept for retries only, not in listings: edits, revokes, reactions, protocol */
    WAGW_ROW_PLACEHOLDER = 1 << 7, /* could not be decrypted yet */
    WAGW_ROW_STARRED = 1 << 8,
    WAGW_ROW_HISTORY = 1 << 9,  /* came with the phone's history */
    WAGW_ROW_PINNED = 1 << 10,  /* in its chat */
    WAGW_ROW_KEPT = 1 << 11,    /* in a disappearing chat */
    WAGW_ROW_UNLISTED = 1 << 12 /* storeMessages is off: kept as long as peers may ask for it, not in listings */
} wagw_row_flag_t;

typedef struct {
    wagw_str_t chat; /* canonical chat id: phone form when known */
    wagw_str_t id;
    wagw_str_t sender;     /* user jid of the author, canonical; empty for own */
    wagw_str_t sender_alt; /* the author's other form (LID/PN) when known */
    bool from_me;
    uint8_t status; /* wagw_msg_status_t */
    uint32_t flags;
    int64_t t_ms; /* message time (server's once acked) */
    int64_t created_ms;
    int64_t edited_ms;
    wagw_str_t type; /* contract type: text, image, ... */
    wagw_str_t body;
    wagw_str_t push_name;
    wagw_str_t to;          /* wire chat jid, the namespace of the stanza */
    wagw_str_t quoted;      /* JSON object or empty */
    wagw_str_t mentions;    /* JSON array or empty */
    wagw_str_t media;       /* JSON object or empty */
    wagw_str_t content;     /* serialised Message, unpadded, as sent or as received after unwrapping DSM */
    wagw_str_t secret;      /* messageSecret, 32 or empty */
    wagw_str_t ref;         /* caller's reference */
    wagw_str_t stanza;      /* while pending: the encoded stanza plaintext, to be sent again as it is */
    wagw_str_t edit;        /* stanza attribute of the original send, for retries: "1","7",... */
    wagw_str_t stanza_type; /* text, media, reaction, ... */
    uint32_t error;         /* server's ack error */
    uint32_t expiration;    /* s */
} wagw_row_message_t;

typedef struct {
    wagw_str_t id;
    wagw_str_t name;
    wagw_str_t lid;
    wagw_str_t pn;
    uint32_t unread;
    bool archived;
    uint32_t pinned;     /* s since 1970 or 0 */
    int64_t muted_until; /* ms, -1 for ever, 0 not */
    uint32_t ephemeral;  /* s */
    int64_t last_ms;
    wagw_str_t last_id;
    wagw_str_t last_body; /* at most 200 bytes */
    wagw_str_t last_type;
    bool last_from_me;
    bool marked_unread;
} wagw_row_chat_t;

typedef struct {
    wagw_str_t jid; /* canonical */
    wagw_str_t lid;
    wagw_str_t pn;
    wagw_str_t name; /* address book */
    wagw_str_t push_name;
    wagw_str_t verified_name;
    bool business;
    bool blocked;
} wagw_row_contact_t;

typedef struct {
    wagw_str_t chat, id, user;
    int64_t delivered, read, played; /* ms or 0 */
} wagw_row_receipt_t;

typedef struct {
    wagw_str_t chat, id, user; /* user empty: own */
    wagw_str_t emoji;          /* empty: removed */
    int64_t t_ms;
} wagw_row_reaction_t;

typedef struct {
    wagw_str_t chat, id, user; /* user empty: own */
    wagw_str_t options;        /* JSON array: names of the poll's options, or going | maybe | not_going; [] withdrawn */
    int64_t t_ms;
} wagw_row_vote_t;

/* Columns of the instance that the engine owns (WAGW_OP_INSTANCE). */
typedef struct {
    wagw_str_t jid; /* own PN with device, empty when not linked */
    wagw_str_t lid;
    wagw_str_t push_name;
    wagw_str_t platform;
    wagw_str_t business_name;
    wagw_str_t status;    /* last known */
    int64_t connected_ms; /* last connect */
    int32_t disconnect_code;
    wagw_str_t disconnect_reason;
    int64_t disconnect_ms;
} wagw_row_instance_t;

int wagw_row_message_encode(wagw_buf_t *out, const wagw_row_message_t *m);
int wagw_row_message_decode(wagw_row_message_t *m, wagw_str_t in);
int wagw_row_chat_encode(wagw_buf_t *out, const wagw_row_chat_t *c);
int wagw_row_chat_decode(wagw_row_chat_t *c, wagw_str_t in);
int wagw_row_contact_encode(wagw_buf_t *out, const wagw_row_contact_t *c);
int wagw_row_contact_decode(wagw_row_contact_t *c, wagw_str_t in);
int wagw_row_receipt_encode(wagw_buf_t *out, const wagw_row_receipt_t *r);
int wagw_row_receipt_decode(wagw_row_receipt_t *r, wagw_str_t in);
int wagw_row_reaction_encode(wagw_buf_t *out, const wagw_row_reaction_t *r);
int wagw_row_reaction_decode(wagw_row_reaction_t *r, wagw_str_t in);
int wagw_row_vote_encode(wagw_buf_t *out, const wagw_row_vote_t *v);
int wagw_row_vote_decode(wagw_row_vote_t *v, wagw_str_t in);
int wagw_row_instance_encode(wagw_buf_t *out, const wagw_row_instance_t *i);
int wagw_row_instance_decode(wagw_row_instance_t *i, wagw_str_t in);

typedef enum { WAGW_ITEM_PENDING = 0, WAGW_ITEM_SENT, WAGW_ITEM_FAILED, WAGW_ITEM_CANCELLED } wagw_item_status_t;

/* What came of an item (WAGW_OP_SENDS; part of the turn that tells of it). */
typedef struct {
    uint64_t num;   /* job */
    uint32_t at;    /* item */
    bool rest;      /* every pending item instead, and the job ends */
    uint8_t status; /* wagw_item_status_t */
    wagw_str_t code, error;
    int64_t now_ms;
    int64_t next_ms; /* of the job's next item */
} wagw_sends_result_t;

int wagw_row_sends_result_encode(wagw_buf_t *out, const wagw_sends_result_t *r);
int wagw_row_sends_result_decode(wagw_sends_result_t *r, wagw_str_t in);
/* The codec beneath, for small engine records (credentials, device lists):
 * tag 1..255, unsigned integers and byte strings. */
typedef struct {
    wagw_str_t in;
    size_t at;
} wagw_tlv_t;
int wagw_tlv_put_u(wagw_buf_t *out, uint8_t tag, uint64_t v); /* 0 is not written */
int wagw_tlv_put_i(wagw_buf_t *out, uint8_t tag, int64_t v);
int wagw_tlv_put_s(wagw_buf_t *out, uint8_t tag, wagw_str_t s); /* empty is not written */
/* WAGW_OK with the next field, WAGW_NOT_FOUND at the end, WAGW_MALFORMED. */
int wagw_tlv_next(wagw_tlv_t *r, uint8_t *tag, uint64_t *u, wagw_str_t *s);
int64_t wagw_tlv_i(uint64_t u); /* zigzag back */

#endif
