"""A booted system: systemd as process 1 of a container, with a network of its own that has only a loopback device."""

from __future__ import annotations

import os
import shlex
import signal
import subprocess
import time
from pathlib import Path

ENVIRONMENT = {"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "HOME": "/root", "LANG": "C.UTF-8", "TERM": "dumb"}
PATIENCE = 60.0
"""Seconds that a test waits for something that takes a second or two on an idle machine."""


class Machine:
    """A container that systemd-nspawn boots.

    Attributes:
        root: Its root file system, which the test may read and write.
        leader: Process id of its systemd; 0 while it is off.
    """

    def __init__(self, root: Path, hostname: str, beside: Machine | None = None) -> None:
        """Describe a machine without booting it.

        Args:
            root: Its root file system.
            hostname: Its host name.
            beside: A running machine whose network it shares, so that their programs reach each other.
        """
        self.root, self.hostname, self.beside = root, hostname, beside
        self.leader = 0
        self._nspawn: subprocess.Popen[bytes] | None = None

    def boot(self) -> None:
        """Start it and wait until systemd has started everything."""
        self.write("/etc/hostname", f"{self.hostname}\n")  # the root has the name of the machine that made it
        network = "--private-network"
        if self.beside is not None:
            network = f"--network-namespace-path=/proc/{self.beside.leader}/ns/net"
        # Not registered: the machine's own systemd, if there is one, is not asked. No unit of its own: as it is.
        words = ["systemd-nspawn", "--quiet", "--register=no", "--keep-unit", network, f"--hostname={self.hostname}"]
        words += [f"--machine=clarion-{self.hostname}-{os.getpid()}", f"--directory={self.root}", "--boot"]
        with self.root.with_suffix(".console").open("wb") as console:
            self._nspawn = subprocess.Popen(
                words,
                stdin=subprocess.DEVNULL,
                stdout=console,
                stderr=console,
                env=os.environ | {"SYSTEMD_NSPAWN_UNIFIED_HIERARCHY": "1"},
                start_new_session=True,
            )
        self.wait_until("test -S /run/systemd/private && systemctl is-system-running | grep -Eq 'running|degraded'")
        # nspawn mounts a boot id of its own over the kernel's; processes in other mount namespaces see the kernel's.
        self.run("umount /proc/sys/kernel/random/boot_id")

    def off(self) -> None:
        """Shut it down as a machine is shut down."""
        if self._nspawn is None:
            return
        if self._find_leader():
            os.kill(self.leader, signal.SIGRTMIN + 4)
        try:
            self._nspawn.wait(PATIENCE)
        except subprocess.TimeoutExpired:
            self.kill()
        self._nspawn, self.leader = None, 0

    def kill(self) -> None:
        """End all its processes at once."""
        if self._nspawn is not None:
            if self._find_leader():
                os.kill(self.leader, signal.SIGKILL)
            self._nspawn.kill()
            self._nspawn.wait()
        self._nspawn, self.leader = None, 0

    def console(self) -> str:
        """The text that nspawn and the machine have written to the console."""
        return self.root.with_suffix(".console").read_text(errors="replace")

    def words(self, *words: str) -> list[str]:
        """Words that run a program in the machine."""
        assert self.leader or self._find_leader(), self.console()
        variables = [f"{name}={value}" for name, value in ENVIRONMENT.items()]
        return ["nsenter", "--target", str(self.leader), "--all", "env", "-i", "-C", "/", *variables, *words]

    def attempt(self, script: str, stdin: str = "") -> subprocess.CompletedProcess[str]:
        """Run a shell script in the machine."""
        words = self.words("sh", "-c", script)
        return subprocess.run(words, input=stdin, capture_output=True, text=True, timeout=900, check=False)

    def run(self, script: str, stdin: str = "") -> str:
        """Run a shell script that must succeed, and return its standard output."""
        done = self.attempt(script, stdin)
        if done.returncode != 0:
            said = f"exit code {done.returncode}\n{done.stdout}{done.stderr}"
            raise AssertionError(f"{script}: {said}\n{self._logged()}")
        return done.stdout

    def wait_until(self, script: str, patience: float = PATIENCE) -> None:
        """Wait until a shell script succeeds in the machine."""
        end = time.monotonic() + patience
        while True:
            late = time.monotonic() > end  # this attempt is the last one, also if the test itself was stopped
            assert self._nspawn is not None and self._nspawn.poll() is None, self.console()
            last = "the machine has no process 1"
            if self.leader or self._find_leader():
                done = self.attempt(script)
                if done.returncode == 0:
                    return
                last = done.stdout + done.stderr
            if late:
                raise AssertionError(f"not within {patience} s: {script}\n{last}\n{self._logged()}")
            time.sleep(0.1)

    def show(self, unit: str, name: str) -> str:
        """One property of a unit."""
        return self.run(f"systemctl show --property={name} --value {shlex.quote(unit)}").strip()

    def journal(self, unit: str) -> str:
        """The log of a unit."""
        return self.run(f"journalctl --no-pager --output=cat --unit={shlex.quote(unit)}")

    def write(self, path: str, text: str) -> None:
        """Write a file in the machine."""
        place = self.root / path.lstrip("/")
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_text(text)

    def _logged(self) -> str:
        """The last lines of the services' logs and of the console, for an error."""
        if not self.leader:
            return self.console()[-2000:]
        return self.attempt("journalctl --no-pager --output=cat --lines=60 --unit='clarion*'").stdout

    def _find_leader(self) -> int:
        """Process id of the container's process 1, which is the child of nspawn."""
        assert self._nspawn is not None
        children = Path(f"/proc/{self._nspawn.pid}/task/{self._nspawn.pid}/children")
        listed = children.read_text().split() if children.exists() else []
        # Between clone and exec the child is still nspawn, in namespaces that are not complete.
        ready = [int(pid) for pid in listed if Path(f"/proc/{pid}/comm").read_text().strip() == "systemd"]
        self.leader = ready[0] if ready else 0
        return self.leader
