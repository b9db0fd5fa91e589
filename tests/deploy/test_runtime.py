"""The portable interpreter's sources are verified, and its cache is found by everything that goes into it."""

from __future__ import annotations

import hashlib
import io
import os
import subprocess
import tarfile
from pathlib import Path

import pytest

from deploy.packages import runtime, sources
from deploy.packages.failure import EXIT_CODES, PackagingFailed
from deploy.packages.layout import ARCHITECTURES, HERE

BUILD = HERE / "runtime" / "build.sh"


def archive(path: Path, files: dict[str, str]) -> str:
    with tarfile.open(path, "w:gz") as made:
        for name, text in files.items():
            member = tarfile.TarInfo(name)
            member.size = len(text)
            made.addfile(member, io.BytesIO(text.encode()))
    return hashlib.sha256(path.read_bytes()).hexdigest()


@pytest.fixture
def one_source(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A table with one source, whose archive lies in the folder `given`."""
    (tmp_path / "given").mkdir()
    sha256 = archive(tmp_path / "given/demo.tar.gz", {"demo-1/LICENSE": "free", "demo-1/src/a.c": "int a;"})
    table = tmp_path / "sources.toml"
    table.write_text(
        f'[demo]\nversion = "1"\ndebian = "demo"\narchive = "demo.tar.gz"\nsha256 = "{sha256}"\n'
        'licence = "MIT"\nlicence_file = "LICENSE"\n'
    )
    monkeypatch.setattr(sources, "TABLE", table)
    return tmp_path / "given"


def test_archives_of_a_folder_are_verified_and_unpacked_without_their_top_folder(
    one_source: Path, tmp_path: Path
) -> None:
    sources.collect(tmp_path / "archives", one_source)
    sources.unpack(tmp_path / "archives", tmp_path / "unpacked")
    assert (tmp_path / "unpacked/demo/LICENSE").read_text() == "free"
    assert (tmp_path / "unpacked/demo/src/a.c").exists()


@pytest.mark.parametrize("fault", ["changed", "truncated", "missing"])
def test_an_archive_that_is_not_the_one_of_the_table_is_refused(one_source: Path, tmp_path: Path, fault: str) -> None:
    path = one_source / "demo.tar.gz"
    if fault == "missing":
        path.unlink()
    else:
        whole = path.read_bytes()
        path.write_bytes(whole[:-1] if fault == "truncated" else whole + b"x")
    with pytest.raises(PackagingFailed) as caught:
        sources.collect(tmp_path / "archives", one_source)
    assert caught.value.code == "bad_source"
    assert "demo.tar.gz" in caught.value.message


def test_a_cached_archive_is_verified_again(one_source: Path, tmp_path: Path) -> None:
    sources.collect(tmp_path / "archives", one_source)
    (tmp_path / "archives/demo.tar.gz").write_bytes(b"something else")
    with pytest.raises(PackagingFailed, match="sha256"):
        sources.collect(tmp_path / "archives", one_source)


@pytest.fixture
def helper(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A program in the place of apt-helper; it writes its arguments and the file."""
    path = tmp_path / "bin/apt-helper"
    path.parent.mkdir()
    path.write_text(f'#!/bin/sh\necho "$*" >> {tmp_path}/asked\ncp {tmp_path}/given/demo.tar.gz "$3"\n')
    path.chmod(0o755)
    monkeypatch.setenv("PATH", f"{path.parent}:{os.environ['PATH']}")
    monkeypatch.setattr(sources, "mirror", lambda: "https://mirror.example/debian")
    return path


@pytest.mark.parametrize(
    ("debian", "archive_name", "address"),
    [
        ("demo", "demo_1.orig.tar.gz", "pool/main/d/demo/demo_1.orig.tar.gz"),
        ("libdemo", "libdemo_1.orig.tar.gz", "pool/main/libd/libdemo/libdemo_1.orig.tar.gz"),
        ("demo", "demo_1+really2.orig.tar.gz", "pool/main/d/demo/demo_1%2Breally2.orig.tar.gz"),
    ],
)
def test_an_archive_is_asked_for_by_its_name_in_the_pool(
    one_source: Path, helper: Path, tmp_path: Path, debian: str, archive_name: str, address: str
) -> None:
    text = sources.TABLE.read_text().replace('debian = "demo"', f'debian = "{debian}"')
    sources.TABLE.write_text(text.replace("demo.tar.gz", archive_name))
    (source,) = sources.table()
    sources.collect(tmp_path / "archives", None)
    asked = (tmp_path / "asked").read_text().split()
    assert asked[:2] == ["download-file", f"https://mirror.example/debian/{address}"]
    assert asked[3] == f"SHA256:{source.sha256}"
    assert [path.name for path in (tmp_path / "archives").iterdir()] == [archive_name]


@pytest.mark.parametrize("fault", ["refused", "another file"])
def test_an_archive_that_the_mirror_does_not_have_is_named_with_two_ways_out(
    one_source: Path, helper: Path, tmp_path: Path, fault: str
) -> None:
    helper.write_text("#!/bin/sh\n" + ("echo 404; exit 100\n" if fault == "refused" else 'echo x > "$3"\n'))
    with pytest.raises(PackagingFailed) as caught:
        sources.collect(tmp_path / "archives", None)
    assert caught.value.code == "bad_source"
    assert "demo.tar.gz" in caught.value.message
    assert "sources.toml" in caught.value.hint
    if fault == "refused":
        assert "404" in caught.value.message
        assert "--sources" in caught.value.hint


def test_an_archive_cannot_write_outside_of_its_folder(
    one_source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    archive(one_source / "demo.tar.gz", {"demo-1/../../outside": "x"})
    with pytest.raises(tarfile.OutsideDestinationError):
        sources.unpack(one_source, tmp_path / "unpacked")
    assert not (tmp_path / "outside").exists()


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("sources.list", "deb https://mirror.example/debian bookworm main\n"),
        ("sources.list", "# a comment\ndeb [signed-by=/k.asc arch=amd64] https://mirror.example/debian/ sid main\n"),
        ("sources.list.d/debian.sources", "Types: deb\nURIs: https://mirror.example/debian\nSuites: bookworm\n"),
    ],
)
def test_the_mirror_is_the_one_of_this_machine(tmp_path: Path, name: str, text: str) -> None:
    (tmp_path / "sources.list.d").mkdir()
    (tmp_path / "sources.list.d/other.list").write_text("deb https://elsewhere.example/apt stable main\n")
    (tmp_path / name).write_text(text)
    assert sources.mirror(tmp_path) == "https://mirror.example/debian"


def test_without_a_mirror_the_remedy_is_a_folder(tmp_path: Path) -> None:
    with pytest.raises(PackagingFailed, match="names no Debian archive") as caught:
        sources.mirror(tmp_path)
    assert "--sources" in caught.value.hint


def test_the_cache_s_key_follows_script_sources_compiler_and_architecture(
    one_source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "runtime").mkdir()
    (tmp_path / "runtime/build.sh").write_text("# one\n")
    monkeypatch.setattr(runtime, "HERE", tmp_path)
    version = ["1"]
    monkeypatch.setattr(runtime.metadata, "version", lambda name: version[0])
    seen = [runtime.key("amd64"), runtime.key("arm64")]
    version[0] = "2"
    seen.append(runtime.key("amd64"))
    (tmp_path / "runtime/build.sh").write_text("# two\n")
    seen.append(runtime.key("amd64"))
    sources.TABLE.write_text(sources.TABLE.read_text() + "# a new release\n")
    seen.append(runtime.key("amd64"))
    assert len(set(seen)) == len(seen)
    assert runtime.key("amd64") == seen[-1]


def test_a_cached_interpreter_is_used_without_a_build(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(runtime.metadata, "version", lambda name: "1")
    arch = runtime.native()
    made = tmp_path / f"{arch}-{runtime.key(arch)}"
    made.mkdir()
    (made / "complete").touch()
    monkeypatch.setattr(sources, "collect", lambda *_: pytest.fail("the sources are not needed"))
    found = runtime.portable(arch, tmp_path, None)
    assert (found.tree, found.headers) == (made / "tree", made / "headers")
    assert (found.suffix, found.minor) == ("", "3.13")
    assert found.platforms[0] == f"manylinux2014_{ARCHITECTURES[arch]}"


def test_the_script_builds_every_source_of_the_table_and_is_valid_shell() -> None:
    text = BUILD.read_text()
    subprocess.run(["sh", "-n", str(BUILD)], check=True)
    assert {source.name for source in sources.table()} == {
        line.removeprefix("step ") for line in text.splitlines() if line.startswith("step ") and line != "step done"
    }
    assert "2.17" in text


def test_every_failure_has_an_exit_code() -> None:
    import re

    used = {code for path in HERE.glob("*.py") for code in re.findall(r'PackagingFailed\(\s*"(\w+)"', path.read_text())}
    assert used == set(EXIT_CODES)
