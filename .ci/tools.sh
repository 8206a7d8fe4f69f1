#!/usr/bin/env bash
# Installs what the tests want and Go does not bring: a C compiler (race detector), Java 17 and Maven (real Kafka), Postgres.
# What is there already is left alone. Without apt-get or root it says what is missing and goes on: the tests then say
# what they did without.
set -euo pipefail

want=()
command -v "$(go env CC)" >/dev/null 2>&1 || want+=(gcc libc6-dev)
java_version() { "${JAVA_HOME:+$JAVA_HOME/bin/}java" -version 2>&1 | sed -n 's/.*version "\([0-9]*\).*/\1/p'; }
version="$(java_version || true)"
[ "${version:-0}" -ge 17 ] || want+=(openjdk-17-jre-headless)
command -v mvn >/dev/null 2>&1 || want+=(maven)
command -v postgres >/dev/null 2>&1 || ls /usr/lib/postgresql/*/bin/postgres >/dev/null 2>&1 || want+=(postgresql)

if [ ${#want[@]} -eq 0 ]; then
	echo "tools: a C compiler, Java ${version}, Maven and Postgres are here"
	exit 0
fi
if ! command -v apt-get >/dev/null 2>&1 || [ "$(id -u)" -ne 0 ]; then
	echo "tools: missing ${want[*]} (or what your system calls them); install them for the race detector, real Kafka and real Postgres"
	exit 0
fi
log="$(mktemp)"
trap 'rm -f "$log"' EXIT
echo "tools: installing ${want[*]}"
export DEBIAN_FRONTEND=noninteractive
if ! { apt-get update -q && apt-get install -q -y --no-install-recommends "${want[@]}"; } >"$log" 2>&1; then
	echo "tools: the installation failed; the tests will say what they did without"
fi
