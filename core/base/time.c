#include "base.h"

#define DAY_MS 86400000LL
#define ISO_MIN (-62167219200000LL) /* 0000-01-01T00:00:00.000Z */
#define ISO_MAX 253402300799999LL   /* 9999-12-31T23:59:59.999Z */

/*
 * The proleptic Gregorian calendar repeats every 400 years of 146097 days.
 * Years are counted from March, so that the leap day is a year's last.
 */

static int64_t days_from_civil(int64_t y, unsigned m, unsigned d)
{
    int64_t era;
    unsigned yoe, doy, doe;

    y -= m <= 2;
    era = (y >= 0 ? y : y - 399) / 400;
    yoe = (unsigned)(y - era * 400);
    doy = (153 * (m > 2 ? m - 3 : m + 9) + 2) / 5 + d - 1;
    doe = yoe * 365 + yoe / 4 - yoe / 100 + doy;
    return era * 146097 + doe - 719468;
}

static void civil_from_days(int64_t days, int *y, unsigned *m, unsigned *d)
{
    int64_t era;
    unsigned doe, yoe, doy, mp;

    days += 719468;
    era = (days >= 0 ? days : days - 146096) / 146097;
    doe = (unsigned)(days - era * 146097);
    yoe = (doe - doe / 1460 + doe / 36524 - doe / 146096) / 365;
    doy = doe - (365 * yoe + yoe / 4 - yoe / 100);
    mp = (5 * doy + 2) / 153;
    *d = doy - (153 * mp + 2) / 5 + 1;
    *m = mp < 10 ? mp + 3 : mp - 9;
    *y = (int)(yoe + era * 400 + (*m <= 2));
}

static void iso_put(char *out, unsigned v, unsigned digits, char after)
{
    out[digits] = after;

    while (digits > 0) {
        out[--digits] = (char)('0' + v % 10);
        v /= 10;
    }
}

size_t wagw_iso_text(int64_t ms, char out[32])
{
    int y;
    unsigned m, d, t;
    int64_t days;

    ms = ms < ISO_MIN ? ISO_MIN : ms > ISO_MAX ? ISO_MAX : ms;
    days = (ms >= 0 ? ms : ms - DAY_MS + 1) / DAY_MS;
    t = (unsigned)(ms - days * DAY_MS);
    civil_from_days(days, &y, &m, &d);

    iso_put(out, (unsigned)y, 4, '-');
    iso_put(out + 5, m, 2, '-');
    iso_put(out + 8, d, 2, 'T');
    iso_put(out + 11, t / 3600000, 2, ':');
    iso_put(out + 14, t / 60000 % 60, 2, ':');
    iso_put(out + 17, t / 1000 % 60, 2, '.');
    iso_put(out + 20, t % 1000, 3, 'Z');
    out[24] = '\0';

    return 24;
}

/* Reads n digits at *s and moves on. */
static bool iso_digits(wagw_str_t *s, size_t n, unsigned *out)
{
    uint64_t v;

    if (s->n < n || wagw_str_u64(wagw_str(s->p, n), &v) != WAGW_OK) {
        return false;
    }
    s->p += n;
    s->n -= n;
    *out = (unsigned)v;
    return true;
}

static bool iso_char(wagw_str_t *s, char c)
{
    if (s->n == 0 || s->p[0] != (uint8_t)c) {
        return false;
    }
    s->p++;
    s->n--;
    return true;
}

/* `Z`, `+hh:mm` or `-hh:mm`, in ms. */
static bool iso_zone(wagw_str_t *s, int64_t *offset)
{
    unsigned h, m;
    bool minus;

    *offset = 0;
    if (iso_char(s, 'Z') || iso_char(s, 'z')) {
        return true;
    }
    minus = iso_char(s, '-');
    if (!minus && !iso_char(s, '+')) {
        return false;
    }
    if (!iso_digits(s, 2, &h) || !iso_char(s, ':') || !iso_digits(s, 2, &m) || h > 23 || m > 59) {
        return false;
    }
    *offset = (int64_t)(h * 60 + m) * 60000 * (minus ? -1 : 1);
    return true;
}

int wagw_iso_parse(wagw_str_t s, int64_t *ms)
{
    static const uint8_t month_days[] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
    unsigned y, mo, d, h = 0, mi = 0, sec = 0, frac = 0, last;
    int64_t offset = 0;

    if (!iso_digits(&s, 4, &y) || !iso_char(&s, '-') || !iso_digits(&s, 2, &mo) || !iso_char(&s, '-') ||
        !iso_digits(&s, 2, &d)) {
        return WAGW_MALFORMED;
    }
    if (s.n > 0) {
        if ((!iso_char(&s, 'T') && !iso_char(&s, 't')) || !iso_digits(&s, 2, &h) || !iso_char(&s, ':') ||
            !iso_digits(&s, 2, &mi) || !iso_char(&s, ':') || !iso_digits(&s, 2, &sec)) {
            return WAGW_MALFORMED;
        }
        if (iso_char(&s, '.')) {
            unsigned scale = 100, digit;

            if (!iso_digits(&s, 1, &digit)) {
                return WAGW_MALFORMED;
            }
            do {
                frac += digit * scale;
                scale /= 10;
            } while (iso_digits(&s, 1, &digit));
        }
        if (!iso_zone(&s, &offset) || s.n != 0) {
            return WAGW_MALFORMED;
        }
    }

    if (mo < 1 || mo > 12 || h > 23 || mi > 59 || sec > 59) {
        return WAGW_MALFORMED;
    }
    last = month_days[mo - 1] + (mo == 2 && y % 4 == 0 && (y % 100 != 0 || y % 400 == 0));
    if (d < 1 || d > last) {
        return WAGW_MALFORMED;
    }
    *ms = days_from_civil(y, mo, d) * DAY_MS + (int64_t)(h * 3600 + mi * 60 + sec) * 1000 + frac - offset;
    return WAGW_OK;
}
