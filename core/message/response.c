#include "draft.h"

/* The answer to an event (05 section 9; 04 section 20): sealed under the event's secret. */

static int wagw_response_plain(const wagw_draft_t *d, wagw_str_t *plain)
{
    static const char *const names[] = {"going", "not_going", "maybe"};
    const char *answer = wagw_draft_str(d, "response", NULL);
    Wa__Message__EventResponseMessage *m;

    WAGW_DRAFT_NEW(d, m, message__event_response_message);

    for (size_t i = 0; answer && i < sizeof(names) / sizeof(names[0]); i++) {
        if (strcmp(answer, names[i]) == 0) {
            m->has_response = 1;
            m->response = (int)i + 1;
        }
    }

    if (!m->has_response) {
        return wagw_draft_bad(d, "response");
    }

    m->has_timestampms = 1;
    m->timestampms = d->b->now_ms;
    *plain = wagw_pb_pack(d->a, m);

    return plain->p ? WAGW_OK : WAGW_NOMEM;
}

/* Under the target's secret; both views live in the arena. */
static int wagw_response_seal(const wagw_draft_t *d, const char *label, bool aad, wagw_str_t plain,
                              ProtobufCBinaryData *payload, ProtobufCBinaryData *iv)
{
    int rc;
    char *author, *self;
    wagw_str_t copy;
    wagw_buf_t sealed = {0};
    const wagw_row_message_t *t = d->b->target;

    rc = wagw_draft_jid(d, &self, &d->b->self);
    if (rc == WAGW_OK) {
        rc = wagw_draft_jid(d, &author, &d->b->target_author);
    }
    if (rc == WAGW_OK) {
        rc = wagw_addon_seal(&sealed, t->secret, t->id, wagw_cstr(author), wagw_cstr(self), label, aad, d->b->secret,
                             plain);
    }
    if (rc == WAGW_OK) {
        copy = wagw_arena_str(d->a, wagw_buf_view(&sealed));
        payload->data = (uint8_t *)copy.p;
        payload->len = copy.n;
        iv->data = (uint8_t *)d->b->secret;
        iv->len = 12;
        rc = copy.p ? WAGW_OK : WAGW_NOMEM;
    }

    wagw_buf_free(&sealed);

    return rc;
}

static bool wagw_response_event(const wagw_draft_t *d)
{
    const wagw_row_message_t *t = d->b->target;

    return t && t->secret.n == 32 && d->b->secret && wagw_str_is(t->type, "event");
}

int wagw_compose_response(wagw_draft_t *d)
{
    int rc;
    wagw_str_t plain;
    Wa__Message__EncEventResponseMessage *r;

    if (!wagw_response_event(d)) {
        return WAGW_STATE;
    }

    WAGW_DRAFT_NEW(d, r, message__enc_event_response_message);

    rc = wagw_response_plain(d, &plain);
    if (rc == WAGW_OK) {
        rc = wagw_draft_key(d, &r->eventcreationmessagekey);
    }
    if (rc == WAGW_OK) {
        rc = wagw_response_seal(d, "Event Response", true, plain, &r->encpayload, &r->enciv);
        r->has_encpayload = r->has_enciv = 1;
    }

    d->m->enceventresponsemessage = r;
    d->no_secret = true;
    d->out->hidden = true;
    d->out->hide_fail = true;

    return rc;
}

/* An event is edited under its own secret (05 section 6): the same one, cancelled. */
int wagw_compose_cancel(wagw_draft_t *d)
{
    int rc;
    wagw_open_t o;
    wagw_str_t plain;
    Wa__Message *m;
    Wa__Message__EventMessage *e;
    Wa__Message__SecretEncryptedMessage *s;

    if (!wagw_response_event(d) || d->b->target->content.n == 0) {
        return WAGW_STATE;
    }

    m = (Wa__Message *)wagw_pb_unpack(d->a, &wa__message__descriptor, d->b->target->content, &rc);
    if (m == NULL) {
        return rc == WAGW_NOMEM ? rc : WAGW_STATE;
    }

    wagw_message_open(&o, m);
    if (o.kind != WAGW_KIND_EVENT) {
        return WAGW_STATE;
    }

    e = (Wa__Message__EventMessage *)o.sub;
    e->has_iscanceled = 1;
    e->iscanceled = 1;
    e->contextinfo = NULL;

    m = wagw_draft_only_content(d->a, &o);
    plain = m ? wagw_pb_pack(d->a, m) : WAGW_STR_NULL;
    if (plain.p == NULL) {
        return WAGW_NOMEM;
    }

    WAGW_DRAFT_NEW(d, s, message__secret_encrypted_message);

    rc = wagw_draft_key(d, &s->targetmessagekey);
    if (rc == WAGW_OK) {
        rc = wagw_response_seal(d, "Event Edit", false, plain, &s->encpayload, &s->enciv);
        s->has_encpayload = s->has_enciv = 1;
    }

    s->has_secretenctype = 1;
    s->secretenctype = 1;
    d->m->secretencryptedmessage = s;
    d->no_secret = true;
    d->out->hidden = true;
    d->out->hide_fail = true;

    return rc;
}
