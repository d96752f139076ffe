/*
 * Two engines in memory: linking, first contact, replies.
 */

#include "client_sim.h"

typedef struct {
    sim_t *w;
    sim_account_t *aa, *ba;
    sim_engine_t *a, *b;
} pair_t;

static pair_t pair(uint64_t seed)
{
    pair_t p;

    p.w = sim_new(seed);
    p.aa = sim_account(p.w, "49100", "9100");
    p.ba = sim_account(p.w, "49200", "9200");
    p.aa->name = "Ann";
    p.ba->name = "Bea";
    p.a = sim_engine(p.w, "A");
    p.b = sim_engine(p.w, "B");
    sim_link(p.a, p.aa);
    sim_link(p.b, p.ba);
    return p;
}

static void link_by_qr(void **state)
{
    pair_t p = pair(1);
    wagw_creds_t creds;

    (void)state;
    sim_creds(p.a, &creds);
    assert_true(creds.paired);
    assert_string_equal(creds.jid.user, "49100");
    assert_int_equal(creds.jid.device, 5);
    assert_string_equal(creds.lid.user, "9100");
    assert_memory_equal(creds.account_key, p.aa->identity.pub, 32);
    assert_int_equal(p.a->errors, 0);
    sim_free(p.w);
}

static void first_contact(void **state)
{
    pair_t p = pair(2);
    sim_reply_t *r;
    sim_event_t *ev;
    wagw_row_message_t m;

    (void)state;
    r = sim_do(p.a, WAGW_CMD_SEND, "{\"to\":\"49200\",\"message\":\"hello\"}", 200);
    assert_string_equal(sim_str(r->data, "status"), "sent");
    assert_string_equal(sim_str(r->data, "chatId"), "49200@s.whatsapp.net");
    assert_int_equal(sim_events(p.b, "message.received"), 1);
    ev = sim_last_event(p.b, "message.received");
    assert_string_equal(sim_str(ev->data, "body"), "hello");
    assert_string_equal(sim_str(ev->data, "chatId"), "49100@s.whatsapp.net");
    assert_true(sim_message(p.b, "49100@s.whatsapp.net", r->message_id, "49100@s.whatsapp.net", &m));
    assert_true(sim_message(p.a, "49200@s.whatsapp.net", r->message_id, "", &m));
    r = sim_do(p.b, WAGW_CMD_SEND, "{\"to\":\"49100\",\"message\":\"back\"}", 200);
    assert_int_equal(sim_events(p.a, "message.received"), 1);
    assert_int_equal(p.a->errors + p.b->errors, 0);
    sim_free(p.w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(link_by_qr),
        cmocka_unit_test(first_contact),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
