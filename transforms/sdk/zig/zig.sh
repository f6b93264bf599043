#!/bin/sh
# zig.sh build TOOLS SOURCE OUTPUT   makes a module of a transform
# zig.sh test TOOLS SOURCE           runs the tests in it, natively
# With the Zig of this machine if it is of the right version; another one is fetched into the folder TOOLS.
set -eu
command=$1
tools=$2
source=$3
version=0.17.1
sdk=$(dirname "$0")

zig=$(command -v zig || true)
case $([ -z "$zig" ] || "$zig" version) in
0.17.*) ;;
*) zig=$tools/zig-$version/zig ;;
esac
if [ ! -x "$zig" ]; then
  echo "Zig $version is not here: fetching it, once" >&2
  venv=$tools/zig-$version
  if ! python3 -m venv "$venv" >/dev/null 2>&1 || ! "$venv/bin/pip" install --quiet --disable-pip-version-check "ziglang==$version"; then
    rm -rf "$venv"
    echo "Zig is missing, and could not be fetched: install $version from https://ziglang.org/download, or Python to fetch it with" \
      "(Debian: apt install python3-venv), and run make again" >&2
    exit 1
  fi
  ln -s "$("$venv/bin/python" -c 'import os, ziglang; print(os.path.dirname(ziglang.__file__))')/zig" "$zig"
fi
mkdir -p "$tools"
export ZIG_GLOBAL_CACHE_DIR="$tools/zig-cache" ZIG_LOCAL_CACHE_DIR="$tools/zig-cache"

if [ "$command" = test ]; then
  said=$("$zig" test --dep rowmill "-Mroot=$source" "-Mrowmill=$sdk/rowmill.zig" 2>&1) || {
    echo "$said" >&2
    exit 1
  }
  exit 0
fi
# ReleaseSafe: an overflow or an index out of bounds costs one event and says so. ReleaseFast would be some 15 % faster.
exec "$zig" build-exe -target wasm32-wasi -mexec-model=reactor -fno-entry -rdynamic -O ReleaseSafe --stack 1048576 \
  --dep rowmill --dep transform "-Mroot=$sdk/main.zig" --dep rowmill "-Mtransform=$source" "-Mrowmill=$sdk/rowmill.zig" "-femit-bin=$4"
