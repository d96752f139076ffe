/*
 * Sender keys (protocol 04 sections 2.3, 2.4, 9).
 */

#include "signal_private.h"

#include <signal/group_cipher.h>
#include <signal/group_session_builder.h>
#include <signal/protocol.h>
#include <signal/sender_key.h>
#include <signal/sender_key_record.h>
#include <signal/sender_key_state.h>

/* libsignal fast-forwards a chain by at most this many messages. */
#define WAGW_GROUP_AHEAD 2000

static signal_protocol_sender_key_name wagw_group_name(wagw_str_t group, const wagw_signal_addr_t *addr)
{
    signal_protocol_sender_key_name n;

    memset(&n, 0, sizeof(n));
    n.group_id = (const char *)group.p;
    n.group_id_len = group.n;
    n.sender = wagw_signal_borrow(addr);

    return n;
}

/*
 * The sender's key as it is now.  A key that was stored under the phone
 * number, before its LID was known, moves here when it is first needed
 * (04 section 6.3): finding all of them at once would mean reading every
 * sender key of the account.
 */
static int wagw_group_key(wagw_signal_t *s, wagw_str_t group, const wagw_signal_addr_t *sender, wagw_str_t *value)
{
    int rc;
    char buf[WAGW_KEY_MAX], old_buf[WAGW_KEY_MAX];
    size_t n;
    wagw_str_t key, old, pn;
    wagw_signal_addr_t by_pn;

    key = wagw_signal_sender_key(buf, group, sender);
    if (key.n == 0) {
        return WAGW_LIMIT;
    }

    rc = wagw_signal_get(s, WAGW_REC_SENDER_KEY, key, value);

    n = strlen(sender->name);
    if (rc != WAGW_NOT_FOUND || n <= 2 || memcmp(sender->name + n - 2, "_1", 2) != 0) {
        return rc;
    }

    rc = wagw_signal_get(s, WAGW_REC_PN_OF, wagw_str(sender->name, n - 2), &pn);
    if (rc != WAGW_OK) {
        return rc;
    }
    if (pn.n == 0 || pn.n > WAGW_JID_USER_MAX) {
        return WAGW_NOT_FOUND;
    }

    memcpy(by_pn.name, pn.p, pn.n);
    by_pn.name[pn.n] = '\0';
    by_pn.device = sender->device;

    old = wagw_signal_sender_key(old_buf, group, &by_pn);
    if (old.n == 0) {
        return WAGW_NOT_FOUND;
    }

    rc = wagw_signal_get(s, WAGW_REC_SENDER_KEY, old, value);
    if (rc != WAGW_OK) {
        return rc;
    }

    rc = wagw_signal_put(s, WAGW_REC_SENDER_KEY, key, *value);
    if (rc == WAGW_OK) {
        rc = wagw_signal_del(s, WAGW_REC_SENDER_KEY, old);
    }
    if (rc == WAGW_OK) {
        rc = wagw_signal_get(s, WAGW_REC_SENDER_KEY, key, value);
    }

    return rc;
}

int wagw_signal_group_skdm(wagw_signal_t *s, wagw_str_t group, const wagw_signal_addr_t *self, wagw_buf_t *skdm,
                           uint32_t *key_id)
{
    int rc;
    wagw_str_t value;
    signal_buffer *bytes;
    group_session_builder *builder;
    signal_protocol_sender_key_name name;
    sender_key_distribution_message *message;

    builder = NULL;
    message = NULL;

    wagw_signal_begin(s);

    rc = wagw_group_key(s, group, self, &value);
    if (rc != WAGW_OK && rc != WAGW_NOT_FOUND) {
        goto done;
    }

    name = wagw_group_name(group, self);

    rc = group_session_builder_create(&builder, s->store, s->ctx);
    if (rc == SG_SUCCESS) {
        rc = group_session_builder_create_session(builder, &message, &name);
    }
    if (rc != SG_SUCCESS) {
        rc = wagw_signal_code(rc, WAGW_ERROR);
        goto done;
    }

    if (key_id != NULL) {
        *key_id = sender_key_distribution_message_get_id(message);
    }

    bytes = ciphertext_message_get_serialized((ciphertext_message *)message);
    rc = wagw_buf_add(skdm, signal_buffer_const_data(bytes), signal_buffer_len(bytes));

done:

    SIGNAL_UNREF(message);
    group_session_builder_free(builder);

    return wagw_signal_end(s, rc);
}

int wagw_signal_group_encrypt(wagw_signal_t *s, wagw_str_t group, const wagw_signal_addr_t *self, wagw_str_t plain,
                              wagw_buf_t *out)
{
    int rc;
    wagw_str_t value;
    group_cipher *cipher;
    signal_buffer *bytes;
    ciphertext_message *message;
    signal_protocol_sender_key_name name;

    cipher = NULL;
    message = NULL;

    wagw_signal_begin(s);

    rc = wagw_group_key(s, group, self, &value);
    if (rc != WAGW_OK) {
        rc = rc == WAGW_NOT_FOUND ? WAGW_NO_SESSION : rc;
        goto done;
    }

    name = wagw_group_name(group, self);

    rc = group_cipher_create(&cipher, s->store, &name, s->ctx);
    if (rc == SG_SUCCESS) {
        rc = group_cipher_encrypt(cipher, plain.p, plain.n, &message);
    }
    if (rc != SG_SUCCESS) {
        rc = wagw_signal_code(rc, WAGW_ERROR);
        goto done;
    }

    bytes = ciphertext_message_get_serialized(message);
    rc = wagw_buf_add(out, signal_buffer_const_data(bytes), signal_buffer_len(bytes));

done:

    SIGNAL_UNREF(message);
    group_cipher_free(cipher);

    return wagw_signal_end(s, rc);
}

/*
 * Some clients send the distribution message with every message.  libsignal
 * would add a state each time, and five of them push out the older keys, so
 * one that says nothing new is not processed.
 */
static bool wagw_group_known(wagw_signal_t *s, wagw_str_t value, sender_key_distribution_message *message)
{
    bool known;
    uint32_t have, now;
    sender_key_state *state;
    sender_key_record *record;

    if (sender_key_record_deserialize(&record, value.p, value.n, s->ctx) != SG_SUCCESS) {
        return false;
    }

    known = false;

    if (sender_key_record_get_sender_key_state_by_id(record, &state, sender_key_distribution_message_get_id(message)) ==
            SG_SUCCESS &&
        ec_public_key_compare(sender_key_state_get_signing_key_public(state),
                              sender_key_distribution_message_get_signature_key(message)) == 0) {
        have = sender_chain_key_get_iteration(sender_key_state_get_chain_key(state));
        now = sender_key_distribution_message_get_iteration(message);
        known = have <= now && now - have < WAGW_GROUP_AHEAD;
    }

    SIGNAL_UNREF(record);

    return known;
}

int wagw_signal_group_process(wagw_signal_t *s, wagw_str_t group, const wagw_signal_addr_t *sender, wagw_str_t skdm)
{
    int rc;
    wagw_str_t value;
    group_session_builder *builder;
    signal_protocol_sender_key_name name;
    sender_key_distribution_message *message;

    builder = NULL;
    message = NULL;

    wagw_signal_begin(s);

    rc = wagw_group_key(s, group, sender, &value);
    if (rc != WAGW_OK && rc != WAGW_NOT_FOUND) {
        goto done;
    }

    rc = sender_key_distribution_message_deserialize(&message, skdm.p, skdm.n, s->ctx);
    if (rc != SG_SUCCESS) {
        rc = rc == SG_ERR_NOMEM ? WAGW_NOMEM : WAGW_MALFORMED;
        goto done;
    }

    if (value.p != NULL && wagw_group_known(s, value, message)) {
        rc = WAGW_OK;
        goto done;
    }

    name = wagw_group_name(group, sender);

    rc = group_session_builder_create(&builder, s->store, s->ctx);
    if (rc == SG_SUCCESS) {
        rc = group_session_builder_process_session(builder, &name, message);
    }
    if (rc != SG_SUCCESS) {
        rc = wagw_signal_code(rc, WAGW_MALFORMED);
    }

done:

    SIGNAL_UNREF(message);
    group_session_builder_free(builder);

    return wagw_signal_end(s, rc);
}

/* The library calls a key that we were never given "invalid message" too. */
static bool wagw_group_has_id(wagw_signal_t *s, wagw_str_t value, uint32_t id)
{
    bool found;
    sender_key_state *state;
    sender_key_record *record;

    if (sender_key_record_deserialize(&record, value.p, value.n, s->ctx) != SG_SUCCESS) {
        return false;
    }

    found = sender_key_record_get_sender_key_state_by_id(record, &state, id) == SG_SUCCESS;
    SIGNAL_UNREF(record);

    return found;
}

int wagw_signal_group_decrypt(wagw_signal_t *s, wagw_str_t group, const wagw_signal_addr_t *sender, wagw_str_t in,
                              wagw_buf_t *out)
{
    int rc;
    wagw_str_t value;
    group_cipher *cipher;
    signal_buffer *plain;
    sender_key_message *message;
    signal_protocol_sender_key_name name;

    cipher = NULL;
    plain = NULL;
    message = NULL;

    wagw_signal_begin(s);

    rc = wagw_group_key(s, group, sender, &value);
    if (rc != WAGW_OK) {
        rc = rc == WAGW_NOT_FOUND ? WAGW_NO_SESSION : rc;
        goto done;
    }

    rc = sender_key_message_deserialize(&message, in.p, in.n, s->ctx);
    if (rc != SG_SUCCESS) {
        rc = rc == SG_ERR_NOMEM ? WAGW_NOMEM : WAGW_MALFORMED;
        goto done;
    }

    name = wagw_group_name(group, sender);

    rc = group_cipher_create(&cipher, s->store, &name, s->ctx);
    if (rc == SG_SUCCESS) {
        rc = group_cipher_decrypt(cipher, message, NULL, &plain);
    }
    if (rc != SG_SUCCESS) {
        rc = wagw_signal_code(rc, WAGW_CRYPTO);
        if (rc == WAGW_CRYPTO && !wagw_group_has_id(s, value, sender_key_message_get_key_id(message))) {
            rc = WAGW_NO_SESSION;
        }
        goto done;
    }

    rc = wagw_buf_add(out, signal_buffer_const_data(plain), signal_buffer_len(plain));

done:

    signal_buffer_bzero_free(plain);
    SIGNAL_UNREF(message);
    group_cipher_free(cipher);

    return wagw_signal_end(s, rc);
}

int wagw_signal_group_forget(wagw_signal_t *s, wagw_str_t group, const wagw_signal_addr_t *self)
{
    char buf[WAGW_KEY_MAX];
    wagw_str_t key;

    key = wagw_signal_sender_key(buf, group, self);

    return key.n != 0 ? wagw_txn_del(s->txn, WAGW_REC_SENDER_KEY, key) : WAGW_LIMIT;
}
