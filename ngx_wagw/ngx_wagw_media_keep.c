/*
 * Files that are kept for days, one directory per instance below STATE/kept:
 *
 *     up-NAME   uploads (contract 3.11)
 *     in-NAME   media of received messages (settings storeMedia, mediaAutoDownload)
 *
 * Both are encrypted as WhatsApp encrypts media.  What opens an upload, and its
 * name, are derived from its mediaId, the instance and the configured key: the
 * mediaId itself is nowhere stored.  What opens received media is in the
 * message's row.  A file's modification time is the moment when it goes, so a
 * new owner knows it from the directory alone.
 */

#include "ngx_wagw_media.h"

#include <dirent.h>
#include <fcntl.h>
#include <openssl/rand.h>
#include <sys/stat.h>

#define KEEP_TIMER 60000
#define KEEP_NOTES 4096 /* of an upload, sealed, behind its bytes */
#define KEEP_MAGIC 0x77676b31
#define KEEP_FILES 100000
#define KEEP_TAIL 12 /* of received media */
#define KEEP_INFO "wagw upload "

typedef struct {
    ngx_rbtree_node_t node; /* key: what the path hashes to */
    ngx_queue_t queue;      /* first to go first */
    uint64_t bytes;
    int64_t expires;
    unsigned received : 1;
    char path[];
} kept_t;

static struct {
    ngx_wagw_main_conf_t *wmcf;
    char *dir;
    ngx_rbtree_t tree;
    ngx_rbtree_node_t sentinel;
    ngx_queue_t list[2]; /* uploads, received */
    uint64_t bytes[2];
    ngx_uint_t n;
    ngx_event_t timer;
} keep;

static uint64_t keep_number(const uint8_t *p, unsigned bytes)
{
    uint64_t v = 0;

    for (; bytes; bytes--) {
        v = v << 8 | *p++;
    }
    return v;
}

/* ---- the list ---- */

static kept_t *keep_at(ngx_queue_t *q)
{
    return ngx_queue_data(q, kept_t, queue);
}

static uint32_t keep_hash(const char *path)
{
    return ngx_crc32_long((u_char *)path, ngx_strlen(path));
}

static void keep_insert(ngx_rbtree_node_t *at, ngx_rbtree_node_t *node, ngx_rbtree_node_t *sentinel)
{
    ngx_rbtree_node_t **p;

    for (;;) {
        p = node->key < at->key                                            ? &at->left
            : node->key > at->key                                          ? &at->right
            : ngx_strcmp(((kept_t *)node)->path, ((kept_t *)at)->path) < 0 ? &at->left
                                                                           : &at->right;
        if (*p == sentinel) {
            break;
        }
        at = *p;
    }
    *p = node;
    node->parent = at;
    node->left = node->right = sentinel;
    ngx_rbt_red(node);
}

static kept_t *keep_find(const char *path)
{
    int rc;
    kept_t *k;
    uint32_t hash = keep_hash(path);
    ngx_rbtree_node_t *n = keep.tree.root;

    while (n != &keep.sentinel) {
        k = (kept_t *)n;
        if (hash != n->key) {
            n = hash < n->key ? n->left : n->right;
            continue;
        }
        rc = ngx_strcmp(path, k->path);
        if (rc == 0) {
            return k;
        }
        n = rc < 0 ? n->left : n->right;
    }
    return NULL;
}

static void keep_drop(kept_t *k)
{
    unlink(k->path);
    ngx_rbtree_delete(&keep.tree, &k->node);
    ngx_queue_remove(&k->queue);
    keep.bytes[k->received] -= k->bytes;
    keep.n--;
    free(k);
}

static void keep_timer(ngx_event_t *ev)
{
    kept_t *k;
    int64_t now = ngx_wagw_now_ms();

    for (ngx_uint_t i = 0; i < 2; i++) {
        while (!ngx_queue_empty(&keep.list[i])) {
            k = keep_at(ngx_queue_head(&keep.list[i]));
            if (k->expires > now) {
                break;
            }
            keep_drop(k);
        }
    }
    if (keep.n) {
        ngx_add_timer(ev, KEEP_TIMER);
    }
}

bool ngx_wagw_kept_add(const char *path, uint64_t bytes, int64_t expires_ms, bool received)
{
    kept_t *k = keep_find(path);
    size_t n = ngx_strlen(path) + 1;
    ngx_queue_t *q;
    uint64_t room = (uint64_t)keep.wmcf->media_keep_size[received];

    if (k) {
        keep.bytes[k->received] += bytes - k->bytes;
        k->bytes = bytes;
        return true;
    }
    /* received media can be fetched again; an upload was promised until it expires */
    while (received && !ngx_queue_empty(&keep.list[1]) && (keep.bytes[1] + bytes > room || keep.n >= KEEP_FILES)) {
        keep_drop(keep_at(ngx_queue_head(&keep.list[1])));
    }
    k = keep.bytes[received] + bytes > room || keep.n >= KEEP_FILES ? NULL : malloc(sizeof(*k) + n);
    if (k == NULL) {
        unlink(path);
        return false;
    }
    memcpy(k->path, path, n);
    k->bytes = bytes;
    k->expires = expires_ms;
    k->received = received;
    k->node.key = keep_hash(path);
    ngx_rbtree_insert(&keep.tree, &k->node);
    /* nearly always the last to go */
    for (q = ngx_queue_last(&keep.list[received]);
         q != ngx_queue_sentinel(&keep.list[received]) && keep_at(q)->expires > expires_ms; q = ngx_queue_prev(q)) {
    }
    ngx_queue_insert_after(q, &k->queue);
    keep.bytes[received] += bytes;
    keep.n++;
    if (!keep.timer.timer_set) {
        ngx_add_timer(&keep.timer, KEEP_TIMER);
    }
    return true;
}

ngx_int_t ngx_wagw_kept_remove(const char *path)
{
    kept_t *k = keep_find(path);

    if (k == NULL) {
        return NGX_DECLINED;
    }
    keep_drop(k);
    return NGX_OK;
}

void ngx_wagw_kept_forget(ngx_str_t *instance)
{
    kept_t *k;
    size_t n;
    ngx_queue_t *q, *next;
    char path[NGX_MAX_PATH];

    n = (size_t)snprintf(path, sizeof(path), "%s/%.*s/", keep.dir, (int)instance->len, instance->data);
    for (ngx_uint_t i = 0; i < 2; i++) {
        for (q = ngx_queue_head(&keep.list[i]); q != ngx_queue_sentinel(&keep.list[i]); q = next) {
            next = ngx_queue_next(q);
            k = keep_at(q);
            if (ngx_strncmp(k->path, path, n) == 0) {
                keep_drop(k);
            }
        }
    }
    rmdir(path);
}

/* ---- start and end ---- */

static void keep_scan_instance(const char *name)
{
    bool received;
    DIR *d;
    char path[NGX_MAX_PATH];
    struct stat st;
    struct dirent *e;

    if (snprintf(path, sizeof(path), "%s/%s", keep.dir, name) >= (int)sizeof(path) || (d = opendir(path)) == NULL) {
        return;
    }
    while ((e = readdir(d)) != NULL) {
        if (e->d_name[0] == '.' ||
            snprintf(path, sizeof(path), "%s/%s/%s", keep.dir, name, e->d_name) >= (int)sizeof(path) ||
            stat(path, &st) == -1) {
            continue;
        }
        received = ngx_strncmp(e->d_name, "in-", 3) == 0;
        if (!S_ISREG(st.st_mode) || (!received && ngx_strncmp(e->d_name, "up-", 3) != 0)) {
            continue;
        }
        (void)ngx_wagw_kept_add(path, (uint64_t)st.st_size, (int64_t)st.st_mtime * 1000, received);
    }
    closedir(d);
}

ngx_int_t ngx_wagw_media_keep_init(ngx_cycle_t *cycle, ngx_wagw_main_conf_t *wmcf)
{
    DIR *d;
    struct dirent *e;
    wagw_buf_t b = {0};

    ngx_memzero(&keep, sizeof(keep));
    keep.wmcf = wmcf;
    ngx_rbtree_init(&keep.tree, &keep.sentinel, keep_insert);
    ngx_queue_init(&keep.list[0]);
    ngx_queue_init(&keep.list[1]);
    keep.timer.handler = keep_timer;
    keep.timer.data = &ngx_wagw_no_connection;
    keep.timer.log = cycle->log;
    keep.timer.cancelable = 1;

    wagw_buf_add(&b, wmcf->state_dir.data, wmcf->state_dir.len);
    wagw_buf_cstr(&b, "/kept");
    wagw_buf_u8(&b, 0);
    if (b.failed) {
        wagw_buf_free(&b);
        return NGX_ERROR;
    }
    keep.dir = (char *)b.p;
    if (mkdir(keep.dir, 0700) == -1 && ngx_errno != NGX_EEXIST) {
        ngx_log_error(NGX_LOG_ERR, cycle->log, ngx_errno, "wagw: cannot make \"%s\": media cannot be kept", keep.dir);
    }
    d = opendir(keep.dir);
    while (d && (e = readdir(d)) != NULL) {
        if (e->d_name[0] != '.') {
            keep_scan_instance(e->d_name);
        }
    }
    if (d) {
        closedir(d);
    }
    return NGX_OK;
}

void ngx_wagw_media_keep_done(void)
{
    kept_t *k;

    for (ngx_uint_t i = 0; keep.dir && i < 2; i++) {
        while (!ngx_queue_empty(&keep.list[i])) {
            k = keep_at(ngx_queue_head(&keep.list[i]));
            ngx_queue_remove(&k->queue);
            free(k);
        }
    }
    if (keep.timer.timer_set) {
        ngx_del_timer(&keep.timer);
    }
    free(keep.dir);
    ngx_memzero(&keep, sizeof(keep));
}

/* Makes the instance's directory. */
static void keep_directory(const char *path)
{
    char dir[NGX_MAX_PATH];
    char *slash;

    ngx_cpystrn((u_char *)dir, (u_char *)path, sizeof(dir));
    slash = strrchr(dir, '/');
    if (slash) {
        *slash = '\0';
        (void)mkdir(dir, 0700);
    }
}

/* ---- received media: behind the bytes their size in clear ---- */

static bool keep_received(ngx_wagw_media_t *m, ngx_str_t *instance, char path[NGX_MAX_PATH])
{
    int n;
    char name[65];

    if (!ngx_wagw_media_name(m, name)) {
        return false;
    }
    n = snprintf(path, NGX_MAX_PATH, "%s/%.*s/in-%s", keep.dir, (int)instance->len, instance->data, name);
    return n > 0 && n < NGX_MAX_PATH;
}

uint64_t ngx_wagw_kept_find(ngx_wagw_media_t *m, ngx_str_t *instance, char path[NGX_MAX_PATH])
{
    uint8_t tail[KEEP_TAIL];
    uint64_t size = 0;
    struct stat st;
    ngx_fd_t fd;

    if (!keep_received(m, instance, path) || keep_find(path) == NULL) {
        return 0;
    }
    fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
    if (fd == -1) {
        return 0;
    }
    if (fstat(fd, &st) == 0 && st.st_size > KEEP_TAIL && (int64_t)st.st_mtime * 1000 > ngx_wagw_now_ms() &&
        pread(fd, tail, KEEP_TAIL, st.st_size - KEEP_TAIL) == KEEP_TAIL && keep_number(tail + 8, 4) == KEEP_MAGIC) {
        size = keep_number(tail, 8);
        size = size < (uint64_t)st.st_size ? size : 0;
    }
    close(fd);
    return size;
}

bool ngx_wagw_kept_receive(ngx_wagw_media_t *m, ngx_str_t *instance, char path[NGX_MAX_PATH])
{
    bool ok;
    int64_t expires = ngx_wagw_now_ms() / 1000 + (int64_t)keep.wmcf->media_keep_time[1];
    wagw_buf_t b = {0};
    struct timespec times[2] = {{0, UTIME_OMIT}, {expires, 0}};

    wagw_buf_be(&b, m->size, 8);
    wagw_buf_be(&b, KEEP_MAGIC, 4);
    ok = !b.failed && m->size && (uint64_t)m->sent + KEEP_TAIL <= (uint64_t)keep.wmcf->media_keep_size[1] &&
         keep_received(m, instance, path);
    if (ok) {
        keep_directory(path);
        ok = pwrite(m->out, b.p, b.n, m->sent) == (ssize_t)b.n && futimens(m->out, times) == 0 &&
             rename(m->path, path) == 0;
    }
    wagw_buf_free(&b);
    if (!ok) {
        return false;
    }
    m->named = 0;
    return ngx_wagw_kept_add(path, (uint64_t)m->sent + KEEP_TAIL, expires * 1000, true);
}

/* ---- ids of uploads ---- */

/* key, key of the notes, name */
static bool keep_derive(ngx_wagw_kept_t *k, ngx_str_t *instance, const uint8_t secret[16])
{
    int n;
    bool ok;
    char name[33];
    uint8_t out[80];
    wagw_buf_t ikm = {0}, info = {0};

    wagw_buf_add(&ikm, secret, 16);
    wagw_buf_add(&ikm, keep.wmcf->encryption_key.data, keep.wmcf->encryption_key.len);
    wagw_buf_cstr(&info, KEEP_INFO);
    wagw_buf_add(&info, instance->data, instance->len);
    ok = !ikm.failed && !info.failed &&
         wagw_hkdf(out, sizeof(out), wagw_buf_view(&ikm), WAGW_STR_NULL, wagw_buf_view(&info)) == WAGW_OK;
    wagw_buf_wipe(&ikm);
    wagw_buf_free(&info);
    if (!ok) {
        return false;
    }
    memcpy(k->key, out, 32);
    memcpy(k->seal, out + 32, 32);
    *ngx_hex_dump((u_char *)name, out + 64, 16) = '\0';
    wagw_wipe(out, sizeof(out));
    n = snprintf(k->path, sizeof(k->path), "%s/%.*s/up-%s", keep.dir, (int)instance->len, instance->data, name);
    return n > 0 && n < (int)sizeof(k->path);
}

bool ngx_wagw_kept_new(ngx_wagw_kept_t *k, ngx_str_t *instance)
{
    uint8_t secret[16];

    ngx_memzero(k, sizeof(*k));
    if (RAND_bytes(secret, sizeof(secret)) != 1 || !keep_derive(k, instance, secret)) {
        return false;
    }
    *ngx_hex_dump((u_char *)k->id, secret, 16) = '\0';
    wagw_wipe(secret, sizeof(secret));
    k->expires_ms = ngx_wagw_now_ms() / 1000 * 1000 + (int64_t)keep.wmcf->media_keep_time[0] * 1000;
    return true;
}

bool ngx_wagw_kept_id(ngx_wagw_kept_t *k, ngx_str_t *instance, wagw_str_t id)
{
    bool ok;
    uint8_t secret[16];

    ngx_memzero(k, sizeof(*k));
    if (id.n != 32 || wagw_hex_fixed(secret, 16, id) != WAGW_OK) {
        return false;
    }
    ok = keep_derive(k, instance, secret);
    wagw_wipe(secret, sizeof(secret));
    return ok;
}

/* ---- the notes ---- */

static const uint8_t keep_iv[12]; /* the key seals once only */

static bool keep_note_text(const cJSON *o, const char *name, char *out, size_t n)
{
    const char *s = cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(o, name));

    if (s == NULL || ngx_strlen(s) >= n) {
        return false;
    }
    ngx_cpystrn((u_char *)out, (u_char *)s, n);
    return true;
}

static bool keep_notes(ngx_wagw_kept_t *k, const cJSON *o)
{
    const wagw_media_type_t *type;
    double size = cJSON_GetNumberValue(cJSON_GetObjectItemCaseSensitive(o, "size"));
    const char *sum = cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(o, "sha256"));
    wagw_buf_t b = {0};

    if (sum && wagw_base64_decode(&b, wagw_cstr(sum)) == WAGW_OK && b.n == 32) {
        memcpy(k->sha256, b.p, 32);
    } else {
        sum = NULL;
    }
    wagw_buf_free(&b);
    if (!(size > 0 && size <= (double)k->enc_size) || sum == NULL ||
        !keep_note_text(o, "mimetype", k->mimetype, sizeof(k->mimetype)) ||
        !keep_note_text(o, "type", k->type, sizeof(k->type)) || (type = wagw_media_type(k->type)) == NULL) {
        return false;
    }
    (void)keep_note_text(o, "fileName", k->file_name, sizeof(k->file_name));
    k->size = (uint64_t)size;
    return wagw_media_keys(&k->keys, type, k->key) == WAGW_OK;
}

ngx_fd_t ngx_wagw_kept_open(ngx_wagw_kept_t *k)
{
    bool ok = false;
    cJSON *o = NULL;
    uint8_t tail[8], sealed[KEEP_NOTES], text[KEEP_NOTES];
    uint32_t n;
    struct stat st;
    ngx_fd_t fd = open(k->path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);

    if (fd == -1) {
        return -1;
    }
    if (fstat(fd, &st) == -1 || !S_ISREG(st.st_mode) || (int64_t)st.st_mtime * 1000 <= ngx_wagw_now_ms() ||
        st.st_size < 8 || pread(fd, tail, 8, st.st_size - 8) != 8) {
        goto done;
    }
    n = (uint32_t)keep_number(tail, 4);
    if (keep_number(tail + 4, 4) != KEEP_MAGIC || n <= 16 || n > KEEP_NOTES || st.st_size - 8 < (off_t)n ||
        pread(fd, sealed, n, st.st_size - 8 - (off_t)n) != (ssize_t)n ||
        wagw_gcm_open(text, k->seal, keep_iv, WAGW_STR_NULL, wagw_str(sealed, n)) != WAGW_OK) {
        goto done;
    }
    k->enc_size = (uint64_t)(st.st_size - 8 - (off_t)n);
    k->expires_ms = (int64_t)st.st_mtime * 1000;
    o = cJSON_ParseWithLength((char *)text, n - 16);
    ok = keep_notes(k, o);

done:
    cJSON_Delete(o);
    wagw_wipe(text, sizeof(text));
    if (!ok) {
        close(fd);
        return -1;
    }
    return fd;
}

static void keep_notes_write(ngx_wagw_media_t *m, wagw_buf_t *out)
{
    const char *name = m->file_name ? m->file_name : m->source_name;
    ngx_wagw_kept_t *k = m->upload;
    wagw_buf_t text = {0};
    wagw_json_t j = wagw_json(&text);
    uint8_t sealed[KEEP_NOTES];

    ngx_cpystrn((u_char *)k->mimetype, (u_char *)ngx_wagw_media_mimetype(m), sizeof(k->mimetype));
    ngx_cpystrn((u_char *)k->type, (u_char *)m->type->name, sizeof(k->type));
    memcpy(k->sha256, m->sums.sha256, 32);
    k->size = m->sums.size;
    k->enc_size = m->sums.enc_size;

    wagw_json_open(&j, '{');
    wagw_json_kcstr(&j, "mimetype", k->mimetype);
    wagw_json_kcstr(&j, "type", k->type);
    if (name && ngx_strlen(name) < sizeof(k->file_name)) {
        wagw_json_kcstr(&j, "fileName", name);
    }
    wagw_json_kint(&j, "size", (int64_t)k->size);
    wagw_json_key(&j, "sha256");
    wagw_json_base64(&j, wagw_str(k->sha256, 32));
    wagw_json_close(&j);
    if (text.failed || text.n + 16 > sizeof(sealed) ||
        wagw_gcm_seal(sealed, k->seal, keep_iv, WAGW_STR_NULL, wagw_buf_view(&text)) != WAGW_OK) {
        out->failed = true;
    } else {
        wagw_buf_add(out, sealed, text.n + 16);
        wagw_buf_be(out, text.n + 16, 4);
        wagw_buf_be(out, KEEP_MAGIC, 4);
    }
    wagw_buf_wipe(&text);
}

void ngx_wagw_kept_store(ngx_wagw_task_t *task)
{
    wagw_buf_t b = {0};
    ngx_wagw_media_t *m = task->data;
    ngx_wagw_kept_t *k = m->upload;
    struct timespec times[2] = {{0, UTIME_OMIT}, {k->expires_ms / 1000, 0}};

    keep_notes_write(m, &b);
    keep_directory(k->path);
    if (b.failed || write(m->out, b.p, b.n) != (ssize_t)b.n || futimens(m->out, times) == -1 || fsync(m->out) == -1 ||
        rename(m->path, k->path) == -1) {
        ngx_wagw_media_fail(m, 503, "CAPACITY", "The file cannot be kept: %s", strerror(ngx_errno));
    } else {
        k->enc_size += b.n;
        m->named = 0;
    }
    wagw_buf_free(&b);
}
