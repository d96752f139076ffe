#include "media.h"

/*
 * The one field of EXIF that changes how a picture is to be shown.
 */

#define EXIF_ENTRIES 512 /* more no camera writes */
#define EXIF_ORIENTATION 0x0112
#define EXIF_SHORT 3

static uint32_t exif_number(wagw_str_t s, size_t at, unsigned bytes, bool little)
{
    uint32_t v = 0;

    for (unsigned i = 0; i < bytes; i++) {
        v = v << 8 | s.p[at + (little ? bytes - 1 - i : i)];
    }
    return v;
}

unsigned wagw_media_orientation(wagw_str_t s)
{
    bool little;
    size_t at;
    uint32_t n, v;

    if (s.n >= 6 && memcmp(s.p, "Exif\0\0", 6) == 0) {
        s.p += 6;
        s.n -= 6;
    }
    if (s.n < 14 || (memcmp(s.p, "II*\0", 4) != 0 && memcmp(s.p, "MM\0*", 4) != 0)) {
        return 1;
    }
    little = s.p[0] == 'I';
    at = exif_number(s, 4, 4, little);
    if (at < 8 || at > s.n - 2) {
        return 1;
    }
    n = exif_number(s, at, 2, little);
    for (at += 2; n > 0 && n <= EXIF_ENTRIES && s.n >= 12 && at <= s.n - 12; n--, at += 12) {
        if (exif_number(s, at, 2, little) == EXIF_ORIENTATION) {
            v = exif_number(s, at + 8, 2, little);
            return exif_number(s, at + 2, 2, little) == EXIF_SHORT && v >= 1 && v <= 8 ? v : 1;
        }
    }
    return 1;
}
