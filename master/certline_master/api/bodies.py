"""What people and scripts send: read strictly, and told with its JSON schema."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Annotated, Any, Literal, TypeVar

from pydantic import ConfigDict, Field, TypeAdapter, with_config

from certline_master.api.context import Raw
from certline_master.domain.fleet import (
    DesiredFleet,
    DesiredFollower,
    DesiredGroup,
    DesiredHttp,
    DesiredIssuer,
    DesiredKey,
    DesiredLine,
    DesiredZone,
)
from certline_master.domain.model import LineOptions
from certline_shared import codec

T = TypeVar("T")

PRINTABLE = r"^[^\x00-\x1f\x7f-\x9f]*$"
MOST_TOKEN_TTL = 86_400 * 3660

_STRICT = ConfigDict(extra="forbid", strict=True)  # unknown members are faults, "yes" is no boolean


@with_config(_STRICT)
@dataclass(frozen=True, slots=True)
class PlanBody:
    desired: DesiredFleet


@with_config(_STRICT)
@dataclass(frozen=True, slots=True)
class ApplyBody:
    desired: DesiredFleet
    hash: str  # of the plan that was shown
    force: bool = False  # delete more than the guard allows


@with_config(_STRICT)
@dataclass(frozen=True, slots=True)
class TokenBody:
    ttl_seconds: int = 1800
    replace: bool = False  # for a rebuilt host: its former keys end when the token is used
    origin: str | None = None  # by which of the master's origins the host reaches it; the first when left out


@with_config(_STRICT)
@dataclass(frozen=True, slots=True)
class RolloutBody:
    action: Literal["continue", "stop", "all"]


@with_config(_STRICT)
@dataclass(frozen=True, slots=True)
class KeysBody:
    keys: str  # as `certline-follower keygen` prints them
    origin: str | None = None  # as for a token


@with_config(_STRICT)
@dataclass(frozen=True, slots=True)
class ApproveBody:
    fingerprint: str  # all that the host shows
    name: str | None = None  # of the follower that it becomes; the one it asks for when left out


@with_config(_STRICT)
@dataclass(frozen=True, slots=True)
class RejectBody:
    fingerprint: str


@with_config(_STRICT)
@dataclass(frozen=True, slots=True)
class RotateBody:
    force: bool = False  # also where followers do not know the next key yet


@with_config(_STRICT)
@dataclass(frozen=True, slots=True)
class ReasonBody:
    reason: Annotated[str, Field(max_length=200, pattern=PRINTABLE)] | None = None  # told to the host, and on record


@with_config(_STRICT)
@dataclass(frozen=True, slots=True)
class AdminTokenBody:
    role: Literal["viewer", "operator", "admin"]
    ttl_seconds: Annotated[int, Field(ge=60, le=MOST_TOKEN_TTL)] | None = None  # left out: a year
    forever: bool = False  # it does not end by itself
    networks: tuple[str, ...] = ()  # CIDR: where it may be used from; none for anywhere


@with_config(_STRICT)
@dataclass(frozen=True, slots=True)
class TokenRotateBody:
    overlap_seconds: Annotated[int, Field(ge=0, le=86_400 * 30)] = 86_400  # so long the former one is good too


@with_config(_STRICT)
@dataclass(frozen=True, slots=True)
class TokenRevokeBody:
    force: bool = False  # even the last one of an admin


@with_config(_STRICT)
@dataclass(frozen=True, slots=True)
class IssueBody:
    force: bool = False  # issue again whatever the age


@with_config(_STRICT)
@dataclass(frozen=True, slots=True)
class LineRevokeBody:
    reason: Literal["unspecified", "key-compromise", "affiliation-changed", "superseded", "cessation"] = "unspecified"


@with_config(_STRICT)
@dataclass(frozen=True, slots=True)
class RollbackBody:
    to: Annotated[int, Field(ge=1, le=2**31 - 1)] | None = None  # the version; the one before the live one if left out


@with_config(_STRICT)
@dataclass(frozen=True, slots=True)
class LineRolloverBody:
    force: bool = False  # even while clients may keep pins without the next key


@with_config(_STRICT)
@dataclass(frozen=True, slots=True)
class ForgetBody:
    slot: Literal["previous"] = "previous"


@with_config(_STRICT)
@dataclass(frozen=True, slots=True)
class StolenBody:
    now: bool = False  # revoke the certificates without waiting for the other hosts


_ACCESS = (ReasonBody, AdminTokenBody, TokenRotateBody, TokenRevokeBody)
_LINE = (LineRevokeBody, RollbackBody, LineRolloverBody, ForgetBody)
_OWN: tuple[type, ...] = (*_ACCESS, *_LINE, RolloutBody, KeysBody, ApproveBody, RejectBody, RotateBody, StolenBody)
BODIES: tuple[type, ...] = (
    PlanBody, ApplyBody, TokenBody, IssueBody, DesiredIssuer, DesiredZone, DesiredHttp, DesiredLine,
    DesiredFollower, DesiredGroup, DesiredKey,
)  # fmt: skip
for _kind in (DesiredFleet, LineOptions, *BODIES[4:]):  # the domain's own words, as strict as the rest
    with_config(_STRICT)(_kind)

_READERS: dict[type, TypeAdapter[Any]] = {kind: TypeAdapter(kind) for kind in (*BODIES, *_OWN)}


def body_of(kind: type[T]) -> Callable[[Raw], Awaitable[T]]:
    """A dependency that reads the body as this kind; what is posted without a body is read as `{}`.

    It raises BadMessage (not JSON, a member twice, nested too deep) or pydantic's ValidationError.
    """

    async def read(incoming: Raw) -> T:
        if not incoming.body and incoming.method == "PUT":
            raise codec.BadMessage("there is no body: send the object, {} for one without settings")
        raw = incoming.body or b"{}"
        codec.parse(raw, most_bytes=len(raw))  # the size was the gate's concern
        body: T = _READERS[kind].validate_json(raw)
        return body

    return read


def component_schemas() -> dict[str, Any]:
    """JSON schemas of all bodies, for `#/components/schemas` of the OpenAPI document."""
    found: dict[str, Any] = {}
    for kind, reader in _READERS.items():
        schema = reader.json_schema(ref_template="#/components/schemas/{model}")
        found |= schema.pop("$defs", {})
        found[kind.__name__] = schema
    return found
