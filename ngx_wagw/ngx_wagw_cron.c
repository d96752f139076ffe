#include "ngx_wagw_cron.h"

#include <string.h>
#include <strings.h>

#define DAY 86400
#define SEARCH_DAYS (8 * 366 + 1) /* 29 February, over a year that has none */
#define DST_MAX (3 * 3600)

/* ---- civil days --------------------------------------------------------------------- */

typedef struct {
    int64_t year;
    int month, day, weekday; /* 1..12, 1..31, 0 Sunday */
} civil_t;

static int64_t civil_days(int64_t y, int m, int d)
{
    int64_t era, yoe, doy;

    y -= m <= 2;
    era = (y >= 0 ? y : y - 399) / 400;
    yoe = y - era * 400;
    doy = (153 * (m + (m > 2 ? -3 : 9)) + 2) / 5 + d - 1;

    return era * 146097 + yoe * 365 + yoe / 4 - yoe / 100 + doy - 719468;
}

static civil_t civil(int64_t days)
{
    civil_t c;
    int64_t z = days + 719468, era = (z >= 0 ? z : z - 146096) / 146097, doe = z - era * 146097,
            yoe = (doe - doe / 1460 + doe / 36524 - doe / 146096) / 365, doy = doe - (365 * yoe + yoe / 4 - yoe / 100),
            mp = (5 * doy + 2) / 153;

    c.day = (int)(doy - (153 * mp + 2) / 5 + 1);
    c.month = (int)(mp < 10 ? mp + 3 : mp - 9);
    c.year = yoe + era * 400 + (c.month <= 2);
    c.weekday = (int)(((days + 4) % 7 + 7) % 7);

    return c;
}

static int64_t floor_day(int64_t t)
{
    return t >= 0 ? t / DAY : -((-t + DAY - 1) / DAY);
}

/* ---- expressions ----------------------------------------------------------------------- */

typedef struct {
    int min, max;
    const char *names; /* three letters each, of min, min + 1, ... */
} cron_field_t;

static const cron_field_t cron_fields[5] = {
    {0, 59, NULL},
    {0, 23, NULL},
    {1, 31, NULL},
    {1, 12, "janfebmaraprmayjunjulaugsepoctnovdec"},
    {0, 7, "sunmontuewedthufrisat"},
};

/* A number or a name; NULL: neither. */
static const char *cron_value(const char *p, const char *end, const cron_field_t *f, int *v)
{
    int n = 0;
    const char *from = p;

    for (; p < end && *p >= '0' && *p <= '9' && p - from < 3; p++) {
        n = n * 10 + (*p - '0');
    }

    if (p > from) {
        *v = n;
        return n >= f->min && n <= f->max ? p : NULL;
    }

    for (int i = 0; f->names && end - p >= 3 && f->names[3 * i]; i++) {
        if (strncasecmp(p, f->names + 3 * i, 3) == 0) {
            *v = f->min + i;
            return p + 3;
        }
    }

    return NULL;
}

/* One part of a list. */
static const char *cron_part(const char *p, const char *end, const cron_field_t *f, uint64_t *bits)
{
    int from = f->min, to = f->max, step = 1;
    bool open = false; /* may have a step */
    cron_field_t any = {1, 60, NULL};

    if (f->max == 7) {
        to = 6;
    }

    if (p < end && *p == '*') {
        p++;
        open = true;
    } else {
        p = cron_value(p, end, f, &from);
        if (p == NULL) {
            return NULL;
        }
        to = from;
        if (p < end && *p == '-') {
            p = cron_value(p + 1, end, f, &to);
            if (p == NULL || to < from) {
                return NULL;
            }
            open = true;
        }
    }

    if (p < end && *p == '/') {
        p = open ? cron_value(p + 1, end, &any, &step) : NULL;
        if (p == NULL) {
            return NULL;
        }
    }

    for (; from <= to; from += step) {
        *bits |= (uint64_t)1 << from;
    }

    return p;
}

static const char *cron_list(const char *p, const char *end, const cron_field_t *f, uint64_t *bits)
{
    *bits = 0;

    for (;;) {
        p = cron_part(p, end, f, bits);
        if (p == NULL || p == end || *p != ',') {
            return p;
        }
        p++;
    }
}

int ngx_wagw_cron_parse(ngx_wagw_cron_t *c, wagw_str_t text)
{
    uint64_t bits[5];
    bool star[5];
    const char *p = (const char *)text.p, *end = p + text.n;

    if (text.n == 0 || text.n > NGX_WAGW_CRON_TEXT) {
        return WAGW_MALFORMED;
    }

    for (int i = 0; i < 5; i++) {
        const char *from = p;

        while (p < end && (*p == ' ' || *p == '\t')) {
            p++;
        }
        if ((i && p == from) || p == end) {
            return WAGW_MALFORMED;
        }
        star[i] = *p == '*';
        p = cron_list(p, end, &cron_fields[i], &bits[i]);
        if (p == NULL) {
            return WAGW_MALFORMED;
        }
    }

    while (p < end && (*p == ' ' || *p == '\t')) {
        p++;
    }
    if (p != end) {
        return WAGW_MALFORMED;
    }

    c->minutes = bits[0];
    c->hours = (uint32_t)bits[1];
    c->days = (uint32_t)bits[2];
    c->months = (uint32_t)bits[3];
    c->weekdays = (uint8_t)((bits[4] | bits[4] >> 7) & 0x7f);
    c->day_any = star[2];
    c->weekday_any = star[4];

    return WAGW_OK;
}

static bool cron_day(const ngx_wagw_cron_t *c, int64_t days)
{
    civil_t d = civil(days);
    bool day = c->days >> d.day & 1, weekday = c->weekdays >> d.weekday & 1;

    if (!(c->months >> d.month & 1)) {
        return false;
    }

    return c->day_any || c->weekday_any ? day && weekday : day || weekday;
}

/* What the clock showed `local`: the first time, or after the jump over it. */
static int64_t cron_utc(const ngx_wagw_tz_t *tz, int64_t local)
{
    int32_t before = ngx_wagw_tz_offset(tz, local - ngx_wagw_tz_offset(tz, local) - DAY),
            after = ngx_wagw_tz_offset(tz, local - ngx_wagw_tz_offset(tz, local) + DAY);
    int64_t t = local - before;

    if (ngx_wagw_tz_offset(tz, t) == before) {
        return t;
    }

    return ngx_wagw_tz_offset(tz, local - after) == after ? local - after : t;
}

static int64_t cron_of_day(const ngx_wagw_cron_t *c, const ngx_wagw_tz_t *tz, int64_t days, int64_t after)
{
    int64_t best = 0, t;

    for (int h = 0; h < 24 && cron_day(c, days); h++) {
        for (int m = 0; c->hours >> h & 1 && m < 60; m++) {
            if (!(c->minutes >> m & 1)) {
                continue;
            }
            t = cron_utc(tz, days * DAY + h * 3600 + m * 60);
            if (t > after && (best == 0 || t < best)) {
                best = t;
            }
        }
    }

    return best;
}

static int64_t cron_each_hour(const ngx_wagw_cron_t *c, const ngx_wagw_tz_t *tz, int64_t after)
{
    int64_t t = after - ((after % 60) + 60) % 60 + 60, end = after + (int64_t)SEARCH_DAYS * DAY, local, left;

    while (t < end) {
        local = t + ngx_wagw_tz_offset(tz, t);
        left = DAY - (local - floor_day(local) * DAY);

        if (!cron_day(c, floor_day(local))) {
            /* the day's end may be nearer than it looks */
            t += left > DST_MAX + 60 ? (left - DST_MAX) / 60 * 60 : 60;
        } else if (c->minutes >> ((local - floor_day(local) * DAY) / 60 % 60) & 1) {
            return t;
        } else {
            t += 60;
        }
    }

    return 0;
}

int64_t ngx_wagw_cron_next(const ngx_wagw_cron_t *c, const ngx_wagw_tz_t *tz, int64_t after)
{
    int64_t day, found, next;

    if (c->hours == 0xffffff) {
        return cron_each_hour(c, tz, after);
    }

    day = floor_day(after + ngx_wagw_tz_offset(tz, after)) - 1;

    for (int i = 0; i < SEARCH_DAYS; i++) {
        found = cron_of_day(c, tz, day + i, after);
        if (found) {
            /* a jump over midnight turns the order of two days round */
            next = cron_of_day(c, tz, day + i + 1, after);
            return next && next < found ? next : found;
        }
    }

    return 0;
}

/* ---- time zones: rules ------------------------------------------------------------------- */

static const char *rule_int(const char *p, const char *end, int max, int *v)
{
    int n = 0;
    const char *from = p;

    for (; p < end && *p >= '0' && *p <= '9' && p - from < 3; p++) {
        n = n * 10 + (*p - '0');
    }
    *v = n;

    return p > from && n <= max ? p : NULL;
}

/* [+-]h[h[h]][:mm[:ss]] */
static const char *rule_time(const char *p, const char *end, int max, int32_t *s)
{
    int h, part, sign = 1;

    if (p < end && (*p == '+' || *p == '-')) {
        sign = *p++ == '-' ? -1 : 1;
    }

    p = rule_int(p, end, max, &h);
    *s = h * 3600;

    for (int unit = 60; p && unit && p < end && *p == ':'; unit = unit == 60 ? 1 : 0) {
        p = rule_int(p + 1, end, 59, &part);
        *s += part * unit;
    }
    *s *= sign;

    return p;
}

static const char *rule_name(const char *p, const char *end)
{
    const char *from = p;

    if (p < end && *p == '<') {
        while (p < end && *p != '>') {
            p++;
        }
        return p < end ? p + 1 : NULL;
    }

    while (p < end && ((*p >= 'a' && *p <= 'z') || (*p >= 'A' && *p <= 'Z'))) {
        p++;
    }

    return p - from >= 3 ? p : NULL;
}

/* ,M3.2.0[/time] */
static const char *rule_day(const char *p, const char *end, ngx_wagw_tz_rule_t *r)
{
    if (p == end || *p++ != ',') {
        return NULL;
    }

    *r = (ngx_wagw_tz_rule_t){.kind = 'N', .time = 7200};

    if (p < end && *p == 'M') {
        r->kind = 'M';
        p = rule_int(p + 1, end, 12, &r->month);
        p = p && p < end && *p == '.' ? rule_int(p + 1, end, 5, &r->week) : NULL;
        p = p && p < end && *p == '.' ? rule_int(p + 1, end, 6, &r->day) : NULL;
        if (p == NULL || r->month < 1 || r->week < 1) {
            return NULL;
        }
    } else {
        if (p < end && *p == 'J') {
            r->kind = *p++;
        }
        p = rule_int(p, end, 365, &r->day);
        if (p == NULL || (r->kind == 'J' && r->day < 1)) {
            return NULL;
        }
    }

    return p < end && *p == '/' ? rule_time(p + 1, end, 167, &r->time) : p;
}

int ngx_wagw_tz_rules(ngx_wagw_tz_t *tz, wagw_str_t text)
{
    const char *p = (const char *)text.p, *end = p + text.n;

    p = rule_name(p, end);
    p = p ? rule_time(p, end, 24, &tz->std) : NULL;
    if (p == NULL) {
        return WAGW_MALFORMED;
    }

    /* POSIX counts westwards */
    tz->std = -tz->std;
    tz->rules = true;

    if (p == end) {
        return WAGW_OK;
    }

    p = rule_name(p, end);
    if (p == NULL) {
        return WAGW_MALFORMED;
    }

    tz->dst = tz->std + 3600;
    if (p < end && *p != ',') {
        p = rule_time(p, end, 24, &tz->dst);
        tz->dst = -tz->dst;
    }

    tz->has_dst = true;
    p = p ? rule_day(p, end, &tz->begin) : NULL;
    p = p ? rule_day(p, end, &tz->end) : NULL;

    return p == end ? WAGW_OK : WAGW_MALFORMED;
}

/* When, in local seconds, the rule's day and time is in a year. */
static int64_t rule_at(const ngx_wagw_tz_rule_t *r, int64_t year)
{
    int64_t first = civil_days(year, 1, 1), day;
    int leap = civil_days(year + 1, 1, 1) - first == 366;

    if (r->kind == 'M') {
        day = civil_days(year, r->month, 1);
        day += (r->day - civil(day).weekday + 7) % 7 + 7 * (r->week - 1);
        /* week 5 is the last one */
        while (civil(day).month != r->month) {
            day -= 7;
        }
    } else if (r->kind == 'J') {
        day = first + r->day - 1 + (leap && r->day >= 60);
    } else {
        day = first + r->day;
    }

    return day * DAY + r->time;
}

static int32_t tz_ruled(const ngx_wagw_tz_t *tz, int64_t t)
{
    int64_t year, begin, end;
    bool dst;

    if (!tz->has_dst) {
        return tz->std;
    }

    year = civil(floor_day(t + tz->std)).year;
    begin = rule_at(&tz->begin, year) - tz->std;
    end = rule_at(&tz->end, year) - tz->dst;
    dst = begin < end ? t >= begin && t < end : t >= begin || t < end;

    return dst ? tz->dst : tz->std;
}

int32_t ngx_wagw_tz_offset(const ngx_wagw_tz_t *tz, int64_t t)
{
    size_t low = 0, high = tz->n, middle;

    if (tz->rules && (tz->n == 0 || t >= tz->at[tz->n - 1])) {
        return tz_ruled(tz, t);
    }

    while (low < high) {
        middle = (low + high) / 2;
        if (tz->at[middle] <= t) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }

    return low ? tz->offset[low - 1] : tz->first;
}
