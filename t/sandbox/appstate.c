/*
 * App state as the server sees it: versions and patches it cannot read.  A
 * patch on another version than the newest is refused with 409.  The phone,
 * which has the keys, reads every patch and complains of those that are wrong.
 */

#include "sandbox.h"

#include "../../core/appstate/appstate.h"
#include "../../core/media/media.h"
#include "../../core/message/internal.h"

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
    cJSON *records; /* index JSON -> {index, value, version}: what the phone reads */
    bool broken;    /* a patch did not verify: the phone reads no further */
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
        if (c != NULL) {
            cJSON_Delete(c->records);
        }
        free(c);
    }
    sbx_map_free(&sbx_collections);
}

/* To every companion but the one that wrote; except NULL: the phone wrote. */
static void sbx_server_sync(sbx_account_t *acc, const sbx_device_t *except, const char *name, uint64_t version)
{
    wagw_node_t *n, *k;
    wagw_arena_t a = {0};
    sbx_device_t *d;

    for (d = acc->devices->next; d != NULL; d = d->next) {
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

/* ---- the phone reads ---- */

typedef struct {
    wagw_app_collection_t c;
    sbx_collection_t *col;
    wagw_str_t patch;
    wagw_arena_t arena;
    wagw_app_error_t err;
    wagw_app_change_t change;
    wagw_buf_t out;
    wagw_buf_t snapshot;
} sbx_reader_t;

static int sbx_read_mutation(void *data, const wagw_app_mutation_t *m)
{
    char *index = (char *)m->index.p;
    cJSON *o;
    sbx_reader_t *r = data;
    wagw_buf_t json = {0};

    if (!m->last) {
        return WAGW_OK;
    }
    index = sbx_alloc(m->index.n + 1);
    memcpy(index, m->index.p, m->index.n);
    cJSON_DeleteItemFromObjectCaseSensitive(r->col->records, index);
    if (!m->remove) {
        o = cJSON_CreateObject();
        cJSON_AddItemToObject(o, "index", cJSON_Parse(index));
        if (wagw_pb_json(&json, &wa__sync_action_value__descriptor, m->value) == WAGW_OK) {
            cJSON_AddItemToObject(o, "value", cJSON_ParseWithLength((char *)json.p, json.n));
        }
        cJSON_AddNumberToObject(o, "version", m->version);
        cJSON_AddItemToObject(r->col->records, index, o);
        wagw_buf_free(&json);
    }
    free(index);
    return WAGW_OK;
}

/* The phone's keys as records of its store. */
static int sbx_put_key(sbx_account_t *a)
{
    int rc;
    wagw_buf_t id = {0}, v = {0};

    wagw_hex_encode(&id, wagw_str(a->app_key_id, sizeof(a->app_key_id)));
    sbx_pb_bytes(&v, 1, wagw_str(a->app_key, sizeof(a->app_key)));
    sbx_pb_uint(&v, 3, 1);
    rc = wagw_txn_put(sbx.txn, WAGW_REC_APP_KEY, wagw_buf_view(&id), wagw_buf_view(&v));
    wagw_buf_free(&id);
    wagw_buf_wipe(&v);
    return rc;
}

static int sbx_turn_read(sbx_account_t *a, void *data)
{
    int rc;
    sbx_reader_t *r = data;

    rc = sbx_put_key(a);
    return rc == WAGW_OK
               ? wagw_app_patch(sbx.txn, &r->arena, r->c, r->patch, WAGW_STR_NULL, 1, sbx_read_mutation, r, &r->err)
               : rc;
}

static void sbx_phone_reads(sbx_account_t *a, const sbx_device_t *by, const char *name, sbx_collection_t *col,
                            wagw_str_t patch)
{
    int rc;
    const cJSON *record;
    sbx_reader_t r = {.col = col, .patch = patch};

    if (col->records == NULL) {
        col->records = cJSON_CreateObject();
    }
    if (col->broken || wagw_app_find(wagw_cstr(name), &r.c) != WAGW_OK) {
        return;
    }
    rc = sbx_turn(a, sbx_turn_read, &r);
    if (rc != WAGW_OK) {
        col->broken = true;
        sbx_fault((sbx_device_t *)by, "app state %s: the phone cannot read the patch: %s", name,
                  r.err.why ? r.err.why : wagw_rc_name(rc));
    } else if (strcmp(name, "regular_high") == 0) {
        record = cJSON_GetObjectItemCaseSensitive(col->records, "[\"status_privacy\"]");
        sbx_status_app_state(
            a, cJSON_GetObjectItemCaseSensitive(cJSON_GetObjectItemCaseSensitive(record, "value"), "statusPrivacy"));
    }
    wagw_arena_free(&r.arena);
}

/* The patch with its version (field 1 {1}) in front, as readers expect it. */
static void sbx_patch_store(sbx_account_t *a, const sbx_device_t *by, const char *name, sbx_collection_t *c,
                            wagw_str_t bytes)
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
    sbx_phone_reads(a, by, name, c, wagw_buf_view(&p->bytes));
}

/* ---- snapshots, made by the phone (config appStateSnapshots) ---- */

/* SyncdSnapshot of what the patches left, with the phone's newest key. */
static int sbx_turn_snapshot(sbx_account_t *a, void *data)
{
    int rc;
    uint8_t mac[32];
    wagw_buf_t b = {0}, part = {0};
    sbx_patch_t *p;
    sbx_reader_t *r = data;
    wagw_wire_t w, in;
    wagw_app_keys_t k;
    wagw_app_state_t s;
    wagw_wire_field_t f, g, blob;
    sbx_map_t latest = {0};
    size_t i;

    wagw_buf_reset(&r->snapshot);
    rc = wagw_app_state(sbx.txn, r->c, &s);
    if (rc == WAGW_OK) {
        rc = wagw_app_key(sbx.txn, wagw_str(a->app_key_id, sizeof(a->app_key_id)), &k);
    }
    if (rc != WAGW_OK) {
        return rc;
    }
    sbx_pb_uint(&part, 1, s.version);
    sbx_pb_bytes(&r->snapshot, 1, wagw_buf_view(&part));

    /* the last record of each index MAC, unless it is a REMOVE */
    for (p = r->col->patches; p != NULL; p = p->next) {
        w = wagw_wire(wagw_buf_view(&p->bytes));
        while (wagw_wire_next(&w, &f) == WAGW_OK) {
            char hex[80];
            bool removed = false;
            wagw_str_t record = WAGW_STR_NULL, *copy, mac_of;

            if (f.num != 2 || f.type != 2) {
                continue;
            }
            in = wagw_wire(f.val);
            while (wagw_wire_next(&in, &g) == WAGW_OK) {
                if (g.num == 1 && g.type == 0) {
                    removed = g.u != 0;
                } else if (g.num == 2 && g.type == 2) {
                    record = g.val;
                }
            }
            if (wagw_wire_find(record, 1, &g) != WAGW_OK || wagw_wire_find(g.val, 1, &blob) != WAGW_OK) {
                continue;
            }
            mac_of = blob.val;
            wagw_buf_reset(&b);
            wagw_hex_encode(&b, mac_of);
            snprintf(hex, sizeof(hex), "%.*s", (int)b.n, (char *)b.p);
            free(sbx_map_get(&latest, hex));
            sbx_map_del(&latest, hex);
            if (!removed) {
                copy = sbx_alloc(sizeof(*copy));
                *copy = record;
                sbx_map_put(&latest, hex, copy);
            }
        }
    }
    for (i = 0; i < latest.cap; i++) {
        if (latest.slots[i].value != NULL) {
            sbx_pb_bytes(&r->snapshot, 2, *(wagw_str_t *)latest.slots[i].value);
            free(latest.slots[i].value);
        }
    }
    sbx_map_free(&latest);

    wagw_buf_reset(&b);
    wagw_buf_add(&b, s.hash, sizeof(s.hash));
    wagw_buf_be(&b, s.version, 8);
    wagw_buf_cstr(&b, wagw_app_name(r->c));
    rc = wagw_hmac_sha256(mac, wagw_str(k.snapshot_mac, 32), wagw_buf_view(&b));
    sbx_pb_bytes(&r->snapshot, 3, wagw_str(mac, 32));
    wagw_buf_reset(&part);
    sbx_pb_bytes(&part, 1, wagw_str(a->app_key_id, sizeof(a->app_key_id)));
    sbx_pb_bytes(&r->snapshot, 4, wagw_buf_view(&part));
    wagw_wipe(&k, sizeof(k));
    wagw_buf_free(&b);
    wagw_buf_free(&part);
    return rc;
}

/* ---- the phone's own copy, as SyncdSnapshotRecovery ---- */

typedef struct {
    sbx_reader_t *r;
    wagw_wire_t records; /* of the snapshot, in the order in which they are told */
    wagw_buf_t out;
} sbx_copy_t;

static int sbx_copy_record(void *data, const wagw_app_mutation_t *m)
{
    sbx_copy_t *c = data;
    wagw_buf_t rec = {0}, act = {0};
    wagw_wire_field_t f, value, blob, key, id;

    do {
        if (wagw_wire_next(&c->records, &f) != WAGW_OK) {
            return WAGW_MALFORMED;
        }
    } while (f.num != 2 || f.type != 2);
    if (wagw_wire_find(f.val, 2, &value) != WAGW_OK || wagw_wire_find(value.val, 1, &blob) != WAGW_OK ||
        wagw_wire_find(f.val, 3, &key) != WAGW_OK || wagw_wire_find(key.val, 1, &id) != WAGW_OK) {
        return WAGW_MALFORMED;
    }
    sbx_pb_bytes(&act, 1, m->index);
    sbx_pb_bytes(&act, 2, m->value);
    sbx_pb_uint(&act, 4, (uint64_t)m->version);
    sbx_pb_bytes(&rec, 1, wagw_buf_view(&act));
    sbx_pb_bytes(&rec, 2, id.val);
    sbx_pb_bytes(&rec, 3, wagw_str(blob.val.p + blob.val.n - 32, 32));
    sbx_pb_bytes(&c->out, 3, wagw_buf_view(&rec));
    wagw_buf_free(&rec);
    wagw_buf_free(&act);
    return WAGW_OK;
}

static int sbx_turn_copy(sbx_account_t *a, void *data)
{
    int rc;
    wagw_buf_t part = {0};
    sbx_copy_t *c = data;
    wagw_app_state_t s;

    rc = sbx_put_key(a);
    if (rc == WAGW_OK) {
        rc = sbx_turn_snapshot(a, c->r);
    }
    if (rc == WAGW_OK) {
        wagw_buf_reset(&c->out);
        c->records = wagw_wire(wagw_buf_view(&c->r->snapshot));
        rc = wagw_app_snapshot(sbx.txn, &c->r->arena, c->r->c, wagw_buf_view(&c->r->snapshot), sbx_copy_record, c,
                               &c->r->err);
    }
    if (rc == WAGW_OK) {
        rc = wagw_app_state(sbx.txn, c->r->c, &s);
    }
    if (rc == WAGW_OK) {
        sbx_pb_uint(&part, 1, s.version);
        sbx_pb_bytes(&c->out, 1, wagw_buf_view(&part));
        sbx_pb_bytes(&c->out, 2, wagw_cstr(wagw_app_name(c->r->c)));
        sbx_pb_bytes(&c->out, 4, wagw_str(s.hash, sizeof(s.hash)));
    }
    wagw_buf_free(&part);
    return rc;
}

bool sbx_app_state_copy(sbx_account_t *a, const char *name, wagw_buf_t *out)
{
    int rc;
    sbx_reader_t r = {0};
    sbx_copy_t c = {.r = &r};

    if (wagw_app_find(wagw_cstr(name), &r.c) != WAGW_OK) {
        return false;
    }
    r.col = sbx_collection(a, name);
    if (r.col->version == 0 || r.col->broken) {
        return false;
    }
    rc = sbx_turn(a, sbx_turn_copy, &c);
    if (rc == WAGW_OK) {
        wagw_buf_str(out, wagw_buf_view(&c.out));
    }
    wagw_buf_free(&c.out);
    wagw_buf_free(&r.snapshot);
    wagw_arena_free(&r.arena);
    return rc == WAGW_OK;
}

void sbx_phone_upload(sbx_upload_t *u, const char *type, wagw_str_t plain)
{
    wagw_buf_t enc = {0};
    wagw_media_sums_t sums = {0};
    wagw_media_seal_t *seal;

    memset(u, 0, sizeof(*u));
    sbx_random(NULL, u->key, sizeof(u->key));
    seal = wagw_media_seal(wagw_media_type(type), u->key);
    if (seal == NULL || wagw_media_seal_add(seal, &enc, plain) != WAGW_OK ||
        wagw_media_seal_end(seal, &enc, &sums) != WAGW_OK) {
        abort();
    }
    wagw_media_seal_free(seal);
    memcpy(u->sha256, sums.sha256, 32);
    memcpy(u->enc_sha256, sums.enc_sha256, 32);
    u->size = sums.size;
    u->path = sbx_media_put(wagw_buf_view(&enc));
    wagw_buf_free(&sums.sidecar);
    wagw_buf_free(&enc);
}

/* An ExternalBlobReference into n. */
static bool sbx_snapshot(sbx_device_t *d, sbx_collection_t *col, const char *name, wagw_arena_t *arena, wagw_node_t *n)
{
    int rc;
    sbx_reader_t r = {.col = col};
    sbx_upload_t u;
    wagw_buf_t ref = {0};

    if (col->version == 0 || col->broken || wagw_app_find(wagw_cstr(name), &r.c) != WAGW_OK) {
        return false;
    }
    rc = sbx_turn(d->account, sbx_turn_snapshot, &r);
    if (rc == WAGW_OK && d->damage > 0) {
        d->damage--;
        r.snapshot.p[r.snapshot.n - 30] ^= 1; /* in its MAC */
    }
    if (rc == WAGW_OK) {
        sbx_phone_upload(&u, "md-app-state", wagw_buf_view(&r.snapshot));
        sbx_pb_bytes(&ref, 1, wagw_str(u.key, 32));
        sbx_pb_bytes(&ref, 2, wagw_cstr(u.path));
        sbx_pb_uint(&ref, 4, u.size);
        sbx_pb_bytes(&ref, 5, wagw_str(u.sha256, 32));
        sbx_pb_bytes(&ref, 6, wagw_str(u.enc_sha256, 32));
        wagw_node_bytes_copy(arena, wagw_node_child(arena, n, "snapshot"), wagw_buf_view(&ref));
        free(u.path);
    }
    wagw_buf_free(&ref);
    wagw_buf_free(&r.snapshot);
    wagw_arena_free(&r.arena);
    return rc == WAGW_OK;
}

static void sbx_collection_iq(sbx_conn_t *c, wagw_arena_t *a, wagw_node_t *out, const wagw_node_t *in)
{
    size_t i;
    uint64_t version;
    wagw_node_t *n, *k;
    const char *name;
    wagw_str_t copy;
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
            sbx_patch_store(c->device->account, c->device, name, col, wagw_node_data(patch));
            sbx_server_sync(c->device->account, c->device, name, col->version);
            version = col->version;
        }
    }
    wagw_node_attr_int(a, n, "version", (int64_t)col->version);
    if (sbx.snapshots && patch == NULL && wagw_node_attr_is(in, "return_snapshot", "true") &&
        sbx_snapshot(c->device, col, name, a, n)) {
        return;
    }

    for (k = NULL, p = col->patches; p != NULL; p = p->next) {
        if (p->version > version) {
            k = k ? k : wagw_node_child(a, n, "patches");
            copy = wagw_arena_str(a, wagw_buf_view(&p->bytes));
            if (p->next == NULL && c->device->damage > 0) {
                c->device->damage--;
                ((uint8_t *)copy.p)[copy.n - 30] ^= 1;
            }
            wagw_node_bytes(wagw_node_child(a, k, "patch"), copy);
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

/* ---- the phone writes ---- */

static int sbx_turn_write(sbx_account_t *a, void *data)
{
    int rc;
    sbx_reader_t *r = data;

    rc = sbx_put_key(a);
    wagw_buf_reset(&r->out);
    return rc == WAGW_OK ? wagw_app_encode(sbx.txn, &r->arena, r->c, wagw_str(a->app_key_id, sizeof(a->app_key_id)),
                                           &r->change, 1, &r->out, &r->err)
                         : rc;
}

static int sbx_phone_writes(sbx_account_t *a, const char *name, bool remove, wagw_str_t index, wagw_str_t value,
                            int32_t version)
{
    int rc;
    sbx_reader_t r = {.col = sbx_collection(a, name)};

    if (wagw_app_find(wagw_cstr(name), &r.c) != WAGW_OK) {
        return WAGW_NOT_FOUND;
    }
    r.change.remove = remove;
    r.change.index = index;
    r.change.value = value;
    r.change.version = version;
    sbx_random(NULL, r.change.iv, sizeof(r.change.iv));
    sbx_app_key(a);
    rc = sbx_turn(a, sbx_turn_write, &r);
    if (rc == WAGW_OK) {
        sbx_patch_store(a, NULL, name, r.col, wagw_buf_view(&r.out));
    }
    wagw_buf_free(&r.out);
    wagw_arena_free(&r.arena);
    return rc;
}

void sbx_app_state_push_name(sbx_account_t *a)
{
    wagw_buf_t part = {0}, value = {0};

    if (sbx_collection(a, "critical_block")->version != 0) {
        return;
    }
    sbx_pb_bytes(&part, 1, wagw_cstr(a->name));
    sbx_pb_uint(&value, 1, (uint64_t)sbx_now_ms());
    sbx_pb_bytes(&value, 7, wagw_buf_view(&part));
    sbx_phone_writes(a, "critical_block", false, WAGW_STR("[\"setting_pushName\"]"), wagw_buf_view(&value), 1);
    wagw_buf_free(&part);
    wagw_buf_free(&value);
}

/* ---- admin ---- */

static sbx_account_t *sbx_named_account(sbx_req_t *r, int *status)
{
    char buf[64];
    const char *phone = sbx_arg(r, "phone", buf);
    sbx_account_t *a = phone ? sbx_account_find(phone) : NULL;

    if (a == NULL) {
        *status = sbx_error(r, phone ? 404 : 400, phone ? "no such account" : "phone is needed");
    }
    return a;
}

static void sbx_collection_json(wagw_json_t *j, const sbx_account_t *a, const char *name)
{
    char *text;
    const cJSON *o;
    sbx_collection_t *c = sbx_collection(a, name);

    wagw_json_open(j, '{');
    wagw_json_kcstr(j, "collection", name);
    wagw_json_kint(j, "version", (int64_t)c->version);
    wagw_json_kbool(j, "verified", !c->broken);
    wagw_json_key(j, "records");
    wagw_json_open(j, '[');
    cJSON_ArrayForEach(o, c->records)
    {
        text = cJSON_PrintUnformatted(o);
        wagw_json_raw(j, wagw_cstr(text));
        free(text);
    }
    wagw_json_close(j);
    wagw_json_close(j);
}

int sbx_admin_app_state(sbx_req_t *r)
{
    int status;
    char buf[64];
    const char *name;
    sbx_account_t *a = sbx_named_account(r, &status);
    wagw_app_collection_t c;

    if (a == NULL) {
        return status;
    }
    name = sbx_arg(r, "collection", buf);
    if (name != NULL && wagw_app_find(wagw_cstr(name), &c) != WAGW_OK) {
        return sbx_error(r, 400, "collection: no such one");
    }
    if (name != NULL) {
        sbx_collection_json(&r->j, a, name);
        return 200;
    }
    wagw_json_open(&r->j, '[');
    for (size_t i = 0; i < 5; i++) {
        sbx_collection_json(&r->j, a, sbx_collection_names[i]);
    }
    wagw_json_close(&r->j);
    return 200;
}

int sbx_admin_phone_app_state(sbx_req_t *r)
{
    int rc, status;
    char buf[64], buf2[64], *index;
    bool remove;
    cJSON *made;
    wagw_buf_t value = {0};
    const char *name, *op, *field = NULL;
    const cJSON *json;
    sbx_account_t *a = sbx_named_account(r, &status);
    wagw_app_collection_t c;

    if (a == NULL) {
        return status;
    }
    name = sbx_arg(r, "collection", buf);
    if (name == NULL || wagw_app_find(wagw_cstr(name), &c) != WAGW_OK) {
        return sbx_error(r, 400, "collection: no such one");
    }
    if (!cJSON_IsArray(sbx_arg_json(r, "index"))) {
        return sbx_error(r, 400, "index: an array of texts is needed");
    }
    op = sbx_arg(r, "operation", buf2);
    remove = op != NULL && strcmp(op, "REMOVE") == 0;
    json = sbx_arg_json(r, "value");
    made = cJSON_IsObject(json) ? cJSON_Duplicate(json, true) : cJSON_CreateObject();
    if (cJSON_GetObjectItemCaseSensitive(made, "timestamp") == NULL) {
        cJSON_AddNumberToObject(made, "timestamp", (double)sbx_now_ms());
    }
    rc = wagw_pb_from_json(&value, &wa__sync_action_value__descriptor, made, &field);
    cJSON_Delete(made);
    if (rc != WAGW_OK) {
        wagw_buf_free(&value);
        return sbx_error(r, 400, "value: %s cannot be encoded", field ? field : "it");
    }
    index = cJSON_PrintUnformatted(sbx_arg_json(r, "index"));
    rc = sbx_phone_writes(a, name, remove, wagw_cstr(index), wagw_buf_view(&value),
                          (int32_t)sbx_arg_int(r, "version", 1));
    free(index);
    wagw_buf_free(&value);
    if (rc != WAGW_OK) {
        return sbx_error(r, 500, "%s", wagw_rc_name(rc));
    }
    sbx_server_sync(a, NULL, name, sbx_collection(a, name)->version);
    sbx_collection_json(&r->j, a, name);
    return 200;
}
