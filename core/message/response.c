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

int wagw_compose_response(wagw_draft_t *d)
{
    int rc;
    char *author, *self;
    wagw_buf_t sealed = {0};
    wagw_str_t plain, copy;
    const wagw_row_message_t *t = d->b->target;
    Wa__Message__EncEventResponseMessage *r;

    if (t == NULL || t->secret.n != 32 || d->b->secret == NULL || !wagw_str_is(t->type, "event")) {
        return WAGW_STATE;
    }

    WAGW_DRAFT_NEW(d, r, message__enc_event_response_message);

    rc = wagw_response_plain(d, &plain);
    if (rc == WAGW_OK) {
        rc = wagw_draft_key(d, &r->eventcreationmessagekey);
    }
    if (rc == WAGW_OK) {
        rc = wagw_draft_jid(d, &self, &d->b->self);
    }
    if (rc == WAGW_OK) {
        rc = wagw_draft_jid(d, &author, &d->b->target_author);
    }
    if (rc == WAGW_OK) {
        rc = wagw_addon_seal(&sealed, t->secret, t->id, wagw_cstr(author), wagw_cstr(self), "Event Response", true,
                             d->b->secret, plain);
    }
    if (rc == WAGW_OK) {
        copy = wagw_arena_str(d->a, wagw_buf_view(&sealed));
        r->has_encpayload = 1;
        r->encpayload.data = (uint8_t *)copy.p;
        r->encpayload.len = copy.n;
        r->has_enciv = 1;
        r->enciv.data = (uint8_t *)d->b->secret;
        r->enciv.len = 12;
        rc = copy.p ? WAGW_OK : WAGW_NOMEM;
    }

    wagw_buf_free(&sealed);

    d->m->enceventresponsemessage = r;
    d->no_secret = true;
    d->out->hidden = true;
    d->out->hide_fail = true;

    return rc;
}
