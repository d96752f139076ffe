/*
 * What our own devices tell each other about app state (07 section 6): sync
 * keys that one of them lacks, and the phone's copy of a collection that the
 * server cannot give us whole.
 */

#include "app_i.h"

#include <stdlib.h>

#define RECOVER_MS 3600000   /* between two requests for one collection */
#define COPY_MAX (64u << 20) /* inflated */
#define KEYS_MAX 64          /* of one request */

static wagw_str_t pack(wagw_turn_t *t, const Wa__Message *m)
{
    size_t n = wa__message__get_packed_size(m);
    uint8_t *p = wagw_arena_alloc(&t->arena, n + 1);

    return p ? wagw_str(p, wa__message__pack(m, p)) : WAGW_STR_NULL;
}

/* ---- keys for another companion ---- */

/* A device of ours lacks keys: it gets those that we have.  Only the phone
 * makes them, so what is unknown here is left to the phone. */
int wagw_app_keys_asked(wagw_turn_t *t, const wagw_incoming_t *in, wagw_str_t bytes)
{
    int rc = WAGW_OK, got;
    size_t n = 0;
    wagw_buf_t hex = {0};
    wagw_str_t v, out;
    Wa__Message m = WA__MESSAGE__INIT;
    Wa__Message__ProtocolMessage pm = WA__MESSAGE__PROTOCOL_MESSAGE__INIT;
    Wa__Message__AppStateSyncKeyShare share = WA__MESSAGE__APP_STATE_SYNC_KEY_SHARE__INIT;
    Wa__Message__AppStateSyncKey *keys[KEYS_MAX];
    Wa__Message__AppStateSyncKeyRequest *q;

    if (in->sender.device == 0 || in->sender.device == wagw_turn_me(t)->jid.device) {
        return WAGW_OK;
    }
    q = (void *)protobuf_c_message_unpack(&wa__message__app_state_sync_key_request__descriptor, NULL, bytes.n, bytes.p);
    if (q == NULL) {
        return WAGW_OK;
    }
    for (size_t i = 0; i < q->n_keyids && i < KEYS_MAX; i++) {
        const Wa__Message__AppStateSyncKeyId *id = q->keyids[i];
        Wa__Message__AppStateSyncKey *k;

        if (!id->has_keyid || id->keyid.len == 0 || id->keyid.len > WAGW_APP_KEY_ID_MAX) {
            continue;
        }
        wagw_buf_reset(&hex);
        wagw_hex_encode(&hex, wagw_str(id->keyid.data, id->keyid.len));
        got = hex.failed ? WAGW_NOMEM : wagw_txn_get(&t->txn, WAGW_REC_APP_KEY, wagw_buf_view(&hex), &v);
        if (got != WAGW_OK) {
            rc = got == WAGW_NOT_FOUND ? rc : got; /* the others are asked for in the same load */
            continue;
        }
        k = wagw_arena_alloc(&t->arena, sizeof(*k));
        if (k == NULL) {
            rc = WAGW_NOMEM;
            break;
        }
        wa__message__app_state_sync_key__init(k);
        k->keyid = q->keyids[i];
        k->keydata =
            (void *)protobuf_c_message_unpack(&wa__message__app_state_sync_key_data__descriptor, NULL, v.n, v.p);
        if (k->keydata) {
            keys[n++] = k;
        }
    }
    if (rc == WAGW_OK && n) {
        share.n_keys = n;
        share.keys = keys;
        pm.has_type = 1;
        pm.type = 6;
        pm.appstatesynckeyshare = &share;
        m.protocolmessage = &pm;
        out = pack(t, &m);
        rc = out.p ? wagw_peer_send_to(t, &in->sender, out, "high") : WAGW_NOMEM;
    }
    while (n > 0) {
        protobuf_c_message_free_unpacked(&keys[--n]->keydata->base, NULL);
    }
    protobuf_c_message_free_unpacked(&q->base, NULL);
    wagw_buf_free(&hex);
    return rc;
}

/* ---- the phone's copy of a collection ---- */

static wagw_str_t asked_key(wagw_turn_t *t, wagw_app_collection_t c)
{
    return wagw_arena_printf(&t->arena, "app.copy|%s", wagw_app_name(c));
}

static int asked_at(wagw_turn_t *t, wagw_app_collection_t c, int64_t *at)
{
    int rc;
    uint8_t tag;
    uint64_t u;
    wagw_tlv_t r = {0};
    wagw_str_t s, key = asked_key(t, c);

    *at = 0;
    rc = key.p ? wagw_txn_get(&t->txn, WAGW_REC_META, key, &r.in) : WAGW_NOMEM;
    if (rc != WAGW_OK) {
        return rc == WAGW_NOT_FOUND ? WAGW_OK : rc;
    }
    while (wagw_tlv_next(&r, &tag, &u, &s) == WAGW_OK) {
        *at = tag == 1 ? (int64_t)u : *at;
    }
    return WAGW_OK;
}

int wagw_app_copy_ask(wagw_turn_t *t, wagw_app_collection_t c)
{
    int rc;
    int64_t at;
    wagw_buf_t b = {0};
    Wa__Message__PeerDataOperationRequestMessage req = WA__MESSAGE__PEER_DATA_OPERATION_REQUEST_MESSAGE__INIT;
    Wa__Message__PeerDataOperationRequestMessage__SyncDCollectionFatalRecoveryRequest q =
        WA__MESSAGE__PEER_DATA_OPERATION_REQUEST_MESSAGE__SYNC_DCOLLECTION_FATAL_RECOVERY_REQUEST__INIT;

    WAGW_TRY(asked_at(t, c, &at));
    if (at && t->now - at < RECOVER_MS) {
        return WAGW_OK;
    }
    q.collectionname = (char *)wagw_app_name(c);
    q.has_timestamp = 1;
    q.timestamp = (t->now + t->c->server_offset_ms) / 1000;
    req.has_peerdataoperationrequesttype = 1;
    req.peerdataoperationrequesttype = 8;
    req.syncdcollectionfatalrecoveryrequest = &q;
    WAGW_TRY(wagw_peer_ask(t, &req, "high"));
    wagw_client_log(t->c, WAGW_LOG_NOTICE, "app state %s: the phone is asked for its copy", wagw_app_name(c));
    wagw_tlv_put_u(&b, 1, (uint64_t)t->now);
    rc = b.failed ? WAGW_NOMEM : wagw_txn_put(&t->txn, WAGW_REC_META, asked_key(t, c), wagw_buf_view(&b));
    wagw_buf_free(&b);
    return rc;
}

/* Inflated when it must be; the name in it says which collection it is. */
int wagw_app_copy_came(wagw_turn_t *t, wagw_str_t bytes, bool compressed)
{
    int rc = WAGW_OK;
    int64_t at;
    wagw_buf_t plain = {0};
    wagw_app_meta_t meta;
    wagw_app_apply_t a;
    wagw_app_error_t err = {0};
    wagw_app_collection_t c;

    if (compressed) {
        rc = wagw_app_gunzip(&plain, bytes, COPY_MAX);
        if (rc == WAGW_OK) {
            bytes = wagw_buf_view(&plain);
        }
    }
    if (rc == WAGW_OK) {
        rc = wagw_app_recovery_of(bytes, &c);
    }
    if (rc != WAGW_OK) {
        wagw_client_log(t->c, WAGW_LOG_WARN, "app state: the phone's copy of a collection is refused: %s",
                        wagw_rc_name(rc));
        rc = rc == WAGW_NOMEM ? rc : WAGW_OK;
        goto done;
    }
    rc = asked_at(t, c, &at);
    if (rc == WAGW_OK && at == 0) {
        wagw_client_log(t->c, WAGW_LOG_WARN, "app state %s: a copy that was not asked for is dropped",
                        wagw_app_name(c));
        goto done;
    }
    if (rc == WAGW_OK) {
        rc = wagw_app_meta(t, &meta);
    }
    if (rc != WAGW_OK) {
        goto done;
    }
    a = (wagw_app_apply_t){t, false, &meta, WAGW_OK};
    rc = wagw_app_recover(&t->txn, &t->arena, c, bytes, wagw_app_apply, &a, &err);
    if (rc == WAGW_AGAIN || rc == WAGW_NOMEM || a.again) {
        rc = a.again ? a.again : rc;
        goto done;
    }
    if (rc != WAGW_OK) {
        wagw_client_log(t->c, WAGW_LOG_WARN, "app state %s: the phone's copy is refused: %s", wagw_app_name(c),
                        rc == WAGW_DUPLICATE ? "it is not newer"
                        : err.why            ? err.why
                                             : wagw_rc_name(rc));
        rc = rc == WAGW_NOT_FOUND ? wagw_app_key_ask(t, &err) : WAGW_OK;
        goto done;
    }
    wagw_client_log(t->c, WAGW_LOG_NOTICE, "app state %s is restored from the phone's copy", wagw_app_name(c));
    meta.fresh &= ~wagw_app_bit(c);
    meta.blocked &= ~wagw_app_bit(c);
    meta.dirty |= wagw_app_bit(c); /* what came after the copy */
    rc = wagw_txn_del(&t->txn, WAGW_REC_META, asked_key(t, c));
    if (rc == WAGW_OK) {
        rc = wagw_app_meta_put(t, &meta);
    }
    if (rc == WAGW_OK) {
        rc = wagw_turn_then(t, wagw_app_pump_then, NULL, 0);
    }

done:

    wagw_buf_free(&plain);
    return rc;
}
