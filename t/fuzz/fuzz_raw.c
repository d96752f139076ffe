/*
 * A raw message of a REST caller: JSON that becomes protobuf by our schema, or
 * is refused with the path of what is wrong.  What is built must be readable,
 * and holds nothing that only a phone or the engine may say.
 */

#include <stdlib.h>

#include "../../core/message/message.h"

static const uint8_t fuzz_secret[32] = {1};

static void need(bool ok)
{
    if (!ok) {
        abort();
    }
}

static void built(wagw_arena_t *a, const wagw_built_t *out)
{
    wagw_content_t c;

    need(out->type && out->stanza_type && out->bytes.p);
    need(out->secret.n == 0 || out->secret.n == 32);
    if (wagw_message_read(&c, a, out->bytes) != WAGW_OK) {
        return; /* beyond the limits of reading: nobody would take it */
    }
    need(c.is != WAGW_IS_HISTORY_SYNC && c.is != WAGW_IS_APP_STATE_KEY_SHARE && c.is != WAGW_IS_LID_MAPPING &&
         c.is != WAGW_IS_PEER_RESPONSE && c.is != WAGW_IS_PEER_OTHER && c.is != WAGW_IS_NOTHING);
    need(c.dsm_to.n == 0 && c.skdm.n == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *p, size_t n);

int LLVMFuzzerTestOneInput(const uint8_t *p, size_t n)
{
    cJSON *params, *json = cJSON_ParseWithLength((const char *)p, n);
    wagw_arena_t a = {0};
    wagw_buf_t bytes = {0}, path = {0};
    wagw_build_t b = {0};
    wagw_built_t out;
    const char *field;

    if (json == NULL) {
        return 0;
    }
    if (wagw_message_from_json_at(&bytes, json, &path) == WAGW_OK) {
        need(path.n == 0);
    }
    need(path.n <= 512);

    params = cJSON_CreateObject();
    cJSON_AddItemToObject(params, "message", json);
    b.kind = WAGW_BUILD_RAW;
    b.params = params;
    b.chat = wagw_jid_make("120363000000000001", WAGW_SRV_GROUP, 0);
    b.self = wagw_jid_make("111", WAGW_SRV_LID, 0);
    b.secret = fuzz_secret;
    b.expiration = 86400;
    if (wagw_message_build(&out, &a, &b, &field) == WAGW_OK) {
        built(&a, &out);
    } else {
        need(field == NULL || strncmp(field, "message", 7) == 0);
    }

    cJSON_Delete(params);
    wagw_buf_free(&bytes);
    wagw_buf_free(&path);
    wagw_arena_free(&a);
    return 0;
}
