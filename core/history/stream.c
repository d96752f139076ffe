/*
 * The stream: inflate into a window, walk HistorySync and Conversation field by
 * field.
 */

#include "history.h"

#include <stdlib.h>
#include <zlib.h>

#define STEP 32768       /* inflated at a time */
#define KEEP (64u << 10) /* consumed bytes are moved out from here on */

struct wagw_history_s {
    z_stream z;
    bool open, ended;
    size_t max;
    wagw_buf_t win;
    size_t at; /* consumed of win */
    bool inside;
    uint64_t left;   /* of the conversation */
    wagw_buf_t chat; /* its own fields */
    uint32_t items;
    char chat_id[160];
    size_t chat_id_len;
    wagw_history_info_t info;
};

static int wrong(wagw_history_t *h, int rc, const char *why)
{
    h->info.why = why;
    return rc;
}

static int bad_proto(wagw_history_t *h)
{
    return wrong(h, WAGW_MALFORMED, "protobuf_error");
}

const char *wagw_sync_name(unsigned type)
{
    static const char *const names[] = {
        "INITIAL_BOOTSTRAP", "INITIAL_STATUS_V3",    "FULL", "RECENT", "PUSH_NAME", "NON_BLOCKING_DATA", "ON_DEMAND",
        "NO_HISTORY",        "MESSAGE_ACCESS_STATUS"};

    return type < sizeof(names) / sizeof(names[0]) ? names[type] : "UNKNOWN";
}

wagw_history_t *wagw_history_open(wagw_str_t zlib, size_t max)
{
    wagw_history_t *h = calloc(1, sizeof(*h));

    if (h == NULL) {
        return NULL;
    }
    h->max = max;
    h->info.type = h->info.progress = h->info.chunk = -1;
    h->z.next_in = (Bytef *)zlib.p;
    h->z.avail_in = zlib.n > UINT32_MAX ? UINT32_MAX : (uInt)zlib.n;
    if (inflateInit(&h->z) != Z_OK) {
        free(h);
        return NULL;
    }
    h->open = true;
    return h;
}

void wagw_history_close(wagw_history_t *h)
{
    if (h == NULL) {
        return;
    }
    inflateEnd(&h->z);
    wagw_buf_free(&h->win);
    wagw_buf_free(&h->chat);
    free(h);
}

void wagw_history_info(const wagw_history_t *h, wagw_history_info_t *out)
{
    *out = h->info;
}

/* More bytes into the window; WAGW_NOT_FOUND at the end of the stream. */
static int fill(wagw_history_t *h)
{
    int zrc;
    size_t got;

    if (h->ended) {
        return WAGW_NOT_FOUND;
    }
    if (h->at >= KEEP) {
        wagw_buf_consume(&h->win, h->at);
        h->at = 0;
    }
    if (wagw_buf_reserve(&h->win, STEP) != WAGW_OK) {
        return WAGW_NOMEM;
    }
    h->z.next_out = h->win.p + h->win.n;
    h->z.avail_out = STEP;
    zrc = inflate(&h->z, Z_NO_FLUSH);
    got = STEP - h->z.avail_out;
    h->win.n += got;
    h->info.inflated += got;
    if (zrc == Z_MEM_ERROR) {
        return WAGW_NOMEM;
    }
    if (zrc == Z_STREAM_END) {
        h->ended = true;
    } else if (zrc != Z_OK || (got == 0 && h->z.avail_in == 0)) {
        return wrong(h, WAGW_MALFORMED, "inflate_error");
    }
    if (h->info.inflated > h->max) {
        return wrong(h, WAGW_LIMIT, "too_large");
    }
    return WAGW_OK;
}

/* n bytes from the window; WAGW_NOT_FOUND: the stream ends before. */
static int need(wagw_history_t *h, size_t n, const uint8_t **p)
{
    int rc;

    while (h->win.n - h->at < n) {
        rc = fill(h);
        if (rc != WAGW_OK) {
            return rc;
        }
    }
    *p = h->win.p + h->at;
    return WAGW_OK;
}

/* Within the conversation, what is taken is counted. */
static int take(wagw_history_t *h, size_t n, const uint8_t **p)
{
    int rc;

    if (h->inside && n > h->left) {
        return bad_proto(h);
    }
    rc = need(h, n, p);
    if (rc == WAGW_NOT_FOUND) {
        return bad_proto(h);
    }
    if (rc == WAGW_OK) {
        h->at += n;
        h->left -= h->inside ? n : 0;
    }
    return rc;
}

static int skip(wagw_history_t *h, uint64_t n)
{
    int rc;
    size_t part;
    const uint8_t *p;

    if (n > h->max) {
        return bad_proto(h);
    }
    while (n > 0) {
        part = n < STEP ? (size_t)n : STEP;
        rc = take(h, part, &p);
        if (rc != WAGW_OK) {
            return rc;
        }
        n -= part;
    }
    return WAGW_OK;
}

static int varint(wagw_history_t *h, uint64_t *out)
{
    int rc;
    const uint8_t *p;

    *out = 0;
    for (unsigned i = 0; i < 10; i++) {
        rc = take(h, 1, &p);
        if (rc != WAGW_OK) {
            return rc;
        }
        *out |= (uint64_t)(*p & 0x7f) << (7 * i);
        if ((*p & 0x80) == 0) {
            return WAGW_OK;
        }
    }
    return bad_proto(h);
}

typedef struct {
    uint32_t num;
    unsigned type;
    uint64_t v; /* the number, or the length of what follows */
} tag_t;

static int tag(wagw_history_t *h, tag_t *t)
{
    int rc;
    uint64_t v;

    rc = varint(h, &v);
    if (rc != WAGW_OK) {
        return rc;
    }
    t->num = (uint32_t)(v >> 3);
    t->type = (unsigned)(v & 7);
    t->v = 0;
    if (t->num == 0 || v >> 32) {
        return bad_proto(h);
    }
    switch (t->type) {
    case 0:
        return varint(h, &t->v);
    case 1:
        t->v = 8;
        return WAGW_OK;
    case 5:
        t->v = 4;
        return WAGW_OK;
    case 2:
        rc = varint(h, &t->v);
        if (rc == WAGW_OK && (t->v > h->max || (h->inside && t->v > h->left))) {
            return bad_proto(h);
        }
        return rc;
    default:
        return bad_proto(h);
    }
}

static int small_varint(const uint8_t **p, const uint8_t *end, uint64_t *out)
{
    *out = 0;
    for (unsigned i = 0; i < 10 && *p < end; i++) {
        uint8_t b = *(*p)++;

        *out |= (uint64_t)(b & 0x7f) << (7 * i);
        if ((b & 0x80) == 0) {
            return WAGW_OK;
        }
    }
    return WAGW_MALFORMED;
}

/* Fields 1 and 2 of an entry that is in memory: views, or the number of 2. */
static int two_fields(wagw_str_t in, wagw_str_t *one, wagw_str_t *two, uint64_t *number)
{
    uint64_t key, v;
    const uint8_t *p = in.p, *end = in.p + in.n;

    *one = *two = WAGW_STR_NULL;
    while (p < end) {
        if (small_varint(&p, end, &key) != WAGW_OK || key >> 3 == 0) {
            return WAGW_MALFORMED;
        }
        switch (key & 7) {
        case 0:
            if (small_varint(&p, end, &v) != WAGW_OK) {
                return WAGW_MALFORMED;
            }
            if (key >> 3 == 2 && number) {
                *number = v;
            }
            continue;
        case 1:
            v = 8;
            break;
        case 5:
            v = 4;
            break;
        case 2:
            if (small_varint(&p, end, &v) != WAGW_OK) {
                return WAGW_MALFORMED;
            }
            break;
        default:
            return WAGW_MALFORMED;
        }
        if (v > (uint64_t)(end - p)) {
            return WAGW_MALFORMED;
        }
        if (key == (1 << 3 | 2)) {
            *one = wagw_str(p, (size_t)v);
        } else if (key == (2 << 3 | 2)) {
            *two = wagw_str(p, (size_t)v);
        }
        p += v;
    }
    return WAGW_OK;
}

/* A whole entry as a view, or WAGW_STATE after it was skipped for its size. */
static int leaf(wagw_history_t *h, const tag_t *t, wagw_str_t *out)
{
    int rc;
    const uint8_t *p;

    if (t->v > WAGW_HISTORY_LEAF_MAX) {
        h->info.skipped++;
        rc = skip(h, t->v);
        return rc == WAGW_OK ? WAGW_STATE : rc;
    }
    rc = take(h, (size_t)t->v, &p);
    *out = wagw_str(p, (size_t)t->v);
    return rc;
}

/* A field that belongs to the conversation itself is kept for its end. */
static int chat_field(wagw_history_t *h, const tag_t *t)
{
    int rc;
    uint64_t key = (uint64_t)t->num << 3 | t->type;
    const uint8_t *p;

    if (t->v > WAGW_HISTORY_CHAT_MAX && t->type == 2) {
        return skip(h, t->v);
    }
    if (t->type != 0) {
        rc = take(h, (size_t)t->v, &p);
        if (rc != WAGW_OK) {
            return rc;
        }
        if (h->chat.n + t->v + 20 > WAGW_HISTORY_CHAT_MAX) {
            return WAGW_OK;
        }
    }
    for (; key >= 0x80; key >>= 7) {
        wagw_buf_u8(&h->chat, (uint8_t)(key | 0x80));
    }
    wagw_buf_u8(&h->chat, (uint8_t)key);
    if (t->type == 0 || t->type == 2) {
        uint64_t v = t->v;

        for (; v >= 0x80; v >>= 7) {
            wagw_buf_u8(&h->chat, (uint8_t)(v | 0x80));
        }
        wagw_buf_u8(&h->chat, (uint8_t)v);
    }
    if (t->type != 0) {
        wagw_buf_add(&h->chat, p, (size_t)t->v);
        if (t->num == 1 && t->type == 2 && t->v <= sizeof(h->chat_id)) {
            memcpy(h->chat_id, p, (size_t)t->v);
            h->chat_id_len = (size_t)t->v;
        }
    }
    return h->chat.failed ? WAGW_NOMEM : WAGW_OK;
}

/* One field of the conversation; WAGW_OK with an item, WAGW_AGAIN: go on. */
static int next_inside(wagw_history_t *h, wagw_history_item_t *it)
{
    int rc;
    tag_t t;
    wagw_str_t bytes, two;

    if (h->left == 0) {
        h->inside = false;
        h->info.chats++;
        it->what = WAGW_HISTORY_CHAT;
        it->chat = wagw_str(h->chat_id, h->chat_id_len);
        it->bytes = wagw_buf_view(&h->chat);
        return WAGW_OK;
    }
    rc = tag(h, &t);
    if (rc != WAGW_OK) {
        return rc;
    }
    if (t.num != 2 || t.type != 2) {
        rc = chat_field(h, &t);
        return rc == WAGW_OK ? WAGW_AGAIN : rc;
    }
    rc = leaf(h, &t, &bytes);
    if (rc != WAGW_OK) {
        return rc == WAGW_STATE ? WAGW_AGAIN : rc;
    }
    if (two_fields(bytes, &it->bytes, &two, &it->order) != WAGW_OK) {
        return bad_proto(h);
    }
    if (it->bytes.p == NULL) {
        return WAGW_AGAIN;
    }
    h->info.messages++;
    it->what = WAGW_HISTORY_MESSAGE;
    it->chat = wagw_str(h->chat_id, h->chat_id_len);
    return WAGW_OK;
}

static int next_top(wagw_history_t *h, wagw_history_item_t *it)
{
    int rc;
    tag_t t;
    const uint8_t *p;
    wagw_str_t bytes;

    rc = need(h, 1, &p);
    if (rc != WAGW_OK) {
        return rc; /* NOT_FOUND: the sound end */
    }
    rc = tag(h, &t);
    if (rc != WAGW_OK) {
        return rc;
    }
    if (t.type == 0) {
        int v = t.v > INT32_MAX ? -1 : (int)t.v;

        if (t.num == 1) {
            h->info.type = v;
        } else if (t.num == 5) {
            h->info.chunk = v;
        } else if (t.num == 6) {
            h->info.progress = v;
        }
        return WAGW_AGAIN;
    }
    if (t.type != 2) {
        rc = skip(h, t.v);
        return rc == WAGW_OK ? WAGW_AGAIN : rc;
    }
    switch (t.num) {
    case 2:
        h->inside = true;
        h->left = t.v;
        h->chat_id_len = 0;
        wagw_buf_reset(&h->chat);
        return WAGW_AGAIN;
    case 3:
        it->what = WAGW_HISTORY_STATUS;
        break;
    case 7:
        it->what = WAGW_HISTORY_NAME;
        break;
    case 12:
        it->what = WAGW_HISTORY_PAST;
        break;
    case 13:
        it->what = WAGW_HISTORY_CALL;
        break;
    case 15:
        it->what = WAGW_HISTORY_PAIR;
        break;
    case 19:
        it->what = WAGW_HISTORY_SALT;
        break;
    case 20:
        it->what = WAGW_HISTORY_CONTACT;
        break;
    default:
        rc = skip(h, t.v);
        return rc == WAGW_OK ? WAGW_AGAIN : rc;
    }
    rc = leaf(h, &t, &bytes);
    if (rc != WAGW_OK) {
        return rc == WAGW_STATE ? WAGW_AGAIN : rc;
    }
    it->bytes = bytes;
    if ((t.num == 7 || t.num == 15 || t.num == 20) && two_fields(bytes, &it->id, &it->name, NULL) != WAGW_OK) {
        return bad_proto(h);
    }
    return WAGW_OK;
}

int wagw_history_next(wagw_history_t *h, wagw_history_item_t *item)
{
    int rc;

    do {
        memset(item, 0, sizeof(*item));
        rc = h->inside ? next_inside(h, item) : next_top(h, item);
    } while (rc == WAGW_AGAIN);
    if (rc == WAGW_OK && (h->info.chats > WAGW_HISTORY_CHATS_MAX || ++h->items > WAGW_HISTORY_ITEMS_MAX)) {
        return wrong(h, WAGW_LIMIT, "too_many_entries");
    }
    return rc;
}
