"""Results of the checks of `clarion-server doctor` and `clarion-agent doctor`."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass
from typing import Literal

Level = Literal["ok", "skipped", "warning", "error"]
MARKS: dict[Level, str] = {"ok": "ok", "skipped": "--", "warning": "WARNING", "error": "ERROR"}
FAILED = 1
"""Exit code if at least one check found an error."""


@dataclass(frozen=True, slots=True)
class Finding:
    """The result of one check.

    Attributes:
        check: Stable name of the check.
        level: `error` stops the program or loses work; `warning` will do so later or costs something; `skipped` could
            not be checked.
        message: What was found.
        remedy: What to do; empty if nothing is wrong.
    """

    check: str
    level: Level
    message: str
    remedy: str = ""


Check = Callable[[], Iterable[Finding]]


def run(checks: Sequence[tuple[str, Check]]) -> Iterator[Finding]:
    """Run each check. A check that fails itself is an error of that check, and the others still run.

    Args:
        checks: Name and check; the name is that of the finding if the check fails.
    """
    for name, check in checks:
        try:
            yield from check()
        except Exception as error:
            hint = getattr(error, "hint", "")  # errors for operators have one
            if hint:
                path, message = getattr(error, "path", None), getattr(error, "message", error)
                yield Finding(name, "error", f"{path}: {message}" if path else str(message), str(hint))
            else:
                text = f"{type(error).__name__}: {error}"
                yield Finding(name, "error", f"the check failed: {text}", "correct the cause that the text names")


def exit_code(findings: Iterable[Finding]) -> int:
    """Return 0, or FAILED if one is an error."""
    return FAILED if any(one.level == "error" for one in findings) else 0


def lines(findings: Sequence[Finding]) -> Iterator[str]:
    """Yield the findings for people, one line each and one more for the remedy."""
    width = max((len(one.check) for one in findings), default=0)
    for one in findings:
        yield f"{MARKS[one.level]:<7}  {one.check:<{width}}  {one.message}"
        if one.remedy:
            yield f"{'':<7}  {'':<{width}}  → {one.remedy}"
    errors, warnings = (sum(one.level == level for one in findings) for level in ("error", "warning"))
    yield f"{len(findings)} checks, {errors} errors, {warnings} warnings"


def document(findings: Sequence[Finding]) -> dict[str, object]:
    """Return the findings as JSON values."""
    return {"ok": exit_code(findings) == 0, "findings": [asdict(one) for one in findings]}
