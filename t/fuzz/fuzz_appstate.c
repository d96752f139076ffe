/*
 * App-state bytes of a hostile server or phone.  First byte: 0 a patch, 1 a
 * snapshot, 2 a blob reference, 3 a patch with an external list,
 * 4 index and value of a change that is encoded, applied and told: what was
 * signed must come back as it was.
 */

#include <stdlib.h>

#include "../../core/appstate/appstate.h"

static wagw_cache_t *fuzz_cache;
static const uint8_t fuzz_key[34] = {0x0a, 0x20, 1, 2, 3};

static void need(bool ok)
{
    if (!ok) {
        abort();
    }
}

typedef struct {
    uint8_t mode;
    wagw_str_t a, b;
    wagw_buf_t patch;
    wagw_arena_t arena;
    unsigned told;
} fuzz_t;

static int fuzz_told(void *data, const wagw_app_mutation_t *m)
{
    fuzz_t *f = data;

    f->told++;
    if (f->mode == 4) {
        need(wagw_str_eq(m->index, f->a) && wagw_str_eq(m->value, f->b) && m->last);
    }
    return WAGW_OK;
}

static int fuzz_once(wagw_txn_t *t, fuzz_t *f)
{
    int rc;
    wagw_app_error_t err;
    wagw_app_change_t ch = {.index = f->a, .value = f->b, .version = 3};
    wagw_app_state_t s;

    rc = wagw_txn_put(t, WAGW_REC_APP_KEY, WAGW_STR("01"), wagw_str(fuzz_key, sizeof(fuzz_key)));
    if (rc != WAGW_OK) {
        return rc;
    }
    switch (f->mode) {
    case 0:
        return wagw_app_patch(t, &f->arena, WAGW_APP_REGULAR, f->a, WAGW_STR_NULL, 1, fuzz_told, f, &err);
    case 1:
        return wagw_app_snapshot(t, &f->arena, WAGW_APP_REGULAR, f->a, fuzz_told, f, &err);
    case 3:
        return wagw_app_patch(t, &f->arena, WAGW_APP_REGULAR, f->a, f->b, 1, fuzz_told, f, &err);
    default:
        wagw_buf_reset(&f->patch);
        rc = wagw_app_encode(t, &f->arena, WAGW_APP_REGULAR, WAGW_STR("\1"), &ch, 1, &f->patch, &err);
        if (rc != WAGW_OK) {
            return rc;
        }
        rc = wagw_app_patch(t, &f->arena, WAGW_APP_REGULAR, wagw_buf_view(&f->patch), WAGW_STR_NULL, 1, fuzz_told, f,
                            &err);
        need(rc == WAGW_AGAIN || rc == WAGW_OK || f->a.n > 4096);
        if (rc == WAGW_OK) {
            need(f->told == 1 && wagw_app_state(t, WAGW_APP_REGULAR, &s) == WAGW_OK && s.version == 1);
        }
        return rc;
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *p, size_t n);

int LLVMFuzzerTestOneInput(const uint8_t *p, size_t n)
{
    int rc = WAGW_AGAIN;
    fuzz_t f = {0};
    size_t half;
    wagw_txn_t t = {0};
    wagw_app_blob_t ref;

    if (n < 3) {
        return 0;
    }
    if (fuzz_cache == NULL) {
        fuzz_cache = wagw_cache_create(8 << 20);
        need(fuzz_cache != NULL);
    }
    f.mode = p[0] % 5;
    p++;
    n--;
    half = f.mode < 2 ? n : (size_t)p[0] * n / 256;
    f.a = wagw_str(p, half);
    f.b = wagw_str(p + half, n - half);

    if (f.mode == 2) {
        if (wagw_app_blob(f.a, &ref) == WAGW_OK) {
            need(ref.media_key.n == 32 && ref.direct_path.p[0] == '/');
        }
        return 0;
    }

    for (int i = 0; i < 8 && rc == WAGW_AGAIN; i++) {
        wagw_load_t *asked = NULL, *copy;

        f.told = 0;
        wagw_txn_begin(&t, fuzz_cache, 1);
        rc = fuzz_once(&t, &f);
        wagw_txn_rollback(&t);
        if (rc == WAGW_AGAIN) {
            for (const wagw_load_t *l = t.misses; l; l = l->next) {
                copy = wagw_arena_alloc(&f.arena, sizeof(*copy));
                need(copy != NULL);
                *copy = *l;
                copy->next = asked;
                asked = copy;
            }
            need(wagw_cache_fill(fuzz_cache, 1, asked, NULL) == WAGW_OK);
            t.scans_asked = asked;
        }
    }
    wagw_txn_free(&t);
    wagw_cache_forget(fuzz_cache, 1);
    wagw_buf_free(&f.patch);
    wagw_arena_free(&f.arena);
    return 0;
}
