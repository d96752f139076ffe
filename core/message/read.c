#include "internal.h"

#define WAGW_FIELD_SKDM 2
#define WAGW_FIELD_FAST_SKDM 15
#define WAGW_FIELD_DEVICE_SENT 31
#define WAGW_FIELD_CONTEXT_INFO 35

static wagw_str_t wagw_read_str(const char *s)
{
    return wagw_cstr(s);
}

static void wagw_read_key(wagw_message_key_t *out, const Wa__MessageKey *k)
{
    if (k == NULL || k->id == NULL) {
        return;
    }

    out->present = true;
    out->remote = wagw_read_str(k->remotejid);
    out->from_me = k->has_fromme && k->fromme;
    out->id = wagw_read_str(k->id);
    out->participant = wagw_read_str(k->participant);
}

/*
 * The stored form: without the device-sent wrapper and without sender keys.
 * Cut at the wire level, so that every other byte stays as it came.
 */
static int wagw_read_content(wagw_content_t *out, wagw_arena_t *a, wagw_str_t bytes)
{
    int rc;
    bool own_info;
    wagw_buf_t b = {0};
    wagw_str_t inner = bytes;
    wagw_wire_t w;
    wagw_wire_field_t f, dsm;

    rc = wagw_wire_find(bytes, WAGW_FIELD_SKDM, &f);
    if (rc == WAGW_OK) {
        wagw_wire_field_t part;

        if (wagw_wire_find(f.val, 1, &part) == WAGW_OK) {
            out->skdm_group = wagw_arena_str(a, part.val);
        }
        if (wagw_wire_find(f.val, 2, &part) == WAGW_OK) {
            out->skdm = wagw_arena_str(a, part.val);
        }
    }

    rc = wagw_wire_find(bytes, WAGW_FIELD_DEVICE_SENT, &dsm);

    if (rc == WAGW_OK) {
        /* Without a destination nobody could tell that it is a copy of an own
         * message, and so that only own devices may send it. */
        if (wagw_wire_find(dsm.val, 1, &f) != WAGW_OK || f.val.n == 0) {
            return WAGW_MALFORMED;
        }

        out->dsm_to = wagw_arena_str(a, f.val);

        if (wagw_wire_find(dsm.val, 2, &f) != WAGW_OK) {
            return WAGW_MALFORMED;
        }

        inner = f.val;
    }

    own_info = wagw_wire_find(inner, WAGW_FIELD_CONTEXT_INFO, &f) == WAGW_OK;
    w = wagw_wire(inner);

    while ((rc = wagw_wire_next(&w, &f)) == WAGW_OK) {
        if (f.num != WAGW_FIELD_SKDM && f.num != WAGW_FIELD_FAST_SKDM) {
            wagw_buf_str(&b, f.raw);
        }
    }

    if (!own_info && out->dsm_to.n && wagw_wire_find(bytes, WAGW_FIELD_CONTEXT_INFO, &f) == WAGW_OK) {
        wagw_buf_str(&b, f.raw);
    }

    if (rc == WAGW_NOT_FOUND) {
        out->content = wagw_arena_str(a, wagw_buf_view(&b));
        rc = b.failed || out->content.p == NULL ? WAGW_NOMEM : WAGW_OK;
    }

    wagw_buf_free(&b);

    return rc;
}

static void wagw_read_payload(wagw_content_t *out, wagw_arena_t *a, const void *m)
{
    if (m) {
        out->payload = wagw_pb_pack(a, m);
    }
}

static void wagw_read_edit(wagw_content_t *out, wagw_arena_t *a, const Wa__Message__ProtocolMessage *p)
{
    wagw_open_t o;

    out->is = WAGW_IS_EDIT;
    out->target_ms = p->has_timestampms ? p->timestampms : 0;

    if (p->editedmessage == NULL) {
        return;
    }

    out->edited = wagw_pb_pack(a, p->editedmessage);

    wagw_message_open(&o, p->editedmessage);
    out->edited_body = wagw_cstr(wagw_message_text(&o));
}

static void wagw_read_protocol(wagw_content_t *out, wagw_arena_t *a, const wagw_open_t *o)
{
    const Wa__Message__ProtocolMessage *p = (const Wa__Message__ProtocolMessage *)o->sub;
    int type = p->has_type ? (int)p->type : p->key ? 0 : -1;

    wagw_read_key(&out->key, p->key);

    if (o->status_mention || type == 25) {
        out->is = WAGW_IS_CONTENT;
        return;
    }

    switch (type) {
    case 0:
        out->is = WAGW_IS_REVOKE;
        break;

    case 3:
        out->is = WAGW_IS_EPHEMERAL_SETTING;
        out->ephemeral = p->has_ephemeralexpiration ? p->ephemeralexpiration : 0;
        out->target_ms = 0;
        break;

    case 5:
        out->is = WAGW_IS_HISTORY_SYNC;
        wagw_read_payload(out, a, p->historysyncnotification);
        break;

    case 6:
        out->is = WAGW_IS_APP_STATE_KEY_SHARE;
        wagw_read_payload(out, a, p->appstatesynckeyshare);
        break;

    case 7:
        out->is = WAGW_IS_APP_STATE_KEY_REQUEST;
        wagw_read_payload(out, a, p->appstatesynckeyrequest);
        break;

    case 14:
        wagw_read_edit(out, a, p);
        break;

    case 17:
        out->is = WAGW_IS_PEER_RESPONSE;
        wagw_read_payload(out, a, p->peerdataoperationrequestresponsemessage);
        break;

    case 22:
        out->is = WAGW_IS_LID_MAPPING;
        wagw_read_payload(out, a, p->lidmigrationmappingsyncmessage);
        break;

    case 9:
    case 10:
    case 16:
        out->is = WAGW_IS_PEER_OTHER;
        wagw_read_payload(out, a, p);
        break;

    default:
        out->is = WAGW_IS_PROTOCOL_OTHER;
        wagw_read_payload(out, a, p);
    }
}

/* Votes, event responses, encrypted reactions, comments and edits. */
static void wagw_read_secret(wagw_content_t *out, const wagw_open_t *o, const char *key)
{
    wagw_read_key(&out->key, (Wa__MessageKey *)wagw_pb_sub(o->sub, key));
    wagw_pb_bytes(o->sub, "encPayload", &out->vote_payload);
    wagw_pb_bytes(o->sub, "encIv", &out->vote_iv);
}

static void wagw_read_vote(wagw_content_t *out, const Wa__Message__PollUpdateMessage *v)
{
    out->is = WAGW_IS_POLL_VOTE;
    wagw_read_key(&out->key, v->pollcreationmessagekey);
    out->target_ms = v->has_sendertimestampms ? v->sendertimestampms : 0;

    if (v->vote) {
        wagw_pb_bytes(v->vote, "encPayload", &out->vote_payload);
        wagw_pb_bytes(v->vote, "encIv", &out->vote_iv);
    }
}

static void wagw_read_kind(wagw_content_t *out, wagw_arena_t *a, const wagw_open_t *o)
{
    uint64_t v;

    switch (o->kind) {
    case WAGW_KIND_REACTION: {
        const Wa__Message__ReactionMessage *r = (const Wa__Message__ReactionMessage *)o->sub;

        out->is = WAGW_IS_REACTION;
        wagw_read_key(&out->key, r->key);
        out->emoji = wagw_cstr(r->text);
        out->target_ms = r->has_sendertimestampms ? r->sendertimestampms : 0;
        break;
    }

    case WAGW_KIND_ENC_REACTION:
        out->is = WAGW_IS_ENC_REACTION;
        wagw_read_secret(out, o, "targetMessageKey");
        break;

    case WAGW_KIND_POLL_VOTE:
        wagw_read_vote(out, (const Wa__Message__PollUpdateMessage *)o->sub);
        break;

    case WAGW_KIND_EVENT_RESPONSE:
        out->is = WAGW_IS_EVENT_RESPONSE;
        wagw_read_secret(out, o, "eventCreationMessageKey");
        break;

    case WAGW_KIND_SECRET:
        out->is = WAGW_IS_SECRET_EDIT;
        wagw_read_secret(out, o, "targetMessageKey");
        out->secret_type = wagw_pb_uint(o->sub, "secretEncType", &v) ? (uint32_t)v : 0;
        break;

    case WAGW_KIND_ENC_COMMENT:
        out->is = WAGW_IS_CONTENT;
        wagw_read_secret(out, o, "targetMessageKey");
        break;

    case WAGW_KIND_COMMENT:
        out->is = WAGW_IS_CONTENT;
        wagw_read_key(&out->key, (Wa__MessageKey *)wagw_pb_sub(o->sub, "targetMessageKey"));
        break;

    case WAGW_KIND_PIN:
        out->is = WAGW_IS_PIN;
        out->undo = wagw_pb_uint(o->sub, "type", &v) && v == 2;
        wagw_read_key(&out->key, (Wa__MessageKey *)wagw_pb_sub(o->sub, "key"));
        out->target_ms = wagw_pb_uint(o->sub, "senderTimestampMs", &v) ? (int64_t)v : 0;
        break;

    case WAGW_KIND_KEEP:
        out->is = WAGW_IS_KEEP;
        out->undo = wagw_pb_uint(o->sub, "keepType", &v) && v == 2;
        wagw_read_key(&out->key, (Wa__MessageKey *)wagw_pb_sub(o->sub, "key"));
        out->target_ms = wagw_pb_uint(o->sub, "timestampMs", &v) ? (int64_t)v : 0;
        break;

    case WAGW_KIND_PROTOCOL:
        wagw_read_protocol(out, a, o);
        break;

    default:
        out->is = WAGW_IS_CONTENT;
    }
}

static void wagw_read_context(wagw_content_t *out, wagw_arena_t *a, const wagw_open_t *o)
{
    const Wa__ContextInfo *c = o->context;

    if (o->ephemeral) {
        out->flags |= WAGW_ROW_EPHEMERAL;
    }

    if (o->view_once) {
        out->flags |= WAGW_ROW_VIEW_ONCE;
    }

    if (c == NULL) {
        return;
    }

    if ((c->has_isforwarded && c->isforwarded) || (c->has_forwardingscore && c->forwardingscore)) {
        out->flags |= WAGW_ROW_FORWARDED;
    }

    out->expiration = c->has_expiration ? c->expiration : 0;
    out->quoted = wagw_detail_quoted(a, c);
    out->mentions = wagw_detail_mentions(a, c);

    if (out->quoted.n) {
        out->quoted_id = wagw_cstr(c->stanzaid);
    }
}

static wagw_str_t wagw_read_raw(wagw_arena_t *a, const wagw_open_t *o)
{
    wagw_buf_t b = {0};
    wagw_str_t s = WAGW_STR_NULL;
    wagw_json_t j = wagw_json(&b);

    wagw_json_open(&j, '{');

    if (wagw_detail_members(&j, o)) {
        wagw_json_close(&j);

        if (!b.failed) {
            s = wagw_arena_str(a, wagw_buf_view(&b));
        }
    }

    wagw_buf_free(&b);

    return s;
}

int wagw_message_read(wagw_content_t *out, wagw_arena_t *a, wagw_str_t bytes)
{
    int rc;
    wagw_open_t o;
    Wa__Message *m;

    memset(out, 0, sizeof(*out));
    out->type = "unknown";
    out->proto_name = "";

    rc = wagw_wire_check(&wa__message__descriptor, bytes);
    if (rc != WAGW_OK) {
        return rc;
    }

    rc = wagw_read_content(out, a, bytes);
    if (rc != WAGW_OK) {
        return rc;
    }

    m = (Wa__Message *)wagw_pb_unpack(a, &wa__message__descriptor, out->content, &rc);
    if (m == NULL) {
        return rc;
    }

    wagw_message_open(&o, m);

    out->type = o.type;
    out->proto_name = o.proto_name;

    if (o.info && o.info->has_messagesecret && o.info->messagesecret.len == 32) {
        out->secret = wagw_pb_view(&o.info->messagesecret);
    }

    if (o.empty) {
        out->is = WAGW_IS_NOTHING;
        return WAGW_OK;
    }

    wagw_read_kind(out, a, &o);
    wagw_read_context(out, a, &o);

    out->body = wagw_cstr(wagw_message_text(&o));
    out->media = wagw_detail_media(a, &o);
    out->raw = wagw_read_raw(a, &o);

    return WAGW_OK;
}
