/*
 * Duration and dimensions without decoding: the headers of a few containers.
 * Everything in them is a claim of whoever made the file: steps are counted,
 * sizes are compared with the file's.
 */

#include "media.h"

#define PROBE_BOXES 4096 /* looked at in one file */
#define PROBE_DEPTH 4

typedef struct {
    wagw_media_facts_t *f;
    wagw_media_read_pt read;
    void *data;
    unsigned boxes;
    bool video;
} probe_t;

static uint64_t probe_be(const uint8_t *p, unsigned n)
{
    uint64_t v = 0;

    while (n--) {
        v = v << 8 | *p++;
    }
    return v;
}

static uint64_t probe_le(const uint8_t *p, unsigned n)
{
    uint64_t v = 0;

    while (n--) {
        v = v << 8 | p[n];
    }
    return v;
}

static uint32_t probe_seconds(uint64_t units, uint64_t per_second)
{
    uint64_t s;

    if (per_second == 0) {
        return 0;
    }
    s = units / per_second + (units % per_second != 0);
    return s > 1000000 ? 0 : (uint32_t)s;
}

static void probe_mvhd(probe_t *p, uint64_t at, uint64_t n)
{
    uint8_t b[32];

    if (n >= 32 && p->read(p->data, at, b, 32)) {
        p->f->seconds = b[0] == 1 ? probe_seconds(probe_be(b + 24, 8), probe_be(b + 20, 4))
                                  : probe_seconds(probe_be(b + 16, 4), probe_be(b + 12, 4));
    }
}

static void probe_tkhd(probe_t *p, uint64_t at, uint64_t n)
{
    uint8_t b[8], version;
    uint64_t end;
    uint32_t w, h;

    if (!p->read(p->data, at, &version, 1)) {
        return;
    }
    end = version == 1 ? 96 : 84;
    if (n < end || !p->read(p->data, at + end - 8, b, 8)) {
        return;
    }
    w = (uint32_t)probe_be(b, 2);
    h = (uint32_t)probe_be(b + 4, 2);
    if (w && h) {
        p->f->width = w;
        p->f->height = h;
        p->video = true;
    }
}

static void probe_boxes(probe_t *p, uint64_t at, uint64_t end, unsigned depth)
{
    uint8_t b[16];
    uint64_t n, head;

    while (end - at >= 8 && p->boxes++ < PROBE_BOXES) {
        if (!p->read(p->data, at, b, 8)) {
            return;
        }
        n = probe_be(b, 4);
        head = 8;
        if (n == 1) {
            if (end - at < 16 || !p->read(p->data, at + 8, b + 8, 8)) {
                return;
            }
            n = probe_be(b + 8, 8);
            head = 16;
        } else if (n == 0) {
            n = end - at;
        }
        if (n < head || n > end - at) {
            return;
        }
        if (memcmp(b + 4, "moov", 4) == 0 || memcmp(b + 4, "trak", 4) == 0) {
            if (depth < PROBE_DEPTH) {
                probe_boxes(p, at + head, at + n, depth + 1);
            }
        } else if (memcmp(b + 4, "mvhd", 4) == 0) {
            probe_mvhd(p, at + head, n - head);
        } else if (memcmp(b + 4, "tkhd", 4) == 0) {
            probe_tkhd(p, at + head, n - head);
        }
        at += n;
    }
}

/* The granule of the last page, less what is skipped at the beginning. */
static void probe_ogg(probe_t *p, uint64_t size)
{
    uint8_t b[8192], head[64];
    size_t n = size < sizeof(b) ? (size_t)size : sizeof(b), i;
    uint64_t at = size - n, granule = 0, rate = 48000, skip = 0;
    const uint8_t *h;

    if (size < sizeof(head) || !p->read(p->data, 0, head, sizeof(head))) {
        return;
    }
    h = memmem(head, sizeof(head), "OpusHead", 8);
    if (h && h + 12 <= head + sizeof(head)) {
        skip = probe_le(h + 10, 2);
    } else {
        h = memmem(head, sizeof(head), "\x01vorbis", 7);
        if (h == NULL || h + 16 > head + sizeof(head)) {
            return;
        }
        rate = probe_le(h + 12, 4);
    }
    /* a page has at most 64 KiB */
    for (unsigned round = 0; round < 10 && granule == 0; round++) {
        if (!p->read(p->data, at, b, n)) {
            return;
        }
        for (i = n; i >= 14; i--) {
            if (memcmp(b + i - 14, "OggS", 4) == 0) {
                granule = probe_le(b + i - 14 + 6, 8);
                break;
            }
        }
        if (at == 0) {
            break;
        }
        at = at > n - 14 ? at - (n - 14) : 0;
    }
    if (granule != UINT64_MAX) {
        p->f->seconds = probe_seconds(granule > skip ? granule - skip : 0, rate);
    }
}

static void probe_wav(probe_t *p, uint64_t size)
{
    uint8_t b[24];
    uint64_t at = 12, n, rate = 0;

    while (at + 8 <= size && p->boxes++ < PROBE_BOXES && p->read(p->data, at, b, 8)) {
        n = probe_le(b + 4, 4);
        if (memcmp(b, "fmt ", 4) == 0 && n >= 16 && at + 24 <= size && p->read(p->data, at, b, 24)) {
            rate = probe_le(b + 16, 4); /* bytes per second */
        } else if (memcmp(b, "data", 4) == 0) {
            p->f->seconds = probe_seconds(n < size - at - 8 ? n : size - at - 8, rate);
            return;
        }
        at += 8 + n + (n & 1);
    }
}

/* Constant bit rate is assumed: from the first frame's header. */
static void probe_mp3(probe_t *p, uint64_t size)
{
    static const uint16_t v1[16] = {0, 32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320, 0};
    static const uint16_t v2[16] = {0, 8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160, 0};
    static const uint32_t rates[3] = {44100, 48000, 32000};
    uint8_t b[64];
    uint64_t at = 0, frames;
    uint32_t rate, kbit, side, per_frame;
    bool one;

    if (!p->read(p->data, 0, b, 10)) {
        return;
    }
    if (memcmp(b, "ID3", 3) == 0) {
        at = 10 + ((uint64_t)(b[6] & 0x7f) << 21 | (uint64_t)(b[7] & 0x7f) << 14 | (uint64_t)(b[8] & 0x7f) << 7 |
                   (b[9] & 0x7f));
    }
    if (at + sizeof(b) > size || !p->read(p->data, at, b, sizeof(b)) || b[0] != 0xff || (b[1] & 0xe6) != 0xe2) {
        return;
    }
    one = (b[1] & 0x18) == 0x18;
    if ((b[2] >> 2 & 3) == 3) {
        return;
    }
    rate = rates[b[2] >> 2 & 3] >> ((b[1] & 0x18) == 0x18 ? 0 : (b[1] & 0x18) == 0x10 ? 1 : 2);
    kbit = (one ? v1 : v2)[b[2] >> 4];
    per_frame = one ? 1152 : 576;
    side = one ? ((b[3] >> 6) == 3 ? 17 : 32) : ((b[3] >> 6) == 3 ? 9 : 17);

    if ((memcmp(b + 4 + side, "Xing", 4) == 0 || memcmp(b + 4 + side, "Info", 4) == 0) && (b[4 + side + 7] & 1)) {
        frames = probe_be(b + 4 + side + 8, 4);
        p->f->seconds = probe_seconds(frames * per_frame, rate);
    } else if (kbit) {
        p->f->seconds = probe_seconds(size - at, kbit * 125);
    }
}

void wagw_media_probe(wagw_media_facts_t *f, uint64_t size, wagw_media_read_pt read, void *data)
{
    probe_t p = {f, read, data, 0, false};

    if (f->mimetype == NULL) {
        return;
    }
    if (strcmp(f->suffix, "mp4") == 0 || strcmp(f->suffix, "m4a") == 0 || strcmp(f->suffix, "mov") == 0 ||
        strcmp(f->suffix, "3gp") == 0) {
        probe_boxes(&p, 0, size, 0);
        f->audio_only = !p.video;
    } else if (strcmp(f->suffix, "ogg") == 0) {
        probe_ogg(&p, size);
    } else if (strcmp(f->suffix, "wav") == 0) {
        probe_wav(&p, size);
    } else if (strcmp(f->suffix, "mp3") == 0) {
        probe_mp3(&p, size);
    }
}
