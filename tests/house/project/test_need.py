"""deploy/dev/system_packages.py: as root it installs missing packages, otherwise it names the remedy."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path
from types import ModuleType

import pytest

SCRIPT = Path(__file__).parents[3] / "deploy/dev/system_packages.py"


@pytest.fixture
def need(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    spec = importlib.util.spec_from_file_location("deploy_need", SCRIPT)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    monkeypatch.setitem(sys.modules, "deploy_need", module)
    spec.loader.exec_module(module)
    return module


def lacking(
    need: ModuleType, monkeypatch: pytest.MonkeyPatch, *, uid: int, without: str | None = None, cured: bool = False
) -> list[list[str]]:
    """Make the step `build` lack one thing; returns the packages that apt is asked for."""
    asked: list[list[str]] = []
    thing = need.Need("a thing", lambda: cured and bool(asked), ("thing-dev", "libthing"), without)
    monkeypatch.setitem(need.STEPS, "build", (thing,))
    monkeypatch.setattr(need.os, "geteuid", lambda: uid)
    monkeypatch.setattr(need.shutil, "which", lambda name, **_: f"/usr/bin/{name}")
    monkeypatch.setattr(need, "install", asked.append)
    return asked


def test_root_gets_it_installed(need: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    asked = lacking(need, monkeypatch, uid=0, cured=True)
    assert need.main("build") == 0
    assert asked == [["thing-dev", "libthing"]]


def test_others_get_the_one_command_to_run(
    need: ModuleType, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    asked = lacking(need, monkeypatch, uid=1000)
    assert need.main("build") == 1
    assert asked == []
    assert "missing: a thing; on Debian, 'sudo apt-get install thing-dev libthing' brings it" in capsys.readouterr().out


def test_an_optional_package_is_left_out_with_a_message(
    need: ModuleType, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    lacking(need, monkeypatch, uid=1000, without="it is slower")
    assert need.main("build") == 0
    assert "going on without a thing: it is slower" in capsys.readouterr().out


def test_an_installation_without_effect_is_an_error(need: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    lacking(need, monkeypatch, uid=0)
    assert need.main("build") == 1


def test_a_python_that_is_too_old_is_named_with_the_remedy(
    need: ModuleType, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(need, "OLDEST", (99, 0))
    assert need.main("build") == 1
    assert "make PYTHON=python99.0" in capsys.readouterr().out


def test_an_unknown_step_is_refused(need: ModuleType) -> None:
    with pytest.raises(KeyError):
        need.main("dance")
