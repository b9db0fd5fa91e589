"""docs/reference/routes.md and docs/reference/objects.md, from the OpenAPI description of the server."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from functools import cache
from typing import Any

from docs.drawing.markdown import DRAWN, table
from server.web.openapi.document import document
from server.web.routes import ROUTES

CODE = re.compile(r"`(\w+)`: ")
JSON = "application/json"


@cache
def description() -> Any:
    """The OpenAPI document with the default limits."""
    return document(ROUTES, "")


def operations(tag: str | None = None) -> Iterator[tuple[str, str, Any]]:
    """Yields (method, path, operation), of one tag if it is given."""
    for path, methods in description()["paths"].items():
        for method, operation in methods.items():
            if tag is None or tag in operation["tags"]:
                yield method.upper(), path, operation


def routes() -> str:
    parts = [
        f"""# Routes of the REST API

{DRAWN}
Every route with its parameters, drawn from the description that a running server gives at `/openapi.json`. [The REST
API](api.md) shows how to use them.
The fields of bodies and answers are in [objects](objects.md), all error codes in [errors](errors.md). Limits shown
here are the defaults.
"""
    ]
    for tag in description()["tags"]:
        parts.append(f"\n## {tag['name'].capitalize()}\n\n{tag['description']}\n")
        parts += [_operation(*one) for one in operations(tag["name"])]
    return "".join(parts)


def objects() -> str:
    parts = [
        f"""# Objects of the REST API

{DRAWN}
The JSON objects of requests and answers, by name. [Routes](routes.md) says which route takes or answers which. A
field without a default is required in a request.
"""
    ]
    for name, schema in sorted(description()["components"]["schemas"].items()):
        about = schema.get("description", "")
        parts.append(f"\n## {name}\n" + (f"\n{_text(about)}\n" if about else ""))
        required = schema.get("required", ())
        rows = [
            (f"`{field}`", _type(one), _default(field, one, required), _text(one.get("description", "")))
            for field, one in schema.get("properties", {}).items()
        ]
        if rows:
            parts.append("\n" + table(("field", "type", "default", "meaning"), rows))
    return "".join(parts)


def _operation(method: str, path: str, operation: Any) -> str:
    summary = f"{operation['summary']}. {operation['description']}".strip()
    text = f"\n### {method} {path}\n\n{_text(summary)}\n"
    if operation.get("security") == []:
        text += "\nNeeds no token.\n"
    rows = [
        (f"`{one['name']}`", one["in"], _type(one["schema"]), _text(one["description"]))
        for one in operation["parameters"]
    ]
    if rows:
        text += "\n" + table(("parameter", "in", "type", "meaning"), rows)
    body = operation.get("requestBody")
    if body is not None:
        optional = "" if body["required"] else " (may be left out)"
        text += f"\nBody: {_type(body['content'][JSON]['schema'])}{optional}.\n"
    return text + _responses(operation["responses"])


def _responses(responses: Any) -> str:
    good, codes = [], []
    for status, response in responses.items():
        content = response.get("content", {})
        schema = content.get(JSON, {}).get("schema", {})
        if int(status) < 400:
            kind = f": {_type(schema)}" if schema else "".join(f": `{name}`" for name in list(content)[:1])
            good.append(f"{status}{kind}")
        codes += [f"`{code}`" for code in CODE.findall(response["description"]) if int(status) >= 400]
    return f"\nAnswers: {', '.join(good)}. Errors: {', '.join(dict.fromkeys(codes))}.\n"


def _type(schema: Any) -> str:
    """A short form of a JSON schema, with links to objects."""
    if "$ref" in schema:
        name = schema["$ref"].rpartition("/")[2]
        return f"[{name}](objects.md#{name.lower()})"
    for key in ("anyOf", "oneOf"):
        if key in schema:
            return " or ".join(_type(one) for one in schema[key])
    kind = schema.get("type", "any")
    if kind == "array":
        return f"array of {_type(schema.get('items', {}))}"
    if "enum" in schema:
        return "one of " + ", ".join(f"`{value}`" for value in schema["enum"])
    if kind == "object" and isinstance(schema.get("additionalProperties"), dict):
        return f"object of {_type(schema['additionalProperties'])}"
    return f"{kind}{_bounds(schema)}"


def _bounds(schema: Any) -> str:
    least, most = schema.get("minimum", schema.get("minLength")), schema.get("maximum", schema.get("maxLength"))
    unit = " characters" if "maxLength" in schema else ""
    if most is None:
        return "" if least is None or unit else f", at least {least}"
    return f", {least if least is not None else 0} to {most}{unit}"


def _default(field: str, schema: Any, required: Any) -> str:
    if field in required:
        return ""
    return f"`{json.dumps(schema.get('default'), ensure_ascii=False)}`"


def _text(words: str) -> str:
    """Text of the description with the pages of docs/reference that it names as links."""
    joined = re.sub(r"(`[^`]*`)|<", lambda match: match[1] or "&lt;", " ".join(words.split()))
    return re.sub(r"docs/reference/(\w+)\.md", r"[\1](\1.md)", joined)
