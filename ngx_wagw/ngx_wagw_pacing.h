/*
 * Pacing of an instance's sends (contract 3.17): when the next one may leave.
 * No nginx and no clock: the unit tests use it too.  Windows are fixed: each
 * begins with its first message.
 */

#ifndef NGX_WAGW_PACING_H
#define NGX_WAGW_PACING_H

#include "../core/base/base.h"

#include <cjson/cJSON.h>

#pragma GCC visibility push(hidden)

typedef enum {
    NGX_WAGW_PACE_MINUTE = 0,
    NGX_WAGW_PACE_HOUR,
    NGX_WAGW_PACE_DAY,
    NGX_WAGW_PACE_CHATS, /* new chats in a day */
    NGX_WAGW_PACE_N
} ngx_wagw_pace_t;

typedef struct {
    /* of the settings; 0 off */
    uint32_t limit[NGX_WAGW_PACE_N];
    uint32_t burst; /* so many at once, then spread over the minute */
    uint32_t min_delay_ms, jitter_ms;
    uint32_t max_queue; /* waiting messages */
    bool warmup;        /* the limits grow from 20 % to all of it in seven days */
    int64_t warmup_ms;  /* since when */
    /* counted */
    int64_t begin_ms[NGX_WAGW_PACE_N];
    uint32_t used[NGX_WAGW_PACE_N];
    bool warned[NGX_WAGW_PACE_N];
    int64_t next_ms;  /* of the delay */
    int64_t burst_ms; /* when the bucket was as full as `bucket` says */
    double bucket;
} ngx_wagw_pacing_t;

/* NULL, or what is wrong with the settings object and where (a member's name). */
const char *ngx_wagw_pacing_wrong(const cJSON *settings, const char **field);
/* Takes the settings (may be NULL); what was counted stays. */
void ngx_wagw_pacing_conf(ngx_wagw_pacing_t *p, const cJSON *settings);
/* Something is limited. */
bool ngx_wagw_pacing_on(const ngx_wagw_pacing_t *p);
/* The earliest time (ms) at which another message may leave, `now` when it may at once. */
int64_t ngx_wagw_pacing_at(ngx_wagw_pacing_t *p, int64_t now);
/* The same for a message that begins a chat. */
int64_t ngx_wagw_pacing_chat_at(ngx_wagw_pacing_t *p, int64_t now);
/* One leaves; random: any number, for the jitter.  Which windows are nearly
 * used up since this one (a bit each, told once in each window). */
unsigned ngx_wagw_pacing_take(ngx_wagw_pacing_t *p, int64_t now, bool new_chat, uint32_t random);
/* The limit of a window as it is today. */
uint32_t ngx_wagw_pacing_limit(const ngx_wagw_pacing_t *p, ngx_wagw_pace_t w, int64_t now);
int64_t ngx_wagw_pacing_ends(const ngx_wagw_pacing_t *p, ngx_wagw_pace_t w);
const char *ngx_wagw_pacing_name(ngx_wagw_pace_t w);
void ngx_wagw_pacing_reset(ngx_wagw_pacing_t *p);
/* The contract's object. */
void ngx_wagw_pacing_json(ngx_wagw_pacing_t *p, int64_t now, wagw_json_t *j);
/* What was counted, for the store and from it. */
void ngx_wagw_pacing_save(const ngx_wagw_pacing_t *p, wagw_buf_t *out);
void ngx_wagw_pacing_load(ngx_wagw_pacing_t *p, const cJSON *saved);

#pragma GCC visibility pop

#endif
