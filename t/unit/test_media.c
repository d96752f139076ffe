/*
 * core/media against media.json and media-retry.json, in pieces of every
 * size; what files say about themselves, and what they lie about.
 */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <cmocka.h>

#include "../../core/media/media.h"
#include "vectors.h"

typedef struct {
    unsigned passed, failed;
} count_t;

static void row(count_t *c, bool ok, const char *what, const char *name)
{
    if (ok) {
        c->passed++;
    } else {
        c->failed++;
        print_error("%s: %s\n", what, name ? name : "?");
    }
}

static bool same(const cJSON *r, const char *key, const void *p, size_t n)
{
    bool ok;
    wagw_arena_t a = {0};
    wagw_str_t want = vec_bytes(&a, r, key);

    ok = want.p && wagw_str_eq(want, wagw_str(p, n));
    wagw_arena_free(&a);
    return ok;
}

static const wagw_media_type_t *type_of(const cJSON *r)
{
    const wagw_media_type_t *t = wagw_media_type(vec_str(r, "mediaType"));

    return t && (!vec_str(r, "hkdfInfo") || strcmp(t->info, vec_str(r, "hkdfInfo")) == 0) &&
                   (!vec_str(r, "mmsType") || strcmp(t->mms, vec_str(r, "mmsType")) == 0)
               ? t
               : NULL;
}

static bool expansion(const cJSON *r)
{
    uint8_t key[32];
    wagw_media_keys_t k;
    const wagw_media_type_t *t = type_of(r);

    return t && vec_hex(r, "mediaKey", key, 32) == 32 && wagw_media_keys(&k, t, key) == WAGW_OK &&
           same(r, "iv", k.iv, 16) && same(r, "cipherKey", k.cipher, 32) && same(r, "macKey", k.mac, 32);
}

static bool seal(const wagw_media_type_t *t, const uint8_t key[32], wagw_str_t plain, size_t piece, wagw_buf_t *out,
                 wagw_media_sums_t *sums)
{
    int rc = WAGW_OK;
    size_t n;
    wagw_media_seal_t *s = wagw_media_seal(t, key);

    if (s == NULL) {
        return false;
    }
    while (plain.n && rc == WAGW_OK) {
        n = piece < plain.n ? piece : plain.n;
        rc = wagw_media_seal_add(s, out, wagw_str(plain.p, n));
        plain.p += n;
        plain.n -= n;
    }
    rc = rc == WAGW_OK ? wagw_media_seal_end(s, out, sums) : rc;
    wagw_media_seal_free(s);
    return rc == WAGW_OK;
}

static wagw_media_verdict_t check(const wagw_media_keys_t *k, wagw_str_t enc_sha, wagw_str_t sha, wagw_str_t bytes,
                                  size_t piece, uint64_t *size)
{
    size_t n;
    wagw_media_verdict_t v;
    wagw_media_check_t *c = wagw_media_check(k, enc_sha, sha);

    assert_non_null(c);
    while (bytes.n) {
        n = piece < bytes.n ? piece : bytes.n;
        assert_int_equal(wagw_media_check_add(c, wagw_str(bytes.p, n)), WAGW_OK);
        bytes.p += n;
        bytes.n -= n;
    }
    v = wagw_media_check_end(c, size);
    wagw_media_check_free(c);
    return v;
}

static bool opened(const wagw_media_keys_t *k, wagw_str_t bytes, uint64_t from, uint64_t to, size_t piece,
                   wagw_buf_t *out)
{
    size_t n;
    uint64_t start, end;
    wagw_media_open_t *o = wagw_media_open(k, from, to, &start, &end);

    assert_non_null(o);
    assert_true(end <= bytes.n);
    while (start < end) {
        n = piece < end - start ? piece : (size_t)(end - start);
        assert_int_equal(wagw_media_open_add(o, out, wagw_str(bytes.p + start, n)), WAGW_OK);
        start += n;
    }
    wagw_media_open_free(o);
    return out->n == to - from;
}

/* Sealed, checked and opened again with pieces of several sizes. */
static bool file(const cJSON *r, wagw_str_t plain)
{
    static const size_t pieces[] = {1, 7, 16, 4096, 65536, 1000003};
    uint8_t key[32];
    bool ok = true;
    uint64_t size;
    wagw_media_keys_t k;
    wagw_media_sums_t sums;
    const wagw_media_type_t *t = type_of(r);

    if (t == NULL || vec_hex(r, "mediaKey", key, 32) != 32 || wagw_media_keys(&k, t, key) != WAGW_OK) {
        return false;
    }
    for (size_t i = 0; ok && i < sizeof(pieces) / sizeof(pieces[0]); i++) {
        wagw_buf_t out = {0}, back = {0};

        ok = seal(t, key, plain, pieces[i], &out, &sums) && same(r, "fileSha256", sums.sha256, 32) &&
             same(r, "fileEncSha256", sums.enc_sha256, 32) && same(r, "mac", sums.mac, 10) && sums.size == plain.n &&
             (int64_t)sums.enc_size == vec_int(r, "uploadLength", -1) && sums.enc_size == out.n;
        ok = ok && (!vec_get(r, "encrypted") || same(r, "encrypted", out.p, out.n));
        ok = ok && (!vec_get(r, "first32") || same(r, "first32", out.p, 32));
        ok = ok && (!vec_get(r, "last42") || same(r, "last42", out.p + out.n - 42, 42));
        ok = ok && (!vec_str(r, "streamingSidecar") || same(r, "streamingSidecar", sums.sidecar.p, sums.sidecar.n));
        ok = ok && check(&k, wagw_str(sums.enc_sha256, 32), wagw_str(sums.sha256, 32), wagw_buf_view(&out), pieces[i],
                         &size) == WAGW_MEDIA_GOOD;
        ok = ok && size == plain.n && opened(&k, wagw_buf_view(&out), 0, plain.n, pieces[i], &back) &&
             wagw_str_eq(wagw_buf_view(&back), plain);
        wagw_buf_free(&out);
        wagw_buf_free(&back);
        wagw_buf_free(&sums.sidecar);
    }
    return ok;
}

static bool small(const cJSON *r)
{
    bool ok;
    wagw_arena_t a = {0};
    wagw_str_t plain = vec_bytes(&a, r, "plaintext");

    ok = plain.p && file(r, plain);
    wagw_arena_free(&a);
    return ok;
}

/* "byte[i] = (i*219 + (i>>8)*124 + 198) & 0xff" */
static bool large(const cJSON *r)
{
    bool ok;
    size_t n = (size_t)vec_int(r, "fileLength", 0);
    unsigned by, high, plus;
    uint8_t *p = malloc(n);

    assert_non_null(p);
    assert_int_equal(
        sscanf(vec_str(r, "plaintextPattern"), "byte[i] = (i*%u + (i>>8)*%u + %u) & 0xff", &by, &high, &plus), 3);
    for (size_t i = 0; i < n; i++) {
        p[i] = (uint8_t)(i * by + (i >> 8) * high + plus);
    }
    ok = file(r, wagw_str(p, n));
    free(p);
    return ok;
}

static bool range(const cJSON *setup, const cJSON *r)
{
    bool ok;
    uint8_t key[32];
    uint64_t from = (uint64_t)vec_int(r, "plainStart", 0), to = (uint64_t)vec_int(r, "plainEndExclusive", 0);
    uint64_t start, end;
    wagw_arena_t a = {0};
    wagw_buf_t out = {0};
    wagw_str_t bytes = vec_bytes(&a, setup, "encrypted");
    wagw_media_keys_t k;
    wagw_media_open_t *o;

    assert_int_equal(vec_hex(setup, "mediaKey", key, 32), 32);
    assert_int_equal(wagw_media_keys(&k, type_of(setup), key), WAGW_OK);
    o = wagw_media_open(&k, from, to, &start, &end);
    wagw_media_open_free(o);
    ok = (int64_t)start == vec_int(r, "minimalCipherStart", -1) &&
         (int64_t)end - 1 == vec_int(r, "minimalCipherEndInclusive", -1) && opened(&k, bytes, from, to, 5, &out) &&
         same(r, "plaintext", out.p, out.n);
    wagw_buf_free(&out);
    wagw_arena_free(&a);
    return ok;
}

static bool reject(const cJSON *r)
{
    bool ok = true;
    uint8_t key[32];
    uint64_t size;
    wagw_arena_t a = {0};
    wagw_media_keys_t k;
    wagw_str_t bytes = vec_bytes(&a, r, "encrypted"), enc = vec_bytes(&a, r, "fileEncSha256"),
               sha = vec_bytes(&a, r, "fileSha256");
    const char *got, *want = vec_str(r, "expect");

    assert_int_equal(vec_hex(r, "mediaKey", key, 32), 32);
    assert_int_equal(wagw_media_keys(&k, type_of(r), key), WAGW_OK);
    for (size_t piece = 1; ok && piece < 80; piece++) {
        got = wagw_media_verdict_name(check(&k, enc, sha, bytes, piece, &size));
        ok = strcmp(want, "bad_padding_or_sha256_mismatch") == 0
                 ? strcmp(got, "bad_padding") == 0 || strcmp(got, "sha256_mismatch") == 0
                 : strcmp(got, want) == 0;
    }
    wagw_arena_free(&a);
    return ok;
}

/* Every request is made as in the row, the walk ends as there. */
static bool upload(const cJSON *r)
{
    bool ok = true, over = false;
    uint8_t hash[32];
    int64_t refreshes = 0;
    size_t nhosts = (size_t)cJSON_GetArraySize(vec_get(r, "hosts")), k = 0;
    const char *how = vec_str(r, "serverBehaviour"), *error = vec_str(vec_get(r, "result"), "error");
    const cJSON *req;
    wagw_media_walk_t w = {0};
    const wagw_media_type_t *t = type_of(r);
    cJSON *bad = cJSON_Parse("{\"url\":\"\"}");

    assert_int_equal(vec_hex(r, "fileEncSha256", hash, 32), 32);
    cJSON_ArrayForEach(req, vec_get(r, "requests"))
    {
        wagw_buf_t path = {0};
        int status = 200;
        const cJSON *json = vec_get(r, "serverJson");

        if (strcmp(how, "redirect") == 0 && k == 1) {
            continue; /* libcurl's */
        }
        if (over || t == NULL) {
            ok = false;
            break;
        }
        ok = ok && w.at < nhosts &&
             strcmp(cJSON_GetArrayItem(vec_get(r, "hosts"), (int)w.at)->valuestring, vec_str(req, "host")) == 0;
        ok = ok && wagw_media_upload_path(&path, t, hash, wagw_cstr(vec_str(r, "auth"))) == WAGW_OK &&
             wagw_str_eq(wagw_buf_view(&path), wagw_cstr(vec_str(req, "path")));
        wagw_buf_free(&path);

        if (strcmp(how, "all-fail") == 0 || (strcmp(how, "first-host-500") == 0 && k == 0)) {
            status = 500;
            json = NULL;
        } else if (strcmp(how, "first-host-bad-json") == 0 && k == 0) {
            json = bad;
        }
        switch (wagw_media_walk(&w, nhosts, status, json)) {
        case WAGW_WALK_DONE:
            over = true;
            ok = ok && error == NULL && strcmp(w.url, vec_str(vec_get(r, "result"), "mediaUrl")) == 0 &&
                 strcmp(w.direct_path, vec_str(vec_get(r, "result"), "directPath")) == 0;
            break;
        case WAGW_WALK_NEXT:
            refreshes++;
            break;
        case WAGW_WALK_STOP:
            over = true;
            refreshes++; /* Baileys asks once more before it gives up */
            ok = ok && error != NULL;
            break;
        }
        k++;
    }
    cJSON_Delete(bad);
    return ok && over && refreshes == vec_int(r, "mediaConnRefreshes", -1);
}

static bool channel(const cJSON *r)
{
    bool ok;
    uint8_t hash[32], sum[32];
    uint64_t size;
    wagw_arena_t a = {0};
    wagw_buf_t path = {0};
    wagw_str_t plain = vec_bytes(&a, r, "plaintext"), want = wagw_cstr(vec_str(r, "whatsmeowPath"));

    assert_int_equal(vec_hex(r, "fileSha256", hash, 32), 32);
    ok = wagw_sha256(sum, plain) == WAGW_OK && memcmp(sum, hash, 32) == 0 &&
         wagw_media_channel_path(&path, type_of(r), hash, WAGW_STR("a+b")) == WAGW_OK;
    /* whatsmeow keeps the padding of the token */
    want.n -= 1;
    ok = ok && wagw_str_starts(wagw_buf_view(&path), want) &&
         check(NULL, WAGW_STR_NULL, wagw_str(hash, 32), plain, 9, &size) == WAGW_MEDIA_GOOD && size == plain.n;
    wagw_buf_free(&path);
    wagw_arena_free(&a);
    return ok;
}

static bool waveform(const cJSON *r)
{
    bool ok = true;
    size_t n;
    uint8_t got[WAGW_WAVEFORM], want[WAGW_WAVEFORM];
    wagw_arena_t a = {0};
    wagw_str_t pcm = vec_bytes(&a, r, "pcm");
    wagw_waveform_t w;
    float *samples = wagw_arena_alloc(&a, pcm.n + 1);

    assert_int_equal(vec_hex(r, "waveform", want, sizeof(want)), sizeof(want));
    memcpy(samples, pcm.p, pcm.n);
    n = pcm.n / sizeof(float);
    wagw_waveform_begin(&w, n);
    for (size_t i = 0; i < n; i += 11) {
        wagw_waveform_add(&w, samples + i, n - i < 11 ? n - i : 11, 1);
    }
    wagw_waveform_end(&w, got);
    for (size_t i = 0; i < WAGW_WAVEFORM; i++) {
        ok = ok && abs((int)got[i] - (int)want[i]) <= 1;
    }
    wagw_arena_free(&a);
    return ok;
}

static void test_media(void **state)
{
    count_t c = {0, 0};
    cJSON *json = vec_load("media");
    const cJSON *r, *setup = NULL;

    (void)state;
    if (json == NULL) {
        skip();
    }
    cJSON_ArrayForEach(r, vec_get(json, "keyExpansion"))
    {
        row(&c, expansion(r), "keyExpansion", vec_str(r, "mediaType"));
    }
    cJSON_ArrayForEach(r, vec_get(json, "small"))
    {
        row(&c, small(r), "small", vec_str(r, "name"));
    }
    cJSON_ArrayForEach(r, vec_get(json, "large"))
    {
        row(&c, large(r), "large", vec_str(r, "name"));
    }
    cJSON_ArrayForEach(r, vec_get(json, "ranges"))
    {
        if (vec_bool(r, "setup")) {
            setup = r;
        } else {
            row(&c, setup && range(setup, r), "ranges", vec_str(r, "baileysRangeHeader"));
        }
    }
    cJSON_ArrayForEach(r, vec_get(json, "reject"))
    {
        row(&c, reject(r), "reject", vec_str(r, "name"));
    }
    cJSON_ArrayForEach(r, vec_get(json, "uploads"))
    {
        row(&c, upload(r), "uploads", vec_str(r, "serverBehaviour"));
    }
    cJSON_ArrayForEach(r, vec_get(json, "newsletter"))
    {
        row(&c, channel(r), "newsletter", vec_str(r, "mediaType"));
    }
    cJSON_ArrayForEach(r, vec_get(json, "waveforms"))
    {
        row(&c, waveform(r), "waveforms", vec_str(r, "name"));
    }
    vec_count("media", c.passed, c.failed, 0);
    assert_int_equal(c.failed, 0);
    assert_true(c.passed > 0);
    cJSON_Delete(json);
}

static const cJSON *child(const cJSON *node, const char *tag)
{
    const cJSON *n;

    cJSON_ArrayForEach(n, vec_get(node, "content"))
    {
        if (strcmp(vec_str(n, "tag"), tag) == 0) {
            return n;
        }
    }
    return NULL;
}

static bool retry_request(const cJSON *r)
{
    bool ok;
    uint8_t key[32], iv[12];
    wagw_buf_t out = {0};

    ok = vec_hex(r, "mediaKey", key, 32) == 32 && vec_hex(r, "iv", iv, 12) == 12 &&
         wagw_media_retry_seal(&out, key, wagw_cstr(vec_str(r, "aad")), iv) == WAGW_OK &&
         same(r, "ciphertextWithTag", out.p, out.n);
    wagw_buf_free(&out);
    return ok;
}

static bool retry_notification(const cJSON *r)
{
    int rc;
    bool ok;
    uint8_t key[32];
    wagw_arena_t a = {0};
    const cJSON *node = vec_get(r, "node"), *enc = child(node, "encrypt"), *want = vec_get(r, "expect");
    const cJSON *note = vec_get(want, "notification");
    const char *path = vec_str(note, "directPath");
    wagw_str_t got;
    wagw_media_retry_t result;

    if (enc == NULL || child(enc, "enc_p") == NULL || child(enc, "enc_iv") == NULL) {
        /* nothing to decrypt: an error, or gone */
        ok = want == NULL && vec_str(r, "expectError") != NULL;
    } else {
        assert_int_equal(vec_hex(r, "mediaKey", key, 32), 32);
        rc = wagw_media_retry_open(&a, key, wagw_cstr(vec_str(vec_get(node, "attrs"), "id")),
                                   vec_bytes_item(&a, vec_get(child(enc, "enc_iv"), "content")),
                                   vec_bytes_item(&a, vec_get(child(enc, "enc_p"), "content")), &result, &got);
        if (want == NULL) {
            ok = rc != WAGW_OK;
        } else {
            ok = rc == WAGW_OK && (int)result == vec_int(note, "result", 0) &&
                 wagw_str_eq(got, wagw_cstr(result == WAGW_MEDIA_RETRY_SUCCESS ? path : NULL));
        }
    }
    wagw_arena_free(&a);
    return ok;
}

static void test_retry(void **state)
{
    count_t c = {0, 0};
    cJSON *json = vec_load("media-retry");
    const cJSON *r;

    (void)state;
    if (json == NULL) {
        skip();
    }
    cJSON_ArrayForEach(r, vec_get(json, "requests"))
    {
        row(&c, retry_request(r), "requests", vec_str(r, "name"));
    }
    cJSON_ArrayForEach(r, vec_get(json, "notifications"))
    {
        row(&c, retry_notification(r), "notifications", vec_str(r, "name"));
    }
    vec_count("media-retry", c.passed, c.failed, 0);
    assert_int_equal(c.failed, 0);
    assert_true(c.passed > 0);
    cJSON_Delete(json);
}

/* ---- facts ---- */

static bool read_str(void *data, uint64_t at, uint8_t *p, size_t n)
{
    const wagw_str_t *s = data;

    if (at > s->n || n > s->n - at) {
        return false;
    }
    memcpy(p, s->p + at, n);
    return true;
}

static wagw_media_facts_t facts(const char *hex)
{
    wagw_buf_t b = {0};
    wagw_str_t s;
    wagw_media_facts_t f;

    assert_int_equal(wagw_hex_decode(&b, wagw_cstr(hex)), WAGW_OK);
    s = wagw_buf_view(&b);
    wagw_media_sniff(&f, s);
    wagw_media_probe(&f, s.n, read_str, &s);
    wagw_buf_free(&b);
    return f;
}

static void test_facts(void **state)
{
    wagw_media_facts_t f;

    (void)state;
    f = facts("89504e470d0a1a0a0000000d4948445200000280000001e00802000000");
    assert_string_equal(f.mimetype, "image/png");
    assert_int_equal(f.width, 640);
    assert_int_equal(f.height, 480);

    /* APP0, then the frame header */
    f = facts("ffd8ffe000104a46494600010100000100010000ffc0001108003000400301220002110103110111");
    assert_string_equal(f.mimetype, "image/jpeg");
    assert_int_equal(f.width, 64);
    assert_int_equal(f.height, 48);

    f = facts("474946383961100020000000");
    assert_string_equal(f.mimetype, "image/gif");
    assert_int_equal(f.height, 32);

    f = facts("524946461a000000574542505650385800000000020000000ff101000f8001");
    assert_string_equal(f.mimetype, "image/webp");
    assert_true(f.animated || f.width > 0);

    assert_null(facts("").mimetype);
    assert_null(facts("68656c6c6f20776f726c64").mimetype);
    assert_string_equal(facts("255044462d312e34").suffix, "pdf");

    /* a segment that claims to be longer than the file */
    f = facts("ffd8ffe0ffff4a464946");
    assert_int_equal(f.width, 0);

    /* ftyp, moov{mvhd{timescale 1000, duration 2500}} */
    f = facts("0000001066747970"
              "69736f6d00000000"
              "000000306d6f6f76"
              "000000286d766864"
              "00000000"
              "00000000"
              "00000000"
              "000003e8"
              "000009c4"
              "00010000"
              "01000000"
              "00000000");
    assert_string_equal(f.mimetype, "video/mp4");
    assert_int_equal(f.seconds, 3);
    assert_true(f.audio_only);

    /* a box larger than the file, boxes of no size */
    f = facts("0000001066747970"
              "69736f6d00000000"
              "ffffffff6d6f6f76"
              "000000006d766864");
    assert_int_equal(f.seconds, 0);

    /* one page of opus: 48000 samples and the skipped 312 */
    f = facts("4f67675300020000000000000000"
              "0000000000000000"
              "00000000"
              "0113"
              "4f707573486561640101380180bb0000000000"
              "4f67675300040000000000000000"
              "0000000000000000"
              "00000000"
              "0100");
    assert_string_equal(f.mimetype, "audio/ogg; codecs=opus");
    assert_true(f.opus);

    assert_string_equal(wagw_media_mime_of_name(WAGW_STR("a.b.PDF")), "application/pdf");
    assert_null(wagw_media_mime_of_name(WAGW_STR("noname")));
}

static unsigned turned(const char *hex)
{
    uint8_t *exact;
    unsigned turn;
    wagw_buf_t b = {0};

    assert_int_equal(wagw_hex_decode(&b, wagw_cstr(hex)), WAGW_OK);
    exact = malloc(b.n ? b.n : 1); /* so that a sanitizer sees what is read behind it */
    if (b.n) {
        memcpy(exact, b.p, b.n);
    }
    turn = wagw_media_orientation(wagw_str(exact, b.n));
    free(exact);
    wagw_buf_free(&b);
    return turn;
}

static void test_orientation(void **state)
{
    (void)state;

    assert_int_equal(turned("49492a0008000000"
                            "0100"
                            "120103000100000006000000"
                            "00000000"),
                     6);
    assert_int_equal(turned("4d4d002a00000008"
                            "0001"
                            "011200030000000100080000"
                            "00000000"),
                     8);
    assert_int_equal(turned("457869660000"
                            "49492a0008000000"
                            "0200"
                            "0f0102000400000041424300"
                            "120103000100000003000000"),
                     3);
    /* behind the end, none, of another type, out of range, cut off, too many, an offset into the head */
    assert_int_equal(turned("49492a00ffffffff"
                            "0100"
                            "120103000100000006000000"),
                     1);
    assert_int_equal(turned("49492a0008000000"
                            "0000"
                            "120103000100000006000000"),
                     1);
    assert_int_equal(turned("49492a0008000000"
                            "0100"
                            "120104000100000006000000"),
                     1);
    assert_int_equal(turned("49492a0008000000"
                            "0100"
                            "120103000100000009000000"),
                     1);
    assert_int_equal(turned("49492a0008000000"
                            "0100"
                            "1201030001000000060000"),
                     1);
    assert_int_equal(turned("49492a0008000000"
                            "ffff"
                            "120103000100000006000000"),
                     1);
    assert_int_equal(turned("49492a0002000000"
                            "0100"
                            "120103000100000006000000"),
                     1);
    assert_int_equal(turned("4949"), 1);
    assert_int_equal(turned(""), 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_media),
        cmocka_unit_test(test_retry),
        cmocka_unit_test(test_facts),
        cmocka_unit_test(test_orientation),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
