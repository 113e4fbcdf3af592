#!/usr/bin/env bash
# Brings what the tests need besides Go: Node and npm, Chromium, Firefox ESR, and
# the packages of package-lock.json. What is there already is left alone. On
# Debian and its kin missing programs are installed if this user may.
set -euo pipefail
cd "$(dirname "$0")/../.."

missing=()
need() { # need PACKAGE PROGRAM...: one of the programs must be there
	local package=$1 program
	shift
	for program in "$@"; do
		command -v "$program" >/dev/null && return
	done
	missing+=("$package")
}
# The suite reads CHROMIUM and FIREFOX where a browser has another name.
need chromium "${CHROMIUM:-chromium}" chromium-browser google-chrome
need firefox-esr "${FIREFOX:-firefox-esr}" firefox
need nodejs node
need npm npm

if ((${#missing[@]})); then
	as=()
	if ((EUID != 0)); then
		as=(sudo -n)
	fi
	if ! command -v apt-get >/dev/null || ! "${as[@]}" true 2>/dev/null; then
		echo "make test needs these programs, and may not install them here: ${missing[*]}" >&2
		echo "install them with the system's package manager (Debian: apt install ${missing[*]}), then run make test again" >&2
		exit 1
	fi
	echo "installing ${missing[*]}"
	"${as[@]}" apt-get update -q
	"${as[@]}" env DEBIAN_FRONTEND=noninteractive apt-get install -qy --no-install-recommends "${missing[@]}"
fi

# npm ci throws node_modules away first: only when the lock file is newer.
if [[ ! -f node_modules/.package-lock.json || package-lock.json -nt node_modules/.package-lock.json ]]; then
	npm ci --no-audit --no-fund
	touch node_modules/.package-lock.json
fi
