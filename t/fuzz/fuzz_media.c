/*
 * What a caller or a peer calls media: what the file says of itself, the
 * encrypted file in pieces of every size, answers of the phone, and where a
 * message says that its media is.  The first byte chooses.
 */

#include <stdlib.h>

#include "../../core/media/media.h"
#include "../../core/message/message.h"

static void need(bool ok)
{
    if (!ok) {
        abort();
    }
}

static bool fuzz_read(void *data, uint64_t at, uint8_t *p, size_t n)
{
    const wagw_str_t *s = data;

    if (at > s->n || n > s->n - at) {
        return false;
    }
    memcpy(p, s->p + at, n);
    return true;
}

static void fuzz_facts(wagw_str_t s)
{
    wagw_media_facts_t f;

    wagw_media_sniff(&f, s);
    wagw_media_probe(&f, s.n, fuzz_read, &s);
    need((f.mimetype == NULL) == (f.suffix == NULL));
    need(f.width <= 65536 && f.height <= 65536 && f.seconds <= 1000000);
    (void)wagw_media_mime_of_name(s);
}

/* A damaged file is never good; a good one opens to what was sealed. */
static void fuzz_file(wagw_str_t s)
{
    static const uint8_t key[32] = {7};
    size_t at, n, piece = s.n ? s.p[0] % 97 + 1 : 1;
    uint64_t size, start, end;
    wagw_buf_t out = {0}, back = {0};
    wagw_media_keys_t k;
    wagw_media_sums_t sums;
    wagw_media_seal_t *seal = wagw_media_seal(wagw_media_type("video"), key);
    wagw_media_check_t *c;
    wagw_media_open_t *o;

    need(seal && wagw_media_keys(&k, wagw_media_type("video"), key) == WAGW_OK);
    for (at = 0; at < s.n; at += n) {
        n = piece < s.n - at ? piece : s.n - at;
        need(wagw_media_seal_add(seal, &out, wagw_str(s.p + at, n)) == WAGW_OK);
    }
    need(wagw_media_seal_end(seal, &out, &sums) == WAGW_OK && sums.size == s.n && sums.enc_size == out.n);
    wagw_media_seal_free(seal);

    c = wagw_media_check(&k, WAGW_STR_NULL, wagw_str(sums.sha256, 32));
    need(c != NULL);
    for (at = 0; at < out.n; at += n) {
        n = piece < out.n - at ? piece : out.n - at;
        need(wagw_media_check_add(c, wagw_str(out.p + at, n)) == WAGW_OK);
    }
    need(wagw_media_check_end(c, &size) == WAGW_MEDIA_GOOD && size == s.n);
    wagw_media_check_free(c);

    at = s.n ? s.p[s.n - 1] % s.n : 0;
    o = wagw_media_open(&k, at, s.n, &start, &end);
    need(o && end <= out.n);
    need(wagw_media_open_add(o, &back, wagw_str(out.p + start, end - start)) == WAGW_OK);
    need(wagw_str_eq(wagw_buf_view(&back), wagw_str(s.p + at, s.n - at)));
    wagw_media_open_free(o);

    /* the input itself as an encrypted file */
    c = wagw_media_check(&k, WAGW_STR_NULL, WAGW_STR_NULL);
    need(c && wagw_media_check_add(c, s) == WAGW_OK);
    (void)wagw_media_check_end(c, &size);
    wagw_media_check_free(c);

    wagw_buf_free(&sums.sidecar);
    wagw_buf_free(&out);
    wagw_buf_free(&back);
}

static void fuzz_retry(wagw_str_t s)
{
    static const uint8_t key[32] = {9}, iv[12] = {1};
    uint8_t k[32];
    wagw_arena_t a = {0};
    wagw_buf_t sealed = {0};
    wagw_str_t path;
    wagw_media_retry_t result;

    /* as it came, and as a phone would have sealed it */
    (void)wagw_media_retry_open(&a, key, WAGW_STR("id"), wagw_str(iv, 12), s, &result, &path);
    need(wagw_hkdf(k, 32, wagw_str(key, 32), WAGW_STR_NULL, WAGW_STR("WhatsApp Media Retry Notification")) == WAGW_OK);
    need(wagw_buf_reserve(&sealed, s.n + 16) == WAGW_OK);
    need(wagw_gcm_seal(sealed.p, k, iv, WAGW_STR("id"), s) == WAGW_OK);
    if (wagw_media_retry_open(&a, key, WAGW_STR("id"), wagw_str(iv, 12), wagw_str(sealed.p, s.n + 16), &result,
                              &path) == WAGW_OK) {
        need(path.n == 0 || result == WAGW_MEDIA_RETRY_SUCCESS);
    }
    wagw_buf_free(&sealed);
    wagw_arena_free(&a);
}

static void fuzz_message(wagw_str_t s)
{
    wagw_arena_t a = {0};
    wagw_buf_t path = {0};
    wagw_str_t moved;
    wagw_message_file_t f, again;

    if (wagw_message_file(&f, &a, s) == WAGW_OK) {
        need(wagw_media_type(f.type) != NULL);
        if (wagw_media_download_path(&path, wagw_media_type(f.type), f.direct_path, f.enc_sha256) == WAGW_OK) {
            need(path.n > 1 && path.p[0] == '/' && path.p[1] != '/');
        }
        if (wagw_message_file_moved(&a, s, WAGW_STR("/v/new?x=1"), &moved) == WAGW_OK) {
            need(wagw_message_file(&again, &a, moved) == WAGW_OK && wagw_str_is(again.direct_path, "/v/new?x=1"));
        }
    }
    (void)wagw_message_mediatype(&a, s);
    wagw_buf_free(&path);
    wagw_arena_free(&a);
}

static void fuzz_exif(wagw_str_t s)
{
    unsigned turn = wagw_media_orientation(s);

    need(turn >= 1 && turn <= 8);
}

int LLVMFuzzerTestOneInput(const uint8_t *p, size_t n);

int LLVMFuzzerTestOneInput(const uint8_t *p, size_t n)
{
    wagw_str_t s;

    if (n == 0) {
        return 0;
    }
    s = wagw_str(p + 1, n - 1);
    switch (p[0] % 5) {
    case 0:
        fuzz_facts(s);
        break;
    case 1:
        fuzz_file(s);
        break;
    case 2:
        fuzz_retry(s);
        break;
    case 3:
        fuzz_message(s);
        break;
    default:
        fuzz_exif(s);
    }
    return 0;
}
