/*
 * WebSocket bytes of a hostile server.  First byte: 0 the answer to the
 * upgrade, else frames, handed over in pieces of that many bytes.
 */

#include <stdlib.h>

#include "../../ngx_wagw/ngx_wagw_ws.c"

static void need(bool ok)
{
    if (!ok) {
        abort();
    }
}

static volatile unsigned fuzz_sum;

static void upgrade(wagw_str_t in)
{
    int rc, status = 0;
    char accept[29];
    size_t used = 0;
    const char *why = NULL;

    need(wagw_ws_accept(WAGW_STR("dGhlIHNhbXBsZSBub25jZQ=="), accept) == WAGW_OK);
    rc = wagw_ws_response(in, accept, &used, &status, &why);
    need(rc != WAGW_OK || (used <= in.n && used > 0));
    need(rc == WAGW_OK || rc == WAGW_AGAIN || why != NULL);
}

static void frames(wagw_str_t in, size_t piece)
{
    int rc;
    uint64_t total = 0;
    wagw_ws_t ws = {0};
    wagw_ws_event_t ev;

    while (in.n > 0) {
        wagw_str_t part = wagw_str(in.p, in.n < piece ? in.n : piece);
        size_t before = part.n;

        while ((rc = wagw_ws_next(&ws, &part, &ev)) == WAGW_OK) {
            for (size_t i = 0; i < ev.payload.n; i++) {
                fuzz_sum += ev.payload.p[i];
            }
            total = ev.opcode == WAGW_WS_BINARY || ev.opcode == WAGW_WS_TEXT ? total + ev.payload.n : total;
            need(total <= WAGW_WS_MESSAGE_MAX);
            total = ev.last ? 0 : total;
            need(ev.opcode < WAGW_WS_CLOSE || ev.payload.n <= WAGW_WS_CONTROL_MAX);
        }
        if (rc != WAGW_AGAIN) {
            need(ev.why != NULL && ev.code >= 1000);
            need(wagw_ws_next(&ws, &part, &ev) != WAGW_OK); /* failed for good */
            return;
        }
        need(part.n == 0);
        in = wagw_str(in.p + before, in.n - before);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *p, size_t n);

int LLVMFuzzerTestOneInput(const uint8_t *p, size_t n)
{
    if (n < 1) {
        return 0;
    }
    if (p[0] == 0) {
        upgrade(wagw_str(p + 1, n - 1));
    } else {
        frames(wagw_str(p + 1, n - 1), p[0]);
    }
    return 0;
}
