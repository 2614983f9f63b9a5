"""What the operator sets up, and the records of what happened."""

from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from certline_master.domain.model.words import Owner


@dataclass(frozen=True, slots=True)
class Issuer:
    """A CA's directory plus our account there."""

    id: str
    name: str
    owner: Owner
    directory_url: str
    contact: tuple[str, ...] = ()
    profile: str | None = None
    preferred_chain: str | None = None
    ca_certificates: str | None = None  # PEM: the only roots trusted for its API, None for the system's
    is_default: bool = False
    profiles: tuple[str, ...] | None = None  # what the directory last listed; None: never asked, () lists none
    account_url: str | None = None
    account_key: str | None = None  # id of the secret
    test_of: str | None = None  # the issuer whose lines are rehearsed here


ZONE_SECRET = "zone-secret"  # noqa: S105 the label of the vault's rows
"""The kind of secret under which a zone's credentials are kept: written by the API, read by the engine."""


@dataclass(frozen=True, slots=True)
class Zone:
    """A DNS zone and the solver that may change it."""

    id: str
    name: str  # normal form
    owner: Owner
    solver: str  # "rfc2136" | "responder"
    settings: dict[str, Any] = field(default_factory=dict)  # checked by the solver; no secret in it
    secret: str | None = None  # id of the secret (a TSIG key)


@dataclass(frozen=True, slots=True)
class HttpName:
    """A name that is proven by http-01, and by which solver."""

    id: str
    name: str
    owner: Owner
    solver: str = "listener"


@dataclass(frozen=True, slots=True)
class Event:
    """One audit record. `data` holds named values for machines, never a secret."""

    id: int
    at: datetime
    kind: str  # "order.issued", "follower.enrolled", ...
    actor: str  # "admin:NAME", "follower:NAME", "system"
    subject: str  # "line:shop", "follower:web-1"
    text: str  # one sentence for people
    data: dict[str, Any] = field(default_factory=dict)
    chain: str | None = None  # of the process that wrote it, see audit.py; None before release 0.2
    link: int | None = None  # its place there, from 1
    hash: str | None = None  # over it and the link before, hex


@dataclass(frozen=True, slots=True)
class AdminToken:
    id: str
    name: str
    role: str  # access.Role
    prefix: str
    created: datetime
    expires: datetime | None
    networks: tuple[str, ...] = ()  # CIDR: where it may be used from; () for anywhere
    last_used: datetime | None = None
