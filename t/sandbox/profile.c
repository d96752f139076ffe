/*
 * What people show of themselves: pictures, about texts, privacy, who they
 * block, their link and business profile; and the notifications about it.
 */

#include "sandbox.h"

#include <stdio.h>
#include <stdlib.h>

#define SBX_PICTURE_MAX (1u << 20)
#define SBX_ABOUT_MAX 556 /* bytes: 139 characters */

void sbx_profile_ok(sbx_conn_t *c, const wagw_node_t *iq)
{
    wagw_arena_t a = {0};

    sbx_send(c, sbx_iq_result(&a, iq));
    wagw_arena_free(&a);
}

/* ---- notifications ---- */

static wagw_node_t *sbx_notice(wagw_arena_t *a, const char *type, const wagw_jid_t *from)
{
    wagw_node_t *n = wagw_node(a, "notification");

    wagw_node_attr_jid(a, n, "from", from);
    wagw_node_attr(a, n, "id", sbx_server_id(a));
    wagw_node_attrc(a, n, "type", type);
    wagw_node_attr_int(a, n, "t", sbx_now_s());
    return n;
}

static void sbx_notice_to(sbx_account_t *to, const sbx_device_t *but, const wagw_node_t *n)
{
    sbx_device_t *d;

    for (d = to->devices->next; d != NULL; d = d->next) {
        if (d != but) {
            sbx_deliver(d, n);
        }
    }
}

/* To everybody who knows the account, and to its other companions. */
static void sbx_notice_about(sbx_account_t *acc, const sbx_device_t *by, const wagw_node_t *n)
{
    size_t i;

    sbx_notice_to(acc, by, n);
    for (i = 0; i < acc->watchers.cap; i++) {
        if (acc->watchers.slots[i].value != NULL) {
            sbx_notice_to(acc->watchers.slots[i].value, NULL, n);
        }
    }
}

/* May `who` see what the category of `acc` is about?  Everybody is a contact here. */
bool sbx_profile_shown(const sbx_account_t *acc, const char *category, const sbx_account_t *who)
{
    const char *v = sbx_map_get(&acc->privacy, category);

    if (acc == who) {
        return true;
    }
    return (v == NULL || strcmp(v, "none") != 0) && sbx_map_get(&acc->blocked, who->lid) == NULL;
}

/* ---- pictures ---- */

static void sbx_picture_notice(sbx_account_t *acc, const sbx_device_t *by)
{
    wagw_jid_t jid = sbx_account_jid_of(acc, false);
    wagw_node_t *n, *k;
    wagw_arena_t a = {0};

    n = sbx_notice(&a, "picture", &jid);
    k = wagw_node_child(&a, n, acc->picture.path != NULL ? "set" : "delete");
    wagw_node_attr_jid(&a, k, "jid", &jid);
    if (acc->picture.path != NULL) {
        wagw_node_attr_int(&a, k, "id", (int64_t)acc->picture.id);
    }
    sbx_notice_about(acc, by, n);
    wagw_arena_free(&a);
}

void sbx_picture_put(sbx_picture_t *p, wagw_str_t jpeg)
{
    free(p->path);
    p->path = jpeg.n != 0 ? sbx_media_put(jpeg) : NULL;
    p->id = p->id >= (uint64_t)sbx_now_s() ? p->id + 1 : (uint64_t)sbx_now_s();
}

/* JPEG, at most 640 by 640 and square: what a server takes. */
bool sbx_picture_good(wagw_str_t jpeg)
{
    size_t at = 2, n;
    unsigned w, h;
    const uint8_t *p = jpeg.p;

    if (jpeg.n < 4 || jpeg.n > SBX_PICTURE_MAX || p[0] != 0xff || p[1] != 0xd8) {
        return false;
    }
    while (at + 9 < jpeg.n && p[at] == 0xff) {
        n = (size_t)sbx_be_read(p + at + 2, 2);
        if (p[at + 1] >= 0xc0 && p[at + 1] <= 0xc3) {
            h = sbx_be_read(p + at + 5, 2);
            w = sbx_be_read(p + at + 7, 2);
            return w == h && w != 0 && w <= 640;
        }
        at += n + 2;
    }
    return false;
}

void sbx_picture_answer(sbx_conn_t *c, const wagw_node_t *iq, const sbx_picture_t *p)
{
    wagw_node_t *n, *k;
    wagw_arena_t a = {0};
    const wagw_node_t *q = wagw_node_find(iq, "picture");

    if (p->path == NULL) {
        sbx_iq_error(c, iq, 404, "item-not-found");
        return;
    }
    n = sbx_iq_result(&a, iq);
    k = wagw_node_child(&a, n, "picture");
    wagw_node_attr_int(&a, k, "id", (int64_t)p->id);
    wagw_node_attrc(&a, k, "type", wagw_node_attr_is(q, "type", "preview") ? "preview" : "image");
    wagw_node_attr(&a, k, "url", wagw_arena_printf(&a, "https://%s:%u%s", sbx.host, sbx.media_port, p->path));
    wagw_node_attrc(&a, k, "direct_path", p->path);
    sbx_send(c, n);
    wagw_arena_free(&a);
}

static void sbx_picture_get(sbx_conn_t *c, const wagw_node_t *iq)
{
    wagw_jid_t jid;
    sbx_account_t *acc;

    if (wagw_node_get_jid(iq, "target", &jid) != WAGW_OK) {
        sbx_iq_error(c, iq, 400, "bad-request");
        return;
    }
    if (wagw_jid_is_group(&jid)) {
        sbx_group_picture_iq(c, iq, &jid);
        return;
    }
    acc = sbx_account_jid(&jid);
    if (acc == NULL || !sbx_profile_shown(acc, "profile", c->device->account)) {
        sbx_iq_error(c, iq, 401, "not-authorized");
        return;
    }
    if (acc == c->device->account && wagw_node_find(wagw_node_find(iq, "picture"), "tctoken") != NULL) {
        /* real servers stay silent then */
        sbx_fault(c->device, "a token for the own picture");
        return;
    }
    sbx_account_watch(acc, c->device->account);
    sbx_picture_answer(c, iq, &acc->picture);
}

void sbx_iq_picture(sbx_conn_t *c, const wagw_node_t *iq)
{
    wagw_jid_t jid;
    wagw_node_t *n;
    wagw_arena_t a = {0};
    sbx_account_t *acc = c->device->account;
    const wagw_node_t *q = wagw_node_find(iq, "picture");
    wagw_str_t jpeg = wagw_node_data(q);

    if (wagw_node_attr_is(iq, "type", "get")) {
        sbx_picture_get(c, iq);
        return;
    }
    if (q != NULL && !sbx_picture_good(jpeg)) {
        sbx_iq_error(c, iq, 406, "not-acceptable");
        return;
    }
    if (wagw_node_get_jid(iq, "target", &jid) == WAGW_OK) {
        if (wagw_jid_is_group(&jid)) {
            sbx_group_picture_iq(c, iq, &jid);
        } else {
            sbx_fault(c->device, "a picture is set with a target");
            sbx_iq_error(c, iq, 403, "forbidden");
        }
        return;
    }
    sbx_picture_put(&acc->picture, jpeg);
    n = sbx_iq_result(&a, iq);
    if (q != NULL) {
        wagw_node_attr_int(&a, wagw_node_child(&a, n, "picture"), "id", (int64_t)acc->picture.id);
    }
    sbx_send(c, n);
    sbx_picture_notice(acc, c->device);
    wagw_arena_free(&a);
}

/* ---- about texts ---- */

static void sbx_about_set(sbx_account_t *acc, const sbx_device_t *by, wagw_str_t text)
{
    wagw_jid_t jid = sbx_account_jid_of(acc, false);
    wagw_node_t *n;
    wagw_arena_t a = {0};

    free(acc->about);
    acc->about = sbx_strndup(text);
    acc->about_t = sbx_now_s();
    n = sbx_notice(&a, "status", &jid);
    wagw_node_bytes(wagw_node_child(&a, n, "set"), wagw_cstr(acc->about));
    sbx_notice_about(acc, by, n);
    wagw_arena_free(&a);
}

void sbx_iq_status(sbx_conn_t *c, const wagw_node_t *iq)
{
    const wagw_node_t *s = wagw_node_find(iq, "status");

    if (wagw_node_attr_is(iq, "type", "set") && s != NULL) {
        if (wagw_node_data(s).n > SBX_ABOUT_MAX) {
            sbx_iq_error(c, iq, 406, "not-acceptable");
            return;
        }
        sbx_about_set(c->device->account, c->device, wagw_node_data(s));
        sbx_profile_ok(c, iq);
        return;
    }
    if (wagw_node_find(iq, "privacy") != NULL) {
        sbx_iq_status_privacy(c, iq);
        return;
    }
    sbx_unhandled(c, iq);
    sbx_iq_error(c, iq, 400, "bad-request");
}

void sbx_about_usync(wagw_arena_t *a, wagw_node_t *user, const sbx_account_t *acc, const sbx_account_t *asker)
{
    wagw_node_t *k = wagw_node_child(a, user, "status");

    if (!sbx_profile_shown(acc, "status", asker)) {
        wagw_node_attrc(a, k, "code", "401");
        wagw_node_attrc(a, k, "t", "0");
        wagw_node_attrc(a, k, "type", "fail");
        return;
    }
    wagw_node_attr_int(a, k, "t", acc->about_t ? acc->about_t : sbx.started / 1000);
    if (acc->about != NULL && acc->about[0] != '\0') {
        wagw_node_bytes(k, wagw_cstr(acc->about));
    }
}

/* ---- privacy ---- */

static const struct {
    const char *name, *value, *choices;
} sbx_privacy_table[] = {{"last", "all", "|all|contacts|contact_blacklist|none|"},
                         {"online", "all", "|all|match_last_seen|"},
                         {"profile", "all", "|all|contacts|contact_blacklist|none|"},
                         {"status", "all", "|all|contacts|contact_blacklist|none|"},
                         {"readreceipts", "all", "|all|none|"},
                         {"groupadd", "all", "|all|contacts|contact_blacklist|none|"},
                         {"calladd", "all", "|all|known|"},
                         {"messages", "all", "|all|contacts|"},
                         {"defense", "off", "|on_standard|off|"},
                         {"stickers", "contacts", "|contacts|contact_allowlist|none|"}};

#define SBX_PRIVACY (sizeof(sbx_privacy_table) / sizeof(sbx_privacy_table[0]))

static bool sbx_privacy_set(sbx_account_t *acc, const wagw_node_t *cat)
{
    size_t i;
    char choice[64], *old;
    wagw_str_t name = wagw_node_get(cat, "name"), value = wagw_node_get(cat, "value");

    snprintf(choice, sizeof(choice), "|%.*s|", (int)value.n, (const char *)value.p);
    for (i = 0; i < SBX_PRIVACY; i++) {
        if (wagw_str_eq(name, wagw_cstr(sbx_privacy_table[i].name)) && value.n != 0 &&
            strstr(sbx_privacy_table[i].choices, choice) != NULL) {
            old = sbx_map_get(&acc->privacy, sbx_privacy_table[i].name);
            sbx_map_put(&acc->privacy, sbx_privacy_table[i].name, sbx_strndup(value));
            free(old);
            return true;
        }
    }
    return false;
}

void sbx_iq_privacy(sbx_conn_t *c, const wagw_node_t *iq)
{
    size_t i;
    wagw_node_t *n, *p, *k;
    wagw_arena_t a = {0};
    wagw_jid_t jid;
    const char *v;
    sbx_account_t *acc = c->device->account;
    const wagw_node_t *q = wagw_node_find(iq, "tokens"), *cat;

    if (q != NULL) {
        n = sbx_iq_result(&a, iq);
        k = wagw_node_child(&a, n, "tokens");
        for (cat = wagw_node_find(q, "token"); cat != NULL; cat = wagw_node_find_next(cat, "token")) {
            if (wagw_node_get_jid(cat, "jid", &jid) != WAGW_OK || sbx_account_jid(&jid) == NULL) {
                sbx_fault(c->device, "token for an unknown user");
            }
        }
        sbx_send(c, n);
        wagw_arena_free(&a);
        return;
    }
    q = wagw_node_find(iq, "privacy");
    if (q == NULL) {
        sbx_unhandled(c, iq);
        sbx_iq_error(c, iq, 400, "bad-request");
        return;
    }
    if (wagw_node_attr_is(iq, "type", "set")) {
        for (cat = wagw_node_find(q, "category"); cat != NULL; cat = wagw_node_find_next(cat, "category")) {
            if (!sbx_privacy_set(acc, cat)) {
                sbx_iq_error(c, iq, 400, "bad-request");
                return;
            }
        }
        jid = sbx_account_jid_of(acc, false);
        n = sbx_notice(&a, "account_sync", &jid);
        wagw_node_append(n, wagw_node_clone(&a, q));
        sbx_notice_to(acc, c->device, n);
    }
    n = sbx_iq_result(&a, iq);
    p = wagw_node_child(&a, n, "privacy");
    for (i = 0; i < SBX_PRIVACY; i++) {
        v = sbx_map_get(&acc->privacy, sbx_privacy_table[i].name);
        k = wagw_node_child(&a, p, "category");
        wagw_node_attrc(&a, k, "name", sbx_privacy_table[i].name);
        wagw_node_attrc(&a, k, "value", v ? v : sbx_privacy_table[i].value);
    }
    sbx_send(c, n);
    wagw_arena_free(&a);
}

void sbx_iq_disappearing(sbx_conn_t *c, const wagw_node_t *iq)
{
    uint64_t s;
    wagw_jid_t jid;
    wagw_node_t *n;
    wagw_arena_t a = {0};
    sbx_account_t *acc = c->device->account;
    const wagw_node_t *q = wagw_node_find(iq, "disappearing_mode");

    if (wagw_node_get_u64(q, "duration", &s) != WAGW_OK || (s != 0 && s != 86400 && s != 604800 && s != 7776000)) {
        sbx_iq_error(c, iq, 400, "bad-request");
        return;
    }
    acc->disappearing = (uint32_t)s;
    acc->disappearing_t = sbx_now_s();
    sbx_profile_ok(c, iq);
    jid = sbx_account_jid_of(acc, false);
    n = sbx_notice(&a, "account_sync", &jid);
    q = wagw_node_child(&a, n, "disappearing_mode");
    wagw_node_attr_int(&a, (wagw_node_t *)q, "duration", (int64_t)s);
    wagw_node_attr_int(&a, (wagw_node_t *)q, "t", acc->disappearing_t);
    sbx_notice_to(acc, c->device, n);
    wagw_arena_free(&a);
}

void sbx_disappearing_usync(wagw_arena_t *a, wagw_node_t *user, const sbx_account_t *acc)
{
    wagw_node_t *k = wagw_node_child(a, user, "disappearing_mode");

    wagw_node_attr_int(a, k, "duration", acc->disappearing);
    wagw_node_attr_int(a, k, "t", acc->disappearing_t ? acc->disappearing_t : sbx.started / 1000);
}

/* ---- the block list ---- */

static wagw_str_t sbx_block_hash(wagw_arena_t *a, const sbx_account_t *acc)
{
    return wagw_arena_printf(a, "%u", acc->block_changes);
}

static void sbx_block_set(sbx_account_t *acc, const sbx_device_t *by, sbx_account_t *who, bool block)
{
    wagw_jid_t jid = sbx_account_jid_of(acc, false);
    wagw_node_t *n, *b, *k;
    wagw_arena_t a = {0};

    n = sbx_notice(&a, "account_sync", &jid);
    b = wagw_node_child(&a, n, "blocklist");
    wagw_node_attr(&a, b, "prev_dhash", sbx_block_hash(&a, acc));
    acc->block_changes++;
    wagw_node_attr(&a, b, "dhash", sbx_block_hash(&a, acc));
    k = wagw_node_child(&a, b, "item");
    wagw_node_attrc(&a, k, "action", block ? "block" : "unblock");
    jid = sbx_account_jid_of(who, true);
    wagw_node_attr_jid(&a, k, "jid", &jid);
    if (block) {
        sbx_map_put(&acc->blocked, who->lid, who);
    } else {
        sbx_map_del(&acc->blocked, who->lid);
    }
    sbx_notice_to(acc, by, n);
    wagw_arena_free(&a);
}

void sbx_iq_blocklist(sbx_conn_t *c, const wagw_node_t *iq)
{
    size_t i;
    bool block;
    wagw_jid_t jid;
    wagw_node_t *n, *list, *k;
    wagw_arena_t a = {0};
    sbx_account_t *acc = c->device->account, *who;
    const wagw_node_t *item = wagw_node_find(iq, "item");

    if (wagw_node_attr_is(iq, "type", "set")) {
        who = item && wagw_node_get_jid(item, "jid", &jid) == WAGW_OK && wagw_jid_is_lid(&jid) ? sbx_account_jid(&jid)
                                                                                               : NULL;
        block = wagw_node_attr_is(item, "action", "block");
        if (who == NULL || (!block && wagw_node_has(item, "pn_jid"))) {
            sbx_iq_error(c, iq, 400, "bad-request");
            return;
        }
        sbx_block_set(acc, c->device, who, block);
    }
    n = sbx_iq_result(&a, iq);
    list = wagw_node_child(&a, n, "list");
    wagw_node_attr(&a, list, "dhash", sbx_block_hash(&a, acc));
    for (i = 0; i < acc->blocked.cap; i++) {
        who = acc->blocked.slots[i].value;
        if (who != NULL) {
            k = wagw_node_child(&a, list, "item");
            jid = sbx_account_jid_of(who, true);
            wagw_node_attr_jid(&a, k, "jid", &jid);
            jid = sbx_account_jid_of(who, false);
            wagw_node_attr_jid(&a, k, "pn_jid", &jid);
        }
    }
    sbx_send(c, n);
    wagw_arena_free(&a);
}

/* ---- contact link, business ---- */

void sbx_iq_qr(sbx_conn_t *c, const wagw_node_t *iq)
{
    uint32_t i;
    wagw_jid_t jid;
    wagw_node_t *n, *k;
    wagw_arena_t a = {0};
    sbx_account_t *acc = c->device->account;
    const wagw_node_t *q = wagw_node_find(iq, "qr");

    n = sbx_iq_result(&a, iq);
    k = wagw_node_child(&a, n, "qr");
    if (wagw_node_attr_is(iq, "type", "set")) {
        if (acc->qr[0] == '\0' || wagw_node_attr_is(q, "action", "revoke")) {
            snprintf(acc->qr, sizeof(acc->qr), "%08X%08X", sbx_random_u32(), sbx_random_u32());
        }
        wagw_node_attrc(&a, k, "code", acc->qr);
        sbx_send(c, n);
        wagw_arena_free(&a);
        return;
    }
    for (i = 0; i < sbx.naccounts; i++) {
        if (sbx.accounts[i]->qr[0] != '\0' && wagw_node_attr_is(q, "code", sbx.accounts[i]->qr)) {
            jid = sbx_account_jid_of(sbx.accounts[i], false);
            wagw_node_attr_jid(&a, k, "jid", &jid);
            wagw_node_attrc(&a, k, "notify", sbx.accounts[i]->name);
            wagw_node_attrc(&a, k, "type", "contact");
            sbx_send(c, n);
            wagw_arena_free(&a);
            return;
        }
    }
    sbx_iq_error(c, iq, 404, "item-not-found");
    wagw_arena_free(&a);
}

/* The profile is kept as the children that were set last, each tag once. */
static void sbx_business_set(sbx_account_t *acc, const wagw_node_t *p)
{
    wagw_arena_t a = {0};
    wagw_node_t *all = wagw_node(&a, "profile");
    wagw_buf_t b = {0};
    const wagw_node_t *k, *old;
    wagw_node_t *was = NULL;

    if (acc->profile.n != 0) {
        (void)wagw_node_decode(&was, &a, wagw_buf_view(&acc->profile));
    }
    for (old = was ? was->child : NULL; old != NULL; old = old->next) {
        if (wagw_node_find(p, (const char *)wagw_arena_str(&a, old->tag).p) == NULL) {
            wagw_node_append(all, wagw_node_clone(&a, old));
        }
    }
    for (k = p->content == WAGW_CONTENT_NODES ? p->child : NULL; k != NULL; k = k->next) {
        wagw_node_append(all, wagw_node_clone(&a, k));
    }
    if (wagw_node_encode(&b, all) == WAGW_OK) {
        wagw_buf_free(&acc->profile);
        acc->profile = b;
    } else {
        wagw_buf_free(&b);
    }
    wagw_arena_free(&a);
}

void sbx_iq_business(sbx_conn_t *c, const wagw_node_t *iq)
{
    wagw_jid_t jid;
    wagw_node_t *n, *p, *kept = NULL;
    wagw_arena_t a = {0};
    sbx_account_t *acc = c->device->account;
    const wagw_node_t *q = wagw_node_find(iq, "business_profile"), *k;

    if (q == NULL) {
        sbx_unhandled(c, iq);
        sbx_iq_error(c, iq, 501, "feature-not-implemented");
        return;
    }
    if (wagw_node_attr_is(iq, "type", "set")) {
        if (acc->business[0] == '\0') {
            sbx_iq_error(c, iq, 403, "forbidden");
            return;
        }
        sbx_business_set(acc, q);
        sbx_profile_ok(c, iq);
        return;
    }
    n = sbx_iq_result(&a, iq);
    q = wagw_node_find(q, "profile");
    acc = wagw_node_get_jid(q, "jid", &jid) == WAGW_OK ? sbx_account_jid(&jid) : NULL;
    p = wagw_node_child(&a, n, "business_profile");
    if (acc != NULL && acc->business[0] != '\0') {
        p = wagw_node_child(&a, p, "profile");
        wagw_node_attr_jid(&a, p, "jid", &jid);
        if (acc->profile.n != 0) {
            (void)wagw_node_decode(&kept, &a, wagw_buf_view(&acc->profile));
        }
        for (k = kept ? kept->child : NULL; k != NULL; k = k->next) {
            wagw_node_append(p, wagw_node_clone(&a, k));
        }
    }
    sbx_send(c, n);
    wagw_arena_free(&a);
}

void sbx_profile_free(sbx_account_t *a)
{
    free(a->about);
    free(a->picture.path);
    wagw_buf_free(&a->profile);
}

/* ---- admin ---- */

/* Who it is: from, or one of its other names. */
static sbx_account_t *sbx_somebody(sbx_req_t *r)
{
    static const char *const names[] = {"from", "phone", "user", "name"};
    char buf[64];
    size_t i;
    const char *s = NULL;

    for (i = 0; i < 4 && s == NULL; i++) {
        s = sbx_arg(r, names[i], buf);
    }
    return s ? sbx_account_find(s) : NULL;
}

static int sbx_profile_done(sbx_req_t *r)
{
    wagw_json_open(&r->j, '{');
    wagw_json_kbool(&r->j, "ok", true);
    wagw_json_close(&r->j);
    return 200;
}

int sbx_admin_user_about(sbx_req_t *r)
{
    sbx_account_t *acc = sbx_somebody(r);
    const cJSON *text = sbx_arg_json(r, "about");

    text = text ? text : sbx_arg_json(r, "text");
    if (acc == NULL) {
        return sbx_error(r, 404, "no such account");
    }
    if (!cJSON_IsString(text) && !cJSON_IsNull(text)) {
        return sbx_error(r, 400, "about: a text, or null");
    }
    sbx_about_set(acc, NULL, cJSON_IsString(text) ? wagw_cstr(text->valuestring) : WAGW_STR(""));
    return sbx_profile_done(r);
}

int sbx_admin_user_picture(sbx_req_t *r)
{
    int rc = WAGW_OK;
    wagw_buf_t jpeg = {0};
    sbx_account_t *acc = sbx_somebody(r);
    const cJSON *p = sbx_arg_json(r, "picture"), *hex;

    p = p ? p : sbx_arg_json(r, "image");
    if (acc == NULL) {
        return sbx_error(r, 404, "no such account");
    }
    hex = cJSON_GetObjectItemCaseSensitive(p, "$hex");
    if (cJSON_IsString(hex)) {
        rc = wagw_hex_decode(&jpeg, wagw_cstr(hex->valuestring));
    } else if (cJSON_IsString(p)) {
        rc = wagw_base64_decode(&jpeg, wagw_cstr(p->valuestring));
    } else if (!cJSON_IsNull(p)) {
        rc = WAGW_MALFORMED;
    }
    if (rc != WAGW_OK || jpeg.n > SBX_PICTURE_MAX) {
        wagw_buf_free(&jpeg);
        return sbx_error(r, 400, "picture: {\"$hex\"}, base64, or null");
    }
    sbx_picture_put(&acc->picture, wagw_buf_view(&jpeg));
    wagw_buf_free(&jpeg);
    sbx_picture_notice(acc, NULL);
    return sbx_profile_done(r);
}

/* What the person sets on the phone: privacy categories, and whom they block. */
int sbx_admin_user_privacy(sbx_req_t *r)
{
    char buf[64];
    const char *block = sbx_arg(r, "block", buf);
    sbx_account_t *acc = sbx_somebody(r), *who;
    wagw_arena_t a = {0};
    wagw_node_t *cat;
    const cJSON *i, *list = sbx_arg_json(r, "privacy");

    if (acc == NULL) {
        return sbx_error(r, 404, "no such account");
    }
    cJSON_ArrayForEach(i, list)
    {
        cat = wagw_node(&a, "category");
        wagw_node_attrc(&a, cat, "name", i->string ? i->string : "");
        wagw_node_attrc(&a, cat, "value", cJSON_IsString(i) ? i->valuestring : "");
        if (!sbx_privacy_set(acc, cat)) {
            wagw_arena_free(&a);
            return sbx_error(r, 400, "privacy: {category: value}");
        }
    }
    wagw_arena_free(&a);
    if (block != NULL) {
        who = sbx_account_find(block);
        if (who == NULL) {
            return sbx_error(r, 404, "no account %s", block);
        }
        sbx_block_set(acc, NULL, who, !sbx_arg_bool(r, "unblock", false));
    }
    return sbx_profile_done(r);
}
