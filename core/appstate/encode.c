/*
 * Writing: one patch from a list of changes (protocol 07 section 8).
 */

#include "internal.h"

int wagw_app_index(wagw_buf_t *out, const wagw_str_t *part, size_t nparts)
{
    wagw_json_t j = wagw_json(out);

    wagw_json_open(&j, '[');
    for (size_t i = 0; i < nparts; i++) {
        wagw_json_str(&j, part[i]);
    }
    wagw_json_close(&j);
    return out->failed ? WAGW_NOMEM : WAGW_OK;
}

static void put_uint(wagw_buf_t *b, uint32_t num, uint64_t v)
{
    wagw_wire_put_varint(b, (uint64_t)num << 3);
    wagw_wire_put_varint(b, v);
}

/* A message with the one bytes field `v`, as field `num`. */
static void put_box(wagw_buf_t *b, uint32_t num, wagw_str_t v)
{
    wagw_buf_t box = {0};

    wagw_wire_put_bytes(&box, 1, v);
    wagw_wire_put_bytes(b, num, wagw_buf_view(&box));
    b->failed = b->failed || box.failed;
    wagw_buf_free(&box);
}

/* blob = iv, ciphertext, MAC */
static int encode_value(wagw_buf_t *blob, const wagw_app_change_t *ch, const wagw_app_keys_t *k, wagw_str_t key_id)
{
    int rc;
    uint8_t mac[32];
    wagw_buf_t data = {0};

    wagw_wire_put_bytes(&data, 1, ch->index);
    wagw_wire_put_bytes(&data, 2, ch->value);
    wagw_wire_put_bytes(&data, 3, WAGW_STR(""));
    put_uint(&data, 4, (uint64_t)(int64_t)ch->version);

    wagw_buf_add(blob, ch->iv, WAGW_APP_IV);
    rc = data.failed ? WAGW_NOMEM : wagw_cbc_encrypt(blob, k->value, ch->iv, wagw_buf_view(&data));
    wagw_buf_wipe(&data);
    if (rc == WAGW_OK) {
        rc = wagw_app_value_mac(mac, k, ch->remove, key_id, wagw_buf_view(blob));
    }
    if (rc == WAGW_OK) {
        wagw_buf_add(blob, mac, sizeof(mac));
        rc = blob->failed ? WAGW_NOMEM : WAGW_OK;
    }
    return rc;
}

static void encode_mutation(wagw_buf_t *patch, bool remove, const uint8_t index[32], wagw_str_t blob, wagw_str_t key_id)
{
    wagw_buf_t record = {0}, mutation = {0};

    put_box(&record, 1, wagw_str(index, 32));
    put_box(&record, 2, blob);
    put_box(&record, 3, key_id);
    put_uint(&mutation, 1, remove);
    wagw_wire_put_bytes(&mutation, 2, wagw_buf_view(&record));
    wagw_wire_put_bytes(patch, 2, wagw_buf_view(&mutation));
    patch->failed = patch->failed || record.failed || mutation.failed;
    wagw_buf_free(&record);
    wagw_buf_free(&mutation);
}

int wagw_app_encode(wagw_txn_t *t, wagw_arena_t *a, wagw_app_collection_t c, wagw_str_t key_id,
                    const wagw_app_change_t *changes, size_t n, wagw_buf_t *patch, wagw_app_error_t *err)
{
    int rc;
    uint8_t *index, mac[32];
    wagw_buf_t macs = {0}, blob = {0};
    wagw_str_t id;
    wagw_app_keys_t keys, k;
    wagw_app_entry_t *e;
    wagw_app_index_t x;
    wagw_app_state_t s;

    id = key_id;
    rc = wagw_app_state(t, c, &s);
    if (rc == WAGW_OK) {
        rc = wagw_app_key(t, key_id, &keys);
    }
    if (rc == WAGW_OK) {
        rc = wagw_app_index_init(&x, a, n);
    }
    for (size_t i = 0; i < n && rc == WAGW_OK; i++) {
        const wagw_app_change_t *ch = &changes[i];

        id = ch->key.n ? ch->key : key_id;
        index = wagw_arena_alloc(a, 32);
        rc = index ? wagw_app_key(t, id, &k) : WAGW_NOMEM;
        if (rc == WAGW_OK) {
            rc = wagw_hmac_sha256(index, wagw_str(k.index, 32), ch->index);
        }
        if (rc == WAGW_OK) {
            rc = wagw_app_index_get(&x, t, c, false, index, &e);
        }
        if (rc == WAGW_OK) {
            wagw_buf_reset(&blob);
            rc = encode_value(&blob, ch, &k, id);
        }
        if (rc == WAGW_OK) {
            const uint8_t *value_mac = blob.p + blob.n - WAGW_APP_MAC;

            wagw_buf_add(&macs, value_mac, WAGW_APP_MAC);
            encode_mutation(patch, ch->remove, index, wagw_buf_view(&blob), id);
            rc = wagw_app_index_apply(e, s.hash, ch->remove, value_mac, id);
        }
    }
    if (rc == WAGW_OK) {
        s.version++;
        rc = wagw_app_snapshot_mac(mac, &keys, &s, c);
    }
    if (rc == WAGW_OK) {
        wagw_wire_put_bytes(patch, 4, wagw_str(mac, sizeof(mac)));
        rc = wagw_app_patch_mac(mac, &keys, mac, wagw_buf_view(&macs), s.version, c);
    }
    if (rc == WAGW_OK) {
        wagw_wire_put_bytes(patch, 5, wagw_str(mac, sizeof(mac)));
        put_box(patch, 6, key_id);
        rc = patch->failed || macs.failed ? WAGW_NOMEM : WAGW_OK;
    }
    if (rc == WAGW_NOT_FOUND && err) {
        err->why = "missing_key";
        err->key_len = id.n <= WAGW_APP_KEY_ID_MAX ? id.n : 0;
        memcpy(err->key, id.p, err->key_len);
    }
    wagw_wipe(&keys, sizeof(keys));
    wagw_wipe(&k, sizeof(k));
    wagw_buf_free(&macs);
    wagw_buf_wipe(&blob);
    return rc;
}
