"""The OpenAPI document, and the page that shows it: made here, so that nothing is loaded from a foreign host."""

import json
from collections.abc import Iterator
from html import escape
from typing import Any

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi

from certline_master.api import described
from certline_master.api.bodies import component_schemas
from certline_master.domain.access import LEAST

_METHODS = ("get", "put", "post", "delete")

_STYLE = """
:root { color-scheme: light dark; --sheet: #fff; --ink: #1b1f24; --code: #f1f3f5; --line: #d0d7de; }
@media (prefers-color-scheme: dark) {
  :root { --sheet: #0f1419; --ink: #d7dde4; --code: #1a2129; --line: #30363d; }
  a { color: #7ab7ff; }
}
body { font: 16px/1.5 system-ui, sans-serif; max-width: 60rem; margin: 2rem auto; padding: 0 1rem;
       background: var(--sheet); color: var(--ink); }
h1 { font-size: 1.6rem; }
details { border-top: 1px solid var(--line); padding: .5rem 0; }
summary { cursor: pointer; overflow-wrap: anywhere; }
summary code { font-weight: bold; }
pre { background: var(--code); border-radius: .3rem; padding: .75rem; overflow-x: auto; font-size: .85rem; }
"""
_INTRODUCTION = """<p>All schemas are in the OpenAPI document at <a href="openapi.json">/v1/openapi.json</a>. People and
scripts send the header <code>Authorization: Bearer TOKEN</code>; followers sign their requests. Every error is a
problem document (RFC 9457).</p>"""


def document(app: FastAPI) -> dict[str, Any]:
    """The OpenAPI document, made once. Each operation says which role it needs."""
    if app.openapi_schema is None:
        made = get_openapi(title=app.title, version=app.version, description=app.description, routes=app.routes)
        schemas = made.setdefault("components", {}).setdefault("schemas", {})
        schemas |= component_schemas()
        described.complete(made, LEAST)
        for method, path, operation in operations(made):
            least = LEAST[method.upper(), path]
            operation["x-needs"] = str(least) if least else "nothing"
        app.openapi_schema = made
    return app.openapi_schema


def operations(made: dict[str, Any]) -> Iterator[tuple[str, str, dict[str, Any]]]:
    """Method, path and description of each operation."""
    for path, methods in made["paths"].items():
        for method in _METHODS:
            if method in methods:
                yield method, path, methods[method]


def page(made: dict[str, Any]) -> str:
    """Every operation with its examples, as HTML without script."""
    shown = "".join(_operation(method, path, operation) for method, path, operation in operations(made))
    meta = '<meta charset="utf-8"><meta name="viewport" content="width=device-width">'
    head = f"{meta}<title>certline: the API</title><style>{_STYLE}</style>"
    body = f"<h1>certline: the API</h1>{_INTRODUCTION}{shown}"
    return f'<!doctype html><html lang="en"><head>{head}</head><body>{body}</body></html>'


def _operation(method: str, path: str, operation: dict[str, Any]) -> str:
    title = f"<code>{method.upper()} {escape(path)}</code> {escape(operation.get('summary', ''))}"
    parts = [f"<p>Needs: {escape(operation['x-needs'])}. {escape(operation.get('description', ''))}</p>"]
    for part, contents in _examples(operation):
        parts.append(f"<p>{escape(part)}</p><pre>{escape(json.dumps(contents, indent=2, ensure_ascii=False))}</pre>")
    return f"<details><summary>{title}</summary>{''.join(parts)}</details>"


def _examples(operation: dict[str, Any]) -> Iterator[tuple[str, Any]]:
    for content in operation.get("requestBody", {}).get("content", {}).values():
        yield "What is sent:", content.get("example")
    for status, answer in operation["responses"].items():
        for content in answer.get("content", {}).values():
            if status != "default" and "example" in content:
                yield f"What comes back ({status}):", content["example"]
