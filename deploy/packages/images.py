"""Container images of the packages, built by buildah without a container engine and written as OCI archives."""

from __future__ import annotations

import shutil
import tarfile
from pathlib import Path

from deploy.packages.failure import PackagingFailed, program, run
from deploy.packages.layout import HERE
from deploy.packages.stage import EPOCH, epoch

IMAGES = {
    "server": ("clarion-runtime", "clarion-server", "clarion"),
    "agent": ("clarion-runtime", "clarion-agent"),
    "cli": ("clarion-runtime", "clarion"),
}
"""Name of the image → packages in it."""
BASE_SUITE = "bookworm"
STORAGE = ("--storage-driver", "vfs")
"""Works without the kernel's overlay file system, for example in a container."""


def containerfile(name: str) -> Path:
    """Return the description of an image."""
    return HERE / "images" / f"{name}.Containerfile"


def base(cache: Path) -> Path:
    """Return a tar archive of a minimal Debian system, made by debootstrap once.

    Raises:
        PackagingFailed: debootstrap is missing or failed.
    """
    made = cache / f"base-{BASE_SUITE}.tar"
    if not made.exists():
        root = cache / f"base-{BASE_SUITE}"
        shutil.rmtree(root, ignore_errors=True)
        cache.mkdir(parents=True, exist_ok=True)
        run([program("debootstrap", "debootstrap"), "--variant=minbase", BASE_SUITE, root])
        for unused in ("var/cache/apt", "var/lib/apt/lists", "usr/share/doc", "usr/share/man", "usr/share/locale"):
            shutil.rmtree(root / unused, ignore_errors=True)
        with tarfile.open(made.with_suffix(".new"), "w") as archive:
            archive.add(root, ".")
        made.with_suffix(".new").rename(made)
        shutil.rmtree(root)
    return made


def build(name: str, debs: dict[str, Path], base_tar: Path, version: str, work: Path, out: Path) -> Path:
    """Build an image.

    Args:
        name: A key of IMAGES.
        debs: Package → its deb file.
        base_tar: Archive of the system below.
        version: The image's tag.
        work: Folder for the build's context.
        out: Folder for the archive.

    Raises:
        PackagingFailed: A package or a program is missing, or the build failed.
    """
    missing = [package for package in IMAGES[name] if package not in debs]
    if missing:
        raise PackagingFailed("no_packages", f"no deb of {', '.join(missing)}", "run 'make packages' first")
    buildah = program("buildah", "buildah")
    shutil.rmtree(work, ignore_errors=True)
    work.mkdir(parents=True)
    shutil.copyfile(base_tar, work / "base.tar")
    for package in IMAGES[name]:
        shutil.copyfile(debs[package], work / f"{package}.deb")
    tag = f"localhost/clarion-{name}:{version.replace('+', '-')}"
    build_words = [buildah, *STORAGE, "build", "--isolation", "chroot", "--timestamp", str(epoch())]
    run([*build_words, "--file", containerfile(name), "--tag", tag, work], env={EPOCH: str(epoch())})
    out.mkdir(parents=True, exist_ok=True)
    target = out / f"clarion-{name}-{version}.oci.tar"
    target.unlink(missing_ok=True)
    run([buildah, *STORAGE, "push", tag, f"oci-archive:{target}"])
    shutil.rmtree(work)
    return target
