"""What the OpenAPI document says beside the routes' own words: every status that a route may answer, credentials,
and the messages of the followers' protocol, whose schemas come from the dataclasses that read them.
"""

from collections.abc import Mapping
from dataclasses import dataclass, fields, is_dataclass
from functools import cache
from types import NoneType, UnionType
from typing import Any, Union, get_args, get_origin, get_type_hints

from certline_master.api import problems
from certline_master.domain.access import Role
from certline_shared import bundles, messages
from certline_shared.codec import MOST_INTEGER

Operation = tuple[str, str]


@dataclass(frozen=True, slots=True)
class SignedManifest:
    """The manifest as it travels: its canonical bytes and the master's signature over them."""

    manifest: bytes
    signature: bytes
    keyid: str


MESSAGES: Mapping[Operation, tuple[type | None, type | None]] = {  # what is sent, what comes back
    ("POST", "/v1/enroll"): (messages.EnrolRequest, messages.EnrolAnswer),
    ("POST", "/v1/introductions"): (messages.Introduction, messages.IntroductionAnswer),
    ("GET", "/v1/follower/manifest"): (None, SignedManifest),
    ("PUT", "/v1/follower/lines/{name}"): (messages.LineWish, messages.LineAnswer),
    ("GET", "/v1/follower/lines/{name}/versions/{number}"): (None, messages.VersionContent),
    ("PUT", "/v1/follower/lines/{name}/versions/{number}"): (messages.VersionContent, None),
    ("POST", "/v1/follower/lines/{name}/renew"): (messages.LineAsk, messages.LineTold),
    ("POST", "/v1/follower/lines/{name}/rollover"): (messages.LineAsk, messages.LineTold),
    ("POST", "/v1/follower/reports"): (messages.Report, None),
    ("POST", "/v1/follower/keys"): (messages.KeyChange, None),
    ("POST", "/v1/followers/{name}/receipt"): (bundles.SignedReceipt, None),
}
_NOT_MODIFIED = {"description": "The manifest is the one that If-None-Match names"}
_NOT_READY = {"description": "Why not", "content": {"text/plain": {"example": "sealed"}}}
_ANSWERS: Mapping[Operation, Mapping[str, Any]] = {  # beside success and problems
    ("GET", "/v1/follower/manifest"): {"304": _NOT_MODIFIED},
    ("GET", "/readyz"): {"503": _NOT_READY},
}

_BASE64URL = "^([A-Za-z0-9_-]{4})*([A-Za-z0-9_-][AQgw]|[A-Za-z0-9_-]{2}[AEIMQUYcgkosw048])?$"
_SECURITY = {
    "adminToken": {"type": "http", "scheme": "bearer", "description": "An admin token: people and scripts"},
    "followerSignature": {
        "type": "apiKey",
        "in": "header",
        "name": "Signature",
        "description": "HTTP message signature (RFC 9421) by the follower's identity key: docs/protocol.md, section 4",
    },
}


def complete(made: dict[str, Any], least: Mapping[Operation, Role | None]) -> None:
    """Write it all into the document."""
    components = made.setdefault("components", {})
    components["securitySchemes"] = _SECURITY
    components["responses"] = {str(status): _problem(status) for status in sorted(_TITLES)}
    schemas = components.setdefault("schemas", {})
    schemas |= {kind.__name__: schema_of(kind) for kind in (messages.Problem, *_all_messages())}
    _bound(schemas)
    for path, methods in made["paths"].items():
        for method, operation in methods.items():
            asked = (method.upper(), path)
            _describe(asked, operation, least[asked])


def _bound(schema: Any) -> None:
    """Every whole number in it is one that every JSON reader keeps exactly: the codec takes no others."""
    if isinstance(schema, dict):
        if schema.get("type") == "integer":
            schema.setdefault("minimum", -MOST_INTEGER)
            schema.setdefault("maximum", MOST_INTEGER)
        for part in schema.values():
            _bound(part)
    elif isinstance(schema, list):
        for part in schema:
            _bound(part)


def _all_messages() -> list[type]:
    return [kind for pair in MESSAGES.values() for kind in pair if kind is not None]


def _describe(asked: Operation, operation: dict[str, Any], least: Role | None) -> None:
    answers = operation["responses"]
    answers.pop("default", None)
    answers |= {
        str(status): {"$ref": f"#/components/responses/{status}"} for status in refusals(asked, operation, least)
    }
    answers |= _ANSWERS.get(asked, {})
    if least is not None:
        operation["security"] = [{"followerSignature" if least is Role.FOLLOWER else "adminToken": []}]
    sent, comes = MESSAGES.get(asked, (None, None))
    if sent is not None:
        operation["requestBody"]["content"]["application/json"]["schema"] = _reference(sent)
    if comes is not None:
        (success,) = (answer for status, answer in answers.items() if status.startswith("2"))
        success["content"]["application/json"]["schema"] = _reference(comes)


def refusals(asked: Operation, operation: Mapping[str, Any], least: Role | None) -> list[int]:
    """The statuses of the problems that this route may answer with."""
    method, path = asked
    changes, takes_input = method != "GET", bool(operation.get("parameters") or "requestBody" in operation)
    possible = {
        400: True,
        401: least is not None or changes,
        403: least not in (None, Role.VIEWER),
        404: "{" in path or (changes and takes_input),
        408: True,
        409: changes,
        413: True,
        422: takes_input,
        429: True,
        431: True,
        500: True,
        502: changes,
        503: True,
    }
    return [status for status, is_so in possible.items() if is_so]


_TITLES = dict(sorted(problems.KINDS.values(), reverse=True)) | {
    401: "Not authenticated",
    403: "Not allowed",
    408: "The request did not come in time",
    431: "The request's headers are too large",
}


def _problem(status: int) -> dict[str, Any]:
    kind = next((kind for kind, (usual, _) in problems.KINDS.items() if usual == status), "bad-message")
    example = {"type": problems.PREFIX + kind, "title": _TITLES[status], "status": status, "detail": "what and why"}
    content = {problems.MEDIA_TYPE: {"schema": _reference(messages.Problem), "example": example}}
    return {"description": _TITLES[status], "content": content}


def _reference(kind: type) -> dict[str, str]:
    return {"$ref": f"#/components/schemas/{kind.__name__}"}


# --- schemas of messages, by the rules of certline_shared.codec ---


@cache
def schema_of(kind: Any) -> dict[str, Any]:
    """The JSON schema of what the codec reads as this type."""
    if isinstance(kind, type) and is_dataclass(kind):
        return _object(kind)
    origin, inner = get_origin(kind), get_args(kind)
    if origin in (Union, UnionType):
        (one,) = [item for item in inner if item is not NoneType]
        return {"anyOf": [schema_of(one), {"type": "null"}]}
    if origin is tuple:
        return {"type": "array", "items": schema_of(inner[0])}
    if origin is dict:
        return {"type": "object", "additionalProperties": schema_of(inner[1])}
    return _SIMPLE[kind]


def _object(kind: Any) -> dict[str, Any]:
    """Unknown members are allowed, unless the member `crit` lists them."""
    hints = get_type_hints(kind)
    members = {name: schema_of(hint) for name, hint in hints.items()}
    needed = [item.name for item in fields(kind) if _is_needed(item, hints[item.name])]
    members["crit"] = {"type": "array", "items": {"enum": sorted(hints)}}
    title = {"title": kind.__name__, "description": (kind.__doc__ or "").strip()}
    return {"type": "object", **title, "properties": members, "required": needed}


def _is_needed(item: Any, hint: Any) -> bool:
    missing = item.default is item.default_factory  # both are dataclasses.MISSING
    return missing and NoneType not in get_args(hint)


_SIMPLE: Mapping[object, dict[str, Any]] = {
    str: {"type": "string"},
    int: {"type": "integer", "minimum": -MOST_INTEGER, "maximum": MOST_INTEGER},
    bool: {"type": "boolean"},
    bytes: {"type": "string", "pattern": _BASE64URL, "contentEncoding": "base64url"},
}
