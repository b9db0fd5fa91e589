"""The contents of the packages, as deb and as rpm; the packaged programs run with nothing but their own folder."""

from __future__ import annotations

import gzip
import hashlib
import json
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from cyclonedx.schema import SchemaVersion
from cyclonedx.validation.json import JsonStrictValidator

from deploy.packages import bill, layout, payload
from deploy.packages.layout import AGENT, CLI, PACKAGES, PROGRAMS, ROOT, SERVER, Program, project
from deploy.packages.stage import unit_files
from tests.deploy.conftest import Built

pytestmark = [pytest.mark.system, pytest.mark.timeout(600)]
MODES = r"[%{FILENAMES} %{FILEMODES:perms} %{FILEUSERNAME}/%{FILEGROUPNAME}\n]"
LINK = "lrwxr-xr-x"
CONFIGURATION = {"clarion-agent": "/etc/clarion/agent.toml", "clarion-server": "/etc/clarion/server.toml"}


def listed(path: Path) -> dict[str, str]:
    """Name → type, permissions and owner, of every file in a deb; folders left out."""
    lines = subprocess.run(["dpkg-deb", "-c", str(path)], capture_output=True, text=True, check=True).stdout
    rows = [line.split(maxsplit=5) for line in lines.splitlines()]
    return {
        row[5].partition(" -> ")[0].removeprefix("."): f"{LINK if row[0][0] == 'l' else row[0]} {row[1]}"
        for row in rows
        if row[0][0] != "d"
    }


@pytest.mark.parametrize("package", PACKAGES)
def test_both_formats_contain_the_same_files(built: Built, package: str) -> None:
    deb = listed(built.package(package, "deb"))
    rpm = subprocess.run(
        ["rpm", "-qp", "--qf", MODES, str(built.package(package, "rpm"))],
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    rows = [line.rsplit(maxsplit=2) for line in rpm.splitlines()]
    # a link has no permissions of its own, and the formats write different ones
    found = {name: f"{mode if mode[0] != 'l' else LINK} {owner}" for name, mode, owner in rows if mode[0] != "d"}
    assert found == deb
    assert {owner.split()[1] for owner in deb.values()} == {"root/root"}


@pytest.mark.parametrize("program", PROGRAMS, ids=lambda program: program.package)
def test_a_package_writes_only_where_it_may(built: Built, program: Program) -> None:
    names = set(listed(built.package(program.package, "deb")))
    name = program.command
    expected = {
        f"/usr/bin/{name}",
        f"/usr/share/man/man1/{name}.1.gz",
        f"/usr/share/bash-completion/completions/{name}",
        f"/usr/share/zsh/vendor-completions/_{name}",
        f"/usr/share/fish/vendor_completions.d/{name}.fish",
        f"/usr/share/doc/{program.package}/copyright",
        f"/usr/share/doc/{program.package}/changelog.Debian.gz",
        f"/usr/share/doc/{program.package}/sbom.cdx.json.gz",
        f"/usr/share/lintian/overrides/{program.package}",
        *(f"/{place}" for place in unit_files(program).values()),
    }
    if program.package in CONFIGURATION:
        expected.add(CONFIGURATION[program.package])
    assert {one for one in names if not one.startswith(f"{program.home}/")} == expected


@pytest.mark.parametrize("program", PROGRAMS, ids=lambda program: program.package)
def test_a_program_s_folder_contains_its_rooms_and_no_others(built: Built, program: Program) -> None:
    home = built.work / program.package / program.home.relative_to("/")
    rooms = {"server", "agent", "loadtest", "proto", "_speedups", "tests", "deploy"}
    assert {path.name for path in home.iterdir() if path.name in rooms} == {part.split("/")[0] for part in program.keep}
    kept = {str(path.relative_to(ROOT)) for part in program.keep for path in ROOT.glob(f"{part}/**/*.py")}
    tracked = set(
        subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=True).stdout.split()
    )
    there = {str(path.relative_to(home)) for part in program.keep for path in home.glob(f"{part}/**/*.py")}
    assert kept & tracked <= there
    assert not [path for path in home.rglob("*") if path.suffix in {".c", ".h", ".pyi", ".pxd"}]


@pytest.mark.parametrize("program", PROGRAMS, ids=lambda program: program.package)
def test_no_file_names_the_machine_that_built_it(built: Built, program: Program) -> None:
    ours = [str(ROOT).encode(), str(built.out).encode()]
    tree = built.work / program.package
    found = [path for path in tree.rglob("*") if path.is_file() and any(one in path.read_bytes() for one in ours)]
    assert found == []


@pytest.mark.parametrize("package", CONFIGURATION)
def test_configuration_survives_upgrades(built: Built, package: str) -> None:
    control = subprocess.run(
        ["dpkg-deb", "-I", str(built.package(package, "deb")), "conffiles"], capture_output=True, text=True, check=True
    )
    assert control.stdout.split() == [CONFIGURATION[package]]
    rpm = subprocess.run(
        ["rpm", "-qp", "--qf", r"[%{FILENAMES} %{FILEFLAGS:fflags}\n]", str(built.package(package, "rpm"))],
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    assert f"{CONFIGURATION[package]} cn" in rpm.splitlines()  # config, noreplace


def test_the_packaged_configuration_is_accepted(built: Built, tmp_path: Path) -> None:
    from agent import settings as agent_settings
    from server.settings.load import load

    texts = {}
    for package, name in CONFIGURATION.items():
        subprocess.run(["dpkg-deb", "-x", str(built.package(package, "deb")), str(tmp_path)], check=True)
        # with every example uncommented, too
        text = (tmp_path / name.lstrip("/")).read_text()
        texts[package] = re.sub(r"^# (\[?[a-z_]+(?:\]$| = ))", r"\1", text, flags=re.M)
        assert texts[package] != text
    for package, text in texts.items():
        (tmp_path / f"{package}.toml").write_text(text)
    assert str(load(tmp_path / "etc/clarion/server.toml", environ={}).settings.data) == "/var/lib/clarion"
    assert load(tmp_path / "clarion-server.toml", environ={}).settings.enrol.host == "0.0.0.0"
    agent_settings.load(tmp_path / "etc/clarion/agent.toml", {}, {})
    assert agent_settings.load(tmp_path / "clarion-agent.toml", {}, {}).labels == {"env": "prod"}


@pytest.mark.parametrize("program", PROGRAMS, ids=lambda program: program.package)
def test_a_program_runs_from_its_folder_alone(built: Built, program: Program, tmp_path: Path) -> None:
    """A stranger's modules on PYTHONPATH, in the working directory and in site-packages do not reach it."""
    script = (built.work / program.package / "usr/bin" / program.command).read_text()
    home = built.work / program.package / program.home.relative_to("/")
    words = script.splitlines()[1].split()
    assert words[0] == "exec"
    assert words[-2:] == [str(program.home), '"$@"']
    for name in ("proto", "server", "agent", "click"):
        (tmp_path / f"{name}.py").write_text("raise SystemExit('a foreign module was imported')\n")
    done = subprocess.run(
        [sys.executable, *words[2:-2], str(home), "--version"],
        capture_output=True,
        text=True,
        cwd=tmp_path,
        env={"PYTHONPATH": str(tmp_path), "HOME": str(tmp_path)},
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith(f"{program.command} ")


def test_the_fork_server_starts_from_the_agent_s_folder(built: Built, tmp_path: Path) -> None:
    home = built.work / AGENT.package / AGENT.home.relative_to("/")
    where = "import agent.shim.forkserver as m, msgspec; print(m.__file__); print(msgspec.__file__)"
    done = subprocess.run(
        [sys.executable, "-P", "-X", "utf8", "-c", where],
        capture_output=True,
        text=True,
        cwd=tmp_path,
        env={"PYTHONPATH": str(home)},
        check=True,
    )
    assert all(line.startswith(str(home)) for line in done.stdout.split())


@pytest.mark.parametrize("program", PROGRAMS, ids=lambda program: program.package)
def test_the_manual_page_describes_every_command(built: Built, program: Program) -> None:
    page = built.work / program.package / f"usr/share/man/man1/{program.command}.1.gz"
    text = gzip.decompress(page.read_bytes()).decode()
    wanted = {SERVER: "clarion\\-server restore", AGENT: "clarion\\-agent join", CLI: "clarion tasks search"}[program]
    assert f".SS {wanted}" in text
    assert "\\-\\-help" in text
    if shutil.which("man"):
        shown = subprocess.run(
            ["man", "--warnings", "-E", "UTF-8", "-l", "-Tutf8", str(page)], capture_output=True, text=True, check=False
        )
        assert shown.stderr == ""
        assert "COMMANDS" in re.sub(".\b", "", shown.stdout)  # a bold letter is written twice


@pytest.mark.parametrize("program", PROGRAMS, ids=lambda program: program.package)
def test_the_bash_completion_is_valid_and_asks_the_program(built: Built, program: Program) -> None:
    script = built.work / program.package / f"usr/share/bash-completion/completions/{program.command}"
    subprocess.run(["bash", "-n", str(script)], check=True)
    assert f"_{program.command.upper().replace('-', '_')}_COMPLETE=bash_complete" in script.read_text()


@pytest.mark.parametrize("program", PROGRAMS, ids=lambda program: program.package)
def test_the_bill_names_every_library(built: Built, program: Program) -> None:
    tree = built.work / program.package
    text = gzip.decompress((tree / f"usr/share/doc/{program.package}/sbom.cdx.json.gz").read_bytes()).decode()
    assert JsonStrictValidator(SchemaVersion.V1_6).validate_str(text) is None
    home = tree / program.home.relative_to("/")
    named = {item["name"] for item in json.loads(text)["components"]}
    assert named == {part.name for part in bill.of_program(home)}
    assert len(named) == len(list(home.glob("*.dist-info"))) - 1  # less Clarion itself


def test_the_launcher_is_one_shell_word_per_argument() -> None:
    assert payload.launcher(CLI).splitlines()[1].endswith(f'{CLI.home} "$@"')


def test_checksums_are_those_of_the_files(built: Built) -> None:
    lines = (built.dist / "SHA256SUMS").read_text().splitlines()
    sums = dict(reversed(line.split("  ")) for line in lines)
    assert set(sums) == {path.name for path in built.dist.iterdir()} - {"SHA256SUMS"}
    assert all(hashlib.sha256((built.dist / name).read_bytes()).hexdigest() == digest for name, digest in sums.items())


@pytest.mark.skipif(shutil.which("lintian") is None, reason="lintian is not installed")
def test_lintian_is_silent(built: Built) -> None:
    debs = [str(built.package(package, "deb")) for package in PACKAGES]
    done = subprocess.run(
        ["lintian", "--allow-root", "--no-tag-display-limit", *debs], capture_output=True, text=True, check=False
    )
    assert [line for line in done.stdout.splitlines() if line[:2] in ("E:", "W:")] == []


def test_an_option_that_cannot_work_is_an_error_with_its_remedy(tmp_path: Path) -> None:
    from deploy.packages.runtime import native

    words = ("build", "--runtime", "system")
    foreign = {"amd64": "arm64", "arm64": "amd64"}[native()]
    done = subprocess.run(
        [sys.executable, "-m", "deploy.packages", *words, "--arch", foreign, "--out", str(tmp_path)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 64
    assert done.stderr.startswith("packages: bad_option: ")
    assert "what to do: use --runtime portable" in done.stderr


def test_the_packaged_commands_are_those_of_the_wheel() -> None:
    assert {program.command: program.entry for program in PROGRAMS} == project()["scripts"]


@pytest.mark.parametrize("line", ["clarion[cli]", "clarion", "clarion [cli] >= 0.1", "clarion-like>=1"])
def test_clarion_itself_is_never_looked_up_in_an_index(monkeypatch: pytest.MonkeyPatch, line: str) -> None:
    table = project()
    extras = table["optional-dependencies"]
    assert isinstance(extras, dict)
    extras["server"].insert(0, line)
    monkeypatch.setattr(layout, "project", lambda: table)
    assert (line in layout.requirements(SERVER)) == (line == "clarion-like>=1")
    assert "trio==0.35.0" in layout.requirements(SERVER)
