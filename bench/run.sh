#!/usr/bin/env bash
# Reproduces the comparison of docs/performance.md on this machine:
#   bash bench/run.sh [SUITE…]
# and leaves the raw numbers and the plots in bench/results. All suites take
# about 22 minutes, of which most is waiting; each by itself under 3 minutes,
# but for `return`, which waits until memory is given back. Needs Linux, a C
# compiler, 20,000 open files, and for one rival nginx with Nchan.
set -euo pipefail
cd "$(dirname "$0")"

bin=$(mktemp -d)
trap 'rm -rf "$bin"' EXIT
go build -C .. -o "$bin/tidings" ./cmd/tidings
go build -o "$bin/rivals" ./rivals
go build -o "$bin/compare" ./compare
cc -O2 -o "$bin/floor" floor/floor.c

suites=("$@")
[ ${#suites[@]} -gt 0 ] || suites=(saturated-5000 saturated-15000 steady topics highest http2 idle feed feeds connect return publish batches
	by-streams by-topics by-size by-history)
for suite in "${suites[@]}"; do
	"$bin/compare" -bin "$bin" -out results "$suite"
done
"$bin/compare" -out results -plot
