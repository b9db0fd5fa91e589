"""Command line of the packaging: `python -m deploy.packages VERB`; the Makefile calls it."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from functools import wraps
from pathlib import Path
from typing import Any

import click

from deploy.packages import images, nfpm, one_file, payload, repository, scripts, stage
from deploy.packages import runtime as runtimes
from deploy.packages.failure import PackagingFailed
from deploy.packages.layout import AGENT, ARCHITECTURES, PROGRAMS, RELEASE, ROOT, RUNTIME_PACKAGE, version

OUT = ROOT / "build" / "packages"
DIST = {"portable": "dist", "system": "dist-system"}
"""Kind of the interpreter → folder of its packages: a repository gets packages for one system only on request."""
CACHE = Path(os.environ.get("XDG_CACHE_HOME", Path.home() / ".cache")) / "clarion" / "packages"


def reported(command: Callable[..., Any]) -> Callable[..., Any]:
    """End the command with the text and the exit code of a PackagingFailed."""

    @wraps(command)
    def wrapped(*args: Any, **options: Any) -> Any:
        try:
            return command(*args, **options)
        except PackagingFailed as error:
            click.echo(f"packages: {error.code}: {error.message}\n  what to do: {error.hint}", err=True)
            sys.exit(error.exit_code)

    return wrapped


out_option = click.option("--out", type=click.Path(path_type=Path), default=OUT, help="Folder for the results.")
cache_option = click.option(
    "--cache",
    type=click.Path(path_type=Path),
    default=CACHE,
    show_default=True,
    envvar="CLARION_PACKAGES_CACHE",
    help="Folder that keeps built interpreters and source archives.",
)
sources_option = click.option(
    "--sources", type=click.Path(path_type=Path), help="Folder with the source archives; default: download them."
)
arch_option = click.option(
    "--arch", type=click.Choice(list(ARCHITECTURES)), help="Architecture of the packages; default: this machine's."
)
kind_option = click.option(
    "--runtime",
    "kind",
    type=click.Choice(runtimes.KINDS),
    default="portable",
    show_default=True,
    help="portable: for every distribution from glibc 2.17 on. system: for systems with this very Python.",
)
key_option = click.option("--key", required=True, help="Fingerprint of the signing key in gpg's keyring.")


@click.group(context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110})
def cli() -> None:
    """Build Clarion's installable artefacts.

    Exit codes: 64 wrong option, 65 damaged source or payload, 66 no packages yet, 69 a program is missing, 70 a program
    failed, 77 no signing key.
    """


@cli.command("runtime")
@arch_option
@cache_option
@sources_option
@reported
def build_runtime(arch: str | None, cache: Path, sources: Path | None) -> None:
    """Build the portable interpreter, unless the cache has it. Takes about 8 minutes on two cores."""
    made = runtimes.portable(arch or runtimes.native(), cache, sources)
    click.echo(made.tree)


@cli.command("build")
@kind_option
@arch_option
@click.option("--format", "kinds", type=click.Choice(nfpm.FORMATS), multiple=True, help="deb or rpm; default: both.")
@click.option("--compression", type=click.Choice(nfpm.COMPRESSIONS), default="xz", show_default=True)
@click.option("--pure", is_flag=True, help="Leave out the compiled modules: quicker to build, a slower server.")
@cache_option
@sources_option
@out_option
@reported
def build_packages(
    kind: str,
    arch: str | None,
    kinds: tuple[str, ...],
    compression: str,
    pure: bool,
    cache: Path,
    sources: Path | None,
    out: Path,
) -> None:
    """Build all packages and the one-file agent, with SHA256SUMS."""
    chosen = arch or runtimes.native()
    if chosen != runtimes.native() and kind == "system":
        raise PackagingFailed("bad_option", f"--runtime system cannot be built for {chosen}", "use --runtime portable")
    if chosen != runtimes.native() and not pure:
        raise PackagingFailed(
            "bad_option", f"the compiled modules can be built only on {chosen}", "give --pure, or build on that machine"
        )
    runtime = runtimes.system() if kind == "system" else runtimes.portable(chosen, cache, sources)
    work = out / "work" / f"{kind}-{chosen}"
    wheels = {compiled: payload.wheel(runtime, work, compiled=compiled) for compiled in {False, not pure}}
    trees = {RUNTIME_PACKAGE: work / RUNTIME_PACKAGE}
    full = version() + runtime.suffix
    stage.runtime_tree(runtime, f"{full}-{RELEASE}", trees[RUNTIME_PACKAGE])
    for program in PROGRAMS:
        trees[program.package] = work / program.package
        clarion = wheels[program.compiled and not pure]
        stage.program_tree(program, runtime, clarion, f"{full}-{RELEASE}", trees[program.package])
        scripts.write(program, work / "scripts" / program.package)
    dist = out / DIST[kind]
    for package, tree in trees.items():
        described = nfpm.description(package, runtime, version(), tree, work / "scripts" / package, compression)
        for one in kinds or nfpm.FORMATS:
            click.echo(nfpm.build(package, one, full, chosen, described, work, dist))
    if kind == "portable":  # one file with a link to the system's Python would not be one file
        click.echo(one_file.build(trees[RUNTIME_PACKAGE], trees[AGENT.package], version(), chosen, dist))
    click.echo(repository.checksums(dist))


@cli.command("repository")
@key_option
@kind_option
@out_option
@reported
def build_repository(key: str, kind: str, out: Path) -> None:
    """Put the built packages into a signed apt and a signed yum repository, and sign SHA256SUMS."""
    packages = sorted((out / DIST[kind]).glob("clarion*"))
    click.echo(repository.apt(packages, key, out / "repository" / "apt"))
    click.echo(repository.yum(packages, key, out / "repository" / "yum"))
    click.echo(repository.sign(repository.checksums(out / DIST[kind]), key))


@cli.command("images")
@click.option("--image", "names", type=click.Choice(list(images.IMAGES)), multiple=True, help="Default: all.")
@click.option("--base", type=click.Path(path_type=Path), help="Tar archive of the system below; default: debootstrap.")
@kind_option
@arch_option
@cache_option
@out_option
@reported
def build_images(
    names: tuple[str, ...], base: Path | None, kind: str, arch: str | None, cache: Path, out: Path
) -> None:
    """Build container images from the deb packages, as OCI archives."""
    full = version() + (runtimes.system().suffix if kind == "system" else "")
    ending = f"_{full}-{RELEASE}_{arch or runtimes.native()}.deb"
    found = {path.name.partition("_")[0]: path for path in sorted((out / DIST[kind]).glob(f"*{ending}"))}
    for name in names or images.IMAGES:
        system = base or images.base(cache)
        click.echo(images.build(name, found, system, full, out / "work" / "image", out / "images"))


if __name__ == "__main__":
    cli(prog_name="python -m deploy.packages")
