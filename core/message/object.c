#include "internal.h"

#include <ctype.h>

/* Ids come from the wire: anything may be in them. */
static void wagw_object_escape(wagw_buf_t *b, wagw_str_t s)
{
    for (size_t i = 0; i < s.n; i++) {
        if (isalnum(s.p[i]) || (s.p[i] && strchr("-_.~", s.p[i]))) {
            wagw_buf_u8(b, s.p[i]);
        } else {
            wagw_buf_printf(b, "%%%02X", s.p[i]);
        }
    }
}

void wagw_message_media_members(wagw_json_t *j, const wagw_row_message_t *m, wagw_str_t instance_id)
{
    wagw_buf_t url = {0};

    if (m->media.n == 0 || instance_id.n == 0) {
        wagw_json_knull(j, "mediaUrl");
        if (m->media.n) {
            wagw_json_kraw(j, "media", m->media);
        }
        return;
    }

    wagw_buf_cstr(&url, "/api/message/");
    wagw_object_escape(&url, instance_id);
    wagw_buf_u8(&url, '/');
    wagw_object_escape(&url, m->id);
    wagw_buf_cstr(&url, "/media");

    wagw_json_kstr(j, "mediaUrl", wagw_buf_view(&url));
    wagw_json_kraw(j, "media", m->media);

    wagw_buf_free(&url);
}

static void wagw_object_side(wagw_json_t *j, const char *key, wagw_str_t jid)
{
    if (jid.n) {
        wagw_json_kstr(j, key, jid);
    } else {
        wagw_json_knull(j, key);
    }
}

/* The author under both names, as far as they are known. */
static void wagw_object_author(wagw_json_t *j, const wagw_row_message_t *m, bool shared)
{
    wagw_str_t names[2] = {m->sender, m->sender_alt};
    wagw_jid_t jid;

    if (m->sender.n == 0) {
        return;
    }

    if (shared) {
        wagw_json_kstr(j, "participant", m->sender);
    }

    for (unsigned i = 0; i < 2; i++) {
        if (names[i].n == 0 || wagw_jid_parse(&jid, names[i]) != WAGW_OK) {
            continue;
        }

        if (wagw_jid_is_lid(&jid)) {
            wagw_json_kstr(j, "fromLid", names[i]);
        } else if (wagw_jid_is_pn(&jid)) {
            wagw_json_kcstr(j, "fromPhone", jid.user);
        }
    }
}

void wagw_message_detail_members(wagw_json_t *j, const wagw_row_message_t *m)
{
    int rc;
    wagw_open_t o;
    wagw_arena_t a = {0};
    Wa__Message *msg;

    if (m->content.n == 0 || (m->flags & (WAGW_ROW_REVOKED | WAGW_ROW_PLACEHOLDER))) {
        return;
    }

    msg = (Wa__Message *)wagw_pb_unpack(&a, &wa__message__descriptor, m->content, &rc);

    if (msg) {
        wagw_message_open(&o, msg);
        wagw_detail_members(j, &o);
    }

    wagw_arena_free(&a);
}

void wagw_message_members(wagw_json_t *j, const wagw_row_message_t *m, wagw_str_t instance_id, wagw_str_t self)
{
    bool group, shared;
    wagw_jid_t chat;

    group = wagw_jid_parse(&chat, m->chat) == WAGW_OK && wagw_jid_is_group(&chat);
    shared = group || wagw_str_ends(m->chat, WAGW_STR("@broadcast"));

    wagw_json_kstr(j, "id", m->id);
    wagw_json_kstr(j, "instanceId", instance_id);
    wagw_json_kstr(j, "chatId", m->chat);
    wagw_json_kstr(j, "messageId", m->id);
    wagw_json_kbool(j, "fromMe", m->from_me);
    wagw_object_side(j, "from", m->from_me ? self : shared && m->sender.n ? m->sender : m->chat);
    wagw_object_side(j, "to", m->from_me ? m->chat : self);
    wagw_json_kbool(j, "isGroup", group);

    if (!m->from_me) {
        wagw_object_author(j, m, shared);
    }

    if (m->push_name.n) {
        wagw_json_kstr(j, "pushName", m->push_name);
    }

    wagw_json_kstr(j, "body", m->body);
    wagw_json_kstr(j, "type", m->type.n ? m->type : WAGW_STR("unknown"));
    wagw_message_media_members(j, m, instance_id);

    if (m->quoted.n) {
        wagw_json_kraw(j, "quoted", m->quoted);
    }

    if (m->mentions.n) {
        wagw_json_kraw(j, "mentions", m->mentions);
    }

    wagw_message_detail_members(j, m);

    wagw_json_kiso(j, "timestamp", m->t_ms);
    wagw_json_kcstr(j, "status", wagw_msg_status_name(m->status));
    wagw_json_kbool(j, "isForwarded", m->flags & WAGW_ROW_FORWARDED);
    wagw_json_kbool(j, "isEphemeral", m->flags & WAGW_ROW_EPHEMERAL);
    wagw_json_kbool(j, "isEdited", m->flags & WAGW_ROW_EDITED);
    wagw_json_kbool(j, "isRevoked", m->flags & WAGW_ROW_REVOKED);

    if (m->flags & WAGW_ROW_STARRED) {
        wagw_json_kbool(j, "isStarred", true);
    }

    if (m->flags & WAGW_ROW_PINNED) {
        wagw_json_kbool(j, "isPinned", true);
    }

    if (m->flags & WAGW_ROW_KEPT) {
        wagw_json_kbool(j, "isKept", true);
    }

    if (m->flags & WAGW_ROW_VIEW_ONCE) {
        wagw_json_kbool(j, "isViewOnce", true);
    }

    if (m->edited_ms) {
        wagw_json_kiso(j, "editedAt", m->edited_ms);
    }

    if (m->expiration) {
        wagw_json_kint(j, "expiration", m->expiration);
    }

    if (m->error) {
        wagw_json_kint(j, "error", m->error);
    }

    if (m->from_me) {
        wagw_json_kcstr(j, "source", m->flags & WAGW_ROW_APP ? "app" : "api");
    }

    if (m->ref.n) {
        wagw_json_kstr(j, "ref", m->ref);
    }

    wagw_json_kiso(j, "createdAt", m->created_ms);
}
