/*
 * Start options, keys, the info line, the loop.
 */

#include "sandbox.h"

#include <event2/thread.h>

#include <getopt.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <unistd.h>

sbx_t sbx;

static const struct option sbx_options[] = {
    {"port", required_argument, NULL, 'p'},
    {"host", required_argument, NULL, 'h'},
    {"plain", no_argument, NULL, 'l'},
    {"seed", required_argument, NULL, 's'},
    {"cert-out", required_argument, NULL, 'c'},
    {"info-out", required_argument, NULL, 'i'},
    {"no-history", no_argument, NULL, 'n'},
    {"log-nodes", required_argument, NULL, 'g'},
    {"group-addressing", required_argument, NULL, 'a'},
    {"test-group", required_argument, NULL, 't'},
    {"help", no_argument, NULL, '?'},
    {NULL, 0, NULL, 0},
};

static int sbx_usage(void)
{
    fprintf(stderr, "usage: wagw-sandbox --port N [--host 127.0.0.1] [--plain] [--seed TEXT]\n"
                    "                    [--cert-out FILE] [--info-out FILE] [--no-history] [--log-nodes N]\n"
                    "                    [--group-addressing lid|pn] [--test-group NAME]\n"
                    "A simulated WhatsApp for tests: see docs/sandbox.md.  --port 0 picks a free port.\n");
    return 2;
}

static void sbx_key(wagw_keypair_t *kp, const char *seed, const char *label)
{
    if (seed == NULL) {
        wagw_x25519_keypair(kp, sbx_random, NULL);
        return;
    }
    wagw_sha256_2(kp->priv, wagw_cstr(label), wagw_cstr(seed));
    kp->priv[0] &= 248;
    kp->priv[31] = (kp->priv[31] & 127) | 64;
    wagw_x25519_public(kp->pub, kp->priv);
}

static int sbx_info(const char *file)
{
    int rc;
    FILE *f;
    wagw_buf_t b = {0}, hex = {0};
    wagw_json_t j;
    char url[128], media[64];

    snprintf(url, sizeof(url), "%s://%s:%u/ws/chat", sbx.plain ? "ws" : "wss", sbx.host, sbx.port);
    snprintf(media, sizeof(media), "%s:%u", sbx.host, sbx.media_port);
    wagw_hex_encode(&hex, wagw_str(sbx.root.pub, 32));

    j = wagw_json(&b);
    wagw_json_open(&j, '{');
    wagw_json_kcstr(&j, "url", url);
    wagw_json_kstr(&j, "noiseRoot", wagw_buf_view(&hex));
    wagw_json_kcstr(&j, "mediaHost", media);
    wagw_json_kint(&j, "adminPort", sbx.port);
    wagw_json_kint(&j, "pid", getpid());
    wagw_json_close(&j);
    wagw_buf_u8(&b, '\n');

    rc = 0;
    if (file != NULL) {
        f = fopen(file, "w");
        if (f == NULL || fwrite(b.p, 1, b.n, f) != b.n || fclose(f) != 0) {
            fprintf(stderr, "wagw-sandbox: cannot write %s\n", file);
            rc = -1;
        }
    }
    fwrite(b.p, 1, b.n, stdout);
    fflush(stdout);
    wagw_buf_free(&b);
    wagw_buf_free(&hex);
    return rc;
}

static void sbx_on_signal(evutil_socket_t fd, short what, void *data)
{
    (void)fd;
    (void)what;
    event_base_loopbreak(data);
}

static void sbx_files(void)
{
    struct rlimit l;

    if (getrlimit(RLIMIT_NOFILE, &l) == 0 && l.rlim_cur < l.rlim_max) {
        l.rlim_cur = l.rlim_max;
        setrlimit(RLIMIT_NOFILE, &l);
    }
}

int main(int argc, char **argv)
{
    int opt;
    bool have_port;
    char *end;
    unsigned long n;
    const char *seed, *cert_out, *info_out;
    struct event *term, *intr;

    seed = cert_out = info_out = NULL;
    have_port = false;
    sbx.host = "127.0.0.1";
    sbx.history = true;
    sbx.log_nodes = 500;

    while ((opt = getopt_long(argc, argv, "", sbx_options, NULL)) != -1) {
        switch (opt) {
        case 'p':
        case 'g':
            n = strtoul(optarg, &end, 10);
            if (*end != '\0' || end == optarg || n > (opt == 'p' ? 65535 : 1000000)) {
                return sbx_usage();
            }
            if (opt == 'p') {
                sbx.port = (unsigned)n;
                have_port = true;
            } else {
                sbx.log_nodes = (uint32_t)n;
            }
            break;
        case 'h':
            sbx.host = optarg;
            break;
        case 'l':
            sbx.plain = true;
            break;
        case 's':
            seed = optarg;
            break;
        case 'c':
            cert_out = optarg;
            break;
        case 'i':
            info_out = optarg;
            break;
        case 'n':
            sbx.history = false;
            break;
        case 'a':
            sbx.group_pn = strcmp(optarg, "pn") == 0;
            if (!sbx.group_pn && strcmp(optarg, "lid") != 0) {
                return sbx_usage();
            }
            break;
        case 't':
            sbx.test_group = optarg;
            break;
        default:
            return sbx_usage();
        }
    }
    if (!have_port || optind != argc) {
        return sbx_usage();
    }

    signal(SIGPIPE, SIG_IGN);
    sbx_files();
    sbx.started = sbx_now_ms();
    sbx.unhandled = cJSON_CreateArray();
    sbx.base = event_base_new();
    sbx_key(&sbx.root, seed, "root");
    sbx_key(&sbx.intermediate, seed, "intermediate");
    sbx_key(&sbx.server_static, seed, "static");

    if (sbx.base == NULL || sbx_signal_init() != WAGW_OK || sbx_tls_init(cert_out) != 0 ||
        wagw_noise_make_chain(&sbx.chain, &sbx.root, &sbx.intermediate, sbx.server_static.pub, sbx_now_s() - 86400,
                              sbx_now_s() + 365 * 86400, sbx_random, NULL) != WAGW_OK) {
        fprintf(stderr, "wagw-sandbox: cannot start\n");
        return 1;
    }

    if (sbx_listen(sbx.host, &sbx.port, !sbx.plain) != 0) {
        return 1;
    }
    sbx.media_port = sbx.port;
    if (sbx.plain) {
        sbx.media_port = 0;
        if (sbx_listen(sbx.host, &sbx.media_port, true) != 0) {
            return 1;
        }
    }
    if (sbx_info(info_out) != 0) {
        return 1;
    }

    term = evsignal_new(sbx.base, SIGTERM, sbx_on_signal, sbx.base);
    intr = evsignal_new(sbx.base, SIGINT, sbx_on_signal, sbx.base);
    evsignal_add(term, NULL);
    evsignal_add(intr, NULL);

    event_base_dispatch(sbx.base);
    return 0;
}
