/*
 * Status posts, or stories (04 section 10, 11 section 12): who gets them, the
 * privacy list that says so, views.  A post travels like a message to a group
 * (group_send.c) whose members are its audience.
 *
 *     META "story"             who sees our posts, as last learnt; day up to which was tidied
 *     META "story|DAY|ID"      the audience of a post: a deletion, a rebuild and
 *                              resends go to the same people
 *
 * The list is app state, which tells of every change.  Until it told one the
 * server is asked, once per connection.
 */

#include "send_i.h"

#include <stdlib.h>

#define DAY_MS 86400000
#define KEPT_DAYS 2
#define USERS_PER_QUERY 250

enum { TAG_MODE = 1, TAG_ASKED, TAG_SYNCED, TAG_JID, TAG_TIDY };

/* ---- the privacy list ------------------------------------------------------------------ */

int wagw_story_privacy(wagw_turn_t *t, wagw_story_privacy_t *p)
{
    int rc;
    size_t n = 0;
    uint8_t tag;
    uint64_t u;
    wagw_str_t v, s;
    wagw_tlv_t r;

    memset(p, 0, sizeof(*p));
    rc = wagw_txn_get(&t->txn, WAGW_REC_META, WAGW_STR("story"), &v);
    if (rc != WAGW_OK) {
        return rc == WAGW_NOT_FOUND ? WAGW_OK : rc;
    }
    v = wagw_arena_str(&t->arena, v);
    if (v.p == NULL) {
        return WAGW_NOMEM;
    }
    for (r = (wagw_tlv_t){v, 0}; wagw_tlv_next(&r, &tag, &u, &s) == WAGW_OK;) {
        n += tag == TAG_JID;
    }
    p->jids = wagw_arena_alloc(&t->arena, (n + 1) * sizeof(*p->jids));
    if (p->jids == NULL) {
        return WAGW_NOMEM;
    }
    for (r = (wagw_tlv_t){v, 0}; wagw_tlv_next(&r, &tag, &u, &s) == WAGW_OK;) {
        switch (tag) {
        case TAG_MODE:
            p->mode = (wagw_story_mode_t)u;
            break;
        case TAG_ASKED:
            p->asked_ms = (int64_t)u;
            break;
        case TAG_SYNCED:
            p->synced = u != 0;
            break;
        case TAG_TIDY:
            p->tidy = (int64_t)u;
            break;
        case TAG_JID:
            if (wagw_jid_parse(&p->jids[p->n], s) == WAGW_OK) {
                p->n++;
            }
            break;
        default:
            break;
        }
    }
    return WAGW_OK;
}

static int privacy_put(wagw_turn_t *t, const wagw_story_privacy_t *p)
{
    int rc;
    wagw_buf_t b = {0};

    wagw_tlv_put_u(&b, TAG_MODE, p->mode);
    wagw_tlv_put_u(&b, TAG_ASKED, p->asked_ms > 0 ? (uint64_t)p->asked_ms : 0);
    wagw_tlv_put_u(&b, TAG_SYNCED, p->synced);
    wagw_tlv_put_u(&b, TAG_TIDY, p->tidy > 0 ? (uint64_t)p->tidy : 0);
    for (size_t i = 0; i < p->n; i++) {
        wagw_tlv_put_s(&b, TAG_JID, wagw_jid_str(&t->arena, &p->jids[i]));
    }
    rc = b.failed ? WAGW_NOMEM : wagw_txn_put(&t->txn, WAGW_REC_META, WAGW_STR("story"), wagw_buf_view(&b));
    wagw_buf_free(&b);
    return rc;
}

static bool privacy_known(const wagw_turn_t *t, const wagw_story_privacy_t *p)
{
    return p->synced || (p->asked_ms > 0 && p->asked_ms >= t->c->connected_ms);
}

int wagw_story_synced(wagw_turn_t *t, wagw_story_mode_t mode, char *const *jids, size_t n)
{
    wagw_jid_t j;
    wagw_story_privacy_t p;

    WAGW_TRY(wagw_story_privacy(t, &p));
    p.mode = mode;
    p.synced = true;
    p.n = 0;
    p.jids = wagw_arena_alloc(&t->arena, (n + 1) * sizeof(*p.jids));
    if (p.jids == NULL) {
        return WAGW_NOMEM;
    }
    for (size_t i = 0; i < n && p.n < WAGW_GROUP_MEMBERS_MAX; i++) {
        if (wagw_jid_parse(&j, wagw_cstr(jids[i])) == WAGW_OK && wagw_jid_is_person(&j)) {
            p.jids[p.n++] = wagw_jid_user(&j);
        }
    }
    return privacy_put(t, &p);
}

int wagw_story_doubt(wagw_turn_t *t)
{
    wagw_story_privacy_t p;

    WAGW_TRY(wagw_story_privacy(t, &p));
    if (p.asked_ms == 0) {
        return WAGW_OK;
    }
    p.asked_ms = 0;
    return privacy_put(t, &p);
}

static wagw_node_t *privacy_iq(wagw_turn_t *t)
{
    wagw_node_t *iq = wagw_iq(t, "get", "status");

    wagw_node_child(&t->arena, iq, "privacy");
    return iq;
}

/* <privacy><list type= [default="true"]><user jid=/>..</list>..</privacy>; 404: contacts. */
int wagw_story_answer(wagw_turn_t *t, const wagw_node_t *iq)
{
    wagw_jid_t j;
    wagw_story_privacy_t p;
    const wagw_node_t *list, *one, *u;

    WAGW_TRY(wagw_story_privacy(t, &p));
    if (p.synced) {
        return WAGW_OK; /* app state told it meanwhile */
    }
    p.asked_ms = t->now;
    p.mode = WAGW_STORY_CONTACTS;
    p.n = 0;
    list = wagw_node_find(wagw_node_find(iq, "privacy"), "list");
    for (one = list; one; one = wagw_node_find_next(one, "list")) {
        if (wagw_node_attr_is(one, "default", "true")) {
            list = one;
            break;
        }
    }
    if (wagw_node_attr_is(list, "type", "whitelist")) {
        p.mode = WAGW_STORY_ALLOW;
    } else if (wagw_node_attr_is(list, "type", "blacklist")) {
        p.mode = WAGW_STORY_DENY;
    }
    if (list && p.mode != WAGW_STORY_CONTACTS) {
        p.jids = wagw_arena_alloc(&t->arena, (list->nchildren + 1) * sizeof(*p.jids));
        if (p.jids == NULL) {
            return WAGW_NOMEM;
        }
        for (u = wagw_node_find(list, "user"); u && p.n < WAGW_GROUP_MEMBERS_MAX; u = wagw_node_find_next(u, "user")) {
            if (wagw_node_get_jid(u, "jid", &j) == WAGW_OK && wagw_jid_is_person(&j)) {
                p.jids[p.n++] = wagw_jid_user(&j);
            }
        }
    }
    return privacy_put(t, &p);
}

/* ---- the audience of a post ---------------------------------------------------------------- */

typedef struct {
    wagw_turn_t *t;
    wagw_jid_t *v;
    size_t n, cap;
} people_t;

static int people_add(people_t *p, const wagw_jid_t *who)
{
    size_t cap;
    wagw_jid_t *v;

    if (p->n == WAGW_GROUP_MEMBERS_MAX) {
        return WAGW_LIMIT;
    }
    if (p->n == p->cap) {
        cap = p->cap ? 2 * p->cap : 64;
        v = wagw_arena_alloc(&p->t->arena, cap * sizeof(*v));
        if (v == NULL) {
            return WAGW_NOMEM;
        }
        if (p->n) {
            memcpy(v, p->v, p->n * sizeof(*v));
        }
        p->v = v;
        p->cap = cap;
    }
    p->v[p->n++] = wagw_jid_user(who);
    return WAGW_OK;
}

static int compare(const void *a, const void *b)
{
    const wagw_jid_t *x = a, *y = b;

    return x->server != y->server ? (x->server < y->server ? -1 : 1) : strcmp(x->user, y->user);
}

static void people_sort(people_t *p)
{
    size_t n = 0;

    if (p->n == 0) {
        return;
    }
    qsort(p->v, p->n, sizeof(*p->v), compare);
    for (size_t i = 0; i < p->n; i++) {
        if (n == 0 || compare(&p->v[n - 1], &p->v[i]) != 0) {
            p->v[n++] = p->v[i];
        }
    }
    p->n = n;
}

static int contact_one(void *data, wagw_str_t key, wagw_str_t value)
{
    int rc;
    people_t *p = data;
    wagw_jid_t j;
    wagw_row_contact_t c;

    /* with a name of the address book: others only wrote to us, or share a group */
    if (wagw_row_contact_decode(&c, value) != WAGW_OK || c.name.n == 0 || c.blocked ||
        wagw_jid_parse(&j, key) != WAGW_OK || !wagw_jid_is_person(&j) || wagw_is_me(p->t->c, &j)) {
        return 0;
    }
    rc = people_add(p, &j);
    if (rc == WAGW_LIMIT) {
        wagw_client_log(p->t->c, WAGW_LOG_WARN, "a status goes to the first %d contacts only", WAGW_GROUP_MEMBERS_MAX);
    }
    return rc;
}

static wagw_str_t audience_key(wagw_turn_t *t, int64_t created_ms, wagw_str_t id)
{
    return wagw_arena_printf(&t->arena, "story|%lld|%.*s", (long long)(created_ms / DAY_MS), (int)id.n,
                             (const char *)id.p);
}

/* *found: who got the post is known. */
static int audience_get(wagw_turn_t *t, int64_t created_ms, wagw_str_t id, people_t *p, bool *found)
{
    int rc;
    uint8_t tag;
    uint64_t u;
    wagw_jid_t j;
    wagw_str_t v, s;
    wagw_tlv_t r;

    *found = false;
    rc = wagw_txn_get(&t->txn, WAGW_REC_META, audience_key(t, created_ms, id), &v);
    if (rc != WAGW_OK) {
        return rc == WAGW_NOT_FOUND ? WAGW_OK : rc;
    }
    *found = true;
    for (r = (wagw_tlv_t){v, 0}; wagw_tlv_next(&r, &tag, &u, &s) == WAGW_OK;) {
        if (tag == TAG_JID && wagw_jid_parse(&j, s) == WAGW_OK) {
            WAGW_TRY(people_add(p, &j));
        }
    }
    return WAGW_OK;
}

static int drop_one(void *data, wagw_str_t key, wagw_str_t value)
{
    (void)value;
    return wagw_txn_del(data, WAGW_REC_META, key);
}

/* Audiences of posts that nobody sees any more; one day's with each new post. */
static int tidy(wagw_turn_t *t)
{
    int64_t last = t->now / DAY_MS - KEPT_DAYS - 1;
    wagw_str_t prefix;
    wagw_story_privacy_t p;

    WAGW_TRY(wagw_story_privacy(t, &p));
    if (p.tidy >= last) {
        return WAGW_OK;
    }
    if (p.tidy == 0) {
        p.tidy = last; /* the first post ever */
    } else {
        p.tidy++;
        prefix = wagw_arena_printf(&t->arena, "story|%lld|", (long long)p.tidy);
        WAGW_TRY(wagw_txn_scan(&t->txn, WAGW_REC_META, prefix, drop_one, &t->txn));
    }
    return privacy_put(t, &p);
}

int wagw_story_audience_put(wagw_turn_t *t, const wagw_job_t *job, const wagw_made_t *m)
{
    int rc;
    wagw_buf_t b = {0};

    WAGW_TRY(tidy(t));
    for (size_t i = 0; i < m->group.n; i++) {
        if (!wagw_is_me(t->c, &m->group.members[i])) {
            wagw_tlv_put_s(&b, TAG_JID, wagw_jid_str(&t->arena, &m->group.members[i]));
        }
    }
    rc = b.failed
             ? WAGW_NOMEM
             : wagw_txn_put(&t->txn, WAGW_REC_META, audience_key(t, t->now, wagw_cstr(job->id)), wagw_buf_view(&b));
    wagw_buf_free(&b);
    return rc;
}

int wagw_story_may_have(wagw_turn_t *t, const wagw_row_message_t *row, const wagw_jid_t *device, bool *may)
{
    bool found;
    people_t p = {.t = t};
    wagw_jid_t who, other;

    *may = false;
    if (t->now - row->created_ms > DAY_MS) {
        return WAGW_OK; /* it is not shown any more */
    }
    if (wagw_is_me(t->c, device)) {
        *may = true;
        return WAGW_OK;
    }
    WAGW_TRY(audience_get(t, row->created_ms, row->id, &p, &found));
    WAGW_TRY(wagw_chat_canonical(t, device, &who));
    for (size_t i = 0; i < p.n && !*may; i++) {
        WAGW_TRY(wagw_chat_canonical(t, &p.v[i], &other));
        *may = wagw_jid_same_user(&who, &other);
    }
    return WAGW_OK;
}

int wagw_story_stale(wagw_turn_t *t, const wagw_row_message_t *row)
{
    bool found;
    people_t p = {.t = t};

    WAGW_TRY(audience_get(t, row->created_ms, row->id, &p, &found));
    for (size_t i = 0; i < p.n; i++) {
        WAGW_TRY(wagw_devices_forget(t, &p.v[i]));
    }
    return WAGW_OK;
}

static int audience_named(wagw_turn_t *t, wagw_job_t *job, wagw_made_t *m, const cJSON *list, people_t *p)
{
    int rc;
    wagw_jid_t j;
    const cJSON *item;
    wagw_result_t r = {0};

    cJSON_ArrayForEach(item, list)
    {
        if (!cJSON_IsString(item) || wagw_jid_from_caller(&j, wagw_cstr(item->valuestring)) != WAGW_OK ||
            !wagw_jid_is_person(&j)) {
            m->refused = true;
            r.status = 400;
            r.code = "INVALID_JID";
            r.error = "The audience of a status are people";
            r.details = WAGW_STR("{\"field\":\"audience\"}");
            return wagw_turn_reply(t, job->command, &r);
        }
        if (wagw_is_me(t->c, &j)) {
            continue;
        }
        rc = people_add(p, &j);
        if (rc == WAGW_LIMIT) {
            m->refused = true;
            return wagw_job_field_error(t, job->command, "audience", "too many");
        }
        WAGW_TRY(rc);
    }
    return WAGW_OK;
}

/* By the privacy list; PARKED while it is asked for. */
static int audience_default(wagw_turn_t *t, step_t *s, people_t *p, people_t *not_these)
{
    int rc;
    wagw_story_privacy_t pr;

    WAGW_TRY(wagw_story_privacy(t, &pr));
    if (!privacy_known(t, &pr) && !s->job.audience_asked) {
        s->job.audience_asked = true;
        s->job.state = WAGW_JOB_WAIT_DEVICES;
        s->outcome = STEP_PARKED;
        return wagw_iq_send(t, privacy_iq(t), wagw_job_story_asked, s->job.serial);
    }
    if (pr.mode != WAGW_STORY_ALLOW) {
        rc = wagw_txn_scan(&t->txn, WAGW_REC_CONTACT, WAGW_STR(""), contact_one, p);
        if (rc != WAGW_OK && rc != WAGW_LIMIT) {
            return rc;
        }
    }
    for (size_t i = 0; i < pr.n && pr.mode != WAGW_STORY_CONTACTS; i++) {
        rc = people_add(pr.mode == WAGW_STORY_ALLOW ? p : not_these, &pr.jids[i]);
        if (rc != WAGW_OK && rc != WAGW_LIMIT) {
            return rc;
        }
    }
    return WAGW_OK;
}

/*
 * One namespace for all: LIDs on an account that has one, whoever has none
 * that anybody knows is left out (the server refuses mixed stanzas).  PARKED
 * while LIDs are asked for.
 */
static int audience_map(wagw_turn_t *t, step_t *s, bool lid, people_t *p, bool ask)
{
    int rc, again = WAGW_OK;
    size_t n = 0, nask = 0;
    uint32_t last = s->job.lids_upto;
    wagw_jid_t to, asked[USERS_PER_QUERY];

    for (size_t i = 0; i < p->n; i++) {
        rc = wagw_lid_in(t, &p->v[i], lid, &to);
        if (rc == WAGW_AGAIN) {
            again = rc;
            continue;
        }
        WAGW_TRY(rc);
        if (wagw_jid_is_lid(&to) == lid) {
            p->v[n++] = wagw_jid_user(&to);
        } else if (ask && lid && i >= s->job.lids_upto && nask < USERS_PER_QUERY) {
            asked[nask++] = to;
            last = (uint32_t)i + 1;
        }
    }
    WAGW_TRY(again);
    if (nask) {
        s->job.lids_upto = last;
        s->job.state = WAGW_JOB_WAIT_DEVICES;
        s->outcome = STEP_PARKED;
        return wagw_devices_query(t, asked, nask, wagw_job_devices_asked, s->job.serial);
    }
    p->n = n;
    people_sort(p);
    return WAGW_OK;
}

/* The post that a deletion or a reaction is about; refused: answered. */
static int audience_target(wagw_turn_t *t, const wagw_job_t *job, wagw_made_t *m, people_t *p, bool *found)
{
    int rc;
    wagw_jid_t author;
    wagw_row_message_t row;

    rc = wagw_turn_message_find(t, m->chat, wagw_param_str(job->params, "messageId"), &row, NULL);
    if (rc == WAGW_NOT_FOUND) {
        m->refused = true;
        return wagw_turn_fail(t, job->command, 404, "MESSAGE_NOT_FOUND", "Status not found");
    }
    WAGW_TRY(rc);
    if (row.from_me) {
        return audience_get(t, row.created_ms, row.id, p, found);
    }
    if (job->kind == WAGW_BUILD_REVOKE) {
        m->refused = true;
        return wagw_turn_fail(t, job->command, 403, "WA_FORBIDDEN", "Only own statuses can be deleted");
    }
    *found = wagw_jid_parse(&author, row.sender) == WAGW_OK;
    return *found ? people_add(p, &author) : WAGW_OK;
}

int wagw_story_members(wagw_turn_t *t, step_t *s, wagw_made_t *m, const wagw_row_message_t *old)
{
    bool found = false;
    people_t p = {.t = t}, not_these = {.t = t};
    wagw_job_t *job = &s->job;
    const cJSON *list = cJSON_GetObjectItemCaseSensitive(job->params, "audience");
    const wagw_creds_t *me = wagw_turn_me(t);

    m->lid = !wagw_jid_empty(&me->lid) && me->lid_migrated != 2;
    m->self = wagw_jid_user(m->lid ? &me->lid : &me->jid);
    if (old) {
        WAGW_TRY(audience_get(t, old->created_ms, old->id, &p, &found));
    } else if (wagw_job_aims(job->kind) && job->kind != WAGW_BUILD_FORWARD) {
        WAGW_TRY(audience_target(t, job, m, &p, &found));
        found = found && list == NULL;
    }
    if (!m->refused && !found) {
        p.n = 0;
        WAGW_TRY(cJSON_IsArray(list) ? audience_named(t, job, m, list, &p) : audience_default(t, s, &p, &not_these));
    }
    if (m->refused || s->outcome == STEP_PARKED) {
        return WAGW_OK;
    }
    WAGW_TRY(audience_map(t, s, m->lid, &p, true));
    if (s->outcome == STEP_PARKED) {
        return WAGW_OK;
    }
    if (not_these.n) {
        size_t n = 0;

        WAGW_TRY(audience_map(t, s, m->lid, &not_these, false));
        for (size_t i = 0; i < p.n; i++) {
            if (bsearch(&p.v[i], not_these.v, not_these.n, sizeof(*p.v), compare) == NULL) {
                p.v[n++] = p.v[i];
            }
        }
        p.n = n;
    }
    if (p.n == 0) {
        m->refused = true;
        return wagw_turn_fail(t, job->command, 422, "RECIPIENT_NO_DEVICES", "Nobody would see this status");
    }
    m->group.members = wagw_arena_alloc(&t->arena, (p.n + 1) * sizeof(*m->group.members));
    if (m->group.members == NULL) {
        return WAGW_NOMEM;
    }
    memcpy(m->group.members, p.v, p.n * sizeof(*p.v));
    m->group.members[p.n] = m->self; /* our other devices */
    m->group.n = p.n + 1;
    m->group.fetched_ms = t->now;
    m->group.lid = m->lid;
    return WAGW_OK;
}

/* ---- calls ----------------------------------------------------------------------------------- */

const char *wagw_story_mode_name(wagw_story_mode_t mode)
{
    return mode == WAGW_STORY_ALLOW ? "allow" : mode == WAGW_STORY_DENY ? "deny" : "contacts";
}

static int privacy_reply(wagw_turn_t *t, uint64_t command)
{
    int rc = WAGW_OK;
    wagw_buf_t b = {0};
    wagw_jid_t j;
    wagw_json_t json = wagw_json(&b);
    wagw_result_t r = {0};
    wagw_story_privacy_t p;

    WAGW_TRY(wagw_story_privacy(t, &p));
    wagw_json_open(&json, '{');
    wagw_json_kcstr(&json, "mode", wagw_story_mode_name(p.mode));
    wagw_json_key(&json, "jids");
    wagw_json_open(&json, '[');
    for (size_t i = 0; rc == WAGW_OK && i < p.n; i++) {
        rc = wagw_chat_canonical(t, &p.jids[i], &j);
        wagw_json_str(&json, wagw_jid_str(&t->arena, &j));
    }
    wagw_json_close(&json);
    wagw_json_close(&json);
    if (rc == WAGW_OK) {
        r.status = 200;
        r.data = wagw_buf_view(&b);
        rc = b.failed ? WAGW_NOMEM : wagw_turn_reply(t, command, &r);
    }
    wagw_buf_free(&b);
    return rc;
}

static int privacy_asked(wagw_turn_t *t, const wagw_node_t *node, uint64_t command)
{
    int code = node ? wagw_iq_error(node, NULL) : 0;

    if (node == NULL || (code && code != 404)) {
        return wagw_iq_failed(t, command, node);
    }
    WAGW_TRY(wagw_story_answer(t, node));
    return privacy_reply(t, command);
}

static int privacy_show(wagw_turn_t *t, uint64_t command)
{
    wagw_story_privacy_t p;

    WAGW_TRY(wagw_story_privacy(t, &p));
    return privacy_known(t, &p) ? privacy_reply(t, command)
                                : wagw_iq_send_for(t, privacy_iq(t), privacy_asked, command);
}

static int seen(wagw_turn_t *t, uint64_t command, const cJSON *params)
{
    int rc;
    bool lid = !wagw_jid_empty(&wagw_turn_me(t)->lid);
    wagw_jid_t chat = wagw_jid_make("status", WAGW_SRV_BROADCAST, 0), author;
    wagw_str_t id = wagw_param_str(params, "messageId");
    wagw_result_t r = {0};
    wagw_row_message_t row;

    rc = wagw_turn_message_find(t, wagw_jid_str(&t->arena, &chat), id, &row, NULL);
    if (rc == WAGW_NOT_FOUND || (rc == WAGW_OK && row.from_me)) {
        return wagw_turn_fail(t, command, 404, "MESSAGE_NOT_FOUND", "No status of somebody else has this id");
    }
    WAGW_TRY(rc);
    if (wagw_jid_parse(&author, row.sender) != WAGW_OK) {
        return wagw_turn_fail(t, command, 404, "MESSAGE_NOT_FOUND", "The author of the status is not known");
    }
    WAGW_TRY(wagw_lid_in(t, &author, lid, &author));
    WAGW_TRY(wagw_receipt_read(t, &chat, &author, &id, 1));
    r.status = 200;
    r.message = "Status marked as viewed";
    r.data = wagw_arena_printf(&t->arena, "{\"marked\":1}");
    r.message_id = id;
    return wagw_turn_reply(t, command, &r);
}

int wagw_story_command(wagw_turn_t *t, uint64_t command, wagw_cmd_t cmd, const cJSON *params)
{
    if (t->c->conn != WAGW_CONN_OPEN) {
        return wagw_turn_fail(t, command, 409, "INSTANCE_NOT_CONNECTED", "Instance not found or not connected");
    }
    return cmd == WAGW_CMD_STORY_SEEN ? seen(t, command, params) : privacy_show(t, command);
}
