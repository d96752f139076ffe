#include "media.h"

#include <math.h>

void wagw_waveform_begin(wagw_waveform_t *w, uint64_t total)
{
    memset(w, 0, sizeof(*w));
    w->block = total / WAGW_WAVEFORM;
}

void wagw_waveform_add(wagw_waveform_t *w, const float *samples, size_t n, size_t step)
{
    for (size_t i = 0; i < n && w->block; i++, w->at++) {
        uint64_t k = w->at / w->block;

        if (k >= WAGW_WAVEFORM) {
            return; /* what does not fill a block is dropped */
        }
        w->sum[k] += fabs((double)samples[i * step]);
    }
}

void wagw_waveform_end(const wagw_waveform_t *w, uint8_t out[WAGW_WAVEFORM])
{
    double max = 0, v;

    for (size_t i = 0; i < WAGW_WAVEFORM; i++) {
        max = w->sum[i] > max ? w->sum[i] : max;
    }
    for (size_t i = 0; i < WAGW_WAVEFORM; i++) {
        v = isfinite(max) && max > 0 ? floor(100 * (w->sum[i] / max)) : 0;
        out[i] = v >= 0 && v <= 100 ? (uint8_t)v : 0;
    }
}
