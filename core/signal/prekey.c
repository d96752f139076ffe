/*
 * Our own prekeys.  Records are libsignal's; one-time keys carry a flag byte
 * in front (1: the server has it).
 */

#include "signal_private.h"

static int wagw_prekey_pair(wagw_signal_t *s, const wagw_keypair_t *kp, ec_key_pair **pair)
{
    int rc;
    uint8_t typed[33];
    ec_public_key *pub;
    ec_private_key *priv;

    pub = NULL;
    priv = NULL;

    typed[0] = 0x05;
    memcpy(typed + 1, kp->pub, 32);

    rc = curve_decode_point(&pub, typed, sizeof(typed), s->ctx);
    if (rc == SG_SUCCESS) {
        rc = curve_decode_private_point(&priv, kp->priv, 32, s->ctx);
    }
    if (rc == SG_SUCCESS) {
        rc = ec_key_pair_create(pair, pub, priv);
    }

    SIGNAL_UNREF(pub);
    SIGNAL_UNREF(priv);

    return rc == SG_SUCCESS ? WAGW_OK : wagw_signal_code(rc, WAGW_ERROR);
}

int wagw_signal_put_prekey(wagw_signal_t *s, uint32_t id, const wagw_keypair_t *kp, bool uploaded)
{
    int rc;
    char key[16];
    ec_key_pair *pair;
    wagw_buf_t value;
    signal_buffer *bytes;
    session_pre_key *record;

    pair = NULL;
    record = NULL;
    bytes = NULL;
    memset(&value, 0, sizeof(value));

    rc = wagw_prekey_pair(s, kp, &pair);
    if (rc != WAGW_OK) {
        return rc;
    }

    rc = session_pre_key_create(&record, id, pair);
    if (rc == SG_SUCCESS) {
        rc = session_pre_key_serialize(&bytes, record);
    }
    if (rc != SG_SUCCESS) {
        rc = wagw_signal_code(rc, WAGW_ERROR);
        goto done;
    }

    wagw_buf_u8(&value, uploaded ? 1 : 0);
    wagw_buf_add(&value, signal_buffer_const_data(bytes), signal_buffer_len(bytes));
    if (value.failed) {
        rc = WAGW_NOMEM;
        goto done;
    }

    rc = wagw_txn_put(s->txn, WAGW_REC_PREKEY, wagw_signal_id_key(key, id), wagw_buf_view(&value));

done:

    wagw_buf_wipe(&value);
    signal_buffer_bzero_free(bytes);
    SIGNAL_UNREF(record);
    SIGNAL_UNREF(pair);

    return rc;
}

int wagw_signal_put_signed_prekey(wagw_signal_t *s, uint32_t id, const wagw_keypair_t *kp, const uint8_t sig[64],
                                  int64_t now_ms)
{
    int rc;
    char key[16];
    ec_key_pair *pair;
    signal_buffer *bytes;
    session_signed_pre_key *record;

    pair = NULL;
    record = NULL;
    bytes = NULL;

    rc = wagw_prekey_pair(s, kp, &pair);
    if (rc != WAGW_OK) {
        return rc;
    }

    rc = session_signed_pre_key_create(&record, id, (uint64_t)now_ms, pair, sig, 64);
    if (rc == SG_SUCCESS) {
        rc = session_signed_pre_key_serialize(&bytes, record);
    }
    if (rc != SG_SUCCESS) {
        rc = wagw_signal_code(rc, WAGW_ERROR);
        goto done;
    }

    rc = wagw_txn_put(s->txn, WAGW_REC_SPREKEY, wagw_signal_id_key(key, id),
                      wagw_str(signal_buffer_const_data(bytes), signal_buffer_len(bytes)));

done:

    signal_buffer_bzero_free(bytes);
    SIGNAL_UNREF(record);
    SIGNAL_UNREF(pair);

    return rc;
}

int wagw_signal_make_prekey(wagw_signal_t *s, uint32_t id, bool uploaded, uint8_t pub[32])
{
    int rc;
    wagw_keypair_t kp;

    rc = wagw_x25519_keypair(&kp, s->random, s->random_data);
    if (rc == WAGW_OK) {
        rc = wagw_signal_put_prekey(s, id, &kp, uploaded);
    }
    if (rc == WAGW_OK) {
        memcpy(pub, kp.pub, 32);
    }

    wagw_wipe(&kp, sizeof(kp));
    return rc;
}

int wagw_signal_make_signed_prekey(wagw_signal_t *s, uint32_t id, int64_t now_ms, uint8_t pub[32], uint8_t sig[64])
{
    int rc;
    uint8_t typed[33];
    wagw_keypair_t kp;

    rc = wagw_x25519_keypair(&kp, s->random, s->random_data);
    if (rc != WAGW_OK) {
        goto done;
    }

    typed[0] = 0x05;
    memcpy(typed + 1, kp.pub, 32);

    rc = wagw_xeddsa_sign(sig, s->self->identity->priv, wagw_str(typed, sizeof(typed)), s->random, s->random_data);
    if (rc != WAGW_OK) {
        goto done;
    }

    rc = wagw_signal_put_signed_prekey(s, id, &kp, sig, now_ms);
    if (rc == WAGW_OK) {
        memcpy(pub, kp.pub, 32);
    }

done:

    wagw_wipe(&kp, sizeof(kp));
    return rc;
}

int wagw_signal_prekey_public(wagw_signal_t *s, wagw_str_t value, uint8_t pub[32])
{
    int rc;
    signal_buffer *point;
    session_pre_key *record;

    if (value.n < 2) {
        return WAGW_MALFORMED;
    }

    if (session_pre_key_deserialize(&record, value.p + 1, value.n - 1, s->ctx) != SG_SUCCESS) {
        return WAGW_MALFORMED;
    }

    rc = WAGW_MALFORMED;
    point = NULL;

    if (ec_public_key_serialize(&point, ec_key_pair_get_public(session_pre_key_get_key_pair(record))) == SG_SUCCESS &&
        signal_buffer_len(point) == 33) {
        memcpy(pub, signal_buffer_const_data(point) + 1, 32);
        rc = WAGW_OK;
    }

    signal_buffer_free(point);
    SIGNAL_UNREF(record);

    return rc;
}
