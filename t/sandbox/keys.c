/*
 * Prekeys: upload with checked signatures, count, digest, rotation, bundles
 * that consume one-time keys.
 */

#include "sandbox.h"

#include <openssl/evp.h>

#include <stdlib.h>

static bool sbx_skey_parse(const wagw_node_t *n, const uint8_t identity[32], uint32_t *id, uint8_t key[32],
                           uint8_t sig[64])
{
    uint8_t msg[33];
    wagw_str_t i, v, s;

    i = wagw_node_data(n ? wagw_node_find(n, "id") : NULL);
    v = wagw_node_data(n ? wagw_node_find(n, "value") : NULL);
    s = wagw_node_data(n ? wagw_node_find(n, "signature") : NULL);
    if (i.n != 3 || v.n != 32 || s.n != 64) {
        return false;
    }
    msg[0] = 5;
    memcpy(msg + 1, v.p, 32);
    if (wagw_xeddsa_verify(s.p, identity, wagw_str(msg, sizeof(msg))) != WAGW_OK) {
        return false;
    }
    *id = sbx_be_read(i.p, 3);
    memcpy(key, v.p, 32);
    memcpy(sig, s.p, 64);
    return true;
}

static bool sbx_prekey_known(const sbx_device_t *d, const uint8_t id[3])
{
    uint32_t i;

    for (i = d->first; i < d->nprekeys; i++) {
        if (memcmp(d->prekeys + (size_t)i * SBX_PREKEY_SIZE, id, 3) == 0) {
            return true;
        }
    }
    return false;
}

static void sbx_keys_upload(sbx_conn_t *c, const wagw_node_t *iq)
{
    bool fresh;
    size_t at;
    uint8_t *keys;
    uint32_t left;
    wagw_node_t *n;
    wagw_str_t id, v, reg, type, ident;
    wagw_arena_t a = {0};
    sbx_device_t *d;
    const wagw_node_t *list, *k;

    d = c->device;
    list = wagw_node_find(iq, "list");
    reg = wagw_node_data(wagw_node_find(iq, "registration"));
    type = wagw_node_data(wagw_node_find(iq, "type"));
    ident = wagw_node_data(wagw_node_find(iq, "identity"));
    if (list == NULL || reg.n != 4 || type.n != 1 || type.p[0] != 5 || ident.n != 32 ||
        memcmp(ident.p, d->identity, 32) != 0 || sbx_be_read(reg.p, 4) != d->registration_id ||
        !sbx_skey_parse(wagw_node_find(iq, "skey"), d->identity, &d->spk_id, d->spk, d->spk_sig)) {
        sbx_fault(d, "prekey upload: a field is missing, or identity, registration or signature is wrong");
        sbx_iq_error(c, iq, 406, "not-acceptable");
        return;
    }

    left = sbx_device_prekeys(d);
    if (list->nchildren == 0 || left + list->nchildren > SBX_PREKEYS_MAX) {
        sbx_fault(d, "prekey upload of %u keys with %u left", list->nchildren, left);
        sbx_iq_error(c, iq, 406, "not-acceptable");
        return;
    }

    keys = sbx_alloc((size_t)(left + list->nchildren) * SBX_PREKEY_SIZE);
    if (left != 0) {
        memcpy(keys, d->prekeys + (size_t)d->first * SBX_PREKEY_SIZE, (size_t)left * SBX_PREKEY_SIZE);
    }
    at = left;
    fresh = left == 0;
    for (k = wagw_node_find(list, "key"); k != NULL; k = wagw_node_find_next(k, "key")) {
        id = wagw_node_data(wagw_node_find(k, "id"));
        v = wagw_node_data(wagw_node_find(k, "value"));
        if (id.n != 3 || v.n != 32 || sbx_be_read(id.p, 3) == 0) {
            free(keys);
            sbx_fault(d, "prekey upload: a key is malformed");
            sbx_iq_error(c, iq, 406, "not-acceptable");
            return;
        }
        if (!fresh && sbx_prekey_known(d, id.p)) {
            continue; /* an upload that is repeated adds nothing */
        }
        memcpy(keys + at * SBX_PREKEY_SIZE, id.p, 3);
        memcpy(keys + at * SBX_PREKEY_SIZE + 3, v.p, 32);
        at++;
    }
    free(d->prekeys);
    d->prekeys = keys;
    d->first = 0;
    d->nprekeys = (uint32_t)at;
    d->low_told = false;

    n = sbx_iq_result(&a, iq);
    sbx_send(c, n);
    wagw_arena_free(&a);
    sbx_changed();
}

void sbx_prekeys_notify(sbx_device_t *d)
{
    wagw_node_t *n;
    wagw_arena_t a = {0};

    d->low_told = true;
    n = wagw_node(&a, "notification");
    wagw_node_attr_server(&a, n, "from");
    wagw_node_attr(&a, n, "id", sbx_server_id(&a));
    wagw_node_attrc(&a, n, "type", "encrypt");
    wagw_node_attr_int(&a, n, "t", sbx_now_s());
    wagw_node_attr_int(&a, wagw_node_child(&a, n, "count"), "value", sbx_device_prekeys(d));
    sbx_deliver(d, n);
    wagw_arena_free(&a);
}

int sbx_bundle_take(sbx_device_t *d, wagw_bundle_t *b)
{
    const uint8_t *p;

    if (d->id == 0) {
        return sbx_phone_bundle(d->account, b);
    }
    if (d->adv.n == 0) {
        return WAGW_NOT_FOUND;
    }

    memset(b, 0, sizeof(*b));
    b->registration_id = d->registration_id;
    memcpy(b->identity, d->identity, 32);
    b->spk_id = d->spk_id;
    memcpy(b->spk, d->spk, 32);
    memcpy(b->spk_sig, d->spk_sig, 64);
    if (sbx_device_prekeys(d) != 0) {
        p = d->prekeys + (size_t)d->first++ * SBX_PREKEY_SIZE;
        b->has_prekey = true;
        b->prekey_id = sbx_be_read(p, 3);
        memcpy(b->prekey, p + 3, 32);
    }
    if (sbx_device_prekeys(d) < SBX_PREKEYS_LOW && !d->low_told && d->connects != 0) {
        sbx_prekeys_notify(d);
    }
    return WAGW_OK;
}

static void sbx_node_be(wagw_arena_t *a, wagw_node_t *n, const char *tag, uint32_t v, unsigned bytes)
{
    uint8_t b[4];

    sbx_be(b, v, bytes);
    wagw_node_bytes_copy(a, wagw_node_child(a, n, tag), wagw_str(b, bytes));
}

static void sbx_bundle_node(wagw_arena_t *a, wagw_node_t *user, sbx_device_t *d)
{
    wagw_node_t *k;
    wagw_bundle_t b;

    if (sbx_bundle_take(d, &b) != WAGW_OK) {
        k = wagw_node_child(a, user, "error");
        wagw_node_attrc(a, k, "code", "404");
        wagw_node_attrc(a, k, "text", "item-not-found");
        return;
    }
    wagw_node_attr_int(a, user, "t", sbx_now_s());
    sbx_node_be(a, user, "registration", b.registration_id, 4);
    wagw_node_bytes(wagw_node_child(a, user, "type"), WAGW_STR("\x05"));
    wagw_node_bytes_copy(a, wagw_node_child(a, user, "identity"), wagw_str(b.identity, 32));
    if (b.has_prekey) {
        k = wagw_node_child(a, user, "key");
        sbx_node_be(a, k, "id", b.prekey_id, 3);
        wagw_node_bytes_copy(a, wagw_node_child(a, k, "value"), wagw_str(b.prekey, 32));
    }
    k = wagw_node_child(a, user, "skey");
    sbx_node_be(a, k, "id", b.spk_id, 3);
    wagw_node_bytes_copy(a, wagw_node_child(a, k, "value"), wagw_str(b.spk, 32));
    wagw_node_bytes_copy(a, wagw_node_child(a, k, "signature"), wagw_str(b.spk_sig, 64));
    if (d->adv.n != 0) {
        wagw_node_bytes_copy(a, wagw_node_child(a, user, "device-identity"), wagw_buf_view(&d->adv));
    }
}

static void sbx_keys_bundles(sbx_conn_t *c, const wagw_node_t *iq, const wagw_node_t *key)
{
    wagw_jid_t jid;
    wagw_node_t *n, *list, *user, *e;
    wagw_arena_t a = {0};
    sbx_device_t *d;
    sbx_account_t *acc;
    const wagw_node_t *u;

    n = sbx_iq_result(&a, iq);
    list = wagw_node_child(&a, n, "list");
    for (u = wagw_node_find(key, "user"); u != NULL; u = wagw_node_find_next(u, "user")) {
        if (wagw_node_get_jid(u, "jid", &jid) != WAGW_OK) {
            continue;
        }
        user = wagw_node_child(&a, list, "user");
        wagw_node_attr_jid(&a, user, "jid", &jid);
        acc = sbx_account_jid(&jid);
        d = acc ? sbx_device_get(acc, jid.device) : NULL;
        if (d == c->device) {
            sbx_fault(c->device, "asked for a bundle of itself");
        }
        if (d == NULL) {
            e = wagw_node_child(&a, user, "error");
            wagw_node_attrc(&a, e, "code", "404");
            wagw_node_attrc(&a, e, "text", "item-not-found");
            continue;
        }
        sbx_account_watch(acc, c->device->account);
        sbx_bundle_node(&a, user, d);
    }
    sbx_send(c, n);
    wagw_arena_free(&a);
}

/*
 * The digest covers what the server holds: identity, signed prekey with its
 * signature, and the one-time keys in order.
 */
static void sbx_keys_digest(sbx_conn_t *c, const wagw_node_t *iq)
{
    uint32_t i;
    uint8_t sha[20];
    wagw_buf_t b = {0};
    wagw_node_t *n, *dg, *k;
    wagw_arena_t a = {0};
    sbx_device_t *d;
    const uint8_t *p;

    d = c->device;
    if (sbx_device_prekeys(d) == 0) {
        sbx_iq_error(c, iq, 404, "item-not-found");
        return;
    }

    n = sbx_iq_result(&a, iq);
    dg = wagw_node_child(&a, n, "digest");
    sbx_node_be(&a, dg, "registration", d->registration_id, 4);
    wagw_node_bytes(wagw_node_child(&a, dg, "type"), WAGW_STR("\x05"));
    wagw_node_bytes(wagw_node_child(&a, dg, "identity"), wagw_str(d->identity, 32));
    k = wagw_node_child(&a, dg, "skey");
    sbx_node_be(&a, k, "id", d->spk_id, 3);
    wagw_node_bytes(wagw_node_child(&a, k, "value"), wagw_str(d->spk, 32));
    wagw_node_bytes(wagw_node_child(&a, k, "signature"), wagw_str(d->spk_sig, 64));

    wagw_buf_add(&b, d->identity, 32);
    wagw_buf_add(&b, d->spk, 32);
    wagw_buf_add(&b, d->spk_sig, 64);
    k = wagw_node_child(&a, dg, "list");
    for (i = d->first; i < d->nprekeys; i++) {
        p = d->prekeys + (size_t)i * SBX_PREKEY_SIZE;
        wagw_node_bytes(wagw_node_child(&a, k, "id"), wagw_str(p, 3));
        wagw_buf_add(&b, p + 3, 32);
    }
    EVP_Digest(b.p, b.n, sha, NULL, EVP_sha1(), NULL);
    wagw_node_bytes(wagw_node_child(&a, dg, "hash"), wagw_str(sha, 20));
    sbx_send(c, n);
    wagw_arena_free(&a);
    wagw_buf_free(&b);
}

void sbx_iq_encrypt(sbx_conn_t *c, const wagw_node_t *iq)
{
    wagw_node_t *n;
    wagw_arena_t a = {0};
    const wagw_node_t *k;

    if (wagw_node_attr_is(iq, "type", "set")) {
        if (wagw_node_find(iq, "list") != NULL) {
            sbx_keys_upload(c, iq);
            return;
        }
        k = wagw_node_find(iq, "rotate");
        if (k != NULL) {
            if (sbx_skey_parse(wagw_node_find(k, "skey"), c->device->identity, &c->device->spk_id, c->device->spk,
                               c->device->spk_sig)) {
                n = sbx_iq_result(&a, iq);
                sbx_send(c, n);
                wagw_arena_free(&a);
            } else {
                sbx_fault(c->device, "rotate: signed prekey malformed or its signature wrong");
                sbx_iq_error(c, iq, 406, "not-acceptable");
            }
            return;
        }
    } else {
        if (wagw_node_find(iq, "count") != NULL) {
            n = sbx_iq_result(&a, iq);
            wagw_node_attr_int(&a, wagw_node_child(&a, n, "count"), "value", sbx_device_prekeys(c->device));
            sbx_send(c, n);
            wagw_arena_free(&a);
            return;
        }
        if (wagw_node_find(iq, "digest") != NULL) {
            sbx_keys_digest(c, iq);
            return;
        }
        k = wagw_node_find(iq, "key");
        if (k != NULL) {
            sbx_keys_bundles(c, iq, k);
            return;
        }
    }
    sbx_unhandled(c, iq);
    sbx_iq_error(c, iq, 400, "bad-request");
}
