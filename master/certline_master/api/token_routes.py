"""Admin tokens: made, listed, exchanged for new ones, revoked. A token's text is answered once, when it is made."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Annotated

from fastapi import APIRouter, Depends

from certline_master.api import admin_tokens
from certline_master.api.bodies import AdminTokenBody, TokenRevokeBody, TokenRotateBody, body_of
from certline_master.api.context import By, Here, ObjectName
from certline_master.api.examples import shown
from certline_master.api.services import Services
from certline_master.domain.access import Caller, Role
from certline_master.domain.errors import Conflict, Fault, Invalid, NotFound
from certline_master.domain.model import AdminToken
from certline_master.domain.networks import BadNetwork, network_of
from certline_master.domain.ports import Records
from certline_shared.messages import time_text
from certline_shared.names import BadName, check_object_name

router = APIRouter(prefix="/v1/tokens", tags=["admin tokens"])

_TOKEN = {
    "id": "5c0f1d6e-2f5a-4f7c-8a3e-0f5b7c1d2e3f", "name": "deploy", "role": "operator", "prefix": "1f2e3d4c",
    "created": "2026-11-20T12:00:00Z", "expires": "2027-11-20T12:00:00Z", "last_used": "2026-11-20T12:03:00Z",
    "networks": ["10.2.0.0/16"],
}  # fmt: skip
_MADE = _TOKEN | {"last_used": None, "token": "certline_1f2e3d4c_…"}


@dataclass(frozen=True, slots=True)
class TokenView:
    id: str
    name: str
    role: str
    prefix: str  # the second part of its text, by which it is found in a file
    created: datetime
    expires: datetime | None
    last_used: datetime | None  # to the minute
    networks: tuple[str, ...]

    @classmethod
    def of(cls, token: AdminToken) -> "TokenView":
        return cls(
            token.id, token.name, token.role, token.prefix, token.created, token.expires, token.last_used,
            token.networks,
        )  # fmt: skip


@dataclass(frozen=True, slots=True)
class TokenMade(TokenView):
    """`token` is answered this once: here only its hash stays."""

    token: str


@router.get("", summary="All admin tokens that are not revoked", **shown([_TOKEN]))
def tokens(services: Here, caller: By) -> list[TokenView]:
    with services.store.read() as records:
        return [TokenView.of(token) for token in records.tokens.all(caller)]


@router.post(
    "/{name}",
    summary="Make an admin token",
    **shown(_MADE, body={"role": "operator", "ttl_seconds": 7_776_000, "networks": ["10.2.0.0/16"]},
            schema="AdminTokenBody"),
)  # fmt: skip
def create(
    name: ObjectName, services: Here, caller: By, body: Annotated[AdminTokenBody, Depends(body_of(AdminTokenBody))]
) -> TokenMade:
    """Without `ttl_seconds` it ends after a year, unless `forever` is set."""
    networks = _networks(body.networks)
    if body.forever and body.ttl_seconds is not None:
        raise Invalid(Fault("/forever", "contradicts ttl_seconds: leave one of them out"))
    life = timedelta(seconds=body.ttl_seconds) if body.ttl_seconds is not None else admin_tokens.USUAL_LIFE
    expires = None if body.forever else services.clock.now() + life
    return services.store.write(
        lambda records: _add(services, records, caller, _Wish(name, body.role, expires, networks), "token.made")
    )


@dataclass(frozen=True, slots=True)
class _Wish:
    name: str
    role: str
    expires: datetime | None
    networks: tuple[str, ...]


def _add(services: Services, records: Records, caller: Caller, wish: _Wish, kind: str) -> TokenMade:
    now, made = services.clock.now(), admin_tokens.new_token(services.chance)
    expires = wish.expires.replace(microsecond=0) if wish.expires else None
    token = AdminToken(services.chance.uuid(), wish.name, wish.role, made.prefix, now, expires, wish.networks)
    records.tokens.add(caller, token, made.sha256)
    until = f"good until {time_text(expires)}" if expires else "without an end"
    data = {"role": wish.role, "prefix": made.prefix, "networks": list(wish.networks)}
    text = f"an admin token with the role {wish.role} was made, {until}"
    records.events.add(caller, kind, f"token:{wish.name}", text, now=now, data=data)
    return TokenMade(
        token.id, token.name, token.role, token.prefix, token.created, token.expires, None, token.networks, made.text
    )


@router.post(
    "/{name}/rotate",
    summary="A new token in place of this one, which stays good for a while",
    **shown(_MADE, body={"overlap_seconds": 86_400}, schema="TokenRotateBody", needed=False),
)
def rotate(
    name: ObjectName, services: Here, caller: By, body: Annotated[TokenRotateBody, Depends(body_of(TokenRotateBody))]
) -> TokenMade:
    """The new one has the same name, role, networks and length of life. The former one is called NAME.before until it
    ends.
    """
    overlap = timedelta(seconds=body.overlap_seconds)
    return services.store.write(lambda records: _rotate(services, records, caller, name, overlap))


def _rotate(services: Services, records: Records, caller: Caller, name: str, overlap: timedelta) -> TokenMade:
    former, now, aside = _find(records, caller, name), services.clock.now(), _name_before(name)
    for one in records.tokens.all(caller):
        if one.name == aside:
            text, data = f"an admin token was revoked: {name} took its name", {"prefix": one.prefix}
            records.events.add(caller, "token.revoked", f"token:{aside}", text, now=now, data=data)
    records.tokens.supersede(caller, former.id, name=aside, until=now + overlap, now=now)
    life = former.expires - former.created if former.expires else None
    wish = _Wish(name, former.role, now + life if life else None, former.networks)
    return _add(services, records, caller, wish, "token.rotated")


def _name_before(name: str) -> str:
    """Raises Conflict: what has no good name could not be revoked."""
    try:
        return check_object_name(f"{name}.before", "token")
    except BadName:
        raise Conflict(f"{name}.before would be too long a name: make another token, and revoke this one") from None


@router.post(
    "/{name}/revoke",
    summary="Revoke an admin token",
    **shown(_TOKEN, body={"force": False}, schema="TokenRevokeBody", needed=False),
)
def revoke(
    name: ObjectName, services: Here, caller: By, body: Annotated[TokenRevokeBody, Depends(body_of(TokenRevokeBody))]
) -> TokenView:
    """It holds from the next request on. The last valid token of an admin is revoked only with `force`."""
    return TokenView.of(services.store.write(lambda records: _revoke(services, records, caller, name, body.force)))


def _revoke(services: Services, records: Records, caller: Caller, name: str, force: bool) -> AdminToken:
    found, now = _find(records, caller, name), services.clock.now()
    if not force and _is_last_admin(records, caller, found, now):
        raise Conflict(f"{name} is the last valid token of an admin: make another first, or use force")
    records.tokens.revoke(caller, found.id, now)
    data = {"prefix": found.prefix}
    records.events.add(caller, "token.revoked", f"token:{name}", "an admin token was revoked", now=now, data=data)
    return found


def _is_last_admin(records: Records, caller: Caller, token: AdminToken, now: datetime) -> bool:
    good = [one for one in records.tokens.all(caller) if one.role == Role.ADMIN and admin_tokens.lives(one, now)]
    return [one.id for one in good] == [token.id]


def _find(records: Records, caller: Caller, name: str) -> AdminToken:
    found = next((one for one in records.tokens.all(caller) if one.name == name), None)
    if found is None:
        raise NotFound("token", name)
    return found


def _networks(texts: tuple[str, ...]) -> tuple[str, ...]:
    found, faults = [], []
    for index, text in enumerate(texts):
        try:
            found.append(network_of(text))
        except BadNetwork as error:
            faults.append(Fault(f"/networks/{index}", str(error)))
    if faults:
        raise Invalid(*faults)
    return tuple(sorted(set(found)))
