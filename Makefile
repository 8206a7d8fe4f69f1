# `make` alone lists what there is. The two commands that matter: make demo, make test.

GO        ?= go
BIN       := bin
TOOLS     := $(BIN)/tools
LINT      := $(TOOLS)/golangci-lint
VULN      := $(TOOLS)/govulncheck
# Reproducible: no paths, no build ids, no symbol tables, no C. `make build` keeps to the cache that tests fill.
RELEASE   := CGO_ENABLED=0 $(GO) build -trimpath -ldflags='-s -w -buildid='
# How long the soak runs.
SOAK      ?= 4h
# How long each fuzz target runs.
FUZZTIME  ?= 60s
# How many seeds the simulation tries.
SEEDS     ?= 300

.DEFAULT_GOAL := help
.PHONY: help build release demo test check fuzz fmt generate sim soak bench bench-quick bench-durable tools clean

help: ## list the targets
	@echo 'fairlead: a Kafka-native ledger for organisations that do business with each other'
	@echo
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-13s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

build: ## build bin/fairlead
	$(GO) build -o $(BIN)/fairlead ./cmd/fairlead

release: ## build bin/fairlead-OS-ARCH for all platforms, reproducibly
	@for p in linux/amd64 linux/arm64 darwin/arm64 windows/amd64; do \
		echo "$$p"; GOOS=$${p%/*} GOARCH=$${p#*/} $(RELEASE) -o $(BIN)/fairlead-$${p%/*}-$${p#*/} ./cmd/fairlead || exit 1; \
	done

demo: build ## run the whole story on this machine, in about a minute (KEEP=1 leaves it running)
	@$(BIN)/fairlead demo $(if $(KEEP),--keep)

test: ## everything that proves it, with real servers (half an hour on two cores)
	@bash .ci/test

check: $(LINT) $(VULN) ## formatting, linters, other platforms, generated files, known vulnerabilities
	@bash .ci/check

fuzz: ## every fuzz target, one after the other (FUZZTIME=60s each)
	@FUZZTIME=$(FUZZTIME) bash .ci/fuzz

fmt: ## format the code
	gofmt -w $$(git ls-files '*.go')

generate: ## make the generated files anew
	cd schemas && $(GO) generate ./...

sim: ## the engine in virtual time under random faults (SEEDS=300)
	$(GO) test -tags synctests -count=1 -timeout 60m ./engine/sim -args -seeds $(SEEDS)

soak: ## the fault runs on real Kafka for hours (SOAK=4h)
	FAIRLEAD_REAL_SERVERS=1 FAIRLEAD_SOAK=$(SOAK) $(GO) test -count=1 -v -timeout 0 -p 1 -run 'TestBank' ./integration/bank

bench: ## the engine beside stock goka, Kafka Streams and a bare loop, and what flows, notaries and payments cost; says what became slower
	$(GO) run ./bench
	$(GO) run ./bench/flows
	$(GO) run ./bench/notary
	$(GO) run ./bench/pay
	$(GO) run ./bench/sign

bench-quick: ## the same with a tenth of the records
	$(GO) run ./bench -records 100000 -latency 5s -record=false

bench-durable: ## a workflow of three durable steps beside Restate and Temporal (fetches and builds their servers once)
	$(GO) run -C bench/durable .

tools: $(LINT) $(VULN) ## install what test and check need: a C compiler, Java, Maven, linters
	@bash .ci/tools.sh

# Linters are pinned in a module of their own, so that they add nothing to the product's dependencies.
$(LINT) $(VULN) &: .ci/tools/go.mod
	@mkdir -p $(TOOLS)
	$(GO) build -C .ci/tools -o $(abspath $(TOOLS))/ tool
	@touch $(LINT) $(VULN)

clean: ## remove what was built
	rm -rf $(BIN) out
