# Coredrop. make run serves the page with the demo guest, make test runs every
# test; make help lists the rest. go build ./server, go vet ./... and
# go test ./... work without make: they only lack the page.

SHELL       := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := build

GO       ?= go
FUZZTIME ?= 1m
BROTLI   ?= 11
ADDR     ?= 127.0.0.1:8080
VERSION  ?= $(shell git describe --tags --always --dirty 2>/dev/null || echo devel)
COMMIT   ?= $(shell git rev-parse --short=12 HEAD 2>/dev/null || echo unknown)
# When the commit was made, in seconds: the one time that gets into a release.
COMMITTED ?= $(shell git log -1 --format=%ct 2>/dev/null || echo 1)

export CGO_ENABLED := 0

LDFLAGS  := -s -w -X main.version=$(VERSION) -X main.commit=$(COMMIT) -X main.date=$(shell date -u -d @$(COMMITTED) +%F 2>/dev/null || date -u -r $(COMMITTED) +%F)
BINARY   := build/coredrop
WASM     := build/coredrop.wasm
WHOLE    := build/coredrop-whole.wasm
# Inlining makes a program for the browser an eighth larger on its way there, and
# pays in a few packages only; in the runtime it costs 27 KB, and how fast a kernel
# is found does not show it: the program of a first visit does without.
WASMSIZE := -gcflags=all=-l $(foreach p,encoding/binary compress/flate github.com/klauspost/compress/... github.com/anchore/go-lzo \
             coredrop/core/windows/find coredrop/core/mem coredrop/core/paging,-gcflags=$(p)=)
WASMEXEC  = $(shell $(GO) env GOROOT)/lib/wasm
# Node gets a small environment: Go's js runtime has 8 KB for it. And no real
# cores: the tests that need them run natively, and in the browsers.
NODETEST  = env -i PATH="$(PATH)" HOME="$(HOME)" TMPDIR="$${TMPDIR:-/tmp}" GOFLAGS="$$($(GO) env GOFLAGS)" GOPROXY="$$($(GO) env GOPROXY)" \
            GOCACHE="$$($(GO) env GOCACHE)" GOMODCACHE="$$($(GO) env GOMODCACHE)" COREDROP_CORPUS=none CGO_ENABLED=0 \
            GOOS=js GOARCH=wasm $(GO) test -timeout 15m -exec "$(WASMEXEC)/go_js_wasm_exec"

# stage runs one step of the tests and says how long it took.
define stage
@echo "=== $(1)"; begin=$$SECONDS; $(2); echo "=== $(1): $$((SECONDS - begin)) s"
endef

.PHONY: build run demo demo-convert test test-deps test-go test-wasm test-browser vet lint licences \
        fuzz bench wasm dist docs site release release-test screenshots module clean help

help: ## list the targets
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 16

build: dist ## build/coredrop, with the page in it
	$(GO) build -trimpath -ldflags '$(LDFLAGS)' -o $(BINARY) ./server

run demo: build ## build everything and serve the page with the demo guest
	$(BINARY) demo -addr $(ADDR)

demo-convert: build ## convert the built-in demo core to build/demo.dmp
	$(BINARY) convert -v -demo build/demo.dmp

wasm: ## the core for the browser: what every visit fetches, and the whole of it
	GOOS=js GOARCH=wasm $(GO) build -tags lean -trimpath $(WASMSIZE) -ldflags '$(LDFLAGS)' -o $(WASM) ./wasm
	GOOS=js GOARCH=wasm $(GO) build -trimpath $(WASMSIZE) -gcflags=runtime= -ldflags '$(LDFLAGS)' -o $(WHOLE) ./wasm

dist: wasm node_modules/lit-html/package.json ## server/page/dist: the page as any static server can serve it
	$(GO) run ./server/pack -wasm $(WASM) -whole $(WHOLE) -exec "$(WASMEXEC)/wasm_exec.js" -out server/page/dist -brotli $(BROTLI) -version "$(VERSION)" -commit "$(COMMIT)"

site: dist ## build/site: the page and the documents for a static host
	$(GO) -C .ci/release run ./site -root ../.. -out ../../build/site

release: site ## build/release: what people install, for every system
	$(GO) -C .ci/release run . -root ../.. -out ../../build/release -version "$(VERSION)" -commit "$(COMMIT)" -time "$(COMMITTED)" -ldflags '$(LDFLAGS)'

release-test: ## two builds alike; installed on a bare Debian; Windows' command under wine
	.ci/release-test

# The one package the page itself uses; npm checks it against the lock file. What
# the tests need stays where it is there.
node_modules/lit-html/package.json: package-lock.json
	npm ci $(if $(wildcard node_modules/puppeteer-core),,--omit=dev) --ignore-scripts --no-audit --no-fund
	touch $@

# Other systems and 32 bits: what they would refuse shows here, though the tests
# run on this machine only, and Windows' command under wine (release-test).
PLATFORMS := linux/arm64 windows/amd64 darwin/arm64

vet: ## go vet, for the browser and 32 bits too, and builds for other systems
	$(GO) vet ./...
	GOOS=js GOARCH=wasm $(GO) vet ./core/... ./wasm
	GOOS=js GOARCH=wasm $(GO) vet -tags lean ./wasm
	GOARCH=386 $(GO) vet ./...
	$(foreach p,$(PLATFORMS),GOOS=$(word 1,$(subst /, ,$(p))) GOARCH=$(word 2,$(subst /, ,$(p))) $(GO) vet ./server/... &&) true

lint: vet ## gofmt, go vet, staticcheck, what nothing uses, eslint, tsc
	.ci/lint

licences: ## the licence of each module that is built in, for NOTICE
	mkdir -p build/tools && $(GO) build -modfile=.ci/tools/go.mod -o build/tools/go-licenses github.com/google/go-licenses/v2
	build/tools/go-licenses report --ignore "$$($(GO) list -m)" ./server 2>/dev/null
	GOOS=js GOARCH=wasm build/tools/go-licenses report --ignore "$$($(GO) list -m)" ./wasm 2>/dev/null

docs: ## docs/errors.md, from the catalogue of errors
	$(GO) test ./server/errordoc -run Catalogue -update

test: ## every test: Go, the core as wasm under Node, the page in two browsers
	$(call stage,what the tests need,$(MAKE) --no-print-directory test-deps)
	$(call stage,build,$(MAKE) --no-print-directory build)
	$(call stage,lint,$(MAKE) --no-print-directory lint)
	$(call stage,go test,$(MAKE) --no-print-directory test-go)
	$(call stage,go test as js/wasm,$(MAKE) --no-print-directory test-wasm)
	$(call stage,module,.ci/module)
	$(call stage,browsers,$(MAKE) --no-print-directory test-browser)

test-deps: # the object store is built once here: else every package that needs it would
	web/test/install.sh
	$(GO) tool -modfile=.ci/tools/go.mod -n versitygw >/dev/null

test-go: ## go test; the race-report engine with its build tag and Go's race detector too
	$(GO) test -timeout 15m ./...
	$(GO) test -tags kcsan ./core/kcsan/...
	CGO_ENABLED=1 $(GO) test -race ./core/kcsan/...

test-wasm: ## the core's tests as js/wasm under Node, plain and watched for races
	@$(NODETEST) ./core/...
	@$(NODETEST) -tags kcsan -ldflags '-X coredrop/core/kcsan/watch.panicOnWarn=1' ./core/...

test-browser: ## the page's types, and the page in headless Chromium and Firefox
	npm run check
	npm test

fuzz: ## every fuzz target for FUZZTIME each
	@for package in $$($(GO) list ./core/... ./server/...); do \
	  for target in $$($(GO) test -list '^Fuzz' $$package | grep '^Fuzz' || true); do \
	    echo "=== $$package $$target"; \
	    $(GO) test -run '^$$' -fuzz "^$$target\$$" -fuzztime $(FUZZTIME) -fuzzminimizetime 10x $$package; \
	  done; \
	done

bench: build ## ratios of one run: against cp, against the size of the core, per browser
	$(GO) test -run '^$$' -bench . -benchtime 1x -timeout 60m ./server
	npm run bench

screenshots: build ## pictures of each state of the page, to build/screenshots
	npm run screenshots

module: ## rename the module to MODULE=host/owner/coredrop, for whoever publishes it
	@test -n "$(MODULE)" || { echo "make module MODULE=host/owner/coredrop" >&2; exit 2; }
	old=$$($(GO) list -m) && $(GO) mod edit -module "$(MODULE)" && \
	grep -rlE "\"$$old/|[ =]$$old/core" --include='*.go' --include=Makefile --include='*.js' --exclude-dir=node_modules --exclude-dir=build . | \
	xargs sed -i -E "s#(\"|[ =])$$old/(core|server|wasm)#\1$(MODULE)/\2#g"

clean: ## remove what was built
	rm -rf build node_modules
	find server/page/dist -mindepth 1 ! -name placeholder -delete
