/*
 * Nodes, messages and Signal keys as the vectors write them.
 */

#include "client_sim.h"

/* "05" + 32 bytes, or 32 bytes. */
void sim_public_key(const cJSON *o, uint8_t pub[32])
{
    uint8_t b[33];
    size_t n = vec_hex(o, "public", b, sizeof(b));

    assert_true(n == 32 || n == 33);
    memcpy(pub, b + (n - 32), 32);
}

/* ---- keys ------------------------------------------------------------------------- */

void sim_keypair(const cJSON *o, wagw_keypair_t *kp)
{
    assert_int_equal(vec_hex(o, "private", kp->priv, 32), 32);
    sim_public_key(o, kp->pub);
}

int sim_put_keys(wagw_signal_t *s, void *data)
{
    const cJSON *o = data, *k, *spk = vec_get(o, "signed_prekey");
    uint8_t sig[64];
    wagw_keypair_t kp;

    sim_keypair(spk, &kp);
    assert_int_equal(vec_hex(spk, "signature", sig, 64), 64);
    assert_int_equal(wagw_signal_put_signed_prekey(s, (uint32_t)vec_int(spk, "id", 1), &kp, sig, SIM_START), WAGW_OK);
    cJSON_ArrayForEach(k, vec_get(o, "prekeys"))
    {
        sim_keypair(k, &kp);
        assert_int_equal(wagw_signal_put_prekey(s, (uint32_t)vec_int(k, "id", 0), &kp, true), WAGW_OK);
    }
    return WAGW_OK;
}

void sim_fill_device(sim_device_t *d, const cJSON *o)
{
    const cJSON *k, *spk = vec_get(o, "signed_prekey");
    sim_otk_t *otk, **last = &d->otks;

    d->registration = (uint32_t)vec_int(o, "registration_id", 0);
    sim_public_key(vec_get(o, "identity"), d->identity);
    d->spk_id = (uint32_t)vec_int(spk, "id", 1);
    sim_public_key(spk, d->spk);
    assert_int_equal(vec_hex(spk, "signature", d->spk_sig, 64), 64);
    d->has_bundle = true;
    cJSON_ArrayForEach(k, vec_get(o, "prekeys"))
    {
        otk = calloc(1, sizeof(*otk));
        assert_non_null(otk);
        otk->id = (uint32_t)vec_int(k, "id", 0);
        sim_public_key(k, otk->pub);
        *last = otk;
        last = &otk->next;
    }
}

wagw_node_t *sim_node_of(wagw_arena_t *a, const cJSON *json)
{
    const cJSON *attr, *child, *content = vec_get(json, "content");
    const char *key, *value;
    wagw_jid_t j;
    wagw_node_t *n = wagw_node(a, vec_str(json, "tag"));

    cJSON_ArrayForEach(attr, vec_get(json, "attrs"))
    {
        key = cJSON_IsArray(attr) ? cJSON_GetArrayItem(attr, 0)->valuestring : attr->string;
        value = cJSON_IsArray(attr) ? cJSON_GetArrayItem(attr, 1)->valuestring : attr->valuestring;
        if (strchr(value, '@') && wagw_jid_parse(&j, wagw_cstr(value)) == WAGW_OK) {
            wagw_node_attr_jid(a, n, key, &j);
        } else {
            wagw_node_attrc(a, n, key, value);
        }
    }
    if (cJSON_IsArray(content)) {
        cJSON_ArrayForEach(child, content)
        {
            wagw_node_append(n, sim_node_of(a, child));
        }
    } else if (vec_get(content, "str")) {
        wagw_node_text(n, vec_text(a, vec_get(content, "str")));
    } else if (vec_get(content, "hex")) {
        wagw_node_bytes(n, vec_bytes(a, content, "hex"));
    } else if (cJSON_IsString(content)) {
        wagw_node_text(n, wagw_cstr(content->valuestring));
    }
    return n;
}

/* All attributes of one, none more; skip: name of one that may differ. */
bool sim_same_attrs(const wagw_node_t *have, const wagw_node_t *want, const char *skip)
{
    unsigned n = 0, m = 0;

    for (const wagw_attr_t *x = want->attrs; x; x = x->next) {
        char key[64];

        snprintf(key, sizeof(key), "%.*s", (int)x->key.n, (const char *)x->key.p);
        if (skip && strcmp(key, skip) == 0) {
            continue;
        }
        n++;
        if (!wagw_str_eq(wagw_node_get(have, key), x->value)) {
            print_message("%s: \"%s\" where \"%.*s\" is expected\n", key, sim_attr(have, key), (int)x->value.n,
                          (const char *)x->value.p);
            return false;
        }
    }
    for (const wagw_attr_t *x = have->attrs; x; x = x->next) {
        m += !(skip && wagw_str_eq(x->key, wagw_cstr(skip)));
    }
    return n == m;
}

sim_account_t *sim_vector_account(sim_t *w, const cJSON *devices)
{
    const cJSON *o;
    wagw_jid_t lid, pn;
    wagw_keypair_t kp;
    sim_account_t *acc = NULL;
    sim_device_t *d, **last = NULL;
    sim_peer_t like;

    cJSON_ArrayForEach(o, devices)
    {
        assert_int_equal(wagw_jid_parse(&lid, wagw_cstr(vec_str(o, "lid"))), WAGW_OK);
        assert_int_equal(wagw_jid_parse(&pn, wagw_cstr(vec_str(o, "pn"))), WAGW_OK);
        if (acc == NULL) {
            acc = sim_account(w, pn.user, lid.user);
            sim_unlink(acc->devices);
            last = &acc->devices;
        }
        d = calloc(1, sizeof(*d));
        assert_non_null(d);
        d->acc = acc;
        d->id = lid.device;
        d->key_index = lid.device ? 1 : 0;
        sim_fill_device(d, o);
        sim_keypair(vec_get(o, "identity"), &kp);
        memset(&like, 0, sizeof(like));
        like.identity = kp;
        (void)sim_peer_copy(w, d, &like);
        d->peer->silent = true;
        assert_int_equal(sim_signal_do(&d->peer->mem, &kp, d->registration, sim_put_keys, (void *)o), WAGW_OK);
        if (d->id == 0) {
            acc->phone = d->peer;
            acc->identity = kp;
        }
        *last = d;
        last = &d->next;
    }
    assert_non_null(acc);
    return acc;
}

/* ---- messages ------------------------------------------------------------------------ */

/* What is ours to choose goes: secrets, times. */
static void plain(cJSON *m)
{
    cJSON *child;

    cJSON_DeleteItemFromObjectCaseSensitive(m, "messageContextInfo");
    cJSON_DeleteItemFromObjectCaseSensitive(m, "senderTimestampMs");
    cJSON_DeleteItemFromObjectCaseSensitive(m, "timestampMs");
    cJSON_ArrayForEach(child, m)
    {
        if (cJSON_IsObject(child)) {
            plain(child);
        }
    }
}

/* ---- what we send ------------------------------------------------------------------------ */

cJSON *sim_canonical(const cJSON *message)
{
    const char *field = NULL;
    wagw_buf_t b = {0}, json = {0};
    cJSON *copy = cJSON_Duplicate(message, 1), *out;

    plain(copy);
    if (wagw_message_from_json(&b, copy, &field) != WAGW_OK) {
        fail_msg("not a message: %s", field ? field : "?");
    }
    assert_int_equal(wagw_message_json(&json, wagw_buf_view(&b)), WAGW_OK);
    out = cJSON_ParseWithLength((const char *)json.p, json.n);
    assert_non_null(out);
    wagw_buf_free(&b);
    wagw_buf_free(&json);
    cJSON_Delete(copy);
    return out;
}

/* Baileys leaves protocolMessage bare at the top, the pages wrap an edit in
 * editedMessage (04 section 21 H). */
cJSON *sim_wrap_edit(const cJSON *message, bool edit)
{
    cJSON *m = cJSON_Duplicate(message, 1), *inner, *wrap;
    cJSON *dsm = cJSON_GetObjectItemCaseSensitive(m, "deviceSentMessage");

    if (edit && dsm) {
        inner = cJSON_DetachItemFromObjectCaseSensitive(dsm, "message");
        cJSON_AddItemToObject(dsm, "message", sim_wrap_edit(inner, true));
        cJSON_Delete(inner);
        return m;
    }
    if (!edit) {
        return m;
    }
    plain(m);
    wrap = cJSON_CreateObject();
    inner = cJSON_AddObjectToObject(wrap, "editedMessage");
    cJSON_AddItemToObject(inner, "message", m);
    return wrap;
}

void sim_replace_text(cJSON *o, const char *from, const char *to)
{
    cJSON *child;

    cJSON_ArrayForEach(child, o)
    {
        if (cJSON_IsString(child) && strcmp(child->valuestring, from) == 0) {
            cJSON_SetValuestring(child, to);
        }
        sim_replace_text(child, from, to);
    }
}
