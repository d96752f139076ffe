/*
 * Linking by QR and the end of every linking, pair-success (03 sections 5, 6).
 */

#include "client_i.h"

#include "wa.pb-c.h"

#include <stdio.h>
#include <stdlib.h>

#define FIRST_REF_MS 60000
#define NEXT_REF_MS 20000
#define PAIRING_MS 160000
#define SIGNED_MS 30000
#define QR_PREFIX "https://wa.me/settings/linked_devices#"

char wagw_client_type(const char *os, const char *browser)
{
    static const struct {
        const char *name;
        char type;
    } known[] = {{"Chrome", '1'}, {"Edge", '2'}, {"Firefox", '3'}, {"IE", '4'}, {"Opera", '5'}, {"Safari", '6'}};

    if (browser == NULL) {
        return '1';
    }
    if (wagw_same_word(browser, "Desktop")) {
        return os && wagw_same_word(os, "Windows") ? '8' : '7';
    }
    for (size_t i = 0; i < sizeof(known) / sizeof(known[0]); i++) {
        if (wagw_same_word(browser, known[i].name)) {
            return known[i].type;
        }
    }
    return '9';
}

int wagw_pair_qr(wagw_buf_t *out, wagw_str_t ref, const wagw_creds_t *c, const wagw_client_conf_t *conf)
{
    wagw_buf_cstr(out, QR_PREFIX);
    wagw_buf_str(out, ref);
    wagw_buf_u8(out, ',');
    wagw_base64_encode(out, wagw_str(c->noise.pub, 32));
    wagw_buf_u8(out, ',');
    wagw_base64_encode(out, wagw_str(c->identity.pub, 32));
    wagw_buf_u8(out, ',');
    wagw_base64_encode(out, wagw_str(c->adv_secret, 32));
    wagw_buf_u8(out, ',');
    wagw_buf_u8(out, (uint8_t)wagw_client_type(conf->os, conf->browser));
    return out->failed ? WAGW_NOMEM : WAGW_OK;
}

/* ---- QR refs ------------------------------------------------------------- */

typedef struct {
    wagw_str_t refs[8];
    unsigned n;
} refs_t;

static void show_ref(wagw_client_t *c, int64_t ms)
{
    wagw_buf_t b = {0};
    wagw_pairing_t *p = c->pairing;

    if (wagw_pair_qr(&b, wagw_cstr(p->refs[p->at]), c->creds, &c->conf) != WAGW_OK || b.n >= sizeof(p->qr)) {
        wagw_buf_free(&b);
        wagw_client_hangup(c, 500, "timeout");
        return;
    }
    memcpy(p->qr, b.p, b.n);
    p->qr[b.n] = '\0';
    wagw_buf_wipe(&b);
    p->qr_expires = c->now + ms;
    wagw_client_timer(c, WAGW_TIMER_QR, c->now + ms);
    wagw_client_status(c, WAGW_STATUS_QR, 0, NULL);
    wagw_client_wake_waits(c);
}

static void refs_then(wagw_client_t *c, void *arg)
{
    refs_t *r = arg;
    wagw_pairing_t *p;

    if (!c->registering || c->creds == NULL) {
        return;
    }
    if (c->pairing == NULL) {
        c->pairing = calloc(1, sizeof(*c->pairing));
        if (c->pairing == NULL) {
            wagw_client_hangup(c, 500, "timeout");
            return;
        }
    }
    p = c->pairing;
    p->nrefs = r->n;
    p->at = 0;
    for (unsigned i = 0; i < r->n; i++) {
        memcpy(p->refs[i], r->refs[i].p, r->refs[i].n);
        p->refs[i][r->refs[i].n] = '\0';
    }
    wagw_client_state(c, WAGW_CONN_UNPAIRED, 0);
    if (p->code_wanted) {
        wagw_client_timer(c, WAGW_TIMER_PAIR, c->now + PAIRING_MS);
        (void)wagw_turn_later(c, wagw_code_start, 0, true);
    } else {
        show_ref(c, FIRST_REF_MS);
    }
}

int wagw_pair_device(wagw_turn_t *t, const wagw_node_t *iq)
{
    refs_t r = {0};
    wagw_str_t s;
    wagw_node_t *answer;
    const wagw_node_t *ref, *pd = wagw_node_find(iq, "pair-device");

    answer = wagw_node(&t->arena, "iq");
    wagw_node_attr_server(&t->arena, answer, "to");
    wagw_node_attrc(&t->arena, answer, "type", "result");
    wagw_node_attr(&t->arena, answer, "id", wagw_node_get(iq, "id"));
    WAGW_TRY(wagw_turn_send(t, answer));

    for (ref = wagw_node_find(pd, "ref"); ref && r.n < 8; ref = wagw_node_find_next(ref, "ref")) {
        s = wagw_node_data(ref);
        if (s.n && s.n < sizeof(t->c->pairing->refs[0]) && memchr(s.p, 0, s.n) == NULL) {
            r.refs[r.n] = wagw_arena_str(&t->arena, s);
            if (r.refs[r.n].p == NULL) {
                return WAGW_NOMEM;
            }
            r.n++;
        }
    }
    if (r.n == 0 || !t->c->registering) {
        wagw_client_log(t->c, WAGW_LOG_WARN, "pair-device without a usable ref");
        return WAGW_OK;
    }
    return wagw_turn_then(t, refs_then, &r, sizeof(r));
}

void wagw_pair_next_ref(wagw_client_t *c)
{
    if (c->pairing == NULL || c->conn != WAGW_CONN_UNPAIRED || c->pairing->code_done) {
        return;
    }
    if (++c->pairing->at >= c->pairing->nrefs) {
        wagw_client_hangup(c, 408, "timeout");
        return;
    }
    show_ref(c, NEXT_REF_MS);
}

void wagw_pair_clear(wagw_client_t *c)
{
    wagw_timer_t timers[] = {WAGW_TIMER_QR, WAGW_TIMER_PAIR};

    for (unsigned i = 0; i < 2; i++) {
        wagw_client_timer(c, timers[i], 0);
    }
    if (c->pairing) {
        if (c->pairing->command) {
            wagw_result_t r = {0};

            r.status = 504;
            r.code = "WA_TIMEOUT";
            r.error = "The connection was lost while a code was asked for";
            c->ops->reply(c->driver, c->pairing->command, &r);
        }
        wagw_wipe(c->pairing, sizeof(*c->pairing));
        free(c->pairing);
        c->pairing = NULL;
    }
}

/* ---- pair-success ------------------------------------------------------------ */

static bool blob(ProtobufCBinaryData d, bool has, size_t n)
{
    return has && d.len == n;
}

static wagw_str_t packed(wagw_arena_t *a, const ProtobufCMessage *m)
{
    size_t n = protobuf_c_message_get_packed_size(m);
    uint8_t *p = wagw_arena_alloc(a, n ? n : 1);

    if (p == NULL) {
        return WAGW_STR_NULL;
    }
    return wagw_str(p, protobuf_c_message_pack(m, p));
}

/* a || b || c || d into the arena */
static wagw_str_t joined(wagw_arena_t *a, wagw_str_t x, wagw_str_t y, wagw_str_t z, wagw_str_t w)
{
    uint8_t *p = wagw_arena_alloc(a, x.n + y.n + z.n + w.n + 1);

    if (p == NULL) {
        return WAGW_STR_NULL;
    }
    memcpy(p, x.p, x.n);
    memcpy(p + x.n, y.p, y.n);
    memcpy(p + x.n + y.n, z.p, z.n);
    if (w.n) {
        memcpy(p + x.n + y.n + z.n, w.p, w.n);
    }
    return wagw_str(p, x.n + y.n + z.n + w.n);
}

int wagw_pair_identity(wagw_pair_identity_t *out, wagw_arena_t *a, wagw_str_t container, const uint8_t adv_secret[32],
                       const wagw_keypair_t *identity, wagw_random_pt random, void *data)
{
    int rc = WAGW_OK;
    bool hosted;
    uint8_t mac[32], signature[64];
    wagw_str_t msg, own = wagw_str(identity->pub, 32), details, key;
    Wa__ADVSignedDeviceIdentityHMAC *c = NULL;
    Wa__ADVSignedDeviceIdentity *s = NULL;
    Wa__ADVDeviceIdentity *d = NULL;

    memset(out, 0, sizeof(*out));
    out->error = 500;
    out->text = "internal-error";

    c = wa__advsigned_device_identity_hmac__unpack(NULL, container.n, container.p);
    if (c == NULL || !c->has_details || !blob(c->hmac, c->has_hmac, 32)) {
        goto done;
    }
    hosted = c->has_accounttype && c->accounttype == 1;
    msg = joined(a, hosted ? WAGW_STR("\x06\x05") : WAGW_STR(""), wagw_str(c->details.data, c->details.len),
                 WAGW_STR(""), WAGW_STR_NULL);
    if (msg.p == NULL) {
        rc = WAGW_NOMEM;
        goto done;
    }
    rc = wagw_hmac_sha256(mac, wagw_str(adv_secret, 32), msg);
    if (rc != WAGW_OK) {
        goto done;
    }
    if (!wagw_ct_equal(mac, c->hmac.data, 32)) {
        out->error = 401;
        out->text = "hmac-mismatch";
        goto done;
    }

    s = wa__advsigned_device_identity__unpack(NULL, c->details.len, c->details.data);
    if (s == NULL || !s->has_details) {
        goto done;
    }
    d = wa__advdevice_identity__unpack(NULL, s->details.len, s->details.data);
    if (d == NULL) {
        goto done;
    }
    out->error = 401;
    out->text = "signature-mismatch";
    if (!blob(s->accountsignaturekey, s->has_accountsignaturekey, 32) ||
        !blob(s->accountsignature, s->has_accountsignature, 64)) {
        goto done;
    }
    details = wagw_str(s->details.data, s->details.len);
    key = wagw_str(s->accountsignaturekey.data, 32);
    hosted = d->has_devicetype && d->devicetype == 1;
    msg = joined(a, hosted ? WAGW_STR("\x06\x05") : WAGW_STR("\x06\x00"), details, own, WAGW_STR_NULL);
    if (msg.p == NULL) {
        rc = WAGW_NOMEM;
        goto done;
    }
    if (wagw_xeddsa_verify(s->accountsignature.data, key.p, msg) != WAGW_OK) {
        goto done;
    }

    msg = joined(a, WAGW_STR("\x06\x01"), details, own, key);
    rc = msg.p ? wagw_xeddsa_sign(signature, identity->priv, msg, random, data) : WAGW_NOMEM;
    if (rc != WAGW_OK) {
        goto done;
    }
    s->has_devicesignature = 1;
    if (s->devicesignature.data) {
        free(s->devicesignature.data);
    }
    s->devicesignature.len = 64;
    s->devicesignature.data = malloc(64);
    if (s->devicesignature.data == NULL) {
        s->devicesignature.len = 0;
        rc = WAGW_NOMEM;
        goto done;
    }
    memcpy(s->devicesignature.data, signature, 64);
    memcpy(out->account_key, key.p, 32);
    out->has_account_key = true;
    out->key_index = d->has_keyindex ? d->keyindex : 0;
    out->full = packed(a, &s->base);
    s->has_accountsignaturekey = 0;
    out->answer = packed(a, &s->base);
    s->has_accountsignaturekey = 1;
    if (out->full.p == NULL || out->answer.p == NULL) {
        rc = WAGW_NOMEM;
        goto done;
    }
    out->error = 0;
    out->text = NULL;

done:

    if (c) {
        wa__advsigned_device_identity_hmac__free_unpacked(c, NULL);
    }
    if (s) {
        wa__advsigned_device_identity__free_unpacked(s, NULL);
    }
    if (d) {
        wa__advdevice_identity__free_unpacked(d, NULL);
    }
    return rc;
}

static void refused_then(wagw_client_t *c, void *arg)
{
    (void)arg;
    c->permanent = true;
    c->wanted = false;
    c->disconnect_code = 401;
    wagw_client_status(c, WAGW_STATUS_FAILED, 401, "pairing_refused");
}

static int refuse(wagw_turn_t *t, const wagw_node_t *iq, int code, const char *text)
{
    wagw_node_t *n = wagw_node(&t->arena, "iq"), *e;

    wagw_client_log(t->c, WAGW_LOG_ERROR, "pair-success refused: %s", text);
    wagw_node_attr_server(&t->arena, n, "to");
    wagw_node_attrc(&t->arena, n, "type", "error");
    wagw_node_attr(&t->arena, n, "id", wagw_node_get(iq, "id"));
    e = wagw_node_child(&t->arena, n, "error");
    wagw_node_attr_int(&t->arena, e, "code", code);
    wagw_node_attrc(&t->arena, e, "text", text);
    WAGW_TRY(wagw_turn_send(t, n));
    WAGW_TRY(wagw_turn_then(t, refused_then, NULL, 0));
    return wagw_turn_close(t);
}

static void signed_then(wagw_client_t *c, void *arg)
{
    (void)arg;
    wagw_pair_clear(c);
    wagw_client_state(c, WAGW_CONN_SIGNED, SIGNED_MS);
    wagw_client_log(c, WAGW_LOG_NOTICE, "linked");
    wagw_client_status(c, WAGW_STATUS_CONNECTING, 0, NULL);
    wagw_client_wake_waits(c);
}

int wagw_pair_success(wagw_turn_t *t, const wagw_node_t *iq)
{
    char key[WAGW_KEY_MAX];
    size_t n;
    uint8_t trusted[33];
    wagw_str_t s;
    wagw_jid_t jid, lid = {0}, phone;
    wagw_node_t *answer, *sign, *di;
    wagw_creds_t *creds;
    wagw_client_t *c = t->c;
    wagw_signal_addr_t addr;
    wagw_pair_identity_t id;
    Wa__ClientPairingProps *props;
    const wagw_node_t *ps = wagw_node_find(iq, "pair-success");
    const wagw_node_t *device = wagw_node_find(ps, "device");

    if (!c->registering || c->creds == NULL || c->creds->paired) {
        wagw_client_log(c, WAGW_LOG_WARN, "unexpected pair-success ignored");
        return WAGW_OK;
    }
    s = wagw_node_data(wagw_node_find(ps, "device-identity"));
    if (s.n == 0 || wagw_node_get_jid(device, "jid", &jid) != WAGW_OK || jid.server != WAGW_SRV_USER ||
        jid.device == 0) {
        return refuse(t, iq, 500, "internal-error");
    }
    if (wagw_node_has(device, "lid") && (wagw_node_get_jid(device, "lid", &lid) != WAGW_OK || !wagw_jid_is_lid(&lid))) {
        return refuse(t, iq, 500, "internal-error");
    }
    if (c->pairing && c->pairing->code_done && strcmp(c->pairing->phone, jid.user) != 0) {
        return refuse(t, iq, 500, "internal-error");
    }
    WAGW_TRY(wagw_pair_identity(&id, &t->arena, s, c->creds->adv_secret, &c->creds->identity, c->sh->random,
                                c->sh->random_data));
    if (id.error == 0 && id.full.n > WAGW_ADV_MAX) {
        id.error = 500;
        id.text = "internal-error";
    }
    if (id.error) {
        return refuse(t, iq, id.error, id.text);
    }

    creds = wagw_turn_creds(t);
    if (creds == NULL) {
        return WAGW_NOMEM;
    }
    creds->paired = true;
    creds->jid = jid;
    creds->lid = lid;
    memcpy(creds->adv, id.full.p, id.full.n);
    creds->adv_len = (uint16_t)id.full.n;
    memcpy(creds->account_key, id.account_key, 32);
    wagw_creds_text(creds->platform, sizeof(creds->platform), wagw_node_get(wagw_node_find(ps, "platform"), "name"));
    wagw_creds_text(creds->business_name, sizeof(creds->business_name),
                    wagw_node_get(wagw_node_find(ps, "biz"), "name"));
    s = wagw_node_data(wagw_node_find(ps, "client-props"));
    if (s.n) {
        props = wa__client_pairing_props__unpack(NULL, s.n, s.p);
        if (props) {
            if (props->has_ischatdblidmigrated && props->ischatdblidmigrated) {
                creds->lid_migrated = 1;
            }
            wa__client_pairing_props__free_unpacked(props, NULL);
        }
    }

    if (!wagw_jid_empty(&lid)) {
        WAGW_TRY(wagw_lid_learn(t, &jid, &lid, NULL));
        phone = wagw_jid_user(&lid);
        addr = wagw_signal_addr(&phone);
        n = wagw_signal_key(key, &addr);
        trusted[0] = 5;
        memcpy(trusted + 1, id.account_key, 32);
        WAGW_TRY(wagw_txn_put(&t->txn, WAGW_REC_IDENTITY, wagw_str(key, n), wagw_str(trusted, 33)));
    }

    answer = wagw_node(&t->arena, "iq");
    wagw_node_attr_server(&t->arena, answer, "to");
    wagw_node_attrc(&t->arena, answer, "type", "result");
    wagw_node_attr(&t->arena, answer, "id", wagw_node_get(iq, "id"));
    sign = wagw_node_child(&t->arena, answer, "pair-device-sign");
    di = wagw_node_child(&t->arena, sign, "device-identity");
    wagw_node_attr_int(&t->arena, di, "key-index", id.key_index);
    wagw_node_bytes(di, id.answer);
    WAGW_TRY(wagw_turn_send(t, answer));
    return wagw_turn_then(t, signed_then, NULL, 0);
}
