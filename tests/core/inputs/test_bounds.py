"""The limits of numbers are consistent with each other and fit their columns and messages."""

from __future__ import annotations

import pytest

from server.core.inputs import bounds


@pytest.mark.parametrize(("value", "found"), [(-(2**63), 0), (-1, 0), (0, 0), (5, 5), (10, 10), (11, 10), (2**64, 10)])
def test_a_number_is_limited_to_its_range(value: int, found: int) -> None:
    assert bounds.within(value, 10) == found


def test_epochs_leave_room_for_sessions_and_for_a_million_starts() -> None:
    assert (bounds.EPOCH_MAX << 32) + 2**32 - 1 < 2**63
    assert bounds.EPOCH_HEALED + (1 << 20) + 1_000_000 < bounds.EPOCH_SAFE < bounds.EPOCH_MAX


def test_dispatch_numbers_leave_room_for_what_is_reserved() -> None:
    assert bounds.SEQ_MAX + bounds.SEQ_LEAP + 256 < bounds.NUMBER_MAX < 2**63
