"""Facts in a report that matter to the operator whatever the exit code: one sentence each, and a remedy.

`facts_of` finds them in a report as the server stores it and in the sizes of the outputs. The store counts them per
group of answers with `queries/notes.sql`, which contains a mark for each note; tests/house/test_words.py compares the
two.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from proto.words import CHINESE, ENGLISH


@dataclass(frozen=True, slots=True)
class Note:
    """One fact and its texts.

    Attributes:
        mark: SQL LIKE pattern that finds the fact in the JSON text of a report; empty if the report does not contain
            it.
        zh: Message and hint in Simplified Chinese.
    """

    code: str
    mark: str
    message: str
    hint: str
    zh: tuple[str, str]

    def texts(self, language: str = ENGLISH) -> tuple[str, str]:
        """Return message and hint in the language."""
        return self.zh if language == CHINESE else (self.message, self.hint)


_ALL = (
    Note(
        "leftovers_killed",
        '"leftovers_killed"',
        "processes that the command left running were ended with it",
        (
            "to let them live on, set leave_children (--leave-children), or start them as a service of the host, "
            "for example with systemd-run"
        ),
        (
            "命令遗留的进程已随命令一起结束",
            "若要让它们继续运行，请设置 leave_children（--leave-children），或作为主机的服务启动，例如 systemd-run",
        ),
    ),
    Note(
        "left_running",
        '"left_running"',
        "processes that the command started are still running, because leave_children is set",
        "end them on the host when they are no longer needed; a cancel of this task does not reach them",
        ("因设置了 leave_children，命令启动的进程仍在运行", "不再需要时请在主机上结束它们；取消本任务不会影响它们"),
    ),
    Note(
        "pipe_held",
        '"pipe_held"',
        "a process that outlives the command kept its output open, so what it wrote later is not kept",
        "redirect the output of background processes, for example with >/dev/null 2>&1",
        ("命令结束后仍有进程占用其输出，之后写入的内容未保存", "请重定向后台进程的输出，例如 >/dev/null 2>&1"),
    ),
    Note(
        "may_still_run",
        '"tree_empty"_false',
        "signals were sent, and whether every process of the command ended is not proven",
        "look on the host for processes of the command",
        ("已发送信号，但无法证明命令的所有进程都已结束", "请在主机上查找命令的进程"),
    ),
    Note(
        "oom_killed",
        '"oom_killed"',
        "the out-of-memory killer of the host ended processes of the command",
        "give the host or the command more memory, or let the command use less",
        ("主机的内存不足处理程序结束了命令的进程", "为主机或命令提供更多内存，或减少命令的内存使用"),
    ),
    Note(
        "limit_hit",
        '"limit_hit"',
        "the command reached a resource limit of the host",
        "raise the limit in the settings of the agent's service, or let the command use less",
        ("命令达到了主机的资源限制", "在代理服务的设置中提高该限制，或减少命令的使用"),
    ),
    Note(
        "output_cut",
        "",
        "the middle of its output is not kept, only the beginning and the end",
        "let the command write less, or write to a file on the host",
        ("输出的中间部分未保存，只保留了开头和结尾", "减少命令的输出，或写入主机上的文件"),
    ),
)

NOTES: dict[str, Note] = {note.code: note for note in _ALL}
MARKED = tuple(note.code for note in _ALL if note.mark)
"""Codes of the notes that a report contains, in the order of queries/notes.sql."""


def facts_of(report: Mapping[str, object] | None, truncated: bool) -> list[tuple[str, int | None]]:
    """Return code and count of each note that applies, in the order of the table.

    The count is None if the agent sent none.

    Args:
        report: The report as the server stores it.
        truncated: True if the middle of an output is not kept.
    """
    found: list[tuple[str, int | None]] = []
    for code in MARKED:
        if code == "may_still_run":
            kill = (report or {}).get("kill")
            if isinstance(kill, Mapping) and kill.get("tree_empty") is False:
                found.append((code, None))
        elif value := (report or {}).get(code):
            found.append((code, value if isinstance(value, int) and not isinstance(value, bool) else None))
    return found + ([("output_cut", None)] if truncated else [])
