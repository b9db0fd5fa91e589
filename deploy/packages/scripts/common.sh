#!/bin/sh
# Maintainer script of @PACKAGE@. dpkg and rpm run it as root; the arguments differ:
#   dpkg  preinst install [OLD-VERSION], upgrade
#         postinst configure [OLD-VERSION] | prerm remove, upgrade | postrm remove, purge, upgrade
#   rpm   post 1 (install), 2 (upgrade)    | preun 0, 1            | postun 0 (remove), 1 (upgrade)
# DPKG_ROOT is the root of the system that is changed, if it is not the running one.
set -e
root=${DPKG_ROOT:-}

running_systemd() { [ -d "$root/run/systemd/system" ]; }

# Debian's policy-rc.d forbids starts in containers and image builds by exit code 101.
allowed() {  # ACTION UNIT
  [ -x "$root/usr/sbin/policy-rc.d" ] || return 0
  code=0
  "$root/usr/sbin/policy-rc.d" "$2" "$1" >/dev/null 2>&1 || code=$?
  [ "$code" != 101 ]
}

control() {  # ACTION UNIT: a unit that cannot start does not fail the installation; its state says why
  allowed "$1" "$2" || return 0
  systemctl --no-block "$1" "$2" ||
    echo "@PACKAGE@: 'systemctl $1 $2' failed; 'systemctl status $2' says why" >&2
}

enable_units() {  # UNIT…: at the first installation; later the operator's choice stays
  if running_systemd; then
    systemctl daemon-reload
    for unit; do
      systemctl -q enable "$unit" ||
        echo "@PACKAGE@: $unit is not enabled; 'systemctl status $unit' says why" >&2
    done
  elif [ -n "$root" ] && command -v systemctl >/dev/null; then
    systemctl -q --root="$root" enable "$@" || true
  elif command -v systemctl >/dev/null; then
    systemctl -q enable "$@" || true
  fi
}

# After a removal that kept the configuration, dpkg calls postinst as at an upgrade. Only preinst knows the difference.
marker=$root/run/@PACKAGE@.installing

case "@SCRIPT@ ${1:-} ${2:-}" in
  "preinstall install "?*) mkdir -p "$root/run"; : > "$marker"; exit 0 ;;
  "postinstall configure " | "postinstall 1 "*) event=install ;;
  "postinstall configure "* | "postinstall 2 "*) event=upgrade ;;
  "preremove remove "* | "preremove 0 "*) event=before-removal ;;
  "postremove remove "* | "postremove 0 "*) event=removed ;;
  "postremove purge "*) event=purged ;;
  *) exit 0 ;;  # the old package's side of an upgrade, and dpkg's ways back from errors
esac
if [ "$event" = upgrade ] && [ -e "$marker" ]; then
  rm -f "$marker"
  event=install
fi
