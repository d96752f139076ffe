#include "ngx_wagw_media.h"

#include <dirent.h>
#include <openssl/rand.h>

static struct {
    ngx_wagw_main_conf_t *wmcf;
    char *dir, *cafile;
    ngx_atomic_t stopping;
} media;

/* ---- the directory ---- */

/* What an owner left that was killed. */
static void media_sweep(const char *dir)
{
    int fd;
    DIR *d = opendir(dir);
    struct dirent *e;

    if (d == NULL) {
        return;
    }
    fd = dirfd(d);
    while ((e = readdir(d)) != NULL) {
        if (e->d_name[0] != '.') {
            unlinkat(fd, e->d_name, 0);
        }
    }
    closedir(d);
}

ngx_int_t ngx_wagw_media_init(ngx_cycle_t *cycle, ngx_wagw_main_conf_t *wmcf)
{
    wagw_buf_t b = {0};

    media.wmcf = wmcf;
    media.stopping = 0;
    /* never given back: threads may be inside when others are done with curl */
    if (curl_global_init(CURL_GLOBAL_DEFAULT) != CURLE_OK) {
        return NGX_ERROR;
    }
    wagw_buf_add(&b, wmcf->state_dir.data, wmcf->state_dir.len);
    wagw_buf_cstr(&b, "/media");
    wagw_buf_u8(&b, 0);
    media.dir = b.failed ? NULL : (char *)b.p;
    if (media.dir == NULL) {
        wagw_buf_free(&b);
        return NGX_ERROR;
    }
    if (mkdir(media.dir, 0700) == -1 && ngx_errno != NGX_EEXIST) {
        ngx_log_error(NGX_LOG_ERR, cycle->log, ngx_errno, "wagw: cannot make \"%s\": media cannot be sent", media.dir);
    }
    media_sweep(media.dir);
    if (wmcf->trusted_certificate.len) {
        media.cafile = wagw_str_dup(wagw_str(wmcf->trusted_certificate.data, wmcf->trusted_certificate.len));
    }
    ngx_wagw_media_cache_init(cycle);
    return ngx_wagw_media_keep_init(cycle, wmcf);
}

void ngx_wagw_media_done(void)
{
    ngx_wagw_media_cache_done();
    ngx_wagw_media_auto_done();
    ngx_wagw_media_keep_done();
    free(media.dir);
    free(media.cafile);
    media.dir = media.cafile = NULL;
}

ngx_fd_t ngx_wagw_media_file(ngx_wagw_media_t *m)
{
    int fd;
    char path[NGX_MAX_PATH];

    snprintf(path, sizeof(path), "%s/tmp-XXXXXX", m->dir);
    fd = mkostemp(path, O_CLOEXEC);
    if (fd != -1) {
        unlink(path);
    }
    return fd;
}

/* One that gets a name for good later, or goes with the object. */
ngx_fd_t ngx_wagw_media_named(ngx_wagw_media_t *m)
{
    int fd;
    char path[NGX_MAX_PATH];

    snprintf(path, sizeof(path), "%s/new-XXXXXX", m->dir);
    fd = mkostemp(path, O_CLOEXEC);
    if (fd == -1) {
        return -1;
    }
    free(m->path);
    m->path = strdup(path);
    m->named = 1;
    if (m->path == NULL) {
        unlink(path);
        close(fd);
        return -1;
    }
    return fd;
}

uint64_t ngx_wagw_media_size(ngx_uint_t which, bool url)
{
    return (uint64_t)(url ? media.wmcf->media_url_limit : media.wmcf->media_limit)[which];
}

/* ---- the object ---- */

bool ngx_wagw_media_cancelled(ngx_wagw_media_t *m)
{
    return __atomic_load_n(&m->cancel, __ATOMIC_RELAXED) || __atomic_load_n(&media.stopping, __ATOMIC_RELAXED);
}

bool ngx_wagw_media_stopping(void)
{
    return __atomic_load_n(&media.stopping, __ATOMIC_RELAXED);
}

void ngx_wagw_media_stop(void)
{
    __atomic_store_n(&media.stopping, 1, __ATOMIC_RELAXED);
}

void ngx_wagw_media_free(ngx_wagw_media_t *m)
{
    if (m->in_fd != -1) {
        close(m->in_fd);
    }
    if (m->out != -1) {
        close(m->out);
    }
    if (m->kept) {
        close(m->kept->fd);
        ngx_wagw_media_reader_end(m->kept);
        free(m->kept);
    }
    wagw_media_seal_free(m->seal);
    wagw_media_check_free(m->check);
    wagw_buf_wipe(&m->head);
    wagw_buf_free(&m->cipher);
    wagw_buf_free(&m->sums.sidecar);
    wagw_buf_free(&m->thumbnail);
    wagw_buf_free(&m->answer);
    wagw_arena_free(&m->arena);
    cJSON_Delete(m->conn);
    free(m->allow.elts);
    free(m->cafile);
    free(m->dir);
    free(m->text);
    free(m->url);
    free(m->mimetype);
    free(m->file_name);
    free(m->source_type);
    free(m->source_name);
    free(m->chat);
    if (m->named && m->path) {
        unlink(m->path);
    }
    free(m->path);
    wagw_wipe(m, sizeof(*m));
    free(m);
}

/* The call's pool goes: it was answered. */
static void media_call_ended(void *data)
{
    ngx_wagw_media_t *m = data;

    m->call = NULL;
    m->ended = 1;
    if (m->event.posted) {
        ngx_delete_posted_event(&m->event);
        m->busy = 0;
    }
    if (m->event.timer_set) {
        ngx_del_timer(&m->event);
        m->busy = 0;
    }
    if (m->busy) {
        __atomic_store_n(&m->cancel, 1, __ATOMIC_RELAXED);
    } else {
        ngx_wagw_media_free(m);
    }
}

ngx_wagw_media_t *ngx_wagw_media_make(void)
{
    ngx_array_t *list;
    ngx_wagw_media_t *m = calloc(1, sizeof(*m));

    if (m == NULL) {
        return NULL;
    }
    m->in_fd = m->out = -1;
    m->task.data = m;
    m->dir = media.dir ? strdup(media.dir) : NULL;
    if (m->dir == NULL) {
        goto failed;
    }
    if (media.cafile) {
        m->cafile = strdup(media.cafile);
        if (m->cafile == NULL) {
            goto failed;
        }
    }
    list = media.wmcf->outbound_allow;
    if (list && list->nelts) {
        m->allow.elts = malloc(list->nelts * sizeof(ngx_cidr_t));
        if (m->allow.elts == NULL) {
            goto failed;
        }
        ngx_memcpy(m->allow.elts, list->elts, list->nelts * sizeof(ngx_cidr_t));
        m->allow.nelts = list->nelts;
        m->policy.outbound_allow = &m->allow;
    }
    return m;

failed:
    ngx_wagw_media_free(m);
    return NULL;
}

ngx_wagw_media_t *ngx_wagw_media_new(ngx_wagw_call_t *call)
{
    ngx_pool_cleanup_t *cln = ngx_pool_cleanup_add(call->pool, 0);
    ngx_wagw_media_t *m = cln ? ngx_wagw_media_make() : NULL;

    if (m == NULL) {
        ngx_wagw_call_fail(call, 500, "INTERNAL", "Out of memory", WAGW_STR_NULL);
        return NULL;
    }
    m->call = call;
    cln->handler = media_call_ended;
    cln->data = m;
    return m;
}

static void media_task_done(ngx_wagw_task_t *task)
{
    ngx_wagw_media_t *m = task->data;

    m->busy = 0;
    if (m->ended) {
        ngx_wagw_media_free(m);
    } else {
        m->next(m);
    }
}

void ngx_wagw_media_run(ngx_wagw_media_t *m, void (*run)(ngx_wagw_task_t *task), void (*next)(ngx_wagw_media_t *m))
{
    m->task.run = run;
    m->task.done = media_task_done;
    m->task.media = 1;
    m->next = next;
    m->busy = 1;
    if (ngx_wagw_task_post(&m->task) != NGX_OK) {
        m->busy = 0;
        ngx_wagw_media_fail(m, 503, "CAPACITY", "No thread for this transfer");
        ngx_wagw_media_later(m, next);
    }
}

static void media_event(ngx_event_t *ev)
{
    ngx_wagw_media_t *m = ev->data;

    m->busy = 0;
    m->next(m);
}

static void media_event_set(ngx_wagw_media_t *m, void (*next)(ngx_wagw_media_t *m))
{
    /* what was waited for came before the time was over */
    if (m->event.timer_set) {
        ngx_del_timer(&m->event);
    }
    m->next = next;
    m->busy = 1;
    m->event.handler = media_event;
    m->event.data = m;
    m->event.log = ngx_cycle->log;
}

void ngx_wagw_media_later(ngx_wagw_media_t *m, void (*next)(ngx_wagw_media_t *m))
{
    media_event_set(m, next);
    ngx_post_event(&m->event, &ngx_posted_events);
}

void ngx_wagw_media_wait(ngx_wagw_media_t *m, ngx_msec_t ms, void (*next)(ngx_wagw_media_t *m))
{
    media_event_set(m, next);
    ngx_add_timer(&m->event, ms);
}

void ngx_wagw_media_fail(ngx_wagw_media_t *m, ngx_uint_t status, const char *code, const char *fmt, ...)
{
    va_list ap;

    if (m->status) {
        return;
    }
    m->status = status;
    m->code = code;
    va_start(ap, fmt);
    vsnprintf(m->error, sizeof(m->error), fmt, ap);
    va_end(ap);
}

void ngx_wagw_media_answer(ngx_wagw_media_t *m)
{
    if (m->status == 400) {
        ngx_wagw_call_invalid(m->call, m->field, m->error);
    } else {
        ngx_wagw_call_fail(m->call, m->status, m->code, m->error, wagw_cstr(m->details));
    }
}

/* ---- a file as plaintext ---- */

ngx_int_t ngx_wagw_media_reader(ngx_wagw_media_reader_t *r, ngx_fd_t fd, const wagw_media_keys_t *keys, uint64_t from,
                                uint64_t to)
{
    ngx_memzero(&r->plain, sizeof(r->plain));
    r->fd = fd;
    r->open = NULL;
    r->at = from;
    r->end = to;
    if (keys) {
        r->open = wagw_media_open(keys, from, to, &r->at, &r->end);
        if (r->open == NULL) {
            return NGX_ERROR;
        }
    }
    return NGX_OK;
}

bool ngx_wagw_media_reader_next(ngx_wagw_media_reader_t *r, wagw_str_t *piece)
{
    ssize_t n;
    size_t want;

    *piece = WAGW_STR_NULL;
    wagw_buf_reset(&r->plain);
    while (r->at < r->end) {
        want = ngx_min(sizeof(r->cipher), r->end - r->at);
        n = pread(r->fd, r->cipher, want, (off_t)r->at);
        if (n == -1 && ngx_errno == NGX_EINTR) {
            continue;
        }
        if (n <= 0) {
            return false;
        }
        r->at += (uint64_t)n;
        if (r->open == NULL) {
            *piece = wagw_str(r->cipher, (size_t)n);
            return true;
        }
        if (wagw_media_open_add(r->open, &r->plain, wagw_str(r->cipher, (size_t)n)) != WAGW_OK) {
            return false;
        }
        if (r->plain.n) {
            *piece = wagw_buf_view(&r->plain);
            return true;
        }
    }
    return true;
}

void ngx_wagw_media_reader_end(ngx_wagw_media_reader_t *r)
{
    wagw_media_open_free(r->open);
    wagw_buf_wipe(&r->plain);
    wagw_wipe(r->cipher, sizeof(r->cipher));
    wagw_wipe(&r->keys, sizeof(r->keys));
}

/* ---- what may be sent as what ---- */

static bool media_one_of(const char *s, const char *list)
{
    size_t n = strlen(s);
    const char *p = list;

    while ((p = strstr(p, s)) != NULL) {
        if ((p == list || p[-1] == ' ') && (p[n] == ' ' || p[n] == '\0')) {
            return true;
        }
        p += n;
    }
    return false;
}

/* From the first bytes: is it what the call says? */
static void media_judge(ngx_wagw_media_t *m)
{
    static const struct {
        const char *kind, *suffixes, *what;
    } rules[] = {
        {"image", "jpg png webp gif", "a JPEG, PNG, WebP or GIF image"},
        {"video", "mp4 mov 3gp", "an MP4, MOV or 3GP video"},
        {"gif", "mp4 mov 3gp", "an MP4, MOV or 3GP video"},
        {"ptv", "mp4 mov 3gp", "an MP4, MOV or 3GP video"},
        {"audio", "ogg mp3 m4a mp4 aac amr", "an OGG, MP3, M4A, AAC or AMR audio file"},
        {"sticker", "webp", "a WebP image"},
    };

    m->judged = 1;
    wagw_media_sniff(&m->facts, wagw_buf_view(&m->head));

    /* what can be made playable is, where a converter is installed; once */
    if (!m->converted && ngx_wagw_media_convertible(&m->facts) &&
        (m->force_convert || (strcmp(m->kind, "voice") == 0 && !m->facts.opus) ||
         (strcmp(m->type->mms, "video") == 0 && media_one_of(m->facts.suffix, "webm mkv avi")))) {
        m->convert = !m->keep;
        return;
    }
    if (strcmp(m->kind, "voice") == 0 && !m->facts.opus) {
        ngx_wagw_media_fail(m, 415, "UNSUPPORTED_MEDIA", "A voice note must be OGG with Opus");
        return;
    }
    for (size_t i = 0; i < sizeof(rules) / sizeof(rules[0]); i++) {
        if (strcmp(rules[i].kind, m->kind) == 0 &&
            (m->facts.suffix == NULL || !media_one_of(m->facts.suffix, rules[i].suffixes))) {
            ngx_wagw_media_fail(m, 415, "UNSUPPORTED_MEDIA", "The file is not %s", rules[i].what);
        }
    }
    if (strcmp(m->kind, "sticker") == 0 && (m->facts.width > 512 || m->facts.height > 512)) {
        ngx_wagw_media_fail(m, 415, "UNSUPPORTED_MEDIA", "A sticker has at most 512 pixels on each side");
    }
}

/* ---- encrypting ---- */

static bool media_write(ngx_wagw_media_t *m)
{
    size_t at = 0;
    ssize_t n;

    while (at < m->cipher.n) {
        n = write(m->out, m->cipher.p + at, m->cipher.n - at);
        if (n == -1 && ngx_errno == NGX_EINTR) {
            continue;
        }
        if (n <= 0) {
            ngx_wagw_media_fail(m, 503, "CAPACITY", "The file cannot be kept: %s", strerror(ngx_errno));
            return false;
        }
        at += (size_t)n;
    }
    wagw_buf_reset(&m->cipher);
    return true;
}

bool ngx_wagw_media_take(ngx_wagw_media_t *m, wagw_str_t plain)
{
    size_t n;

    if (m->status || ngx_wagw_media_cancelled(m)) {
        return false;
    }
    m->size += plain.n;
    if (m->size > m->limit) {
        ngx_wagw_media_fail(m, 413, "MEDIA_TOO_LARGE", "The file has more than %llu bytes",
                            (unsigned long long)m->limit);
        return false;
    }
    if (!m->judged) {
        n = ngx_min(plain.n, WAGW_MEDIA_HEAD - m->head.n);
        wagw_buf_add(&m->head, plain.p, n);
        if (m->head.n == WAGW_MEDIA_HEAD) {
            media_judge(m);
            if (m->status) {
                return false;
            }
        }
    }
    if (wagw_media_seal_add(m->seal, &m->cipher, plain) != WAGW_OK || m->head.failed) {
        ngx_wagw_media_fail(m, 500, "INTERNAL", "Out of memory");
        return false;
    }
    return m->cipher.n < 65536 || media_write(m);
}

/* ---- what the file says of itself ---- */

static bool media_probe_read(void *data, uint64_t at, uint8_t *p, size_t n)
{
    bool ok = false;
    wagw_str_t piece;
    ngx_wagw_media_t *m = data;
    ngx_wagw_media_reader_t *r;

    if (at > m->sums.size || n > m->sums.size - at) {
        return false;
    }
    r = malloc(sizeof(*r));
    if (r == NULL || ngx_wagw_media_reader(r, m->out, &m->keys, at, at + n) != NGX_OK) {
        free(r);
        return false;
    }
    while (n && ngx_wagw_media_reader_next(r, &piece) && piece.n) {
        memcpy(p, piece.p, piece.n);
        p += piece.n;
        n -= piece.n;
    }
    ok = n == 0;
    ngx_wagw_media_reader_end(r);
    free(r);
    return ok;
}

/* Opens `out` for what _take() gives, under a key of its own. */
bool ngx_wagw_media_seal_begin(ngx_wagw_media_t *m)
{
    wagw_buf_reset(&m->head);
    m->judged = 0;
    m->size = 0;
    if (m->out != -1) {
        close(m->out);
    }
    m->out = m->keep ? ngx_wagw_media_named(m) : ngx_wagw_media_file(m);
    if (m->out == -1) {
        ngx_wagw_media_fail(m, 503, "CAPACITY", "The file cannot be kept: %s", strerror(ngx_errno));
        return false;
    }
    wagw_media_seal_free(m->seal);
    wagw_buf_free(&m->sums.sidecar);
    ngx_memzero(&m->sums, sizeof(m->sums));
    m->seal = NULL;
    if ((!m->keep && RAND_bytes(m->key, sizeof(m->key)) != 1) ||
        wagw_media_keys(&m->keys, m->type, m->key) != WAGW_OK || (m->seal = wagw_media_seal(m->type, m->key)) == NULL) {
        ngx_wagw_media_fail(m, 500, "INTERNAL", "Out of memory");
        return false;
    }
    return true;
}

bool ngx_wagw_media_seal_end(ngx_wagw_media_t *m)
{
    if (m->status == 0 && m->size == 0) {
        ngx_wagw_media_fail(m, 400, "VALIDATION_FAILED", "is empty");
    }
    if (m->status == 0 && !m->judged) {
        media_judge(m);
    }
    if (m->status == 0 && wagw_media_seal_end(m->seal, &m->cipher, &m->sums) != WAGW_OK) {
        ngx_wagw_media_fail(m, 500, "INTERNAL", "Out of memory");
    }
    return m->status == 0 && !ngx_wagw_media_cancelled(m) && media_write(m);
}

/* The source, encrypted, as `out`. */
static bool media_seal(ngx_wagw_media_t *m)
{
    if (!ngx_wagw_media_seal_begin(m)) {
        return false;
    }
    ngx_wagw_media_source(m);
    return ngx_wagw_media_seal_end(m);
}

void ngx_wagw_media_ingest(ngx_wagw_task_t *task)
{
    ngx_wagw_media_t *m = task->data;

    if (!media_seal(m)) {
        return;
    }
    if (m->convert) {
        m->convert = 0;
        m->converted = 1;
        m->in_base64 = 0;
        if (!ngx_wagw_media_convert(m) || !media_seal(m)) {
            return;
        }
    }
    wagw_buf_wipe(&m->head);
    ngx_memzero(&m->head, sizeof(m->head));

    wagw_media_probe(&m->facts, m->sums.size, media_probe_read, m);
    if (strcmp(m->kind, "image") == 0 || strcmp(m->kind, "sticker") == 0) {
        ngx_wagw_media_picture(m);
    } else if (strcmp(m->kind, "document") == 0 && m->facts.suffix && strcmp(m->facts.suffix, "pdf") == 0 && !m->keep) {
        ngx_wagw_media_pages(m);
    } else if (strcmp(m->type->mms, "video") == 0 && !m->facts.audio_only) {
        ngx_wagw_media_frame(m);
    } else if (strcmp(m->kind, "voice") == 0) {
        ngx_wagw_media_voice(m);
    }
}
