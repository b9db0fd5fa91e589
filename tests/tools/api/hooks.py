"""Rules for schemathesis that JSON Schema cannot express. Each rule says why the server refuses what it leaves out.

Only requests that are valid by the description are left out; invalid ones are sent, and the server must refuse them.
"""

from __future__ import annotations

import base64
import binascii
import ipaddress
import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from uuid import uuid4

import schemathesis
from hypothesis import strategies as st

from server.web.api.events import TASK_TOPICS
from server.web.service.task_request import RETRYABLE_IF_IDEMPOTENT
from tests.tools.api.site import AGENT, HOSTS, KNOWN, SPARE

KNOWN_IDS: dict[str, list[str]] = json.loads(Path(os.environ[KNOWN]).read_text()) if KNOWN in os.environ else {}
LONGEST_WAIT_S = 0.2
_WORD = st.from_regex(r"[a-z][a-z0-9]{0,8}", fullmatch=True)
_HOST = st.sampled_from([AGENT, *HOSTS, "all", "web*", "web[01-03]", "role=db", "env=prod"])
_TEST = (
    st.builds("exit_code = {}".format, st.integers(0, 255))
    | st.builds('text contains "{}"'.format, _WORD)
    | st.sampled_from(["status = failed", "status != completed"])
)
_ODD = "\u00a0\u1680\u2028\u2029\u202f\u205f\u2060\u3000\ufeff" + "".join(map(chr, range(0x2000, 0x200C)))
"""Unusual spaces, which a shell does not treat as separators."""


def _any(one: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    return st.recursive(
        one,
        lambda inner: (
            st.builds("({} {} {})".format, inner, st.sampled_from(["and", "or"]), inner)
            | st.builds("not {}".format, inner)
        ),
        max_leaves=4,
    )


def _some(one: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    """Return selectors that match hosts; the server refuses a selector without a match."""
    return st.recursive(
        one,
        lambda inner: (
            st.builds("({} or {})".format, inner, inner)
            | st.builds("({} and {})".format, inner, st.sampled_from(["all", "not nothing-*"]))
        ),
        max_leaves=4,
    )


def _network(address: int, bits: int) -> str:
    return str(ipaddress.ip_network((address, bits), strict=False))


# Grammars of selectors, answer expressions and CIDR blocks; `format` names them.
schemathesis.openapi.format("selector", _some(_HOST))
schemathesis.openapi.format("expression", _any(_TEST))
schemathesis.openapi.format("cidr", st.builds(_network, st.integers(0, 2**32 - 1), st.integers(0, 32)))


def _positive(case: schemathesis.Case) -> bool:
    return case.meta is not None and case.meta.generation.mode.is_positive


@schemathesis.hook
def filter_case(context: schemathesis.HookContext, case: schemathesis.Case) -> bool:
    """Return whether the fields of a valid request are compatible."""
    if not _positive(case):
        return True
    path, query, body = case.operation.path, case.query or {}, case.body
    if (
        path.endswith("/events")
        and not query.get("task")
        and all(topic in TASK_TOPICS for topic in query.get("topic") or ())
    ):
        return False  # there is nothing to watch
    if any(new in query and old in query for new, old in (("since", "created_from"), ("until", "created_before"))):
        return False  # two names of one parameter
    if "*" in str(query.get("name") or "")[:-1] and path.endswith("/api/v1/hosts"):
        return False  # one * only, at the end
    if not isinstance(body, dict):
        return True
    if path.endswith("/replace") and body.get("by") == (case.path_parameters or {}).get("host"):
        return False  # a host cannot take its own place
    return not _has_points(body) and (not path.endswith(("/tasks", "/run")) or _goes_together(body))


@schemathesis.hook
def before_call(context: schemathesis.HookContext, case: schemathesis.Case, kwargs: dict[str, Any]) -> None:
    """Use existing ids, short waits, and fresh idempotency keys."""
    if not _positive(case):
        return
    _name_what_exists(case)
    if isinstance((wait := (case.query or {}).get("wait")), int | float):
        case.query["wait"] = min(wait, LONGEST_WAIT_S)
    if (
        case.operation.path.endswith("/rerun")
        and isinstance(case.body, dict)
        and isinstance(case.body.get("only"), list)
    ):
        case.body["only"] = [*case.body["only"], "unsuccessful"]  # of which there is one
    for name in case.headers or {}:
        if name.lower() == "idempotency-key":
            case.headers[name] = uuid4().hex


def _name_what_exists(case: schemathesis.Case) -> None:
    """Use an existing id in three of four cases; objects that other requests read are not deleted."""
    path: dict[str, Any] = case.path_parameters or {}
    if "host" in path and "task_id" not in path and case.operation.method.upper() != "GET":
        path["host"] = SPARE[
            sum(str(path["host"]).encode()) % len(SPARE)
        ]  # what others run on keeps its name and its place, also if a link leads here
        return
    given = "".join(map(str, path.values()))
    if (
        not KNOWN_IDS
        or sum(given.encode()) % 4 == 0
        or (case.operation.method.upper() == "DELETE" and "task_id" not in path)
    ):
        return
    changes = case.operation.path.endswith("/start") or case.operation.method.upper() == "DELETE"
    tasks = "pending" if changes else "failed" if case.operation.path.endswith("/rerun") else "tasks"
    choices = {"task_id": KNOWN_IDS[tasks], "host": KNOWN_IDS["hosts"], "number": ["1", "2"]}
    for name in path.keys() & choices.keys():
        case.path_parameters[name] = choices[name][sum(str(path[name]).encode()) % len(choices[name])]


def _has_points(body: Mapping[str, Any]) -> bool:
    """JSON Schema accepts 3.0 as an integer, Clarion does not, because the client may have rounded the number."""
    retry = body.get("retry")
    numbers = [body.get(name) for name in ("sample", "uses", "concurrency", "max_output")] + list(
        body.get("success_codes") or ()
    )
    return any(
        isinstance(number, float) for number in [*numbers, retry.get("attempts") if isinstance(retry, dict) else None]
    )


def _goes_together(body: Mapping[str, Any]) -> bool:
    argv, retry, script = body.get("argv"), body.get("retry"), body.get("script")
    texts = [text for text in (body.get("command"), script, body.get("interpreter")) if isinstance(text, str)]
    return not (
        (argv and not argv[0].strip())  # the first word is the program
        or (body.get("stdin") is not None and body.get("stdin_base64") is not None)  # one of them
        or (body.get("leave_children") is not None and body.get("detach") is not None)  # two names of one field
        or any(
            "\r" in text or text.startswith("\ufffe") or any(odd in text for odd in _ODD) for text in texts
        )  # what an editor adds, docs/reference/api.md
        or (
            isinstance(script, str) and body.get("interpreter") is None and script.lstrip().startswith("#!")
        )  # its first line is read
        or (
            isinstance(retry, dict)
            and not retry.get("idempotent")
            and any(code in RETRYABLE_IF_IDEMPOTENT for code in retry.get("codes") or ())
        )  # it may have run
        or not _is_base64(body.get("stdin_base64"))  # contentEncoding is an annotation
    )


def _is_base64(text: object) -> bool:
    try:
        return not isinstance(text, str) or isinstance(base64.b64decode(text, validate=True), bytes)
    except (binascii.Error, ValueError):
        return False
