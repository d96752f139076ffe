#include "noise.h"

#define FRAME_HEAD 3
#define FRAME_ROUTING_MAX (64u * 1024)

static size_t frame_length(const uint8_t *p)
{
    return (size_t)p[0] << 16 | (size_t)p[1] << 8 | p[2];
}

int wagw_frame_next(wagw_str_t in, size_t max, wagw_str_t *body, size_t *used)
{
    size_t n;

    *body = WAGW_STR_NULL;
    *used = 0;
    if (in.n < FRAME_HEAD) {
        return WAGW_AGAIN;
    }
    n = frame_length(in.p);
    if (n > max) {
        return WAGW_LIMIT;
    }
    if (in.n - FRAME_HEAD < n) {
        return WAGW_AGAIN;
    }
    *body = wagw_str(in.p + FRAME_HEAD, n);
    *used = FRAME_HEAD + n;
    return WAGW_OK;
}

/* The first bytes of in are those of word, as far as both go. */
static bool frame_begins(wagw_str_t in, const char *word, size_t n)
{
    return memcmp(in.p, word, in.n < n ? in.n : n) == 0;
}

int wagw_frame_intro(wagw_str_t in, size_t *used, wagw_str_t *routing)
{
    size_t at = 0, n;

    *used = 0;
    *routing = WAGW_STR_NULL;
    if (in.n == 0) {
        return WAGW_AGAIN;
    }

    if (in.p[0] == 'E') {
        if (!frame_begins(in, "ED\0\1", 4)) {
            return WAGW_MALFORMED;
        }
        if (in.n < 4 + FRAME_HEAD) {
            return WAGW_AGAIN;
        }
        n = frame_length(in.p + 4);
        if (n > FRAME_ROUTING_MAX) {
            return WAGW_MALFORMED;
        }
        at = 4 + FRAME_HEAD + n;
        if (in.n < at) {
            return WAGW_AGAIN;
        }
        *routing = wagw_str(in.p + at - n, n);
    }

    in = wagw_str(in.p + at, in.n - at);
    if (!frame_begins(in, "WA\6\3", 4)) {
        *routing = WAGW_STR_NULL;
        return WAGW_MALFORMED;
    }
    if (in.n < 4) {
        *routing = WAGW_STR_NULL;
        return WAGW_AGAIN;
    }
    *used = at + 4;
    return WAGW_OK;
}
