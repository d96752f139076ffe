#include "cert.h"
#include "wa.pb-c.h"

typedef Wa__CertChain cert_chain_t;
typedef Wa__CertChain__NoiseCertificate cert_t;
typedef Wa__CertChain__NoiseCertificate__Details cert_details_t;

/* A certificate that has both parts, and its details in their own decoding. */
static cert_details_t *cert_details(const cert_t *c)
{
    if (c == NULL || !c->has_details || !c->has_signature || c->signature.len != 64) {
        return NULL;
    }
    return (cert_details_t *)protobuf_c_message_unpack(&wa__cert_chain__noise_certificate__details__descriptor, NULL,
                                                       c->details.len, c->details.data);
}

static bool cert_signed_by(const cert_t *c, const uint8_t key[32])
{
    return wagw_xeddsa_verify(c->signature.data, key, wagw_str(c->details.data, c->details.len)) == WAGW_OK;
}

static bool cert_in_time(const cert_details_t *d, int64_t now_s)
{
    return now_s >= 0 && (uint64_t)now_s >= d->notbefore && (uint64_t)now_s <= d->notafter;
}

int wagw_cert_check(wagw_str_t chain, const uint8_t root[32], const uint8_t server_static[32], int64_t now_s,
                    const char **why)
{
    cert_chain_t *c;
    cert_details_t *leaf = NULL, *middle = NULL;
    int rc = WAGW_CRYPTO;

    c = wa__cert_chain__unpack(NULL, chain.n, chain.p);
    if (c == NULL) {
        *why = "certificate chain does not parse";
        return WAGW_MALFORMED;
    }

    leaf = cert_details(c->leaf);
    middle = cert_details(c->intermediate);
    if (leaf == NULL || middle == NULL) {
        *why = "certificate chain is incomplete";
        rc = WAGW_MALFORMED;
        goto done;
    }
    if (!cert_signed_by(c->intermediate, root)) {
        *why = "intermediate certificate is not signed by the root";
        goto done;
    }
    if (middle->issuerserial != 0) {
        *why = "intermediate certificate names another issuer than the root";
        goto done;
    }
    if (middle->key.len != 32) {
        *why = "intermediate certificate has no key";
        goto done;
    }
    if (!cert_signed_by(c->leaf, middle->key.data)) {
        *why = "leaf certificate is not signed by the intermediate";
        goto done;
    }
    if (leaf->issuerserial != middle->serial) {
        *why = "leaf certificate names another issuer than the intermediate";
        goto done;
    }
    if (leaf->key.len != 32 || !wagw_ct_equal(leaf->key.data, server_static, 32)) {
        *why = "leaf certificate is for another server key";
        goto done;
    }
    if (!cert_in_time(middle, now_s)) {
        *why = "intermediate certificate is out of its time (is the clock right?)";
        goto done;
    }
    if (!cert_in_time(leaf, now_s)) {
        *why = "leaf certificate is out of its time (is the clock right?)";
        goto done;
    }
    rc = WAGW_OK;

done:

    if (leaf != NULL) {
        protobuf_c_message_free_unpacked(&leaf->base, NULL);
    }
    if (middle != NULL) {
        protobuf_c_message_free_unpacked(&middle->base, NULL);
    }
    wa__cert_chain__free_unpacked(c, NULL);
    return rc;
}

typedef struct {
    uint8_t details[128]; /* 4 varints and a key: at most 86 bytes */
    uint8_t signature[64];
} cert_made_t;

static int cert_make(cert_t *c, cert_made_t *m, uint32_t serial, uint32_t issuer, const uint8_t key[32],
                     const wagw_keypair_t *signer, int64_t not_before, int64_t not_after, wagw_random_pt random,
                     void *data)
{
    cert_details_t d = WA__CERT_CHAIN__NOISE_CERTIFICATE__DETAILS__INIT;
    size_t n;

    d.has_serial = d.has_issuerserial = d.has_key = d.has_notbefore = d.has_notafter = 1;
    d.serial = serial;
    d.issuerserial = issuer;
    d.key.data = (uint8_t *)key;
    d.key.len = 32;
    d.notbefore = (uint64_t)not_before;
    d.notafter = (uint64_t)not_after;
    n = protobuf_c_message_pack(&d.base, m->details);

    wa__cert_chain__noise_certificate__init(c);
    c->has_details = c->has_signature = 1;
    c->details.data = m->details;
    c->details.len = n;
    c->signature.data = m->signature;
    c->signature.len = sizeof(m->signature);
    return wagw_xeddsa_sign(m->signature, signer->priv, wagw_str(m->details, n), random, data);
}

int wagw_noise_make_chain(wagw_buf_t *out, const wagw_keypair_t *root, const wagw_keypair_t *intermediate,
                          const uint8_t server_static[32], int64_t not_before, int64_t not_after, wagw_random_pt random,
                          void *data)
{
    cert_chain_t chain = WA__CERT_CHAIN__INIT;
    cert_t leaf, middle;
    cert_made_t leaf_made, middle_made;
    size_t n;
    int rc;

    rc = cert_make(&middle, &middle_made, 1, 0, intermediate->pub, root, not_before, not_after, random, data);
    if (rc == WAGW_OK) {
        rc = cert_make(&leaf, &leaf_made, 2, 1, server_static, intermediate, not_before, not_after, random, data);
    }
    if (rc != WAGW_OK) {
        return rc;
    }
    chain.leaf = &leaf;
    chain.intermediate = &middle;
    n = wa__cert_chain__get_packed_size(&chain);
    rc = wagw_buf_reserve(out, n);
    if (rc == WAGW_OK) {
        out->n += wa__cert_chain__pack(&chain, out->p + out->n);
    }
    return rc;
}
