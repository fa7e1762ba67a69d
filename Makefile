# SPDX-License-Identifier: Apache-2.0

GO ?= go
# Inputs for each target, or a time; with a time the end of it is now and then taken for a failure.
FUZZTIME ?= 200x

# Tests that the kernel here may not be able to run say so in their own body: they skip themselves below and run in the
# lab's VM (deploy/lab/README.md), they only, for the others have run on this kernel. Of package ipvs all do.
KERNEL_PACKAGES = $(filter-out ./ipvs,$(shell grep -rlE '\bRequire(IPVS|Netem)\b' --include='*_test.go' . | xargs -r dirname | sort -u))
KERNEL_TESTS = $(shell awk '/^func/ { sub(/[^A-Za-z0-9_].*/, "", $$2); name = $$2 } /Require(IPVS|Netem)/ && name ~ /^Test/ { print name }' \
	$(foreach p,$(KERNEL_PACKAGES),$(wildcard $(p)/*_test.go)) | sort -u | paste -sd'|')

.PHONY: build man check test test-host test-kernel test-fuzz demo interop faults bench soak clean

build:
	CGO_ENABLED=0 $(GO) build -trimpath -o bin/ ./cmd/...

# Manual pages, in bin/man.
man: build
	bin/holdfast man bin/man

# What to run before each commit.
check:
	@files=$$(gofmt -l .); test -z "$$files" || { echo "not formatted, run gofmt -w on:" $$files >&2; exit 1; }
	$(GO) mod tidy -diff
	$(GO) -C checker/grpctest mod tidy -diff
	$(GO) vet ./...
	$(GO) tool -modfile=tools/go.mod staticcheck ./...
	$(GO) test -short -p 3 ./... # most of their time they wait

# Everything. Needs root and, for what is missing, apt.
test: test-host test-kernel test-fuzz

# On this kernel, with hosts made of namespaces: a skip for want of them fails.
# All is compiled first, for some measure real time; most of theirs they wait.
test-host:
	@type gcc >/dev/null 2>&1 || { apt-get update -q && apt-get install -q -y --no-install-recommends gcc libc6-dev; }
	deploy/lab/vm --prepare
	$(GO) test -race -run '^$$' ./... >/dev/null
	REQUIRE_KERNEL=netns $(GO) test -race -p 2 ./...
	$(GO) test -C checker/grpctest -race ./...
	$(GO) test -benchtime 1x $(GO_BENCHMARKS)

# On a kernel with IPVS: no test may skip for want of anything. What runs from end to end measures time, for which the race
# detector is too slow there; it is linked as the released program is, without cgo, so that it gives up capabilities.
test-kernel:
	REQUIRE_KERNEL=1 deploy/lab/test -race ./ipvs
	REQUIRE_KERNEL=1 deploy/lab/test -race -test.run '^($(KERNEL_TESTS))$$' $(filter-out ./cmd/%,$(KERNEL_PACKAGES))
	CGO_ENABLED=0 REQUIRE_KERNEL=1 deploy/lab/test -test.run '^($(KERNEL_TESTS))$$' $(filter ./cmd/%,$(KERNEL_PACKAGES))

test-fuzz:
	@grep -roE '^func Fuzz\w+' --include='*_test.go' . | sed 's|/[^/]*:func | |' | while read -r package name; do \
		echo "$(GO) test -run '^$$' -fuzz '^$$name$$' -fuzztime $(FUZZTIME) $$package"; \
		$(GO) test -run '^$$' -fuzz "^$$name$$" -fuzztime $(FUZZTIME) $$package || exit 1; \
	done

demo: build
	deploy/lab/vm bin/holdfast-lab demo

# Needs root. The result is a document.
interop: build
	deploy/lab/vm --prepare
	bin/holdfast-lab interop --markdown >bin/interop.md
	mv bin/interop.md docs/interop.md

# Needs root. What network namespaces can show runs here, the rest on a kernel with IPVS; a missed bound is in the document.
faults: build
	deploy/lab/vm --prepare
	mkdir -p bin/faults
	for peer in holdfast keepalived; do \
		bin/holdfast-lab faults --peer $$peer --parallel 2 --json >bin/faults/$$peer-here.json; \
		deploy/lab/vm -t 7200 bin/holdfast-lab faults --peer $$peer --special --machine --json >bin/faults/$$peer-machine.json; \
	done
	bin/holdfast-lab faults --document bin/faults >bin/faults.md
	mv bin/faults.md docs/faults.md

# Needs root, and hours of a machine that does nothing else. Each piece leaves a file in bin/bench, of which the document is
# made: single ones can be made anew, by make bench-SUBJECT, or bench-go, and bench-page.
BENCH_ROUNDS ?= 5
BENCH_HERE = routers addresses checks
BENCH_KERNEL = failover-1s failover-100ms failover-10ms checks-kernel checks-kernel-5000 table table-40000

bench: $(addprefix bench-,$(BENCH_HERE) $(BENCH_KERNEL)) bench-go bench-page

$(addprefix bench-,$(BENCH_HERE) $(BENCH_KERNEL)): bench-%: build
	deploy/lab/vm --prepare
	mkdir -p bin/bench
	$(if $(filter $*,$(BENCH_KERNEL)),deploy/lab/vm -t 7200) bin/holdfast-lab bench --rounds $(BENCH_ROUNDS) --run $* --json >bin/bench/$*.part
	mv bin/bench/$*.part bin/bench/$*.json

GO_BENCHMARKS = -p 1 -run '^$$' -bench '^Benchmark(Packet|Receive|Diff|Desired|Reload|Scrape|Load)$$' -benchmem \
	./vrrp ./ipvs ./configs ./internal/director
bench-go:
	mkdir -p bin/bench
	$(GO) test $(GO_BENCHMARKS) >bin/bench/go.txt

bench-page: build
	bin/holdfast-lab bench --markdown bin/bench >bin/benchmarks.md
	mv bin/benchmarks.md docs/benchmarks.md

# Half an hour of random faults, on a kernel with IPVS: docs/soak.md.
SOAK ?= --for 30m
soak: build
	deploy/lab/vm -t 7200 bin/holdfast-lab soak $(SOAK)

clean:
	rm -rf bin
