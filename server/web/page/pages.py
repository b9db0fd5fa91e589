"""The web page: one HTML shell per page, ES modules and style sheets, served from memory under a path with their hash.

A shell contains no data of the installation, so it needs no login. Its script calls the API with the session cookie,
like any other client. All text from hosts and users enters the document as text. The words for states and reasons are
the server's.
"""

from __future__ import annotations

import posixpath
import re
from collections.abc import Mapping
from functools import cache
from hashlib import sha256
from html import escape
from importlib.resources import files
from importlib.resources.abc import Traversable
from string import Template
from typing import Any

import orjson

from proto.notes import NOTES, Note
from proto.reasons import REASONS, Reason
from proto.words import HOST_OFFLINE, HOSTS, LANGUAGES, STATES, TASKS, Said
from server.errors import PROBLEMS, ClarionError
from server.web.request import ApiRequest, ApiResponse

CSP = "; ".join(
    (
        "default-src 'none'",
        "script-src 'self'",
        "style-src 'self'",
        "img-src 'self'",
        "connect-src 'self'",
        "base-uri 'none'",
        "form-action 'none'",
        "frame-ancestors 'none'",
        "require-trusted-types-for 'script'",
    )
)
PAGES = ("login", "overview", "tasks", "task", "hosts", "host", "new", "help", "missing")
_IMPORT = re.compile(r'^(?:import|export) [^;"]* from "(\.[^"]+)";$', re.MULTILINE)
_NOUN_TEXTS = re.compile(r"nouns/\w+/\w+\.json")
_NOUN_PART = re.compile(r"(nouns/\w+/)(\w+)\.js")
NAV = (("overview", "/"), ("tasks", "/tasks"), ("hosts", "/hosts"), ("help", "/help"))
TYPES = {
    "js": "text/javascript; charset=utf-8",
    "css": "text/css; charset=utf-8",
    "json": "application/json",
    "svg": "image/svg+xml",
    "txt": "text/plain; charset=utf-8",
}


def _read(folder: Traversable, prefix: str = "") -> dict[str, bytes]:
    found: dict[str, bytes] = {}
    for entry in sorted(folder.iterdir(), key=lambda one: one.name):
        if entry.is_dir():
            found |= _read(entry, f"{prefix}{entry.name}/")
        elif entry.name.rpartition(".")[2] in TYPES:
            found[prefix + entry.name] = entry.read_bytes()
    return found


def _catalogue(texts: dict[str, Any], language: str) -> dict[str, Any]:
    """The page's own texts, the words of proto/words.py, proto/reasons.py and proto/notes.py, and the errors that
    bring their Chinese texts along, in one language."""
    tables: dict[str, Mapping[str, Said | Reason | Note]] = {
        "states": STATES | {"unreachable": HOST_OFFLINE},
        "tasks": TASKS,
        "hosts": HOSTS,
        "reasons": REASONS,
        "notes": NOTES,
    }
    words = {name: {code: list(one.texts(language)) for code, one in table.items()} for name, table in tables.items()}
    own = texts.get("words", {})
    if language != "en":
        own = {**own, "errors": own["errors"] | {code: list(one.zh) for code, one in PROBLEMS.items() if one.zh}}
    return (
        texts
        | {"words": own | words}
        | {
            f"{kind}.{code}": one.texts(language)[0]
            for kind, table in (("task", TASKS), ("host", HOSTS))
            for code, one in table.items()
        }
    )


@cache
def assets() -> tuple[str, dict[str, bytes]]:
    """The hash of all files, and name → content. The catalogues include the words for states, reasons and notes.

    A noun's part of a page is nouns/PAGE/NOUN.js, and nouns/PAGE/NOUN.json has its texts in every language. They are
    found here by their folder: `nouns/PAGE/index.js` exports all parts of a page.
    """
    found = _read(files("server.web.page").joinpath("static"))
    texts = [orjson.loads(found.pop(name)) for name in list(found) if _NOUN_TEXTS.fullmatch(name)]
    for language in LANGUAGES:
        name = f"i18n/{language}.json"
        known = orjson.loads(found[name])
        for noun in texts:
            known |= noun[language]
        found[name] = orjson.dumps(_catalogue(known, language))
    parts: dict[str, list[str]] = {}
    for folder, part in (match.groups() for name in found if (match := _NOUN_PART.fullmatch(name))):
        parts.setdefault(folder, []).append(f'export {{ Part as {part} }} from "./{part}.js";\n')
    found |= {f"{folder}index.js": "".join(lines).encode() for folder, lines in parts.items()}
    digest = sha256(b"".join(name.encode() + b"\0" + sha256(data).digest() for name, data in found.items()))
    return digest.hexdigest()[:16], found


def language_of(cookie: str | None, accepted: str) -> str:
    """The language chosen on the page, otherwise the browser's preferred available language, otherwise English (RFC
    9110 section 12.5.4)."""
    if cookie in LANGUAGES:
        return cookie
    wanted = []
    for part in accepted.split(",")[:20]:
        tag, _, weight = part.strip().partition(";")
        match = re.fullmatch(r"\s*q=([01](?:\.\d{0,3})?)\s*", weight)
        wanted.append((float(match[1]) if match else 1.0, tag.strip().lower()))
    for liked, tag in sorted(wanted, key=lambda one: -one[0]):
        if liked > 0 and tag.partition("-")[0] in ("en", "zh"):
            return "zh-CN" if tag.startswith("zh") else "en"
    return "en"


def _needed(found: Mapping[str, bytes], module: str) -> list[str]:
    """A module and all modules that it imports, directly or indirectly."""
    needed = [module]
    for name in needed:
        for path in _IMPORT.findall(found[name].decode()):
            other = posixpath.normpath(posixpath.join(posixpath.dirname(name), path))
            if other not in needed:
                needed.append(other)
    return needed


@cache
def shell(page: str, language: str, version: str) -> bytes:
    """The HTML of a page."""
    digest, found = assets()
    words = orjson.loads(found[f"i18n/{language}.json"])
    current = {"task": "tasks", "host": "hosts"}.get(page, page)
    links = [
        f'<a href="{path}"{" aria-current=page" if name == current else ""}>{escape(words["nav." + name])}</a>'
        for name, path in NAV
    ]
    links.append(
        f'<a class="button primary" '
        f'href="/new"{" aria-current=page" if page == "new" else ""}>{escape(words["nav.new"])}</a>'
    )
    # Preload all modules, so that the browser requests them at once instead of one after the other.
    modules = [
        f'<link rel="modulepreload" href="/static/{digest}/{name}">' for name in _needed(found, f"pages/{page}.js")
    ]
    modules.append(f'<link rel="preload" as="fetch" crossorigin href="/static/{digest}/i18n/{language}.json">')
    if page == "overview":
        modules.append(
            f'<link rel="stylesheet" href="/static/{digest}/vendor/uplot.css"><script '
            f'src="/static/{digest}/vendor/uplot.js" defer></script>'
        )
    template = Template(files("server.web.page").joinpath("templates", "index.html").read_text(encoding="utf-8"))
    values = {
        **{
            "base": f"/static/{digest}",
            "page": page,
            "lang": language,
            "version": escape(version),
            "nav": "\n".join(links),
            "modules": "\n".join(modules),
        },
        **{
            "hidden": " hidden" if page == "login" else "",
            "title": escape(words[f"title.{page}"]),
            "skip": escape(words["skip"]),
        },
        **{
            "pages": escape(words["nav.label"]),
            "other": "zh-CN" if language == "en" else "en",
            "switch": "中文" if language == "en" else "English",
        },
        **{"leave": escape(words["nav.leave"]), "noscript": escape(words["noscript"])},
    }
    return template.substitute(values).encode()


def _page(call: ApiRequest, name: str) -> ApiResponse:
    request = call.request
    language = language_of(request.cookies.get("clarion-language"), request.headers.get("Accept-Language", ""))
    headers = {
        "Content-Security-Policy": CSP,
        "Cache-Control": "no-cache",
        "Vary": "Accept-Language, Cookie",
        "Content-Language": language,
    }
    return ApiResponse(
        shell(name, language, call.deps.version), headers=headers, content_type="text/html; charset=utf-8"
    )


async def index(call: ApiRequest) -> ApiResponse:
    """The page: overview."""
    return _page(call, "overview")


async def login(call: ApiRequest) -> ApiResponse:
    """The page: log in."""
    return _page(call, "login")


async def tasks(call: ApiRequest) -> ApiResponse:
    """The page: all tasks."""
    return _page(call, "tasks")


async def task(call: ApiRequest, task_id: str) -> ApiResponse:
    """The page: one task."""
    return _page(call, "task")


async def hosts(call: ApiRequest) -> ApiResponse:
    """The page: all hosts."""
    return _page(call, "hosts")


async def host(call: ApiRequest, host: str) -> ApiResponse:
    """The page: one host."""
    return _page(call, "host")


async def new(call: ApiRequest) -> ApiResponse:
    """The page: a new task."""
    return _page(call, "new")


async def about(call: ApiRequest) -> ApiResponse:
    """The page: help."""
    return _page(call, "help")


def missing(language_cookie: str | None, accepted: str, version: str) -> ApiResponse:
    """The page for an unknown address, with status 404."""
    language = language_of(language_cookie, accepted)
    headers = {"Content-Security-Policy": CSP, "Vary": "Accept, Accept-Language, Cookie", "Content-Language": language}
    return ApiResponse(
        shell("missing", language, version), 404, headers=headers, content_type="text/html; charset=utf-8"
    )


async def favicon(call: ApiRequest) -> ApiResponse:
    """The page's icon, at the path that browsers try by themselves."""
    return ApiResponse(
        assets()[1]["icon.svg"], headers={"Cache-Control": "public, max-age=86400"}, content_type=TYPES["svg"]
    )


async def static(call: ApiRequest, digest: str, name: str) -> ApiResponse:
    """The page's scripts, style sheets, texts and icon."""
    ours, found = assets()
    data = found.get(name) if digest == ours else None
    if data is None:
        raise ClarionError("route_not_found")
    return ApiResponse(
        data,
        headers={"Cache-Control": "public, max-age=31536000, immutable"},
        content_type=TYPES[name.rpartition(".")[2]],
    )
