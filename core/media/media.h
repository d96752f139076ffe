/*
 * core/media: encryption of media (protocol 06), what is asked of the media
 * hosts, and what a file's first bytes say about it.  Everything works on
 * streams: memory does not grow with the file.
 */

#ifndef WAGW_MEDIA_H
#define WAGW_MEDIA_H

#include "../base/base.h"
#include "../crypto/crypto.h"

#include <cjson/cJSON.h>

/* A kind of media object (06 section 1). */
typedef struct {
    const char *name;   /* image, video, audio, document, sticker, ptt, gif, ptv, thumbnail-link, ... */
    const char *info;   /* HKDF info */
    const char *upload; /* path of the upload, NULL: never uploaded by us */
    const char *mms;    /* mms-type of the download */
    bool sidecar;       /* has a streaming sidecar */
} wagw_media_type_t;

const wagw_media_type_t *wagw_media_type(const char *name); /* NULL: unknown */

typedef struct {
    uint8_t iv[16], cipher[32], mac[32];
} wagw_media_keys_t;

int wagw_media_keys(wagw_media_keys_t *k, const wagw_media_type_t *type, const uint8_t key[32]);

/* ---- encryption: one pass ---------------------------------------------------- */

typedef struct {
    uint64_t size;     /* of the plaintext */
    uint64_t enc_size; /* of what is uploaded */
    uint8_t sha256[32];
    uint8_t enc_sha256[32];
    uint8_t mac[10];
    wagw_buf_t sidecar; /* 10 bytes per 64 KiB; empty when the type has none; the caller frees it */
} wagw_media_sums_t;

typedef struct wagw_media_seal_s wagw_media_seal_t;

wagw_media_seal_t *wagw_media_seal(const wagw_media_type_t *type, const uint8_t key[32]);
/* Appends to out what may be written now. */
int wagw_media_seal_add(wagw_media_seal_t *s, wagw_buf_t *out, wagw_str_t plain);
int wagw_media_seal_end(wagw_media_seal_t *s, wagw_buf_t *out, wagw_media_sums_t *sums);
void wagw_media_seal_free(wagw_media_seal_t *s);

/* ---- checking what was downloaded: one pass ----------------------------------- */

typedef enum { /* in the order in which they are looked for */
               WAGW_MEDIA_GOOD = 0,
               WAGW_MEDIA_SHORT,
               WAGW_MEDIA_ENC_SHA256,
               WAGW_MEDIA_MAC,
               WAGW_MEDIA_BLOCK,
               WAGW_MEDIA_PADDING,
               WAGW_MEDIA_SHA256,
               WAGW_MEDIA_FAILED /* no memory, or OpenSSL refused */
} wagw_media_verdict_t;

const char *wagw_media_verdict_name(wagw_media_verdict_t v);

typedef struct wagw_media_check_s wagw_media_check_t;

/* keys NULL: not encrypted, only sha256 is compared.  Hashes that are empty
 * are not compared. */
wagw_media_check_t *wagw_media_check(const wagw_media_keys_t *keys, wagw_str_t enc_sha256, wagw_str_t sha256);
int wagw_media_check_add(wagw_media_check_t *c, wagw_str_t bytes);
/* size: of the plaintext, when the verdict is good. */
wagw_media_verdict_t wagw_media_check_end(wagw_media_check_t *c, uint64_t *size);
void wagw_media_check_free(wagw_media_check_t *c);

/* ---- reading a checked file, from any byte to any other ------------------------- */

typedef struct wagw_media_open_s wagw_media_open_t;

/* Plaintext bytes [from, to) of an encrypted file; to <= its plaintext size.
 * *start: the file offset where the bytes for _add() begin; *end: where they
 * end (exclusive).  mac of keys is not used. */
wagw_media_open_t *wagw_media_open(const wagw_media_keys_t *keys, uint64_t from, uint64_t to, uint64_t *start,
                                   uint64_t *end);
/* Appends plaintext. */
int wagw_media_open_add(wagw_media_open_t *o, wagw_buf_t *out, wagw_str_t bytes);
void wagw_media_open_free(wagw_media_open_t *o);

/* ---- requests (06 sections 6 to 8) ------------------------------------------------ */

/* "/mms/image/TOKEN?auth=..&token=TOKEN" */
int wagw_media_upload_path(wagw_buf_t *out, const wagw_media_type_t *type, const uint8_t enc_sha256[32],
                           wagw_str_t auth);
/* Channels: plain bytes under the hash of the file itself. */
int wagw_media_channel_path(wagw_buf_t *out, const wagw_media_type_t *type, const uint8_t sha256[32], wagw_str_t auth);
/* Path and query for direct_path, which must begin with "/": WAGW_MALFORMED. */
int wagw_media_download_path(wagw_buf_t *out, const wagw_media_type_t *type, wagw_str_t direct_path,
                             wagw_str_t enc_sha256);

/* The way through the hosts of media_conn with one upload.  After NEXT the
 * list is to be asked for anew; `at` is the host to be tried then. */
typedef enum { WAGW_WALK_DONE = 0, WAGW_WALK_NEXT, WAGW_WALK_STOP } wagw_walk_rc_t;

typedef struct {
    size_t at;
    bool auth;                              /* refused once: the same host gets the new auth */
    const char *url, *direct_path, *handle; /* DONE: views into the answer; url may be NULL */
} wagw_media_walk_t;

/* status: of HTTP, 0 when none came; answer: its JSON or NULL. */
wagw_walk_rc_t wagw_media_walk(wagw_media_walk_t *w, size_t nhosts, int status, const cJSON *answer);

/* ---- media retry (06 section 9) --------------------------------------------------- */

typedef enum {
    WAGW_MEDIA_RETRY_ERROR = 0,
    WAGW_MEDIA_RETRY_SUCCESS = 1,
    WAGW_MEDIA_RETRY_NOT_FOUND = 2,
    WAGW_MEDIA_RETRY_DECRYPTION = 3
} wagw_media_retry_t;

int wagw_media_retry_seal(wagw_buf_t *out, const uint8_t key[32], wagw_str_t id, const uint8_t iv[12]);
/* *path lives in the arena; empty unless the result is a success.  WAGW_CRYPTO. */
int wagw_media_retry_open(wagw_arena_t *a, const uint8_t key[32], wagw_str_t id, wagw_str_t iv, wagw_str_t sealed,
                          wagw_media_retry_t *result, wagw_str_t *path);

/* ---- what is it (sniff.c, probe.c) -------------------------------------------------- */

#define WAGW_MEDIA_HEAD 65536 /* more of a file's beginning is not looked at */

typedef struct {
    const char *mimetype; /* static; NULL: not recognised */
    const char *suffix;   /* "jpg" */
    uint32_t width, height;
    uint32_t seconds; /* rounded up */
    bool animated;
    bool opus; /* ogg with opus */
    bool audio_only;
} wagw_media_facts_t;

/* From the beginning of a file. */
void wagw_media_sniff(wagw_media_facts_t *f, wagw_str_t head);

/* How a picture is to be turned, 1 (not at all) to 8, from its EXIF block,
 * with or without "Exif\0\0" before it; 1 when it does not say. */
unsigned wagw_media_orientation(wagw_str_t exif);

/* Reads n bytes at an offset; false when that is not possible. */
typedef bool (*wagw_media_read_pt)(void *data, uint64_t at, uint8_t *p, size_t n);

/* Duration and dimensions from the whole file, after _sniff(): mp4, ogg, wav,
 * mp3.  What cannot be found out stays zero. */
void wagw_media_probe(wagw_media_facts_t *f, uint64_t size, wagw_media_read_pt read, void *data);

/* A mimetype for a file name, NULL when the suffix says nothing. */
const char *wagw_media_mime_of_name(wagw_str_t name);

/* ---- waveform of a voice note -------------------------------------------------------- */

#define WAGW_WAVEFORM 64

typedef struct {
    double sum[WAGW_WAVEFORM];
    uint64_t block, at;
} wagw_waveform_t;

/* total: mono samples that will come. */
void wagw_waveform_begin(wagw_waveform_t *w, uint64_t total);
void wagw_waveform_add(wagw_waveform_t *w, const float *samples, size_t n, size_t step);
void wagw_waveform_end(const wagw_waveform_t *w, uint8_t out[WAGW_WAVEFORM]);

#endif
