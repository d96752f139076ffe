/*
 * What a client asks of its account after each login (03 section 11, 11
 * sections 6 and 14), and how it is kept true: server properties, block list,
 * privacy.  One small record holds what is compared with the answers, so that
 * a login at which nothing has changed writes nothing.
 */

#include "account_i.h"

#include <stdlib.h>

#define BLOCKED_MAX 5000
#define HASH_MAX 64
#define ACCOUNT_KEY WAGW_STR("account")

enum { TAG_PROPS_HASH = 1, TAG_PROPS, TAG_DHASH, TAG_KNOWN, TAG_BLOCKED };

typedef struct {
    wagw_str_t props_hash;
    unsigned props; /* wagw_prop_t bits */
    wagw_str_t dhash;
    bool known;          /* the block list was read once */
    wagw_str_t *blocked; /* canonical jids */
    size_t nblocked;
} account_t;

static int account_load(wagw_turn_t *t, account_t *a)
{
    int rc;
    uint8_t tag;
    uint64_t u;
    wagw_str_t v, s;
    wagw_tlv_t r;

    memset(a, 0, sizeof(*a));
    a->props = WAGW_PROPS_DEFAULT;
    rc = wagw_txn_get(&t->txn, WAGW_REC_META, ACCOUNT_KEY, &v);
    if (rc != WAGW_OK && rc != WAGW_NOT_FOUND) {
        return rc;
    }
    v = rc == WAGW_OK ? wagw_arena_str(&t->arena, v) : WAGW_STR_NULL;
    a->blocked = wagw_arena_alloc(&t->arena, (v.n / 3 + 2) * sizeof(*a->blocked));
    if (a->blocked == NULL || (rc == WAGW_OK && v.p == NULL)) {
        return WAGW_NOMEM;
    }
    r = (wagw_tlv_t){v, 0};
    while (rc == WAGW_OK && wagw_tlv_next(&r, &tag, &u, &s) == WAGW_OK) {
        switch (tag) {
        case TAG_PROPS_HASH:
            a->props_hash = s;
            break;
        case TAG_PROPS:
            a->props = (unsigned)u >> 1; /* so that 0 is written too */
            break;
        case TAG_DHASH:
            a->dhash = s;
            break;
        case TAG_KNOWN:
            a->known = u != 0;
            break;
        case TAG_BLOCKED:
            a->blocked[a->nblocked++] = s;
            break;
        default:
            break;
        }
    }
    return WAGW_OK;
}

static int account_store(wagw_turn_t *t, const account_t *a)
{
    int rc;
    wagw_buf_t b = {0};

    wagw_tlv_put_s(&b, TAG_PROPS_HASH, a->props_hash);
    wagw_tlv_put_u(&b, TAG_PROPS, a->props << 1 | 1);
    wagw_tlv_put_s(&b, TAG_DHASH, a->dhash);
    wagw_tlv_put_u(&b, TAG_KNOWN, a->known);
    for (size_t i = 0; i < a->nblocked; i++) {
        wagw_tlv_put_s(&b, TAG_BLOCKED, a->blocked[i]);
    }
    rc = b.failed ? WAGW_NOMEM : wagw_txn_put(&t->txn, WAGW_REC_META, ACCOUNT_KEY, wagw_buf_view(&b));
    wagw_buf_free(&b);
    return rc;
}

/* ---- server properties ------------------------------------------------------------- */

static const struct {
    uint64_t code;
    unsigned bit;
} props_used[] = {{10518, WAGW_PROP_TOKEN_CHATS}, {9666, WAGW_PROP_TOKEN_PICTURES}, {14303, WAGW_PROP_TOKEN_TO_LID}};

static void props_then(wagw_client_t *c, void *arg)
{
    c->props = *(uint8_t *)arg;
}

static int props_set(wagw_turn_t *t, unsigned props)
{
    uint8_t p = (uint8_t)(props | WAGW_PROPS_READ);

    return wagw_turn_then(t, props_then, &p, sizeof(p));
}

bool wagw_prop(const wagw_client_t *c, unsigned bit)
{
    return (c->props & WAGW_PROPS_READ ? c->props : WAGW_PROPS_DEFAULT) & bit;
}

static int props_answer(wagw_turn_t *t, const wagw_node_t *node, uint64_t arg)
{
    uint64_t code;
    account_t a;
    unsigned props;
    wagw_str_t hash, v;
    const wagw_node_t *p, *k;

    (void)arg;
    p = node && wagw_iq_error(node, NULL) == 0 ? wagw_node_find(node, "props") : NULL;
    if (p == NULL) {
        return WAGW_OK;
    }
    WAGW_TRY(account_load(t, &a));
    hash = wagw_node_get(p, "hash");
    if (hash.n > HASH_MAX) {
        hash = WAGW_STR_NULL; /* all of them once more at the next login */
    }
    props = a.props;
    if (wagw_node_find(p, "prop") && !wagw_node_attr_is(p, "delta_update", "true")) {
        props = WAGW_PROPS_DEFAULT;
    }
    for (k = wagw_node_find(p, "prop"); k; k = wagw_node_find_next(k, "prop")) {
        if (wagw_node_get_u64(k, "config_code", &code) != WAGW_OK) {
            continue;
        }
        v = wagw_node_get(k, "config_value");
        for (size_t i = 0; i < sizeof(props_used) / sizeof(props_used[0]); i++) {
            if (props_used[i].code == code) {
                props = wagw_str_is(v, "1") || wagw_str_is(v, "true") ? props | props_used[i].bit
                                                                      : props & ~props_used[i].bit;
            }
        }
    }
    if (props == a.props && wagw_str_eq(hash, a.props_hash)) {
        return WAGW_OK;
    }
    a.props = props;
    a.props_hash = hash;
    WAGW_TRY(account_store(t, &a));
    return props_set(t, props);
}

/* ---- contacts: blocked, and news about them -------------------------------------------- */

int wagw_turn_contact(wagw_turn_t *t, const wagw_jid_t *jid, wagw_row_contact_t *c)
{
    int rc, rc2;
    wagw_str_t v, key;
    wagw_jid_t canon, twin;

    WAGW_TRY(wagw_chat_canonical(t, jid, &canon));
    key = wagw_jid_str(&t->arena, &canon);
    memset(c, 0, sizeof(*c));
    rc = wagw_txn_get(&t->txn, WAGW_REC_CONTACT, key, &v);
    rc2 = wagw_lid_twin(t, &canon, &twin);
    if (rc != WAGW_OK && rc != WAGW_NOT_FOUND) {
        return rc;
    }
    if (rc2 != WAGW_OK && rc2 != WAGW_NOT_FOUND) {
        return rc2;
    }
    if (rc == WAGW_OK) {
        v = wagw_arena_str(&t->arena, v);
        if (wagw_row_contact_decode(c, v) != WAGW_OK) {
            memset(c, 0, sizeof(*c));
            rc = WAGW_NOT_FOUND;
        }
    }
    c->jid = key;
    *(wagw_jid_is_lid(&canon) ? &c->lid : &c->pn) = key;
    if (rc2 == WAGW_OK) {
        twin = wagw_jid_user(&twin);
        *(wagw_jid_is_lid(&twin) ? &c->lid : &c->pn) = wagw_jid_str(&t->arena, &twin);
    }
    return key.p ? rc : WAGW_NOMEM;
}

static int contact_put(wagw_turn_t *t, const wagw_row_contact_t *c)
{
    wagw_buf_t b = {0};
    int rc = wagw_row_contact_encode(&b, c);

    if (rc == WAGW_OK) {
        rc = wagw_txn_put(&t->txn, WAGW_REC_CONTACT, c->jid, wagw_buf_view(&b));
    }
    wagw_buf_free(&b);
    return rc;
}

/* member: key and JSON value of what is new. */
int wagw_contact_event(wagw_turn_t *t, const wagw_row_contact_t *c, const char *key, wagw_str_t value)
{
    size_t n;
    wagw_buf_t b = {0};
    wagw_json_t j = wagw_json(&b);

    wagw_json_open(&j, '{');
    wagw_json_kstr(&j, "jid", c->jid);
    if (c->lid.n) {
        wagw_json_kstr(&j, "lid", c->lid);
    } else {
        wagw_json_knull(&j, "lid");
    }
    if (c->pn.n) {
        for (n = 0; n < c->pn.n && c->pn.p[n] != '@'; n++) { /* void */
        }
        wagw_json_kstr(&j, "phoneNumber", wagw_str(c->pn.p, n));
    } else {
        wagw_json_knull(&j, "phoneNumber");
    }
    wagw_json_kraw(&j, key, value);
    wagw_json_kiso(&j, "timestamp", t->now);
    wagw_json_close(&j);
    return wagw_event_emit(t, "contact.update", c->jid, &b);
}

int wagw_contact_event_text(wagw_turn_t *t, const wagw_row_contact_t *c, const char *key, wagw_str_t text)
{
    int rc;
    wagw_buf_t b = {0};
    wagw_json_t j = wagw_json(&b);

    wagw_json_str(&j, text);
    rc = b.failed ? WAGW_NOMEM : wagw_contact_event(t, c, key, wagw_buf_view(&b));
    wagw_buf_free(&b);
    return rc;
}

static int contact_blocked(wagw_turn_t *t, const wagw_jid_t *jid, bool blocked, bool tell)
{
    int rc;
    wagw_row_contact_t c;

    rc = wagw_turn_contact(t, jid, &c);
    if (rc != WAGW_OK && rc != WAGW_NOT_FOUND) {
        return rc;
    }
    if (c.blocked == blocked) {
        return WAGW_OK;
    }
    c.blocked = blocked;
    WAGW_TRY(contact_put(t, &c));
    return tell ? wagw_contact_event(t, &c, "isBlocked", blocked ? WAGW_STR("true") : WAGW_STR("false")) : WAGW_OK;
}

/* ---- the block list ---------------------------------------------------------------------- */

static bool listed(const wagw_str_t *list, size_t n, wagw_str_t jid)
{
    for (size_t i = 0; i < n; i++) {
        if (wagw_str_eq(list[i], jid)) {
            return true;
        }
    }
    return false;
}

/* Who is blocked according to a <list>, canonical; what is missing is asked
 * for all at once. */
static int list_read(wagw_turn_t *t, const wagw_node_t *list, wagw_str_t **out, size_t *n)
{
    int rc, worst = WAGW_OK;
    wagw_jid_t j, pn, canon;
    const wagw_node_t *k;

    *n = 0;
    *out = wagw_arena_alloc(&t->arena, ((list ? list->nchildren : 0) + 1) * sizeof(**out));
    if (*out == NULL) {
        return WAGW_NOMEM;
    }
    for (k = wagw_node_find(list, "item"); k && *n < BLOCKED_MAX; k = wagw_node_find_next(k, "item")) {
        if (wagw_node_get_jid(k, "jid", &j) != WAGW_OK || !wagw_jid_is_person(&j)) {
            continue;
        }
        j = wagw_jid_user(&j);
        rc = WAGW_OK;
        if (wagw_node_get_jid(k, "pn_jid", &pn) == WAGW_OK) {
            rc = wagw_lid_learn(t, &j, &pn, "server");
        }
        if (rc == WAGW_OK) {
            rc = wagw_chat_canonical(t, &j, &canon);
        }
        if (rc == WAGW_AGAIN) {
            worst = rc;
        } else if (rc != WAGW_OK) {
            return rc;
        } else {
            (*out)[(*n)++] = wagw_jid_str(&t->arena, &canon);
        }
    }
    return worst;
}

/* One way of the difference: those of `a` that are not in `b`. */
static int list_differ(wagw_turn_t *t, const wagw_str_t *a, size_t na, const wagw_str_t *b, size_t nb, bool blocked,
                       bool tell)
{
    int rc, worst = WAGW_OK;
    wagw_jid_t j;

    for (size_t i = 0; i < na; i++) {
        if (listed(b, nb, a[i]) || wagw_jid_parse(&j, a[i]) != WAGW_OK) {
            continue;
        }
        rc = contact_blocked(t, &j, blocked, tell);
        if (rc == WAGW_AGAIN) {
            worst = rc;
        } else if (rc != WAGW_OK) {
            return rc;
        }
    }
    return worst;
}

/* The list is what the server says it is. */
static int list_apply(wagw_turn_t *t, account_t *a, const wagw_node_t *list)
{
    int rc;
    size_t n;
    wagw_str_t *now, dhash = wagw_node_get(list, "dhash");

    if (dhash.n > HASH_MAX) {
        dhash = WAGW_STR_NULL;
    }
    if (a->known && dhash.n && wagw_str_eq(dhash, a->dhash)) {
        return WAGW_OK;
    }
    WAGW_TRY(list_read(t, list, &now, &n));
    rc = list_differ(t, a->blocked, a->nblocked, now, n, false, true);
    if (rc == WAGW_OK || rc == WAGW_AGAIN) {
        /* the first reading is no news */
        int rc2 = list_differ(t, now, n, a->blocked, a->nblocked, true, a->known);

        rc = rc2 == WAGW_OK ? rc : rc2;
    }
    WAGW_TRY(rc);
    a->blocked = now;
    a->nblocked = n;
    a->dhash = dhash;
    a->known = true;
    return account_store(t, a);
}

static int blocklist_login_answer(wagw_turn_t *t, const wagw_node_t *node, uint64_t arg)
{
    account_t a;

    (void)arg;
    if (node == NULL || wagw_iq_error(node, NULL) || wagw_node_find(node, "list") == NULL) {
        return WAGW_OK;
    }
    WAGW_TRY(account_load(t, &a));
    return list_apply(t, &a, wagw_node_find(node, "list"));
}

static int blocklist_read(wagw_turn_t *t)
{
    return wagw_iq_send(t, wagw_iq(t, "get", "blocklist"), blocklist_login_answer, 0);
}

/* One more or one less, because we did it or were told. */
static int blocklist_one(wagw_turn_t *t, account_t *a, const wagw_jid_t *jid, bool blocked)
{
    size_t n = 0;
    wagw_jid_t canon;
    wagw_str_t text, *list;

    WAGW_TRY(wagw_chat_canonical(t, jid, &canon));
    text = wagw_jid_str(&t->arena, &canon);
    list = wagw_arena_alloc(&t->arena, (a->nblocked + 1) * sizeof(*list));
    if (list == NULL || text.p == NULL) {
        return WAGW_NOMEM;
    }
    for (size_t i = 0; i < a->nblocked; i++) {
        if (!wagw_str_eq(a->blocked[i], text)) {
            list[n++] = a->blocked[i];
        }
    }
    if (blocked && n < BLOCKED_MAX) {
        list[n++] = text;
    }
    a->blocked = list;
    a->nblocked = n;
    return contact_blocked(t, &canon, blocked, true);
}

/* account_sync: the changes, or that there were some. */
int wagw_blocklist_notified(wagw_turn_t *t, const wagw_node_t *b)
{
    account_t a;
    wagw_jid_t j, pn;
    wagw_str_t prev = wagw_node_get(b, "prev_dhash"), dhash = wagw_node_get(b, "dhash");
    const wagw_node_t *k = wagw_node_find(b, "item");

    if (t->c->conn < WAGW_CONN_LOGIN) {
        return WAGW_OK;
    }
    WAGW_TRY(account_load(t, &a));
    if (k == NULL || !a.known || dhash.n == 0 || dhash.n > HASH_MAX || wagw_node_attr_is(b, "action", "modify") ||
        (prev.n && !wagw_str_eq(prev, a.dhash))) {
        return blocklist_read(t);
    }
    for (; k; k = wagw_node_find_next(k, "item")) {
        if (wagw_node_get_jid(k, "jid", &j) != WAGW_OK || !wagw_jid_is_person(&j)) {
            continue;
        }
        if (wagw_node_get_jid(k, "pn_jid", &pn) == WAGW_OK) {
            WAGW_TRY(wagw_lid_learn(t, &j, &pn, "server"));
        }
        WAGW_TRY(blocklist_one(t, &a, &j, wagw_node_attr_is(k, "action", "block")));
    }
    a.dhash = dhash;
    return account_store(t, &a);
}

static int blocklist_answer(wagw_turn_t *t, const wagw_node_t *node, uint64_t command)
{
    size_t n;
    account_t a;
    wagw_str_t *now;
    wagw_buf_t b = {0};
    wagw_json_t j;
    const wagw_node_t *list;

    if (node == NULL || wagw_iq_error(node, NULL)) {
        return wagw_iq_failed(t, command, node);
    }
    list = wagw_node_find(node, "list");
    WAGW_TRY(list_read(t, list, &now, &n));
    if (list) {
        WAGW_TRY(account_load(t, &a));
        WAGW_TRY(list_apply(t, &a, list));
    }
    j = wagw_json(&b);
    wagw_json_open(&j, '[');
    for (size_t i = 0; i < n; i++) {
        wagw_json_str(&j, now[i]);
    }
    wagw_json_close(&j);
    return wagw_command_ok(t, command, &b, NULL);
}

int wagw_blocklist_command(wagw_turn_t *t, uint64_t command)
{
    return wagw_iq_send_for(t, wagw_iq(t, "get", "blocklist"), blocklist_answer, command);
}

static int block_answer(wagw_turn_t *t, const wagw_node_t *node, uint64_t command, bool block)
{
    account_t a;
    const wagw_node_t *list = wagw_node_find(node, "list");

    if (node == NULL || wagw_iq_error(node, NULL)) {
        return wagw_iq_failed(t, command, node);
    }
    WAGW_TRY(account_load(t, &a));
    if (list && !wagw_node_attr_is(list, "matched", "false")) {
        WAGW_TRY(list_apply(t, &a, list));
    } else {
        WAGW_TRY(blocklist_read(t)); /* it had changed otherwise too */
    }
    return wagw_command_ok(t, command, NULL, block ? "Contact blocked successfully" : "Contact unblocked successfully");
}

static int blocked_answer(wagw_turn_t *t, const wagw_node_t *node, uint64_t command)
{
    return block_answer(t, node, command, true);
}

static int unblocked_answer(wagw_turn_t *t, const wagw_node_t *node, uint64_t command)
{
    return block_answer(t, node, command, false);
}

static int block_send(wagw_turn_t *t, uint64_t command, const wagw_jid_t *lid, bool block)
{
    wagw_jid_t pn;
    wagw_node_t *iq = wagw_iq(t, "set", "blocklist"), *item = wagw_node_child(&t->arena, iq, "item");

    wagw_node_attrc(&t->arena, item, "action", block ? "block" : "unblock");
    wagw_node_attr_jid(&t->arena, item, "jid", lid);
    if (block) {
        WAGW_TRY(wagw_lid_in(t, lid, false, &pn));
        if (wagw_jid_is_pn(&pn)) {
            wagw_node_attr_jid(&t->arena, item, "pn_jid", &pn);
        }
    }
    return wagw_iq_send_for(t, iq, block ? blocked_answer : unblocked_answer, command);
}

static int block_lid_answer(wagw_turn_t *t, const wagw_node_t *node, uint64_t command, bool block)
{
    int rc;
    wagw_jid_t pn, lid;

    if (command == 0) {
        return WAGW_OK; /* the caller went away before anything was done */
    }
    if (node == NULL || wagw_iq_error(node, NULL)) {
        return wagw_iq_failed(t, command, node);
    }
    rc = wagw_usync_lid(t, node, &pn, &lid);
    if (rc == WAGW_NOT_FOUND) {
        return wagw_turn_fail(t, command, 404, "LID_NOT_FOUND", "WhatsApp has no LID for this number");
    }
    WAGW_TRY(rc);
    return block_send(t, command, &lid, block);
}

static int block_lid(wagw_turn_t *t, const wagw_node_t *node, uint64_t command)
{
    return block_lid_answer(t, node, command, true);
}

static int unblock_lid(wagw_turn_t *t, const wagw_node_t *node, uint64_t command)
{
    return block_lid_answer(t, node, command, false);
}

int wagw_block_command(wagw_turn_t *t, uint64_t command, const cJSON *params)
{
    bool block = wagw_param_bool(params, "block", true);
    wagw_jid_t jid, lid;

    WAGW_TRY(wagw_param_jid(t, command, params, "phoneNumber", NULL, &jid));
    if (wagw_jid_empty(&jid)) {
        return WAGW_OK;
    }
    if (!wagw_jid_is_person(&jid) || wagw_is_me(t->c, &jid)) {
        return wagw_turn_fail(t, command, 400, "INVALID_JID", "Only another person can be blocked");
    }
    WAGW_TRY(wagw_lid_in(t, &jid, true, &lid));
    if (wagw_jid_is_lid(&lid)) {
        return block_send(t, command, &lid, block);
    }
    return wagw_usync_ask_lid(t, &jid, block ? block_lid : unblock_lid, command);
}

/* ---- privacy ---------------------------------------------------------------------------------- */

int wagw_privacy_seen(wagw_turn_t *t, const wagw_node_t *privacy)
{
    bool off;
    wagw_creds_t *creds;
    const wagw_node_t *c;

    for (c = wagw_node_find(privacy, "category"); c; c = wagw_node_find_next(c, "category")) {
        if (!wagw_node_attr_is(c, "name", "readreceipts")) {
            continue;
        }
        off = wagw_node_attr_is(c, "value", "none");
        if (off != wagw_turn_me(t)->read_receipts_off) {
            creds = wagw_turn_creds(t);
            if (creds == NULL) {
                return WAGW_NOMEM;
            }
            creds->read_receipts_off = off;
        }
    }
    return WAGW_OK;
}

static int privacy_answer(wagw_turn_t *t, const wagw_node_t *node, uint64_t arg)
{
    (void)arg;
    if (node == NULL || wagw_iq_error(node, NULL) || wagw_turn_me(t) == NULL) {
        return WAGW_OK;
    }
    return wagw_privacy_seen(t, wagw_node_find(node, "privacy"));
}

/* ---- after a login ------------------------------------------------------------------------------ */

int wagw_account_begin(wagw_turn_t *t, uint64_t unused)
{
    account_t a;
    wagw_node_t *iq, *p;

    (void)unused;
    WAGW_TRY(account_load(t, &a));
    iq = wagw_iq(t, "get", "abt");
    p = wagw_node_child(&t->arena, iq, "props");
    wagw_node_attrc(&t->arena, p, "protocol", "1");
    if (a.props_hash.n) {
        wagw_node_attr(&t->arena, p, "hash", a.props_hash);
    }
    WAGW_TRY(wagw_iq_send(t, iq, props_answer, 0));
    WAGW_TRY(blocklist_read(t));
    iq = wagw_iq(t, "get", "privacy");
    wagw_node_child(&t->arena, iq, "privacy");
    WAGW_TRY(wagw_iq_send(t, iq, privacy_answer, 0));
    return props_set(t, a.props);
}
