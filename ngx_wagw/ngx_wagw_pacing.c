#include "ngx_wagw_pacing.h"

#include <string.h>

#define DAY_MS (24 * 3600 * 1000LL)
#define QUEUE_DEFAULT 1000
#define WARMUP_DAYS 7
#define WARMUP_BEGIN 0.2

static const struct {
    const char *name;
    const char *setting;
    int64_t ms;
} paces[NGX_WAGW_PACE_N] = {{"minute", "perMinute", 60000},
                            {"hour", "perHour", 3600000},
                            {"day", "perDay", DAY_MS},
                            {"newChats", "newChatsPerDay", DAY_MS}};

static const struct {
    const char *name;
    double min, max;
} pacing_numbers[] = {{"perMinute", 1, 1000000}, {"perHour", 1, 1000000},        {"perDay", 1, 10000000},
                      {"burst", 1, 1000000},     {"newChatsPerDay", 1, 1000000}, {"minDelayMs", 0, 3600000},
                      {"jitterMs", 0, 3600000},  {"maxQueue", 1, 10000},         {NULL, 0, 0}};

const char *ngx_wagw_pacing_wrong(const cJSON *settings, const char **field)
{
    const cJSON *v, *e;

    for (size_t i = 0; pacing_numbers[i].name; i++) {
        v = cJSON_GetObjectItemCaseSensitive(settings, pacing_numbers[i].name);
        *field = pacing_numbers[i].name;

        if (v == NULL || cJSON_IsNull(v)) {
            continue;
        }
        if (!cJSON_IsNumber(v) || !(v->valuedouble >= pacing_numbers[i].min) ||
            v->valuedouble > pacing_numbers[i].max || v->valuedouble != (double)(int64_t)v->valuedouble) {
            return "must be a whole number within its range, or null";
        }
    }

    *field = "warmup";
    v = cJSON_GetObjectItemCaseSensitive(settings, "warmup");
    e = cJSON_GetObjectItemCaseSensitive(v, "enabled");

    if (v && !cJSON_IsNull(v) && !cJSON_IsBool(v) && !(cJSON_IsObject(v) && (e == NULL || cJSON_IsBool(e)))) {
        return "must be a boolean, or an object with enabled";
    }

    return NULL;
}

static uint32_t pacing_number(const cJSON *settings, const char *name, uint32_t dflt)
{
    const cJSON *v = cJSON_GetObjectItemCaseSensitive(settings, name);

    return cJSON_IsNumber(v) && v->valuedouble >= 0 && v->valuedouble <= 10000000 ? (uint32_t)v->valuedouble : dflt;
}

void ngx_wagw_pacing_conf(ngx_wagw_pacing_t *p, const cJSON *settings)
{
    bool warmup;
    const cJSON *v = cJSON_GetObjectItemCaseSensitive(settings, "warmup");
    const cJSON *since = cJSON_GetObjectItemCaseSensitive(v, "since");

    for (int w = 0; w < NGX_WAGW_PACE_N; w++) {
        p->limit[w] = pacing_number(settings, paces[w].setting, 0);
    }

    p->burst = pacing_number(settings, "burst", 0);
    p->min_delay_ms = pacing_number(settings, "minDelayMs", 0);
    p->jitter_ms = pacing_number(settings, "jitterMs", 0);
    p->max_queue = pacing_number(settings, "maxQueue", QUEUE_DEFAULT);

    warmup = cJSON_IsTrue(v) || cJSON_IsTrue(cJSON_GetObjectItemCaseSensitive(v, "enabled"));
    p->warmup = warmup;
    p->warmup_ms = cJSON_IsNumber(since) ? (int64_t)since->valuedouble : warmup ? p->warmup_ms : 0;
    p->bucket = p->bucket > p->burst ? p->burst : p->bucket;
}

bool ngx_wagw_pacing_on(const ngx_wagw_pacing_t *p)
{
    for (int w = 0; w < NGX_WAGW_PACE_N; w++) {
        if (p->limit[w]) {
            return true;
        }
    }

    return p->min_delay_ms || p->jitter_ms;
}

static int64_t pacing_day(const ngx_wagw_pacing_t *p, int64_t now)
{
    return p->warmup && now > p->warmup_ms && p->warmup_ms ? (now - p->warmup_ms) / DAY_MS + 1 : 1;
}

static double pacing_factor(const ngx_wagw_pacing_t *p, int64_t now)
{
    int64_t day = pacing_day(p, now);

    if (!p->warmup || day >= WARMUP_DAYS) {
        return 1;
    }

    return WARMUP_BEGIN + (1 - WARMUP_BEGIN) * (double)(day - 1) / (WARMUP_DAYS - 1);
}

uint32_t ngx_wagw_pacing_limit(const ngx_wagw_pacing_t *p, ngx_wagw_pace_t w, int64_t now)
{
    double limit = p->limit[w] * pacing_factor(p, now);

    return p->limit[w] == 0 ? 0 : limit < 1 ? 1 : (uint32_t)limit;
}

int64_t ngx_wagw_pacing_ends(const ngx_wagw_pacing_t *p, ngx_wagw_pace_t w)
{
    return p->begin_ms[w] + paces[w].ms;
}

const char *ngx_wagw_pacing_name(ngx_wagw_pace_t w)
{
    return paces[w].name;
}

/* Windows that are over begin anew, also when the clock was set back. */
static void pacing_turn(ngx_wagw_pacing_t *p, int64_t now)
{
    for (int w = 0; w < NGX_WAGW_PACE_N; w++) {
        if (now >= ngx_wagw_pacing_ends(p, w) || now < p->begin_ms[w]) {
            p->begin_ms[w] = 0;
            p->used[w] = 0;
            p->warned[w] = false;
        }
    }

    if (p->next_ms > now + (int64_t)p->min_delay_ms + p->jitter_ms) {
        p->next_ms = now;
    }
}

static int64_t pacing_window(const ngx_wagw_pacing_t *p, ngx_wagw_pace_t w, int64_t now, int64_t at)
{
    uint32_t limit = ngx_wagw_pacing_limit(p, w, now);

    return limit && p->used[w] >= limit && ngx_wagw_pacing_ends(p, w) > at ? ngx_wagw_pacing_ends(p, w) : at;
}

static double pacing_per_ms(const ngx_wagw_pacing_t *p, int64_t now)
{
    return ngx_wagw_pacing_limit(p, NGX_WAGW_PACE_MINUTE, now) / 60000.0;
}

static void pacing_bucket(ngx_wagw_pacing_t *p, int64_t now)
{
    double more = now > p->burst_ms && p->burst_ms ? (double)(now - p->burst_ms) * pacing_per_ms(p, now) : 0;

    p->bucket = p->burst_ms == 0 || p->bucket + more > p->burst ? p->burst : p->bucket + more;
    p->burst_ms = now;
}

int64_t ngx_wagw_pacing_at(ngx_wagw_pacing_t *p, int64_t now)
{
    int64_t at = now;

    pacing_turn(p, now);

    for (int w = 0; w < NGX_WAGW_PACE_CHATS; w++) {
        at = pacing_window(p, w, now, at);
    }

    if ((p->min_delay_ms || p->jitter_ms) && p->next_ms > at) {
        at = p->next_ms;
    }

    if (p->burst && p->limit[NGX_WAGW_PACE_MINUTE]) {
        pacing_bucket(p, now);
        if (p->bucket < 1 && at < now + (int64_t)((1 - p->bucket) / pacing_per_ms(p, now)) + 1) {
            at = now + (int64_t)((1 - p->bucket) / pacing_per_ms(p, now)) + 1;
        }
    }

    return at;
}

int64_t ngx_wagw_pacing_chat_at(ngx_wagw_pacing_t *p, int64_t now)
{
    pacing_turn(p, now);

    return pacing_window(p, NGX_WAGW_PACE_CHATS, now, now);
}

unsigned ngx_wagw_pacing_take(ngx_wagw_pacing_t *p, int64_t now, bool new_chat, uint32_t random)
{
    unsigned warned = 0;
    uint32_t limit;

    pacing_turn(p, now);

    for (int w = new_chat ? NGX_WAGW_PACE_CHATS : 0; w < (new_chat ? NGX_WAGW_PACE_N : NGX_WAGW_PACE_CHATS); w++) {
        if (p->used[w]++ == 0) {
            p->begin_ms[w] = now;
        }

        limit = ngx_wagw_pacing_limit(p, w, now);
        if (limit && !p->warned[w] && (uint64_t)p->used[w] * 10 >= (uint64_t)limit * 8) {
            p->warned[w] = true;
            warned |= 1u << w;
        }
    }

    if (!new_chat) {
        p->next_ms = now + p->min_delay_ms + (p->jitter_ms ? random % (p->jitter_ms + 1) : 0);
        if (p->burst && p->bucket >= 1) {
            p->bucket -= 1;
        }
    }

    return warned;
}

void ngx_wagw_pacing_reset(ngx_wagw_pacing_t *p)
{
    memset(p->begin_ms, 0, sizeof(p->begin_ms));
    memset(p->used, 0, sizeof(p->used));
    memset(p->warned, 0, sizeof(p->warned));
    p->next_ms = p->burst_ms = 0;
    p->bucket = 0;
}

static void json_or_null(wagw_json_t *j, const char *name, uint32_t v)
{
    if (v) {
        wagw_json_kint(j, name, v);
    } else {
        wagw_json_knull(j, name);
    }
}

void ngx_wagw_pacing_json(ngx_wagw_pacing_t *p, int64_t now, wagw_json_t *j)
{
    int64_t reset = 0;

    pacing_turn(p, now);
    wagw_json_open(j, '{');

    for (int w = 0; w < NGX_WAGW_PACE_CHATS; w++) {
        json_or_null(j, paces[w].setting, p->limit[w]);
    }

    json_or_null(j, "burst", p->burst);
    json_or_null(j, "newChatsPerDay", p->limit[NGX_WAGW_PACE_CHATS]);
    json_or_null(j, "minDelayMs", p->min_delay_ms);
    json_or_null(j, "jitterMs", p->jitter_ms);
    wagw_json_kint(j, "maxQueue", p->max_queue);
    wagw_json_key(j, "warmup");
    wagw_json_open(j, '{');
    wagw_json_kbool(j, "enabled", p->warmup);
    wagw_json_kint(j, "day", pacing_day(p, now));
    wagw_json_key(j, "factor");
    wagw_json_num(j, (double)(int)(pacing_factor(p, now) * 1000 + 0.5) / 1000);
    wagw_json_close(j);
    wagw_json_key(j, "used");
    wagw_json_open(j, '{');

    for (int w = 0; w < NGX_WAGW_PACE_N; w++) {
        wagw_json_kint(j, paces[w].name, p->used[w]);
        if (p->used[w] && (reset == 0 || ngx_wagw_pacing_ends(p, w) < reset)) {
            reset = ngx_wagw_pacing_ends(p, w);
        }
    }

    wagw_json_close(j);
    wagw_json_kiso(j, "resetAt", reset);
    wagw_json_close(j);
}

void ngx_wagw_pacing_save(const ngx_wagw_pacing_t *p, wagw_buf_t *out)
{
    wagw_json_t j = wagw_json(out);

    wagw_json_open(&j, '{');
    for (int w = 0; w < NGX_WAGW_PACE_N; w++) {
        wagw_json_key(&j, paces[w].name);
        wagw_json_open(&j, '[');
        wagw_json_int(&j, p->begin_ms[w]);
        wagw_json_int(&j, p->used[w]);
        wagw_json_bool(&j, p->warned[w]);
        wagw_json_close(&j);
    }
    wagw_json_kint(&j, "next", p->next_ms);
    wagw_json_close(&j);
}

void ngx_wagw_pacing_load(ngx_wagw_pacing_t *p, const cJSON *saved)
{
    const cJSON *v;
    double n;

    for (int w = 0; w < NGX_WAGW_PACE_N; w++) {
        v = cJSON_GetObjectItemCaseSensitive(saved, paces[w].name);
        n = cJSON_GetArraySize(v) == 3 ? cJSON_GetNumberValue(cJSON_GetArrayItem(v, 0)) : 0;
        p->begin_ms[w] = n > 0 && n < 1e15 ? (int64_t)n : 0;
        n = cJSON_GetArraySize(v) == 3 ? cJSON_GetNumberValue(cJSON_GetArrayItem(v, 1)) : 0;
        p->used[w] = n > 0 && n < 1e9 ? (uint32_t)n : 0;
        p->warned[w] = cJSON_GetArraySize(v) == 3 && cJSON_IsTrue(cJSON_GetArrayItem(v, 2));
    }

    v = cJSON_GetObjectItemCaseSensitive(saved, "next");
    p->next_ms = cJSON_IsNumber(v) && v->valuedouble > 0 && v->valuedouble < 1e15 ? (int64_t)v->valuedouble : 0;
}
