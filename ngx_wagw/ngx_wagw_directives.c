/* Setters of the directives that nginx's own slots cannot read, and defaults
 * that need the whole http block. */

#include "ngx_wagw_http.h"

#define CONF_STATE_DIR "/var/lib/wagw"
#define CONF_URL "wss://web.whatsapp.com/ws/chat"
#define CONF_ROOT "142375574d0a587166aae71ebe516437c4a28b73e3695c6ce1f7f9545da8ee6b"
#define CONF_VERSION                                                                                                   \
    {                                                                                                                  \
        2, 3000, 1043857760                                                                                            \
    }
#define CONF_SECRET_MAX 4096
#define CONF_MIB (1024 * 1024LL)
#define CONF_KEEP_MAX (10 * 365 * 86400)

static char *conf_invalid(ngx_conf_t *cf, ngx_str_t *value)
{
    ngx_conf_log_error(NGX_LOG_EMERG, cf, 0, "invalid value \"%V\"", value);
    return NGX_CONF_ERROR;
}

/* A small file, without the line end that editors leave. */
static char *conf_file(ngx_conf_t *cf, ngx_str_t *path, ngx_str_t *out, ngx_uint_t trim)
{
    u_char buf[CONF_SECRET_MAX + 1];
    ssize_t n;
    ngx_fd_t fd;
    ngx_str_t name = *path;

    if (ngx_conf_full_name(cf->cycle, &name, 1) != NGX_OK) {
        return NGX_CONF_ERROR;
    }
    fd = ngx_open_file(name.data, NGX_FILE_RDONLY, NGX_FILE_OPEN, 0);
    if (fd == NGX_INVALID_FILE) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, ngx_errno, ngx_open_file_n " \"%V\" failed", &name);
        return NGX_CONF_ERROR;
    }
    n = ngx_read_fd(fd, buf, sizeof(buf));
    (void)ngx_close_file(fd);
    if (n < 0 || n > CONF_SECRET_MAX) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, n < 0 ? ngx_errno : 0, "\"%V\" cannot be read or is too long", &name);
        return NGX_CONF_ERROR;
    }
    while (trim && n && (buf[n - 1] == '\n' || buf[n - 1] == '\r')) {
        n--;
    }
    out->data = ngx_pnalloc(cf->pool, n + 1);
    if (out->data == NULL) {
        return NGX_CONF_ERROR;
    }
    ngx_memcpy(out->data, buf, n);
    out->data[n] = '\0';
    out->len = n;
    wagw_wipe(buf, sizeof(buf));
    return NGX_CONF_OK;
}

char *ngx_wagw_conf_zone(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    ssize_t size;
    ngx_str_t *value = cf->args->elts;
    ngx_wagw_main_conf_t *wmcf = conf;

    if (wmcf->zone_name.data) {
        return "is duplicate";
    }
    size = ngx_parse_size(&value[2]);
    if (size == NGX_ERROR || size < (ssize_t)(64 * ngx_pagesize)) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0, "zone \"%V\" is too small or has an invalid size \"%V\"", &value[1],
                           &value[2]);
        return NGX_CONF_ERROR;
    }
    wmcf->zone_name = value[1];
    wmcf->zone_size = size;
    return NGX_CONF_OK;
}

char *ngx_wagw_conf_state_dir(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    ngx_str_t *value = cf->args->elts;
    ngx_wagw_main_conf_t *wmcf = conf;

    if (wmcf->state_dir.data) {
        return "is duplicate";
    }
    wmcf->state_dir = value[1];
    if (wmcf->state_dir.len == 0) {
        return conf_invalid(cf, &value[1]);
    }
    if (ngx_conf_full_name(cf->cycle, &wmcf->state_dir, 0) != NGX_OK) {
        return NGX_CONF_ERROR;
    }
    while (wmcf->state_dir.len > 1 && wmcf->state_dir.data[wmcf->state_dir.len - 1] == '/') {
        wmcf->state_dir.len--;
    }
    return NGX_CONF_OK;
}

char *ngx_wagw_conf_store(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    ngx_str_t *value = cf->args->elts, path;
    ngx_wagw_main_conf_t *wmcf = conf;

    if (wmcf->store.data) {
        return "is duplicate";
    }
    if (value[1].len > 8 && ngx_strncmp(value[1].data, "mysql://", 8) == 0) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0, "store \"%V\" is not supported yet, use sqlite:FILE", &value[1]);
        return NGX_CONF_ERROR;
    }
    if (value[1].len <= 7 || ngx_strncmp(value[1].data, "sqlite:", 7) != 0) {
        return conf_invalid(cf, &value[1]);
    }
    path.data = value[1].data + 7;
    path.len = value[1].len - 7;
    if (ngx_conf_full_name(cf->cycle, &path, 0) != NGX_OK) {
        return NGX_CONF_ERROR;
    }
    wmcf->store.data = ngx_pnalloc(cf->pool, path.len + 8);
    if (wmcf->store.data == NULL) {
        return NGX_CONF_ERROR;
    }
    wmcf->store.len = ngx_sprintf(wmcf->store.data, "sqlite:%V%Z", &path) - wmcf->store.data - 1;
    return NGX_CONF_OK;
}

char *ngx_wagw_conf_store_password(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    ngx_str_t *value = cf->args->elts;
    ngx_wagw_main_conf_t *wmcf = conf;

    if (wmcf->store_password.data) {
        return "is duplicate";
    }
    return conf_file(cf, &value[1], &wmcf->store_password, 1);
}

char *ngx_wagw_conf_api_key(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    char *rc;
    ngx_str_t *value = cf->args->elts, key, path;
    ngx_wagw_main_conf_t *wmcf = conf;

    if (wmcf->master_key == 1) {
        return "is duplicate";
    }
    key = value[1];
    if (key.len > 5 && ngx_strncmp(key.data, "file:", 5) == 0) {
        path.data = key.data + 5;
        path.len = key.len - 5;
        rc = conf_file(cf, &path, &key, 1);
        if (rc != NGX_CONF_OK) {
            return rc;
        }
    }
    if (key.len == 0 || key.len > 512) {
        return "needs a key of 1 to 512 characters";
    }
    if (key.len < 16) {
        ngx_conf_log_error(NGX_LOG_WARN, cf, 0, "the API key has less than 16 characters");
    }
    wagw_sha256(wmcf->master_key_hash, wagw_str(key.data, key.len));
    wagw_wipe(key.data, key.len);
    wmcf->master_key = 1;
    return NGX_CONF_OK;
}

char *ngx_wagw_conf_encryption_key(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    char *rc;
    uint8_t raw[32];
    ngx_str_t *value = cf->args->elts, text;
    ngx_wagw_main_conf_t *wmcf = conf;

    if (wmcf->encryption_key.data) {
        return "is duplicate";
    }
    rc = conf_file(cf, &value[1], &text, 0);
    if (rc != NGX_CONF_OK) {
        return rc;
    }
    if (text.len != 32) {
        while (text.len && (text.data[text.len - 1] == '\n' || text.data[text.len - 1] == '\r')) {
            text.len--;
        }
        if (text.len == 64 && wagw_hex_fixed(raw, 32, wagw_str(text.data, 64)) == WAGW_OK) {
            ngx_memcpy(text.data, raw, 32);
            wagw_wipe(text.data + 32, 32);
            wagw_wipe(raw, 32);
            text.len = 32;
        }
    }
    if (text.len != 32) {
        return "needs a file of 32 bytes, or of their 64 hex digits";
    }
    wmcf->encryption_key = text;
    return NGX_CONF_OK;
}

static ngx_uint_t conf_loopback(ngx_str_t *host)
{
    ngx_str_t h = *host;
    ngx_addr_t addr;
    ngx_pool_t *pool;
    ngx_uint_t yes = 0;

    if (h.len == 9 && ngx_strncasecmp(h.data, (u_char *)"localhost", 9) == 0) {
        return 1;
    }
    pool = ngx_create_pool(512, ngx_cycle->log);
    if (pool && ngx_parse_addr(pool, &addr, h.data, h.len) == NGX_OK) {
        if (addr.sockaddr->sa_family == AF_INET) {
            yes = (ntohl(((struct sockaddr_in *)addr.sockaddr)->sin_addr.s_addr) >> 24) == 127;
        } else if (addr.sockaddr->sa_family == AF_INET6) {
            yes = IN6_IS_ADDR_LOOPBACK(&((struct sockaddr_in6 *)addr.sockaddr)->sin6_addr);
        }
    }
    if (pool) {
        ngx_destroy_pool(pool);
    }
    return yes;
}

static char *conf_url(ngx_conf_t *cf, ngx_wagw_main_conf_t *wmcf, ngx_str_t *url)
{
    u_char *p, *end = url->data + url->len, *host, *colon = NULL;
    ngx_int_t port;

    if (url->len > 6 && ngx_strncasecmp(url->data, (u_char *)"wss://", 6) == 0) {
        wmcf->whatsapp_tls = 1;
        host = url->data + 6;
    } else if (url->len > 5 && ngx_strncasecmp(url->data, (u_char *)"ws://", 5) == 0) {
        wmcf->whatsapp_tls = 0;
        host = url->data + 5;
    } else {
        return conf_invalid(cf, url);
    }
    p = host;
    if (*p == '[') {
        host++;
        for (p++; p < end && *p != ']'; p++) {
        }
        if (p == end) {
            return conf_invalid(cf, url);
        }
        wmcf->whatsapp_host.data = host;
        wmcf->whatsapp_host.len = p - host;
        p++;
        if (p < end && *p == ':') {
            colon = p;
        }
    } else {
        for (; p < end && *p != '/' && *p != ':' && *p != '?'; p++) {
        }
        wmcf->whatsapp_host.data = host;
        wmcf->whatsapp_host.len = p - host;
        if (p < end && *p == ':') {
            colon = p;
        }
    }
    wmcf->whatsapp_port = wmcf->whatsapp_tls ? 443 : 80;
    if (colon) {
        for (p = colon + 1; p < end && *p != '/' && *p != '?'; p++) {
        }
        port = ngx_atoi(colon + 1, p - colon - 1);
        if (port < 1 || port > 65535) {
            return conf_invalid(cf, url);
        }
        wmcf->whatsapp_port = port;
    }
    if (wmcf->whatsapp_host.len == 0 || wmcf->whatsapp_host.len > 255 || (p < end && *p != '/' && *p != '?')) {
        return conf_invalid(cf, url);
    }
    wmcf->whatsapp_path.data = p;
    wmcf->whatsapp_path.len = end - p;
    if (p == end || *p != '/') {
        wmcf->whatsapp_path.data = ngx_pnalloc(cf->pool, end - p + 1);
        if (wmcf->whatsapp_path.data == NULL) {
            return NGX_CONF_ERROR;
        }
        wmcf->whatsapp_path.data[0] = '/';
        ngx_memcpy(wmcf->whatsapp_path.data + 1, p, end - p);
        wmcf->whatsapp_path.len = end - p + 1;
    }
    if (!wmcf->whatsapp_tls && !conf_loopback(&wmcf->whatsapp_host)) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0, "\"%V\": ws:// is allowed for loopback only", url);
        return NGX_CONF_ERROR;
    }
    wmcf->whatsapp_url = *url;
    return NGX_CONF_OK;
}

char *ngx_wagw_conf_whatsapp_url(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    ngx_str_t *value = cf->args->elts;
    ngx_wagw_main_conf_t *wmcf = conf;

    return wmcf->whatsapp_url.data ? "is duplicate" : conf_url(cf, wmcf, &value[1]);
}

char *ngx_wagw_conf_whatsapp_root(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    ngx_str_t *value = cf->args->elts;
    ngx_wagw_main_conf_t *wmcf = conf;

    if (wagw_hex_fixed(wmcf->whatsapp_root, 32, wagw_str(value[1].data, value[1].len)) != WAGW_OK) {
        return conf_invalid(cf, &value[1]);
    }
    return NGX_CONF_OK;
}

char *ngx_wagw_conf_whatsapp_version(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    u_char *p, *last, *dot;
    ngx_int_t n;
    ngx_str_t *value = cf->args->elts;
    ngx_uint_t i;
    ngx_wagw_main_conf_t *wmcf = conf;

    if (wmcf->whatsapp_version_auto != NGX_CONF_UNSET) {
        return "is duplicate";
    }
    if (value[1].len == 4 && ngx_strcmp(value[1].data, "auto") == 0) {
        wmcf->whatsapp_version_auto = 1;
        return NGX_CONF_OK;
    }
    p = value[1].data;
    last = p + value[1].len;
    for (i = 0; i < 3; i++) {
        dot = i < 2 ? ngx_strlchr(p, last, '.') : last;
        n = dot ? ngx_atoi(p, dot - p) : NGX_ERROR;
        if (n == NGX_ERROR || (uint64_t)n > 0xffffffff) {
            return conf_invalid(cf, &value[1]);
        }
        wmcf->whatsapp_version[i] = n;
        p = dot + 1;
    }
    wmcf->whatsapp_version_auto = 0;
    return NGX_CONF_OK;
}

char *ngx_wagw_conf_trusted(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    ngx_str_t *value = cf->args->elts;
    ngx_wagw_main_conf_t *wmcf = conf;

    if (wmcf->trusted_certificate.data) {
        return "is duplicate";
    }
    wmcf->trusted_certificate = value[1];
    if (ngx_conf_full_name(cf->cycle, &wmcf->trusted_certificate, 1) != NGX_OK) {
        return NGX_CONF_ERROR;
    }
    /* read by the owner only, which could tell nobody but the log */
    if (access((char *)wmcf->trusted_certificate.data, R_OK) == -1) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, ngx_errno, "certificate \"%V\" cannot be read",
                           &wmcf->trusted_certificate);
        return NGX_CONF_ERROR;
    }
    return NGX_CONF_OK;
}

char *ngx_wagw_conf_outbound_allow(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    ngx_int_t rc;
    ngx_str_t *value = cf->args->elts;
    ngx_uint_t i;
    ngx_cidr_t *cidr;
    ngx_wagw_main_conf_t *wmcf = conf;

    if (wmcf->outbound_allow == NULL) {
        wmcf->outbound_allow = ngx_array_create(cf->pool, 4, sizeof(ngx_cidr_t));
        if (wmcf->outbound_allow == NULL) {
            return NGX_CONF_ERROR;
        }
    }
    for (i = 1; i < cf->args->nelts; i++) {
        cidr = ngx_array_push(wmcf->outbound_allow);
        if (cidr == NULL) {
            return NGX_CONF_ERROR;
        }
        ngx_memzero(cidr, sizeof(ngx_cidr_t));
        rc = ngx_ptocidr(&value[i], cidr);
        if (rc == NGX_ERROR) {
            return conf_invalid(cf, &value[i]);
        }
        if (rc == NGX_DONE) {
            ngx_conf_log_error(NGX_LOG_WARN, cf, 0, "low address bits of %V are meaningless", &value[i]);
        }
    }
    return NGX_CONF_OK;
}

/* In the order of NGX_WAGW_SIZE_*: what is sent, and what an address may lead to (contract 1.10). */
static const struct {
    const char *name;
    off_t limit, url, max;
} conf_sizes[NGX_WAGW_SIZES] = {
    {"image", 16 * CONF_MIB, 16 * CONF_MIB, 100 * CONF_MIB},
    {"video", 100 * CONF_MIB, 16 * CONF_MIB, 2048 * CONF_MIB},
    {"audio", 16 * CONF_MIB, 16 * CONF_MIB, 2048 * CONF_MIB},
    {"document", 2048 * CONF_MIB, 100 * CONF_MIB, 2048 * CONF_MIB},
    {"sticker", 500 * 1024, 500 * 1024, CONF_MIB},
};

/* "image=16m document=1g" */
char *ngx_wagw_conf_media_limit(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    size_t n;
    off_t size, *limit = (off_t *)(void *)((u_char *)conf + cmd->offset);
    ngx_str_t *value = cf->args->elts, s;
    ngx_uint_t i, k;

    for (i = 1; i < cf->args->nelts; i++) {
        for (k = 0; k < NGX_WAGW_SIZES; k++) {
            n = ngx_strlen(conf_sizes[k].name);
            if (value[i].len > n + 1 && ngx_strncmp(value[i].data, conf_sizes[k].name, n) == 0 &&
                value[i].data[n] == '=') {
                break;
            }
        }
        if (k == NGX_WAGW_SIZES) {
            return conf_invalid(cf, &value[i]);
        }
        s.data = value[i].data + n + 1;
        s.len = value[i].len - n - 1;
        size = ngx_parse_offset(&s);
        if (size == NGX_ERROR || size == 0) {
            return conf_invalid(cf, &value[i]);
        }
        if (size > conf_sizes[k].max) {
            ngx_conf_log_error(NGX_LOG_EMERG, cf, 0, "\"%V\" is more than WhatsApp takes (%O bytes)", &value[i],
                               conf_sizes[k].max);
            return NGX_CONF_ERROR;
        }
        if (limit[k]) {
            return "is duplicate";
        }
        limit[k] = size;
    }
    return NGX_CONF_OK;
}

/* Bytes in all, and for how long. */
char *ngx_wagw_conf_media_keep(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    time_t time;
    off_t size;
    ngx_str_t *value = cf->args->elts;
    ngx_wagw_main_conf_t *wmcf = conf;

    if (wmcf->media_keep_size[cmd->offset]) {
        return "is duplicate";
    }
    size = ngx_parse_offset(&value[1]);
    if (size == NGX_ERROR || size == 0) {
        return conf_invalid(cf, &value[1]);
    }
    time = ngx_parse_time(&value[2], 1);
    if (time == (time_t)NGX_ERROR || time == 0 || time > CONF_KEEP_MAX) {
        return conf_invalid(cf, &value[2]);
    }
    wmcf->media_keep_size[cmd->offset] = size;
    wmcf->media_keep_time[cmd->offset] = time;
    return NGX_CONF_OK;
}

char *ngx_wagw_conf_signature(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    static const struct {
        const char *name;
        ngx_uint_t bit;
    } names[] = {{"v1", 1}, {"hub", 2}, {"waha", 4}};
    ngx_str_t *value = cf->args->elts;
    ngx_uint_t i, k;
    ngx_wagw_main_conf_t *wmcf = conf;

    if (wmcf->webhook_signature != NGX_CONF_UNSET_UINT) {
        return "is duplicate";
    }
    wmcf->webhook_signature = 0;
    for (i = 1; i < cf->args->nelts; i++) {
        for (k = 0; k < 3 && ngx_strcmp(value[i].data, names[k].name) != 0; k++) {
        }
        if (k == 3) {
            return conf_invalid(cf, &value[i]);
        }
        wmcf->webhook_signature |= names[k].bit;
    }
    return NGX_CONF_OK;
}

static void conf_serves(ngx_conf_t *cf)
{
    ngx_http_core_loc_conf_t *clcf = ngx_http_conf_get_module_loc_conf(cf, ngx_http_core_module);
    ngx_wagw_main_conf_t *wmcf = ngx_http_conf_get_module_main_conf(cf, ngx_http_wagw_module);

    clcf->handler = ngx_wagw_content_handler;
    wmcf->used = 1;
}

char *ngx_wagw_conf_serve(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    ngx_str_t *value = cf->args->elts, *group;
    ngx_uint_t i, k;
    ngx_wagw_loc_conf_t *wlcf = conf;

    if (wlcf->serve != NGX_CONF_UNSET_UINT) {
        return "is duplicate";
    }
    if (cf->args->nelts == 2 && ngx_strcmp(value[1].data, "off") == 0) {
        wlcf->serve = 0;
        return NGX_CONF_OK;
    }
    if (cf->args->nelts == 2 && ngx_strcmp(value[1].data, "on") == 0) {
        wlcf->serve = 1;
        conf_serves(cf);
        return NGX_CONF_OK;
    }
    wlcf->serve = 2;
    wlcf->groups = ngx_array_create(cf->pool, cf->args->nelts, sizeof(ngx_str_t));
    if (wlcf->groups == NULL) {
        return NGX_CONF_ERROR;
    }
    for (i = 1; i < cf->args->nelts; i++) {
        for (k = 0; k < ngx_wagw_nroutes && ngx_strcmp(ngx_wagw_routes[k].group, value[i].data) != 0; k++) {
        }
        if (k == ngx_wagw_nroutes) {
            ngx_conf_log_error(NGX_LOG_EMERG, cf, 0, "unknown resource group \"%V\"", &value[i]);
            return NGX_CONF_ERROR;
        }
        group = ngx_array_push(wlcf->groups);
        if (group == NULL) {
            return NGX_CONF_ERROR;
        }
        *group = value[i];
    }
    conf_serves(cf);
    return NGX_CONF_OK;
}

/* wagw_metrics and its like: cmd->post names the row that they serve */
char *ngx_wagw_conf_place(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    ngx_wagw_loc_conf_t *wlcf = conf;

    if (wlcf->place) {
        return "is duplicate, or beside another of its kind";
    }
    wlcf->place = ngx_wagw_route_find("GET", cmd->post);
    if (wlcf->place == NULL) {
        return NGX_CONF_ERROR;
    }
    conf_serves(cf);
    return NGX_CONF_OK;
}

char *ngx_wagw_conf_rate(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    u_char *slash;
    ngx_int_t n, t;
    ngx_str_t *value = cf->args->elts, span;
    ngx_wagw_loc_conf_t *wlcf = conf;

    if (wlcf->rate != NGX_CONF_UNSET_UINT) {
        return "is duplicate";
    }
    if (ngx_strcmp(value[1].data, "off") == 0) {
        wlcf->rate = 0;
        wlcf->window = 0;
        return NGX_CONF_OK;
    }
    slash = ngx_strlchr(value[1].data, value[1].data + value[1].len, '/');
    if (slash == NULL) {
        return conf_invalid(cf, &value[1]);
    }
    n = ngx_atoi(value[1].data, slash - value[1].data);
    span.data = slash + 1;
    span.len = value[1].data + value[1].len - span.data;
    t = ngx_parse_time(&span, 1);
    if (n < 1 || n > 1000000000 || t == NGX_ERROR || t < 1 || t > 86400 * 366) {
        return conf_invalid(cf, &value[1]);
    }
    wlcf->rate = n;
    wlcf->window = t;
    return NGX_CONF_OK;
}

char *ngx_wagw_conf_cors(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    ngx_str_t *value = cf->args->elts, *origin;
    ngx_uint_t i;
    ngx_wagw_loc_conf_t *wlcf = conf;

    if (wlcf->cors != NGX_CONF_UNSET_UINT) {
        return "is duplicate";
    }
    if (cf->args->nelts == 2 && ngx_strcmp(value[1].data, "*") == 0) {
        wlcf->cors = NGX_WAGW_CORS_ANY;
        return NGX_CONF_OK;
    }
    if (cf->args->nelts == 2 && ngx_strcmp(value[1].data, "off") == 0) {
        wlcf->cors = NGX_WAGW_CORS_OFF;
        return NGX_CONF_OK;
    }
    wlcf->cors = NGX_WAGW_CORS_LIST;
    wlcf->origins = ngx_array_create(cf->pool, cf->args->nelts, sizeof(ngx_str_t));
    if (wlcf->origins == NULL) {
        return NGX_CONF_ERROR;
    }
    for (i = 1; i < cf->args->nelts; i++) {
        if (ngx_strncmp(value[i].data, "http://", 7) != 0 && ngx_strncmp(value[i].data, "https://", 8) != 0) {
            return conf_invalid(cf, &value[i]);
        }
        origin = ngx_array_push(wlcf->origins);
        if (origin == NULL) {
            return NGX_CONF_ERROR;
        }
        *origin = value[i];
    }
    return NGX_CONF_OK;
}

char *ngx_wagw_conf_complete(ngx_conf_t *cf, ngx_wagw_main_conf_t *wmcf)
{
    char *password;
    ngx_str_t url = ngx_string(CONF_URL);
    ngx_uint_t i;
    static const uint8_t none[32];
    static const ngx_uint_t version[3] = CONF_VERSION;

    if (wmcf->zone_name.data == NULL) {
        ngx_str_set(&wmcf->zone_name, "wagw");
        wmcf->zone_size = 16 * 1024 * 1024;
    }
    if (wmcf->state_dir.data == NULL) {
        ngx_str_set(&wmcf->state_dir, CONF_STATE_DIR);
    }
    if (wmcf->store.data == NULL) {
        wmcf->store.data = ngx_pnalloc(cf->pool, wmcf->state_dir.len + sizeof("sqlite:/wagw.db"));
        if (wmcf->store.data == NULL) {
            return NGX_CONF_ERROR;
        }
        wmcf->store.len = ngx_sprintf(wmcf->store.data, "sqlite:%V/wagw.db%Z", &wmcf->state_dir) - wmcf->store.data - 1;
    }
    if (wmcf->store_password.data == NULL) {
        password = getenv("WAGW_STORE_PASSWORD");
        if (password) {
            wmcf->store_password.len = ngx_strlen(password);
            wmcf->store_password.data = ngx_pnalloc(cf->pool, wmcf->store_password.len + 1);
            if (wmcf->store_password.data == NULL) {
                return NGX_CONF_ERROR;
            }
            ngx_memcpy(wmcf->store_password.data, password, wmcf->store_password.len + 1);
        }
    }
    if (wmcf->whatsapp_url.data == NULL && conf_url(cf, wmcf, &url) != NGX_CONF_OK) {
        return NGX_CONF_ERROR;
    }
    if (ngx_memcmp(wmcf->whatsapp_root, none, 32) == 0) {
        (void)wagw_hex_fixed(wmcf->whatsapp_root, 32, WAGW_STR(CONF_ROOT));
    }
    ngx_conf_init_value(wmcf->master_key, 0);
    ngx_conf_init_value(wmcf->whatsapp_version_auto, 1);
    if (wmcf->whatsapp_version_auto) {
        for (i = 0; i < 3; i++) {
            wmcf->whatsapp_version[i] = version[i];
        }
    }
    ngx_conf_init_uint_value(wmcf->owner_connections, 12000);
    ngx_conf_init_value(wmcf->process_control, 0);
    ngx_conf_init_value(wmcf->raw_messages, 0);
    ngx_conf_init_uint_value(wmcf->webhook_signature, 3);
    ngx_conf_init_uint_value(wmcf->event_names, 0);
    ngx_conf_init_uint_value(wmcf->compat, 0);
    ngx_conf_init_uint_value(wmcf->request_log, 0);
    for (i = 0; i < NGX_WAGW_SIZES; i++) {
        wmcf->media_limit[i] = wmcf->media_limit[i] ? wmcf->media_limit[i] : conf_sizes[i].limit;
        wmcf->media_url_limit[i] = wmcf->media_url_limit[i] ? wmcf->media_url_limit[i] : conf_sizes[i].url;
    }
    for (i = 0; i < 2; i++) {
        if (wmcf->media_keep_size[i] == 0) {
            wmcf->media_keep_size[i] = (i ? 4096 : 1024) * CONF_MIB;
            wmcf->media_keep_time[i] = (i ? 30 : 1) * 86400;
        }
    }
    if (wmcf->owner_connections < 64) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0, "\"wagw_owner_connections\" must be 64 or more");
        return NGX_CONF_ERROR;
    }
    return NGX_CONF_OK;
}
