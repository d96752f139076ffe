#include "draft.h"

#include <ctype.h>

const cJSON *wagw_draft_get(const wagw_draft_t *d, const char *name, const char *alias)
{
    const cJSON *item = cJSON_GetObjectItemCaseSensitive(d->b->params, name);

    if (item == NULL && alias) {
        item = cJSON_GetObjectItemCaseSensitive(d->b->params, alias);
    }

    return cJSON_IsNull(item) ? NULL : item;
}

const char *wagw_draft_str(const wagw_draft_t *d, const char *name, const char *alias)
{
    return cJSON_GetStringValue(wagw_draft_get(d, name, alias));
}

int wagw_draft_bad(const wagw_draft_t *d, const char *field)
{
    *d->field = field;

    return WAGW_MALFORMED;
}

int wagw_draft_dup(const wagw_draft_t *d, char **out, const char *s)
{
    *out = wagw_pb_dup(d->a, wagw_cstr(s));

    return *out ? WAGW_OK : WAGW_NOMEM;
}

int wagw_draft_jid(const wagw_draft_t *d, char **out, const wagw_jid_t *j)
{
    char text[WAGW_JID_TEXT_MAX];
    wagw_jid_t user = wagw_jid_user(j);

    wagw_jid_text(&user, text);

    return wagw_draft_dup(d, out, text);
}

int wagw_draft_base64(const wagw_draft_t *d, const cJSON *item, const char *field, protobuf_c_boolean *has,
                      ProtobufCBinaryData *out)
{
    int rc;
    wagw_buf_t b = {0};
    wagw_str_t copy;
    const char *text = cJSON_GetStringValue(item);

    if (text == NULL) {
        return item ? wagw_draft_bad(d, field) : WAGW_OK;
    }

    rc = wagw_base64_decode(&b, wagw_cstr(text));

    if (rc == WAGW_OK) {
        copy = wagw_arena_str(d->a, wagw_buf_view(&b));
        rc = b.failed || copy.p == NULL ? WAGW_NOMEM : WAGW_OK;
        out->data = (uint8_t *)copy.p;
        out->len = copy.n;
        *has = 1;

    } else if (rc != WAGW_NOMEM) {
        rc = wagw_draft_bad(d, field);
    }

    wagw_buf_free(&b);

    return rc;
}

static bool wagw_draft_has_authors(const wagw_jid_t *chat)
{
    return wagw_jid_is_group(chat) || chat->server == WAGW_SRV_BROADCAST;
}

int wagw_draft_key(const wagw_draft_t *d, Wa__MessageKey **out)
{
    int rc;
    const wagw_build_t *b = d->b;
    const wagw_row_message_t *t = b->target;
    const char *id = NULL;
    Wa__MessageKey *k;

    WAGW_DRAFT_NEW(d, k, message_key);

    k->has_fromme = 1;

    if (t) {
        k->fromme = t->from_me;
        k->id = wagw_pb_dup(d->a, t->id);
    } else {
        id = wagw_draft_str(d, "messageId", "pollMessageId");
        if (id == NULL || *id == '\0') {
            return wagw_draft_bad(d, "messageId");
        }

        k->fromme = cJSON_IsTrue(wagw_draft_get(d, "fromMe", NULL));
        k->id = wagw_pb_dup(d->a, wagw_cstr(id));
    }

    if (k->id == NULL) {
        return WAGW_NOMEM;
    }

    rc = wagw_draft_jid(d, &k->remotejid, &b->chat);
    if (rc != WAGW_OK) {
        return rc;
    }

    if (!k->fromme && wagw_draft_has_authors(&b->chat)) {

        if (wagw_jid_empty(&b->target_author)) {
            return wagw_draft_bad(d, "participant");
        }

        rc = wagw_draft_jid(d, &k->participant, &b->target_author);
        if (rc != WAGW_OK) {
            return rc;
        }
    }

    *out = k;

    return WAGW_OK;
}

/* Drops the context info of a content, so that quotes and forwards do not
 * carry what the original referred to. */
Wa__ContextInfo **wagw_draft_context_slot(ProtobufCMessage *sub)
{
    const ProtobufCFieldDescriptor *f;

    if (sub == NULL) {
        return NULL;
    }

    f = protobuf_c_message_descriptor_get_field_by_name(sub->descriptor, "contextInfo");

    if (f == NULL || f->descriptor != &wa__context_info__descriptor || f->label == PROTOBUF_C_LABEL_REPEATED) {
        return NULL;
    }

    return (Wa__ContextInfo **)((uint8_t *)sub + f->offset);
}

/* A Message with only the content of an opened one. */
Wa__Message *wagw_draft_only_content(wagw_arena_t *a, const wagw_open_t *o)
{
    Wa__Message *m = WAGW_PB_NEW(a, message);

    if (m && o->field) {
        memcpy((uint8_t *)m + o->field->offset, (const uint8_t *)o->message + o->field->offset, sizeof(void *));
    }

    return m;
}

/* The stored message as it is quoted; an empty text when there is nothing to
 * show.  Its own quote is dropped, so quotes never nest. */
static int wagw_draft_quoted(const wagw_draft_t *d, wagw_str_t content, Wa__Message **out)
{
    int rc;
    wagw_open_t o;
    Wa__Message *m = NULL;
    Wa__ContextInfo **slot;

    if (content.n) {
        m = (Wa__Message *)wagw_pb_unpack(d->a, &wa__message__descriptor, content, &rc);
        if (m == NULL && rc == WAGW_NOMEM) {
            return rc;
        }
    }

    if (m) {
        wagw_message_open(&o, m);

        if (o.field && o.field->descriptor != &wa__message__future_proof_message__descriptor) {
            slot = wagw_draft_context_slot(o.sub);
            if (slot) {
                *slot = NULL;
            }

            *out = wagw_draft_only_content(d->a, &o);
            return *out ? WAGW_OK : WAGW_NOMEM;
        }
    }

    WAGW_DRAFT_NEW(d, *out, message);

    return wagw_draft_dup(d, &(*out)->conversation, "");
}

/* Where the quoted message lives, when that is another chat.  A person's two
 * names (phone, LID) are one chat. */
static int wagw_draft_quote_chat(const wagw_draft_t *d, Wa__ContextInfo *c)
{
    wagw_jid_t from, to = wagw_jid_user(&d->b->chat);
    wagw_str_t text = d->b->quoted->to.n ? d->b->quoted->to : d->b->quoted->chat;

    if (text.n == 0 || wagw_jid_parse(&from, text) != WAGW_OK) {
        return WAGW_OK;
    }

    from = wagw_jid_user(&from);

    if (!d->b->quoted_elsewhere &&
        (wagw_jid_same_user(&from, &to) ||
         (wagw_jid_is_person(&from) && wagw_jid_is_person(&to) && from.server != to.server))) {
        return WAGW_OK;
    }

    return wagw_draft_jid(d, &c->remotejid, &from);
}

static int wagw_draft_quote(const wagw_draft_t *d, Wa__ContextInfo *c)
{
    int rc;
    const wagw_build_t *b = d->b;
    const wagw_row_message_t *q = b->quoted;
    const cJSON *given = wagw_draft_get(d, "quoted", NULL);
    const char *id, *text, *participant;
    wagw_jid_t author = b->quoted_author;

    if (q) {
        c->stanzaid = wagw_pb_dup(d->a, q->id);
        if (c->stanzaid == NULL) {
            return WAGW_NOMEM;
        }

        if (wagw_jid_empty(&author)) {
            if (q->from_me) {
                author = b->self;
            } else if (!wagw_draft_has_authors(&b->chat)) {
                author = b->chat;
            } else if (wagw_jid_parse(&author, q->sender) != WAGW_OK) {
                return wagw_draft_bad(d, "quotedMessageId");
            }
        }

        rc = wagw_draft_jid(d, &c->participant, &author);
        if (rc == WAGW_OK) {
            rc = wagw_draft_quoted(d, q->content, &c->quotedmessage);
        }

        return rc == WAGW_OK ? wagw_draft_quote_chat(d, c) : rc;
    }

    id = cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(given, "id"));
    text = cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(given, "text"));
    participant = cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(given, "participant"));

    if (id == NULL || *id == '\0') {
        return wagw_draft_bad(d, "quoted.id");
    }

    if (wagw_jid_empty(&author)) {
        if (participant && wagw_jid_from_caller(&author, wagw_cstr(participant)) != WAGW_OK) {
            return wagw_draft_bad(d, "quoted.participant");
        }

        if (wagw_jid_empty(&author)) {
            if (wagw_draft_has_authors(&b->chat)) {
                return wagw_draft_bad(d, "quoted.participant");
            }
            author = b->chat;
        }
    }

    rc = wagw_draft_dup(d, &c->stanzaid, id);
    if (rc == WAGW_OK) {
        rc = wagw_draft_jid(d, &c->participant, &author);
    }

    if (rc != WAGW_OK) {
        return rc;
    }

    WAGW_DRAFT_NEW(d, c->quotedmessage, message);

    return wagw_draft_dup(d, &c->quotedmessage->conversation, text ? text : "");
}

static int wagw_draft_mentions(const wagw_draft_t *d, Wa__ContextInfo *c)
{
    int rc;
    const wagw_build_t *b = d->b;

    if (b->mention_all) {
        c->has_nonjidmentions = 1;
        c->nonjidmentions = 1;
    }

    if (b->nmentions == 0) {
        return WAGW_OK;
    }

    c->mentionedjid = wagw_arena_zalloc(d->a, b->nmentions * sizeof(char *));
    if (c->mentionedjid == NULL) {
        return WAGW_NOMEM;
    }

    for (size_t i = 0; i < b->nmentions; i++) {
        rc = wagw_draft_jid(d, &c->mentionedjid[i], &b->mentions[i]);
        if (rc != WAGW_OK) {
            return rc;
        }
    }

    c->n_mentionedjid = b->nmentions;

    return WAGW_OK;
}

int wagw_draft_context(const wagw_draft_t *d, Wa__ContextInfo **out)
{
    int rc;
    const wagw_build_t *b = d->b;
    Wa__ContextInfo *c;
    bool quote = b->quoted || cJSON_IsObject(wagw_draft_get(d, "quoted", NULL));

    *out = NULL;

    if (!quote && b->nmentions == 0 && !b->mention_all && b->expiration == 0) {
        return WAGW_OK;
    }

    WAGW_DRAFT_NEW(d, c, context_info);

    if (quote) {
        rc = wagw_draft_quote(d, c);
        if (rc != WAGW_OK) {
            return rc;
        }
    }

    if (b->expiration) {
        c->has_expiration = 1;
        c->expiration = b->expiration;
    }

    *out = c;

    return wagw_draft_mentions(d, c);
}

/* Length of `@` + the caller's name for a mention at p, 0 when it is not. */
static size_t wagw_draft_mention_at(const char *p, const char *name)
{
    size_t n = 0;
    char digits[WAGW_JID_USER_MAX + 1];

    for (; *name && *name != '@' && *name != ':'; name++) {
        if (isdigit((unsigned char)*name)) {
            if (n == sizeof(digits) - 1) {
                return 0;
            }
            digits[n++] = *name;
        }
    }

    if (n == 0 || p[0] != '@' || strncmp(p + 1, digits, n) != 0 || isdigit((unsigned char)p[1 + n])) {
        return 0;
    }

    return n + 1;
}

int wagw_draft_text(const wagw_draft_t *d, const char *text, char **out)
{
    int rc;
    size_t n, i;
    wagw_buf_t b = {0};
    const cJSON *names = wagw_draft_get(d, "mentions", NULL);

    /* Only then does a name of the caller belong to one resolved jid. */
    if (!cJSON_IsArray(names) || (size_t)cJSON_GetArraySize(names) != d->b->nmentions || strchr(text, '@') == NULL) {
        return wagw_draft_dup(d, out, text);
    }

    while (*text) {
        const cJSON *one = names->child;

        for (i = 0, n = 0; one && n == 0; one = one->next, i++) {
            const char *name = cJSON_GetStringValue(one);

            n = name ? wagw_draft_mention_at(text, name) : 0;
            if (n) {
                wagw_buf_u8(&b, '@');
                wagw_buf_cstr(&b, d->b->mentions[i].user);
            }
        }

        if (n == 0) {
            wagw_buf_u8(&b, (uint8_t)*text);
            n = 1;
        }

        text += n;
    }

    *out = wagw_pb_dup(d->a, wagw_buf_view(&b));
    rc = b.failed || *out == NULL ? WAGW_NOMEM : WAGW_OK;
    wagw_buf_free(&b);

    return rc;
}
