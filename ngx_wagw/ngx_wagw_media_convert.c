/*
 * Conversion by the ffmpeg program, where it is installed: in a process of its
 * own, with limits, because what it decodes comes from anybody.  The input's
 * format is named, never guessed, so that no playlist can lead it elsewhere.
 */

#include "ngx_wagw_media.h"
#include "ngx_wagw_media_text.h"

#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <sys/wait.h>

#define CONVERT_SECONDS 180
#define CONVERT_PAGES_SECONDS 15
#define CONVERT_PDF (256 * 1024 * 1024) /* a larger one is not looked into */
#define CONVERT_ARGS 48
#define CONVERT_THUMBNAIL 16384

/* nginx reaps every child in its signal handler, so the status comes by pipe */
#define CONVERT_SHELL "ulimit -t 120; ulimit -v 4194304; ulimit -c 0; nice -n 10 \"$@\"; echo $? >&3"

/* a document that is only looked at gets less */
#define CONVERT_SHELL_PDF                                                                                              \
    "ulimit -t 10; ulimit -v 1048576; ulimit -c 0; ulimit -f 65536; nice -n 10 \"$@\"; echo $? >&3"

static const char *const convert_paths[] = {"/usr/bin/ffmpeg", "/usr/local/bin/ffmpeg", "/bin/ffmpeg"};

static const struct {
    const char *suffix, *demuxer;
} convert_demuxers[] = {
    {"ogg", "ogg"},       {"mp3", "mp3"},      {"m4a", "mp4"}, {"mp4", "mp4"}, {"mov", "mp4"},
    {"3gp", "mp4"},       {"aac", "aac"},      {"amr", "amr"}, {"wav", "wav"}, {"flac", "flac"},
    {"webm", "matroska"}, {"mkv", "matroska"}, {"avi", "avi"},
};

static const char *convert_program(void)
{
    for (size_t i = 0; i < sizeof(convert_paths) / sizeof(convert_paths[0]); i++) {
        if (access(convert_paths[i], X_OK) == 0) {
            return convert_paths[i];
        }
    }
    return NULL;
}

static const char *convert_demuxer(const char *suffix)
{
    for (size_t i = 0; suffix && i < sizeof(convert_demuxers) / sizeof(convert_demuxers[0]); i++) {
        if (strcmp(convert_demuxers[i].suffix, suffix) == 0) {
            return convert_demuxers[i].demuxer;
        }
    }
    return NULL;
}

bool ngx_wagw_media_converter(void)
{
    return convert_program() != NULL;
}

bool ngx_wagw_media_convertible(const wagw_media_facts_t *f)
{
    return convert_demuxer(f->suffix) != NULL && convert_program() != NULL;
}

/* The file in clear, without a name. */
static ngx_fd_t convert_clear(ngx_wagw_media_t *m)
{
    size_t at;
    ssize_t n;
    ngx_fd_t fd = ngx_wagw_media_file(m);
    wagw_str_t piece;
    ngx_wagw_media_reader_t *r = malloc(sizeof(*r));

    if (fd == -1 || r == NULL || ngx_wagw_media_reader(r, m->out, &m->keys, 0, m->sums.size) != NGX_OK) {
        free(r);
        goto failed;
    }
    while (ngx_wagw_media_reader_next(r, &piece) && piece.n) {
        for (at = 0; at < piece.n; at += (size_t)n) {
            n = write(fd, piece.p + at, piece.n - at);
            if (n <= 0) {
                ngx_wagw_media_reader_end(r);
                free(r);
                goto failed;
            }
        }
    }
    ngx_wagw_media_reader_end(r);
    free(r);
    if (lseek(fd, 0, SEEK_SET) == 0) {
        return fd;
    }

failed:
    if (fd != -1) {
        close(fd);
    }
    return -1;
}

static pid_t convert_spawn(const char *const *args, ngx_fd_t in, ngx_fd_t out, ngx_fd_t status)
{
    pid_t pid = -1;
    sigset_t none;
    posix_spawnattr_t attr;
    posix_spawn_file_actions_t fa;
    char *const env[] = {"PATH=/usr/local/bin:/usr/bin:/bin", NULL};

    if (posix_spawn_file_actions_init(&fa) != 0) {
        return -1;
    }
    if (posix_spawnattr_init(&attr) != 0) {
        posix_spawn_file_actions_destroy(&fa);
        return -1;
    }
    sigemptyset(&none);
    posix_spawnattr_setsigmask(&attr, &none);
    posix_spawnattr_setpgroup(&attr, 0);
    posix_spawnattr_setflags(&attr, POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETPGROUP);
    if (posix_spawn_file_actions_adddup2(&fa, in, 0) != 0 || posix_spawn_file_actions_adddup2(&fa, out, 1) != 0 ||
        posix_spawn_file_actions_addopen(&fa, 2, "/dev/null", O_WRONLY, 0) != 0 ||
        posix_spawn_file_actions_adddup2(&fa, status, 3) != 0 ||
        posix_spawn_file_actions_addclosefrom_np(&fa, 4) != 0 ||
        posix_spawn(&pid, "/bin/sh", &fa, &attr, (char *const *)args, env) != 0) {
        pid = -1;
    }
    posix_spawnattr_destroy(&attr);
    posix_spawn_file_actions_destroy(&fa);
    return pid;
}

/* True when the program said 0 in time. */
static bool convert_wait(ngx_wagw_media_t *m, pid_t pid, ngx_fd_t status, int seconds)
{
    int left;
    char text[8] = "";
    bool ended = false;
    ssize_t n;
    struct pollfd p = {status, POLLIN, 0};

    for (left = seconds * 2; left > 0 && !ended; left--) {
        if (ngx_wagw_media_cancelled(m)) {
            break;
        }
        if (poll(&p, 1, 500) > 0) {
            n = read(status, text, sizeof(text) - 1);
            ended = n >= 0;
        }
    }
    if (!ended) {
        kill(-pid, SIGKILL);
    }
    (void)waitpid(pid, NULL, 0); /* when the handler was not faster */
    return ended && text[0] == '0';
}

/* What a program makes of `out`, read from /proc/self/fd/0, as a file; -1. */
static ngx_fd_t convert_program_run(ngx_wagw_media_t *m, const char *const *args, int seconds, struct stat *st)
{
    int status[2] = {-1, -1};
    bool ok = false;
    pid_t pid;
    ngx_fd_t clear, out;

    clear = convert_clear(m);
    out = ngx_wagw_media_file(m);
    if (clear != -1 && out != -1 && pipe2(status, O_CLOEXEC) == 0) {
        pid = convert_spawn(args, clear, out, status[1]);
        close(status[1]);
        ok = pid != -1 && convert_wait(m, pid, status[0], seconds) && fstat(out, st) == 0 && st->st_size > 0;
        close(status[0]);
    }
    if (clear != -1) {
        close(clear);
    }
    if (!ok && out != -1) {
        close(out);
        out = -1;
    }
    return out;
}

/* What ffmpeg makes of `out` with these arguments, as a file; -1. */
static ngx_fd_t convert_run(ngx_wagw_media_t *m, const char *const *with, size_t nwith, struct stat *st)
{
    const char *args[CONVERT_ARGS] = {"sh",
                                      "-c",
                                      CONVERT_SHELL,
                                      "sh",
                                      convert_program(),
                                      "-nostdin",
                                      "-v",
                                      "error",
                                      "-protocol_whitelist",
                                      "file,pipe",
                                      "-f",
                                      convert_demuxer(m->facts.suffix),
                                      "-i",
                                      "/proc/self/fd/0",
                                      "-map_metadata",
                                      "-1",
                                      "-threads",
                                      "2"};
    size_t n = 18;

    if (args[4] == NULL || args[11] == NULL || n + nwith >= CONVERT_ARGS) {
        return -1;
    }
    memcpy(args + n, with, nwith * sizeof(char *));
    args[n + nwith] = NULL;
    return convert_program_run(m, args, CONVERT_SECONDS, st);
}

bool ngx_wagw_media_convert(ngx_wagw_media_t *m)
{
    static const char *const voice[] = {"-vn", "-ac",          "1",    "-ar", "48000", "-c:a",  "libopus", "-b:a",
                                        "24k", "-application", "voip", "-f",  "ogg",   "pipe:1"};
    static const char *const video[] = {"-map",      "0:v:0",
                                        "-map",      "0:a:0?",
                                        "-c:v",      "libx264",
                                        "-preset",   "veryfast",
                                        "-crf",      "27",
                                        "-pix_fmt",  "yuv420p",
                                        "-vf",       "scale='trunc(min(1280,iw)/2)*2':-2",
                                        "-c:a",      "aac",
                                        "-b:a",      "128k",
                                        "-movflags", "+faststart",
                                        "-f",        "mp4",
                                        "-y",        "/proc/self/fd/1"};
    struct stat st;
    ngx_fd_t out = strcmp(m->type->mms, "video") == 0 ? convert_run(m, video, sizeof(video) / sizeof(char *), &st)
                                                      : convert_run(m, voice, sizeof(voice) / sizeof(char *), &st);

    if (out == -1) {
        ngx_wagw_media_fail(m, 415, "UNSUPPORTED_MEDIA", "The file cannot be converted");
        return false;
    }
    m->in_fd = out;
    m->in_at = 0;
    m->in_left = st.st_size;
    return true;
}

/* A JPEG that somebody else's program made. */
static void convert_thumbnail(ngx_wagw_media_t *m, ngx_fd_t fd, off_t size)
{
    if (size > 2 && size <= CONVERT_THUMBNAIL && wagw_buf_reserve(&m->thumbnail, (size_t)size) == WAGW_OK &&
        pread(fd, m->thumbnail.p, (size_t)size, 0) == size && m->thumbnail.p[0] == 0xff && m->thumbnail.p[1] == 0xd8) {
        m->thumbnail.n = (size_t)size;
    }
}

void ngx_wagw_media_frame(ngx_wagw_media_t *m)
{
    static const char *const frame[] = {"-frames:v", "1", "-vf", "scale=32:-2", "-q:v", "6", "-f", "mjpeg", "pipe:1"};
    struct stat st;
    ngx_fd_t out =
        ngx_wagw_media_convertible(&m->facts) ? convert_run(m, frame, sizeof(frame) / sizeof(char *), &st) : -1;

    if (out != -1) {
        convert_thumbnail(m, out, st.st_size);
        close(out);
    }
}

static uint32_t convert_page_count(ngx_fd_t fd)
{
    char text[8192];
    ssize_t n = pread(fd, text, sizeof(text), 0);

    return n > 0 ? ngx_wagw_pdf_pages(wagw_str(text, (size_t)n)) : 0;
}

void ngx_wagw_media_pages(ngx_wagw_media_t *m)
{
    static const char *const count[] = {"sh", "-c", CONVERT_SHELL_PDF, "sh", "/usr/bin/pdfinfo", "/proc/self/fd/0",
                                        NULL};
    static const char *const first[] = {"sh",
                                        "-c",
                                        CONVERT_SHELL_PDF,
                                        "sh",
                                        "/usr/bin/pdftoppm",
                                        "-jpeg",
                                        "-f",
                                        "1",
                                        "-l",
                                        "1",
                                        "-singlefile",
                                        "-scale-to",
                                        "200",
                                        "-jpegopt",
                                        "quality=60",
                                        "/proc/self/fd/0",
                                        NULL};
    struct stat st;
    ngx_fd_t out;

    if (m->sums.size > CONVERT_PDF || access(count[4], X_OK) == -1) {
        return;
    }
    out = convert_program_run(m, count, CONVERT_PAGES_SECONDS, &st);
    if (out == -1) {
        return;
    }
    m->pages = convert_page_count(out);
    close(out);
    out = m->pages ? convert_program_run(m, first, CONVERT_PAGES_SECONDS, &st) : -1;
    if (out != -1) {
        convert_thumbnail(m, out, st.st_size);
        close(out);
    }
}
