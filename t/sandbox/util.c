/*
 * Small things that every part of the sandbox needs.
 */

#include "sandbox.h"

#include <openssl/rand.h>

#include <stdio.h>
#include <stdlib.h>
#include <time.h>

static char sbx_deleted[1];

void *sbx_alloc(size_t n)
{
    void *p;

    p = calloc(1, n ? n : 1);
    if (p == NULL) {
        fprintf(stderr, "wagw-sandbox: out of memory\n");
        abort();
    }
    return p;
}

char *sbx_strndup(wagw_str_t s)
{
    char *p;

    p = sbx_alloc(s.n + 1);
    if (s.n != 0) {
        memcpy(p, s.p, s.n);
    }
    return p;
}

char *sbx_strdup(const char *s)
{
    return sbx_strndup(wagw_cstr(s));
}

void sbx_set_text(char **slot, const char *value)
{
    char *copy;

    copy = value ? sbx_strdup(value) : NULL;
    free(*slot);
    *slot = copy;
}

static uint64_t sbx_hash(const char *key)
{
    uint64_t h;

    for (h = 0xcbf29ce484222325ULL; *key; key++) {
        h = (h ^ (uint8_t)*key) * 0x100000001b3ULL;
    }
    return h ^ (h >> 29);
}

static sbx_slot_t *sbx_map_slot(const sbx_map_t *m, const char *key)
{
    size_t i;

    if (m->cap == 0) {
        return NULL;
    }
    for (i = sbx_hash(key) & (m->cap - 1); m->slots[i].key != NULL; i = (i + 1) & (m->cap - 1)) {
        if (m->slots[i].key != sbx_deleted && strcmp(m->slots[i].key, key) == 0) {
            return &m->slots[i];
        }
    }
    return NULL;
}

void *sbx_map_get(const sbx_map_t *m, const char *key)
{
    sbx_slot_t *s;

    s = sbx_map_slot(m, key);
    return s ? s->value : NULL;
}

static void sbx_map_place(sbx_map_t *m, char *key, void *value)
{
    size_t i;

    i = sbx_hash(key) & (m->cap - 1);
    while (m->slots[i].key != NULL) {
        i = (i + 1) & (m->cap - 1);
    }
    m->slots[i].key = key;
    m->slots[i].value = value;
    m->used++;
    m->count++;
}

void sbx_map_put(sbx_map_t *m, const char *key, void *value)
{
    size_t i;
    sbx_map_t old;
    sbx_slot_t *s;

    s = sbx_map_slot(m, key);
    if (s != NULL) {
        s->value = value;
        return;
    }

    if ((m->used + 1) * 4 > m->cap * 3) {
        old = *m;
        memset(m, 0, sizeof(*m));
        for (m->cap = 8; m->cap < (old.count + 1) * 2; m->cap *= 2) {
        }
        m->slots = sbx_alloc(m->cap * sizeof(sbx_slot_t));
        for (i = 0; i < old.cap; i++) {
            if (old.slots[i].key != NULL && old.slots[i].key != sbx_deleted) {
                sbx_map_place(m, old.slots[i].key, old.slots[i].value);
            }
        }
        free(old.slots);
    }

    sbx_map_place(m, sbx_strdup(key), value);
}

void sbx_map_del(sbx_map_t *m, const char *key)
{
    sbx_slot_t *s;

    s = sbx_map_slot(m, key);
    if (s != NULL) {
        free(s->key);
        s->key = sbx_deleted;
        s->value = NULL;
        m->count--;
    }
}

void sbx_map_free(sbx_map_t *m)
{
    size_t i;

    for (i = 0; i < m->cap; i++) {
        if (m->slots[i].key != sbx_deleted) {
            free(m->slots[i].key);
        }
    }
    free(m->slots);
    memset(m, 0, sizeof(*m));
}

sbx_stanza_t *sbx_stanza_bytes(wagw_str_t plain)
{
    sbx_stanza_t *s;

    s = sbx_alloc(sizeof(sbx_stanza_t) + plain.n);
    s->refs = 1;
    s->n = (uint32_t)plain.n;
    memcpy(s->data, plain.p, plain.n);
    return s;
}

sbx_stanza_t *sbx_stanza(const wagw_node_t *n)
{
    wagw_buf_t b = {0};
    sbx_stanza_t *s;

    if (wagw_node_encode(&b, n) != WAGW_OK || b.failed) {
        fprintf(stderr, "wagw-sandbox: a node cannot be encoded\n");
        wagw_buf_reset(&b);
        wagw_buf_u8(&b, 0);
    }
    s = sbx_stanza_bytes(wagw_buf_view(&b));
    wagw_buf_free(&b);
    return s;
}

sbx_stanza_t *sbx_stanza_ref(sbx_stanza_t *s)
{
    s->refs++;
    return s;
}

void sbx_stanza_unref(sbx_stanza_t *s)
{
    if (s != NULL && --s->refs == 0) {
        free(s);
    }
}

wagw_node_t *sbx_stanza_node(wagw_arena_t *a, const sbx_stanza_t *s)
{
    wagw_node_t *n;

    return wagw_node_decode(&n, a, wagw_str(s->data, s->n)) == WAGW_OK ? n : NULL;
}

void sbx_log_add(sbx_log_t *log, bool out, sbx_stanza_t *s)
{
    sbx_entry_t *e;

    if (sbx.log_nodes == 0) {
        return;
    }

    e = sbx_alloc(sizeof(sbx_entry_t));
    e->stanza = sbx_stanza_ref(s);
    e->out = out;
    e->t = sbx_now_ms();
    if (log->last != NULL) {
        log->last->next = e;
    } else {
        log->head = e;
    }
    log->last = e;

    if (++log->count > sbx.log_nodes) {
        e = log->head;
        log->head = e->next;
        log->count--;
        sbx_stanza_unref(e->stanza);
        free(e);
    }
    sbx_changed();
}

void sbx_log_clear(sbx_log_t *log)
{
    sbx_entry_t *e;

    while ((e = log->head) != NULL) {
        log->head = e->next;
        sbx_stanza_unref(e->stanza);
        free(e);
    }
    memset(log, 0, sizeof(*log));
}

int64_t sbx_now_ms(void)
{
    struct timespec ts;

    clock_gettime(CLOCK_REALTIME, &ts);
    return (int64_t)ts.tv_sec * 1000 + ts.tv_nsec / 1000000;
}

int64_t sbx_now_s(void)
{
    return sbx_now_ms() / 1000;
}

void sbx_random(void *data, uint8_t *p, size_t n)
{
    (void)data;
    if (RAND_bytes(p, (int)n) != 1) {
        abort();
    }
}

uint32_t sbx_random_u32(void)
{
    uint8_t b[4];

    sbx_random(NULL, b, sizeof(b));
    return sbx_be_read(b, 4);
}

wagw_str_t sbx_server_id(wagw_arena_t *a)
{
    return wagw_arena_printf(a, "%llu", (unsigned long long)(3000000000ULL + sbx.next_id++));
}

void sbx_be(uint8_t *p, uint32_t v, unsigned bytes)
{
    while (bytes-- > 0) {
        p[bytes] = (uint8_t)v;
        v >>= 8;
    }
}

uint32_t sbx_be_read(const uint8_t *p, unsigned bytes)
{
    uint32_t v;

    for (v = 0; bytes > 0; bytes--) {
        v = v << 8 | *p++;
    }
    return v;
}

void sbx_varint(wagw_buf_t *b, uint64_t v)
{
    for (; v > 127; v >>= 7) {
        wagw_buf_u8(b, (uint8_t)(v | 128));
    }
    wagw_buf_u8(b, (uint8_t)v);
}

void sbx_pb_uint(wagw_buf_t *b, unsigned field, uint64_t v)
{
    sbx_varint(b, (uint64_t)field << 3);
    sbx_varint(b, v);
}

void sbx_pb_bytes(wagw_buf_t *b, unsigned field, wagw_str_t v)
{
    sbx_varint(b, (uint64_t)field << 3 | 2);
    sbx_varint(b, v.n);
    wagw_buf_str(b, v);
}
