#include "row.h"
#include "store.h"

/*
 * A field on the wire: tag, form, then the bytes.  Form 0..8 is an unsigned
 * integer in that many little-endian bytes; FORM_SHORT and FORM_LONG are byte
 * strings behind a length of one or four bytes (little-endian).
 */
#define FORM_SHORT 9
#define FORM_LONG 10

typedef enum { T_STR = 1, T_BOOL, T_U8, T_U32, T_U64, T_I32, T_I64 } row_type_t;

typedef struct {
    uint8_t tag;
    uint8_t type;
    uint16_t at;
} row_field_t;

#define F(row, tag, type, member)                                                                                      \
    {                                                                                                                  \
        tag, type, offsetof(row, member)                                                                               \
    }
#define F_END                                                                                                          \
    {                                                                                                                  \
        0, 0, 0                                                                                                        \
    }

/* Tags are stored in databases: never reuse or renumber one. */
static const row_field_t message_fields[] = {
    F(wagw_row_message_t, 1, T_STR, chat),         F(wagw_row_message_t, 2, T_STR, id),
    F(wagw_row_message_t, 3, T_STR, sender),       F(wagw_row_message_t, 4, T_STR, sender_alt),
    F(wagw_row_message_t, 5, T_BOOL, from_me),     F(wagw_row_message_t, 6, T_U8, status),
    F(wagw_row_message_t, 7, T_U32, flags),        F(wagw_row_message_t, 8, T_I64, t_ms),
    F(wagw_row_message_t, 9, T_I64, created_ms),   F(wagw_row_message_t, 10, T_I64, edited_ms),
    F(wagw_row_message_t, 11, T_STR, type),        F(wagw_row_message_t, 12, T_STR, body),
    F(wagw_row_message_t, 13, T_STR, push_name),   F(wagw_row_message_t, 14, T_STR, to),
    F(wagw_row_message_t, 15, T_STR, quoted),      F(wagw_row_message_t, 16, T_STR, mentions),
    F(wagw_row_message_t, 17, T_STR, media),       F(wagw_row_message_t, 18, T_STR, content),
    F(wagw_row_message_t, 19, T_STR, secret),      F(wagw_row_message_t, 20, T_STR, ref),
    F(wagw_row_message_t, 21, T_STR, stanza),      F(wagw_row_message_t, 22, T_STR, edit),
    F(wagw_row_message_t, 23, T_STR, stanza_type), F(wagw_row_message_t, 24, T_U32, error),
    F(wagw_row_message_t, 25, T_U32, expiration),  F_END};

static const row_field_t chat_fields[] = {F(wagw_row_chat_t, 1, T_STR, id),
                                          F(wagw_row_chat_t, 2, T_STR, name),
                                          F(wagw_row_chat_t, 3, T_STR, lid),
                                          F(wagw_row_chat_t, 4, T_STR, pn),
                                          F(wagw_row_chat_t, 5, T_U32, unread),
                                          F(wagw_row_chat_t, 6, T_BOOL, archived),
                                          F(wagw_row_chat_t, 7, T_U32, pinned),
                                          F(wagw_row_chat_t, 8, T_I64, muted_until),
                                          F(wagw_row_chat_t, 9, T_U32, ephemeral),
                                          F(wagw_row_chat_t, 10, T_I64, last_ms),
                                          F(wagw_row_chat_t, 11, T_STR, last_id),
                                          F(wagw_row_chat_t, 12, T_STR, last_body),
                                          F(wagw_row_chat_t, 13, T_STR, last_type),
                                          F(wagw_row_chat_t, 14, T_BOOL, last_from_me),
                                          F(wagw_row_chat_t, 15, T_BOOL, marked_unread),
                                          F_END};

static const row_field_t contact_fields[] = {F(wagw_row_contact_t, 1, T_STR, jid),
                                             F(wagw_row_contact_t, 2, T_STR, lid),
                                             F(wagw_row_contact_t, 3, T_STR, pn),
                                             F(wagw_row_contact_t, 4, T_STR, name),
                                             F(wagw_row_contact_t, 5, T_STR, push_name),
                                             F(wagw_row_contact_t, 6, T_STR, verified_name),
                                             F(wagw_row_contact_t, 7, T_BOOL, business),
                                             F(wagw_row_contact_t, 8, T_BOOL, blocked),
                                             F_END};

static const row_field_t receipt_fields[] = {F(wagw_row_receipt_t, 1, T_STR, chat),
                                             F(wagw_row_receipt_t, 2, T_STR, id),
                                             F(wagw_row_receipt_t, 3, T_STR, user),
                                             F(wagw_row_receipt_t, 4, T_I64, delivered),
                                             F(wagw_row_receipt_t, 5, T_I64, read),
                                             F(wagw_row_receipt_t, 6, T_I64, played),
                                             F_END};

static const row_field_t reaction_fields[] = {
    F(wagw_row_reaction_t, 1, T_STR, chat), F(wagw_row_reaction_t, 2, T_STR, id),
    F(wagw_row_reaction_t, 3, T_STR, user), F(wagw_row_reaction_t, 4, T_STR, emoji),
    F(wagw_row_reaction_t, 5, T_I64, t_ms), F_END};

static const row_field_t vote_fields[] = {F(wagw_row_vote_t, 1, T_STR, chat), F(wagw_row_vote_t, 2, T_STR, id),
                                          F(wagw_row_vote_t, 3, T_STR, user), F(wagw_row_vote_t, 4, T_STR, options),
                                          F(wagw_row_vote_t, 5, T_I64, t_ms), F_END};

static const row_field_t instance_fields[] = {F(wagw_row_instance_t, 1, T_STR, jid),
                                              F(wagw_row_instance_t, 2, T_STR, lid),
                                              F(wagw_row_instance_t, 3, T_STR, push_name),
                                              F(wagw_row_instance_t, 4, T_STR, platform),
                                              F(wagw_row_instance_t, 5, T_STR, business_name),
                                              F(wagw_row_instance_t, 6, T_STR, status),
                                              F(wagw_row_instance_t, 7, T_I64, connected_ms),
                                              F(wagw_row_instance_t, 8, T_I32, disconnect_code),
                                              F(wagw_row_instance_t, 9, T_STR, disconnect_reason),
                                              F(wagw_row_instance_t, 10, T_I64, disconnect_ms),
                                              F_END};

static const row_field_t delivery_fields[] = {F(wagw_delivery_t, 1, T_U64, num),
                                              F(wagw_delivery_t, 2, T_STR, id),
                                              F(wagw_delivery_t, 3, T_STR, webhook_id),
                                              F(wagw_delivery_t, 4, T_U32, instance),
                                              F(wagw_delivery_t, 5, T_STR, instance_id),
                                              F(wagw_delivery_t, 6, T_STR, url),
                                              F(wagw_delivery_t, 7, T_STR, event),
                                              F(wagw_delivery_t, 8, T_STR, event_id),
                                              F(wagw_delivery_t, 9, T_STR, chat),
                                              F(wagw_delivery_t, 10, T_U64, seq),
                                              F(wagw_delivery_t, 11, T_STR, payload),
                                              F(wagw_delivery_t, 12, T_U8, status),
                                              F(wagw_delivery_t, 13, T_I32, status_code),
                                              F(wagw_delivery_t, 14, T_STR, response),
                                              F(wagw_delivery_t, 15, T_STR, error),
                                              F(wagw_delivery_t, 16, T_U32, attempts),
                                              F(wagw_delivery_t, 17, T_I64, next_ms),
                                              F(wagw_delivery_t, 18, T_I64, created_ms),
                                              F(wagw_delivery_t, 19, T_I64, updated_ms),
                                              F(wagw_delivery_t, 20, T_U32, duration_ms),
                                              F_END};

static const row_field_t idempotency_fields[] = {F(wagw_idempotency_t, 1, T_I32, status),
                                                 F(wagw_idempotency_t, 2, T_STR, body), F_END};

static const row_field_t sends_result_fields[] = {F(wagw_sends_result_t, 1, T_U64, num),
                                                  F(wagw_sends_result_t, 2, T_U32, at),
                                                  F(wagw_sends_result_t, 3, T_BOOL, rest),
                                                  F(wagw_sends_result_t, 4, T_U8, status),
                                                  F(wagw_sends_result_t, 5, T_STR, code),
                                                  F(wagw_sends_result_t, 6, T_STR, error),
                                                  F(wagw_sends_result_t, 7, T_I64, now_ms),
                                                  F(wagw_sends_result_t, 8, T_I64, next_ms),
                                                  F_END};

const char *wagw_msg_status_name(unsigned status)
{
    static const char *const names[] = {"pending", "sent", "delivered", "read", "played", "failed", "received"};

    return status < sizeof(names) / sizeof(names[0]) ? names[status] : "unknown";
}

int wagw_tlv_put_u(wagw_buf_t *out, uint8_t tag, uint64_t v)
{
    uint8_t b[10], n = 0;

    if (v == 0) {
        return WAGW_OK;
    }

    b[0] = tag;

    while (v != 0) {
        b[2 + n++] = (uint8_t)v;
        v >>= 8;
    }

    b[1] = n;

    return wagw_buf_add(out, b, 2 + n);
}

int wagw_tlv_put_i(wagw_buf_t *out, uint8_t tag, int64_t v)
{
    return wagw_tlv_put_u(out, tag, ((uint64_t)v << 1) ^ (v < 0 ? UINT64_MAX : 0));
}

int64_t wagw_tlv_i(uint64_t u)
{
    return (int64_t)((u >> 1) ^ (~(u & 1) + 1));
}

int wagw_tlv_put_s(wagw_buf_t *out, uint8_t tag, wagw_str_t s)
{
    uint8_t b[6];
    size_t n;

    if (s.n == 0) {
        return WAGW_OK;
    }

    if (s.n > UINT32_MAX) {
        out->failed = true;
        return WAGW_LIMIT;
    }

    b[0] = tag;

    if (s.n <= UINT8_MAX) {
        b[1] = FORM_SHORT;
        b[2] = (uint8_t)s.n;
        n = 3;

    } else {
        b[1] = FORM_LONG;
        b[2] = (uint8_t)s.n;
        b[3] = (uint8_t)(s.n >> 8);
        b[4] = (uint8_t)(s.n >> 16);
        b[5] = (uint8_t)(s.n >> 24);
        n = 6;
    }

    if (wagw_buf_reserve(out, n + s.n) != WAGW_OK) {
        return WAGW_NOMEM;
    }

    wagw_buf_add(out, b, n);

    return wagw_buf_add(out, s.p, s.n);
}

static uint64_t tlv_le(const uint8_t *p, size_t n)
{
    uint64_t v = 0;

    while (n-- > 0) {
        v = v << 8 | p[n];
    }

    return v;
}

int wagw_tlv_next(wagw_tlv_t *r, uint8_t *tag, uint64_t *u, wagw_str_t *s)
{
    const uint8_t *p;
    size_t left = r->in.n - r->at;
    size_t head, n;

    *u = 0;
    *s = WAGW_STR_NULL;

    if (left == 0) {
        return WAGW_NOT_FOUND; /* of an empty value there may be no bytes at all */
    }

    p = r->in.p + r->at;

    if (left < 2 || p[0] == 0) {
        return WAGW_MALFORMED;
    }

    *tag = p[0];

    if (p[1] <= 8) {
        n = p[1];

        if (left - 2 < n) {
            return WAGW_MALFORMED;
        }

        *u = tlv_le(p + 2, n);
        r->at += 2 + n;
        return WAGW_OK;
    }

    if (p[1] > FORM_LONG) {
        return WAGW_MALFORMED;
    }

    head = p[1] == FORM_SHORT ? 3 : 6;

    if (left < head) {
        return WAGW_MALFORMED;
    }

    n = (size_t)tlv_le(p + 2, head - 2);

    if (left - head < n) {
        return WAGW_MALFORMED;
    }

    *s = wagw_str(p + head, n);
    r->at += head + n;

    return WAGW_OK;
}

static int row_encode(wagw_buf_t *out, const void *row, const row_field_t *f)
{
    for (; f->tag != 0; f++) {
        const void *p = (const uint8_t *)row + f->at;

        switch (f->type) {
        case T_STR:
            wagw_tlv_put_s(out, f->tag, *(const wagw_str_t *)p);
            break;
        case T_BOOL:
            wagw_tlv_put_u(out, f->tag, *(const bool *)p);
            break;
        case T_U8:
            wagw_tlv_put_u(out, f->tag, *(const uint8_t *)p);
            break;
        case T_U32:
            wagw_tlv_put_u(out, f->tag, *(const uint32_t *)p);
            break;
        case T_U64:
            wagw_tlv_put_u(out, f->tag, *(const uint64_t *)p);
            break;
        case T_I32:
            wagw_tlv_put_i(out, f->tag, *(const int32_t *)p);
            break;
        default:
            wagw_tlv_put_i(out, f->tag, *(const int64_t *)p);
        }
    }

    return out->failed ? WAGW_NOMEM : WAGW_OK;
}

static int row_set(void *p, unsigned type, uint64_t u, wagw_str_t s)
{
    int64_t i = wagw_tlv_i(u);

    /* a string never carries an integer, an integer never a string */
    if ((type == T_STR) != (s.p != NULL)) {
        return WAGW_MALFORMED;
    }

    switch (type) {
    case T_STR:
        *(wagw_str_t *)p = s;
        return WAGW_OK;
    case T_BOOL:
        *(bool *)p = u != 0;
        return u <= 1 ? WAGW_OK : WAGW_MALFORMED;
    case T_U8:
        *(uint8_t *)p = (uint8_t)u;
        return u <= UINT8_MAX ? WAGW_OK : WAGW_MALFORMED;
    case T_U32:
        *(uint32_t *)p = (uint32_t)u;
        return u <= UINT32_MAX ? WAGW_OK : WAGW_MALFORMED;
    case T_U64:
        *(uint64_t *)p = u;
        return WAGW_OK;
    case T_I32:
        *(int32_t *)p = (int32_t)i;
        return i >= INT32_MIN && i <= INT32_MAX ? WAGW_OK : WAGW_MALFORMED;
    default:
        *(int64_t *)p = i;
        return WAGW_OK;
    }
}

static int row_decode(void *row, size_t size, const row_field_t *fields, wagw_str_t in)
{
    wagw_tlv_t r = {in, 0};
    const row_field_t *f = fields;
    wagw_str_t s;
    uint64_t u;
    uint8_t tag;
    int rc;

    memset(row, 0, size);

    while ((rc = wagw_tlv_next(&r, &tag, &u, &s)) == WAGW_OK) {

        /* fields are written in the order of the table: mostly the next one */
        while (f->tag != 0 && f->tag < tag) {
            f++;
        }

        if (f->tag != tag) {
            for (f = fields; f->tag != 0 && f->tag != tag; f++) { /* void */
            }
        }

        if (f->tag == 0) {
            f = fields;
            continue;
        }

        if (row_set((uint8_t *)row + f->at, f->type, u, s) != WAGW_OK) {
            rc = WAGW_MALFORMED;
            break;
        }
    }

    if (rc != WAGW_NOT_FOUND) {
        memset(row, 0, size);
        return WAGW_MALFORMED;
    }

    return WAGW_OK;
}

#define ROW_CODEC(name, type)                                                                                          \
    int wagw_row_##name##_encode(wagw_buf_t *out, const type *row)                                                     \
    {                                                                                                                  \
        return row_encode(out, row, name##_fields);                                                                    \
    }                                                                                                                  \
    int wagw_row_##name##_decode(type *row, wagw_str_t in)                                                             \
    {                                                                                                                  \
        return row_decode(row, sizeof(*row), name##_fields, in);                                                       \
    }

ROW_CODEC(message, wagw_row_message_t)
ROW_CODEC(chat, wagw_row_chat_t)
ROW_CODEC(contact, wagw_row_contact_t)
ROW_CODEC(receipt, wagw_row_receipt_t)
ROW_CODEC(reaction, wagw_row_reaction_t)
ROW_CODEC(vote, wagw_row_vote_t)
ROW_CODEC(instance, wagw_row_instance_t)
ROW_CODEC(delivery, wagw_delivery_t)
ROW_CODEC(idempotency, wagw_idempotency_t)
ROW_CODEC(sends_result, wagw_sends_result_t)
