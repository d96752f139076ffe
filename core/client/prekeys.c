/*
 * One-time and signed prekeys (03 section 8, 04 section 4.1).  Ids rise and
 * are never used again; private keys are committed before the upload leaves.
 * Keys from first_unuploaded on are not yet known to the server, except those
 * whose record says that a retry receipt used them.
 */

#include "client_i.h"

#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>

#define PREKEYS_FIRST 812
#define PREKEYS_REFILL 50
#define PREKEYS_LOW 5
#define UPLOAD_AGAIN_MS 600000
#define ROTATE_AFTER_MS (30LL * 86400000)

/*
 * Key pairs on their way: made in another thread (812 of them are some 40 ms),
 * then they get their ids in a turn.  Until that turn is committed they are
 * nobody's, so a crash or a lost connection costs no id.
 */
typedef struct {
    wagw_work_t work;
    wagw_item_t item;
    int rc;
    unsigned want; /* keys in the upload */
    bool then_active;
    unsigned n; /* of kp */
    wagw_keypair_t kp[];
} made_t;

typedef struct {
    unsigned want, n;
    bool then_active;
} make_t;

static int prekeys_upload(wagw_turn_t *t, unsigned want, bool then_active);

/* Where the answer leads: on to `active` during login, or nowhere. */
#define THEN_ACTIVE 1

wagw_str_t wagw_be(wagw_arena_t *a, uint32_t v, unsigned n)
{
    uint8_t *p = wagw_arena_alloc(a, n);

    for (unsigned i = 0; p && i < n; i++) {
        p[i] = (uint8_t)(v >> (8 * (n - 1 - i)));
    }
    return wagw_str(p, p ? n : 0);
}

static int go_on(wagw_turn_t *t, uint64_t arg)
{
    return (arg & THEN_ACTIVE) && t->c->conn == WAGW_CONN_LOGIN ? wagw_login_active(t) : WAGW_OK;
}

static int count_answer(wagw_turn_t *t, const wagw_node_t *node, uint64_t arg)
{
    uint64_t n = 0;

    if (node == NULL || wagw_iq_error(node, NULL) ||
        wagw_node_get_u64(wagw_node_find(node, "count"), "value", &n) != WAGW_OK) {
        /* logged, never in the way of the login (01 section 6) */
        wagw_client_log(t->c, WAGW_LOG_WARN, "the server's prekey count is not known");
        return t->c->conn >= WAGW_CONN_LOGIN ? go_on(t, arg) : WAGW_OK;
    }
    if (n < PREKEYS_LOW && !t->c->uploading) {
        return prekeys_upload(t, n == 0 ? PREKEYS_FIRST : PREKEYS_REFILL, arg & THEN_ACTIVE);
    }
    return go_on(t, arg);
}

static int count_query(wagw_turn_t *t, uint64_t arg)
{
    wagw_node_t *iq = wagw_iq(t, "get", "encrypt");

    wagw_node_child(&t->arena, iq, "count");
    return wagw_iq_send(t, iq, count_answer, arg);
}

int wagw_prekeys_check(wagw_turn_t *t, uint64_t unused)
{
    (void)unused;
    return count_query(t, THEN_ACTIVE);
}

int wagw_prekeys_count(wagw_turn_t *t, uint32_t server_count)
{
    if (server_count >= PREKEYS_LOW || t->c->uploading) {
        return WAGW_OK;
    }
    if (t->c->uploaded_ms && t->now - t->c->uploaded_ms < UPLOAD_AGAIN_MS) {
        return count_query(t, 0);
    }
    return prekeys_upload(t, PREKEYS_REFILL, false);
}

static void uploading_then(wagw_client_t *c, void *arg)
{
    c->uploading = *(bool *)arg;
    if (!c->uploading) {
        c->uploaded_ms = c->now;
    }
}

static int upload_answer(wagw_turn_t *t, const wagw_node_t *node, uint64_t arg)
{
    bool no = false;
    uint32_t upto = (uint32_t)(arg >> 8);
    wagw_creds_t *creds;

    WAGW_TRY(wagw_turn_then(t, uploading_then, &no, sizeof(no)));
    if (node == NULL || wagw_iq_error(node, NULL) || t->c->creds == NULL) {
        wagw_client_log(t->c, WAGW_LOG_WARN, "the prekey upload was not confirmed");
    } else {
        creds = wagw_turn_creds(t);
        if (creds == NULL) {
            return WAGW_NOMEM;
        }
        if (creds->first_unuploaded < upto) {
            creds->first_unuploaded = upto;
        }
    }
    return node == NULL && t->c->conn != WAGW_CONN_LOGIN ? WAGW_OK : go_on(t, arg);
}

static int list_add(wagw_turn_t *t, wagw_node_t *list, uint32_t id, const uint8_t pub[32])
{
    wagw_node_t *k = wagw_node_child(&t->arena, list, "key");

    wagw_node_bytes(wagw_node_child(&t->arena, k, "id"), wagw_be(&t->arena, id, 3));
    return wagw_node_bytes_copy(&t->arena, wagw_node_child(&t->arena, k, "value"), wagw_str(pub, 32)) ? WAGW_OK
                                                                                                      : WAGW_NOMEM;
}

/*
 * What an earlier upload did not get through: at most want, into list unless
 * that is NULL; *have: how many, *upto: the id behind the last.
 */
static int prekeys_left(wagw_turn_t *t, const wagw_creds_t *me, unsigned want, wagw_node_t *list, unsigned *have,
                        uint32_t *upto)
{
    int rc = WAGW_OK;
    char key[16];
    uint8_t pub[32];
    uint32_t id;
    wagw_str_t v;
    wagw_signal_t *s = wagw_turn_signal(t);

    *have = 0;
    if (s == NULL) {
        return WAGW_NOMEM;
    }
    for (id = me->first_unuploaded; id < me->next_prekey; id++) {
        snprintf(key, sizeof(key), "%08u", id);
        if (wagw_txn_get(&t->txn, WAGW_REC_PREKEY, wagw_cstr(key), &v) == WAGW_AGAIN) {
            rc = WAGW_AGAIN;
        }
    }
    WAGW_TRY(rc);

    for (id = me->first_unuploaded; id < me->next_prekey && *have < want; id++) {
        snprintf(key, sizeof(key), "%08u", id);
        rc = wagw_txn_get(&t->txn, WAGW_REC_PREKEY, wagw_cstr(key), &v);
        if (rc == WAGW_NOT_FOUND || (rc == WAGW_OK && (v.n == 0 || v.p[0] != 0))) {
            continue;
        }
        WAGW_TRY(rc);
        if (list) {
            WAGW_TRY(wagw_signal_prekey_public(s, v, pub));
            WAGW_TRY(list_add(t, list, id, pub));
        }
        ++*have;
    }
    *upto = id;
    return WAGW_OK;
}

static int prekeys_send(wagw_turn_t *t, const made_t *m)
{
    bool yes = true;
    unsigned have, used = 0;
    uint32_t upto;
    wagw_node_t *iq, *list;
    wagw_creds_t *creds = wagw_turn_creds(t);
    wagw_signal_t *s;

    if (creds == NULL) {
        return WAGW_NOMEM;
    }
    iq = wagw_iq(t, "set", "encrypt");
    wagw_node_bytes(wagw_node_child(&t->arena, iq, "registration"), wagw_be(&t->arena, creds->registration_id, 4));
    wagw_node_bytes(wagw_node_child(&t->arena, iq, "type"), WAGW_STR("\x05"));
    wagw_node_bytes(wagw_node_child(&t->arena, iq, "identity"),
                    wagw_arena_str(&t->arena, wagw_str(creds->identity.pub, 32)));
    list = wagw_node_child(&t->arena, iq, "list");

    WAGW_TRY(prekeys_left(t, creds, m->want, list, &have, &upto));
    s = wagw_turn_signal(t);
    if (s == NULL) {
        return WAGW_NOMEM;
    }
    for (; have < m->want && used < m->n; have++, used++) {
        upto = creds->next_prekey;
        WAGW_TRY(wagw_signal_put_prekey(s, upto, &m->kp[used], false));
        WAGW_TRY(list_add(t, list, upto, m->kp[used].pub));
        creds->next_prekey = ++upto;
    }
    WAGW_TRY(wagw_prekeys_skey(t, iq));
    WAGW_TRY(wagw_turn_then(t, uploading_then, &yes, sizeof(yes)));
    return wagw_iq_send(t, iq, upload_answer, (uint64_t)upto << 8 | (m->then_active ? THEN_ACTIVE : 0));
}

static int made_item(wagw_turn_t *t, wagw_item_t *item)
{
    const made_t *m = (const made_t *)((uint8_t *)item - offsetof(made_t, item));

    return m->rc == WAGW_OK ? prekeys_send(t, m) : m->rc;
}

static void made_free(made_t *m)
{
    wagw_wipe(m->kp, m->n * sizeof(m->kp[0]));
    free(m);
}

static void made_item_done(wagw_client_t *c, wagw_item_t *item, int rc)
{
    if (rc != WAGW_OK && item->epoch == c->epoch) {
        wagw_client_log(c, WAGW_LOG_ERROR, "prekeys could not be made: %s", wagw_rc_name(rc));
        wagw_client_hangup(c, 428, "connection_lost");
    }
    made_free((made_t *)((uint8_t *)item - offsetof(made_t, item)));
}

static void made_run(wagw_work_t *work)
{
    made_t *m = (made_t *)work;

    m->rc = WAGW_OK;
    for (unsigned i = 0; i < m->n && m->rc == WAGW_OK; i++) {
        m->rc = wagw_x25519_public(m->kp[i].pub, m->kp[i].priv);
    }
}

static void made_done(wagw_client_t *c, wagw_work_t *work)
{
    wagw_turn_push(c, &((made_t *)work)->item);
}

static void make_then(wagw_client_t *c, void *arg)
{
    const make_t *make = arg;
    made_t *m = calloc(1, sizeof(*m) + make->n * sizeof(m->kp[0]));

    if (m == NULL) {
        wagw_client_hangup(c, 428, "connection_lost");
        return;
    }
    m->work.run = made_run;
    m->work.done = made_done;
    m->item.run = made_item;
    m->item.done = made_item_done;
    m->item.epoch = c->epoch;
    m->want = make->want;
    m->then_active = make->then_active;
    m->n = make->n;
    for (unsigned i = 0; i < m->n; i++) {
        wagw_x25519_private(m->kp[i].priv, c->sh->random, c->sh->random_data);
    }
    c->uploading = true;
    c->ops->work(c->driver, &m->work);
}

/* want keys, those first that the server may not have got: what is missing is
 * made elsewhere, then prekeys_send(). */
static int prekeys_upload(wagw_turn_t *t, unsigned want, bool then_active)
{
    unsigned have;
    uint32_t upto;
    make_t make = {want, 0, then_active};

    WAGW_TRY(prekeys_left(t, wagw_turn_me(t), want, NULL, &have, &upto));
    make.n = want - have;
    return wagw_turn_then(t, make_then, &make, sizeof(make));
}

int wagw_prekeys_skey(wagw_turn_t *t, wagw_node_t *parent)
{
    wagw_node_t *skey = wagw_node_child(&t->arena, parent, "skey");
    const wagw_creds_t *me = wagw_turn_me(t);

    wagw_node_bytes(wagw_node_child(&t->arena, skey, "id"), wagw_be(&t->arena, me->spk_id, 3));
    wagw_node_bytes_copy(&t->arena, wagw_node_child(&t->arena, skey, "value"), wagw_str(me->spk_pub, 32));
    return wagw_node_bytes_copy(&t->arena, wagw_node_child(&t->arena, skey, "signature"), wagw_str(me->spk_sig, 64))
               ? WAGW_OK
               : WAGW_NOMEM;
}

int wagw_prekeys_retry_key(wagw_turn_t *t, uint32_t *id, uint8_t pub[32])
{
    wagw_creds_t *creds = wagw_turn_creds(t);
    wagw_signal_t *s = wagw_turn_signal(t);

    if (creds == NULL || s == NULL) {
        return WAGW_NOMEM;
    }
    *id = creds->next_prekey;
    WAGW_TRY(wagw_signal_make_prekey(s, *id, true, pub));
    creds->next_prekey = *id + 1;
    return WAGW_OK;
}

/* The server holds what we think it holds?  If it lost them: all again. */
static int digest_answer(wagw_turn_t *t, const wagw_node_t *node, uint64_t arg)
{
    (void)arg;
    if (node == NULL || t->c->uploading) {
        return WAGW_OK;
    }
    if (wagw_iq_error(node, NULL) == 404 ||
        (wagw_iq_error(node, NULL) == 0 && wagw_node_find(node, "digest") == NULL)) {
        wagw_client_log(t->c, WAGW_LOG_NOTICE, "the server lost the prekeys, uploading new ones");
        return prekeys_upload(t, PREKEYS_FIRST, false);
    }
    return WAGW_OK;
}

int wagw_prekeys_digest(wagw_turn_t *t)
{
    wagw_node_t *iq = wagw_iq(t, "get", "encrypt");

    wagw_node_child(&t->arena, iq, "digest");
    return wagw_iq_send(t, iq, digest_answer, 0);
}

/* ---- the signed prekey, monthly --------------------------------------------- */

typedef struct {
    uint32_t id;
    uint8_t pub[32];
    uint8_t sig[64];
} skey_t;

enum { TAG_ID = 1, TAG_PUB, TAG_SIG };

#define NEXT_SKEY "next-skey"

static int skey_read(wagw_str_t v, skey_t *k)
{
    uint8_t tag;
    uint64_t u;
    unsigned have = 0;
    wagw_str_t s;
    wagw_tlv_t r = {v, 0};

    memset(k, 0, sizeof(*k));
    while (wagw_tlv_next(&r, &tag, &u, &s) == WAGW_OK) {
        if (tag == TAG_ID) {
            k->id = (uint32_t)u;
        } else if (tag == TAG_PUB && s.n == 32) {
            memcpy(k->pub, s.p, 32);
            have |= 1;
        } else if (tag == TAG_SIG && s.n == 64) {
            memcpy(k->sig, s.p, 64);
            have |= 2;
        }
    }
    return k->id && have == 3 ? WAGW_OK : WAGW_MALFORMED;
}

/* Only now the new one is the current one; the old one's record stays for
 * messages that were made with it. */
static int rotate_answer(wagw_turn_t *t, const wagw_node_t *node, uint64_t id)
{
    skey_t k;
    wagw_str_t v;
    wagw_creds_t *creds;

    if (node == NULL || wagw_iq_error(node, NULL) || t->c->creds == NULL) {
        wagw_client_log(t->c, WAGW_LOG_WARN, "the new signed prekey was not confirmed");
        return WAGW_OK;
    }
    WAGW_TRY(wagw_txn_get(&t->txn, WAGW_REC_META, WAGW_STR(NEXT_SKEY), &v));
    if (skey_read(v, &k) != WAGW_OK || k.id != id) {
        return WAGW_OK;
    }
    creds = wagw_turn_creds(t);
    if (creds == NULL) {
        return WAGW_NOMEM;
    }
    creds->spk_id = k.id;
    creds->spk_ms = t->now;
    memcpy(creds->spk_pub, k.pub, 32);
    memcpy(creds->spk_sig, k.sig, 64);
    return wagw_txn_del(&t->txn, WAGW_REC_META, WAGW_STR(NEXT_SKEY));
}

int wagw_prekeys_rotate(wagw_turn_t *t)
{
    int rc;
    skey_t k;
    wagw_buf_t b = {0};
    wagw_str_t v;
    wagw_node_t *iq, *skey;
    wagw_signal_t *s;
    const wagw_creds_t *me = wagw_turn_me(t);

    if (me->spk_ms && t->now - me->spk_ms < ROTATE_AFTER_MS) {
        return WAGW_OK;
    }
    /* one that was made before and never confirmed is offered again */
    rc = wagw_txn_get(&t->txn, WAGW_REC_META, WAGW_STR(NEXT_SKEY), &v);
    if (rc != WAGW_OK && rc != WAGW_NOT_FOUND) {
        return rc;
    }
    if (rc == WAGW_NOT_FOUND || skey_read(v, &k) != WAGW_OK || k.id != me->spk_id + 1) {
        s = wagw_turn_signal(t);
        if (s == NULL) {
            return WAGW_NOMEM;
        }
        k.id = me->spk_id + 1;
        WAGW_TRY(wagw_signal_make_signed_prekey(s, k.id, t->now, k.pub, k.sig));
        wagw_tlv_put_u(&b, TAG_ID, k.id);
        wagw_tlv_put_s(&b, TAG_PUB, wagw_str(k.pub, 32));
        wagw_tlv_put_s(&b, TAG_SIG, wagw_str(k.sig, 64));
        rc = b.failed ? WAGW_NOMEM : wagw_txn_put(&t->txn, WAGW_REC_META, WAGW_STR(NEXT_SKEY), wagw_buf_view(&b));
        wagw_buf_free(&b);
        WAGW_TRY(rc);
    }
    iq = wagw_iq(t, "set", "encrypt");
    skey = wagw_node_child(&t->arena, wagw_node_child(&t->arena, iq, "rotate"), "skey");
    wagw_node_bytes(wagw_node_child(&t->arena, skey, "id"), wagw_be(&t->arena, k.id, 3));
    wagw_node_bytes_copy(&t->arena, wagw_node_child(&t->arena, skey, "value"), wagw_str(k.pub, 32));
    wagw_node_bytes_copy(&t->arena, wagw_node_child(&t->arena, skey, "signature"), wagw_str(k.sig, 64));
    return wagw_iq_send(t, iq, rotate_answer, k.id);
}
