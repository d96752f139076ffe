/*
 * core/message against messages.json: every row is decoded to JSON, encoded
 * back, read and named; rows that a REST call makes are built from its fields.
 */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <cmocka.h>

#include "../../core/message/message.h"
#include "vectors.h"

#define OWN_LID "111222333444555@lid"

typedef struct {
    const char *name;
    const char *type;
    wagw_message_is_t is;
} known_t;

static const known_t known[] = {
    {"text", "text", WAGW_IS_CONTENT},
    {"text-empty-preview-off", "text", WAGW_IS_CONTENT},
    {"text-mentions", "text", WAGW_IS_CONTENT},
    {"text-mention-all", "text", WAGW_IS_CONTENT},
    {"text-link-preview", "text", WAGW_IS_CONTENT},
    {"text-link-preview-hq", "text", WAGW_IS_CONTENT},
    {"text-status-style", "text", WAGW_IS_CONTENT},
    {"text-ephemeral", "text", WAGW_IS_CONTENT},
    {"text-quote-text", "text", WAGW_IS_CONTENT},
    {"text-quote-own", "text", WAGW_IS_CONTENT},
    {"text-quote-group-image", "text", WAGW_IS_CONTENT},
    {"text-quote-ephemeral-wrapped", "text", WAGW_IS_CONTENT},
    {"text-quote-private-reply", "text", WAGW_IS_CONTENT},
    {"text-context-ad", "text", WAGW_IS_CONTENT},
    {"reaction", "reaction", WAGW_IS_REACTION},
    {"reaction-remove", "reaction", WAGW_IS_REACTION},
    {"delete-own", "revoke", WAGW_IS_REVOKE},
    {"delete-admin", "revoke", WAGW_IS_REVOKE},
    {"edit-text", "edit", WAGW_IS_EDIT},
    {"pin", "pin", WAGW_IS_PIN},
    {"unpin", "pin", WAGW_IS_PIN},
    {"disappearing-on", "disappearing", WAGW_IS_EPHEMERAL_SETTING},
    {"disappearing-default", "disappearing", WAGW_IS_EPHEMERAL_SETTING},
    {"contact", "contact", WAGW_IS_CONTENT},
    {"contacts", "contact", WAGW_IS_CONTENT},
    {"location", "location", WAGW_IS_CONTENT},
    {"location-bare", "location", WAGW_IS_CONTENT},
    {"image", "image", WAGW_IS_CONTENT},
    {"image-viewonce", "image", WAGW_IS_CONTENT},
    {"image-png-mention", "image", WAGW_IS_CONTENT},
    {"video", "video", WAGW_IS_CONTENT},
    {"video-gif", "video", WAGW_IS_CONTENT},
    {"ptv", "video", WAGW_IS_CONTENT},
    {"audio", "audio", WAGW_IS_CONTENT},
    {"voice", "voice", WAGW_IS_CONTENT},
    {"document", "document", WAGW_IS_CONTENT},
    {"document-caption", "document", WAGW_IS_CONTENT},
    {"document-default-name", "document", WAGW_IS_CONTENT},
    {"sticker", "sticker", WAGW_IS_CONTENT},
    {"sticker-animated", "sticker", WAGW_IS_CONTENT},
    {"image-quoting", "image", WAGW_IS_CONTENT},
    {"album-child", "image", WAGW_IS_CONTENT},
    {"album-parent", "album", WAGW_IS_CONTENT},
    {"poll-single", "poll", WAGW_IS_CONTENT},
    {"poll-multi", "poll", WAGW_IS_CONTENT},
    {"poll-announcement", "poll", WAGW_IS_CONTENT},
    {"event", "event", WAGW_IS_CONTENT},
    {"event-cancelled", "event", WAGW_IS_CONTENT},
    {"forward-text", "text", WAGW_IS_CONTENT},
    {"forward-own", "text", WAGW_IS_CONTENT},
    {"forward-image-score", "image", WAGW_IS_CONTENT},
    {"group-invite", "group_invite", WAGW_IS_CONTENT},
    {"button-reply-template", "button_reply", WAGW_IS_CONTENT},
    {"button-reply-plain", "button_reply", WAGW_IS_CONTENT},
    {"list-reply", "list_reply", WAGW_IS_CONTENT},
    {"share-phone", "system", WAGW_IS_PROTOCOL_OTHER},
    {"request-phone", "request_phone", WAGW_IS_CONTENT},
    {"limit-sharing", "system", WAGW_IS_PROTOCOL_OTHER},
    {"conversation", "text", WAGW_IS_CONTENT},
    {"conversation-empty", "text", WAGW_IS_CONTENT},
    {"device-sent", "text", WAGW_IS_CONTENT},
    {"message-context-info", "text", WAGW_IS_CONTENT},
    {"sender-key-distribution", "unknown", WAGW_IS_NOTHING},
    {"edit-wrapped", "edit", WAGW_IS_EDIT},
    {"history-sync-notification", "system", WAGW_IS_HISTORY_SYNC},
    {"app-state-key-share", "system", WAGW_IS_APP_STATE_KEY_SHARE},
    {"app-state-key-request", "system", WAGW_IS_APP_STATE_KEY_REQUEST},
    {"pdo-placeholder-resend", "system", WAGW_IS_PEER_OTHER},
    {"pdo-history-on-demand", "system", WAGW_IS_PEER_OTHER},
    {"pdo-response", "system", WAGW_IS_PEER_RESPONSE},
    {"lid-mapping-sync", "system", WAGW_IS_LID_MAPPING},
    {"ephemeral-setting", "disappearing", WAGW_IS_EPHEMERAL_SETTING},
    {"ephemeral-wrapper", "text", WAGW_IS_CONTENT},
    {"viewonce-v2", "image", WAGW_IS_CONTENT},
    {"viewonce-v2-ext-voice", "voice", WAGW_IS_CONTENT},
    {"document-with-caption", "document", WAGW_IS_CONTENT},
    {"live-location", "live_location", WAGW_IS_CONTENT},
    {"poll-update", "poll_vote", WAGW_IS_POLL_VOTE},
    {"enc-reaction", "reaction", WAGW_IS_ENC_REACTION},
    {"event-response", "event_response", WAGW_IS_EVENT_RESPONSE},
    {"list", "list", WAGW_IS_CONTENT},
    {"buttons", "buttons", WAGW_IS_CONTENT},
    {"interactive-native-flow", "buttons", WAGW_IS_CONTENT},
    {"interactive-response", "button_reply", WAGW_IS_CONTENT},
    {"template", "buttons", WAGW_IS_CONTENT},
    {"keep-in-chat", "keep", WAGW_IS_KEEP},
    {"newsletter-admin-invite", "newsletter_invite", WAGW_IS_CONTENT},
    {"product", "product", WAGW_IS_CONTENT},
    {"order", "order", WAGW_IS_CONTENT},
    {"call-log", "call", WAGW_IS_CONTENT},
    {"scheduled-call", "call", WAGW_IS_CONTENT},
    {"comment", "comment", WAGW_IS_CONTENT},
    {"poll-result-snapshot", "poll_result", WAGW_IS_CONTENT},
    {"request-payment", "payment", WAGW_IS_CONTENT},
    {"status-mention", "status_mention", WAGW_IS_CONTENT},
    {"member-label", "system", WAGW_IS_PROTOCOL_OTHER},
    {"bot-invoke", "text", WAGW_IS_CONTENT},
    {"unknown-field-tolerance", "text", WAGW_IS_CONTENT},
};

/* The REST surface has no call that makes these: protobuf JSON does. */
static const char *const raw_only[] = {
    "text-context-ad", "button-reply-template", "button-reply-plain", "list-reply",
    "share-phone",     "request-phone",         "limit-sharing",
};

static bool listed(const char *const *list, size_t n, const char *name)
{
    for (size_t i = 0; i < n; i++) {
        if (strcmp(list[i], name) == 0) {
            return true;
        }
    }
    return false;
}

#define LISTED(list, name) listed(list, sizeof(list) / sizeof((list)[0]), name)

/* Vectors write bytes as "hex:..."; `hex` keeps them as {"$hex":...}, else
 * they become base64. */
static void bytes_form(cJSON *item, bool hex)
{
    for (cJSON *one = item->child, *next; one; one = next) {
        next = one->next;

        if (cJSON_IsString(one) && strncmp(one->valuestring, "hex:", 4) == 0) {
            cJSON *new;

            if (hex) {
                new = cJSON_CreateObject();
                cJSON_AddStringToObject(new, "$hex", one->valuestring + 4);
            } else {
                wagw_buf_t raw = {0}, b64 = {0};

                assert_int_equal(wagw_hex_decode(&raw, wagw_cstr(one->valuestring + 4)), WAGW_OK);
                assert_int_equal(wagw_base64_encode(&b64, wagw_buf_view(&raw)), WAGW_OK);
                wagw_buf_u8(&b64, 0);
                new = cJSON_CreateString((char *)b64.p);
                wagw_buf_free(&raw);
                wagw_buf_free(&b64);
            }
            assert_true(one->string ? cJSON_ReplaceItemInObjectCaseSensitive(item, one->string, new)
                                    : cJSON_ReplaceItemViaPointer(item, one, new));
            continue;
        }
        if (one->child) {
            bytes_form(one, hex);
        }
    }
}

static cJSON *form(const cJSON *item, bool hex)
{
    cJSON *box = cJSON_CreateArray();
    cJSON *copy;

    cJSON_AddItemToArray(box, cJSON_Duplicate(item, true));
    bytes_form(box, hex);
    copy = cJSON_DetachItemFromArray(box, 0);
    cJSON_Delete(box);
    return copy;
}

static wagw_str_t encode(wagw_arena_t *a, const cJSON *decoded)
{
    wagw_buf_t b = {0};
    const char *field = NULL;
    cJSON *json = form(decoded, true);
    wagw_str_t out = {0};

    if (wagw_message_from_json(&b, json, &field) == WAGW_OK) {
        out = wagw_arena_str(a, wagw_buf_view(&b));
    } else {
        print_error("from_json: %s\n", field ? field : "?");
    }
    wagw_buf_free(&b);
    cJSON_Delete(json);
    return out;
}

static cJSON *decode(wagw_str_t bytes)
{
    wagw_buf_t b = {0};
    cJSON *json = NULL;

    if (wagw_message_json(&b, bytes) == WAGW_OK) {
        json = cJSON_ParseWithLength((char *)b.p, b.n);
    }
    wagw_buf_free(&b);
    return json;
}

static bool row_codec(wagw_arena_t *a, const cJSON *row, wagw_str_t bytes)
{
    bool ok;
    cJSON *want = form(vec_get(row, "decoded"), false), *got = decode(bytes);

    ok = got && cJSON_Compare(want, got, true);
    if (!ok) {
        print_error("%s: decoded differs\n", vec_str(row, "name"));
    }
    cJSON_Delete(want);
    cJSON_Delete(got);

    /* that row holds a field which no schema knows */
    if (ok && strcmp(vec_str(row, "name"), "unknown-field-tolerance") != 0) {
        ok = wagw_str_eq(encode(a, vec_get(row, "decoded")), bytes);
        if (!ok) {
            print_error("%s: encoded differs\n", vec_str(row, "name"));
        }
    }
    return ok;
}

static bool row_read(wagw_arena_t *a, const cJSON *row, wagw_str_t bytes)
{
    wagw_content_t c;
    const char *name = vec_str(row, "name");

    if (wagw_message_read(&c, a, bytes) != WAGW_OK) {
        print_error("%s: not read\n", name);
        return false;
    }
    for (size_t i = 0; i < sizeof(known) / sizeof(known[0]); i++) {
        if (strcmp(known[i].name, name) == 0) {
            if (strcmp(known[i].type, c.type) == 0 && known[i].is == c.is) {
                return true;
            }
            print_error("%s: read as %s (%d)\n", name, c.type, c.is);
            return false;
        }
    }
    print_error("%s: no such kind is expected\n", name);
    return false;
}

/* One call of the REST surface, as the engine hands it over. */
typedef struct {
    wagw_build_t b;
    wagw_row_message_t quoted, target;
    wagw_jid_t mentions[8];
    cJSON *params;
    cJSON *want; /* protobuf JSON that must come out */
    uint8_t secret[32];
} call_t;

static wagw_jid_t jid(const char *text)
{
    wagw_jid_t j;

    assert_int_equal(wagw_jid_parse(&j, wagw_cstr(text)), WAGW_OK);
    return j;
}

static void copy_member(cJSON *to, const char *as, const cJSON *from, const char *name)
{
    const cJSON *item = vec_get(from, name);

    if (item) {
        cJSON_AddItemToObject(to, as, cJSON_Duplicate(item, true));
    }
}

/* The stored row that a vector's key and message stand for. */
static void stored(wagw_arena_t *a, call_t *c, wagw_row_message_t *r, wagw_jid_t *author, const cJSON *key,
                   const cJSON *message)
{
    r->id = wagw_cstr(vec_str(key, "id"));
    r->from_me = vec_bool(key, "fromMe");
    r->chat = r->to = wagw_cstr(vec_str(key, "remoteJid"));
    if (message) {
        r->content = encode(a, message);
        assert_non_null(r->content.p);
    }
    if (r->from_me) {
        *author = c->b.self;
    } else {
        *author = jid(vec_str(key, "participant") ? vec_str(key, "participant") : vec_str(key, "remoteJid"));
    }
}

static void media_member(cJSON *to, const char *as, const cJSON *from, const char *name)
{
    const char *s = vec_str(from, name);

    if (s && strncmp(s, "hex:", 4) == 0) {
        cJSON *box = cJSON_CreateArray(), *item;

        cJSON_AddItemToArray(box, cJSON_CreateString(s));
        bytes_form(box, false);
        item = cJSON_DetachItemFromArray(box, 0);
        cJSON_AddItemToObject(to, as, item);
        cJSON_Delete(box);
    } else if (s && strspn(s, "0123456789") == strlen(s)) {
        cJSON_AddNumberToObject(to, as, (double)vec_int(from, name, 0));
    } else {
        copy_member(to, as, from, name);
    }
}

/* What the owner knows of an uploaded file, from what the row says of it. */
static void media_from(cJSON *to, const cJSON *made)
{
    static const char *const names[][2] = {
        {"url", "url"},           {"directPath", "directPath"},     {"mediaKey", "mediaKey"},
        {"mimetype", "mimetype"}, {"fileSha256", "fileSha256"},     {"fileEncSha256", "fileEncSha256"},
        {"size", "fileLength"},   {"keyTime", "mediaKeyTimestamp"}, {"width", "width"},
        {"height", "height"},     {"seconds", "seconds"},           {"thumbnail", "jpegThumbnail"},
        {"waveform", "waveform"}, {"fileName", "fileName"},         {"animated", "isAnimated"},
        {"viewOnce", "viewOnce"},
    };

    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        media_member(to, names[i][0], made, names[i][1]);
    }
}

static void call_text(wagw_arena_t *a, call_t *c, const cJSON *row, const cJSON *rest)
{
    const cJSON *preview = vec_get(rest, "preview"), *mentions = vec_get(rest, "mentions"), *one;
    const cJSON *options = vec_get(row, "options"), *quoted = vec_get(options, "quoted");

    c->b.kind = WAGW_BUILD_TEXT;
    copy_member(c->params, "message", rest, "text");
    copy_member(c->params, "mentions", rest, "mentions");
    copy_member(c->params, "backgroundColor", rest, "background");
    copy_member(c->params, "font", rest, "font");
    c->b.expiration = (uint32_t)vec_int(rest, "expiration", 0);
    c->b.mention_all = vec_bool(rest, "mention_all");
    c->b.mentions = c->mentions;

    cJSON_ArrayForEach(one, mentions)
    {
        c->mentions[c->b.nmentions++] = jid(one->valuestring);
    }
    if (cJSON_IsObject(preview)) {
        cJSON *p = form(preview, false), *to = cJSON_AddObjectToObject(c->params, "linkPreview");

        copy_member(to, "matchedText", p, "matched_text");
        copy_member(to, "title", p, "title");
        copy_member(to, "description", p, "description");
        copy_member(to, "thumbnail", p, "thumbnail");
        if (vec_bool(p, "hq")) {
            const cJSON *hq = vec_get(vec_get(vec_get(row, "baileys_content"), "linkPreview"), "highQualityThumbnail");

            media_from(cJSON_AddObjectToObject(to, "_media"), hq);
        }
        cJSON_Delete(p);
    }
    if (quoted) {
        stored(a, c, &c->quoted, &c->b.quoted_author, vec_get(quoted, "key"), vec_get(quoted, "message"));
        c->b.quoted = &c->quoted;
    }
}

static void call_event(call_t *c, const cJSON *e)
{
    const cJSON *place = vec_get(e, "location");

    c->b.kind = WAGW_BUILD_EVENT;
    copy_member(c->params, "name", e, "name");
    copy_member(c->params, "description", e, "description");
    copy_member(c->params, "extraGuestsAllowed", e, "extraGuestsAllowed");
    copy_member(c->params, "cancelled", e, "isCancelled");
    cJSON_AddStringToObject(c->params, "startTime", vec_str(e, "startDate") + 5);
    if (vec_str(e, "endDate")) {
        cJSON_AddStringToObject(c->params, "endTime", vec_str(e, "endDate") + 5);
    }
    if (place) {
        cJSON *to = cJSON_AddObjectToObject(c->params, "location");

        copy_member(to, "latitude", place, "degreesLatitude");
        copy_member(to, "longitude", place, "degreesLongitude");
        copy_member(to, "name", place, "name");
    }
}

/* View-once media is not forwarded (05 section 3.2), although Baileys, and so
 * the row, takes it out of its wrapper: then the bare content is the target. */
static void call_forward(wagw_arena_t *a, call_t *c, const cJSON *message)
{
    wagw_built_t out;
    const char *field;
    const cJSON *once = vec_get(message, "viewOnceMessage");

    c->target.content = encode(a, message);
    if (once) {
        assert_int_equal(wagw_message_build(&out, a, &c->b, &field), WAGW_STATE);
        c->target.content = encode(a, vec_get(once, "message"));
    }
}

static void call_media(wagw_arena_t *a, call_t *c, const cJSON *row, const cJSON *rest)
{
    const cJSON *content = c->want->child, *mentions = vec_get(rest, "mentions"), *one;
    const cJSON *quoted = vec_get(vec_get(row, "options"), "quoted");
    cJSON *media = cJSON_AddObjectToObject(c->params, "_media");

    c->b.kind = WAGW_BUILD_MEDIA;
    cJSON_AddStringToObject(media, "type", vec_str(rest, "type"));
    while (content && strcmp(content->string, "messageContextInfo") == 0) {
        content = content->next;
    }
    if (strcmp(content->string, "viewOnceMessage") == 0) {
        content = vec_get(content, "message")->child;
    }
    media_from(media, content);
    copy_member(c->params, "caption", rest, "caption");
    copy_member(c->params, "mentions", rest, "mentions");
    copy_member(c->params, "albumParent", rest, "album_parent");
    c->b.mentions = c->mentions;
    cJSON_ArrayForEach(one, mentions)
    {
        c->mentions[c->b.nmentions++] = jid(one->valuestring);
    }
    if (quoted) {
        stored(a, c, &c->quoted, &c->b.quoted_author, vec_get(quoted, "key"), vec_get(quoted, "message"));
        c->b.quoted = &c->quoted;
    }
}

/* What of the row is deliberately not as Baileys has it (05 section 14). */
static void expect(call_t *c, const char *name)
{
    cJSON *x;

    if (strcmp(name, "text-mentions") == 0) {
        x = cJSON_GetObjectItem(cJSON_GetObjectItem(c->want, "extendedTextMessage"), "contextInfo");
        cJSON_DeleteItemFromObject(x, "nonJidMentions");

    } else if (strcmp(name, "text-quote-own") == 0) {
        x = cJSON_GetObjectItem(cJSON_GetObjectItem(c->want, "extendedTextMessage"), "contextInfo");
        cJSON_ReplaceItemInObject(x, "participant", cJSON_CreateString(OWN_LID));

    } else if (strcmp(name, "edit-text") == 0) {
        x = cJSON_DetachItemFromObject(c->want, "protocolMessage");
        cJSON_AddItemToObject(cJSON_AddObjectToObject(cJSON_AddObjectToObject(c->want, "editedMessage"), "message"),
                              "protocolMessage", x);

    } else if (strncmp(name, "disappearing-", 13) == 0) {
        x = cJSON_GetObjectItem(cJSON_GetObjectItem(c->want, "ephemeralMessage"), "message");
        x = cJSON_DetachItemFromObject(x, "protocolMessage");
        cJSON_DeleteItemFromObject(c->want, "ephemeralMessage");
        cJSON_AddStringToObject(x, "ephemeralSettingTimestamp", "1767225600");
        cJSON_AddItemToObject(c->want, "protocolMessage", x);
    }
}

static bool call_prepare(wagw_arena_t *a, call_t *c, const cJSON *row)
{
    const cJSON *rest = vec_get(row, "rest_suggestion"), *made = vec_get(row, "baileys_content");
    const cJSON *key = vec_get(rest, "key");
    const char *type = vec_str(rest, "type");

    c->params = cJSON_CreateObject();
    c->want = cJSON_Duplicate(vec_get(row, "decoded"), true);
    c->b.params = c->params;
    c->b.now_ms = 1767225600000;
    c->b.chat = jid(vec_str(rest, "to"));
    c->b.self = jid(OWN_LID);

    if (vec_str(vec_get(c->want, "messageContextInfo"), "messageSecret")) {
        const char *s = vec_str(vec_get(c->want, "messageContextInfo"), "messageSecret");

        assert_int_equal(wagw_hex_fixed(c->secret, 32, wagw_cstr(s + 4)), WAGW_OK);
    }
    c->b.secret = c->secret;

    if (key) {
        stored(a, c, &c->target, &c->b.target_author, key, NULL);
        c->b.target = &c->target;
    }

    if (LISTED(raw_only, vec_str(row, "name"))) {
        c->b.kind = WAGW_BUILD_RAW;
        cJSON_AddItemToObject(c->params, "message", form(c->want, true));
    } else if (strcmp(type, "text") == 0) {
        call_text(a, c, row, rest);
    } else if (strcmp(type, "reaction") == 0) {
        c->b.kind = WAGW_BUILD_REACTION;
        copy_member(c->params, "emoji", rest, "emoji");
    } else if (strcmp(type, "delete") == 0) {
        c->b.kind = WAGW_BUILD_REVOKE;
    } else if (strcmp(type, "edit") == 0) {
        c->b.kind = WAGW_BUILD_EDIT;
        copy_member(c->params, "newText", rest, "text");
    } else if (strcmp(type, "forward") == 0) {
        c->b.kind = WAGW_BUILD_FORWARD;
        call_forward(a, c, vec_get(vec_get(made, "forward"), "message"));
    } else if (strcmp(type, "pin") == 0 || strcmp(type, "unpin") == 0) {
        c->b.kind = WAGW_BUILD_PIN;
        cJSON_AddBoolToObject(c->params, "pin", type[0] == 'p');
        copy_member(c->params, "duration", rest, "seconds");
    } else if (strcmp(type, "disappearing") == 0) {
        c->b.kind = WAGW_BUILD_DISAPPEARING;
        cJSON_AddNumberToObject(c->params, "duration", (double)vec_int(rest, "seconds", 604800));
    } else if (strcmp(type, "contact") == 0) {
        c->b.kind = WAGW_BUILD_CONTACT;
        copy_member(c->params, "contacts", rest, "contacts");
    } else if (strcmp(type, "location") == 0) {
        c->b.kind = WAGW_BUILD_LOCATION;
        c->b.params = rest;
    } else if (strcmp(type, "poll") == 0) {
        c->b.kind = WAGW_BUILD_POLL;
        copy_member(c->params, "question", rest, "name");
        copy_member(c->params, "options", rest, "options");
        copy_member(c->params, "selectableCount", rest, "selectable");
        copy_member(c->params, "toAnnouncementGroup", vec_get(made, "poll"), "toAnnouncementGroup");
    } else if (vec_get(rest, "media")) {
        call_media(a, c, row, rest);
    } else if (strcmp(type, "album") == 0) {
        c->b.kind = WAGW_BUILD_ALBUM;
        c->b.params = rest;
    } else if (strcmp(type, "event") == 0) {
        call_event(c, vec_get(made, "event"));
    } else if (strcmp(type, "group_invite") == 0) {
        c->b.kind = WAGW_BUILD_GROUP_INVITE;
        copy_member(c->params, "groupId", rest, "group");
        copy_member(c->params, "code", rest, "code");
        copy_member(c->params, "inviteExpiration", rest, "expiration");
        copy_member(c->params, "name", rest, "name");
        copy_member(c->params, "caption", rest, "text");
    } else {
        return false;
    }

    expect(c, vec_str(row, "name"));
    return true;
}

static bool row_build(wagw_arena_t *a, const cJSON *row)
{
    call_t c;
    int rc;
    bool ok = false;
    wagw_built_t out;
    const char *field = NULL;

    memset(&c, 0, sizeof(c));

    if (!call_prepare(a, &c, row)) {
        print_error("%s: no builder\n", vec_str(row, "name"));
    } else {
        rc = wagw_message_build(&out, a, &c.b, &field);
        if (rc != WAGW_OK) {
            print_error("%s: built %s, field %s\n", vec_str(row, "name"), wagw_rc_name(rc), field ? field : "-");
        } else {
            ok = wagw_str_eq(out.bytes, encode(a, c.want));
            if (!ok) {
                wagw_buf_t b = {0};

                wagw_message_json(&b, out.bytes);
                print_error("%s: built %.*s\n", vec_str(row, "name"), (int)b.n, (char *)b.p);
                wagw_buf_free(&b);
            }
        }
    }
    cJSON_Delete(c.params);
    cJSON_Delete(c.want);
    return ok;
}

static void test_rows(void **state)
{
    cJSON *json = vec_load("messages");
    const cJSON *row;
    unsigned passed = 0, failed = 0;

    (void)state;
    if (json == NULL) {
        skip();
    }

    cJSON_ArrayForEach(row, vec_get(json, "entries"))
    {
        wagw_arena_t a = {0};
        wagw_str_t bytes = vec_bytes(&a, row, "encoded");
        bool ok = bytes.p && row_codec(&a, row, bytes) && row_read(&a, row, bytes);

        if (ok &&
            (cJSON_IsNull(vec_get(row, "rest_suggestion")) || !vec_get(row, "rest_suggestion") || row_build(&a, row))) {
            passed++;
        } else {
            failed++;
        }
        wagw_arena_free(&a);
    }

    vec_count("messages", passed, failed, 0);
    assert_int_equal(failed, 0);
    assert_true(passed > 0);
    cJSON_Delete(json);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_rows),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
