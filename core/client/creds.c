/*
 * The credentials record: a TLV list that begins with a version.  What can
 * not be read is refused as a whole: an instance never falls back to a new
 * identity because its old one is damaged.
 */

#include "client_i.h"

#define CREDS_VERSION 1

enum {
    TAG_VERSION = 1,
    TAG_PAIRED,
    TAG_NOISE,
    TAG_IDENTITY,
    TAG_REGISTRATION,
    TAG_SPK_ID,
    TAG_SPK_PUB,
    TAG_SPK_SIG,
    TAG_ADV_SECRET,
    TAG_JID,
    TAG_LID,
    TAG_ADV,
    TAG_ACCOUNT_KEY,
    TAG_PUSH_NAME,
    TAG_PLATFORM,
    TAG_BUSINESS,
    TAG_ROUTING,
    TAG_NEXT_PREKEY,
    TAG_FIRST_UNUPLOADED,
    TAG_LID_MIGRATED,
    TAG_ACCOUNT_SYNC,
    TAG_RECEIPTS_OFF,
    TAG_SPK_MS
};

int wagw_creds_make(wagw_turn_t *t, wagw_creds_t *c)
{
    uint16_t r;
    wagw_signal_t *s;

    memset(c, 0, sizeof(*c));
    WAGW_TRY(wagw_x25519_keypair(&c->noise, t->c->sh->random, t->c->sh->random_data));
    WAGW_TRY(wagw_x25519_keypair(&c->identity, t->c->sh->random, t->c->sh->random_data));
    wagw_turn_random(t, &r, sizeof(r));
    c->registration_id = 1 + r % 16380;
    wagw_turn_random(t, c->adv_secret, sizeof(c->adv_secret));
    c->spk_id = 1;
    c->spk_ms = t->now;
    c->next_prekey = 1;
    c->first_unuploaded = 1;
    if (t->creds != c) {
        return WAGW_ERROR; /* the signed prekey is made with the turn's own identity */
    }
    s = wagw_turn_signal(t);
    if (s == NULL) {
        return WAGW_NOMEM;
    }
    return wagw_signal_make_signed_prekey(s, c->spk_id, t->now, c->spk_pub, c->spk_sig);
}

int wagw_creds_encode(wagw_buf_t *out, const wagw_creds_t *c)
{
    wagw_jid_t j;
    size_t n;
    char text[WAGW_JID_TEXT_MAX];

    wagw_tlv_put_u(out, TAG_VERSION, CREDS_VERSION);
    wagw_tlv_put_u(out, TAG_PAIRED, c->paired);
    wagw_tlv_put_s(out, TAG_NOISE, wagw_str(&c->noise, sizeof(c->noise)));
    wagw_tlv_put_s(out, TAG_IDENTITY, wagw_str(&c->identity, sizeof(c->identity)));
    wagw_tlv_put_u(out, TAG_REGISTRATION, c->registration_id);
    wagw_tlv_put_u(out, TAG_SPK_ID, c->spk_id);
    wagw_tlv_put_s(out, TAG_SPK_PUB, wagw_str(c->spk_pub, 32));
    wagw_tlv_put_s(out, TAG_SPK_SIG, wagw_str(c->spk_sig, 64));
    wagw_tlv_put_s(out, TAG_ADV_SECRET, wagw_str(c->adv_secret, 32));
    if (!wagw_jid_empty(&c->jid)) {
        j = c->jid;
        n = wagw_jid_text(&j, text);
        wagw_tlv_put_s(out, TAG_JID, wagw_str(text, n));
    }
    if (!wagw_jid_empty(&c->lid)) {
        j = c->lid;
        n = wagw_jid_text(&j, text);
        wagw_tlv_put_s(out, TAG_LID, wagw_str(text, n));
    }
    wagw_tlv_put_s(out, TAG_ADV, wagw_str(c->adv, c->adv_len));
    wagw_tlv_put_s(out, TAG_ACCOUNT_KEY, wagw_str(c->account_key, c->paired ? 32 : 0));
    wagw_tlv_put_s(out, TAG_PUSH_NAME, wagw_cstr(c->push_name));
    wagw_tlv_put_s(out, TAG_PLATFORM, wagw_cstr(c->platform));
    wagw_tlv_put_s(out, TAG_BUSINESS, wagw_cstr(c->business_name));
    wagw_tlv_put_s(out, TAG_ROUTING, wagw_str(c->routing, c->routing_len));
    wagw_tlv_put_u(out, TAG_NEXT_PREKEY, c->next_prekey);
    wagw_tlv_put_u(out, TAG_FIRST_UNUPLOADED, c->first_unuploaded);
    wagw_tlv_put_u(out, TAG_LID_MIGRATED, c->lid_migrated);
    wagw_tlv_put_u(out, TAG_ACCOUNT_SYNC, c->account_sync_t);
    wagw_tlv_put_u(out, TAG_RECEIPTS_OFF, c->read_receipts_off);
    wagw_tlv_put_u(out, TAG_SPK_MS, (uint64_t)c->spk_ms);
    return out->failed ? WAGW_NOMEM : WAGW_OK;
}

static bool fixed(void *to, size_t n, wagw_str_t s)
{
    if (s.n != n) {
        return false;
    }
    memcpy(to, s.p, n);
    return true;
}

void wagw_creds_text(char *to, size_t cap, wagw_str_t s)
{
    size_t n = s.n < cap - 1 ? s.n : cap - 1;

    if (n) {
        memcpy(to, s.p, n);
    }
    to[n] = '\0';
}

int wagw_creds_decode(wagw_creds_t *c, wagw_str_t in)
{
    int rc;
    bool ok = true;
    uint8_t tag;
    uint64_t u, version = 0;
    unsigned have = 0;
    wagw_str_t s;
    wagw_tlv_t r = {in, 0};

    memset(c, 0, sizeof(*c));
    while ((rc = wagw_tlv_next(&r, &tag, &u, &s)) == WAGW_OK && ok) {
        switch (tag) {
        case TAG_VERSION:
            version = u;
            break;
        case TAG_PAIRED:
            c->paired = u;
            break;
        case TAG_NOISE:
            ok = fixed(&c->noise, sizeof(c->noise), s);
            have |= 1;
            break;
        case TAG_IDENTITY:
            ok = fixed(&c->identity, sizeof(c->identity), s);
            have |= 2;
            break;
        case TAG_REGISTRATION:
            c->registration_id = (uint32_t)u;
            break;
        case TAG_SPK_ID:
            c->spk_id = (uint32_t)u;
            break;
        case TAG_SPK_PUB:
            ok = fixed(c->spk_pub, 32, s);
            have |= 4;
            break;
        case TAG_SPK_SIG:
            ok = fixed(c->spk_sig, 64, s);
            have |= 8;
            break;
        case TAG_ADV_SECRET:
            ok = fixed(c->adv_secret, 32, s);
            have |= 16;
            break;
        case TAG_JID:
            ok = wagw_jid_parse(&c->jid, s) == WAGW_OK;
            break;
        case TAG_LID:
            ok = wagw_jid_parse(&c->lid, s) == WAGW_OK;
            break;
        case TAG_ADV:
            ok = s.n <= sizeof(c->adv);
            if (ok) {
                memcpy(c->adv, s.p, s.n);
                c->adv_len = (uint16_t)s.n;
            }
            break;
        case TAG_ACCOUNT_KEY:
            ok = fixed(c->account_key, 32, s);
            break;
        case TAG_PUSH_NAME:
            wagw_creds_text(c->push_name, sizeof(c->push_name), s);
            break;
        case TAG_PLATFORM:
            wagw_creds_text(c->platform, sizeof(c->platform), s);
            break;
        case TAG_BUSINESS:
            wagw_creds_text(c->business_name, sizeof(c->business_name), s);
            break;
        case TAG_ROUTING:
            ok = s.n <= sizeof(c->routing);
            if (ok) {
                memcpy(c->routing, s.p, s.n);
                c->routing_len = (uint16_t)s.n;
            }
            break;
        case TAG_NEXT_PREKEY:
            c->next_prekey = (uint32_t)u;
            break;
        case TAG_FIRST_UNUPLOADED:
            c->first_unuploaded = (uint32_t)u;
            break;
        case TAG_LID_MIGRATED:
            c->lid_migrated = (uint8_t)u;
            break;
        case TAG_ACCOUNT_SYNC:
            c->account_sync_t = u;
            break;
        case TAG_RECEIPTS_OFF:
            c->read_receipts_off = u;
            break;
        case TAG_SPK_MS:
            c->spk_ms = (int64_t)u;
            break;
        default:
            break;
        }
    }
    if (!ok || rc != WAGW_NOT_FOUND || version != CREDS_VERSION || have != 31 || c->registration_id == 0 ||
        c->spk_id == 0 || c->next_prekey == 0 || (c->paired && (wagw_jid_empty(&c->jid) || c->adv_len == 0))) {
        wagw_wipe(c, sizeof(*c));
        return WAGW_MALFORMED;
    }
    return WAGW_OK;
}
