#!/bin/sh
# Installs what the browser suite needs and says so where it may not.
set -eu
cd "$(dirname "$0")/../.."

missing=
command -v node >/dev/null || missing="$missing nodejs"
command -v npm >/dev/null || missing="$missing npm"
[ -x /usr/bin/chromium ] || missing="$missing chromium"
[ -x /usr/bin/firefox-esr ] || missing="$missing firefox-esr"
command -v gcc >/dev/null || missing="$missing gcc libc6-dev"
command -v zstd >/dev/null || missing="$missing zstd"
command -v openssl >/dev/null || missing="$missing openssl"

if [ -n "$missing" ]; then
	if ! command -v apt-get >/dev/null || [ "$(id -u)" -ne 0 ]; then
		echo "the browser suite needs these Debian packages:$missing" >&2
		echo "install them as root (apt-get install$missing) and run this again" >&2
		exit 1
	fi
	apt-get update -q
	DEBIAN_FRONTEND=noninteractive apt-get install -y -q --no-install-recommends $missing
fi
# Nothing to do where what is there is what the lock file says.
if ! cmp -s package-lock.json node_modules/.coredrop-lock; then
	npm ci --no-audit --no-fund
	cp package-lock.json node_modules/.coredrop-lock
fi
