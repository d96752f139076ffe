/*
 * Shared by the files of core/signal; nobody else includes it.
 */

#ifndef WAGW_SIGNAL_PRIVATE_H
#define WAGW_SIGNAL_PRIVATE_H

#include "signal.h"

#include <openssl/evp.h>
#include <signal/signal_protocol.h>

#define WAGW_SIGNAL_STAGED 8 /* more than any one call writes */

/*
 * A record written during one call.  The bound turn sees it only when the
 * call has succeeded: a message that does not decrypt changes nothing, and
 * the turn may go on (with a retry receipt, say).
 */
typedef struct {
    uint8_t kind;
    bool del;
    size_t key_len;
    char key[WAGW_KEY_MAX];
    wagw_buf_t value; /* keeps its memory between calls */
} wagw_staged_t;

/* A running HMAC.  libsignal uses one at a time; spares are kept. */
typedef struct wagw_signal_hmac_s wagw_signal_hmac_t;

struct wagw_signal_hmac_s {
    wagw_hmac_t h;
    wagw_signal_hmac_t *next;
};

struct wagw_signal_s {
    signal_context *ctx;
    signal_protocol_store_context *store;

    wagw_random_pt random;
    void *random_data;

    EVP_MD *sha512;
    EVP_CIPHER *cbc;
    EVP_CIPHER *ctr;
    EVP_CIPHER_CTX *cipher;
    wagw_signal_hmac_t *spare;

    wagw_txn_t *txn;
    const wagw_signal_self_t *self;

    int rc; /* why a callback failed, WAGW_OK: it did not */
    size_t nstaged;
    wagw_staged_t staged[WAGW_SIGNAL_STAGED];
};

/* provider.c */
int wagw_signal_provider_init(wagw_signal_t *s);
void wagw_signal_provider_done(wagw_signal_t *s);

/* records.c */
int wagw_signal_records_init(wagw_signal_t *s);
/* Each public call stands between these two; end gives the call's result. */
void wagw_signal_begin(wagw_signal_t *s);
int wagw_signal_end(wagw_signal_t *s, int rc);
int wagw_signal_get(wagw_signal_t *s, uint8_t kind, wagw_str_t key, wagw_str_t *value);
int wagw_signal_put(wagw_signal_t *s, uint8_t kind, wagw_str_t key, wagw_str_t value);
int wagw_signal_del(wagw_signal_t *s, uint8_t kind, wagw_str_t key);
wagw_str_t wagw_signal_id_key(char out[16], uint32_t id);
/* "<group>|<name>.<device>"; empty when too long. */
wagw_str_t wagw_signal_sender_key(char out[WAGW_KEY_MAX], wagw_str_t group, const wagw_signal_addr_t *addr);

/* The library's negative code as ours; other codes become `other`. */
int wagw_signal_code(int code, int other);
signal_protocol_address wagw_signal_borrow(const wagw_signal_addr_t *addr);

#endif
