"""The words for states of executions, tasks and hosts, in English and in Simplified Chinese.

CLI, API, page, selectors and documentation use these words. JSON carries the codes, which never change.
`code_of_execution` and `code_of_task` accept a code, a word in either language, and the spellings of earlier releases.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

ENGLISH, CHINESE = "en", "zh-CN"
LANGUAGES = (ENGLISH, CHINESE)


@dataclass(frozen=True, slots=True)
class Said:
    """The texts for a state: a word, a sentence that explains it, and a remedy.

    `zh` has the same three in Simplified Chinese.
    """

    word: str
    message: str
    hint: str
    zh: tuple[str, str, str]

    def texts(self, language: str = ENGLISH) -> tuple[str, str, str]:
        """Return word, message and hint in the language; English for a language that is not in LANGUAGES."""
        return self.zh if language == CHINESE else (self.word, self.message, self.hint)


STATES: dict[str, Said] = {
    "pending": Said(
        *("waiting", "it has not been sent to the host yet", "wait; `waits_for` says what it waits for"),
        ("等待中", "尚未发送到主机", "请等待；waits_for 说明在等什么"),
    ),
    "dispatched": Said(
        *(
            "sent",
            "it is on its way to the host, which has not reported that it runs",
            "wait; start_within bounds this",
        ),
        ("已发送", "正在送往主机，主机尚未报告开始", "请等待；start_within 限定此时间"),
    ),
    "running": Said(
        *("running", "the host has started it and has not reported its end", "wait, or cancel it; timeout bounds this"),
        ("运行中", "主机已开始执行，尚未报告结束", "等待或取消；timeout 限定此时间"),
    ),
    "completed": Said(
        *("completed", "the host reported an exit code that counts as success", "nothing to do"),
        ("已完成", "主机报告的退出码视为成功", "无需处理"),
    ),
    "failed": Said(
        *("failed", "the host reported an end that does not count as success", "read its output"),
        ("失败", "主机报告的结束不视为成功", "查看其输出"),
    ),
    "timeout": Said(
        *("timed out", "its time was over; its processes were ended", "raise timeout if it needs longer"),
        ("已超时", "时限已到，其进程已被终止", "若需更久，请增大 timeout"),
    ),
    "canceled": Said(
        *("canceled", "it was canceled on request", "nothing to do"),
        ("已取消", "已按请求取消", "无需处理"),
    ),
    "dispatch_failed": Said(
        *("not started", "it certainly never started on the host", "read the reason, then run it again"),
        ("未启动", "确定从未在主机上启动", "查看原因后重新执行"),
    ),
    "lost": Said(
        *("lost", "it may have run, and its end cannot be known", "check on the host what it did"),
        ("丢失", "可能执行过，无法得知如何结束", "请在主机上检查其影响"),
    ),
}
"""Texts by code of an execution's status, for executions without a known reason."""

TASKS: dict[str, Said] = {
    "pending": Said(
        *("waiting", "the task has not been started", "start it"),
        ("等待中", "任务尚未启动", "启动它"),
    ),
    "running": Said(
        *("running", "some hosts have not ended", "wait, or cancel it"),
        ("运行中", "还有主机尚未结束", "等待或取消"),
    ),
    "completed": Said(
        *("completed", "every host completed", "nothing to do"),
        ("已完成", "所有主机都已完成", "无需处理"),
    ),
    "failed": Said(
        *("failed", "not every host completed", "look at the hosts that did not complete"),
        ("失败", "并非所有主机都已完成", "查看未完成的主机"),
    ),
    "canceled": Said(
        *("canceled", "it was canceled on request", "nothing to do"),
        ("已取消", "已按请求取消", "无需处理"),
    ),
    "timeout": Said(
        *("timed out", "the task's own time was over", "raise task_timeout if it needs longer"),
        ("已超时", "任务时限已到", "若需更久，请增大 task_timeout"),
    ),
}
"""Texts by code of a task's status."""

HOSTS: dict[str, Said] = {
    "online": Said(
        *("online", "its agent is connected", "nothing to do"),
        ("在线", "其代理已连接", "无需处理"),
    ),
    "offline": Said(
        *("offline", "its agent is not connected", "look at the agent on that host, or at the network"),
        ("离线", "其代理未连接", "检查该主机的代理或网络"),
    ),
    "never_seen": Said(
        *("never seen", "its agent has never connected", "join an agent under this host id"),
        ("从未上线", "其代理从未连接过", "以此主机 ID 加入代理"),
    ),
}
"""Texts by state of a host. `never_seen` is an offline host whose agent has never connected."""

HOST_OFFLINE = Said(
    *(
        "host offline",
        "its host is offline; the real result is taken when the host is online again",
        "look at the host or the network",
    ),
    ("主机离线", "主机离线；重新上线后采用其真实结果", "检查主机或网络"),
)
"""Addition to the word of an unfinished execution whose host is offline: `running (host offline)`."""

_OLD_EXECUTION = {"cancelled": "canceled", "timedout": "timeout", "notstarted": "dispatch_failed"}
_OLD_TASK = {"cancelled": "canceled", "timedout": "timeout"}
_GAPS = re.compile(r"[\s_-]+")


def plain(text: str) -> str:
    """Return the text in lower case with one space for each run of spaces, underscores and hyphens.

    `Timed_Out` becomes `timed out`.
    """
    return _GAPS.sub(" ", text.strip().lower())


def _spellings(table: Mapping[str, Said], old: Mapping[str, str]) -> dict[str, str]:
    found = {plain(spelling): code for code, said in table.items() for spelling in (code, said.word, said.zh[0])}
    return found | dict(old)


_EXECUTION = _spellings(STATES, _OLD_EXECUTION)
_TASK = _spellings(TASKS, _OLD_TASK)


def code_of_execution(text: str) -> str:
    """Return the code of an execution's status from its code, its word or an old spelling.

    Raises:
        KeyError: The text is none of them.
    """
    return _EXECUTION[plain(text)]


def code_of_task(text: str) -> str:
    """Return the code of a task's status from its code, its word or an old spelling.

    Raises:
        KeyError: The text is none of them.
    """
    return _TASK[plain(text)]


def words_of(table: Mapping[str, Said]) -> str:
    """List the words of a table for a sentence about valid input: `waiting, sent, …, 'timed out'`."""
    return ", ".join(repr(said.word) if " " in said.word else said.word for said in table.values())
