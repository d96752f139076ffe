/*
 * Media in the owner.  A transfer is one object that is moved from step to
 * step: the loop decides, a thread does what blocks (files, HTTP, pictures).
 *
 *   ngx_wagw_media.c        the object; from the caller's file or address to an
 *                           encrypted file of ours
 *   ngx_wagw_media_source.c what the caller gave, as plaintext
 *   ngx_wagw_media_keep.c   files that are kept for days: uploads, received media
 *   ngx_wagw_media_http.c   libcurl: addresses of callers, WhatsApp's hosts
 *   ngx_wagw_media_image.c  thumbnails
 *   ngx_wagw_media_hosts.c  the list of hosts, kept per instance
 *   ngx_wagw_calls_media.c  sending;  ngx_wagw_calls_media_get.c  getting
 *   ngx_wagw_media_auto.c   media of received messages, in the background
 *   ngx_wagw_media_blob.c   what an engine wants: history, app state
 *   ngx_wagw_media_send.c   worker: such a file to the client
 *
 * While task runs the object is the thread's, but for `cancel`.
 */

#ifndef NGX_WAGW_MEDIA_H
#define NGX_WAGW_MEDIA_H

#include "ngx_wagw_owner.h"
#include "ngx_wagw_calls.h"
#include "../core/media/media.h"
#include "../core/message/message.h"

#include <curl/curl.h>

#pragma GCC visibility push(hidden)

typedef struct ngx_wagw_media_s ngx_wagw_media_t;

/* A file that we encrypted or downloaded, as a stream of plaintext. */
typedef struct {
    ngx_fd_t fd;
    wagw_media_keys_t keys;
    wagw_media_open_t *open; /* NULL: not encrypted */
    uint64_t at, end;
    wagw_buf_t plain;
    uint8_t cipher[16384];
} ngx_wagw_media_reader_t;

ngx_int_t ngx_wagw_media_reader(ngx_wagw_media_reader_t *r, ngx_fd_t fd, const wagw_media_keys_t *keys, uint64_t from,
                                uint64_t to);
/* The next piece, empty at the end; false: it cannot be read. */
bool ngx_wagw_media_reader_next(ngx_wagw_media_reader_t *r, wagw_str_t *piece);
void ngx_wagw_media_reader_end(ngx_wagw_media_reader_t *r);

/* What the mediaId of an upload leads to, and what is known of the file. */
typedef struct {
    char id[33];
    char path[NGX_MAX_PATH];
    uint8_t key[32], seal[32];
    wagw_media_keys_t keys;
    uint64_t size, enc_size;
    int64_t expires_ms;
    char mimetype[128], file_name[256], type[16];
    uint8_t sha256[32];
} ngx_wagw_kept_t;

struct ngx_wagw_media_s {
    ngx_wagw_task_t task;              /* data is the object */
    void (*next)(ngx_wagw_media_t *m); /* loop: after a task, or when event runs */
    ngx_event_t event;
    ngx_wagw_call_t *call;   /* NULL: for an engine, or `ended` */
    ngx_wagw_instance_t *in; /* for an engine: held by its `works` */
    ngx_atomic_t cancel;     /* whoever waits for it has gone */
    unsigned ended : 1;      /* the call was answered: the object goes when nothing runs */
    unsigned busy : 1;       /* task or event are under way */

    /* of the configuration, because threads must not look there */
    ngx_wagw_main_conf_t policy; /* outbound_allow only */
    ngx_array_t allow;
    char *cafile; /* NULL: the system's */
    char *dir;    /* for our files */

    /* what the caller gave */
    const char *kind; /* image, video, gif, ptv, audio, voice, document, sticker */
    const wagw_media_type_t *type;
    const char *field; /* for complaints */
    uint64_t limit;
    ngx_fd_t in_fd; /* -1 none */
    off_t in_at, in_left;
    unsigned in_base64 : 1;
    unsigned in_escaped : 1;       /* as written in JSON */
    char *text;                    /* base64 or data URL */
    ngx_wagw_media_reader_t *kept; /* an earlier upload; its descriptor is ours */
    char *url;
    long fetch_ms; /* for what is behind it */
    char *mimetype, *file_name;
    char *source_type, *source_name; /* what the source says of it */

    /* encrypting (thread) */
    wagw_media_seal_t *seal;
    wagw_buf_t head, cipher;
    unsigned judged : 1;
    unsigned force_convert : 1; /* whatever it is */
    unsigned convert : 1;       /* it must become another format first */
    unsigned converted : 1;

    /* the file */
    ngx_fd_t out; /* -1 none */
    uint8_t key[32];
    wagw_media_keys_t keys;
    wagw_media_sums_t sums;
    wagw_media_facts_t facts;
    wagw_buf_t thumbnail;
    uint8_t waveform[WAGW_WAVEFORM];
    unsigned has_waveform : 1;
    uint32_t pages; /* of a document, 0 not known */

    /* hosts */
    cJSON *conn;
    wagw_media_walk_t walk;
    long http; /* status of the last request, 0 none */
    wagw_buf_t answer;
    off_t sent;

    /* getting */
    wagw_media_check_t *check;
    char *path; /* of the request, or where the file is */
    uint64_t size;
    wagw_message_file_t file; /* strings in arena */
    wagw_arena_t arena;
    unsigned tries;
    ngx_msec_t wait;
    char *chat;                /* of the message */
    unsigned retried : 1;      /* the phone was asked */
    uint64_t serial, fetch_id; /* of an engine: our command, its fetch */
    ngx_queue_t queue;
    unsigned named : 1;    /* path is a file of ours that goes with the object */
    unsigned keep : 1;     /* an upload (3.11): `key` is given, `out` has a name */
    unsigned envelope : 1; /* what is given is the answer itself */
    unsigned bare : 1;     /* of a call that brought the keys itself */
    ngx_wagw_kept_t *upload;
    void *wish;                        /* of a fetch in the background, of an answer */
    void (*gone)(ngx_wagw_media_t *m); /* who is to know when the object goes with its instance */

    /* the complaint; status 0: none */
    ngx_uint_t status;
    const char *code;
    char error[256];
    char details[256];
};

/* An object of nobody, and its end.  NULL without memory. */
ngx_wagw_media_t *ngx_wagw_media_make(void);
void ngx_wagw_media_free(ngx_wagw_media_t *m);
/* The object of a call; it ends with the call.  Answers and returns NULL without memory. */
ngx_wagw_media_t *ngx_wagw_media_new(ngx_wagw_call_t *call);
/* Runs `run` in a thread, then m->next on the loop (unless the call has ended). */
void ngx_wagw_media_run(ngx_wagw_media_t *m, void (*run)(ngx_wagw_task_t *task), void (*next)(ngx_wagw_media_t *m));
/* The loop's next turn: from an op of the engine. */
void ngx_wagw_media_later(ngx_wagw_media_t *m, void (*next)(ngx_wagw_media_t *m));
/* After so many milliseconds. */
void ngx_wagw_media_wait(ngx_wagw_media_t *m, ngx_msec_t ms, void (*next)(ngx_wagw_media_t *m));
/* For threads: nobody waits for it any more, or the owner is about to end. */
bool ngx_wagw_media_cancelled(ngx_wagw_media_t *m);
/* No transfer goes on from here. */
void ngx_wagw_media_stop(void);
bool ngx_wagw_media_stopping(void);
/* Notes a complaint (thread or loop); the first one counts. */
void ngx_wagw_media_fail(ngx_wagw_media_t *m, ngx_uint_t status, const char *code, const char *fmt, ...)
    __attribute__((format(printf, 4, 5)));
/* Sends the call's file as one of the engine's kinds (image, video, voice ...) to params.to. */
void ngx_wagw_media_send_as(ngx_wagw_call_t *call, const char *kind);
/* Answers with the complaint. */
void ngx_wagw_media_answer(ngx_wagw_media_t *m);

/* Thread: from the caller's file, text or address to `out`. */
void ngx_wagw_media_ingest(ngx_wagw_task_t *task);
/* Plaintext of the source: false when it is of no use any more (the complaint is noted). */
bool ngx_wagw_media_take(ngx_wagw_media_t *m, wagw_str_t plain);
/* A file without a name in our directory; -1. */
ngx_fd_t ngx_wagw_media_file(ngx_wagw_media_t *m);
/* One whose name is m->path. */
ngx_fd_t ngx_wagw_media_named(ngx_wagw_media_t *m);
/* Thread: all of the source into _take() (ngx_wagw_media_source.c). */
void ngx_wagw_media_source(ngx_wagw_media_t *m);
/* Thread: what _take() gets between these two becomes `out`. */
bool ngx_wagw_media_seal_begin(ngx_wagw_media_t *m);
bool ngx_wagw_media_seal_end(ngx_wagw_media_t *m);

/* Threads (ngx_wagw_media_http.c). */
/* The beginning of what is behind a caller's address, max bytes; html: of a
 * page only.  False: nothing, without a complaint. */
bool ngx_wagw_media_page(ngx_wagw_media_t *m, const char *url, long seconds, size_t max, bool html, wagw_buf_t *out);
void ngx_wagw_media_fetch(ngx_wagw_media_t *m);      /* m->url into _take() */
void ngx_wagw_media_upload(ngx_wagw_task_t *task);   /* out to the host walk.at; http, answer */
void ngx_wagw_media_download(ngx_wagw_task_t *task); /* path (or url) from the host walk.at into out, through check */

/* What a download came to, and what to do about it: again after m->wait ms,
 * with the present or the next host; it is no longer there; or it failed. */
typedef enum { NGX_WAGW_GET_DONE = 0, NGX_WAGW_GET_AGAIN, NGX_WAGW_GET_GONE, NGX_WAGW_GET_FAILED } ngx_wagw_get_t;

ngx_wagw_get_t ngx_wagw_media_got(ngx_wagw_media_t *m);

/* ffmpeg is there; and it knows this format. */
bool ngx_wagw_media_converter(void);
bool ngx_wagw_media_convertible(const wagw_media_facts_t *f);
/* Thread: out becomes the source in the format of m->type; false: the complaint is noted. */
bool ngx_wagw_media_convert(ngx_wagw_media_t *m);

/* Thread: thumbnail and dimensions of a picture, which becomes JPEG where it must; complains. */
void ngx_wagw_media_picture(ngx_wagw_media_t *m);
/* Thread: the middle of a picture as JPEG, at most 640 by 640, into thumbnail. */
void ngx_wagw_media_square(ngx_wagw_task_t *task);
/* Thread: thumbnail of a video, where ffmpeg is installed. */
void ngx_wagw_media_frame(ngx_wagw_media_t *m);
/* Thread: pages and first page of a PDF, where poppler is installed. */
void ngx_wagw_media_pages(ngx_wagw_media_t *m);
/* Thread: waveform of a voice note. */
void ngx_wagw_media_voice(ngx_wagw_media_t *m);

/* m->conn, then m->next; force: not from what is known.  Answers the call when
 * WhatsApp does not say. */
void ngx_wagw_media_hosts(ngx_wagw_media_t *m, ngx_uint_t force, void (*next)(ngx_wagw_media_t *m));
/* An engine's answer to the command `serial` of such an object; m->conn stays
 * NULL when there is none.  Runs inside an op. */
void ngx_wagw_media_hosts_told(ngx_wagw_media_t *m, const wagw_result_t *r);
const char *ngx_wagw_media_host(ngx_wagw_media_t *m, size_t i); /* NULL: no such */
size_t ngx_wagw_media_nhosts(ngx_wagw_media_t *m);

/* The driver's fetch op, and replies to commands of its own. */
#define NGX_WAGW_BLOB_SERIAL (1ULL << 63)
void ngx_wagw_media_blob(ngx_wagw_instance_t *in, const wagw_fetch_t *f);
void ngx_wagw_media_blob_ask(ngx_wagw_media_t *m);
/* The end of an object of m->in, which may be waiting for that. */
void ngx_wagw_media_leave(ngx_wagw_media_t *m);
/* The instance is being dropped: its engine answers no more. */
void ngx_wagw_media_blob_drop(ngx_wagw_instance_t *in);
void ngx_wagw_media_blob_reply(uint64_t serial, const wagw_result_t *r);

/* ---- sending and keeping (ngx_wagw_calls_media.c) ---- */

typedef enum { NGX_WAGW_MEDIA_SEND = 0, NGX_WAGW_MEDIA_CONVERT, NGX_WAGW_MEDIA_KEEP } ngx_wagw_media_aim_t;

/* From the parameters of a call to its file, encrypted and looked at; then
 * next, with a complaint in m->status or without.  NULL field: the kind's.
 * upload: with KEEP. */
void ngx_wagw_media_begin(ngx_wagw_call_t *call, const char *kind, const char *field, ngx_wagw_media_aim_t aim,
                          ngx_wagw_kept_t *upload, void (*next)(ngx_wagw_media_t *m));
/* The call names a file in one of the ways of contract 1.10. */
bool ngx_wagw_media_given(ngx_wagw_call_t *call, const char *field);
/* A picture of a call (field as above), square, as JPEG in base64 into the parameter _picture; then `then`.  415, 422
 * and the like are answered here.  Uses call->data (ngx_wagw_calls_profile.c). */
void ngx_wagw_call_square(ngx_wagw_call_t *call, const char *field, void (*then)(ngx_wagw_call_t *call));
/* The second look, once the whole file is known: complains. */
void ngx_wagw_media_judge_end(ngx_wagw_media_t *m);
/* wagw_media_limit, wagw_media_url_limit: NGX_WAGW_SIZE_* */
uint64_t ngx_wagw_media_size(ngx_uint_t which, bool url);
/* What it is, as told to WhatsApp. */
const char *ngx_wagw_media_mimetype(ngx_wagw_media_t *m);
/* m->file, opened by m->keys, is at path: the worker sends it (ngx_wagw_calls_media_get.c). */
void ngx_wagw_media_give(ngx_wagw_media_t *m, const char *path, uint64_t size);
/* The same as an address that lasts for a while (download=url). */
void ngx_wagw_media_link(ngx_wagw_media_t *m, const char *path, uint64_t size);
/* A file of ours goes when nobody has wanted it for two minutes. */
void ngx_wagw_media_cache(const char *path, uint64_t bytes, uint64_t size);
/* m->file is fetched from WhatsApp's hosts, unless it is here, and given. */
void ngx_wagw_media_get(ngx_wagw_media_t *m);

/* ---- kept files (ngx_wagw_media_keep.c) ---- */

/* A new id of an instance, or what an id leads to; false: no such id. */
bool ngx_wagw_kept_new(ngx_wagw_kept_t *k, ngx_str_t *instance);
bool ngx_wagw_kept_id(ngx_wagw_kept_t *k, ngx_str_t *instance, wagw_str_t id);
/* Opens the upload and reads what was noted of it; -1: there is none, or no longer. */
ngx_fd_t ngx_wagw_kept_open(ngx_wagw_kept_t *k);
/* Thread: m->out, with its notes, gets its place.  Complains. */
void ngx_wagw_kept_store(ngx_wagw_task_t *task);
/* Loop, after _store(): counts it; false: there is no room, the file has gone. */
bool ngx_wagw_kept_add(const char *path, uint64_t bytes, int64_t expires_ms, bool received);
/* Takes a stored m->upload into account; false: the call was answered with what went wrong. */
bool ngx_wagw_media_upload_kept(ngx_wagw_media_t *m);
/* NGX_DECLINED: there was none. */
ngx_int_t ngx_wagw_kept_remove(const char *path);
/* The instance was deleted. */
void ngx_wagw_kept_forget(ngx_str_t *instance);
/* Received media: where m->file is kept, and its size; 0: it is not. */
uint64_t ngx_wagw_kept_find(ngx_wagw_media_t *m, ngx_str_t *instance, char path[NGX_MAX_PATH]);
/* m->path, downloaded and checked, gets its place; false: it stays where it is. */
bool ngx_wagw_kept_receive(ngx_wagw_media_t *m, ngx_str_t *instance, char path[NGX_MAX_PATH]);
/* One name (hex) for one object opened by one key; false: nothing says what it is. */
bool ngx_wagw_media_name(ngx_wagw_media_t *m, char name[65]);

/* The settings of this instance want media of this type kept. */
bool ngx_wagw_media_wanted(ngx_wagw_instance_t *in, const char *type);
/* A commit is durable: what its events tell of is fetched. */
void ngx_wagw_media_auto(ngx_wagw_instance_t *in, const wagw_batch_t *batch);
void ngx_wagw_media_auto_done(void);

ngx_int_t ngx_wagw_media_keep_init(ngx_cycle_t *cycle, ngx_wagw_main_conf_t *wmcf);
void ngx_wagw_media_keep_done(void);

/* Owner start: makes the directory, empties it. */
ngx_int_t ngx_wagw_media_init(ngx_cycle_t *cycle, ngx_wagw_main_conf_t *wmcf);
void ngx_wagw_media_done(void);
/* The cache of downloaded files (ngx_wagw_calls_media_get.c). */
void ngx_wagw_media_cache_init(ngx_cycle_t *cycle);
void ngx_wagw_media_cache_done(void);

#pragma GCC visibility pop

#endif
