"""Lengths, ranges and patterns in the OpenAPI description, so that generated clients and fuzzers know what is valid.

The checks are in `server/web/service` and in the handlers. tests/web/http/test_openapi.py compares the two.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from proto.readable import HIDDEN_RANGES
from server.security.approval import NETWORKS
from server.web.http.limits import Limits
from server.web.http.query import MAX_MS
from server.web.service.checks import LABEL_NAME
from server.web.service.create_task import HEADER
from server.web.service.joining import TTL_MAX, TTL_MIN, USES_MAX
from server.web.service.rerun_task import WORDS
from server.web.service.task_request import (
    PARAMETER_NAME,
    RETRYABLE,
    RETRYABLE_IF_IDEMPOTENT,
    SHORTEST_S,
    TYPE,
    USER_NAME,
    VARIABLE_NAME,
)

Schema = dict[str, Any]

_HIDDEN = r"\u0080-\u009f\ufe00-\ufe0f" + "".join(
    rf"\u{first:04x}-\u{last:04x}" if last <= 0xFFFF else f"{chr(first)}-{chr(last)}"
    for first, last in HIDDEN_RANGES
    if first > 0x7F and first != 0xD800
)
VISIBLE = rf"^[^\x00-\x1f\x7f{_HIDDEN}]*$"
LINE = r"^[^\x00-\x1f\x7f]*$"
NAME = rf"^[^\x00-\x1f\x7f{_HIDDEN}]*[^\x00-\x20\x7f\xa0{_HIDDEN}][^\x00-\x1f\x7f{_HIDDEN}]*$"
TEXT = r"^[^\x00]*$"
SOME = r"^[^\x00]*[^\x00\s\x1c-\x1f\x85][^\x00]*$"
PROSE = rf"^[^\x00-\x08\x0b-\x1f\x7f{_HIDDEN}]*$"
VARIABLE = rf"^{VARIABLE_NAME}$"
PARAMETER = rf"^{PARAMETER_NAME}$"
ID = r"^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$"
LABEL = rf"^{LABEL_NAME}$"
_PART = r"[A-Za-z0-9_]([A-Za-z0-9_-]{0,61}[A-Za-z0-9_])?"
HOSTNAME = rf"^{_PART}(\.{_PART})*$"
_DAY = r"(19[7-9][0-9]|2[0-9]{3})-(0[1-9]|1[0-2])-(0[1-9]|[12][0-9]|3[01])"
MOMENT = rf"^([0-9]{{1,6}}[smhdw]|[0-9]{{1,15}}|{_DAY}T([01][0-9]|2[0-3]):[0-5][0-9]:[0-5][0-9](\.[0-9]{{1,6}})?(Z|[+-]([01][0-9]|2[0-3]):[0-5][0-9]))$"  # noqa: E501
LIVE_EVENT = r"^[0-9]{1,9}\.[0-9]{1,15}\.[0-9]{1,15}$"
ORPHAN = rf"{ID[:-1]}/{ID[1:-1]}/[0-9]{{1,4}}$"
SELECTOR, EXPRESSION, NETWORK = {"format": "selector"}, {"format": "expression"}, {"format": "cidr"}
"""Formats that no pattern can describe. docs/guide/selectors.md and docs/guide/results.md describe the grammars."""
PATHS: Mapping[str, Schema] = {
    "task_id": {"pattern": ID, "description": "Id of the task, a UUID."},
    "host_id": {"pattern": ID, "description": "Id of the host."},
    "host": {"minLength": 1, "maxLength": 255, "description": "Id or name of the host."},
    "number": {"pattern": r"^[0-9]{1,9}$", "description": "Number of the group."},
    "token_id": {"minLength": 1, "maxLength": 64, "description": "Id of the join token."},
    "request_id": {"minLength": 1, "maxLength": 64, "description": "Id of the join request."},
}


_ABSENT: Schema = {"type": "null"}
_WHAT = {
    "command": {"command": {"type": "string"}, "argv": _ABSENT, "script": _ABSENT, "interpreter": _ABSENT},
    "argv": {
        "argv": {"type": "array"},
        "command": _ABSENT,
        "script": _ABSENT,
        "interpreter": _ABSENT,
        "args": {"maxItems": 0},
    },
    "script": {"script": {"type": "string"}, "command": _ABSENT, "argv": _ABSENT},
}
ALTERNATIVES: Schema = {
    "allOf": [{"oneOf": [{"required": [what], "properties": fields} for what, fields in _WHAT.items()]}]
}
"""For the body of a task: exactly one of the fields says what to run, and null counts as missing. The oneOf is inside
allOf, because client generators take a oneOf next to properties as a choice between types and drop the properties."""


def bodies(limits: Limits) -> dict[str, dict[str, Schema]]:
    """Struct → field → additions to its schema. Lengths are in characters; the server counts bytes of UTF-8 where its
    errors mention bytes."""
    longest = {"minimum": SHORTEST_S, "maximum": limits.timeout_max}
    pause = {"minimum": 0, "maximum": limits.timeout_max}
    text = {"minLength": 1, "maxLength": limits.command_bytes, "pattern": SOME}
    words = {"items": {"maxLength": limits.command_bytes, "pattern": TEXT}}
    targets = {"minItems": 1, "items": SELECTOR | {"minLength": 1, "maxLength": limits.expressions.chars}}
    labels = {
        "maxProperties": limits.labels,
        "propertyNames": {"pattern": LABEL},
        "additionalProperties": {"maxLength": limits.label_bytes, "pattern": VISIBLE},
    }
    hostname = {"minLength": 1, "maxLength": 255, "pattern": HOSTNAME}
    values = {"maxLength": limits.parameter_bytes, "pattern": TEXT}
    name = {"minLength": 1, "maxLength": limits.name_chars, "pattern": NAME}
    hosts = {"minItems": 1, "items": {"minLength": 1, "maxLength": 255}}
    return {
        "TaskBody": {
            "targets": targets,
            "name": name,
            "description": {"maxLength": limits.description_chars, "pattern": PROSE},
            "type": {"pattern": rf"^{TYPE}$"},
            "command": text,
            "argv": words | {"minItems": 1},
            "script": text,
            "interpreter": {"minLength": 1, "maxLength": limits.parameter_bytes, "pattern": LINE},
            "args": words,
            "parameters": {
                "maxProperties": limits.parameters,
                "propertyNames": {"pattern": PARAMETER},
                "additionalProperties": values,
            },
            "env": {
                "maxProperties": limits.parameters,
                "propertyNames": {"pattern": VARIABLE},
                "additionalProperties": values,
            },
            "cwd": {"maxLength": limits.parameter_bytes, "pattern": r"^/[^\x00-\x1f\x7f]*$"},
            "run_as": {"pattern": rf"^{USER_NAME}$"},
            "stdin": {"maxLength": limits.stdin_bytes},
            "stdin_base64": {"maxLength": (limits.stdin_bytes + 2) // 3 * 4, "contentEncoding": "base64"},
            "timeout": longest,
            "grace": pause,
            "start_within": longest,
            "task_timeout": longest,
            "wait_for": longest,
            "concurrency": {"minimum": 1, "maximum": limits.hosts_per_task},
            "max_output": {"minimum": 1, "maximum": limits.max_output},
            "success_codes": {"minItems": 1, "maxItems": limits.success_codes, "items": {"minimum": 0, "maximum": 255}},
        },
        "RetryBody": {
            "attempts": {"minimum": 1, "maximum": limits.attempts},
            "codes": {"minItems": 1, "items": {"enum": [*RETRYABLE, *RETRYABLE_IF_IDEMPOTENT]}},
            "backoff": pause,
            "backoff_max": pause,
        },
        "RerunBody": {"only": {"minItems": 1, "items": {"enum": list(WORDS)}}, "hosts": hosts, "name": name},
        "SelectBody": {"targets": targets, "sample": {"minimum": 0, "maximum": limits.select_sample}},
        "CancelBody": {"hosts": hosts},
        "HostBody": {"hostname": hostname, "labels": labels},
        "HostPatch": {"hostname": hostname, "labels": labels},
        "ReplaceBody": {"by": {"minLength": 1, "maxLength": 255}},
        "JoinTokenBody": {
            "networks": {"maxItems": NETWORKS, "items": NETWORK},
            "labels": labels,
            "ttl": {"minimum": int(TTL_MIN), "maximum": int(TTL_MAX)},
            "uses": {"minimum": 1, "maximum": USES_MAX},
        },
        "LoginBody": {"token": {"minLength": 1}},
    }


def query(path: str, name: str, kind: str, limits: Limits) -> Schema:
    """Additions to the schema of a query parameter."""
    if name == "limit":
        return {"minimum": 1, "maximum": MAX_MS if path.endswith("/output") else limits.page_size_max}
    if name in ("since", "until", "created_from", "created_before") and kind == "string" and "/tasks/<" not in path:
        return {"pattern": MOMENT}
    if name in ("command", "name") and "/tasks" in path:
        return {
            "minLength": 1,
            "maxLength": limits.pattern_chars,
            "pattern": rf"^[^*\x00]*(\*[^*\x00]*){{0,{limits.pattern_stars}}}$",
        }
    if name == "task" and path.endswith("/events"):
        return {"pattern": ID}
    if name == "select":
        return SELECTOR | {"minLength": 1}
    if name == "where":
        return EXPRESSION | {"minLength": 1}
    if name == "host" and path.endswith("/orphans"):
        return {"pattern": ID}
    if name == "after" and path.endswith("/orphans"):
        return {"pattern": ORPHAN}
    if name == "after" and path.endswith("/live"):
        return {"pattern": LIVE_EVENT}
    if name == "after" and path.endswith("/hosts") and "/tasks" not in path:
        return {"pattern": rf"^[^\x00]*/{ID[1:]}"}
    if kind in ("integer", "number"):
        most = {"context": limits.diff_context, "wait": int(limits.wait_accepted)}.get(name, MAX_MS)
        return {"minimum": -1 if name == "since" else 0, "maximum": most}
    if kind == "boolean":
        return {}
    if name in ("after", "task") and not path.endswith(("/events", "/live")) and "/join-" not in path:
        return {"pattern": ID}
    return {"minLength": 1, "pattern": TEXT} | ({"maxLength": limits.search_text_bytes} if name == "text" else {})


def header(path: str, name: str, limits: Limits) -> Schema:
    """Additions to the schema of a request header. Range, and Last-Event-ID of `/events`, have none, because invalid
    values are ignored."""
    if name == "Last-Event-ID" and path.endswith("/live"):
        return {"pattern": rf"^$|{LIVE_EVENT}"}
    return {"pattern": rf"^[\x21-\x7e]{{1,{limits.idempotency_key_chars}}}$"} if name == HEADER else {}


def number(name: str, limits: Limits) -> Schema:
    """How often a query parameter may be repeated."""
    return {"task": {"maxItems": limits.tasks_per_viewer}, "label": {"maxItems": limits.labels}}.get(name, {})


def add(schema: Schema, more: Schema) -> None:
    """Add keywords to a schema. If the schema allows null, add them to its other alternative. Merges `items` and
    `additionalProperties`."""
    target = (
        next((one for one in schema["anyOf"] if one.get("type") != "null"), schema) if "anyOf" in schema else schema
    )
    for key, value in more.items():
        if key in ("items", "additionalProperties") and isinstance(target.get(key), dict):
            add(target[key], value)
        else:
            target[key] = value


def formats(node: object) -> None:
    """Add a format to every integer (int64) and every number (double)."""
    if isinstance(node, dict):
        if node.get("type") == "integer":
            node.setdefault("format", "int64")
        elif node.get("type") == "number":
            node.setdefault("format", "double")
        for value in node.values():
            formats(value)
    elif isinstance(node, list):
        for value in node:
            formats(value)
