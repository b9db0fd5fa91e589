"""A small real HTTP server with scripted answers, and the command run against it."""

from __future__ import annotations

import json
import threading
from base64 import b64encode
from collections import Counter
from collections.abc import Callable, Iterator
from hashlib import sha256
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import parse_qs, unquote, urlsplit

import pytest
from click.testing import CliRunner, Result

from proto.reasons import said
from server.cli.main import cli

TOKEN = "cl_" + "a" * 8 + "_" + "b" * 49
TASK = "0190a0b0-0000-7000-8000-000000000001"
STATUSES = ("pending", "dispatched", "running", "completed", "failed", "timeout", "canceled", "dispatch_failed", "lost")


class Seen(NamedTuple):
    method: str
    path: str
    query: dict[str, str]
    headers: dict[str, str]
    body: Any


Answer = tuple[int, Any] | tuple[int, Any, dict[str, str]]


class Fake:
    """`on(method, path, *answers)`: the answers in turn, the last one for ever. An answer is a pair, a triple or a
    function of the request."""

    def __init__(self) -> None:
        self.seen: list[Seen] = []
        self._answers: dict[tuple[str, str], list[Any]] = {
            ("POST", "/api/v1/hosts/select"): [(200, selection_json(2, "web[01-02]"))]
        }
        self.address = ""

    def on(self, method: str, path: str, *answers: Answer | Callable[[Seen], Answer]) -> None:
        self._answers[method, path] = list(answers)

    def answer(self, seen: Seen) -> Answer:
        self.seen.append(seen)
        if seen.headers.get("authorization") != f"Bearer {TOKEN}":
            return 401, error(
                "unauthenticated", "the request has no token, or an unknown one", "look into DATA/admin.token"
            )
        answers = self._answers.get((seen.method, seen.path))
        if answers is None:
            return 404, error("route_not_found", "there is no such path", "see /openapi.json")
        answer = answers.pop(0) if len(answers) > 1 else answers[0]
        return answer(seen) if callable(answer) else answer

    def asked(self, method: str, path: str) -> list[Seen]:
        return [seen for seen in self.seen if (seen.method, seen.path) == (method, path)]

    def task(
        self, status: str, rows: list[dict[str, Any]], *, waits: list[dict[str, Any]] | None = None
    ) -> dict[str, Any]:
        """A task that ends so, with these rows; `waits`: what the long polls answer before the end."""
        final = task_json(status, rows)
        running = task_json("running", [row | {"status": "running"} for row in rows])
        base = f"/api/v1/tasks/{TASK}"
        self.on("POST", "/api/v1/run", (201, running))
        self.on("POST", f"{base}/start", (200, running))
        self.on("GET", base, (200, final))
        first = progress_json(running, 1)
        self.on(
            "GET",
            f"{base}/progress",
            (200, first),
            *((200, one) for one in waits or []),
            (200, progress_json(final, 9)),
        )
        self.on(
            "GET",
            f"{base}/hosts",
            paged([{key: value for key, value in row.items() if not key.startswith("_")} for row in rows]),
        )
        self.on("GET", f"{base}/groups", groups_route(final, rows))
        for row in rows:
            self.on("GET", f"{base}/hosts/{row['host_id']}/output", output_route(row))
        return final


def error(code: str, message: str, hint: str, **more: Any) -> dict[str, Any]:
    return {"error": {"code": code, "message": message, "field": None, "hint": hint, **more}}


def paged(items: list[dict[str, Any]]) -> Callable[[Seen], Answer]:
    """By position; at most two rows a page, so that every list in the tests needs several."""

    def answer(seen: Seen) -> Answer:
        start = int(seen.query.get("after", "0"))
        end = start + min(2, int(seen.query["limit"]))
        return 200, {"items": items[start:end], "next": str(end) if end < len(items) else None}

    return answer


def selection_json(count: int, folded: str, **more: Any) -> dict[str, Any]:
    return {
        "text": "…",
        "count": count,
        "offline": 0,
        "folded": folded,
        "more": 0,
        "sample": [],
        "warnings": [],
        "refused": False,
    } | more


def groups_json(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Equal rows together, largest first, numbered in the order of the rows."""
    found: dict[str, list[dict[str, Any]]] = {}
    for row in rows:
        key = [
            row["status"],
            row["exit_code"],
            row["signal"],
            (row["error"] or {}).get("code"),
            *((row[name] or {}).get("output_id") for name in ("stdout", "stderr")),
        ]
        found.setdefault(json.dumps(key), []).append(row)
    groups = []
    for number, same in enumerate(found.values(), 1):
        first, names = same[0], sorted(row["hostname"] for row in same)
        words = said(first["status"], code=(first["error"] or {}).get("code"))
        group = {name: first[name] for name in ("status", "exit_code", "signal", "error")}
        group |= {
            "number": number,
            "selector": f"task:{TASK} group={number}",
            "count": len(same),
            "folded": ",".join(names),
            "more": 0,
            "word": words.word,
            "message": words.message,
        }
        group |= {"hint": words.hint, "first_host": {"host_id": first["host_id"], "hostname": first["hostname"]}}
        groups.append(group | {name: _begin(first, name) for name in ("stdout", "stderr")})
    return sorted(groups, key=lambda group: (-group["count"], group["number"]))


def _begin(row: dict[str, Any], stream: str) -> dict[str, Any] | None:
    """Four bytes of it, so that longer outputs must be fetched."""
    if row[f"_{stream}"] is None:
        return None
    head, _, total = row[f"_{stream}"]
    return {**row[stream], "text": head[:4].decode("utf-8", "replace"), "whole": total <= 4}


def groups_route(task: dict[str, Any], rows: list[dict[str, Any]]) -> Callable[[Seen], Answer]:
    groups = groups_json(rows)

    def answer(seen: Seen) -> Answer:
        numbers = [group["number"] for group in groups]
        start = numbers.index(int(seen.query["after"])) + 1 if "after" in seen.query else 0
        end = start + min(2, int(seen.query["limit"]))
        page = {
            "task_id": TASK,
            "status": task["status"],
            "version": 9,
            "groups": len(groups),
            "hosts": len(rows),
            "open": {},
        }
        return 200, page | {"items": groups[start:end], "next": numbers[end - 1] if end < len(groups) else None}

    return answer


def output_route(row: dict[str, Any]) -> Callable[[Seen], Answer]:
    def answer(seen: Seen) -> Answer:
        head, tail, total = row[f"_{seen.query['stream']}"] or (b"", b"", 0)
        kept = head if seen.query["part"] == "head" else tail
        offset = int(seen.query["offset"])
        piece = kept[offset : offset + min(4, int(seen.query["limit"]))]
        document = {"stream": seen.query["stream"], "part": seen.query["part"], "offset": offset, "length": len(piece)}
        sizes = {
            "total_bytes": total,
            "head_bytes": len(head),
            "tail_bytes": len(tail),
            "truncated": total > len(head) + len(tail),
        }
        return 200, document | sizes | {
            "text": piece.decode("utf-8", "replace"),
            "base64": b64encode(piece).decode(),
            "sha256": "ab" * 32,
            "final": True,
        }

    return answer


def host_row(
    number: int,
    status: str = "completed",
    *,
    out: bytes = b"",
    err: bytes = b"",
    cut: tuple[bytes, int] | None = None,
    **more: Any,
) -> dict[str, Any]:
    """`cut`: (tail, total bytes) of a stdout of which the middle was dropped."""
    tail, total = cut or (b"", len(out))
    row = {
        "host_id": f"0190a0b0-0000-7000-8000-1000000000{number:02}",
        "hostname": f"web{number:02}",
        "attempt": 1,
        "status": status,
        "unreachable": False,
        "exit_code": 0 if status == "completed" else None,
        "signal": None,
        "error": None,
        "execution_ms": 12,
        "started_at": 1_790_000_000_000,
        "finished_at": 1_790_000_000_012,
        "stdout": _summary(out + tail, total, len(out + tail)),
        "stderr": _summary(err, len(err), len(err)),
        "_stdout": (out, tail, total) if total else None,
        "_stderr": (err, b"", len(err)) if err else None,
    }
    return row | more


def _summary(data: bytes, total: int, kept: int) -> dict[str, Any] | None:
    return {"output_id": sha256(data).hexdigest(), "total_bytes": total, "truncated": total > kept} if total else None


def why(code: str, phase: str, message: str) -> dict[str, Any]:
    return {
        "code": code,
        "phase": phase,
        "message": message,
        "detail": None,
        "hint": f"the hint of {code}",
        "retryable": False,
    }


def task_json(status: str, rows: list[dict[str, Any]]) -> dict[str, Any]:
    counts = Counter(row["status"] for row in rows)
    unsuccessful = sum(counts[name] for name in STATUSES[4:])
    return {
        "task_id": TASK,
        "name": "uname -a",
        "description": "",
        "type": "command",
        "status": status,
        "created_by": "admin",
        "counts": {name: counts[name] for name in STATUSES},
        "total_hosts": len(rows),
        "completed_hosts": counts["completed"],
        "failed_hosts": unsuccessful,
        "partial": bool(unsuccessful and counts["completed"]),
        "version": 1,
        "created_at": 1_790_000_000_000,
        "started_at": 1_790_000_000_001,
        "finished_at": None,
        "parameters": {},
    }


def progress_json(task: dict[str, Any], version: int) -> dict[str, Any]:
    return {
        "task_id": TASK,
        "status": task["status"],
        "version": version,
        "total": task["total_hosts"],
        "completed": task["completed_hosts"],
        "failed": task["failed_hosts"],
        "percent": 0.0,
        "counts": task["counts"],
        "rate_per_s": None,
        "eta_ms": None,
        "elapsed_ms": 5,
        "slowest": [],
    }


@pytest.fixture
def fake() -> Iterator[Fake]:
    script = Fake()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def _handle(self) -> None:
            parts = urlsplit(self.path)
            raw = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            query = {name: values[0] for name, values in parse_qs(parts.query).items()}
            headers = {name.lower(): value for name, value in self.headers.items()}
            answer = script.answer(
                Seen(self.command, unquote(parts.path), query, headers, json.loads(raw) if raw else None)
            )
            if answer[0] == 0:
                self.close_connection = True
                return
            body = (
                answer[1]
                if isinstance(answer[1], bytes)
                else json.dumps(answer[1]).encode()
                if answer[1] is not None
                else b""
            )
            self.send_response(answer[0])
            for name, value in (answer[2] if len(answer) == 3 else {}).items():
                self.send_header(name, value)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        do_GET = do_POST = do_PATCH = do_DELETE = _handle

        def log_message(self, *args: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    script.address = f"http://127.0.0.1:{server.server_address[1]}"
    yield script
    server.shutdown()
    server.server_close()
    thread.join()


Clarion = Callable[..., Result]


@pytest.fixture
def token_file(tmp_path: Path) -> Path:
    path = tmp_path / "token"
    path.write_text(f"{TOKEN}\n")
    return path


@pytest.fixture
def clarion(fake: Fake, token_file: Path) -> Clarion:
    """Runs `clarion ARGS` against the fake server."""

    def run(*args: str, input: bytes | str | None = None) -> Result:
        environment = {"CLARION_SERVER": fake.address, "CLARION_TOKEN_FILE": str(token_file), "CLARION_TRACEBACK": None}
        return CliRunner().invoke(cli, list(args), input=input, env=environment)

    return run
