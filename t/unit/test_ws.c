/*
 * ngx_wagw_ws: the WebSocket client codec, with the examples of RFC 6455 and
 * with everything cut at every place.
 */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>

#include "../../ngx_wagw/ngx_wagw_ws.c"

#define RFC_KEY "dGhlIHNhbXBsZSBub25jZQ=="
#define RFC_ACCEPT "s3pPLMBiTxaQ9kYGzzhZRbK+xOo="
#define OK_HEAD "HTTP/1.1 101 Switching Protocols\r\nUpgrade: WebSocket\r\nconnection: keep-alive, Upgrade\r\n"

static void test_accept(void **state)
{
    char accept[29];

    (void)state;

    assert_int_equal(wagw_ws_accept(WAGW_STR(RFC_KEY), accept), WAGW_OK);
    assert_string_equal(accept, RFC_ACCEPT);
    assert_int_equal(wagw_ws_accept(WAGW_STR_NULL, accept), WAGW_LIMIT);
}

static void test_request(void **state)
{
    wagw_buf_t b = {0};
    char accept[29];

    (void)state;

    assert_int_equal(wagw_ws_request(&b, WAGW_STR("127.0.0.1:8443"), WAGW_STR("/ws/chat"), "https://web.whatsapp.com",
                                     (const uint8_t *)"the sample nonce", accept),
                     WAGW_OK);
    wagw_buf_u8(&b, 0);

    assert_string_equal(accept, RFC_ACCEPT);
    assert_ptr_equal(strstr((char *)b.p, "GET /ws/chat HTTP/1.1\r\n"), b.p);
    assert_non_null(strstr((char *)b.p, "\r\nHost: 127.0.0.1:8443\r\n"));
    assert_non_null(strstr((char *)b.p, "\r\nOrigin: https://web.whatsapp.com\r\n"));
    assert_non_null(strstr((char *)b.p, "\r\nSec-WebSocket-Key: " RFC_KEY "\r\n"));
    assert_non_null(strstr((char *)b.p, "\r\nSec-WebSocket-Version: 13\r\n"));
    assert_null(strstr((char *)b.p, "Extensions"));
    assert_string_equal((char *)b.p + b.n - 5, "\r\n\r\n");

    wagw_buf_free(&b);
}

static void test_response(void **state)
{
    static const struct {
        const char *text;
        int rc, status;
        size_t left;
    } rows[] = {
        {OK_HEAD "Sec-WebSocket-Accept: " RFC_ACCEPT "\r\n\r\n", WAGW_OK, 101, 0},
        {OK_HEAD "Sec-WebSocket-Accept:" RFC_ACCEPT "  \r\nX: y\r\n\r\n\x82\x00", WAGW_OK, 101, 2},
        {OK_HEAD "Sec-WebSocket-Extensions: \r\nSec-WebSocket-Accept: " RFC_ACCEPT "\r\n\r\n", WAGW_OK, 101, 0},
        {"HTTP/1.1 503 Service Unavailable\r\n\r\n", WAGW_STATE, 503, 0},
        {"HTTP/1.0 404\r\n\r\n", WAGW_STATE, 404, 0},
        {OK_HEAD "Sec-WebSocket-Accept: AAAALMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n", WAGW_MALFORMED, 101, 0},
        {OK_HEAD "\r\n", WAGW_MALFORMED, 101, 0},
        {OK_HEAD "Sec-WebSocket-Extensions: permessage-deflate\r\nSec-WebSocket-Accept: " RFC_ACCEPT "\r\n\r\n",
         WAGW_MALFORMED, 101, 0},
        {OK_HEAD "Sec-WebSocket-Protocol: chat\r\nSec-WebSocket-Accept: " RFC_ACCEPT "\r\n\r\n", WAGW_MALFORMED, 101,
         0},
        {"HTTP/1.1 101 x\r\nUpgrade: websocket\r\nSec-WebSocket-Accept: " RFC_ACCEPT "\r\n\r\n", WAGW_MALFORMED, 101,
         0},
        {"HTTP/1.1 101 x\r\nConnection: upgrades\r\nUpgrade: websocket\r\nSec-WebSocket-Accept: " RFC_ACCEPT "\r\n\r\n",
         WAGW_MALFORMED, 101, 0},
        {OK_HEAD "no colon here\r\n\r\n", WAGW_MALFORMED, 101, 0},
        {OK_HEAD " folded: line\r\n\r\n", WAGW_MALFORMED, 101, 0},
        {"HTTP/1.1 1x1 x\r\n\r\n", WAGW_MALFORMED, 0, 0},
        {"HTTP/1.1 099 x\r\n\r\n", WAGW_MALFORMED, 0, 0},
        {"HTTP/1.1 2000\r\n\r\n", WAGW_MALFORMED, 0, 0},
        {"SSH-2.0-x\r\n", WAGW_MALFORMED, 0, 0},
        {"HTT", WAGW_AGAIN, 0, 0},
        {"HTTP/1.1 101 x\r\n", WAGW_AGAIN, 0, 0},
        {"", WAGW_AGAIN, 0, 0},
    };
    const char *why;
    size_t used, n;
    int status;

    (void)state;

    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        /* the row with a frame behind its head holds a NUL */
        n = strlen(rows[i].text) + (rows[i].left ? 1 : 0);

        assert_int_equal(wagw_ws_response(wagw_str(rows[i].text, n), RFC_ACCEPT, &used, &status, &why), rows[i].rc);

        if (rows[i].rc == WAGW_OK || rows[i].rc == WAGW_STATE) {
            assert_int_equal(status, rows[i].status);
        }

        if (rows[i].rc == WAGW_OK) {
            assert_int_equal(used, n - rows[i].left);
            assert_null(why);

            /* whatever is missing at the end, it is not decided before the head is whole */
            for (size_t k = 0; k < used; k++) {
                assert_int_equal(wagw_ws_response(wagw_str(rows[i].text, k), RFC_ACCEPT, &n, &status, &why),
                                 WAGW_AGAIN);
            }

        } else if (rows[i].rc != WAGW_AGAIN) {
            assert_non_null(why);
        }
    }
}

static void test_response_long(void **state)
{
    char *text = malloc(WAGW_WS_HEAD_MAX + 100);
    const char *why;
    size_t used;
    int status;

    (void)state;

    memset(text, 'a', WAGW_WS_HEAD_MAX + 100);
    memcpy(text, "HTTP/1.1 101 x\r\nx: ", 19);
    assert_int_equal(wagw_ws_response(wagw_str(text, WAGW_WS_HEAD_MAX - 1), RFC_ACCEPT, &used, &status, &why),
                     WAGW_AGAIN);
    assert_int_equal(wagw_ws_response(wagw_str(text, WAGW_WS_HEAD_MAX), RFC_ACCEPT, &used, &status, &why), WAGW_LIMIT);

    /* the end lies behind the limit */
    memcpy(text + WAGW_WS_HEAD_MAX + 50, "\r\n\r\n", 4);
    assert_int_equal(wagw_ws_response(wagw_str(text, WAGW_WS_HEAD_MAX + 100), RFC_ACCEPT, &used, &status, &why),
                     WAGW_LIMIT);
    free(text);
}

/* Feeds `in` in pieces of at most `step` and writes down what comes:
 * B or T and the payload, '.' at the end of a message, P/Q/C for control. */
static int transcript(const void *p, size_t n, size_t step, wagw_buf_t *out, wagw_ws_event_t *ev)
{
    wagw_ws_t ws = {0};
    wagw_str_t in;
    bool inside = false;
    size_t k;
    int rc;

    for (size_t at = 0; at < n; at += k) {
        k = n - at < step ? n - at : step;
        in = wagw_str((const uint8_t *)p + at, k);

        while ((rc = wagw_ws_next(&ws, &in, ev)) == WAGW_OK) {
            switch (ev->opcode) {
            case WAGW_WS_BINARY:
            case WAGW_WS_TEXT:
                if (!inside) {
                    wagw_buf_u8(out, ev->opcode == WAGW_WS_BINARY ? 'B' : 'T');
                }
                inside = !ev->last;
                wagw_buf_str(out, ev->payload);
                if (ev->last) {
                    wagw_buf_u8(out, '.');
                }
                break;
            default:
                wagw_buf_u8(out, ev->opcode == WAGW_WS_PING ? 'P' : ev->opcode == WAGW_WS_PONG ? 'Q' : 'C');
                wagw_buf_str(out, ev->payload);
                wagw_buf_u8(out, ';');
            }
        }

        if (rc != WAGW_AGAIN) {
            /* and it stays so */
            wagw_ws_event_t again;

            assert_int_not_equal(wagw_ws_next(&ws, &in, &again), WAGW_OK);
            return rc;
        }

        assert_int_equal(in.n, 0);
    }

    wagw_buf_u8(out, 0);

    return WAGW_OK;
}

static void test_frames(void **state)
{
    static const struct {
        const char *bytes;
        size_t n;
        const char *want;
    } rows[] = {
#define ROW(b, w) {b, sizeof(b) - 1, w}
        ROW("\x81\x05Hello", "THello."),
        ROW("\x01\x03Hel\x80\x02lo", "THello."),
        ROW("\x82\x00", "B."),
        ROW("\x82\x01"
            "a\x82\x02"
            "bc",
            "Ba.Bbc."),
        ROW("\x89\x05Hello", "PHello;"),
        ROW("\x8a\x00", "Q;"),
        ROW("\x88\x00", "C;"),
        ROW("\x88\x05\x03\xe8"
            "bye",
            "Cbye;"),
        ROW("\x02\x00\x00\x00\x80\x00", "B."),
        ROW("\x02\x01"
            "a\x00\x00\x80\x01"
            "b",
            "Bab."),
    };
    wagw_ws_event_t ev;

    (void)state;

    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        for (size_t step = 1; step <= rows[i].n; step++) {
            wagw_buf_t out = {0};

            assert_int_equal(transcript(rows[i].bytes, rows[i].n, step, &out, &ev), WAGW_OK);
            assert_string_equal((char *)out.p, rows[i].want);
            wagw_buf_free(&out);
        }
    }
}

static void test_control_between_fragments(void **state)
{
    static const char bytes[] = "\x02\x03"
                                "abc\x89\x02hi\x80\x02"
                                "de";
    wagw_str_t in = wagw_str(bytes, sizeof(bytes) - 1);
    wagw_ws_t ws = {0};
    wagw_ws_event_t ev;

    (void)state;

    assert_int_equal(wagw_ws_next(&ws, &in, &ev), WAGW_OK);
    assert_int_equal(ev.opcode, WAGW_WS_BINARY);
    assert_false(ev.last);
    assert_int_equal(wagw_ws_next(&ws, &in, &ev), WAGW_OK);
    assert_int_equal(ev.opcode, WAGW_WS_PING);
    assert_int_equal(ev.payload.n, 2);
    assert_int_equal(wagw_ws_next(&ws, &in, &ev), WAGW_OK);
    assert_int_equal(ev.opcode, WAGW_WS_BINARY);
    assert_true(ev.last);
    assert_memory_equal(ev.payload.p, "de", 2);
    assert_int_equal(wagw_ws_next(&ws, &in, &ev), WAGW_AGAIN);
}

static void test_close_codes(void **state)
{
    wagw_buf_t out = {0};
    wagw_ws_event_t ev;

    (void)state;

    assert_int_equal(transcript("\x88\x00", 2, 2, &out, &ev), WAGW_OK);
    wagw_buf_free(&out);

    {
        wagw_ws_t ws = {0};
        wagw_str_t in = wagw_str("\x88\x02\x03\xf1", 4);

        assert_int_equal(wagw_ws_next(&ws, &in, &ev), WAGW_OK);
        assert_int_equal(ev.code, 1009);
        assert_int_equal(ev.payload.n, 0);
    }
    {
        wagw_ws_t ws = {0};
        wagw_str_t in = wagw_str("\x88\x00", 2);

        assert_int_equal(wagw_ws_next(&ws, &in, &ev), WAGW_OK);
        assert_int_equal(ev.code, 1005);
    }
}

static void test_violations(void **state)
{
    static const struct {
        const char *bytes;
        size_t n;
        int rc;
    } rows[] = {
#define BAD(b, rc) {b, sizeof(b) - 1, rc}
        BAD("\x82\x81\x00\x00\x00\x00"
            "a",
            WAGW_MALFORMED), /* masked */
        BAD("\xc2\x01"
            "a",
            WAGW_MALFORMED),             /* RSV1 */
        BAD("\x83\x00", WAGW_MALFORMED), /* opcodes without meaning */
        BAD("\x8b\x00", WAGW_MALFORMED),
        BAD("\x80\x00", WAGW_MALFORMED), /* continues nothing */
        BAD("\x02\x01"
            "a\x82\x01"
            "b",
            WAGW_MALFORMED),                     /* new one inside */
        BAD("\x09\x00", WAGW_MALFORMED),         /* fragmented ping */
        BAD("\x89\x7e\x00\x7e", WAGW_MALFORMED), /* long ping */
        BAD("\x82\x7e\x00\x7d", WAGW_MALFORMED), /* not the shortest form */
        BAD("\x82\x7f\x00\x00\x00\x00\x00\x00\xff\xff", WAGW_MALFORMED),
        BAD("\x82\x7f\x80\x00\x00\x00\x00\x01\x00\x00", WAGW_MALFORMED), /* top bit */
        BAD("\x82\x7f\x00\x00\x00\x00\x01\x00\x00\x01", WAGW_LIMIT),     /* 16 MiB + 1 */
        BAD("\x82\x7f\x7f\xff\xff\xff\xff\xff\xff\xff", WAGW_LIMIT),
        BAD("\x88\x01\x03", WAGW_MALFORMED), /* half a close code */
        BAD("\x88\x02\x00\x00", WAGW_MALFORMED),
        BAD("\x02\x01"
            "a\x80\x7f\x00\x00\x00\x00\x01\x00\x00\x00",
            WAGW_LIMIT), /* too long in sum */
    };

    (void)state;

    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        for (size_t step = 1; step <= rows[i].n; step++) {
            wagw_buf_t out = {0};
            wagw_ws_event_t ev;

            assert_int_equal(transcript(rows[i].bytes, rows[i].n, step, &out, &ev), rows[i].rc);
            assert_non_null(ev.why);
            assert_int_equal(ev.code, rows[i].rc == WAGW_LIMIT ? 1009 : 1002);
            wagw_buf_free(&out);
        }
    }
}

/* The largest message that is allowed, in one frame, without a buffer. */
static void test_largest(void **state)
{
    uint8_t head[10] = {0x82, 0x7f, 0, 0, 0, 0, 1, 0, 0, 0};
    uint8_t piece[65536] = {0};
    wagw_str_t in = wagw_str(head, 10);
    wagw_ws_t ws = {0};
    wagw_ws_event_t ev;

    (void)state;

    assert_int_equal(wagw_ws_next(&ws, &in, &ev), WAGW_AGAIN);

    for (size_t i = 0; i < 256; i++) {
        in = wagw_str(piece, sizeof(piece));
        assert_int_equal(wagw_ws_next(&ws, &in, &ev), WAGW_OK);
        assert_int_equal(ev.payload.n, sizeof(piece));
        assert_int_equal(ev.last, i == 255);
        assert_int_equal(wagw_ws_next(&ws, &in, &ev), WAGW_AGAIN);
    }
}

static void test_send(void **state)
{
    static const size_t lens[] = {0, 1, 125, 126, 65535, 65536, 70000};
    static const size_t heads[] = {6, 6, 6, 8, 8, 14, 14};
    const uint8_t mask[4] = {0x37, 0xfa, 0x21, 0x3d};
    wagw_buf_t b = {0};
    uint8_t *p = malloc(70000);

    (void)state;

    /* RFC 6455 section 5.7: a masked "Hello" */
    assert_int_equal(wagw_ws_frame(&b, WAGW_WS_TEXT, WAGW_STR("Hello"), mask), WAGW_OK);
    assert_int_equal(b.n, 11);
    assert_memory_equal(b.p, "\x81\x85\x37\xfa\x21\x3d\x7f\x9f\x4d\x51\x58", 11);

    for (size_t i = 0; i < 70000; i++) {
        p[i] = (uint8_t)(i * 7);
    }

    for (size_t i = 0; i < sizeof(lens) / sizeof(lens[0]); i++) {
        uint64_t n = 0;

        /* behind what waits already */
        wagw_buf_reset(&b);
        wagw_buf_cstr(&b, "xyz");
        assert_int_equal(wagw_ws_frame(&b, WAGW_WS_BINARY, wagw_str(p, lens[i]), mask), WAGW_OK);
        assert_int_equal(b.n, 3 + heads[i] + lens[i]);
        assert_memory_equal(b.p, "xyz\x82", 4);
        assert_true(b.p[4] & 0x80);

        for (size_t k = 5; k < 3 + heads[i] - 4; k++) {
            n = n << 8 | b.p[k];
        }

        assert_int_equal(heads[i] == 6 ? (uint64_t)(b.p[4] & 0x7f) : n, lens[i]);

        for (size_t k = 0; k < lens[i]; k++) {
            assert_int_equal((uint8_t)(b.p[3 + heads[i] + k] ^ mask[k & 3]), p[k]);
        }
    }

    wagw_buf_reset(&b);
    assert_int_equal(wagw_ws_close_frame(&b, 1000, mask), WAGW_OK);
    assert_int_equal(b.n, 8);
    assert_memory_equal(b.p, "\x88\x82\x37\xfa\x21\x3d\x34\x12", 8);

    wagw_buf_free(&b);
    free(p);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_accept),      cmocka_unit_test(test_request),
        cmocka_unit_test(test_response),    cmocka_unit_test(test_response_long),
        cmocka_unit_test(test_frames),      cmocka_unit_test(test_control_between_fragments),
        cmocka_unit_test(test_close_codes), cmocka_unit_test(test_violations),
        cmocka_unit_test(test_largest),     cmocka_unit_test(test_send),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
