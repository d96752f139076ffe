/*
 * When a schedule is due (contract 3.16): five-field cron expressions, and the
 * local time they are meant in.  No nginx, no clock, and of libc's time zones
 * only the files, since tzset() is one for the whole process: the unit tests
 * and a fuzz target use it too.
 */

#ifndef NGX_WAGW_CRON_H
#define NGX_WAGW_CRON_H

#include "../core/base/base.h"

#pragma GCC visibility push(hidden)

#define NGX_WAGW_CRON_TEXT 200        /* bytes of an expression, at most */
#define NGX_WAGW_TZ_NAME 64           /* of a zone's name */
#define NGX_WAGW_TZ_FILE (256 * 1024) /* of its file */
#define NGX_WAGW_TZ_DIR "/usr/share/zoneinfo"

typedef struct {
    uint64_t minutes;
    uint32_t hours, days, months; /* a bit each */
    uint8_t weekdays;             /* bit 0 Sunday */
    bool day_any, weekday_any;    /* the field begins with a star */
} ngx_wagw_cron_t;

/* A day of a year on which the clock is set (POSIX TZ). */
typedef struct {
    char kind; /* 'M' month, week, weekday; 'J' 1..365 without 29 February; 'N' 0..365 */
    int month, week, day;
    int32_t time; /* s after midnight, -167..167 h */
} ngx_wagw_tz_rule_t;

typedef struct {
    size_t n; /* changes that are known */
    int64_t *at;
    int32_t *offset; /* from then on; s east of UTC */
    int32_t first;   /* before the first one */
    bool rules;      /* behind the last one: these */
    int32_t std, dst;
    bool has_dst;
    ngx_wagw_tz_rule_t begin, end;
} ngx_wagw_tz_t;

/* minute hour day month weekday: numbers, *, a-b, lists, steps, jan..dec,
 * sun..sat (7 is Sunday too).  When day and weekday both are given, one of
 * them is enough, as in every cron.  WAGW_MALFORMED. */
int ngx_wagw_cron_parse(ngx_wagw_cron_t *c, wagw_str_t text);
/*
 * The first full minute behind `after` (s since 1970); 0: none in eight years.
 * A time of the day that the clock jumps over is due after the jump, one that
 * comes twice the first time; with every hour asked for, what the clock shows
 * counts.
 */
int64_t ngx_wagw_cron_next(const ngx_wagw_cron_t *c, const ngx_wagw_tz_t *tz, int64_t after);

/* A name that may be looked for below NGX_WAGW_TZ_DIR. */
bool ngx_wagw_tz_name_ok(wagw_str_t name);
/* A TZif file (RFC 8536), version 2 or later; free it.  WAGW_MALFORMED, WAGW_NOMEM. */
int ngx_wagw_tz_parse(ngx_wagw_tz_t *tz, wagw_str_t file);
/* "CET-1CEST,M3.5.0,M10.5.0/3": what holds behind the last change. */
int ngx_wagw_tz_rules(ngx_wagw_tz_t *tz, wagw_str_t text);
/* Reads the file of a zone (blocks: not on the loop); "" and "UTC" need none.
 * WAGW_NOT_FOUND: there is no such zone here. */
int ngx_wagw_tz_load(ngx_wagw_tz_t *tz, wagw_str_t name);
int32_t ngx_wagw_tz_offset(const ngx_wagw_tz_t *tz, int64_t t);
void ngx_wagw_tz_free(ngx_wagw_tz_t *tz);

#pragma GCC visibility pop

#endif
