/*
 * Law 2 of the architecture: an engine that dies between any two calls of its
 * driver and comes back from what was committed.  Two people talk; one of the
 * engines is killed once, at every possible moment (or its connection is cut,
 * or its store refuses a commit or a load); in the end each message is there
 * exactly once on both sides, each event at least once, and no ratchet key was
 * used for two contents (client_relay.c looks at all of them).
 */

#include "client_sim.h"

typedef enum { CRASH = 0, CRASH_LOSING, CUT, COMMIT_FAILS, LOAD_FAILS, WAYS } way_t;

typedef struct {
    bool from_b;
    const char *kind; /* of command */
    const char *id, *json;
    uint64_t command;
    bool group;
} line_t;

typedef struct {
    sim_two_t p;
    uint64_t left; /* steps until the crash */
    bool crash_b, crashed;
    way_t way;
    line_t *lines;
    size_t n;
} play_t;

static void say(play_t *y, line_t *l, bool again)
{
    char json[400];
    sim_engine_t *e = l->from_b ? y->p.b : y->p.a;
    wagw_cmd_t cmd = strcmp(l->kind, "send") == 0       ? WAGW_CMD_SEND
                     : strcmp(l->kind, "reaction") == 0 ? WAGW_CMD_REACTION
                                                        : WAGW_CMD_EDIT;

    snprintf(json, sizeof(json), "{%s,\"_id\":\"%s\",\"_resume\":%s}", l->json, l->id, again ? "true" : "false");
    l->command = sim_command(e, cmd, json);
}

/* Steps until the moment of the crash has come, or all is done. */
static void run(play_t *y)
{
    sim_engine_t *victim = y->crash_b ? y->p.b : y->p.a;

    while (!y->crashed && y->left > 0) {
        y->left--;
        if (!sim_step(y->p.w)) {
            y->left++;
            return;
        }
    }
    if (!y->crashed) {
        y->crashed = true;
        switch (y->way) {
        case CUT:
            if (victim->conn) {
                sim_cut(victim, 0);
            }
            break;
        case COMMIT_FAILS:
            victim->fail_commits = 1;
            break;
        case LOAD_FAILS:
            wagw_cache_forget(victim->sh.cache, victim->num);
            victim->fail_loads = 1;
            break;
        default:
            sim_crash(victim, y->way == CRASH_LOSING);
            sim_run(y->p.w);
            sim_revive(victim);
            sim_advance(y->p.w, 10);
            sim_expect_status(victim, WAGW_STATUS_CONNECTED);
            break;
        }
    }
    sim_run(y->p.w);
}

/* The caller of a send that got no answer comes again with the same id. */
static void speak(play_t *y, line_t *l)
{
    sim_engine_t *e = l->from_b ? y->p.b : y->p.a;
    sim_reply_t *r;

    say(y, l, false);
    for (int i = 0; i < 3; i++) {
        run(y);
        r = sim_reply(e, l->command);
        if (r && r->status == 200) {
            return;
        }
        if (r) {
            assert_true(r->status == 503 || strcmp(r->code, "INSTANCE_NOT_CONNECTED") == 0);
        }
        if (r == NULL && y->way >= CUT) {
            sim_advance(y->p.w, 3000); /* it still waits */
            r = sim_reply(e, l->command);
            if (r && r->status == 200) {
                return;
            }
        }
        sim_advance(y->p.w, 3000);
        say(y, l, true);
    }
    fail_msg("line %s is never answered", l->id);
}

/* Rows of messages (not of reactions and edits) that a side has. */
static unsigned rows(sim_engine_t *e, const char *id)
{
    unsigned n = 0;
    wagw_row_message_t m;

    for (size_t i = 0; i < e->mem.n; i++) {
        if (e->mem.v[i].kind == WAGW_REC_MESSAGE) {
            assert_int_equal(wagw_row_message_decode(&m, wagw_str(e->mem.v[i].p + e->mem.v[i].key_len, e->mem.v[i].n)),
                             WAGW_OK);
            n += wagw_str_eq(m.id, wagw_cstr(id));
            if (wagw_str_eq(m.id, wagw_cstr(id)) && m.from_me) {
                assert_true(m.status == WAGW_MSG_SENT || m.status == WAGW_MSG_DELIVERED);
                assert_int_equal(m.stanza.n, 0);
            }
        }
    }
    return n;
}

static unsigned events(sim_engine_t *e, const char *name, const char *id)
{
    unsigned n = 0;

    for (sim_event_t *ev = e->events; ev; ev = ev->next) {
        n += strcmp(ev->name, name) == 0 && strcmp(sim_str(ev->data, "messageId"), id) == 0;
    }
    return n;
}

static void end(play_t *y)
{
    wagw_row_chat_t chat;
    wagw_row_message_t m;
    unsigned unread[2] = {0, 0};

    sim_advance(y->p.w, 5000);
    for (size_t i = 0; i < y->n; i++) {
        line_t *l = &y->lines[i];
        sim_engine_t *from = l->from_b ? y->p.b : y->p.a, *to = l->from_b ? y->p.a : y->p.b;

        if (strcmp(l->kind, "send") == 0) {
            assert_int_equal(rows(from, l->id), 1);
            assert_int_equal(rows(to, l->id), 1);
            /* events belong to the commit of the row: exactly once, in fact */
            assert_int_equal(events(from, "message.sent", l->id), 1);
            assert_int_equal(events(to, "message.received", l->id), 1);
            unread[!l->from_b]++;
            assert_true(sim_message(to,
                                    l->group    ? SIM_GROUP
                                    : l->from_b ? SIM_B
                                                : SIM_A,
                                    l->id, l->from_b ? SIM_B : SIM_A, &m));
        }
    }
    assert_true(sim_chat(y->p.a, y->lines->group ? SIM_GROUP : SIM_B, &chat));
    assert_int_equal(chat.unread, unread[0]);
    assert_true(sim_chat(y->p.b, y->lines->group ? SIM_GROUP : SIM_A, &chat));
    assert_int_equal(chat.unread, unread[1]);
    assert_int_equal(sim_events(y->p.a, "message.undecryptable"), 0);
    assert_int_equal(sim_events(y->p.b, "message.undecryptable"), 0);
    assert_int_equal(sim_queued(sim_device_of(y->p.a)), 0);
    assert_int_equal(sim_queued(sim_device_of(y->p.b)), 0);
    assert_int_equal(y->p.w->nmessages, y->n);
    for (size_t i = 0; i < y->n; i++) {
        if (strcmp(y->lines[i].kind, "edit") == 0) {
            assert_true(sim_message(y->p.b, SIM_A, "3EB0000000000001", SIM_A, &m));
            assert_true(wagw_str_is(m.body, "edited"));
            assert_true(sim_message(y->p.a, SIM_B, "3EB0000000000001", "", &m));
            assert_true(wagw_str_is(m.body, "edited"));
            assert_int_equal(sim_mem_count(&y->p.a->mem, WAGW_REC_REACTION, ""), 1);
            assert_int_equal(sim_mem_count(&y->p.b->mem, WAGW_REC_REACTION, ""), 1);
        }
    }
    if (y->way < COMMIT_FAILS) {
        assert_int_equal(y->p.a->errors, 0);
        assert_int_equal(y->p.b->errors, 0);
    }
    y->p.a->fail_commits = y->p.b->fail_commits = y->p.a->fail_loads = y->p.b->fail_loads = 0;
    /* and the conversation goes on */
    sim_do(y->p.a, WAGW_CMD_SEND, "{\"to\":\"49200\",\"message\":\"still there?\"}", 200);
    sim_do(y->p.b, WAGW_CMD_SEND, "{\"to\":\"49100\",\"message\":\"yes\"}", 200);
    assert_string_equal(sim_str(sim_last_event(y->p.b, "message.received")->data, "body"), "still there?");
    assert_string_equal(sim_str(sim_last_event(y->p.a, "message.received")->data, "body"), "yes");
}

/* Plays with a crash after `at` steps; false: it was over before. */
static bool play(line_t *lines, size_t n, uint64_t at, bool crash_b, way_t way, bool at_once)
{
    play_t y = {.left = at, .crash_b = crash_b, .way = way, .lines = lines, .n = n};
    bool crashed;

    y.p = sim_two(500);
    y.p.aa->listed = y.p.ba->listed = false; /* no phones: less to encrypt */
    if (lines->group) {
        sim_group(y.p.w, "9100", "9200", NULL);
    }
    if (at_once) {
        /* all lines are said before anything is answered */
        for (size_t i = 0; i < n; i++) {
            say(&y, &lines[i], false);
        }
        run(&y);
        sim_advance(y.p.w, 5000);
        for (size_t i = 0; i < n; i++) {
            sim_engine_t *e = lines[i].from_b ? y.p.b : y.p.a;

            if (sim_reply(e, lines[i].command) == NULL || sim_reply(e, lines[i].command)->status != 200) {
                say(&y, &lines[i], true);
                sim_run(y.p.w);
                sim_expect(e, lines[i].command, 200, NULL);
            }
        }
    } else {
        for (size_t i = 0; i < n; i++) {
            speak(&y, &lines[i]);
        }
    }
    crashed = y.crashed;
    end(&y);
    sim_free(y.p.w);
    return crashed;
}

static line_t talk[] = {
    {.kind = "send", .id = "3EB0000000000001", .json = "\"to\":\"49200\",\"message\":\"one\""},
    {.from_b = true, .kind = "send", .id = "3EB0000000000002", .json = "\"to\":\"49100\",\"message\":\"two\""},
    {.kind = "send", .id = "3EB0000000000003", .json = "\"to\":\"49200\",\"message\":\"three\""},
    {.from_b = true, .kind = "send", .id = "3EB0000000000004", .json = "\"to\":\"49100\",\"message\":\"four\""},
};

static line_t group[] = {
    {.group = true, .kind = "send", .id = "3EB0000000000001", .json = "\"to\":\"" SIM_GROUP "\",\"message\":\"one\""},
    {.group = true,
     .from_b = true,
     .kind = "send",
     .id = "3EB0000000000002",
     .json = "\"to\":\"" SIM_GROUP "\",\"message\":\"two\""},
    {.group = true, .kind = "send", .id = "3EB0000000000003", .json = "\"to\":\"" SIM_GROUP "\",\"message\":\"three\""},
    {.group = true, .kind = "send", .id = "3EB0000000000004", .json = "\"to\":\"" SIM_GROUP "\",\"message\":\"four\""},
};

static line_t about[] = {
    {.kind = "send", .id = "3EB0000000000001", .json = "\"to\":\"49200\",\"message\":\"one\""},
    {.from_b = true, .kind = "send", .id = "3EB0000000000002", .json = "\"to\":\"49100\",\"message\":\"two\""},
    {.from_b = true,
     .kind = "reaction",
     .id = "3EB0000000000003",
     .json = "\"chatId\":\"49100\",\"messageId\":\"3EB0000000000001\",\"emoji\":\"+\""},
    {.kind = "edit",
     .id = "3EB0000000000004",
     .json = "\"chatId\":\"49200\",\"messageId\":\"3EB0000000000001\",\"newText\":\"edited\""},
};

/* Every moment of `stride`, beginning with another one for each way and each
 * victim.  SIM_ALL in the environment: every moment of all of them. */
static void matrix(line_t *lines, size_t n, bool at_once, unsigned stride, const char *name)
{
    unsigned plays = 0, last = 0;

    if (getenv("SIM_ALL")) {
        stride = 1;
    }
    for (unsigned variant = 0; variant < 2 * WAYS; variant++) {
        for (uint64_t at = variant % stride;; at += stride) {
            plays++;
            if (!play(lines, n, at, variant & 1, variant / 2, at_once)) {
                last = (unsigned)at;
                break;
            }
            assert_true(at < 2000);
        }
    }
    assert_true(last > 30);
    print_message("crash matrix %s: %u plays, %u moments\n", name, plays, last);
}

static void in_turn(void **state)
{
    (void)state;
    matrix(talk, 4, false, 11, "in turn");
}

static void at_once(void **state)
{
    (void)state;
    matrix(talk, 4, true, 17, "at once");
}

static void about_messages(void **state)
{
    (void)state;
    matrix(about, 4, false, 17, "reaction and edit");
}

static void in_group(void **state)
{
    (void)state;
    matrix(group, 4, false, 17, "in a group");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(in_turn),
        cmocka_unit_test(at_once),
        cmocka_unit_test(about_messages),
        cmocka_unit_test(in_group),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
