#!/bin/sh
# Builds the portable interpreter for glibc 2.17 and newer with zig as the C compiler.
# Usage: build.sh SOURCES WORK OUT ARCH BUILD_PYTHON ZIG_PYTHON
#   SOURCES       folder with the unpacked archives: zlib libffi openssl sqlite python
#   WORK          folder for the build; a second run continues there
#   OUT           folder that becomes the interpreter's prefix: OUT/bin/python3
#   ARCH          x86_64 or aarch64
#   BUILD_PYTHON  a Python of the same minor version that runs on this machine; only a build for another ARCH uses it
#   ZIG_PYTHON    the Python in which the package ziglang is installed
# It takes about 8 minutes on two cores.
set -eu
SOURCES=$1 WORK=$2 OUT=$3 ARCH=$4 BUILD_PYTHON=$5 ZIG_PYTHON=$6
HOST=$ARCH-linux-gnu
BUILD=$(uname -m)-linux-gnu
DEPS=$WORK/deps
JOBS=${JOBS:-2}
BUILD_CC=$(command -v cc)
mkdir -p "$WORK/tools" "$DEPS"

tool() {  # NAME ARGUMENTS: a wrapper script, because configure wants one word
  printf '#!/bin/sh\nexec "%s" -m ziglang %s "$@"\n' "$ZIG_PYTHON" "$2" > "$WORK/tools/$1"
  chmod +x "$WORK/tools/$1"
}
# Without -Wno-date-time the build stops at Python's __DATE__; SOURCE_DATE_EPOCH makes it reproducible.
tool zcc "cc -target $HOST.2.17 -Wno-date-time"
tool zc++ "c++ -target $HOST.2.17 -Wno-date-time"
tool zar ar
tool zranlib ranlib
# By name, not by path: OpenSSL and Python keep the compiler's command in their binaries.
export PATH="$WORK/tools:$PATH" CC=zcc CXX=zc++ AR=zar RANLIB=zranlib

step() { echo "runtime: $1"; }

step zlib
if [ ! -f "$DEPS/lib/libz.a" ]; then
  cd "$SOURCES/zlib"
  CFLAGS="-O2 -fPIC" ./configure --static --prefix="$DEPS"
  make -j"$JOBS" libz.a
  make install
fi

step libffi
if [ ! -f "$DEPS/lib/libffi.a" ]; then
  cd "$SOURCES/libffi"
  autoreconf -fi  # the archive is the repository's, without generated files
  # static trampolines need memory that is both writable and executable, which the units forbid
  CFLAGS="-O2 -fPIC" ./configure --host="$HOST" --build="$BUILD" --disable-shared --enable-static --disable-docs \
    --disable-exec-static-tramp --prefix="$DEPS" --libdir="$DEPS/lib"
  make -j"$JOBS"
  make install
fi

step sqlite
if [ ! -f "$DEPS/lib/libsqlite3.a" ]; then
  cd "$SOURCES/sqlite"
  CFLAGS="-O2 -fPIC -DSQLITE_ENABLE_COLUMN_METADATA -DSQLITE_ENABLE_MATH_FUNCTIONS" CC_FOR_BUILD="$BUILD_CC" ./configure \
    --host="$HOST" --build="$BUILD" --disable-shared --enable-static --disable-readline --disable-tcl --prefix="$DEPS"
  make -j"$JOBS" libsqlite3.a sqlite3.h
  mkdir -p "$DEPS/lib" "$DEPS/include"
  cp libsqlite3.a "$DEPS/lib/"
  cp sqlite3.h src/sqlite3ext.h "$DEPS/include/"
fi

step openssl
if [ ! -f "$DEPS/lib/libcrypto.a" ]; then
  cd "$SOURCES/openssl"
  # Only what TLS 1.2 and 1.3 and hashlib need. --openssldir: the hosts' own CA store, for the CLI's HTTPS.
  ./Configure "linux-$ARCH" no-shared no-tests no-docs no-apps no-legacy no-engine no-module no-dso no-quic no-dtls \
    no-ssl3 no-idea no-camellia no-seed no-rc2 no-rc4 no-rc5 no-md4 no-mdc2 no-whirlpool no-cast no-bf no-des no-aria \
    no-sm2 no-sm3 no-sm4 no-gost no-srp no-cms no-ts no-ct no-comp no-cmp no-ml-dsa no-slh-dsa \
    --prefix=/usr/lib/clarion/runtime --libdir=lib --openssldir=/etc/ssl -O2
  make -j"$JOBS" build_libs
  make install_dev DESTDIR="$WORK/openssl"
  cp -r "$WORK/openssl/usr/lib/clarion/runtime/include" "$WORK/openssl/usr/lib/clarion/runtime/lib" "$DEPS/"
fi

step python
cd "$SOURCES/python"
if [ "$HOST" = "$BUILD" ]; then
  build_python=
else
  build_python=--with-build-python=$BUILD_PYTHON
fi
# configure cannot run programs of another architecture; the answers are those of every Linux
export ac_cv_file__dev_ptmx=yes ac_cv_file__dev_ptc=no
# shellcheck disable=SC2086  # empty or one word
[ -f Makefile ] || CPPFLAGS="-I$DEPS/include" LDFLAGS="-L$DEPS/lib" PKG_CONFIG=false \
  LIBFFI_CFLAGS="-I$DEPS/include" LIBFFI_LIBS="-L$DEPS/lib -lffi" \
  ZLIB_CFLAGS="-I$DEPS/include" ZLIB_LIBS="-L$DEPS/lib -lz" \
  LIBSQLITE3_CFLAGS="-I$DEPS/include" LIBSQLITE3_LIBS="-L$DEPS/lib -lsqlite3 -lm" \
  ./configure --prefix=/usr/lib/clarion/runtime --host="$HOST" --build="$BUILD" $build_python \
    --with-openssl="$DEPS" --without-ensurepip --without-static-libpython --disable-test-modules
make -j"$JOBS"
rm -rf "$WORK/root"
make install DESTDIR="$WORK/root"
# No path of this machine gets into the packages, and two builds in different folders are equal.
sed -i -e "s#$SOURCES#/build/sources#g" -e "s#$WORK#/build#g" "$WORK/root/usr/lib/clarion/runtime/lib"/python3.*/_sysconfigdata_*.py
rm -rf "$OUT"
mkdir -p "$(dirname "$OUT")"
mv "$WORK/root/usr/lib/clarion/runtime" "$OUT"
step done
