units="@UNITS@"

case $event in
  install)
    enable_units $units
    if running_systemd; then
      for unit in $units; do control start "$unit"; done
    fi
    if [ ! -e "$root/var/lib/clarion-agent/identity.pem" ]; then
      echo "clarion-agent: this host has not joined a server; run 'clarion-agent join', then 'systemctl start clarion-agent'"
    fi
    ;;
  upgrade)
    if running_systemd; then
      systemctl daemon-reload
      # Commands go on: their shims are not children that systemd stops. An upgrade does not start a stopped agent.
      for unit in @RESTARTED@; do control try-restart "$unit"; done
    fi
    ;;
  before-removal)
    if running_systemd; then
      systemctl -q disable --now @STOPPED@ || true
    elif command -v systemctl >/dev/null; then
      systemctl -q ${root:+--root="$root"} disable $units || true
    fi
    ;;
  removed | purged)
    if running_systemd; then
      systemctl daemon-reload
      systemctl -q reset-failed @RESTARTED@ 2>/dev/null || true
    fi
    if [ -d "$root/var/lib/clarion-agent" ]; then
      echo "clarion-agent: /var/lib/clarion-agent is kept, with the identity and unreported results; 'rm -r /var/lib/clarion-agent' deletes it"
    fi
    if [ -d "$root/var/lib/clarion-agent" ] && [ "$event" = removed ]; then
      echo "clarion-agent: commands that still run are not ended; their results are reported after the next installation"
    fi
    ;;
esac
