"""TLSA records: what a line wishes to have in DNS, and the ledger of what we mean to have there, have, or take away."""

from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum


@dataclass(frozen=True, slots=True)
class TlsaWish:
    """Records for one service of a line (RFC 6698). Words as in RFC 7218, in lower case."""

    host: str | None = None  # None: each of the line's names but wildcards
    port: int = 443
    protocol: str = "tcp"
    usage: str = "dane-ee"
    selector: str = "spki"
    matching: str = "sha256"  # "both": sha256 and sha512
    ttl: int = 300
    root: str | None = None  # PEM, for trust-anchor records: CAs do not send their root


class TlsaState(StrEnum):
    INTENDED = "intended"
    PRESENT = "present"  # the update was taken, or the record was found in DNS
    VISIBLE = "visible"  # every authoritative server shows it
    REMOVING = "removing"
    REMOVED = "removed"  # no authoritative server shows it


@dataclass(frozen=True, slots=True)
class TlsaRecord:
    """One row of the ledger: a value at an owner name. Only what is in the ledger is ever deleted from DNS."""

    id: str  # follows from name and rdata
    name: str  # "_443._tcp.www.example.org"
    rdata: str  # "3 1 1 0a..."
    zone: str | None  # the configured zone that it is in; None: somebody else writes it
    state: TlsaState
    since: datetime  # when it came into this state
    lines: tuple[str, ...] = ()  # ids of those that want it
    ttl: int = 0  # the shortest that one of them wants
    sent_ttl: int | None = None
    former_ttl: int | None = None  # for how long caches may hold a set from before this change; None: not looked yet
    serials: dict[str, str] = field(default_factory=dict)  # of the zone at each of its servers, before our update
    sent: datetime | None = None  # when the update was sent
    visible_since: datetime | None = None  # since when each server shows the change
    error: str | None = None  # why it is not done yet, in words for the operator
