"""Figures, plots and tables; missing measurements are shown as such."""

from __future__ import annotations

import io
import math
import os
import socket
import xml.etree.ElementTree as ET
from pathlib import Path

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from loadtest.measure.proc import cpu_seconds, listens, machine, rss_kb
from loadtest.reports.figures import percentile, rounded
from loadtest.reports.plots import MOST_POINTS, Line, cdf, plot, thin, ticks
from loadtest.reports.progress import Console, table
from loadtest.reports.report import plain, to_json, write


def test_percentiles_are_of_the_nearest_rank() -> None:
    values = [float(value) for value in range(100, 0, -1)]
    assert (percentile(values, 0.5), percentile(values, 0.99), percentile(values, 1.0), percentile([7.0], 0.5)) == (
        50,
        99,
        100,
        7,
    )
    assert percentile([], 0.99) is None
    assert (rounded(None), rounded(1.23456)) == (None, 1.235)


@given(st.floats(-1e9, 1e9), st.floats(1e-3, 1e9))
@example(-879609303.0, 0.001)
def test_ticks_cover_the_range_with_few_numbers(low: float, span: float) -> None:
    high = low + span
    found = ticks(low, high)
    # Ticks are decimal fractions: ten digits after the point, or what a double can tell apart at this height, whichever
    # is coarser.
    slack = 1e-6 * span + 2 * max(math.ulp(low), math.ulp(high)) + 1e-10
    assert found[0] <= low + slack and found[-1] >= high - slack
    assert 2 <= len(found) <= 9
    assert found == sorted(found)


def test_a_distribution_goes_from_zero_to_one() -> None:
    assert cdf([3.0, 1.0]) == [(1.0, 0.0), (1.0, 50.0), (3.0, 50.0), (3.0, 100.0)]


@pytest.mark.parametrize(
    "points", [[(1.0, 1.0)], [(0.0, 0.0), (5.0, 0.0)], [(float(x), float(x * x)) for x in range(5_000)]]
)
def test_a_plot_is_svg_within_its_frame(points: list[tuple[float, float]]) -> None:
    figure = ET.fromstring(plot("a < b", "x", "y", [Line("one & all", points)], [(points[0][0], "start")]))
    (svg,) = figure
    drawn = next(one for one in svg if one.tag == "polyline").attrib["points"].split()
    assert 1 <= len(drawn) <= MOST_POINTS + 1
    for place in drawn:
        x, y = map(float, place.split(","))
        assert 0 <= x <= 760 and 0 <= y <= 300
    assert "a < b" in [one.text for one in svg]


def test_an_empty_plot_is_marked() -> None:
    assert "not measured" in plot("t", "x", "y", [Line("none", [])])


def test_thinning_keeps_the_last_point() -> None:
    points = [(float(x), 0.0) for x in range(10_001)]
    assert len(thin(points)) <= MOST_POINTS + 1
    assert thin(points)[-1] == points[-1]
    assert thin(points[:10]) == points[:10]


def test_a_report_is_written_completely_into_a_created_folder(tmp_path: Path) -> None:
    path = tmp_path / "new/report.json"
    write(path, to_json({"a": None}))
    assert path.read_text() == '{\n  "a": null\n}\n'
    assert list(path.parent.iterdir()) == [path]


def test_process_figures_exist_only_for_running_processes() -> None:
    assert (rss_kb(os.getpid()) or 0) > 1_000
    assert (cpu_seconds(os.getpid()) or 0) > 0
    assert (rss_kb(2**30), cpu_seconds(2**30)) == (None, None)
    assert set(machine()) == {"cpu", "cores", "memory_mb", "kernel", "python", "load_average"}


def test_without_a_terminal_progress_is_plain_lines_now_and_then() -> None:
    out = io.StringIO()
    show = Console(out)
    show.begin("a scenario")
    show._last = -100.0
    for number in range(50):
        show.progress(f"{number} done")
    show.say("end")
    assert out.getvalue().splitlines() == ["── a scenario", "   a scenario: 0 done", "end"]
    assert "\r" not in out.getvalue()


def test_on_a_terminal_one_line_is_written_over() -> None:
    class Terminal(io.StringIO):
        def isatty(self) -> bool:
            return True

    out = Terminal()
    show = Console(out)
    show.progress("one")
    show.progress("two")
    show.say("end")
    assert out.getvalue() == "   one\r      \r   two\r      \rend\n"


def test_a_table_has_two_columns() -> None:
    assert table([("a", "1"), ("long", "2")]) == "  a     1\n  long  2"


def test_a_listening_port_is_detected_until_it_closes() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        assert listens(port)
        with socket.create_connection(("127.0.0.1", port)) as client:
            assert not listens(client.getsockname()[1])
    assert not listens(port)


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (11_980.4, "11980"),
        (99.96, "100"),
        (7.4567, "7.46"),
        (0.0, "0"),
        (500, "500"),
        (["a", "b"], "2"),
        (None, "not measured"),
    ],
)
def test_a_figure_is_shown_without_an_exponent(value: object, text: str) -> None:
    assert plain(value) == text


def test_names_of_marks_stand_above_the_line() -> None:
    figure = ET.fromstring(plot("t", "x", "y", [Line("one", [(0.0, 500.0), (9.0, 500.0)])], [(0.0, "start")]))
    line = next(one for one in figure.iter("polyline")).attrib["points"].split()
    name = next(one for one in figure.iter("text") if one.text == "start")
    assert all(float(place.split(",")[1]) > float(name.attrib["y"]) for place in line)
