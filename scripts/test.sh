#!/usr/bin/env bash
# Runs every check: bash scripts/test.sh
# As root on Debian, it installs the programs that the tests need with apt-get.
# Elsewhere it says which tests it skips. scripts/quick.sh runs the fast checks alone.
set -euo pipefail
cd "$(dirname "$0")/.."

staticcheck=honnef.co/go/tools/cmd/staticcheck@v0.8.2
modules=(. examples/frameworks bench) # separate modules keep their dependencies out of the hub's
clients=internal/e2e/clients          # also a separate module: it tests with other projects' clients

step() { printf '\n== %s\n' "$*"; }
in_module() { (cd "$1" && shift && "$@"); }

step "tools"
missing=()
declare -A packages=([chromium]=chromium [firefox-esr]=firefox-esr [nginx]=nginx [node]=nodejs [npm]=npm [curl]=curl [python3]=python3 [php]=php-cli [ip]=iproute2 [mkfs.ext4]=e2fsprogs)
for tool in "${!packages[@]}"; do
	command -v "$tool" >/dev/null || [ -x "/usr/sbin/$tool" ] || missing+=("${packages[$tool]}")
done
[ -e /usr/lib/nginx/modules/ngx_nchan_module.so ] || missing+=(libnginx-mod-nchan) # a rival in bench
[ -e /usr/share/php/Symfony/Component/HttpClient/autoload.php ] || missing+=(php-symfony-http-client) # a client in internal/e2e/clients
php -r 'exit((int) !extension_loaded("curl"));' 2>/dev/null || missing+=(php-curl)
command -v cc >/dev/null || missing+=(gcc libc6-dev)
[ "$(id -u)" = 0 ] || echo "SKIPPED without root: failing and full disks, peers that vanish"
# Without a CJK font, the screenshots of the Chinese pages show boxes.
[ -n "$(find /usr/share/fonts -iname '*cjk*' -print -quit 2>/dev/null)" ] || missing+=(fonts-noto-cjk)
if [ ${#missing[@]} -gt 0 ] && [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null; then
	apt-get update -qq
	DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "${missing[@]}" >/dev/null
	missing=()
fi
if [ ${#missing[@]} -gt 0 ]; then
	echo "SKIPPED: the end-to-end tests that need ${missing[*]}; install them and run this again"
else
	export TIDINGS_E2E=require # a test whose program is missing fails
fi
export TIDINGS_ARTIFACTS=${TIDINGS_ARTIFACTS:-$PWD/test-artifacts} # screenshots
go version

step "gofmt"
unformatted=$(gofmt -l $(git ls-files -co --exclude-standard '*.go'))
[ -z "$unformatted" ] || { echo "not gofmt-ed:"; echo "$unformatted"; exit 1; }

for m in "${modules[@]}" "$clients"; do
	step "vet and staticcheck: $m"
	in_module "$m" go mod tidy -diff
	in_module "$m" go vet ./...
	in_module "$m" go run "$staticcheck" ./...
done

step "builds"
for target in linux darwin windows; do
	for arch in amd64 arm64; do
		echo "$target/$arch"
		CGO_ENABLED=0 GOOS=$target GOARCH=$arch go build -o /dev/null ./cmd/tidings
	done
done
for target in darwin windows; do # the tests compile there, too
	CGO_ENABLED=0 GOOS=$target go vet ./...
done

step "tests"
# Packages run one at a time (-p 1): tests that measure time or drive a browser must
# not share the machine with others.
for m in "${modules[@]}"; do
	in_module "$m" go test -race -count=1 -p 1 -timeout 20m ./...
done

# Without -race: we cannot fix the clients. -v shows the table that the test prints.
step "real clients"
in_module "$clients" go test -v -timeout 15m ./...

# fuzz runs one target of a package. When the time is over, Go before 1.27 may fail
# with "context deadline exceeded", which is not a finding (go.dev/issue/75804); the
# loop below then runs the target again.
said=$(mktemp)
trap 'rm -f "$said"' EXIT
fuzz() { go test -run '^$' -fuzz "^$2\$" -fuzztime "$FUZZTIME" "$1" 2>&1 | tee "$said"; }

step "fuzzing, ${FUZZTIME:=5s} each"
for pkg in $(go list ./...); do
	for fuzz in $(go test -list '^Fuzz' "$pkg" | grep '^Fuzz' || true); do
		echo "$pkg $fuzz"
		if ! fuzz "$pkg" "$fuzz"; then
			grep -q 'context deadline exceeded' "$said" || exit 1
			grep -qiE 'failing input|panic|_test\.go:' "$said" && exit 1
			fuzz "$pkg" "$fuzz"
		fi
	done
done

step "all checks passed"
