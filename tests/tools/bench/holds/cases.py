"""Requests that ask for as much as the limits of their routes allow."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from urllib.parse import quote

import orjson


@dataclass(frozen=True, slots=True)
class Ids:
    """Ids for the requests. hosts, names: all hosts. two, each, differ, shuffled: ended tasks. running, pending: open
    tasks.
    """

    hosts: list[str]
    names: list[str]
    two: str
    each: str
    differ: str
    shuffled: str
    running: str
    pending: str


@dataclass(frozen=True, slots=True)
class Case:
    """A request. stream: only the first part of the answer is read."""

    name: str
    method: str
    path: str
    body: bytes | None = None
    stream: bool = False


API = "/api/v1"
WORST_GLOBS = [f"*?e?*?{digit}?*?{letter}*" for digit in range(10) for letter in "zqxjk"]
KIB = 1024


def selectors(ids: Ids) -> dict[str, list[str]]:
    """Return texts of `targets` by name."""
    return {
        "49 globs that match late": [" or ".join(WORST_GLOBS[:49])],
        "a list of globs in 64 KiB": [",".join(f"*{index}?a*b?*c*" for index in range(4_000))[: 64 * KIB - 8]],
        "one glob of 64 KiB of stars": ["*a?" * (20 * KIB) + "z*"],
        "one glob of 64 KiB of question marks": ["*" + "?" * (63 * KIB) + "*"],
        "a glob over brackets": ["*e?*[1-1000]?*z*"],
        "a glob over brackets, 400 times": [",".join(f"*e?*[1-1000]?{index}z*" for index in range(400))],
        "x[1-100000] in 100 texts": [f"x{index}-[1-100000]" for index in range(100)],
        "x[1-100000] 1,000 times in one text": [",".join(f"x{index}-[1-100000]" for index in range(1_000))],
        "x[1-300][1-300]": ["x[1-300]-[1-300]"],
        "web[00000-09999] with names that are there": ["web[00000-09999].rack[00-09].example.com"],
        "32,000 ids in one text": [",".join(ids.hosts[:1_700])],
        "an in list of 8,000 names": [f"name in ({','.join(f'web{index}' for index in range(8_000))})"],
        "4,000 networks": [f"ip in ({','.join(f'10.{index >> 8}.{index & 255}.0/9' for index in range(4_000))})"],
        "4,000 patterns of addresses": [f"ip in ({','.join(f'1?.{index}*' for index in range(4_000))})"],
        "serial in 4,000 patterns": [f"serial in ({','.join(f'*{index}*e?e*' for index in range(4_000))})"],
        "9,000 times all and": [" and ".join(["all"] * 9_000)],
        "9,000 times online or": [" or ".join(["online"] * 7_000)],
        "9,000 times not": [" and ".join(f"not w{index}" for index in range(4_000))],
        "50 nots within 50 parentheses, 500 times": [
            " or ".join("not (" * 20 + "offline" + ")" * 20 for _ in range(500))
        ],
        "50,000 columns of parentheses": ["(" * 49 + "all" + ")" * 49],
        "a quoted text of 64 KiB": ['"' + "\\\\" * (31 * KIB) + '"'],
        "64 KiB of commas": [",".join("a" * 1 for _ in range(32 * KIB))],
        "500 tasks": [" or ".join(f"task:{ids.two}" for _ in range(1_300))],
        "a task with 2,000 refinements": [
            f"task:{ids.each}" + "".join(f" exit_code!={index}" for index in range(3_000))
        ],
        "10,000 names in as many texts": ids.names[:10_000],
        "10,000 ids in as many texts": ids.hosts[:10_000],
        "20,000 unknown names in as many texts": [f"nobody-{index}" for index in range(20_000)],
        "9,000 texts with a pattern": [f"*{index}?e*" for index in range(9_000)],
        "9,000 malformed texts": [f"a{index} and" for index in range(9_000)],
    }


def wheres() -> dict[str, str]:
    return {
        "2,300 conditions on texts": " or ".join(f"text contains 'zz{index}'" for index in range(2_300)),
        "conditions on texts that match late": " or ".join(
            f"stdout contains '{'a' * 100}b{index}'" for index in range(500)
        ),
        "1,500 conditions on JSON": " or ".join(f"json.rows[{index}].value=-1" for index in range(1_500)),
        "1,500 conditions on all the JSON": " or ".join(f"json.rows contains 'q{index}'" for index in range(1_500)),
        "an in list of 8,000 values": f"text in ({','.join(f'v{index}' for index in range(8_000))})",
        "an in list of 8,000 exit codes": f"exit_code in ({','.join(str(index + 1) for index in range(8_000))})",
        "5,000 exit codes": " or ".join(f"exit_code={index + 1}" for index in range(4_000)),
    }


def cases(ids: Ids) -> Iterator[Case]:
    for name, texts in selectors(ids).items():
        yield Case(
            f"select: {name}",
            "POST",
            f"{API}/hosts/select",
            orjson.dumps({"targets": texts, "sample": 500, "whole": True}),
        )
    for name in (
        "x[1-100000] in 100 texts",
        "20,000 unknown names in as many texts",
        "9,000 malformed texts",
        "10,000 ids in as many texts",
        "49 globs that match late",
    ):
        yield Case(
            f"create: {name}",
            "POST",
            f"{API}/tasks",
            orjson.dumps({"targets": selectors(ids)[name], "command": "true"}),
        )
    yield Case("create: all", "POST", f"{API}/tasks", orjson.dumps({"targets": ["all"], "command": "true"}))
    yield Case(
        "create: a script of 64 KiB and 64 parameters",
        "POST",
        f"{API}/tasks",
        orjson.dumps(
            {
                "targets": ["all"],
                "script": "#!/bin/sh\n" + "a" * 65_000,
                "parameters": {f"p{index}": "x" * 4_096 for index in range(64)},
            }
        ),
    )
    yield Case("run: all", "POST", f"{API}/run", orjson.dumps({"targets": ["all"], "command": "true"}))
    for name, where in wheres().items():
        for task, words in ((ids.two, "two large answers"), (ids.each, "an answer each")):
            if len(quote(where)) < 15_000:
                yield Case(f"groups: {name}; {words}", "GET", f"{API}/tasks/{task}/groups?where={quote(where)}")
    for name, where in wheres().items():
        short = where
        while len(quote(short)) > 15_000:
            short = short[: len(short) * 9 // 10]
        short = short[: short.rfind(" or ")] if " or " in short else short[: short.rfind(",")] + ")"
        yield Case(f"groups: as many {name}; two", "GET", f"{API}/tasks/{ids.two}/groups?where={quote(short)}")
        yield Case(f"groups: as many {name}; each", "GET", f"{API}/tasks/{ids.each}/groups?where={quote(short)}")
    for order in ("largest", "outliers"):
        yield Case(f"groups: 500, {order}", "GET", f"{API}/tasks/{ids.each}/groups?limit=500&order={order}")
    yield Case("groups: of a running task", "GET", f"{API}/tasks/{ids.running}/groups?limit=500")
    yield Case("diff of 6,000 lines", "GET", f"{API}/tasks/{ids.differ}/groups/1/diff?against=2&context=100")
    yield Case(
        "diff of 1,000 lines in another order", "GET", f"{API}/tasks/{ids.shuffled}/groups/1/diff?against=2&context=100"
    )
    yield Case("diff of one line of 256 KiB", "GET", f"{API}/tasks/{ids.two}/groups/1/diff?against=2")
    for text in ("a" * 99 + "b", "a" * 500 + "b" + "a" * 499, "zz", "a"):
        for task, words in ((ids.two, "two large answers"), (ids.each, "an answer each"), (ids.differ, "lines")):
            yield Case(
                f"search: {text[:3]}, {len(text)} characters; {words}",
                "GET",
                f"{API}/tasks/{task}/search?limit=500&ignore_case=true&text={text}",
            )
    for task, words in ((ids.running, "running"), (ids.each, "ended")):
        yield Case(f"cells: {words}", "GET", f"{API}/tasks/{task}/cells")
        yield Case(f"states: {words}", "GET", f"{API}/tasks/{task}/states")
        yield Case(f"progress: {words}", "GET", f"{API}/tasks/{task}/progress")
        yield Case(f"task: {words}", "GET", f"{API}/tasks/{task}")
        yield Case(f"executions: 500, {words}", "GET", f"{API}/tasks/{task}/hosts?limit=500")
        yield Case(
            f"events: everything, {words}",
            "GET",
            f"{API}/events?topic=statistics&topic=hosts&topic=tasks&topic=states&topic=groups&task={task}",
            stream=True,
        )
    yield Case("output of 256 KiB as JSON", "GET", f"{API}/tasks/{ids.two}/hosts/{ids.hosts[0]}/output")
    yield Case("live output", "GET", f"{API}/tasks/{ids.two}/hosts/{ids.hosts[0]}/output/live", stream=True)
    yield Case("hosts: 500 with 128 labels", "GET", f"{API}/hosts?limit=500&fold=true")
    yield Case(
        "hosts: 1,000 labels that all have",
        "GET",
        f"{API}/hosts?limit=500&" + "&".join(["label=label1"] * 1_000) + "&label=none",
    )
    yield Case("hosts: a name that none has", "GET", f"{API}/hosts?name=zz*")
    yield Case("hosts: select, 12 KiB of globs", "GET", f"{API}/hosts?select={quote(' or '.join(WORST_GLOBS))}")
    yield Case(
        "hosts: select, 12 KiB of names",
        "GET",
        f"{API}/hosts?select={quote(','.join(f'x{index}[1-100000]' for index in range(600)))}",
    )
    yield Case("history of a host", "GET", f"{API}/hosts/{ids.hosts[0]}/tasks?limit=500")
    yield Case("tasks: 500", "GET", f"{API}/tasks?limit=500&status=" + ",".join(["completed"] * 1_000))
    yield Case("tasks: by name", "GET", f"{API}/tasks?limit=500&name=" + "a" * 10_000 + "*")
    yield Case("cancel: 10,000 names", "POST", f"{API}/tasks/{ids.running}/cancel", orjson.dumps({"hosts": ids.names}))
    yield Case(
        "cancel: 60,000 unknown names",
        "POST",
        f"{API}/tasks/{ids.running}/cancel",
        orjson.dumps({"hosts": [f"x{index}" for index in range(60_000)]}),
    )
    yield Case(
        "rerun: 10,000 ids", "POST", f"{API}/tasks/{ids.each}/rerun", orjson.dumps({"hosts": ids.hosts, "start": False})
    )
    yield Case("rerun: all", "POST", f"{API}/tasks/{ids.each}/rerun", orjson.dumps({"only": ["all"], "start": False}))
    yield Case("start: 10,000 hosts", "POST", f"{API}/tasks/{ids.pending}/start")
    yield Case("cancel: all", "POST", f"{API}/tasks/{ids.running}/cancel", b"{}")
    for name, body in bodies().items():
        yield Case(f"body: {name}", "POST", f"{API}/tasks", body)
        yield Case(f"body to labels: {name}", "PATCH", f"{API}/hosts/{ids.hosts[0]}", body)
    for path in (
        "/openapi.json",
        "/metrics",
        f"{API}/words",
        f"{API}/statistics",
        "/health/deep",
        f"{API}/join-tokens",
        f"{API}/join-requests",
        "/",
        "/hosts",
        "/new",
        "/help",
        f"/tasks/{ids.each}",
    ):
        yield Case(path, "GET", path)


def bodies() -> dict[str, bytes]:
    """Return request bodies of nearly one MiB."""
    most = (1 << 20) - 64
    return {
        "10,000 keys": orjson.dumps({"env": {f"key{index}": "v" * 80 for index in range(9_990)}}),
        "half a million numbers": b'{"targets":[' + b"1," * (most // 2 - 10) + b"1]}",
        "empty lists": b'{"targets":[' + b"[]," * (most // 3 - 10) + b"[]]}",
        "empty texts": b'{"targets":[' + b'"",' * (most // 3 - 10) + b'""],"command":"x"}',
        "lists within lists": b'{"targets":' + b"[" * 30 + b"]" * 30 + b"}",
        "floats": b'{"targets":[' + b"1e9," * (most // 4 - 10) + b"1]}",
        "long numbers": b'{"timeout":' + b"9" * (most - 20) + b"}",
        "escapes": b'{"command":"' + b"\\u0041" * (most // 6 - 10) + b'"}',
        "one word": b'{"command":"' + b"a" * (most - 20) + b'"}',
        "spaces": b" " * most,
        "opening brackets": b"[" * most,
        "quotes": b'{"labels":{' + b'"":"",' * 5_000 + b'"a":"b"}}',
        "argv of empty words": b'{"targets":["all"],"argv":["a"' + b',""' * (most // 3 - 20) + b"]}",
        "exit codes": b'{"targets":["all"],"command":"true","success_codes":[' + b"1," * (most // 2 - 50) + b"1]}",
        "args": b'{"targets":["all"],"command":"true","args":["' + b'","' * (most // 3 - 50) + b'"]}',
        "wrong keys": orjson.dumps({"env": {"\u00e9" * 20 + str(index): index for index in range(9_990)}}),
    }
