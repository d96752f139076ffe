/*
 * Status posts: who may see them (iq, app state, admin call), and what phones
 * and mock users post.  Broadcast lists too: they only differ in being
 * encrypted for each reader.
 */

#include "group.h"

#include "../../core/message/message.h"

#include <stdio.h>
#include <stdlib.h>

#define SBX_STATUS "status@broadcast"

static const char *const sbx_status_modes[] = {"contacts", "whitelist", "blacklist"};

/* Names of the iq, of the REST calls, and of app state. */
static const char *sbx_status_mode(const char *name)
{
    if (name != NULL && (strcmp(name, "whitelist") == 0 || strcmp(name, "allow") == 0 || strstr(name, "ALLOW_LIST"))) {
        return sbx_status_modes[1];
    }
    if (name != NULL && (strcmp(name, "blacklist") == 0 || strcmp(name, "deny") == 0 || strstr(name, "DENY_LIST"))) {
        return sbx_status_modes[2];
    }
    return sbx_status_modes[0];
}

static void sbx_status_set(sbx_account_t *a, const char *mode, const cJSON *jids)
{
    const cJSON *item;
    sbx_account_t *who;

    a->status_mode = sbx_status_mode(mode);
    sbx_map_free(&a->status_list);
    memset(&a->status_list, 0, sizeof(a->status_list));
    cJSON_ArrayForEach(item, jids)
    {
        who = cJSON_IsString(item) ? sbx_account_find(item->valuestring) : NULL;
        if (who != NULL) {
            sbx_map_put(&a->status_list, who->lid, who);
        }
    }
}

void sbx_status_app_state(sbx_account_t *a, const cJSON *action)
{
    const cJSON *mode;
    static const char *const names[] = {"allow", "deny", "contacts", "allow"};

    mode = cJSON_GetObjectItemCaseSensitive(action, "mode");
    if (cJSON_IsNumber(mode) && mode->valueint >= 0 && mode->valueint < 4) {
        sbx_status_set(a, names[mode->valueint], cJSON_GetObjectItemCaseSensitive(action, "userJid"));
    } else if (cJSON_IsObject(action)) {
        sbx_status_set(a, cJSON_GetStringValue(mode), cJSON_GetObjectItemCaseSensitive(action, "userJid"));
    }
}

void sbx_status_options(sbx_account_t *a, const cJSON *privacy)
{
    if (cJSON_IsObject(privacy)) {
        sbx_status_set(a, cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(privacy, "mode")),
                       cJSON_GetObjectItemCaseSensitive(privacy, "jids"));
    }
}

void sbx_iq_status_privacy(sbx_conn_t *c, const wagw_node_t *iq)
{
    size_t i;
    char *type;
    wagw_jid_t jid;
    wagw_node_t *n, *k;
    wagw_arena_t a = {0};
    sbx_account_t *acc, *who;
    const wagw_node_t *list, *u;

    acc = c->device->account;
    list = wagw_node_find(wagw_node_find(iq, "privacy"), "list");
    if (wagw_node_attr_is(iq, "type", "set")) {
        if (list == NULL) {
            sbx_iq_error(c, iq, 400, "bad-request");
            return;
        }
        type = sbx_strndup(wagw_node_get(list, "type"));
        sbx_status_set(acc, type, NULL);
        free(type);
        for (u = wagw_node_find(list, "user"); u != NULL; u = wagw_node_find_next(u, "user")) {
            who = wagw_node_get_jid(u, "jid", &jid) == WAGW_OK ? sbx_account_jid(&jid) : NULL;
            if (who != NULL) {
                sbx_map_put(&acc->status_list, who->lid, who);
            }
        }
    }
    n = sbx_iq_result(&a, iq);
    k = wagw_node_child(&a, wagw_node_child(&a, n, "privacy"), "list");
    wagw_node_attrc(&a, k, "type", acc->status_mode ? acc->status_mode : sbx_status_modes[0]);
    wagw_node_attrc(&a, k, "default", "true");
    for (i = 0; i < acc->status_list.cap; i++) {
        who = acc->status_list.slots[i].value;
        if (who != NULL) {
            jid = sbx_account_jid_of(who, true);
            wagw_node_attr_jid(&a, wagw_node_child(&a, k, "user"), "jid", &jid);
        }
    }
    sbx_send(c, n);
    wagw_arena_free(&a);
}

/* ---- posts of phones ---- */

static void sbx_status_deliver(sbx_account_t *from, sbx_device_t *d, const char *chat, bool lid, const wagw_node_t *n,
                               const wagw_node_t *own, const wagw_node_t *all)
{
    wagw_jid_t jid;

    wagw_jid_parse(&jid, wagw_cstr(chat));
    sbx_shared_copy(&jid, lid, false, sbx_phone(from), d, n, own, all);
}

/* A <to> with one pairwise ciphertext; NULL: there are no keys. */
static wagw_node_t *sbx_status_to(wagw_arena_t *a, sbx_account_t *from, sbx_device_t *d, wagw_str_t message,
                                  const wagw_bundle_t *given, unsigned count)
{
    bool prekey;
    wagw_buf_t sealed = {0};
    wagw_node_t *to, *enc;

    to = NULL;
    if (sbx_phone_encrypt(from, d, message, given, &sealed, &prekey) == WAGW_OK) {
        to = wagw_node(a, "to");
        enc = wagw_node_child(a, to, "enc");
        wagw_node_attrc(a, enc, "v", "2");
        wagw_node_attrc(a, enc, "type", prekey ? "pkmsg" : "msg");
        if (count != 0) {
            wagw_node_attr_int(a, enc, "count", count);
        }
        wagw_node_bytes_copy(a, enc, wagw_buf_view(&sealed));
    }
    wagw_buf_free(&sealed);
    return to;
}

static bool sbx_status_reads(const sbx_account_t *from, const sbx_account_t *a, const cJSON *audience)
{
    const cJSON *item;

    if (a == from) {
        return true;
    }
    if (!cJSON_IsArray(audience)) {
        return a->devices->next != NULL; /* everybody who is linked */
    }
    cJSON_ArrayForEach(item, audience)
    {
        if (cJSON_IsString(item) && sbx_account_find(item->valuestring) == a) {
            return true;
        }
    }
    return false;
}

int sbx_status_send(sbx_account_t *from, const char *chat, const cJSON *audience, wagw_str_t message,
                    const sbx_send_how_t *how, char id[64])
{
    int rc;
    bool status;
    uint32_t i, key;
    wagw_buf_t given = {0}, sealed = {0};
    wagw_node_t *n, *to, *all;
    wagw_arena_t a = {0};
    sbx_device_t *d, *next;

    status = strcmp(chat, SBX_STATUS) == 0;
    rc = WAGW_OK;
    all = NULL;
    sbx_phone_read(from);
    n = sbx_message_stanza(&a, from, message, how, id);
    if (n == NULL) {
        rc = WAGW_MALFORMED;
        goto done;
    }
    if (status) {
        rc = sbx_phone_with_skdm(from, chat, WAGW_STR(""), &given, &key);
        if (rc == WAGW_OK) {
            rc = sbx_phone_seal(from, chat, message, &sealed);
        }
        if (rc != WAGW_OK) {
            goto done;
        }
        if (how->bad_enc) {
            sealed.p[sealed.n - 10] ^= 0x40;
        }
        all = wagw_node(&a, "enc");
        wagw_node_attrc(&a, all, "v", "2");
        wagw_node_attrc(&a, all, "type", "skmsg");
        wagw_node_bytes(all, wagw_buf_view(&sealed));
    }
    sbx_sent_add(from, id, NULL, chat, message, how);
    for (i = 0; i < sbx.naccounts; i++) {
        if (!sbx_status_reads(from, sbx.accounts[i], audience) || (!status && sbx.accounts[i] == from) ||
            sbx_map_get(&sbx.accounts[i]->blocked, from->lid) != NULL) {
            continue;
        }
        for (d = sbx.accounts[i]->devices; d != NULL; d = next) {
            next = d->next;
            if (d == sbx_phone(from) || (d->id != 0 && d->adv.n == 0)) {
                continue;
            }
            to = sbx_status_to(&a, from, d, status ? wagw_buf_view(&given) : message, NULL, 0);
            if (to != NULL) {
                sbx_status_deliver(from, d, chat, how->lid, n, to, all);
            }
        }
    }

done:

    wagw_buf_wipe(&given);
    wagw_buf_free(&sealed);
    wagw_arena_free(&a);
    return rc;
}

int sbx_status_resend(sbx_account_t *from, const char *chat, const char *type, const char *id, wagw_str_t message,
                      sbx_device_t *d, const wagw_bundle_t *given, unsigned count)
{
    int rc;
    uint32_t key;
    wagw_buf_t whole = {0};
    wagw_node_t *n, *to;
    wagw_arena_t a = {0};

    rc = strcmp(chat, SBX_STATUS) == 0 ? sbx_phone_with_skdm(from, chat, message, &whole, &key)
                                       : wagw_buf_str(&whole, message);
    if (rc == WAGW_OK) {
        n = wagw_node(&a, "message");
        wagw_node_attr(&a, n, "id", wagw_cstr(id));
        wagw_node_attrc(&a, n, "type", type);
        to = sbx_status_to(&a, from, d, wagw_buf_view(&whole), given, count);
        if (to != NULL) {
            sbx_status_deliver(from, d, chat, true, n, to, NULL);
        }
    }
    wagw_buf_wipe(&whole);
    wagw_arena_free(&a);
    return rc;
}
