/*
 * Pairwise sessions: encrypting, decrypting, bundles (protocol 04 sections
 * 2 to 4), and moving a user's records from the phone number to the LID.
 */

#include "signal_private.h"

#include <signal/protocol.h>
#include <signal/session_builder.h>
#include <signal/session_cipher.h>
#include <signal/session_state.h>
#include <stdio.h>
#include <stdlib.h>

int wagw_signal_create(wagw_signal_t **out, wagw_random_pt random, void *data)
{
    int rc;
    wagw_signal_t *s;

    *out = NULL;

    s = calloc(1, sizeof(wagw_signal_t));
    if (s == NULL) {
        return WAGW_NOMEM;
    }

    s->random = random;
    s->random_data = data;

    if (signal_context_create(&s->ctx, s) != SG_SUCCESS) {
        free(s);
        return WAGW_NOMEM;
    }

    rc = wagw_signal_provider_init(s);
    if (rc == WAGW_OK) {
        rc = wagw_signal_records_init(s);
    }

    if (rc != WAGW_OK) {
        wagw_signal_destroy(s);
        return rc;
    }

    *out = s;
    return WAGW_OK;
}

void wagw_signal_destroy(wagw_signal_t *s)
{
    size_t i;

    if (s == NULL) {
        return;
    }

    for (i = 0; i < WAGW_SIGNAL_STAGED; i++) {
        wagw_buf_wipe(&s->staged[i].value);
    }

    signal_protocol_store_context_destroy(s->store);
    signal_context_destroy(s->ctx);
    wagw_signal_provider_done(s);
    free(s);
}

void wagw_signal_bind(wagw_signal_t *s, wagw_txn_t *t, const wagw_signal_self_t *self)
{
    s->txn = t;
    s->self = self;
}

int wagw_signal_code(int code, int other)
{
    switch (code) {

    case SG_ERR_NOMEM:
        return WAGW_NOMEM;

    case SG_ERR_DUPLICATE_MESSAGE:
        return WAGW_DUPLICATE;

    case SG_ERR_INVALID_KEY_ID:
        return WAGW_NO_PREKEY;

    case SG_ERR_NO_SESSION:
        return WAGW_NO_SESSION;

    case SG_ERR_INVALID_VERSION:
    case SG_ERR_LEGACY_MESSAGE:
    case SG_ERR_INVALID_PROTO_BUF:
        return WAGW_MALFORMED;

    default:
        return other;
    }
}

signal_protocol_address wagw_signal_borrow(const wagw_signal_addr_t *addr)
{
    signal_protocol_address a;

    memset(&a, 0, sizeof(a));
    a.name = addr->name;
    a.name_len = strlen(addr->name);
    a.device_id = (int32_t)addr->device;

    return a;
}

int wagw_signal_has_session(wagw_signal_t *s, const wagw_signal_addr_t *to)
{
    char key[WAGW_KEY_MAX];
    wagw_str_t value;

    return wagw_txn_get(s->txn, WAGW_REC_SESSION, wagw_str(key, wagw_signal_key(key, to)), &value);
}

int wagw_signal_session_info(wagw_signal_t *s, const wagw_signal_addr_t *to, uint32_t *registration_id,
                             uint8_t base_key[33])
{
    int rc;
    char key[WAGW_KEY_MAX];
    wagw_str_t value;
    signal_buffer *point;
    session_state *state;
    session_record *record;
    ec_public_key *base;

    rc = wagw_txn_get(s->txn, WAGW_REC_SESSION, wagw_str(key, wagw_signal_key(key, to)), &value);
    if (rc != WAGW_OK) {
        return rc;
    }

    if (session_record_deserialize(&record, value.p, value.n, s->ctx) != SG_SUCCESS) {
        return WAGW_MALFORMED;
    }

    rc = WAGW_NOT_FOUND;
    point = NULL;

    state = session_record_get_state(record);
    if (state == NULL) {
        goto done;
    }

    if (registration_id != NULL) {
        *registration_id = session_state_get_remote_registration_id(state);
    }

    if (base_key != NULL) {
        base = session_state_get_alice_base_key(state);
        if (base == NULL || ec_public_key_serialize(&point, base) != SG_SUCCESS || signal_buffer_len(point) != 33) {
            goto done;
        }
        memcpy(base_key, signal_buffer_const_data(point), 33);
    }

    rc = WAGW_OK;

done:

    signal_buffer_free(point);
    SIGNAL_UNREF(record);

    return rc;
}

int wagw_signal_delete_session(wagw_signal_t *s, const wagw_signal_addr_t *to)
{
    char key[WAGW_KEY_MAX];

    return wagw_txn_del(s->txn, WAGW_REC_SESSION, wagw_str(key, wagw_signal_key(key, to)));
}

typedef struct {
    wagw_txn_t *txn;
    uint8_t kind;
    const char *lid; /* NULL: only delete */
    bool again;
} wagw_signal_move_t;

/* The scan goes on over records that are missing, so that one load brings all. */
static int wagw_signal_move_cb(void *data, wagw_str_t key, wagw_str_t value)
{
    int n, rc;
    char buf[WAGW_KEY_MAX];
    wagw_str_t to, there;
    const uint8_t *dot;
    wagw_signal_move_t *m = data;

    if (m->lid != NULL) {
        dot = memchr(key.p, '.', key.n);
        n = snprintf(buf, sizeof(buf), "%s_1%.*s", m->lid, (int)(key.n - (size_t)(dot - key.p)), (const char *)dot);
        if (n < 0 || (size_t)n >= sizeof(buf)) {
            return WAGW_LIMIT;
        }
        to = wagw_str(buf, (size_t)n);

        rc = wagw_txn_get(m->txn, m->kind, to, &there);
        if (rc == WAGW_AGAIN) {
            m->again = true;
            return WAGW_OK;
        }
        if (rc == WAGW_NOT_FOUND) {
            rc = wagw_txn_put(m->txn, m->kind, to, value);
        }
        if (rc != WAGW_OK) {
            return rc;
        }
    }

    return wagw_txn_del(m->txn, m->kind, key);
}

static int wagw_signal_move(wagw_signal_t *s, const char *name, const char *lid)
{
    int n, rc;
    char prefix[WAGW_KEY_MAX];
    size_t i;
    wagw_signal_move_t m;
    static const uint8_t kinds[] = {WAGW_REC_SESSION, WAGW_REC_IDENTITY};

    n = snprintf(prefix, sizeof(prefix), "%s.", name);
    if (n < 0 || (size_t)n >= sizeof(prefix) || (lid != NULL && strlen(lid) > WAGW_JID_USER_MAX)) {
        return WAGW_LIMIT;
    }

    m = (wagw_signal_move_t){.txn = s->txn, .lid = lid};

    for (i = 0; i < sizeof(kinds); i++) {
        m.kind = kinds[i];
        rc = wagw_txn_scan(s->txn, m.kind, wagw_str(prefix, (size_t)n), wagw_signal_move_cb, &m);
        if (rc == WAGW_AGAIN) {
            m.again = true;
        } else if (rc != WAGW_OK) {
            return rc;
        }
    }

    return m.again ? WAGW_AGAIN : WAGW_OK;
}

int wagw_signal_delete_user(wagw_signal_t *s, const char *name)
{
    return wagw_signal_move(s, name, NULL);
}

int wagw_signal_migrate(wagw_signal_t *s, const char *pn_user, const char *lid_user)
{
    return wagw_signal_move(s, pn_user, lid_user);
}

/*
 * The identity the peer shows now against the one we know (04 section 3): a
 * new one makes the old session worthless.
 */
static int wagw_signal_identity(wagw_signal_t *s, const wagw_signal_addr_t *addr, const uint8_t key[33], bool *changed)
{
    int rc;
    char buf[WAGW_KEY_MAX];
    wagw_str_t at, old;
    const wagw_signal_self_t *self;

    *changed = false;

    self = s->self;
    if (self->account_key != NULL && addr->device == self->account_addr.device &&
        strcmp(addr->name, self->account_addr.name) == 0 && memcmp(key + 1, self->account_key, 32) != 0) {
        return WAGW_CRYPTO;
    }

    at = wagw_str(buf, wagw_signal_key(buf, addr));

    rc = wagw_signal_get(s, WAGW_REC_IDENTITY, at, &old);
    if (rc == WAGW_NOT_FOUND) {
        return WAGW_OK;
    }
    if (rc != WAGW_OK) {
        return rc;
    }
    if (wagw_str_eq(old, wagw_str(key, 33))) {
        return WAGW_OK;
    }

    *changed = true;

    rc = wagw_signal_del(s, WAGW_REC_SESSION, at);
    if (rc == WAGW_OK) {
        rc = wagw_signal_del(s, WAGW_REC_IDENTITY, at);
    }

    return rc;
}

int wagw_signal_encrypt(wagw_signal_t *s, const wagw_signal_addr_t *to, wagw_str_t plain, wagw_buf_t *out, bool *prekey)
{
    int rc;
    signal_buffer *bytes;
    session_cipher *cipher;
    ciphertext_message *message;
    signal_protocol_address addr;

    /* the library calls a missing session "unknown error" */
    rc = wagw_signal_has_session(s, to);
    if (rc != WAGW_OK) {
        return rc == WAGW_NOT_FOUND ? WAGW_NO_SESSION : rc;
    }

    wagw_signal_begin(s);

    addr = wagw_signal_borrow(to);
    cipher = NULL;
    message = NULL;

    rc = session_cipher_create(&cipher, s->store, &addr, s->ctx);
    if (rc == SG_SUCCESS) {
        rc = session_cipher_encrypt(cipher, plain.p, plain.n, &message);
    }
    if (rc != SG_SUCCESS) {
        rc = wagw_signal_code(rc, WAGW_ERROR);
        goto done;
    }

    *prekey = ciphertext_message_get_type(message) == CIPHERTEXT_PREKEY_TYPE;
    bytes = ciphertext_message_get_serialized(message);
    rc = wagw_buf_add(out, signal_buffer_const_data(bytes), signal_buffer_len(bytes));

done:

    if (message != NULL) {
        SIGNAL_UNREF(message);
    }
    session_cipher_free(cipher);

    return wagw_signal_end(s, rc);
}

/* Everything that the library will ask for, so that one load brings it all. */
static int wagw_signal_prefetch(wagw_signal_t *s, const wagw_signal_addr_t *from, const pre_key_signal_message *message)
{
    char key[WAGW_KEY_MAX], id[16];
    wagw_str_t value, at;

    at = wagw_str(key, wagw_signal_key(key, from));

    wagw_signal_get(s, WAGW_REC_SESSION, at, &value);

    if (message != NULL) {
        wagw_signal_get(s, WAGW_REC_IDENTITY, at, &value);
        wagw_signal_get(s, WAGW_REC_SPREKEY,
                        wagw_signal_id_key(id, pre_key_signal_message_get_signed_pre_key_id(message)), &value);

        if (pre_key_signal_message_has_pre_key_id(message)) {
            wagw_signal_get(s, WAGW_REC_PREKEY, wagw_signal_id_key(id, pre_key_signal_message_get_pre_key_id(message)),
                            &value);
        }
    }

    return s->rc;
}

static int wagw_signal_decrypt_prekey(wagw_signal_t *s, session_cipher *cipher, const wagw_signal_addr_t *from,
                                      wagw_str_t in, signal_buffer **plain, bool *changed)
{
    int rc;
    signal_buffer *key;
    pre_key_signal_message *message;

    rc = pre_key_signal_message_deserialize(&message, in.p, in.n, s->ctx);
    if (rc != SG_SUCCESS) {
        return rc == SG_ERR_NOMEM ? WAGW_NOMEM : WAGW_MALFORMED;
    }

    key = NULL;

    rc = wagw_signal_prefetch(s, from, message);
    if (rc != WAGW_OK) {
        goto done;
    }

    rc = ec_public_key_serialize(&key, pre_key_signal_message_get_identity_key(message));
    if (rc != SG_SUCCESS || signal_buffer_len(key) != 33) {
        rc = WAGW_MALFORMED;
        goto done;
    }

    rc = wagw_signal_identity(s, from, signal_buffer_const_data(key), changed);
    if (rc != WAGW_OK) {
        goto done;
    }

    rc = session_cipher_decrypt_pre_key_signal_message(cipher, message, NULL, plain);
    if (rc != SG_SUCCESS) {
        rc = wagw_signal_code(rc, WAGW_CRYPTO);
    }

done:

    signal_buffer_free(key);
    SIGNAL_UNREF(message);

    return rc;
}

static int wagw_signal_decrypt_plain(wagw_signal_t *s, session_cipher *cipher, const wagw_signal_addr_t *from,
                                     wagw_str_t in, signal_buffer **plain)
{
    int rc;
    signal_message *message;

    rc = wagw_signal_prefetch(s, from, NULL);
    if (rc != WAGW_OK) {
        return rc;
    }

    rc = signal_message_deserialize(&message, in.p, in.n, s->ctx);
    if (rc != SG_SUCCESS) {
        return rc == SG_ERR_NOMEM ? WAGW_NOMEM : WAGW_MALFORMED;
    }

    rc = session_cipher_decrypt_signal_message(cipher, message, NULL, plain);
    if (rc != SG_SUCCESS) {
        rc = wagw_signal_code(rc, WAGW_CRYPTO);
    }

    SIGNAL_UNREF(message);

    return rc;
}

int wagw_signal_decrypt(wagw_signal_t *s, const wagw_signal_addr_t *from, bool prekey, wagw_str_t in, wagw_buf_t *out,
                        bool *identity_changed)
{
    int rc;
    bool changed;
    signal_buffer *plain;
    session_cipher *cipher;
    signal_protocol_address addr;

    *identity_changed = false;
    changed = false;
    cipher = NULL;
    plain = NULL;

    wagw_signal_begin(s);

    addr = wagw_signal_borrow(from);

    rc = session_cipher_create(&cipher, s->store, &addr, s->ctx);
    if (rc != SG_SUCCESS) {
        rc = WAGW_NOMEM;
        goto done;
    }

    if (prekey) {
        rc = wagw_signal_decrypt_prekey(s, cipher, from, in, &plain, &changed);
    } else {
        rc = wagw_signal_decrypt_plain(s, cipher, from, in, &plain);
    }

    if (rc == WAGW_OK && s->rc == WAGW_OK) {
        rc = wagw_buf_add(out, signal_buffer_const_data(plain), signal_buffer_len(plain));
    }

done:

    signal_buffer_bzero_free(plain);
    session_cipher_free(cipher);

    rc = wagw_signal_end(s, rc);
    *identity_changed = rc == WAGW_OK && changed;

    return rc;
}

static int wagw_signal_point(wagw_signal_t *s, const uint8_t key[32], ec_public_key **point)
{
    uint8_t typed[33];

    typed[0] = 0x05;
    memcpy(typed + 1, key, 32);

    return curve_decode_point(point, typed, sizeof(typed), s->ctx);
}

int wagw_signal_process_bundle(wagw_signal_t *s, const wagw_signal_addr_t *to, const wagw_bundle_t *b,
                               bool *identity_changed)
{
    int rc;
    bool changed;
    char key[WAGW_KEY_MAX];
    uint8_t typed[33];
    wagw_str_t value;
    ec_public_key *identity, *prekey, *spk;
    session_builder *builder;
    session_pre_key_bundle *bundle;
    signal_protocol_address addr;

    *identity_changed = false;
    changed = false;
    identity = NULL;
    prekey = NULL;
    spk = NULL;
    builder = NULL;
    bundle = NULL;

    wagw_signal_begin(s);

    wagw_signal_get(s, WAGW_REC_SESSION, wagw_str(key, wagw_signal_key(key, to)), &value);

    typed[0] = 0x05;
    memcpy(typed + 1, b->identity, 32);
    rc = wagw_signal_identity(s, to, typed, &changed);
    if (rc != WAGW_OK || s->rc != WAGW_OK) {
        goto done;
    }

    addr = wagw_signal_borrow(to);

    rc = wagw_signal_point(s, b->identity, &identity);
    if (rc == SG_SUCCESS) {
        rc = wagw_signal_point(s, b->spk, &spk);
    }
    if (rc == SG_SUCCESS && b->has_prekey) {
        rc = wagw_signal_point(s, b->prekey, &prekey);
    }
    if (rc == SG_SUCCESS) {
        rc = session_pre_key_bundle_create(&bundle, b->registration_id, (int)to->device,
                                           b->has_prekey ? b->prekey_id : 0, prekey, b->spk_id, spk, b->spk_sig,
                                           sizeof(b->spk_sig), identity);
    }
    if (rc == SG_SUCCESS) {
        rc = session_builder_create(&builder, s->store, &addr, s->ctx);
    }
    if (rc == SG_SUCCESS) {
        rc = session_builder_process_pre_key_bundle(builder, bundle);
    }
    if (rc != SG_SUCCESS) {
        rc = wagw_signal_code(rc, WAGW_CRYPTO);
    }

done:

    session_builder_free(builder);
    SIGNAL_UNREF(bundle);
    SIGNAL_UNREF(prekey);
    SIGNAL_UNREF(spk);
    SIGNAL_UNREF(identity);

    rc = wagw_signal_end(s, rc);
    *identity_changed = rc == WAGW_OK && changed;

    return rc;
}
