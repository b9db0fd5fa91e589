"""Bill of materials (CycloneDX) and licences of a package's contents."""

from __future__ import annotations

import json
import re
import uuid
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path

from cyclonedx.contrib.license.factories import LicenseFactory
from cyclonedx.model.bom import Bom
from cyclonedx.model.component import Component, ComponentType
from cyclonedx.output import make_outputter
from cyclonedx.schema import OutputFormat, SchemaVersion
from packageurl import PackageURL

from deploy.packages import sources
from deploy.packages.failure import PackagingFailed
from deploy.packages.layout import LICENCE, MAINTAINER
from deploy.packages.runtime import Runtime

NAMESPACE = uuid.UUID("6f0d8f2a-52e3-4c58-9b8b-0a1f6a3c9d11")
"""Serial numbers are derived from names and versions, so that the same build gives the same file."""
TEXTS = re.compile(r"(licen[cs]e|copying|notice|copyright|authors)", re.IGNORECASE)
APACHE = "TERMS AND CONDITIONS FOR USE, REPRODUCTION, AND DISTRIBUTION"
"""In the full text, which Debian's policy wants as a reference."""
COMMON = Path("/usr/share/common-licenses/Apache-2.0")


@dataclass(frozen=True)
class Part:
    """A library, or the interpreter's part, in a package.

    Attributes:
        name: Its name.
        version: Its version.
        licence: SPDX expression, or the text that its metadata gives.
        purl: Its package URL.
        texts: Its licence texts.
    """

    name: str
    version: str
    licence: str
    purl: PackageURL
    texts: tuple[str, ...]


def of_program(tree: Path) -> list[Part]:
    """List the libraries in a program's folder by their metadata, Clarion itself left out.

    Raises:
        PackagingFailed: bad_payload, if a library does not say its licence.
    """
    parts = []
    for found in sorted(metadata.distributions(path=[str(tree)]), key=lambda one: one.metadata["Name"].lower()):
        name = found.metadata["Name"]
        if name.lower() == "clarion":
            continue
        folder = Path(str(found._path))  # type: ignore[attr-defined]  # importlib offers no public way to the folder
        texts = [path for path in sorted(folder.rglob("*")) if path.is_file() and TEXTS.search(path.name)]
        licence = _licence(found.metadata)
        if not licence:
            raise PackagingFailed(
                "bad_payload", f"the metadata of {name} names no licence", "find it out before the library is shipped"
            )
        purl = PackageURL("pypi", name=name.lower(), version=found.version)
        parts.append(
            Part(name, found.version, licence, purl, tuple(path.read_text(errors="replace") for path in texts))
        )
    return parts


def of_runtime(runtime: Runtime) -> list[Part]:
    """List what the portable interpreter is built from; nothing for the system's Python."""
    if runtime.tree is None:
        return []
    return [
        Part(
            source.name,
            source.version,
            source.licence,
            PackageURL(
                "generic", name=source.name, version=source.version, qualifiers={"checksum": f"sha256:{source.sha256}"}
            ),
            ((runtime.tree / "licences" / source.name).read_text(errors="replace"),),
        )
        for source in sources.table()
    ]


def _licence(fields: metadata.PackageMetadata) -> str:
    """The SPDX expression; else the classifiers; else the first line of the free text."""
    if expression := fields["License-Expression"]:
        return str(expression)
    classifiers = [line.rpartition(" :: ")[2] for line in fields.get_all("Classifier") or [] if "License ::" in line]
    named = [one for one in classifiers if one != "OSI Approved"]
    text = (fields["License"] or "").strip().split("\n")[0]
    if text and len(text) <= 60:
        return text
    return " AND ".join(named) or text[:60]


def sbom(package: str, version: str, parts: list[Part]) -> str:
    """Return the bill of materials as CycloneDX JSON."""
    licences = LicenseFactory()
    bom = Bom(
        serial_number=uuid.uuid5(NAMESPACE, f"{package} {version} {[(part.name, part.version) for part in parts]}")
    )
    bom.metadata.component = Component(
        name=package,
        version=version,
        type=ComponentType.APPLICATION,
        licenses=[licences.make_from_string(LICENCE)],
        bom_ref=f"{package}@{version}",
    )
    for part in parts:
        bom.components.add(
            Component(
                name=part.name,
                version=part.version,
                type=ComponentType.LIBRARY,
                licenses=[licences.make_from_string(part.licence)],
                purl=part.purl,
                bom_ref=str(part.purl),
            )
        )
    bom.register_dependency(bom.metadata.component, bom.components)
    made = json.loads(make_outputter(bom, OutputFormat.JSON, SchemaVersion.V1_6).output_as_string())
    made["metadata"].pop("timestamp", None)  # two builds of the same sources are equal
    return json.dumps(made, indent=1, sort_keys=True) + "\n"


def copyright_file(package: str, parts: list[Part]) -> str:
    """Return Debian's copyright file: Clarion's licence, then the licence of each part with its text."""
    lines = [
        "Format: https://www.debian.org/doc/packaging-manuals/copyright-format/1.0/",
        "Upstream-Name: clarion",
        f"Upstream-Contact: {MAINTAINER}",
        f"Comment: The package {package} contains the parts that are listed below with their licences.",
        "",
        "Files: *",
        "Copyright: 2026 the Clarion authors",
        f"License: {LICENCE}",
        "",
    ]
    for part in parts:
        lines += [
            f"Files: {part.name}",
            "Copyright: see the text",
            f"License: {re.sub(r'[^A-Za-z0-9.+-]+', '-', part.name)}-licence",
            f" {part.name} {part.version} is under {part.licence}.",
        ]
        for text in part.texts:
            if APACHE in text:
                lines += [" .", f" On Debian the text of the Apache License 2.0 is in {COMMON}."]
            else:
                lines += [" .", *_indented(text)]
        lines.append("")
    lines += [f"License: {LICENCE}", f" On Debian the text is in {COMMON}.", " ."]
    lines += [" Every text is also in the folders *.dist-info of /usr/lib/clarion."]
    return "\n".join(lines) + "\n"


def _indented(text: str) -> list[str]:
    return [f" {line}".rstrip() if line.strip() else " ." for line in text.expandtabs().splitlines()]
