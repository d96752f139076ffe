/*
 * Pictures are decoded in a process of their own, because what they are made
 * of comes from anybody, and the owner holds keys.  That process is the nginx
 * program again, told to load this module: its constructor sees the variable,
 * decodes from stdin to stdout, and ends before nginx begins.
 *
 * The answer: the magic, the head, the thumbnail (JPEG), and with "jpeg" the
 * whole picture as JPEG up to the end.  With "square" the middle of the picture
 * comes instead of the thumbnail, as WhatsApp takes pictures of accounts.
 */

#ifndef NGX_WAGW_PICTURE_H
#define NGX_WAGW_PICTURE_H

#include <stdint.h>

#define NGX_WAGW_PICTURE_ENV "WAGW_PICTURE" /* "jpg look", "webp jpeg": what comes, and what is wanted */
#define NGX_WAGW_PICTURE_MAGIC 0x77677031
#define NGX_WAGW_PICTURE_THUMBNAIL 16384 /* at most */
#define NGX_WAGW_PICTURE_SQUARE (1024 * 1024)

typedef enum { NGX_WAGW_PICTURE_GOOD = 0, NGX_WAGW_PICTURE_BAD, NGX_WAGW_PICTURE_LARGE } ngx_wagw_picture_verdict_t;

typedef struct {
    uint32_t verdict;
    uint32_t width, height; /* as it is to be shown */
    uint32_t animated;
    uint32_t thumbnail; /* bytes of it */
} ngx_wagw_picture_t;

/* What the process needs of our environment, "NAME=value": under the sanitizers their runtime. */
#define NGX_WAGW_PICTURE_ENVS 3
extern char *ngx_wagw_picture_env[NGX_WAGW_PICTURE_ENVS + 1] __attribute__((visibility("hidden")));

#endif
