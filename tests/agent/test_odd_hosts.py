"""No property of a host stops its agent: names that are not UTF-8, unusual files, no home, no user, no working
directory.
"""

from __future__ import annotations

import io
import json
import os
import pwd
import socket
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest

from agent import log, policy
from agent.core.effects import Hello
from agent.enrolment import facts
from agent.errors import AgentError, BadSettings
from agent.session.wire import hello
from agent.settings import load
from agent.shim import spawn
from agent.shim.records import Spec
from proto.messages import Outcome, decode
from tests.agent.peer import peer
from tests.agent.process import ROOT, TOKEN, agent, run_agent

needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root can make namespaces")
ROOTS_HOME = os.path.expanduser("~root").encode()
NOWHERE = ("127.0.0.1", 1)
ODD = [b"\xff\xfe", b"caf\xe9", "na\u00efve".encode(), b"\x1b[31mred", b"web*", b"", b"x" * 64, "\u202ebew".encode()]


class Uname:
    """Like os.uname: bytes that are not UTF-8 become surrogates."""

    def __init__(self, name: bytes) -> None:
        text = os.fsdecode(name)
        self.sysname, self.nodename, self.release, self.version, self.machine = (
            "Linux",
            text,
            f"6.1{text}",
            "#1",
            f"x86{text}",
        )


@pytest.mark.parametrize("name", ODD)
def test_a_hostname_of_any_bytes_is_sent_as_text(monkeypatch: pytest.MonkeyPatch, name: bytes) -> None:
    monkeypatch.setattr(os, "uname", lambda: Uname(name))
    monkeypatch.setattr(facts, "OS_RELEASE", ())
    about = facts.gather(NOWHERE, {os.fsdecode(b"k\xff"): os.fsdecode(name)})
    assert about.hostname and about.hostname.isprintable() and len(about.hostname) <= 255
    message = hello("0192f0c0-0000-7000-8000-000000000001", "b", Hello("j", 0, 0, []), about, 1)
    assert decode(bytes(message)).hello.facts.hostname == about.hostname


def test_a_valid_hostname_is_sent_unchanged(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "uname", lambda: Uname(b"web01.example.org"))
    assert facts.gather(NOWHERE, {}).hostname == "web01.example.org"
    assert facts.gather(NOWHERE, {}, "db-7").hostname == "db-7"


def written(path: Path, kind: str) -> Path:
    if kind == "directory":
        path.mkdir()
    elif kind == "pipe":
        os.mkfifo(path)
    elif kind == "loop":
        path.symlink_to(path)
    elif kind != "missing":
        path.write_bytes(CONTENTS[kind])
    return path


CONTENTS = {
    "binary": bytes(range(256)) * 64,
    "good": b'NAME=x\nPRETTY_NAME="Debian GNU/Linux 12 (bookworm)"\n',
    "latin-1": b"PRETTY_NAME='Caf\xe9 Linux'\n",
    "huge": b"# comment\n" * 2_000_000 + b"PRETTY_NAME=late\n",
    "long": b"PRETTY_NAME=" + b"x" * 100_000 + b"\n",
    "escapes": b"PRETTY_NAME=\x1b[31mred\x00\n",
    "empty": b"",
}


@pytest.mark.parametrize(
    ("kind", "told"),
    [
        *((kind, None) for kind in ("binary", "huge", "empty", "directory", "pipe", "loop", "missing")),
        ("good", "Debian GNU/Linux 12 (bookworm)"),
        ("latin-1", "Caf\ufffd Linux"),
        ("long", "x" * 255),
        ("escapes", "\ufffd[31mred\ufffd"),
    ],
)
def test_the_name_of_the_system_is_read_from_any_available_file(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, kind: str, told: str | None
) -> None:
    monkeypatch.setattr(facts, "OS_RELEASE", (written(tmp_path / "os-release", kind),))
    assert facts.gather(NOWHERE, {}).os == (told or f"{os.uname().sysname} {os.uname().release}")


@pytest.mark.parametrize(
    "error", [OSError(101, "Network is unreachable"), socket.gaierror(-2, "unknown"), UnicodeError("label too long")]
)
def test_a_host_without_an_address_connects(monkeypatch: pytest.MonkeyPatch, error: Exception) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise error

    monkeypatch.setattr(socket, "getaddrinfo", refuse)
    assert facts.gather(("x" * 300, 1), {}).ip == ""


def test_a_boot_id_that_cannot_be_read_is_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for kind in ("missing", "directory", "latin-1"):
        monkeypatch.setattr(facts, "BOOT_ID", written(tmp_path / kind, kind))
        with pytest.raises(AgentError, match=kind) as caught:
            facts.boot_id()
        assert "/proc" in caught.value.hint


def test_a_log_line_can_hold_any_text() -> None:
    stream = io.StringIO()
    log.configure("info", stream)
    log.Log().info("odd", name=os.fsdecode(b"\xff"), number=1 << 70)
    assert json.loads(stream.getvalue())["number"] == 1 << 70
    log.configure("info")


def test_a_state_directory_that_is_not_text_or_has_no_base_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in (os.fsdecode(b"/tmp/\xff"), "~nobody-of-this-name/x"):
        with pytest.raises(BadSettings, match="state"):
            load(None, {}, {"state": name})
    gone = tmp_path / "gone"
    gone.mkdir()
    monkeypatch.chdir(gone)
    gone.rmdir()
    with pytest.raises(BadSettings, match="absolute path"):
        load(None, {}, {"state": "here"})


NAMED = "import os, socket, sys; socket.sethostname(bytes.fromhex(sys.argv[1])); os.execvp(sys.argv[2], sys.argv[2:])"
PLACES: dict[str, Sequence[str]] = {
    "name not UTF-8": ["unshare", "-u", sys.executable, "-c", NAMED, b"caf\xe9\xff".hex()],
    "name of a pattern": ["unshare", "-u", sys.executable, "-c", NAMED, b"web*".hex()],
    "os-release a directory": [
        "unshare",
        "-m",
        "sh",
        "-c",
        (
            'mount --bind /tmp "$(readlink -f /etc/os-release)" 2>/dev/null || mount --bind /dev/null "$(readlink '
            '-f /etc/os-release)"; exec "$@"'
        ),
        "sh",
    ],
    "no network": ["unshare", "-n", "sh", "-c", 'ip link set lo up; exec "$@"', "sh"],
    "no environment": [
        "env",
        "-u",
        "HOME",
        "-u",
        "USER",
        "-u",
        "PATH",
        "-u",
        "LANG",
        "LC_ALL=C",
        "PYTHONUTF8=0",
        "PYTHONCOERCECLOCALE=0",
        "ODD=\udcff",
    ],
}


@needs_root
@pytest.mark.parametrize("place", [name for name in PLACES if name != "no network"])
async def test_an_agent_on_an_odd_host_runs_commands(tmp_path: Path, place: str) -> None:
    async with peer(TOKEN) as server, agent(tmp_path, server.port, begin=False) as process:
        await process.start(before=PLACES[place])
        about = (await server.welcomed(1)).facts
        assert about.hostname and about.os
        got = await server.result(await server.dispatch(command='printf "%s" "$HOME"'))
        assert (got.outcome, got.stdout.head) == (Outcome.COMPLETED, ROOTS_HOME)


@needs_root
async def test_a_deleted_working_directory_stops_nothing(tmp_path: Path) -> None:
    gone = tmp_path / "gone"
    gone.mkdir()
    async with peer(TOKEN) as server, agent(tmp_path, server.port, begin=False) as process:
        process.environment["PYTHONPATH"] = str(ROOT)
        await process.start(before=["sh", "-c", f'rmdir {gone}; exec "$@"', "sh"], cwd=gone)
        await server.welcomed(1)
        assert (await server.result(await server.dispatch(command="pwd"))).stdout.head == b"/\n"


def test_a_user_without_an_entry_and_one_with_an_odd_home_have_an_environment(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    def unknown(uid: int) -> pwd.struct_passwd:
        raise KeyError(uid)

    def odd(uid: int) -> pwd.struct_passwd:
        return pwd.struct_passwd(("x", "x", uid, uid, "", os.fsdecode(b"/home/caf\xe9"), "/bin/sh"))

    monkeypatch.setattr(pwd, "getpwuid", unknown)
    found = spawn._environment(Spec(argv=["true"]), tmp_path / "a.1")
    assert (found[b"USER"], found[b"HOME"]) == (str(os.geteuid()).encode(), b"/")
    policy._own_user.cache_clear()
    assert policy.Policy(run_as=[str(os.geteuid())]).refusal(Spec(argv=["true"])) is None
    policy._own_user.cache_clear()
    monkeypatch.setattr(pwd, "getpwuid", odd)
    assert spawn._environment(Spec(argv=["true"]), tmp_path / "a.1")[b"HOME"] == b"/home/caf\xe9"


def test_a_join_with_an_odd_name_is_refused_with_text(tmp_path: Path) -> None:
    (tmp_path / "token").write_text("jt_0123456789abcdef")
    flags = [
        "--server",
        "127.0.0.1:1",
        "--token-file",
        str(tmp_path / "token"),
        "--ca-pin",
        f"sha256:{'0' * 64}",
        "--state",
        str(tmp_path / "s"),
    ]
    done = run_agent("join", *flags, "--hostname", "\udcff")
    assert done.returncode == BadSettings.exit_code and "Traceback" not in done.stderr
    assert "--hostname: must be a name of 1 to 255 characters without spaces, not '\\udcff'" in done.stderr
