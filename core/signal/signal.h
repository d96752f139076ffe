/*
 * core/signal: libsignal-protocol-c over the records of a turn (protocol 04
 * sections 1 to 4).  One wagw_signal_t serves every instance of a process: it
 * is bound to a turn's records before use and holds no account state.
 * Every call may answer WAGW_AGAIN (roll the turn back, load, run again).
 */

#ifndef WAGW_SIGNAL_H
#define WAGW_SIGNAL_H

#include "../base/base.h"
#include "../crypto/crypto.h"
#include "../store/record.h"

typedef struct wagw_signal_s wagw_signal_t;

typedef struct {
    char name[WAGW_JID_USER_MAX + 8]; /* "user" or "user_<domain>" */
    uint32_t device;
} wagw_signal_addr_t;

/* Address of a device JID (04 section 1.2). */
wagw_signal_addr_t wagw_signal_addr(const wagw_jid_t *jid);
/* The record key "<name>.<device>", NUL-terminated; returns its length. */
size_t wagw_signal_key(char out[WAGW_KEY_MAX], const wagw_signal_addr_t *addr);

typedef struct {
    const wagw_keypair_t *identity;
    uint32_t registration_id;
    /* own LID device 0 may have only this identity (32 bytes, NULL: any) */
    const uint8_t *account_key;
    wagw_signal_addr_t account_addr;
} wagw_signal_self_t;

int wagw_signal_create(wagw_signal_t **s, wagw_random_pt random, void *data);
void wagw_signal_destroy(wagw_signal_t *s);
/* For the calls that follow; t and self must outlive them. */
void wagw_signal_bind(wagw_signal_t *s, wagw_txn_t *t, const wagw_signal_self_t *self);

/* WAGW_OK, WAGW_NOT_FOUND, WAGW_AGAIN. */
int wagw_signal_has_session(wagw_signal_t *s, const wagw_signal_addr_t *to);
/* Of the session: the peer's registration id and the base key it was begun
 * with (33 bytes; another session has another).  Either may be NULL.
 * WAGW_NOT_FOUND, WAGW_AGAIN. */
int wagw_signal_session_info(wagw_signal_t *s, const wagw_signal_addr_t *to, uint32_t *registration_id,
                             uint8_t base_key[33]);
int wagw_signal_delete_session(wagw_signal_t *s, const wagw_signal_addr_t *to);
/* Sessions and identities of every device of the name. */
int wagw_signal_delete_user(wagw_signal_t *s, const char *name);
/* Moves sessions and identities of the PN user to the LID user (04 section
 * 6.3).  Sender keys move when they are first needed, by WAGW_REC_PN_OF. */
int wagw_signal_migrate(wagw_signal_t *s, const char *pn_user, const char *lid_user);

/* Encrypts (the caller pads).  *prekey: the result is a pkmsg. */
int wagw_signal_encrypt(wagw_signal_t *s, const wagw_signal_addr_t *to, wagw_str_t plain, wagw_buf_t *out,
                        bool *prekey);

/* Decrypts (the caller unpads).  WAGW_DUPLICATE, WAGW_NO_SESSION,
 * WAGW_NO_PREKEY, WAGW_CRYPTO, WAGW_MALFORMED.  *identity_changed: a stored
 * identity was replaced (session deleted first, 04 section 3).  A different
 * key for account_addr is WAGW_CRYPTO. */
int wagw_signal_decrypt(wagw_signal_t *s, const wagw_signal_addr_t *from, bool prekey, wagw_str_t in, wagw_buf_t *out,
                        bool *identity_changed);

typedef struct {
    uint32_t registration_id;
    uint8_t identity[32];
    bool has_prekey;
    uint32_t prekey_id;
    uint8_t prekey[32];
    uint32_t spk_id;
    uint8_t spk[32];
    uint8_t spk_sig[64];
} wagw_bundle_t;

/* Builds a session; a wrong signature is WAGW_CRYPTO. */
int wagw_signal_process_bundle(wagw_signal_t *s, const wagw_signal_addr_t *to, const wagw_bundle_t *b,
                               bool *identity_changed);

/* Own prekeys.  Records are stored through the bound turn. */
int wagw_signal_make_prekey(wagw_signal_t *s, uint32_t id, bool uploaded, uint8_t pub[32]);
int wagw_signal_make_signed_prekey(wagw_signal_t *s, uint32_t id, int64_t now_ms, uint8_t pub[32], uint8_t sig[64]);
/* Public part of a stored prekey record (value of WAGW_REC_PREKEY). */
int wagw_signal_prekey_public(wagw_signal_t *s, wagw_str_t record, uint8_t pub[32]);
/* Stores a given signed prekey / prekey (tests, vectors). */
int wagw_signal_put_signed_prekey(wagw_signal_t *s, uint32_t id, const wagw_keypair_t *kp, const uint8_t sig[64],
                                  int64_t now_ms);
int wagw_signal_put_prekey(wagw_signal_t *s, uint32_t id, const wagw_keypair_t *kp, bool uploaded);

/* Sender keys (04 section 2.3, 2.4, 9); self is the own address in the group. */
int wagw_signal_group_skdm(wagw_signal_t *s, wagw_str_t group, const wagw_signal_addr_t *self, wagw_buf_t *skdm,
                           uint32_t *key_id); /* creates when missing */
int wagw_signal_group_encrypt(wagw_signal_t *s, wagw_str_t group, const wagw_signal_addr_t *self, wagw_str_t plain,
                              wagw_buf_t *out);
int wagw_signal_group_process(wagw_signal_t *s, wagw_str_t group, const wagw_signal_addr_t *sender, wagw_str_t skdm);
int wagw_signal_group_decrypt(wagw_signal_t *s, wagw_str_t group, const wagw_signal_addr_t *sender, wagw_str_t in,
                              wagw_buf_t *out);
int wagw_signal_group_forget(wagw_signal_t *s, wagw_str_t group, const wagw_signal_addr_t *self);

/* Padding (04 section 7.1) and participant hash (04 section 5.3). */
int wagw_pad(wagw_buf_t *b, uint8_t random);
int wagw_unpad(wagw_str_t *plain);                                 /* WAGW_MALFORMED */
int wagw_phash(char out[16], const wagw_jid_t *devices, size_t n); /* "2:xxxxxxxx" */

/* Message ids (04 section 17): "3EB0" + 18 hex digits + NUL.  own_user may be empty. */
int wagw_message_id(char out[24], int64_t now_s, wagw_str_t own_user, const uint8_t random[16]);

#endif
