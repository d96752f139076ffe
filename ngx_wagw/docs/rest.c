/*
 * Prints docs/rest.md from the route table: `make docs`.  The table is
 * compiled in with its handlers replaced, so nothing of nginx is linked.
 */

#define NGX_WAGW_DOC
#include "../ngx_wagw_routes.h"

#include <stdio.h>

#include "../ngx_wagw_routes_fields.c"
#include "../ngx_wagw_routes_table.c"

static const struct {
    const char *number, *title;
} doc_sections[] = {{"3.1", "Auth and keys"},
                    {"3.2", "Instances"},
                    {"3.3", "Sending messages"},
                    {"3.4", "Message actions and queries"},
                    {"3.5", "Chats"},
                    {"3.6", "Groups"},
                    {"3.7", "Communities"},
                    {"3.8", "Status"},
                    {"3.9", "Contacts and LIDs"},
                    {"3.10", "Presence, calendar events, calls"},
                    {"3.11", "Labels and media"},
                    {"3.12", "Channels"},
                    {"3.13", "Profile"},
                    {"3.14", "Webhooks and event streams"},
                    {"3.15", "Observability"},
                    {"3.16", "Templates, scheduled messages, queue"},
                    {"3.17", "Rate limits, request log, analytics, backup, business"}};

static const char *doc_permission(ngx_uint_t perm)
{
    switch (perm) {
    case NGX_WAGW_PERM_READ:
        return "read";
    case NGX_WAGW_PERM_SEND:
        return "send";
    case NGX_WAGW_PERM_WRITE:
        return "write";
    case NGX_WAGW_PERM_CONTROL:
        return "control";
    case NGX_WAGW_PERM_ADMIN:
        return "admin";
    default:
        return "none: public";
    }
}

static void doc_type(const ngx_wagw_field_t *f)
{
    static const char *const names[] = {"",       "string", "integer", "number", "bool",    "JID",  "phone number",
                                        "URL",    "time",   "object",  "array",  "strings", "JIDs", "one of",
                                        "any of", "group"};
    const char *p;

    printf("%s", names[f->type]);
    if (f->choices) {
        printf(" ");
        for (p = f->choices; *p; p++) {
            if (*p == '|') {
                printf(", ");
            } else {
                putchar(*p);
            }
        }
    }
    if (f->min == 0 && f->max == 0) {
        return;
    }
    switch (f->type) {
    case NGX_WAGW_T_STR:
        printf(", %.0f–%.0f characters", f->min, f->max);
        break;
    case NGX_WAGW_T_STRS:
    case NGX_WAGW_T_JIDS:
    case NGX_WAGW_T_ARR:
        printf(", %.0f–%.0f items", f->min, f->max);
        break;
    default:
        printf(", %.15g to %.15g", f->min, f->max);
    }
}

static void doc_route(const ngx_wagw_route_t *r)
{
    const ngx_wagw_field_t *f;

    printf("### %s `%s`\n\n%s.\n\n", r->method, r->path, r->summary);
    printf("Permission: %s.", doc_permission(r->perm));
    if (r->flags & NGX_WAGW_R_OPTIONAL_KEY) {
        printf(" Shows more with a key.");
    }
    if (r->flags & NGX_WAGW_R_CONNECTED) {
        printf(" The instance must be connected.");
    }
    if (r->flags & NGX_WAGW_R_IDEMPOTENT) {
        printf(" Honours `Idempotency-Key`.");
    }
    printf("\n\n");
    if (r->fields == NULL || r->fields->name == NULL) {
        return;
    }
    printf("| field | type | default | meaning |\n|---|---|---|---|\n");
    for (f = r->fields; f->name; f++) {
        printf("| `%s`%s", f->name, f->required ? " *" : "");
        if (f->alias) {
            printf(" (or `%s`)", f->alias);
        }
        printf(" | ");
        doc_type(f);
        printf("%s | ", f->nullable ? ", or null" : "");
        if (f->dflt) {
            printf("`%s`", f->dflt);
        }
        printf(" | %s |\n", f->help);
    }
    printf("\n");
}

int main(void)
{
    size_t s;
    ngx_uint_t i, built = 0, later;

    for (i = 0; i < ngx_wagw_nroutes; i++) {
        built += ngx_wagw_routes[i].handler || ngx_wagw_routes[i].flags & NGX_WAGW_R_LOCAL;
    }
    printf("<!-- made by `make docs` from ngx_wagw/ngx_wagw_routes_table.c: do not edit -->\n\n# REST reference\n\n"
           "%d calls, of which %d are built; the others answer 501 `NOT_SUPPORTED`. Fields marked * are required. "
           "Fields come\n"
           "in the JSON (or form) body or in the query; those named in the path win. Answers are\n"
           "`{\"success\":true,\"data\":…,\"requestId\":…}` or "
           "`{\"success\":false,\"error\":…,\"code\":…,\"requestId\":…}`.\n\n",
           (int)ngx_wagw_nroutes, (int)built);

    for (s = 0; s < sizeof(doc_sections) / sizeof(doc_sections[0]); s++) {
        printf("## %s\n\n", doc_sections[s].title);
        for (i = 0, later = 0; i < ngx_wagw_nroutes; i++) {
            if (strcmp(ngx_wagw_routes[i].section, doc_sections[s].number) != 0) {
                continue;
            }
            if (ngx_wagw_routes[i].handler || ngx_wagw_routes[i].flags & NGX_WAGW_R_LOCAL) {
                doc_route(&ngx_wagw_routes[i]);
            } else {
                later++;
            }
        }
        if (later) {
            printf("Not built yet:\n\n| call | permission | meaning |\n|---|---|---|\n");
        }
        for (i = 0; later && i < ngx_wagw_nroutes; i++) {
            if (strcmp(ngx_wagw_routes[i].section, doc_sections[s].number) == 0 && ngx_wagw_routes[i].handler == NULL &&
                !(ngx_wagw_routes[i].flags & NGX_WAGW_R_LOCAL)) {
                printf("| %s `%s` | %s | %s |\n", ngx_wagw_routes[i].method, ngx_wagw_routes[i].path,
                       doc_permission(ngx_wagw_routes[i].perm), ngx_wagw_routes[i].summary);
            }
        }
        if (later) {
            printf("\n");
        }
    }
    return 0;
}
