"""One table of words: everything that people read is drawn from it, in both languages, and every spelling is
accepted."""

from __future__ import annotations

import re
from pathlib import Path

import orjson
import pytest

from proto.notes import MARKED, NOTES, facts_of
from proto.reasons import REASONS, reason, said
from proto.words import CHINESE, HOST_OFFLINE, HOSTS, STATES, TASKS, code_of_execution, code_of_task
from server.core.selectors.parser import parse
from server.core.states import ExecutionStatus, TaskStatus, execution_status, task_status
from server.web.page.pages import LANGUAGES, assets

ROOT = Path(__file__).parents[2]
WANTED = {
    "pending": ("waiting", "等待中"),
    "dispatched": ("sent", "已发送"),
    "running": ("running", "运行中"),
    "completed": ("completed", "已完成"),
    "failed": ("failed", "失败"),
    "timeout": ("timed out", "已超时"),
    "canceled": ("canceled", "已取消"),
    "dispatch_failed": ("not started", "未启动"),
    "lost": ("lost", "丢失"),
}
RETIRED = re.compile(r"\b(unreachable|away|gone|nobody|somebody|whoever)\b")


def test_the_words_are_those_of_the_list() -> None:
    assert {code: (one.word, one.zh[0]) for code, one in STATES.items()} == WANTED
    assert {code: (one.word, one.zh[0]) for code, one in TASKS.items()} == {code: WANTED[code] for code in TASKS}
    assert [(one.word, one.zh[0]) for one in (HOSTS["online"], HOSTS["offline"])] == [
        ("online", "在线"),
        ("offline", "离线"),
    ]
    assert list(STATES) == [status.label for status in ExecutionStatus] and set(TASKS) == {
        status.label for status in TaskStatus
    }


def test_every_entry_is_whole_in_both_languages_and_has_no_retired_word() -> None:
    texts = {
        f"{name}.{code}": one
        for name, table in (("state", STATES), ("task", TASKS), ("host", HOSTS), ("reason", REASONS), ("note", NOTES))
        for code, one in table.items()
    }
    for key, one in {**texts, "offline": HOST_OFFLINE}.items():
        english, chinese = one.texts(), one.texts(CHINESE)
        assert all(english) and all(chinese), key
        assert not RETIRED.search(" ".join(english)), key
        assert all(re.search("[\u4e00-\u9fff]", text) for text in chinese), key


def test_a_reason_has_the_word_of_a_state_and_explains_why() -> None:
    assert {one.word for one in REASONS.values()} <= {one.word for one in STATES.values()}
    assert all(one.started or one.ends in ("dispatch_failed", "failed", "canceled") for one in REASONS.values())
    assert all(not one.started for one in REASONS.values() if one.ends == "dispatch_failed")
    for status in ExecutionStatus:
        for code in REASONS:
            assert said(status.label, code=code).word == STATES[status.label].word
            assert said(status.label, code=code).message == REASONS[code].message
    assert said("lost", code="of a later release").message == reason("unknown").message


@pytest.mark.parametrize(
    ("code", "word", "zh"),
    [
        ("running", "running (host offline)", "运行中（主机离线）"),
        ("dispatched", "sent (host offline)", "已发送（主机离线）"),
    ],
)
def test_an_open_execution_whose_host_is_offline_keeps_the_word_of_its_state(code: str, word: str, zh: str) -> None:
    assert (said(code, unreachable=True).word, said(code, unreachable=True).zh[0]) == (word, zh)


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("timed out", "timeout"), ("timed_out", "timeout"), ("Timed-Out", "timeout"), ("timeout", "timeout"), ("timedout", "timeout"), ("TIMEOUT", "timeout"), ("已超时", "timeout"),  # noqa: E501
        ("not started", "dispatch_failed"), ("not_started", "dispatch_failed"), ("notstarted", "dispatch_failed"), ("dispatch_failed", "dispatch_failed"), ("dispatch failed", "dispatch_failed"),  # noqa: E501
        ("cancelled", "canceled"), ("Canceled", "canceled"), (" waiting ", "pending"), ("sent", "dispatched"), ("丢失", "lost"),  # noqa: E501
    ],
)  # fmt: skip
def test_codes_words_and_old_spellings_are_accepted_everywhere(text: str, code: str) -> None:
    assert code_of_execution(text) == code and execution_status(text).label == code
    task = "task:01900000-0000-7000-8000-000000000000"
    assert parse(f'{task} status="{text}"') == parse(f"{task} status={code}")
    if code in TASKS:
        assert code_of_task(text) == code and task_status(text).label == code


@pytest.mark.parametrize("text", ["", "done", "unreachable", "killed", "refused", "time out ed"])
def test_other_texts_are_no_states(text: str) -> None:
    for read in (code_of_execution, code_of_task):
        with pytest.raises(KeyError):
            read(text)


@pytest.mark.parametrize("language", LANGUAGES)
def test_the_page_has_the_tables_words_and_none_of_its_own(language: str) -> None:
    page = orjson.loads(assets()[1][f"i18n/{language}.json"])
    words = page["words"]
    for name, table in (("states", STATES), ("tasks", TASKS), ("hosts", HOSTS), ("reasons", REASONS), ("notes", NOTES)):
        assert all(words[name][code] == list(one.texts(language)) for code, one in table.items()), name
    assert {code: page[f"task.{code}"] for code in TASKS} == {
        code: one.texts(language)[0] for code, one in TASKS.items()
    }
    own = orjson.loads((ROOT / f"server/web/page/static/i18n/{language}.json").read_bytes())
    assert set(own.get("words", {})) <= {"errors"} and not {f"task.{code}" for code in TASKS} & set(own)


def test_the_query_that_counts_notes_has_the_marks_of_the_table_in_its_order() -> None:
    query = (ROOT / "server/store/queries/notes.sql").read_text()
    marks = [NOTES[code].mark for code in MARKED]
    assert re.findall(r"SUM\(report LIKE '%(.+?)%'\)", query) == marks
    assert re.findall(r"(?<!SUM\()report LIKE '%(.+?)%'", query) == marks


def test_facts_are_found_in_a_report() -> None:
    report = {"user_us": 1, "kill": {"tree_empty": False}, "leftovers_killed": 3, "pipe_held": True, "oom_killed": 0}
    assert facts_of(report, True) == [
        ("leftovers_killed", 3),
        ("pipe_held", None),
        ("may_still_run", None),
        ("output_cut", None),
    ]
    assert facts_of({"kill": {"tree_empty": True}, "left_running": 2}, False) == [("left_running", 2)]
    assert facts_of(None, False) == [] and facts_of({"kill": None}, True) == [("output_cut", None)]
