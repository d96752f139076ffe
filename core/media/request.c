#include "media.h"

#include <ctype.h>

#include "wa.pb-c.h"

static void request_escape(wagw_buf_t *b, wagw_str_t s)
{
    for (size_t i = 0; i < s.n; i++) {
        if (isalnum(s.p[i]) || (s.p[i] && strchr("-_.~", s.p[i]))) {
            wagw_buf_u8(b, s.p[i]);
        } else {
            wagw_buf_printf(b, "%%%02X", s.p[i]);
        }
    }
}

static int request_upload(wagw_buf_t *out, const uint8_t hash[32], wagw_str_t auth)
{
    wagw_str_t token = wagw_str(hash, 32);

    wagw_buf_u8(out, '/');
    wagw_base64url_encode(out, token);
    wagw_buf_cstr(out, "?auth=");
    request_escape(out, auth);
    wagw_buf_cstr(out, "&token=");
    wagw_base64url_encode(out, token);

    return out->failed ? WAGW_NOMEM : WAGW_OK;
}

int wagw_media_upload_path(wagw_buf_t *out, const wagw_media_type_t *type, const uint8_t enc_sha256[32],
                           wagw_str_t auth)
{
    if (type->upload == NULL) {
        return WAGW_STATE;
    }
    wagw_buf_cstr(out, type->upload);

    return request_upload(out, enc_sha256, auth);
}

int wagw_media_channel_path(wagw_buf_t *out, const wagw_media_type_t *type, const uint8_t sha256[32], wagw_str_t auth)
{
    wagw_buf_printf(out, "/newsletter/newsletter-%s", type->mms);

    return request_upload(out, sha256, auth);
}

int wagw_media_download_path(wagw_buf_t *out, const wagw_media_type_t *type, wagw_str_t direct_path,
                             wagw_str_t enc_sha256)
{
    /* "//host/.." would name another host */
    if (direct_path.n == 0 || direct_path.n > 4096 || direct_path.p[0] != '/' ||
        (direct_path.n > 1 && direct_path.p[1] == '/')) {
        return WAGW_MALFORMED;
    }
    for (size_t i = 0; i < direct_path.n; i++) {
        if (direct_path.p[i] <= 0x20 || direct_path.p[i] >= 0x7f || direct_path.p[i] == '#') {
            return WAGW_MALFORMED;
        }
    }
    wagw_buf_str(out, direct_path);
    wagw_buf_u8(out, memchr(direct_path.p, '?', direct_path.n) ? '&' : '?');
    if (enc_sha256.n == 32) {
        wagw_buf_cstr(out, "hash=");
        wagw_base64url_encode(out, enc_sha256);
        wagw_buf_cstr(out, "=&");
    }
    wagw_buf_printf(out, "mms-type=%s&__wa-mms=", type->mms);

    return out->failed ? WAGW_NOMEM : WAGW_OK;
}

/* ---- walk ---- */

wagw_walk_rc_t wagw_media_walk(wagw_media_walk_t *w, size_t nhosts, int status, const cJSON *answer)
{
    w->url = cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(answer, "url"));
    w->direct_path = cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(answer, "direct_path"));
    w->handle = cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(answer, "handle"));

    if (status == 200 && w->direct_path && w->direct_path[0] == '/') {
        return WAGW_WALK_DONE;
    }
    if (status == 413 || status == 415 || status == 507) {
        return WAGW_WALK_STOP;
    }
    if ((status == 401 || status == 403) && !w->auth) {
        w->auth = true;
        return WAGW_WALK_NEXT;
    }
    w->at++;
    return w->at < nhosts ? WAGW_WALK_NEXT : WAGW_WALK_STOP;
}

/* ---- retry ---- */

static int retry_key(uint8_t out[32], const uint8_t key[32])
{
    return wagw_hkdf(out, 32, wagw_str(key, 32), WAGW_STR_NULL, WAGW_STR("WhatsApp Media Retry Notification"));
}

int wagw_media_retry_seal(wagw_buf_t *out, const uint8_t key[32], wagw_str_t id, const uint8_t iv[12])
{
    int rc;
    uint8_t k[32];
    wagw_buf_t plain = {0};

    if (id.n > 127) {
        return WAGW_LIMIT;
    }
    /* ServerErrorReceipt{stanzaId} */
    wagw_buf_u8(&plain, 0x0a);
    wagw_buf_u8(&plain, (uint8_t)id.n);
    wagw_buf_str(&plain, id);

    rc = retry_key(k, key);
    if (rc == WAGW_OK && (plain.failed || wagw_buf_reserve(out, plain.n + 16) != WAGW_OK)) {
        rc = WAGW_NOMEM;
    }
    if (rc == WAGW_OK) {
        rc = wagw_gcm_seal(out->p + out->n, k, iv, id, wagw_buf_view(&plain));
    }
    if (rc == WAGW_OK) {
        out->n += plain.n + 16;
    }
    wagw_buf_free(&plain);
    wagw_wipe(k, sizeof(k));
    return rc;
}

int wagw_media_retry_open(wagw_arena_t *a, const uint8_t key[32], wagw_str_t id, wagw_str_t iv, wagw_str_t sealed,
                          wagw_media_retry_t *result, wagw_str_t *path)
{
    int rc;
    uint8_t k[32], *plain;
    Wa__MediaRetryNotification *n;

    *result = WAGW_MEDIA_RETRY_ERROR;
    *path = WAGW_STR_NULL;
    if (iv.n != 12 || sealed.n < 16 || sealed.n > 65536) {
        return WAGW_MALFORMED;
    }
    plain = wagw_arena_alloc(a, sealed.n);
    if (plain == NULL) {
        return WAGW_NOMEM;
    }
    rc = retry_key(k, key);
    if (rc == WAGW_OK) {
        rc = wagw_gcm_open(plain, k, iv.p, id, sealed);
    }
    wagw_wipe(k, sizeof(k));
    if (rc != WAGW_OK) {
        return rc;
    }
    n = wa__media_retry_notification__unpack(NULL, sealed.n - 16, plain);
    if (n == NULL) {
        return WAGW_MALFORMED;
    }
    if (n->stanzaid && !wagw_str_eq(wagw_cstr(n->stanzaid), id)) {
        rc = WAGW_MALFORMED;
    } else {
        if (n->has_result && n->result >= 0 && (int)n->result <= WAGW_MEDIA_RETRY_DECRYPTION) {
            *result = (wagw_media_retry_t)n->result;
        }
        if (*result == WAGW_MEDIA_RETRY_SUCCESS && n->directpath) {
            *path = wagw_arena_str(a, wagw_cstr(n->directpath));
            rc = path->p ? WAGW_OK : WAGW_NOMEM;
        }
    }
    wa__media_retry_notification__free_unpacked(n, NULL);
    return rc;
}
