/*
 * wagw_rate_limit: fixed windows of API keys, begun by a first request
 * and counted in the zone by all workers.  A cell belongs to one key under one limit; a stranger takes over
 * the oldest cell of its neighbourhood, so the table never fills up.
 */

#include "ngx_wagw_zone.h"

#define RATE_PROBES 8

void ngx_wagw_rate_count(ngx_shm_zone_t *zone, ngx_str_t *key_id, ngx_uint_t limit, ngx_uint_t window, time_t now,
                         ngx_wagw_rate_t *r)
{
    uint32_t h, start = (uint32_t)now;
    uint64_t old, new, age, oldest = 0;
    ngx_uint_t i, count = 0;
    ngx_wagw_zone_t *z = zone->data;
    ngx_atomic_uint_t tag, have;
    ngx_wagw_rate_cell_t *cells = (ngx_wagw_rate_cell_t *)((u_char *)z + z->rate_at), *cell = NULL, *c, *victim = NULL;

    h = ngx_murmur_hash2(key_id->data, key_id->len);
    tag = (ngx_atomic_uint_t)h << 32 | (ngx_crc32_short(key_id->data, key_id->len) ^ (uint32_t)(limit * 31 + window));
    tag = tag ? tag : 1;

    for (i = 0; i < RATE_PROBES && cell == NULL; i++) {
        c = &cells[(h + i) & z->rate_mask];
        have = c->tag;
        if (have == tag) {
            cell = c;
        } else if (have == 0 && ngx_atomic_cmp_set(&c->tag, 0, tag)) {
            c->value = 0;
            cell = c;
        } else {
            age = start - (uint32_t)(c->value >> 32);
            if (victim == NULL || age > oldest) {
                victim = c;
                oldest = age;
            }
        }
    }
    if (cell == NULL) {
        cell = victim;
        cell->tag = tag;
        cell->value = 0;
    }

    for (i = 0; i < NGX_WAGW_TRIES; i++) {
        old = cell->value;
        start = (uint32_t)(old >> 32);
        count = old & 0xffffffff;
        if (count == 0 || (uint32_t)now - start >= window) {
            start = (uint32_t)now;
            count = 0;
        }
        new = (uint64_t)start << 32 | (count < 0xffffffff ? count + 1 : count);
        if (ngx_atomic_cmp_set(&cell->value, old, new)) {
            break;
        }
    }
    count++;

    r->limit = limit;
    r->window = window;
    r->reset = window - ((uint32_t)now - start);
    r->refused = count > limit;
    r->remaining = r->refused ? 0 : limit - count;
}
