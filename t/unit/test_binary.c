#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <cmocka.h>
#include <zlib.h>

#include "../../core/binary/node.h"
#include "../../core/binary/token.h"
#include "../../core/binary/wire.h"
#include "../../core/crypto/crypto.h"
#include "vectors.h"

/* ---- nodes of binary-node.json ---- */

static wagw_node_t *node_of(wagw_arena_t *a, const cJSON *json)
{
    const cJSON *attr, *child, *content = vec_get(json, "content");
    wagw_node_t *n = wagw_arena_zalloc(a, sizeof(*n));

    assert_non_null(n);
    n->tag = vec_text(a, vec_get(json, "tag"));
    cJSON_ArrayForEach(attr, vec_get(json, "attrs"))
    {
        wagw_str_t value = vec_text(a, cJSON_GetArrayItem(attr, 1));

        assert_non_null(wagw_node_attr(a, n, cJSON_GetStringValue(cJSON_GetArrayItem(attr, 0)), value));
        n->attrs_last->is_jid = value.n > 0 && memchr(value.p, '@', value.n) != NULL;
    }

    if (cJSON_IsArray(content)) {
        n->content = WAGW_CONTENT_NODES;
        cJSON_ArrayForEach(child, content)
        {
            assert_non_null(wagw_node_append(n, node_of(a, child)));
        }
    } else if (vec_get(content, "str") != NULL) {
        assert_non_null(wagw_node_text(n, vec_text(a, vec_get(content, "str"))));
        n->text_is_jid = n->data.n > 0 && memchr(n->data.p, '@', n->data.n) != NULL;
    } else if (vec_get(content, "hex") != NULL) {
        assert_non_null(wagw_node_bytes(n, vec_bytes(a, content, "hex")));
    } else if (vec_get(content, "pattern") != NULL) {
        const cJSON *pattern = vec_get(content, "pattern");
        size_t i, len = (size_t)vec_int(pattern, "len", 0), seed = (size_t)vec_int(pattern, "seed", 0);
        uint8_t *p = wagw_arena_alloc(a, len);

        assert_non_null(p);
        for (i = 0; i < len; i++) {
            p[i] = (uint8_t)(7 * i + seed);
        }
        assert_non_null(wagw_node_bytes(n, wagw_str(p, len)));
    } else {
        assert_true(cJSON_IsNull(content));
    }
    return n;
}

static bool node_equal(const wagw_node_t *a, const wagw_node_t *b)
{
    const wagw_attr_t *x, *y;
    const wagw_node_t *c, *d;

    if (!wagw_str_eq(a->tag, b->tag) || a->content != b->content || a->nattrs != b->nattrs ||
        a->nchildren != b->nchildren || !wagw_str_eq(a->data, b->data)) {
        return false;
    }
    for (x = a->attrs, y = b->attrs; x != NULL && y != NULL; x = x->next, y = y->next) {
        if (!wagw_str_eq(x->key, y->key) || !wagw_str_eq(x->value, y->value)) {
            return false;
        }
    }
    for (c = a->child, d = b->child; c != NULL && d != NULL; c = c->next, d = d->next) {
        if (!node_equal(c, d)) {
            return false;
        }
    }
    return x == NULL && y == NULL && c == NULL && d == NULL;
}

/* Decodes a copy of its own size: the sanitizer sees a byte read too much. */
static int decode_exact(wagw_node_t **out, wagw_arena_t *a, wagw_str_t in, uint8_t **copy)
{
    *copy = malloc(in.n > 0 ? in.n : 1);
    assert_non_null(*copy);
    if (in.n > 0) {
        memcpy(*copy, in.p, in.n);
    }
    return wagw_node_decode(out, a, wagw_str(*copy, in.n));
}

static bool encoded_matches(const cJSON *row, wagw_arena_t *a, wagw_str_t got)
{
    wagw_str_t want, sha;
    uint8_t digest[32];

    if (vec_get(row, "encoded") != NULL) {
        want = vec_bytes(a, row, "encoded");
        return want.p != NULL && wagw_str_eq(want, got);
    }
    sha = vec_bytes(a, row, "encoded_sha256");
    assert_int_equal(sha.n, 32);
    assert_int_equal(wagw_sha256(digest, got), WAGW_OK);
    return (int64_t)got.n == vec_int(row, "encoded_len", -1) && memcmp(digest, sha.p, 32) == 0 &&
           wagw_str_starts(got, vec_bytes(a, row, "encoded_head")) &&
           wagw_str_ends(got, vec_bytes(a, row, "encoded_tail"));
}

static bool row_encode(const cJSON *row, wagw_arena_t *a)
{
    wagw_node_t *n = node_of(a, vec_get(row, "node")), *back, *want = n;
    wagw_buf_t out = {0};
    uint8_t *copy = NULL;
    bool ok;

    ok = wagw_node_encode(&out, n) == WAGW_OK && encoded_matches(row, a, wagw_buf_view(&out));
    if (ok) {
        if (cJSON_IsObject(vec_get(row, "decoded"))) {
            want = node_of(a, vec_get(row, "decoded"));
        }
        ok = decode_exact(&back, a, wagw_buf_view(&out), &copy) == WAGW_OK && node_equal(back, want);
    }
    free(copy);
    wagw_buf_free(&out);
    return ok;
}

static bool row_decode(const cJSON *row, wagw_arena_t *a)
{
    wagw_node_t *n;
    uint8_t *copy = NULL;
    bool ok;

    ok = decode_exact(&n, a, vec_bytes(a, row, "raw"), &copy) == WAGW_OK &&
         node_equal(n, node_of(a, vec_get(row, "decoded")));
    free(copy);
    return ok;
}

static bool row_reject(const cJSON *row, wagw_arena_t *a)
{
    wagw_node_t *n;
    uint8_t *copy = NULL;
    int rc = decode_exact(&n, a, vec_bytes(a, row, "raw"), &copy);

    free(copy);
    return rc != WAGW_OK && n == NULL && a->used < 1u << 20;
}

static void test_vectors(void **state)
{
    static const struct {
        const char *list;
        bool (*run)(const cJSON *, wagw_arena_t *);
    } kinds[] = {{"encode", row_encode}, {"decode", row_decode}, {"reject", row_reject}};
    cJSON *root = vec_load("binary-node");
    const cJSON *row, *member;
    unsigned passed = 0, failed = 0;
    size_t i;

    (void)state;
    if (root == NULL) {
        return;
    }
    for (i = 0; i < 3; i++) {
        cJSON_ArrayForEach(row, vec_get(root, kinds[i].list))
        {
            wagw_arena_t a = {0};

            if (kinds[i].run(row, &a)) {
                passed++;
            } else {
                failed++;
                print_error("%s: %s\n", kinds[i].list, vec_str(row, "name"));
            }
            wagw_arena_free(&a);
        }
    }
    /* a list that this test does not know is not passed over */
    cJSON_ArrayForEach(member, root)
    {
        if (cJSON_IsArray(member) && strcmp(member->string, "encode") != 0 && strcmp(member->string, "decode") != 0 &&
            strcmp(member->string, "reject") != 0) {
            failed += (unsigned)cJSON_GetArraySize(member);
            print_error("unknown list %s\n", member->string);
        }
    }
    vec_count("binary-node", passed, failed, 0);
    cJSON_Delete(root);
    assert_int_equal(failed, 0);
    assert_true(passed > 0);
}

/* ---- the dictionary ---- */

static void check_dictionary(unsigned first, unsigned last, const char *sha)
{
    wagw_buf_t all = {0};
    uint8_t want[32], got[32];
    unsigned i;

    for (i = first; i <= last; i++) {
        wagw_str_t word = wagw_token_word(i);

        if (i > first) {
            wagw_buf_u8(&all, '\n');
        }
        /* the list's unused entry 0 counts as an empty line */
        if (i > 0) {
            assert_non_null(word.p);
            assert_int_equal(wagw_token_find(word), i);
        }
        wagw_buf_str(&all, word);
    }
    assert_int_equal(wagw_hex_fixed(want, 32, wagw_cstr(sha)), WAGW_OK);
    assert_int_equal(wagw_sha256(got, wagw_buf_view(&all)), WAGW_OK);
    assert_memory_equal(got, want, 32);
    wagw_buf_free(&all);
}

static void test_tokens(void **state)
{
    char longest[100];

    (void)state;
    check_dictionary(0, 235, "1e8302d2aba0d8c40d09fd79fc9c70347350cb00926dd0e3565683b347be35a5");
    check_dictionary(236, 491, "c19c763b07f7684fc58490eb838873edeec498d59bf4d56bbb33d8e7af4cb112");
    check_dictionary(492, 747, "e8894a798e1d92bc5f5f5cd1c2ffeef43a5c03acb1775b34d121ffe0a19b8f6a");
    check_dictionary(748, 1003, "8f4081781e324d9ab95574b01ff37a44753403cebd0d1feeeb985661cc86cae8");
    check_dictionary(1004, 1259, "8e397aec42a6a503621910cf3d7a8f9e287e94192031265b6e55519e0e19fadc");
    assert_null(wagw_token_word(0).p);
    assert_null(wagw_token_word(1260).p);
    assert_int_equal(wagw_token_find(WAGW_STR("")), 0);
    assert_int_equal(wagw_token_find(WAGW_STR("no such word")), 0);
    assert_int_equal(wagw_token_find(WAGW_STR("\xff\xfe\0")), 0);
    memset(longest, 'a', sizeof(longest));
    assert_int_equal(wagw_token_find(wagw_str(longest, sizeof(longest))), 0);
}

/* ---- limits ---- */

static int decode_of(wagw_str_t in)
{
    wagw_arena_t a = {0};
    wagw_node_t *n;
    uint8_t *copy = NULL;
    int rc = decode_exact(&n, &a, in, &copy);

    if (rc != WAGW_OK) {
        assert_null(n);
    }
    free(copy);
    wagw_arena_free(&a);
    return rc;
}

static void test_depth(void **state)
{
    wagw_arena_t a = {0};
    wagw_buf_t b = {0};
    wagw_node_t *root, *n;
    unsigned depth, i;

    (void)state;
    for (depth = 63; depth <= 66; depth++) {
        wagw_buf_reset(&b);
        wagw_buf_u8(&b, 0);
        for (i = 1; i < depth; i++) {
            wagw_buf_add(&b, "\xf8\x02\x19\xf8\x01", 5);
        }
        wagw_buf_add(&b, "\xf8\x01\x19", 3);
        assert_int_equal(decode_of(wagw_buf_view(&b)), depth <= 64 ? WAGW_OK : WAGW_LIMIT);

        n = root = wagw_node(&a, "iq");
        for (i = 1; i < depth; i++) {
            n = wagw_node_child(&a, n, "iq");
        }
        wagw_buf_reset(&b);
        assert_int_equal(wagw_node_encode(&b, root), depth <= 64 ? WAGW_OK : WAGW_LIMIT);
        assert_true(depth <= 64 ? b.n > 0 : b.n == 0);
        assert_true((wagw_node_clone(&a, root) != NULL) == (depth <= 64));
        /* a dump of what is too deep ends instead of failing */
        assert_int_equal(wagw_node_dump(&b, root), WAGW_OK);
    }
    /* a child list that never ends */
    wagw_buf_reset(&b);
    wagw_buf_u8(&b, 0);
    for (i = 0; i < 100000; i++) {
        wagw_buf_add(&b, "\xf8\x02\x19\xf8\x01", 5);
    }
    assert_int_equal(decode_of(wagw_buf_view(&b)), WAGW_LIMIT);
    wagw_buf_free(&b);
    wagw_arena_free(&a);
}

static void test_counts(void **state)
{
    wagw_buf_t b = {0};
    unsigned i, k;

    (void)state;
    /* 199999 children below a root are the most; one more is refused */
    for (k = 0; k < 2; k++) {
        unsigned left = 199999 + k;

        wagw_buf_reset(&b);
        wagw_buf_add(&b, "\0\xf8\x02\x71", 4);
        /* nodes with 65535 and fewer children inside one list of four */
        wagw_buf_add(&b, "\xf8\x04", 2);
        left -= 4;
        for (i = 0; i < 4; i++) {
            unsigned size = left / (4 - i), c;

            left -= size;
            wagw_buf_add(&b, "\xf8\x02\x71\xf9", 4);
            wagw_buf_be(&b, size, 2);
            for (c = 0; c < size; c++) {
                wagw_buf_add(&b, "\xf8\x01\x0e", 3);
            }
        }
        assert_int_equal(decode_of(wagw_buf_view(&b)), k == 0 ? WAGW_OK : WAGW_LIMIT);
    }

    /* attributes: 512 with different keys are read, 513 refused before any is */
    for (k = 512; k <= 513; k++) {
        wagw_buf_reset(&b);
        wagw_buf_add(&b, "\0\xf9", 2);
        wagw_buf_be(&b, 1 + 2 * k, 2);
        wagw_buf_u8(&b, 0x19);
        for (i = 0; i < k; i++) {
            wagw_buf_add(&b, "\xfc\x02", 2);
            wagw_buf_be(&b, i, 2);
            wagw_buf_u8(&b, 8);
        }
        assert_int_equal(decode_of(wagw_buf_view(&b)), k == 512 ? WAGW_OK : WAGW_LIMIT);
    }

    /* lists that promise more than is there, at every size of header */
    assert_int_equal(decode_of(WAGW_STR("\0\xf8\xff\x19")), WAGW_MALFORMED);
    assert_int_equal(decode_of(WAGW_STR("\0\xf9\xff\xff\x19")), WAGW_MALFORMED);
    assert_int_equal(decode_of(WAGW_STR("\0\xf9\xff")), WAGW_MALFORMED);
    assert_int_equal(decode_of(WAGW_STR("\0\xf8\x02\x19\xf9\x00\x02\xf8\x01\x19")), WAGW_MALFORMED);
    wagw_buf_free(&b);
}

static void test_lengths(void **state)
{
    static const struct {
        const char *p;
        size_t n;
    } rows[] = {
#define ROW(s) {s, sizeof(s) - 1}
        ROW("\0\xf8\x02\x1d\xfc\x01"),                         /* BINARY_8 of 1, nothing there */
        ROW("\0\xf8\x02\x1d\xfc"),                             /* no length */
        ROW("\0\xf8\x02\x1d\xfd\x00\x00"),                     /* BINARY_20, its length cut */
        ROW("\0\xf8\x02\x1d\xfd\x0f\xff\xff"),                 /* BINARY_20 of a megabyte */
        ROW("\0\xf8\x02\x1d\xfe\xff\xff\xff\xff"),             /* BINARY_32 of 4 GiB */
        ROW("\0\xf8\x02\x1d\xfe\x80\x00\x00\x00\x01"),         /* negative if it were signed */
        ROW("\0\xf8\x02\x1d\xfe\x00\x00\x00\x02\x01"),         /* one byte short */
        ROW("\0\xf8\x03\x19\x08\xff\x7f\x11"),                 /* 127 packed bytes */
        ROW("\0\xf8\x03\x19\x08\xff\xff\x11"),                 /* odd */
        ROW("\0\xf8\x03\x19\x08\xff\x81\x1c"),                 /* illegal filler */
        ROW("\0\xf8\x03\x19\x08\xff\x81\xc1"),                 /* illegal first half */
        ROW("\0\xf8\x03\x19\x08\xff\x01\xd1"),                 /* 13 */
        ROW("\0\xf8\x03\x19\x08\xff\x01\x1e"),                 /* 14 */
        ROW("\0\xf8\x03\x19\x06\xfa\x00"),                     /* JID_PAIR without server */
        ROW("\0\xf8\x03\x19\x06\xf7\x00\x00"),                 /* AD_JID without user */
        ROW("\0\xf8\x03\x19\x06\xf6\x00\x00\x01"),             /* FB_JID without server */
        ROW("\0\xf8\x03\x19\x06\xf6\x55\x00\x01\x03"),         /* FB_JID of another server */
        ROW("\0\xf8\x03\x19\x06\xf5\x55\x00\x01\x00\x02"),     /* INTEROP_JID without server */
        ROW("\0\xf8\x03\x19\x06\xf5\x55\x00\x01\x00\x02\x03"), /* of another server */
        ROW("\0\xf8\x03\xf8\x08\x19"),                         /* a list as key */
        ROW("\0\xf8\x01\xf8"),                                 /* a list as tag */
        ROW("\0\xf8\x02\x19\xf1"),                             /* an unassigned tag as content */
        ROW("\0\xfa\x00\x03"),                                 /* a JID in place of the node */
        ROW("\x02"),                                           /* nothing to inflate */
#undef ROW
    };
    wagw_buf_t b = {0};
    wagw_node_t *n;
    wagw_arena_t a = {0};
    size_t i;

    (void)state;
    for (i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        if (decode_of(wagw_str(rows[i].p, rows[i].n)) != WAGW_MALFORMED) {
            fail_msg("row %zu is not refused as malformed", i);
        }
    }
    assert_int_equal(decode_of(WAGW_STR_NULL), WAGW_MALFORMED);

    /* an odd packed string of no bytes is empty */
    assert_int_equal(wagw_node_decode(&n, &a, WAGW_STR("\0\xf8\x03\x19\x08\xff\x80")), WAGW_OK);
    assert_int_equal(wagw_node_get(n, "id").n, 0);
    assert_non_null(wagw_node_get(n, "id").p);

    /* a plaintext of 16 MiB behind the flag is read, a byte more is not */
    assert_int_equal(wagw_buf_reserve(&b, (16u << 20) + 2), WAGW_OK);
    wagw_buf_add(&b, "\0\xf8\x02\x1d\xfe", 5);
    wagw_buf_be(&b, (16u << 20) - 8, 4);
    memset(b.p + b.n, 'x', (16u << 20) - 8);
    b.n = (16u << 20) + 1;
    assert_int_equal(wagw_node_decode(&n, &a, wagw_buf_view(&b)), WAGW_OK);
    assert_int_equal(wagw_node_data(n).n, (16u << 20) - 8);
    assert_ptr_equal(wagw_node_data(n).p, b.p + 9);
    b.p[b.n++] = 0;
    assert_int_equal(wagw_node_decode(&n, &a, wagw_buf_view(&b)), WAGW_LIMIT);

    wagw_buf_free(&b);
    wagw_arena_free(&a);
}

/* Every prefix of every frame that can be read is refused. */
static void test_truncated(void **state)
{
    cJSON *root = vec_load("binary-node");
    const cJSON *row;
    wagw_arena_t a = {0};
    size_t n, tried = 0;

    (void)state;
    if (root == NULL) {
        return;
    }
    cJSON_ArrayForEach(row, vec_get(root, "encode"))
    {
        wagw_str_t whole = vec_bytes(&a, row, "encoded");

        for (n = 0; n < whole.n && whole.n < 600; n++) {
            assert_int_equal(decode_of(wagw_str(whole.p, n)), WAGW_MALFORMED);
            tried++;
        }
        wagw_arena_reset(&a);
    }
    cJSON_ArrayForEach(row, vec_get(root, "decode"))
    {
        wagw_str_t whole = vec_bytes(&a, row, "raw");

        for (n = 0; n < whole.n; n++) {
            assert_int_equal(decode_of(wagw_str(whole.p, n)), WAGW_MALFORMED);
            tried++;
        }
        wagw_arena_reset(&a);
    }
    assert_true(tried > 1000);
    wagw_arena_free(&a);
    cJSON_Delete(root);
}

static void deflate_into(wagw_buf_t *out, wagw_str_t in)
{
    uLongf n = compressBound(in.n);

    wagw_buf_reset(out);
    wagw_buf_u8(out, 2);
    assert_int_equal(wagw_buf_reserve(out, n), WAGW_OK);
    assert_int_equal(compress2(out->p + 1, &n, in.p, in.n, 9), Z_OK);
    out->n += n;
}

static void test_zlib(void **state)
{
    wagw_buf_t plain = {0}, z = {0};
    wagw_arena_t a = {0};
    wagw_node_t *n;
    size_t whole;

    (void)state;
    /* zeros: 1000 to 1.  16 MiB is read (as rubbish), a byte more is a bomb */
    assert_int_equal(wagw_buf_reserve(&plain, 64u << 20), WAGW_OK);
    memset(plain.p, 0, 64u << 20);
    deflate_into(&z, wagw_str(plain.p, 16u << 20));
    assert_int_equal(decode_of(wagw_buf_view(&z)), WAGW_MALFORMED);
    deflate_into(&z, wagw_str(plain.p, (16u << 20) + 1));
    assert_int_equal(decode_of(wagw_buf_view(&z)), WAGW_LIMIT);
    deflate_into(&z, wagw_str(plain.p, 64u << 20));
    assert_true(z.n < 100000);
    assert_int_equal(wagw_node_decode(&n, &a, wagw_buf_view(&z)), WAGW_LIMIT);
    assert_int_equal(a.used, 0);

    /* a small frame that unfolds into as many small nodes and attributes as fit */
    wagw_buf_add(&plain, "\xf8\x02\x71\xf9\x7f\xff", 6);
    while (plain.n < (16u << 20) - 5000) {
        unsigned i;

        wagw_buf_add(&plain, "\xf9\x04\x01\x0e", 4);
        for (i = 0; i < 512; i++) {
            wagw_buf_u8(&plain, 0xfb);
            wagw_buf_u8(&plain, 0x02);
            wagw_buf_be(&plain, i, 2);
            wagw_buf_add(&plain, "\xff\x01\x11", 3);
        }
    }
    deflate_into(&z, wagw_buf_view(&plain));
    assert_int_equal(wagw_node_decode(&n, &a, wagw_buf_view(&z)), WAGW_LIMIT);
    assert_true(a.used < 96u << 20);
    wagw_arena_free(&a);

    plain.n = 0;
    wagw_buf_add(&plain, "\xf8\x03\x19\x08\xfc\x03zip", 9);
    deflate_into(&z, wagw_buf_view(&plain));
    whole = z.n;
    assert_int_equal(wagw_node_decode(&n, &a, wagw_buf_view(&z)), WAGW_OK);
    assert_true(wagw_node_attr_is(n, "id", "zip"));
    wagw_buf_u8(&z, 0);
    assert_int_equal(decode_of(wagw_buf_view(&z)), WAGW_MALFORMED); /* a byte behind the stream */
    z.n = whole;
    z.p[whole - 1] ^= 1;
    assert_int_equal(decode_of(wagw_buf_view(&z)), WAGW_MALFORMED); /* checksum */
    z.p[whole - 1] ^= 1;
    for (; z.n > 0; z.n--) {
        if (z.n < whole) {
            assert_int_equal(decode_of(wagw_buf_view(&z)), WAGW_MALFORMED);
        }
    }
    deflate_into(&z, WAGW_STR_NULL);
    assert_int_equal(decode_of(wagw_buf_view(&z)), WAGW_MALFORMED); /* a whole stream of nothing */

    wagw_arena_free(&a);
    wagw_buf_free(&plain);
    wagw_buf_free(&z);
}

static void test_nested_jid(void **state)
{
    wagw_arena_t a = {0};
    wagw_buf_t b = {0};
    wagw_node_t *n;
    int i, depth;

    (void)state;
    for (depth = 1; depth < 200000; depth = depth < 6 ? depth + 1 : depth * 1000) {
        wagw_buf_reset(&b);
        wagw_buf_add(&b, "\0\xf8\x03\x19\x06", 5);
        for (i = 0; i < depth; i++) {
            wagw_buf_add(&b, "\xfa\x55", 2);
        }
        wagw_buf_u8(&b, 3);
        assert_int_equal(wagw_node_decode(&n, &a, wagw_buf_view(&b)), depth <= 4 ? WAGW_OK : WAGW_LIMIT);
    }
    /* as user part none is taken */
    assert_int_equal(wagw_node_decode(&n, &a, WAGW_STR("\0\xf8\x03\x19\x06\xfa\xfa\x55\x03\x03")), WAGW_LIMIT);

    /* an @ at the end leaves no server to write */
    n = wagw_node_attr(&a, wagw_node(&a, "iq"), "from", WAGW_STR("a@b@"));
    n->attrs->is_jid = true;
    assert_int_equal(wagw_node_encode(&b, n), WAGW_OK);
    wagw_buf_consume(&b, b.n - 9);
    assert_memory_equal(b.p,
                        "\x06\xfa\xfc\x01"
                        "a\xfc\x02"
                        "b@",
                        9);
    assert_int_equal(wagw_node_decode(&n, &a,
                                      WAGW_STR("\0\xf8\x03\x19\x06\xfa\xfc\x01"
                                               "a\xfc\x02"
                                               "b@")),
                     WAGW_OK);
    assert_true(wagw_node_attr_is(n, "from", "a@b@"));

    /* a text with many signs is written without end of patience too */
    n = wagw_node_attr(&a, wagw_node(&a, "iq"), "from", WAGW_STR("a@b@c@d@e@f@g"));
    n->attrs->is_jid = true;
    wagw_buf_reset(&b);
    assert_int_equal(wagw_node_encode(&b, n), WAGW_OK);
    assert_int_equal(wagw_node_decode(&n, &a, wagw_buf_view(&b)), WAGW_OK);
    assert_true(wagw_node_attr_is(n, "from", "a@b@c@d@e@f@g"));
    wagw_buf_free(&b);
    wagw_arena_free(&a);
}

/* ---- building and reading ---- */

static void check_hex(const wagw_node_t *n, const char *digits)
{
    wagw_buf_t out = {0}, text = {0};

    assert_int_equal(wagw_node_encode(&out, n), WAGW_OK);
    wagw_hex_encode(&text, wagw_buf_view(&out));
    wagw_buf_u8(&text, 0);
    assert_false(text.failed);
    assert_string_equal((char *)text.p, digits);
    wagw_buf_free(&out);
    wagw_buf_free(&text);
}

/* The page's worked examples and the forms the vectors leave out. */
static void test_build(void **state)
{
    wagw_arena_t a = {0};
    wagw_node_t *n;
    wagw_jid_t j;
    size_t i;
    static const struct {
        const char *jid, *hex;
    } jids[] = {
        {"491701234567:12@s.whatsapp.net", "00f8031911f7000cff06491701234567"},
        {"491701234567@s.whatsapp.net", "00f8031911faff0649170123456703"},
        {"98765432101234:7@lid", "00f8031911f70107ff0798765432101234"},
        {"@s.whatsapp.net", "00f8031911fa0003"},
        {"10001234:258@msgr", "00f8031911f6ff04100012340102cc"},
        {"7-10001234:3@interop", "00f8031911f5ff041000123400030007fc07696e7465726f70"},
        {"491701234567:99@hosted", "00f8031911f78063ff06491701234567"},
        {"491701234567@hosted", "00f8031911f78000ff06491701234567"},
        {"98765432101234@hosted.lid", "00f8031911f78100ff0798765432101234"},
    };

    (void)state;
    check_hex(wagw_node_attrc(&a, wagw_node(&a, "presence"), "type", "available"), "00f8031f0488");
    n = wagw_node(&a, "iq");
    wagw_node_attrc(&a, n, "id", "31234.5678-1");
    wagw_node_attr_server(&a, n, "to");
    wagw_node_attrc(&a, n, "type", "get");
    wagw_node_attrc(&a, n, "xmlns", "w:p");
    assert_non_null(wagw_node_child(&a, n, "ping"));
    check_hex(n, "00f80a1908ff0631234b5678a111fa000304291657f801f80156");
    check_hex(wagw_node_attr_int(&a, wagw_node(&a, "iq"), "id", -77), "00f8031908ff82a77f");

    for (i = 0; i < sizeof(jids) / sizeof(jids[0]); i++) {
        assert_int_equal(wagw_jid_parse(&j, wagw_cstr(jids[i].jid)), WAGW_OK);
        n = wagw_node_attr_jid(&a, wagw_node(&a, "iq"), "to", &j);
        check_hex(n, jids[i].hex);
    }

    /* free text with an @ is never taken for a JID */
    check_hex(wagw_node_attrc(&a, wagw_node(&a, "iq"), "id", "a@b"), "00f8031908fc03614062");
    check_hex(wagw_node_text(wagw_node(&a, "body"), WAGW_STR("a@b")), "00f802ed75fc03614062");
    /* bytes are neither tokens nor packed */
    check_hex(wagw_node_bytes(wagw_node(&a, "body"), WAGW_STR("get")), "00f802ed75fc03676574");
    check_hex(wagw_node_bytes(wagw_node(&a, "body"), WAGW_STR_NULL), "00f802ed75fc00");

    /* what has no form on the wire */
    {
        wagw_buf_t out = {0};

        wagw_buf_u8(&out, 'x');
        n = wagw_node_attrc(&a, wagw_node(&a, "iq"), "to", "abc:3@interop");
        n->attrs->is_jid = true;
        assert_int_equal(wagw_node_encode(&out, n), WAGW_MALFORMED);
        assert_int_equal(wagw_node_encode(&out, wagw_node(&a, "")), WAGW_MALFORMED);
        assert_int_equal(wagw_node_encode(&out, NULL), WAGW_NOMEM);
        n = wagw_node_bytes(wagw_node(&a, "iq"), wagw_str(&out, (16u << 20) + 1));
        assert_int_equal(wagw_node_encode(&out, n), WAGW_LIMIT);
        assert_int_equal(out.n, 1);
        wagw_buf_free(&out);
    }

    /* a NULL in a chain reaches its end */
    assert_null(wagw_node_attrc(&a, NULL, "id", "x"));
    /* a value that is absent is left out, an empty one is not */
    n = wagw_node(&a, "iq");
    assert_ptr_equal(wagw_node_attrc(&a, n, "id", NULL), n);
    assert_ptr_equal(wagw_node_attr(&a, n, "id", wagw_node_get(n, "none")), n);
    assert_int_equal(n->nattrs, 0);
    assert_ptr_equal(wagw_node_attr(&a, n, "id", WAGW_STR("")), n);
    assert_int_equal(n->nattrs, 1);
    assert_null(wagw_node_append(NULL, wagw_node(&a, "iq")));
    assert_null(wagw_node_append(wagw_node(&a, "iq"), NULL));
    assert_null(wagw_node_child(&a, NULL, "iq"));
    assert_null(wagw_node_bytes(NULL, WAGW_STR("x")));
    assert_null(wagw_node_bytes_copy(&a, NULL, WAGW_STR("x")));
    assert_null(wagw_node_text(NULL, WAGW_STR("x")));
    assert_null(wagw_node_clone(&a, NULL));
    wagw_arena_free(&a);
}

static void test_read(void **state)
{
    wagw_arena_t a = {0}, other = {0};
    wagw_buf_t b = {0};
    wagw_node_t *n, *copy;
    const wagw_node_t *c;
    wagw_jid_t j;
    uint64_t u;
    uint8_t big[80];
    char data[] = "bytes";

    (void)state;
    n = wagw_node(&a, "iq");
    wagw_node_attrc(&a, n, "id", "17");
    wagw_node_attrc(&a, n, "name", "x\"\n");
    wagw_node_attrc(&a, n, "empty", "");
    wagw_node_attrc(&a, n, "bad", "12x");
    wagw_node_attr_server(&a, n, "from");
    j = wagw_jid_make("123", WAGW_SRV_LID, 4);
    wagw_node_attr_jid(&a, n, "participant", &j);
    wagw_node_bytes_copy(&a, wagw_node_child(&a, n, "a"), wagw_str(data, 5));
    memset(data, 'z', 5);
    wagw_node_text(wagw_node_child(&a, n, "b"), WAGW_STR("text"));
    wagw_node_child(&a, n, "a");
    memset(big, 0xab, sizeof(big));
    wagw_node_bytes(wagw_node_child(&a, n, "c"), wagw_str(big, sizeof(big)));

    assert_true(wagw_node_is(n, "iq"));
    assert_false(wagw_node_is(n, "i"));
    assert_false(wagw_node_is(NULL, "iq"));
    assert_true(wagw_node_has(n, "empty"));
    assert_non_null(wagw_node_get(n, "empty").p);
    assert_null(wagw_node_get(n, "none").p);
    assert_null(wagw_node_get(NULL, "none").p);
    assert_int_equal(wagw_node_get_u64(n, "id", &u), WAGW_OK);
    assert_int_equal(u, 17);
    assert_int_equal(wagw_node_get_u64(n, "none", &u), WAGW_NOT_FOUND);
    assert_int_equal(wagw_node_get_u64(n, "bad", &u), WAGW_MALFORMED);
    assert_int_equal(wagw_node_get_u64(n, "empty", &u), WAGW_MALFORMED);
    assert_int_equal(wagw_node_get_jid(n, "participant", &j), WAGW_OK);
    assert_string_equal(j.user, "123");
    assert_int_equal(j.device, 4);
    assert_int_equal(wagw_node_get_jid(n, "none", &j), WAGW_NOT_FOUND);
    assert_int_equal(wagw_node_get_jid(n, "bad", &j), WAGW_MALFORMED);
    assert_true(wagw_jid_empty(&j));
    assert_true(wagw_attr_from_server(n));

    c = wagw_node_find(n, "a");
    assert_true(wagw_str_is(wagw_node_data(c), "bytes"));
    c = wagw_node_find_next(c, "a");
    assert_non_null(c);
    assert_null(wagw_node_data(c).p);
    assert_null(wagw_node_find_next(c, "a"));
    assert_null(wagw_node_find(n, "zz"));
    assert_null(wagw_node_find(NULL, "a"));
    assert_null(wagw_node_find_next(NULL, "a"));
    assert_null(wagw_node_data(NULL).p);

    copy = wagw_node_clone(&other, n);
    wagw_arena_free(&a);
    memset(big, 0, sizeof(big));
    assert_int_equal(wagw_node_dump(&b, copy), WAGW_OK);
    wagw_buf_u8(&b, 0);
    assert_string_equal((char *)b.p,
                        "<iq id=\"17\" name=\"x\\x22\\x0a\" empty=\"\" bad=\"12x\" from=\"@s.whatsapp.net\" "
                        "participant=\"123:4@lid\"><a>6279746573</a><b>text</b><a/><c>"
                        "abababababababababababababababababababababababababababababababab"
                        "abababababababababababababababababababababababababababababababab...(80 bytes)</c></iq>");
    assert_true(copy->attrs_last->is_jid);

    n = wagw_node_attrc(&a, wagw_node(&a, "iq"), "from", "s.whatsapp.net");
    assert_true(wagw_attr_from_server(n));
    n = wagw_node_attrc(&a, wagw_node(&a, "iq"), "from", "1@s.whatsapp.net");
    assert_false(wagw_attr_from_server(n));
    assert_false(wagw_attr_from_server(wagw_node(&a, "iq")));
    wagw_buf_free(&b);
    wagw_arena_free(&a);
    wagw_arena_free(&other);
}

/* What was decoded is written as the same bytes again: the sandbox relays so. */
static void test_roundtrip(void **state)
{
    cJSON *root = vec_load("binary-node");
    const cJSON *row;
    wagw_arena_t a = {0};
    wagw_node_t *n, *again;
    wagw_buf_t out = {0};

    (void)state;
    if (root == NULL) {
        return;
    }
    cJSON_ArrayForEach(row, vec_get(root, "decode"))
    {
        wagw_buf_reset(&out);
        assert_int_equal(wagw_node_decode(&n, &a, vec_bytes(&a, row, "raw")), WAGW_OK);
        assert_int_equal(wagw_node_encode(&out, n), WAGW_OK);
        assert_int_equal(wagw_node_decode(&again, &a, wagw_buf_view(&out)), WAGW_OK);
        assert_true(node_equal(n, again));
    }
    wagw_buf_free(&out);
    wagw_arena_free(&a);
    cJSON_Delete(root);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_vectors), cmocka_unit_test(test_tokens),     cmocka_unit_test(test_depth),
        cmocka_unit_test(test_counts),  cmocka_unit_test(test_lengths),    cmocka_unit_test(test_truncated),
        cmocka_unit_test(test_zlib),    cmocka_unit_test(test_nested_jid), cmocka_unit_test(test_build),
        cmocka_unit_test(test_read),    cmocka_unit_test(test_roundtrip),
    };

    return cmocka_run_group_tests_name("binary", tests, NULL, NULL);
}
