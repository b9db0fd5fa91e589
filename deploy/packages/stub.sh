#!/bin/sh
# The Clarion agent @VERSION@ for @ARCH@ in one file: a shell script with a compressed archive behind it.
# The first start unpacks the archive into CLARION_AGENT_ROOT/VERSION (default /var/lib/clarion-agent-bin) and later
# starts use that folder. Folders of other versions stay, because shims of running commands may use them.
set -eu
version=@VERSION@-@ID@
root=${CLARION_AGENT_ROOT:-/var/lib/clarion-agent-bin}
folder=$root/$version
sha256=@SHA256@

fail() { echo "clarion-agent: $1
  what to do: $2" >&2; exit "$3"; }

if [ "$(uname -m)" != "@ARCH@" ]; then
  fail "this file is for @ARCH@, and this host is $(uname -m)" "use the file for this architecture" 78
fi
if [ ! -f "$folder/.complete" ]; then
  case $root in /*) ;; *) fail "CLARION_AGENT_ROOT must be an absolute path, not $root" "change it" 78 ;; esac
  umask 022
  mkdir -p "$root" || fail "the folder $root cannot be made" "set CLARION_AGENT_ROOT to a folder on a local disk" 73
  fresh=$(mktemp -d "$root/.new.XXXXXX") || fail "$root is not writable" "run as root, or set CLARION_AGENT_ROOT" 73
  trap 'rm -rf "$fresh"' EXIT
  tail -n +@LINE@ "$0" > "$fresh/archive" || fail "$root has no space for the agent" "free 100 MiB there" 73
  echo "$sha256  $fresh/archive" | sha256sum -c --status - ||
    fail "this file is damaged: its archive has another sha256" "download it again" 65
  mkdir "$fresh/files"
  gzip -dc < "$fresh/archive" | tar -x -C "$fresh/files" --no-same-owner ||
    fail "the archive cannot be unpacked in $root" "free 100 MiB there" 73
  chmod 0755 "$fresh/files"
  touch "$fresh/files/.complete"
  # Two first starts at the same time: the second rename fails, and both use the first one's folder.
  mv -T "$fresh/files" "$folder" 2>/dev/null || [ -f "$folder/.complete" ] || {
    rm -rf "$folder"
    mv -T "$fresh/files" "$folder" || fail "$folder cannot be made" "look at its permissions" 73
  }
  rm -rf "$fresh"
  trap - EXIT
fi
if [ ! -x "$folder/runtime/bin/python3" ]; then
  fail "$folder cannot be executed" "mount its file system without noexec, or set CLARION_AGENT_ROOT" 73
fi
exec "$folder/runtime/bin/python3" -I -S -X utf8 "$folder/agent" "$@"
@END@
