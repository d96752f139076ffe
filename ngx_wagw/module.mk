# The nginx module, built by nginx's own configure against Debian's nginx-dev.

NGINX_DEV  ?= /usr/share/nginx/src
MODULE      = $(BUILD)/ngx_http_wagw_module.so
MODULE_SRC := $(wildcard ngx_wagw/*.c) $(CORE_SRC)
MODULE_HDR := $(wildcard ngx_wagw/*.h) $(wildcard core/*/*.h)
NGX_TREE    = $(BUILD)/nginx
NGX_CC_OPT  = $(CFLAGS) $(SANFLAGS)
NGX_LD_OPT  = $(SANFLAGS)

.PHONY: module docs docs-check FORCE
module: $(MODULE)

# another set of sources, generator or flags needs another configure
$(BUILD)/.module-list: FORCE
	@mkdir -p $(@D)
	@echo '$(MODULE_SRC) $(MODULE_HDR) $(NGX_CC_OPT)' | cmp -s - $@ || echo '$(MODULE_SRC) $(MODULE_HDR) $(NGX_CC_OPT)' > $@
FORCE:

# configure writes all its files anew; those that came out the same keep their
# time, so that only what changed is compiled
$(NGX_TREE)/objs/Makefile: config $(BUILD)/.module-list $(GEN) $(wildcard ngx_wagw/pages/*)
	@mkdir -p $(NGX_TREE) && cp -r $(NGINX_DEV)/. $(NGX_TREE)
	@cd $(NGX_TREE) && { echo '$(NGX_CC_OPT)' | cmp -s - .flags || { rm -rf objs && echo '$(NGX_CC_OPT)' > .flags; }; }
	@rm -rf $(NGX_TREE)/objs.old && { [ ! -d $(NGX_TREE)/objs ] || cp -rp $(NGX_TREE)/objs $(NGX_TREE)/objs.old; }
	@cd $(NGX_TREE) && bash -c '. ./conf_flags && ASAN_OPTIONS=detect_leaks=0 ./configure "$${NGX_CONF_FLAGS[@]}" \
	    --with-cc-opt="$(NGX_CC_OPT)" --with-ld-opt="$(NGX_LD_OPT)" --add-dynamic-module=$(CURDIR)' > configure.log 2>&1 \
	    || { tail -20 configure.log; rm -f objs/Makefile; exit 1; }
	@cd $(NGX_TREE) && for f in $$(cd objs && ls *.h *.c wagw-gen/*); do \
	    cmp -s objs/$$f objs.old/$$f && cp -p objs.old/$$f objs/$$f; done; rm -rf objs.old

$(MODULE): $(NGX_TREE)/objs/Makefile $(MODULE_SRC) $(MODULE_HDR) ngx_wagw/module.map
	@cd $(NGX_TREE) && $(MAKE) $(if $(findstring jobserver,$(MAKEFLAGS)),,-j$$(nproc)) --no-print-directory -s -f objs/Makefile modules
	@cp $(NGX_TREE)/objs/ngx_http_wagw_module.so $@.tmp && mv $@.tmp $@

# docs/rest.md and the route table cannot disagree: one is printed from the other
$(BUILD)/rest-doc: ngx_wagw/docs/rest.c ngx_wagw/ngx_wagw_routes_table.c ngx_wagw/ngx_wagw_routes_fields.c \
    ngx_wagw/ngx_wagw_routes.h ngx_wagw/ngx_wagw_fields.h ngx_wagw/ngx_wagw.h $(NGX_TREE)/objs/Makefile
	$(CC) -std=gnu11 $(CFLAGS) $(WARN) -Wno-unused-parameter -D_GNU_SOURCE \
	    $(addprefix -I$(NGX_TREE)/,src/core src/event src/event/modules src/os/unix src/http src/http/modules src/http/v2 objs) -o $@ $<

docs: $(BUILD)/rest-doc
	@mkdir -p docs
	$(BUILD)/rest-doc > docs/rest.md.tmp && mv docs/rest.md.tmp docs/rest.md

docs-check: $(BUILD)/rest-doc
	@$(BUILD)/rest-doc | cmp - docs/rest.md
