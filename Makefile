# Development targets. `make` lists them; `make test` is what CI runs.

SHELL := /bin/bash
.DEFAULT_GOAL := help
# One target after the other: each uses all cores by itself, and tests of
# timing do not like company.
.NOTPARALLEL:

# Whatever the caller's environment says: without the workspace there would be
# one module only.
export GOWORK := $(CURDIR)/go.work

BIN := $(CURDIR)/bin
LIBRARY := github.com/latchkey-go/latchkey

# $(call in-modules,which,command) runs command in each module of go.work that
# which, a template's condition, selects. It goes on after a failure and fails
# at the end. tools/ is no module of go.work, so that the tools' dependencies
# reach none of the others.
ALL := true
OTHERS := ne .Path "$(LIBRARY)"
define in-modules
	@set -eu; failed=; \
	dirs=$$(go list -m -f '{{if $(1)}}{{.Dir}}{{end}}'); \
	for dir in $$dirs; do \
		echo "== $$dir: "'$(2)'; \
		(cd "$$dir" && $(2)) || failed="$$failed $$dir"; \
	done; \
	if [ -n "$$failed" ]; then echo "FAILED in$$failed" >&2; exit 1; fi
endef

# For each benchmark, each fuzz test, and all tests of one module.
BENCHTIME ?= 1s
FUZZTIME ?= 60s
FUZZERS ?= $(shell getconf _NPROCESSORS_ONLN)
TESTTIME ?= 8m

.PHONY: help
help: ## List the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  %-10s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

# -vet=off: go vet has run with all its checks. The library's tests run with
# the race detector; what the examples and benchmarks use of it is tested there,
# and their own dependencies (SQLite in WebAssembly) are slow under it. It
# allocates, too, so httpmw's test of allocations runs again without it. Tests wait much,
# for leases and processes, those of the other modules most: hence -p. Linking is a
# good part of a first run, and nobody debugs these binaries: -s -w. None of this
# may change a file of the checkout: remember comes first, compare last.
.PHONY: test
test: export LATCHKEY_REQUIRE_REDIS := 1
test: export LATCHKEY_REQUIRE_PROTOC := 1
test: export LATCHKEY_REQUIRE_CURL := 1
test: export GOGC := 400
test: remember programs race-detector check first-steps ## Check format, vet and staticcheck, then run every test of every module
	go test -race -vet=off -ldflags '-s -w' -p 3 -parallel 6 -timeout $(TESTTIME) ./...
	go test -vet=off -ldflags '-s -w' -timeout $(TESTTIME) -run 'Alloc' ./httpmw
	go test -vet=off -ldflags '-s -w' -p 4 -timeout $(TESTTIME) $(call packages,$(OTHERS))
	$(compare)

.PHONY: lint
lint: check ## As test, without tests, with every check of staticcheck and go.mod files tidy
	"$(BIN)/staticcheck" -checks all $(call packages,$(ALL))
	$(call in-modules,$(ALL),GOWORK=off go mod tidy -diff)

# Flags of the command go in BENCH: make bench BENCH="-case 'hot 4×16' -time 1s".
BENCH ?= -md RESULTS.md
.PHONY: bench
bench: redis ## Measure Latchkey beside its peers, in less than 5 minutes: bench/RESULTS.md
	cd bench && go run . $(BENCH)

# Flags of the command go in IDS: make bench-ids IDS="-case single -time 1s".
IDS ?= -md IDS.md
.PHONY: bench-ids
bench-ids: redis ## Measure idgen beside its peers, in less than 5 minutes: bench/IDS.md
	cd bench && go run ./ids $(IDS)

# -run '^$$' leaves the tests out; a pattern for one benchmark goes in MICROBENCH.
MICROBENCH ?= .
.PHONY: microbench
microbench: redis ## The same locks in Go benchmarks, for allocations (MICROBENCH=pattern, BENCHTIME=1s)
	cd bench && go test -run '^$$' -bench '$(MICROBENCH)' -benchtime $(BENCHTIME) -benchmem -timeout 0 ./...

# The quick form is a part of make test: 25,000 states of each world.
# EXPLORE="-explore.only 'three processes'" explores that world alone.
EXPLORE ?= -explore.states 1300000
.PHONY: explore
explore: ## Go through 10 million states of the engine with a Redis and a network that do their worst
	go test -count 1 -v -timeout 30m -run '^TestExplore$$' ./core/internal/engine -args $(EXPLORE)

# The tables of RELIABILITY.md.
FAULTS ?= 10
.PHONY: failovers
failovers: redis ## Let masters die and slots move, FAULTS=10 times each, under load: in about 5 minutes
	go test -count 1 -v -timeout 30m -run '^Test(Cluster.*(Slots|Failover)|Sentinel)' ./core -args -faults $(FAULTS)

# RELIABILITY.md has what it finds; the quick form is a part of make test.
# BUDGET=10m does a share of everything, SEED=n replays one seed of simulated
# time, and CAMPAIGN="-only S13" does the steps with that scenario.
BUDGET ?= 75m
SEED ?= 0
CAMPAIGN ?=
.PHONY: torture
torture: redis ## Try to make two holders: every scenario, in at most 75 minutes (BUDGET=10m, SEED=n)
	go run ./core/internal/torture/campaign -budget $(BUDGET) -seed $(SEED) $(CAMPAIGN)

# MUTANTS="-only fencing" makes those whose name matches.
MUTANTS ?=
.PHONY: mutants
mutants: redis ## Make mistakes in the lock, one at a time, and see that a scenario notices each
	go run ./core/internal/torture/mutants $(MUTANTS)

# The quick form is a part of make test. HUNT="-seed 7 …" repeats a hunt, but for
# its timing.
HUNT ?= -each 5000000 -faults 20
.PHONY: ids
ids: redis ## Hunt for IDs that come twice: 40 million IDs, 20 faults of each kind, in about 6 minutes
	go test -count 1 -v -parallel 4 -timeout 30m ./idgen/internal/hunt -args $(HUNT)

# Jaeger is built from its Go module when it is missing: about 7 minutes and 2.3 GB
# of build cache, once. Flags go in JAEGER: make jaeger JAEGER="-json answers.json".
JAEGER ?=
.PHONY: jaeger
jaeger: ## Read a wait for a lock in a real Jaeger, by its query API (builds Jaeger, once)
	cd examples && go build -o "$(BIN)/tracing" ./tracing
	cd examples && go run ./tracing/jaegercheck -example "$(BIN)/tracing" $(JAEGER)

# The quick form is a part of make test. STRESS="-stress.seed 7 …" sends the same
# requests again, but for their timing.
STRESS ?= -stress.requests 10000
.PHONY: stress
stress: redis ## Let clients go away, deadlines pass, handlers panic and servers stop, 10,000 times each over HTTP and gRPC, on a real Redis
	go test -race -count 1 -v -p 1 -timeout 10m -run '^TestNothingIsHeldWhateverClientsAndHandlersDo$$' ./httpmw ./grpcmw -args $(STRESS)

# go test -fuzz takes one at a time, so each has a process, and a core, to itself.
.PHONY: fuzz
fuzz: ## Fuzz each fuzz test of the library for FUZZTIME=60s, FUZZERS at a time
	@set -eu; tests=$$(for pkg in $$(go list ./...); do \
		for name in $$(cat "$$(go list -f '{{.Dir}}' $$pkg)"/*_test.go 2>/dev/null | sed -nE 's/^func (Fuzz[A-Za-z0-9_]*)\(.*/\1/p'); do \
			echo "$$pkg $$name"; \
		done; \
	done); \
	if [ -z "$$tests" ]; then echo "There is no fuzz test." >&2; exit 1; fi; \
	echo "$$tests" | xargs -n 2 -P $(FUZZERS) sh -c ' \
		out=$$(go test -run "^$$" -fuzz "^$$1\$$" -fuzztime $(FUZZTIME) -parallel 1 "$$0" 2>&1) && failed=0 || failed=1; \
		printf "== %s in %s\n%s\n" "$$1" "$$0" "$$out"; exit $$failed'

# No part of make test: gin takes as long to compile as all other dependencies of
# the examples together, most of it for MessagePack, which this leaves out.
.PHONY: gin
gin: ## Test the lock under gin
	cd examples/ginlock && GOWORK=off go vet -tags nomsgpack ./... && GOWORK=off go test -vet=off -tags nomsgpack ./...

.PHONY: generate
generate: protoc ## Make generated code anew
	$(call in-modules,$(ALL),go generate ./...)

.PHONY: clean
clean: ## Remove what make has built
	rm -rf "$(BIN)"

# --- what the targets above are made of -------------------------------------

.PHONY: check
check: format staticcheck

.PHONY: format
format:
	@set -eu; files=$$(gofmt -l .); \
	if [ -n "$$files" ]; then echo "Not formatted (gofmt -w mends it):"; echo "$$files"; exit 1; fi

# All packages of the modules that which selects, as patterns.
packages = $$(go list -m -f '{{if $(1)}}{{.Dir}}/...{{end}}')

# The library is vetted by itself, as its users build it: the workspace could lend it
# what its own go.mod lacks. It is checked as it is tested, with -race, and so is
# compiled once for both (of its files, four are for the one or the other way alone, a
# constant each). The others are checked in one run, in which what they have in common
# is looked at once. On a fresh machine the checks take longer than the tests, and a
# tenth of that is garbage collection: hence GOGC.
#
# Staticcheck is built from its own module and run as a program: `go tool -modfile`
# would resolve the packages to be checked with the tools' go.mod. It is built beside
# go vet, since neither keeps two cores busy by itself.
.PHONY: vet staticcheck
vet staticcheck: export GOGC := 400
vet:
	@GOWORK=off go build -C tools -o "$(BIN)/" honnef.co/go/tools/cmd/staticcheck & built=$$!; \
	set -ex; GOWORK=off go vet -race ./...; \
	go vet $(call packages,$(OTHERS)); \
	wait $$built
staticcheck: vet
	GOFLAGS="$$(go env GOFLAGS) -race" "$(BIN)/staticcheck" ./...
	"$(BIN)/staticcheck" $(call packages,$(OTHERS))

# What a reader of a fresh clone does first.
.PHONY: first-steps
first-steps:
	go doc ./core >/dev/null
	go run ./examples/flashsale >/dev/null

# The checksums of all files in the checkout, but for bin/ and hidden ones: what
# is not committed yet may stay, but nothing may change.
state = find . -name '.?*' -prune -o -path ./bin -prune -o -type f -exec cksum {} + | LC_ALL=C sort -k 3

.PHONY: remember
remember:
	@mkdir -p "$(BIN)"
	@$(state) >"$(BIN)/state"

define compare
	@if ! $(state) | diff "$(BIN)/state" - >"$(BIN)/changes"; then \
		echo "These files have changed during the run, go.work.sum for one if a checksum is missing in it (< before, > after):" >&2; \
		cat "$(BIN)/changes" >&2; exit 1; \
	fi
endef

# $(call need,program,package) installs what is missing where that can be done
# unasked: in a container that runs as root and has apt.
define need
	@set -eu; if ! command -v $(1) >/dev/null; then \
		if [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null; then \
			echo "== $(1) is missing: installing $(2)"; \
			apt-get update -qq; \
			DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends $(2); \
		else \
			echo "$(1) is not on PATH. Install it: apt-get install $(2), or brew install $(3)." >&2; exit 1; \
		fi; \
	fi
endef

.PHONY: programs redis protoc curl
programs: redis protoc curl
redis:
	$(call need,redis-server,redis-server,redis)
protoc:
	$(call need,protoc,protobuf-compiler,protobuf)
curl:
	$(call need,curl,curl,curl)

.PHONY: race-detector
race-detector:
	@set -eu; if [ "$$(go env CGO_ENABLED)" != 1 ]; then \
		echo "The race detector needs cgo: set CGO_ENABLED=1." >&2; exit 1; \
	fi; \
	cc=$$(go env CC); \
	if ! command -v $${cc%% *} >/dev/null; then \
		echo "The race detector needs a C compiler, and $$cc is not on PATH. Install it: apt-get install gcc libc6-dev." >&2; exit 1; \
	fi
