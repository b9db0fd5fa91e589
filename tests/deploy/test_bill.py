"""The bill of materials and the licences say what a package contains."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from cyclonedx.schema import SchemaVersion
from cyclonedx.validation.json import JsonStrictValidator

from deploy.packages import bill
from deploy.packages.failure import PackagingFailed


def library(tree: Path, name: str, version: str, fields: str, texts: dict[str, str] | None = None) -> None:
    folder = tree / f"{name}-{version}.dist-info"
    folder.mkdir(parents=True)
    (folder / "METADATA").write_text(f"Metadata-Version: 2.4\nName: {name}\nVersion: {version}\n{fields}")
    for file, text in (texts or {}).items():
        (folder / file).write_text(text)


@pytest.mark.parametrize(
    ("fields", "licence"),
    [
        ("License-Expression: MIT OR Apache-2.0\nLicense: other\n", "MIT OR Apache-2.0"),
        ("License: BSD-3-Clause\nClassifier: License :: OSI Approved :: BSD License\n", "BSD-3-Clause"),
        ("Classifier: License :: OSI Approved :: MIT License\n", "MIT License"),
        ("Classifier: License :: OSI Approved\nClassifier: License :: OSI Approved :: ISC License\n", "ISC License"),
        (f"License: {'a long text ' * 20}\nClassifier: License :: OSI Approved :: MIT License\n", "MIT License"),
    ],
)
def test_the_licence_of_a_library(tmp_path: Path, fields: str, licence: str) -> None:
    library(tmp_path, "demo", "1.0", fields)
    assert [part.licence for part in bill.of_program(tmp_path)] == [licence]


@pytest.mark.parametrize("fields", ["", "License:\n", "Classifier: License :: OSI Approved\n"])
def test_a_library_without_a_licence_is_not_shipped(tmp_path: Path, fields: str) -> None:
    library(tmp_path, "demo", "1.0", fields)
    with pytest.raises(PackagingFailed, match="demo names no licence") as caught:
        bill.of_program(tmp_path)
    assert caught.value.code == "bad_payload"


def test_the_bill_is_valid_cyclonedx_and_two_builds_are_equal(tmp_path: Path) -> None:
    library(tmp_path, "Zebra", "2.0", "License: MIT\n")
    library(tmp_path, "ant", "1.0", "License-Expression: MIT OR Apache-2.0\n")
    library(tmp_path, "clarion", "0.1.0", "License-Expression: Apache-2.0\n")
    parts = bill.of_program(tmp_path)
    text = bill.sbom("clarion-agent", "0.1.0-1", parts)
    assert text == bill.sbom("clarion-agent", "0.1.0-1", bill.of_program(tmp_path))
    assert JsonStrictValidator(SchemaVersion.V1_6).validate_str(text) is None
    made = json.loads(text)
    assert made["metadata"]["component"]["name"] == "clarion-agent"
    assert {item["purl"] for item in made["components"]} == {"pkg:pypi/ant@1.0", "pkg:pypi/zebra@2.0"}


def test_the_copyright_file_contains_each_text_and_refers_to_long_ones(tmp_path: Path) -> None:
    library(tmp_path, "one", "1.0", "License: MIT\n", {"LICENSE": "Permission is granted\n\nto use it."})
    library(tmp_path, "two", "1.0", "License: Apache-2.0\n", {"LICENSE.APACHE": f"head\n{bill.APACHE}\nmuch more"})
    text = bill.copyright_file("clarion-agent", bill.of_program(tmp_path))
    assert " Permission is granted\n .\n to use it.\n" in text
    assert "much more" not in text
    assert str(bill.COMMON) in text
    # each continuation line of the format begins with a space
    assert all(line == "" or line.startswith(" ") or ": " in line for line in text.splitlines())
