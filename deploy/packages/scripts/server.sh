case $event in
  install | upgrade)
    if command -v systemd-sysusers >/dev/null; then
      systemd-sysusers ${root:+--root="$root"} clarion-server.conf
    else
      getent passwd clarion >/dev/null || useradd --system --home-dir /var/lib/clarion --shell /usr/sbin/nologin clarion
    fi
    if command -v systemd-tmpfiles >/dev/null; then
      systemd-tmpfiles ${root:+--root="$root"} --create clarion-server.conf
    else
      install -d -m 0700 -o clarion -g clarion "$root/var/backups/clarion"
    fi
    ;;
esac

case $event in
  install)
    enable_units clarion-server.service clarion-backup.timer
    if running_systemd; then
      control start clarion-server.service
      control start clarion-backup.timer
    fi
    ;;
  upgrade)
    if running_systemd; then
      systemctl daemon-reload
      # only what runs: an upgrade does not start what the operator stopped
      control try-restart clarion-server.service
      control try-restart clarion-backup.timer
    fi
    ;;
  before-removal)
    if running_systemd; then
      # waits: the server drains, and its database is closed before the files go
      systemctl -q disable --now clarion-backup.timer clarion-server.service || true
    elif command -v systemctl >/dev/null; then
      systemctl -q ${root:+--root="$root"} disable clarion-backup.timer clarion-server.service || true
    fi
    ;;
  removed | purged)
    if running_systemd; then
      systemctl daemon-reload
      systemctl -q reset-failed clarion-server.service clarion-backup.service 2>/dev/null || true
    fi
    rm -f "$root/var/lib/systemd/timers/stamp-clarion-backup.timer"
    for kept in /var/lib/clarion /var/backups/clarion; do
      [ ! -d "$root$kept" ] || echo "clarion-server: $kept is kept; 'rm -r $kept' deletes it"
    done
    [ "$event" = purged ] || echo "clarion-server: the user 'clarion' is kept, because it owns these files"
    ;;
esac
