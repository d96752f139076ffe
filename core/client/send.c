/*
 * Jobs: from a command to the server's ack (04 section 8, 16).
 *
 * Messages of one instance are encrypted one after the other: the first job of
 * the queue may wait for device lists and bundles, the others wait behind it.
 * Once its stanza is stored and on its way a job only waits for the ack, next
 * to any number of others.  A job that a rerun may see again is never changed
 * in run(); what a step decided is written back by step_then().
 */

#include "send_i.h"

#include <stdlib.h>

#define DEVICES_FRESH_MS 3600000
#define TYPE_MAX_MS 10000
#define JOBS_MAX 10000

static int job_step(wagw_turn_t *t, step_t *s);

static int not_connected(wagw_turn_t *t, uint64_t command)
{
    return wagw_turn_fail(t, command, 409, "INSTANCE_NOT_CONNECTED", "Instance not found or not connected");
}

/* ---- from the command to the queue --------------------------------------------------- */

/* A new message has no receipts yet: the first one need not look for others. */
static void no_receipts(wagw_client_t *c, const step_t *s)
{
    char key[WAGW_KEY_MAX];
    size_t n = wagw_msgkey(key, s->chat, wagw_cstr(s->job.id), s->chat);

    if (n) {
        wagw_cache_absent(c->sh->cache, c->instance, WAGW_REC_RECEIPT, wagw_str(key, n));
    }
}

static void step_then(wagw_client_t *c, void *arg)
{
    step_t *s = *(step_t **)arg;
    wagw_job_t *j;

    if (s->chat.n) {
        no_receipts(c, s);
    }
    j = s->queued ? wagw_job_find(c, s->job.serial) : NULL;
    if (s->queued && j == NULL) {
        return; /* dropped meanwhile */
    }
    if (s->outcome == STEP_SENT && s->job.given_len) {
        uint8_t *given = malloc(s->job.given_len);

        if (given) {
            memcpy(given, s->job.given, s->job.given_len);
        } else {
            s->job.given_len = 0; /* they get the key once more */
        }
        s->job.given = given;
    } else {
        s->job.given = NULL;
        s->job.given_len = 0;
    }

    if (s->outcome == STEP_OVER) {
        if (j) {
            wagw_job_drop(c, s->job.serial);
        }
    } else {
        if (j == NULL) {
            j = malloc(sizeof(*j));
            if (j == NULL) {
                return;
            }
            *j = s->job;
            j->next = NULL;
            c->njobs++;
            if (s->outcome == STEP_PARKED) {
                j->params = j->params ? cJSON_Duplicate(j->params, 1) : NULL;
                wagw_job_queue(c, j);
            } else {
                j->params = NULL;
                wagw_unacked_add(c, j);
            }
        } else {
            wagw_job_t *next = j->next;
            cJSON *params = j->params;
            uint64_t command = j->command; /* the caller may have gone */

            *j = s->job;
            j->next = next;
            j->params = params;
            if (command == 0) {
                j->command = 0;
            }
            if (s->outcome == STEP_SENT) {
                (void)wagw_job_unlink(c, j->serial);
                cJSON_Delete(j->params);
                j->params = NULL;
                wagw_unacked_add(c, j);
            }
        }
        if (j->due_ms > c->now && s->outcome == STEP_PARKED) {
            wagw_client_timer(c, WAGW_TIMER_JOB, j->due_ms);
        }
    }
    if (s->outcome != STEP_PARKED && s->queued && c->jobs) {
        (void)wagw_turn_later(c, wagw_send_pump, 0, true);
    }
}

static int step_run(wagw_turn_t *t, step_t *s)
{
    WAGW_TRY(job_step(t, s));
    return wagw_turn_then(t, step_then, &s, sizeof(s));
}

static bool status_takes(wagw_build_kind_t kind)
{
    switch (kind) {
    case WAGW_BUILD_TEXT:
    case WAGW_BUILD_LINK_PREVIEW:
    case WAGW_BUILD_MEDIA:
    case WAGW_BUILD_FORWARD:
    case WAGW_BUILD_REVOKE:
    case WAGW_BUILD_REACTION:
    case WAGW_BUILD_RAW:
        return true;
    default:
        return false;
    }
}

int wagw_send_command(wagw_turn_t *t, uint64_t command, wagw_build_kind_t kind, const cJSON *params)
{
    char id[24];
    uint8_t random[16];
    step_t *s;
    wagw_jid_t to;
    wagw_str_t given;
    const wagw_creds_t *me = wagw_turn_me(t);

    if (t->c->conn != WAGW_CONN_OPEN || me == NULL) {
        return not_connected(t, command);
    }
    if (t->c->njobs >= JOBS_MAX) {
        wagw_result_t r = {0};

        r.status = 429;
        r.code = "INSTANCE_RATE_LIMITED";
        r.error = "Too many messages are waiting in this instance";
        r.retry_after = 1;
        return wagw_turn_reply(t, command, &r);
    }
    WAGW_TRY(wagw_param_jid(t, command, params, "to", "chatId", &to));
    if (wagw_jid_empty(&to)) {
        return WAGW_OK; /* answered */
    }
    if (!wagw_jid_is_person(&to) && !wagw_jid_is_group(&to) && !wagw_jid_is_status(&to)) {
        return wagw_turn_fail(t, command, 501, "NOT_SUPPORTED", "Sending to channels and lists is not built yet");
    }
    if (wagw_jid_is_status(&to) && !status_takes(kind)) {
        return wagw_turn_fail(t, command, 501, "NOT_SUPPORTED", "WhatsApp knows no status of this kind");
    }

    s = wagw_arena_zalloc(&t->arena, sizeof(*s));
    if (s == NULL) {
        return WAGW_NOMEM;
    }
    s->job.serial = ++t->c->job_serial;
    s->job.command = command;
    s->job.kind = kind;
    s->job.params = (cJSON *)params;
    s->job.to = wagw_jid_is_person(&to) ? wagw_jid_user(&to) : to;
    s->job.priority = (uint8_t)wagw_param_int(params, "priority", 5);

    given = wagw_param_str(params, "_id");
    if (given.n == 0 && !wagw_job_aims(kind)) {
        given = wagw_param_str(params, "messageId");
    }
    if (given.n) {
        if (given.n >= sizeof(s->job.id) || memchr(given.p, '|', given.n)) {
            return wagw_job_field_error(t, command, "messageId", "invalid");
        }
        memcpy(s->job.id, given.p, given.n);
        s->job.fresh = !wagw_param_bool(params, "_resume", false) && cJSON_HasObjectItem(params, "_id");
    } else {
        wagw_turn_random(t, random, sizeof(random));
        WAGW_TRY(wagw_message_id(id, t->now / 1000, wagw_str(me->jid.user, me->jid.user_len), random));
        memcpy(s->job.id, id, strlen(id));
        s->job.fresh = true;
        /* the same one when this turn runs again */
        if (cJSON_AddStringToObject((cJSON *)params, "_id", id) == NULL) {
            return WAGW_NOMEM;
        }
    }

    if (t->c->jobs) {
        s->outcome = STEP_PARKED;
        return wagw_turn_then(t, step_then, &s, sizeof(s));
    }
    return step_run(t, s);
}

int wagw_send_pump(wagw_turn_t *t, uint64_t unused)
{
    step_t *s;
    wagw_job_t *j = t->c->jobs;

    (void)unused;
    if (j == NULL || t->c->conn != WAGW_CONN_OPEN || j->state == WAGW_JOB_WAIT_DEVICES ||
        j->state == WAGW_JOB_WAIT_BUNDLES || j->due_ms > t->now) {
        return WAGW_OK;
    }
    s = wagw_arena_zalloc(&t->arena, sizeof(*s));
    if (s == NULL) {
        return WAGW_NOMEM;
    }
    s->job = *j;
    s->queued = true;
    return step_run(t, s);
}

/* ---- waiting for lists and bundles --------------------------------------------------------- */

typedef struct {
    uint64_t serial;
    bool failed;
} woken_t;

typedef enum { ASKED_DEVICES, ASKED_BUNDLES, ASKED_GROUP, ASKED_STORY } asked_for_t;

static void woken_then(wagw_client_t *c, void *arg)
{
    woken_t *w = arg;
    wagw_job_t *j = wagw_job_find(c, w->serial);

    if (j == NULL) {
        return;
    }
    j->state = WAGW_JOB_NEW;
    if (w->failed) {
        /* the connection went: asked again on the next one */
        j->devices_asked = j->bundles_asked = false;
        j->audience_asked = false;
        j->asked_upto = j->lids_upto = 0;
    }
    (void)wagw_turn_later(c, wagw_send_pump, 0, true);
}

static void drop_then(wagw_client_t *c, void *arg)
{
    wagw_job_drop(c, *(uint64_t *)arg);
    if (c->jobs) {
        (void)wagw_turn_later(c, wagw_send_pump, 0, true);
    }
}

static int asked_answer(wagw_turn_t *t, const wagw_node_t *node, uint64_t serial, asked_for_t what)
{
    int code;
    size_t n;
    woken_t w = {serial, false};
    wagw_jid_t *dead;
    wagw_str_t text = WAGW_STR_NULL;
    wagw_job_t *j = wagw_job_find(t->c, serial);
    wagw_result_t r;

    if (j == NULL) {
        return WAGW_OK;
    }
    if (node == NULL && t->c->conn != WAGW_CONN_OPEN) {
        w.failed = true;
        return wagw_turn_then(t, woken_then, &w, sizeof(w));
    }
    code = node ? wagw_iq_error(node, &text) : 0;
    if (what == ASKED_STORY && code == 404) {
        code = 0; /* nobody ever set it */
    }
    if (node == NULL || code) {
        wagw_iq_result(&r, &t->arena, code, text);
        if (code == 0) {
            r.details = WAGW_STR("{\"sent\":false}");
        } else if (code == 404 && what == ASKED_GROUP) {
            r.code = "GROUP_NOT_FOUND";
            r.error = "Group not found";
        }
        WAGW_TRY(wagw_turn_reply(t, j->command, &r));
        return wagw_turn_then(t, drop_then, &serial, sizeof(serial));
    }
    switch (what) {
    case ASKED_DEVICES:
        WAGW_TRY(wagw_devices_answer(t, node));
        break;
    case ASKED_BUNDLES:
        WAGW_TRY(wagw_bundles_answer(t, node, &dead, &n));
        break;
    case ASKED_GROUP:
        WAGW_TRY(wagw_group_answer(t, node));
        break;
    case ASKED_STORY:
        WAGW_TRY(wagw_story_answer(t, node));
        break;
    }
    return wagw_turn_then(t, woken_then, &w, sizeof(w));
}

int wagw_job_group_asked(wagw_turn_t *t, const wagw_node_t *node, uint64_t serial)
{
    return asked_answer(t, node, serial, ASKED_GROUP);
}

int wagw_job_story_asked(wagw_turn_t *t, const wagw_node_t *node, uint64_t serial)
{
    return asked_answer(t, node, serial, ASKED_STORY);
}

int wagw_job_devices_asked(wagw_turn_t *t, const wagw_node_t *node, uint64_t serial)
{
    return asked_answer(t, node, serial, ASKED_DEVICES);
}

int wagw_job_bundles_asked(wagw_turn_t *t, const wagw_node_t *node, uint64_t serial)
{
    return asked_answer(t, node, serial, ASKED_BUNDLES);
}

/* ---- one step of a job ---------------------------------------------------------------------------- */

int wagw_job_resume(wagw_turn_t *t, step_t *s, const wagw_row_message_t *row)
{
    wagw_job_t *job = &s->job, *old;

    s->outcome = STEP_OVER;
    if (!wagw_param_bool(job->params, "_resume", false)) {
        return wagw_turn_fail(t, job->command, 409, "DUPLICATE", "A message with this id exists");
    }
    if (row->status == WAGW_MSG_FAILED) {
        return wagw_turn_fail(t, job->command, 502, "WA_ERROR", "WhatsApp refused the message");
    }
    if (row->status != WAGW_MSG_PENDING) {
        return wagw_job_answer(t, job, row);
    }
    /* stored by an earlier life of this request: its ack is awaited */
    old = wagw_unacked_find(t->c, row->id);
    if (old) {
        old->command = job->command;
        return WAGW_OK;
    }
    s->outcome = STEP_SENT;
    return WAGW_OK;
}

int wagw_job_typing(wagw_turn_t *t, step_t *s, const wagw_made_t *m)
{
    double ms = 0;
    wagw_str_t text;
    wagw_node_t *n;
    const cJSON *v = cJSON_GetObjectItemCaseSensitive(s->job.params, "simulateTyping");

    if (cJSON_IsNumber(v)) {
        ms = v->valuedouble;
    } else if (cJSON_IsTrue(v)) {
        text = wagw_param_str(s->job.params, "message");
        ms = 1000 + 30.0 * (double)(text.n < 200 ? text.n : 200);
    }
    if (ms <= 0) {
        return WAGW_OK;
    }
    s->job.typed = true;
    s->job.due_ms = t->now + (int64_t)(ms < TYPE_MAX_MS ? ms : TYPE_MAX_MS);
    s->outcome = STEP_PARKED;
    n = wagw_node(&t->arena, "chatstate");
    wagw_node_attr_jid(&t->arena, n, "to", &m->to);
    wagw_node_child(&t->arena, n, "composing");
    return wagw_turn_send(t, n);
}

int wagw_job_store(wagw_turn_t *t, wagw_job_t *job, const wagw_made_t *m, const wagw_row_message_t *old,
                   wagw_str_t stanza)
{
    wagw_row_message_t row;

    if (old) {
        row = *old;
    } else {
        memset(&row, 0, sizeof(row));
        row.chat = m->chat;
        row.id = wagw_cstr(job->id);
        row.from_me = true;
        row.t_ms = row.created_ms = t->now;
        row.type = wagw_cstr(m->built.type ? m->built.type : "unknown");
        row.body = m->built.body;
        row.quoted = m->built.quoted;
        row.mentions = m->built.mentions;
        row.media = m->built.media;
        row.content = m->built.bytes;
        row.secret = m->built.hidden ? WAGW_STR_NULL : m->built.secret;
        row.ref = wagw_param_str(job->params, "ref");
        row.edit = wagw_cstr(m->built.edit);
        row.stanza_type = wagw_cstr(m->built.stanza_type);
        row.expiration = m->expiration;
        row.flags = (m->built.hidden ? WAGW_ROW_HIDDEN : 0) | (m->expiration ? WAGW_ROW_EPHEMERAL : 0) | m->built.flags;
    }
    row.to = wagw_jid_str(&t->arena, &m->to);
    row.status = WAGW_MSG_PENDING;
    row.stanza = stanza;
    WAGW_TRY(wagw_turn_message_put(t, &row));
    if (!(row.flags & WAGW_ROW_HIDDEN) && old == NULL && !wagw_jid_is_status(&m->to)) {
        WAGW_TRY(wagw_turn_chat_touch(t, &row, &m->canonical, 0));
    }
    if (wagw_param_bool(job->params, "async", false) && !job->accepted) {
        job->accepted = true;
        return wagw_send_result(t, &row, job->command, 202, "Message accepted");
    }
    return WAGW_OK;
}

static int job_step(wagw_turn_t *t, step_t *s)
{
    int rc;
    size_t n = 0, nmiss = 0, nask = 0;
    wagw_made_t m;
    wagw_jid_t ask[2], *all, *miss, own;
    wagw_buf_t out = {0};
    wagw_job_t *job = &s->job;
    wagw_stanza_t st;
    wagw_signal_t *sig;
    wagw_devices_t peer, mine;
    wagw_row_message_t old;
    wagw_signal_addr_t addr;
    const wagw_creds_t *me = wagw_turn_me(t);

    s->outcome = STEP_OVER;
    if (wagw_jid_is_group(&job->to) || wagw_jid_is_status(&job->to)) {
        return wagw_job_group_step(t, s);
    }
    memset(&m, 0, sizeof(m));
    WAGW_TRY(wagw_job_namespace(t, job, &m));

    /* the id must be new, unless this is a rebuild */
    rc = job->fresh && !job->rebuilt ? WAGW_NOT_FOUND
                                     : wagw_turn_message(t, m.chat, wagw_cstr(job->id), WAGW_STR(""), &old);
    if (rc == WAGW_OK && !job->rebuilt) {
        return wagw_job_resume(t, s, &old);
    }
    if (rc != WAGW_OK && (rc != WAGW_NOT_FOUND || job->rebuilt)) {
        return rc == WAGW_NOT_FOUND ? WAGW_OK : rc;
    }

    if (!job->rebuilt) {
        WAGW_TRY(wagw_limit_new_chat(t, job->command, m.chat, &m.refused));
        if (m.refused) {
            return WAGW_OK;
        }
    }

    /* device lists of both sides */
    own = wagw_jid_user(m.lid ? &me->lid : &me->jid);
    WAGW_TRY(wagw_devices_get(t, &m.to, m.lid, &peer));
    WAGW_TRY(wagw_devices_get(t, &own, m.lid, &mine));
    if (!job->devices_asked) {
        if (peer.fetched_ms == 0 || t->now - peer.fetched_ms > DEVICES_FRESH_MS) {
            ask[nask++] = m.to;
        }
        if ((mine.fetched_ms == 0 || t->now - mine.fetched_ms > DEVICES_FRESH_MS) && !wagw_is_me(t->c, &m.to)) {
            ask[nask++] = own;
        }
        if (nask) {
            job->devices_asked = true;
            job->state = WAGW_JOB_WAIT_DEVICES;
            s->outcome = STEP_PARKED;
            return wagw_devices_query(t, ask, nask, wagw_job_devices_asked, job->serial);
        }
    }
    if (peer.n == 0) {
        return t->c->conf.check_number
                   ? wagw_turn_fail(t, job->command, 422, "NOT_ON_WHATSAPP", "The recipient is not on WhatsApp")
                   : wagw_turn_fail(t, job->command, 422, "RECIPIENT_NO_DEVICES",
                                    "The recipient has no device to encrypt for");
    }

    /* sessions */
    all = wagw_arena_alloc(&t->arena, (peer.n + mine.n) * 2 * sizeof(*all));
    sig = wagw_turn_signal(t);
    if (all == NULL || sig == NULL) {
        return WAGW_NOMEM;
    }
    miss = all + peer.n + mine.n;
    memcpy(all, peer.jids, peer.n * sizeof(*all));
    n = peer.n;
    if (!wagw_is_me(t->c, &m.to) && mine.n) {
        memcpy(all + n, mine.jids, mine.n * sizeof(*all));
        n += mine.n;
    }
    rc = WAGW_OK;
    for (size_t i = 0; i < n; i++) {
        int r;

        if (wagw_is_this_device(t->c, &all[i])) {
            continue;
        }
        r = wagw_lid_signal(t, &all[i], &addr);
        if (r == WAGW_OK) {
            r = wagw_signal_has_session(sig, &addr);
        }
        if (r == WAGW_NOT_FOUND) {
            miss[nmiss++] = all[i];
        } else if (r != WAGW_OK) {
            rc = r; /* all that is missing is asked for in one load */
            if (r != WAGW_AGAIN) {
                return r;
            }
        }
    }
    WAGW_TRY(rc);
    if (nmiss && !job->bundles_asked) {
        job->bundles_asked = true;
        job->state = WAGW_JOB_WAIT_BUNDLES;
        s->outcome = STEP_PARKED;
        return wagw_bundles_query(t, miss, nmiss, wagw_job_bundles_asked, job->serial);
    }

    if (job->rebuilt) {
        wagw_job_from_row(&t->arena, &m, &old);
    } else {
        WAGW_TRY(wagw_job_build(t, job, &m));
        if (m.refused) {
            return WAGW_OK;
        }
        if (!job->typed && job->params) {
            WAGW_TRY(wagw_job_typing(t, s, &m));
            if (s->outcome == STEP_PARKED) {
                return WAGW_OK;
            }
        }
    }

    memset(&st, 0, sizeof(st));
    st.id = wagw_cstr(job->id);
    st.to = m.to;
    st.type = m.built.stanza_type;
    st.mediatype = m.built.mediatype;
    st.edit = m.built.edit;
    st.hide_fail = m.built.hide_fail;
    st.polltype = m.built.polltype;
    st.biz = m.built.biz;
    st.message = m.built.bytes;
    st.pn = m.pn;
    st.self = m.self;
    rc = wagw_stanza_message(t, &st, all, n, &out);
    if (rc == WAGW_OK) {
        rc = wagw_job_store(t, job, &m, job->rebuilt ? &old : NULL, wagw_buf_view(&out));
    }
    if (rc == WAGW_OK) {
        rc = wagw_turn_send_bytes(t, wagw_buf_view(&out));
        s->outcome = STEP_SENT;
        s->chat = job->fresh && !job->rebuilt ? m.chat : WAGW_STR_NULL;
    } else if (rc == WAGW_NOT_FOUND) {
        rc =
            wagw_turn_fail(t, job->command, 422, "RECIPIENT_NO_DEVICES", "No device of the recipient could be reached");
    }
    wagw_buf_free(&out);
    return rc;
}
