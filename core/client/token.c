/*
 * Trusted-contact tokens (04 section 18): what a contact gave us goes with our
 * messages, and every contact gets ours once a week.  Kept under the LID when
 * it is known.  A token never holds up a message.
 */

#include "account_i.h"

#define BUCKET_S 604800
#define BUCKETS 4
#define TOKEN_MAX 512

enum { TAG_TOKEN = 1, TAG_T, TAG_SENT_T };

typedef struct {
    wagw_str_t token;
    uint64_t t;      /* s, of the token */
    uint64_t sent_t; /* s, of ours that was given last */
} token_t;

static int token_key(wagw_turn_t *t, const wagw_jid_t *user, wagw_str_t *key)
{
    wagw_jid_t j;

    WAGW_TRY(wagw_lid_in(t, user, true, &j));
    j = wagw_jid_user(&j);
    *key = wagw_jid_str(&t->arena, &j);
    return key->p ? WAGW_OK : WAGW_NOMEM;
}

static int token_load(wagw_turn_t *t, wagw_str_t key, token_t *k)
{
    int rc;
    uint8_t tag;
    uint64_t u;
    wagw_str_t v, s;
    wagw_tlv_t r;

    memset(k, 0, sizeof(*k));
    rc = wagw_txn_get(&t->txn, WAGW_REC_TOKEN, key, &v);
    if (rc == WAGW_NOT_FOUND) {
        return WAGW_OK;
    }
    WAGW_TRY(rc);
    r = (wagw_tlv_t){v, 0};
    while (wagw_tlv_next(&r, &tag, &u, &s) == WAGW_OK) {
        switch (tag) {
        case TAG_TOKEN:
            k->token = wagw_arena_str(&t->arena, s);
            break;
        case TAG_T:
            k->t = u;
            break;
        case TAG_SENT_T:
            k->sent_t = u;
            break;
        default:
            break;
        }
    }
    return WAGW_OK;
}

static int token_store(wagw_turn_t *t, wagw_str_t key, const token_t *k)
{
    int rc;
    wagw_buf_t b = {0};

    wagw_tlv_put_s(&b, TAG_TOKEN, k->token);
    wagw_tlv_put_u(&b, TAG_T, k->t);
    wagw_tlv_put_u(&b, TAG_SENT_T, k->sent_t);
    rc = b.failed ? WAGW_NOMEM : wagw_txn_put(&t->txn, WAGW_REC_TOKEN, key, wagw_buf_view(&b));
    wagw_buf_wipe(&b);
    return rc;
}

int wagw_token_get(wagw_turn_t *t, const wagw_jid_t *user, wagw_str_t *v)
{
    token_t k;
    uint64_t now = (uint64_t)(t->now / 1000);
    wagw_str_t key;

    *v = WAGW_STR_NULL;
    if (!wagw_jid_is_person(user)) {
        return WAGW_OK;
    }
    WAGW_TRY(token_key(t, user, &key));
    WAGW_TRY(token_load(t, key, &k));
    if (k.token.n && k.t >= (now / BUCKET_S - (BUCKETS - 1)) * BUCKET_S) {
        *v = k.token;
    }
    return WAGW_OK;
}

int wagw_token_told(wagw_turn_t *t, const wagw_jid_t *user, wagw_str_t token, uint64_t at, uint64_t sent_at)
{
    token_t k;
    wagw_str_t key;

    if (!wagw_jid_is_person(user) || token.n == 0 || token.n > TOKEN_MAX || at == 0 || at >> 40 || sent_at >> 40) {
        return WAGW_OK;
    }
    WAGW_TRY(token_key(t, user, &key));
    WAGW_TRY(token_load(t, key, &k));
    if (at <= k.t) {
        return WAGW_OK;
    }
    k.token = token;
    k.t = at;
    k.sent_t = sent_at > k.sent_t ? sent_at : k.sent_t;
    return token_store(t, key, &k);
}

int wagw_token_salt(wagw_turn_t *t, wagw_str_t salt)
{
    if (salt.n == 0) {
        return wagw_txn_del(&t->txn, WAGW_REC_META, WAGW_STR("nct.salt"));
    }
    return salt.n > TOKEN_MAX ? WAGW_OK : wagw_txn_put(&t->txn, WAGW_REC_META, WAGW_STR("nct.salt"), salt);
}

int wagw_token_attach(wagw_turn_t *t, wagw_node_t *stanza, const wagw_jid_t *user)
{
    int rc;
    uint8_t mac[32];
    wagw_str_t token, salt, text;
    wagw_jid_t lid;

    rc = wagw_txn_get(&t->txn, WAGW_REC_META, WAGW_STR("nct.salt"), &salt); /* one load with the token */
    if (rc != WAGW_OK && rc != WAGW_NOT_FOUND && rc != WAGW_AGAIN) {
        return rc;
    }
    WAGW_TRY(wagw_token_get(t, user, &token));
    if (token.n) {
        return wagw_node_bytes(wagw_node_child(&t->arena, stanza, "tctoken"), token) ? WAGW_OK : WAGW_NOMEM;
    }
    if (rc != WAGW_OK || !wagw_jid_is_person(user)) {
        return rc == WAGW_AGAIN ? rc : WAGW_OK;
    }
    WAGW_TRY(wagw_lid_in(t, user, true, &lid));
    lid = wagw_jid_user(&lid);
    if (!wagw_jid_is_lid(&lid)) {
        return WAGW_OK;
    }
    text = wagw_jid_str(&t->arena, &lid);
    WAGW_TRY(wagw_hmac_sha256(mac, salt, text));
    return wagw_node_bytes_copy(&t->arena, wagw_node_child(&t->arena, stanza, "cstoken"), wagw_str(mac, sizeof(mac)))
               ? WAGW_OK
               : WAGW_NOMEM;
}

int wagw_token_node(wagw_turn_t *t, wagw_node_t *parent, const wagw_jid_t *user)
{
    token_t k;
    uint64_t now = (uint64_t)(t->now / 1000);
    wagw_str_t key;
    wagw_node_t *n;

    if (!wagw_jid_is_person(user) || wagw_is_me(t->c, user)) {
        return WAGW_OK;
    }
    WAGW_TRY(token_key(t, user, &key));
    WAGW_TRY(token_load(t, key, &k));
    if (k.token.n == 0 || k.t < (now / BUCKET_S - (BUCKETS - 1)) * BUCKET_S) {
        return WAGW_OK;
    }
    n = wagw_node_child(&t->arena, parent, "tctoken");
    wagw_node_attr_int(&t->arena, n, "t", (int64_t)k.t);
    return wagw_node_bytes(n, k.token) ? WAGW_OK : WAGW_NOMEM;
}

int wagw_token_received(wagw_turn_t *t, const wagw_node_t *n)
{
    token_t k;
    uint64_t at;
    wagw_jid_t from, lid;
    wagw_str_t key, data;
    const wagw_node_t *tok;

    if (wagw_node_get_jid(n, "from", &from) != WAGW_OK || !wagw_jid_is_person(&from)) {
        return WAGW_OK;
    }
    if (wagw_node_get_jid(n, "sender_lid", &lid) == WAGW_OK) {
        WAGW_TRY(wagw_lid_learn(t, &from, &lid, "server"));
    }
    WAGW_TRY(token_key(t, &from, &key));
    for (tok = wagw_node_find(wagw_node_find(n, "tokens"), "token"); tok; tok = wagw_node_find_next(tok, "token")) {
        data = wagw_node_data(tok);
        if (!wagw_node_attr_is(tok, "type", "trusted_contact") || data.n == 0 || data.n > TOKEN_MAX ||
            wagw_node_get_u64(tok, "t", &at) != WAGW_OK) {
            continue;
        }
        WAGW_TRY(token_load(t, key, &k));
        if (at >= k.t) {
            k.token = data;
            k.t = at;
            WAGW_TRY(token_store(t, key, &k));
        }
    }
    return WAGW_OK;
}

static int issue_answer(wagw_turn_t *t, const wagw_node_t *node, uint64_t arg)
{
    (void)arg;
    if (node && wagw_iq_error(node, NULL)) {
        wagw_client_log(t->c, WAGW_LOG_DEBUG, "a contact token was not taken");
    }
    return WAGW_OK;
}

/* Marked as given when it is sent: a lost one is made good next week. */
int wagw_token_issue(wagw_turn_t *t, const wagw_jid_t *user)
{
    token_t k;
    uint64_t now = (uint64_t)(t->now / 1000);
    wagw_jid_t j;
    wagw_str_t key;
    wagw_node_t *iq, *tok;

    if (!wagw_jid_is_person(user) || wagw_is_me(t->c, user) || t->c->conn != WAGW_CONN_OPEN) {
        return WAGW_OK;
    }
    WAGW_TRY(token_key(t, user, &key));
    WAGW_TRY(token_load(t, key, &k));
    if (k.sent_t && now / BUCKET_S <= k.sent_t / BUCKET_S) {
        return WAGW_OK;
    }
    WAGW_TRY(wagw_lid_in(t, user, wagw_prop(t->c, WAGW_PROP_TOKEN_TO_LID), &j));
    j = wagw_jid_user(&j);
    iq = wagw_iq(t, "set", "privacy");
    tok = wagw_node_child(&t->arena, wagw_node_child(&t->arena, iq, "tokens"), "token");
    wagw_node_attr_jid(&t->arena, tok, "jid", &j);
    wagw_node_attr_int(&t->arena, tok, "t", (int64_t)now);
    wagw_node_attrc(&t->arena, tok, "type", "trusted_contact");
    WAGW_TRY(wagw_iq_send(t, iq, issue_answer, 0));
    k.sent_t = now;
    return token_store(t, key, &k);
}
