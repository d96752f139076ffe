/*
 * The phone's side of linking: scanning a QR, typing a code, signing a device.
 */

#include "client_sim.h"

#include "wa.pb-c.h"

#define CODE_ITERATIONS 131072

static void pack(wagw_buf_t *out, const ProtobufCMessage *m)
{
    size_t n = protobuf_c_message_get_packed_size(m);

    assert_int_equal(wagw_buf_reserve(out, n), WAGW_OK);
    out->n += protobuf_c_message_pack(m, out->p + out->n);
}

static void sign(sim_account_t *a, const char *prefix, wagw_str_t details, const uint8_t identity[32], uint8_t sig[64])
{
    wagw_buf_t b = {0};

    wagw_buf_add(&b, prefix, 2);
    wagw_buf_str(&b, details);
    wagw_buf_add(&b, identity, 32);
    assert_int_equal(wagw_xeddsa_sign(sig, a->identity.priv, wagw_buf_view(&b), vec_random, &a->w->random), WAGW_OK);
    wagw_buf_free(&b);
}

static void pair_success(sim_conn_t *c, sim_account_t *a, const uint8_t adv_secret[32], const uint8_t identity[32])
{
    char jid[WAGW_JID_TEXT_MAX], lid[WAGW_JID_TEXT_MAX];
    uint8_t sig[64], mac[32];
    wagw_buf_t details = {0}, s = {0}, h = {0};
    wagw_arena_t arena = {0};
    wagw_node_t *iq, *ps;
    Wa__ADVDeviceIdentity di = WA__ADVDEVICE_IDENTITY__INIT;
    Wa__ADVSignedDeviceIdentity sdi = WA__ADVSIGNED_DEVICE_IDENTITY__INIT;
    Wa__ADVSignedDeviceIdentityHMAC hm = WA__ADVSIGNED_DEVICE_IDENTITY_HMAC__INIT;

    di.has_rawid = di.has_timestamp = di.has_keyindex = 1;
    di.rawid = 4711;
    di.timestamp = (uint64_t)(a->w->now / 1000);
    di.keyindex = a->next_device - 3;
    pack(&details, &di.base);
    assert_true(details.n <= sizeof(c->details));
    memcpy(c->details, details.p, details.n);
    c->details_len = details.n;
    sign(a, "\x06\x00", wagw_buf_view(&details), identity, sig);
    sdi.has_details = sdi.has_accountsignature = sdi.has_accountsignaturekey = 1;
    sdi.details = (ProtobufCBinaryData){details.n, details.p};
    sdi.accountsignature = (ProtobufCBinaryData){64, sig};
    sdi.accountsignaturekey = (ProtobufCBinaryData){32, a->identity.pub};
    pack(&s, &sdi.base);
    assert_int_equal(wagw_hmac_sha256(mac, wagw_str(adv_secret, 32), wagw_buf_view(&s)), WAGW_OK);
    hm.has_details = hm.has_hmac = 1;
    hm.details = (ProtobufCBinaryData){s.n, s.p};
    hm.hmac = (ProtobufCBinaryData){32, mac};
    pack(&h, &hm.base);

    snprintf(jid, sizeof(jid), "%s:%u@s.whatsapp.net", a->pn, a->next_device);
    snprintf(lid, sizeof(lid), "%s:%u@lid", a->lid, a->next_device);
    iq = sim_node(&arena, "iq", "from", "@s.whatsapp.net", "type", "set", "id", "998877", "xmlns", "md", NULL);
    ps = sim_add(&arena, iq, "pair-success", NULL);
    wagw_node_bytes(sim_add(&arena, ps, "device-identity", NULL), wagw_buf_view(&h));
    sim_add(&arena, ps, "device", "jid", jid, "lid", lid, NULL);
    sim_add(&arena, ps, "platform", "name", "android", NULL);
    c->linking = a;
    memcpy(c->reg_identity, identity, 32);
    sim_send(c, iq);
    wagw_arena_free(&arena);
    wagw_buf_free(&details);
    wagw_buf_free(&s);
    wagw_buf_free(&h);
}

/* The client's answer to pair-success: its signature is checked, then the
 * device exists. */
static void signed_device(sim_conn_t *c, const wagw_node_t *di)
{
    uint8_t msg[256];
    char text[16];
    size_t n = 0;
    wagw_arena_t a = {0};
    wagw_str_t v = wagw_node_data(di);
    sim_t *w = c->e->w;
    sim_account_t *acc = c->linking;
    sim_device_t *d, **last;
    Wa__ADVSignedDeviceIdentity *s = wa__advsigned_device_identity__unpack(NULL, v.n, v.p);

    assert_non_null(s);
    assert_false(s->has_accountsignaturekey);
    assert_int_equal(s->devicesignature.len, 64);
    assert_int_equal(s->details.len, c->details_len);
    assert_memory_equal(s->details.data, c->details, c->details_len);
    snprintf(text, sizeof(text), "%u", acc->next_device - 3u);
    assert_string_equal(sim_attr(di, "key-index"), text);
    memcpy(msg, "\x06\x01", 2);
    memcpy(msg + 2, c->details, c->details_len);
    n = 2 + c->details_len;
    memcpy(msg + n, c->reg_identity, 32);
    memcpy(msg + n + 32, acc->identity.pub, 32);
    assert_int_equal(wagw_xeddsa_verify(s->devicesignature.data, c->reg_identity, wagw_str(msg, n + 64)), WAGW_OK);
    wa__advsigned_device_identity__free_unpacked(s, NULL);

    d = calloc(1, sizeof(*d));
    assert_non_null(d);
    d->acc = acc;
    d->id = acc->next_device++;
    d->key_index = d->id - 3u;
    d->engine = c->e;
    memcpy(d->identity, c->reg_identity, 32);
    for (last = &acc->devices; *last; last = &(*last)->next) {
    }
    *last = d;
    c->linked = true;

    if (w->orders.close_after_sign) {
        sim_close(c);
    } else if (!w->orders.no_515) {
        sim_send(c, sim_node(&a, "stream:error", "code", "515", NULL));
        sim_close(c);
    }
    wagw_arena_free(&a);
}

void sim_link_result(sim_conn_t *c, const wagw_node_t *n)
{
    const wagw_node_t *sign_node = wagw_node_find(n, "pair-device-sign");

    if (sign_node && c->linking) {
        signed_device(c, wagw_node_find(sign_node, "device-identity"));
    }
}

static sim_conn_t *waiting(sim_engine_t *e)
{
    sim_conn_t *c = sim_conn(e->w, e->conn);

    assert_non_null(c);
    assert_true(c->open && c->registering);
    return c;
}

void sim_scan(sim_engine_t *e, sim_account_t *a)
{
    char part[5][128] = {{0}};
    size_t i, k = 0, n = 0;
    wagw_buf_t noise = {0}, identity = {0}, adv = {0};
    wagw_str_t qr = sim_info(e).qr;
    sim_conn_t *c = waiting(e);

    assert_true(wagw_str_starts(qr, WAGW_STR("https://wa.me/settings/linked_devices#")));
    qr = wagw_str(qr.p + 38, qr.n - 38);
    /* the ref may hold commas, the rest may not */
    for (i = qr.n; i-- > 0;) {
        if (qr.p[i] == ',' && ++k == 4) {
            break;
        }
    }
    assert_int_equal(k, 4);
    k = 0;
    for (i++; i < qr.n; i++) {
        if (qr.p[i] == ',') {
            k++;
            n = 0;
            continue;
        }
        assert_true(n + 1 < sizeof(part[0]));
        part[k][n++] = (char)qr.p[i];
    }
    assert_int_equal(wagw_base64_decode(&noise, wagw_cstr(part[0])), WAGW_OK);
    assert_int_equal(wagw_base64_decode(&identity, wagw_cstr(part[1])), WAGW_OK);
    assert_int_equal(wagw_base64_decode(&adv, wagw_cstr(part[2])), WAGW_OK);
    assert_string_equal(part[3], "1");
    assert_memory_equal(noise.p, c->noise_pub, 32);
    assert_memory_equal(identity.p, c->reg_identity, 32);
    pair_success(c, a, adv.p, identity.p);
    wagw_buf_free(&noise);
    wagw_buf_free(&identity);
    wagw_buf_free(&adv);
}

void sim_link(sim_engine_t *e, sim_account_t *a)
{
    sim_start(e, true);
    sim_run(e->w);
    sim_expect_status(e, WAGW_STATUS_QR);
    sim_scan(e, a);
    sim_advance(e->w, 10);
    sim_expect_status(e, WAGW_STATUS_CONNECTED);
}

sim_two_t sim_two_linked(uint64_t seed)
{
    sim_two_t p;

    p.w = sim_new(seed);
    p.aa = sim_account(p.w, "49100", "9100");
    p.ba = sim_account(p.w, "49200", "9200");
    p.aa->name = "Ann";
    p.ba->name = "Bea";
    p.a = sim_engine(p.w, "A");
    p.b = sim_engine(p.w, "B");
    sim_link(p.a, p.aa);
    sim_link(p.b, p.ba);
    return p;
}

#define KEYS_KEPT 30 /* of the 812 prekeys: copies are made often */

static void copy_mem(sim_mem_t *to, const sim_mem_t *from)
{
    unsigned keys = 0;

    for (size_t i = 0; i < from->n; i++) {
        if (from->v[i].kind == WAGW_REC_PREKEY && ++keys > KEYS_KEPT) {
            continue;
        }
        sim_mem_put(to, from->v[i].kind, wagw_str(from->v[i].p, from->v[i].key_len),
                    wagw_str(from->v[i].p + from->v[i].key_len, from->v[i].n));
    }
}

/* Linked, as the other one is, with stores of its own. */
static sim_account_t *copy_account(sim_t *w, const sim_account_t *from, sim_engine_t *e)
{
    sim_account_t *a = sim_account(w, from->pn, from->lid);
    sim_device_t *d, **last;
    sim_otk_t *o, **tail;

    sim_unlink(a->devices);
    last = &a->devices;
    for (const sim_device_t *f = from->devices; f; f = f->next) {
        d = calloc(1, sizeof(*d));
        assert_non_null(d);
        *d = *f;
        d->next = NULL;
        d->acc = a;
        d->conn = NULL;
        d->queue = NULL;
        d->peer = NULL;
        d->engine = f->engine ? e : NULL;
        d->otks = NULL;
        tail = &d->otks;
        for (const sim_otk_t *k = f->otks; k && k->id <= KEYS_KEPT; k = k->next) {
            o = calloc(1, sizeof(*o));
            assert_non_null(o);
            *o = *k;
            o->next = NULL;
            *tail = o;
            tail = &o->next;
        }
        *last = d;
        last = &d->next;
    }
    a->identity = from->identity;
    a->next_device = from->next_device;
    a->name = from->name;
    a->phone = sim_peer_copy(w, a->devices, from->phone);
    copy_mem(&a->phone->mem, &from->phone->mem);
    copy_mem(&e->mem, &sim_device((sim_account_t *)from, 5)->engine->mem);
    e->event_seq = sim_device((sim_account_t *)from, 5)->engine->event_seq;
    return a;
}

void sim_group(sim_t *w, ...)
{
    const char *lid;
    bool first = true;
    wagw_jid_t j;
    wagw_node_t *g = sim_node(&w->arena, "group", "id", "120363000000000001", "subject", "Friends", "creation",
                              "1700000000", "addressing_mode", "lid", NULL);
    va_list ap;
    sim_account_t *acc;

    va_start(ap, w);
    while ((lid = va_arg(ap, const char *)) != NULL) {
        j = wagw_jid_make(lid, WAGW_SRV_LID, 0);
        acc = sim_find_account(w, &j);
        assert_non_null(acc);
        sim_add(&w->arena, g, "participant", "jid", (const char *)wagw_jid_str(&w->arena, &j).p, "phone_number",
                (const char *)wagw_arena_printf(&w->arena, "%s@s.whatsapp.net", acc->pn).p, "type",
                first ? "superadmin" : "", NULL);
        first = false;
    }
    va_end(ap);
    w->orders.group = g;
}

/* Linking makes many keys, so it is done once in a process and copied. */
sim_two_t sim_two(uint64_t seed)
{
    static sim_two_t model;
    sim_two_t p;

    if (model.w == NULL) {
        model = sim_two_linked(1000);
    }
    p.w = sim_new(seed);
    p.w->root = model.w->root;
    p.w->static_key = model.w->static_key;
    wagw_buf_reset(&p.w->chain);
    wagw_buf_str(&p.w->chain, wagw_buf_view(&model.w->chain));
    sim_engine_destroy(sim_engine(p.w, "A"));
    sim_engine_destroy(sim_engine(p.w, "B"));
    p.a = p.w->engines;
    p.b = p.a->next;
    p.aa = copy_account(p.w, model.aa, p.a);
    p.ba = copy_account(p.w, model.ba, p.b);
    sim_revive(p.a);
    sim_revive(p.b);
    sim_advance(p.w, 10);
    sim_expect_status(p.a, WAGW_STATUS_CONNECTED);
    sim_expect_status(p.b, WAGW_STATUS_CONNECTED);
    return p;
}

/* ---- by code ------------------------------------------------------------------------- */

static wagw_str_t part_of(const wagw_node_t *reg, const char *tag, size_t n)
{
    wagw_str_t v = wagw_node_data(wagw_node_find(reg, tag));

    assert_int_equal(v.n, n);
    return v;
}

static void code_finish(sim_conn_t *c, const wagw_node_t *reg)
{
    uint8_t shared[32], bkey[32], plain[96], ikm[96], adv[32];
    wagw_str_t bundle = part_of(reg, "link_code_pairing_wrapped_key_bundle", 156);
    sim_account_t *a = c->linking;

    assert_memory_equal(part_of(reg, "companion_identity_public", 32).p, c->reg_identity, 32);
    assert_memory_equal(part_of(reg, "link_code_pairing_ref", 16).p, c->code_ref, 16);
    assert_int_equal(wagw_ctr(shared, c->code_key, c->wrapped + 32, wagw_str(c->wrapped + 48, 32)), WAGW_OK);
    assert_int_equal(wagw_x25519(shared, c->ephemeral.priv, shared), WAGW_OK);
    assert_int_equal(wagw_hkdf(bkey, 32, wagw_str(shared, 32), wagw_str(bundle.p, 32),
                               WAGW_STR("link_code_pairing_key_bundle_encryption_key")),
                     WAGW_OK);
    if (wagw_gcm_open(plain, bkey, bundle.p + 32, WAGW_STR_NULL, wagw_str(bundle.p + 44, 112)) != WAGW_OK) {
        return; /* the phone says that the code is wrong; the server and the companion hear nothing */
    }
    assert_memory_equal(plain, c->reg_identity, 32);
    assert_memory_equal(plain + 32, a->identity.pub, 32);
    memcpy(ikm, shared, 32);
    assert_int_equal(wagw_x25519(ikm + 32, a->identity.priv, c->reg_identity), WAGW_OK);
    memcpy(ikm + 64, plain + 64, 32);
    assert_int_equal(wagw_hkdf(adv, 32, wagw_str(ikm, 96), WAGW_STR_NULL, WAGW_STR("adv_secret")), WAGW_OK);
    pair_success(c, a, adv, c->reg_identity);
}

void sim_link_iq(sim_conn_t *c, const wagw_node_t *n, const wagw_node_t *child)
{
    wagw_arena_t a = {0};
    wagw_jid_t j;
    wagw_node_t *r = sim_node(&a, "iq", "from", "@s.whatsapp.net", "type", "result", "id", sim_attr(n, "id"), NULL);

    if (wagw_node_is(child, "link_code_companion_reg") && wagw_node_attr_is(child, "stage", "companion_hello")) {
        assert_int_equal(wagw_node_get_jid(child, "jid", &j), WAGW_OK);
        snprintf(c->phone, sizeof(c->phone), "%s", j.user);
        memcpy(c->wrapped, part_of(child, "link_code_pairing_wrapped_companion_ephemeral_pub", 80).p, 80);
        assert_memory_equal(part_of(child, "companion_server_auth_key_pub", 32).p, c->noise_pub, 32);
        vec_random(&c->e->w->random, c->code_ref, sizeof(c->code_ref));
        wagw_node_bytes(sim_add(&a, sim_add(&a, r, "link_code_companion_reg", "stage", "companion_hello", NULL),
                                "link_code_pairing_ref", NULL),
                        wagw_str(c->code_ref, 16));
        sim_send(c, r);
    } else if (wagw_node_is(child, "link_code_companion_reg")) {
        assert_true(wagw_node_attr_is(child, "stage", "companion_finish"));
        sim_send(c, r);
        code_finish(c, child);
    } else if (wagw_node_is(child, "remove-companion-device")) {
        sim_send(c, r);
        if (c->dev) {
            sim_unlink(c->dev);
        }
    } else {
        sim_send(c, r);
    }
    wagw_arena_free(&a);
}

void sim_type_code(sim_engine_t *e, sim_account_t *a, const char *code)
{
    uint8_t key[32], wrapped[80], salt[32], iv[16];
    wagw_arena_t arena = {0};
    wagw_node_t *n, *reg;
    sim_conn_t *c = waiting(e);

    assert_string_equal(c->phone, a->pn);
    c->linking = a;
    assert_int_equal(wagw_pbkdf2_sha256(c->code_key, 32, wagw_cstr(code), wagw_str(c->wrapped, 32), CODE_ITERATIONS),
                     WAGW_OK);
    vec_random(&e->w->random, salt, 32);
    vec_random(&e->w->random, iv, 16);
    assert_int_equal(wagw_x25519_keypair(&c->ephemeral, vec_random, &e->w->random), WAGW_OK);
    assert_int_equal(wagw_pbkdf2_sha256(key, 32, wagw_cstr(code), wagw_str(salt, 32), CODE_ITERATIONS), WAGW_OK);
    assert_int_equal(wagw_pair_wrap(wrapped, key, salt, iv, c->ephemeral.pub), WAGW_OK);

    n = sim_node(&arena, "notification", "from", "@s.whatsapp.net", "type", "link_code_companion_reg", "id", "4711",
                 "t", "1767225600", NULL);
    reg = sim_add(&arena, n, "link_code_companion_reg", "stage", "primary_hello", NULL);
    wagw_node_bytes(sim_add(&arena, reg, "link_code_pairing_wrapped_primary_ephemeral_pub", NULL),
                    wagw_str(wrapped, 80));
    wagw_node_bytes(sim_add(&arena, reg, "primary_identity_pub", NULL), wagw_str(a->identity.pub, 32));
    wagw_node_bytes(sim_add(&arena, reg, "link_code_pairing_ref", NULL), wagw_str(c->code_ref, 16));
    sim_send(c, n);
    wagw_arena_free(&arena);
}
