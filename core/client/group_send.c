/*
 * A message to a group (04 section 9): metadata, device lists of all members,
 * our sender key to those who lack it, one ciphertext for all.  In the steady
 * state nothing is asked of the server.
 *
 * A status post (04 section 10) is the same with its audience as members; its
 * stanza names them, so each of their devices is given the key every time.
 */

#include "send_i.h"

#include <stdlib.h>

#define USERS_PER_QUERY 250

static bool hosted(const wagw_jid_t *j)
{
    return j->server == WAGW_SRV_HOSTED || j->server == WAGW_SRV_HOSTED_LID;
}

static int compare_text(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

/* The addresses that have the key, sorted for look-ups. */
static int given_index(wagw_turn_t *t, wagw_str_t given, char ***out, size_t *n)
{
    size_t count = 0, at = 0;
    char **list;

    for (size_t i = 0; i < given.n; i++) {
        count += given.p[i] == 0;
    }
    list = wagw_arena_alloc(&t->arena, (count + 1) * sizeof(*list));
    if (list == NULL) {
        return WAGW_NOMEM;
    }
    for (size_t i = 0; i < given.n && at < count; i++) {
        list[at++] = (char *)given.p + i;
        while (i < given.n && given.p[i]) {
            i++;
        }
    }
    qsort(list, at, sizeof(*list), compare_text);
    *out = list;
    *n = at;
    return WAGW_OK;
}

static int group_made(wagw_turn_t *t, const wagw_job_t *job, wagw_made_t *m)
{
    const wagw_creds_t *me = wagw_turn_me(t);

    memset(m, 0, sizeof(*m));
    m->to = m->canonical = job->to;
    m->chat = wagw_jid_str(&t->arena, &job->to);
    if (wagw_jid_is_status(&job->to)) {
        return m->chat.p ? WAGW_OK : WAGW_NOMEM; /* wagw_story_members() fills in */
    }
    WAGW_TRY(wagw_group_get(t, &job->to, &m->group));
    m->lid = m->group.lid && !wagw_jid_empty(&me->lid);
    m->self = wagw_jid_user(m->lid ? &me->lid : &me->jid);
    return m->chat.p ? WAGW_OK : WAGW_NOMEM;
}

/* Every device of every member; PARKED while lists are missing. */
static int group_devices(wagw_turn_t *t, step_t *s, const wagw_made_t *m, wagw_jid_t **out, size_t *n)
{
    int rc = WAGW_OK, r;
    size_t cap = 0, count = 0, nask = 0;
    uint32_t last = s->job.asked_upto;
    wagw_jid_t *ask, *all = NULL;
    wagw_devices_t *lists;

    lists = wagw_arena_zalloc(&t->arena, (m->group.n + 1) * sizeof(*lists));
    ask = wagw_arena_alloc(&t->arena, USERS_PER_QUERY * sizeof(*ask));
    if (lists == NULL || ask == NULL) {
        return WAGW_NOMEM;
    }
    for (size_t i = 0; i < m->group.n; i++) {
        r = wagw_devices_get(t, &m->group.members[i], m->lid, &lists[i]);
        if (r == WAGW_AGAIN) {
            rc = r;
        } else if (r != WAGW_OK) {
            return r;
        }
        cap += lists[i].n;
    }
    WAGW_TRY(rc);
    for (size_t i = s->job.asked_upto; i < m->group.n && nask < USERS_PER_QUERY; i++) {
        if (lists[i].fetched_ms == 0) {
            ask[nask++] = m->group.members[i];
        }
        last = (uint32_t)i + 1;
    }
    s->job.asked_upto = last;
    if (nask) {
        s->job.state = WAGW_JOB_WAIT_DEVICES;
        s->outcome = STEP_PARKED;
        return wagw_devices_query(t, ask, nask, wagw_job_devices_asked, s->job.serial);
    }
    all = wagw_arena_alloc(&t->arena, (cap + 1) * sizeof(*all));
    if (all == NULL) {
        return WAGW_NOMEM;
    }
    for (size_t i = 0; i < m->group.n; i++) {
        for (size_t k = 0; k < lists[i].n; k++) {
            if (!hosted(&lists[i].jids[k])) {
                all[count++] = lists[i].jids[k];
            }
        }
    }
    *out = all;
    *n = count;
    return WAGW_OK;
}

typedef struct {
    uint32_t key_id;
    wagw_buf_t skdm;
    wagw_jid_t *need; /* devices that lack the key */
    size_t nneed;
    wagw_jid_t *met; /* of a status post: those that have it, and get it again */
    size_t nmet;
} keys_t;

/*
 * Our key, and who lacks it.  *gone: somebody who has it is in the group no
 * more, by whatever way we learnt it: this key is not used again.
 */
static int group_need(wagw_turn_t *t, step_t *s, const wagw_made_t *m, const wagw_jid_t *devices, size_t n, keys_t *k,
                      bool *gone)
{
    int rc = WAGW_OK, r;
    char text[WAGW_KEY_MAX], *name = text, **have;
    size_t nhave;
    wagw_str_t given;
    wagw_signal_t *sig = wagw_turn_signal(t);
    wagw_signal_addr_t self = wagw_group_self(t), addr;

    if (sig == NULL) {
        return WAGW_NOMEM;
    }
    k->nneed = k->nmet = 0;
    wagw_buf_reset(&k->skdm);
    WAGW_TRY(wagw_signal_group_skdm(sig, m->chat, &self, &k->skdm, &k->key_id));
    WAGW_TRY(wagw_group_has(t, &s->job.to, k->key_id, &given));
    WAGW_TRY(given_index(t, given, &have, &nhave));
    for (size_t i = 0; i < n; i++) {
        if (wagw_is_this_device(t->c, &devices[i])) {
            continue;
        }
        r = wagw_lid_signal(t, &devices[i], &addr);
        if (r == WAGW_OK) {
            wagw_signal_key(text, &addr);
            if (bsearch(&name, have, nhave, sizeof(*have), compare_text)) {
                k->met[k->nmet++] = devices[i];
            } else {
                k->need[k->nneed++] = devices[i];
            }
        } else if (r == WAGW_AGAIN) {
            rc = r;
        } else {
            return r;
        }
    }
    *gone = k->nmet < nhave;
    return rc;
}

/* PARKED while bundles are missing. */
static int group_keys(wagw_turn_t *t, step_t *s, const wagw_made_t *m, const wagw_jid_t *devices, size_t n, keys_t *k)
{
    int rc = WAGW_OK, r;
    bool gone;
    size_t nmiss = 0;
    wagw_jid_t *miss;
    wagw_signal_addr_t addr;

    k->need = wagw_arena_alloc(&t->arena, 3 * (n + 1) * sizeof(*k->need));
    if (k->need == NULL) {
        return WAGW_NOMEM;
    }
    k->met = k->need + n + 1;
    miss = k->met + n + 1;
    WAGW_TRY(group_need(t, s, m, devices, n, k, &gone));
    if (gone) {
        WAGW_TRY(wagw_group_rotate(t, &s->job.to));
        WAGW_TRY(group_need(t, s, m, devices, n, k, &gone));
    }
    if (!wagw_jid_is_status(&s->job.to)) {
        k->nmet = 0;
    }
    for (size_t i = 0; i < k->nneed + k->nmet; i++) {
        const wagw_jid_t *to = i < k->nneed ? &k->need[i] : &k->met[i - k->nneed];

        r = wagw_lid_signal(t, to, &addr);
        if (r == WAGW_OK) {
            r = wagw_signal_has_session(wagw_turn_signal(t), &addr);
        }
        if (r == WAGW_NOT_FOUND) {
            miss[nmiss++] = *to;
        } else if (r == WAGW_AGAIN) {
            rc = r;
        } else if (r != WAGW_OK) {
            return r;
        }
    }
    WAGW_TRY(rc);
    if (nmiss && !s->job.bundles_asked) {
        s->job.bundles_asked = true;
        s->job.state = WAGW_JOB_WAIT_BUNDLES;
        s->outcome = STEP_PARKED;
        return wagw_bundles_query(t, miss, nmiss, wagw_job_bundles_asked, s->job.serial);
    }
    return WAGW_OK;
}

static int group_distribute(wagw_turn_t *t, step_t *s, const wagw_made_t *m, const keys_t *k, wagw_node_t *msg,
                            bool *prekey)
{
    int rc;
    char text[WAGW_KEY_MAX];
    size_t len;
    wagw_buf_t key_message = {0}, given = {0};
    wagw_str_t v;
    wagw_node_t *parts = NULL, *to;
    wagw_signal_t *sig = wagw_turn_signal(t);
    wagw_signal_addr_t addr;
    const wagw_jid_t *device;

    rc = wagw_message_add_skdm(&key_message, WAGW_STR(""), m->chat, wagw_buf_view(&k->skdm));
    for (size_t i = 0; rc == WAGW_OK && i < k->nneed + k->nmet; i++) {
        device = i < k->nneed ? &k->need[i] : &k->met[i - k->nneed];
        rc = wagw_lid_signal(t, device, &addr);
        if (rc == WAGW_OK) {
            rc = wagw_signal_has_session(sig, &addr);
        }
        if (rc == WAGW_NOT_FOUND) {
            rc = WAGW_OK; /* no keys to be had: it may ask by a retry */
            continue;
        }
        if (rc != WAGW_OK) {
            break;
        }
        if (parts == NULL) {
            parts = wagw_node_child(&t->arena, msg, "participants");
        }
        to = wagw_node_child(&t->arena, parts, "to");
        wagw_node_attr_jid(&t->arena, to, "jid", device);
        rc = wagw_stanza_enc(t, to, device, wagw_buf_view(&key_message), prekey, NULL);
        if (i < k->nneed) {
            len = wagw_signal_key(text, &addr);
            wagw_buf_add(&given, text, len + 1);
        }
    }
    if (rc == WAGW_OK && given.failed) {
        rc = WAGW_NOMEM;
    }
    if (rc == WAGW_OK && given.n) {
        v = wagw_arena_str(&t->arena, wagw_buf_view(&given));
        s->job.given = (uint8_t *)v.p;
        s->job.given_len = v.p ? v.n : 0;
        s->job.key_id = k->key_id;
    }
    wagw_buf_wipe(&key_message);
    wagw_buf_free(&given);
    return rc;
}

static int group_stanza(wagw_turn_t *t, step_t *s, const wagw_made_t *m, const wagw_jid_t *devices, size_t n,
                        const keys_t *k, wagw_buf_t *out)
{
    int rc;
    bool prekey = false;
    char phash[16];
    uint8_t pad;
    wagw_buf_t plain = {0}, sealed = {0};
    wagw_node_t *msg, *enc;
    wagw_signal_t *sig = wagw_turn_signal(t);
    wagw_signal_addr_t self = wagw_group_self(t);

    msg = wagw_node(&t->arena, "message");
    wagw_node_attrc(&t->arena, msg, "id", s->job.id);
    wagw_node_attr_jid(&t->arena, msg, "to", &m->to);
    wagw_node_attrc(&t->arena, msg, "type", m->built.stanza_type);
    if (!wagw_jid_is_status(&m->to)) {
        wagw_node_attrc(&t->arena, msg, "addressing_mode", m->lid ? "lid" : "pn");
    }
    if (m->built.edit) {
        wagw_node_attrc(&t->arena, msg, "edit", m->built.edit);
    }
    if (n && wagw_phash(phash, devices, n) == WAGW_OK) {
        wagw_node_attr(&t->arena, msg, "phash", wagw_arena_str(&t->arena, wagw_cstr(phash)));
    }
    WAGW_TRY(group_distribute(t, s, m, k, msg, &prekey));
    if (prekey) {
        WAGW_TRY(wagw_stanza_identity(t, msg));
    }

    wagw_turn_random(t, &pad, 1);
    wagw_buf_str(&plain, m->built.bytes);
    rc = wagw_pad(&plain, pad);
    if (rc == WAGW_OK) {
        rc = wagw_signal_group_encrypt(sig, m->chat, &self, wagw_buf_view(&plain), &sealed);
    }
    if (rc == WAGW_OK) {
        enc = wagw_node_child(&t->arena, msg, "enc");
        wagw_node_attrc(&t->arena, enc, "v", "2");
        wagw_node_attrc(&t->arena, enc, "type", "skmsg");
        wagw_node_attrc(&t->arena, enc, "mediatype", m->built.mediatype);
        if (m->built.hide_fail || m->built.edit) {
            wagw_node_attrc(&t->arena, enc, "decrypt-fail", "hide");
        }
        wagw_node_bytes(enc, wagw_arena_str(&t->arena, wagw_buf_view(&sealed)));
        wagw_stanza_meta(t, msg, m->built.stanza_type, m->built.polltype);
        if (m->built.biz) {
            wagw_stanza_biz(t, msg, m->built.biz, false);
        }
        rc = wagw_stanza_report(t, msg, m->built.bytes, wagw_cstr(s->job.id), &m->self, &m->to);
    }
    if (rc == WAGW_OK) {
        rc = msg ? wagw_node_encode(out, msg) : WAGW_NOMEM;
    }
    wagw_buf_wipe(&plain);
    wagw_buf_free(&sealed);
    return rc;
}

int wagw_job_group_step(wagw_turn_t *t, step_t *s)
{
    int rc;
    size_t n = 0;
    keys_t k;
    wagw_buf_t out = {0};
    wagw_jid_t *devices = NULL;
    wagw_job_t *job = &s->job;
    bool status = wagw_jid_is_status(&job->to);
    wagw_made_t m;
    wagw_row_message_t old;

    s->outcome = STEP_OVER;
    memset(&k, 0, sizeof(k));
    WAGW_TRY(group_made(t, job, &m));

    rc = wagw_turn_message(t, m.chat, wagw_cstr(job->id), WAGW_STR(""), &old);
    if (rc == WAGW_OK && !job->rebuilt) {
        return wagw_job_resume(t, s, &old);
    }
    if (rc != WAGW_OK && (rc != WAGW_NOT_FOUND || job->rebuilt)) {
        return rc == WAGW_NOT_FOUND ? WAGW_OK : rc;
    }

    if (status) {
        WAGW_TRY(wagw_story_members(t, s, &m, job->rebuilt ? &old : NULL));
        if (m.refused || s->outcome == STEP_PARKED) {
            return WAGW_OK;
        }
    } else if (m.group.fetched_ms == 0) {
        if (job->devices_asked) {
            return wagw_turn_fail(t, job->command, 404, "GROUP_NOT_FOUND",
                                  "WhatsApp does not tell the members of this group");
        }
        job->devices_asked = true;
        job->state = WAGW_JOB_WAIT_DEVICES;
        s->outcome = STEP_PARKED;
        return wagw_group_query(t, &job->to, wagw_job_group_asked, job->serial);
    }
    WAGW_TRY(group_devices(t, s, &m, &devices, &n));
    if (s->outcome == STEP_PARKED) {
        return WAGW_OK;
    }

    rc = group_keys(t, s, &m, devices, n, &k);
    if (rc != WAGW_OK || s->outcome == STEP_PARKED) {
        goto done;
    }
    if (job->rebuilt) {
        wagw_job_from_row(&t->arena, &m, &old);
    } else {
        rc = wagw_job_build(t, job, &m);
        if (rc != WAGW_OK || m.refused) {
            goto done;
        }
        if (!job->typed && job->params && !status) {
            rc = wagw_job_typing(t, s, &m);
            if (rc != WAGW_OK || s->outcome == STEP_PARKED) {
                goto done;
            }
        }
    }
    rc = group_stanza(t, s, &m, devices, n, &k, &out);
    if (rc == WAGW_OK) {
        rc = wagw_job_store(t, job, &m, job->rebuilt ? &old : NULL, wagw_buf_view(&out));
    }
    if (rc == WAGW_OK && status && !job->rebuilt) {
        rc = wagw_story_audience_put(t, job, &m);
    }
    if (rc == WAGW_OK) {
        rc = wagw_turn_send_bytes(t, wagw_buf_view(&out));
        s->outcome = STEP_SENT;
    }

done:

    wagw_buf_wipe(&k.skdm);
    wagw_buf_free(&out);
    return rc;
}
