"""Groups that are updated row by row equal those of all rows together."""

from __future__ import annotations

from collections.abc import Iterable

from hypothesis import given
from hypothesis import strategies as st

from server.core.model import Execution
from server.core.results.groups import ResultGroup
from server.core.results.live_groups import LiveGroups
from server.core.states import ExecutionStatus

E = ExecutionStatus
Found = dict[tuple[object, ...], tuple[int | None, frozenset[str]]]


def found(answers: Iterable[ResultGroup]) -> Found:
    return {
        (a.status, a.exit_code, a.signal, a.error_code, a.stdout_id, a.stderr_id): (a.first_at, frozenset(a.host_ids))
        for a in answers
    }


def together(rows: Iterable[Execution]) -> list[ResultGroup]:
    """Group rows as the store does."""
    kinds: dict[tuple[object, ...], list[Execution]] = {}
    for row in rows:
        kinds.setdefault(
            (row.status, row.exit_code, row.signal, row.error_code, row.stdout_id, row.stderr_id), []
        ).append(row)
    return [
        ResultGroup(
            one.status,
            one.exit_code,
            one.signal,
            one.error_code,
            one.stdout_id,
            one.stderr_id,
            min((r.finished_at for r in rows if r.finished_at is not None), default=None),
            tuple(r.host_id for r in rows),
        )
        for rows in kinds.values()
        for one in rows[:1]
    ]


STEPS = st.lists(
    st.tuples(st.integers(0, 5), st.integers(0, 2), st.sampled_from([b"a", b"b", None]), st.integers(1, 99)),
    max_size=60,
)


@given(STEPS, st.data())
def test_live_groups_equal_those_of_the_store_at_every_point(
    steps: list[tuple[int, int, bytes | None, int]], data: st.DataObject
) -> None:
    rows = {f"h{number}": Execution("c", f"h{number}") for number in range(6)}
    history: list[Execution] = []
    for number, code, output_id, at in steps:
        before = rows[f"h{number}"]
        if before.status.final:
            continue  # a final row never changes
        if before.status is E.PENDING:
            row = Execution("c", before.host_id, status=E.RUNNING)
        else:
            row = Execution(
                "c",
                before.host_id,
                status=E.FAILED if code else E.COMPLETED,
                exit_code=code,
                stdout_id=output_id,
                finished_at=at,
            )
        rows[before.host_id] = row
        history.append(row)
    follows_from = data.draw(st.integers(0, len(history)))
    read_at = data.draw(st.integers(follows_from, len(history)))
    told_by_then = data.draw(st.integers(follows_from, len(history)))
    stored = {f"h{number}": Execution("c", f"h{number}") for number in range(6)} | {
        row.host_id: row for row in history[:read_at]
    }
    sheet = LiveGroups()
    for row in history[follows_from:told_by_then]:
        sheet.note(row)
    sheet.begin(together(stored.values()))
    for row in history[told_by_then:]:
        sheet.note(row)
    assert found(sheet.answers()) == found(together(rows.values()))


def test_a_host_that_the_store_lacked_is_added() -> None:
    sheet = LiveGroups()
    sheet.begin([])
    sheet.note(Execution("c", "h"))
    sheet.note(Execution("c", "h", version=1))
    assert found(sheet.answers()) == {(E.PENDING, None, None, None, None, None): (None, frozenset("h"))}
