"""The simulation can find faults: some seed finds each deliberate break."""

from __future__ import annotations

from dataclasses import replace

import pytest

from tests.tools.simulate.breaks import BREAKS
from tests.tools.simulate.breaks.apply import Break, altered, applied
from tests.tools.simulate.run import play, simulated


@pytest.mark.capability("Q4")
@pytest.mark.parametrize("broken", BREAKS, ids=lambda broken: broken.what)
def test_a_break_is_found(broken: Break) -> None:
    with simulated():
        number, failure = found(broken)
        seed = broken.first + number - 1
        print(f"{broken.what}: seed {seed}, the {number}. that was played: {failure.splitlines()[0][:160]}")
        if broken.given is not None:
            with applied(broken.given):
                assert not play(seed, aim=broken.aim)[1].failures, f"{broken.given.what}: that alone breaks a promise"


def found(broken: Break) -> tuple[int, str]:
    """Return the number of seeds played, and the error."""
    with applied(broken):
        for number, seed in enumerate(range(broken.first, broken.first + broken.seeds), 1):
            failure = play(seed, aim=broken.aim)[1].failures.get(seed)
            if failure is not None:
                return number, failure
    pytest.fail(f"{broken.what}: none of {broken.seeds} seeds from {broken.first} on found it")


def test_a_break_leaves_the_code_unchanged() -> None:
    for broken in BREAKS:
        before = getattr(broken.where, broken.name)
        with applied(broken):
            assert getattr(broken.where, broken.name) is not before
        assert getattr(broken.where, broken.name) is before


def test_a_break_whose_line_has_changed_is_an_error() -> None:
    gone = replace(BREAKS[0], right="a line that nobody wrote")
    with pytest.raises(AssertionError, match="does not hold 'a line that nobody wrote' exactly once"):
        altered(gone)
