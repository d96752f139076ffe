#include "noise.h"
#include "cert.h"
#include "wa.pb-c.h"

#define NOISE_TAG 16
#define NOISE_NAME "Noise_XX_25519_AESGCM_SHA256\0\0\0\0"

static const uint8_t noise_intro[4] = {'W', 'A', 6, 3};

/* ---- the symmetric state of the handshake ---- */

static int noise_mix_hash(wagw_noise_t *s, wagw_str_t data)
{
    return wagw_sha256_2(s->h, wagw_str(s->h, 32), data);
}

static int noise_mix_key(wagw_noise_t *s, const uint8_t priv[32], const uint8_t pub[32])
{
    uint8_t shared[32], t[64];
    int rc;

    rc = wagw_x25519(shared, priv, pub);
    if (rc == WAGW_OK) {
        rc = wagw_hkdf(t, sizeof(t), wagw_str(shared, 32), wagw_str(s->ck, 32), WAGW_STR_NULL);
    }
    if (rc == WAGW_OK) {
        memcpy(s->ck, t, 32);
        memcpy(s->k, t + 32, 32);
        s->n_hs = 0;
    }
    wagw_wipe(shared, sizeof(shared));
    wagw_wipe(t, sizeof(t));
    return rc;
}

static void noise_iv(uint8_t iv[12], uint32_t n)
{
    memset(iv, 0, 8);
    iv[8] = (uint8_t)(n >> 24);
    iv[9] = (uint8_t)(n >> 16);
    iv[10] = (uint8_t)(n >> 8);
    iv[11] = (uint8_t)n;
}

/* out has in.n + 16 bytes */
static int noise_hs_seal(wagw_noise_t *s, uint8_t *out, wagw_str_t in)
{
    uint8_t iv[12];
    int rc;

    noise_iv(iv, s->n_hs++);
    rc = wagw_gcm_seal(out, s->k, iv, wagw_str(s->h, 32), in);
    return rc == WAGW_OK ? noise_mix_hash(s, wagw_str(out, in.n + NOISE_TAG)) : rc;
}

/* out has in.n - 16 bytes and is not in */
static int noise_hs_open(wagw_noise_t *s, uint8_t *out, wagw_str_t in)
{
    uint8_t iv[12];
    int rc;

    noise_iv(iv, s->n_hs++);
    rc = wagw_gcm_open(out, s->k, iv, wagw_str(s->h, 32), in);
    return rc == WAGW_OK ? noise_mix_hash(s, in) : rc;
}

static int noise_init(wagw_noise_t *s, bool server)
{
    memset(s, 0, sizeof(*s));
    s->server = server;
    memcpy(s->h, NOISE_NAME, 32);
    memcpy(s->ck, NOISE_NAME, 32);
    memcpy(s->k, NOISE_NAME, 32);
    return noise_mix_hash(s, wagw_str(noise_intro, sizeof(noise_intro)));
}

static int noise_fail(wagw_noise_t *s, int rc)
{
    wagw_noise_wipe(s);
    return rc;
}

/* Both directions get their keys; the handshake's secrets have done their work. */
static int noise_split(wagw_noise_t *s)
{
    uint8_t t[64];
    int rc;

    rc = wagw_hkdf(t, sizeof(t), WAGW_STR_NULL, wagw_str(s->ck, 32), WAGW_STR_NULL);
    if (rc == WAGW_OK) {
        memcpy(s->server ? s->recv_key : s->send_key, t, 32);
        memcpy(s->server ? s->send_key : s->recv_key, t + 32, 32);
        s->n_send = s->n_recv = s->n_hs = 0;
        wagw_wipe(s->h, sizeof(s->h));
        wagw_wipe(s->ck, sizeof(s->ck));
        wagw_wipe(s->k, sizeof(s->k));
        wagw_wipe(&s->e, sizeof(s->e));
        wagw_wipe(s->re, sizeof(s->re));
        s->state = WAGW_NOISE_TRANSPORT;
    }
    wagw_wipe(t, sizeof(t));
    return rc;
}

/* A handshake message as one frame. */
static int noise_put(wagw_buf_t *out, const Wa__HandshakeMessage *m)
{
    size_t n = wa__handshake_message__get_packed_size(m);

    if (n > WAGW_FRAME_MAX) {
        return WAGW_LIMIT;
    }
    if (wagw_buf_reserve(out, 3 + n) != WAGW_OK) {
        return WAGW_NOMEM;
    }
    wagw_buf_be(out, n, 3);
    out->n += wa__handshake_message__pack(m, out->p + out->n);
    return WAGW_OK;
}

static Wa__HandshakeMessage *noise_get(wagw_str_t body)
{
    return wa__handshake_message__unpack(NULL, body.n, body.p);
}

static wagw_str_t noise_field(ProtobufCBinaryData d)
{
    return wagw_str(d.data, d.len);
}

static ProtobufCBinaryData noise_set(const uint8_t *p, size_t n)
{
    ProtobufCBinaryData d = {n, (uint8_t *)p};

    return d;
}

/* ---- client ---- */

int wagw_noise_client_init(wagw_noise_t *s, const wagw_keypair_t *e, wagw_random_pt random, void *data)
{
    int rc = noise_init(s, false);

    if (rc == WAGW_OK && e != NULL) {
        s->e = *e;
    } else if (rc == WAGW_OK) {
        rc = wagw_x25519_keypair(&s->e, random, data);
    }
    if (rc == WAGW_OK) {
        rc = noise_mix_hash(s, wagw_str(s->e.pub, 32));
    }
    return rc == WAGW_OK ? rc : noise_fail(s, rc);
}

int wagw_noise_client_hello(wagw_noise_t *s, wagw_buf_t *out, wagw_str_t routing)
{
    Wa__HandshakeMessage m = WA__HANDSHAKE_MESSAGE__INIT;
    Wa__HandshakeMessage__ClientHello hello = WA__HANDSHAKE_MESSAGE__CLIENT_HELLO__INIT;
    int rc;

    if (s->state != WAGW_NOISE_START || s->server) {
        return WAGW_STATE;
    }
    if (routing.n > WAGW_FRAME_MAX) {
        return WAGW_LIMIT;
    }
    if (routing.n > 0) {
        wagw_buf_add(out, "ED\0\1", 4);
        wagw_buf_be(out, routing.n, 3);
        wagw_buf_str(out, routing);
    }
    wagw_buf_add(out, noise_intro, sizeof(noise_intro));

    hello.has_ephemeral = 1;
    hello.ephemeral = noise_set(s->e.pub, 32);
    m.clienthello = &hello;
    rc = noise_put(out, &m);
    if (rc != WAGW_OK) {
        return noise_fail(s, rc);
    }
    s->state = WAGW_NOISE_WAIT_HELLO;
    return WAGW_OK;
}

/* Steps 3 to 7 of the page: what the server says and whether it is WhatsApp. */
static int noise_read_hello(wagw_noise_t *s, wagw_str_t body, const uint8_t root[32], int64_t now_s, const char **why)
{
    Wa__HandshakeMessage *m = noise_get(body);
    Wa__HandshakeMessage__ServerHello *hello = m ? m->serverhello : NULL;
    wagw_buf_t cert = {0};
    uint8_t rs[32];
    int rc = WAGW_MALFORMED;

    if (hello == NULL || hello->ephemeral.len != 32 || hello->static_.len != 32 + NOISE_TAG ||
        hello->payload.len <= NOISE_TAG) {
        *why = "server hello is malformed";
        goto done;
    }
    *why = "server hello does not decrypt";
    memcpy(s->re, hello->ephemeral.data, 32);
    rc = noise_mix_hash(s, wagw_str(s->re, 32));
    if (rc == WAGW_OK) {
        rc = noise_mix_key(s, s->e.priv, s->re);
    }
    if (rc == WAGW_OK) {
        rc = noise_hs_open(s, rs, noise_field(hello->static_));
    }
    if (rc == WAGW_OK) {
        rc = noise_mix_key(s, s->e.priv, rs);
    }
    if (rc == WAGW_OK) {
        rc = wagw_buf_reserve(&cert, hello->payload.len);
    }
    if (rc == WAGW_OK) {
        rc = noise_hs_open(s, cert.p, noise_field(hello->payload));
    }
    if (rc == WAGW_OK) {
        cert.n = hello->payload.len - NOISE_TAG;
        rc = wagw_cert_check(wagw_buf_view(&cert), root, rs, now_s, why);
    }

done:

    if (m != NULL) {
        wa__handshake_message__free_unpacked(m, NULL);
    }
    wagw_buf_free(&cert);
    return rc;
}

/* Steps 8 to 11. */
static int noise_write_finish(wagw_noise_t *s, wagw_buf_t *out, wagw_str_t payload, const wagw_keypair_t *noise_key)
{
    Wa__HandshakeMessage m = WA__HANDSHAKE_MESSAGE__INIT;
    Wa__HandshakeMessage__ClientFinish finish = WA__HANDSHAKE_MESSAGE__CLIENT_FINISH__INIT;
    wagw_buf_t sealed = {0};
    uint8_t pub[32 + NOISE_TAG];
    int rc;

    if (payload.n > WAGW_FRAME_MAX / 2) {
        return WAGW_LIMIT;
    }
    rc = noise_hs_seal(s, pub, wagw_str(noise_key->pub, 32));
    if (rc == WAGW_OK) {
        rc = noise_mix_key(s, noise_key->priv, s->re);
    }
    if (rc == WAGW_OK) {
        rc = wagw_buf_reserve(&sealed, payload.n + NOISE_TAG);
    }
    if (rc == WAGW_OK) {
        rc = noise_hs_seal(s, sealed.p, payload);
    }
    if (rc == WAGW_OK) {
        finish.has_static_ = finish.has_payload = 1;
        finish.static_ = noise_set(pub, sizeof(pub));
        finish.payload = noise_set(sealed.p, payload.n + NOISE_TAG);
        m.clientfinish = &finish;
        rc = noise_put(out, &m);
    }
    wagw_buf_free(&sealed);
    return rc;
}

int wagw_noise_client_finish(wagw_noise_t *s, wagw_buf_t *out, wagw_str_t body, wagw_str_t payload,
                             const wagw_keypair_t *noise_key, const uint8_t root[32], int64_t now_s, const char **why)
{
    const char *reason = "";
    int rc;

    if (s->state != WAGW_NOISE_WAIT_HELLO || s->server) {
        return WAGW_STATE;
    }
    rc = noise_read_hello(s, body, root, now_s, &reason);
    if (rc == WAGW_OK) {
        reason = "client finish cannot be made";
        rc = noise_write_finish(s, out, payload, noise_key);
    }
    if (rc == WAGW_OK) {
        rc = noise_split(s);
    }
    if (why != NULL) {
        *why = rc == WAGW_OK ? "" : reason;
    }
    return rc == WAGW_OK ? rc : noise_fail(s, rc);
}

/* ---- server ---- */

int wagw_noise_server_init(wagw_noise_t *s, wagw_random_pt random, void *data)
{
    int rc = noise_init(s, true);

    if (rc == WAGW_OK) {
        rc = wagw_x25519_keypair(&s->e, random, data);
    }
    if (rc != WAGW_OK) {
        return noise_fail(s, rc);
    }
    s->state = WAGW_NOISE_WAIT_HELLO;
    return WAGW_OK;
}

static int noise_write_hello(wagw_noise_t *s, wagw_buf_t *out, const wagw_keypair_t *server_static,
                             wagw_str_t cert_chain)
{
    Wa__HandshakeMessage m = WA__HANDSHAKE_MESSAGE__INIT;
    Wa__HandshakeMessage__ServerHello hello = WA__HANDSHAKE_MESSAGE__SERVER_HELLO__INIT;
    wagw_buf_t sealed = {0};
    uint8_t pub[32 + NOISE_TAG];
    int rc;

    if (cert_chain.n > WAGW_FRAME_MAX / 2) {
        return WAGW_LIMIT;
    }
    rc = noise_mix_hash(s, wagw_str(s->re, 32));
    if (rc == WAGW_OK) {
        rc = noise_mix_hash(s, wagw_str(s->e.pub, 32));
    }
    if (rc == WAGW_OK) {
        rc = noise_mix_key(s, s->e.priv, s->re);
    }
    if (rc == WAGW_OK) {
        rc = noise_hs_seal(s, pub, wagw_str(server_static->pub, 32));
    }
    if (rc == WAGW_OK) {
        rc = noise_mix_key(s, server_static->priv, s->re);
    }
    if (rc == WAGW_OK) {
        rc = wagw_buf_reserve(&sealed, cert_chain.n + NOISE_TAG);
    }
    if (rc == WAGW_OK) {
        rc = noise_hs_seal(s, sealed.p, cert_chain);
    }
    if (rc == WAGW_OK) {
        hello.has_ephemeral = hello.has_static_ = hello.has_payload = 1;
        hello.ephemeral = noise_set(s->e.pub, 32);
        hello.static_ = noise_set(pub, sizeof(pub));
        hello.payload = noise_set(sealed.p, cert_chain.n + NOISE_TAG);
        m.serverhello = &hello;
        rc = noise_put(out, &m);
    }
    wagw_buf_free(&sealed);
    return rc;
}

int wagw_noise_server_hello(wagw_noise_t *s, wagw_buf_t *out, wagw_str_t client_hello_body,
                            const wagw_keypair_t *server_static, wagw_str_t cert_chain)
{
    Wa__HandshakeMessage *m;
    int rc = WAGW_MALFORMED;

    if (s->state != WAGW_NOISE_WAIT_HELLO || !s->server) {
        return WAGW_STATE;
    }
    m = noise_get(client_hello_body);
    if (m != NULL && m->clienthello != NULL && m->clienthello->ephemeral.len == 32) {
        memcpy(s->re, m->clienthello->ephemeral.data, 32);
        rc = noise_write_hello(s, out, server_static, cert_chain);
    }
    if (m != NULL) {
        wa__handshake_message__free_unpacked(m, NULL);
    }
    if (rc != WAGW_OK) {
        return noise_fail(s, rc);
    }
    s->state = WAGW_NOISE_WAIT_FINISH;
    return WAGW_OK;
}

int wagw_noise_server_finish(wagw_noise_t *s, wagw_str_t client_finish_body, uint8_t client_static[32],
                             wagw_buf_t *payload)
{
    Wa__HandshakeMessage *m;
    Wa__HandshakeMessage__ClientFinish *finish;
    int rc = WAGW_MALFORMED;

    if (s->state != WAGW_NOISE_WAIT_FINISH || !s->server) {
        return WAGW_STATE;
    }
    m = noise_get(client_finish_body);
    finish = m ? m->clientfinish : NULL;
    if (finish == NULL || finish->static_.len != 32 + NOISE_TAG || finish->payload.len < NOISE_TAG) {
        goto done;
    }
    rc = noise_hs_open(s, client_static, noise_field(finish->static_));
    if (rc == WAGW_OK) {
        rc = noise_mix_key(s, s->e.priv, client_static);
    }
    if (rc == WAGW_OK) {
        rc = wagw_buf_reserve(payload, finish->payload.len);
    }
    if (rc == WAGW_OK) {
        rc = noise_hs_open(s, payload->p + payload->n, noise_field(finish->payload));
    }
    if (rc == WAGW_OK) {
        rc = noise_split(s);
    }
    if (rc == WAGW_OK) {
        payload->n += finish->payload.len - NOISE_TAG;
    }

done:

    if (m != NULL) {
        wa__handshake_message__free_unpacked(m, NULL);
    }
    return rc == WAGW_OK ? rc : noise_fail(s, rc);
}

/* ---- transport ---- */

int wagw_noise_seal(wagw_noise_t *s, wagw_buf_t *out, wagw_str_t plaintext)
{
    uint8_t iv[12];
    int rc;

    if (s->state != WAGW_NOISE_TRANSPORT) {
        return WAGW_STATE;
    }
    /* a counter that has run out never comes back: the caller reconnects */
    if (plaintext.n > WAGW_FRAME_MAX - NOISE_TAG || s->n_send == UINT32_MAX) {
        return WAGW_LIMIT;
    }
    if (wagw_buf_reserve(out, 3 + plaintext.n + NOISE_TAG) != WAGW_OK) {
        return WAGW_NOMEM;
    }
    noise_iv(iv, s->n_send++);
    rc = wagw_gcm_seal(out->p + out->n + 3, s->send_key, iv, WAGW_STR_NULL, plaintext);
    if (rc != WAGW_OK) {
        return noise_fail(s, rc);
    }
    wagw_buf_be(out, plaintext.n + NOISE_TAG, 3);
    out->n += plaintext.n + NOISE_TAG;
    return WAGW_OK;
}

int wagw_noise_open(wagw_noise_t *s, wagw_buf_t *out, wagw_str_t body)
{
    uint8_t iv[12];
    int rc;

    if (s->state != WAGW_NOISE_TRANSPORT) {
        return WAGW_STATE;
    }
    if (body.n < NOISE_TAG) {
        return noise_fail(s, WAGW_MALFORMED);
    }
    if (s->n_recv == UINT32_MAX) {
        return noise_fail(s, WAGW_LIMIT);
    }
    rc = wagw_buf_reserve(out, body.n);
    if (rc != WAGW_OK) {
        return noise_fail(s, rc);
    }
    noise_iv(iv, s->n_recv++);
    rc = wagw_gcm_open(out->p + out->n, s->recv_key, iv, WAGW_STR_NULL, body);
    if (rc != WAGW_OK) {
        return noise_fail(s, rc);
    }
    out->n += body.n - NOISE_TAG;
    return WAGW_OK;
}

void wagw_noise_wipe(wagw_noise_t *s)
{
    wagw_wipe(s, sizeof(*s));
    /* a wiped state must not pass for a new one with a key of zeros */
    s->state = WAGW_NOISE_FAILED;
}
