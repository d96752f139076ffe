/*
 * The owner as a process: a child of the master that the master itself starts
 * and starts again (nginx-findings 1.3).  init_module fills a slot of
 * ngx_processes[] as a child that has already exited; the master's reaper then
 * spawns it.  Over a reload the entry is skipped once by `just_spawn`, so the
 * owner keeps its sockets.  It keeps the configuration it was born with: a
 * changed cold setting gets a new owner, hot settings travel by ipc.
 */

#include "ngx_wagw_http.h"

#include <ngx_channel.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>

#define PROCESS_PLACEHOLDER NGX_MAX_INT32_VALUE /* a pid nobody has: kill() on it is harmless */
#define PROCESS_SPARE_FILES 1024                /* store, webhooks, logs beside the connections */

static struct {
    void *zone; /* of the cycle that the running owner was born in */
    u_char cold[32];
    unsigned known : 1;
} process_last;

static void process_cycle(ngx_cycle_t *cycle, void *data);
static void process_channel(ngx_event_t *ev);

/* What a living owner cannot take over. */
static void process_cold(ngx_cycle_t *cycle, ngx_wagw_main_conf_t *wmcf, u_char out[32])
{
    wagw_buf_t b = {0};
    ngx_core_conf_t *ccf = (ngx_core_conf_t *)ngx_get_conf(cycle->conf_ctx, ngx_core_module);

    ngx_wagw_put_str(&b, wmcf->state_dir.data, wmcf->state_dir.len);
    ngx_wagw_put_str(&b, wmcf->store.data, wmcf->store.len);
    ngx_wagw_put_str(&b, wmcf->store_password.data, wmcf->store_password.len);
    ngx_wagw_put_str(&b, wmcf->encryption_key.data, wmcf->encryption_key.len);
    ngx_wagw_put_str(&b, wmcf->trusted_certificate.data, wmcf->trusted_certificate.len);
    ngx_wagw_put_u64(&b, wmcf->owner_connections);
    ngx_wagw_put_u64(&b, ccf->user);
    ngx_wagw_put_u64(&b, ccf->group);
    /* the sockets of an owner go on to where they were opened: a new URL is a new owner's */
    ngx_wagw_put_str(&b, wmcf->whatsapp_url.data, wmcf->whatsapp_url.len);
    ngx_wagw_put_str(&b, wmcf->whatsapp_root, 32);
    wagw_sha256(out, wagw_buf_view(&b));
    wagw_buf_wipe(&b);
}

static void process_state_dir(ngx_cycle_t *cycle, ngx_wagw_main_conf_t *wmcf)
{
    u_char *p, *dir;
    struct stat st;
    ngx_core_conf_t *ccf = (ngx_core_conf_t *)ngx_get_conf(cycle->conf_ctx, ngx_core_module);

    dir = ngx_pnalloc(cycle->pool, wmcf->state_dir.len + 1);
    if (dir == NULL) {
        return;
    }
    ngx_cpystrn(dir, wmcf->state_dir.data, wmcf->state_dir.len + 1);
    if (stat((char *)dir, &st) == 0) {
        return;
    }
    for (p = dir + 1; *p; p++) {
        if (*p == '/') {
            *p = '\0';
            (void)mkdir((char *)dir, 0755);
            *p = '/';
        }
    }
    if (mkdir((char *)dir, 0700) == -1) {
        ngx_log_error(NGX_LOG_CRIT, cycle->log, ngx_errno, "wagw: state directory \"%s\" cannot be made", dir);
        return;
    }
    if (geteuid() == 0 && ccf->user != (ngx_uid_t)NGX_CONF_UNSET_UINT && ccf->master &&
        chown((char *)dir, ccf->user, ccf->group) == -1) {
        ngx_log_error(NGX_LOG_CRIT, cycle->log, ngx_errno, "wagw: chown(\"%s\") failed", dir);
    }
}

static ngx_int_t process_is_owner(ngx_process_t *p)
{
    return p->pid != -1 && p->name && ngx_strcmp(p->name, NGX_WAGW_OWNER_TITLE) == 0;
}

/* init_module: the master, or the process that will become it. */
ngx_int_t ngx_wagw_process_register(ngx_cycle_t *cycle, ngx_wagw_main_conf_t *wmcf)
{
    char *name;
    u_char cold[32];
    ngx_int_t s, n;
    ngx_uint_t keep;
    ngx_channel_t ch;
    ngx_process_t *p;
    ngx_core_conf_t *ccf = (ngx_core_conf_t *)ngx_get_conf(cycle->conf_ctx, ngx_core_module);

    if (ngx_test_config || !wmcf->used) {
        return NGX_OK;
    }
    process_state_dir(cycle, wmcf);
    if (!ccf->master) {
        return NGX_OK;
    }

    process_cold(cycle, wmcf, cold);
    keep = process_last.known && process_last.zone == wmcf->zone->data && ngx_memcmp(process_last.cold, cold, 32) == 0;
    process_last.known = 1;
    process_last.zone = wmcf->zone->data;
    ngx_memcpy(process_last.cold, cold, 32);

    for (s = 0; keep && s < ngx_last_process; s++) {
        p = &ngx_processes[s];
        if (process_is_owner(p) && !p->exiting) {
            p->just_spawn = 1; /* the coming QUIT pass skips it once */
            p->proc = process_cycle;
            return NGX_OK;
        }
    }

    for (s = 0; s < ngx_last_process; s++) {
        if (ngx_processes[s].pid == -1) {
            break;
        }
    }
    if (s == NGX_MAX_PROCESSES) {
        ngx_log_error(NGX_LOG_ALERT, cycle->log, 0, "wagw: no room for the owner process");
        return NGX_ERROR;
    }
    p = &ngx_processes[s];

    name = strdup(NGX_WAGW_OWNER_TITLE); /* outlives this module: the master logs it */
    if (name == NULL || socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, p->channel) == -1) {
        ngx_log_error(NGX_LOG_ALERT, cycle->log, ngx_errno, "wagw: the owner process cannot be registered");
        free(name);
        return NGX_ERROR;
    }
    p->pid = PROCESS_PLACEHOLDER;
    p->status = 0;
    p->proc = process_cycle;
    p->data = NULL;
    p->name = name;
    p->respawn = 1;
    p->exited = 1;
    p->exiting = 0;
    p->detached = 0;
    p->just_spawn = !ngx_is_init_cycle(cycle->old_cycle);
    if (s == ngx_last_process) {
        ngx_last_process++;
    }

    /* else old workers complain about the close message of a slot they never heard of */
    ngx_memzero(&ch, sizeof(ngx_channel_t));
    ch.command = NGX_CMD_OPEN_CHANNEL;
    ch.pid = p->pid;
    ch.slot = s;
    ch.fd = p->channel[0];
    for (n = 0; n < ngx_last_process; n++) {
        if (n != s && ngx_processes[n].pid != -1 && ngx_processes[n].channel[0] != -1) {
            ngx_write_channel(ngx_processes[n].channel[0], &ch, sizeof(ngx_channel_t), cycle->log);
        }
    }
    ngx_reap = 1;
    return NGX_OK;
}

/* init_process of every process */
ngx_int_t ngx_wagw_process_init(ngx_cycle_t *cycle, ngx_wagw_main_conf_t *wmcf)
{
    ngx_int_t s;
    ngx_channel_t ch;

    if (!wmcf->used || (ngx_process != NGX_PROCESS_WORKER && ngx_process != NGX_PROCESS_SINGLE)) {
        return NGX_OK;
    }
    if (ngx_wagw_ipc_client_init(cycle, wmcf) != NGX_OK) {
        return NGX_ERROR;
    }
    if (ngx_process == NGX_PROCESS_SINGLE) {
        ngx_wagw_registry_attach(wmcf);
        if (ngx_wagw_owner_start(cycle, wmcf) != NGX_OK) {
            ngx_log_error(NGX_LOG_EMERG, cycle->log, 0, "wagw: the owner could not be started");
        }
        return NGX_OK;
    }
    if (ngx_worker != 0) {
        return NGX_OK;
    }
    for (s = 0; s < ngx_last_process; s++) {
        if (!process_is_owner(&ngx_processes[s]) || ngx_processes[s].exiting) {
            continue;
        }
        if (ngx_processes[s].pid == PROCESS_PLACEHOLDER) {
            /* any byte on the channel wakes the master's sigsuspend(): it reaps */
            ngx_memzero(&ch, sizeof(ngx_channel_t));
            ngx_write_channel(ngx_channel, &ch, sizeof(ngx_channel_t), cycle->log);
        } else {
            ngx_wagw_ipc_client_settings(wmcf, ngx_processes[s].pid);
        }
    }
    return NGX_OK;
}

void ngx_wagw_process_exit(ngx_cycle_t *cycle, ngx_wagw_main_conf_t *wmcf)
{
    if (!wmcf->used) {
        return;
    }
    if (ngx_process == NGX_PROCESS_SINGLE) {
        ngx_wagw_owner_stop(cycle);
    }
    if (ngx_process == NGX_PROCESS_SINGLE || ngx_process == NGX_PROCESS_WORKER) {
        ngx_wagw_ipc_client_exit(cycle);
    }
}

static void process_become_user(ngx_cycle_t *cycle, ngx_wagw_main_conf_t *wmcf)
{
    struct rlimit rl;
    ngx_core_conf_t *ccf = (ngx_core_conf_t *)ngx_get_conf(cycle->conf_ctx, ngx_core_module);

    if (getrlimit(RLIMIT_NOFILE, &rl) == 0) {
        rlim_t want = wmcf->owner_connections + PROCESS_SPARE_FILES;

        if (rl.rlim_cur < want) {
            rl.rlim_cur = want;
            if (rl.rlim_max < want) {
                if (geteuid() == 0) {
                    rl.rlim_max = want;
                } else {
                    rl.rlim_cur = rl.rlim_max;
                }
            }
            if (setrlimit(RLIMIT_NOFILE, &rl) == -1 || rl.rlim_cur < want) {
                ngx_log_error(NGX_LOG_WARN, cycle->log, ngx_errno,
                              "wagw: the limit of open files allows only %uL of %ui connections", (uint64_t)rl.rlim_cur,
                              wmcf->owner_connections);
            }
        }
    }
    if (geteuid() != 0) {
        return;
    }
    if (setgid(ccf->group) == -1 || initgroups(ccf->username, ccf->group) == -1 || setuid(ccf->user) == -1) {
        ngx_log_error(NGX_LOG_EMERG, cycle->log, ngx_errno, "wagw: the owner cannot become user \"%s\"", ccf->username);
        exit(2); /* fatal: not again */
    }
}

static void process_cycle(ngx_cycle_t *cycle, void *data)
{
    ngx_int_t n;
    ngx_uint_t i;
    sigset_t set;
    ngx_msec_t wait;
    ngx_pid_t master = ngx_parent;
    ngx_wagw_main_conf_t *wmcf = ngx_http_cycle_get_module_main_conf(cycle, ngx_http_wagw_module);

    ngx_process = NGX_PROCESS_HELPER; /* before closing: a master's or single's listeners are unlinked */
    ngx_close_listening_sockets(cycle);

    if (ngx_set_environment(cycle, NULL) == NULL) {
        exit(2);
    }
    process_become_user(cycle, wmcf);

    /* after setuid(), which clears both */
    (void)prctl(PR_SET_DUMPABLE, 1, 0, 0, 0);
    (void)prctl(PR_SET_PDEATHSIG, SIGTERM);
    if (getppid() != master) {
        exit(0);
    }

    sigemptyset(&set);
    if (sigprocmask(SIG_SETMASK, &set, NULL) == -1) {
        ngx_log_error(NGX_LOG_ALERT, cycle->log, ngx_errno, "wagw: sigprocmask() failed");
    }

    cycle->connection_n = wmcf->owner_connections;
    for (i = 0; cycle->modules[i]; i++) {
        if (cycle->modules[i]->init_process && cycle->modules[i]->init_process(cycle) == NGX_ERROR) {
            exit(2);
        }
    }
    ngx_use_accept_mutex = 0;

    for (n = 0; n < ngx_last_process; n++) {
        if (ngx_processes[n].pid == -1) {
            continue;
        }
        if (n != ngx_process_slot && ngx_processes[n].channel[1] != -1) {
            (void)close(ngx_processes[n].channel[1]);
        }
        if (ngx_processes[n].channel[0] != -1) {
            (void)close(ngx_processes[n].channel[0]);
        }
    }
    if (ngx_add_channel_event(cycle, ngx_channel, NGX_READ_EVENT, process_channel) == NGX_ERROR) {
        exit(2);
    }
    ngx_setproctitle(NGX_WAGW_OWNER_TITLE);

    /* the master starts children again at once, however fast they die */
    wait = ngx_wagw_zone_start(wmcf->zone);
    if (wait) {
        ngx_log_error(NGX_LOG_ALERT, cycle->log, 0, "wagw: owners die as soon as they are started, waiting %M ms",
                      wait);
        ngx_msleep(wait);
    }
    ngx_wagw_registry_attach(wmcf);
    if (ngx_wagw_owner_start(cycle, wmcf) != NGX_OK) {
        ngx_log_error(NGX_LOG_EMERG, cycle->log, 0, "wagw: the owner could not be started");
    }

    for (;;) {
        if (ngx_terminate || ngx_quit) {
            ngx_wagw_owner_stop(cycle);
            for (i = 0; cycle->modules[i]; i++) {
                if (cycle->modules[i]->exit_process) {
                    cycle->modules[i]->exit_process(cycle);
                }
            }
            exit(0);
        }
        if (ngx_reopen) {
            ngx_reopen = 0;
            ngx_reopen_files(cycle, -1);
        }
        ngx_wagw_store_hand_over();
        ngx_process_events_and_timers(cycle);
    }
}

static void process_channel(ngx_event_t *ev)
{
    ngx_int_t n;
    ngx_channel_t ch;
    ngx_connection_t *c;

    if (ev->timedout) {
        ev->timedout = 0;
        return;
    }
    c = ev->data;
    for (;;) {
        n = ngx_read_channel(c->fd, &ch, sizeof(ngx_channel_t), ev->log);
        if (n == NGX_ERROR) { /* the master is gone */
            if (ngx_event_flags & NGX_USE_EPOLL_EVENT) {
                ngx_del_conn(c, 0);
            }
            ngx_close_connection(c);
            ngx_terminate = 1;
            return;
        }
        if (n == NGX_AGAIN) {
            return;
        }
        switch (ch.command) {
        case NGX_CMD_QUIT:
            ngx_quit = 1;
            break;
        case NGX_CMD_TERMINATE:
            ngx_terminate = 1;
            break;
        case NGX_CMD_REOPEN:
            ngx_reopen = 1;
            break;
        case NGX_CMD_OPEN_CHANNEL:
            if (ch.fd != -1) { /* the owner talks to no other process this way */
                (void)close(ch.fd);
            }
            break;
        default:
            break;
        }
    }
}
