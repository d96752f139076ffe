/*
 * Our own sender keys in groups (04 section 9): who was given which, and when
 * it is made anew.
 */

#include "client_i.h"

enum { TAG_KEY_ID = 1, TAG_GIVEN };

static wagw_str_t text(wagw_turn_t *t, const wagw_jid_t *j)
{
    return wagw_jid_str(&t->arena, j);
}

wagw_signal_addr_t wagw_group_self(const wagw_turn_t *t)
{
    const wagw_creds_t *me = wagw_turn_me(t);
    wagw_jid_t j = wagw_jid_empty(&me->lid) ? me->jid : me->lid;

    j.device = me->jid.device;
    return wagw_signal_addr(&j);
}

int wagw_group_rotate(wagw_turn_t *t, const wagw_jid_t *group)
{
    wagw_signal_t *s = wagw_turn_signal(t);
    wagw_signal_addr_t self = wagw_group_self(t);

    if (s == NULL) {
        return WAGW_NOMEM;
    }
    WAGW_TRY(wagw_signal_group_forget(s, text(t, group), &self));
    return wagw_txn_del(&t->txn, WAGW_REC_SENDER_KEY_SENT, text(t, group));
}

/* *given: NUL-separated signal addresses that have the key of this id. */
int wagw_group_has(wagw_turn_t *t, const wagw_jid_t *group, uint32_t key_id, wagw_str_t *given)
{
    int rc;
    uint8_t tag;
    uint64_t u, id = 0;
    wagw_str_t v, s, list = WAGW_STR_NULL;
    wagw_tlv_t r;

    *given = WAGW_STR_NULL;
    rc = wagw_txn_get(&t->txn, WAGW_REC_SENDER_KEY_SENT, text(t, group), &v);
    if (rc == WAGW_NOT_FOUND) {
        return WAGW_OK;
    }
    WAGW_TRY(rc);
    r = (wagw_tlv_t){v, 0};
    while (wagw_tlv_next(&r, &tag, &u, &s) == WAGW_OK) {
        if (tag == TAG_KEY_ID) {
            id = u;
        } else if (tag == TAG_GIVEN) {
            list = s;
        }
    }
    if (id == key_id && list.n) {
        *given = wagw_arena_str(&t->arena, list);
    }
    return WAGW_OK;
}

/* entry: with its NUL. */
static bool listed(wagw_str_t list, const uint8_t *entry, size_t n)
{
    for (size_t i = 0; i < list.n; i += strnlen((const char *)list.p + i, list.n - i) + 1) {
        if (list.n - i >= n && memcmp(list.p + i, entry, n) == 0) {
            return true;
        }
    }
    return false;
}

int wagw_group_given(wagw_turn_t *t, const wagw_jid_t *group, uint32_t key_id, const uint8_t *given, size_t n)
{
    int rc;
    wagw_buf_t b = {0}, all = {0};
    wagw_str_t old;

    WAGW_TRY(wagw_group_has(t, group, key_id, &old));
    wagw_buf_str(&all, old);
    /* each once: a send compares their number with that of the devices */
    for (size_t i = 0, len; i < n; i += len) {
        len = strnlen((const char *)given + i, n - i);
        len += i + len < n;
        if (!listed(old, given + i, len)) {
            wagw_buf_add(&all, given + i, len);
        }
    }
    wagw_tlv_put_u(&b, TAG_KEY_ID, key_id);
    wagw_tlv_put_s(&b, TAG_GIVEN, wagw_buf_view(&all));
    rc = b.failed || all.failed ? WAGW_NOMEM
                                : wagw_txn_put(&t->txn, WAGW_REC_SENDER_KEY_SENT, text(t, group), wagw_buf_view(&b));
    wagw_buf_free(&b);
    wagw_buf_free(&all);
    return rc;
}

int wagw_group_resend(wagw_turn_t *t, const wagw_jid_t *group, const wagw_signal_addr_t *device, wagw_buf_t *out,
                      wagw_str_t message)
{
    int rc;
    char key[WAGW_KEY_MAX];
    size_t n = wagw_signal_key(key, device);
    uint32_t id;
    wagw_buf_t skdm = {0};
    wagw_signal_t *s = wagw_turn_signal(t);
    wagw_signal_addr_t self = wagw_group_self(t);

    if (s == NULL) {
        return WAGW_NOMEM;
    }
    rc = wagw_signal_group_skdm(s, text(t, group), &self, &skdm, &id);
    if (rc == WAGW_OK) {
        rc = wagw_message_add_skdm(out, message, text(t, group), wagw_buf_view(&skdm));
    }
    if (rc == WAGW_OK) {
        rc = wagw_group_given(t, group, id, (uint8_t *)key, n + 1);
    }
    wagw_buf_wipe(&skdm);
    return rc;
}

/* ---- devices that go, or lose what they had -------------------------------------------- */

typedef struct given_s given_t;
struct given_s {
    wagw_jid_t group;
    wagw_str_t value;
    given_t *next;
};

typedef struct {
    wagw_turn_t *t;
    given_t *all;
} lists_t;

static int list_one(void *data, wagw_str_t key, wagw_str_t value)
{
    lists_t *l = data;
    given_t *g = wagw_arena_zalloc(&l->t->arena, sizeof(*g));

    if (g == NULL) {
        return WAGW_NOMEM;
    }
    if (wagw_jid_parse(&g->group, key) == WAGW_OK) {
        g->value = wagw_arena_str(&l->t->arena, value);
        g->next = l->all;
        l->all = g;
    }
    return 0;
}

/* `prefix`: a device's address, or a user's name and the dot. */
static bool is_of(const uint8_t *entry, wagw_str_t prefix, bool user)
{
    return strncmp((const char *)entry, (const char *)prefix.p, prefix.n) == 0 && (user || entry[prefix.n] == 0);
}

static int list_without(wagw_turn_t *t, const given_t *g, wagw_str_t prefix, bool user, wagw_buf_t *out, bool *found)
{
    size_t n;
    uint8_t tag;
    uint64_t u, id = 0;
    wagw_buf_t kept = {0};
    wagw_str_t s, list = WAGW_STR_NULL;
    wagw_tlv_t r = {g->value, 0};

    (void)t;
    *found = false;
    while (wagw_tlv_next(&r, &tag, &u, &s) == WAGW_OK) {
        if (tag == TAG_KEY_ID) {
            id = u;
        } else if (tag == TAG_GIVEN) {
            list = s;
        }
    }
    if (list.n == 0 || list.p[list.n - 1] != 0) {
        return WAGW_OK;
    }
    for (size_t i = 0; i < list.n; i += n) {
        n = strlen((const char *)list.p + i) + 1;
        if (is_of(list.p + i, prefix, user)) {
            *found = true;
        } else {
            wagw_buf_add(&kept, list.p + i, n);
        }
    }
    wagw_tlv_put_u(out, TAG_KEY_ID, id);
    wagw_tlv_put_s(out, TAG_GIVEN, wagw_buf_view(&kept));
    n = kept.failed || out->failed;
    wagw_buf_free(&kept);
    return n ? WAGW_NOMEM : WAGW_OK;
}

static int forget_given(wagw_turn_t *t, wagw_str_t prefix, bool user, bool rotate)
{
    int rc = WAGW_OK;
    bool found;
    lists_t l = {t, NULL};
    wagw_buf_t b = {0};

    WAGW_TRY(wagw_txn_scan(&t->txn, WAGW_REC_SENDER_KEY_SENT, WAGW_STR(""), list_one, &l));
    for (given_t *g = l.all; rc == WAGW_OK && g; g = g->next) {
        wagw_buf_reset(&b);
        rc = list_without(t, g, prefix, user, &b, &found);
        if (rc != WAGW_OK || !found) {
            continue;
        }
        rc = rotate ? wagw_group_rotate(t, &g->group)
                    : wagw_txn_put(&t->txn, WAGW_REC_SENDER_KEY_SENT, text(t, &g->group), wagw_buf_view(&b));
    }
    wagw_buf_free(&b);
    return rc;
}

int wagw_group_device_gone(wagw_turn_t *t, const wagw_jid_t *device)
{
    char key[WAGW_KEY_MAX];
    size_t n;
    wagw_signal_addr_t addr;

    WAGW_TRY(wagw_lid_signal(t, device, &addr));
    n = wagw_signal_key(key, &addr);
    return forget_given(t, wagw_arena_str(&t->arena, wagw_str(key, n)), false, true);
}

int wagw_group_user_changed(wagw_turn_t *t, const wagw_jid_t *user)
{
    wagw_signal_addr_t addr;

    WAGW_TRY(wagw_lid_signal(t, user, &addr));
    return forget_given(t, wagw_arena_printf(&t->arena, "%s.", addr.name), true, false);
}
