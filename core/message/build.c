#include "draft.h"

static int wagw_build_reaction(wagw_draft_t *d)
{
    int rc;
    const char *emoji = wagw_draft_str(d, "emoji", "reaction");
    Wa__Message__ReactionMessage *r;

    WAGW_DRAFT_NEW(d, r, message__reaction_message);

    rc = wagw_draft_key(d, &r->key);
    if (rc == WAGW_OK) {
        /* an empty text, present, removes the reaction */
        rc = wagw_draft_dup(d, &r->text, emoji ? emoji : "");
    }

    r->has_sendertimestampms = 1;
    r->sendertimestampms = d->b->now_ms;
    d->m->reactionmessage = r;
    d->no_secret = true;
    d->out->hidden = true;
    d->out->hide_fail = true;
    d->out->edit = emoji && *emoji ? NULL : "7";

    return rc;
}

static int wagw_build_revoke(wagw_draft_t *d)
{
    int rc;
    Wa__Message__ProtocolMessage *p;

    WAGW_DRAFT_NEW(d, p, message__protocol_message);

    rc = wagw_draft_key(d, &p->key);
    if (rc != WAGW_OK) {
        return rc;
    }

    p->has_type = 1;
    p->type = 0;
    d->m->protocolmessage = p;
    d->out->hidden = true;
    d->out->edit = p->key->fromme ? "7" : "8";

    return WAGW_OK;
}

/* The new content: a text, or the same media with another caption. */
static int wagw_build_edited(wagw_draft_t *d, const char *text, Wa__Message **out)
{
    int rc;
    char *copy;
    Wa__ContextInfo *c, **slot;
    wagw_open_t o;
    Wa__Message *m;
    bool media = false;

    rc = wagw_draft_text(d, text, &copy);
    if (rc == WAGW_OK) {
        rc = wagw_draft_context(d, &c);
    }
    if (rc != WAGW_OK) {
        return rc;
    }

    if (d->b->target && d->b->target->content.n) {
        m = (Wa__Message *)wagw_pb_unpack(d->a, &wa__message__descriptor, d->b->target->content, &rc);
        if (m == NULL) {
            return rc == WAGW_NOMEM ? rc : WAGW_STATE;
        }

        wagw_message_open(&o, m);
        media = o.kind == WAGW_KIND_MEDIA;

        if (!media && o.kind != WAGW_KIND_TEXT) {
            return WAGW_STATE;
        }
    }

    if (media) {
        const ProtobufCFieldDescriptor *f =
            protobuf_c_message_descriptor_get_field_by_name(o.sub->descriptor, "caption");

        if (f == NULL || f->type != PROTOBUF_C_TYPE_STRING) {
            return WAGW_STATE;
        }

        *(char **)((uint8_t *)o.sub + f->offset) = copy;

        slot = wagw_draft_context_slot(o.sub);
        if (slot) {
            *slot = c;
        }

        *out = wagw_draft_only_content(d->a, &o);

        return *out ? WAGW_OK : WAGW_NOMEM;
    }

    WAGW_DRAFT_NEW(d, *out, message);
    WAGW_DRAFT_NEW(d, (*out)->extendedtextmessage, message__extended_text_message);
    (*out)->extendedtextmessage->text = copy;
    (*out)->extendedtextmessage->contextinfo = c;

    return WAGW_OK;
}

static int wagw_build_edit(wagw_draft_t *d)
{
    int rc;
    const char *text = wagw_draft_str(d, "newText", "text");
    Wa__Message__ProtocolMessage *p;

    if (text == NULL) {
        return wagw_draft_bad(d, "newText");
    }

    if (d->b->target && !d->b->target->from_me) {
        return WAGW_STATE;
    }

    WAGW_DRAFT_NEW(d, p, message__protocol_message);

    rc = wagw_draft_key(d, &p->key);
    if (rc == WAGW_OK) {
        rc = wagw_build_edited(d, text, &p->editedmessage);
    }
    if (rc != WAGW_OK) {
        return rc;
    }

    p->key->fromme = 1;
    p->key->participant = NULL;
    p->has_type = 1;
    p->type = 14;
    p->has_timestampms = 1;
    p->timestampms = d->b->now_ms;

    WAGW_DRAFT_NEW(d, d->m->editedmessage, message__future_proof_message);
    WAGW_DRAFT_NEW(d, d->m->editedmessage->message, message);
    d->m->editedmessage->message->protocolmessage = p;
    d->out->hidden = true;
    d->out->edit = "1";
    d->body = text;

    return WAGW_OK;
}

static bool wagw_build_forwardable(const wagw_open_t *o)
{
    if (o->empty || o->view_once ||
        (o->field && o->field->descriptor == &wa__message__future_proof_message__descriptor)) {
        return false;
    }

    switch (o->kind) {
    case WAGW_KIND_REACTION:
    case WAGW_KIND_ENC_REACTION:
    case WAGW_KIND_POLL_VOTE:
    case WAGW_KIND_EVENT_RESPONSE:
    case WAGW_KIND_SECRET:
    case WAGW_KIND_COMMENT:
    case WAGW_KIND_ENC_COMMENT:
    case WAGW_KIND_PIN:
    case WAGW_KIND_KEEP:
    case WAGW_KIND_PROTOCOL:
    case WAGW_KIND_PAYMENT:
    case WAGW_KIND_CALL:
    case WAGW_KIND_ALBUM:
        return false;

    default:
        return true;
    }
}

static int wagw_build_forward(wagw_draft_t *d)
{
    int rc;
    uint32_t score;
    wagw_open_t o;
    Wa__Message *m, *copy;
    Wa__ContextInfo *c, **slot;
    const wagw_row_message_t *t = d->b->target;

    if (t == NULL) {
        return wagw_draft_bad(d, "messageId");
    }

    if (t->content.n == 0 || (t->flags & (WAGW_ROW_VIEW_ONCE | WAGW_ROW_REVOKED | WAGW_ROW_PLACEHOLDER))) {
        return WAGW_STATE;
    }

    m = (Wa__Message *)wagw_pb_unpack(d->a, &wa__message__descriptor, t->content, &rc);
    if (m == NULL) {
        return rc == WAGW_NOMEM ? rc : WAGW_STATE;
    }

    wagw_message_open(&o, m);
    if (!wagw_build_forwardable(&o)) {
        return WAGW_STATE;
    }

    /* What the sender's client knows and this one does not goes along; other
     * known members (a hidden protocol message, keys) do not. */
    copy = wagw_draft_only_content(d->a, &o);
    if (copy == NULL) {
        return WAGW_NOMEM;
    }

    copy->base.n_unknown_fields = o.message->base.n_unknown_fields;
    copy->base.unknown_fields = o.message->base.unknown_fields;

    if (copy->conversation) {
        WAGW_DRAFT_NEW(d, copy->extendedtextmessage, message__extended_text_message);
        copy->extendedtextmessage->text = copy->conversation;
        copy->conversation = NULL;
        slot = &copy->extendedtextmessage->contextinfo;

    } else {
        slot = wagw_draft_context_slot(o.sub);
    }

    score = o.context && o.context->has_forwardingscore ? o.context->forwardingscore : 0;
    if (!t->from_me && score < INT32_MAX) {
        score++;
    }

    if (slot) {
        WAGW_DRAFT_NEW(d, c, context_info);

        if (score) {
            c->has_forwardingscore = 1;
            c->forwardingscore = score;
            c->has_isforwarded = 1;
            c->isforwarded = 1;
        }

        if (d->b->expiration) {
            c->has_expiration = 1;
            c->expiration = d->b->expiration;
        }

        *slot = c;
    }

    if (o.captioned) {
        WAGW_DRAFT_NEW(d, d->m->documentwithcaptionmessage, message__future_proof_message);
        d->m->documentwithcaptionmessage->message = copy;
    } else {
        d->m = copy;
    }

    return WAGW_OK;
}

static int wagw_build_finish(wagw_draft_t *d)
{
    wagw_built_t *out = d->out;
    wagw_open_t o;
    Wa__MessageContextInfo *info;
    const char *poll;
    wagw_buf_t raw = {0};
    wagw_json_t j;

    if (!d->sealed && ((d->b->secret && !d->no_secret) || d->has_add_on)) {
        info = d->m->messagecontextinfo;
        if (info == NULL) {
            WAGW_DRAFT_NEW(d, info, message_context_info);
        }

        if (d->b->secret && !d->no_secret) {
            info->has_messagesecret = 1;
            info->messagesecret.data = (uint8_t *)d->b->secret;
            info->messagesecret.len = 32;
        }

        if (d->has_add_on) {
            info->has_messageaddondurationinsecs = 1;
            info->messageaddondurationinsecs = d->add_on;
        }

        d->m->messagecontextinfo = info;
    }

    info = d->m->messagecontextinfo;
    if (info && info->has_messagesecret && info->messagesecret.len == 32) {
        out->secret = wagw_pb_view(&info->messagesecret);
    }

    out->bytes = wagw_pb_pack(d->a, d->m);
    if (out->bytes.p == NULL) {
        return WAGW_NOMEM;
    }

    if (out->bytes.n > WAGW_MESSAGE_MAX) {
        return WAGW_LIMIT;
    }

    wagw_message_open(&o, d->m);
    wagw_message_stanza(&o, &out->stanza_type, &out->mediatype, &poll);

    out->polltype = poll;
    out->biz = wagw_choice_biz(&o);
    out->type = o.type;
    out->body = wagw_arena_str(d->a, wagw_cstr(d->body ? d->body : wagw_message_text(&o)));
    out->quoted = wagw_detail_quoted(d->a, o.context);
    out->mentions = wagw_detail_mentions(d->a, o.context);
    out->media = wagw_detail_media(d->a, &o);

    if (o.ephemeral) {
        out->flags |= WAGW_ROW_EPHEMERAL;
    }

    if (o.view_once) {
        out->flags |= WAGW_ROW_VIEW_ONCE;
    }

    if (o.context && o.context->has_isforwarded && o.context->isforwarded) {
        out->flags |= WAGW_ROW_FORWARDED;
    }

    if (out->edit) {
        out->hide_fail = true;
    }

    j = wagw_json(&raw);
    wagw_json_open(&j, '{');

    if (wagw_detail_members(&j, &o)) {
        wagw_json_close(&j);
        if (!raw.failed) {
            out->raw = wagw_arena_str(d->a, wagw_buf_view(&raw));
        }
    }

    wagw_buf_free(&raw);

    return WAGW_OK;
}

int wagw_message_build(wagw_built_t *out, wagw_arena_t *a, const wagw_build_t *b, const char **field)
{
    int rc;
    const char *unused;
    wagw_draft_t d;

    memset(out, 0, sizeof(*out));
    memset(&d, 0, sizeof(d));

    d.a = a;
    d.b = b;
    d.out = out;
    d.field = field ? field : &unused;
    *d.field = NULL;

    d.m = WAGW_PB_NEW(a, message);
    if (d.m == NULL) {
        return WAGW_NOMEM;
    }

    switch (b->kind) {
    case WAGW_BUILD_REACTION:
        rc = wagw_build_reaction(&d);
        break;

    case WAGW_BUILD_EDIT:
        rc = wagw_build_edit(&d);
        break;

    case WAGW_BUILD_REVOKE:
        rc = wagw_build_revoke(&d);
        break;

    case WAGW_BUILD_FORWARD:
        rc = wagw_build_forward(&d);
        break;

    default:
        rc = wagw_compose(&d);
    }

    return rc == WAGW_OK ? wagw_build_finish(&d) : rc;
}

int wagw_message_dsm(wagw_buf_t *out, wagw_str_t message, wagw_str_t destination_jid)
{
    int rc;
    wagw_buf_t dsm = {0};
    wagw_wire_field_t info;

    rc = wagw_wire_find(message, 35, &info);
    if (rc != WAGW_OK && rc != WAGW_NOT_FOUND) {
        return rc;
    }

    wagw_wire_put_bytes(&dsm, 1, destination_jid);
    wagw_wire_put_bytes(&dsm, 2, message);
    wagw_wire_put_bytes(out, 31, wagw_buf_view(&dsm));

    if (rc == WAGW_OK) {
        wagw_buf_str(out, info.raw);
    }

    rc = dsm.failed || out->failed ? WAGW_NOMEM : WAGW_OK;
    wagw_buf_free(&dsm);

    return rc;
}

int wagw_message_add_skdm(wagw_buf_t *out, wagw_str_t message, wagw_str_t group, wagw_str_t skdm)
{
    int rc;
    bool done = false;
    wagw_buf_t sub = {0};
    wagw_wire_t w = wagw_wire(message);
    wagw_wire_field_t f;

    wagw_wire_put_bytes(&sub, 1, group);
    wagw_wire_put_bytes(&sub, 2, skdm);

    while ((rc = wagw_wire_next(&w, &f)) == WAGW_OK) {

        if (!done && f.num >= 2) {
            wagw_wire_put_bytes(out, 2, wagw_buf_view(&sub));
            done = true;
        }

        if (f.num != 2) {
            wagw_buf_str(out, f.raw);
        }
    }

    if (!done) {
        wagw_wire_put_bytes(out, 2, wagw_buf_view(&sub));
    }

    if (rc == WAGW_NOT_FOUND) {
        rc = sub.failed || out->failed ? WAGW_NOMEM : WAGW_OK;
    }

    wagw_buf_wipe(&sub);

    return rc;
}
