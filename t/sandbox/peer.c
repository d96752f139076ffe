/*
 * What a phone and its companions tell each other: app-state keys and history
 * after the first login, keys and messages again when a companion asks.
 */

#include "sandbox.h"

#include "../../core/message/internal.h"

#include <stdio.h>
#include <stdlib.h>
#include <zlib.h>

#define SBX_ASK_KEYS WA__MESSAGE__PROTOCOL_MESSAGE__TYPE__MESSAGE_PROTOCOLMESSAGE_TYPE__APP_STATE_SYNC_KEY_REQUEST
#define SBX_ASK_DATA                                                                                                   \
    WA__MESSAGE__PROTOCOL_MESSAGE__TYPE__MESSAGE_PROTOCOLMESSAGE_TYPE__PEER_DATA_OPERATION_REQUEST_MESSAGE

static void sbx_peer(sbx_device_t *d, wagw_buf_t *protocol)
{
    char id[64];
    wagw_buf_t msg = {0};
    sbx_send_how_t how;

    sbx_pb_bytes(&msg, 12, wagw_buf_view(protocol));
    memset(&how, 0, sizeof(how));
    how.category = "peer";
    how.only = d;
    sbx_phone_send(d->account, d->account, wagw_buf_view(&msg), &how, id);
    wagw_buf_free(&msg);
    wagw_buf_reset(protocol);
}

void sbx_app_key(sbx_account_t *a)
{
    if (sbx_be_read(a->app_key_id + 2, 4) == 0) {
        sbx_be(a->app_key_id + 2, 1 + (sbx_random_u32() & 0xffff), 4);
        sbx_random(NULL, a->app_key, sizeof(a->app_key));
    }
}

static void sbx_key_put(sbx_account_t *a, wagw_buf_t *share, const uint8_t id[6], const uint8_t secret[32], int64_t t)
{
    wagw_buf_t key = {0}, part = {0}, fp = {0};

    sbx_pb_bytes(&part, 1, wagw_str(id, 6));
    sbx_pb_bytes(&key, 1, wagw_buf_view(&part));
    wagw_buf_reset(&part);
    sbx_pb_bytes(&part, 1, wagw_str(secret, 32));
    sbx_pb_uint(&fp, 1, a->adv_raw_id);
    sbx_pb_uint(&fp, 2, a->key_index);
    sbx_pb_bytes(&part, 2, wagw_buf_view(&fp));
    sbx_pb_uint(&part, 3, (uint64_t)t);
    sbx_pb_bytes(&key, 2, wagw_buf_view(&part));
    sbx_pb_bytes(share, 1, wagw_buf_view(&key));
    wagw_buf_wipe(&key);
    wagw_buf_wipe(&part);
    wagw_buf_free(&fp);
}

/* Every key: old records stay under theirs. */
static void sbx_key_share(sbx_device_t *d)
{
    sbx_account_t *a;
    wagw_buf_t p = {0}, share = {0};

    a = d->account;
    if (a->keeps_keys) {
        return;
    }
    sbx_app_key(a);
    for (unsigned i = 0; i < a->app_olds; i++) {
        sbx_key_put(a, &share, a->app_old[i], a->app_old[i] + 6, sbx_now_ms() - 1000 * (int64_t)(a->app_olds - i));
    }
    sbx_key_put(a, &share, a->app_key_id, a->app_key, sbx_now_ms());

    sbx_pb_uint(&p, 2, 6);
    sbx_pb_bytes(&p, 7, wagw_buf_view(&share));
    sbx_peer(d, &p);

    wagw_buf_free(&p);
    wagw_buf_wipe(&share);
}

/* One chunk, in the message itself or as a blob on the media host. */
static void sbx_history_chunk(sbx_device_t *d, unsigned type, unsigned chunk, unsigned progress, bool blob,
                              const char *session, wagw_str_t sync)
{
    uLongf n;
    wagw_buf_t z = {0}, note = {0}, p = {0};
    sbx_upload_t u;

    n = compressBound((uLong)sync.n);
    wagw_buf_reserve(&z, n);
    if (z.failed || compress(z.p, &n, sync.p, (uLong)sync.n) != Z_OK) {
        wagw_buf_free(&z);
        return;
    }
    z.n = n;

    if (blob) {
        sbx_phone_upload(&u, "md-msg-hist", wagw_buf_view(&z));
        sbx_pb_bytes(&note, 1, wagw_str(u.sha256, 32));
        sbx_pb_uint(&note, 2, u.size);
        sbx_pb_bytes(&note, 3, wagw_str(u.key, 32));
        sbx_pb_bytes(&note, 4, wagw_str(u.enc_sha256, 32));
        sbx_pb_bytes(&note, 5, wagw_cstr(u.path));
        free(u.path);
    }
    sbx_pb_uint(&note, 6, type);
    sbx_pb_uint(&note, 7, chunk);
    sbx_pb_uint(&note, 9, progress);
    if (!blob) {
        sbx_pb_bytes(&note, 11, wagw_buf_view(&z));
    }
    if (session != NULL) {
        sbx_pb_bytes(&note, 12, wagw_cstr(session));
    }
    sbx_pb_uint(&p, 2, 5);
    sbx_pb_bytes(&p, 6, wagw_buf_view(&note));
    sbx_peer(d, &p);

    wagw_buf_free(&z);
    wagw_buf_free(&note);
    wagw_buf_free(&p);
}

static void sbx_history(sbx_device_t *d, unsigned type, wagw_buf_t *sync)
{
    sbx_history_chunk(d, type, 1, 100, false, NULL, wagw_buf_view(sync));
    wagw_buf_reset(sync);
}

void sbx_phone_welcome(sbx_device_t *d)
{
    char pn[WAGW_JID_TEXT_MAX], lid[WAGW_JID_TEXT_MAX];
    wagw_jid_t jid;
    wagw_buf_t sync = {0}, part = {0};

    sbx_key_share(d);
    sbx_app_state_push_name(d->account);
    sbx_group_welcome(d->account);
    if (!sbx.history || d->account->keeps_history) {
        return;
    }

    jid = sbx_account_jid_of(d->account, false);
    wagw_jid_text(&jid, pn);
    jid = sbx_account_jid_of(d->account, true);
    wagw_jid_text(&jid, lid);

    /* a new account has no chats: its own address pair is all there is */
    sbx_pb_uint(&sync, 1, 0);
    sbx_pb_uint(&sync, 5, 1);
    sbx_pb_uint(&sync, 6, 100);
    sbx_pb_bytes(&part, 1, wagw_cstr(pn));
    sbx_pb_bytes(&part, 2, wagw_cstr(lid));
    sbx_pb_bytes(&sync, 15, wagw_buf_view(&part));
    sbx_history(d, 0, &sync);

    sbx_pb_uint(&sync, 1, 4);
    sbx_pb_uint(&sync, 5, 1);
    sbx_pb_uint(&sync, 6, 100);
    wagw_buf_reset(&part);
    sbx_pb_bytes(&part, 1, wagw_cstr(pn));
    sbx_pb_bytes(&part, 2, wagw_cstr(d->account->name));
    sbx_pb_bytes(&sync, 7, wagw_buf_view(&part));
    sbx_history(d, 4, &sync);

    sbx_pb_uint(&sync, 1, 3);
    sbx_pb_uint(&sync, 5, 1);
    sbx_pb_uint(&sync, 6, 100);
    sbx_history(d, 3, &sync);

    wagw_buf_free(&sync);
    wagw_buf_free(&part);
}

/* The WebMessageInfo of a message that the phone has. */
static void sbx_web_message(wagw_buf_t *out, const sbx_inbox_t *e)
{
    wagw_buf_t key = {0};

    sbx_pb_bytes(&key, 1, wagw_cstr(e->chat));
    sbx_pb_uint(&key, 2, e->from_me);
    sbx_pb_bytes(&key, 3, wagw_cstr(e->id));
    sbx_pb_bytes(out, 1, wagw_buf_view(&key));
    sbx_pb_bytes(out, 2, wagw_buf_view(&e->bytes));
    sbx_pb_uint(out, 3, (uint64_t)(e->t / 1000));
    wagw_buf_free(&key);
}

static void sbx_resend_placeholders(sbx_device_t *d, const char *id,
                                    const Wa__Message__PeerDataOperationRequestMessage *q)
{
    size_t i;
    wagw_buf_t p = {0}, answer = {0}, result = {0}, resend = {0}, info = {0};
    sbx_inbox_t *e;

    sbx_pb_uint(&answer, 1, 4);
    sbx_pb_bytes(&answer, 2, wagw_cstr(id));
    for (i = 0; i < q->n_placeholdermessageresendrequest; i++) {
        const Wa__MessageKey *k = q->placeholdermessageresendrequest[i]->messagekey;

        for (e = d->account->inbox; e != NULL; e = e->next) {
            if (k != NULL && k->id != NULL && strcmp(e->id, k->id) == 0 && e->bytes.n != 0) {
                break;
            }
        }
        if (e == NULL) {
            continue;
        }
        wagw_buf_reset(&info);
        wagw_buf_reset(&resend);
        wagw_buf_reset(&result);
        sbx_web_message(&info, e);
        sbx_pb_bytes(&resend, 1, wagw_buf_view(&info));
        sbx_pb_bytes(&result, 4, wagw_buf_view(&resend));
        sbx_pb_bytes(&answer, 3, wagw_buf_view(&result));
    }
    sbx_pb_uint(&p, 2, 17);
    sbx_pb_bytes(&p, 17, wagw_buf_view(&answer));
    sbx_peer(d, &p);

    wagw_buf_free(&p);
    wagw_buf_free(&answer);
    wagw_buf_free(&result);
    wagw_buf_free(&resend);
    wagw_buf_free(&info);
}

/* The same person or group, whichever address is written. */
static bool sbx_same_chat(const char *a, const char *b)
{
    wagw_jid_t ja, jb;

    if (strcmp(a, b) == 0) {
        return true;
    }
    return wagw_jid_parse(&ja, wagw_cstr(a)) == WAGW_OK && wagw_jid_parse(&jb, wagw_cstr(b)) == WAGW_OK &&
           sbx_account_jid(&ja) != NULL && sbx_account_jid(&ja) == sbx_account_jid(&jb);
}

/* What the phone has of the chat before that message, newest first. */
static void sbx_history_on_demand(sbx_device_t *d, const char *id,
                                  const Wa__Message__PeerDataOperationRequestMessage__HistorySyncOnDemandRequest *q)
{
    int left = q->has_ondemandmsgcount ? q->ondemandmsgcount : 50;
    size_t n = 0;
    wagw_buf_t sync = {0}, conv = {0}, msg = {0}, info = {0};
    const sbx_inbox_t *e, **older;

    if (q->chatjid == NULL || q->oldestmsgid == NULL || d->account->keeps_history) {
        return;
    }
    sbx_phone_read(d->account);
    older = sbx_alloc((d->account->inbox_count + 1) * sizeof(*older));
    for (e = d->account->inbox; e != NULL && strcmp(e->id, q->oldestmsgid) != 0; e = e->next) {
        if (e->bytes.n != 0 && sbx_same_chat(e->chat, q->chatjid)) {
            older[n++] = e;
        }
    }
    sbx_pb_bytes(&conv, 1, wagw_cstr(q->chatjid));
    while (n > 0 && left-- > 0) {
        wagw_buf_reset(&info);
        wagw_buf_reset(&msg);
        sbx_web_message(&info, older[--n]);
        sbx_pb_bytes(&msg, 1, wagw_buf_view(&info));
        sbx_pb_bytes(&conv, 2, wagw_buf_view(&msg));
    }
    sbx_pb_uint(&conv, 11, n > 0 ? 2 : 1);
    sbx_pb_uint(&sync, 1, 6);
    sbx_pb_bytes(&sync, 2, wagw_buf_view(&conv));
    sbx_pb_uint(&sync, 5, 1);
    sbx_pb_uint(&sync, 6, 100);
    sbx_history_chunk(d, 6, 1, 100, false, id, wagw_buf_view(&sync));
    free(older);
    wagw_buf_free(&sync);
    wagw_buf_free(&conv);
    wagw_buf_free(&msg);
    wagw_buf_free(&info);
}

/* A collection that the companion could not read from the server (07 section 6). */
static void sbx_collection_copy(sbx_device_t *d, const char *id, const char *name)
{
    wagw_buf_t copy = {0}, p = {0}, answer = {0}, result = {0}, box = {0};

    if (d->account->keeps_keys || !sbx_app_state_copy(d->account, name, &copy)) {
        return;
    }
    sbx_pb_bytes(&box, 1, wagw_buf_view(&copy));
    sbx_pb_bytes(&result, 8, wagw_buf_view(&box));
    sbx_pb_uint(&answer, 1, 8);
    sbx_pb_bytes(&answer, 2, wagw_cstr(id));
    sbx_pb_bytes(&answer, 3, wagw_buf_view(&result));
    sbx_pb_uint(&p, 2, 17);
    sbx_pb_bytes(&p, 17, wagw_buf_view(&answer));
    sbx_peer(d, &p);

    wagw_buf_free(&copy);
    wagw_buf_free(&p);
    wagw_buf_free(&answer);
    wagw_buf_free(&result);
    wagw_buf_free(&box);
}

void sbx_phone_asked(sbx_device_t *d, const char *id, wagw_str_t message)
{
    Wa__Message *m;
    const Wa__Message__ProtocolMessage *p;
    const Wa__Message__PeerDataOperationRequestMessage *q;

    m = wa__message__unpack(NULL, message.n, message.p);
    if (m == NULL) {
        return;
    }
    p = m->protocolmessage;
    if (p != NULL && p->has_type && p->type == SBX_ASK_KEYS) {
        sbx_key_share(d);
    } else if (p != NULL && p->has_type && p->type == SBX_ASK_DATA && p->peerdataoperationrequestmessage != NULL) {
        q = p->peerdataoperationrequestmessage;
        if (q->n_placeholdermessageresendrequest != 0) {
            sbx_resend_placeholders(d, id, q);
        }
        if (q->historysyncondemandrequest != NULL) {
            sbx_history_on_demand(d, id, q->historysyncondemandrequest);
        }
        if (q->syncdcollectionfatalrecoveryrequest != NULL &&
            q->syncdcollectionfatalrecoveryrequest->collectionname != NULL) {
            sbx_collection_copy(d, id, q->syncdcollectionfatalrecoveryrequest->collectionname);
        }
    }
    wa__message__free_unpacked(m, NULL);
}

/* ---- admin ---- */

static sbx_device_t *sbx_companion(sbx_req_t *r, int *status)
{
    char buf[64];
    const char *name = sbx_arg(r, "device", buf);
    sbx_device_t *d = name ? sbx_device_find(name) : NULL;

    if (d == NULL || d->id == 0) {
        *status = sbx_error(r, name ? 404 : 400, name ? "no such companion" : "device is needed");
        return NULL;
    }
    return d;
}

int sbx_admin_phone_share_keys(sbx_req_t *r)
{
    int status;
    sbx_device_t *d = sbx_companion(r, &status);
    sbx_account_t *a;

    if (d == NULL) {
        return status;
    }
    a = d->account;
    if (sbx_arg_bool(r, "rotate", false)) {
        sbx_app_key(a);
        if (a->app_olds == sizeof(a->app_old) / sizeof(a->app_old[0])) {
            return sbx_error(r, 409, "that often no key is rotated");
        }
        memcpy(a->app_old[a->app_olds], a->app_key_id, 6);
        memcpy(a->app_old[a->app_olds++] + 6, a->app_key, 32);
        sbx_be(a->app_key_id + 2, 1 + (uint32_t)sbx_be_read(a->app_key_id + 2, 4), 4);
        sbx_random(NULL, a->app_key, sizeof(a->app_key));
    }
    if (sbx_arg_bool(r, "share", true)) {
        for (d = a->devices->next; d != NULL; d = d->next) {
            sbx_key_share(d);
        }
    }
    wagw_json_open(&r->j, '{');
    wagw_json_key(&r->j, "keyId");
    wagw_json_open(&r->j, '{');
    wagw_json_key(&r->j, "$hex");
    wagw_buf_u8(r->j.out, '"');
    wagw_hex_encode(r->j.out, wagw_str(a->app_key_id, sizeof(a->app_key_id)));
    wagw_buf_u8(r->j.out, '"');
    r->j.comma = true;
    wagw_json_close(&r->j);
    wagw_json_close(&r->j);
    return 200;
}

int sbx_admin_phone_history(sbx_req_t *r)
{
    int status;
    wagw_buf_t sync = {0};
    const char *field = NULL;
    unsigned kind = 3;
    wagw_wire_t w;
    wagw_wire_field_t f;
    const cJSON *json = sbx_arg_json(r, "sync");
    sbx_device_t *d = sbx_companion(r, &status);

    if (d == NULL) {
        return status;
    }
    if (!cJSON_IsObject(json)) {
        return sbx_error(r, 400, "sync: a HistorySync is needed");
    }
    if (wagw_pb_from_json(&sync, &wa__history_sync__descriptor, json, &field) != WAGW_OK) {
        wagw_buf_free(&sync);
        return sbx_error(r, 400, "sync: %s cannot be encoded", field ? field : "it");
    }
    /* the notification says the same as the blob */
    w = wagw_wire(wagw_buf_view(&sync));
    while (wagw_wire_next(&w, &f) == WAGW_OK) {
        kind = f.num == 1 && f.type == 0 ? (unsigned)f.u : kind;
    }
    sbx_history_chunk(d, kind, (unsigned)sbx_arg_int(r, "chunk", 1), (unsigned)sbx_arg_int(r, "progress", 100),
                      !sbx_arg_bool(r, "inline", true), NULL, wagw_buf_view(&sync));
    wagw_buf_free(&sync);
    wagw_json_open(&r->j, '{');
    wagw_json_close(&r->j);
    return 200;
}

int sbx_admin_phone_peer(sbx_req_t *r)
{
    int status;
    char id[64];
    wagw_buf_t message = {0};
    const char *field = NULL;
    const cJSON *json = sbx_arg_json(r, "message");
    sbx_device_t *d = sbx_companion(r, &status);
    sbx_send_how_t how = {.category = "peer"};

    if (d == NULL) {
        return status;
    }
    if (!cJSON_IsObject(json) || wagw_message_from_json(&message, json, &field) != WAGW_OK) {
        wagw_buf_free(&message);
        return sbx_error(r, 400, "message: %s cannot be encoded", field ? field : "it");
    }
    how.only = d;
    sbx_phone_send(d->account, d->account, wagw_buf_view(&message), &how, id);
    wagw_buf_free(&message);
    wagw_json_open(&r->j, '{');
    wagw_json_kcstr(&r->j, "id", id);
    wagw_json_close(&r->j);
    return 200;
}
