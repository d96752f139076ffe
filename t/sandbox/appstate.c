/*
 * App state as the server sees it: versions and patches it cannot read.  A
 * patch on another version than the newest is refused with 409.
 */

#include "sandbox.h"

#include <stdio.h>
#include <stdlib.h>

typedef struct sbx_patch_s sbx_patch_t;
struct sbx_patch_s {
    sbx_patch_t *next;
    uint64_t version;
    wagw_buf_t bytes;
};

typedef struct {
    uint64_t version;
    sbx_patch_t *patches;
    sbx_patch_t *last;
} sbx_collection_t;

static sbx_map_t sbx_collections; /* "<pn>|<name>" */

static const char *const sbx_collection_names[] = {"critical_block", "critical_unblock_low", "regular_high",
                                                   "regular_low", "regular"};

static sbx_collection_t *sbx_collection(const sbx_account_t *a, const char *name)
{
    char key[96];
    sbx_collection_t *c;

    snprintf(key, sizeof(key), "%s|%s", a->pn, name);
    c = sbx_map_get(&sbx_collections, key);
    if (c == NULL) {
        c = sbx_alloc(sizeof(sbx_collection_t));
        sbx_map_put(&sbx_collections, key, c);
    }
    return c;
}

void sbx_app_state_reset(void)
{
    size_t i;
    sbx_patch_t *p;
    sbx_collection_t *c;

    for (i = 0; i < sbx_collections.cap; i++) {
        c = sbx_collections.slots[i].value;
        while (c != NULL && (p = c->patches) != NULL) {
            c->patches = p->next;
            wagw_buf_free(&p->bytes);
            free(p);
        }
        free(c);
    }
    sbx_map_free(&sbx_collections);
}

static void sbx_server_sync(sbx_device_t *except, const char *name, uint64_t version)
{
    wagw_node_t *n, *k;
    wagw_arena_t a = {0};
    sbx_device_t *d;

    for (d = except->account->devices->next; d != NULL; d = d->next) {
        if (d == except) {
            continue;
        }
        n = wagw_node(&a, "notification");
        wagw_node_attr_server(&a, n, "from");
        wagw_node_attr(&a, n, "id", sbx_server_id(&a));
        wagw_node_attrc(&a, n, "type", "server_sync");
        wagw_node_attr_int(&a, n, "t", sbx_now_s());
        k = wagw_node_child(&a, n, "collection");
        wagw_node_attrc(&a, k, "name", name);
        wagw_node_attr_int(&a, k, "version", (int64_t)version);
        sbx_deliver(d, n);
        wagw_arena_reset(&a);
    }
    wagw_arena_free(&a);
}

/* The patch with its version (field 1 {1}) in front, as readers expect it. */
static void sbx_patch_store(sbx_collection_t *c, wagw_str_t bytes)
{
    wagw_buf_t v = {0};
    sbx_patch_t *p;

    p = sbx_alloc(sizeof(sbx_patch_t));
    p->version = ++c->version;
    sbx_pb_uint(&v, 1, p->version);
    sbx_pb_bytes(&p->bytes, 1, wagw_buf_view(&v));
    wagw_buf_str(&p->bytes, bytes);
    wagw_buf_free(&v);
    if (c->last != NULL) {
        c->last->next = p;
    } else {
        c->patches = p;
    }
    c->last = p;
}

static void sbx_collection_iq(sbx_conn_t *c, wagw_arena_t *a, wagw_node_t *out, const wagw_node_t *in)
{
    size_t i;
    uint64_t version;
    wagw_node_t *n, *k;
    const char *name;
    sbx_patch_t *p;
    sbx_collection_t *col;
    const wagw_node_t *patch;

    n = wagw_node_child(a, out, "collection");
    wagw_node_attr(a, n, "name", wagw_node_get(in, "name"));
    for (i = 0; i < 5 && !wagw_node_attr_is(in, "name", sbx_collection_names[i]); i++) {
    }
    if (i == 5) {
        wagw_node_attrc(a, n, "type", "error");
        k = wagw_node_child(a, n, "error");
        wagw_node_attrc(a, k, "code", "400");
        wagw_node_attrc(a, k, "text", "bad-request");
        return;
    }
    name = sbx_collection_names[i];
    col = sbx_collection(c->device->account, name);

    version = 0;
    wagw_node_get_u64(in, "version", &version);
    patch = wagw_node_find(in, "patch");
    if (patch != NULL) {
        if (version != col->version) {
            wagw_node_attrc(a, n, "type", "error");
            k = wagw_node_child(a, n, "error");
            wagw_node_attrc(a, k, "code", "409");
            wagw_node_attrc(a, k, "text", "conflict");
        } else {
            sbx_patch_store(col, wagw_node_data(patch));
            sbx_server_sync(c->device, name, col->version);
            version = col->version;
        }
    }
    wagw_node_attr_int(a, n, "version", (int64_t)col->version);

    for (k = NULL, p = col->patches; p != NULL; p = p->next) {
        if (p->version > version) {
            k = k ? k : wagw_node_child(a, n, "patches");
            wagw_node_bytes(wagw_node_child(a, k, "patch"), wagw_buf_view(&p->bytes));
        }
    }
}

void sbx_iq_app_state(sbx_conn_t *c, const wagw_node_t *iq)
{
    wagw_node_t *n, *out;
    wagw_arena_t a = {0};
    const wagw_node_t *sync, *k;

    sync = wagw_node_find(iq, "sync");
    if (sync == NULL) {
        sbx_unhandled(c, iq);
        sbx_iq_error(c, iq, 400, "bad-request");
        return;
    }
    n = sbx_iq_result(&a, iq);
    out = wagw_node_child(&a, n, "sync");
    for (k = wagw_node_find(sync, "collection"); k != NULL; k = wagw_node_find_next(k, "collection")) {
        sbx_collection_iq(c, &a, out, k);
    }
    sbx_send(c, n);
    wagw_arena_free(&a);
}

/* ---- what the phone itself writes: the push name, as version 1 ---- */

static void sbx_u64(wagw_buf_t *b, uint64_t v)
{
    wagw_buf_be(b, v, 8);
}

static void sbx_hmac_of(uint8_t mac[32], const uint8_t key[32], const wagw_buf_t *b)
{
    wagw_hmac_sha256(mac, wagw_str(key, 32), wagw_buf_view(b));
}

/* SyncdRecord of a SET and its value MAC. */
static void sbx_record(wagw_buf_t *record, uint8_t value_mac[32], const sbx_account_t *a, const uint8_t keys[160],
                       wagw_str_t index, wagw_str_t data)
{
    uint8_t iv[16], mac[64], index_mac[32];
    wagw_buf_t enc = {0}, b = {0}, part = {0};

    wagw_hmac_sha256(index_mac, wagw_str(keys, 32), index);
    sbx_random(NULL, iv, sizeof(iv));
    wagw_buf_add(&enc, iv, sizeof(iv));
    wagw_cbc_encrypt(&enc, keys + 32, iv, data);

    wagw_buf_u8(&b, 1);
    wagw_buf_add(&b, a->app_key_id, sizeof(a->app_key_id));
    wagw_buf_str(&b, wagw_buf_view(&enc));
    sbx_u64(&b, 1 + sizeof(a->app_key_id));
    wagw_hmac_sha512(mac, wagw_str(keys + 64, 32), wagw_buf_view(&b));
    memcpy(value_mac, mac, 32);
    wagw_buf_add(&enc, mac, 32);

    sbx_pb_bytes(&part, 1, wagw_str(index_mac, 32));
    sbx_pb_bytes(record, 1, wagw_buf_view(&part));
    wagw_buf_reset(&part);
    sbx_pb_bytes(&part, 1, wagw_buf_view(&enc));
    sbx_pb_bytes(record, 2, wagw_buf_view(&part));
    wagw_buf_reset(&part);
    sbx_pb_bytes(&part, 1, wagw_str(a->app_key_id, sizeof(a->app_key_id)));
    sbx_pb_bytes(record, 3, wagw_buf_view(&part));

    wagw_buf_free(&enc);
    wagw_buf_free(&b);
    wagw_buf_free(&part);
}

void sbx_app_state_push_name(sbx_account_t *a)
{
    uint8_t keys[160], lt[128], value_mac[32], snapshot[32], patch_mac[32];
    wagw_buf_t data = {0}, value = {0}, part = {0}, record = {0}, patch = {0}, b = {0};
    sbx_collection_t *c;
    static const char name[] = "critical_block";

    c = sbx_collection(a, name);
    if (c->version != 0) {
        return;
    }
    wagw_hkdf(keys, sizeof(keys), wagw_str(a->app_key, 32), WAGW_STR_NULL, WAGW_STR("WhatsApp Mutation Keys"));

    sbx_pb_bytes(&part, 1, wagw_cstr(a->name));
    sbx_pb_uint(&value, 1, (uint64_t)sbx_now_ms());
    sbx_pb_bytes(&value, 7, wagw_buf_view(&part));
    sbx_pb_bytes(&data, 1, WAGW_STR("[\"setting_pushName\"]"));
    sbx_pb_bytes(&data, 2, wagw_buf_view(&value));
    sbx_pb_bytes(&data, 3, WAGW_STR(""));
    sbx_pb_uint(&data, 4, 1);
    sbx_record(&record, value_mac, a, keys, WAGW_STR("[\"setting_pushName\"]"), wagw_buf_view(&data));

    /* the first record of an empty collection: its expansion is the hash */
    wagw_hkdf(lt, sizeof(lt), wagw_str(value_mac, 32), WAGW_STR_NULL, WAGW_STR("WhatsApp Patch Integrity"));
    wagw_buf_add(&b, lt, sizeof(lt));
    sbx_u64(&b, 1);
    wagw_buf_cstr(&b, name);
    sbx_hmac_of(snapshot, keys + 96, &b);
    wagw_buf_reset(&b);
    wagw_buf_add(&b, snapshot, 32);
    wagw_buf_add(&b, value_mac, 32);
    sbx_u64(&b, 1);
    wagw_buf_cstr(&b, name);
    sbx_hmac_of(patch_mac, keys + 128, &b);

    wagw_buf_reset(&part);
    sbx_pb_uint(&part, 1, 0);
    sbx_pb_bytes(&part, 2, wagw_buf_view(&record));
    sbx_pb_bytes(&patch, 2, wagw_buf_view(&part));
    sbx_pb_bytes(&patch, 4, wagw_str(snapshot, 32));
    sbx_pb_bytes(&patch, 5, wagw_str(patch_mac, 32));
    wagw_buf_reset(&part);
    sbx_pb_bytes(&part, 1, wagw_str(a->app_key_id, sizeof(a->app_key_id)));
    sbx_pb_bytes(&patch, 6, wagw_buf_view(&part));
    sbx_patch_store(c, wagw_buf_view(&patch));

    wagw_wipe(keys, sizeof(keys));
    wagw_buf_free(&data);
    wagw_buf_free(&value);
    wagw_buf_free(&part);
    wagw_buf_free(&record);
    wagw_buf_free(&patch);
    wagw_buf_free(&b);
}
