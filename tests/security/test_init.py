"""The first start makes what is missing and touches nothing that is there."""

from __future__ import annotations

import os
import stat
import threading
from pathlib import Path

import pytest

from server.security.init import InitFailed, Initialised, initialise, read_token
from server.security.tokens import Kind

NOW = 1_800_000_000_000


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


@pytest.mark.parametrize("mask", [0o000, 0o022, 0o777])
def test_directory_and_tokens_are_private_whatever_the_umask(tmp_path: Path, mask: int) -> None:
    data = tmp_path / "d"
    old = os.umask(mask)
    try:
        done = initialise(data, NOW, insecure=True)
    finally:
        os.umask(old)
    assert (mode(data), mode(done.admin_token), mode(done.data / "join.token")) == (0o700, 0o600, 0o600)
    assert done.made == (data, data / "admin.token", data / "join.token")
    assert done.found == ()
    assert sorted(os.listdir(data)) == ["admin.token", "join.token"]


def test_tokens_are_of_their_kinds_and_one_line_each(tmp_path: Path) -> None:
    done = initialise(tmp_path / "d", NOW, insecure=True)
    admin, join = read_token(done.admin_token, Kind.API), read_token((done.data / "join.token"), Kind.JOIN)
    assert admin.text.split("_")[2] != join.text.split("_")[2]
    assert done.admin_token.read_text() == f"{admin.text}\n"


def test_a_second_start_changes_nothing_and_says_so(tmp_path: Path) -> None:
    data = tmp_path / "d"
    first = initialise(data, NOW, insecure=True)
    before = {path: (path.read_bytes(), path.stat().st_mtime_ns) for path in first.made[1:]}
    second = initialise(data, NOW, insecure=True)
    assert (second.made, second.found) == ((), first.made)
    assert before == {path: (path.read_bytes(), path.stat().st_mtime_ns) for path in first.made[1:]}


def test_only_what_is_missing_is_made(tmp_path: Path) -> None:
    data = tmp_path / "d"
    kept = initialise(data, NOW, insecure=True).admin_token.read_bytes()
    (data / "join.token").unlink()
    done = initialise(data, NOW, insecure=True)
    assert (done.made, done.found) == ((data / "join.token",), (data, data / "admin.token"))
    assert done.admin_token.read_bytes() == kept


def test_parents_are_made(tmp_path: Path) -> None:
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


def test_a_directory_with_files_that_others_can_see_is_left_alone(tmp_path: Path) -> None:
    data = tmp_path / "d"
    data.mkdir()
    data.chmod(0o755)
    (data / "photo.jpg").touch()
    error = refused(data)
    assert "mode 0755" in error.message
    assert "chmod 700" in error.hint
    assert (mode(data), os.listdir(data)) == (0o755, ["photo.jpg"])


def test_a_file_in_the_way_is_named(tmp_path: Path) -> None:
    (tmp_path / "d").touch()
    assert "is not a directory" in str(refused(tmp_path / "d"))
    assert "cannot be made" in str(refused(tmp_path / "d" / "below"))


def test_a_directory_that_cannot_be_made_is_named(tmp_path: Path) -> None:
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
def test_a_token_file_that_cannot_be_trusted_stops_the_start_and_stays(tmp_path: Path, content: bytes | None, bits: int, said: str) -> None:
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


def test_the_two_tokens_cannot_stand_in_for_each_other(tmp_path: Path) -> None:
    done = initialise(tmp_path / "d", NOW, insecure=True)
    with pytest.raises(InitFailed, match="another kind"):
        read_token((done.data / "join.token"), Kind.API)


def test_a_link_that_leads_nowhere_is_not_written_through(tmp_path: Path) -> None:
    data = tmp_path / "d"
    data.mkdir(mode=0o700)
    (data / "admin.token").symlink_to(tmp_path / "elsewhere")
    refused(data)
    assert not (tmp_path / "elsewhere").exists()


def test_what_a_cut_off_start_left_is_named(tmp_path: Path) -> None:
    data = tmp_path / "d"
    data.mkdir(mode=0o700)
    left = data / f".admin.token.{os.getpid()}"
    left.touch()
    assert "left over" in str(refused(data))
    left.unlink()
    initialise(data, NOW, insecure=True)


def test_a_token_is_never_there_half_written(tmp_path: Path) -> None:
    """Whatever fails while it is made, the file is whole or absent, and nothing is left beside it."""
    data = tmp_path / "d"

    def broken(n: int) -> bytes:
        assert not (data / "admin.token").exists()
        raise RuntimeError("no entropy")

    with pytest.raises(RuntimeError, match="no entropy"):
        initialise(data, NOW, broken, insecure=True)
    assert os.listdir(data) == []


def test_of_two_starts_at_once_both_end_with_the_same_tokens(tmp_path: Path) -> None:
    """The second comes to the file after the first has looked and before it has written."""
    data = tmp_path / "d"
    inner: list[Initialised] = []

    def entropy(n: int) -> bytes:
        if not inner and n == 8:
            thread = threading.Thread(target=lambda: inner.append(_other_process(data)))
            thread.start()
            thread.join()
        return os.urandom(n)

    done = initialise(data, NOW, entropy, insecure=True)
    assert inner[0].admin_token in inner[0].made
    assert done.admin_token in done.found
    assert read_token(done.admin_token, Kind.API)


def _other_process(data: Path) -> Initialised:
    """Same code, another process id, so that its temporary file has another name."""
    from unittest.mock import patch

    with patch("server.security.init.os.getpid", return_value=os.getppid()):
        return initialise(data, NOW, insecure=True)
