/*
 * Linking a companion, server and phone in one: QR and code, account
 * signature, check of the device signature (protocol 03 sections 5 to 7).
 */

#include "sandbox.h"

#include "wa.pb-c.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>

#define SBX_REFS 6
#define SBX_ITERATIONS 131072

/* What the admin call that scans waits for. */
typedef struct {
    sbx_pairing_t *pairing;
    int status; /* 0: not decided */
    char why[128];
    char phone[SBX_USER_MAX];
    uint16_t device;
} sbx_scan_t;

struct sbx_pairing_s {
    sbx_conn_t *conn;
    uint8_t noise[32];
    uint8_t identity[32];
    uint32_t registration_id;
    uint32_t spk_id;
    uint8_t spk[32];
    uint8_t spk_sig[64];
    char *platform;
    char *push_name;
    char refs[SBX_REFS][64];
    int64_t since;

    /* once scanned */
    sbx_scan_t *scan;
    sbx_account_t *account;
    char iq_id[32];
    uint16_t device;
    uint32_t key_index;
    wagw_buf_t details;
    uint8_t account_sig[64];

    /* by code */
    char phone[SBX_USER_MAX];
    bool hello;
    uint8_t wrapped[80];
    uint8_t ref[20];
    bool primary;
    wagw_keypair_t eph;
    uint8_t companion_eph[32];
};

static void sbx_scan_end(sbx_pairing_t *p, int status, const char *why)
{
    if (p->scan != NULL) {
        p->scan->status = status;
        snprintf(p->scan->why, sizeof(p->scan->why), "%s", why);
        snprintf(p->scan->phone, sizeof(p->scan->phone), "%s", p->account ? p->account->pn : "");
        p->scan->device = p->device;
        p->scan->pairing = NULL;
        p->scan = NULL;
        sbx_changed();
    }
}

void sbx_pair_free(sbx_conn_t *c)
{
    sbx_pairing_t *p;

    p = c->pairing;
    if (p == NULL) {
        return;
    }
    c->pairing = NULL;
    sbx_scan_end(p, 409, "the client went away");
    wagw_wipe(&p->eph, sizeof(p->eph));
    wagw_buf_free(&p->details);
    free(p->platform);
    free(p->push_name);
    free(p);
}

static bool sbx_pair_parse(sbx_pairing_t *p, const Wa__ClientPayload *cp)
{
    Wa__DeviceProps *props;
    uint8_t msg[33];
    Wa__ClientPayload__DevicePairingRegistrationData *d;

    d = cp->devicepairingdata;
    if (!d->has_eregid || d->eregid.len != 4 || !d->has_ekeytype || d->ekeytype.len != 1 || d->ekeytype.data[0] != 5 ||
        !d->has_eident || d->eident.len != 32 || !d->has_eskeyid || d->eskeyid.len != 3 || !d->has_eskeyval ||
        d->eskeyval.len != 32 || !d->has_eskeysig || d->eskeysig.len != 64 || !d->has_buildhash ||
        d->buildhash.len != 16 || !d->has_deviceprops) {
        return false;
    }

    p->registration_id = sbx_be_read(d->eregid.data, 4);
    memcpy(p->identity, d->eident.data, 32);
    p->spk_id = sbx_be_read(d->eskeyid.data, 3);
    memcpy(p->spk, d->eskeyval.data, 32);
    memcpy(p->spk_sig, d->eskeysig.data, 64);

    msg[0] = 5;
    memcpy(msg + 1, p->spk, 32);
    if (wagw_xeddsa_verify(p->spk_sig, p->identity, wagw_str(msg, sizeof(msg))) != WAGW_OK) {
        return false;
    }

    props = wa__device_props__unpack(NULL, d->deviceprops.len, d->deviceprops.data);
    if (props == NULL) {
        return false;
    }
    p->platform = sbx_strdup(props->os ? props->os : "");
    wa__device_props__free_unpacked(props, NULL);
    if (cp->pushname != NULL && *cp->pushname != '\0') {
        p->push_name = sbx_strdup(cp->pushname);
    }
    return true;
}

void sbx_pair_begin(sbx_conn_t *c, wagw_str_t payload, const uint8_t noise_static[32])
{
    int i;
    uint8_t b[16];
    wagw_buf_t ref = {0};
    wagw_node_t *n, *pd;
    wagw_arena_t a = {0};
    sbx_pairing_t *p;
    Wa__ClientPayload *cp;

    p = sbx_alloc(sizeof(sbx_pairing_t));
    p->conn = c;
    p->since = sbx_now_ms();
    memcpy(p->noise, noise_static, 32);
    c->pairing = p;

    cp = wa__client_payload__unpack(NULL, payload.n, payload.p);
    if (cp == NULL || !sbx_pair_parse(p, cp)) {
        sbx_fault(NULL, "registration data incomplete, or its signature is wrong");
        sbx_stream_error(c, "400", NULL);
        goto done;
    }

    n = wagw_node(&a, "iq");
    wagw_node_attr_server(&a, n, "from");
    wagw_node_attrc(&a, n, "type", "set");
    wagw_node_attr(&a, n, "id", sbx_server_id(&a));
    wagw_node_attrc(&a, n, "xmlns", "md");
    pd = wagw_node_child(&a, n, "pair-device");
    for (i = 0; i < SBX_REFS; i++) {
        sbx_random(NULL, b, sizeof(b));
        wagw_buf_reset(&ref);
        wagw_base64_encode(&ref, wagw_str(b, sizeof(b)));
        snprintf(p->refs[i], sizeof(p->refs[i]), "2@%.*s", (int)ref.n, (char *)ref.p);
        wagw_node_bytes(wagw_node_child(&a, pd, "ref"), wagw_cstr(p->refs[i]));
    }
    sbx_send(c, n);
    sbx_changed();

done:

    wagw_buf_free(&ref);
    wagw_arena_free(&a);
    if (cp != NULL) {
        wa__client_payload__free_unpacked(cp, NULL);
    }
}

/* The phone signs the companion's identity and the server announces it. */
static void sbx_pair_success(sbx_pairing_t *p, sbx_account_t *acc, const uint8_t adv_secret[32])
{
    uint8_t mac[32];
    wagw_jid_t pn, lid;
    wagw_buf_t msg = {0}, inner = {0}, outer = {0};
    wagw_node_t *n, *ps, *k;
    wagw_arena_t a = {0};
    wagw_str_t id;

    p->account = acc;
    p->device = acc->next_device++;
    p->key_index = ++acc->key_index;

    wagw_buf_reset(&p->details);
    sbx_pb_uint(&p->details, 1, acc->adv_raw_id);
    sbx_pb_uint(&p->details, 2, (uint64_t)sbx_now_s());
    sbx_pb_uint(&p->details, 3, p->key_index);

    wagw_buf_add(&msg, "\x06\x00", 2);
    wagw_buf_str(&msg, wagw_buf_view(&p->details));
    wagw_buf_add(&msg, p->identity, 32);
    wagw_xeddsa_sign(p->account_sig, acc->identity.priv, wagw_buf_view(&msg), sbx_random, NULL);

    sbx_pb_bytes(&inner, 1, wagw_buf_view(&p->details));
    sbx_pb_bytes(&inner, 2, wagw_str(acc->identity.pub, 32));
    sbx_pb_bytes(&inner, 3, wagw_str(p->account_sig, 64));
    wagw_hmac_sha256(mac, wagw_str(adv_secret, 32), wagw_buf_view(&inner));
    sbx_pb_bytes(&outer, 1, wagw_buf_view(&inner));
    sbx_pb_bytes(&outer, 2, wagw_str(mac, 32));

    id = sbx_server_id(&a);
    snprintf(p->iq_id, sizeof(p->iq_id), "%.*s", (int)id.n, (const char *)id.p);

    n = wagw_node(&a, "iq");
    wagw_node_attr_server(&a, n, "from");
    wagw_node_attrc(&a, n, "type", "set");
    wagw_node_attr(&a, n, "id", id);
    wagw_node_attrc(&a, n, "xmlns", "md");
    wagw_node_attr_int(&a, n, "t", sbx_now_s());
    ps = wagw_node_child(&a, n, "pair-success");
    wagw_node_bytes(wagw_node_child(&a, ps, "device-identity"), wagw_buf_view(&outer));
    wagw_node_attrc(&a, wagw_node_child(&a, ps, "platform"), "name", acc->business[0] ? "smba" : "android");
    if (acc->business[0]) {
        wagw_node_attrc(&a, wagw_node_child(&a, ps, "biz"), "name", acc->business);
    }
    k = wagw_node_child(&a, ps, "device");
    pn = sbx_account_jid_of(acc, false);
    pn.device = p->device;
    wagw_node_attr_jid(&a, k, "jid", &pn);
    lid = sbx_account_jid_of(acc, true);
    lid.device = p->device;
    wagw_node_attr_jid(&a, k, "lid", &lid);
    /* isChatDbLidMigrated: direct chats may be addressed by LID */
    wagw_node_bytes(wagw_node_child(&a, ps, "client-props"), WAGW_STR("\x08\x01"));
    sbx_send(p->conn, n);

    wagw_arena_free(&a);
    wagw_buf_free(&msg);
    wagw_buf_free(&inner);
    wagw_buf_free(&outer);
}

/* The signed identity of the companion, complete, or false. */
static bool sbx_pair_signature(sbx_pairing_t *p, const wagw_node_t *iq, wagw_buf_t *adv)
{
    bool ok;
    wagw_buf_t msg = {0};
    const wagw_node_t *n;
    Wa__ADVSignedDeviceIdentity *s;

    n = wagw_node_find(iq, "pair-device-sign");
    n = n ? wagw_node_find(n, "device-identity") : NULL;
    s = n ? wa__advsigned_device_identity__unpack(NULL, n->data.n, n->data.p) : NULL;
    if (s == NULL) {
        return false;
    }

    wagw_buf_add(&msg, "\x06\x01", 2);
    wagw_buf_str(&msg, wagw_buf_view(&p->details));
    wagw_buf_add(&msg, p->identity, 32);
    wagw_buf_add(&msg, p->account->identity.pub, 32);

    ok = s->has_details && wagw_str_eq(wagw_str(s->details.data, s->details.len), wagw_buf_view(&p->details)) &&
         s->has_accountsignature && s->accountsignature.len == 64 &&
         memcmp(s->accountsignature.data, p->account_sig, 64) == 0 && s->has_devicesignature &&
         s->devicesignature.len == 64 && !s->has_accountsignaturekey &&
         wagw_xeddsa_verify(s->devicesignature.data, p->identity, wagw_buf_view(&msg)) == WAGW_OK;
    if (ok) {
        sbx_pb_bytes(adv, 1, wagw_buf_view(&p->details));
        sbx_pb_bytes(adv, 2, wagw_str(p->account->identity.pub, 32));
        sbx_pb_bytes(adv, 3, wagw_str(p->account_sig, 64));
        sbx_pb_bytes(adv, 4, wagw_str(s->devicesignature.data, 64));
    }

    wagw_buf_free(&msg);
    wa__advsigned_device_identity__free_unpacked(s, NULL);
    return ok;
}

bool sbx_pair_result(sbx_conn_t *c, const wagw_node_t *iq)
{
    uint64_t index;
    wagw_buf_t adv = {0};
    sbx_device_t *d;
    sbx_pairing_t *p;
    const wagw_node_t *sign;

    p = c->pairing;
    if (p == NULL || p->account == NULL || p->iq_id[0] == '\0' || !wagw_node_attr_is(iq, "id", p->iq_id)) {
        return false;
    }
    p->iq_id[0] = '\0';

    if (wagw_node_attr_is(iq, "type", "error")) {
        sbx_scan_end(p, 409, "the client refused the pairing");
        return true;
    }

    sign = wagw_node_find(iq, "pair-device-sign");
    sign = sign ? wagw_node_find(sign, "device-identity") : NULL;
    if (sign == NULL || wagw_node_get_u64(sign, "key-index", &index) != WAGW_OK || index != p->key_index ||
        !sbx_pair_signature(p, iq, &adv)) {
        wagw_buf_free(&adv);
        sbx_fault(NULL, "pair-device-sign: the device signature, key-index or form is wrong");
        sbx_scan_end(p, 409, "the client's device signature is wrong");
        sbx_stream_error(c, "401", NULL);
        return true;
    }

    d = sbx_device_add(p->account, p->device, p->key_index);
    memcpy(d->noise, p->noise, 32);
    memcpy(d->identity, p->identity, 32);
    d->registration_id = p->registration_id;
    d->spk_id = p->spk_id;
    memcpy(d->spk, p->spk, 32);
    memcpy(d->spk_sig, p->spk_sig, 64);
    d->adv = adv;
    d->platform = p->platform;
    p->platform = NULL;
    if (p->push_name != NULL && !p->account->named) {
        sbx_set_text(&p->account->name, p->push_name);
        p->account->named = true;
    }

    sbx_scan_end(p, 200, "");
    sbx_devices_notify(p->account, d, "add");
    sbx_stream_error(c, "515", NULL);
    d->log = c->log;
    memset(&c->log, 0, sizeof(c->log));
    return true;
}

static bool sbx_pair_base64(uint8_t out[32], wagw_str_t text)
{
    bool ok;
    wagw_buf_t b = {0};

    ok = wagw_base64_decode(&b, text) == WAGW_OK && b.n == 32;
    if (ok) {
        memcpy(out, b.p, 32);
    }
    wagw_buf_wipe(&b);
    return ok;
}

static void sbx_scan_drop(void *data)
{
    sbx_scan_t *s;

    s = data;
    if (s->pairing != NULL) {
        s->pairing->scan = NULL;
    }
    free(s);
}

static void sbx_scan_start(sbx_req_t *r, sbx_pairing_t *p)
{
    sbx_scan_t *s;

    s = sbx_alloc(sizeof(sbx_scan_t));
    s->pairing = p;
    p->scan = s;
    r->data = s;
    r->drop = sbx_scan_drop;
    r->deadline = 0;
}

static int sbx_scan_answer(sbx_req_t *r)
{
    sbx_scan_t *s;
    sbx_device_t *d;
    sbx_account_t *a;

    s = r->data;
    if (s->status == 0) {
        return sbx_wait(r, 30000) ? SBX_WAIT : sbx_error(r, 504, "the client did not complete the pairing");
    }
    if (s->status != 200) {
        return sbx_error(r, s->status, "%s", s->why);
    }
    a = sbx_account_pn(s->phone);
    d = a ? sbx_device_get(a, s->device) : NULL;
    if (d == NULL) {
        return sbx_error(r, 409, "the companion is gone again");
    }
    sbx_device_json(&r->j, d);
    return 200;
}

static sbx_pairing_t *sbx_pair_by_ref(wagw_str_t ref)
{
    int i;
    sbx_conn_t *c;

    for (c = sbx.conns; c != NULL; c = c->next) {
        for (i = 0; c->pairing != NULL && !c->closing && i < SBX_REFS; i++) {
            if (wagw_str_eq(wagw_cstr(c->pairing->refs[i]), ref)) {
                return c->pairing;
            }
        }
    }
    return NULL;
}

int sbx_admin_scan_qr(sbx_req_t *r)
{
    int i;
    size_t at;
    char buf[64], name[SBX_USER_MAX + 8];
    uint8_t noise[32], ident[32], adv[32];
    wagw_str_t qr, part[5];
    const char *phone, *who, *biz;
    const uint8_t *p;
    sbx_account_t *acc;
    sbx_pairing_t *pair;

    if (r->data != NULL) {
        return sbx_scan_answer(r);
    }

    qr = wagw_buf_view(&r->body);
    while (qr.n != 0 && isspace(qr.p[qr.n - 1])) {
        qr.n--;
    }
    p = qr.n ? memchr(qr.p, '#', qr.n) : NULL;
    if (p == NULL || !wagw_str_starts(qr, WAGW_STR("https://wa.me/settings/linked_devices#"))) {
        return sbx_error(r, 400,
                         "the body is a QR text: https://wa.me/settings/linked_devices#ref,noise,ident,adv,client");
    }
    qr.n -= (size_t)(p + 1 - qr.p);
    qr.p = p + 1;
    for (i = 0; i < 5; i++) {
        for (at = 0; at < qr.n && qr.p[at] != ','; at++) {
        }
        part[i] = wagw_str(qr.p, at);
        qr.p += at < qr.n ? at + 1 : at;
        qr.n -= at < qr.n ? at + 1 : at;
    }
    if (part[4].n == 0 || qr.n != 0 || !sbx_pair_base64(noise, part[1]) || !sbx_pair_base64(ident, part[2]) ||
        !sbx_pair_base64(adv, part[3])) {
        return sbx_error(r, 400, "the QR text has not five fields with 32-byte keys");
    }

    pair = sbx_pair_by_ref(part[0]);
    if (pair == NULL) {
        return sbx_error(r, 404, "no connection shows this QR code");
    }
    if (memcmp(noise, pair->noise, 32) != 0 || memcmp(ident, pair->identity, 32) != 0) {
        return sbx_error(r, 409, "the keys in the QR code are not those of the connection");
    }
    if (pair->scan != NULL || pair->account != NULL) {
        return sbx_error(r, 409, "this QR code was scanned already");
    }

    phone = sbx_arg(r, "phone", buf);
    who = NULL;
    if (cJSON_IsString(cJSON_GetObjectItemCaseSensitive(r->query, "name"))) {
        who = cJSON_GetObjectItemCaseSensitive(r->query, "name")->valuestring;
    }
    if (who == NULL) {
        who = pair->push_name;
    }
    if (who == NULL && phone == NULL) {
        snprintf(name, sizeof(name), "client-%02x%02x%02x%02x", ident[0], ident[1], ident[2], ident[3]);
        who = name;
    }
    if (phone != NULL && (strlen(phone) < 7 || strlen(phone) > 15 || strspn(phone, "0123456789") != strlen(phone))) {
        return sbx_error(r, 400, "phone: 7 to 15 digits");
    }

    acc = sbx_account_make(phone, who);
    biz = cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(r->query, "business"));
    if (biz != NULL) {
        snprintf(acc->business, sizeof(acc->business), "%s", biz);
    }
    sbx_scan_start(r, pair);
    sbx_pair_success(pair, acc, adv);
    wagw_wipe(adv, sizeof(adv));
    return sbx_scan_answer(r);
}

int sbx_admin_qr_refs(sbx_req_t *r)
{
    int i;
    sbx_conn_t *c;

    wagw_json_open(&r->j, '[');
    for (c = sbx.conns; c != NULL; c = c->next) {
        for (i = 0; c->pairing != NULL && c->pairing->account == NULL && i < SBX_REFS; i++) {
            wagw_json_cstr(&r->j, c->pairing->refs[i]);
        }
    }
    wagw_json_close(&r->j);
    return 200;
}

void sbx_pair_list(wagw_json_t *j)
{
    sbx_conn_t *c;

    wagw_json_open(j, '[');
    for (c = sbx.conns; c != NULL; c = c->next) {
        if (c->pairing == NULL || c->closing) {
            continue;
        }
        wagw_json_open(j, '{');
        wagw_json_kint(j, "conn", (int64_t)c->id);
        wagw_json_kcstr(j, "ref", c->pairing->refs[0]);
        wagw_json_kcstr(j, "platform", c->pairing->platform);
        wagw_json_kcstr(j, "phone", c->pairing->phone[0] ? c->pairing->phone : NULL);
        wagw_json_kbool(j, "scanned", c->pairing->account != NULL);
        wagw_json_kint(j, "since", c->pairing->since);
        wagw_json_close(j);
    }
    wagw_json_close(j);
}

/* ---- linking by code ---- */

static void sbx_code_hello(sbx_conn_t *c, const wagw_node_t *iq, const wagw_node_t *reg)
{
    wagw_jid_t jid;
    wagw_node_t *n, *k;
    wagw_arena_t a = {0};
    sbx_pairing_t *p;
    wagw_str_t wrapped, noise, display;

    p = c->pairing;
    wrapped = wagw_node_data(wagw_node_find(reg, "link_code_pairing_wrapped_companion_ephemeral_pub"));
    noise = wagw_node_data(wagw_node_find(reg, "companion_server_auth_key_pub"));
    display = wagw_node_data(wagw_node_find(reg, "companion_platform_display"));

    if (wagw_node_get_jid(reg, "jid", &jid) != WAGW_OK || jid.server != WAGW_SRV_USER || jid.user_len < 7 ||
        jid.user_len > 15 || jid.user[0] == '0' || wrapped.n != 80 || noise.n != 32 ||
        memcmp(noise.p, p->noise, 32) != 0 || display.n < 4 || display.p[display.n - 1] != ')' ||
        wagw_node_data(wagw_node_find(reg, "companion_platform_id")).n == 0) {
        sbx_fault(NULL, "companion_hello: a field is missing or wrong");
        sbx_iq_error(c, iq, 400, "bad-request");
        return;
    }

    snprintf(p->phone, sizeof(p->phone), "%.15s", jid.user);
    memcpy(p->wrapped, wrapped.p, 80);
    sbx_random(NULL, p->ref, sizeof(p->ref));
    p->hello = true;
    p->primary = false;

    n = sbx_iq_result(&a, iq);
    k = wagw_node_child(&a, n, "link_code_companion_reg");
    wagw_node_attrc(&a, k, "stage", "companion_hello");
    wagw_node_bytes(wagw_node_child(&a, k, "link_code_pairing_ref"), wagw_str(p->ref, sizeof(p->ref)));
    sbx_send(c, n);
    wagw_arena_free(&a);
    sbx_changed();
}

static void sbx_code_primary(sbx_pairing_t *p, sbx_account_t *acc, const char code[9])
{
    uint8_t key[32], wrapped[80];
    wagw_node_t *n, *k;
    wagw_arena_t a = {0};

    wagw_pbkdf2_sha256(key, 32, wagw_cstr(code), wagw_str(p->wrapped, 32), SBX_ITERATIONS);
    wagw_ctr(p->companion_eph, key, p->wrapped + 32, wagw_str(p->wrapped + 48, 32));

    wagw_x25519_keypair(&p->eph, sbx_random, NULL);
    sbx_random(NULL, wrapped, 48);
    wagw_pbkdf2_sha256(key, 32, wagw_cstr(code), wagw_str(wrapped, 32), SBX_ITERATIONS);
    wagw_ctr(wrapped + 48, key, wrapped + 32, wagw_str(p->eph.pub, 32));
    wagw_wipe(key, sizeof(key));

    p->primary = true;
    n = wagw_node(&a, "notification");
    wagw_node_attr_server(&a, n, "from");
    wagw_node_attrc(&a, n, "type", "link_code_companion_reg");
    wagw_node_attr(&a, n, "id", sbx_server_id(&a));
    wagw_node_attr_int(&a, n, "t", sbx_now_s());
    k = wagw_node_child(&a, n, "link_code_companion_reg");
    wagw_node_attrc(&a, k, "stage", "primary_hello");
    wagw_node_bytes(wagw_node_child(&a, k, "link_code_pairing_wrapped_primary_ephemeral_pub"), wagw_str(wrapped, 80));
    wagw_node_bytes(wagw_node_child(&a, k, "primary_identity_pub"), wagw_str(acc->identity.pub, 32));
    wagw_node_bytes(wagw_node_child(&a, k, "link_code_pairing_ref"), wagw_str(p->ref, sizeof(p->ref)));
    sbx_send(p->conn, n);
    wagw_arena_free(&a);
}

/* Opens the key bundle; WAGW_CRYPTO when the code was another one. */
static int sbx_code_open(sbx_pairing_t *p, sbx_account_t *acc, wagw_str_t bundle, uint8_t adv[32])
{
    int rc;
    uint8_t key[32], plain[112], ikm[96];

    rc = wagw_x25519(ikm, p->eph.priv, p->companion_eph);
    if (rc != WAGW_OK) {
        return WAGW_CRYPTO;
    }
    wagw_hkdf(key, 32, wagw_str(ikm, 32), wagw_str(bundle.p, 32),
              WAGW_STR("link_code_pairing_key_bundle_encryption_key"));
    rc = wagw_gcm_open(plain, key, bundle.p + 32, WAGW_STR_NULL, wagw_str(bundle.p + 44, 112));
    if (rc == WAGW_OK && (memcmp(plain, p->identity, 32) != 0 || memcmp(plain + 32, acc->identity.pub, 32) != 0)) {
        rc = WAGW_CRYPTO;
    }
    if (rc == WAGW_OK) {
        rc = wagw_x25519(ikm + 32, acc->identity.priv, p->identity);
        memcpy(ikm + 64, plain + 64, 32);
        wagw_hkdf(adv, 32, wagw_str(ikm, 96), WAGW_STR_NULL, WAGW_STR("adv_secret"));
    }
    wagw_wipe(ikm, sizeof(ikm));
    wagw_wipe(plain, sizeof(plain));
    return rc;
}

static void sbx_code_finish(sbx_conn_t *c, const wagw_node_t *iq, const wagw_node_t *reg)
{
    int rc;
    uint8_t adv[32];
    wagw_node_t *n;
    wagw_arena_t a = {0};
    sbx_account_t *acc;
    sbx_pairing_t *p;
    wagw_str_t bundle, ident, ref;

    p = c->pairing;
    bundle = wagw_node_data(wagw_node_find(reg, "link_code_pairing_wrapped_key_bundle"));
    ident = wagw_node_data(wagw_node_find(reg, "companion_identity_public"));
    ref = wagw_node_data(wagw_node_find(reg, "link_code_pairing_ref"));
    if (!p->primary || bundle.n != 156 || ident.n != 32 || memcmp(ident.p, p->identity, 32) != 0 ||
        !wagw_str_eq(ref, wagw_str(p->ref, sizeof(p->ref)))) {
        sbx_fault(NULL, "companion_finish: a field is missing or wrong");
        sbx_iq_error(c, iq, 400, "bad-request");
        return;
    }

    n = sbx_iq_result(&a, iq);
    sbx_send(c, n);
    wagw_arena_free(&a);

    p->primary = false;
    acc = sbx_account_pn(p->phone);
    rc = acc ? sbx_code_open(p, acc, bundle, adv) : WAGW_ERROR;
    if (rc != WAGW_OK) {
        sbx_scan_end(p, 403, "wrong code");
        return;
    }
    sbx_pair_success(p, acc, adv);
    wagw_wipe(adv, sizeof(adv));
}

void sbx_pair_code_iq(sbx_conn_t *c, const wagw_node_t *iq)
{
    const wagw_node_t *reg;

    reg = wagw_node_find(iq, "link_code_companion_reg");
    if (c->pairing == NULL || reg == NULL || c->pairing->account != NULL) {
        sbx_iq_error(c, iq, 400, "bad-request");
    } else if (wagw_node_attr_is(reg, "stage", "companion_hello")) {
        sbx_code_hello(c, iq, reg);
    } else if (wagw_node_attr_is(reg, "stage", "companion_finish")) {
        sbx_code_finish(c, iq, reg);
    } else {
        sbx_iq_error(c, iq, 400, "bad-request");
    }
}

int sbx_admin_enter_code(sbx_req_t *r)
{
    int n;
    char buf[64], code[9];
    wagw_jid_t jid;
    const char *s, *phone;
    sbx_conn_t *c, *found;

    if (r->data != NULL) {
        return sbx_scan_answer(r);
    }

    s = sbx_arg(r, "phone", buf);
    phone = s && wagw_jid_from_caller(&jid, wagw_cstr(s)) == WAGW_OK ? jid.user : NULL;
    s = cJSON_GetStringValue(sbx_arg_json(r, "code"));
    if (phone == NULL || s == NULL) {
        return sbx_error(r, 400, "phone and code are needed");
    }
    for (n = 0; *s != '\0'; s++) {
        if (*s == '-' || *s == ' ') {
            continue;
        }
        if (n == 8) {
            return sbx_error(r, 400, "code: eight characters");
        }
        code[n++] = (char)toupper((unsigned char)*s);
    }
    code[n] = '\0';
    if (n != 8) {
        return sbx_error(r, 400, "code: eight characters");
    }

    found = NULL;
    for (c = sbx.conns; c != NULL; c = c->next) {
        /* the newest connection is the first of the list */
        if (c->pairing != NULL && !c->closing && c->pairing->hello && strcmp(c->pairing->phone, phone) == 0) {
            found = c;
            break;
        }
    }
    if (found == NULL) {
        if (sbx_wait(r, sbx_arg_int(r, "wait", 0))) {
            return SBX_WAIT;
        }
        return sbx_error(r, 404, "no client asks for a code for %s", phone);
    }
    if (found->pairing->scan != NULL || found->pairing->account != NULL) {
        return sbx_error(r, 409, "a pairing is under way");
    }

    sbx_scan_start(r, found->pairing);
    sbx_code_primary(found->pairing, sbx_account_make(phone, found->pairing->push_name), code);
    return sbx_scan_answer(r);
}
