#include "ngx_wagw_calls.h"

#include <malloc.h>
#include <sys/resource.h>
#include <sys/sysinfo.h>
#include <sys/utsname.h>

/* Contract 3.15: what the owner knows about itself and the machine. */

static int64_t system_started;

typedef struct {
    ngx_uint_t total, connected;
} system_instances_t;

void ngx_wagw_calls_started(void)
{
    system_started = ngx_wagw_now_ms();
}

static double system_uptime(void)
{
    return system_started ? (double)(ngx_wagw_now_ms() - system_started) / 1000.0 : 0.0;
}

static void system_key_mb(wagw_json_t *j, const char *key, double bytes)
{
    char text[32];

    snprintf(text, sizeof(text), "%.2f MB", bytes / 1048576.0);
    wagw_json_kcstr(j, key, text);
}

static void system_key_num(wagw_json_t *j, const char *key, double v)
{
    wagw_json_key(j, key);
    wagw_json_num(j, v);
}

static double system_rss(void)
{
    FILE *f;
    unsigned long size, rss;

    rss = 0;
    f = fopen("/proc/self/statm", "re");

    if (f) {
        if (fscanf(f, "%lu %lu", &size, &rss) != 2) {
            rss = 0;
        }

        fclose(f);
    }

    return (double)rss * (double)ngx_pagesize;
}

/* process: the owner's, in the words of the seed's runtime */
static void system_memory(wagw_json_t *j)
{
    struct mallinfo2 m;

    m = mallinfo2();

    wagw_json_open(j, '{');
    system_key_mb(j, "rss", system_rss());
    system_key_mb(j, "heapTotal", (double)m.arena + (double)m.hblkhd);
    system_key_mb(j, "heapUsed", (double)m.uordblks + (double)m.hblkhd);
    system_key_mb(j, "external", (double)m.hblkhd);
    wagw_json_close(j);
}

static void system_count(ngx_wagw_call_t *call, system_instances_t *n)
{
    ngx_queue_t *q, *all;
    wagw_client_info_t info;
    ngx_wagw_instance_t *in;

    n->total = n->connected = 0;
    all = ngx_wagw_instances();

    for (q = ngx_queue_head(all); q != ngx_queue_sentinel(all); q = ngx_queue_next(q)) {
        in = ngx_queue_data(q, ngx_wagw_instance_t, queue);

        if (in->deleting || !ngx_wagw_call_sees(call, &in->id)) {
            continue;
        }

        wagw_client_info(in->client, &info);
        n->total++;
        n->connected += info.status == WAGW_STATUS_CONNECTED;
    }
}

static void system_formatted(char *out, size_t len, double s)
{
    unsigned long n = (unsigned long)s;

    snprintf(out, len, "%lud %luh %lum %lus", n / 86400, n / 3600 % 24, n / 60 % 60, n % 60);
}

NGX_WAGW_HANDLER(observability_health)
{
    char text[64];
    ngx_uint_t open;
    wagw_buf_t b;
    wagw_json_t j;
    system_instances_t n;

    ngx_memzero(&b, sizeof(b));
    open = ngx_wagw_store_is_open();

    j = wagw_json(&b);
    wagw_json_open(&j, '{');
    wagw_json_kcstr(&j, "status", open ? "healthy" : "unhealthy");

    /* without a key nobody learns more */
    if (call->perm) {
        system_formatted(text, sizeof(text), system_uptime());
        system_count(call, &n);

        wagw_json_key(&j, "uptime");
        wagw_json_open(&j, '{');
        wagw_json_kint(&j, "seconds", (int64_t)system_uptime());
        wagw_json_kcstr(&j, "formatted", text);
        wagw_json_close(&j);

        wagw_json_key(&j, "memory");
        system_memory(&j);

        wagw_json_key(&j, "database");
        wagw_json_open(&j, '{');
        wagw_json_kcstr(&j, "status", open ? "connected" : "disconnected");
        wagw_json_close(&j);

        wagw_json_key(&j, "instances");
        wagw_json_open(&j, '{');
        wagw_json_kint(&j, "total", (int64_t)n.total);
        wagw_json_kint(&j, "active", (int64_t)n.connected);
        wagw_json_close(&j);

        wagw_json_kiso(&j, "timestamp", ngx_wagw_now_ms());
    }

    wagw_json_close(&j);

    if (!open) {
        ngx_wagw_call_fail_retry(call, 503, "DB_UNAVAILABLE", "The database is not available",
                                 b.failed ? WAGW_STR_NULL : wagw_buf_view(&b), NULL, 1);
        wagw_buf_free(&b);
        return;
    }

    ngx_wagw_call_data(call, 200, &b, NULL);
}

NGX_WAGW_HANDLER(health)
{
    wagw_buf_t b;
    wagw_json_t j;

    if (!ngx_wagw_store_is_open()) {
        ngx_wagw_call_store_failed(call);
        return;
    }

    ngx_memzero(&b, sizeof(b));
    j = wagw_json(&b);
    wagw_json_open(&j, '{');
    wagw_json_kcstr(&j, "status", "ok");
    wagw_json_kiso(&j, "timestamp", ngx_wagw_now_ms());
    system_key_num(&j, "uptime", system_uptime());
    wagw_json_kcstr(&j, "environment", "production");
    wagw_json_close(&j);

    if (b.failed) {
        ngx_wagw_call_fail(call, 500, "INTERNAL", "Internal error", WAGW_STR_NULL);

    } else {
        ngx_wagw_call_ok(call, 200, WAGW_STR_NULL, NULL, wagw_str(b.p + 1, b.n - 2));
    }

    wagw_buf_free(&b);
}

static void system_platform(wagw_json_t *j)
{
    struct utsname u;

    if (uname(&u) != 0) {
        ngx_memzero(&u, sizeof(u));
    }

    wagw_json_kcstr(j, "platform", "linux");
    wagw_json_kcstr(j, "arch", u.machine);
}

NGX_WAGW_HANDLER(observability_version)
{
    char wa[64];
    wagw_buf_t b;
    wagw_json_t j;
    wagw_client_shared_t *sh;

    ngx_memzero(&b, sizeof(b));
    sh = ngx_wagw_shared();
    snprintf(wa, sizeof(wa), "%u.%u.%u", sh->version[0], sh->version[1], sh->version[2]);

    j = wagw_json(&b);
    wagw_json_open(&j, '{');
    wagw_json_kcstr(&j, "name", "wagw");
    wagw_json_kcstr(&j, "version", NGX_WAGW_VERSION);
    wagw_json_kcstr(&j, "description", "WhatsApp gateway inside nginx");
    wagw_json_kcstr(&j, "nginx", NGINX_VERSION);
    system_platform(&j);
    wagw_json_kcstr(&j, "waVersion", wa);
    wagw_json_kcstr(&j, "build", NGX_WAGW_VERSION "+nginx-" NGINX_VERSION);
    wagw_json_close(&j);

    ngx_wagw_call_data(call, 200, &b, NULL);
}

static in_port_t system_port(void)
{
    ngx_listening_t *ls;

    /* the owner has closed and forgotten its listeners, but whoever serves us listens on one: the first still tells */
    ls = ngx_cycle->listening.nalloc ? ngx_cycle->listening.elts : NULL;

    return ls && ls->sockaddr ? ngx_inet_get_port(ls->sockaddr) : 0;
}

static void system_hostname(wagw_json_t *j)
{
    char host[256];

    if (gethostname(host, sizeof(host)) != 0) {
        host[0] = '\0';
    }

    host[sizeof(host) - 1] = '\0';
    wagw_json_kcstr(j, "hostname", host);
}

NGX_WAGW_HANDLER(observability_environment)
{
    wagw_buf_t b;
    wagw_json_t j;
    struct sysinfo si;

    ngx_memzero(&b, sizeof(b));

    if (sysinfo(&si) != 0) {
        ngx_memzero(&si, sizeof(si));
    }

    j = wagw_json(&b);
    wagw_json_open(&j, '{');
    wagw_json_kcstr(&j, "environment", "production");
    wagw_json_kint(&j, "port", system_port());
    wagw_json_kcstr(&j, "nodeVersion", NGINX_VER);
    system_platform(&j);
    system_hostname(&j);
    wagw_json_kint(&j, "cpus", ngx_ncpu);
    system_key_mb(&j, "totalMemory", (double)si.totalram * si.mem_unit);
    system_key_mb(&j, "freeMemory", (double)si.freeram * si.mem_unit);
    wagw_json_key(&j, "uptime");
    wagw_json_open(&j, '{');
    wagw_json_kint(&j, "system", si.uptime);
    system_key_num(&j, "process", system_uptime());
    wagw_json_close(&j);
    wagw_json_close(&j);

    ngx_wagw_call_data(call, 200, &b, NULL);
}

static void system_status_list(ngx_wagw_call_t *call, wagw_json_t *j)
{
    ngx_queue_t *q, *all;
    wagw_client_info_t info;
    ngx_wagw_instance_t *in;

    all = ngx_wagw_instances();
    wagw_json_open(j, '[');

    for (q = ngx_queue_head(all); q != ngx_queue_sentinel(all); q = ngx_queue_next(q)) {
        in = ngx_queue_data(q, ngx_wagw_instance_t, queue);

        if (in->deleting || !ngx_wagw_call_sees(call, &in->id)) {
            continue;
        }

        wagw_client_info(in->client, &info);
        wagw_json_open(j, '{');
        wagw_json_kstr(j, "id", wagw_str(in->id.data, in->id.len));
        wagw_json_kcstr(j, "status", wagw_status_name(info.status));
        wagw_json_kbool(j, "connected", info.status == WAGW_STATUS_CONNECTED);
        wagw_json_kint(j, "ignored", (int64_t)info.ignored);
        wagw_json_close(j);
    }

    wagw_json_close(j);
}

static void system_status_machine(wagw_json_t *j, struct sysinfo *si)
{
    double total, free_, load[3];
    ngx_uint_t i;
    struct rusage ru;

    if (getloadavg(load, 3) != 3) {
        load[0] = load[1] = load[2] = 0;
    }

    wagw_json_key(j, "system");
    wagw_json_open(j, '{');
    system_platform(j);
    system_hostname(j);
    wagw_json_kint(j, "cpus", ngx_ncpu);
    wagw_json_key(j, "loadAverage");
    wagw_json_open(j, '[');

    for (i = 0; i < 3; i++) {
        wagw_json_num(j, load[i]);
    }

    wagw_json_close(j);
    wagw_json_close(j);

    total = (double)si->totalram * si->mem_unit;
    free_ = (double)si->freeram * si->mem_unit;

    wagw_json_key(j, "memory");
    wagw_json_open(j, '{');
    wagw_json_key(j, "system");
    wagw_json_open(j, '{');
    system_key_mb(j, "total", total);
    system_key_mb(j, "free", free_);
    system_key_mb(j, "used", total - free_);
    system_key_num(j, "percent", total > 0 ? (double)(int)((total - free_) * 10000 / total) / 100 : 0);
    wagw_json_close(j);
    wagw_json_key(j, "process");
    system_memory(j);
    wagw_json_close(j);

    if (getrusage(RUSAGE_SELF, &ru) != 0) {
        ngx_memzero(&ru, sizeof(ru));
    }

    wagw_json_key(j, "cpu");
    wagw_json_open(j, '{');
    system_key_num(j, "user", (double)ru.ru_utime.tv_sec + (double)ru.ru_utime.tv_usec / 1e6);
    system_key_num(j, "system", (double)ru.ru_stime.tv_sec + (double)ru.ru_stime.tv_usec / 1e6);
    wagw_json_close(j);
}

NGX_WAGW_HANDLER(observability_status)
{
    wagw_buf_t b;
    wagw_json_t j;
    struct sysinfo si;
    system_instances_t n;

    ngx_memzero(&b, sizeof(b));

    if (sysinfo(&si) != 0) {
        ngx_memzero(&si, sizeof(si));
    }

    system_count(call, &n);

    j = wagw_json(&b);
    wagw_json_open(&j, '{');
    wagw_json_key(&j, "server");
    wagw_json_open(&j, '{');
    wagw_json_kcstr(&j, "status", "running");
    system_key_num(&j, "uptime", system_uptime());
    wagw_json_kiso(&j, "startTime", system_started);
    wagw_json_close(&j);

    system_status_machine(&j, &si);

    wagw_json_key(&j, "instances");
    wagw_json_open(&j, '{');
    wagw_json_kint(&j, "total", (int64_t)n.total);
    wagw_json_kint(&j, "connected", (int64_t)n.connected);
    wagw_json_key(&j, "list");
    system_status_list(call, &j);
    wagw_json_close(&j);

    wagw_json_kiso(&j, "timestamp", ngx_wagw_now_ms());
    wagw_json_close(&j);

    ngx_wagw_call_data(call, 200, &b, NULL);
}
