#include "detail.h"

#include <ctype.h>
#include <stdlib.h>

static wagw_str_t wagw_detail_take(wagw_arena_t *a, wagw_buf_t *b)
{
    wagw_str_t s = WAGW_STR_NULL;

    if (!b->failed && b->n) {
        s = wagw_arena_str(a, wagw_buf_view(b));
    }

    wagw_buf_free(b);

    return s;
}

void wagw_detail_str(wagw_json_t *j, const char *key, const char *s)
{
    if (s && *s) {
        wagw_json_kcstr(j, key, s);
    }
}

static void wagw_detail_bytes(wagw_json_t *j, const char *key, const void *m, const char *name)
{
    wagw_str_t v;

    if (wagw_pb_bytes(m, name, &v) && v.n) {
        wagw_json_key(j, key);
        wagw_json_base64(j, v);
    }
}

void wagw_detail_uint(wagw_json_t *j, const char *key, const void *m, const char *name)
{
    uint64_t v;

    if (wagw_pb_uint(m, name, &v)) {
        wagw_json_key(j, key);
        wagw_json_int(j, (int64_t)v);
    }
}

/* Members that are there for every kind of media (contract 3.4). */
static void wagw_detail_media_str(wagw_json_t *j, const char *key, const char *s)
{
    if (s && *s) {
        wagw_json_kcstr(j, key, s);
    } else {
        wagw_json_knull(j, key);
    }
}

static void wagw_detail_media_uint(wagw_json_t *j, const char *key, const void *m, const char *name)
{
    uint64_t v;

    if (wagw_pb_uint(m, name, &v)) {
        wagw_json_kint(j, key, (int64_t)v);
    } else {
        wagw_json_knull(j, key);
    }
}

static void wagw_detail_bool(wagw_json_t *j, const char *key, const void *m, const char *name)
{
    uint64_t v;

    if (wagw_pb_uint(m, name, &v)) {
        wagw_json_kbool(j, key, v != 0);
    }
}

/* An enum's value as the lower-case name of its value, else its number. */
static void wagw_detail_enum(wagw_json_t *j, const char *key, const ProtobufCMessage *m, const char *name)
{
    uint64_t v;
    char low[64];
    const char *s;
    const ProtobufCEnumValue *ev;
    const ProtobufCFieldDescriptor *fd = protobuf_c_message_descriptor_get_field_by_name(m->descriptor, name);

    if (fd == NULL || fd->type != PROTOBUF_C_TYPE_ENUM || !wagw_pb_uint(m, name, &v)) {
        return;
    }

    ev = protobuf_c_enum_descriptor_get_value(fd->descriptor, (int)v);
    s = ev ? strstr(ev->name, "__") : NULL;

    if (s == NULL || strlen(s + 2) >= sizeof(low)) {
        wagw_json_kint(j, key, (int64_t)v);
        return;
    }

    s += 2;
    size_t i = 0;
    for (; s[i]; i++) {
        low[i] = (char)tolower((unsigned char)s[i]);
    }
    low[i] = '\0';

    wagw_json_kcstr(j, key, low);
}

static void wagw_detail_key(wagw_json_t *j, const char *name, const Wa__MessageKey *k)
{
    if (k == NULL) {
        return;
    }

    wagw_json_key(j, name);
    wagw_json_open(j, '{');
    wagw_detail_str(j, "remoteJid", k->remotejid);
    wagw_json_kbool(j, "fromMe", k->has_fromme && k->fromme);
    wagw_detail_str(j, "id", k->id);
    wagw_detail_str(j, "participant", k->participant);
    wagw_json_close(j);
}

wagw_str_t wagw_detail_quoted(wagw_arena_t *a, const Wa__ContextInfo *c)
{
    wagw_buf_t b = {0};
    wagw_json_t j;
    wagw_open_t o;

    if (c == NULL || c->stanzaid == NULL || *c->stanzaid == '\0') {
        return WAGW_STR_NULL;
    }

    j = wagw_json(&b);
    wagw_json_open(&j, '{');
    wagw_json_kcstr(&j, "id", c->stanzaid);
    wagw_detail_str(&j, "participant", c->participant);
    wagw_detail_str(&j, "chatId", c->remotejid);

    if (c->quotedmessage) {
        wagw_message_open(&o, c->quotedmessage);
        wagw_json_kcstr(&j, "text", wagw_message_text(&o));
        wagw_json_kcstr(&j, "type", o.type);
    }

    wagw_json_close(&j);

    return wagw_detail_take(a, &b);
}

wagw_str_t wagw_detail_mentions(wagw_arena_t *a, const Wa__ContextInfo *c)
{
    wagw_buf_t b = {0};
    wagw_json_t j;
    bool all;

    if (c == NULL) {
        return WAGW_STR_NULL;
    }

    all = c->has_nonjidmentions && c->nonjidmentions;

    if (c->n_mentionedjid == 0 && !all) {
        return WAGW_STR_NULL;
    }

    j = wagw_json(&b);
    wagw_json_open(&j, '[');

    for (size_t i = 0; i < c->n_mentionedjid && i < WAGW_DETAIL_LIST; i++) {
        wagw_json_cstr(&j, c->mentionedjid[i]);
    }

    if (all) {
        wagw_json_cstr(&j, "all");
    }

    wagw_json_close(&j);

    return wagw_detail_take(a, &b);
}

wagw_str_t wagw_detail_media(wagw_arena_t *a, const wagw_open_t *o)
{
    wagw_buf_t b = {0};
    wagw_json_t j;
    const char *name;
    wagw_str_t hash;

    if (o->kind != WAGW_KIND_MEDIA) {
        return WAGW_STR_NULL;
    }

    j = wagw_json(&b);
    wagw_json_open(&j, '{');
    wagw_detail_media_str(&j, "mimetype", wagw_pb_str(o->sub, "mimetype"));
    wagw_detail_media_uint(&j, "size", o->sub, "fileLength");

    name = wagw_pb_str(o->sub, "fileName");
    wagw_detail_media_str(&j, "fileName", name && *name ? name : wagw_pb_str(o->sub, "title"));

    wagw_detail_media_uint(&j, "duration", o->sub, "seconds");
    wagw_detail_media_uint(&j, "width", o->sub, "width");
    wagw_detail_media_uint(&j, "height", o->sub, "height");

    if (wagw_pb_bytes(o->sub, "fileSha256", &hash) && hash.n) {
        wagw_detail_bytes(&j, "sha256", o->sub, "fileSha256");
    } else {
        wagw_json_knull(&j, "sha256");
    }

    wagw_detail_uint(&j, "pages", o->sub, "pageCount");
    wagw_detail_bool(&j, "gif", o->sub, "gifPlayback");
    wagw_detail_bool(&j, "animated", o->sub, "isAnimated");

    if (strcmp(o->proto_name, "ptvMessage") == 0) {
        wagw_json_kbool(&j, "videoNote", true);
    }

    wagw_json_close(&j);

    return wagw_detail_take(a, &b);
}

/* `waid=` parameters and TEL values of a vCard, as digits. */
static void wagw_detail_phones(wagw_json_t *j, const char *vcard)
{
    unsigned n = 0;
    const char *line = vcard;

    wagw_json_key(j, "phones");
    wagw_json_open(j, '[');

    while (line && n < WAGW_DETAIL_LIST) {
        const char *end = strchr(line, '\n');
        size_t len = end ? (size_t)(end - line) : strlen(line);
        const char *tel = memmem(line, len, "TEL", 3);
        const char *colon = memchr(line, ':', len);
        char digits[24];
        size_t d = 0;

        /* "TEL...:" or "item1.TEL...:" */
        if (tel && colon && tel < colon && (tel == line || tel[-1] == '.')) {
            const char *p = memmem(line, len, "waid=", 5);
            const char *stop = p && p < colon ? colon : line + len;

            p = p && p < colon ? p + 5 : colon + 1;

            for (; p < stop && d < sizeof(digits) - 1; p++) {
                if (*p >= '0' && *p <= '9') {
                    digits[d++] = *p;
                } else if (*p == ';') {
                    break;
                }
            }

            if (d) {
                wagw_json_str(j, wagw_str(digits, d));
                n++;
            }
        }

        line = end ? end + 1 : NULL;
    }

    wagw_json_close(j);
}

static void wagw_detail_contact(wagw_json_t *j, const Wa__Message__ContactMessage *c)
{
    wagw_json_open(j, '{');
    wagw_json_kcstr(j, "displayName", c->displayname ? c->displayname : "");
    wagw_json_kcstr(j, "vcard", c->vcard ? c->vcard : "");
    wagw_detail_phones(j, c->vcard);
    wagw_json_close(j);
}

/* must: it is one, even at 0, 0; else a place may be a name alone */
static void wagw_detail_place(wagw_json_t *j, const ProtobufCMessage *m, bool must)
{
    const double *lat = wagw_pb_field(m, "degreesLatitude");
    const double *lon = wagw_pb_field(m, "degreesLongitude");
    const float *speed = wagw_pb_field(m, "speedInMps");

    wagw_json_open(j, '{');
    if (lat || lon || must) {
        wagw_json_key(j, "latitude");
        wagw_json_num(j, lat ? *lat : 0);
        wagw_json_key(j, "longitude");
        wagw_json_num(j, lon ? *lon : 0);
    }
    wagw_detail_str(j, "name", wagw_pb_str(m, "name"));
    wagw_detail_str(j, "address", wagw_pb_str(m, "address"));
    wagw_detail_str(j, "url", wagw_pb_str(m, "url"));
    wagw_detail_str(j, "caption", wagw_pb_str(m, "caption"));
    wagw_detail_uint(j, "accuracy", m, "accuracyInMeters");

    if (speed) {
        wagw_json_key(j, "speed");
        wagw_json_num(j, (double)*speed);
    }

    wagw_detail_uint(j, "heading", m, "degreesClockwiseFromMagneticNorth");
    wagw_detail_uint(j, "sequence", m, "sequenceNumber");
    wagw_json_close(j);
}

static void wagw_detail_poll(wagw_json_t *j, const Wa__Message__PollCreationMessage *p)
{
    wagw_json_key(j, "poll");
    wagw_json_open(j, '{');
    wagw_json_kcstr(j, "name", p->name ? p->name : "");
    wagw_json_key(j, "options");
    wagw_json_open(j, '[');

    for (size_t i = 0; i < p->n_options && i < WAGW_DETAIL_LIST; i++) {
        wagw_json_cstr(j, p->options[i]->optionname ? p->options[i]->optionname : "");
    }

    wagw_json_close(j);
    wagw_json_kint(j, "selectableCount", p->has_selectableoptionscount ? p->selectableoptionscount : 0);

    if (p->correctanswer) {
        wagw_detail_str(j, "correctAnswer", p->correctanswer->optionname);
    }

    wagw_json_close(j);
}

static void wagw_detail_event(wagw_json_t *j, const Wa__Message__EventMessage *e)
{
    wagw_json_key(j, "event");
    wagw_json_open(j, '{');
    wagw_json_kcstr(j, "name", e->name ? e->name : "");
    wagw_detail_str(j, "description", e->description);
    wagw_json_kbool(j, "cancelled", e->has_iscanceled && e->iscanceled);

    /* the bound keeps seconds -> ms inside 64 bits */
    if (e->has_starttime && e->starttime > 0 && e->starttime < INT32_MAX * 100LL) {
        wagw_json_kiso(j, "startTime", e->starttime * 1000);
    }
    if (e->has_endtime && e->endtime > 0 && e->endtime < INT32_MAX * 100LL) {
        wagw_json_kiso(j, "endTime", e->endtime * 1000);
    }

    if (e->location) {
        wagw_json_key(j, "location");
        wagw_detail_place(j, &e->location->base, false);
    }

    wagw_detail_str(j, "callLink", e->joinlink);
    wagw_json_kbool(j, "extraGuestsAllowed", e->has_extraguestsallowed && e->extraguestsallowed);
    wagw_json_close(j);
}

static void wagw_detail_call(wagw_json_t *j, const wagw_open_t *o)
{
    wagw_json_key(j, "call");
    wagw_json_open(j, '{');
    wagw_detail_bool(j, "isVideo", o->sub, "isVideo");
    wagw_detail_enum(j, "outcome", o->sub, "callOutcome");
    wagw_detail_enum(j, "callType", o->sub, "callType");
    wagw_detail_enum(j, "mediaType", o->sub, "mediaType");
    wagw_detail_enum(j, "editType", o->sub, "editType");
    wagw_detail_uint(j, "duration", o->sub, "durationSecs");
    wagw_detail_uint(j, "scheduledMs", o->sub, "scheduledTimestampMs");
    wagw_detail_str(j, "title", wagw_pb_str(o->sub, "title"));
    wagw_detail_key(j, "key", (Wa__MessageKey *)wagw_pb_sub(o->sub, "key"));
    wagw_json_close(j);
}

static void wagw_detail_commerce(wagw_json_t *j, const wagw_open_t *o)
{
    const ProtobufCMessage *m = o->sub;

    if (o->kind == WAGW_KIND_PRODUCT) {
        const ProtobufCMessage *p = wagw_pb_sub(m, "product");

        wagw_json_key(j, "product");
        wagw_json_open(j, '{');
        wagw_detail_str(j, "businessJid", wagw_pb_str(m, "businessOwnerJid"));
        wagw_detail_str(j, "productId", wagw_pb_str(p, "productId"));
        wagw_detail_str(j, "title", wagw_pb_str(p, "title"));
        wagw_detail_str(j, "description", wagw_pb_str(p, "description"));
        wagw_detail_str(j, "currency", wagw_pb_str(p, "currencyCode"));
        wagw_detail_uint(j, "priceAmount1000", p, "priceAmount1000");
        wagw_detail_uint(j, "salePriceAmount1000", p, "salePriceAmount1000");
        wagw_detail_str(j, "retailerId", wagw_pb_str(p, "retailerId"));
        wagw_detail_str(j, "url", wagw_pb_str(p, "url"));
        wagw_detail_str(j, "body", wagw_pb_str(m, "body"));
        wagw_detail_str(j, "footer", wagw_pb_str(m, "footer"));
        wagw_json_close(j);
        return;
    }

    if (o->kind == WAGW_KIND_ORDER) {
        wagw_json_key(j, "order");
        wagw_json_open(j, '{');
        wagw_detail_str(j, "orderId", wagw_pb_str(m, "orderId"));
        wagw_detail_str(j, "token", wagw_pb_str(m, "token"));
        wagw_detail_str(j, "title", wagw_pb_str(m, "orderTitle"));
        wagw_detail_str(j, "sellerJid", wagw_pb_str(m, "sellerJid"));
        wagw_detail_uint(j, "itemCount", m, "itemCount");
        wagw_detail_enum(j, "status", m, "status");
        wagw_detail_uint(j, "totalAmount1000", m, "totalAmount1000");
        wagw_detail_str(j, "currency", wagw_pb_str(m, "totalCurrencyCode"));
        wagw_json_close(j);
        return;
    }

    wagw_json_key(j, "payment");
    wagw_json_open(j, '{');
    wagw_json_kcstr(j, "kind", o->proto_name);
    wagw_detail_uint(j, "amount1000", m, "amount1000");
    wagw_detail_str(j, "currency", wagw_pb_str(m, "currencyCodeIso4217"));
    wagw_detail_str(j, "requestFrom", wagw_pb_str(m, "requestFrom"));
    wagw_detail_uint(j, "expiry", m, "expiryTimestamp");
    wagw_detail_key(j, "key", (Wa__MessageKey *)wagw_pb_sub(m, "key"));
    wagw_detail_key(j, "requestKey", (Wa__MessageKey *)wagw_pb_sub(m, "requestMessageKey"));
    wagw_json_close(j);
}

static void wagw_detail_invite(wagw_json_t *j, const wagw_open_t *o)
{
    const ProtobufCMessage *m = o->sub;

    if (o->kind == WAGW_KIND_GROUP_INVITE) {
        wagw_json_key(j, "groupInvite");
        wagw_json_open(j, '{');
        wagw_detail_str(j, "groupId", wagw_pb_str(m, "groupJid"));
        wagw_detail_str(j, "code", wagw_pb_str(m, "inviteCode"));
        wagw_detail_str(j, "name", wagw_pb_str(m, "groupName"));

    } else {
        wagw_json_key(j, "channelInvite");
        wagw_json_open(j, '{');
        wagw_detail_str(j, "channelId", wagw_pb_str(m, "newsletterJid"));
        wagw_detail_str(j, "name", wagw_pb_str(m, "newsletterName"));
    }

    wagw_detail_uint(j, "expiration", m, "inviteExpiration");
    wagw_detail_str(j, "caption", wagw_pb_str(m, "caption"));
    wagw_json_close(j);
}

static void wagw_detail_poll_result(wagw_json_t *j, const Wa__Message__PollResultSnapshotMessage *p)
{
    wagw_json_key(j, "pollResult");
    wagw_json_open(j, '{');
    wagw_json_kcstr(j, "name", p->name ? p->name : "");
    wagw_json_key(j, "votes");
    wagw_json_open(j, '[');

    for (size_t i = 0; i < p->n_pollvotes && i < WAGW_DETAIL_LIST; i++) {
        wagw_json_open(j, '{');
        wagw_json_kcstr(j, "option", p->pollvotes[i]->optionname ? p->pollvotes[i]->optionname : "");
        wagw_json_kint(j, "votes", p->pollvotes[i]->has_optionvotecount ? p->pollvotes[i]->optionvotecount : 0);
        wagw_json_close(j);
    }

    wagw_json_close(j);
    wagw_json_close(j);
}

static void wagw_detail_contacts(wagw_json_t *j, const wagw_open_t *o)
{
    const Wa__Message__ContactsArrayMessage *ca = (const Wa__Message__ContactsArrayMessage *)o->sub;

    wagw_json_key(j, "contacts");
    wagw_json_open(j, '[');

    if (o->kind == WAGW_KIND_CONTACT) {
        wagw_detail_contact(j, (const Wa__Message__ContactMessage *)o->sub);

    } else {
        for (size_t i = 0; i < ca->n_contacts && i < WAGW_DETAIL_LIST; i++) {
            wagw_detail_contact(j, ca->contacts[i]);
        }
    }

    wagw_json_close(j);
}

static bool wagw_detail_text(wagw_json_t *j, const wagw_open_t *o)
{
    const char *url = wagw_pb_str(o->sub, "matchedText");
    const char *title = wagw_pb_str(o->sub, "title");

    if ((url == NULL || *url == '\0') && (title == NULL || *title == '\0')) {
        return false;
    }

    wagw_json_key(j, "linkPreview");
    wagw_json_open(j, '{');
    wagw_detail_str(j, "url", url);
    wagw_detail_str(j, "title", title);
    wagw_detail_str(j, "description", wagw_pb_str(o->sub, "description"));
    wagw_json_close(j);

    return true;
}

static bool wagw_detail_protocol(wagw_json_t *j, const wagw_open_t *o)
{
    const Wa__Message__ProtocolMessage *p = (const Wa__Message__ProtocolMessage *)o->sub;

    wagw_json_key(j, "system");
    wagw_json_open(j, '{');
    wagw_detail_enum(j, "kind", &p->base, "type");

    if (p->memberlabel) {
        wagw_json_kcstr(j, "label", p->memberlabel->label ? p->memberlabel->label : "");
    }

    if (p->limitsharing) {
        wagw_json_kbool(j, "sharingLimited", p->limitsharing->has_sharinglimited && p->limitsharing->sharinglimited);
    }

    if (p->has_ephemeralexpiration) {
        wagw_json_kint(j, "expiration", p->ephemeralexpiration);
    }

    wagw_detail_key(j, "key", p->key);
    wagw_json_close(j);

    return true;
}

/* Both types are 1 for setting and 2 for undoing. */
static void wagw_detail_mark(wagw_json_t *j, const wagw_open_t *o)
{
    uint64_t v;
    bool pin = o->kind == WAGW_KIND_PIN;

    wagw_json_key(j, pin ? "pin" : "keep");
    wagw_json_open(j, '{');
    wagw_json_kbool(j, pin ? "pinned" : "kept", wagw_pb_uint(o->sub, pin ? "type" : "keepType", &v) && v == 1);

    if (pin && o->info && o->info->has_messageaddondurationinsecs) {
        wagw_json_kint(j, "duration", o->info->messageaddondurationinsecs);
    }

    wagw_detail_key(j, "key", (Wa__MessageKey *)wagw_pb_sub(o->sub, "key"));
    wagw_json_close(j);
}

/* The content itself, for whoever knows more of it than wagw. */
static void wagw_detail_raw(wagw_json_t *j, const char *key, const wagw_open_t *o)
{
    size_t n = protobuf_c_message_get_packed_size(&o->message->base);
    uint8_t *p;

    wagw_json_key(j, key);
    wagw_json_open(j, '{');

    if (o->unknown) {
        wagw_json_kint(j, "field", o->unknown);
    } else {
        wagw_json_kcstr(j, "name", o->proto_name);
    }

    if (n <= WAGW_DETAIL_BYTES && (p = malloc(n + 1)) != NULL) {
        protobuf_c_message_pack(&o->message->base, p);
        wagw_json_key(j, "message");
        wagw_json_base64(j, wagw_str(p, n));
        free(p);
    }

    wagw_json_close(j);
}

/* What the context says beyond quote, mentions and timer: where a forward, or
 * a customer who clicked an advertisement, came from. */
static bool wagw_detail_context(wagw_json_t *j, const Wa__ContextInfo *c)
{
    bool any = false;

    if (c == NULL) {
        return false;
    }

    if (c->externaladreply) {
        const ProtobufCMessage *ad = &c->externaladreply->base;

        wagw_json_key(j, "ad");
        wagw_json_open(j, '{');
        wagw_detail_str(j, "title", wagw_pb_str(ad, "title"));
        wagw_detail_str(j, "body", wagw_pb_str(ad, "body"));
        wagw_detail_str(j, "url", wagw_pb_str(ad, "sourceUrl"));
        wagw_detail_str(j, "mediaUrl", wagw_pb_str(ad, "mediaUrl"));
        wagw_detail_str(j, "sourceType", wagw_pb_str(ad, "sourceType"));
        wagw_detail_str(j, "sourceId", wagw_pb_str(ad, "sourceId"));
        wagw_detail_str(j, "clickId", wagw_pb_str(ad, "ctwaClid"));
        wagw_json_close(j);
        any = true;
    }

    if (c->forwardednewslettermessageinfo) {
        const ProtobufCMessage *from = &c->forwardednewslettermessageinfo->base;

        wagw_json_key(j, "forwardedFrom");
        wagw_json_open(j, '{');
        wagw_detail_str(j, "channelId", wagw_pb_str(from, "newsletterJid"));
        wagw_detail_str(j, "name", wagw_pb_str(from, "newsletterName"));
        wagw_detail_uint(j, "serverId", from, "serverMessageId");
        wagw_json_close(j);
        any = true;
    }

    if (c->n_groupmentions) {
        wagw_json_key(j, "groupMentions");
        wagw_json_open(j, '[');

        for (size_t i = 0; i < c->n_groupmentions && i < WAGW_DETAIL_LIST; i++) {
            wagw_json_open(j, '{');
            wagw_detail_str(j, "groupId", c->groupmentions[i]->groupjid);
            wagw_detail_str(j, "name", c->groupmentions[i]->groupsubject);
            wagw_json_close(j);
        }

        wagw_json_close(j);
        any = true;
    }

    return any;
}

static bool wagw_detail_content(wagw_json_t *j, const wagw_open_t *o)
{
    if (o->empty) {
        return false;
    }

    switch (o->kind) {
    case WAGW_KIND_TEXT:
        return o->sub ? wagw_detail_text(j, o) : false;

    case WAGW_KIND_CONTACT:
    case WAGW_KIND_CONTACTS:
        wagw_detail_contacts(j, o);
        return true;

    case WAGW_KIND_LOCATION:
    case WAGW_KIND_LIVE_LOCATION:
        wagw_json_key(j, "location");
        wagw_detail_place(j, o->sub, true);
        return true;

    case WAGW_KIND_POLL:
        wagw_detail_poll(j, (const Wa__Message__PollCreationMessage *)o->sub);
        return true;

    case WAGW_KIND_POLL_RESULT:
        wagw_detail_poll_result(j, (const Wa__Message__PollResultSnapshotMessage *)o->sub);
        return true;

    case WAGW_KIND_EVENT:
        wagw_detail_event(j, (const Wa__Message__EventMessage *)o->sub);
        return true;

    case WAGW_KIND_LIST:
        wagw_detail_list(j, (const Wa__Message__ListMessage *)o->sub);
        return true;

    case WAGW_KIND_BUTTONS:
        wagw_detail_button_list(j, (const Wa__Message__ButtonsMessage *)o->sub);
        return true;

    case WAGW_KIND_TEMPLATE: {
        const Wa__Message__TemplateMessage *t = (const Wa__Message__TemplateMessage *)o->sub;

        if (t->format_case == WA__MESSAGE__TEMPLATE_MESSAGE__FORMAT_INTERACTIVE_MESSAGE_TEMPLATE) {
            wagw_detail_interactive(j, t->interactivemessagetemplate);
            return true;
        }

        if (t->hydratedtemplate) {
            wagw_detail_template(j, t->hydratedtemplate);
            return true;
        }

        if (t->format_case == WA__MESSAGE__TEMPLATE_MESSAGE__FORMAT_HYDRATED_FOUR_ROW_TEMPLATE) {
            wagw_detail_template(j, t->hydratedfourrowtemplate);
            return true;
        }

        return false;
    }

    case WAGW_KIND_INTERACTIVE:
        wagw_detail_interactive(j, (const Wa__Message__InteractiveMessage *)o->sub);
        return true;

    case WAGW_KIND_LIST_REPLY:
    case WAGW_KIND_BUTTON_REPLY:
    case WAGW_KIND_TEMPLATE_REPLY:
    case WAGW_KIND_INTERACTIVE_REPLY:
        wagw_detail_reply(j, o);
        return true;

    case WAGW_KIND_GROUP_INVITE:
    case WAGW_KIND_NEWSLETTER_INVITE:
        wagw_detail_invite(j, o);
        return true;

    case WAGW_KIND_PRODUCT:
    case WAGW_KIND_ORDER:
    case WAGW_KIND_PAYMENT:
        wagw_detail_commerce(j, o);
        return true;

    case WAGW_KIND_CALL:
        wagw_detail_call(j, o);
        return true;

    case WAGW_KIND_ALBUM:
        wagw_json_key(j, "album");
        wagw_json_open(j, '{');
        wagw_detail_uint(j, "images", o->sub, "expectedImageCount");
        wagw_detail_uint(j, "videos", o->sub, "expectedVideoCount");
        wagw_json_close(j);
        return true;

    case WAGW_KIND_COMMENT:
    case WAGW_KIND_ENC_COMMENT:
        wagw_json_key(j, "comment");
        wagw_json_open(j, '{');
        wagw_detail_key(j, "key", (Wa__MessageKey *)wagw_pb_sub(o->sub, "targetMessageKey"));
        wagw_json_close(j);
        return true;

    case WAGW_KIND_PIN:
    case WAGW_KIND_KEEP:
        wagw_detail_mark(j, o);
        return true;

    case WAGW_KIND_PROTOCOL:
        return wagw_detail_protocol(j, o);

    case WAGW_KIND_NAMED:
        wagw_detail_raw(j, "content", o);
        return true;

    case WAGW_KIND_OTHER:
        wagw_detail_raw(j, "unknown", o);
        return true;

    default:
        return false;
    }
}

bool wagw_detail_members(wagw_json_t *j, const wagw_open_t *o)
{
    bool content = wagw_detail_content(j, o);

    return wagw_detail_context(j, o->context) || content;
}
