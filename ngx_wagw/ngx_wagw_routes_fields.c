/*
 * The fields of the calls that are built (contract section 3), shared by rows
 * that take the same.  A path parameter has a row only where its value has a
 * type.  ANY lists the accepted types in `choices`.
 */

#include "ngx_wagw_fields.h"

/* clang-format off */
#define F_REQ      1, 0 /* required, nullable */
#define F_OPT      0, 0
#define F_NULLABLE 0, 1

/*       name, type, required+nullable, alias, min, max, choices, default, help */
#define STR(n, req, alias, min, max, help)   {n, NGX_WAGW_T_STR, F_##req, alias, min, max, NULL, NULL, help}
#define INT(n, min, max, dflt, help)         {n, NGX_WAGW_T_INT, F_OPT, NULL, min, max, NULL, dflt, help}
#define BOOL(n, dflt, help)                  {n, NGX_WAGW_T_BOOL, F_OPT, NULL, 0, 0, NULL, dflt, help}
#define JID(n, req, alias, help)             {n, NGX_WAGW_T_JID, F_##req, alias, 0, 0, NULL, NULL, help}
#define PHONE(n, req, help)                  {n, NGX_WAGW_T_PHONE, F_##req, NULL, 0, 0, NULL, NULL, help}
#define URL(n, req, help)                    {n, NGX_WAGW_T_URL, F_##req, NULL, 0, 0, NULL, NULL, help}
#define ISO(n, req, help)                    {n, NGX_WAGW_T_ISO, F_##req, NULL, 0, 0, NULL, NULL, help}
#define OBJ(n, help)                         {n, NGX_WAGW_T_OBJ, F_OPT, NULL, 0, 0, NULL, NULL, help}
#define STRS(n, req, min, max, help)         {n, NGX_WAGW_T_STRS, F_##req, NULL, min, max, NULL, NULL, help}
#define ENUM(n, req, choices, dflt, help)    {n, NGX_WAGW_T_ENUM, F_##req, NULL, 0, 0, choices, dflt, help}
#define ANY(n, choices, help)                {n, NGX_WAGW_T_ANY, F_OPT, NULL, 0, 0, choices, NULL, help}
#define NUM(n, req, min, max, help)         {n, NGX_WAGW_T_NUM, F_##req, NULL, min, max, NULL, NULL, help}
#define ARR(n, req, min, max, help)         {n, NGX_WAGW_T_ARR, F_##req, NULL, min, max, NULL, NULL, help}
#define GROUP(n, req, help)                  {n, NGX_WAGW_T_GROUP, F_##req, NULL, 0, 0, NULL, NULL, help}
#define JIDS(n, req, min, max, help)         {n, NGX_WAGW_T_JIDS, F_##req, NULL, min, max, NULL, NULL, help}
#define END                                  {NULL, 0, F_OPT, NULL, 0, 0, NULL, NULL, NULL}

#define INSTANCE     STR("instanceId", REQ, NULL, 1, 64, "the instance")
#define CHAT         JID("chatId", REQ, NULL, "the chat")
#define CHAT_OR_TO   JID("chatId", REQ, "to", "the chat")
#define MESSAGE_ID   STR("messageId", REQ, NULL, 1, 64, "the message")
#define LIMIT(dflt)  INT("limit", 1, 500, dflt, "at most so many")
#define OFFSET       INT("offset", 0, 1e9, "0", "skip so many")
#define CURSOR       STR("cursor", OPT, NULL, 1, 512, "nextCursor of the page before")

/* contract 1.9 */
#define SEND_FIELDS                                                                                             \
    JID("to", REQ, "chatId", "recipient"),                                                                      \
    STR("quotedMessageId", OPT, NULL, 1, 64, "reply to this stored message"),                                   \
    OBJ("quoted", "{id, participant, text} of a message that is not stored"),                                   \
    ANY("mentions", "jids|all", "who is mentioned; \"all\" in groups"),                                         \
    STR("messageId", OPT, NULL, 1, 64, "use this id, from new-message-id"),                                     \
    INT("expiration", 0, 7776000, NULL, "disappearing timer in seconds; default: the chat's"),                  \
    ANY("simulateTyping", "bool|int", "composing before the send, or its milliseconds"),                        \
    STR("ref", OPT, NULL, 0, 128, "your reference, echoed in answer and events"),                               \
    INT("priority", 0, 9, "5", "in the instance's send queue"),                                                 \
    BOOL("async", "false", "answer 202 at once")

const ngx_wagw_field_t ngx_wagw_fields_none[] = {END};

const ngx_wagw_field_t ngx_wagw_fields_key_create[] = {
    STR("name", REQ, NULL, 1, 100, "what the key is for"),
    {"permissions", NGX_WAGW_T_STRS, F_OPT, NULL, 1, 5, "read|send|write|control|admin", "[\"read\",\"write\"]",
     "what it may do"},
    STRS("instanceIds", OPT, 0, 1000, "only these instances"),
    ISO("expiresAt", NULLABLE, "when it ends"),
    STRS("ipAllow", OPT, 0, 32, "only from these addresses (CIDR)"),
    END};

const ngx_wagw_field_t ngx_wagw_fields_keys_list[] = {LIMIT("50"), OFFSET, END};

const ngx_wagw_field_t ngx_wagw_fields_key_update[] = {
    STR("name", OPT, NULL, 1, 100, "what the key is for"),
    {"permissions", NGX_WAGW_T_STRS, F_OPT, NULL, 1, 5, "read|send|write|control|admin", NULL, "what it may do"},
    STRS("instanceIds", OPT, 0, 1000, "only these instances; empty: all"),
    BOOL("isActive", NULL, "false: refused until it is true again"),
    ISO("expiresAt", NULLABLE, "when it ends; null: never"),
    END};

#define INSTANCE_OPTIONS                                                                                        \
    STRS("webhookEvents", OPT, 0, 100, "events for webhookUrl; default all"),                                   \
    STR("webhookSecret", NULLABLE, NULL, 1, 256, "signs the deliveries to webhookUrl"),                         \
    OBJ("webhookHeaders", "further headers of the deliveries"),                                                 \
    STR("proxy", NULLABLE, NULL, 1, 2048, "http, https or socks5 address"),                                     \
    OBJ("settings", "settings of contract 3.2"),                                                                \
    OBJ("metadata", "anything of yours, in every webhook"),                                                     \
    OBJ("browser", "{os, name} shown on the phone"),                                                            \
    ENUM("syncHistory", OPT, "none|recent|full", NULL, "how much history to take over")

const ngx_wagw_field_t ngx_wagw_fields_instance_create[] = {
    STR("name", REQ, NULL, 1, 100, "a name for people"),
    STR("id", OPT, NULL, 1, 64, "your id: letters, digits, _ and -"),
    {"phoneNumber", NGX_WAGW_T_PHONE, F_NULLABLE, NULL, 0, 0, NULL, NULL, "the number that will be linked"},
    {"webhookUrl", NGX_WAGW_T_URL, F_NULLABLE, NULL, 0, 0, NULL, NULL, "where events go"},
    BOOL("autoConnect", "true", "connect at start"),
    INSTANCE_OPTIONS,
    END};

const ngx_wagw_field_t ngx_wagw_fields_instance_update[] = {
    STR("name", OPT, NULL, 1, 100, "a name for people"),
    {"phoneNumber", NGX_WAGW_T_PHONE, F_NULLABLE, NULL, 0, 0, NULL, NULL, "the number that will be linked"},
    {"webhookUrl", NGX_WAGW_T_URL, F_NULLABLE, NULL, 0, 0, NULL, NULL, "where events go; null removes it"},
    BOOL("autoConnect", NULL, "connect at start"),
    INSTANCE_OPTIONS,
    END};

const ngx_wagw_field_t ngx_wagw_fields_instance_list[] = {
    ENUM("status", OPT, "disconnected|connecting|qr|pairing|passkey|connected|logged_out|banned|conflict|paused|failed",
         NULL, "only with this status"),
    STR("name", OPT, NULL, 1, 100, "only with this name"),
    LIMIT("100"), OFFSET,
    END};

const ngx_wagw_field_t ngx_wagw_fields_instance_qr[] = {
    ENUM("format", OPT, "json|png|svg|text", NULL, "default: json, or png by Accept: image/png"),
    INT("size", 32, 2048, NULL, "pixels of the picture"),
    END};

const ngx_wagw_field_t ngx_wagw_fields_instance_delete[] = {
    BOOL("logout", "true", "unlink at WhatsApp first"),
    BOOL("keepMessages", "false", "keep the stored messages"),
    END};

const ngx_wagw_field_t ngx_wagw_fields_pairing_code[] = {
    PHONE("phoneNumber", REQ, "the number to link"),
    STR("customCode", OPT, NULL, 8, 8, "a code of your own"),
    BOOL("showPushNotification", "true", "notify the phone"),
    END};

const ngx_wagw_field_t ngx_wagw_fields_webhook_put[] = {
    URL("url", REQ, "where events go"),
    STR("id", OPT, NULL, 1, 64, "the webhook to change; default: the one with this url"),
    {"events", NGX_WAGW_T_STRS, F_NULLABLE, NULL, 0, 100, NULL, NULL, "which events; default all"},
    STR("secret", NULLABLE, NULL, 1, 256, "signs the deliveries"),
    {"headers", NGX_WAGW_T_OBJ, F_NULLABLE, NULL, 0, 0, NULL, NULL, "further headers"},
    OBJ("retry", "{policy, attempts, delay}"),
    BOOL("enabled", NULL, "deliver to it"),
    OBJ("batch", "{max, ms}"),
    OBJ("filter", "{chats, types, fromMe}"),
    BOOL("ordered", NULL, "a failing event holds back its chat"),
    BOOL("retryAll", NULL, "retry also after 400, 401, 403, 404, 410, 422"),
    END};

const ngx_wagw_field_t ngx_wagw_fields_send_text[] = {
    INSTANCE,
    STR("message", REQ, "text", 1, 65536, "the text"),
    SEND_FIELDS,
    BOOL("linkPreview", "true", "preview of the first URL"),
    END};

/* contract 1.10; a multipart part `file` goes before all of them */
#define MEDIA_FIELDS(kind)                                                                                      \
    STR(kind "Base64", OPT, NULL, 0, 0, "the file as base64 or data URL"),                                      \
    URL(kind "Url", OPT, "where the file is fetched"),                                                          \
    ANY(kind, "str|obj", "address, data URL, base64, or {url} or {base64, mimetype, filename}"),                \
    STR("mediaId", OPT, NULL, 1, 64, "uploaded before")

#define CAPTION      STR("caption", OPT, NULL, 0, 65536, "text below it")
#define VIEW_ONCE    BOOL("viewOnce", "false", "can be opened once")
#define FILE_NAME    STR("fileName", OPT, "filename", 1, 255, "shown name; default: the file's, else document")
#define MIMETYPE     STR("mimetype", OPT, NULL, 3, 127, "default: from name or content")

const ngx_wagw_field_t ngx_wagw_fields_send_image[] = {
    INSTANCE, MEDIA_FIELDS("image"), SEND_FIELDS, CAPTION, VIEW_ONCE, END};

const ngx_wagw_field_t ngx_wagw_fields_send_file[] = {
    INSTANCE, MEDIA_FIELDS("file"), SEND_FIELDS, CAPTION, FILE_NAME, MIMETYPE, END};

const ngx_wagw_field_t ngx_wagw_fields_send_voice[] = {
    INSTANCE, MEDIA_FIELDS("audio"), SEND_FIELDS,
    BOOL("ptt", "true", "false: an audio file"),
    END};

const ngx_wagw_field_t ngx_wagw_fields_send_audio[] = {
    INSTANCE, MEDIA_FIELDS("audio"), SEND_FIELDS,
    BOOL("ptt", "false", "true: a voice note"),
    END};

const ngx_wagw_field_t ngx_wagw_fields_send_video[] = {
    INSTANCE, MEDIA_FIELDS("video"), SEND_FIELDS, CAPTION, VIEW_ONCE,
    BOOL("gifPlayback", "false", "plays silently and again and again"),
    END};

const ngx_wagw_field_t ngx_wagw_fields_send_video_note[] = {
    INSTANCE, MEDIA_FIELDS("video"), SEND_FIELDS, END};

const ngx_wagw_field_t ngx_wagw_fields_send_sticker[] = {
    INSTANCE, MEDIA_FIELDS("sticker"), SEND_FIELDS,
    BOOL("isAnimated", NULL, "default: what the file says"),
    END};

const ngx_wagw_field_t ngx_wagw_fields_send_media[] = {
    INSTANCE,
    ENUM("type", REQ, "image|video|audio|document", NULL, "what it is"),
    MEDIA_FIELDS("media"), SEND_FIELDS, CAPTION, FILE_NAME, MIMETYPE,
    BOOL("ptt", "false", "audio: a voice note"),
    END};

const ngx_wagw_field_t ngx_wagw_fields_media_convert[] = {
    STR("base64", OPT, NULL, 0, 0, "the file as base64 or data URL; or a multipart part file"),
    STR("file", OPT, NULL, 0, 0, "the same"),
    URL("url", OPT, "where the file is fetched"),
    STR("mimeType", OPT, NULL, 0, 127, "not needed: the content says it"),
    STR("filename", OPT, NULL, 0, 255, "not needed either"),
    END};

const ngx_wagw_field_t ngx_wagw_fields_media_upload[] = {
    ENUM("type", REQ, "image|video|audio|voice|document|sticker", NULL, "what it will be sent as"),
    STR("base64", OPT, NULL, 0, 0, "the file as base64 or data URL; or a multipart part file"),
    STR("file", OPT, NULL, 0, 0, "the same"),
    URL("url", OPT, "where the file is fetched"),
    FILE_NAME, MIMETYPE,
    END};

const ngx_wagw_field_t ngx_wagw_fields_media_download[] = {
    STR("url", OPT, NULL, 1, 4096, "as in the message; only its path counts"),
    STR("directPath", OPT, NULL, 1, 4096, "as in the message; one of the two is needed"),
    STR("mediaKey", REQ, NULL, 1, 64, "base64 of 32 bytes"),
    STR("mimetype", OPT, NULL, 3, 127, "Content-Type of the answer"),
    ENUM("type", REQ, "image|video|audio|voice|ptt|document|sticker|gif|ptv", NULL, "what the message is"),
    STR("fileSha256", OPT, NULL, 1, 64, "base64; compared when given"),
    STR("fileEncSha256", OPT, NULL, 1, 64, "base64; compared when given"),
    STR("fileName", OPT, "filename", 1, 255, "for Content-Disposition"),
    END};

const ngx_wagw_field_t ngx_wagw_fields_message_media[] = {
    ENUM("download", OPT, "false|true|url|0|1", "false", "true: to be saved instead of shown; url: {url, expiresAt}"),
    END};

const ngx_wagw_field_t ngx_wagw_fields_link_preview[] = {
    INSTANCE, SEND_FIELDS,
    STR("text", OPT, "message", 1, 65536, "the text; default: the address"),
    URL("url", OPT, "what is previewed"),
    STR("title", OPT, NULL, 1, 300, "default: the page's"),
    STR("description", OPT, NULL, 1, 1000, "default: the page's"),
    {"thumbnailUrl", NGX_WAGW_T_URL, F_OPT, "image", 0, 0, NULL, NULL, "a small JPEG"},
    END};

#define FALLBACK ENUM("fallback", OPT, "text|poll|none", "none", "what is sent in its place")

const ngx_wagw_field_t ngx_wagw_fields_list[] = {
    INSTANCE, SEND_FIELDS,
    STR("title", REQ, NULL, 1, 1024, "headline"),
    STR("text", OPT, NULL, 1, 4096, "default: the title"),
    STR("buttonText", REQ, NULL, 1, 100, "opens the list"),
    ARR("sections", REQ, 1, 10, "[{title, rows:[{title, description?, rowId}]}]"),
    STR("footer", OPT, NULL, 1, 1024, "small print"),
    FALLBACK, END};

const ngx_wagw_field_t ngx_wagw_fields_buttons[] = {
    INSTANCE, SEND_FIELDS,
    STR("text", REQ, NULL, 1, 4096, "the text"),
    STR("header", OPT, NULL, 1, 1024, "headline"),
    STR("footer", OPT, NULL, 1, 1024, "small print"),
    ARR("buttons", REQ, 1, 3, "[{buttonId, buttonText} | {id, text, type reply, url, call or copy}]"),
    FALLBACK, END};

const ngx_wagw_field_t ngx_wagw_fields_poll[] = {
    INSTANCE, SEND_FIELDS,
    STR("question", REQ, NULL, 1, 255, "what is asked"),
    STRS("options", REQ, 2, 12, "different answers"),
    INT("selectableCount", 0, 12, NULL, "how many may be chosen, 0 all; default 1"),
    BOOL("multipleAnswers", "false", "all may be chosen"),
    BOOL("toAnnouncementGroup", "false", "for the announcement group of a community"),
    END};

const ngx_wagw_field_t ngx_wagw_fields_poll_vote[] = {
    INSTANCE,
    STR("pollMessageId", REQ, NULL, 1, 64, "the poll"),
    STRS("selectedOptions", REQ, 0, 12, "names of options; none withdraws"),
    JID("to", OPT, "chatId", "its chat; default: as stored"),
    END};

#define PLACE                                                                                                   \
    NUM("latitude", REQ, -90, 90, "degrees"),                                                                   \
    NUM("longitude", REQ, -180, 180, "degrees")

const ngx_wagw_field_t ngx_wagw_fields_location[] = {
    INSTANCE, SEND_FIELDS, PLACE,
    STR("name", OPT, NULL, 1, 1000, "of the place"),
    STR("address", OPT, NULL, 1, 1000, "of the place"),
    URL("url", OPT, "about the place"),
    END};

const ngx_wagw_field_t ngx_wagw_fields_live_location[] = {
    INSTANCE, SEND_FIELDS, PLACE,
    NUM("accuracy", OPT, 0, 100000000, "metres"),
    NUM("speed", OPT, 0, 100000, "metres per second"),
    NUM("heading", OPT, 0, 360, "degrees from north"),
    STR("caption", OPT, NULL, 1, 4096, "text below it"),
    END};

const ngx_wagw_field_t ngx_wagw_fields_contact_send[] = {
    INSTANCE, SEND_FIELDS,
    ARR("contacts", OPT, 1, 257, "[{displayName, vcard} | {name, phoneNumber, organization?}]"),
    STR("contactName", OPT, NULL, 1, 200, "one contact's name"),
    STR("contactNumber", OPT, NULL, 5, 32, "one contact's number"),
    STR("organization", OPT, NULL, 1, 200, "one contact's organization"),
    END};

#define EVENT                                                                                                   \
    SEND_FIELDS,                                                                                                \
    STR("name", REQ, NULL, 1, 255, "of the event"),                                                             \
    ISO("startTime", REQ, "when it begins"),                                                                    \
    ISO("endTime", OPT, "when it ends"),                                                                        \
    STR("description", OPT, NULL, 1, 4096, "what it is about"),                                                 \
    ANY("location", "str|obj", "name of the place, or {name, address, latitude?, longitude?}"),                 \
    ENUM("event", OPT, "birthday|appointment|meeting|reminder|custom", NULL, "for your own use"),               \
    URL("callLink", OPT, "a WhatsApp call"),                                                                    \
    BOOL("extraGuestsAllowed", NULL, "guests may bring others"),                                                \
    BOOL("asText", "false", "a formatted text in place of an event")

const ngx_wagw_field_t ngx_wagw_fields_event[] = {INSTANCE, EVENT, END};
const ngx_wagw_field_t ngx_wagw_fields_event_send[] = {EVENT, END};

const ngx_wagw_field_t ngx_wagw_fields_event_respond[] = {
    CHAT,
    ENUM("response", REQ, "going|maybe|not_going", NULL, "the answer"),
    END};

const ngx_wagw_field_t ngx_wagw_fields_event_cancel[] = {
    CHAT,
    STR("ref", OPT, NULL, 0, 128, "your reference, echoed in answer and events"),
    BOOL("async", "false", "answer 202 at once"),
    END};

const ngx_wagw_field_t ngx_wagw_fields_product[] = {
    INSTANCE, SEND_FIELDS,
    JID("businessJid", REQ, NULL, "whose catalogue it is in"),
    STR("productId", REQ, NULL, 1, 128, "the product"),
    STR("body", OPT, NULL, 0, 4096, "text of the card"),
    STR("footer", OPT, NULL, 0, 1024, "small print"),
    END};

const ngx_wagw_field_t ngx_wagw_fields_raw[] = {
    INSTANCE, SEND_FIELDS,
    {"message", NGX_WAGW_T_OBJ, F_REQ, NULL, 0, 0, NULL, NULL, "protobuf JSON of Message (see wagw_raw_messages)"},
    END};

const ngx_wagw_field_t ngx_wagw_fields_chat_send[] = {
    CHAT,
    STR("type", REQ, NULL, 1, 32, "last word of a send call: text, image, live_location ...; its fields beside"),
    END};

const ngx_wagw_field_t ngx_wagw_fields_chat_pinned[] = {CHAT, LIMIT("50"), CURSOR, END};

const ngx_wagw_field_t ngx_wagw_fields_chat_media[] = {
    CHAT, LIMIT("50"), OFFSET, CURSOR,
    ENUM("type", OPT, "image|video|audio|voice|document|sticker", NULL, "only of this type"),
    END};

#include "ngx_wagw_routes_settings.h"
#include "ngx_wagw_routes_templates.h"

const ngx_wagw_field_t ngx_wagw_fields_bulk[] = {
    INSTANCE,
    ARR("recipients", REQ, 1, 1000, "[jid] or [{to, variables?}]"),
    STR("message", OPT, "text", 1, 65536, "the text; {{name}} is a recipient's variable"),
    OBJ("content", "in place of it any send body, with its type: text, image, poll, location, ..."),
    INT("delay", 0, 3600000, "1000", "milliseconds between two"),
    INT("jitter", 0, 3600000, "0", "at most so many more, by chance"),
    INT("priority", 0, 9, "5", "in the instance's send queue"),
    INT("ttl", 1, 2592000, "86400", "seconds that it may wait for its instance"),
    BOOL("async", "false", "answer 202 with the job at once, as with more than 20 recipients"),
    END};

/* contract 3.8 */
#define STATUS_FIELDS                                                                                           \
    {"audience", NGX_WAGW_T_JIDS, F_OPT, NULL, 0, 4096, NULL, NULL,                                             \
     "who gets it; default: by the status privacy"},                                                            \
    STR("messageId", OPT, NULL, 1, 64, "use this id, from new-message-id"),                                     \
    STR("ref", OPT, NULL, 0, 128, "your reference, echoed in answer and events"),                               \
    INT("priority", 0, 9, "5", "in the instance's send queue"),                                                 \
    BOOL("async", "false", "answer 202 at once")

#define COLOUR(dflt)                                                                                            \
    {"backgroundColor", NGX_WAGW_T_STR, F_OPT, NULL, 7, 9, NULL, dflt, "#RRGGBB or #RRGGBBAA"}

const ngx_wagw_field_t ngx_wagw_fields_status_text[] = {
    STR("text", REQ, "message", 1, 65536, "the text"),
    COLOUR("#000000"),
    INT("font", 0, 10, "0", "0 system, 1 text, 2 script, 6 bold, 7 to 10 others"),
    STATUS_FIELDS, END};

const ngx_wagw_field_t ngx_wagw_fields_status_image[] = {MEDIA_FIELDS("image"), CAPTION, STATUS_FIELDS, END};

const ngx_wagw_field_t ngx_wagw_fields_status_voice[] = {MEDIA_FIELDS("audio"), COLOUR(NULL), STATUS_FIELDS, END};

const ngx_wagw_field_t ngx_wagw_fields_status_video[] = {MEDIA_FIELDS("video"), CAPTION, STATUS_FIELDS, END};

const ngx_wagw_field_t ngx_wagw_fields_status_delete[] = {MESSAGE_ID, END};

const ngx_wagw_field_t ngx_wagw_fields_status_list[] = {LIMIT("100"), OFFSET, CURSOR, END};

const ngx_wagw_field_t ngx_wagw_fields_status_privacy[] = {
    ENUM("mode", REQ, "contacts|allow|deny", NULL, "all contacts, only these, or all but these"),
    {"jids", NGX_WAGW_T_JIDS, F_OPT, NULL, 0, 4096, NULL, NULL, "who; default: the list stays when the mode does"},
    END};

#define PIN_FOR  INT("duration", 86400, 2592000, "604800", "86400, 604800 or 2592000 seconds")

const ngx_wagw_field_t ngx_wagw_fields_pin[] = {
    INSTANCE, CHAT_OR_TO, MESSAGE_ID,
    BOOL("pin", "true", "false takes it away"),
    PIN_FOR, END};

const ngx_wagw_field_t ngx_wagw_fields_chat_pin_message[] = {CHAT, PIN_FOR, END};

const ngx_wagw_field_t ngx_wagw_fields_keep[] = {
    INSTANCE, CHAT_OR_TO, MESSAGE_ID,
    BOOL("keep", "true", "false lets it disappear"),
    END};

const ngx_wagw_field_t ngx_wagw_fields_ephemeral[] = {
    CHAT,
    {"expiration", NGX_WAGW_T_INT, F_REQ, NULL, 0, 7776000, NULL, NULL, "0, 86400, 604800 or 7776000 seconds"},
    END};

const ngx_wagw_field_t ngx_wagw_fields_message_search[] = {
    STR("q", REQ, NULL, 1, 200, "containing this text"),
    JID("chatId", OPT, NULL, "only of this chat"),
    LIMIT("50"), OFFSET, CURSOR,
    END};

const ngx_wagw_field_t ngx_wagw_fields_message_put[] = {
    STR("newText", REQ, "text", 1, 65536, "the new text"),
    END};

const ngx_wagw_field_t ngx_wagw_fields_forward[] = {
    INSTANCE,
    {"to", NGX_WAGW_T_ANY, F_REQ, NULL, 0, 0, "jid|jids", NULL, "recipient, or 1 to 5 of them"},
    MESSAGE_ID,
    JID("fromChatId", OPT, NULL, "the chat that holds the message"),
    STR("ref", OPT, NULL, 0, 128, "your reference, echoed in answer and events"),
    BOOL("async", "false", "answer 202 at once"),
    END};

const ngx_wagw_field_t ngx_wagw_fields_seen[] = {
    INSTANCE, CHAT,
    STR("messageId", OPT, NULL, 1, 64, "one message"),
    STRS("messageIds", OPT, 0, 500, "several; none: the whole chat"),
    END};

const ngx_wagw_field_t ngx_wagw_fields_chat[] = {CHAT, END};

const ngx_wagw_field_t ngx_wagw_fields_typing_state[] = {
    INSTANCE, CHAT_OR_TO,
    ENUM("media", OPT, "text|audio", "text", "typing or recording"),
    END};

const ngx_wagw_field_t ngx_wagw_fields_typing[] = {
    INSTANCE,
    JID("to", REQ, "chatId", "the chat"),
    INT("duration", 0, 60000, "3000", "milliseconds until paused"),
    END};

#define PRESENCES "available|unavailable|composing|recording|paused"

const ngx_wagw_field_t ngx_wagw_fields_message_presence[] = {
    INSTANCE,
    ENUM("presence", REQ, PRESENCES, NULL, "the presence"),
    JID("chatId", OPT, NULL, "needed for composing, recording, paused"),
    END};

const ngx_wagw_field_t ngx_wagw_fields_presence_set[] = {
    ENUM("presence", REQ, PRESENCES, NULL, "the presence"),
    JID("chatId", OPT, NULL, "needed for composing, recording, paused"),
    END};

const ngx_wagw_field_t ngx_wagw_fields_presence_get[] = {
    CHAT,
    INT("wait", 0, 30000, "1000", "milliseconds to wait for the first news"),
    END};

const ngx_wagw_field_t ngx_wagw_fields_call_reject[] = {
    STR("callId", REQ, NULL, 1, 128, "the call"),
    JID("from", REQ, NULL, "who calls"),
    END};

const ngx_wagw_field_t ngx_wagw_fields_calls[] = {
    LIMIT("50"),
    END};

#define PICTURE_TYPE ENUM("type", OPT, "image|preview", "image", "full size or small")

const ngx_wagw_field_t ngx_wagw_fields_chat_picture[] = {CHAT, PICTURE_TYPE, END};

const ngx_wagw_field_t ngx_wagw_fields_phone_picture[] = {
    PHONE("phoneNumber", REQ, "the number"),
    PICTURE_TYPE,
    END};

const ngx_wagw_field_t ngx_wagw_fields_profile_status[] = {
    STR("status", REQ, NULL, 0, 139, "the about text; empty removes it"),
    END};

const ngx_wagw_field_t ngx_wagw_fields_profile_picture[] = {MEDIA_FIELDS("image"), END};

const ngx_wagw_field_t ngx_wagw_fields_privacy[] = {
    ENUM("lastSeen", OPT, "all|contacts|contact_blacklist|none", NULL, "who sees when you were there last"),
    ENUM("online", OPT, "all|match_last_seen", NULL, "who sees that you are there"),
    ENUM("profilePicture", OPT, "all|contacts|contact_blacklist|none", NULL, "who sees your picture"),
    ENUM("status", OPT, "all|contacts|contact_blacklist|none", NULL, "who sees your about text"),
    ENUM("readReceipts", OPT, "all|none", NULL, "whether others learn that you have read"),
    ENUM("groupAdd", OPT, "all|contacts|contact_blacklist|none", NULL, "who may add you to groups"),
    ENUM("callAdd", OPT, "all|known", NULL, "who may call you"),
    ENUM("messages", OPT, "all|contacts", NULL, "who may write to you"),
    ENUM("defense", OPT, "on_standard|off", NULL, "protection of the account"),
    ENUM("stickers", OPT, "contacts|contact_allowlist|none", NULL, "who may use your avatar"),
    INT("defaultDisappearing", 0, 7776000, NULL, "timer of new chats: 0, 86400, 604800 or 7776000 seconds"),
    END};

const ngx_wagw_field_t ngx_wagw_fields_business[] = {
    JID("jid", OPT, NULL, "whose; default: the own"),
    END};

const ngx_wagw_field_t ngx_wagw_fields_business_put[] = {
    STR("address", OPT, NULL, 0, 256, "the address"),
    STR("description", OPT, NULL, 0, 512, "what the business does"),
    STR("email", OPT, NULL, 0, 128, "the mail address"),
    STRS("websites", OPT, 0, 2, "addresses of web pages"),
    OBJ("hours", "{timezone, days: [{day, mode, openTimeInMinutes, closeTimeInMinutes}]}"),
    END};

const ngx_wagw_field_t ngx_wagw_fields_reaction[] = {
    INSTANCE, CHAT, MESSAGE_ID,
    STR("emoji", REQ, "reaction", 0, 32, "empty removes"),
    JID("participant", OPT, NULL, "the author, when the message is not stored"),
    BOOL("fromMe", NULL, "own message, when it is not stored"),
    END};

const ngx_wagw_field_t ngx_wagw_fields_reaction_delete[] = {
    INSTANCE, CHAT, MESSAGE_ID,
    JID("participant", OPT, NULL, "the author, when the message is not stored"),
    BOOL("fromMe", NULL, "own message, when it is not stored"),
    END};

const ngx_wagw_field_t ngx_wagw_fields_edit[] = {
    INSTANCE, CHAT, MESSAGE_ID,
    STR("newText", REQ, "text", 1, 65536, "the new text"),
    END};

const ngx_wagw_field_t ngx_wagw_fields_revoke[] = {
    INSTANCE, CHAT, MESSAGE_ID,
    JID("participant", OPT, NULL, "the author, as group admin"),
    END};

const ngx_wagw_field_t ngx_wagw_fields_message_chats[] = {
    LIMIT("50"), OFFSET,
    BOOL("archived", "false", "the archived ones"),
    END};

/* contract 3.4, and what core/message calls the rest */
#define MESSAGE_TYPE                                                                                            \
    ENUM("type", OPT,                                                                                           \
         "text|image|video|audio|voice|document|sticker|location|live_location|contact|poll|poll_vote|list|"    \
         "buttons|event|list_reply|button_reply|reaction|group_invite|product|order|call|system|unknown|"       \
         "album|comment|edit|event_invite|event_response|keep|message_history|newsletter_invite|payment|pin|"   \
         "placeholder|poll_option|poll_result|question_response|request_phone|revoke|rich_response|"            \
         "status_answer|status_mention|status_notification|status_quoted|status_sticker|sticker_pack|template|"   \
         "disappearing",                                                                                        \
         NULL, "only of this type")

#define MESSAGE_PAGE                                                                                            \
    STR("before", OPT, NULL, 1, 64, "older than this message, or this time"),                                    \
    STR("after", OPT, NULL, 1, 64, "newer than this message, or this time"),                                    \
    CURSOR

const ngx_wagw_field_t ngx_wagw_fields_message_list[] = {
    CHAT, LIMIT("50"), OFFSET, MESSAGE_PAGE,
    END};

const ngx_wagw_field_t ngx_wagw_fields_message_all[] = {
    LIMIT("100"), OFFSET,
    BOOL("fromMe", NULL, "only own, or only others'"),
    MESSAGE_TYPE,
    STR("status", OPT, NULL, 1, 32, "only with this status"),
    JID("chatId", OPT, NULL, "only of this chat"),
    ISO("since", OPT, "not older"),
    ISO("until", OPT, "not newer"),
    STR("q", OPT, NULL, 1, 200, "containing this text"),
    CURSOR,
    END};

const ngx_wagw_field_t ngx_wagw_fields_message_delete[] = {
    ENUM("scope", OPT, "local|me|everyone", "local", "where it is deleted"),
    END};

const ngx_wagw_field_t ngx_wagw_fields_star[] = {
    INSTANCE,
    JID("chatId", OPT, NULL, "the chat; needed with messages"),
    STR("messageId", OPT, NULL, 1, 64, "the message"),
    {"messages", NGX_WAGW_T_ARR, F_OPT, NULL, 1, 20, NULL, NULL, "[{id}]: several at once"},
    BOOL("star", "true", "false takes the star away"),
    END};

const ngx_wagw_field_t ngx_wagw_fields_chat_mute[] = {
    CHAT,
    INT("duration", -1, 315360000, NULL, "seconds; default, 0 and -1: for ever"),
    END};

const ngx_wagw_field_t ngx_wagw_fields_chat_delete[] = {
    CHAT,
    BOOL("local", "false", "only here, not on the phone"),
    END};

const ngx_wagw_field_t ngx_wagw_fields_chat_clear[] = {
    CHAT,
    BOOL("keepStarred", "false", "starred messages stay"),
    END};

#define CONTACT_NAMES                                                                                           \
    STR("firstName", OPT, NULL, 1, 100, "first name"),                                                          \
    STR("fullName", OPT, NULL, 1, 200, "full name"),                                                            \
    STR("username", OPT, NULL, 1, 100, "user name")

const ngx_wagw_field_t ngx_wagw_fields_contact_update[] = {
    JID("phone", REQ, "phoneNumber", "the number"),
    CONTACT_NAMES,
    END};

const ngx_wagw_field_t ngx_wagw_fields_contact_put[] = {
    CHAT,
    STR("name", OPT, NULL, 1, 200, "the name in the address book"),
    CONTACT_NAMES,
    END};

const ngx_wagw_field_t ngx_wagw_fields_profile_name[] = {
    STR("name", REQ, NULL, 1, 25, "the own name"),
    END};

const ngx_wagw_field_t ngx_wagw_fields_label_create[] = {
    STR("name", REQ, NULL, 1, 100, "the name"),
    INT("color", 0, 19, "0", "WhatsApp's colour number"),
    END};

const ngx_wagw_field_t ngx_wagw_fields_label_update[] = {
    STR("name", OPT, NULL, 1, 100, "the name"),
    INT("color", 0, 19, NULL, "WhatsApp's colour number"),
    END};

const ngx_wagw_field_t ngx_wagw_fields_labels_set[] = {
    CHAT,
    STRS("labelIds", REQ, 0, 12, "the labels it has from now on"),
    END};

const ngx_wagw_field_t ngx_wagw_fields_history_sync[] = {
    JID("chatId", OPT, NULL, "the chat"),
    INT("count", 1, 500, "50", "how many messages"),
    STR("before", OPT, NULL, 1, 64, "older than this message; default: the oldest stored"),
    END};

const ngx_wagw_field_t ngx_wagw_fields_chats_list[] = {
    ENUM("sortBy", OPT, "lastMessageAt|name|unreadCount", "lastMessageAt", "order"),
    ENUM("sortOrder", OPT, "asc|desc", NULL, "default: desc, by name asc"),
    LIMIT("50"), OFFSET,
    BOOL("archived", NULL, "only archived, or only others"),
    BOOL("unread", NULL, "only unread, or only read"),
    ENUM("type", OPT, "user|group|channel", NULL, "only of this kind"),
    STR("q", OPT, NULL, 1, 200, "name contains"),
    END};

const ngx_wagw_field_t ngx_wagw_fields_chat_messages[] = {
    CHAT, LIMIT("50"), OFFSET, MESSAGE_PAGE,
    BOOL("fromMe", NULL, "only own, or only others'"),
    MESSAGE_TYPE,
    END};

const ngx_wagw_field_t ngx_wagw_fields_chats_read[] = {
    CHAT,
    STRS("messageIds", OPT, 0, 500, "only these"),
    END};

const ngx_wagw_field_t ngx_wagw_fields_chat_message_delete[] = {
    CHAT,
    ENUM("scope", OPT, "everyone|me|local", "everyone", "where it is deleted"),
    END};

const ngx_wagw_field_t ngx_wagw_fields_chat_message_put[] = {
    CHAT,
    STR("newText", REQ, "text", 1, 65536, "the new text"),
    END};

const ngx_wagw_field_t ngx_wagw_fields_contacts_all[] = {
    LIMIT("500"), OFFSET, CURSOR,
    STR("q", OPT, NULL, 1, 200, "name or number contains"),
    BOOL("blocked", NULL, "only blocked, or only others"),
    BOOL("map", "false", "answer a map keyed by jid"),
    END};

const ngx_wagw_field_t ngx_wagw_fields_contact[] = {
    JID("phoneNumber", REQ, NULL, "digits, JID or LID"),
    END};

const ngx_wagw_field_t ngx_wagw_fields_phone[] = {
    PHONE("phoneNumber", REQ, "the number"),
    END};

const ngx_wagw_field_t ngx_wagw_fields_phones[] = {
    {"phoneNumbers", NGX_WAGW_T_STRS, F_REQ, NULL, 1, 500, "phone", NULL, "the numbers"},
    END};

const ngx_wagw_field_t ngx_wagw_fields_lids[] = {
    LIMIT("500"), OFFSET, CURSOR,
    END};

const ngx_wagw_field_t ngx_wagw_fields_lid[] = {
    STR("lid", REQ, NULL, 1, 64, "digits, or with @lid"),
    END};

const ngx_wagw_field_t ngx_wagw_fields_webhook_test[] = {
    URL("url", REQ, "the address to try"),
    {"event", NGX_WAGW_T_STR, F_OPT, NULL, 1, 64, NULL, "webhook.test", "event name"},
    OBJ("data", "the event's data"),
    STR("secret", OPT, NULL, 1, 256, "signs the delivery"),
    STR("instanceId", OPT, NULL, 1, 64, "named in the envelope"),
    END};

const ngx_wagw_field_t ngx_wagw_fields_webhook_logs[] = {
    STR("instanceId", OPT, NULL, 1, 64, "only of this instance"),
    ENUM("status", OPT, "success|failed|pending|dead", NULL, "only with this status"),
    STR("event", OPT, NULL, 1, 64, "only of this event"),
    ISO("since", OPT, "not older"),
    LIMIT("50"), OFFSET, CURSOR,
    END};

const ngx_wagw_field_t ngx_wagw_fields_webhook_stats[] = {
    STR("instanceId", OPT, NULL, 1, 64, "only of this instance"),
    INT("days", 1, 365, "7", "the last days"),
    END};

const ngx_wagw_field_t ngx_wagw_fields_webhook_prune[] = {
    STR("instanceId", OPT, NULL, 1, 64, "only of this instance"),
    INT("days", 0, 3650, NULL, "older than so many days"),
    END};
/* clang-format on */

#include "ngx_wagw_routes_groups.h"
