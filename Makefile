# The first target that needs a missing package installs it (tests/helpers/deps.sh), so `make demo`
# and `make test` work on a fresh machine.
.DEFAULT_GOAL := help
.NOTPARALLEL:
.DELETE_ON_ERROR:

PREFIX ?= /usr/local
prefix := $(abspath $(PREFIX))
BIN := $(DESTDIR)$(prefix)/bin
LIB := $(DESTDIR)$(prefix)/lib/reuseport-migrate
UNITS := $(DESTDIR)$(prefix)/lib/systemd/system
UNIT_FILES := reuseport-migrate.service reuseport-migrate@.service reuseport-migrate-store.service
SHARE := $(DESTDIR)$(prefix)/share

CLANG ?= clang
CLANG_FORMAT ?= clang-format
# The asm headers of the host come after all others, so that they shadow none. The compilation
# directory: the same bytes wherever the tree is.
BPF_CFLAGS := -target bpf -mcpu=v3 -g -O2 -Wall -Wextra -Werror -fdebug-compilation-dir=. \
	-idirafter /usr/include/$(shell uname -m)-linux-gnu
BPF_OBJECTS := $(patsubst bpf/%.bpf.c,dist/bpf/%.bpf.o,$(wildcard bpf/*.bpf.c))
# Reference programs of the benchmark.
BENCH_OBJECTS := $(patsubst tests/bench/%.bpf.c,dist/tests/bench/%.bpf.o,$(wildcard tests/bench/*.bpf.c))
# Processes of our own in C: static, so that they run on every libc.
HELPERS := dist/loader/lender/lender dist/loader/keeper/keeper dist/loader/net/bare_command
C_TEXT := $(wildcard bpf/*.c bpf/*.h loader/*/*.c loader/*/*.h tests/bench/*.bpf.c)

TS_SOURCES := $(shell find loader cli library packaging tests -name node_modules -prune -o -name '*.ts' -print)
NODE_MODULES := node_modules/.package-lock.json
BUILT := dist/.built
# The script and the style of the page.
PAGE_SCRIPT := dist/cli/page/page.mjs
# Man pages and completions.
TEXTS := dist/share/.written

# Files instead of folders, because dist may contain tests of an older build.
tests_in = $(or $(patsubst tests/%.ts,dist/tests/%.js,$(wildcard $(1:%=tests/%/*.test.ts))),$(error no tests in $(1)))
NODE_TEST := node --test --test-reporter=spec --test-concurrency=1
SANDBOX := tests/helpers/sandbox.sh

.PHONY: help
help: ## list the targets
	@sed -n 's/^\([a-z0-9-]*\):.*## /\1\t/p' $(MAKEFILE_LIST) | while IFS="$$(printf '\t')" read -r target text; do \
		printf '  make %-14s %s\n' "$$target" "$$text"; done

.PHONY: build
build: $(BPF_OBJECTS) $(HELPERS) $(BUILT) $(PAGE_SCRIPT) $(TEXTS) $(UNIT_FILES:%=dist/deploy/%) ## build everything into dist/

.PHONY: check
check: deps-check build format-check unit ## format, lint, types, unit and FFI tests (no root)

.PHONY: test
test: export REQUIRE_KERNEL_TESTS = 1
test: root check kernel fuzz-tests e2e guides install-tests ## everything: check, kernel, fuzz, real servers, guides, installation (root)

.PHONY: demo
demo: root deps-sandbox build ## reloads and stops, without and with the sidecar, in a minute; PAGE=1: and a page (root)
	@$(if $(filter 1,$(PAGE)),node dist/tests/demo/relay.js) $(SANDBOX) node dist/tests/demo/demo.js

.PHONY: info
info: root deps-sandbox build ## cost of the BPF programs: verifier instructions, stack, memory, size (root)
	@node dist/tests/bench/info.js

.PHONY: bench
bench: export ONLY := $(ONLY)
bench: root deps-test deps-sandbox deps-bench build $(BENCH_OBJECTS) ## every figure of docs/PERFORMANCE.md, or ONLY=name (root, under 15 minutes)
	@node dist/tests/bench/bench.js

.PHONY: format
format: deps-check $(NODE_MODULES) ## format all sources
	node_modules/.bin/biome check --write .
	$(CLANG_FORMAT) -i $(C_TEXT)

.PHONY: docs
docs: $(BUILT) ## write docs/COMMANDS.md from the command line's definitions
	@node dist/tests/docs/write.js

.PHONY: install
install: build ## install into PREFIX (/usr/local), below DESTDIR
	rm -rf '$(LIB).new'
	mkdir -p '$(LIB).new/dist/share' '$(BIN)' '$(UNITS)'
	cp -R dist/bpf dist/loader dist/cli '$(LIB).new/dist/'
	cp -R dist/share/completions '$(LIB).new/dist/share/'
	cp package.json '$(LIB).new/'
	npm ls --silent --omit=dev --all --parseable >dist/.runtime
	sed -n 's|^$(CURDIR)/||p' dist/.runtime | tar -cf - -T - | tar -xf - --no-same-owner -C '$(LIB).new'
	chmod -R a+rX '$(LIB).new'
	chmod 755 '$(LIB).new/dist/cli/bin.js' $(HELPERS:%='$(LIB).new/%')
	rm -rf '$(LIB)'
	mv '$(LIB).new' '$(LIB)'
	ln -sfn ../lib/reuseport-migrate/dist/cli/bin.js '$(BIN)/reuseport-migrate'
	for unit in $(UNIT_FILES); do sed 's|/usr/local|$(prefix)|g' dist/deploy/$$unit >'$(UNITS)'/$$unit; done
	cd '$(UNITS)' && chmod 644 $(UNIT_FILES)
	cd dist/share/man && for page in man*/*; do install -D -m 644 $$page '$(SHARE)/man/'$$page; done
	install -D -m 644 dist/share/completions/bash '$(SHARE)/bash-completion/completions/reuseport-migrate'
	install -D -m 644 dist/share/completions/zsh '$(SHARE)/zsh/site-functions/_reuseport-migrate'
	install -D -m 644 dist/share/completions/fish '$(SHARE)/fish/vendor_completions.d/reuseport-migrate.fish'

.PHONY: uninstall
uninstall: ## remove the installed files; attached programs stay attached
	rm -rf '$(LIB)'
	rm -f '$(BIN)/reuseport-migrate' $(UNIT_FILES:%='$(UNITS)/%') '$(SHARE)'/man/man*/reuseport-migrate[.-]*
	rm -f '$(SHARE)/bash-completion/completions/reuseport-migrate' \
		'$(SHARE)/zsh/site-functions/_reuseport-migrate' \
		'$(SHARE)/fish/vendor_completions.d/reuseport-migrate.fish'

.PHONY: clean
clean: ## remove all build products
	rm -rf dist

.PHONY: soak
soak: export HOLD_CYCLES ?= 50
soak: export REQUIRE_KERNEL_TESTS = 1
soak: root deps-test deps-sandbox build ## stops and starts of the hold tests, 50 each, the sidecar killed at random; SOAK_SEED= (root, about 15 minutes)
	$(SANDBOX) $(NODE_TEST) $(filter dist/tests/e2e/hold%,$(call tests_in,e2e))

.PHONY: fuzz
fuzz: export FUZZ_COUNT ?= 100000
fuzz: fuzz-tests ## random input to everything that reads any; FUZZ_SEED=, FUZZ_COUNT=, FUZZ_INDEX= (root, under an hour)

# The suites of `make test`.
.PHONY: unit kernel fuzz-tests e2e guides install-tests
unit: build
	$(NODE_TEST) $(call tests_in,unit ffi)

kernel: root deps-test deps-sandbox build ## only the kernel tests (root)
	tests/helpers/shards.sh 3 $(NODE_TEST) -- $(call tests_in,kernel)

# FUZZ_COUNT is 1,000 here (tests/fuzz/fuzz.ts).
fuzz-tests: root deps-test deps-sandbox build
	tests/helpers/shards.sh 2 $(NODE_TEST) -- $(call tests_in,fuzz)

e2e: root deps-test deps-sandbox build ## only the tests with real servers (root)
	$(SANDBOX) $(NODE_TEST) $(call tests_in,e2e)

guides: root deps-test deps-guides deps-sandbox build ## only the guides, line by line under load (root)
	tests/helpers/shards.sh 2 $(NODE_TEST) -- $(call tests_in,guides)

# Installing requires the network, attaching the sandbox: these tests enter the sandbox themselves.
install-tests: root deps-test deps-sandbox build ## only the installation tests (root)
	$(NODE_TEST) $(call tests_in,install)

.PHONY: format-check
format-check: deps-check $(NODE_MODULES)
	node_modules/.bin/biome ci .
	$(CLANG_FORMAT) --dry-run -Werror $(C_TEXT)

.PHONY: page-pictures
page-pictures: export PAGE_PICTURES = 1
page-pictures: root deps-test deps-sandbox build ## write docs/page/*.png, the page in a real browser (root)
	$(SANDBOX) $(NODE_TEST) dist/tests/e2e/page.test.js

.PHONY: root
root:
	@[ "$$(id -u)" = 0 ] || { echo "make $(or $(firstword $(MAKECMDGOALS)),test) needs root: run it as root, or with sudo" >&2; exit 1; }

include packaging/packages.mk

.PHONY: deps-build deps-sandbox deps-check deps-test deps-guides deps-bench deps-package deps-packages-test deps-containers-test
deps-build deps-sandbox deps-check deps-test deps-guides deps-bench deps-package deps-packages-test deps-containers-test:
	@tests/helpers/deps.sh $(@:deps-%=%)

$(NODE_MODULES): package-lock.json | deps-build
	npm ci --ignore-scripts --no-audit --no-fund
	@touch $@

dist/bpf/%.bpf.o: bpf/%.bpf.c $(wildcard bpf/*.h) Makefile | deps-build
	@mkdir -p dist/bpf
	$(CLANG) $(BPF_CFLAGS) -c $< -o $@

$(HELPERS): dist/%: %.c $(wildcard loader/*/*.h bpf/*.h) Makefile | deps-build
	@mkdir -p $(@D)
	$(CLANG) -O2 -Wall -Wextra -Werror -static -Ibpf -o $@ $<

dist/tests/bench/%.bpf.o: tests/bench/%.bpf.c Makefile | deps-build
	@mkdir -p dist/tests/bench
	$(CLANG) $(BPF_CFLAGS) -c $< -o $@

# Removes files without a source, which would otherwise be packed and could be imported.
$(BUILT): $(TS_SOURCES) tsconfig.json $(NODE_MODULES) | deps-build
	node_modules/.bin/tsc
	@chmod 755 dist/cli/bin.js
	@cd dist && find loader cli library packaging tests -name '*.js' | while read -r js; do \
		[ -e "../$${js%.js}.ts" ] || rm -f "$$js" "$${js%.js}.d.ts"; done
	@touch $@

dist/deploy/%.service: deploy/%.service
	@mkdir -p dist/deploy
	cp $< $@

# The same sandbox, so that there is one copy of it.
dist/deploy/reuseport-migrate@.service: deploy/reuseport-migrate.service deploy/instance.sed
	@mkdir -p dist/deploy
	sed -f deploy/instance.sed $< >$@

$(PAGE_SCRIPT): $(BUILT) $(wildcard cli/page/browser/*.ts) cli/page/page.css tsconfig.page.json
	node_modules/.bin/tsc -p tsconfig.page.json
	node_modules/.bin/esbuild cli/page/browser/live_page.ts --bundle --minify --format=esm \
		--target=es2022 --log-level=warning --outfile=$@
	@cp cli/page/page.css dist/cli/page/

$(TEXTS): $(BUILT) docs/CONFIG.md
	node dist/packaging/text/write.js
	@touch $@
