"""Lines, what is issued for them, and all that the planner needs of one."""

from dataclasses import dataclass, field
from datetime import datetime

from certline_master.domain.model.dane import TlsaRecord, TlsaWish
from certline_master.domain.model.hosts import Follower
from certline_master.domain.model.keys import HeldKey, KeyOptions, Slot
from certline_master.domain.model.setup import Issuer
from certline_master.domain.model.words import Custody, FailureClass, Owner, VersionState
from certline_shared.keys import KeyType


@dataclass(frozen=True, slots=True)
class Rollout:
    """How a line's new version reaches its followers: first the canaries, then the others in groups of `wave`."""

    canaries: tuple[str, ...]  # names of followers
    wave: int | None = None  # followers per wave after the canaries; None: all the others at once
    after_seconds: int | None = None  # the next wave opens by itself that long after the former one served; None: never


@dataclass(frozen=True, slots=True)
class LineOptions:
    """What a line's certificates and their way to the hosts should be like, where the default is not wanted."""

    stage_for: str | None = None  # "25h": how long a new key's version is staged before it goes live
    common_name: str | None = None  # None: chosen, see domain/naming.py
    renew_before: str | None = None  # "30d" or "33%" of the lifetime left
    renew_after: str | None = None  # "7d": at that age, whatever the lifetime
    must_staple: bool = False  # RFC 7633
    purposes: tuple[str, ...] = ()  # beside "server": what the certificate must serve for, see domain/lint.py
    requests: dict[str, str] = field(default_factory=dict)  # key type -> SHA-256 of the request that the operator gave
    inherited: dict[str, str] = field(default_factory=dict)  # setting -> where else than at the line it is written
    commands: dict[str, tuple[str, ...]] = field(default_factory=dict)  # event -> names of commands, see commands.py
    tlsa: tuple[TlsaWish, ...] = ()  # see domain/dane.py
    tlsa_before_expiry: str | None = None  # "go": without seen records, rather than that the live version expires
    rehearsed_until: str | None = None  # of a line that is another one's rehearsal: when it is over, see rehearsal.py


@dataclass(frozen=True, slots=True)
class Line:
    """The wish: what a certificate line should be."""

    id: str
    name: str  # "shop", or "blog@web-1" for one that follower web-1 asked for
    owner: Owner
    follower_id: str | None  # None where the master keeps the key: those with a grant to pull it
    names: tuple[str, ...]
    key_types: tuple[KeyType, ...] = (KeyType.ECDSA_P256,)
    issuer_id: str | None = None  # None: the default issuer
    profile: str | None = None
    custody: Custody = Custody.FOLLOWER
    next_look: datetime | None = None
    forced: bool = False  # `line issue --force`: issue again whatever the age
    key_id: str | None = None  # the master's key of the line, see custody.Key
    rollout: Rollout | None = None  # None: all followers at once
    paused: str | None = None  # why it is not renewed, in words for the operator
    rollover: str | None = None  # why its next key is to be used, where that was asked for and is not done yet
    options: LineOptions = LineOptions()


@dataclass(frozen=True, slots=True)
class Asks:
    """What a request asks for beside its names and, of a certificate, where it was ordered; as far as it is known."""

    common_name: str | None = None
    must_staple: bool = False
    directory: str | None = None  # of the issuer
    profile: str | None = None


@dataclass(frozen=True, slots=True)
class LineCsr:
    """The request a follower last sent for a line, per key type and slot."""

    key_type: KeyType
    csr: bytes
    spki_sha256: str
    names: tuple[str, ...]
    asks: Asks = Asks()
    slot: Slot = Slot.CURRENT
    created: datetime | None = None  # when the first request for this key came; None: before that was written down
    moved: datetime | None = None  # when the key came into this slot, if not with its first request


@dataclass(frozen=True, slots=True)
class Renewal:
    """When a certificate is to be renewed, chosen once per window, and why."""

    at: datetime
    reason: str  # for people: "inside the CA's window"
    next_check: datetime | None  # when to ask the CA again; None: it has no renewal information
    window_start: datetime | None = None
    window_end: datetime | None = None
    explanation_url: str | None = None
    fixed: bool = False  # by an operator's word: neither the CA's window nor the line's policy moves it


@dataclass(frozen=True, slots=True)
class Certificate:
    """One leaf with its chain, of one key type, in a version."""

    id: str
    version_id: str
    key_type: KeyType
    csr: bytes
    spki_sha256: str
    names: tuple[str, ...]
    chain: str | None = None  # PEM, leaf first; None before it is issued
    serial: str | None = None
    not_before: datetime | None = None
    not_after: datetime | None = None
    renewal: Renewal | None = None
    replaced: bool = False  # an order named it in `replaces` and the CA took that, or said so
    asks: Asks = Asks()


@dataclass(frozen=True, slots=True)
class Failure:
    """Why an order (and so a version) failed."""

    failure: FailureClass
    detail: str
    retry_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class Version:
    """One issuance in a line."""

    id: str
    line_id: str
    number: int
    state: VersionState
    created: datetime
    reason: str
    certificates: tuple[Certificate, ...] = ()
    failure: Failure | None = None
    ended: datetime | None = None  # when it failed, was retired or revoked
    live_since: datetime | None = None  # when it became live; None also where a former release made it so
    staged_since: datetime | None = None  # since when its keys are staged; None where nothing could hold it
    activate_at: datetime | None = None  # of a staged version: when it goes live; None: not known yet
    held_by: str | None = None  # of a staged version: why it is not live yet, in words for the operator


@dataclass(frozen=True, slots=True)
class LineSnapshot:
    """All that the planner needs to decide on a line."""

    line: Line
    issuer: Issuer | None
    csrs: tuple[LineCsr, ...]  # for the current keys
    versions: tuple[
        Version, ...
    ]  # newest first: those that are ordered, staged, live, and the newest failed ones since the last success
    follower: Follower | None  # None where the master keeps the key
    busy_until_order: datetime | None = None  # when another line's live order for the same names, there, is due
    unpulled: int = 0  # versions issued since the last one that a host pulled
    kept_keys: frozenset[str] = frozenset()  # SPKI pins of the line's private keys that the master has
    current_keys: frozenset[str] = frozenset()  # of these, the ones that new certificates are for
    offered: Version | None = None  # what one follower is to have instead, while a rollout keeps the live one from it
    held_until: datetime | None = None  # no new order before, for the database went back in time; see going_back.py
    next_csrs: tuple[LineCsr, ...] = ()  # for the next keys
    keys: tuple[HeldKey, ...] = ()  # in every slot, whoever has them; of previous ones there may be several
    key_name: str = ""  # of its key; its own name where it names none
    key_options: KeyOptions = field(default_factory=KeyOptions)
    kin: tuple[str, ...] = ()  # lines of the same key that have no certificate for its next key yet
    tlsa: tuple[TlsaRecord, ...] = ()  # the ledger's records that the line wants
