#include "internal.h"

#define WAGW_ADDON_MAX 65536

/* 04 section 20.1: one key per target, author and writer. */
static int wagw_addon_key(uint8_t key[32], wagw_str_t secret, wagw_str_t id, wagw_str_t sender, wagw_str_t modifier,
                          const char *label)
{
    int rc = WAGW_NOMEM;
    wagw_buf_t info = {0};

    if (secret.n != 32) {
        return WAGW_MALFORMED;
    }

    wagw_buf_str(&info, id);
    wagw_buf_str(&info, sender);
    wagw_buf_str(&info, modifier);
    wagw_buf_cstr(&info, label);

    if (!info.failed) {
        rc = wagw_hkdf(key, 32, secret, WAGW_STR_NULL, wagw_buf_view(&info));
    }

    wagw_buf_free(&info);

    return rc;
}

static int wagw_addon_aad(wagw_buf_t *aad, wagw_str_t id, wagw_str_t modifier, bool with_aad)
{
    if (!with_aad) {
        return WAGW_OK;
    }

    wagw_buf_str(aad, id);
    wagw_buf_u8(aad, 0);
    wagw_buf_str(aad, modifier);

    return aad->failed ? WAGW_NOMEM : WAGW_OK;
}

int wagw_addon_open(wagw_buf_t *out, wagw_str_t secret, wagw_str_t target_id, wagw_str_t target_sender,
                    wagw_str_t modifier, const char *label, bool with_aad, wagw_str_t iv, wagw_str_t payload)
{
    int rc;
    uint8_t key[32];
    wagw_buf_t aad = {0};

    if (iv.n != 12 || payload.n < 16) {
        return WAGW_MALFORMED;
    }

    if (payload.n > WAGW_ADDON_MAX) {
        return WAGW_LIMIT;
    }

    rc = wagw_addon_key(key, secret, target_id, target_sender, modifier, label);
    if (rc == WAGW_OK) {
        rc = wagw_addon_aad(&aad, target_id, modifier, with_aad);
    }
    if (rc == WAGW_OK) {
        /* one byte more, so that an empty plaintext still has a place */
        rc = wagw_buf_reserve(out, payload.n - 16 + 1);
    }
    if (rc == WAGW_OK) {
        rc = wagw_gcm_open(out->p + out->n, key, iv.p, wagw_buf_view(&aad), payload);
    }
    if (rc == WAGW_OK) {
        out->n += payload.n - 16;
    }

    wagw_wipe(key, sizeof(key));
    wagw_buf_free(&aad);

    return rc;
}

int wagw_addon_seal(wagw_buf_t *out, wagw_str_t secret, wagw_str_t target_id, wagw_str_t target_sender,
                    wagw_str_t modifier, const char *label, bool with_aad, const uint8_t iv[12], wagw_str_t plain)
{
    int rc;
    uint8_t key[32];
    wagw_buf_t aad = {0};

    if (plain.n > WAGW_ADDON_MAX) {
        return WAGW_LIMIT;
    }

    rc = wagw_addon_key(key, secret, target_id, target_sender, modifier, label);
    if (rc == WAGW_OK) {
        rc = wagw_addon_aad(&aad, target_id, modifier, with_aad);
    }
    if (rc == WAGW_OK) {
        rc = wagw_buf_reserve(out, plain.n + 16);
    }
    if (rc == WAGW_OK) {
        rc = wagw_gcm_seal(out->p + out->n, key, iv, wagw_buf_view(&aad), plain);
    }
    if (rc == WAGW_OK) {
        out->n += plain.n + 16;
    }

    wagw_wipe(key, sizeof(key));
    wagw_buf_free(&aad);

    return rc;
}

int wagw_event_response_read(wagw_str_t plain, const char **response, int64_t *at_ms)
{
    static const char *const names[] = {"going", "not_going", "maybe"};
    wagw_arena_t a = {0};
    int rc;
    Wa__Message__EventResponseMessage *m;

    m = (Wa__Message__EventResponseMessage *)wagw_pb_unpack(&a, &wa__message__event_response_message__descriptor, plain,
                                                            &rc);
    if (m) {
        rc = m->has_response && m->response >= 1 && m->response <= 3 ? WAGW_OK : WAGW_MALFORMED;
        if (rc == WAGW_OK) {
            *response = names[m->response - 1];
            *at_ms = m->has_timestampms ? m->timestampms : 0;
        }
    }

    wagw_arena_free(&a);

    return rc;
}

int wagw_enc_reaction_read(wagw_arena_t *a, wagw_str_t plain, wagw_str_t *emoji, int64_t *at_ms)
{
    int rc;
    Wa__Message__ReactionMessage *m;

    m = (Wa__Message__ReactionMessage *)wagw_pb_unpack(a, &wa__message__reaction_message__descriptor, plain, &rc);
    if (m == NULL) {
        return rc;
    }

    *emoji = wagw_cstr(m->text);
    *at_ms = m->has_sendertimestampms ? m->sendertimestampms : 0;

    return WAGW_OK;
}

int wagw_poll_option_hash(uint8_t out[32], wagw_str_t option)
{
    return wagw_sha256(out, option);
}

int wagw_poll_vote_read(wagw_arena_t *a, wagw_str_t plain, wagw_str_t **hashes, size_t *n)
{
    int rc;
    size_t count = 0;
    wagw_wire_t w = wagw_wire(plain);
    wagw_wire_field_t f;

    *hashes = NULL;
    *n = 0;

    while ((rc = wagw_wire_next(&w, &f)) == WAGW_OK) {
        if (f.num == 1) {
            if (f.type != 2 || f.val.n != 32) {
                return WAGW_MALFORMED;
            }
            count++;
        }
    }

    if (rc != WAGW_NOT_FOUND) {
        return rc;
    }

    if (count == 0) {
        return WAGW_OK;
    }

    *hashes = wagw_arena_zalloc(a, count * sizeof(wagw_str_t));
    if (*hashes == NULL) {
        return WAGW_NOMEM;
    }

    w = wagw_wire(plain);
    while (wagw_wire_next(&w, &f) == WAGW_OK) {
        if (f.num == 1) {
            (*hashes)[(*n)++] = wagw_arena_str(a, f.val);
        }
    }

    return WAGW_OK;
}

int wagw_poll_options(wagw_arena_t *a, wagw_str_t poll, wagw_str_t **options, size_t *n)
{
    int rc;
    wagw_open_t o;
    Wa__Message *m;
    Wa__Message__PollCreationMessage *p;

    *options = NULL;
    *n = 0;

    m = (Wa__Message *)wagw_pb_unpack(a, &wa__message__descriptor, poll, &rc);
    if (m == NULL) {
        return rc;
    }

    wagw_message_open(&o, m);
    if (o.kind != WAGW_KIND_POLL) {
        return WAGW_STATE;
    }

    p = (Wa__Message__PollCreationMessage *)o.sub;

    *options = wagw_arena_zalloc(a, (p->n_options + 1) * sizeof(wagw_str_t));
    if (*options == NULL) {
        return WAGW_NOMEM;
    }

    for (size_t i = 0; i < p->n_options; i++) {
        (*options)[(*n)++] = wagw_cstr(p->options[i]->optionname ? p->options[i]->optionname : "");
    }

    return WAGW_OK;
}
