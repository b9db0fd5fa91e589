"""The web page: one HTML shell, a small script in two files, one style sheet, read once and served from memory under names that hold their hash.

The shell holds no data of the installation, so it needs no token; the script asks the API, like any other client. In this release the
token is typed in once and kept in the tab's sessionStorage: it ends with the tab. Session cookies (HttpOnly, SameSite) come with user
accounts; until then the strict Content-Security-Policy below is what keeps a token from foreign script, and everything that came from a
host reaches the page as text only.
"""

from __future__ import annotations

from functools import cache
from hashlib import sha256
from importlib.resources import files
from string import Template

from server.errors import ClarionError
from server.web.call import Call, Reply

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
    )
)
_TYPES = {"tools.js": "text/javascript; charset=utf-8", "app.js": "text/javascript; charset=utf-8", "app.css": "text/css; charset=utf-8", "icon.svg": "image/svg+xml"}


@cache
def _assets() -> dict[str, tuple[str, bytes, str]]:
    """Hashed name → (plain name, bytes, content type)."""
    found = {}
    for name, content_type in _TYPES.items():
        data = files("server.web").joinpath("static", name).read_bytes()
        stem, _, ending = name.partition(".")
        found[f"{stem}.{sha256(data).hexdigest()[:16]}.{ending}"] = (name, data, content_type)
    return found


@cache
def _shell(version: str) -> bytes:
    names = {plain.replace(".", "_"): hashed for hashed, (plain, _, _) in _assets().items()}
    template = Template(files("server.web").joinpath("templates", "index.html").read_text(encoding="utf-8"))
    return template.substitute(names, version=version).encode()


async def index(call: Call) -> Reply:
    """The page."""
    headers = {"Content-Security-Policy": CSP, "Cache-Control": "no-cache"}
    return Reply(_shell(call.deps.version), headers=headers, content_type="text/html; charset=utf-8")


async def static(call: Call, name: str) -> Reply:
    """The page's script, style sheet and icon."""
    asset = _assets().get(name)
    if asset is None:
        raise ClarionError("route_not_found")
    return Reply(asset[1], headers={"Cache-Control": "public, max-age=31536000, immutable"}, content_type=asset[2])
