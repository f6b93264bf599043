#!/bin/sh
# cc.sh TOOLS ARGUMENT…: compiles C to a WebAssembly module with what this machine has: clang with wasi-libc, or else Zig, which brings
# its own clang and libc and is fetched into the folder TOOLS.
set -eu
tools=$1
shift
zig_version=0.17.1

makes_wasm() {
  echo '#include <stdio.h>
int main(void) { return 0; }' | "$1" --target=wasm32-wasi -mexec-model=reactor -flto -x c - -o /dev/null 2>/dev/null
}

for clang in "${CLANG:-clang}" "${WASI_SDK_PATH:-/opt/wasi-sdk}/bin/clang"; do
  if makes_wasm "$clang"; then
    exec "$clang" --target=wasm32-wasi -mexec-model=reactor -flto "$@"
  fi
done

zig=$(command -v zig || echo "$tools/zig-$zig_version/zig")
if [ ! -x "$zig" ]; then
  echo "clang makes no WebAssembly here (Debian: apt install clang lld wasi-libc libclang-rt-14-dev-wasm32): fetching Zig instead, once" >&2
  venv=$tools/zig-$zig_version
  if ! python3 -m venv "$venv" >/dev/null 2>&1 || ! "$venv/bin/pip" install --quiet --disable-pip-version-check "ziglang==$zig_version"; then
    rm -rf "$venv"
    echo "There is no C compiler for WebAssembly. On Debian: apt install clang lld wasi-libc libclang-rt-14-dev-wasm32. Elsewhere: install" \
      "the wasi-sdk (https://github.com/WebAssembly/wasi-sdk) and set WASI_SDK_PATH, or Zig (https://ziglang.org)" >&2
    exit 1
  fi
  ln -s "$("$venv/bin/python" -c 'import os, ziglang; print(os.path.dirname(ziglang.__file__))')/zig" "$zig"
fi
mkdir -p "$tools"
ZIG_GLOBAL_CACHE_DIR=$tools/zig-cache ZIG_LOCAL_CACHE_DIR=$tools/zig-cache exec "$zig" cc -target wasm32-wasi -mexec-model=reactor "$@"
