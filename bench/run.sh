#!/usr/bin/env bash
# Repeats the comparison of docs/performance.md on this machine:
#   bash bench/run.sh [SUITE…]
# It writes the raw numbers and the plots to bench/results. All suites take about
# 22 minutes, most of it waiting; each alone takes less than 3 minutes, except
# `return`, which waits until the hub has given memory back. The script needs
# Linux, a C compiler, 20,000 open files, and nginx with Nchan for one rival.
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
