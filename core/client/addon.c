/*
 * What is sealed under the secret of the message that it is about (04 section
 * 20): votes, answers to events, reactions and edits of announcement groups;
 * and the marks that need no secret: pins, keeps, the chat's timer.
 */

#include "client_i.h"

#define NAMES_MAX 8

typedef struct {
    wagw_str_t v[NAMES_MAX];
    size_t n;
} names_t;

static int names_add(wagw_turn_t *t, names_t *l, const wagw_jid_t *jid)
{
    wagw_jid_t user = wagw_jid_user(jid);
    wagw_str_t s;

    if (wagw_jid_empty(&user) || l->n == NAMES_MAX) {
        return WAGW_OK;
    }
    s = wagw_jid_str(&t->arena, &user);
    if (s.p == NULL) {
        return WAGW_NOMEM;
    }
    for (size_t i = 0; i < l->n; i++) {
        if (wagw_str_eq(l->v[i], s)) {
            return WAGW_OK;
        }
    }
    l->v[l->n++] = s;
    return WAGW_OK;
}

/* The jid and its other form. */
static int names_both(wagw_turn_t *t, names_t *l, const wagw_jid_t *jid)
{
    int rc;
    wagw_jid_t twin;

    WAGW_TRY(names_add(t, l, jid));
    rc = wagw_lid_twin(t, jid, &twin);
    if (rc == WAGW_OK) {
        return names_add(t, l, &twin);
    }
    return rc == WAGW_NOT_FOUND ? WAGW_OK : rc;
}

static int names_text(wagw_turn_t *t, names_t *l, wagw_str_t text)
{
    wagw_jid_t jid;

    if (wagw_jid_parse(&jid, text) != WAGW_OK || !wagw_jid_is_person(&jid)) {
        return WAGW_OK;
    }
    return names_both(t, l, &jid);
}

static int names_own(wagw_turn_t *t, names_t *l)
{
    WAGW_TRY(names_add(t, l, &wagw_turn_me(t)->lid));
    return names_add(t, l, &wagw_turn_me(t)->jid);
}

/*
 * Which of two names the sender's client wrote is not told; during the
 * migration they are mixed.  All that are known are tried, the likeliest first.
 */
static int addon_names(wagw_turn_t *t, const wagw_incoming_t *in, const wagw_content_t *m,
                       const wagw_row_message_t *row, names_t *author, names_t *writer)
{
    WAGW_TRY(names_both(t, writer, &in->sender));
    if (in->from_me) {
        WAGW_TRY(names_own(t, writer));
    } else {
        WAGW_TRY(names_both(t, writer, &in->author));
    }

    if (m->key.from_me) {
        WAGW_TRY(names_both(t, author, &in->sender));
    } else {
        WAGW_TRY(names_text(t, author, m->key.participant.n ? m->key.participant : m->key.remote));
    }
    if (row->from_me) {
        return names_own(t, author);
    }
    WAGW_TRY(names_text(t, author, row->sender.n ? row->sender : row->chat));
    return names_text(t, author, row->sender_alt);
}

static int addon_open(wagw_turn_t *t, const wagw_incoming_t *in, const wagw_content_t *m, const wagw_row_message_t *row,
                      const char *label, bool aad, wagw_buf_t *plain)
{
    int rc = WAGW_CRYPTO;
    names_t author = {.n = 0}, writer = {.n = 0};

    WAGW_TRY(addon_names(t, in, m, row, &author, &writer));
    for (size_t i = 0; i < author.n * writer.n; i++) {
        wagw_buf_reset(plain);
        rc = wagw_addon_open(plain, row->secret, row->id, author.v[i / writer.n], writer.v[i % writer.n], label, aad,
                             m->vote_iv, m->vote_payload);
        if (rc != WAGW_CRYPTO) {
            break;
        }
    }
    return rc;
}

/* ---- votes and answers ---------------------------------------------------------------- */

typedef struct {
    bool poll;
    int64_t at;
    wagw_str_t name;    /* of the event */
    wagw_str_t options; /* JSON */
    const char *error;
} answer_t;

static int answer_event(wagw_turn_t *t, const wagw_incoming_t *in, const wagw_content_t *m, const answer_t *a)
{
    wagw_buf_t b = {0};
    wagw_json_t j = wagw_json(&b);
    wagw_str_t chat = wagw_jid_str(&t->arena, &in->chat);

    wagw_json_open(&j, '{');
    wagw_json_kstr(&j, a->poll ? "pollMessageId" : "eventId", m->key.id);
    wagw_json_kstr(&j, "messageId", in->id);
    if (!a->poll) {
        wagw_json_kstr(&j, "eventName", a->name);
    }
    wagw_json_kstr(&j, "chatId", chat);
    wagw_json_kstr(&j, a->poll ? "voter" : "respondent", wagw_apply_actor(t, in));
    if (a->error) {
        wagw_json_kcstr(&j, "error", a->error);
    } else if (a->poll) {
        wagw_json_kraw(&j, "selectedOptions", a->options);
    } else {
        /* ["going"]: the one name in it */
        wagw_json_kraw(&j, "response", wagw_str(a->options.p + 1, a->options.n - 2));
    }
    wagw_json_kiso(&j, "timestamp", a->at);
    wagw_json_close(&j);
    return wagw_event_emit(t,
                           a->poll ? (a->error ? "poll.vote.failed" : "poll.vote")
                                   : (a->error ? "event.response.failed" : "event.response"),
                           chat, &b);
}

/* The names whose hashes were voted for. */
static int vote_options(wagw_turn_t *t, const wagw_row_message_t *row, wagw_str_t plain, answer_t *a)
{
    int rc;
    size_t n, nhashes;
    uint8_t hash[32];
    wagw_str_t *options, *hashes;
    wagw_buf_t b = {0};
    wagw_json_t j = wagw_json(&b);

    WAGW_TRY(wagw_poll_vote_read(&t->arena, plain, &hashes, &nhashes));
    WAGW_TRY(wagw_poll_options(&t->arena, row->content, &options, &n));

    wagw_json_open(&j, '[');
    for (size_t i = 0; i < n; i++) {
        rc = wagw_poll_option_hash(hash, options[i]);
        if (rc != WAGW_OK) {
            wagw_buf_free(&b);
            return rc;
        }
        for (size_t k = 0; k < nhashes; k++) {
            if (wagw_str_eq(hashes[k], wagw_str(hash, sizeof(hash)))) {
                wagw_json_str(&j, options[i]);
                break;
            }
        }
    }
    wagw_json_close(&j);
    a->options = wagw_arena_str(&t->arena, wagw_buf_view(&b));
    rc = b.failed || a->options.p == NULL ? WAGW_NOMEM : WAGW_OK;
    wagw_buf_free(&b);
    return rc;
}

static int answer_read(wagw_turn_t *t, const wagw_row_message_t *row, wagw_str_t plain, answer_t *a)
{
    int64_t at = 0;
    const char *response;

    if (a->poll) {
        return vote_options(t, row, plain, a);
    }
    WAGW_TRY(wagw_event_response_read(plain, &response, &at));
    if (at > 0) {
        a->at = at;
    }
    a->options = wagw_arena_printf(&t->arena, "[\"%s\"]", response);
    return a->options.p ? WAGW_OK : WAGW_NOMEM;
}

/* A later answer of the same person replaces the earlier one. */
static int answer_store(wagw_turn_t *t, const wagw_incoming_t *in, const wagw_row_message_t *row, const answer_t *a,
                        bool *late)
{
    int rc;
    size_t n;
    char text[WAGW_KEY_MAX];
    wagw_buf_t b = {0};
    wagw_str_t old, key;
    wagw_row_vote_t v, before;

    memset(&v, 0, sizeof(v));
    v.chat = row->chat;
    v.id = row->id;
    v.user = in->from_me ? WAGW_STR("") : wagw_jid_str(&t->arena, &in->author);
    v.options = a->options;
    v.t_ms = a->at;
    n = wagw_msgkey(text, v.chat, v.id, v.user);
    if (n == 0) {
        return WAGW_OK;
    }
    key = wagw_str(text, n);
    rc = wagw_txn_get(&t->txn, WAGW_REC_VOTE, key, &old);
    if (rc == WAGW_OK) {
        *late = wagw_row_vote_decode(&before, old) == WAGW_OK && before.t_ms > v.t_ms;
        if (*late) {
            return WAGW_OK;
        }
    } else if (rc != WAGW_NOT_FOUND) {
        return rc;
    }
    rc = wagw_row_vote_encode(&b, &v);
    if (rc == WAGW_OK) {
        rc = wagw_txn_put(&t->txn, WAGW_REC_VOTE, key, wagw_buf_view(&b));
    }
    wagw_buf_free(&b);
    return rc;
}

static int apply_answer(wagw_turn_t *t, const wagw_incoming_t *in, const wagw_content_t *m)
{
    int rc;
    bool late = false;
    answer_t a = {.poll = m->is == WAGW_IS_POLL_VOTE, .at = m->target_ms > 0 ? m->target_ms : in->t_ms};
    wagw_buf_t plain = {0};
    wagw_row_message_t row;

    rc = wagw_apply_target(t, in, &m->key, &row);
    if (rc == WAGW_NOT_FOUND) {
        a.error = a.poll ? "The poll is not stored" : "The event is not stored";
    } else if (rc != WAGW_OK) {
        return rc;
    } else if (row.secret.n != 32 || row.content.n == 0) {
        a.error = "The secret of the message is not known";
    } else {
        a.name = row.body;
        rc = addon_open(t, in, m, &row, a.poll ? "Poll Vote" : "Event Response", true, &plain);
        if (rc == WAGW_OK) {
            rc = answer_read(t, &row, wagw_buf_view(&plain), &a);
        }
        wagw_buf_wipe(&plain);
        if (rc == WAGW_OK) {
            WAGW_TRY(answer_store(t, in, &row, &a, &late));
        } else if (rc == WAGW_CRYPTO || rc == WAGW_MALFORMED || rc == WAGW_LIMIT || rc == WAGW_STATE) {
            a.error = rc == WAGW_CRYPTO ? "It cannot be decrypted" : "It cannot be read";
        } else {
            return rc;
        }
    }
    return late ? WAGW_OK : answer_event(t, in, m, &a);
}

/* ---- reactions and edits ---------------------------------------------------------------- */

static int apply_enc_reaction(wagw_turn_t *t, const wagw_incoming_t *in, const wagw_content_t *m, wagw_str_t plain)
{
    wagw_content_t r = *m;

    WAGW_TRY(wagw_enc_reaction_read(&t->arena, plain, &r.emoji, &r.target_ms));
    return wagw_apply_reaction(t, in, &r);
}

static int apply_secret_edit(wagw_turn_t *t, const wagw_incoming_t *in, const wagw_content_t *m, wagw_str_t plain)
{
    wagw_content_t e, r = *m;
    wagw_str_t copy = wagw_arena_str(&t->arena, plain);

    if (copy.p == NULL) {
        return WAGW_NOMEM;
    }
    WAGW_TRY(wagw_message_read(&e, &t->arena, copy));
    if (e.is == WAGW_IS_EDIT) {
        r.edited = e.edited;
        r.edited_body = e.edited_body;
        r.target_ms = e.target_ms;
    } else if (e.is == WAGW_IS_CONTENT) {
        r.edited = e.content;
        r.edited_body = e.body;
        r.target_ms = 0;
    } else {
        return WAGW_MALFORMED;
    }
    return wagw_apply_edit(t, in, &r);
}

int wagw_apply_addon(wagw_turn_t *t, const wagw_incoming_t *in, const wagw_content_t *m)
{
    int rc;
    const char *label;
    wagw_buf_t plain = {0};
    wagw_row_message_t row;

    if (m->is == WAGW_IS_POLL_VOTE || m->is == WAGW_IS_EVENT_RESPONSE) {
        return m->key.present && m->key.id.n ? apply_answer(t, in, m) : WAGW_OK;
    }
    rc = wagw_apply_target(t, in, &m->key, &row);
    if (rc != WAGW_OK && rc != WAGW_NOT_FOUND) {
        return rc;
    }
    label = m->is == WAGW_IS_ENC_REACTION ? "Enc Reaction"
            : m->secret_type == 1         ? "Event Edit"
            : m->secret_type == 2         ? "Message Edit"
            : m->secret_type == 4         ? "Poll Edit"
                                          : NULL;
    if (rc == WAGW_NOT_FOUND || row.secret.n != 32 || label == NULL) {
        wagw_client_log(t->c, WAGW_LOG_INFO, "a %s cannot be opened: its target's secret is not known", m->proto_name);
        return WAGW_OK;
    }
    rc = addon_open(t, in, m, &row, label, false, &plain);
    if (rc == WAGW_OK) {
        rc = m->is == WAGW_IS_ENC_REACTION ? apply_enc_reaction(t, in, m, wagw_buf_view(&plain))
                                           : apply_secret_edit(t, in, m, wagw_buf_view(&plain));
    }
    wagw_buf_wipe(&plain);
    if (rc == WAGW_CRYPTO || rc == WAGW_MALFORMED || rc == WAGW_LIMIT) {
        wagw_client_log(t->c, WAGW_LOG_INFO, "a %s does not decrypt", m->proto_name);
        return WAGW_OK;
    }
    return rc;
}

/* ---- marks ---------------------------------------------------------------------------------- */

static int chat_timer(wagw_turn_t *t, const wagw_incoming_t *in, uint32_t seconds)
{
    int rc;
    wagw_row_chat_t chat;
    wagw_str_t id = wagw_jid_str(&t->arena, &in->chat);

    rc = wagw_turn_chat(t, id, &chat);
    if (rc != WAGW_OK && rc != WAGW_NOT_FOUND) {
        return rc;
    }
    chat.id = id;
    chat.ephemeral = seconds;
    return wagw_turn_chat_put(t, &chat);
}

int wagw_apply_mark(wagw_turn_t *t, const wagw_incoming_t *in, const wagw_content_t *m)
{
    int rc;
    uint32_t flag = m->is == WAGW_IS_PIN ? WAGW_ROW_PINNED : WAGW_ROW_KEPT;
    wagw_buf_t b = {0};
    wagw_json_t j = wagw_json(&b);
    wagw_str_t chat = wagw_jid_str(&t->arena, &in->chat);
    wagw_row_message_t row;

    if (m->is == WAGW_IS_EPHEMERAL_SETTING) {
        WAGW_TRY(chat_timer(t, in, m->ephemeral));
    } else {
        rc = wagw_apply_target(t, in, &m->key, &row);
        if (rc == WAGW_NOT_FOUND) {
            return WAGW_OK;
        }
        WAGW_TRY(rc);
        if (row.flags & WAGW_ROW_REVOKED) {
            return WAGW_OK;
        }
        row.flags = m->undo ? row.flags & ~flag : row.flags | flag;
        WAGW_TRY(wagw_turn_message_put(t, &row));
    }

    wagw_json_open(&j, '{');
    wagw_json_kstr(&j, "chatId", chat);
    wagw_json_kstr(&j, "from", wagw_apply_actor(t, in));
    wagw_json_key(&j, "changes");
    wagw_json_open(&j, '{');
    if (m->is == WAGW_IS_EPHEMERAL_SETTING) {
        wagw_json_kint(&j, "ephemeral", m->ephemeral);
    } else {
        wagw_json_kstr(&j, "messageId", row.id);
        wagw_json_kbool(&j, m->is == WAGW_IS_PIN ? "messagePinned" : "messageKept", !m->undo);
    }
    wagw_json_close(&j);
    wagw_json_kiso(&j, "timestamp", in->t_ms);
    wagw_json_close(&j);
    return wagw_event_emit(t, "chat.update", chat, &b);
}
