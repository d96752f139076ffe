/*
 * History chunks (08).  An announcement becomes a record in the turn that
 * acknowledges it; the chunks are worked off one after the other, in slices
 * between which other instances have their turn.  A chunk is read once to its
 * end before anything of it counts, then for its address pairs, then for the
 * rest.
 */

#include "app_i.h"

#include "../media/media.h"

#include <stdio.h>
#include <stdlib.h>

#define SLICE_INFLATED (1u << 20) /* looked at, at a time */
#define SLICE_ITEMS 200
#define SLICE_BYTES (512u << 10)
#define PAIRS_ITEMS 64
#define BLOB_MAX (64u << 20)
#define COMMITS_MAX 4 /* slices that wait for the store */
#define WAIT_MS 20
#define RETRY_MS 60000
#define COUNT_MAX 500

static void next_at(wagw_client_t *c, int64_t ms)
{
    wagw_client_timer(c, WAGW_TIMER_HISTORY, c->now + ms);
}

static void hist_reset_slice(wagw_hist_t *h)
{
    wagw_arena_reset(&h->arena);
    h->items = NULL;
    h->nitems = 0;
}

void wagw_history_free(wagw_client_t *c)
{
    wagw_hist_t *h = c->hist;

    if (h == NULL) {
        return;
    }
    c->hist = NULL;
    wagw_client_timer(c, WAGW_TIMER_HISTORY, 0);
    wagw_history_close(h->stream);
    wagw_buf_free(&h->zlib);
    wagw_arena_free(&h->arena);
    free(h);
}

static int done_event(wagw_turn_t *t, int type, int progress, uint32_t chats, uint32_t messages)
{
    wagw_buf_t b = {0};
    wagw_json_t j = wagw_json(&b);

    wagw_json_open(&j, '{');
    wagw_json_kcstr(&j, "type", wagw_sync_name((unsigned)type));
    wagw_json_kint(&j, "progress", progress);
    wagw_json_kint(&j, "chats", chats);
    wagw_json_kint(&j, "messages", messages);
    wagw_json_kbool(&j, "done", progress == 100);
    wagw_json_close(&j);
    return wagw_event_emit(t, "history.sync", WAGW_STR_NULL, &b);
}

/* ---- announcing ---- */

static void begin_then(wagw_client_t *c, void *arg)
{
    (void)arg;
    (void)wagw_turn_later(c, wagw_history_begin, 0, false);
}

int wagw_history_announced(wagw_turn_t *t, const wagw_incoming_t *in, wagw_str_t bytes)
{
    char key[96];
    int n;
    wagw_history_notice_t notice;

    if (wagw_history_notice(&notice, bytes) != WAGW_OK || in->id.n == 0 || in->id.n > 64) {
        return WAGW_OK;
    }
    wagw_client_log(t->c, WAGW_LOG_INFO, "history: %s, chunk %d, %d%%", wagw_sync_name((unsigned)notice.type),
                    notice.chunk, notice.progress);
    if (notice.type == WAGW_SYNC_NO_HISTORY) {
        return done_event(t, notice.type, 100, 0, 0); /* the phone has none to give */
    }
    if ((notice.inline_payload.n == 0 && (notice.direct_path.n == 0 || notice.media_key.n != 32)) ||
        notice.type > WAGW_SYNC_ON_DEMAND) {
        return WAGW_OK;
    }
    if ((t->c->conf.no_history && (notice.type == WAGW_SYNC_RECENT || notice.type == WAGW_SYNC_FULL)) ||
        (notice.type == WAGW_SYNC_FULL && !t->c->conf.full_history)) {
        return WAGW_OK; /* not wanted; the receipt goes out all the same */
    }
    /* by the server's second, and within it as the phone counts them */
    n = snprintf(key, sizeof(key), "hist|%013lld|%05d|%.*s", (long long)in->t_ms,
                 notice.chunk < 0       ? 0
                 : notice.chunk > 99999 ? 99999
                                        : (int)notice.chunk,
                 (int)in->id.n, (const char *)in->id.p);
    WAGW_TRY(wagw_txn_put(&t->txn, WAGW_REC_META, wagw_str(key, (size_t)n), bytes));
    return wagw_turn_then(t, begin_then, NULL, 0);
}

/* ---- beginning with one ---- */

typedef struct {
    wagw_turn_t *t;
    wagw_str_t key, value;
} first_t;

static int first_one(void *data, wagw_str_t key, wagw_str_t value)
{
    first_t *f = data;

    if (f->key.p == NULL || memcmp(key.p, f->key.p, key.n < f->key.n ? key.n : f->key.n) < 0) {
        f->key = wagw_arena_str(&f->t->arena, key);
        f->value = wagw_arena_str(&f->t->arena, value);
    }
    return f->key.p && f->value.p ? WAGW_OK : WAGW_NOMEM;
}

static int gone_run(wagw_turn_t *t, uint64_t unused);

/* The chunk is done with, one way or the other. */
static void finish(wagw_client_t *c)
{
    (void)wagw_turn_later(c, gone_run, 0, false);
}

static void start_then(wagw_client_t *c, void *arg)
{
    first_t *f = arg;
    wagw_fetch_t get = {0};
    wagw_hist_t *h;
    wagw_history_notice_t *n;

    if (c->hist) {
        return;
    }
    h = calloc(1, sizeof(*h));
    if (h == NULL) {
        return;
    }
    c->hist = h;
    n = &h->notice;
    memcpy(h->key, f->key.p, f->key.n < sizeof(h->key) - 1 ? f->key.n : sizeof(h->key) - 1);
    if (wagw_history_notice(n, f->value) != WAGW_OK) {
        finish(c);
        return;
    }
    if (n->inline_payload.n) {
        if (wagw_buf_str(&h->zlib, n->inline_payload) != WAGW_OK) {
            wagw_history_free(c);
            return;
        }
        next_at(c, 1);
    } else {
        get.type = "md-msg-hist";
        get.direct_path = n->direct_path;
        get.key = n->media_key;
        get.sha256 = n->sha256;
        get.enc_sha256 = n->enc_sha256;
        get.max = BLOB_MAX;
        h->fetch = wagw_client_fetch(c, &get);
        if (h->fetch == 0) {
            wagw_client_log(c, WAGW_LOG_WARN, "history: there are no media hosts, the chunk is left out");
            finish(c);
        }
    }
    n->sha256 = n->enc_sha256 = n->media_key = n->direct_path = n->inline_payload = n->original_id = n->session =
        n->handle = WAGW_STR_NULL;
}

int wagw_history_begin(wagw_turn_t *t, uint64_t unused)
{
    first_t f = {.t = t};

    (void)unused;
    if (t->c->hist || t->c->creds == NULL || !t->c->creds->paired) {
        return WAGW_OK;
    }
    WAGW_TRY(wagw_txn_scan(&t->txn, WAGW_REC_META, WAGW_STR("hist|"), first_one, &f));
    return f.key.p ? wagw_turn_then(t, start_then, &f, sizeof(f)) : WAGW_OK;
}

bool wagw_history_fetched(wagw_client_t *c, uint64_t id, int rc, wagw_str_t bytes)
{
    wagw_hist_t *h = c->hist;

    if (h == NULL || h->fetch != id) {
        return false;
    }
    h->fetch = 0;
    if (rc == WAGW_OK) {
        rc = wagw_buf_str(&h->zlib, bytes);
    }
    if (rc == WAGW_OK) {
        next_at(c, 1);
        return true;
    }
    wagw_client_log(c, WAGW_LOG_WARN, "history: a chunk was not to be had (%s)", wagw_rc_name(rc));
    if (rc == WAGW_IO || rc == WAGW_NOMEM) {
        /* its record stays */
        wagw_history_free(c);
        next_at(c, RETRY_MS);
    } else {
        h->missing = rc == WAGW_NOT_FOUND;
        finish(c);
    }
    return true;
}

void wagw_client_fetched(wagw_client_t *c, uint64_t id, int rc, wagw_str_t bytes, int64_t now)
{
    c->now = now;
    if (!wagw_app_fetched(c, id, rc, bytes)) {
        (void)wagw_history_fetched(c, id, rc, bytes);
    }
    wagw_client_arm(c);
}

/* ---- slices ---- */

typedef struct {
    wagw_item_t item;
    wagw_hist_t *h;
} slice_t;

static int slice_run(wagw_turn_t *t, wagw_item_t *item)
{
    int rc, again = WAGW_OK;
    wagw_hist_t *h = t->c->hist;

    if (h == NULL || h != ((slice_t *)item)->h) {
        return WAGW_OK;
    }
    h->slice_chats = h->slice_messages = 0;
    memcpy(h->slice_fresh, h->fresh, sizeof(h->fresh));
    for (size_t i = 0; i < h->nitems; i++) {
        rc = wagw_history_apply(t, h, &h->items[i]);
        if (rc == WAGW_AGAIN) {
            again = rc; /* the others say what they will read */
        } else if (rc != WAGW_OK) {
            return rc;
        }
    }
    return again;
}

static void slice_done(wagw_client_t *c, wagw_item_t *item, int rc)
{
    wagw_hist_t *h = ((slice_t *)item)->h;

    free(item);
    if (c->hist != h || h == NULL) {
        return;
    }
    if (rc != WAGW_OK) {
        /* the record stays: it is begun anew with the next login */
        if (rc != WAGW_STATE) {
            wagw_client_log(c, WAGW_LOG_ERROR, "history: a slice failed: %s", wagw_rc_name(rc));
        }
        wagw_history_free(c);
        return;
    }
    h->chats += h->slice_chats;
    h->messages += h->slice_messages;
    memcpy(h->fresh, h->slice_fresh, sizeof(h->fresh));
    hist_reset_slice(h);
    next_at(c, 1);
}

static wagw_str_t keep(wagw_hist_t *h, wagw_str_t s)
{
    return s.n ? wagw_arena_str(&h->arena, s) : WAGW_STR_NULL;
}

/* Copies an entry that belongs to this pass. */
static int keep_item(wagw_hist_t *h, const wagw_history_item_t *it)
{
    wagw_history_item_t *k = &h->items[h->nitems];

    *k = *it;
    k->chat = keep(h, it->chat);
    k->bytes = keep(h, it->bytes);
    k->id = keep(h, it->id);
    k->name = keep(h, it->name);
    if ((it->chat.n && k->chat.p == NULL) || (it->bytes.n && k->bytes.p == NULL) || (it->id.n && k->id.p == NULL) ||
        (it->name.n && k->name.p == NULL)) {
        return WAGW_NOMEM;
    }
    h->nitems++;
    return WAGW_OK;
}

/*
 * The wire knows seconds, and a conversation comes newest first: messages of
 * one second get the milliseconds that keep their order.
 */
static void keep_order(wagw_hist_t *h)
{
    size_t run = 0;
    int64_t second = 0;
    wagw_history_message_t m;

    for (size_t i = 0; i <= h->nitems; i++) {
        bool more = false;

        if (i < h->nitems) {
            h->items[i].order = 0;
            if (h->items[i].what == WAGW_HISTORY_MESSAGE && wagw_history_message(&m, h->items[i].bytes) == WAGW_OK) {
                more = i > 0 && m.t_ms == second && wagw_str_eq(h->items[i].chat, h->items[i - 1].chat);
                second = m.t_ms;
            } else {
                second = 0;
            }
        }
        if (!more) {
            for (size_t k = run; k < i; k++) {
                h->items[k].order = i - 1 - k;
            }
            run = i;
        }
    }
}

/* In the pass of the pairs, a conversation may tell one too. */
static int pair_of(wagw_hist_t *h, const wagw_history_item_t *it)
{
    wagw_str_t pn, lid;
    wagw_history_chat_t c;
    wagw_history_item_t pair = {.what = WAGW_HISTORY_PAIR};
    wagw_history_message_t *m;

    if (it->what == WAGW_HISTORY_PAIR || it->what == WAGW_HISTORY_CONTACT) {
        pair.id = it->id;
        pair.name = it->name;
        return it->id.n && it->name.n ? keep_item(h, &pair) : WAGW_OK;
    }
    if (it->what == WAGW_HISTORY_MESSAGE && h->own_user[0] == '\0' && wagw_str_ends(it->chat, WAGW_STR("@lid"))) {
        m = malloc(sizeof(*m));
        if (m == NULL) {
            return WAGW_NOMEM;
        }
        if (wagw_history_message(m, it->bytes) == WAGW_OK && m->from_me && m->nreceipts &&
            m->receipts[0].user.n < sizeof(h->own_user)) {
            memcpy(h->own_user, m->receipts[0].user.p, m->receipts[0].user.n);
            h->own_user[m->receipts[0].user.n] = '\0';
        }
        free(m);
        return WAGW_OK;
    }
    if (it->what == WAGW_HISTORY_CHAT) {
        if (wagw_history_chat(&c, it->bytes) == WAGW_OK && wagw_history_pair(&c, wagw_cstr(h->own_user), &pn, &lid)) {
            pair.id = pn;
            pair.name = lid;
            h->own_user[0] = '\0';
            return keep_item(h, &pair);
        }
        h->own_user[0] = '\0';
    }
    return WAGW_OK;
}

/* Reads on until the slice is full; h->end at the end of the pass. */
static int read_slice(wagw_hist_t *h)
{
    int rc = WAGW_OK;
    size_t limit = h->pass == 1 ? PAIRS_ITEMS : SLICE_ITEMS;
    wagw_history_info_t before, now;
    wagw_history_item_t it;

    if (h->stream == NULL) {
        h->stream = wagw_history_open(wagw_buf_view(&h->zlib), WAGW_HISTORY_MAX);
        if (h->stream == NULL) {
            return WAGW_NOMEM;
        }
    }
    h->items = wagw_arena_alloc(&h->arena, (limit + 1) * sizeof(*h->items));
    if (h->items == NULL) {
        return WAGW_NOMEM;
    }
    wagw_history_info(h->stream, &before);
    do {
        rc = wagw_history_next(h->stream, &it);
        if (rc != WAGW_OK) {
            break;
        }
        if (h->pass == 1) {
            rc = pair_of(h, &it);
        } else if (h->pass == 2 && it.what != WAGW_HISTORY_PAIR && it.what != WAGW_HISTORY_PAST &&
                   it.what != WAGW_HISTORY_CALL) {
            rc = keep_item(h, &it);
        }
        wagw_history_info(h->stream, &now);
    } while (rc == WAGW_OK && h->nitems < limit && h->arena.used < SLICE_BYTES &&
             now.inflated - before.inflated < SLICE_INFLATED);
    if (rc == WAGW_OK || rc == WAGW_NOT_FOUND) {
        keep_order(h);
        h->end = rc == WAGW_NOT_FOUND;
        return WAGW_OK;
    }
    return rc;
}

static void slice_push(wagw_client_t *c)
{
    slice_t *s = calloc(1, sizeof(*s));

    if (s == NULL) {
        wagw_history_free(c);
        return;
    }
    s->item.run = slice_run;
    s->item.done = slice_done;
    s->h = c->hist;
    wagw_turn_push(c, &s->item);
}

void wagw_history_tick(wagw_client_t *c)
{
    int rc;
    wagw_hist_t *h = c->hist;
    wagw_history_info_t info;

    if (h == NULL) {
        begin_then(c, NULL);
        return;
    }
    if (h->fetch || h->nitems) {
        return;
    }
    if (c->seq_issued - c->seq_durable > COMMITS_MAX) {
        next_at(c, WAIT_MS);
        return;
    }
    if (h->end) {
        h->end = false;
        wagw_history_close(h->stream);
        h->stream = NULL;
        if (++h->pass > 2) {
            finish(c);
            return;
        }
    }
    rc = read_slice(h);
    if (rc != WAGW_OK) {
        if (h->stream) {
            wagw_history_info(h->stream, &info);
        }
        wagw_client_log(c, WAGW_LOG_WARN, "history: a chunk is refused: %s",
                        h->stream && info.why ? info.why : wagw_rc_name(rc));
        h->refused = true;
        finish(c);
        return;
    }
    if (h->nitems) {
        slice_push(c);
    } else {
        hist_reset_slice(h);
        next_at(c, 1);
    }
}

/* ---- the end of a chunk ---- */

static void gone_then(wagw_client_t *c, void *arg)
{
    (void)arg;
    wagw_history_free(c);
    begin_then(c, NULL);
}

/*
 * The hosts no longer have the chunk: the phone uploads it again and announces
 * it anew (06 section 9, 08 section 4).  Its answer to the receipt itself says nothing
 * that the new announcement does not.
 */
static int upload_again(wagw_turn_t *t, const wagw_hist_t *h)
{
    int rc;
    uint8_t iv[12];
    wagw_buf_t sealed = {0};
    wagw_str_t copy, id, v;
    wagw_jid_t own = wagw_jid_user(&wagw_turn_me(t)->jid);
    wagw_node_t *n, *e;
    wagw_history_notice_t notice;

    rc = wagw_txn_get(&t->txn, WAGW_REC_META, wagw_cstr(h->key), &v);
    if (rc != WAGW_OK) {
        return rc == WAGW_NOT_FOUND ? WAGW_OK : rc;
    }
    if (t->c->conn != WAGW_CONN_OPEN || wagw_history_notice(&notice, v) != WAGW_OK || notice.original_id.n) {
        return WAGW_OK; /* what was uploaded again already is not asked for once more */
    }
    id = wagw_cstr(strrchr(h->key, '|') + 1);
    wagw_turn_random(t, iv, sizeof(iv));
    rc = wagw_media_retry_seal(&sealed, notice.media_key.p, id, iv);
    copy = rc == WAGW_OK ? wagw_arena_str(&t->arena, wagw_buf_view(&sealed)) : WAGW_STR_NULL;
    wagw_buf_free(&sealed);
    if (copy.p == NULL) {
        return rc == WAGW_OK ? WAGW_NOMEM : rc;
    }
    n = wagw_node(&t->arena, "receipt");
    wagw_node_attr(&t->arena, n, "id", wagw_arena_str(&t->arena, id));
    wagw_node_attr_jid(&t->arena, n, "to", &own);
    wagw_node_attrc(&t->arena, n, "type", "server-error");
    wagw_node_attrc(&t->arena, n, "category", "peer");
    e = wagw_node_child(&t->arena, n, "encrypt");
    wagw_node_bytes(wagw_node_child(&t->arena, e, "enc_p"), copy);
    wagw_node_bytes_copy(&t->arena, wagw_node_child(&t->arena, e, "enc_iv"), wagw_str(iv, sizeof(iv)));
    return wagw_turn_send(t, n);
}

static int gone_run(wagw_turn_t *t, uint64_t unused)
{
    int progress;
    wagw_hist_t *h = t->c->hist;

    (void)unused;
    if (h == NULL) {
        return WAGW_OK;
    }
    if (h->missing) {
        WAGW_TRY(upload_again(t, h));
    }
    WAGW_TRY(wagw_txn_del(&t->txn, WAGW_REC_META, wagw_cstr(h->key)));
    WAGW_TRY(wagw_turn_then(t, gone_then, NULL, 0));
    if (h->refused || h->pass < 2) {
        return WAGW_OK;
    }
    progress = h->notice.progress < 0 ? 100 : h->notice.progress > 100 ? 100 : h->notice.progress;
    return done_event(t, h->notice.type, progress, h->chats, h->messages);
}

/* ---- asking for more (08 section 6) ---- */

int wagw_history_command(wagw_turn_t *t, uint64_t command, const cJSON *params)
{
    int rc;
    char text[WAGW_JID_TEXT_MAX];
    int64_t count = wagw_param_int(params, "count", 50);
    wagw_jid_t chat;
    wagw_str_t id = wagw_param_str(params, "before");
    wagw_result_t r = {0};
    wagw_row_message_t row;
    Wa__Message__PeerDataOperationRequestMessage req = WA__MESSAGE__PEER_DATA_OPERATION_REQUEST_MESSAGE__INIT;
    Wa__Message__PeerDataOperationRequestMessage__HistorySyncOnDemandRequest q =
        WA__MESSAGE__PEER_DATA_OPERATION_REQUEST_MESSAGE__HISTORY_SYNC_ON_DEMAND_REQUEST__INIT;

    WAGW_TRY(wagw_param_jid(t, command, params, "chatId", NULL, &chat));
    if (wagw_jid_empty(&chat)) {
        return WAGW_OK;
    }
    WAGW_TRY(wagw_chat_canonical(t, &chat, &chat));
    rc = wagw_turn_message_find(t, wagw_jid_str(&t->arena, &chat), id, &row, NULL);
    if (rc == WAGW_NOT_FOUND) {
        return wagw_turn_fail(t, command, 404, "MESSAGE_NOT_FOUND", "Message not found");
    }
    WAGW_TRY(rc);
    /* by the chat's name on the wire, as the phone knows it */
    if (wagw_jid_parse(&chat, row.to.n ? row.to : row.chat) != WAGW_OK) {
        return WAGW_ERROR;
    }
    wagw_jid_text(&chat, text);
    q.chatjid = text;
    q.oldestmsgid = (char *)wagw_arena_str(&t->arena, id).p;
    q.has_oldestmsgfromme = 1;
    q.oldestmsgfromme = row.from_me;
    q.has_ondemandmsgcount = 1;
    q.ondemandmsgcount = (int32_t)(count < 1 ? 1 : count > COUNT_MAX ? COUNT_MAX : count);
    q.has_oldestmsgtimestampms = 1;
    q.oldestmsgtimestampms = row.t_ms / 1000; /* seconds, whatever its name says */
    req.has_peerdataoperationrequesttype = 1;
    req.peerdataoperationrequesttype = 3;
    req.historysyncondemandrequest = &q;
    WAGW_TRY(wagw_peer_ask(t, &req, "high_force"));
    r.status = 202;
    r.message = "The phone was asked for older messages";
    return wagw_turn_reply(t, command, &r);
}
