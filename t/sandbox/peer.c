/*
 * What a phone and its companions tell each other: app-state keys and history
 * after the first login, keys and messages again when a companion asks.
 */

#include "sandbox.h"

#include "wa.pb-c.h"

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

static void sbx_key_share(sbx_device_t *d)
{
    sbx_account_t *a;
    wagw_buf_t p = {0}, share = {0}, key = {0}, part = {0}, fp = {0};

    a = d->account;
    if (sbx_be_read(a->app_key_id + 2, 4) == 0) {
        sbx_be(a->app_key_id + 2, 1 + (sbx_random_u32() & 0xffff), 4);
        sbx_random(NULL, a->app_key, sizeof(a->app_key));
    }

    sbx_pb_bytes(&part, 1, wagw_str(a->app_key_id, sizeof(a->app_key_id)));
    sbx_pb_bytes(&key, 1, wagw_buf_view(&part));
    wagw_buf_reset(&part);
    sbx_pb_bytes(&part, 1, wagw_str(a->app_key, sizeof(a->app_key)));
    sbx_pb_uint(&fp, 1, a->adv_raw_id);
    sbx_pb_uint(&fp, 2, a->key_index);
    sbx_pb_bytes(&part, 2, wagw_buf_view(&fp));
    sbx_pb_uint(&part, 3, (uint64_t)sbx_now_ms());
    sbx_pb_bytes(&key, 2, wagw_buf_view(&part));
    sbx_pb_bytes(&share, 1, wagw_buf_view(&key));

    sbx_pb_uint(&p, 2, 6);
    sbx_pb_bytes(&p, 7, wagw_buf_view(&share));
    sbx_peer(d, &p);

    wagw_buf_free(&p);
    wagw_buf_free(&share);
    wagw_buf_wipe(&key);
    wagw_buf_wipe(&part);
    wagw_buf_free(&fp);
}

static void sbx_history(sbx_device_t *d, unsigned type, wagw_buf_t *sync)
{
    uLongf n;
    wagw_buf_t z = {0}, note = {0}, p = {0};

    n = compressBound((uLong)sync->n);
    wagw_buf_reserve(&z, n);
    if (z.failed || compress(z.p, &n, sync->p, (uLong)sync->n) != Z_OK) {
        wagw_buf_free(&z);
        return;
    }
    z.n = n;

    sbx_pb_uint(&note, 6, type);
    sbx_pb_uint(&note, 7, 1);
    sbx_pb_uint(&note, 9, 100);
    sbx_pb_bytes(&note, 11, wagw_buf_view(&z));
    sbx_pb_uint(&p, 2, 5);
    sbx_pb_bytes(&p, 6, wagw_buf_view(&note));
    sbx_peer(d, &p);

    wagw_buf_free(&z);
    wagw_buf_free(&note);
    wagw_buf_free(&p);
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
    if (!sbx.history) {
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
    }
    wa__message__free_unpacked(m, NULL);
}
