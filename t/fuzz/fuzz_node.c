/*
 * One frame's plaintext from a hostile server.  What can be read must be
 * written again, and read from there as the same node.
 */

#include <stdlib.h>

#include "../../core/binary/node.h"

int LLVMFuzzerTestOneInput(const uint8_t *p, size_t n);

static void need(bool ok)
{
    if (!ok) {
        abort();
    }
}

static bool same(const wagw_node_t *a, const wagw_node_t *b)
{
    const wagw_attr_t *x, *y;
    const wagw_node_t *c, *d;

    if (!wagw_str_eq(a->tag, b->tag) || !wagw_str_eq(a->data, b->data) || a->nattrs != b->nattrs ||
        a->nchildren != b->nchildren) {
        return false;
    }
    for (x = a->attrs, y = b->attrs; x != NULL; x = x->next, y = y->next) {
        if (!wagw_str_eq(x->key, y->key) || !wagw_str_eq(x->value, y->value)) {
            return false;
        }
    }
    for (c = a->child, d = b->child; c != NULL; c = c->next, d = d->next) {
        if (!same(c, d)) {
            return false;
        }
    }
    return true;
}

/* JIDs have texts that mean the same and look different (`:0`, `_0`), and
 * packed strings may hold what only raw ones can; such a frame changes once. */
static void check_again(const wagw_node_t *node)
{
    wagw_arena_t first = {0}, second = {0};
    wagw_buf_t a = {0}, b = {0};
    wagw_node_t *x, *y;

    if (wagw_node_encode(&a, node) == WAGW_OK) {
        need(wagw_node_decode(&x, &first, wagw_buf_view(&a)) == WAGW_OK);
        if (wagw_node_encode(&b, x) == WAGW_OK) {
            need(wagw_node_decode(&y, &second, wagw_buf_view(&b)) == WAGW_OK);
            need(y->nattrs == x->nattrs && y->nchildren == x->nchildren);
            if (wagw_str_eq(wagw_buf_view(&a), wagw_buf_view(&b))) {
                need(same(x, y));
            }
        }
    }
    wagw_buf_free(&a);
    wagw_buf_free(&b);
    wagw_arena_free(&first);
    wagw_arena_free(&second);
}

static void read_all(const wagw_node_t *n)
{
    const wagw_node_t *c;
    const wagw_attr_t *at;
    wagw_jid_t j;
    char text[WAGW_JID_TEXT_MAX];
    uint64_t u;

    for (at = n->attrs; at != NULL; at = at->next) {
        if (wagw_jid_parse(&j, at->value) == WAGW_OK) {
            wagw_jid_t again;
            size_t len = wagw_jid_text(&j, text);

            need(len < sizeof(text) && text[len] == '\0');
            need(wagw_jid_parse(&again, wagw_str(text, len)) == WAGW_OK && wagw_jid_eq(&j, &again));
        }
        wagw_jid_from_caller(&j, at->value);
        wagw_str_u64(at->value, &u);
    }
    for (c = n->child; c != NULL; c = c->next) {
        read_all(c);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *p, size_t n)
{
    wagw_arena_t a = {0}, other = {0};
    wagw_buf_t dump = {0};
    wagw_node_t *node, *copy;

    if (wagw_node_decode(&node, &a, wagw_str(p, n)) == WAGW_OK) {
        need(node->tag.n > 0);
        read_all(node);
        need(wagw_node_dump(&dump, node) == WAGW_OK);
        copy = wagw_node_clone(&other, node);
        need(copy != NULL && same(node, copy));
        check_again(node);
    }
    wagw_buf_free(&dump);
    wagw_arena_free(&a);
    wagw_arena_free(&other);
    return 0;
}
