#include "draft.h"

#include <math.h>

static int wagw_special_number(const wagw_draft_t *d, const cJSON *from, const char *name, double low, double high,
                               bool must, protobuf_c_boolean *has, double *out)
{
    const cJSON *item = cJSON_GetObjectItemCaseSensitive(from, name);

    if (item == NULL || cJSON_IsNull(item)) {
        return must ? wagw_draft_bad(d, name) : WAGW_OK;
    }

    if (!cJSON_IsNumber(item) || !isfinite(item->valuedouble) || item->valuedouble < low || item->valuedouble > high) {
        return wagw_draft_bad(d, name);
    }

    *has = 1;
    *out = item->valuedouble;

    return WAGW_OK;
}

static int wagw_special_text(const wagw_draft_t *d, const cJSON *from, const char *name, char **out)
{
    const char *s = cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(from, name));

    return s ? wagw_draft_dup(d, out, s) : WAGW_OK;
}

static int wagw_special_place(const wagw_draft_t *d, const cJSON *from, Wa__Message__LocationMessage **out)
{
    int rc;
    Wa__Message__LocationMessage *l;

    WAGW_DRAFT_NEW(d, l, message__location_message);

    rc = wagw_special_number(d, from, "latitude", -90, 90, true, &l->has_degreeslatitude, &l->degreeslatitude);
    if (rc == WAGW_OK) {
        rc = wagw_special_number(d, from, "longitude", -180, 180, true, &l->has_degreeslongitude, &l->degreeslongitude);
    }
    if (rc == WAGW_OK) {
        rc = wagw_special_text(d, from, "name", &l->name);
    }
    if (rc == WAGW_OK) {
        rc = wagw_special_text(d, from, "address", &l->address);
    }
    if (rc == WAGW_OK) {
        rc = wagw_special_text(d, from, "url", &l->url);
    }

    *out = l;

    return rc;
}

static int wagw_special_location(wagw_draft_t *d)
{
    int rc = wagw_special_place(d, d->b->params, &d->m->locationmessage);

    return rc == WAGW_OK ? wagw_draft_context(d, &d->m->locationmessage->contextinfo) : rc;
}

static int wagw_special_live(wagw_draft_t *d)
{
    int rc;
    double v = 0;
    const cJSON *p = d->b->params;
    Wa__Message__LiveLocationMessage *l;

    WAGW_DRAFT_NEW(d, l, message__live_location_message);

    rc = wagw_special_number(d, p, "latitude", -90, 90, true, &l->has_degreeslatitude, &l->degreeslatitude);
    if (rc == WAGW_OK) {
        rc = wagw_special_number(d, p, "longitude", -180, 180, true, &l->has_degreeslongitude, &l->degreeslongitude);
    }
    if (rc == WAGW_OK) {
        rc = wagw_special_number(d, p, "accuracy", 0, 100000000, false, &l->has_accuracyinmeters, &v);
        l->accuracyinmeters = (uint32_t)v;
        v = 0;
    }
    if (rc == WAGW_OK) {
        rc = wagw_special_number(d, p, "speed", 0, 100000, false, &l->has_speedinmps, &v);
        l->speedinmps = (float)v;
        v = 0;
    }
    if (rc == WAGW_OK) {
        rc = wagw_special_number(d, p, "heading", 0, 360, false, &l->has_degreesclockwisefrommagneticnorth, &v);
        l->degreesclockwisefrommagneticnorth = (uint32_t)v;
    }
    if (rc == WAGW_OK) {
        rc = wagw_special_text(d, p, "caption", &l->caption);
    }

    l->has_sequencenumber = 1;
    l->sequencenumber = d->b->now_ms;
    d->m->livelocationmessage = l;

    return rc == WAGW_OK ? wagw_draft_context(d, &l->contextinfo) : rc;
}

static void wagw_special_vcard_value(wagw_buf_t *b, const char *s)
{
    for (; *s; s++) {
        if (*s == '\n') {
            wagw_buf_cstr(b, "\\n");

        } else if (*s != '\r') {
            if (*s == ',' || *s == ';' || *s == '\\') {
                wagw_buf_u8(b, '\\');
            }
            wagw_buf_u8(b, (uint8_t)*s);
        }
    }
}

static int wagw_special_vcard(const wagw_draft_t *d, const char *name, const char *phone, const char *organization,
                              char **out)
{
    int rc;
    char digits[24];
    size_t n = 0;
    wagw_buf_t b = {0};

    for (; *phone; phone++) {
        if (*phone >= '0' && *phone <= '9') {
            if (n == sizeof(digits) - 1) {
                return wagw_draft_bad(d, "contactNumber");
            }
            digits[n++] = *phone;

        } else if (strchr("+ ()-.", *phone) == NULL) {
            return wagw_draft_bad(d, "contactNumber");
        }
    }

    if (n < 5) {
        return wagw_draft_bad(d, "contactNumber");
    }

    digits[n] = '\0';

    wagw_buf_cstr(&b, "BEGIN:VCARD\nVERSION:3.0\nFN:");
    wagw_special_vcard_value(&b, name);

    if (organization && *organization) {
        wagw_buf_cstr(&b, "\nORG:");
        wagw_special_vcard_value(&b, organization);
        wagw_buf_u8(&b, ';');
    }

    wagw_buf_printf(&b, "\nTEL;type=CELL;type=VOICE;waid=%s:+%s\nEND:VCARD", digits, digits);

    *out = wagw_pb_dup(d->a, wagw_buf_view(&b));
    rc = b.failed || *out == NULL ? WAGW_NOMEM : WAGW_OK;
    wagw_buf_free(&b);

    return rc;
}

static const char *wagw_special_either(const cJSON *o, const char *name, const char *alias)
{
    const char *s = cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(o, name));

    return s ? s : cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(o, alias));
}

static int wagw_special_one_contact(const wagw_draft_t *d, const cJSON *o, Wa__Message__ContactMessage **out)
{
    int rc;
    const char *name, *phone, *vcard, *organization;
    Wa__Message__ContactMessage *c;

    WAGW_DRAFT_NEW(d, c, message__contact_message);

    name = wagw_special_either(o, "displayName", "name");
    vcard = wagw_special_either(o, "vcard", "vCard");
    phone = wagw_special_either(o, "phoneNumber", "phone");
    organization = wagw_special_either(o, "organization", "org");

    if (name == NULL) {
        name = wagw_special_either(o, "contactName", "fullName");
    }
    if (phone == NULL) {
        phone = wagw_special_either(o, "contactNumber", "number");
    }

    if (name == NULL || *name == '\0' || (vcard == NULL && phone == NULL)) {
        return wagw_draft_bad(d, "contacts");
    }

    rc = wagw_draft_dup(d, &c->displayname, name);
    if (rc == WAGW_OK) {
        rc = vcard ? wagw_draft_dup(d, &c->vcard, vcard) : wagw_special_vcard(d, name, phone, organization, &c->vcard);
    }

    *out = c;

    return rc;
}

static int wagw_special_contact(wagw_draft_t *d)
{
    int rc;
    int n;
    const cJSON *list = wagw_draft_get(d, "contacts", NULL), *one;
    wagw_str_t title;
    Wa__Message__ContactsArrayMessage *ca;

    if (list == NULL) {
        if (wagw_draft_str(d, "contactName", NULL) == NULL) {
            return wagw_draft_bad(d, "contactName");
        }
        if (wagw_draft_str(d, "contactNumber", NULL) == NULL) {
            return wagw_draft_bad(d, "contactNumber");
        }

        one = d->b->params;

    } else {
        n = cJSON_IsArray(list) ? cJSON_GetArraySize(list) : 0;
        if (n < 1 || n > 257) {
            return wagw_draft_bad(d, "contacts");
        }

        one = list->child;

        if (n > 1) {
            WAGW_DRAFT_NEW(d, ca, message__contacts_array_message);

            title = wagw_arena_printf(d->a, "%d contacts", n);
            ca->displayname = (char *)title.p;
            ca->contacts = wagw_arena_zalloc(d->a, (size_t)n * sizeof(*ca->contacts));
            if (title.p == NULL || ca->contacts == NULL) {
                return WAGW_NOMEM;
            }

            for (; one; one = one->next) {
                rc = wagw_special_one_contact(d, one, &ca->contacts[ca->n_contacts]);
                if (rc != WAGW_OK) {
                    return rc;
                }
                ca->n_contacts++;
            }

            d->m->contactsarraymessage = ca;

            return wagw_draft_context(d, &ca->contextinfo);
        }
    }

    rc = wagw_special_one_contact(d, one, &d->m->contactmessage);

    return rc == WAGW_OK ? wagw_draft_context(d, &d->m->contactmessage->contextinfo) : rc;
}

static int wagw_special_poll_options(const wagw_draft_t *d, const cJSON *list, Wa__Message__PollCreationMessage *p)
{
    int rc;
    int n = cJSON_IsArray(list) ? cJSON_GetArraySize(list) : 0;
    const cJSON *one;

    if (n < 2 || n > 12) {
        return wagw_draft_bad(d, "options");
    }

    p->options = wagw_arena_zalloc(d->a, (size_t)n * sizeof(*p->options));
    if (p->options == NULL) {
        return WAGW_NOMEM;
    }

    cJSON_ArrayForEach(one, list)
    {
        const char *s = cJSON_GetStringValue(one);

        if (s == NULL || *s == '\0') {
            return wagw_draft_bad(d, "options");
        }

        for (size_t i = 0; i < p->n_options; i++) {
            if (strcmp(p->options[i]->optionname, s) == 0) {
                return wagw_draft_bad(d, "options");
            }
        }

        WAGW_DRAFT_NEW(d, p->options[p->n_options], message__poll_creation_message__option);
        rc = wagw_draft_dup(d, &p->options[p->n_options]->optionname, s);
        if (rc != WAGW_OK) {
            return rc;
        }

        p->n_options++;
    }

    return WAGW_OK;
}

static int wagw_special_poll(wagw_draft_t *d)
{
    int rc;
    const char *name = wagw_draft_str(d, "question", "name");
    const cJSON *count = wagw_draft_get(d, "selectableCount", NULL);
    const cJSON *multiple = wagw_draft_get(d, "multipleAnswers", NULL);
    Wa__Message__PollCreationMessage *p;

    if (name == NULL || *name == '\0') {
        return wagw_draft_bad(d, "question");
    }

    if (d->b->secret == NULL) {
        return WAGW_STATE;
    }

    WAGW_DRAFT_NEW(d, p, message__poll_creation_message);

    rc = wagw_draft_dup(d, &p->name, name);
    if (rc == WAGW_OK) {
        rc = wagw_special_poll_options(d, wagw_draft_get(d, "options", NULL), p);
    }
    if (rc == WAGW_OK) {
        rc = wagw_draft_context(d, &p->contextinfo);
    }
    if (rc != WAGW_OK) {
        return rc;
    }

    /* 0 is any number */
    p->has_selectableoptionscount = 1;

    if (cJSON_IsNumber(count)) {
        if (count->valuedouble != floor(count->valuedouble) || count->valuedouble < 0 ||
            count->valuedouble > (double)p->n_options) {
            return wagw_draft_bad(d, "selectableCount");
        }
        p->selectableoptionscount = (uint32_t)count->valuedouble;

    } else {
        p->selectableoptionscount = cJSON_IsTrue(multiple) ? 0 : 1;
    }

    if (cJSON_IsTrue(wagw_draft_get(d, "toAnnouncementGroup", NULL))) {
        d->m->pollcreationmessagev2 = p;

    } else if (p->selectableoptionscount == 1) {
        d->m->pollcreationmessagev3 = p;

    } else {
        d->m->pollcreationmessage = p;
    }

    return WAGW_OK;
}

/* The options of the poll that is voted on, as hashes of the names given. */
static int wagw_special_vote_plain(const wagw_draft_t *d, wagw_buf_t *plain)
{
    int rc;
    uint8_t hash[32];
    wagw_open_t o;
    Wa__Message *m;
    const cJSON *one, *list = wagw_draft_get(d, "selectedOptions", "options");
    Wa__Message__PollCreationMessage *p;
    uint32_t most;

    m = (Wa__Message *)wagw_pb_unpack(d->a, &wa__message__descriptor, d->b->target->content, &rc);
    if (m == NULL) {
        return rc == WAGW_NOMEM ? rc : WAGW_STATE;
    }

    wagw_message_open(&o, m);
    if (o.kind != WAGW_KIND_POLL) {
        return WAGW_STATE;
    }

    p = (Wa__Message__PollCreationMessage *)o.sub;
    most = p->has_selectableoptionscount ? p->selectableoptionscount : 0;

    if (!cJSON_IsArray(list) || (most && cJSON_GetArraySize(list) > (int)most)) {
        return wagw_draft_bad(d, "selectedOptions");
    }

    cJSON_ArrayForEach(one, list)
    {
        const char *s = cJSON_GetStringValue(one);
        size_t i = 0;

        while (s && i < p->n_options && (p->options[i]->optionname == NULL || strcmp(p->options[i]->optionname, s))) {
            i++;
        }

        if (s == NULL || i == p->n_options) {
            return wagw_draft_bad(d, "selectedOptions");
        }

        rc = wagw_poll_option_hash(hash, wagw_cstr(s));
        if (rc != WAGW_OK) {
            return rc;
        }

        wagw_wire_put_bytes(plain, 1, wagw_str(hash, sizeof(hash)));
    }

    return plain->failed ? WAGW_NOMEM : WAGW_OK;
}

static int wagw_special_vote(wagw_draft_t *d)
{
    int rc;
    char *author, *self;
    wagw_buf_t plain = {0}, sealed = {0};
    wagw_str_t copy;
    const wagw_row_message_t *t = d->b->target;
    Wa__Message__PollUpdateMessage *v;

    if (t == NULL || t->secret.n != 32 || d->b->secret == NULL || t->content.n == 0) {
        return WAGW_STATE;
    }

    WAGW_DRAFT_NEW(d, v, message__poll_update_message);
    WAGW_DRAFT_NEW(d, v->vote, message__poll_enc_value);
    WAGW_DRAFT_NEW(d, v->metadata, message__poll_update_message_metadata);

    rc = wagw_draft_key(d, &v->pollcreationmessagekey);
    if (rc == WAGW_OK) {
        rc = wagw_draft_jid(d, &self, &d->b->self);
    }
    if (rc == WAGW_OK) {
        rc = wagw_draft_jid(d, &author,
                            wagw_jid_empty(&d->b->target_author) ? (t->from_me ? &d->b->self : &d->b->chat)
                                                                 : &d->b->target_author);
    }
    if (rc == WAGW_OK) {
        rc = wagw_special_vote_plain(d, &plain);
    }
    if (rc == WAGW_OK) {
        rc = wagw_addon_seal(&sealed, t->secret, t->id, wagw_cstr(author), wagw_cstr(self), "Poll Vote", true,
                             d->b->secret, wagw_buf_view(&plain));
    }
    if (rc == WAGW_OK) {
        copy = wagw_arena_str(d->a, wagw_buf_view(&sealed));
        v->vote->encpayload.data = (uint8_t *)copy.p;
        v->vote->encpayload.len = copy.n;
        v->vote->has_encpayload = 1;
        v->vote->enciv.data = (uint8_t *)d->b->secret;
        v->vote->enciv.len = 12;
        v->vote->has_enciv = 1;
        rc = copy.p ? WAGW_OK : WAGW_NOMEM;
    }

    wagw_buf_free(&plain);
    wagw_buf_free(&sealed);

    v->has_sendertimestampms = 1;
    v->sendertimestampms = d->b->now_ms;
    d->m->pollupdatemessage = v;
    d->no_secret = true;
    d->out->hidden = true;
    d->out->hide_fail = true;

    return rc;
}

static int wagw_special_time(const wagw_draft_t *d, const char *name, const char *alias, bool must,
                             protobuf_c_boolean *has, int64_t *seconds)
{
    int64_t ms;
    const cJSON *item = wagw_draft_get(d, name, alias);

    if (item == NULL) {
        return must ? wagw_draft_bad(d, name) : WAGW_OK;
    }

    if (cJSON_IsNumber(item) && item->valuedouble > 0 && item->valuedouble < 1e15) {
        /* seconds or, when they would lie beyond the year 5000, milliseconds */
        ms = (int64_t)(item->valuedouble < 1e11 ? item->valuedouble * 1000 : item->valuedouble);

    } else if (!cJSON_IsString(item) || wagw_iso_parse(wagw_cstr(item->valuestring), &ms) != WAGW_OK) {
        return wagw_draft_bad(d, name);
    }

    *has = 1;
    *seconds = ms / 1000;

    return WAGW_OK;
}

static int wagw_special_event(wagw_draft_t *d)
{
    int rc;
    const char *name = wagw_draft_str(d, "name", NULL);
    const cJSON *place = wagw_draft_get(d, "location", NULL);
    const cJSON *guests = wagw_draft_get(d, "extraGuestsAllowed", NULL);
    Wa__Message__EventMessage *e;

    if (name == NULL || *name == '\0') {
        return wagw_draft_bad(d, "name");
    }

    if (d->b->secret == NULL) {
        return WAGW_STATE;
    }

    WAGW_DRAFT_NEW(d, e, message__event_message);

    rc = wagw_draft_dup(d, &e->name, name);
    if (rc == WAGW_OK) {
        rc = wagw_special_text(d, d->b->params, "description", &e->description);
    }
    if (rc == WAGW_OK) {
        rc = wagw_special_text(d, d->b->params, "callLink", &e->joinlink);
    }
    if (rc == WAGW_OK) {
        rc = wagw_special_time(d, "startTime", "start", true, &e->has_starttime, &e->starttime);
    }
    if (rc == WAGW_OK) {
        rc = wagw_special_time(d, "endTime", "end", false, &e->has_endtime, &e->endtime);
    }
    if (rc == WAGW_OK && e->has_endtime && e->endtime < e->starttime) {
        rc = wagw_draft_bad(d, "endTime");
    }
    if (rc == WAGW_OK && cJSON_IsString(place)) {
        WAGW_DRAFT_NEW(d, e->location, message__location_message);
        rc = wagw_draft_dup(d, &e->location->name, place->valuestring);

    } else if (rc == WAGW_OK && cJSON_IsObject(place)) {
        rc = wagw_special_place(d, place, &e->location);
    }
    if (rc == WAGW_OK) {
        rc = wagw_draft_context(d, &e->contextinfo);
    }

    e->has_iscanceled = 1;
    e->iscanceled = cJSON_IsTrue(wagw_draft_get(d, "cancelled", "canceled"));
    e->has_isschedulecall = 1;
    e->isschedulecall = e->joinlink != NULL;

    if (cJSON_IsBool(guests)) {
        e->has_extraguestsallowed = 1;
        e->extraguestsallowed = cJSON_IsTrue(guests);
    }

    d->m->eventmessage = e;

    return rc;
}

static int wagw_special_invite(wagw_draft_t *d)
{
    int rc;
    double v = 0;
    const char *group = wagw_draft_str(d, "groupId", "group");
    const char *code = wagw_draft_str(d, "code", "inviteCode");
    wagw_jid_t jid;
    Wa__Message__GroupInviteMessage *g;

    if (group == NULL || wagw_jid_from_caller(&jid, wagw_cstr(group)) != WAGW_OK || !wagw_jid_is_group(&jid)) {
        return wagw_draft_bad(d, "groupId");
    }

    if (code == NULL || *code == '\0') {
        return wagw_draft_bad(d, "code");
    }

    WAGW_DRAFT_NEW(d, g, message__group_invite_message);

    rc = wagw_draft_jid(d, &g->groupjid, &jid);
    if (rc == WAGW_OK) {
        rc = wagw_draft_dup(d, &g->invitecode, code);
    }
    if (rc == WAGW_OK) {
        rc = wagw_special_number(d, d->b->params, "inviteExpiration", 0, 1e11, false, &g->has_inviteexpiration, &v);
        g->inviteexpiration = (int64_t)v;
    }
    if (rc == WAGW_OK) {
        rc = wagw_special_text(d, d->b->params, "name", &g->groupname);
    }
    if (rc == WAGW_OK) {
        rc = wagw_special_text(d, d->b->params, "caption", &g->caption);
    }
    if (rc == WAGW_OK) {
        rc = wagw_draft_context(d, &g->contextinfo);
    }

    d->m->groupinvitemessage = g;

    return rc;
}

static int wagw_special_pin(wagw_draft_t *d)
{
    int rc;
    bool undo = cJSON_IsFalse(wagw_draft_get(d, "pin", NULL));
    const cJSON *duration = wagw_draft_get(d, "duration", NULL);
    Wa__Message__PinInChatMessage *p;

    WAGW_DRAFT_NEW(d, p, message__pin_in_chat_message);

    rc = wagw_draft_key(d, &p->key);
    if (rc != WAGW_OK) {
        return rc;
    }

    d->has_add_on = true;

    if (!undo) {
        int seconds = cJSON_IsNumber(duration) ? duration->valueint : 604800;

        if (seconds != 86400 && seconds != 604800 && seconds != 2592000) {
            return wagw_draft_bad(d, "duration");
        }
        d->add_on = (uint32_t)seconds;
    }

    p->has_type = 1;
    p->type = undo ? 2 : 1;
    p->has_sendertimestampms = 1;
    p->sendertimestampms = d->b->now_ms;
    d->m->pininchatmessage = p;
    d->out->hidden = true;
    d->out->edit = "2";

    return WAGW_OK;
}

static int wagw_special_keep(wagw_draft_t *d)
{
    int rc;
    bool undo = cJSON_IsFalse(wagw_draft_get(d, "keep", NULL));
    Wa__Message__KeepInChatMessage *k;

    WAGW_DRAFT_NEW(d, k, message__keep_in_chat_message);

    rc = wagw_draft_key(d, &k->key);
    if (rc != WAGW_OK) {
        return rc;
    }

    k->has_keeptype = 1;
    k->keeptype = undo ? 2 : 1;
    k->has_timestampms = 1;
    k->timestampms = d->b->now_ms;
    d->m->keepinchatmessage = k;
    d->out->hidden = true;
    d->out->edit = undo && k->key->fromme ? "7" : NULL;

    return WAGW_OK;
}

static int wagw_special_disappearing(wagw_draft_t *d)
{
    const cJSON *item = wagw_draft_get(d, "duration", "expiration");
    Wa__Message__ProtocolMessage *p;

    if (!cJSON_IsNumber(item) || item->valuedouble < 0 || item->valuedouble > 0x7fffffff) {
        return wagw_draft_bad(d, "duration");
    }

    WAGW_DRAFT_NEW(d, p, message__protocol_message);

    p->has_type = 1;
    p->type = 3;
    p->has_ephemeralexpiration = 1;
    p->ephemeralexpiration = (uint32_t)item->valuedouble;
    p->has_ephemeralsettingtimestamp = 1;
    p->ephemeralsettingtimestamp = d->b->now_ms / 1000;
    d->m->protocolmessage = p;
    d->out->hidden = true;

    return WAGW_OK;
}

int wagw_compose_special(wagw_draft_t *d)
{
    switch (d->b->kind) {
    case WAGW_BUILD_LOCATION:
        return wagw_special_location(d);
    case WAGW_BUILD_LIVE_LOCATION:
        return wagw_special_live(d);
    case WAGW_BUILD_CONTACT:
        return wagw_special_contact(d);
    case WAGW_BUILD_POLL:
        return wagw_special_poll(d);
    case WAGW_BUILD_POLL_VOTE:
        return wagw_special_vote(d);
    case WAGW_BUILD_EVENT:
        return wagw_special_event(d);
    case WAGW_BUILD_EVENT_RESPONSE:
        return wagw_compose_response(d);
    case WAGW_BUILD_EVENT_CANCEL:
        return wagw_compose_cancel(d);
    case WAGW_BUILD_PRODUCT:
        return wagw_compose_product(d);
    case WAGW_BUILD_GROUP_INVITE:
        return wagw_special_invite(d);
    case WAGW_BUILD_PIN:
        return wagw_special_pin(d);
    case WAGW_BUILD_KEEP:
        return wagw_special_keep(d);
    case WAGW_BUILD_DISAPPEARING:
        return wagw_special_disappearing(d);
    case WAGW_BUILD_RAW:
        return wagw_compose_raw(d);
    case WAGW_BUILD_LIST:
    case WAGW_BUILD_BUTTONS:
        return wagw_compose_choice(d);
    default:
        return WAGW_STATE;
    }
}
