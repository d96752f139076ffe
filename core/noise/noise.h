/*
 * core/noise: Noise_XX_25519_AESGCM_SHA256 as in protocol 01, both sides, and
 * the frame layer around it.  Plain buffers; no socket.
 */

#ifndef WAGW_NOISE_H
#define WAGW_NOISE_H

#include "../base/base.h"
#include "../crypto/crypto.h"

#define WAGW_NOISE_ROOT_WHATSAPP "142375574d0a587166aae71ebe516437c4a28b73e3695c6ce1f7f9545da8ee6b"
#define WAGW_FRAME_MAX ((1u << 24) - 1)

typedef enum {
    WAGW_NOISE_START = 0,
    WAGW_NOISE_WAIT_HELLO,  /* client: hello sent; server: nothing read yet */
    WAGW_NOISE_WAIT_FINISH, /* server only */
    WAGW_NOISE_TRANSPORT,
    WAGW_NOISE_FAILED
} wagw_noise_state_t;

typedef struct {
    uint8_t state; /* wagw_noise_state_t */
    bool server;
    uint32_t n_hs; /* handshake counter */
    uint32_t n_send;
    uint32_t n_recv;
    uint8_t h[32]; /* wiped at the switch to transport */
    uint8_t ck[32];
    uint8_t k[32];
    wagw_keypair_t e; /* ephemeral */
    uint8_t re[32];
    uint8_t send_key[32];
    uint8_t recv_key[32];
} wagw_noise_t;

/* Client: state for a new connection.  `e` NULL draws a fresh ephemeral. */
int wagw_noise_client_init(wagw_noise_t *s, const wagw_keypair_t *e, wagw_random_pt random, void *data);

/* Appends [pre-intro] intro and the framed client hello.  routing may be empty. */
int wagw_noise_client_hello(wagw_noise_t *s, wagw_buf_t *out, wagw_str_t routing);

/* The server hello's frame body: checks the certificate chain against root at
 * `now_s` (01 section 5, all seven checks), then appends the framed client
 * finish that carries `payload`.  On success the state is TRANSPORT.  `why`
 * (may be NULL) gets a static text for the log. */
int wagw_noise_client_finish(wagw_noise_t *s, wagw_buf_t *out, wagw_str_t body, wagw_str_t payload,
                             const wagw_keypair_t *noise_key, const uint8_t root[32], int64_t now_s, const char **why);

/* Server side (01 section 12).  cert_chain = serialised CertChain. */
int wagw_noise_server_init(wagw_noise_t *s, wagw_random_pt random, void *data);
int wagw_noise_server_hello(wagw_noise_t *s, wagw_buf_t *out, wagw_str_t client_hello_body,
                            const wagw_keypair_t *server_static, wagw_str_t cert_chain);
/* Gives the client's static public key and appends the ClientPayload bytes. */
int wagw_noise_server_finish(wagw_noise_t *s, wagw_str_t client_finish_body, uint8_t client_static[32],
                             wagw_buf_t *payload);

/* Transport: appends the 3-byte length and the sealed plaintext. */
int wagw_noise_seal(wagw_noise_t *s, wagw_buf_t *out, wagw_str_t plaintext);
/* Appends the plaintext of one frame body.  After an error the stream is lost. */
int wagw_noise_open(wagw_noise_t *s, wagw_buf_t *out, wagw_str_t body);

void wagw_noise_wipe(wagw_noise_t *s);

/*
 * Reassembles the byte stream: looks at in, and when it begins with a whole
 * frame sets body (a view into in) and *used.  WAGW_AGAIN: more bytes needed.
 * WAGW_LIMIT: longer than max.  The server strips pre-intro and intro first.
 */
int wagw_frame_next(wagw_str_t in, size_t max, wagw_str_t *body, size_t *used);
/* Server: 0 bytes used and WAGW_AGAIN until complete; WAGW_MALFORMED. */
int wagw_frame_intro(wagw_str_t in, size_t *used, wagw_str_t *routing);

/* Makes a chain root -> intermediate(1) -> leaf(2) for the sandbox and tests. */
int wagw_noise_make_chain(wagw_buf_t *out, const wagw_keypair_t *root, const wagw_keypair_t *intermediate,
                          const uint8_t server_static[32], int64_t not_before, int64_t not_after, wagw_random_pt random,
                          void *data);

#endif
