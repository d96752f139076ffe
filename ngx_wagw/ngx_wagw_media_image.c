/*
 * Pictures: what they measure, their thumbnail, and JPEG where phones show
 * nothing else.  Another process decodes (ngx_wagw_picture.h); here its pipes
 * are filled and emptied.  All of it runs in a thread.
 */

#include "ngx_wagw_media.h"
#include "ngx_wagw_picture.h"

#include <dlfcn.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <sys/wait.h>

#define IMAGE_SECONDS 60
#define IMAGE_PIECE 65536

typedef struct {
    ngx_wagw_media_t *m;
    pid_t pid;
    ngx_fd_t in, out; /* our ends */
    ngx_wagw_media_reader_t reader;
    wagw_str_t piece; /* not yet taken */
    bool jpeg;        /* wanted */
    bool square;      /* wanted instead of a thumbnail */
    bool sealing;     /* it has begun to come */
    wagw_buf_t got;   /* up to the end of the thumbnail */
    bool hello, complete;
    ngx_wagw_picture_t head;
    uint8_t buf[IMAGE_PIECE];
} image_t;

/* ---- the process ---- */

static pid_t image_spawn(const char *how, ngx_fd_t in, ngx_fd_t out)
{
    pid_t pid = -1;
    Dl_info self;
    sigset_t none;
    char env[32], load[NGX_MAX_PATH + 32];
    posix_spawnattr_t attr;
    posix_spawn_file_actions_t fa;
    char *const args[] = {"nginx", "-e", "/dev/null", "-g", load, "-c", "/dev/null", NULL};
    char *envp[NGX_WAGW_PICTURE_ENVS + 2] = {env};

    if (dladdr((void *)(uintptr_t)&image_spawn, &self) == 0 || self.dli_fname == NULL ||
        snprintf(load, sizeof(load), "load_module \"%s\";", self.dli_fname) >= (int)sizeof(load) ||
        posix_spawn_file_actions_init(&fa) != 0) {
        return -1;
    }
    snprintf(env, sizeof(env), NGX_WAGW_PICTURE_ENV "=%s", how);
    memcpy(envp + 1, ngx_wagw_picture_env, sizeof(ngx_wagw_picture_env));
    if (posix_spawnattr_init(&attr) != 0) {
        posix_spawn_file_actions_destroy(&fa);
        return -1;
    }
    sigemptyset(&none);
    posix_spawnattr_setsigmask(&attr, &none);
    posix_spawnattr_setflags(&attr, POSIX_SPAWN_SETSIGMASK);
    if (posix_spawn_file_actions_adddup2(&fa, in, 0) != 0 || posix_spawn_file_actions_adddup2(&fa, out, 1) != 0 ||
        posix_spawn_file_actions_addopen(&fa, 2, "/dev/null", O_WRONLY, 0) != 0 ||
        posix_spawn_file_actions_addclosefrom_np(&fa, 3) != 0 ||
        posix_spawn(&pid, "/proc/self/exe", &fa, &attr, args, envp) != 0) {
        pid = -1;
    }
    posix_spawnattr_destroy(&attr);
    posix_spawn_file_actions_destroy(&fa);
    return pid;
}

static bool image_start(image_t *g, const char *how)
{
    int in[2] = {-1, -1}, out[2] = {-1, -1};

    if (pipe2(in, O_CLOEXEC) == -1 || pipe2(out, O_CLOEXEC) == -1) {
        goto done;
    }
    g->pid = image_spawn(how, in[0], out[1]);
    if (g->pid == -1 || fcntl(in[1], F_SETFL, O_NONBLOCK) == -1 || fcntl(out[0], F_SETFL, O_NONBLOCK) == -1) {
        goto done;
    }
    g->in = in[1];
    g->out = out[0];
    in[1] = out[0] = -1;

done:
    for (int i = 0; i < 2; i++) {
        if (in[i] != -1) {
            close(in[i]);
        }
        if (out[i] != -1) {
            close(out[i]);
        }
    }
    return g->out != -1;
}

/* ---- its pipes ---- */

static void image_in_close(image_t *g)
{
    close(g->in);
    g->in = -1;
}

/* As much as the pipe takes; what it needs no more it does not read. */
static void image_feed(image_t *g)
{
    ssize_t n;

    if (g->piece.n == 0 && (!ngx_wagw_media_reader_next(&g->reader, &g->piece) || g->piece.n == 0)) {
        image_in_close(g);
        return;
    }
    n = write(g->in, g->piece.p, g->piece.n);
    if (n > 0) {
        g->piece.p += n;
        g->piece.n -= (size_t)n;
    } else if (n == -1 && ngx_errno != NGX_EAGAIN && ngx_errno != NGX_EINTR) {
        image_in_close(g);
    }
}

/* The head, checked as if the other side were not ours any more. */
static bool image_head(image_t *g)
{
    uint32_t magic;
    size_t at = sizeof(magic) + sizeof(g->head);

    if (g->got.n >= sizeof(magic)) {
        memcpy(&magic, g->got.p, sizeof(magic));
        g->hello = magic == NGX_WAGW_PICTURE_MAGIC;
        if (!g->hello) {
            return false;
        }
    }
    if (g->complete || g->got.n < at) {
        return true;
    }
    memcpy(&g->head, g->got.p + sizeof(magic), sizeof(g->head));
    if (g->head.verdict > NGX_WAGW_PICTURE_LARGE ||
        g->head.thumbnail > (g->square ? NGX_WAGW_PICTURE_SQUARE : NGX_WAGW_PICTURE_THUMBNAIL) ||
        g->head.width > 65535 || g->head.height > 65535) {
        g->hello = true;
        g->head.verdict = NGX_WAGW_PICTURE_BAD;
        g->complete = true;
        return false;
    }
    g->complete = g->got.n >= at + g->head.thumbnail;
    return true;
}

/* Of the whole picture. */
static bool image_jpeg(image_t *g, const uint8_t *p, size_t n)
{
    if (n == 0) {
        return true;
    }
    if (!g->jpeg || g->head.verdict != NGX_WAGW_PICTURE_GOOD) {
        return false;
    }
    if (!g->sealing) {
        g->m->out = -1; /* the reader has it */
        g->sealing = true;
        if (!ngx_wagw_media_seal_begin(g->m)) {
            return false;
        }
    }
    return ngx_wagw_media_take(g->m, wagw_str(p, n));
}

static bool image_answer(image_t *g, size_t n)
{
    size_t end = sizeof(uint32_t) + sizeof(g->head);

    if (g->complete) {
        return image_jpeg(g, g->buf, n);
    }
    if (wagw_buf_add(&g->got, g->buf, n) != WAGW_OK || !image_head(g)) {
        return false;
    }
    if (!g->complete) {
        return true;
    }
    end += g->head.thumbnail;
    n = g->got.n - end;
    g->got.n = end;
    return image_jpeg(g, g->got.p + end, n);
}

/* False: it was stopped. */
static bool image_pump(image_t *g)
{
    ssize_t n;
    int64_t end = ngx_wagw_now_ms() + IMAGE_SECONDS * 1000;
    struct pollfd p[2];

    while (!ngx_wagw_media_cancelled(g->m) && ngx_wagw_now_ms() < end) {
        p[0] = (struct pollfd){g->out, POLLIN, 0};
        p[1] = (struct pollfd){g->in, POLLOUT, 0}; /* -1 is passed over */
        if (poll(p, 2, 500) <= 0) {
            continue;
        }
        if (p[0].revents) {
            n = read(g->out, g->buf, sizeof(g->buf));
            if (n == 0) {
                return true;
            }
            if (n > 0 ? !image_answer(g, (size_t)n) : ngx_errno != NGX_EAGAIN && ngx_errno != NGX_EINTR) {
                return false;
            }
        }
        if (p[1].revents) {
            image_feed(g);
        }
    }
    return false;
}

/* ---- what it means ---- */

static void image_judge(image_t *g, bool ended)
{
    ngx_wagw_media_t *m = g->m;
    bool jpg = strcmp(m->facts.suffix, "jpg") == 0;
    size_t at = sizeof(uint32_t) + sizeof(g->head);

    if (!g->hello) {
        ngx_log_error(NGX_LOG_ERR, ngx_cycle->log, 0, "wagw: pictures cannot be decoded: the process did not start");
        if (g->jpeg || g->square) {
            ngx_wagw_media_fail(m, 503, "CAPACITY", "The image cannot be converted now");
        }
        return;
    }
    if (!g->complete || g->head.verdict == NGX_WAGW_PICTURE_LARGE) {
        /* a photo needs no thumbnail to be sent */
        if (!jpg || g->square || m->facts.width == 0) {
            ngx_wagw_media_fail(m, 415, "UNSUPPORTED_MEDIA", "The image has too many pixels, or takes too long");
        }
        return;
    }
    if (g->head.verdict == NGX_WAGW_PICTURE_BAD) {
        ngx_wagw_media_fail(m, 415, "UNSUPPORTED_MEDIA", "The image cannot be decoded");
        return;
    }
    if (g->jpeg && (!ended || !g->sealing || !ngx_wagw_media_seal_end(m))) {
        ngx_wagw_media_fail(m, 415, "UNSUPPORTED_MEDIA", "The image cannot be converted");
        return;
    }
    m->facts.width = g->head.width;
    m->facts.height = g->head.height;
    m->facts.animated = m->facts.animated || g->head.animated;
    wagw_buf_reset(&m->thumbnail);
    if (g->head.thumbnail > 2 && g->got.p[at] == 0xff && g->got.p[at + 1] == 0xd8) {
        wagw_buf_add(&m->thumbnail, g->got.p + at, g->head.thumbnail);
    }
}

/* WhatsApp shows JPEG and PNG everywhere. */
static bool image_foreign(const ngx_wagw_media_t *m)
{
    return strcmp(m->kind, "image") == 0 &&
           (strcmp(m->facts.suffix, "webp") == 0 || strcmp(m->facts.suffix, "gif") == 0);
}

static void image_run(ngx_wagw_media_t *m, bool square)
{
    char how[16];
    bool ended = false;
    ngx_fd_t source = m->out;
    image_t *g = calloc(1, sizeof(*g));

    if (g == NULL || ngx_wagw_media_reader(&g->reader, source, &m->keys, 0, m->sums.size) != NGX_OK) {
        free(g);
        ngx_wagw_media_fail(m, 500, "INTERNAL", "Out of memory");
        return;
    }
    g->m = m;
    g->in = g->out = -1;
    g->square = square;
    g->jpeg = !square && image_foreign(m) && !m->keep;
    snprintf(how, sizeof(how), "%s %s", m->facts.suffix, square ? "square" : g->jpeg ? "jpeg" : "look");
    if (image_start(g, how)) {
        ended = image_pump(g);
        if (!ended) {
            kill(g->pid, SIGKILL);
        }
        if (g->in != -1) {
            close(g->in);
        }
        close(g->out);
        (void)waitpid(g->pid, NULL, 0); /* when nginx's handler was not faster */
    }
    if (!ngx_wagw_media_cancelled(m)) {
        image_judge(g, ended);
    }
    if (g->sealing) {
        close(source);
    }
    ngx_wagw_media_reader_end(&g->reader);
    wagw_buf_free(&g->got);
    free(g);
}

void ngx_wagw_media_picture(ngx_wagw_media_t *m)
{
    image_run(m, false);
}

void ngx_wagw_media_square(ngx_wagw_task_t *task)
{
    ngx_wagw_media_t *m = task->data;

    wagw_buf_reset(&m->thumbnail);
    image_run(m, true);
    if (m->thumbnail.n == 0) {
        ngx_wagw_media_fail(m, 415, "UNSUPPORTED_MEDIA", "The image cannot be made a picture of an account");
    }
}
