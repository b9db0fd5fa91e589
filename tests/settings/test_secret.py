"""The database password is read from its file and never shown."""

from __future__ import annotations

from pathlib import Path

import pytest

from server.settings.faults import SettingsError
from server.settings.password_file import PASSWORD_LIMIT, read_password
from server.settings.sections.store import Store


def test_the_first_line_is_the_password(tmp_path: Path) -> None:
    for content, password in (
        (b"hunter2\n", "hunter2"),
        (b"  with spaces \r\nsecond", "  with spaces "),
        ("密码".encode(), "密码"),
        (b"a" * PASSWORD_LIMIT, "a" * PASSWORD_LIMIT),
    ):
        (tmp_path / "p").write_bytes(content)
        assert read_password(Store(password_file=tmp_path / "p")) == password


def test_without_a_file_there_is_no_password() -> None:
    assert read_password(Store()) == ""


@pytest.mark.parametrize("content", [None, b"", b"\nx", b"\xff\n", b"a" * (PASSWORD_LIMIT + 1)])
def test_a_file_without_a_password_is_one_fault_that_does_not_show_it(tmp_path: Path, content: bytes | None) -> None:
    path = tmp_path / "p"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(SettingsError) as caught:
        read_password(Store(password_file=path))
    assert str(caught.value).startswith(f"store.password_file = {path}")
    assert "aaaa" not in str(caught.value)
