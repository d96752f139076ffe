/*
 * Previews of links: what a page says of itself is fetched before the text
 * that names it is sent.  A page that does not answer is no reason not to send.
 */

#ifndef NGX_WAGW_PREVIEW_H
#define NGX_WAGW_PREVIEW_H

#include "ngx_wagw_media.h"

#pragma GCC visibility push(hidden)

/* Sends the call's text, with a preview of its first address unless the call
 * or the instance does not want one. */
void ngx_wagw_preview_text(ngx_wagw_call_t *call);
/* Sends a WAGW_BUILD_LINK_PREVIEW, completed by what the caller left out. */
void ngx_wagw_preview_link(ngx_wagw_call_t *call);

#pragma GCC visibility pop

#endif
