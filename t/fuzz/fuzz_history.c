/*
 * History chunks of a hostile phone.  First byte: 0 the bytes as they are, 1
 * the notice, 2 a chunk to be compressed first, so that its fields are reached.
 */

#include <stdlib.h>
#include <zlib.h>

#include "../../core/history/history.h"

static void need(bool ok)
{
    if (!ok) {
        abort();
    }
}

/* Every view is readable. */
static unsigned touch(wagw_str_t s)
{
    unsigned sum = 0;

    for (size_t i = 0; i < s.n; i++) {
        sum += s.p[i];
    }
    return sum;
}

static volatile unsigned fuzz_sum;

static void fuzz_entry(const wagw_history_item_t *it)
{
    unsigned sum = touch(it->chat) + touch(it->bytes) + touch(it->id) + touch(it->name);
    wagw_str_t pn, lid;
    wagw_history_chat_t c;
    wagw_history_message_t m;

    if (it->what == WAGW_HISTORY_CHAT) {
        need(wagw_history_chat(&c, it->bytes) == WAGW_OK && it->bytes.n <= WAGW_HISTORY_CHAT_MAX);
        sum += touch(c.name);
        if (wagw_history_pair(&c, WAGW_STR("1@s.whatsapp.net"), &pn, &lid)) {
            need(pn.n && lid.n);
        }
    } else if (it->what == WAGW_HISTORY_MESSAGE || it->what == WAGW_HISTORY_STATUS) {
        if (wagw_history_message(&m, it->bytes) == WAGW_OK) {
            sum += touch(m.message) + touch(m.id) + touch(m.secret);
            need(m.nreceipts <= WAGW_HISTORY_RECEIPTS && m.nreactions <= WAGW_HISTORY_REACTIONS);
            for (size_t i = 0; i < m.nreactions; i++) {
                sum += touch(m.reactions[i].user) + touch(m.reactions[i].emoji);
            }
        }
    }
    fuzz_sum += sum;
}

int LLVMFuzzerTestOneInput(const uint8_t *p, size_t n);

int LLVMFuzzerTestOneInput(const uint8_t *p, size_t n)
{
    int rc;
    uLongf len;
    Bytef *z = NULL;
    uint8_t mode;
    wagw_str_t in;
    wagw_history_t *h;
    wagw_history_item_t it;
    wagw_history_info_t info;
    wagw_history_notice_t notice;

    if (n < 1) {
        return 0;
    }
    mode = p[0] % 3;
    in = wagw_str(p + 1, n - 1);
    if (mode == 1) {
        if (wagw_history_notice(&notice, in) == WAGW_OK) {
            fuzz_sum += touch(notice.inline_payload) + touch(notice.direct_path);
        }
        return 0;
    }
    if (mode == 2) {
        len = compressBound(in.n);
        z = malloc(len);
        need(z != NULL && compress2(z, &len, in.p, in.n, 0) == Z_OK);
        in = wagw_str(z, len);
    }
    h = wagw_history_open(in, 4 << 20);
    need(h != NULL);
    while ((rc = wagw_history_next(h, &it)) == WAGW_OK) {
        fuzz_entry(&it);
    }
    wagw_history_info(h, &info);
    need(rc == WAGW_NOT_FOUND || info.why != NULL);
    need(info.inflated <= (4 << 20) + 65536);
    wagw_history_close(h);
    free(z);
    return 0;
}
