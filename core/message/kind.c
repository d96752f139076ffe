#include "internal.h"

#include <string.h>

typedef struct {
    const char *field;
    const char *type;
    wagw_kind_t kind;
} wagw_kind_row_t;

/* Contract 3.4 names where it has one, else the name of protocol 05 section
 * 9.  Wrapper fields never get here. */
static const wagw_kind_row_t wagw_kinds[] = {
    {"conversation", "text", WAGW_KIND_TEXT},
    {"extendedTextMessage", "text", WAGW_KIND_TEXT},
    {"imageMessage", "image", WAGW_KIND_MEDIA},
    {"videoMessage", "video", WAGW_KIND_MEDIA},
    {"ptvMessage", "video", WAGW_KIND_MEDIA},
    {"audioMessage", "audio", WAGW_KIND_MEDIA},
    {"documentMessage", "document", WAGW_KIND_MEDIA},
    {"stickerMessage", "sticker", WAGW_KIND_MEDIA},
    {"contactMessage", "contact", WAGW_KIND_CONTACT},
    {"contactsArrayMessage", "contact", WAGW_KIND_CONTACTS},
    {"locationMessage", "location", WAGW_KIND_LOCATION},
    {"liveLocationMessage", "live_location", WAGW_KIND_LIVE_LOCATION},
    {"reactionMessage", "reaction", WAGW_KIND_REACTION},
    {"encReactionMessage", "reaction", WAGW_KIND_ENC_REACTION},
    {"pollCreationMessage", "poll", WAGW_KIND_POLL},
    {"pollCreationMessageV2", "poll", WAGW_KIND_POLL},
    {"pollCreationMessageV3", "poll", WAGW_KIND_POLL},
    {"pollCreationMessageV5", "poll", WAGW_KIND_POLL},
    {"pollCreationMessageV6", "poll", WAGW_KIND_POLL},
    {"pollUpdateMessage", "poll_vote", WAGW_KIND_POLL_VOTE},
    {"pollAddOptionMessage", "poll_option", WAGW_KIND_NAMED},
    {"pollResultSnapshotMessage", "poll_result", WAGW_KIND_POLL_RESULT},
    {"pollResultSnapshotMessageV3", "poll_result", WAGW_KIND_POLL_RESULT},
    {"eventMessage", "event", WAGW_KIND_EVENT},
    {"eventInviteMessage", "event_invite", WAGW_KIND_NAMED},
    {"encEventResponseMessage", "event_response", WAGW_KIND_EVENT_RESPONSE},
    {"listMessage", "list", WAGW_KIND_LIST},
    {"buttonsMessage", "buttons", WAGW_KIND_BUTTONS},
    {"templateMessage", "buttons", WAGW_KIND_TEMPLATE},
    {"highlyStructuredMessage", "template", WAGW_KIND_NAMED},
    {"interactiveMessage", "buttons", WAGW_KIND_INTERACTIVE},
    {"listResponseMessage", "list_reply", WAGW_KIND_LIST_REPLY},
    {"buttonsResponseMessage", "button_reply", WAGW_KIND_BUTTON_REPLY},
    {"templateButtonReplyMessage", "button_reply", WAGW_KIND_TEMPLATE_REPLY},
    {"interactiveResponseMessage", "button_reply", WAGW_KIND_INTERACTIVE_REPLY},
    {"groupInviteMessage", "group_invite", WAGW_KIND_GROUP_INVITE},
    {"newsletterAdminInviteMessage", "newsletter_invite", WAGW_KIND_NEWSLETTER_INVITE},
    {"newsletterFollowerInviteMessageV2", "newsletter_invite", WAGW_KIND_NEWSLETTER_INVITE},
    {"productMessage", "product", WAGW_KIND_PRODUCT},
    {"orderMessage", "order", WAGW_KIND_ORDER},
    {"invoiceMessage", "payment", WAGW_KIND_PAYMENT},
    {"sendPaymentMessage", "payment", WAGW_KIND_PAYMENT},
    {"requestPaymentMessage", "payment", WAGW_KIND_PAYMENT},
    {"declinePaymentRequestMessage", "payment", WAGW_KIND_PAYMENT},
    {"cancelPaymentRequestMessage", "payment", WAGW_KIND_PAYMENT},
    {"paymentInviteMessage", "payment", WAGW_KIND_PAYMENT},
    {"paymentReminderMessage", "payment", WAGW_KIND_PAYMENT},
    {"splitPaymentMessage", "payment", WAGW_KIND_PAYMENT},
    {"splitPaymentUpdateMessage", "payment", WAGW_KIND_PAYMENT},
    {"callLogMesssage", "call", WAGW_KIND_CALL},
    {"scheduledCallCreationMessage", "call", WAGW_KIND_CALL},
    {"scheduledCallEditMessage", "call", WAGW_KIND_CALL},
    {"bcallMessage", "call", WAGW_KIND_CALL},
    {"call", "call", WAGW_KIND_CALL},
    {"chat", "system", WAGW_KIND_NAMED},
    {"albumMessage", "album", WAGW_KIND_ALBUM},
    {"commentMessage", "comment", WAGW_KIND_COMMENT},
    {"encCommentMessage", "comment", WAGW_KIND_ENC_COMMENT},
    {"secretEncryptedMessage", "edit", WAGW_KIND_SECRET},
    {"pinInChatMessage", "pin", WAGW_KIND_PIN},
    {"keepInChatMessage", "keep", WAGW_KIND_KEEP},
    {"protocolMessage", "system", WAGW_KIND_PROTOCOL},
    {"requestPhoneNumberMessage", "request_phone", WAGW_KIND_NAMED},
    {"placeholderMessage", "placeholder", WAGW_KIND_NAMED},
    {"stickerPackMessage", "sticker_pack", WAGW_KIND_NAMED},
    {"stickerSyncRmrMessage", "system", WAGW_KIND_NAMED},
    {"messageHistoryBundle", "message_history", WAGW_KIND_NAMED},
    {"messageHistoryNotice", "message_history", WAGW_KIND_NAMED},
    {"statusNotificationMessage", "status_notification", WAGW_KIND_NAMED},
    {"statusQuestionAnswerMessage", "status_answer", WAGW_KIND_NAMED},
    {"statusQuotedMessage", "status_quoted", WAGW_KIND_NAMED},
    {"statusStickerInteractionMessage", "status_sticker", WAGW_KIND_NAMED},
    {"questionResponseMessage", "question_response", WAGW_KIND_NAMED},
    {"richResponseMessage", "rich_response", WAGW_KIND_NAMED},
};

/* Without "Message" in the name and yet content (05 section 2.2). */
static const char *const wagw_kind_unnamed[] = {
    "conversation", "call", "chat", "callLogMesssage", "messageHistoryBundle", "messageHistoryNotice",
};

static bool wagw_kind_is_content(const char *name)
{
    if (strcmp(name, "senderKeyDistributionMessage") == 0 ||
        strcmp(name, "fastRatchetKeySenderKeyDistributionMessage") == 0 || strcmp(name, "messageContextInfo") == 0) {
        return false;
    }

    if (strstr(name, "Message")) {
        return true;
    }

    for (size_t i = 0; i < sizeof(wagw_kind_unnamed) / sizeof(wagw_kind_unnamed[0]); i++) {
        if (strcmp(name, wagw_kind_unnamed[i]) == 0) {
            return true;
        }
    }

    return false;
}

/* The first wrapper that is set and not empty; its name goes to *name. */
static Wa__Message *wagw_kind_wrapped(Wa__Message *m, const char **name)
{
    const ProtobufCMessageDescriptor *d = m->base.descriptor;

    for (unsigned i = 0; i < d->n_fields; i++) {
        const ProtobufCFieldDescriptor *f = &d->fields[i];
        Wa__Message__FutureProofMessage *fp;

        if (f->descriptor != &wa__message__future_proof_message__descriptor || !wagw_pb_has(&m->base, f)) {
            continue;
        }

        fp = *(Wa__Message__FutureProofMessage **)((uint8_t *)m + f->offset);

        if (fp->message) {
            *name = f->name;
            return fp->message;
        }
    }

    return NULL;
}

static void wagw_kind_note_wrapper(wagw_open_t *o, const char *name)
{
    if (strcmp(name, "ephemeralMessage") == 0) {
        o->ephemeral = true;

    } else if (strncmp(name, "viewOnceMessage", 15) == 0) {
        o->view_once = true;

    } else if (strcmp(name, "editedMessage") == 0) {
        o->edited = true;

    } else if (strcmp(name, "documentWithCaptionMessage") == 0) {
        o->captioned = true;

    } else if (strcmp(name, "statusMentionMessage") == 0 || strcmp(name, "groupStatusMentionMessage") == 0) {
        o->status_mention = true;
    }
}

/* Lists are sent as an interactive message with one single_select button. */
static const char *wagw_kind_interactive(const Wa__Message__InteractiveMessage *im)
{
    const Wa__Message__InteractiveMessage__NativeFlowMessage *nf;

    if (im->interactive_message_case != WA__MESSAGE__INTERACTIVE_MESSAGE__INTERACTIVE_MESSAGE_NATIVE_FLOW_MESSAGE) {
        return "interactive";
    }

    nf = im->nativeflowmessage;

    if (nf->n_buttons == 1 && nf->buttons[0]->name && strcmp(nf->buttons[0]->name, "single_select") == 0) {
        return "list";
    }

    return "buttons";
}

static const char *wagw_kind_protocol(const wagw_open_t *o, const Wa__Message__ProtocolMessage *p)
{
    if (o->status_mention) {
        return "status_mention";
    }

    if (!p->has_type) {
        return p->key ? "revoke" : "system";
    }

    switch ((int)p->type) {
    case 0:
        return "revoke";
    case 3:
        return "disappearing";
    case 14:
        return "edit";
    case 25:
        return "status_mention";
    default:
        return "system";
    }
}

static void wagw_kind_name(wagw_open_t *o)
{
    uint64_t v;

    o->type = "unknown";
    o->kind = WAGW_KIND_OTHER;

    for (size_t i = 0; i < sizeof(wagw_kinds) / sizeof(wagw_kinds[0]); i++) {
        if (strcmp(wagw_kinds[i].field, o->proto_name) == 0) {
            o->type = wagw_kinds[i].type;
            o->kind = wagw_kinds[i].kind;
            break;
        }
    }

    /* interactive messages travel in a view-once wrapper only to be shown */
    if (o->kind != WAGW_KIND_MEDIA) {
        o->view_once = false;
    }

    if (o->kind == WAGW_KIND_MEDIA) {

        if (wagw_pb_uint(o->sub, "ptt", &v) && v) {
            o->type = "voice";
        }

        if (wagw_pb_uint(o->sub, "viewOnce", &v) && v) {
            o->view_once = true;
        }

    } else if (o->kind == WAGW_KIND_INTERACTIVE) {
        o->type = wagw_kind_interactive((Wa__Message__InteractiveMessage *)o->sub);

    } else if (o->kind == WAGW_KIND_PROTOCOL) {
        o->type = wagw_kind_protocol(o, (Wa__Message__ProtocolMessage *)o->sub);
    }
}

void wagw_message_open(wagw_open_t *o, Wa__Message *m)
{
    const char *name;
    Wa__Message *next;
    const ProtobufCMessageDescriptor *d = m->base.descriptor;

    memset(o, 0, sizeof(*o));

    o->info = m->messagecontextinfo;

    for (unsigned i = 0; i < WAGW_UNWRAP_MAX && (next = wagw_kind_wrapped(m, &name)) != NULL; i++) {
        wagw_kind_note_wrapper(o, name);
        m = next;

        if (o->info == NULL) {
            o->info = m->messagecontextinfo;
        }
    }

    o->message = m;

    if (m->messagecontextinfo) {
        o->info = m->messagecontextinfo;
    }

    for (unsigned i = 0; i < d->n_fields; i++) {
        const ProtobufCFieldDescriptor *f = &d->fields[i];

        if (!wagw_pb_has(&m->base, f) || !wagw_kind_is_content(f->name)) {
            continue;
        }

        o->field = f;
        o->proto_name = f->name;

        if (f->type == PROTOBUF_C_TYPE_MESSAGE) {
            o->sub = *(ProtobufCMessage **)((uint8_t *)m + f->offset);
            o->context = (Wa__ContextInfo *)wagw_pb_sub(o->sub, "contextInfo");
        }

        wagw_kind_name(o);

        if (o->context && o->context->has_expiration && o->context->expiration) {
            o->ephemeral = true;
        }

        return;
    }

    /* A kind newer than our schema shows as an unknown sub-message field. */
    o->proto_name = "";
    o->type = "unknown";
    o->empty = true;

    for (size_t i = 0; i < m->base.n_unknown_fields; i++) {
        if (m->base.unknown_fields[i].wire_type == PROTOBUF_C_WIRE_TYPE_LENGTH_PREFIXED) {
            o->unknown = m->base.unknown_fields[i].tag;
            o->empty = false;
            return;
        }
    }
}

static const char *wagw_kind_first(const void *m, const char *const *names)
{
    const char *s;

    for (; *names; names++) {
        s = wagw_pb_str(m, *names);
        if (s && *s) {
            return s;
        }
    }

    return "";
}

static const char *wagw_kind_or_empty(const char *s)
{
    return s ? s : "";
}

static const char *wagw_kind_interactive_text(const Wa__Message__InteractiveMessage *im)
{
    if (im->body && im->body->text && *im->body->text) {
        return im->body->text;
    }

    return im->header ? wagw_kind_or_empty(im->header->title) : "";
}

static const char *wagw_kind_template_text(const Wa__Message__TemplateMessage *t)
{
    const Wa__Message__TemplateMessage__HydratedFourRowTemplate *h = t->hydratedtemplate;

    if (t->format_case == WA__MESSAGE__TEMPLATE_MESSAGE__FORMAT_INTERACTIVE_MESSAGE_TEMPLATE) {
        return wagw_kind_interactive_text(t->interactivemessagetemplate);
    }

    if (h == NULL && t->format_case == WA__MESSAGE__TEMPLATE_MESSAGE__FORMAT_HYDRATED_FOUR_ROW_TEMPLATE) {
        h = t->hydratedfourrowtemplate;
    }

    return h ? wagw_kind_or_empty(h->hydratedcontenttext) : "";
}

const char *wagw_message_text(const wagw_open_t *o)
{
    static const char *const caption[] = {"caption", NULL};
    static const char *const place[] = {"name", "comment", "address", "caption", NULL};
    static const char *const named[] = {"caption", "text", "title", "eventTitle", "name", NULL};
    static const char *const list[] = {"description", "title", NULL};
    static const char *const reply[] = {"title", "description", NULL};
    static const char *const selected[] = {"selectedDisplayText", "selectedId", "selectedButtonId", NULL};
    static const char *const order[] = {"message", "orderTitle", NULL};
    static const char *const product[] = {"body", "title", NULL};
    static const char *const payment[] = {"note", NULL};
    static const char *const invite[] = {"caption", "groupName", "newsletterName", NULL};

    switch (o->kind) {
    case WAGW_KIND_TEXT:
        return o->sub ? wagw_kind_or_empty(((Wa__Message__ExtendedTextMessage *)o->sub)->text)
                      : wagw_kind_or_empty(o->message->conversation);

    case WAGW_KIND_MEDIA:
        return wagw_kind_first(o->sub, caption);

    case WAGW_KIND_CONTACT:
    case WAGW_KIND_CONTACTS:
        return wagw_kind_or_empty(wagw_pb_str(o->sub, "displayName"));

    case WAGW_KIND_LOCATION:
    case WAGW_KIND_LIVE_LOCATION:
        return wagw_kind_first(o->sub, place);

    case WAGW_KIND_REACTION:
        return wagw_kind_or_empty(((Wa__Message__ReactionMessage *)o->sub)->text);

    case WAGW_KIND_POLL:
    case WAGW_KIND_POLL_RESULT:
    case WAGW_KIND_EVENT:
        return wagw_kind_or_empty(wagw_pb_str(o->sub, "name"));

    case WAGW_KIND_LIST:
        return wagw_kind_first(o->sub, list);

    case WAGW_KIND_BUTTONS:
        return wagw_kind_or_empty(((Wa__Message__ButtonsMessage *)o->sub)->contenttext);

    case WAGW_KIND_TEMPLATE:
        return wagw_kind_template_text((Wa__Message__TemplateMessage *)o->sub);

    case WAGW_KIND_INTERACTIVE:
        return wagw_kind_interactive_text((Wa__Message__InteractiveMessage *)o->sub);

    case WAGW_KIND_LIST_REPLY:
        return wagw_kind_first(o->sub, reply);

    case WAGW_KIND_BUTTON_REPLY:
    case WAGW_KIND_TEMPLATE_REPLY:
        return wagw_kind_first(o->sub, selected);

    case WAGW_KIND_INTERACTIVE_REPLY:
        return wagw_kind_or_empty(wagw_pb_str(wagw_pb_sub(o->sub, "body"), "text"));

    case WAGW_KIND_GROUP_INVITE:
    case WAGW_KIND_NEWSLETTER_INVITE:
        return wagw_kind_first(o->sub, invite);

    case WAGW_KIND_PRODUCT: {
        const char *s = wagw_kind_first(o->sub, product);

        return *s ? s : wagw_kind_or_empty(wagw_pb_str(wagw_pb_sub(o->sub, "product"), "title"));
    }

    case WAGW_KIND_ORDER:
        return wagw_kind_first(o->sub, order);

    case WAGW_KIND_PAYMENT: {
        ProtobufCMessage *note = wagw_pb_sub(o->sub, "noteMessage");
        wagw_open_t inner;

        if (note) {
            wagw_message_open(&inner, (Wa__Message *)note);
            return inner.kind == WAGW_KIND_TEXT ? wagw_message_text(&inner) : "";
        }

        return wagw_kind_first(o->sub, payment);
    }

    case WAGW_KIND_COMMENT: {
        wagw_open_t inner;
        Wa__Message *m = ((Wa__Message__CommentMessage *)o->sub)->message;

        if (m == NULL) {
            return "";
        }

        /* comments do not nest: a comment inside a comment has no text */
        wagw_message_open(&inner, m);
        return inner.kind == WAGW_KIND_COMMENT ? "" : wagw_message_text(&inner);
    }

    case WAGW_KIND_CALL:
    case WAGW_KIND_NAMED:
        return wagw_kind_first(o->sub, named);

    default:
        return "";
    }
}

static const char *wagw_kind_mediatype(const wagw_open_t *o)
{
    uint64_t v;
    const char *s;

    switch (o->kind) {
    case WAGW_KIND_MEDIA:
        if (strcmp(o->type, "voice") == 0) {
            return "ptt";
        }

        if (strcmp(o->proto_name, "ptvMessage") == 0) {
            return "ptv";
        }

        return wagw_pb_uint(o->sub, "gifPlayback", &v) && v ? "gif" : o->type;

    case WAGW_KIND_CONTACT:
        return "vcard";

    case WAGW_KIND_CONTACTS:
        return "contact_array";

    case WAGW_KIND_LIVE_LOCATION:
        return "livelocation";

    case WAGW_KIND_LIST:
        return "list";

    case WAGW_KIND_LIST_REPLY:
        return "list_response";

    case WAGW_KIND_BUTTON_REPLY:
        return "buttons_response";

    case WAGW_KIND_ORDER:
        return "order";

    case WAGW_KIND_PRODUCT:
        return "product";

    case WAGW_KIND_INTERACTIVE_REPLY:
        return "native_flow_response";

    case WAGW_KIND_GROUP_INVITE:
        return "url";

    case WAGW_KIND_TEXT:
        s = wagw_pb_str(o->sub, "title");
        return s && *s ? "url" : NULL;

    default:
        return NULL;
    }
}

void wagw_message_stanza(const wagw_open_t *o, const char **stanza, const char **media, const char **poll)
{
    *media = NULL;
    *poll = NULL;

    switch (o->kind) {
    case WAGW_KIND_REACTION:
    case WAGW_KIND_ENC_REACTION:
        *stanza = "reaction";
        return;

    case WAGW_KIND_POLL:
        *stanza = "poll";
        *poll = "creation";
        return;

    case WAGW_KIND_POLL_VOTE:
        *stanza = "poll";
        *poll = "vote";
        return;

    case WAGW_KIND_EVENT:
        *stanza = "event";
        return;

    default:
        *media = wagw_kind_mediatype(o);
        *stanza = *media ? "media" : "text";
    }
}
