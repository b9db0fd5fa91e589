"""Access to the exceptions inside exception groups. Each trio nursery wraps exceptions in one more group."""

from __future__ import annotations

from collections.abc import Iterator


def leaves(error: BaseException) -> Iterator[BaseException]:
    """Yield every exception that is not a group, depth first."""
    if isinstance(error, BaseExceptionGroup):
        for inner in error.exceptions:
            yield from leaves(inner)
    else:
        yield error


def first_leaf(error: BaseException) -> BaseException:
    """Return the first exception that is not a group."""
    return next(leaves(error))


def sole(error: BaseException) -> BaseException:
    """Unwrap groups that hold exactly one exception. Other groups and exceptions are returned unchanged."""
    while isinstance(error, BaseExceptionGroup) and len(error.exceptions) == 1:
        error = error.exceptions[0]
    return error
