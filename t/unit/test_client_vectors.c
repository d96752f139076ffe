/*
 * Vectors of linking and login: pairing.json, client-payload.json and the
 * order of stanzas of login-flow.json.
 */

#include "client_sim.h"

#include "wa.pb-c.h"

typedef struct {
    unsigned passed, failed, later;
} tally_t;

static void row(tally_t *t, bool ok, const char *section, const char *name)
{
    if (ok) {
        t->passed++;
    } else {
        t->failed++;
        print_message("failed: %s: %s\n", section, name ? name : "?");
    }
}

static void hex32(const cJSON *o, const char *key, uint8_t out[32])
{
    assert_int_equal(vec_hex(o, key, out, 32), 32);
}

/* ---- pairing.json ------------------------------------------------------------------ */

static void qr_rows(const cJSON *list, tally_t *t)
{
    const cJSON *v;
    wagw_buf_t b = {0};
    wagw_creds_t c;
    wagw_client_conf_t conf;

    cJSON_ArrayForEach(v, list)
    {
        memset(&c, 0, sizeof(c));
        memset(&conf, 0, sizeof(conf));
        hex32(v, "noise_public", c.noise.pub);
        hex32(v, "identity_public", c.identity.pub);
        hex32(v, "adv_secret", c.adv_secret);
        conf.os = vec_str(v, "os");
        conf.browser = vec_str(v, "browser");
        wagw_buf_reset(&b);
        row(t,
            wagw_pair_qr(&b, wagw_cstr(vec_str(v, "ref")), &c, &conf) == WAGW_OK &&
                wagw_str_eq(wagw_buf_view(&b), wagw_cstr(vec_str(v, "qr"))) &&
                wagw_client_type(conf.os, conf.browser) == vec_str(v, "client_type")[0],
            "qr", vec_str(v, "browser"));
    }
    wagw_buf_free(&b);
}

/* An engine that shows a QR with the identity of the row. */
static sim_engine_t *waiting(sim_t *w, const wagw_keypair_t *identity, const uint8_t *adv_secret)
{
    sim_engine_t *e = sim_engine(w, "V");
    wagw_buf_t b = {0};
    wagw_creds_t c = {.registration_id = 77, .spk_id = 1, .next_prekey = 1, .first_unuploaded = 1};

    assert_int_equal(wagw_x25519_keypair(&c.noise, vec_random, &w->random), WAGW_OK);
    c.identity = *identity;
    if (adv_secret) {
        memcpy(c.adv_secret, adv_secret, 32);
    }
    c.spk_pub[0] = 9;
    assert_int_equal(wagw_creds_encode(&b, &c), WAGW_OK);
    sim_mem_put(&e->mem, WAGW_REC_CREDS, WAGW_STR(""), wagw_buf_view(&b));
    wagw_buf_free(&b);
    sim_start(e, true);
    sim_run(w);
    sim_expect_status(e, WAGW_STATUS_QR);
    return e;
}

/* x is without's bytes followed by field 4, a signature that verifies. */
static bool signed_by(wagw_str_t x, wagw_str_t before, const uint8_t pub[32], wagw_str_t message)
{
    return x.n == before.n + 66 && memcmp(x.p, before.p, before.n) == 0 && x.p[before.n] == 0x22 &&
           x.p[before.n + 1] == 64 && wagw_xeddsa_verify(x.p + before.n + 2, pub, message) == WAGW_OK;
}

static bool same_text(const char *have, const char *want)
{
    return strcmp(have, want ? want : "") == 0;
}

static bool success_accepted(sim_engine_t *e, sim_log_t *mark, const cJSON *v, const wagw_keypair_t *identity,
                             wagw_arena_t *a)
{
    char text[WAGW_JID_TEXT_MAX], key[WAGW_KEY_MAX];
    wagw_str_t stored, msg = vec_bytes(a, v, "device_message");
    wagw_jid_t phone;
    wagw_creds_t c;
    wagw_node_t *want = sim_node_of(a, vec_get(v, "reply"));
    wagw_signal_addr_t addr;
    const cJSON *p = vec_get(v, "persist");
    const wagw_node_t *n = sim_sent(e, mark, "iq", 0), *di, *wdi;

    di = wagw_node_find(wagw_node_find(n, "pair-device-sign"), "device-identity");
    wdi = wagw_node_find(wagw_node_find(want, "pair-device-sign"), "device-identity");
    if (di == NULL || !sim_has(n, "to", "@s.whatsapp.net", "type", "result", "id", sim_attr(want, "id"), NULL) ||
        !wagw_str_eq(wagw_node_get(di, "key-index"), wagw_node_get(wdi, "key-index")) ||
        !signed_by(wagw_node_data(di), vec_bytes(a, v, "reply_identity_without_signature"), identity->pub, msg)) {
        return false;
    }
    sim_creds(e, &c);
    stored = vec_bytes(a, v, "stored_account");
    if (!c.paired || !signed_by(wagw_str(c.adv, c.adv_len), wagw_str(stored.p, stored.n - 66), identity->pub, msg)) {
        return false;
    }
    wagw_jid_text(&c.jid, text);
    if (!same_text(text, vec_str(p, "jid"))) {
        return false;
    }
    wagw_jid_text(&c.lid, text);
    if (!same_text(text, vec_str(p, "lid")) || !same_text(c.platform, vec_str(p, "platform")) ||
        !same_text(c.business_name, vec_str(p, "business_name"))) {
        return false;
    }
    phone = wagw_jid_user(&c.lid);
    addr = wagw_signal_addr(&phone);
    return wagw_str_eq(sim_mem_get(&e->mem, WAGW_REC_IDENTITY, wagw_str(key, wagw_signal_key(key, &addr))),
                       vec_bytes(a, p, "account_identity_key_for_signal"));
}

static bool success_refused(sim_engine_t *e, sim_log_t *mark, const cJSON *v, wagw_arena_t *a)
{
    wagw_node_t *want = sim_node_of(a, vec_get(v, "error_reply"));
    const wagw_node_t *n = sim_sent(e, mark, "iq", 0), *x = wagw_node_find(want, "error");
    wagw_creds_t c;

    sim_creds(e, &c);
    return sim_has(n, "to", "@s.whatsapp.net", "type", "error", "id", sim_attr(want, "id"), NULL) &&
           sim_has(wagw_node_find(n, "error"), "code", sim_attr(x, "code"), "text", sim_attr(x, "text"), NULL) &&
           !c.paired && sim_info(e).status == WAGW_STATUS_FAILED && e->conn == 0;
}

static void success_rows(const cJSON *list, tally_t *t)
{
    const cJSON *v;

    cJSON_ArrayForEach(v, list)
    {
        bool accept = strcmp(vec_str(v, "expect"), "accept") == 0;
        uint8_t adv[32];
        sim_t *w = sim_new(600);
        sim_engine_t *e;
        sim_log_t *mark;
        wagw_arena_t a = {0};
        wagw_keypair_t identity;

        sim_keypair(vec_get(v, "identity"), &identity);
        hex32(v, "adv_secret", adv);
        e = waiting(w, &identity, adv);
        mark = sim_mark(w);
        sim_push(e, sim_node_of(&a, vec_get(v, "stanza")));
        sim_run(w);
        row(t, accept ? success_accepted(e, mark, v, &identity, &a) : success_refused(e, mark, v, &a), "pair_success",
            vec_str(v, "name"));
        wagw_arena_free(&a);
        sim_free(w);
    }
}

static void crockford_rows(const cJSON *list, tally_t *t)
{
    char code[WAGW_PAIR_CODE_LEN + 1];
    uint8_t random[5];
    const cJSON *v;

    cJSON_ArrayForEach(v, list)
    {
        assert_int_equal(vec_hex(v, "random", random, 5), 5);
        wagw_pair_code_text(code, random);
        row(t, strcmp(code, vec_str(v, "code")) == 0 && wagw_pair_code_valid(wagw_cstr(code)), "crockford",
            vec_str(v, "code"));
    }
}

static bool same_parts(const wagw_node_t *have, const wagw_node_t *want, const char *const *skip)
{
    bool ok = have && want && have->nchildren == want->nchildren;
    const wagw_node_t *x, *y;

    for (y = want ? want->child : NULL; ok && y; y = y->next) {
        char tag[80];
        bool skipped = false;

        snprintf(tag, sizeof(tag), "%.*s", (int)y->tag.n, (const char *)y->tag.p);
        x = wagw_node_find(have, tag);
        for (unsigned i = 0; skip[i]; i++) {
            skipped = skipped || strcmp(skip[i], tag) == 0;
        }
        ok = x && (skipped || wagw_str_eq(wagw_node_data(x), wagw_node_data(y)));
        if (!ok) {
            print_message("%s differs\n", tag);
        }
    }
    return ok;
}

static bool code_row(const cJSON *v)
{
    /* the private noise key is not in the row; the nonce is a byte 00 with us (03 section 7.1) */
    static const char *const hello_skip[] = {"companion_server_auth_key_pub", "link_code_pairing_nonce", NULL};
    static const char *const none[] = {NULL};
    bool ok;
    char json[160], os[40] = "", browser[40] = "";
    uint8_t b[32], adv[32];
    uint64_t id;
    sim_t *w = sim_new(601);
    sim_engine_t *e;
    sim_log_t *mark;
    wagw_arena_t a = {0};
    wagw_node_t *hello = sim_node_of(&a, vec_get(v, "companion_hello")),
                *finish = sim_node_of(&a, vec_get(v, "companion_finish")), *r;
    wagw_keypair_t identity;
    wagw_creds_t c;
    const wagw_node_t *n, *reg = hello->child, *m;
    wagw_str_t display = wagw_node_data(wagw_node_find(reg, "companion_platform_display"));

    snprintf(json, sizeof(json), "%.*s", (int)display.n, (const char *)display.p);
    assert_int_equal(sscanf(json, "%39[^(] (%39[^)])", browser, os), 2);
    browser[strcspn(browser, " ")] = '\0';
    sim_keypair(vec_get(v, "companion_identity"), &identity);
    w->orders.no_answer_ns = "md";
    w->orders.no_answer = 2;
    e = waiting(w, &identity, NULL);
    e->conf.os = os;
    e->conf.browser = browser;
    wagw_client_configure(e->c, &e->conf);
    mark = sim_mark(w);

    hex32(vec_get(v, "companion_ephemeral"), "private", b);
    sim_feed(e, b, 32);
    hex32(v, "salt", b);
    sim_feed(e, b, 32);
    assert_int_equal(vec_hex(v, "iv", b, 16), 16);
    sim_feed(e, b, 16);
    snprintf(json, sizeof(json), "{\"phoneNumber\":\"%s\",\"customCode\":\"%s\",\"showPushNotification\":%s}",
             vec_str(v, "phone"), vec_str(v, "code"), sim_attr(reg, "should_show_push_notification"));
    id = sim_command(e, WAGW_CMD_PAIRING_CODE, json);
    sim_run(w);
    n = sim_sent(e, mark, "iq", 0);
    m = wagw_node_find(n, "link_code_companion_reg");
    ok = sim_has(n, "to", "@s.whatsapp.net", "type", "set", "xmlns", "md", NULL) &&
         sim_has(m, "jid", sim_attr(reg, "jid"), "stage", "companion_hello", "should_show_push_notification",
                 sim_attr(reg, "should_show_push_notification"), NULL) &&
         same_parts(m, reg, hello_skip) && e->nfed == 0;

    r = sim_node_of(&a, vec_get(v, "companion_hello_result"));
    for (wagw_attr_t *at = r->attrs; at; at = at->next) {
        if (wagw_str_is(at->key, "id")) {
            at->value = wagw_node_get(n, "id");
        }
    }
    sim_push(e, r);
    sim_run(w);
    ok = ok && sim_reply(e, id) && strcmp(sim_str(sim_reply(e, id)->data, "pairingCode"), vec_str(v, "code")) == 0;

    hex32(v, "adv_random", b);
    sim_feed(e, b, 32);
    hex32(v, "bundle_salt", b);
    sim_feed(e, b, 32);
    assert_int_equal(vec_hex(v, "bundle_iv", b, 12), 12);
    sim_feed(e, b, 12);
    mark = sim_mark(w);
    sim_push(e, sim_node_of(&a, vec_get(v, "primary_hello_notification")));
    sim_run(w);
    n = sim_sent(e, mark, "iq", 0);
    m = wagw_node_find(n, "link_code_companion_reg");
    ok = ok && sim_sent(e, mark, "ack", 0) &&
         sim_has(m, "jid", sim_attr(reg, "jid"), "stage", "companion_finish", NULL) &&
         same_parts(m, finish->child, none);
    sim_creds(e, &c);
    hex32(v, "adv_secret", adv);
    ok = ok && memcmp(c.adv_secret, adv, 32) == 0 && e->nfed == 0;
    wagw_arena_free(&a);
    sim_free(w);
    return ok;
}

static void signature_rows(const cJSON *list, tally_t *t)
{
    bool ok;
    uint8_t priv[32], pub[32], own[32], sig[64], bad[64], made[64];
    uint64_t seed = 5;
    wagw_str_t msg;
    wagw_arena_t a = {0};
    const cJSON *v;

    cJSON_ArrayForEach(v, list)
    {
        hex32(v, "private", priv);
        hex32(v, "public", pub);
        assert_int_equal(vec_hex(v, "signature", sig, 64), 64);
        assert_int_equal(vec_hex(v, "bad_signature", bad, 64), 64);
        msg = vec_bytes(&a, v, "message");
        ok = wagw_x25519_public(own, priv) == WAGW_OK && memcmp(own, pub, 32) == 0 &&
             wagw_xeddsa_verify(sig, pub, msg) == WAGW_OK && wagw_xeddsa_verify(bad, pub, msg) != WAGW_OK &&
             wagw_xeddsa_sign(made, priv, msg, vec_random, &seed) == WAGW_OK &&
             wagw_xeddsa_verify(made, pub, msg) == WAGW_OK;
        row(t, ok, "signatures", vec_str(v, "message"));
    }
    wagw_arena_free(&a);
}

static void pairing(void **state)
{
    tally_t t = {0};
    cJSON *root = vec_load("pairing");
    const cJSON *section, *v;

    (void)state;
    if (root == NULL) {
        return;
    }
    cJSON_ArrayForEach(section, root)
    {
        if (!cJSON_IsArray(section)) {
            continue;
        }
        if (strcmp(section->string, "qr") == 0) {
            qr_rows(section, &t);
        } else if (strcmp(section->string, "pair_success") == 0) {
            success_rows(section, &t);
        } else if (strcmp(section->string, "crockford") == 0) {
            crockford_rows(section, &t);
        } else if (strcmp(section->string, "pairing_code") == 0) {
            cJSON_ArrayForEach(v, section)
            {
                row(&t, code_row(v), "pairing_code", vec_str(v, "name"));
            }
        } else if (strcmp(section->string, "signatures") == 0) {
            signature_rows(section, &t);
        } else {
            row(&t, false, section->string, "unknown section");
        }
    }
    cJSON_Delete(root);
    vec_count("pairing", t.passed, t.failed, t.later);
    assert_int_equal(t.failed, 0);
    assert_true(t.passed > 0);
}

/* ---- client-payload.json ------------------------------------------------------------- */

/* What we write in other words than Baileys (03 section 3): an empty
 * manufacturer, no push name; at login lc and lidDbMigrated, always a device. */
static bool same_payload(wagw_str_t have, wagw_str_t want, bool login)
{
    bool ok;
    size_t n;
    uint8_t buf[2048];
    Wa__ClientPayload *p = wa__client_payload__unpack(NULL, want.n, want.p);

    if (p == NULL) {
        return false;
    }
    free(p->pushname);
    p->pushname = NULL;
    if (p->useragent->manufacturer == NULL) {
        p->useragent->manufacturer = strdup("");
    }
    if (login) {
        p->has_lc = p->has_liddbmigrated = p->has_device = 1;
        p->lc = 1;
        p->liddbmigrated = 1;
    }
    n = wa__client_payload__get_packed_size(p);
    ok = n <= sizeof(buf) && wa__client_payload__pack(p, buf) == n && wagw_str_eq(wagw_str(buf, n), have);
    wa__client_payload__free_unpacked(p, NULL);
    return ok;
}

static void version_of(const cJSON *in, uint32_t v[3])
{
    assert_int_equal(sscanf(vec_str(in, "version"), "%u.%u.%u", &v[0], &v[1], &v[2]), 3);
}

static void client_payload(void **state)
{
    tally_t t = {0};
    uint32_t version[3];
    cJSON *root = vec_load("client-payload");
    wagw_buf_t b = {0};
    wagw_arena_t a = {0};
    wagw_creds_t c;
    wagw_client_conf_t conf;
    const cJSON *v, *in;

    (void)state;
    if (root == NULL) {
        return;
    }
    cJSON_ArrayForEach(v, vec_get(root, "registration"))
    {
        Wa__ClientPayload *p;
        wagw_str_t props = vec_bytes(&a, v, "device_props");

        in = vec_get(v, "input");
        memset(&c, 0, sizeof(c));
        memset(&conf, 0, sizeof(conf));
        version_of(in, version);
        conf.os = vec_str(in, "os");
        conf.browser = vec_str(in, "browser");
        conf.country = vec_str(in, "country");
        conf.full_history = vec_bool(in, "full_sync");
        c.registration_id = (uint32_t)vec_int(in, "registration_id", 0);
        c.spk_id = (uint32_t)vec_int(in, "signed_prekey_id", 0);
        hex32(in, "identity_public", c.identity.pub);
        hex32(in, "signed_prekey_public", c.spk_pub);
        assert_int_equal(vec_hex(in, "signed_prekey_signature", c.spk_sig, 64), 64);
        wagw_buf_reset(&b);
        assert_int_equal(wagw_payload_registration(&b, &c, &conf, version), WAGW_OK);
        p = wa__client_payload__unpack(NULL, b.n, b.p);
        row(&t,
            same_payload(wagw_buf_view(&b), vec_bytes(&a, v, "encoded"), false) && p && p->devicepairingdata &&
                wagw_str_eq(wagw_str(p->devicepairingdata->deviceprops.data, p->devicepairingdata->deviceprops.len),
                            props),
            "registration", vec_str(v, "name"));
        wa__client_payload__free_unpacked(p, NULL);
    }
    cJSON_ArrayForEach(v, vec_get(root, "login"))
    {
        in = vec_get(v, "input");
        memset(&c, 0, sizeof(c));
        memset(&conf, 0, sizeof(conf));
        version_of(in, version);
        conf.os = vec_str(in, "os");
        conf.browser = vec_str(in, "browser");
        conf.country = vec_str(in, "country");
        conf.full_history = vec_bool(in, "full_sync");
        assert_int_equal(wagw_jid_parse(&c.jid, wagw_cstr(vec_str(in, "jid"))), WAGW_OK);
        wagw_buf_reset(&b);
        row(&t,
            wagw_payload_login(&b, &c, &conf, version) == WAGW_OK &&
                same_payload(wagw_buf_view(&b), vec_bytes(&a, v, "encoded"), true),
            "login", vec_str(v, "name"));
    }
    cJSON_ArrayForEach(v, vec_get(root, "recommended_login"))
    {
        char jid[64];
        const cJSON *d = vec_get(v, "decoded"), *app = vec_get(vec_get(d, "userAgent"), "appVersion");

        memset(&c, 0, sizeof(c));
        memset(&conf, 0, sizeof(conf));
        version[0] = (uint32_t)vec_int(app, "primary", 0);
        version[1] = (uint32_t)vec_int(app, "secondary", 0);
        version[2] = (uint32_t)vec_int(app, "tertiary", 0);
        conf.country = vec_str(vec_get(d, "userAgent"), "localeCountryIso31661Alpha2");
        snprintf(jid, sizeof(jid), "%s:%d@s.whatsapp.net", vec_str(d, "username"), (int)vec_int(d, "device", 0));
        assert_int_equal(wagw_jid_parse(&c.jid, wagw_cstr(jid)), WAGW_OK);
        wagw_buf_reset(&b);
        /* byte for byte */
        row(&t,
            wagw_payload_login(&b, &c, &conf, version) == WAGW_OK &&
                wagw_str_eq(wagw_buf_view(&b), vec_bytes(&a, v, "encoded")),
            "recommended_login", vec_str(v, "name"));
    }
    wagw_buf_free(&b);
    wagw_arena_free(&a);
    cJSON_Delete(root);
    vec_count("client-payload", t.passed, t.failed, t.later);
    assert_int_equal(t.failed, 0);
    assert_true(t.passed > 0);
}

/* ---- login-flow.json ------------------------------------------------------------------ */

/* "iq set encrypt list", "ack notification encrypt": what a stanza is about. */
static void summary(char out[128], const wagw_node_t *n)
{
    char child[64] = "";
    const wagw_node_t *k = n->content == WAGW_CONTENT_NODES ? n->child : NULL;

    if (k && !wagw_node_is(n, "iq")) {
        snprintf(child, sizeof(child), "%.*s", (int)k->tag.n, (const char *)k->tag.p);
    } else if (k) {
        snprintf(child, sizeof(child), "%.*s %s", (int)k->tag.n, (const char *)k->tag.p, sim_attr(k, "stage"));
    }
    snprintf(out, 128, "%.*s %s %s %s %s", (int)n->tag.n, (const char *)n->tag.p, sim_attr(n, "class"),
             sim_attr(n, "type"), sim_attr(n, "xmlns"), child);
}

/* A presence without name and type is a slip of Baileys that is not to be copied (03 section 11). */
static bool slip(const char *s)
{
    return strcmp(s, "presence    ") == 0;
}

typedef struct {
    char s[64][128];
    bool used[64];
    unsigned n;
} said_t;

/* Stanzas that the engine of the same story says. */
static void told(said_t *o, sim_engine_t *e)
{
    const wagw_node_t *n;

    for (unsigned i = 0; (n = sim_sent(e, NULL, NULL, i)) != NULL && o->n < 64; i++) {
        summary(o->s[o->n++], n);
    }
}

static void login_flow(void **state)
{
    tally_t t = {0};
    char want[128];
    unsigned at = 0, found, uploads = 0;
    uint64_t id;
    said_t *said = calloc(1, sizeof(*said));
    cJSON *root = vec_load("login-flow");
    sim_t *w = sim_new(602);
    sim_account_t *acc = sim_account(w, "491701234567", "98765432101234");
    sim_engine_t *e = sim_engine(w, "F");
    wagw_arena_t a = {0};
    const cJSON *v;
    bool logged_in = false, out = false;

    (void)state;
    assert_non_null(said);
    if (root == NULL) {
        free(said);
        sim_free(w);
        return;
    }
    /* the same story with our engine: link, log in, what the server sends then, log out, link by code */
    acc->next_device = 12;
    sim_link(e, acc);
    cJSON_ArrayForEach(v, vec_get(root, "log"))
    {
        const cJSON *node = vec_get(v, "node");
        const char *tag = vec_str(node, "tag");

        if (strcmp(vec_str(v, "dir"), "s2c") != 0 || tag == NULL) {
            continue;
        }
        logged_in = logged_in || strcmp(tag, "success") == 0;
        out = out || strcmp(tag, "failure") == 0;
        if (logged_in && !out &&
            (strcmp(tag, "ib") == 0 || strcmp(tag, "notification") == 0 ||
             (strcmp(tag, "iq") == 0 && vec_get(vec_get(node, "content"), "x") == NULL &&
              strstr((const char *)wagw_node_get(sim_node_of(&a, node), "id").p, "srvping")))) {
            sim_push(e, sim_node_of(&a, node));
            sim_run(w);
        }
    }
    sim_do(e, WAGW_CMD_LOGOUT, NULL, 200);
    id = sim_command(e, WAGW_CMD_PAIRING_CODE, "{\"phoneNumber\":\"491701234567\"}");
    sim_run(w);
    sim_type_code(e, acc, sim_str(sim_expect(e, id, 200, "")->data, "pairingCode"));
    sim_advance(w, 5);
    sim_expect_status(e, WAGW_STATUS_CONNECTED);
    told(said, e);

    cJSON_ArrayForEach(v, vec_get(root, "log"))
    {
        if (strcmp(vec_str(v, "dir"), "c2s") != 0 || vec_get(v, "node") == NULL) {
            continue;
        }
        summary(want, sim_node_of(&a, vec_get(v, "node")));
        if (slip(want)) {
            for (found = 0; found < said->n && strcmp(said->s[found], want) != 0; found++) {
            }
            row(&t, found == said->n, "log", "no presence without name and type");
            continue;
        }
        if (strcmp(want, "iq  set encrypt registration ") == 0 && uploads++ > 0) {
            /* ten minutes after an upload the count is asked for first (03 section 8) */
            snprintf(want, sizeof(want), "iq  get encrypt count ");
        }
        if (strcmp(want, "ib    unified_session") == 0) {
            /* telemetry: anywhere (01 section 6) */
            for (found = 0; found < said->n && (said->used[found] || strcmp(said->s[found], want) != 0); found++) {
            }
            if (found < said->n) {
                said->used[found] = true;
            }
            t.passed++;
            continue;
        }
        /* in order; concurrent ones may change places, by a few */
        for (found = at; found < said->n && (said->used[found] || strcmp(said->s[found], want) != 0); found++) {
        }
        if (found < said->n && found < at + 6) {
            said->used[found] = true;
            while (at < said->n && said->used[at]) {
                at++;
            }
            row(&t, true, "log", want);
        } else {
            row(&t, false, "log", want);
            for (unsigned i = 0; i < said->n; i++) {
                print_message("  we: %s%s\n", said->s[i], said->used[i] ? "" : " (not matched)");
            }
        }
    }
    free(said);
    wagw_arena_free(&a);
    cJSON_Delete(root);
    sim_free(w);
    vec_count("login-flow", t.passed, t.failed, t.later);
    assert_int_equal(t.failed, 0);
    assert_true(t.passed > 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(pairing),
        cmocka_unit_test(client_payload),
        cmocka_unit_test(login_flow),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
