/*
 * What the entries hold: conversations, messages, the notice itself.
 */

#include "history.h"
#include "../message/internal.h"

#define MUTE_MS_FROM 100000000000ll /* larger values are milliseconds already */

static uint32_t u32(uint64_t v)
{
    return v > UINT32_MAX ? UINT32_MAX : (uint32_t)v;
}

/* Seconds of the wire as milliseconds; absurd ones are none. */
static int64_t ms(uint64_t s)
{
    return s < (1ull << 40) ? (int64_t)s * 1000 : 0;
}

static int64_t mute(uint64_t v)
{
    int64_t t = (int64_t)v;

    if (t < 0) {
        return -1;
    }
    return t > MUTE_MS_FROM ? t : t * 1000;
}

static int at_end(int rc)
{
    return rc == WAGW_NOT_FOUND ? WAGW_OK : WAGW_MALFORMED;
}

int wagw_history_chat(wagw_history_chat_t *out, wagw_str_t bytes)
{
    int rc;
    int64_t last = 0;
    wagw_str_t name = WAGW_STR_NULL, display = WAGW_STR_NULL;
    wagw_wire_t w = wagw_wire(bytes);
    wagw_wire_field_t f;

    memset(out, 0, sizeof(*out));
    out->end = -1;
    while ((rc = wagw_wire_next(&w, &f)) == WAGW_OK) {
        if (f.type == 0) {
            switch (f.num) {
            case 5:
                last = ms(f.u);
                break;
            case 6:
                out->unread = u32(f.u);
                break;
            case 7:
                out->read_only = f.u != 0;
                break;
            case 9:
                out->ephemeral = u32(f.u);
                break;
            case 11:
                out->end = f.u < 16 ? (int)f.u : -1;
                break;
            case 12:
                out->last_ms = ms(f.u);
                break;
            case 16:
                out->archived = f.u != 0;
                break;
            case 19:
                out->marked_unread = f.u != 0;
                break;
            case 22:
                out->token_t = f.u;
                break;
            case 24:
                out->pinned = u32(f.u);
                break;
            case 25:
                out->muted_ms = mute(f.u);
                break;
            case 28:
                out->token_sender_t = f.u;
                break;
            case 46:
                out->locked = f.u != 0;
                break;
            }
        } else if (f.type == 2) {
            switch (f.num) {
            case 1:
                out->id = f.val;
                break;
            case 13:
                name = f.val;
                break;
            case 21:
                out->token = f.val;
                break;
            case 38:
                display = f.val;
                break;
            case 39:
                out->pn = f.val;
                break;
            case 42:
                out->lid = f.val;
                break;
            case 43:
                out->username = f.val;
                break;
            case 49:
                out->account_lid = f.val;
                break;
            }
        }
    }
    out->last_ms = out->last_ms ? out->last_ms : last;
    out->name = display.n ? display : name.n ? name : out->username;
    return at_end(rc);
}

static int key(wagw_str_t bytes, wagw_str_t *remote, bool *from_me, wagw_str_t *id, wagw_str_t *participant)
{
    int rc;
    wagw_wire_t w = wagw_wire(bytes);
    wagw_wire_field_t f;

    while ((rc = wagw_wire_next(&w, &f)) == WAGW_OK) {
        if (f.num == 1 && f.type == 2) {
            *remote = f.val;
        } else if (f.num == 2 && f.type == 0) {
            *from_me = f.u != 0;
        } else if (f.num == 3 && f.type == 2) {
            *id = f.val;
        } else if (f.num == 4 && f.type == 2) {
            *participant = f.val;
        }
    }
    return at_end(rc);
}

static int receipt(wagw_history_receipt_t *r, wagw_str_t bytes)
{
    int rc;
    wagw_wire_t w = wagw_wire(bytes);
    wagw_wire_field_t f;

    memset(r, 0, sizeof(*r));
    while ((rc = wagw_wire_next(&w, &f)) == WAGW_OK) {
        if (f.num == 1 && f.type == 2) {
            r->user = f.val;
        } else if (f.num == 2 && f.type == 0) {
            r->received = ms(f.u);
        } else if (f.num == 3 && f.type == 0) {
            r->read = ms(f.u);
        } else if (f.num == 4 && f.type == 0) {
            r->played = ms(f.u);
        }
    }
    return at_end(rc);
}

static int reaction(wagw_history_reaction_t *r, wagw_str_t bytes)
{
    int rc;
    wagw_str_t remote = WAGW_STR_NULL, id;
    wagw_wire_t w = wagw_wire(bytes);
    wagw_wire_field_t f;

    memset(r, 0, sizeof(*r));
    while ((rc = wagw_wire_next(&w, &f)) == WAGW_OK) {
        if (f.num == 1 && f.type == 2) {
            if (key(f.val, &remote, &r->from_me, &id, &r->user) != WAGW_OK) {
                return WAGW_MALFORMED;
            }
        } else if (f.num == 2 && f.type == 2) {
            r->emoji = f.val;
        } else if (f.num == 4 && f.type == 0) {
            r->t_ms = f.u < (1ull << 50) ? (int64_t)f.u : 0;
        }
    }
    if (r->user.n == 0) {
        r->user = remote; /* in a direct chat the key names nobody else */
    }
    return at_end(rc);
}

static int message_bytes(wagw_history_message_t *out, const wagw_wire_field_t *f)
{
    switch (f->num) {
    case 1:
        return key(f->val, &out->chat, &out->from_me, &out->id, &out->participant);
    case 2:
        out->message = f->val;
        break;
    case 5:
        out->participant = f->val;
        break;
    case 19:
        out->push_name = f->val;
        break;
    case 26:
        out->stub_param = out->stub_param.p ? out->stub_param : f->val;
        break;
    case 37:
        out->verified_name = f->val;
        break;
    case 40:
        return out->nreceipts < WAGW_HISTORY_RECEIPTS ? receipt(&out->receipts[out->nreceipts++], f->val) : WAGW_OK;
    case 41:
        return out->nreactions < WAGW_HISTORY_REACTIONS ? reaction(&out->reactions[out->nreactions++], f->val)
                                                        : WAGW_OK;
    case 49:
        out->secret = f->val.n == 32 ? f->val : WAGW_STR_NULL;
        break;
    case 51:
        out->self = f->val;
        break;
    }
    return WAGW_OK;
}

int wagw_history_message(wagw_history_message_t *out, wagw_str_t bytes)
{
    int rc;
    wagw_wire_t w = wagw_wire(bytes);
    wagw_wire_field_t f;

    memset(out, 0, sizeof(*out));
    out->status = -1;
    while ((rc = wagw_wire_next(&w, &f)) == WAGW_OK) {
        if (f.type == 2) {
            if (message_bytes(out, &f) != WAGW_OK) {
                return WAGW_MALFORMED;
            }
            continue;
        }
        if (f.type != 0) {
            continue;
        }
        switch (f.num) {
        case 3:
            out->t_ms = ms(f.u);
            break;
        case 4:
            out->status = f.u < 16 ? (int)f.u : -1;
            break;
        case 17:
            out->starred = f.u != 0;
            break;
        case 24:
            out->stub = u32(f.u);
            break;
        case 33:
            out->ephemeral = u32(f.u);
            break;
        }
    }
    return at_end(rc);
}

bool wagw_history_pair(const wagw_history_chat_t *c, wagw_str_t first_own, wagw_str_t *pn, wagw_str_t *lid)
{
    bool id_lid = wagw_str_ends(c->id, WAGW_STR("@lid"));
    bool id_pn = wagw_str_ends(c->id, WAGW_STR("@s.whatsapp.net")) || wagw_str_ends(c->id, WAGW_STR("@c.us"));

    if (id_lid && c->pn.n) {
        *lid = c->id;
        *pn = c->pn;
        return true;
    }
    if (id_pn && c->lid.n) {
        *lid = c->lid;
        *pn = c->id;
        return true;
    }
    if (id_lid && wagw_str_ends(first_own, WAGW_STR("@s.whatsapp.net"))) {
        *lid = c->id;
        *pn = first_own;
        return true;
    }
    return false;
}

int wagw_history_notice(wagw_history_notice_t *out, wagw_str_t bytes)
{
    int rc;
    wagw_wire_t w = wagw_wire(bytes);
    wagw_wire_field_t f;

    memset(out, 0, sizeof(*out));
    out->chunk = out->progress = -1;
    while ((rc = wagw_wire_next(&w, &f)) == WAGW_OK) {
        if (f.type == 0) {
            int v = f.u > INT32_MAX ? -1 : (int)f.u;

            if (f.num == 2) {
                out->length = f.u;
            } else if (f.num == 6) {
                out->type = v;
            } else if (f.num == 7) {
                out->chunk = v;
            } else if (f.num == 9) {
                out->progress = v;
            }
        } else if (f.type == 2) {
            wagw_str_t *const to[16] = {
                [1] = &out->sha256,      [3] = &out->media_key,       [4] = &out->enc_sha256, [5] = &out->direct_path,
                [8] = &out->original_id, [11] = &out->inline_payload, [12] = &out->session,   [14] = &out->handle};

            if (f.num < 16 && to[f.num]) {
                *to[f.num] = f.val;
            }
        }
    }
    return at_end(rc);
}

int wagw_history_contact(wagw_str_t bytes, wagw_str_t *name)
{
    int rc;
    wagw_str_t full = WAGW_STR_NULL, first = WAGW_STR_NULL, user = WAGW_STR_NULL;
    wagw_wire_t w = wagw_wire(bytes);
    wagw_wire_field_t f;

    while ((rc = wagw_wire_next(&w, &f)) == WAGW_OK) {
        if (f.type == 2) {
            full = f.num == 3 ? f.val : full;
            first = f.num == 4 ? f.val : first;
            user = f.num == 5 ? f.val : user;
        }
    }
    *name = full.n ? full : first.n ? first : user;
    return at_end(rc);
}
