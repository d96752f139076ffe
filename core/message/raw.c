#include "draft.h"

/*
 * A message in the caller's own words: protobuf JSON.  Refused is what only
 * the engine, or only a phone, may say: it would harm the account or its
 * sessions, and nobody sends it to a person.
 */

static const char *const wagw_raw_refused[] = {
    "senderKeyDistributionMessage",
    "fastRatchetKeySenderKeyDistributionMessage",
    "deviceSentMessage",
    "historySyncNotification",
    "appStateSyncKeyShare",
    "appStateSyncKeyRequest",
    "initialSecurityNotificationSettingSync",
    "appStateFatalExceptionNotification",
    "peerDataOperationRequestMessage",
    "peerDataOperationRequestResponseMessage",
    "lidMigrationMappingSyncMessage",
};

/* What one person may say to another by a protocol message: revoke, timer,
 * number, edit, limit of sharing, member label. */
static const struct {
    int number;
    const char *name;
} wagw_raw_types[] = {
    {0, "REVOKE"},        {3, "EPHEMERAL_SETTING"}, {11, "SHARE_PHONE_NUMBER"},
    {14, "MESSAGE_EDIT"}, {27, "LIMIT_SHARING"},    {30, "GROUP_MEMBER_LABEL_CHANGE"},
};

static bool wagw_raw_type(const cJSON *v)
{
    for (size_t i = 0; i < sizeof(wagw_raw_types) / sizeof(wagw_raw_types[0]); i++) {
        if (cJSON_IsString(v) ? strcmp(v->valuestring, wagw_raw_types[i].name) == 0
                              : cJSON_IsNumber(v) && v->valuedouble == wagw_raw_types[i].number) {
            return true;
        }
    }

    return v == NULL; /* a revoke, if it has a key */
}

/* Names are looked for at every depth: a quote or an edit holds messages too. */
static int wagw_raw_check(const cJSON *json, wagw_buf_t *path, unsigned depth)
{
    int rc;
    size_t at = path->n;
    unsigned i = 0;
    const cJSON *v;

    if (depth > WAGW_MESSAGE_DEPTH) {
        return WAGW_LIMIT;
    }

    for (v = json->child; v; v = v->next, i++) {
        if (v->string) {
            wagw_buf_printf(path, "%s%s", at ? "." : "", v->string);
        } else {
            wagw_buf_printf(path, "[%u]", i);
        }

        for (size_t k = 0; v->string && k < sizeof(wagw_raw_refused) / sizeof(wagw_raw_refused[0]); k++) {
            if (strcmp(v->string, wagw_raw_refused[k]) == 0 && !cJSON_IsNull(v)) {
                return WAGW_MALFORMED;
            }
        }

        if (v->string && strcmp(v->string, "protocolMessage") == 0 && cJSON_IsObject(v) &&
            !wagw_raw_type(cJSON_GetObjectItemCaseSensitive(v, "type"))) {
            wagw_buf_cstr(path, ".type");
            return WAGW_MALFORMED;
        }

        if (cJSON_IsObject(v) || cJSON_IsArray(v)) {
            rc = wagw_raw_check(v, path, depth + 1);
            if (rc != WAGW_OK) {
                return rc;
            }
        }

        path->n = at;
    }

    return WAGW_OK;
}

/* What the stanza says of such a content, and whether it is shown by itself (04 section 11.1). */
static void wagw_raw_stanza(const wagw_draft_t *d, const wagw_open_t *o)
{
    const Wa__Message__ProtocolMessage *p;
    const Wa__Message__ReactionMessage *r;
    wagw_built_t *out = d->out;

    switch (o->kind) {
    case WAGW_KIND_REACTION:
        r = (const Wa__Message__ReactionMessage *)o->sub;
        out->edit = r->text && *r->text ? NULL : "7";
        out->hide_fail = true;
        break;

    case WAGW_KIND_ENC_REACTION:
    case WAGW_KIND_EVENT_RESPONSE:
    case WAGW_KIND_POLL_VOTE:
    case WAGW_KIND_SECRET:
        out->hide_fail = true;
        break;

    case WAGW_KIND_PIN:
        out->edit = "2";
        break;

    case WAGW_KIND_KEEP:
        break;

    case WAGW_KIND_PROTOCOL:
        p = (const Wa__Message__ProtocolMessage *)o->sub;
        if (!p->has_type || p->type == 0) {
            out->edit = p->key && p->key->has_fromme && p->key->fromme ? "7" : "8";
        } else if (p->type == 14) {
            out->edit = "1";
        }
        break;

    default:
        return;
    }

    out->hidden = true;
}

/* Quote, mentions and timer, where the caller wrote no context of its own. */
static int wagw_raw_context(const wagw_draft_t *d, const wagw_open_t *o)
{
    Wa__ContextInfo **slot = wagw_draft_context_slot(o->sub);

    return slot && *slot == NULL ? wagw_draft_context(d, slot) : WAGW_OK;
}

/* Names the culprit as a path from the call's field on. */
static int wagw_raw_bad(const wagw_draft_t *d, const wagw_buf_t *path)
{
    wagw_str_t s = wagw_arena_printf(d->a, "message%s%.*s", path->n ? "." : "", (int)(path->n < 512 ? path->n : 512),
                                     path->p ? (const char *)path->p : "");

    return s.p ? wagw_draft_bad(d, (const char *)s.p) : WAGW_NOMEM;
}

int wagw_compose_raw(wagw_draft_t *d)
{
    int rc;
    wagw_buf_t bytes = {0}, path = {0};
    const cJSON *json = wagw_draft_get(d, "message", NULL);
    Wa__Message *m = NULL;
    wagw_open_t o;

    if (!cJSON_IsObject(json)) {
        return wagw_draft_bad(d, "message");
    }

    rc = wagw_raw_check(json, &path, 0);
    if (rc == WAGW_OK) {
        wagw_buf_reset(&path);
        rc = wagw_message_from_json_at(&bytes, json, &path);
    }

    if (rc == WAGW_OK) {
        m = (Wa__Message *)wagw_pb_unpack(d->a, &wa__message__descriptor, wagw_buf_view(&bytes), &rc);
    }

    if (m) {
        wagw_message_open(&o, m);

        if (o.empty) {
            rc = WAGW_MALFORMED; /* nothing that a client would show or do */
        } else {
            d->m = m;
            d->no_secret = o.kind == WAGW_KIND_REACTION || o.kind == WAGW_KIND_ENC_REACTION ||
                           o.kind == WAGW_KIND_EVENT_RESPONSE || o.kind == WAGW_KIND_POLL_VOTE ||
                           (m->messagecontextinfo && m->messagecontextinfo->has_messagesecret);
            wagw_raw_stanza(d, &o);
            rc = d->out->hidden ? WAGW_OK : wagw_raw_context(d, &o);
        }
    }

    /* the context names its own fields */
    if ((rc == WAGW_MALFORMED || rc == WAGW_LIMIT) && *d->field == NULL) {
        rc = wagw_raw_bad(d, &path);
    }

    wagw_buf_free(&bytes);
    wagw_buf_free(&path);

    return rc;
}
