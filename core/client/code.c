/*
 * Linking with a phone number and a code (03 section 7).  PBKDF2 is given to
 * the driver as work; what it needs is copied, so that nothing of the engine
 * is touched from another thread.
 */

#include "client_i.h"

#include <stdio.h>
#include <stdlib.h>

#define CODE_ITERATIONS 131072
#define CODE_LIFE_S 160
#define CODE_ALPHABET "123456789ABCDEFGHJKLMNPQRSTVWXYZ"

typedef enum { CODE_HELLO = 1, CODE_FINISH } code_step_t;

typedef struct {
    wagw_work_t work;
    uint32_t epoch;
    code_step_t step;
    char code[WAGW_PAIR_CODE_LEN];
    uint8_t salt[32];
    uint8_t key[32];
    int rc;
} code_work_t;

/* ---- the arithmetic ---------------------------------------------------------- */

void wagw_pair_code_text(char out[WAGW_PAIR_CODE_LEN + 1], const uint8_t random[5])
{
    uint64_t v = 0;

    for (int i = 0; i < 5; i++) {
        v = v << 8 | random[i];
    }
    for (int i = 0; i < WAGW_PAIR_CODE_LEN; i++) {
        out[i] = CODE_ALPHABET[v >> (35 - 5 * i) & 31];
    }
    out[WAGW_PAIR_CODE_LEN] = '\0';
}

bool wagw_pair_code_valid(wagw_str_t code)
{
    if (code.n != WAGW_PAIR_CODE_LEN) {
        return false;
    }
    for (size_t i = 0; i < code.n; i++) {
        if (code.p[i] == 0 || strchr(CODE_ALPHABET, code.p[i]) == NULL) {
            return false;
        }
    }
    return true;
}

int wagw_pair_wrap(uint8_t out[80], const uint8_t key[32], const uint8_t salt[32], const uint8_t iv[16],
                   const uint8_t pub[32])
{
    memcpy(out, salt, 32);
    memcpy(out + 32, iv, 16);
    return wagw_ctr(out + 48, key, iv, wagw_str(pub, 32));
}

int wagw_pair_finish(wagw_pair_finish_t *out, const uint8_t key[32], const uint8_t wrapped[80],
                     const uint8_t primary_identity[32], const wagw_keypair_t *ephemeral,
                     const wagw_keypair_t *identity, const uint8_t random32[32], const uint8_t salt32[32],
                     const uint8_t iv12[12])
{
    int rc;
    uint8_t peph[32], ikm[96], bkey[32], plain[96];

    rc = wagw_ctr(peph, key, wrapped + 32, wagw_str(wrapped + 48, 32));
    if (rc != WAGW_OK) {
        goto done;
    }
    rc = wagw_x25519(ikm, ephemeral->priv, peph);
    if (rc != WAGW_OK) {
        goto done;
    }
    rc = wagw_hkdf(bkey, 32, wagw_str(ikm, 32), wagw_str(salt32, 32),
                   WAGW_STR("link_code_pairing_key_bundle_encryption_key"));
    if (rc != WAGW_OK) {
        goto done;
    }
    memcpy(plain, identity->pub, 32);
    memcpy(plain + 32, primary_identity, 32);
    memcpy(plain + 64, random32, 32);
    memcpy(out->bundle, salt32, 32);
    memcpy(out->bundle + 32, iv12, 12);
    rc = wagw_gcm_seal(out->bundle + 44, bkey, iv12, WAGW_STR_NULL, wagw_str(plain, 96));
    if (rc != WAGW_OK) {
        goto done;
    }
    rc = wagw_x25519(ikm + 32, identity->priv, primary_identity);
    if (rc != WAGW_OK) {
        goto done;
    }
    memcpy(ikm + 64, random32, 32);
    rc = wagw_hkdf(out->adv_secret, 32, wagw_str(ikm, 96), WAGW_STR_NULL, WAGW_STR("adv_secret"));

done:

    wagw_wipe(ikm, sizeof(ikm));
    wagw_wipe(bkey, sizeof(bkey));
    wagw_wipe(plain, sizeof(plain));
    return rc;
}

/* ---- the command ---------------------------------------------------------------- */

typedef struct {
    uint64_t command;
    bool push;
    char phone[24];
    char code[WAGW_PAIR_CODE_LEN + 1];
} wanted_t;

static void wanted_then(wagw_client_t *c, void *arg)
{
    wanted_t *w = arg;
    wagw_pairing_t *p;
    wagw_result_t r = {0};

    if (c->pairing == NULL) {
        c->pairing = calloc(1, sizeof(*c->pairing));
    }
    p = c->pairing;
    if (p == NULL) {
        r.status = 500;
        r.code = "INTERNAL";
        r.error = "Out of memory";
        c->ops->reply(c->driver, w->command, &r);
        return;
    }
    if (p->command) {
        r.status = 409;
        r.code = "DUPLICATE";
        r.error = "Another pairing code was asked for";
        c->ops->reply(c->driver, p->command, &r);
    }
    p->code_wanted = true;
    p->code_shown = p->code_done = false;
    p->ref_len = 0;
    p->command = w->command;
    p->push = w->push;
    memcpy(p->phone, w->phone, sizeof(p->phone));
    memcpy(p->code, w->code, sizeof(p->code));

    if (c->conn == WAGW_CONN_UNPAIRED) {
        wagw_client_timer(c, WAGW_TIMER_QR, 0);
        wagw_client_timer(c, WAGW_TIMER_PAIR, c->now + CODE_LIFE_S * 1000);
        (void)wagw_turn_later(c, wagw_code_start, 0, true);
        return;
    }
    wagw_client_start(c, true, c->now);
}

int wagw_code_command(wagw_turn_t *t, uint64_t command, const cJSON *params)
{
    bool refused;
    size_t n = 0;
    uint8_t random[5];
    wanted_t w = {0};
    wagw_str_t phone = wagw_param_str(params, "phoneNumber"), code = wagw_param_str(params, "customCode");

    WAGW_TRY(wagw_link_refuse(t, command, &refused));
    if (refused) {
        return WAGW_OK;
    }
    for (size_t i = 0; i < phone.n && n < sizeof(w.phone) - 1; i++) {
        if (phone.p[i] >= '0' && phone.p[i] <= '9') {
            w.phone[n++] = (char)phone.p[i];
        } else if (phone.p[i] == '@') {
            break;
        }
    }
    if (n <= 6 || n > 15 || w.phone[0] == '0') {
        wagw_result_t r = {0};

        r.status = 400;
        r.code = "VALIDATION_FAILED";
        r.error = "phoneNumber is not an international phone number";
        r.details = WAGW_STR("{\"fields\":[{\"field\":\"phoneNumber\",\"reason\":\"invalid\"}]}");
        return wagw_turn_reply(t, command, &r);
    }
    if (code.n) {
        if (!wagw_pair_code_valid(code)) {
            wagw_result_t r = {0};

            r.status = 400;
            r.code = "VALIDATION_FAILED";
            r.error = "customCode must be 8 characters of 1-9 and A-Z without I, O and U";
            r.details = WAGW_STR("{\"fields\":[{\"field\":\"customCode\",\"reason\":\"invalid\"}]}");
            return wagw_turn_reply(t, command, &r);
        }
        memcpy(w.code, code.p, WAGW_PAIR_CODE_LEN);
    } else {
        wagw_turn_random(t, random, sizeof(random));
        wagw_pair_code_text(w.code, random);
    }
    w.command = command;
    w.push = wagw_param_bool(params, "showPushNotification", true);
    return wagw_turn_then(t, wanted_then, &w, sizeof(w));
}

/* ---- the steps --------------------------------------------------------------------- */

static void code_run(wagw_work_t *work)
{
    code_work_t *w = (code_work_t *)work;

    w->rc = wagw_pbkdf2_sha256(w->key, 32, wagw_str(w->code, sizeof(w->code)), wagw_str(w->salt, 32), CODE_ITERATIONS);
}

static int code_hello(wagw_turn_t *t, uint64_t unused);
static int code_finish(wagw_turn_t *t, uint64_t unused);

static void code_worked(wagw_client_t *c, wagw_work_t *work)
{
    code_work_t *w = (code_work_t *)work;

    if (w->epoch == c->epoch && c->pairing && c->conn == WAGW_CONN_UNPAIRED && w->rc == WAGW_OK) {
        memcpy(c->pairing->key, w->key, 32);
        (void)wagw_turn_later(c, w->step == CODE_HELLO ? code_hello : code_finish, 0, true);
    }
    wagw_wipe(w, sizeof(*w));
    free(w);
}

static void code_work(wagw_client_t *c, code_step_t step, const uint8_t salt[32])
{
    code_work_t *w = calloc(1, sizeof(*w));

    if (w == NULL) {
        wagw_client_hangup(c, 500, "timeout");
        return;
    }
    w->work.run = code_run;
    w->work.done = code_worked;
    w->epoch = c->epoch;
    w->step = step;
    memcpy(w->code, c->pairing->code, sizeof(w->code));
    memcpy(w->salt, salt, 32);
    c->ops->work(c->driver, &w->work);
}

static void start_then(wagw_client_t *c, void *arg)
{
    (void)arg;
    if (c->pairing) {
        code_work(c, CODE_HELLO, c->pairing->salt);
    }
}

int wagw_code_start(wagw_turn_t *t, uint64_t unused)
{
    wagw_pairing_t *p = t->c->pairing;

    (void)unused;
    if (p == NULL || t->c->conn != WAGW_CONN_UNPAIRED) {
        return WAGW_OK;
    }
    WAGW_TRY(wagw_x25519_keypair(&p->ephemeral, t->c->sh->random, t->c->sh->random_data));
    wagw_turn_random(t, p->salt, sizeof(p->salt));
    wagw_turn_random(t, p->iv, sizeof(p->iv));
    return wagw_turn_then(t, start_then, NULL, 0);
}

static wagw_node_t *stage(wagw_turn_t *t, const char *name, wagw_node_t **iq)
{
    wagw_jid_t phone = wagw_jid_make(t->c->pairing->phone, WAGW_SRV_USER, 0);
    wagw_node_t *n;

    *iq = wagw_iq(t, "set", "md");
    n = wagw_node_child(&t->arena, *iq, "link_code_companion_reg");
    wagw_node_attr_jid(&t->arena, n, "jid", &phone);
    wagw_node_attrc(&t->arena, n, "stage", name);
    return n;
}

static wagw_node_t *part(wagw_turn_t *t, wagw_node_t *parent, const char *tag, wagw_str_t data)
{
    return wagw_node_bytes_copy(&t->arena, wagw_node_child(&t->arena, parent, tag), data);
}

static void shown_then(wagw_client_t *c, void *arg)
{
    wagw_buf_t b = {0};
    wagw_json_t j = wagw_json(&b);
    wagw_result_t r = {0};
    wagw_pairing_t *p = c->pairing;

    (void)arg;
    if (p == NULL) {
        return;
    }
    p->code_shown = true;
    wagw_client_timer(c, WAGW_TIMER_QR, 0);
    wagw_client_timer(c, WAGW_TIMER_PAIR, c->now + CODE_LIFE_S * 1000);
    wagw_client_status(c, WAGW_STATUS_PAIRING, 0, NULL);
    if (p->command) {
        wagw_json_open(&j, '{');
        wagw_json_kcstr(&j, "pairingCode", p->code);
        wagw_json_kint(&j, "expiresIn", CODE_LIFE_S);
        wagw_json_close(&j);
        r.status = 200;
        r.data = wagw_buf_view(&b);
        c->ops->reply(c->driver, p->command, &r);
        p->command = 0;
    }
    wagw_buf_free(&b);
}

static void failed_then(wagw_client_t *c, void *arg)
{
    int code = *(int *)arg;
    wagw_arena_t a = {0};
    wagw_result_t r;
    wagw_pairing_t *p = c->pairing;

    if (p == NULL) {
        return;
    }
    wagw_iq_result(&r, &a, code, WAGW_STR_NULL);
    if (code == 400) {
        r.status = 400;
        r.code = "VALIDATION_FAILED";
        r.error = "WhatsApp did not accept the phone number or the client's name";
    }
    if (p->command) {
        c->ops->reply(c->driver, p->command, &r);
        p->command = 0;
    }
    p->code_wanted = false;
    wagw_arena_free(&a);
    wagw_client_hangup(c, code ? code : 408, "timeout");
}

static int hello_answer(wagw_turn_t *t, const wagw_node_t *node, uint64_t arg)
{
    int code = node ? wagw_iq_error(node, NULL) : 0;
    wagw_str_t ref;
    const wagw_node_t *reg = wagw_node_find(node, "link_code_companion_reg");

    (void)arg;
    if (node == NULL || code) {
        return wagw_turn_then(t, failed_then, &code, sizeof(code));
    }
    ref = wagw_node_data(wagw_node_find(reg, "link_code_pairing_ref"));
    if (t->c->pairing && ref.n && ref.n <= sizeof(t->c->pairing->ref)) {
        memcpy(t->c->pairing->ref, ref.p, ref.n);
        t->c->pairing->ref_len = ref.n;
    }
    return wagw_turn_then(t, shown_then, NULL, 0);
}

static int code_hello(wagw_turn_t *t, uint64_t unused)
{
    char display[160];
    char type;
    uint8_t wrapped[80], nonce = 0;
    wagw_node_t *iq, *n;
    wagw_pairing_t *p = t->c->pairing;
    const wagw_creds_t *me = wagw_turn_me(t);
    const wagw_client_conf_t *conf = &t->c->conf;

    (void)unused;
    if (p == NULL || me == NULL) {
        return WAGW_OK;
    }
    WAGW_TRY(wagw_pair_wrap(wrapped, p->key, p->salt, p->iv, p->ephemeral.pub));
    snprintf(display, sizeof(display), "%s (%s)", conf->browser ? conf->browser : "Chrome",
             conf->os ? conf->os : "Mac OS");
    type = wagw_client_type(conf->os, conf->browser);

    n = stage(t, "companion_hello", &iq);
    wagw_node_attrc(&t->arena, n, "should_show_push_notification", p->push ? "true" : "false");
    part(t, n, "link_code_pairing_wrapped_companion_ephemeral_pub", wagw_str(wrapped, 80));
    part(t, n, "companion_server_auth_key_pub", wagw_str(me->noise.pub, 32));
    part(t, n, "companion_platform_id", wagw_str(&type, 1));
    part(t, n, "companion_platform_display", wagw_cstr(display));
    part(t, n, "link_code_pairing_nonce", wagw_str(&nonce, 1));
    return wagw_iq_send(t, iq, hello_answer, 0);
}

/* ---- the phone's answer ---------------------------------------------------------------- */

static void primary_then(wagw_client_t *c, void *arg)
{
    (void)arg;
    if (c->pairing) {
        code_work(c, CODE_FINISH, c->pairing->primary_wrapped);
    }
}

/* Comes again, with the same ref, after a code that was typed wrongly: only the phone can tell, so each is answered. */
int wagw_code_primary_hello(wagw_turn_t *t, const wagw_node_t *n)
{
    wagw_str_t wrapped, identity, ref;
    wagw_pairing_t *p = t->c->pairing;
    const wagw_node_t *reg = wagw_node_find(n, "link_code_companion_reg");

    wrapped = wagw_node_data(wagw_node_find(reg, "link_code_pairing_wrapped_primary_ephemeral_pub"));
    identity = wagw_node_data(wagw_node_find(reg, "primary_identity_pub"));
    ref = wagw_node_data(wagw_node_find(reg, "link_code_pairing_ref"));

    if (p == NULL || !p->code_wanted || t->c->conn != WAGW_CONN_UNPAIRED || wrapped.n != 80 || identity.n != 32 ||
        ref.n == 0 || ref.n > sizeof(p->ref) || (p->ref_len && !wagw_str_eq(ref, wagw_str(p->ref, p->ref_len)))) {
        wagw_client_log(t->c, WAGW_LOG_WARN, "an answer to a pairing code that does not fit is ignored");
        return WAGW_OK;
    }
    memcpy(p->primary_wrapped, wrapped.p, 80);
    memcpy(p->primary_identity, identity.p, 32);
    memcpy(p->ref, ref.p, ref.n);
    p->ref_len = ref.n;
    return wagw_turn_then(t, primary_then, NULL, 0);
}

static int finish_answer(wagw_turn_t *t, const wagw_node_t *node, uint64_t arg)
{
    int code = node ? wagw_iq_error(node, NULL) : 0;

    (void)arg;
    if (node && code) {
        return wagw_turn_then(t, failed_then, &code, sizeof(code));
    }
    return WAGW_OK;
}

static void finished_then(wagw_client_t *c, void *arg)
{
    (void)arg;
    if (c->pairing) {
        c->pairing->code_done = true;
    }
}

static int code_finish(wagw_turn_t *t, uint64_t unused)
{
    int rc;
    uint8_t random32[32], salt[32], iv[12];
    wagw_node_t *iq, *n;
    wagw_creds_t *creds;
    wagw_pairing_t *p = t->c->pairing;
    wagw_pair_finish_t f;

    (void)unused;
    if (p == NULL || t->c->creds == NULL) {
        return WAGW_OK;
    }
    creds = wagw_turn_creds(t);
    if (creds == NULL) {
        return WAGW_NOMEM;
    }
    wagw_turn_random(t, random32, sizeof(random32));
    wagw_turn_random(t, salt, sizeof(salt));
    wagw_turn_random(t, iv, sizeof(iv));
    rc = wagw_pair_finish(&f, p->key, p->primary_wrapped, p->primary_identity, &p->ephemeral, &creds->identity,
                          random32, salt, iv);
    wagw_wipe(random32, sizeof(random32));
    if (rc != WAGW_OK) {
        int code = 400;

        wagw_client_log(t->c, WAGW_LOG_ERROR, "the phone's key for the pairing code is refused");
        return wagw_turn_then(t, failed_then, &code, sizeof(code));
    }
    memcpy(creds->adv_secret, f.adv_secret, 32);
    wagw_wipe(f.adv_secret, sizeof(f.adv_secret));

    n = stage(t, "companion_finish", &iq);
    part(t, n, "link_code_pairing_wrapped_key_bundle", wagw_str(f.bundle, sizeof(f.bundle)));
    part(t, n, "companion_identity_public", wagw_str(creds->identity.pub, 32));
    part(t, n, "link_code_pairing_ref", wagw_str(p->ref, p->ref_len));
    WAGW_TRY(wagw_iq_send(t, iq, finish_answer, 0));
    return wagw_turn_then(t, finished_then, NULL, 0);
}
