#!/bin/sh
# Fuzzes the compiled lane under AddressSanitizer: builds it with -fsanitize=address in a temporary folder, next to a copy of the
# sources, and runs tests/tools/fuzz/lane_run.py there. Python's own allocator is put aside (PYTHONMALLOC=malloc), so that every bytes
# object has redzones of its own. A read or write out of bounds or a use after free ends the process that tries a case; a leak
# shows as growth. The last line says how many there were; cases that failed are kept in ./fuzz-failures.
#
# Usage, from the repository's root: PY=.venv/bin/python tests/tools/fuzz/asan.sh [cases, default 1000000] [seed, default 1] [kept case to try alone]
set -eu

CASES=${1:-1000000}
SEED=${2:-1}
REPLAY=${3:-}
[ -z "$REPLAY" ] || REPLAY=$(realpath "$REPLAY")
OUT=$PWD/fuzz-failures
PY=${PY:-python3}
CC=${CC:-gcc}
PY=$(command -v "$PY")
case $PY in /*) ;; *) PY=$PWD/$PY ;; esac

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
trap 'exit 130' INT TERM
cp -r _speedups proto setup.py pyproject.toml README.md LICENSE "$work/"
cp -r --parents tests/__init__.py tests/tools/__init__.py tests/tools/fuzz tests/speedups "$work/"
cd "$work"
rm -f _speedups/*/*.so _speedups/*/*.c
# Empty packages, so that setuptools finds what pyproject.toml names.
mkdir -p server agent loadtest

echo "fuzz-lane: building _speedups with -fsanitize=address"
CC=$CC CFLAGS="-fsanitize=address -fno-omit-frame-pointer -g -O1" LDFLAGS="-fsanitize=address" "$PY" setup.py -q build_ext --inplace --force 2>build.log || { cat build.log >&2; exit 1; }
for name in http2/connection http2/poller http2/socket http2/stream messages/decode; do
    ls _speedups/"${name}"_c.*.so >/dev/null || { cat build.log >&2; exit 1; }
done

# The interpreter keeps objects until the process ends, which is no leak of ours: leaks are told by growth instead.
export ASAN_OPTIONS="detect_leaks=0:abort_on_error=0:exitcode=99:allocator_may_return_null=1:quarantine_size_mb=8"
export PYTHONMALLOC=malloc PYTHONDONTWRITEBYTECODE=1 PYTHONPATH="$work"
ASAN=$("$CC" -print-file-name=libasan.so)
if [ -n "$REPLAY" ]; then
    LD_PRELOAD=$ASAN "$PY" -m tests.tools.fuzz.lane_fuzz --impl c --replay "$REPLAY"
else
    LD_PRELOAD=$ASAN "$PY" -m tests.tools.fuzz.lane_run --cases "$CASES" --seed "$SEED" --failures "$OUT"
fi
