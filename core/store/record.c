/*
 * Batches, record keys and the hash that the cache and the overlay share.
 */

#include "record_private.h"

#include <stdlib.h>

wagw_batch_t *wagw_batch_create(uint32_t instance, uint64_t seq)
{
    wagw_batch_t *b;

    b = calloc(1, sizeof(wagw_batch_t));
    if (b == NULL) {
        return NULL;
    }

    b->instance = instance;
    b->seq = seq;

    return b;
}

void wagw_batch_destroy(wagw_batch_t *b)
{
    wagw_op_t *op;

    if (b == NULL) {
        return;
    }

    for (op = b->ops; op != NULL; op = op->next) {
        if (op->value.n != 0) {
            wagw_wipe((void *)(uintptr_t)op->value.p, op->value.n);
        }
    }

    wagw_arena_free(&b->arena);
    free(b);
}

static wagw_op_t *wagw_batch_op(wagw_batch_t *b, wagw_op_type_t type)
{
    wagw_op_t *op;

    op = wagw_arena_zalloc(&b->arena, sizeof(wagw_op_t));
    if (op == NULL) {
        return NULL;
    }

    op->op = (uint8_t)type;
    return op;
}

static void wagw_batch_link(wagw_batch_t *b, wagw_op_t *op)
{
    if (b->last != NULL) {
        b->last->next = op;
    } else {
        b->ops = op;
    }

    b->last = op;
    b->nops++;
}

int wagw_batch_add(wagw_batch_t *b, wagw_op_type_t type, uint8_t kind, wagw_str_t key, wagw_str_t value)
{
    wagw_op_t *op;

    op = wagw_batch_op(b, type);
    if (op == NULL) {
        return WAGW_NOMEM;
    }

    op->kind = kind;
    op->key = wagw_arena_str(&b->arena, key);
    op->value = wagw_arena_str(&b->arena, value);
    if (op->key.p == NULL || op->value.p == NULL) {
        return WAGW_NOMEM;
    }

    wagw_batch_link(b, op);
    return WAGW_OK;
}

wagw_event_t *wagw_rec_event(wagw_arena_t *a, const wagw_event_t *ev)
{
    wagw_event_t *copy;

    copy = wagw_arena_alloc(a, sizeof(wagw_event_t));
    if (copy == NULL) {
        return NULL;
    }

    *copy = *ev;
    copy->chat = wagw_arena_str(a, ev->chat);
    copy->data = wagw_arena_str(a, ev->data);
    if (copy->chat.p == NULL || copy->data.p == NULL) {
        return NULL;
    }

    return copy;
}

int wagw_batch_event(wagw_batch_t *b, const wagw_event_t *ev)
{
    wagw_op_t *op;

    op = wagw_batch_op(b, WAGW_OP_EVENT);
    if (op == NULL) {
        return WAGW_NOMEM;
    }

    op->event = wagw_rec_event(&b->arena, ev);
    if (op->event == NULL) {
        return WAGW_NOMEM;
    }

    wagw_batch_link(b, op);
    return WAGW_OK;
}

/* A key has two bars: ids come from strangers. */
static bool msgkey_bar(wagw_str_t s)
{
    return s.n != 0 && memchr(s.p, '|', s.n) != NULL;
}

size_t wagw_msgkey(char out[WAGW_KEY_MAX], wagw_str_t chat, wagw_str_t id, wagw_str_t sender)
{
    size_t n;

    if (chat.n >= WAGW_KEY_MAX || id.n >= WAGW_KEY_MAX || sender.n >= WAGW_KEY_MAX) {
        out[0] = '\0';
        return 0;
    }

    n = chat.n + 1 + id.n + 1 + sender.n;
    if (n >= WAGW_KEY_MAX || msgkey_bar(chat) || msgkey_bar(id) || msgkey_bar(sender)) {
        out[0] = '\0';
        return 0;
    }

    if (chat.n != 0) {
        memcpy(out, chat.p, chat.n);
    }
    out[chat.n] = '|';
    if (id.n != 0) {
        memcpy(out + chat.n + 1, id.p, id.n);
    }
    out[chat.n + 1 + id.n] = '|';
    if (sender.n != 0) {
        memcpy(out + chat.n + 1 + id.n + 1, sender.p, sender.n);
    }
    out[n] = '\0';

    return n;
}

bool wagw_rec_in_chat(uint8_t kind, wagw_str_t key, wagw_str_t chat)
{
    switch (kind) {

    case WAGW_REC_CHAT:
        return wagw_str_eq(key, chat);

    case WAGW_REC_MESSAGE:
    case WAGW_REC_RECEIPT:
    case WAGW_REC_REACTION:
    case WAGW_REC_VOTE:
        return key.n > chat.n && key.p[chat.n] == '|' && wagw_str_starts(key, chat);

    default:
        return false;
    }
}

/*
 * Keys hold text that peers choose (message ids), so the seed is an address
 * of this process: collisions cannot be prepared outside.
 */
uint64_t wagw_rec_hash(const wagw_cache_t *c, uint32_t instance, uint8_t kind, wagw_str_t key)
{
    size_t n;
    uint64_t h, w;
    const uint8_t *p;

    h = c->seed ^ ((uint64_t)instance << 8 | kind) * 0x9e3779b97f4a7c15ULL;

    p = key.p;
    for (n = key.n; n >= 8; n -= 8, p += 8) {
        memcpy(&w, p, 8);
        h = (h ^ w) * 0xd6e8feb86659fd93ULL;
        h ^= h >> 32;
    }

    w = 0;
    if (n != 0) {
        memcpy(&w, p, n);
    }
    w ^= (uint64_t)key.n << 56;

    h = (h ^ w) * 0xd6e8feb86659fd93ULL;
    h ^= h >> 32;
    h *= 0x9fb21c651e98df25ULL;
    h ^= h >> 29;

    return h;
}
