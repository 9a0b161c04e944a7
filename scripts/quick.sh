#!/usr/bin/env bash
# Runs the fast checks: bash scripts/quick.sh
# gofmt, go vet, and the tests of the hub's module, without those that start browsers or
# whole hubs (internal/e2e, internal/checker), without -race, and with -short. Once
# everything is built, it takes less than a minute on two idle cores; go test does not
# repeat the tests of packages that have not changed. scripts/test.sh runs everything.
set -euo pipefail
cd "$(dirname "$0")/.."

step() { printf '== %s\n' "$*"; }

step "gofmt"
unformatted=$(gofmt -l .)
[ -z "$unformatted" ] || { echo "not gofmt-ed:"; echo "$unformatted"; exit 1; }

step "vet"
go vet ./...

step "tests"
mapfile -t packages < <(go list ./... | grep -vE '/internal/(e2e|checker)(/|$)')
go test -short -vet=off -timeout 3m "$@" "${packages[@]}" | grep -v 'no test files'

step "quick checks passed"
