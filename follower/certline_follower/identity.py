"""Who this host is to its master, and by what it knows its master: one private file, made at enrolment."""

from dataclasses import dataclass, field, replace
from pathlib import Path

from certline_follower.private_files import write_private
from certline_shared import codec

FORMAT = 1
MOST_BYTES = 65_536
_NAME = "identity.json"


class IdentityError(Exception):
    """The identity cannot be used; the text says why and what to do. A new one is never made silently."""


class NotEnrolled(IdentityError):
    """This host has no identity yet."""


@dataclass(frozen=True, slots=True)
class Identity:
    """What enrolment gave: our keys, the master's, and how its API is known."""

    format: int
    follower_id: str
    follower: str  # our name on the master
    origin: str  # https://name:port
    trust: str  # "pin" | "chain"
    tls_pins: tuple[str, ...]  # current and next
    signing_keys: tuple[bytes, ...]  # the master's Ed25519 keys
    epoch: int  # of the master when we enrolled or last learnt keys
    identity_key: bytes = field(repr=False)  # Ed25519, raw
    sealing_key: bytes = field(repr=False)  # raw private key of sealing.SUITE
    former_sealing_key: bytes | None = field(default=None, repr=False)  # while something sealed to it may be in use
    enrolled_as: str | None = None  # thumbprint of the key it enrolled with, once it has another
    keys_since: str | None = None  # when these keys came into force; None where an earlier release enrolled

    @property
    def mark(self) -> str:
        """What tells one enrolment from another; it stays when the keys change."""
        from certline_shared import signing  # late: `status` needs no cryptography

        return self.enrolled_as or signing.thumbprint(signing.identity_public(self.identity_key))

    @property
    def sealing_keys(self) -> tuple[bytes, ...]:
        """Those that something may be sealed to, the present one first."""
        return (self.sealing_key, *((self.former_sealing_key,) if self.former_sealing_key else ()))


def path_in(state_dir: Path) -> Path:
    return state_dir / _NAME


def load(state_dir: Path) -> Identity:
    """Raises NotEnrolled, or IdentityError for a file that is cut, garbage, or of a newer version."""
    path = path_in(state_dir)
    try:
        body = path.read_bytes()
    except FileNotFoundError:
        raise NotEnrolled(
            f"this host is not enrolled ({path} is not there): run certline-follower enroll with a token"
        ) from None
    except OSError as error:
        raise IdentityError(f"{path} cannot be read: {error.strerror}") from None
    return _read(path, body)


def _read(path: Path, body: bytes) -> Identity:
    try:
        identity = codec.read(Identity, body, most_bytes=MOST_BYTES)
    except codec.BadMessage:
        newer = written_format(body)
        if newer is not None and newer > FORMAT:
            raise _of_newer_version(path, newer) from None
        raise IdentityError(
            f"{path} is damaged: put it back from a backup, or enrol again with enroll --replace and a new token"
        ) from None
    if identity.format > FORMAT:
        raise _of_newer_version(path, identity.format)
    return identity


def written_format(body: bytes) -> int | None:
    """The number of the format that a JSON document says it has, if it does."""
    try:
        document = codec.parse(body, most_bytes=64 * MOST_BYTES)
    except codec.BadMessage:
        return None
    number = document.get("format") if isinstance(document, dict) else None
    return number if isinstance(number, int) else None


def _of_newer_version(path: Path, number: int) -> IdentityError:
    return IdentityError(
        f"{path} has format {number}, this certline-follower reads up to {FORMAT}: install the newer release again"
    )


def save(state_dir: Path, identity: Identity) -> None:
    """Raises OSError."""
    write_private(path_in(state_dir), codec.write(identity))


def with_keys(
    identity: Identity, *, signing_keys: tuple[bytes, ...], tls_pins: tuple[str, ...], epoch: int
) -> Identity:
    """The identity that believes what a manifest announced; nothing announced keeps what was known."""
    return replace(
        identity,
        epoch=max(epoch, identity.epoch),
        signing_keys=signing_keys or identity.signing_keys,
        tls_pins=tls_pins or identity.tls_pins,
    )
