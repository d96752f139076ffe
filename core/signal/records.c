/*
 * libsignal's store callbacks over the bound turn.
 *
 * A record that is not in memory makes the callback fail, so the library call
 * fails; s->rc remembers why, and wagw_signal_end() answers that in place of
 * the library's code.
 */

#include "signal_private.h"

#include <stdio.h>

void wagw_signal_begin(wagw_signal_t *s)
{
    s->rc = WAGW_OK;
    s->nstaged = 0;
}

int wagw_signal_end(wagw_signal_t *s, int rc)
{
    size_t i;
    wagw_staged_t *st;

    if (s->rc != WAGW_OK) {
        rc = s->rc;
    }

    for (i = 0; i < s->nstaged; i++) {
        st = &s->staged[i];

        if (rc == WAGW_OK) {
            if (st->del) {
                rc = wagw_txn_del(s->txn, st->kind, wagw_str(st->key, st->key_len));
            } else {
                rc = wagw_txn_put(s->txn, st->kind, wagw_str(st->key, st->key_len), wagw_buf_view(&st->value));
            }
        }

        if (st->value.n != 0) {
            wagw_wipe(st->value.p, st->value.n);
        }
        wagw_buf_reset(&st->value);
    }

    s->nstaged = 0;
    return rc;
}

static wagw_staged_t *wagw_signal_staged(wagw_signal_t *s, uint8_t kind, wagw_str_t key)
{
    size_t i;
    wagw_staged_t *st;

    for (i = 0; i < s->nstaged; i++) {
        st = &s->staged[i];
        if (st->kind == kind && wagw_str_eq(wagw_str(st->key, st->key_len), key)) {
            return st;
        }
    }

    return NULL;
}

int wagw_signal_get(wagw_signal_t *s, uint8_t kind, wagw_str_t key, wagw_str_t *value)
{
    int rc;
    wagw_staged_t *st;

    *value = WAGW_STR_NULL;

    st = wagw_signal_staged(s, kind, key);
    if (st != NULL) {
        *value = wagw_buf_view(&st->value);
        return st->del ? WAGW_NOT_FOUND : WAGW_OK;
    }

    rc = wagw_txn_get(s->txn, kind, key, value);
    if (rc != WAGW_OK && rc != WAGW_NOT_FOUND && s->rc == WAGW_OK) {
        s->rc = rc;
    }

    return rc;
}

static int wagw_signal_stage(wagw_signal_t *s, uint8_t kind, wagw_str_t key, bool del, wagw_str_t value)
{
    wagw_staged_t *st;

    st = wagw_signal_staged(s, kind, key);

    if (st == NULL) {
        if (s->nstaged == WAGW_SIGNAL_STAGED || key.n >= WAGW_KEY_MAX) {
            s->rc = WAGW_LIMIT;
            return s->rc;
        }

        st = &s->staged[s->nstaged++];
        st->kind = kind;
        st->key_len = key.n;
        memcpy(st->key, key.p, key.n);
    }

    st->del = del;
    wagw_buf_reset(&st->value);

    if (!del && wagw_buf_str(&st->value, value) != WAGW_OK) {
        wagw_buf_free(&st->value);
        s->rc = WAGW_NOMEM;
    }

    return s->rc;
}

int wagw_signal_put(wagw_signal_t *s, uint8_t kind, wagw_str_t key, wagw_str_t value)
{
    return wagw_signal_stage(s, kind, key, false, value);
}

int wagw_signal_del(wagw_signal_t *s, uint8_t kind, wagw_str_t key)
{
    return wagw_signal_stage(s, kind, key, true, WAGW_STR_NULL);
}

wagw_str_t wagw_signal_id_key(char out[16], uint32_t id)
{
    int n;

    n = snprintf(out, 16, "%08u", id);
    return wagw_str(out, (size_t)n);
}

wagw_str_t wagw_signal_sender_key(char out[WAGW_KEY_MAX], wagw_str_t group, const wagw_signal_addr_t *addr)
{
    int n;

    if (group.n == 0 || group.n >= WAGW_KEY_MAX - 100) {
        return WAGW_STR_NULL;
    }

    memcpy(out, group.p, group.n);
    n = snprintf(out + group.n, WAGW_KEY_MAX - group.n, "|%s.%u", addr->name, addr->device);

    return wagw_str(out, group.n + (size_t)n);
}

/* Copies: names from the library have an explicit length. */
static bool wagw_records_addr(wagw_signal_addr_t *a, const signal_protocol_address *from)
{
    if (from->name_len >= sizeof(a->name)) {
        return false;
    }

    memcpy(a->name, from->name, from->name_len);
    a->name[from->name_len] = '\0';
    a->device = (uint32_t)from->device_id;

    return true;
}

static wagw_str_t wagw_records_key(char out[WAGW_KEY_MAX], const signal_protocol_address *from)
{
    wagw_signal_addr_t a;

    if (!wagw_records_addr(&a, from)) {
        return WAGW_STR_NULL;
    }

    return wagw_str(out, wagw_signal_key(out, &a));
}

/* 1 found, 0 absent, negative: failed. */
static int wagw_records_load(wagw_signal_t *s, uint8_t kind, wagw_str_t key, size_t skip, signal_buffer **record)
{
    int rc;
    wagw_str_t value;

    if (key.n == 0) {
        return SG_ERR_INVAL;
    }

    rc = wagw_signal_get(s, kind, key, &value);
    if (rc == WAGW_NOT_FOUND) {
        return 0;
    }
    if (rc != WAGW_OK || value.n < skip) {
        return SG_ERR_UNKNOWN;
    }

    *record = signal_buffer_create(value.p + skip, value.n - skip);
    return *record != NULL ? 1 : SG_ERR_NOMEM;
}

static int wagw_records_has(wagw_signal_t *s, uint8_t kind, wagw_str_t key)
{
    int rc;
    wagw_str_t value;

    if (key.n == 0) {
        return SG_ERR_INVAL;
    }

    rc = wagw_signal_get(s, kind, key, &value);
    if (rc == WAGW_NOT_FOUND) {
        return 0;
    }

    return rc == WAGW_OK ? 1 : SG_ERR_UNKNOWN;
}

static int wagw_records_store(wagw_signal_t *s, uint8_t kind, wagw_str_t key, const uint8_t *record, size_t len)
{
    if (key.n == 0) {
        return SG_ERR_INVAL;
    }

    return wagw_signal_put(s, kind, key, wagw_str(record, len)) == WAGW_OK ? SG_SUCCESS : SG_ERR_UNKNOWN;
}

static int wagw_records_remove(wagw_signal_t *s, uint8_t kind, wagw_str_t key)
{
    if (key.n == 0) {
        return SG_ERR_INVAL;
    }

    return wagw_signal_del(s, kind, key) == WAGW_OK ? SG_SUCCESS : SG_ERR_UNKNOWN;
}

static int wagw_session_load(signal_buffer **record, signal_buffer **user_record,
                             const signal_protocol_address *address, void *user_data)
{
    char key[WAGW_KEY_MAX];

    *user_record = NULL;
    return wagw_records_load(user_data, WAGW_REC_SESSION, wagw_records_key(key, address), 0, record);
}

static int wagw_session_store(const signal_protocol_address *address, uint8_t *record, size_t len, uint8_t *user_record,
                              size_t user_len, void *user_data)
{
    char key[WAGW_KEY_MAX];

    (void)user_record;
    (void)user_len;

    return wagw_records_store(user_data, WAGW_REC_SESSION, wagw_records_key(key, address), record, len);
}

static int wagw_session_contains(const signal_protocol_address *address, void *user_data)
{
    char key[WAGW_KEY_MAX];

    return wagw_records_has(user_data, WAGW_REC_SESSION, wagw_records_key(key, address));
}

static int wagw_session_delete(const signal_protocol_address *address, void *user_data)
{
    int found;
    char buf[WAGW_KEY_MAX];

    found = wagw_session_contains(address, user_data);
    if (found == 1 && wagw_records_remove(user_data, WAGW_REC_SESSION, wagw_records_key(buf, address)) != SG_SUCCESS) {
        return SG_ERR_UNKNOWN;
    }

    return found;
}

/*
 * The library itself never lists or clears the sessions of a name, and a
 * single call could not (it needs a prefix load): wagw_signal_delete_user().
 */
static int wagw_session_sub_devices(signal_int_list **sessions, const char *name, size_t name_len, void *user_data)
{
    (void)sessions;
    (void)name;
    (void)name_len;
    (void)user_data;

    return SG_ERR_INVAL;
}

static int wagw_session_delete_all(const char *name, size_t name_len, void *user_data)
{
    (void)name;
    (void)name_len;
    (void)user_data;

    return SG_ERR_INVAL;
}

static int wagw_prekey_load(signal_buffer **record, uint32_t id, void *user_data)
{
    int rc;
    char key[16];

    /* behind the flag byte */
    rc = wagw_records_load(user_data, WAGW_REC_PREKEY, wagw_signal_id_key(key, id), 1, record);

    return rc == 1 ? SG_SUCCESS : rc == 0 ? SG_ERR_INVALID_KEY_ID : rc;
}

static int wagw_prekey_store(uint32_t id, uint8_t *record, size_t len, void *user_data)
{
    (void)id;
    (void)record;
    (void)len;
    (void)user_data;

    return SG_ERR_INVAL; /* ours are made by wagw_signal_make_prekey() */
}

static int wagw_prekey_contains(uint32_t id, void *user_data)
{
    char key[16];

    return wagw_records_has(user_data, WAGW_REC_PREKEY, wagw_signal_id_key(key, id));
}

static int wagw_prekey_remove(uint32_t id, void *user_data)
{
    char key[16];

    return wagw_records_remove(user_data, WAGW_REC_PREKEY, wagw_signal_id_key(key, id));
}

static int wagw_spk_load(signal_buffer **record, uint32_t id, void *user_data)
{
    int rc;
    char key[16];

    rc = wagw_records_load(user_data, WAGW_REC_SPREKEY, wagw_signal_id_key(key, id), 0, record);

    return rc == 1 ? SG_SUCCESS : rc == 0 ? SG_ERR_INVALID_KEY_ID : rc;
}

static int wagw_spk_contains(uint32_t id, void *user_data)
{
    char key[16];

    return wagw_records_has(user_data, WAGW_REC_SPREKEY, wagw_signal_id_key(key, id));
}

static int wagw_spk_remove(uint32_t id, void *user_data)
{
    char key[16];

    return wagw_records_remove(user_data, WAGW_REC_SPREKEY, wagw_signal_id_key(key, id));
}

static int wagw_identity_pair(signal_buffer **public_data, signal_buffer **private_data, void *user_data)
{
    uint8_t pub[33];
    wagw_signal_t *s = user_data;

    pub[0] = 0x05;
    memcpy(pub + 1, s->self->identity->pub, 32);

    *public_data = signal_buffer_create(pub, sizeof(pub));
    *private_data = signal_buffer_create(s->self->identity->priv, 32);

    if (*public_data == NULL || *private_data == NULL) {
        signal_buffer_free(*public_data);
        signal_buffer_bzero_free(*private_data);
        *public_data = NULL;
        *private_data = NULL;
        return SG_ERR_NOMEM;
    }

    return SG_SUCCESS;
}

static int wagw_identity_registration(void *user_data, uint32_t *registration_id)
{
    wagw_signal_t *s = user_data;

    *registration_id = s->self->registration_id;
    return SG_SUCCESS;
}

static int wagw_identity_save(const signal_protocol_address *address, uint8_t *data, size_t len, void *user_data)
{
    int rc;
    char buf[WAGW_KEY_MAX];
    wagw_str_t key, old;
    wagw_signal_t *s = user_data;

    key = wagw_records_key(buf, address);

    if (data == NULL) {
        return wagw_records_remove(s, WAGW_REC_IDENTITY, key);
    }
    if (key.n == 0) {
        return SG_ERR_INVAL;
    }

    rc = wagw_signal_get(s, WAGW_REC_IDENTITY, key, &old);
    if (rc == WAGW_OK && wagw_str_eq(old, wagw_str(data, len))) {
        return SG_SUCCESS; /* nothing to write */
    }
    if (rc != WAGW_OK && rc != WAGW_NOT_FOUND) {
        return SG_ERR_UNKNOWN;
    }

    return wagw_records_store(s, WAGW_REC_IDENTITY, key, data, len);
}

static int wagw_identity_trusted(const signal_protocol_address *address, uint8_t *data, size_t len, void *user_data)
{
    (void)address;
    (void)data;
    (void)len;
    (void)user_data;

    return 1; /* what may not change was compared before (session.c) */
}

static wagw_str_t wagw_sender_key_name(char out[WAGW_KEY_MAX], const signal_protocol_sender_key_name *name)
{
    wagw_signal_addr_t a;

    if (!wagw_records_addr(&a, &name->sender)) {
        return WAGW_STR_NULL;
    }

    return wagw_signal_sender_key(out, wagw_str(name->group_id, name->group_id_len), &a);
}

static int wagw_sender_key_store(const signal_protocol_sender_key_name *name, uint8_t *record, size_t len,
                                 uint8_t *user_record, size_t user_len, void *user_data)
{
    char key[WAGW_KEY_MAX];

    (void)user_record;
    (void)user_len;

    return wagw_records_store(user_data, WAGW_REC_SENDER_KEY, wagw_sender_key_name(key, name), record, len);
}

static int wagw_sender_key_load(signal_buffer **record, signal_buffer **user_record,
                                const signal_protocol_sender_key_name *name, void *user_data)
{
    char key[WAGW_KEY_MAX];

    *user_record = NULL;
    return wagw_records_load(user_data, WAGW_REC_SENDER_KEY, wagw_sender_key_name(key, name), 0, record);
}

static void wagw_records_destroy(void *user_data)
{
    (void)user_data; /* the context does not own us */
}

int wagw_signal_records_init(wagw_signal_t *s)
{
    signal_protocol_session_store session;
    signal_protocol_pre_key_store prekey;
    signal_protocol_signed_pre_key_store spk;
    signal_protocol_identity_key_store identity;
    signal_protocol_sender_key_store sender;

    session = (signal_protocol_session_store){
        .load_session_func = wagw_session_load,
        .get_sub_device_sessions_func = wagw_session_sub_devices,
        .store_session_func = wagw_session_store,
        .contains_session_func = wagw_session_contains,
        .delete_session_func = wagw_session_delete,
        .delete_all_sessions_func = wagw_session_delete_all,
        .destroy_func = wagw_records_destroy,
        .user_data = s,
    };

    prekey = (signal_protocol_pre_key_store){
        .load_pre_key = wagw_prekey_load,
        .store_pre_key = wagw_prekey_store,
        .contains_pre_key = wagw_prekey_contains,
        .remove_pre_key = wagw_prekey_remove,
        .destroy_func = wagw_records_destroy,
        .user_data = s,
    };

    spk = (signal_protocol_signed_pre_key_store){
        .load_signed_pre_key = wagw_spk_load,
        .store_signed_pre_key = wagw_prekey_store,
        .contains_signed_pre_key = wagw_spk_contains,
        .remove_signed_pre_key = wagw_spk_remove,
        .destroy_func = wagw_records_destroy,
        .user_data = s,
    };

    identity = (signal_protocol_identity_key_store){
        .get_identity_key_pair = wagw_identity_pair,
        .get_local_registration_id = wagw_identity_registration,
        .save_identity = wagw_identity_save,
        .is_trusted_identity = wagw_identity_trusted,
        .destroy_func = wagw_records_destroy,
        .user_data = s,
    };

    sender = (signal_protocol_sender_key_store){
        .store_sender_key = wagw_sender_key_store,
        .load_sender_key = wagw_sender_key_load,
        .destroy_func = wagw_records_destroy,
        .user_data = s,
    };

    if (signal_protocol_store_context_create(&s->store, s->ctx) != SG_SUCCESS ||
        signal_protocol_store_context_set_session_store(s->store, &session) != SG_SUCCESS ||
        signal_protocol_store_context_set_pre_key_store(s->store, &prekey) != SG_SUCCESS ||
        signal_protocol_store_context_set_signed_pre_key_store(s->store, &spk) != SG_SUCCESS ||
        signal_protocol_store_context_set_identity_key_store(s->store, &identity) != SG_SUCCESS ||
        signal_protocol_store_context_set_sender_key_store(s->store, &sender) != SG_SUCCESS) {
        return WAGW_NOMEM;
    }

    return WAGW_OK;
}
