/*
 * Messages that only our own devices may send: key share, LID mappings, the
 * phone's answers (04 sections 12.4, 15; 07, 08).
 */

#include "app_i.h"
#include "client_i.h"

#include "wa.pb-c.h"

#include <stdlib.h>

#define PHONE_DELAY_MS 5000
#define PHONE_MAX_AGE_MS (14LL * 86400000)
#define ASKS_MAX 64
#define MAPPINGS_MAX 4096

static int lid_mappings(wagw_turn_t *t, wagw_str_t bytes)
{
    int rc = WAGW_OK;
    wagw_jid_t lid, pn;
    wagw_creds_t *creds;
    Wa__LIDMigrationMappingSyncPayload *p = wa__lidmigration_mapping_sync_payload__unpack(NULL, bytes.n, bytes.p);

    if (p == NULL) {
        return WAGW_OK;
    }
    for (size_t i = 0; i < p->n_pntolidmappings && i < MAPPINGS_MAX && rc == WAGW_OK; i++) {
        wagw_str_t a, b;
        Wa__LIDMigrationMapping *m = p->pntolidmappings[i];

        a = wagw_arena_printf(&t->arena, "%llu", (unsigned long long)m->pn);
        b = wagw_arena_printf(&t->arena, "%llu",
                              (unsigned long long)(m->has_latestlid && m->latestlid ? m->latestlid : m->assignedlid));
        if (a.p && b.p) {
            pn = wagw_jid_make((const char *)a.p, WAGW_SRV_USER, 0);
            lid = wagw_jid_make((const char *)b.p, WAGW_SRV_LID, 0);
            rc = wagw_lid_learn(t, &lid, &pn, NULL);
        }
    }
    if (rc == WAGW_OK && p->has_chatdbmigrationtimestamp && p->chatdbmigrationtimestamp &&
        wagw_turn_me(t)->lid_migrated != 1) {
        creds = wagw_turn_creds(t);
        if (creds) {
            creds->lid_migrated = 1;
        }
    }
    wa__lidmigration_mapping_sync_payload__free_unpacked(p, NULL);
    return rc;
}

/* Kept for app state: key id -> the serialised key data. */
static int key_share(wagw_turn_t *t, wagw_str_t bytes)
{
    int rc = WAGW_OK;
    size_t n;
    uint8_t *p;
    wagw_buf_t hex = {0};
    Wa__Message__AppStateSyncKeyShare *s;

    s = (void *)protobuf_c_message_unpack(&wa__message__app_state_sync_key_share__descriptor, NULL, bytes.n, bytes.p);
    if (s == NULL) {
        return WAGW_OK;
    }
    for (size_t i = 0; i < s->n_keys && rc == WAGW_OK; i++) {
        Wa__Message__AppStateSyncKey *k = s->keys[i];

        if (k->keyid == NULL || !k->keyid->has_keyid || k->keyid->keyid.len == 0 || k->keyid->keyid.len > 64 ||
            k->keydata == NULL) {
            continue;
        }
        n = protobuf_c_message_get_packed_size(&k->keydata->base);
        p = wagw_arena_alloc(&t->arena, n + 1);
        if (p == NULL) {
            rc = WAGW_NOMEM;
            break;
        }
        protobuf_c_message_pack(&k->keydata->base, p);
        wagw_buf_reset(&hex);
        wagw_hex_encode(&hex, wagw_str(k->keyid->keyid.data, k->keyid->keyid.len));
        rc = hex.failed ? WAGW_NOMEM : wagw_txn_put(&t->txn, WAGW_REC_APP_KEY, wagw_buf_view(&hex), wagw_str(p, n));
    }
    wagw_buf_free(&hex);
    protobuf_c_message_free_unpacked(&s->base, NULL);
    return rc == WAGW_OK ? wagw_app_keys_came(t) : rc;
}

/* One WebMessageInfo that the phone sent again: as if it had been received. */
static int resent(wagw_turn_t *t, ProtobufCBinaryData bytes)
{
    int rc;
    size_t n;
    uint8_t *p;
    wagw_incoming_t in;
    wagw_row_message_t row;
    Wa__WebMessageInfo *w = wa__web_message_info__unpack(NULL, bytes.len, bytes.data);

    if (w == NULL) {
        return WAGW_OK;
    }
    rc = WAGW_OK;
    memset(&in, 0, sizeof(in));
    if (w->key == NULL || w->key->id == NULL || w->message == NULL || w->key->remotejid == NULL ||
        wagw_jid_parse(&in.wire_chat, wagw_cstr(w->key->remotejid)) != WAGW_OK) {
        goto done;
    }
    in.id = wagw_arena_str(&t->arena, wagw_cstr(w->key->id));
    in.from_me = w->key->has_fromme && w->key->fromme;
    in.group = wagw_jid_is_group(&in.wire_chat);
    in.status = wagw_jid_is_status(&in.wire_chat);
    in.from = in.wire_chat;
    in.sender = in.wire_chat;
    if (w->key->participant && wagw_jid_parse(&in.sender, wagw_cstr(w->key->participant)) != WAGW_OK) {
        goto done;
    }
    in.t_ms = w->has_messagetimestamp ? (int64_t)w->messagetimestamp * 1000 : t->now;
    in.push_name = w->pushname ? wagw_arena_str(&t->arena, wagw_cstr(w->pushname)) : WAGW_STR_NULL;
    rc = wagw_chat_canonical(t, &in.wire_chat, &in.chat);
    if (rc == WAGW_OK && !in.from_me) {
        rc = wagw_chat_canonical(t, &in.sender, &in.author);
    }
    if (rc != WAGW_OK) {
        goto done;
    }
    rc = in.from_me ? wagw_turn_message(t, wagw_jid_str(&t->arena, &in.chat), in.id, WAGW_STR(""), &row)
                    : wagw_turn_message_by(t, wagw_jid_str(&t->arena, &in.chat), in.id, &in.author, &row);
    if (rc != WAGW_NOT_FOUND) {
        rc = rc == WAGW_OK ? WAGW_OK : rc; /* it was decrypted meanwhile */
        goto done;
    }
    n = wa__message__get_packed_size(w->message);
    p = wagw_arena_alloc(&t->arena, n + 1);
    if (p == NULL) {
        rc = WAGW_NOMEM;
        goto done;
    }
    wa__message__pack(w->message, p);
    rc = wagw_apply_content(t, &in, wagw_str(p, n));
    if (rc == WAGW_MALFORMED || rc == WAGW_LIMIT) {
        rc = WAGW_OK;
    }

done:

    wa__web_message_info__free_unpacked(w, NULL);
    return rc;
}

static int peer_response(wagw_turn_t *t, wagw_str_t bytes)
{
    int rc = WAGW_OK;
    Wa__Message__PeerDataOperationRequestResponseMessage *r;
    const Wa__Message__PeerDataOperationRequestResponseMessage__PeerDataOperationResult__SyncDSnapshotFatalRecoveryResponse
        *copy;

    r = (void *)protobuf_c_message_unpack(&wa__message__peer_data_operation_request_response_message__descriptor, NULL,
                                          bytes.n, bytes.p);
    if (r == NULL) {
        return WAGW_OK;
    }
    for (size_t i = 0; i < r->n_peerdataoperationresult && i < ASKS_MAX && rc == WAGW_OK; i++) {
        if (r->peerdataoperationresult[i]->placeholdermessageresendresponse &&
            r->peerdataoperationresult[i]->placeholdermessageresendresponse->has_webmessageinfobytes) {
            rc = resent(t, r->peerdataoperationresult[i]->placeholdermessageresendresponse->webmessageinfobytes);
        }
        copy = r->peerdataoperationresult[i]->syncdsnapshotfatalrecoveryresponse;
        if (rc == WAGW_OK && copy && copy->has_collectionsnapshot) {
            rc = wagw_app_copy_came(t, wagw_str(copy->collectionsnapshot.data, copy->collectionsnapshot.len),
                                    copy->has_iscompressed && copy->iscompressed);
        }
    }
    protobuf_c_message_free_unpacked(&r->base, NULL);
    return rc;
}

int wagw_apply_self(wagw_turn_t *t, const wagw_incoming_t *in, const wagw_content_t *m)
{
    switch (m->is) {
    case WAGW_IS_LID_MAPPING:
        return lid_mappings(t, m->payload);
    case WAGW_IS_APP_STATE_KEY_SHARE:
        return key_share(t, m->payload);
    case WAGW_IS_APP_STATE_KEY_REQUEST:
        return wagw_app_keys_asked(t, in, m->payload);
    case WAGW_IS_HISTORY_SYNC:
        return in->sender.device == 0 ? wagw_history_announced(t, in, m->payload) : WAGW_OK;
    case WAGW_IS_PEER_RESPONSE:
        return in->sender.device == 0 ? peer_response(t, m->payload) : WAGW_OK;
    default:
        return WAGW_OK;
    }
}

/* ---- asking the phone ------------------------------------------------------------ */

int wagw_peer_send(wagw_turn_t *t, wagw_str_t message, const char *priority)
{
    wagw_jid_t phone = wagw_jid_user(&wagw_turn_me(t)->jid);

    return wagw_peer_send_to(t, &phone, message, priority);
}

int wagw_peer_send_to(wagw_turn_t *t, const wagw_jid_t *device, wagw_str_t message, const char *priority)
{
    int rc;
    char id[24];
    bool prekey = false;
    uint8_t random[16];
    wagw_node_t *n, *meta;
    const wagw_creds_t *me = wagw_turn_me(t);

    wagw_turn_random(t, random, sizeof(random));
    WAGW_TRY(wagw_message_id(id, t->now / 1000, wagw_str(me->jid.user, me->jid.user_len), random));
    n = wagw_node(&t->arena, "message");
    wagw_node_attr(&t->arena, n, "id", wagw_arena_str(&t->arena, wagw_cstr(id)));
    wagw_node_attr_jid(&t->arena, n, "to", device);
    wagw_node_attrc(&t->arena, n, "type", "text");
    wagw_node_attrc(&t->arena, n, "category", "peer");
    wagw_node_attrc(&t->arena, n, "push_priority", priority);
    meta = wagw_node_child(&t->arena, n, "meta");
    wagw_node_attrc(&t->arena, meta, "appdata", "default");
    rc = wagw_stanza_enc(t, n, device, message, &prekey, NULL);
    if (rc == WAGW_NO_SESSION || rc == WAGW_NOT_FOUND) {
        return WAGW_OK; /* it never wrote to us */
    }
    WAGW_TRY(rc);
    if (prekey) {
        WAGW_TRY(wagw_stanza_identity(t, n));
    }
    return wagw_turn_send(t, n);
}

static void want_then(wagw_client_t *c, void *arg)
{
    unsigned n = 0;
    wagw_ask_t **at, *a = arg, *copy;

    for (at = &c->asks; *at; at = &(*at)->next) {
        if (strcmp((*at)->id, a->id) == 0) {
            return;
        }
        n++;
    }
    copy = n < ASKS_MAX ? malloc(sizeof(*copy)) : NULL;
    if (copy) {
        *copy = *a;
        copy->next = NULL;
        *at = copy;
        if (c->timers[WAGW_TIMER_PHONE] == 0 || c->timers[WAGW_TIMER_PHONE] > copy->due) {
            wagw_client_timer(c, WAGW_TIMER_PHONE, copy->due);
        }
    }
}

int wagw_phone_want(wagw_turn_t *t, const wagw_incoming_t *in, unsigned delay_ms)
{
    wagw_ask_t a;

    if (in->id.n >= sizeof(a.id) || t->now - in->t_ms > PHONE_MAX_AGE_MS || in->status) {
        return WAGW_OK;
    }
    memset(&a, 0, sizeof(a));
    a.due = t->now + (delay_ms ? (int64_t)delay_ms : 1);
    a.from_me = in->from_me;
    memcpy(a.id, in->id.p, in->id.n);
    a.chat = in->wire_chat;
    if (in->group) {
        a.participant = wagw_jid_user(&in->sender);
    }
    return wagw_turn_then(t, want_then, &a, sizeof(a));
}

static void asked_then(wagw_client_t *c, void *arg)
{
    int64_t next = 0;
    wagw_ask_t **at, *a;

    (void)arg;
    for (at = &c->asks; (a = *at) != NULL;) {
        if (a->due <= c->now) {
            *at = a->next;
            free(a);
            continue;
        }
        if (next == 0 || a->due < next) {
            next = a->due;
        }
        at = &a->next;
    }
    wagw_client_timer(c, WAGW_TIMER_PHONE, next);
}

int wagw_peer_ask(wagw_turn_t *t, const Wa__Message__PeerDataOperationRequestMessage *req, const char *priority)
{
    size_t n;
    uint8_t *p;
    Wa__Message m = WA__MESSAGE__INIT;
    Wa__Message__ProtocolMessage pm = WA__MESSAGE__PROTOCOL_MESSAGE__INIT;

    pm.has_type = 1;
    pm.type = 16;
    pm.peerdataoperationrequestmessage = (Wa__Message__PeerDataOperationRequestMessage *)req;
    m.protocolmessage = &pm;
    n = wa__message__get_packed_size(&m);
    p = wagw_arena_alloc(&t->arena, n + 1);
    if (p == NULL) {
        return WAGW_NOMEM;
    }
    wa__message__pack(&m, p);
    return wagw_peer_send(t, wagw_str(p, n), priority);
}

int wagw_phone_ask(wagw_turn_t *t, uint64_t unused)
{
    char chat[WAGW_JID_TEXT_MAX], participant[WAGW_JID_TEXT_MAX];
    wagw_ask_t *a;

    (void)unused;
    for (a = t->c->asks; a; a = a->next) {
        Wa__MessageKey key = WA__MESSAGE_KEY__INIT;
        Wa__Message__PeerDataOperationRequestMessage req = WA__MESSAGE__PEER_DATA_OPERATION_REQUEST_MESSAGE__INIT;
        Wa__Message__PeerDataOperationRequestMessage__PlaceholderMessageResendRequest one =
            WA__MESSAGE__PEER_DATA_OPERATION_REQUEST_MESSAGE__PLACEHOLDER_MESSAGE_RESEND_REQUEST__INIT;
        Wa__Message__PeerDataOperationRequestMessage__PlaceholderMessageResendRequest *list = &one;

        if (a->due > t->now) {
            continue;
        }
        wagw_jid_text(&a->chat, chat);
        key.remotejid = chat;
        key.has_fromme = 1;
        key.fromme = a->from_me;
        key.id = a->id;
        if (!wagw_jid_empty(&a->participant)) {
            wagw_jid_text(&a->participant, participant);
            key.participant = participant;
        }
        one.messagekey = &key;
        req.has_peerdataoperationrequesttype = 1;
        req.peerdataoperationrequesttype = 4;
        req.n_placeholdermessageresendrequest = 1;
        req.placeholdermessageresendrequest = &list;
        WAGW_TRY(wagw_peer_ask(t, &req, "high_force"));
    }
    return wagw_turn_then(t, asked_then, NULL, 0);
}
