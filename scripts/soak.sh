#!/usr/bin/env bash
# Runs the long forms of the checks that run real hubs, one after another:
#   bash scripts/soak.sh [RESULTS]
# It writes their tables, the machine and the commit to the directory RESULTS
# (default: test-artifacts/soak). It takes half an hour on two
# cores, of which the attacks take 25 minutes. The check "full" needs root; without root it says
# that it is skipped.
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
for check in kill stall storm churn full attack-disk attack-memory; do
	printf '\n== %s\n' "$check"
	command=("$check")
	case $check in
	attack-*) command=(attack --store "${check#attack-}" --memory-limit 512MiB) ;;
	esac
	# Its progress messages go to a file beside the table.
	"$bin/checker" "${command[@]}" --hub "$bin/tidings" 2>"$results/$check.log" | tee "$results/$check.txt"
	[ "${PIPESTATUS[0]}" = 0 ] || failed+=("$check")
done

printf '\n== '
if [ ${#failed[@]} -gt 0 ]; then
	echo "failed: ${failed[*]}; see $results"
	exit 1
fi
echo "all passed; see $results"
