#!/usr/bin/env bash
# Runs the long forms of the checks that drive real hubs, one after another:
#   bash scripts/soak.sh [RESULTS]
# and leaves their tables, with the machine and the commit they are from, in
# RESULTS (test-artifacts/soak unless given). Takes five minutes on two cores;
# full needs root, and says so if it has to skip.
set -uo pipefail
cd "$(dirname "$0")/.."

results=${1:-test-artifacts/soak}
mkdir -p "$results"
bin=$(mktemp -d)
trap 'rm -rf "$bin"' EXIT
go build -o "$bin/tidings" ./cmd/tidings && go build -o "$bin/checker" ./internal/checker || exit 1

{
	git describe --always --dirty
	go version
	uname -sr
	echo "$(nproc) CPUs, $(awk '/MemTotal/ {print int($2 / 1024)}' /proc/meminfo) MiB of memory"
} >"$results/machine.txt"

failed=()
for check in kill stall storm churn full; do
	printf '\n== %s\n' "$check"
	# What it says meanwhile stays beside the table.
	"$bin/checker" "$check" --hub "$bin/tidings" 2>"$results/$check.log" | tee "$results/$check.txt"
	[ "${PIPESTATUS[0]}" = 0 ] || failed+=("$check")
done

printf '\n== '
if [ ${#failed[@]} -gt 0 ]; then
	echo "failed: ${failed[*]}; see $results"
	exit 1
fi
echo "all passed; see $results"
