"""Enrolment by keys that the master has been told before: made here once, then joined to what the master answered."""

from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from certline_follower import identity as identities
from certline_follower.enrolment import EnrolmentError, check_not_enrolled
from certline_follower.identity import Identity
from certline_follower.private_files import write_private
from certline_shared import codec, sealing, signing
from certline_shared.failpoints import failpoint
from certline_shared.introduction import HostKeys, JoinString

FAILPOINTS = ("join.keys_written", "join.identity_written")
NAME = "host-keys.json"


@dataclass(frozen=True, slots=True)
class OwnKeys:
    """A host's keys before it is enrolled, private halves."""

    identity_key: bytes = field(repr=False)
    sealing_key: bytes = field(repr=False)

    @property
    def public(self) -> HostKeys:
        return HostKeys(signing.identity_public(self.identity_key), sealing.public_of(self.sealing_key))


def keys_in(state_dir: Path) -> OwnKeys:
    """Those that were made before, else new ones, written and synced. Raises EnrolmentError, OSError."""
    kept = kept_keys(state_dir)
    if kept is not None:
        return kept
    made = OwnKeys(signing.generate_identity()[0], sealing.generate()[0])
    write_private(state_dir / NAME, codec.write(made))
    failpoint("join.keys_written")
    return made


def kept_keys(state_dir: Path) -> OwnKeys | None:
    """Raises EnrolmentError for a damaged file: keys that somebody may have registered are not replaced silently."""
    path = state_dir / NAME
    try:
        return codec.read(OwnKeys, path.read_bytes(), most_bytes=identities.MOST_BYTES)
    except FileNotFoundError:
        return None
    except codec.BadMessage:
        raise EnrolmentError(
            f"{path} is damaged: remove it, run keygen again and give the master the new keys"
        ) from None


def join(text: JoinString, state_dir: Path, *, replace: bool = False) -> Identity:
    """Save the identity that the master made of these keys. Raises EnrolmentError, IdentityError, OSError."""
    done = _done_before(text, state_dir)
    if done is not None:
        forget_keys(state_dir)
        return done
    if not replace:
        check_not_enrolled(state_dir)
    keys = kept_keys(state_dir)
    if keys is None or signing.thumbprint(keys.public.identity_key) != text.identity_thumbprint:
        raise EnrolmentError(
            "the join string is for other keys than this host's: give what `certline-follower keygen` prints here to "
            "`certline follower create NAME --keys`, and use what that prints"
        )
    identity = identity_of(text, keys)
    identities.save(state_dir, identity)
    failpoint("join.identity_written")
    forget_keys(state_dir)
    return identity


def finished(state_dir: Path) -> Identity | None:
    """The identity of the keys that lie here, where a kill came between saving it and removing them."""
    try:
        known, kept = identities.load(state_dir), kept_keys(state_dir)
    except identities.IdentityError:
        return None
    if kept is None or kept.identity_key != known.identity_key:
        return None
    forget_keys(state_dir)
    return known


def identity_of(text: JoinString, keys: OwnKeys, since: str | None = None) -> Identity:
    return Identity(
        format=identities.FORMAT,
        follower_id=text.follower_id,
        follower=text.follower,
        origin=text.origin,
        trust=text.trust,
        tls_pins=text.tls_pins,
        signing_keys=text.signing_keys,
        epoch=text.epoch,
        identity_key=keys.identity_key,
        sealing_key=keys.sealing_key,
        keys_since=since,
    )


def forget_keys(state_dir: Path) -> None:
    """They stand in the identity now."""
    with suppress(FileNotFoundError):
        (state_dir / NAME).unlink()


def _done_before(text: JoinString, state_dir: Path) -> Identity | None:
    """The identity that this very string gave before."""
    try:
        known = identities.load(state_dir)
    except identities.IdentityError:
        return None
    mine = signing.thumbprint(signing.identity_public(known.identity_key)) == text.identity_thumbprint
    return known if mine and known.follower_id == text.follower_id else None
