# sluice. `make` alone prints what there is to make.
# Works with GNU make 3.81 and later (macOS), without git, and without a C compiler (then without the race detector).

VERSION  := $(shell git describe --tags --always --dirty 2>/dev/null || echo devel)
BUILD    := CGO_ENABLED=0 go build -trimpath -buildvcs=false -ldflags '-X main.version=$(VERSION)'
# The race detector links C; a machine without a compiler says so and tests without it.
RACE     := $(shell if command -v "$$(go env CC)" >/dev/null 2>&1; then echo -race; fi)
FUZZTIME ?= 30s
TESTTIME ?= 20m

.DEFAULT_GOAL := help
.PHONY: build run test torture check fmt vet lint tools unit race-note tidy bench bench-full bench-smoke bench-compare fuzz cover clean help

help: ## print this
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-14s %s\n", $$1, $$2 }' Makefile

build: ## the server and its tools in one binary: bin/sluice
	$(BUILD) -o bin/sluice ./cmd/sluice

run: build ## start a server, put every line of the Go sources through it, keep serving (ONCE=1: stop after that)
	@$(BUILD) -o bin/demo ./test/demo
	@bin/demo -bin bin/sluice -data $(or $(DATA),data) $(if $(LISTEN),-listen $(LISTEN)) $(if $(HTTP),-http $(HTTP)) $(if $(ONCE),-once)

check: fmt vet lint race-note ## the inner loop, under 3 minutes: format, vet, lint, quick tests, and that tests leave the tree as it was
	@before=$$(git status --porcelain 2>/dev/null); \
	go test $(RACE) -short -timeout $(TESTTIME) ./... || exit 1; \
	after=$$(git status --porcelain 2>/dev/null); \
	if [ "$$before" != "$$after" ]; then echo "the tests changed the tree:"; git status --short; exit 1; fi

test: build fmt vet lint tidy race-note ## everything a machine runs for a change, under 25 minutes
	go test $(RACE) -timeout $(TESTTIME) ./...
	@echo "all tests again, with -tags invariants, for coverage"
	@$(MAKE) --no-print-directory cover
	@$(MAKE) --no-print-directory bench-smoke
	@rm -rf bin/demo-data # the demo, in a folder and on ports that nobody else has
	@$(MAKE) --no-print-directory run ONCE=1 DATA=bin/demo-data LISTEN=127.0.0.1:0 HTTP=127.0.0.1:0
	@rm -rf bin/demo-data

# Each seed tries something else; a failure prints what it takes to see it again.
torture: build ## 100,000 crash clones in memory, 10,000 kills of the real binary, 10,000 rude clients (SLUICE_CLONES=, SLUICE_KILLS=, SLUICE_RUDE=, SLUICE_SEED=)
	@export SLUICE_SEED=$${SLUICE_SEED:-$$(date +%s)} SLUICE_CLONES=$${SLUICE_CLONES:-100000} SLUICE_KILLS=$${SLUICE_KILLS:-10000}; \
	echo "SLUICE_SEED=$$SLUICE_SEED"; \
	go test -v -count 1 -timeout 4h -run '^Test(A|B|F)[0-9]' ./disk && go test -v -count 1 -timeout 12h ./test/crash && \
	SLUICE_RUDE=$${SLUICE_RUDE:-10000} SLUICE_IDLE=$${SLUICE_IDLE:-9900} SLUICE_DESCRIPTORS=$${SLUICE_DESCRIPTORS:-200} go test -v -count 1 -timeout 1h -run '^Test(D|E)[0-9]' ./test/system

fmt: ## that every file is as gofmt would have it
	@bad=$$(gofmt -l .); if [ -n "$$bad" ]; then echo "not as gofmt has it:"; echo "$$bad"; exit 1; fi

vet: ## go vet, for Linux and for macOS
	go vet ./...
	GOOS=darwin CGO_ENABLED=0 go vet ./...

# staticcheck: bugs, dead code, and its ignores need a reason.  errcheck: errors nobody looks at.
# ineffassign: values nobody reads.  go-errorlint: == and type switches on errors that may be wrapped.
# The exit status 3 of tools.sh says that no registry was reached; it has printed the reason.
lint: ## staticcheck, errcheck, ineffassign, go-errorlint
	@.ci/tools.sh; got=$$?; if [ $$got -eq 3 ]; then exit 0; elif [ $$got -ne 0 ]; then exit $$got; fi; \
	for tool in "staticcheck" "errcheck -ignoretests -exclude .ci/errcheck.txt" "ineffassign" "go-errorlint -test=false"; do \
		echo "$$tool"; bin/tools/$$tool ./... || got=1; \
	done; exit $$got

tools: ## build the pinned linters and benchstat into bin/tools
	@.ci/tools.sh

tidy: ## that go.mod and go.sum are what go mod tidy would write
	@.ci/tidy.sh

race-note:
	@if [ -z "$(RACE)" ]; then echo "skipped: the race detector: no C compiler ($$(go env CC)) on this machine"; fi

bench: build ## raw limits, sluice and the peers that are installed, about 6 minutes (ROUNDS=3, ONLY=regexp); tables in bench/results
	$(BUILD) -o bin/bench ./bench
	bin/bench -bin bin/sluice $(if $(ROUNDS),-rounds $(ROUNDS)) $(if $(ONLY),-only '$(ONLY)')

bench-full: build ## the suite, and its long steps: starts after kill -9 with 100 GB, latency through 100 rolls and beside a replay, 1,000 followers, 10,000 idle connections, allocation, Kafka's clients beside Apache Kafka (ROUNDS=1, ONLY=regexp)
	@.ci/kafka.sh
	$(BUILD) -o bin/bench ./bench
	bin/bench -bin bin/sluice -kafka bin/kafka -full $(if $(ROUNDS),-rounds $(ROUNDS)) $(if $(ONLY),-only '$(ONLY)')

bench-smoke: build
	@$(BUILD) -o bin/bench ./bench
	@bin/bench -bin bin/sluice -smoke

bench-compare: ## Go benchmarks of REF=commit against this tree (PKG=./..., BENCH=., COUNT=10), through benchstat
	@.ci/bench-compare.sh "$(REF)" "$(or $(PKG),./...)" "$(or $(BENCH),.)" "$(or $(COUNT),10)"

fuzz: ## every fuzz target for FUZZTIME=30s each; tests run their seeds only, as what is found by chance is no verdict on a change
	@.ci/fuzz.sh $(FUZZTIME)

cover: ## coverage of unit tests and of the running binary, merged into one figure
	@.ci/cover.sh "$(VERSION)" $(TESTTIME)

clean: ## remove what make made; data/ stays, it may be yours
	rm -rf bin cover bench/results
