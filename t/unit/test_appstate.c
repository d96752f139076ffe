/*
 * core/appstate: the golden vectors with every MAC checked, and what they do
 * not hold: forgetting, choosing keys, hostile bytes.
 */

#include "client_sim.h"
#include "../../core/appstate/appstate.h"
#include "../../core/media/media.h"
#include "../../core/message/internal.h"

/* ---- turns upon a store in memory ---- */

static sim_mem_t mem;
static wagw_cache_t *cache;
static wagw_arena_t arena;
static uint64_t seq;
static unsigned reruns;

typedef int (*turn_pt)(wagw_txn_t *t, void *data);

static int turn(turn_pt fn, void *data)
{
    int rc;
    wagw_txn_t t = {0};
    wagw_rec_t *recs = NULL;
    wagw_load_t *asked = NULL, *copy, **last;
    wagw_batch_t *b;
    const wagw_load_t *l;
    wagw_arena_t held = {0};

    for (reruns = 0;; reruns++) {
        assert_true(reruns < 20);
        wagw_txn_begin(&t, cache, 1);
        t.scans = recs;
        t.scans_asked = asked;
        rc = fn(&t, data);
        if (rc != WAGW_AGAIN) {
            break;
        }
        wagw_txn_rollback(&t);
        /* the prefixes answered before come again */
        last = &asked;
        while (*last) {
            if ((*last)->prefix) {
                last = &(*last)->next;
            } else {
                *last = (*last)->next;
            }
        }
        assert_non_null(t.misses);
        for (l = t.misses; l; l = l->next) {
            copy = wagw_arena_alloc(&held, sizeof(*copy));
            *copy = *l;
            copy->next = asked;
            asked = copy;
        }
        recs = sim_mem_load(&mem, asked, &held);
        assert_int_equal(wagw_cache_fill(cache, 1, asked, recs), WAGW_OK);
    }
    if (rc == WAGW_OK && wagw_txn_changed(&t)) {
        b = wagw_batch_create(1, ++seq);
        assert_int_equal(wagw_txn_commit(&t, b), WAGW_OK);
        sim_mem_apply(&mem, b);
        wagw_cache_committed(cache, 1, seq);
        wagw_batch_destroy(b);
    } else {
        wagw_txn_rollback(&t);
    }
    wagw_txn_free(&t);
    wagw_arena_free(&held);
    return rc;
}

typedef struct {
    wagw_app_collection_t c;
    wagw_str_t bytes, external, key;
    uint64_t version;
    bool snapshot;
    wagw_app_error_t err;
    wagw_app_state_t state;
    wagw_app_change_t changes[4];
    size_t n;
    wagw_buf_t patch;
    int64_t expired;
    wagw_app_mutation_t seen[64];
    size_t nseen;
} job_t;

static int note(void *data, const wagw_app_mutation_t *m)
{
    job_t *j = data;

    assert_true(j->nseen < 64);
    j->seen[j->nseen++] = *m;
    return WAGW_OK;
}

static int do_read(wagw_txn_t *t, void *data)
{
    job_t *j = data;

    j->nseen = 0;
    memset(&j->err, 0, sizeof(j->err));
    return j->snapshot ? wagw_app_snapshot(t, &arena, j->c, j->bytes, note, j, &j->err)
                       : wagw_app_patch(t, &arena, j->c, j->bytes, j->external, j->version, note, j, &j->err);
}

static int do_encode(wagw_txn_t *t, void *data)
{
    job_t *j = data;

    wagw_buf_reset(&j->patch);
    return wagw_app_encode(t, &arena, j->c, j->key, j->changes, j->n, &j->patch, &j->err);
}

static int do_state(wagw_txn_t *t, void *data)
{
    job_t *j = data;

    return wagw_app_state(t, j->c, &j->state);
}

static int do_forget(wagw_txn_t *t, void *data)
{
    job_t *j = data;

    return wagw_app_forget(t, j->c);
}

static int do_best(wagw_txn_t *t, void *data)
{
    job_t *j = data;

    return wagw_app_key_best(t, &arena, j->expired, &j->key);
}

static int do_key_of(wagw_txn_t *t, void *data)
{
    job_t *j = data;

    return wagw_app_key_of(t, &arena, j->c, j->bytes, &j->key);
}

static int setup(void **state)
{
    (void)state;
    memset(&mem, 0, sizeof(mem));
    memset(&arena, 0, sizeof(arena));
    seq = 0;
    cache = wagw_cache_create(16 << 20);
    return cache ? 0 : -1;
}

static int teardown(void **state)
{
    (void)state;
    sim_mem_free(&mem);
    wagw_cache_destroy(cache);
    wagw_arena_free(&arena);
    return 0;
}

static void key_put(const char *hex_id, wagw_str_t data, uint64_t at)
{
    wagw_buf_t b = {0};

    wagw_buf_u8(&b, 0x0a);
    wagw_buf_u8(&b, (uint8_t)data.n);
    wagw_buf_str(&b, data);
    wagw_buf_u8(&b, 0x18);
    wagw_buf_u8(&b, (uint8_t)(at & 0x7f));
    sim_mem_put(&mem, WAGW_REC_APP_KEY, wagw_cstr(hex_id), wagw_buf_view(&b));
    wagw_buf_free(&b);
}

static wagw_app_collection_t collection(const cJSON *o)
{
    wagw_app_collection_t c;

    assert_int_equal(wagw_app_find(wagw_cstr(vec_str(o, "collection")), &c), WAGW_OK);
    return c;
}

/* ---- rows: a failed check is counted, so that all of a file are seen ---- */

static unsigned passed, failed;

#define ROW(ok, ...)                                                                                                   \
    do {                                                                                                               \
        if (ok) {                                                                                                      \
            passed++;                                                                                                  \
        } else {                                                                                                       \
            failed++;                                                                                                  \
            print_error(__VA_ARGS__);                                                                                  \
        }                                                                                                              \
    } while (0)

static bool is_hash(wagw_app_collection_t c, uint64_t version, const cJSON *o, const char *key)
{
    job_t j = {.c = c};
    uint8_t want[WAGW_LTHASH];

    assert_int_equal(turn(do_state, &j), WAGW_OK);
    return j.state.version == version && vec_hex(o, key, want, sizeof(want)) == WAGW_LTHASH &&
           memcmp(want, j.state.hash, WAGW_LTHASH) == 0;
}

static void setup_keys(const cJSON *keys)
{
    const cJSON *k;

    cJSON_ArrayForEach(k, keys)
    {
        key_put(vec_str(k, "keyId"), vec_bytes(&arena, k, "keyData"), 1);
    }
}

/* The SyncActionValue inside a SyncActionData. */
static wagw_str_t value_of(wagw_str_t data)
{
    Wa__SyncActionData *d = wa__sync_action_data__unpack(NULL, data.n, data.p);
    wagw_str_t v = {0};
    uint8_t *p;

    assert_non_null(d);
    if (d->value) {
        p = wagw_arena_alloc(&arena, 4096);
        v = wagw_str(p, wa__sync_action_value__pack(d->value, p));
    }
    wa__sync_action_data__free_unpacked(d, NULL);
    return v;
}

static const char *op_name(bool remove)
{
    return remove ? "REMOVE" : "SET";
}

/* One step: what we encode is the vector's patch, and what we read back is
 * its mutation; the state moves on. */
static void chain_step(const cJSON *s)
{
    job_t j = {.c = collection(s), .n = 1};
    wagw_app_change_t *ch = &j.changes[0];
    wagw_str_t want, data;
    wagw_buf_t index = {0};
    const cJSON *e;
    wagw_str_t parts[8];
    size_t n = 0;
    bool ok;

    cJSON_ArrayForEach(e, vec_get(s, "index"))
    {
        parts[n++] = wagw_cstr(e->valuestring);
    }
    assert_int_equal(wagw_app_index(&index, parts, n), WAGW_OK);
    ok = wagw_str_eq(wagw_buf_view(&index), wagw_cstr(vec_str(s, "indexJson")));

    data = vec_bytes(&arena, s, "syncActionData");
    j.key = vec_bytes(&arena, s, "keyId");
    ch->remove = strcmp(vec_str(s, "operation"), "REMOVE") == 0;
    ch->index = wagw_buf_view(&index);
    ch->value = value_of(data);
    ch->version = (int32_t)vec_int(s, "actionVersion", 0);
    assert_int_equal(vec_hex(s, "iv", ch->iv, 16), 16);

    ok = ok && is_hash(j.c, (uint64_t)vec_int(s, "versionBefore", 0), s, "ltHashBefore");
    ok = ok && turn(do_encode, &j) == WAGW_OK;
    want = vec_bytes(&arena, s, "uploadPatch");
    ok = ok && wagw_str_eq(want, wagw_buf_view(&j.patch));

    j.bytes = want;
    j.version = (uint64_t)vec_int(s, "version", 0);
    ok = ok && turn(do_read, &j) == WAGW_OK && j.nseen == 1 && j.seen[0].remove == ch->remove &&
         wagw_str_eq(j.seen[0].index, ch->index) && wagw_str_eq(j.seen[0].value, ch->value) &&
         j.seen[0].version == ch->version && j.seen[0].last && j.seen[0].nparts == n &&
         wagw_str_eq(j.seen[0].part[n - 1], parts[n - 1]);
    ok = ok && is_hash(j.c, j.version, s, "ltHash");
    ROW(ok, "chain step %d (%s): %s\n", (int)vec_int(s, "step", -1), vec_str(s, "name"), j.err.why ? j.err.why : "?");
    wagw_buf_free(&index);
    wagw_buf_free(&j.patch);
}

static sim_mem_t copy_of(const sim_mem_t *m)
{
    sim_mem_t c = {0};

    for (size_t i = 0; i < m->n; i++) {
        sim_mem_put(&c, m->v[i].kind, wagw_str(m->v[i].p, m->v[i].key_len),
                    wagw_str(m->v[i].p + m->v[i].key_len, m->v[i].n));
    }
    return c;
}

static void become(const sim_mem_t *m)
{
    sim_mem_free(&mem);
    mem = copy_of(m);
    wagw_cache_forget(cache, 1);
}

static bool same_store(const sim_mem_t *m)
{
    if (m->n != mem.n) {
        return false;
    }
    for (size_t i = 0; i < m->n; i++) {
        wagw_str_t v = sim_mem_get(&mem, m->v[i].kind, wagw_str(m->v[i].p, m->v[i].key_len));

        if (!wagw_str_eq(v, wagw_str(m->v[i].p + m->v[i].key_len, m->v[i].n))) {
            return false;
        }
    }
    return true;
}

static bool matches(const ProtobufCMessage *m, const cJSON *want);

static bool matches_list(const ProtobufCMessage *m, const ProtobufCFieldDescriptor *f, const cJSON *want)
{
    size_t n = 0, have = *(const size_t *)((const uint8_t *)m + f->quantifier_offset);
    const cJSON *e;
    void *const *items = *(void *const *const *)((const uint8_t *)m + f->offset);

    cJSON_ArrayForEach(e, want)
    {
        if (n >= have ||
            (f->type == PROTOBUF_C_TYPE_STRING ? strcmp(items[n], e->valuestring) != 0 : !matches(items[n], e))) {
            return false;
        }
        n++;
    }
    return n == have;
}

/* Every member of the JSON is what the structure holds. */
static bool matches(const ProtobufCMessage *m, const cJSON *want)
{
    bool ok = m != NULL;
    uint64_t u;
    const cJSON *e;
    const ProtobufCFieldDescriptor *f;

    for (e = want->child; ok && e; e = e->next) {
        f = protobuf_c_message_descriptor_get_field_by_name(m->descriptor, e->string);
        if (f == NULL || (f->label != PROTOBUF_C_LABEL_REPEATED && !wagw_pb_has(m, f))) {
            return false;
        }
        if (cJSON_IsArray(e)) {
            ok = matches_list(m, f, e);
        } else if (cJSON_IsObject(e)) {
            ok = matches(wagw_pb_sub(m, e->string), e);
        } else if (cJSON_IsString(e)) {
            ok = strcmp(wagw_pb_str(m, e->string), e->valuestring) == 0;
        } else {
            ok = wagw_pb_uint(m, e->string, &u) &&
                 (int64_t)u == (cJSON_IsBool(e) ? (int64_t)cJSON_IsTrue(e) : (int64_t)e->valuedouble);
        }
    }
    return ok;
}

/* A value as the vectors write it: JSON of SyncActionValue. */
static bool same_value(wagw_str_t value, const cJSON *want)
{
    int rc;
    ProtobufCMessage *v = wagw_pb_unpack(&arena, &wa__sync_action_value__descriptor, value, &rc);

    return cJSON_GetArraySize(want) > 0 && matches(v, want);
}

static bool same_index(const wagw_app_mutation_t *m, const cJSON *want)
{
    const cJSON *e;
    size_t n = 0;

    cJSON_ArrayForEach(e, want)
    {
        if (n >= m->nparts || !wagw_str_eq(m->part[n++], wagw_cstr(e->valuestring))) {
            return false;
        }
    }
    return n == m->nparts;
}

/* Every wanted mutation was told, as the last one of its index (or any). */
static bool told(const job_t *j, const cJSON *list, bool any)
{
    const cJSON *w;

    cJSON_ArrayForEach(w, list)
    {
        bool found = false;

        for (size_t i = 0; i < j->nseen && !found; i++) {
            found = (any || j->seen[i].last) && same_index(&j->seen[i], vec_get(w, "index")) &&
                    j->seen[i].version == vec_int(w, "version", -1) &&
                    same_value(j->seen[i].value, vec_get(w, "value"));
        }
        if (!found) {
            return false;
        }
    }
    return true;
}

/* The vectors' snapshots are in the order of time: the last of an index counts, and it alone. */
static bool newest_counts(const job_t *j)
{
    for (size_t i = 0; i < j->nseen; i++) {
        bool later = false;

        for (size_t k = i + 1; k < j->nseen; k++) {
            later = later || wagw_str_eq(j->seen[i].index, j->seen[k].index);
        }
        if (j->seen[i].last == later) {
            return false;
        }
    }
    return true;
}

/* What was downloaded, as a driver checks and opens it. */
static bool open_blob(const cJSON *file, const cJSON *row, wagw_app_blob_t *ref, wagw_str_t *plain, const char **why)
{
    const cJSON *b = vec_get(row, "externalBlob"), *other;
    uint64_t size, start, end;
    wagw_buf_t out = {0};
    wagw_str_t body = vec_bytes(&arena, b, "encrypted");
    wagw_media_keys_t keys;
    wagw_media_check_t *check;
    wagw_media_open_t *open;
    wagw_media_verdict_t verdict;

    cJSON_ArrayForEach(other, vec_get(file, "received"))
    {
        if (body.p == NULL && strcmp(vec_str(other, "name"), vec_str(b, "sameAs")) == 0) {
            body = vec_bytes(&arena, vec_get(other, "externalBlob"), "encrypted");
        }
    }
    assert_true(wagw_str_eq(ref->direct_path, wagw_cstr(vec_str(b, "directPath"))));
    assert_int_equal(wagw_media_keys(&keys, wagw_media_type("md-app-state"), ref->media_key.p), WAGW_OK);
    check = wagw_media_check(&keys, ref->enc_sha256, ref->sha256);
    assert_int_equal(wagw_media_check_add(check, body), WAGW_OK);
    verdict = wagw_media_check_end(check, &size);
    wagw_media_check_free(check);
    *why = wagw_media_verdict_name(verdict);
    if (verdict != WAGW_MEDIA_GOOD) {
        return false;
    }
    open = wagw_media_open(&keys, 0, size, &start, &end);
    assert_int_equal(wagw_media_open_add(open, &out, wagw_str(body.p + start, (size_t)(end - start))), WAGW_OK);
    wagw_media_open_free(open);
    *plain = wagw_arena_str(&arena, wagw_buf_view(&out));
    wagw_buf_free(&out);
    return true;
}

static void received_row(const cJSON *file, const cJSON *r)
{
    job_t j = {.c = collection(r)};
    const char *kind = vec_str(r, "kind"), *why = "";
    const cJSON *x = vec_get(r, "expect"), *p;
    wagw_app_blob_t ref;
    wagw_str_t plain;
    bool ok;

    if (strcmp(kind, "snapshot") == 0) {
        j.snapshot = true;
        j.bytes = vec_bytes(&arena, r, "syncdSnapshot");
        ok = turn(do_read, &j) == WAGW_OK && is_hash(j.c, (uint64_t)vec_int(x, "version", 0), x, "ltHash") &&
             told(&j, vec_get(x, "mutations"), true) && newest_counts(&j) &&
             (int)j.nseen == cJSON_GetArraySize(vec_get(x, "mutations"));
    } else if (strcmp(kind, "patch") == 0) {
        j.bytes = vec_bytes(&arena, r, "syncdPatch");
        ok = true;
        if (wagw_app_patch_blob(j.bytes, &ref) == WAGW_OK) {
            ok = open_blob(file, r, &ref, &plain, &why);
            j.external = plain;
        }
        ok = ok && turn(do_read, &j) == WAGW_OK && is_hash(j.c, (uint64_t)vec_int(x, "version", 0), x, "ltHash") &&
             told(&j, vec_get(x, "lastActionPerIndex"), false);
        if (ok) {
            size_t i = 0;

            cJSON_ArrayForEach(p, vec_get(x, "mutations"))
            {
                ok = ok && i < j.nseen && strcmp(op_name(j.seen[i].remove), vec_str(p, "operation")) == 0;
                i++;
            }
            ok = ok && i == j.nseen;
        }
    } else if (strcmp(kind, "answer") == 0) {
        assert_int_equal(wagw_app_blob(vec_bytes(&arena, r, "snapshotRef"), &ref), WAGW_OK);
        ok = open_blob(file, r, &ref, &plain, &why);
        j.snapshot = true;
        j.bytes = plain;
        p = vec_get(x, "afterSnapshot");
        ok = ok && turn(do_read, &j) == WAGW_OK && is_hash(j.c, (uint64_t)vec_int(p, "version", 0), p, "ltHash") &&
             told(&j, vec_get(p, "mutations"), false);
        j.snapshot = false;
        cJSON_ArrayForEach(p, vec_get(r, "patches"))
        {
            j.bytes = vec_bytes_item(&arena, p);
            ok = ok && turn(do_read, &j) == WAGW_OK;
        }
        p = vec_get(x, "final");
        ok = ok && is_hash(j.c, (uint64_t)vec_int(p, "version", 0), p, "ltHash");
        cJSON_ArrayForEach(p, vec_get(vec_get(x, "final"), "indexMacs"))
        {
            char key[128];

            snprintf(key, sizeof(key), "%s|%s", wagw_app_name(j.c), p->valuestring);
            ok = ok && sim_mem_get(&mem, WAGW_REC_APP_INDEX, wagw_cstr(key)).p != NULL;
        }
    } else {
        ok = false;
    }
    ROW(ok, "received %s: %s %s\n", vec_str(r, "name"), j.err.why ? j.err.why : "", why ? why : "");
}

static void tampered_row(const cJSON *file, const cJSON *r, const sim_mem_t *before)
{
    job_t j = {.c = collection(r)};
    int rc;
    char got[160] = "accept";
    const char *want = vec_str(r, "expect"), *why = NULL, *kind = vec_str(r, "kind");
    wagw_app_blob_t ref;
    bool ok;

    j.snapshot = strcmp(kind, "snapshot") == 0;
    j.bytes = vec_bytes(&arena, r, j.snapshot ? "syncdSnapshot" : "syncdPatch");
    if (strcmp(kind, "external") == 0) {
        assert_int_equal(wagw_app_patch_blob(j.bytes, &ref), WAGW_OK);
        if (!open_blob(file, r, &ref, &j.external, &why)) {
            snprintf(got, sizeof(got), "%s", why);
            ROW(strcmp(got, want) == 0, "tampered %s: %s instead of %s\n", vec_str(r, "name"), got, want);
            return;
        }
    }
    rc = turn(do_read, &j);
    ok = rc == WAGW_OK || same_store(before);
    if (rc == WAGW_NOT_FOUND) {
        size_t n = (size_t)snprintf(got, sizeof(got), "missing_key:");

        for (size_t i = 0; i < j.err.key_len; i++) {
            n += (size_t)snprintf(got + n, sizeof(got) - n, "%02x", j.err.key[i]);
        }
    } else if (rc != WAGW_OK) {
        snprintf(got, sizeof(got), "%s", j.err.why ? j.err.why : wagw_rc_name(rc));
    }
    ROW(ok && strcmp(got, want) == 0, "tampered %s: %s instead of %s%s\n", vec_str(r, "name"), got, want,
        ok ? "" : ", and the store changed");
}

/* Two uploads with the same change: on the old state, and on top of the patch
 * that was faster. */
static void conflict_rows(const cJSON *r)
{
    job_t j = {.c = collection(r), .n = 1};
    wagw_app_change_t *ch = &j.changes[0];
    wagw_buf_t index = {0};
    wagw_str_t parts[4], want;
    size_t n = 0;
    const cJSON *e, *up;
    Wa__SyncActionValue v = WA__SYNC_ACTION_VALUE__INIT;
    Wa__SyncActionValue__MuteAction mute = WA__SYNC_ACTION_VALUE__MUTE_ACTION__INIT;
    uint8_t value[64];

    e = vec_get(vec_get(r, "action"), "muteAction");
    mute.has_muted = mute.has_muteendtimestamp = 1;
    mute.muted = vec_bool(e, "muted");
    mute.muteendtimestamp = vec_int(e, "muteEndTimestamp", 0);
    v.has_timestamp = 1;
    v.timestamp = vec_int(vec_get(r, "action"), "timestamp", 0);
    v.muteaction = &mute;
    ch->value = wagw_str(value, wa__sync_action_value__pack(&v, value));
    ch->version = (int32_t)vec_int(r, "actionVersion", 0);
    cJSON_ArrayForEach(e, vec_get(r, "index"))
    {
        parts[n++] = wagw_cstr(e->valuestring);
    }
    wagw_app_index(&index, parts, n);
    ch->index = wagw_buf_view(&index);
    j.key = vec_bytes(&arena, r, "keyId");

    for (int round = 0; round < 2; round++) {
        assert_int_equal(vec_hex_item(cJSON_GetArrayItem(vec_get(r, "iv"), round), ch->iv, 16), 16);
        up = vec_get(r, round ? "secondUpload" : "firstUpload");
        want = vec_bytes(&arena, up, "patch");
        ROW(turn(do_encode, &j) == WAGW_OK && wagw_str_eq(want, wagw_buf_view(&j.patch)), "conflict, upload %d\n",
            round);
        j.bytes = round ? want : vec_bytes(&arena, r, "serverPatch");
        j.version = (uint64_t)vec_int(up, "collectionVersionAttr", 0) + 1;
        up = vec_get(r, round ? "final" : "afterServerPatch");
        ROW(turn(do_read, &j) == WAGW_OK && is_hash(j.c, (uint64_t)vec_int(up, "version", 0), up, "ltHash"),
            "conflict, state after upload %d: %s\n", round, j.err.why ? j.err.why : "");
    }
    wagw_buf_free(&index);
    wagw_buf_free(&j.patch);
}

static void app_state_vectors(void **state)
{
    cJSON *file = vec_load("app-state");
    const cJSON *r, *k;
    sim_mem_t after_chain, after_six, step18 = {0};
    uint8_t x[160];
    wagw_app_keys_t keys;

    (void)state;
    if (file == NULL) {
        return;
    }
    passed = failed = 0;
    cJSON_ArrayForEach(k, vec_get(file, "keys"))
    {
        assert_int_equal(vec_hex(k, "expanded160", x, sizeof(x)), 160);
        ROW(wagw_app_expand(&keys, vec_bytes(&arena, k, "keyData")) == WAGW_OK && memcmp(&keys, x, 160) == 0, "key\n");
    }
    setup_keys(vec_get(file, "keys"));

    cJSON_ArrayForEach(r, vec_get(file, "chain"))
    {
        chain_step(r);
        if (vec_int(r, "step", -1) == 18) {
            step18 = copy_of(&mem);
        }
    }
    after_chain = copy_of(&mem);
    memset(&after_six, 0, sizeof(after_six));

    cJSON_ArrayForEach(r, vec_get(file, "received"))
    {
        if (strcmp(vec_str(r, "kind"), "patch") != 0) {
            become(&after_chain); /* a snapshot replaces whatever is there */
        } else if (strcmp(vec_str(r, "name"), "patch-six-mutations") == 0) {
            become(&after_chain);
        } else if (after_six.n) {
            become(&after_six);
        }
        received_row(file, r);
        if (strcmp(vec_str(r, "name"), "patch-six-mutations") == 0) {
            after_six = copy_of(&mem);
        }
    }
    cJSON_ArrayForEach(r, vec_get(file, "tampered"))
    {
        const sim_mem_t *from = strcmp(vec_str(r, "kind"), "external") == 0 ? &after_six : &after_chain;

        become(from);
        tampered_row(file, r, from);
    }
    become(&step18);
    conflict_rows(vec_get(file, "conflict"));

    sim_mem_free(&after_chain);
    sim_mem_free(&after_six);
    sim_mem_free(&step18);
    cJSON_Delete(file);
    vec_count("app-state", passed, failed, 0);
    assert_int_equal(failed, 0);
}

/* ---- lt-hash ---- */

static void generator_row(const cJSON *g, uint8_t hash[WAGW_LTHASH], cJSON *map)
{
    const cJSON *m;
    cJSON *old;
    uint8_t mac[32], want[WAGW_LTHASH];
    const char *index;
    bool remove;

    cJSON_ArrayForEach(m, vec_get(g, "mutations"))
    {
        index = vec_str(m, "indexMac");
        remove = strcmp(vec_str(m, "operation"), "REMOVE") == 0;
        old = cJSON_GetObjectItemCaseSensitive(map, index);
        if (old) {
            assert_int_equal(vec_hex_item(old, mac, 32), 32);
            assert_int_equal(wagw_lthash_sub(hash, mac), WAGW_OK);
            cJSON_DeleteItemFromObjectCaseSensitive(map, index);
        }
        if (!remove) {
            assert_int_equal(vec_hex(m, "valueMac", mac, 32), 32);
            assert_int_equal(wagw_lthash_add(hash, mac), WAGW_OK);
            cJSON_AddStringToObject(map, index, vec_str(m, "valueMac"));
        }
    }
    assert_int_equal(vec_hex(g, "hash", want, sizeof(want)), WAGW_LTHASH);
    ROW(memcmp(want, hash, WAGW_LTHASH) == 0 && cJSON_Compare(map, vec_get(g, "indexMap"), true), "generator\n");
}

static void lt_hash_vectors(void **state)
{
    cJSON *file = vec_load("lt-hash"), *map;
    const cJSON *r, *e;
    uint8_t hash[WAGW_LTHASH], want[WAGW_LTHASH], mac[32];

    (void)state;
    if (file == NULL) {
        return;
    }
    passed = failed = 0;
    cJSON_ArrayForEach(r, vec_get(file, "expansions"))
    {
        memset(hash, 0, sizeof(hash));
        assert_int_equal(vec_hex(r, "valueMac", mac, 32), 32);
        assert_int_equal(vec_hex(r, "expanded", want, sizeof(want)), WAGW_LTHASH);
        ROW(wagw_lthash_add(hash, mac) == WAGW_OK && memcmp(hash, want, WAGW_LTHASH) == 0, "expansion\n");
    }
    cJSON_ArrayForEach(r, vec_get(file, "cases"))
    {
        assert_int_equal(vec_hex(r, "base", hash, sizeof(hash)), WAGW_LTHASH);
        assert_int_equal(vec_hex(r, "result", want, sizeof(want)), WAGW_LTHASH);
        cJSON_ArrayForEach(e, vec_get(r, "subtract"))
        {
            assert_int_equal(vec_hex_item(e, mac, 32), 32);
            assert_int_equal(wagw_lthash_sub(hash, mac), WAGW_OK);
        }
        cJSON_ArrayForEach(e, vec_get(r, "add"))
        {
            assert_int_equal(vec_hex_item(e, mac, 32), 32);
            assert_int_equal(wagw_lthash_add(hash, mac), WAGW_OK);
        }
        ROW(memcmp(hash, want, WAGW_LTHASH) == 0, "case %s\n", vec_str(r, "name"));
    }
    map = cJSON_CreateObject();
    memset(hash, 0, sizeof(hash));
    cJSON_ArrayForEach(r, vec_get(file, "generator"))
    {
        generator_row(r, hash, map);
    }
    cJSON_Delete(map);
    cJSON_Delete(file);
    vec_count("lt-hash", passed, failed, 0);
    assert_int_equal(failed, 0);
}

/* ---- without vectors ---- */

static const uint8_t secret[3][32] = {{1}, {2}, {3}};

/* Makes a patch of the changes upon what is stored, and applies it. */
static void change(job_t *j)
{
    uint64_t seed = 7;

    for (size_t i = 0; i < j->n; i++) {
        vec_random(&seed, j->changes[i].iv, 16);
        j->changes[i].version = 1;
    }
    assert_int_equal(turn(do_encode, j), WAGW_OK);
    assert_int_equal(turn(do_state, j), WAGW_OK);
    j->bytes = wagw_arena_str(&arena, wagw_buf_view(&j->patch));
    j->version = j->state.version + 1;
    assert_int_equal(turn(do_read, j), WAGW_OK);
    wagw_buf_free(&j->patch);
    memset(&j->patch, 0, sizeof(j->patch));
}

static void a_patch_counts_once(void **state)
{
    job_t j = {.c = WAGW_APP_REGULAR, .n = 1};
    wagw_str_t first;

    (void)state;
    key_put("000000000001", wagw_str(secret[0], 32), 1);
    j.key = wagw_str("\0\0\0\0\0\1", 6);
    j.changes[0].index = WAGW_STR("[\"label_edit\",\"1\"]");
    change(&j);
    assert_int_equal(j.nseen, 1);
    first = j.bytes;
    change(&j);
    assert_int_equal(j.state.version, 1);
    j.bytes = first;
    j.version = 1;
    assert_int_equal(turn(do_read, &j), WAGW_DUPLICATE);
    assert_int_equal(sim_mem_count(&mem, WAGW_REC_APP_INDEX, "regular|"), 1);
}

static void a_collection_is_forgotten_alone(void **state)
{
    job_t j = {.n = 1};

    (void)state;
    key_put("000000000001", wagw_str(secret[0], 32), 1);
    j.key = wagw_str("\0\0\0\0\0\1", 6);
    j.changes[0].index = WAGW_STR("[\"x\"]");
    j.c = WAGW_APP_REGULAR;
    change(&j);
    j.c = WAGW_APP_REGULAR_LOW;
    change(&j);
    j.c = WAGW_APP_REGULAR;
    assert_int_equal(turn(do_forget, &j), WAGW_OK);
    assert_int_equal(sim_mem_count(&mem, WAGW_REC_APP_INDEX, "regular|"), 0);
    assert_int_equal(sim_mem_count(&mem, WAGW_REC_APP_INDEX, "regular_low|"), 1);
    assert_int_equal(turn(do_state, &j), WAGW_OK);
    assert_int_equal(j.state.version, 0);
    j.c = WAGW_APP_REGULAR_LOW;
    assert_int_equal(turn(do_state, &j), WAGW_OK);
    assert_int_equal(j.state.version, 1);
}

static void the_newest_epoch_is_the_key(void **state)
{
    job_t j = {0};

    (void)state;
    assert_int_equal(turn(do_best, &j), WAGW_NOT_FOUND);
    key_put("000200000007", wagw_str(secret[0], 32), 9);
    key_put("000000000009", wagw_str(secret[1], 32), 3);
    key_put("000100000009", wagw_str(secret[2], 32), 5);
    key_put("00000000000a", wagw_str(secret[2], 0), 9); /* an answer without a key */
    assert_int_equal(turn(do_best, &j), WAGW_OK);
    assert_memory_equal(j.key.p, "\0\1\0\0\0\x09", 6);
    j.expired = 9;
    assert_int_equal(turn(do_best, &j), WAGW_NOT_FOUND);
    j.expired = 8;
    assert_int_equal(turn(do_best, &j), WAGW_OK);
}

static void a_record_is_found_under_the_key_it_was_set_with(void **state)
{
    job_t j = {.c = WAGW_APP_CRITICAL_UNBLOCK_LOW, .n = 1};

    (void)state;
    key_put("000000000001", wagw_str(secret[0], 32), 1);
    key_put("000000000002", wagw_str(secret[1], 32), 1);
    j.key = wagw_str("\0\0\0\0\0\1", 6);
    j.changes[0].index = WAGW_STR("[\"contact\",\"1@s.whatsapp.net\"]");
    change(&j);

    j.bytes = WAGW_STR("[\"contact\",\"2@s.whatsapp.net\"]");
    assert_int_equal(turn(do_key_of, &j), WAGW_NOT_FOUND);
    j.bytes = j.changes[0].index;
    assert_int_equal(turn(do_key_of, &j), WAGW_OK);
    assert_memory_equal(j.key.p, "\0\0\0\0\0\1", 6);

    /* moved to a newer key within one patch: one record is left */
    j.n = 2;
    j.changes[1] = j.changes[0];
    j.changes[0].remove = true;
    j.changes[0].key = wagw_str("\0\0\0\0\0\1", 6);
    j.key = wagw_str("\0\0\0\0\0\2", 6);
    change(&j);
    assert_int_equal(sim_mem_count(&mem, WAGW_REC_APP_INDEX, ""), 1);
    assert_false(j.seen[0].last && j.seen[1].last && j.seen[0].remove == j.seen[1].remove);
    j.bytes = j.changes[1].index;
    assert_int_equal(turn(do_key_of, &j), WAGW_OK);
    assert_memory_equal(j.key.p, "\0\0\0\0\0\2", 6);
}

static void an_unknown_index_is_no_error(void **state)
{
    static const char *const odd[] = {"{\"a\":1}", "[1]", "",
                                      "[\"1\",\"2\",\"3\",\"4\",\"5\",\"6\",\"7\",\"8\",\"9\"]"};
    job_t j = {.c = WAGW_APP_REGULAR, .n = 1};

    (void)state;
    key_put("01", wagw_str(secret[0], 32), 1);
    j.key = WAGW_STR("\1");
    for (size_t i = 0; i < sizeof(odd) / sizeof(odd[0]); i++) {
        j.changes[0].index = wagw_cstr(odd[i]);
        change(&j);
        assert_int_equal(j.nseen, 1);
        assert_int_equal(j.seen[0].nparts, 0);
        assert_true(wagw_str_eq(j.seen[0].index, wagw_cstr(odd[i])));
    }
}

/* A patch of thousands needs one load, not one per record. */
static void many_records_need_few_loads(void **state)
{
    job_t j = {.c = WAGW_APP_REGULAR, .n = 4};
    char index[4][32];

    (void)state;
    key_put("01", wagw_str(secret[0], 32), 1);
    j.key = WAGW_STR("\1");
    for (int i = 0; i < 200; i += 4) {
        for (int k = 0; k < 4; k++) {
            snprintf(index[k], sizeof(index[0]), "[\"n\",\"%d\"]", i + k);
            j.changes[k] = (wagw_app_change_t){.index = wagw_cstr(index[k])};
        }
        change(&j);
        wagw_cache_forget(cache, 1);
    }
    assert_int_equal(turn(do_forget, &j), WAGW_OK);
    assert_true(reruns <= 2);
    assert_int_equal(mem.n, 1);
}

static void a_blob_reference_must_be_one(void **state)
{
    wagw_app_blob_t b;

    (void)state;
    assert_int_equal(wagw_app_blob(WAGW_STR(""), &b), WAGW_MALFORMED);
    assert_int_equal(wagw_app_blob(WAGW_STR("\x0a\x20short"), &b), WAGW_MALFORMED);
    assert_int_equal(wagw_app_patch_blob(WAGW_STR(""), &b), WAGW_NOT_FOUND);
    /* a path that is none could become another host */
    assert_int_equal(wagw_app_blob(WAGW_STR("\x0a\x20"
                                            "0123456789abcdef0123456789abcdef\x12\x08"
                                            "@evil/xx"),
                                   &b),
                     WAGW_MALFORMED);
    assert_int_equal(wagw_app_blob(WAGW_STR("\x0a\x20"
                                            "0123456789abcdef0123456789abcdef\x12\x05"
                                            "/good"),
                                   &b),
                     WAGW_OK);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(app_state_vectors, setup, teardown),
        cmocka_unit_test_setup_teardown(lt_hash_vectors, setup, teardown),
        cmocka_unit_test_setup_teardown(a_patch_counts_once, setup, teardown),
        cmocka_unit_test_setup_teardown(a_collection_is_forgotten_alone, setup, teardown),
        cmocka_unit_test_setup_teardown(the_newest_epoch_is_the_key, setup, teardown),
        cmocka_unit_test_setup_teardown(a_record_is_found_under_the_key_it_was_set_with, setup, teardown),
        cmocka_unit_test_setup_teardown(an_unknown_index_is_no_error, setup, teardown),
        cmocka_unit_test_setup_teardown(many_records_need_few_loads, setup, teardown),
        cmocka_unit_test_setup_teardown(a_blob_reference_must_be_one, setup, teardown),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
