"""Every body on the wire as a dataclass, with strict reading: JSON objects in, dataclasses out.

Receivers ignore unknown members except those listed in `crit` (then the message is refused). Bytes travel as base64url
without padding, times as `2026-11-20T12:00:00Z`. Bodies are UTF-8 JSON; `encode` is canonical (sorted members, no
spaces) so that it can be signed.
"""

from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TypeVar

from certline_shared import codec

BadMessage = codec.BadMessage
MOST_DEPTH = codec.MOST_DEPTH
PROTOCOL = 1
MOST_BODY_BYTES = 65_536
KEY_CHANGE_PREFIX = b"certline-key-change/1\n"
MOST_CONTENT_BYTES = 1_048_576  # of a VersionContent: several chains


@dataclass(frozen=True, slots=True)
class EnrolRequest:
    """POST /v1/enroll, signed by the new identity key as any request (keyid = the token's id)."""

    token_id: str
    identity_key: bytes  # Ed25519, 32 bytes
    sealing_key: bytes  # public key of sealing.SUITE
    sealing_suite: str
    nonce: str
    protocol: int
    agent: str  # "certline-follower 0.1.0"
    mac: bytes = b""  # HMAC-SHA256 under the token's key over the canonical body without this member


@dataclass(frozen=True, slots=True)
class EnrolAnswer:
    """The answer, authentic by the MAC over it and the request's nonce."""

    follower_id: str
    follower: str  # its name on the master
    signing_keys: tuple[bytes, ...]  # the master's Ed25519 keys, current first
    tls_pins: tuple[str, ...]  # SPKI pins of the API's own CA, current and next: lower-case hex SHA-256
    epoch: int
    time: str
    nonce: str  # the request's
    protocol: int
    mac: bytes = b""


@dataclass(frozen=True, slots=True)
class Introduction:
    """POST /v1/introductions, signed by its identity key (keyid: that key's thumbprint): a host without a token."""

    name: str  # how it would like to be called
    identity_key: bytes
    sealing_key: bytes
    sealing_suite: str
    nonce: str
    protocol: int
    agent: str


@dataclass(frozen=True, slots=True)
class IntroductionAnswer:
    """What the master is, for the fingerprint that both sides show; the last five only once it was approved."""

    state: str  # "pending" | "approved"
    signing_keys: tuple[bytes, ...]
    tls_pins: tuple[str, ...]
    nonce: str  # the request's
    protocol: int
    follower_id: str | None = None
    follower: str | None = None
    epoch: int | None = None
    time: str | None = None
    proof: bytes | None = None  # of an approval: introduction.approval, by the code that only the host showed


@dataclass(frozen=True, slots=True)
class LineWish:
    """PUT /v1/follower/lines/{name}: what a host wants of one line."""

    names: tuple[str, ...] | None  # None for a line that the operator made (its names come from the master)
    csrs: dict[str, bytes] = field(default_factory=dict)  # key type -> DER PKCS#10
    seq: int | None = None  # rises with each changing request of the follower
    next_csrs: dict[str, bytes] = field(default_factory=dict)  # of the keys that a rollover makes current
    test: bool = False  # for a rehearsal of the line, see RehearsalWish


@dataclass(frozen=True, slots=True)
class RehearsalWish:
    """The same for a rehearsal, which it begins where it has no requests. A master that has none must refuse it."""

    names: tuple[str, ...] | None
    csrs: dict[str, bytes] = field(default_factory=dict)
    test: bool = True
    crit: tuple[str, ...] = ("test",)


@dataclass(frozen=True, slots=True)
class KeyChange:
    """POST /v1/follower/keys, signed by the present identity key: the keys that take over."""

    identity_key: bytes
    sealing_key: bytes
    sealing_suite: str
    proof: bytes  # by the new identity key, over KEY_CHANGE_PREFIX and the canonical body without this member
    seq: int | None = None


@dataclass(frozen=True, slots=True)
class LineAnswer:
    """The answer to a wish: the line's full name on the master and what is going on."""

    line: str
    state: str  # "waiting" (an order runs or will), "live", "csr_wanted"
    names: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class LineAsk:
    """POST /v1/follower/lines/{name}/renew and .../rollover: the host has its line issued anew, now."""

    seq: int | None = None


@dataclass(frozen=True, slots=True)
class LineTold:
    """The answer: the line's full name on the master, and what the master does now, in its own words."""

    line: str
    standing: str


@dataclass(frozen=True, slots=True)
class VersionContent:
    """GET /v1/follower/lines/{name}/versions/{n}: file contents by logical name; each hash stands in the manifest."""

    line: str
    version: int
    files: dict[str, str]  # "ecdsa-p256/chain.pem" -> text


@dataclass(frozen=True, slots=True)
class DeploymentReport:
    line: str
    version: int
    state: str  # "staged" | "pulled" | "installed" | "reloaded" | "served"
    error: str | None = None  # what holds it back, at most 2,000 characters
    goal: str | None = None  # the last step that this host has configured: "installed" | "reloaded" | "served"
    retry_at: str | None = None  # when the host tries again
    seen: dict[str, str] = field(default_factory=dict)  # probe target -> SHA-256 of the leaf served there, hex


@dataclass(frozen=True, slots=True)
class Report:
    """POST /v1/follower/reports"""

    agent: str
    manifest_serial: int
    deployments: tuple[DeploymentReport, ...]
    epoch: int | None = None  # of the manifest last followed
    skew: int | None = None  # seconds: this host's clock against the master's
    keys: dict[str, tuple[str, ...]] | None = None
    """Line -> SPKI pins of the keys from the master that are still on this host; None: not told in this report."""
    seq: int | None = None
    rehearsals: tuple[DeploymentReport, ...] = ()  # how rehearsals ended; such a report tells nothing else


@dataclass(frozen=True, slots=True)
class Problem:
    """RFC 9457 problem document."""

    type: str  # "urn:certline:problem:KIND"
    title: str
    status: int
    detail: str
    errors: tuple[dict[str, str], ...] = ()  # {"field": JSON pointer, "detail": text}
    names: tuple[str, ...] = ()  # for kind "not-granted": the names without a grant
    retry_at: str | None = None


T = TypeVar("T")

Message = (
    EnrolRequest
    | EnrolAnswer
    | Introduction
    | IntroductionAnswer
    | LineWish
    | RehearsalWish
    | LineAnswer
    | LineAsk
    | LineTold
    | VersionContent
    | KeyChange
    | DeploymentReport
    | Report
    | Problem
)


def encode(message: Message, *, without: tuple[str, ...] = ()) -> bytes:
    """Canonical JSON of a message.

    Left out: members named in `without`, members that are None, and empty ones whose default is empty too.
    """
    return codec.write(message, without=without)


def decode(kind: "type[T]", body: bytes) -> "T":
    """Read a body strictly.

    Raises BadMessage: over MOST_BODY_BYTES (MOST_CONTENT_BYTES for a VersionContent), not UTF-8 JSON, deeper than
    MOST_DEPTH, duplicate members, NaN or Infinity, numbers beyond 2**53, lone surrogates, a missing member, one of the
    wrong shape, or an unknown member that `crit` lists.
    """
    most = MOST_CONTENT_BYTES if kind is VersionContent else MOST_BODY_BYTES
    return codec.read(kind, body, most_bytes=most)


def canonical(body: bytes, *, without: tuple[str, ...] = ()) -> bytes:
    """The canonical form of a received object, unknown members kept: what a MAC in it is over. Raises BadMessage."""
    value = codec.parse(body, most_bytes=MOST_BODY_BYTES)
    if not isinstance(value, dict):
        raise BadMessage("expected an object as the whole body")
    return codec.canonical({name: member for name, member in value.items() if name not in without})


def time_text(moment: datetime) -> str:
    """A time as it travels, in whole seconds: `2026-11-20T12:00:00Z`. Raises ValueError for one without its zone."""
    if moment.tzinfo is None:
        raise ValueError("a time without its zone cannot be sent")
    return moment.astimezone(UTC).replace(microsecond=0, tzinfo=None).isoformat() + "Z"


def read_time(text: str) -> datetime:
    """The aware UTC time of `time_text`'s form. Raises BadMessage for any other form."""
    try:
        moment = datetime.strptime(text, "%Y-%m-%dT%H:%M:%SZ").replace(tzinfo=UTC)
    except ValueError:
        moment = None
    if moment is None or time_text(moment) != text:  # strptime takes 2026-1-1 too
        raise BadMessage(f"expected a time like 2026-11-20T12:00:00Z, found {text[:40]!a}")
    return moment
