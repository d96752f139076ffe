#include "draft.h"

/*
 * Media contents.  The same things have other field numbers in each kind but
 * the same names, so they are reached by name.
 */

/* Where to write a field; its presence is noted.  NULL: this kind has none. */
static void *media_slot(ProtobufCMessage *m, const char *name)
{
    const ProtobufCFieldDescriptor *f = protobuf_c_message_descriptor_get_field_by_name(m->descriptor, name);

    if (f == NULL) {
        return NULL;
    }
    if (f->type != PROTOBUF_C_TYPE_STRING && f->type != PROTOBUF_C_TYPE_MESSAGE) {
        *(protobuf_c_boolean *)((uint8_t *)m + f->quantifier_offset) = 1;
    }
    return (uint8_t *)m + f->offset;
}

static int media_str(const wagw_draft_t *d, ProtobufCMessage *m, const char *field, const cJSON *from, const char *name)
{
    char **slot;
    const char *s = cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(from, name));

    if (s == NULL) {
        return WAGW_OK;
    }
    slot = media_slot(m, field);
    return slot ? wagw_draft_dup(d, slot, s) : WAGW_OK;
}

static int media_bytes(const wagw_draft_t *d, ProtobufCMessage *m, const char *field, const cJSON *from,
                       const char *name, size_t must)
{
    int rc;
    protobuf_c_boolean has = 0;
    ProtobufCBinaryData data = {0, NULL}, *slot;

    rc = wagw_draft_base64(d, cJSON_GetObjectItemCaseSensitive(from, name), "media", &has, &data);
    if (rc != WAGW_OK) {
        return rc;
    }
    if (must && data.len != must) {
        return wagw_draft_bad(d, "media");
    }
    if (has && data.len) {
        slot = media_slot(m, field);
        if (slot) {
            *slot = data;
        }
    }
    return WAGW_OK;
}

static int media_number(const wagw_draft_t *d, ProtobufCMessage *m, const char *field, const cJSON *from,
                        const char *name, bool wide)
{
    void *slot;
    const cJSON *item = cJSON_GetObjectItemCaseSensitive(from, name);

    if (!cJSON_IsNumber(item)) {
        return WAGW_OK;
    }
    if (!(item->valuedouble >= 0 && item->valuedouble <= (wide ? 9007199254740992.0 : 4294967295.0))) {
        return wagw_draft_bad(d, "media");
    }
    slot = media_slot(m, field);
    if (slot && wide) {
        *(uint64_t *)slot = (uint64_t)item->valuedouble;
    } else if (slot) {
        *(uint32_t *)slot = (uint32_t)item->valuedouble;
    }
    return WAGW_OK;
}

static void media_flag(ProtobufCMessage *m, const char *field, bool on)
{
    protobuf_c_boolean *slot = on ? media_slot(m, field) : NULL;

    if (slot) {
        *slot = 1;
    }
}

/* What every kind has, and what some have. */
static int media_fill(const wagw_draft_t *d, ProtobufCMessage *m, const cJSON *from)
{
    static const struct {
        const char *field, *name;
        size_t must;
    } bytes[] = {{"fileSha256", "fileSha256", 32},       {"mediaKey", "mediaKey", 32},
                 {"fileEncSha256", "fileEncSha256", 32}, {"jpegThumbnail", "thumbnail", 0},
                 {"streamingSidecar", "sidecar", 0},     {"waveform", "waveform", 0}};
    static const struct {
        const char *field, *name;
        bool wide;
    } numbers[] = {{"fileLength", "size", true}, {"mediaKeyTimestamp", "keyTime", true}, {"height", "height", false},
                   {"width", "width", false},    {"seconds", "seconds", false},          {"pageCount", "pages", false}};
    static const char *const strings[] = {"url", "mimetype", "directPath", "fileName", "title"};
    int rc = WAGW_OK;
    size_t i;

    for (i = 0; rc == WAGW_OK && i < sizeof(strings) / sizeof(strings[0]); i++) {
        rc = media_str(d, m, strings[i], from, strings[i]);
    }
    for (i = 0; rc == WAGW_OK && i < sizeof(bytes) / sizeof(bytes[0]); i++) {
        rc = media_bytes(d, m, bytes[i].field, from, bytes[i].name, bytes[i].must);
    }
    for (i = 0; rc == WAGW_OK && i < sizeof(numbers) / sizeof(numbers[0]); i++) {
        rc = media_number(d, m, numbers[i].field, from, numbers[i].name, numbers[i].wide);
    }
    return rc;
}

static int media_caption(const wagw_draft_t *d, ProtobufCMessage *m)
{
    char **slot;
    const char *s = wagw_draft_str(d, "caption", NULL);

    if (s == NULL || *s == '\0') {
        return WAGW_OK;
    }
    slot = media_slot(m, "caption");
    return slot ? wagw_draft_text(d, s, slot) : WAGW_OK;
}

/* Of a voice note among the status posts. */
static int media_colour(const wagw_draft_t *d, Wa__Message__AudioMessage *m)
{
    const char *s = wagw_draft_str(d, "backgroundColor", NULL);

    if (s == NULL) {
        return WAGW_OK;
    }
    m->has_backgroundargb = 1;
    return wagw_compose_colour(d, s, &m->backgroundargb);
}

/* A picture of an album names the message that opened it. */
static int media_album(wagw_draft_t *d)
{
    int rc;
    const cJSON *parent = wagw_draft_get(d, "albumParent", NULL);
    const char *id = cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(parent, "id"));
    Wa__MessageKey *k;
    Wa__MessageAssociation *as;
    Wa__MessageContextInfo *info;

    if (id == NULL) {
        return WAGW_OK;
    }
    WAGW_DRAFT_NEW(d, k, message_key);
    WAGW_DRAFT_NEW(d, as, message_association);
    WAGW_DRAFT_NEW(d, info, message_context_info);
    rc = wagw_draft_dup(d, &k->id, id);
    if (rc == WAGW_OK) {
        rc = wagw_draft_jid(d, &k->remotejid, &d->b->chat);
    }
    k->has_fromme = 1;
    k->fromme = 1;
    as->has_associationtype = 1;
    as->associationtype = WA__MESSAGE_ASSOCIATION__ASSOCIATION_TYPE__MESSAGEASSOCIATION_ASSOCIATIONTYPE__MEDIA_ALBUM;
    as->parentmessagekey = k;
    info->messageassociation = as;
    d->m->messagecontextinfo = info;
    return rc;
}

int wagw_compose_media(wagw_draft_t *d)
{
    int rc;
    bool once;
    Wa__Message *in = d->m;
    ProtobufCMessage *sub;
    const cJSON *from = wagw_draft_get(d, "_media", NULL);
    const char *type = cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(from, "type"));
    Wa__ContextInfo **slot;

    if (type == NULL) {
        return wagw_draft_bad(d, "media");
    }
    once = cJSON_IsTrue(cJSON_GetObjectItemCaseSensitive(from, "viewOnce"));
    if (once) {
        WAGW_DRAFT_NEW(d, d->m->viewoncemessage, message__future_proof_message);
        WAGW_DRAFT_NEW(d, in, message);
        d->m->viewoncemessage->message = in;
    }

    if (strcmp(type, "image") == 0) {
        WAGW_DRAFT_NEW(d, in->imagemessage, message__image_message);
        sub = &in->imagemessage->base;
    } else if (strcmp(type, "video") == 0 || strcmp(type, "gif") == 0) {
        WAGW_DRAFT_NEW(d, in->videomessage, message__video_message);
        sub = &in->videomessage->base;
        media_flag(sub, "gifPlayback", type[0] == 'g');
    } else if (strcmp(type, "ptv") == 0) {
        WAGW_DRAFT_NEW(d, in->ptvmessage, message__video_message);
        sub = &in->ptvmessage->base;
    } else if (strcmp(type, "audio") == 0 || strcmp(type, "voice") == 0) {
        WAGW_DRAFT_NEW(d, in->audiomessage, message__audio_message);
        sub = &in->audiomessage->base;
        media_flag(sub, "ptt", type[0] == 'v');
        rc = media_colour(d, in->audiomessage);
        if (rc != WAGW_OK) {
            return rc;
        }
    } else if (strcmp(type, "document") == 0) {
        WAGW_DRAFT_NEW(d, in->documentmessage, message__document_message);
        sub = &in->documentmessage->base;
    } else if (strcmp(type, "sticker") == 0) {
        WAGW_DRAFT_NEW(d, in->stickermessage, message__sticker_message);
        sub = &in->stickermessage->base;
        media_flag(sub, "isAnimated", cJSON_IsTrue(cJSON_GetObjectItemCaseSensitive(from, "animated")));
    } else {
        return wagw_draft_bad(d, "media");
    }

    rc = media_fill(d, sub, from);
    if (rc == WAGW_OK) {
        rc = media_caption(d, sub);
    }
    if (rc == WAGW_OK) {
        rc = media_album(d);
    }
    media_flag(sub, "viewOnce", once);
    slot = wagw_draft_context_slot(sub);
    return rc == WAGW_OK && slot ? wagw_draft_context(d, slot) : rc;
}

int wagw_compose_album(wagw_draft_t *d)
{
    int rc;
    Wa__Message__AlbumMessage *m;

    WAGW_DRAFT_NEW(d, m, message__album_message);
    rc = media_number(d, &m->base, "expectedImageCount", d->b->params, "images", false);
    if (rc == WAGW_OK) {
        rc = media_number(d, &m->base, "expectedVideoCount", d->b->params, "videos", false);
    }
    d->m->albummessage = m;
    return rc == WAGW_OK ? wagw_draft_context(d, &m->contextinfo) : rc;
}

/* The uploaded picture of a link preview. */
int wagw_compose_thumbnail(const wagw_draft_t *d, const cJSON *from, Wa__Message__ExtendedTextMessage *x)
{
    int rc;
    ProtobufCMessage *m = &x->base;

    rc = media_str(d, m, "thumbnailDirectPath", from, "directPath");
    if (rc == WAGW_OK) {
        rc = media_bytes(d, m, "thumbnailSha256", from, "fileSha256", 32);
    }
    if (rc == WAGW_OK) {
        rc = media_bytes(d, m, "thumbnailEncSha256", from, "fileEncSha256", 32);
    }
    if (rc == WAGW_OK) {
        rc = media_bytes(d, m, "mediaKey", from, "mediaKey", 32);
    }
    if (rc == WAGW_OK) {
        rc = media_number(d, m, "mediaKeyTimestamp", from, "keyTime", true);
    }
    if (rc == WAGW_OK) {
        rc = media_number(d, m, "thumbnailHeight", from, "height", false);
    }
    if (rc == WAGW_OK) {
        rc = media_number(d, m, "thumbnailWidth", from, "width", false);
    }
    return rc;
}

/* ---- reading ---- */

static wagw_str_t media_get_str(wagw_arena_t *a, const void *m, const char *name)
{
    const char *s = wagw_pb_str(m, name);

    return s && *s ? wagw_arena_str(a, wagw_cstr(s)) : WAGW_STR_NULL;
}

static wagw_str_t media_get_bytes(wagw_arena_t *a, const void *m, const char *name)
{
    wagw_str_t v;

    return wagw_pb_bytes(m, name, &v) && v.n ? wagw_arena_str(a, v) : WAGW_STR_NULL;
}

int wagw_message_file(wagw_message_file_t *out, wagw_arena_t *a, wagw_str_t content)
{
    int rc;
    wagw_open_t o;
    Wa__Message *m;

    memset(out, 0, sizeof(*out));
    m = (Wa__Message *)wagw_pb_unpack(a, &wa__message__descriptor, content, &rc);
    if (m == NULL) {
        return rc;
    }
    wagw_message_open(&o, m);
    if (o.kind != WAGW_KIND_MEDIA) {
        return WAGW_NOT_FOUND;
    }
    out->type = strcmp(o.type, "voice") == 0 ? "ptt" : strcmp(o.proto_name, "ptvMessage") == 0 ? "ptv" : o.type;
    out->url = media_get_str(a, o.sub, "url");
    out->direct_path = media_get_str(a, o.sub, "directPath");
    out->mimetype = media_get_str(a, o.sub, "mimetype");
    out->file_name = media_get_str(a, o.sub, "fileName");
    out->key = media_get_bytes(a, o.sub, "mediaKey");
    out->sha256 = media_get_bytes(a, o.sub, "fileSha256");
    out->enc_sha256 = media_get_bytes(a, o.sub, "fileEncSha256");
    wagw_pb_uint(o.sub, "fileLength", &out->size);
    return WAGW_OK;
}

int wagw_message_file_moved(wagw_arena_t *a, wagw_str_t content, wagw_str_t direct_path, wagw_str_t *out)
{
    int rc;
    char **slot;
    wagw_open_t o;
    Wa__Message *m;

    m = (Wa__Message *)wagw_pb_unpack(a, &wa__message__descriptor, content, &rc);
    if (m == NULL) {
        return rc;
    }
    wagw_message_open(&o, m);
    slot = o.kind == WAGW_KIND_MEDIA ? media_slot(o.sub, "directPath") : NULL;
    if (slot == NULL) {
        return WAGW_NOT_FOUND;
    }
    *slot = wagw_pb_dup(a, direct_path);
    /* the address named the old place */
    slot = media_slot(o.sub, "url");
    if (slot) {
        *slot = NULL;
    }
    *out = wagw_pb_pack(a, m);
    return out->p ? WAGW_OK : WAGW_NOMEM;
}

void wagw_message_attributes(wagw_arena_t *a, wagw_str_t content, wagw_built_t *out)
{
    int rc;
    wagw_open_t o;
    const char *stanza;
    Wa__Message *m = (Wa__Message *)wagw_pb_unpack(a, &wa__message__descriptor, content, &rc);

    if (m == NULL) {
        return;
    }
    wagw_message_open(&o, m);
    wagw_message_stanza(&o, &stanza, &out->mediatype, &out->polltype);
    out->biz = wagw_choice_biz(&o);
}

const char *wagw_message_mediatype(wagw_arena_t *a, wagw_str_t content)
{
    wagw_built_t built = {.mediatype = NULL};

    wagw_message_attributes(a, content, &built);
    return built.mediatype;
}
