"""Init creates missing files and changes no existing one."""

from __future__ import annotations

import os
import signal
import stat
import sys
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from server.admin.offline import create_join_token
from server.security import ca_files
from server.security.init import InitFailed, Initialised, initialise, read_token
from server.security.tokens import Kind
from server.settings.load import load

NOW = 1_800_000_000_000


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


@pytest.mark.parametrize("mask", [0o000, 0o022, 0o777])
def test_directory_and_tokens_are_private_under_any_umask(tmp_path: Path, mask: int) -> None:
    data = tmp_path / "d"
    old = os.umask(mask)
    try:
        done = initialise(data, NOW, insecure=True)
    finally:
        os.umask(old)
    assert (mode(data), mode(done.admin_token), mode(done.data / "join.token")) == (0o700, 0o600, 0o600)
    assert done.made == (data, data / "admin.token", data / "metrics.token", data / "join.token")
    assert done.found == ()
    assert sorted(os.listdir(data)) == ["admin.token", "join.token", "metrics.token"]


def test_each_token_file_holds_one_line_of_its_kind(tmp_path: Path) -> None:
    done = initialise(tmp_path / "d", NOW, insecure=True)
    admin, join = read_token(done.admin_token, Kind.API), read_token((done.data / "join.token"), Kind.JOIN)
    assert admin.text.split("_")[2] != join.text.split("_")[2]
    assert done.admin_token.read_text() == f"{admin.text}\n"


def test_a_second_init_changes_nothing_and_reports_that(tmp_path: Path) -> None:
    data = tmp_path / "d"
    first = initialise(data, NOW, insecure=True)
    before = {path: (path.read_bytes(), path.stat().st_mtime_ns) for path in first.made[1:]}
    second = initialise(data, NOW, insecure=True)
    assert (second.made, second.found) == ((), first.made)
    assert before == {path: (path.read_bytes(), path.stat().st_mtime_ns) for path in first.made[1:]}


def test_only_missing_files_are_created(tmp_path: Path) -> None:
    data = tmp_path / "d"
    kept = initialise(data, NOW, insecure=True).admin_token.read_bytes()
    (data / "join.token").unlink()
    done = initialise(data, NOW, insecure=True)
    assert (done.made, done.found) == ((data / "join.token",), (data, data / "admin.token", data / "metrics.token"))
    assert done.admin_token.read_bytes() == kept


def test_parent_directories_are_created(tmp_path: Path) -> None:
    assert initialise(tmp_path / "a" / "b" / "c", NOW, insecure=True).admin_token.is_file()


def test_an_empty_directory_is_made_private(tmp_path: Path) -> None:
    data = tmp_path / "d"
    data.mkdir(mode=0o755)
    initialise(data, NOW, insecure=True)
    assert mode(data) == 0o700


def refused(data: Path) -> InitFailed:
    with pytest.raises(InitFailed) as caught:
        initialise(data, NOW, insecure=True)
    assert caught.value.hint
    return caught.value


def test_a_directory_with_files_that_others_can_see_is_not_changed(tmp_path: Path) -> None:
    data = tmp_path / "d"
    data.mkdir()
    data.chmod(0o755)
    (data / "photo.jpg").touch()
    error = refused(data)
    assert "mode 0755" in error.message
    assert "chmod 700" in error.hint
    assert (mode(data), os.listdir(data)) == (0o755, ["photo.jpg"])


def test_a_file_in_place_of_the_directory_is_named(tmp_path: Path) -> None:
    (tmp_path / "d").touch()
    assert "is not a directory" in str(refused(tmp_path / "d"))
    assert "cannot be made" in str(refused(tmp_path / "d" / "below"))


def test_a_directory_that_cannot_be_created_is_named(tmp_path: Path) -> None:
    assert str(refused(Path("/proc/clarion"))).startswith("/proc/clarion: cannot be made")


@pytest.mark.parametrize(
    ("content", "bits", "said"),
    [
        (b"", 0o600, "holds no usable token"),
        (b"hello\n", 0o600, "not of the form"),
        (b"\xff\xfe", 0o600, "not of the form"),
        (None, 0o644, "other users can read it (mode 0644)"),
        (None, 0o640, "other users can read it (mode 0640)"),
    ],
)
def test_an_unsafe_token_file_stops_the_start_and_is_not_changed(
    tmp_path: Path, content: bytes | None, bits: int, said: str
) -> None:
    path = initialise(tmp_path / "d", NOW, insecure=True).admin_token
    if content is not None:
        path.write_bytes(content)
    path.chmod(bits)
    before = path.read_bytes()
    error = refused(tmp_path / "d")
    assert said in error.message
    assert error.path == path
    assert (path.read_bytes(), mode(path)) == (before, bits)
    assert "hello" not in str(error)


def test_a_token_of_one_kind_is_not_accepted_as_the_other(tmp_path: Path) -> None:
    done = initialise(tmp_path / "d", NOW, insecure=True)
    with pytest.raises(InitFailed, match="another kind"):
        read_token((done.data / "join.token"), Kind.API)


def test_a_dangling_symbolic_link_is_not_followed(tmp_path: Path) -> None:
    data = tmp_path / "d"
    data.mkdir(mode=0o700)
    (data / "admin.token").symlink_to(tmp_path / "elsewhere")
    refused(data)
    assert not (tmp_path / "elsewhere").exists()


def test_remains_of_an_interrupted_init_of_an_earlier_release_are_removed(tmp_path: Path) -> None:
    data = tmp_path / "d"
    data.mkdir(mode=0o700)
    (data / f".admin.token.{os.getpid()}").write_text("half")
    (data / "ca").mkdir(mode=0o700)
    (data / "ca" / "root.key").write_text("given to no host")
    (data / "ca" / ".root.pem.7").touch()
    done = initialise(data, NOW)
    assert sorted(os.listdir(data)) == ["admin.token", "ca", "ca.pin", "metrics.token"]
    assert sorted(os.listdir(data / "ca")) == ["issuing.key", "issuing.pem", "root.key", "root.pem"]
    assert done.ca_pin == (data / "ca.pin").read_text().strip()


@pytest.mark.parametrize("given_out", ["ca/issuing.pem", "ca/server.pem", "ca.pin", "database.id", "clarion.db"])
def test_a_ca_in_use_is_not_replaced_if_its_root_is_missing(tmp_path: Path, given_out: str) -> None:
    data = tmp_path / "d"
    initialise(data, NOW)
    key = (data / "ca" / "root.key").read_bytes()
    for name in ("ca/root.pem", "ca/issuing.pem", "ca.pin"):
        (data / name).unlink()
    (data / given_out).touch()
    with pytest.raises(InitFailed, match="is missing although"):
        initialise(data, NOW)
    assert (data / "ca" / "root.key").read_bytes() == key and not (data / ".setup").exists()


def first_start(data: Path) -> None:
    initialise(data, NOW)


def first_start_in_clear(data: Path) -> None:
    initialise(data, NOW, insecure=True)


def first_start_with_a_database(data: Path) -> None:
    """What `clarion-server join-token create` does after `init`: the store is made, and recorded."""
    initialise(data, NOW)
    create_join_token(load(environ={}, sets=[f"data={data}"]).settings, 60, 1, {})


def kill_before(step: int, work: Callable[[Path], None], data: Path) -> bool:
    """Do it in a process of its own that is killed before its `step`th operation on a file of `data`. False: it has
    ended before."""
    child = os.fork()
    if child == 0:
        left = step

        def count(event: str, arguments: tuple[object, ...]) -> None:
            nonlocal left
            if (event == "open" or event.startswith(("os.", "sqlite3.", "fcntl."))) and (
                event == "fcntl.flock" or str(data) in repr(arguments)
            ):
                left -= 1
                if left < 0:
                    os.kill(os.getpid(), signal.SIGKILL)

        try:
            sys.addaudithook(count)
            work(data)
        finally:
            os._exit(0)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == -signal.SIGKILL


def check_whole(data: Path, *, insecure: bool) -> None:
    read_token(data / "admin.token", Kind.API)
    allowed = {"admin.token", "metrics.token", "ca", "ca.pin", "join.token", "server.lock", "database.id", "clarion.db"}
    assert {name for name in os.listdir(data) if not name.startswith(".database.id.")} <= allowed
    if insecure:
        read_token(data / "join.token", Kind.JOIN)
        return
    files = ca_files.CaFiles(data)
    assert ca_files.load_issuing(files).certificate.issuer == ca_files.load_root(files).subject
    ca_files.load_issuing(files).certificate.verify_directly_issued_by(ca_files.load_root(files))
    assert files.pin.read_text().strip() == ca_files.pin(files)
    assert sorted(os.listdir(files.folder)) == ["issuing.key", "issuing.pem", "root.key", "root.pem"]


@pytest.mark.parametrize("work", [first_start, first_start_in_clear, first_start_with_a_database])
@pytest.mark.parametrize("there", [False, True], ids=["new", "an empty directory"])
def test_an_init_killed_at_any_step_is_completed_by_the_next(
    tmp_path: Path, work: Callable[[Path], None], there: bool
) -> None:
    """Also when the second is killed, at another step."""
    steps = 0
    while True:
        data = tmp_path / f"d{steps}"
        if there:
            data.mkdir(mode=0o755)
        if not kill_before(steps, work, data):
            break
        kill_before(steps * 7 % 40, work, data)
        work(data)
        check_whole(data, insecure=work is first_start_in_clear)
        before = {
            path: path.read_bytes() for path in data.rglob("*") if path.is_file() and "clarion.db" not in path.name
        }
        initialise(data, NOW, insecure=work is first_start_in_clear)
        assert before == {
            path: path.read_bytes() for path in data.rglob("*") if path.is_file() and "clarion.db" not in path.name
        }
        steps += 1
    assert steps >= 15


def test_a_token_file_is_complete_or_absent(tmp_path: Path) -> None:
    """Whatever fails while it is made, the file is whole or absent, and nothing is left beside it."""
    data = tmp_path / "d"

    def broken(n: int) -> bytes:
        assert not (data / "admin.token").exists()
        raise RuntimeError("no entropy")

    with pytest.raises(RuntimeError, match="no entropy"):
        initialise(data, NOW, broken, insecure=True)
    assert os.listdir(data) == []


def test_two_concurrent_inits_end_with_the_same_tokens(tmp_path: Path) -> None:
    """The second begins while the first is making the token, and waits for it."""
    data = tmp_path / "d"
    inner: list[Initialised] = []
    threads: list[threading.Thread] = []

    def entropy(n: int) -> bytes:
        if not threads:
            threads.append(threading.Thread(target=lambda: inner.append(initialise(data, NOW, insecure=True))))
            threads[0].start()
        return os.urandom(n)

    done = initialise(data, NOW, entropy, insecure=True)
    threads[0].join()
    assert done.admin_token in done.made and inner[0].admin_token in inner[0].found
    assert read_token(done.admin_token, Kind.API)


def test_a_file_created_meanwhile_is_named(tmp_path: Path) -> None:
    data = tmp_path / "d"
    stage = data / ".setup"
    initialise(data, NOW, insecure=True)
    stage.mkdir(mode=0o700)
    (stage / "complete").touch()
    (stage / "admin.token").write_text("another")
    assert "was made by another program" in refused(data).message
