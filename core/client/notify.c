/*
 * Notifications (11 section 15).  Every notification is
 * acknowledged, understood or not.
 */

#include "account_i.h"

static int from_user(const wagw_node_t *n, wagw_jid_t *user)
{
    if (wagw_node_get_jid(n, "from", user) != WAGW_OK || !wagw_jid_is_person(user)) {
        return WAGW_NOT_FOUND;
    }
    return WAGW_OK;
}

/* A device list after add or remove must have the hash that the server names. */
static int check_hash(wagw_turn_t *t, const wagw_jid_t *user, const wagw_node_t *change)
{
    char hash[16];
    wagw_str_t want;
    wagw_devices_t d;

    want = wagw_node_get(change, wagw_jid_is_lid(user) ? "device_lid_hash" : "device_hash");
    if (want.n == 0) {
        return WAGW_OK;
    }
    WAGW_TRY(wagw_devices_get(t, user, wagw_jid_is_lid(user), &d));
    if (d.n == 0 || wagw_phash(hash, d.jids, d.n) != WAGW_OK || !wagw_str_eq(want, wagw_cstr(hash))) {
        return wagw_devices_forget(t, user);
    }
    return WAGW_OK;
}

static int device_change(wagw_turn_t *t, const wagw_jid_t *user, const wagw_node_t *change)
{
    bool add = wagw_node_is(change, "add");
    size_t n;
    wagw_jid_t *jids, j;
    wagw_devices_t d;
    wagw_signal_t *s;
    const wagw_node_t *dev;
    wagw_signal_addr_t addr;

    WAGW_TRY(wagw_devices_get(t, user, wagw_jid_is_lid(user), &d));
    if (wagw_node_is(change, "update")) {
        return wagw_devices_forget(t, user);
    }
    if (!add) {
        for (dev = wagw_node_find(change, "device"); dev; dev = wagw_node_find_next(dev, "device")) {
            if (wagw_node_get_jid(dev, "jid", &j) == WAGW_OK && wagw_jid_is_person(&j)) {
                s = wagw_turn_signal(t);
                if (s == NULL) {
                    return WAGW_NOMEM;
                }
                WAGW_TRY(wagw_lid_signal(t, &j, &addr));
                WAGW_TRY(wagw_signal_delete_session(s, &addr));
                WAGW_TRY(wagw_group_device_gone(t, &j));
            }
        }
    }
    if (d.fetched_ms == 0) {
        return WAGW_OK; /* a partial list is worse than none */
    }
    jids = wagw_arena_alloc(&t->arena, (d.n + change->nchildren + 1) * sizeof(*jids));
    if (jids == NULL) {
        return WAGW_NOMEM;
    }
    n = 0;
    for (size_t i = 0; i < d.n; i++) {
        bool named = false;

        for (dev = wagw_node_find(change, "device"); dev; dev = wagw_node_find_next(dev, "device")) {
            if (wagw_node_get_jid(dev, "jid", &j) == WAGW_OK && j.device == d.jids[i].device) {
                named = true;
            }
        }
        if (!named) {
            jids[n++] = d.jids[i];
        }
    }
    if (add) {
        for (dev = wagw_node_find(change, "device"); dev; dev = wagw_node_find_next(dev, "device")) {
            if (wagw_node_get_jid(dev, "jid", &j) == WAGW_OK && wagw_jid_is_person(&j)) {
                jids[n++] = j;
            }
        }
    }
    WAGW_TRY(wagw_devices_put(t, user, jids, n));
    return check_hash(t, user, change);
}

static int notify_devices(wagw_turn_t *t, const wagw_node_t *n)
{
    wagw_jid_t user, lid;
    const wagw_node_t *k;

    if (from_user(n, &user) != WAGW_OK) {
        return WAGW_OK;
    }
    user = wagw_jid_user(&user);
    if (wagw_node_get_jid(n, "lid", &lid) == WAGW_OK) {
        WAGW_TRY(wagw_lid_learn(t, &user, &lid, "notification"));
    }
    for (k = n->content == WAGW_CONTENT_NODES ? n->child : NULL; k; k = k->next) {
        if (wagw_node_is(k, "add") || wagw_node_is(k, "remove") || wagw_node_is(k, "update")) {
            WAGW_TRY(device_change(t, &user, k));
        }
    }
    return WAGW_OK;
}

/* Our own list, whole. */
static int own_devices(wagw_turn_t *t, const wagw_node_t *devices)
{
    char hash[16];
    size_t n = 0, k;
    wagw_jid_t *jids, own = wagw_jid_user(&wagw_turn_me(t)->jid);
    wagw_str_t want = wagw_node_get(devices, "dhash");
    wagw_devices_t old;
    const wagw_node_t *d;

    jids = wagw_arena_alloc(&t->arena, (devices->nchildren + 1) * sizeof(*jids));
    if (jids == NULL) {
        return WAGW_NOMEM;
    }
    for (d = wagw_node_find(devices, "device"); d; d = wagw_node_find_next(d, "device")) {
        if (wagw_node_get_jid(d, "jid", &jids[n]) == WAGW_OK && wagw_jid_is_person(&jids[n])) {
            n++;
        }
    }
    if (n == 0 || (want.n && (wagw_phash(hash, jids, n) != WAGW_OK || !wagw_str_eq(want, wagw_cstr(hash))))) {
        return wagw_devices_forget(t, &own);
    }
    WAGW_TRY(wagw_devices_get(t, &own, false, &old));
    for (size_t i = 0; i < old.n; i++) {
        for (k = 0; k < n && jids[k].device != old.jids[i].device; k++) { /* void */
        }
        if (k == n) {
            WAGW_TRY(wagw_group_device_gone(t, &old.jids[i]));
        }
    }
    return wagw_devices_put(t, &own, jids, n);
}

static int notify_account(wagw_turn_t *t, const wagw_node_t *n)
{
    const wagw_node_t *k;

    if (wagw_turn_me(t) == NULL || !wagw_turn_me(t)->paired) {
        return WAGW_OK;
    }
    k = wagw_node_find(n, "devices");
    if (k) {
        WAGW_TRY(own_devices(t, k));
    }
    k = wagw_node_find(n, "blocklist");
    if (k) {
        WAGW_TRY(wagw_blocklist_notified(t, k));
    }
    k = wagw_node_find(n, "privacy");
    if (k) {
        WAGW_TRY(wagw_story_doubt(t));
    }
    WAGW_TRY(wagw_privacy_seen(t, k));
    return WAGW_OK;
}

static int notify_encrypt(wagw_turn_t *t, const wagw_node_t *n)
{
    uint64_t count;
    wagw_jid_t user;
    const wagw_node_t *k = wagw_node_find(n, "count");

    if (k) {
        if (wagw_attr_from_server(n) && wagw_node_get_u64(k, "value", &count) == WAGW_OK &&
            t->c->conn >= WAGW_CONN_LOGIN) {
            return wagw_prekeys_count(t, count > UINT32_MAX ? UINT32_MAX : (uint32_t)count);
        }
        return WAGW_OK;
    }
    if (wagw_node_find(n, "identity") == NULL || from_user(n, &user) != WAGW_OK || user.device != 0 ||
        wagw_is_me(t->c, &user)) {
        return WAGW_OK;
    }
    if (wagw_node_has(n, "lid")) {
        wagw_jid_t lid;

        if (wagw_node_get_jid(n, "lid", &lid) == WAGW_OK) {
            WAGW_TRY(wagw_lid_learn(t, &user, &lid, "notification"));
        }
    }
    wagw_client_log(t->c, WAGW_LOG_NOTICE, "a contact's identity changed");
    return wagw_identity_changed(t, &user);
}

/* Somebody's picture: own, contact's or group's. */
static int notify_picture(wagw_turn_t *t, const wagw_node_t *n)
{
    int rc;
    wagw_jid_t from;
    wagw_row_contact_t c;

    if (wagw_node_get_jid(n, "from", &from) != WAGW_OK) {
        return WAGW_OK;
    }
    if (wagw_jid_is_group(&from)) {
        return wagw_group_picture(t, n, &from);
    }
    if (!wagw_jid_is_person(&from)) {
        return WAGW_OK;
    }
    rc = wagw_turn_contact(t, &from, &c);
    if (rc != WAGW_OK && rc != WAGW_NOT_FOUND) {
        return rc;
    }
    return wagw_contact_event_text(t, &c, "picture",
                                   wagw_node_find(n, "delete") ? WAGW_STR("removed") : WAGW_STR("changed"));
}

static int notify_about(wagw_turn_t *t, const wagw_node_t *n)
{
    int rc;
    wagw_jid_t from;
    wagw_row_contact_t c;
    const wagw_node_t *set = wagw_node_find(n, "set");

    if (set == NULL || from_user(n, &from) != WAGW_OK) {
        return WAGW_OK;
    }
    rc = wagw_turn_contact(t, &from, &c);
    if (rc != WAGW_OK && rc != WAGW_NOT_FOUND) {
        return rc;
    }
    return wagw_contact_event_text(t, &c, "about", wagw_node_data(set));
}

int wagw_receive_notification(wagw_turn_t *t, const wagw_node_t *n)
{
    wagw_str_t type = wagw_node_get(n, "type");

    WAGW_TRY(wagw_ack(t, n, 0));
    if (wagw_str_is(type, "devices")) {
        return notify_devices(t, n);
    }
    if (wagw_str_is(type, "account_sync")) {
        return notify_account(t, n);
    }
    if (wagw_str_is(type, "picture")) {
        return notify_picture(t, n);
    }
    if (wagw_str_is(type, "status")) {
        return notify_about(t, n);
    }
    if (wagw_str_is(type, "encrypt")) {
        return notify_encrypt(t, n);
    }
    if (wagw_str_is(type, "server_sync")) {
        return wagw_app_server_sync(t, n);
    }
    if (wagw_str_is(type, "w:gp2")) {
        return wagw_group_notification(t, n);
    }
    if (wagw_str_is(type, "mediaretry")) {
        return wagw_media_retried(t, n);
    }
    if (wagw_str_is(type, "privacy_token")) {
        return wagw_token_received(t, n);
    }
    if (wagw_str_is(type, "mex")) {
        return wagw_limit_notification(t, n);
    }
    if (wagw_str_is(type, "link_code_companion_reg")) {
        return wagw_code_primary_hello(t, n);
    }
    return WAGW_OK;
}
