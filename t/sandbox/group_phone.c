/*
 * Mock phones in groups: their own sender keys, and the admin calls that let
 * them act.
 */

#include "group.h"

#include "../../core/message/message.h"

#include <stdio.h>
#include <stdlib.h>

typedef struct {
    char group[WAGW_JID_TEXT_MAX];
    wagw_signal_addr_t addr; /* own, or of the sender */
    wagw_str_t in;
    wagw_buf_t *out;
    uint32_t key_id;
} sbx_sender_key_t;

static void sbx_sender_key(sbx_sender_key_t *k, const char *group, const sbx_account_t *a, uint16_t device)
{
    wagw_jid_t jid;

    memset(k, 0, sizeof(*k));
    snprintf(k->group, sizeof(k->group), "%s", group);
    jid = sbx_account_jid_of(a, true);
    jid.device = device;
    k->addr = wagw_signal_addr(&jid);
}

static int sbx_turn_forget(sbx_account_t *a, void *data)
{
    sbx_sender_key_t *k;

    (void)a;
    k = data;
    return wagw_signal_group_forget(sbx.signal, wagw_cstr(k->group), &k->addr);
}

static int sbx_turn_skdm(sbx_account_t *a, void *data)
{
    sbx_sender_key_t *k;

    (void)a;
    k = data;
    wagw_buf_reset(k->out);
    return wagw_signal_group_skdm(sbx.signal, wagw_cstr(k->group), &k->addr, k->out, &k->key_id);
}

static int sbx_turn_group_encrypt(sbx_account_t *a, void *data)
{
    sbx_sender_key_t *k;

    (void)a;
    k = data;
    wagw_buf_reset(k->out);
    return wagw_signal_group_encrypt(sbx.signal, wagw_cstr(k->group), &k->addr, k->in, k->out);
}

static int sbx_turn_group_decrypt(sbx_account_t *a, void *data)
{
    sbx_sender_key_t *k;

    (void)a;
    k = data;
    wagw_buf_reset(k->out);
    return wagw_signal_group_decrypt(sbx.signal, wagw_cstr(k->group), &k->addr, k->in, k->out);
}

static int sbx_turn_group_process(sbx_account_t *a, void *data)
{
    sbx_sender_key_t *k;

    (void)a;
    k = data;
    return wagw_signal_group_process(sbx.signal, wagw_cstr(k->group), &k->addr, k->in);
}

int sbx_phone_skdm(sbx_account_t *a, const char *group, const sbx_account_t *sender, uint16_t device, wagw_str_t skdm)
{
    sbx_sender_key_t k;

    sbx_sender_key(&k, group, sender, device);
    k.in = skdm;
    return sbx_turn(a, sbx_turn_group_process, &k);
}

int sbx_phone_skmsg(sbx_account_t *a, const char *group, const sbx_account_t *sender, uint16_t device, wagw_str_t in,
                    wagw_buf_t *out)
{
    sbx_sender_key_t k;

    sbx_sender_key(&k, group, sender, device);
    k.in = in;
    k.out = out;
    return sbx_turn(a, sbx_turn_group_decrypt, &k);
}

int sbx_phone_with_skdm(sbx_account_t *from, const char *group, wagw_str_t message, wagw_buf_t *out, uint32_t *id)
{
    int rc;
    wagw_buf_t skdm = {0};
    sbx_sender_key_t k;

    sbx_sender_key(&k, group, from, 0);
    k.out = &skdm;
    rc = sbx_turn(from, sbx_turn_skdm, &k);
    if (rc == WAGW_OK) {
        rc = wagw_message_add_skdm(out, message, wagw_cstr(group), wagw_buf_view(&skdm));
        *id = k.key_id;
    }
    wagw_buf_wipe(&skdm);
    return rc;
}

/* The key to those who lack it. */
static int sbx_group_distribute(sbx_account_t *from, sbx_group_t *g, wagw_arena_t *a, wagw_node_t *n)
{
    int rc;
    char pair[2 * WAGW_KEY_MAX], group[WAGW_JID_TEXT_MAX];
    uint32_t i, id;
    wagw_buf_t message = {0}, sealed = {0};
    wagw_jid_t jid;
    wagw_node_t *parts, *to;
    sbx_device_t *d;

    parts = NULL;
    jid = sbx_group_jid(g);
    wagw_jid_text(&jid, group);
    rc = sbx_phone_with_skdm(from, group, WAGW_STR(""), &message, &id);
    for (i = 0; rc == WAGW_OK && i < g->nmembers; i++) {
        for (d = g->members[i].account->devices; d != NULL; d = d->next) {
            bool prekey;

            sbx_group_pair(pair, sbx_phone(from), d);
            if (d == sbx_phone(from) || sbx_map_get(&g->given, pair) == (void *)(uintptr_t)(id + 1ULL)) {
                continue;
            }
            wagw_buf_reset(&sealed);
            if (sbx_phone_encrypt(from, d, wagw_buf_view(&message), NULL, &sealed, &prekey) != WAGW_OK) {
                continue; /* no keys: it will ask */
            }
            parts = parts ? parts : wagw_node_child(a, n, "participants");
            to = wagw_node_child(a, parts, "to");
            jid = sbx_device_jid(d, g->lid);
            wagw_node_attr_jid(a, to, "jid", &jid);
            to = wagw_node_child(a, to, "enc");
            wagw_node_attrc(a, to, "v", "2");
            wagw_node_attrc(a, to, "type", prekey ? "pkmsg" : "msg");
            wagw_node_bytes_copy(a, to, wagw_buf_view(&sealed));
        }
    }
    wagw_buf_wipe(&message);
    wagw_buf_free(&sealed);
    return rc;
}

int sbx_phone_seal(sbx_account_t *from, const char *group, wagw_str_t message, wagw_buf_t *out)
{
    int rc;
    uint8_t r;
    wagw_buf_t plain = {0};
    sbx_sender_key_t k;

    sbx_sender_key(&k, group, from, 0);
    sbx_random(NULL, &r, 1);
    wagw_buf_str(&plain, message);
    wagw_pad(&plain, r);
    k.in = wagw_buf_view(&plain);
    k.out = out;
    rc = plain.failed ? WAGW_NOMEM : sbx_turn(from, sbx_turn_group_encrypt, &k);
    wagw_buf_wipe(&plain);
    return rc;
}

int sbx_group_phone_send(sbx_account_t *from, sbx_group_t *g, wagw_str_t message, const sbx_send_how_t *how,
                         char id[64])
{
    int rc;
    char group[WAGW_JID_TEXT_MAX];
    wagw_jid_t jid;
    wagw_buf_t sealed = {0};
    wagw_node_t *n, *enc;
    wagw_arena_t a = {0};
    sbx_member_t *m;
    sbx_sender_key_t k;

    sbx_phone_read(from);
    m = sbx_group_member(g, from);
    if (m == NULL || (g->announce && m->role == SBX_MEMBER)) {
        return WAGW_STATE;
    }
    jid = sbx_group_jid(g);
    wagw_jid_text(&jid, group);
    n = sbx_message_stanza(&a, from, message, how, id);
    if (n == NULL) {
        rc = WAGW_MALFORMED;
        goto done;
    }
    rc = WAGW_OK;
    if (m->rotate) {
        m->rotate = false;
        sbx_sender_key(&k, group, from, 0);
        rc = sbx_turn(from, sbx_turn_forget, &k);
    }
    if (rc == WAGW_OK) {
        rc = sbx_group_distribute(from, g, &a, n);
    }
    if (rc == WAGW_OK) {
        rc = sbx_phone_seal(from, group, message, &sealed);
    }
    if (rc != WAGW_OK) {
        goto done;
    }
    if (how->bad_enc) {
        sealed.p[sealed.n - 10] ^= 0x40;
    }
    enc = wagw_node_child(&a, n, "enc");
    wagw_node_attrc(&a, enc, "v", "2");
    wagw_node_attrc(&a, enc, "type", "skmsg");
    wagw_node_bytes(enc, wagw_buf_view(&sealed));
    sbx_sent_add(from, id, NULL, group, message, how);
    sbx_group_fanout(g, sbx_phone(from), n);

done:

    wagw_buf_free(&sealed);
    wagw_arena_free(&a);
    return rc;
}

int sbx_group_phone_resend(sbx_account_t *from, const char *group, const char *type, const char *id, wagw_str_t message,
                           sbx_device_t *d, const wagw_bundle_t *given, unsigned count)
{
    int rc;
    bool prekey;
    char pair[2 * WAGW_KEY_MAX];
    uint32_t key;
    wagw_buf_t whole = {0}, sealed = {0};
    wagw_node_t *n, *enc;
    wagw_arena_t a = {0};
    sbx_group_t *g;

    if (strstr(group, "@broadcast") != NULL) {
        return sbx_status_resend(from, group, type, id, message, d, given, count);
    }
    g = sbx_group_find(group);
    if (g == NULL || sbx_group_member(g, d->account) == NULL || sbx_group_member(g, from) == NULL) {
        return WAGW_STATE;
    }
    rc = sbx_phone_with_skdm(from, group, message, &whole, &key);
    if (rc == WAGW_OK) {
        rc = sbx_phone_encrypt(from, d, wagw_buf_view(&whole), given, &sealed, &prekey);
    }
    if (rc == WAGW_OK) {
        n = wagw_node(&a, "message");
        wagw_node_attr(&a, n, "id", wagw_cstr(id));
        wagw_node_attrc(&a, n, "type", type);
        enc = wagw_node_child(&a, n, "enc");
        wagw_node_attrc(&a, enc, "v", "2");
        wagw_node_attrc(&a, enc, "type", prekey ? "pkmsg" : "msg");
        wagw_node_attr_int(&a, enc, "count", count);
        wagw_node_bytes(enc, wagw_buf_view(&sealed));
        sbx_group_pair(pair, sbx_phone(from), d);
        sbx_map_put(&g->given, pair, (void *)(uintptr_t)(key + 1ULL));
        sbx_group_copy(g, sbx_phone(from), d, n, n, NULL);
    }
    wagw_buf_wipe(&whole);
    wagw_buf_free(&sealed);
    wagw_arena_free(&a);
    return rc;
}

int sbx_group_phone_answer(sbx_account_t *from, const char *group, wagw_str_t message)
{
    char id[64];
    sbx_group_t *g;
    sbx_send_how_t how;

    g = sbx_group_find(group);
    if (g == NULL) {
        return WAGW_NOT_FOUND;
    }
    memset(&how, 0, sizeof(how));
    how.lid = g->lid;
    return sbx_group_phone_send(from, g, message, &how, id);
}
