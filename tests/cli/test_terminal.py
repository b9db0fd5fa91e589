"""The command on a real terminal: a pseudo-terminal that is its controlling one, so that Ctrl-C is a key and not a
call."""

from __future__ import annotations

import os
import re
import select
import signal
import subprocess
import sys
import termios
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.cli.conftest import TASK, Fake, Seen, host_row, progress_json, task_json, why

BASE = f"/api/v1/tasks/{TASK}"
SGR = re.compile(r"\x1b\[([0-9;]*)m")
ESCAPE = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")
WITHIN = 60.0
CTRL_C = b"\x03"


class Terminal:
    """A process on a terminal of its own. piped: its standard output is no terminal. read: what it has written to the
    terminal."""

    def __init__(self, arguments: list[str], env: dict[str, str], *, piped: bool = False) -> None:
        self._ours, theirs = os.openpty()
        self._device = os.ttyname(theirs)
        self.before = termios.tcgetattr(theirs)
        output = "" if piped else f'>"{self._device}"'
        # a session's leader that opens a terminal gets it as the controlling one (tty_ioctl(4)): only then is Ctrl-C a
        # signal
        shell = f'exec "$@" <"{self._device}" {output} 2>"{self._device}"'
        self._process = subprocess.Popen(
            ["sh", "-c", shell, "sh", *arguments],
            stdout=subprocess.PIPE if piped else None,
            env=env,
            start_new_session=True,
            # A shell that runs the tests in the background has them ignore the signal, and children inherit that.
            preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
        )
        self._theirs = theirs
        self.read = ""

    def until(self, *words: str) -> str:
        """All that was written once each of the words is in it, after what was there before."""
        start, deadline = len(self.read), time.monotonic() + WITHIN
        while not all(word in self.read[start:] for word in words):
            assert time.monotonic() < deadline, f"{words} not in {self.read[start:]!r}"
            self._take()
        return self.read[start:]

    def type(self, keys: bytes) -> None:
        os.write(self._ours, keys)

    def end(self, again: bytes = b"") -> tuple[int, str]:
        """The exit code, and what was written to a standard output that is no terminal. `again`: keys typed every
        second until then."""
        deadline, typed = time.monotonic() + WITHIN, time.monotonic()
        while self._process.poll() is None:
            assert time.monotonic() < deadline, f"did not end: {self.read!r}"
            if again and time.monotonic() - typed > 1:
                self.type(again)
                typed = time.monotonic()
            self._take()
        while self._take():
            pass
        out = self._process.stdout.read().decode() if self._process.stdout is not None else ""
        return self._process.returncode, out

    def after(self) -> list[Any]:
        return termios.tcgetattr(self._theirs)

    def _take(self) -> bool:
        ready, _, _ = select.select([self._ours], [], [], 0.05)
        if not ready:
            return False
        self.read += os.read(self._ours, 65_536).decode()
        return True

    def close(self) -> None:
        if self._process.poll() is None:
            os.killpg(self._process.pid, signal.SIGKILL)
            self._process.wait()
        if self._process.stdout is not None:
            self._process.stdout.close()
        os.close(self._ours)
        os.close(self._theirs)


Run = Callable[..., Terminal]


@pytest.fixture
def on_terminal(fake: Fake, token_file: Path) -> Iterator[Run]:
    opened: list[Terminal] = []

    def run(*arguments: str, piped: bool = False, **env: str) -> Terminal:
        kept = {
            name: value for name, value in os.environ.items() if name not in ("NO_COLOR", "FORCE_COLOR", "COLORTERM")
        }
        ours = {
            "CLARION_SERVER": fake.address,
            "CLARION_TOKEN_FILE": str(token_file),
            "TERM": "xterm-256color",
            "COLUMNS": "120",
            "LINES": "40",
        }
        opened.append(Terminal([sys.executable, "-m", "server.cli.main", *arguments], kept | ours | env, piped=piped))
        return opened[-1]

    yield run
    for terminal in opened:
        terminal.close()


@pytest.fixture
def endless(fake: Fake) -> threading.Event:
    """A task that runs until it is canceled. Set: it was."""
    fake.task("canceled", [host_row(1, "canceled")])
    running = task_json("running", [host_row(1, "running")])
    over = threading.Event()

    def progress(seen: Seen) -> tuple[int, Any]:
        if "wait" in seen.query:
            over.wait(0.5)
        return 200, progress_json(
            task_json("canceled", [host_row(1, "canceled")]), 9
        ) if over.is_set() else progress_json(running, 1)

    def cancel(seen: Seen) -> tuple[int, Any]:
        over.set()
        return 202, running

    fake.on("GET", f"{BASE}/progress", progress)
    fake.on("POST", f"{BASE}/cancel", cancel)
    return over


def two_answers(fake: Fake) -> None:
    hostile = b"\x1b[31mred\x1b[0m \x1b]0;title\x07 done\n"
    fake.task(
        "failed",
        [host_row(1, out=hostile), host_row(2, "failed", exit_code=3, error=why("exit_nonzero", "run", "it failed"))],
    )


def painted(text: str) -> dict[str, str]:
    """First word → colours of the lines that are coloured from their beginning."""
    return {
        match[2]: match[1] for match in re.finditer(r"^\x1b\[([0-9;]+)m(\w+)", text.replace("\r", ""), re.MULTILINE)
    }


def test_headers_are_coloured_on_a_terminal_and_colours_in_output_are_removed(fake: Fake, on_terminal: Run) -> None:
    two_answers(fake)
    terminal = on_terminal("run", "all", "-q", "--", "true")
    code, _ = terminal.end()
    assert code == 2
    assert painted(terminal.read) == {"web01": "32", "web02": "31"}
    assert [found for found in SGR.findall(terminal.read) if found not in ("0", "32", "31")] == []
    assert terminal.read.count("\x1b[31m") == 1, "the host's own red is left out"
    assert "red  done" in terminal.read and "title" not in ESCAPE.sub("", terminal.read)


@pytest.mark.parametrize(("piped", "env"), [(True, {}), (False, {"NO_COLOR": "1"})], ids=["a pipe", "NO_COLOR"])
def test_colours_are_off_without_a_terminal_or_on_request(
    fake: Fake, on_terminal: Run, piped: bool, env: dict[str, str]
) -> None:
    two_answers(fake)
    terminal = on_terminal("run", "all", "-q", "--", "true", piped=piped, **env)
    code, out = terminal.end()
    text = out if piped else terminal.read
    assert code == 2 and "web02: failed, exit code 3" in text and "\x1b" not in text


def test_the_progress_bar_stays_on_the_terminal_while_results_go_to_a_pipe(fake: Fake, on_terminal: Run) -> None:
    half = progress_json(task_json("running", [host_row(1), host_row(2, "running")]), 4)
    fake.task("completed", [host_row(1, out=b"one\n"), host_row(2, out=b"two\n")], waits=[half, half, half])
    terminal = on_terminal("run", "all", "--", "true", piped=True)
    code, out = terminal.end()
    assert code == 0 and out.splitlines() == [
        "web01: completed, exit code 0",
        "  one",
        "web02: completed, exit code 0",
        "  two",
    ]
    assert "1/2" in terminal.read and "1 completed" in terminal.read
    shown = terminal.read.rpartition("\x1b[2K")[2]
    assert "1/2" not in shown and "task " in shown, "the last state of the bar is wiped out before the summary"
    assert terminal.read.count("\x1b[?25l") == terminal.read.count("\x1b[?25h") > 0, "the cursor is back"


@pytest.mark.parametrize(
    ("follow", "keys", "code"),
    [(False, b"\r", 130), (False, CTRL_C, 130), (False, b"x\rc\r", 4), (True, b"d\r", 130), (True, b"c\r", 4)],
    ids=["enter", "Ctrl-C again", "nonsense, then c", "d while following", "c while following"],
)
def test_ctrl_c_asks_whether_to_cancel_and_follows_the_answer(
    fake: Fake, on_terminal: Run, endless: threading.Event, follow: bool, keys: bytes, code: int
) -> None:
    live = f"{BASE}/hosts/{host_row(1)['host_id']}/output/live"
    fake.on(
        "GET",
        live,
        lambda seen: (200, b'event: attempt\ndata: {"attempt":1}\n\n') if endless.wait(0.2) else (200, b": beat\n\n"),
    )
    terminal = on_terminal("run", *(["-f"] if follow else []), "all", "--", "sleep", "600")
    terminal.until("sleep 600")
    deadline = time.monotonic() + WITHIN
    while not fake.asked("GET", live if follow else f"{BASE}/progress"):
        assert time.monotonic() < deadline
        time.sleep(0.02)
    terminal.type(CTRL_C)
    terminal.until(f"Task {TASK} is running: detach or cancel?")
    terminal.type(keys)
    # A signal in the microseconds between the question and the wait for its answer is seen only at the next key.
    assert terminal.end(CTRL_C if keys == CTRL_C else b"")[0] == code, terminal.read
    canceled = fake.asked("POST", f"{BASE}/cancel")
    if code == 130:
        assert not canceled and f"clarion attach {TASK}" in terminal.read
    else:
        assert (
            len(canceled) == 1
            and "canceling; waiting for every host" in terminal.read
            and "web01: canceled" in terminal.read
        )
    assert terminal.read.count("\x1b[?25l") == terminal.read.count("\x1b[?25h"), "the cursor is back"
    assert terminal.after() == terminal.before, "the terminal is as it was"
    assert "Traceback" not in terminal.read


def test_the_question_is_shown_on_the_terminal_while_results_go_to_a_file(
    fake: Fake, on_terminal: Run, endless: threading.Event
) -> None:
    terminal = on_terminal("run", "all", "--", "sleep", "600", piped=True)
    deadline = time.monotonic() + WITHIN
    while not fake.asked("GET", f"{BASE}/progress"):
        assert time.monotonic() < deadline
        time.sleep(0.02)
    terminal.type(CTRL_C)
    terminal.until("detach or cancel?")
    terminal.type(b"d\r")
    assert terminal.end() == (130, "web01: canceled\n"), "what has come by then"
