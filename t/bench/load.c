/*
 * Callers for benchmarks: N connections with keep-alive, each sends its next
 * request when its answer is there.  Only what it takes: no TLS, answers with
 * Content-Length or chunked whose head fits the buffer.
 *
 *     load [-c callers] [-n requests] [-k API-key] [-b FILE] 127.0.0.1:PORT PATH
 *
 * FILE holds one JSON body per line, used in turn (then the method is POST).
 * Prints one JSON line: seconds, rate, latencies in ms, answers by class, CPU.
 */

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define CALLERS_MAX 1024
#define ANSWER_MAX 65536

typedef struct {
    int fd;
    char *out;
    size_t out_n, out_at;
    char in[ANSWER_MAX];
    size_t in_n;
    double began;
    bool busy;
} caller_t;

static struct {
    unsigned long callers, requests;
    const char *key, *path;
    char **bodies;
    size_t nbodies;
    struct sockaddr_in to;
    char host[64];
    unsigned long begun, done, good, bad;
    double *ms;
} load = {.callers = 16, .requests = 1000};

static void die(const char *what)
{
    fprintf(stderr, "load: %s: %s\n", what, strerror(errno));
    exit(1);
}

static double now_ms(void)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);

    return (double)t.tv_sec * 1e3 + (double)t.tv_nsec / 1e6;
}

static void read_bodies(const char *file)
{
    char *line = NULL;
    FILE *f = fopen(file, "r");
    size_t cap = 0;
    ssize_t n;

    if (f == NULL) {
        die(file);
    }

    while ((n = getline(&line, &cap, f)) > 0) {
        if (line[n - 1] == '\n') {
            line[n - 1] = '\0';
        }

        load.bodies = realloc(load.bodies, (load.nbodies + 1) * sizeof(char *));
        if (load.bodies == NULL || (load.bodies[load.nbodies++] = strdup(line)) == NULL) {
            die("memory");
        }
    }

    free(line);
    fclose(f);
}

static void caller_connect(caller_t *c)
{
    int one = 1;

    c->fd = socket(AF_INET, SOCK_STREAM, 0);

    if (c->fd < 0 || connect(c->fd, (struct sockaddr *)&load.to, sizeof(load.to)) != 0) {
        die("connect");
    }

    setsockopt(c->fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
    fcntl(c->fd, F_SETFL, O_NONBLOCK);
}

static void caller_begin(caller_t *c)
{
    const char *body = load.nbodies ? load.bodies[load.begun % load.nbodies] : "";
    char length[48] = "";
    int n;

    free(c->out);

    if (load.nbodies) {
        snprintf(length, sizeof(length), "Content-Length: %zu\r\n", strlen(body));
    }

    n = asprintf(&c->out, "%s %s HTTP/1.1\r\nHost: %s\r\nX-API-Key: %s\r\n%s%s\r\n%s", load.nbodies ? "POST" : "GET",
                 load.path, load.host, load.key ? load.key : "",
                 load.nbodies ? "Content-Type: application/json\r\n" : "", length, body);
    if (n < 0) {
        die("memory");
    }

    c->out_n = (size_t)n;
    c->out_at = 0;
    c->in_n = 0;
    c->busy = true;
    c->began = now_ms();
    load.begun++;
}

static void caller_write(caller_t *c)
{
    ssize_t n;

    while (c->out_at < c->out_n) {
        n = send(c->fd, c->out + c->out_at, c->out_n - c->out_at, MSG_NOSIGNAL);

        if (n < 0 && errno == EAGAIN) {
            return;
        }
        if (n < 0) {
            die("send");
        }

        c->out_at += (size_t)n;
    }
}

/* 0 while incomplete. */
static size_t answer_length(const caller_t *c)
{
    const char *head = memmem(c->in, c->in_n, "\r\n\r\n", 4), *line;
    size_t n;

    if (head == NULL) {
        return 0;
    }

    n = (size_t)(head - c->in) + 4;

    for (line = c->in; line < head; line = (const char *)memchr(line, '\n', (size_t)(head + 2 - line)) + 1) {
        if (strncasecmp(line, "content-length:", 15) == 0) {
            n += strtoul(line + 15, NULL, 10);
            return n <= c->in_n ? n : 0;
        }
        if (strncasecmp(line, "transfer-encoding: chunked", 26) == 0) {
            return c->in_n >= 5 && memcmp(c->in + c->in_n - 5, "0\r\n\r\n", 5) == 0 ? c->in_n : 0;
        }
    }

    return n;
}

static void caller_read(caller_t *c)
{
    ssize_t n = recv(c->fd, c->in + c->in_n, sizeof(c->in) - c->in_n, 0);

    if (n < 0 && errno == EAGAIN) {
        return;
    }
    if (n <= 0) {
        /* nginx ends a connection after keepalive_requests */
        if (c->in_n != 0 || c->busy) {
            die("connection lost within a request");
        }
        close(c->fd);
        caller_connect(c);
        return;
    }

    c->in_n += (size_t)n;

    if (answer_length(c) == 0) {
        if (c->in_n == sizeof(c->in)) {
            die("answer too long");
        }
        return;
    }

    load.ms[load.done++] = now_ms() - c->began;

    if (c->in_n > 12 && c->in[9] == '2') {
        load.good++;

    } else if (load.bad++ == 0) {
        fprintf(stderr, "load: first bad answer: %.*s\n", (int)(c->in_n < 600 ? c->in_n : 600), c->in);
    }

    c->busy = false;

    if (memmem(c->in, c->in_n, "onnection: close", 16) != NULL) {
        close(c->fd);
        caller_connect(c);
    }
}

static int ascending(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;

    return x < y ? -1 : x > y;
}

static void run(void)
{
    static struct pollfd p[CALLERS_MAX];
    caller_t *callers = calloc(load.callers, sizeof(caller_t));
    struct rusage ru;
    unsigned long i;
    double began;

    load.ms = calloc(load.requests, sizeof(double));

    if (callers == NULL || load.ms == NULL) {
        die("memory");
    }

    for (i = 0; i < load.callers; i++) {
        caller_connect(&callers[i]);
    }

    began = now_ms();

    while (load.done < load.requests) {
        for (i = 0; i < load.callers; i++) {
            if (!callers[i].busy && load.begun < load.requests) {
                caller_begin(&callers[i]);
                caller_write(&callers[i]);
            }

            p[i].fd = callers[i].fd;
            p[i].events = (short)(POLLIN | (callers[i].busy && callers[i].out_at < callers[i].out_n ? POLLOUT : 0));
        }

        if (poll(p, load.callers, 60000) <= 0) {
            die("no answer within a minute");
        }

        for (i = 0; i < load.callers; i++) {
            if (p[i].revents & POLLOUT) {
                caller_write(&callers[i]);
            }
            if (p[i].revents & (POLLIN | POLLHUP | POLLERR)) {
                caller_read(&callers[i]);
            }
        }
    }

    began = (now_ms() - began) / 1e3;
    getrusage(RUSAGE_SELF, &ru);
    qsort(load.ms, load.done, sizeof(double), ascending);

    printf("{\"seconds\":%.3f,\"rate\":%.1f,\"p50\":%.3f,\"p99\":%.3f,\"good\":%lu,\"bad\":%lu,\"cpu\":%.3f}\n", began,
           (double)load.done / began, load.ms[load.done / 2], load.ms[load.done * 99 / 100], load.good, load.bad,
           (double)(ru.ru_utime.tv_sec + ru.ru_stime.tv_sec) +
               (double)(ru.ru_utime.tv_usec + ru.ru_stime.tv_usec) / 1e6);

    for (i = 0; i < load.callers; i++) {
        close(callers[i].fd);
        free(callers[i].out);
    }

    free(callers);
    free(load.ms);
}

int main(int argc, char **argv)
{
    char *colon;
    int opt;

    while ((opt = getopt(argc, argv, "c:n:k:b:")) != -1) {
        switch (opt) {
        case 'c':
            load.callers = strtoul(optarg, NULL, 10);
            break;
        case 'n':
            load.requests = strtoul(optarg, NULL, 10);
            break;
        case 'k':
            load.key = optarg;
            break;
        case 'b':
            read_bodies(optarg);
            break;
        default:
            return 2;
        }
    }

    if (argc - optind != 2 || load.callers == 0 || load.callers > CALLERS_MAX || load.requests == 0 ||
        (colon = strchr(argv[optind], ':')) == NULL) {
        fprintf(stderr, "usage: load [-c callers] [-n requests] [-k key] [-b bodies] 127.0.0.1:PORT PATH\n");
        return 2;
    }

    snprintf(load.host, sizeof(load.host), "%s", argv[optind]);
    *colon = '\0';
    load.path = argv[optind + 1];
    load.to.sin_family = AF_INET;
    load.to.sin_port = htons((uint16_t)strtoul(colon + 1, NULL, 10));

    if (inet_pton(AF_INET, argv[optind], &load.to.sin_addr) != 1) {
        fprintf(stderr, "load: %s: an IPv4 address is wanted\n", argv[optind]);
        return 2;
    }

    run();

    for (size_t i = 0; i < load.nbodies; i++) {
        free(load.bodies[i]);
    }
    free(load.bodies);

    return load.bad != 0;
}
