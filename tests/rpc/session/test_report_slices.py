"""Splitting a slice of reports: commands with few reports do not wait for the others."""

from __future__ import annotations

import random

import pytest

from server.core.events import Accepted, Report, Started
from server.rpc.session.report_slices import FEW, GROUPS, split_by_command


def said(command: str, number: int) -> list[Report]:
    return [Accepted(f"h{place}", command, 1) for place in range(number)]


def test_a_command_with_few_reports_is_first_and_alone() -> None:
    much, little = said("big", 200), [Accepted("a", "one", 1), Started("a", "one", 1, 7, 7)]
    assert split_by_command([*much[:100], little[0], *much[100:], little[1]]) == [little, much]


@pytest.mark.parametrize("number", [1, FEW, 200])
def test_reports_of_a_single_command_stay_together(number: int) -> None:
    reports = said("big", number)
    assert split_by_command(reports) == [reports]


def test_only_some_of_many_small_commands_are_split_off() -> None:
    reports = [report for number in range(3 * GROUPS) for report in said(f"c{number}", 2)]
    groups = split_by_command(reports)
    assert len(groups) == GROUPS + 1 and len(groups[-1]) == 2 * 2 * GROUPS


def test_if_all_commands_are_small_nothing_remains() -> None:
    assert [len(some) for some in split_by_command([*said("a", 2), *said("b", 1)])] == [1, 2]


@pytest.mark.parametrize("seed", range(50))
def test_splitting_loses_no_report_and_keeps_the_order_of_each_command(seed: int) -> None:
    rng = random.Random(seed)
    reports = [
        Accepted(f"h{number}", f"c{rng.choice((0, 0, 0, rng.randrange(20)))}", 1)
        for number in range(rng.randrange(120))
    ] or said("a", 1)
    groups = split_by_command(reports)
    flat = [report for some in groups for report in some]
    assert sorted(flat, key=reports.index) == reports and all(groups)
    for command in {report.command_id for report in reports}:
        assert [report for report in flat if report.command_id == command] == [
            report for report in reports if report.command_id == command
        ]
        assert sum(any(report.command_id == command for report in some) for some in groups) == 1
