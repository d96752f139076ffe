/*
 * Accounts and their devices.  Device 0 is the phone (or the mock user), the
 * others are companions.
 */

#include "sandbox.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>

static uint64_t sbx_digits_of(const char *label, const char *text, uint64_t modulo)
{
    unsigned i;
    uint64_t v;
    uint8_t h[32];

    wagw_sha256_2(h, wagw_cstr(label), wagw_cstr(text));
    for (v = 0, i = 0; i < 8; i++) {
        v = v << 8 | h[i];
    }
    return v % modulo;
}

void sbx_phone_of_name(char out[SBX_USER_MAX], const char *name)
{
    snprintf(out, SBX_USER_MAX, "1555%08llu", (unsigned long long)sbx_digits_of("phone", name, 100000000ULL));
}

sbx_account_t *sbx_account_pn(const char *user)
{
    return sbx_map_get(&sbx.by_pn, user);
}

sbx_account_t *sbx_account_lid(const char *user)
{
    return sbx_map_get(&sbx.by_lid, user);
}

sbx_account_t *sbx_account_jid(const wagw_jid_t *jid)
{
    if (wagw_jid_is_lid(jid)) {
        return sbx_account_lid(jid->user);
    }
    return wagw_jid_is_pn(jid) ? sbx_account_pn(jid->user) : NULL;
}

static sbx_device_t *sbx_device_link(sbx_account_t *a, uint16_t id)
{
    sbx_device_t *d, **p;

    d = sbx_alloc(sizeof(sbx_device_t));
    d->account = a;
    d->id = id;
    for (p = &a->devices; *p != NULL; p = &(*p)->next) {
    }
    *p = d;
    return d;
}

sbx_account_t *sbx_account_make(const char *phone, const char *name)
{
    char derived[SBX_USER_MAX];
    sbx_account_t *a;

    if (phone == NULL) {
        sbx_phone_of_name(derived, name);
        phone = derived;
    }

    a = sbx_account_pn(phone);
    if (a != NULL) {
        if (name != NULL && !a->named) {
            sbx_set_text(&a->name, name);
            a->named = true;
        }
        return a;
    }

    a = sbx_alloc(sizeof(sbx_account_t));
    snprintf(a->pn, sizeof(a->pn), "%s", phone);
    snprintf(a->lid, sizeof(a->lid), "1%014llu", (unsigned long long)sbx_digits_of("lid", phone, 100000000000000ULL));
    a->name = sbx_strdup(name ? name : phone);
    a->named = name != NULL;
    a->about = sbx_strdup("Hey there! I am using WhatsApp.");
    a->registration_id = 1 + sbx_random_u32() % 16380;
    a->adv_raw_id = sbx_random_u32() >> 1;
    a->next_device = 1;
    a->next_prekey = 1;
    wagw_x25519_keypair(&a->identity, sbx_random, NULL);
    sbx_device_link(a, 0);

    if (sbx.naccounts == sbx.cap_accounts) {
        sbx.cap_accounts = sbx.cap_accounts ? sbx.cap_accounts * 2 : 64;
        sbx.accounts = realloc(sbx.accounts, sbx.cap_accounts * sizeof(sbx_account_t *));
        if (sbx.accounts == NULL) {
            abort();
        }
    }
    a->index = sbx.naccounts + 1;
    sbx.accounts[sbx.naccounts++] = a;
    sbx_map_put(&sbx.by_pn, a->pn, a);
    sbx_map_put(&sbx.by_lid, a->lid, a);
    return a;
}

sbx_account_t *sbx_account_find(const char *text)
{
    size_t n;
    char digits[SBX_USER_MAX];
    uint32_t i;
    wagw_jid_t jid;
    const char *p;
    sbx_account_t *a;

    if (text == NULL) {
        return NULL;
    }
    if (strchr(text, '@') != NULL) {
        return wagw_jid_parse(&jid, wagw_cstr(text)) == WAGW_OK ? sbx_account_jid(&jid) : NULL;
    }

    for (n = 0, p = text; *p && n + 1 < sizeof(digits); p++) {
        if (isdigit((unsigned char)*p)) {
            digits[n++] = *p;
        } else if (strchr("+ -().", *p) == NULL) {
            break;
        }
    }
    digits[n] = '\0';
    if (*p == '\0' && n != 0) {
        a = sbx_account_pn(digits);
        if (a == NULL) {
            a = sbx_account_lid(digits);
        }
        if (a != NULL) {
            return a;
        }
    }

    for (i = 0; i < sbx.naccounts; i++) {
        if (strcmp(sbx.accounts[i]->name, text) == 0) {
            return sbx.accounts[i];
        }
    }
    return NULL;
}

sbx_device_t *sbx_phone(const sbx_account_t *a)
{
    return a->devices;
}

sbx_device_t *sbx_device_get(const sbx_account_t *a, unsigned id)
{
    sbx_device_t *d;

    for (d = a->devices; d != NULL && d->id != id; d = d->next) {
    }
    return d;
}

sbx_device_t *sbx_device_add(sbx_account_t *a, uint16_t id, uint32_t key_index)
{
    sbx_device_t *d;

    d = sbx_device_link(a, id);
    d->key_index = key_index;
    return d;
}

sbx_device_t *sbx_device_find(const char *text)
{
    wagw_jid_t jid;
    sbx_account_t *a;

    a = sbx_account_find(text);
    if (a == NULL) {
        return NULL;
    }
    if (strchr(text, '@') != NULL && wagw_jid_parse(&jid, wagw_cstr(text)) == WAGW_OK && jid.device != 0) {
        return sbx_device_get(a, jid.device);
    }
    return a->devices->next;
}

static void sbx_device_free(sbx_device_t *d)
{
    sbx_chaos_forget(d);
    sbx_fault_forget(d);
    sbx_queue_free(d);
    sbx_log_clear(&d->log);
    wagw_buf_free(&d->adv);
    free(d->prekeys);
    free(d->platform);
    free(d);
}

void sbx_device_remove(sbx_device_t *d)
{
    sbx_account_t *a;
    sbx_device_t **p;

    a = d->account;
    for (p = &a->devices; *p != d; p = &(*p)->next) {
    }
    *p = d->next;

    if (d->conn != NULL) {
        d->conn->device = NULL;
        d->conn = NULL;
    }
    sbx_group_device_gone(a);
    sbx_devices_notify(a, d, "remove");
    sbx_device_free(d);
    sbx_changed();
}

uint32_t sbx_device_prekeys(const sbx_device_t *d)
{
    return d->nprekeys - d->first;
}

wagw_jid_t sbx_account_jid_of(const sbx_account_t *a, bool lid)
{
    return wagw_jid_make(lid ? a->lid : a->pn, lid ? WAGW_SRV_LID : WAGW_SRV_USER, 0);
}

wagw_jid_t sbx_device_jid(const sbx_device_t *d, bool lid)
{
    wagw_jid_t j;

    j = sbx_account_jid_of(d->account, lid);
    j.device = d->id;
    return j;
}

void sbx_account_watch(sbx_account_t *a, sbx_account_t *watcher)
{
    if (a != watcher && sbx_map_get(&a->watchers, watcher->lid) == NULL) {
        sbx_map_put(&a->watchers, watcher->lid, watcher);
    }
}

/* To whom it matters: those who asked for the account's devices or keys. */
static void sbx_identity_notify(const sbx_account_t *a, const sbx_account_t *to)
{
    wagw_jid_t jid;
    wagw_node_t *n;
    wagw_arena_t arena = {0};
    sbx_device_t *d;

    for (d = to->devices->next; d != NULL; d = d->next) {
        n = wagw_node(&arena, "notification");
        jid = sbx_account_jid_of(a, false);
        wagw_node_attr_jid(&arena, n, "from", &jid);
        jid = sbx_account_jid_of(a, true);
        wagw_node_attr_jid(&arena, n, "lid", &jid);
        wagw_node_attr(&arena, n, "id", sbx_server_id(&arena));
        wagw_node_attrc(&arena, n, "type", "encrypt");
        wagw_node_attr_int(&arena, n, "t", sbx_now_s());
        wagw_node_child(&arena, n, "identity");
        sbx_deliver(d, n);
        wagw_arena_reset(&arena);
    }
    wagw_arena_free(&arena);
}

void sbx_account_register(sbx_account_t *a)
{
    size_t i;
    sbx_conn_t *c;
    sbx_device_t *d;

    while ((d = a->devices->next) != NULL) {
        c = d->conn;
        sbx_device_remove(d);
        if (c != NULL) {
            sbx_stream_error(c, "401", "device_removed");
        }
    }
    sbx_phone_read(a);
    wagw_cache_forget(sbx.cache, a->index);
    a->registration_id = 1 + sbx_random_u32() % 16380;
    a->adv_raw_id = sbx_random_u32() >> 1;
    a->next_prekey = 1;
    a->has_spk = false;
    memset(a->app_key_id, 0, sizeof(a->app_key_id));
    a->app_olds = 0;
    wagw_x25519_keypair(&a->identity, sbx_random, NULL);
    for (i = 0; i < a->watchers.cap; i++) {
        if (a->watchers.slots[i].value != NULL) {
            sbx_identity_notify(a, a->watchers.slots[i].value);
        }
    }
}

void sbx_devices_hash(char out[16], const sbx_account_t *a, const sbx_account_t *b, bool lid)
{
    size_t n;
    wagw_jid_t *all;
    const sbx_device_t *d;

    n = 0;
    for (d = a->devices; d != NULL; d = d->next) {
        n++;
    }
    for (d = b && b != a ? b->devices : NULL; d != NULL; d = d->next) {
        n++;
    }
    all = sbx_alloc(n * sizeof(wagw_jid_t));
    n = 0;
    for (d = a->devices; d != NULL; d = d->next) {
        all[n++] = sbx_device_jid(d, lid);
    }
    for (d = b && b != a ? b->devices : NULL; d != NULL; d = d->next) {
        all[n++] = sbx_device_jid(d, lid);
    }
    if (wagw_phash(out, all, n) != WAGW_OK) {
        out[0] = '\0';
    }
    free(all);
}

void sbx_key_index_list(wagw_buf_t *out, sbx_account_t *a)
{
    uint8_t sig[64];
    wagw_buf_t list = {0}, idx = {0}, signed_part = {0};
    const sbx_device_t *d;

    sbx_varint(&idx, 0);
    for (d = a->devices->next; d != NULL; d = d->next) {
        sbx_varint(&idx, d->key_index);
    }
    sbx_pb_uint(&list, 1, a->adv_raw_id);
    sbx_pb_uint(&list, 2, (uint64_t)sbx_now_s());
    sbx_pb_uint(&list, 3, a->key_index);
    sbx_pb_bytes(&list, 4, wagw_buf_view(&idx));

    wagw_buf_add(&signed_part, "\x06\x02", 2);
    wagw_buf_str(&signed_part, wagw_buf_view(&list));
    wagw_xeddsa_sign(sig, a->identity.priv, wagw_buf_view(&signed_part), sbx_random, NULL);

    sbx_pb_bytes(out, 1, wagw_buf_view(&list));
    sbx_pb_bytes(out, 2, wagw_str(sig, sizeof(sig)));
    wagw_buf_free(&list);
    wagw_buf_free(&idx);
    wagw_buf_free(&signed_part);
}

static void sbx_devices_notify_one(sbx_account_t *a, const sbx_device_t *d, const char *what, sbx_account_t *to,
                                   wagw_str_t list)
{
    char hash[16], lid_hash[16];
    wagw_jid_t jid;
    wagw_node_t *n, *ch, *k;
    wagw_arena_t arena = {0};
    sbx_device_t *c;

    sbx_devices_hash(hash, a, NULL, false);
    sbx_devices_hash(lid_hash, a, NULL, true);

    for (c = to->devices->next; c != NULL; c = c->next) {
        if (c == d) {
            continue;
        }
        n = wagw_node(&arena, "notification");
        jid = sbx_account_jid_of(a, false);
        wagw_node_attr_jid(&arena, n, "from", &jid);
        wagw_node_attr(&arena, n, "id", sbx_server_id(&arena));
        wagw_node_attrc(&arena, n, "type", "devices");
        wagw_node_attr_int(&arena, n, "t", sbx_now_s());
        jid = sbx_account_jid_of(a, true);
        wagw_node_attr_jid(&arena, n, "lid", &jid);

        ch = wagw_node_child(&arena, n, what);
        wagw_node_attr(&arena, ch, "device_hash", wagw_arena_str(&arena, wagw_cstr(hash)));
        wagw_node_attr(&arena, ch, "device_lid_hash", wagw_arena_str(&arena, wagw_cstr(lid_hash)));
        k = wagw_node_child(&arena, ch, "device");
        jid = sbx_device_jid(d, false);
        wagw_node_attr_jid(&arena, k, "jid", &jid);
        jid = sbx_device_jid(d, true);
        wagw_node_attr_jid(&arena, k, "lid", &jid);
        wagw_node_attr_int(&arena, k, "key-index", d->key_index);
        k = wagw_node_child(&arena, ch, "key-index-list");
        wagw_node_attr_int(&arena, k, "ts", sbx_now_s());
        wagw_node_bytes(k, list);

        sbx_deliver(c, n);
        wagw_arena_reset(&arena);
    }
    wagw_arena_free(&arena);
}

void sbx_devices_notify(sbx_account_t *a, const sbx_device_t *d, const char *what)
{
    size_t i;
    wagw_buf_t list = {0};

    sbx_key_index_list(&list, a);
    sbx_devices_notify_one(a, d, what, a, wagw_buf_view(&list));
    for (i = 0; i < a->watchers.cap; i++) {
        if (a->watchers.slots[i].value != NULL) {
            sbx_devices_notify_one(a, d, what, a->watchers.slots[i].value, wagw_buf_view(&list));
        }
    }
    wagw_buf_free(&list);
}

void sbx_model_reset(void)
{
    size_t k;
    uint32_t i;
    sbx_account_t *a;
    sbx_device_t *d;

    sbx_groups_reset();
    for (i = 0; i < sbx.naccounts; i++) {
        a = sbx.accounts[i];
        while ((d = a->devices) != NULL) {
            a->devices = d->next;
            sbx_device_free(d);
        }
        sbx_phone_free(a);
        for (k = 0; k < a->privacy.cap; k++) {
            free(a->privacy.slots[k].value);
        }
        sbx_map_free(&a->privacy);
        sbx_map_free(&a->blocked);
        sbx_map_free(&a->status_list);
        sbx_map_free(&a->watchers);
        sbx_map_free(&a->listeners);
        free(a->name);
        sbx_profile_free(a);
        wagw_wipe(&a->identity, sizeof(a->identity));
        free(a);
    }
    free(sbx.accounts);
    sbx.accounts = NULL;
    sbx.naccounts = sbx.cap_accounts = 0;
    sbx_map_free(&sbx.by_pn);
    sbx_map_free(&sbx.by_lid);
}
