"""Why an execution did not complete: the closed list of reasons that agents send, the store keeps and people read.

Each reason has the phase in which it happened, the final status of the execution, a sentence, a remedy, and whether a
new attempt can help. An execution whose reason has `started=False` certainly never ran. People read the word of the
status (proto/words.py); a reason explains it.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from proto.words import CHINESE, ENGLISH, HOST_OFFLINE, STATES, Said


@dataclass(frozen=True, slots=True)
class Reason:
    """One reason.

    Attributes:
        phase: admit, deliver, start, run or report.
        ends: Code of the final status.
        retryable: True if a new attempt can help.
        started: True if a process of the execution may have existed.
        zh: Message and hint in Simplified Chinese.
    """

    code: str
    phase: str
    ends: str
    message: str
    hint: str
    retryable: bool
    started: bool
    zh: tuple[str, str]

    @property
    def word(self) -> str:
        """The word of the final status."""
        return STATES[self.ends].word

    def texts(self, language: str = ENGLISH) -> tuple[str, str, str]:
        """Return word, message and hint in the language."""
        message, hint = self.zh if language == CHINESE else (self.message, self.hint)
        return STATES[self.ends].texts(language)[0], message, hint


_ALL = (
    Reason(
        *(
            "offline",
            "admit",
            "dispatch_failed",
            "the host was offline when the command was due",
            "start the agent on that host, then run the command again",
        ),
        *(True, False),
        ("需要执行时主机离线", "启动该主机的代理后重新执行"),
    ),
    Reason(
        *("never_seen", "admit", "dispatch_failed", "the host has never connected", "join an agent under this host id"),
        *(True, False),
        ("主机从未连接过", "以此主机 ID 加入代理"),
    ),
    Reason(
        *(
            "queue_full",
            "admit",
            "dispatch_failed",
            "too many executions wait for hosts that are offline",
            "raise limits.waiting or limits.waiting_per_host, or use if_offline = fail",
        ),
        *(True, False),
        ("等待离线主机的执行过多", "增大 limits.waiting 或 limits.waiting_per_host，或使用 if_offline = fail"),
    ),
    Reason(
        *(
            "task_timeout",
            "admit",
            "dispatch_failed",
            "the task's time was over before this host's turn came",
            "raise task_timeout or concurrency",
        ),
        *(True, False),
        ("轮到该主机前任务时限已到", "增大 task_timeout 或 concurrency"),
    ),
    Reason(
        *(
            "busy",
            "deliver",
            "dispatch_failed",
            "the agent already runs as many commands as its slots allow",
            "raise slots in the agent's settings, or the command's start_within",
        ),
        *(True, False),
        ("代理同时执行的命令已达上限", "增大代理的 slots 或命令的 start_within"),
    ),
    Reason(
        *(
            "expired",
            "deliver",
            "dispatch_failed",
            "it could not be started within the time allowed",
            "raise start_within, or wait_for where the host was offline",
        ),
        *(True, False),
        ("未能在允许的时间内启动", "增大 start_within；主机离线时增大 wait_for"),
    ),
    Reason(
        *(
            "spool_full",
            "deliver",
            "dispatch_failed",
            "the agent's disk space for results is used up",
            "restore the connection or the server's database so that results can leave",
        ),
        *(True, False),
        ("代理存放结果的磁盘空间已用尽", "恢复连接或服务器数据库，使结果得以送出"),
    ),
    Reason(
        *(
            "journal_failed",
            "deliver",
            "dispatch_failed",
            "the agent could not write its journal, so it did not start",
            "look at the disk of that host",
        ),
        *(True, False),
        ("代理无法写日志，因此未启动", "检查该主机的磁盘"),
    ),
    Reason(
        *(
            "refused",
            "deliver",
            "dispatch_failed",
            "the agent's own policy refuses this command",
            "change the policy file on that host",
        ),
        *(False, False),
        ("代理自身的策略拒绝该命令", "修改该主机上的策略文件"),
    ),
    Reason(
        *(
            "invalid_spec",
            "deliver",
            "dispatch_failed",
            "the agent cannot carry out such a command",
            "compare the versions of server and agent",
        ),
        *(False, False),
        ("代理无法执行这样的命令", "比较服务器与代理的版本"),
    ),
    Reason(
        *(
            "draining",
            "deliver",
            "dispatch_failed",
            "the agent was shutting down",
            "run it again when the host is online",
        ),
        *(True, False),
        ("代理正在关闭", "代理恢复后重新执行"),
    ),
    Reason(
        *(
            "duplicate",
            "deliver",
            "dispatch_failed",
            "the agent has already seen a newer dispatch than this one",
            "look at the host's other executions",
        ),
        *(False, False),
        ("代理已见过更新的下发", "查看该主机的其他执行"),
    ),
    Reason(
        *(
            "spawn_failed",
            "start",
            "failed",
            "the program could not be started",
            "check the program, the interpreter, cwd and run_as on that host",
        ),
        *(False, False),
        ("程序无法启动", "检查该主机上的程序、解释器、cwd 和 run_as"),
    ),
    Reason(
        *(
            "agent_died",
            "start",
            "failed",
            "the agent was killed before it could start it",
            "look at why the agent on that host ended, then run it again",
        ),
        *(True, False),
        ("代理在启动命令之前被终止", "检查该主机上的代理为何结束，然后重新执行"),
    ),
    Reason(
        *(
            "exit_nonzero",
            "run",
            "failed",
            "the program ended with an exit code that does not count as success",
            "read its output",
        ),
        *(False, True),
        ("程序以不视为成功的退出码结束", "查看其输出"),
    ),
    Reason(
        *(
            "signaled",
            "run",
            "failed",
            "the program was ended by a signal that Clarion did not send",
            "look for the out-of-memory killer or another operator",
        ),
        *(False, True),
        ("程序被并非 Clarion 发出的信号结束", "检查是否内存不足或其他操作者所为"),
    ),
    Reason(
        *(
            "timed_out",
            "run",
            "timeout",
            "the command's own timeout was over; its processes were ended",
            "raise timeout if it needs longer",
        ),
        *(False, True),
        ("命令自身的时限已到，其进程已被终止", "若需更久，请增大 timeout"),
    ),
    Reason(
        *(
            "output_limit",
            "run",
            "failed",
            "it wrote more than max_output; its processes were ended",
            "raise max_output (--max-output), or write less",
        ),
        *(False, True),
        ("输出超过 max_output，其进程已被终止", "增大 max_output（--max-output）或减少输出"),
    ),
    Reason(
        *("canceled", "run", "canceled", "it was canceled on request", "nothing to do"),
        *(False, True),
        ("已按请求取消", "无需处理"),
    ),
    Reason(
        *("canceled_before_start", "deliver", "canceled", "it was canceled before it started", "nothing to do"),
        *(False, False),
        ("启动之前已取消", "无需处理"),
    ),
    Reason(
        *(
            "shim_died",
            "report",
            "lost",
            "the process that watched over the command was killed, so the exit status is unknown",
            "look for the out-of-memory killer on that host",
        ),
        *(False, True),
        ("看护命令的进程被终止，退出状态未知", "检查该主机是否内存不足"),
    ),
    Reason(
        *(
            "rebooted",
            "report",
            "lost",
            "the host was restarted while the command ran",
            "check on the host what it did",
        ),
        *(False, True),
        ("命令执行期间主机重启", "请在主机上检查其影响"),
    ),
    Reason(
        *(
            "journal_lost",
            "report",
            "lost",
            "the agent's journal no longer exists, so whether it ran cannot be known",
            "check on the host what it did",
        ),
        *(False, True),
        ("代理的日志已丢失，无法得知是否执行过", "请在主机上检查其影响"),
    ),
    Reason(
        *(
            "silent",
            "report",
            "lost",
            "the host was offline for longer than liveness.lost_after",
            "check on the host what it did; a late report is kept as late_result",
        ),
        *(False, True),
        ("主机离线时间超过 liveness.lost_after", "请在主机上检查其影响；迟到的报告保存为 late_result"),
    ),
    Reason(
        *(
            "force_canceled",
            "report",
            "lost",
            "an operator ended the record while the host was offline; it may still be running",
            "check on the host",
        ),
        *(False, True),
        ("操作者在主机离线时结束了记录，命令可能仍在运行", "请在主机上检查"),
    ),
    Reason(
        *(
            "unanswered",
            "report",
            "lost",
            (
                "the host is online but did not report the end, although it was asked repeatedly to end it; it may "
                "still be running"
            ),
            "look at the agent on that host; a late report is kept as late_result",
        ),
        *(False, True),
        (
            "主机在线，但多次要求结束仍未报告如何结束，命令可能仍在运行",
            "检查该主机的代理；迟到的报告保存为 late_result",
        ),
    ),
    Reason(
        *(
            "rolled_back",
            "report",
            "lost",
            "the database was set back to an older state, so whether it ran since then cannot be known",
            "check on the host; a late report is kept as late_result",
        ),
        *(False, True),
        ("数据库被回退到较早状态，无法得知此后是否执行过", "请在主机上检查；迟到的报告保存为 late_result"),
    ),
    Reason(
        *(
            "restored",
            "report",
            "lost",
            "the database is a restored backup, so whether it ran since then cannot be known",
            "check on the host; a late report is kept as late_result",
        ),
        *(False, True),
        ("数据库由备份恢复，无法得知此后是否执行过", "请在主机上检查；迟到的报告保存为 late_result"),
    ),
    Reason(
        *(
            "unknown",
            "report",
            "lost",
            "the agent gave a reason that this server does not know",
            "bring server and agent to the same version",
        ),
        *(False, True),
        ("代理给出的原因此服务器不认识", "使服务器与代理版本一致"),
    ),
)

REASONS: dict[str, Reason] = {reason.code: reason for reason in _ALL}


def said(status: str, *, unreachable: bool = False, code: str | None = None) -> Said:
    """Return the texts for an execution: the word of its status; message and hint of its reason, if there is one.

    Args:
        status: Code of the status.
        unreachable: True if it has not ended and its host is offline.
        code: Code of the reason, or None.

    Raises:
        KeyError: The status is unknown.
    """
    state = STATES[status]
    if code is not None:
        known = reason(code)
        return Said(state.word, known.message, known.hint, (state.zh[0], *known.zh))
    if not unreachable:
        return state
    word, chinese = f"{state.word} ({HOST_OFFLINE.word})", f"{state.zh[0]}（{HOST_OFFLINE.zh[0]}）"
    return replace(HOST_OFFLINE, word=word, zh=(chinese, *HOST_OFFLINE.zh[1:]))


def reason(code: str) -> Reason:
    """Return the entry of this code, or of `unknown`, because agents may be newer than the server."""
    return REASONS.get(code) or REASONS["unknown"]
