#include "media.h"

#include <ctype.h>
#include <strings.h>

static uint32_t sniff_be32(const uint8_t *p)
{
    return (uint32_t)p[0] << 24 | (uint32_t)p[1] << 16 | (uint32_t)p[2] << 8 | p[3];
}

static uint32_t sniff_le24(const uint8_t *p)
{
    return (uint32_t)p[2] << 16 | (uint32_t)p[1] << 8 | p[0];
}

static bool sniff_at(wagw_str_t s, size_t at, const char *bytes, size_t n)
{
    return s.n >= at + n && memcmp(s.p + at, bytes, n) == 0;
}

#define SNIFF_AT(s, at, lit) sniff_at(s, at, lit, sizeof(lit) - 1)

static void sniff_is(wagw_media_facts_t *f, const char *mimetype, const char *suffix)
{
    f->mimetype = mimetype;
    f->suffix = suffix;
}

/* The frame header may come behind much else, even behind what we see. */
static void sniff_jpeg(wagw_media_facts_t *f, wagw_str_t s)
{
    size_t at = 2, n;
    uint8_t marker;

    sniff_is(f, "image/jpeg", "jpg");

    while (at + 4 <= s.n && s.p[at] == 0xff) {
        marker = s.p[at + 1];
        if (marker == 0xff) {
            at++;
            continue;
        }
        if (marker == 0x01 || (marker >= 0xd0 && marker <= 0xd8)) {
            at += 2;
            continue;
        }
        n = (size_t)s.p[at + 2] << 8 | s.p[at + 3];
        if (marker >= 0xc0 && marker <= 0xcf && marker != 0xc4 && marker != 0xc8 && marker != 0xcc) {
            if (at + 9 <= s.n) {
                f->height = (uint32_t)s.p[at + 5] << 8 | s.p[at + 6];
                f->width = (uint32_t)s.p[at + 7] << 8 | s.p[at + 8];
            }
            return;
        }
        if (marker == 0xda || marker == 0xd9 || n < 2) {
            return;
        }
        at += 2 + n;
    }
}

static void sniff_webp(wagw_media_facts_t *f, wagw_str_t s)
{
    uint32_t bits;

    sniff_is(f, "image/webp", "webp");

    if (SNIFF_AT(s, 12, "VP8X") && s.n >= 30) {
        f->animated = (s.p[20] & 0x02) != 0;
        f->width = sniff_le24(s.p + 24) + 1;
        f->height = sniff_le24(s.p + 27) + 1;

    } else if (SNIFF_AT(s, 12, "VP8L") && s.n >= 25 && s.p[20] == 0x2f) {
        bits = (uint32_t)s.p[24] << 24 | sniff_le24(s.p + 21);
        f->width = (bits & 0x3fff) + 1;
        f->height = (bits >> 14 & 0x3fff) + 1;

    } else if (SNIFF_AT(s, 12, "VP8 ") && s.n >= 30 && SNIFF_AT(s, 23, "\x9d\x01\x2a")) {
        f->width = ((uint32_t)s.p[27] << 8 | s.p[26]) & 0x3fff;
        f->height = ((uint32_t)s.p[29] << 8 | s.p[28]) & 0x3fff;
    }
}

static void sniff_mp4(wagw_media_facts_t *f, wagw_str_t s)
{
    if (SNIFF_AT(s, 8, "M4A ") || SNIFF_AT(s, 8, "M4B ")) {
        sniff_is(f, "audio/mp4", "m4a");
    } else if (SNIFF_AT(s, 8, "qt  ")) {
        sniff_is(f, "video/quicktime", "mov");
    } else if (SNIFF_AT(s, 8, "3gp")) {
        sniff_is(f, "video/3gpp", "3gp");
    } else if (SNIFF_AT(s, 8, "avif")) {
        sniff_is(f, "image/avif", "avif");
    } else if (SNIFF_AT(s, 8, "heic") || SNIFF_AT(s, 8, "mif1")) {
        sniff_is(f, "image/heic", "heic");
    } else {
        sniff_is(f, "video/mp4", "mp4");
    }
}

static void sniff_ogg(wagw_media_facts_t *f, wagw_str_t s)
{
    if (memmem(s.p, s.n < 512 ? s.n : 512, "OpusHead", 8)) {
        sniff_is(f, "audio/ogg; codecs=opus", "ogg");
        f->opus = true;
    } else {
        sniff_is(f, "audio/ogg", "ogg");
    }
}

void wagw_media_sniff(wagw_media_facts_t *f, wagw_str_t s)
{
    memset(f, 0, sizeof(*f));

    if (SNIFF_AT(s, 0, "\xff\xd8\xff")) {
        sniff_jpeg(f, s);

    } else if (SNIFF_AT(s, 0, "\x89PNG\r\n\x1a\n")) {
        sniff_is(f, "image/png", "png");
        if (SNIFF_AT(s, 12, "IHDR") && s.n >= 24) {
            f->width = sniff_be32(s.p + 16);
            f->height = sniff_be32(s.p + 20);
        }

    } else if (SNIFF_AT(s, 0, "GIF87a") || SNIFF_AT(s, 0, "GIF89a")) {
        sniff_is(f, "image/gif", "gif");
        if (s.n >= 10) {
            f->width = (uint32_t)s.p[7] << 8 | s.p[6];
            f->height = (uint32_t)s.p[9] << 8 | s.p[8];
        }

    } else if (SNIFF_AT(s, 0, "RIFF") && SNIFF_AT(s, 8, "WEBP")) {
        sniff_webp(f, s);

    } else if (SNIFF_AT(s, 0, "RIFF") && SNIFF_AT(s, 8, "WAVE")) {
        sniff_is(f, "audio/wav", "wav");

    } else if (SNIFF_AT(s, 0, "RIFF") && SNIFF_AT(s, 8, "AVI ")) {
        sniff_is(f, "video/x-msvideo", "avi");

    } else if (SNIFF_AT(s, 4, "ftyp")) {
        sniff_mp4(f, s);

    } else if (SNIFF_AT(s, 0, "OggS")) {
        sniff_ogg(f, s);

    } else if (SNIFF_AT(s, 0, "\x1a\x45\xdf\xa3")) {
        if (memmem(s.p, s.n < 64 ? s.n : 64, "webm", 4)) {
            sniff_is(f, "video/webm", "webm");
        } else {
            sniff_is(f, "video/x-matroska", "mkv");
        }

    } else if (SNIFF_AT(s, 0, "ID3") || (s.n >= 2 && s.p[0] == 0xff && (s.p[1] & 0xe6) == 0xe2)) {
        sniff_is(f, "audio/mpeg", "mp3");

    } else if (s.n >= 2 && s.p[0] == 0xff && (s.p[1] & 0xf6) == 0xf0) {
        sniff_is(f, "audio/aac", "aac");

    } else if (SNIFF_AT(s, 0, "#!AMR")) {
        sniff_is(f, "audio/amr", "amr");

    } else if (SNIFF_AT(s, 0, "fLaC")) {
        sniff_is(f, "audio/flac", "flac");

    } else if (SNIFF_AT(s, 0, "%PDF-")) {
        sniff_is(f, "application/pdf", "pdf");

    } else if (SNIFF_AT(s, 0, "PK\x03\x04")) {
        sniff_is(f, "application/zip", "zip");

    } else if (SNIFF_AT(s, 0, "\x1f\x8b")) {
        sniff_is(f, "application/gzip", "gz");
    }

    if (f->width > 65535 || f->height > 65535) {
        f->width = f->height = 0;
    }
}

/* ---- names ---- */

static const struct {
    const char *suffix, *mimetype;
} sniff_names[] = {
    {"jpg", "image/jpeg"},
    {"jpeg", "image/jpeg"},
    {"png", "image/png"},
    {"gif", "image/gif"},
    {"webp", "image/webp"},
    {"svg", "image/svg+xml"},
    {"mp4", "video/mp4"},
    {"mov", "video/quicktime"},
    {"3gp", "video/3gpp"},
    {"webm", "video/webm"},
    {"mkv", "video/x-matroska"},
    {"avi", "video/x-msvideo"},
    {"ogg", "audio/ogg"},
    {"opus", "audio/ogg; codecs=opus"},
    {"mp3", "audio/mpeg"},
    {"m4a", "audio/mp4"},
    {"aac", "audio/aac"},
    {"amr", "audio/amr"},
    {"wav", "audio/wav"},
    {"flac", "audio/flac"},
    {"pdf", "application/pdf"},
    {"zip", "application/zip"},
    {"gz", "application/gzip"},
    {"json", "application/json"},
    {"xml", "application/xml"},
    {"txt", "text/plain"},
    {"csv", "text/csv"},
    {"htm", "text/html"},
    {"html", "text/html"},
    {"md", "text/markdown"},
    {"vcf", "text/vcard"},
    {"ics", "text/calendar"},
    {"rtf", "application/rtf"},
    {"doc", "application/msword"},
    {"xls", "application/vnd.ms-excel"},
    {"ppt", "application/vnd.ms-powerpoint"},
    {"docx", "application/vnd.openxmlformats-officedocument.wordprocessingml.document"},
    {"xlsx", "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"},
    {"pptx", "application/vnd.openxmlformats-officedocument.presentationml.presentation"},
    {"odt", "application/vnd.oasis.opendocument.text"},
    {"ods", "application/vnd.oasis.opendocument.spreadsheet"},
    {"odp", "application/vnd.oasis.opendocument.presentation"},
    {"epub", "application/epub+zip"},
    {"apk", "application/vnd.android.package-archive"},
    {"7z", "application/x-7z-compressed"},
    {"rar", "application/vnd.rar"},
};

const char *wagw_media_mime_of_name(wagw_str_t name)
{
    size_t dot = name.n;

    while (dot && name.p[dot - 1] != '.') {
        dot--;
    }
    if (dot == 0) {
        return NULL;
    }
    for (size_t i = 0; i < sizeof(sniff_names) / sizeof(sniff_names[0]); i++) {
        if (strlen(sniff_names[i].suffix) == name.n - dot &&
            strncasecmp(sniff_names[i].suffix, (const char *)name.p + dot, name.n - dot) == 0) {
            return sniff_names[i].mimetype;
        }
    }
    return NULL;
}
