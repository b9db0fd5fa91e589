"""Errors about files name what is at fault: the data directory, the installation, or the sandbox of the unit."""

from __future__ import annotations

import errno
import json
import os
from pathlib import Path
from typing import Any

import pytest

from proto.common import file_errors
from server.admin import failures
from server.security import ca_files
from server.security import lock as lock_module
from server.security.init import InitFailed, initialise, read_token
from server.security.lock import locked
from server.security.tokens import Kind
from server.settings.schema import Settings
from server.store import migrate

PACKAGE = Path(failures.__file__).parents[2]


@pytest.mark.parametrize(
    ("number", "file", "code", "hint"),
    [
        (errno.ENOENT, "/proc/sys/kernel/random/boot_id", 71, "ProcSubset="),
        (errno.EACCES, "/proc/vmstat", 71, "ProcSubset="),
        (errno.ENOENT, "/dev/urandom", 71, "of its unit"),
        (
            errno.ENOENT,
            str(Path(migrate.__file__).parent / "migrations" / "001_start.sqlite.sql"),
            71,
            "install Clarion",
        ),
        (errno.EACCES, str(PACKAGE / "proto" / "command.binpb"), 71, "install Clarion"),
        (errno.EACCES, str(Path(json.__file__)), 71, "install Clarion"),
        (errno.EACCES, "d/clarion.db", 73, "owner and mode"),
        (errno.ENOSPC, "d/clarion.db-wal", 73, "free space"),
        (errno.EROFS, "d", 73, "ReadWritePaths"),
        (errno.ENOTDIR, "/srv/elsewhere/file", 73, "is a directory"),
        (errno.EMFILE, "d/clarion.db", 73, "LimitNOFILE"),
    ],
)
def test_the_hint_names_the_cause(number: int, file: str, code: int, hint: str) -> None:
    error = OSError(number, os.strerror(number), file)
    found, message, advice = failures.explain(error, Settings(data=Path("d")))
    assert (found, message) == (code, f"{file}: {os.strerror(number)}")
    assert hint in advice
    assert "data directory" not in advice


@pytest.mark.parametrize("kind", ["missing", "a directory", "empty", "latin-1"])
def test_without_a_boot_id_the_lock_holds_and_its_place_is_unknown(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    file = tmp_path / "boot_id"
    if kind == "a directory":
        file.mkdir()
    elif kind != "missing":
        file.write_bytes(b"\xe9" if kind == "latin-1" else b"\n")
    monkeypatch.setattr(lock_module, "BOOT_ID", file)
    with locked(tmp_path) as place:
        assert place == "", "two machines without a boot id must not have the same place"
        with pytest.raises(lock_module.InUse), locked(tmp_path):
            pass


def test_with_a_boot_id_the_place_is_that_of_this_boot(tmp_path: Path) -> None:
    with locked(tmp_path) as first:
        pass
    with locked(tmp_path) as second:
        assert first == second and first.startswith(lock_module.BOOT_ID.read_text().strip())


@pytest.mark.parametrize("number", [errno.EACCES, errno.EMFILE, errno.EIO])
@pytest.mark.parametrize("name", ["ca/issuing.key", "ca/issuing.pem", "admin.token"])
def test_a_file_that_cannot_be_read_is_not_called_damaged(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, number: int
) -> None:
    initialise(tmp_path / "d", 1_700_000_000_000)
    real = Path.open
    error = OSError(number, os.strerror(number), name)

    def opened(path: Path, *how: Any, **more: Any) -> object:
        if str(path).endswith(name):
            raise error
        return real(path, *how, **more)

    monkeypatch.setattr(Path, "open", opened)
    with pytest.raises(InitFailed) as caught:
        if name == "admin.token":
            read_token(tmp_path / "d" / name, Kind.API)
        else:
            ca_files.load_issuing(ca_files.CaFiles(tmp_path / "d"))
    assert os.strerror(number) in str(caught.value) and caught.value.hint == file_errors.remedy(error)
