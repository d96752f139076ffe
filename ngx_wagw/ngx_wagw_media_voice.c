#include "ngx_wagw_media.h"

#include <opus/opusfile.h>

/*
 * Waveform and seconds of a voice note, read from our own encrypted copy.
 */

#define VOICE_SAMPLES 5760     /* the longest packet, per channel */
#define VOICE_SECONDS_MAX 3600 /* a longer one has no waveform */

typedef struct {
    ngx_wagw_media_t *m;
    ngx_wagw_media_reader_t reader;
    wagw_str_t piece;
    opus_int64 at;
    bool open;
} voice_t;

static void voice_close(voice_t *v)
{
    if (v->open) {
        ngx_wagw_media_reader_end(&v->reader);
        v->open = false;
    }
    v->piece = WAGW_STR_NULL;
}

static int voice_read(void *data, unsigned char *p, int n)
{
    int got = 0;
    voice_t *v = data;
    size_t k;

    while (n > 0 && (uint64_t)v->at < v->m->sums.size) {
        if (v->piece.n == 0) {
            if (!v->open) {
                if (ngx_wagw_media_reader(&v->reader, v->m->out, &v->m->keys, (uint64_t)v->at, v->m->sums.size) !=
                    NGX_OK) {
                    return -1;
                }
                v->open = true;
            }
            if (!ngx_wagw_media_reader_next(&v->reader, &v->piece)) {
                return -1;
            }
            if (v->piece.n == 0) {
                break;
            }
        }
        k = ngx_min((size_t)n, v->piece.n);
        memcpy(p, v->piece.p, k);
        p += k;
        n -= (int)k;
        got += (int)k;
        v->at += (opus_int64)k;
        v->piece.p += k;
        v->piece.n -= k;
    }
    return got;
}

static int voice_seek(void *data, opus_int64 offset, int whence)
{
    voice_t *v = data;
    opus_int64 size = (opus_int64)v->m->sums.size;

    offset += whence == SEEK_CUR ? v->at : whence == SEEK_END ? size : 0;
    if (offset < 0 || offset > size) {
        return -1;
    }
    voice_close(v);
    v->at = offset;
    return 0;
}

static opus_int64 voice_tell(void *data)
{
    return ((voice_t *)data)->at;
}

void ngx_wagw_media_voice(ngx_wagw_media_t *m)
{
    static const OpusFileCallbacks callbacks = {voice_read, voice_seek, voice_tell, NULL};
    int n, channels;
    float *pcm = malloc(2 * VOICE_SAMPLES * sizeof(float));
    voice_t *v = calloc(1, sizeof(*v));
    ogg_int64_t total;
    OggOpusFile *f = NULL;
    wagw_waveform_t w;

    if (pcm == NULL || v == NULL) {
        goto done;
    }
    v->m = m;
    f = op_open_callbacks(v, &callbacks, NULL, 0, NULL);
    if (f == NULL) {
        ngx_wagw_media_fail(m, 415, "UNSUPPORTED_MEDIA", "The voice note cannot be decoded");
        goto done;
    }
    total = op_pcm_total(f, -1);
    if (total <= 0) {
        goto done;
    }
    m->facts.seconds = (uint32_t)((total + 47999) / 48000);
    if (m->facts.seconds > VOICE_SECONDS_MAX) {
        goto done;
    }
    wagw_waveform_begin(&w, (uint64_t)total);
    for (;;) {
        n = op_read_float(f, pcm, 2 * VOICE_SAMPLES, NULL);
        if (n == OP_HOLE) {
            continue;
        }
        if (n <= 0) {
            break;
        }
        channels = op_channel_count(f, op_current_link(f));
        wagw_waveform_add(&w, pcm, (size_t)n, (size_t)channels);
    }
    wagw_waveform_end(&w, m->waveform);
    m->has_waveform = 1;

done:
    if (f) {
        op_free(f);
    }
    if (v) {
        voice_close(v);
    }
    free(v);
    free(pcm);
}
