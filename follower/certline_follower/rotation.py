"""New keys of this host's own, without a gap: made, announced, taken with the first request; each step may be repeated.

The new pair is on disk before it is announced. Until the master has answered a request signed with it the present pair
is kept, so that a kill or a lost answer at any moment leaves one that the master takes.
"""

from contextlib import suppress
from dataclasses import dataclass, field, replace
from datetime import timedelta
from pathlib import Path

from certline_follower import identity as identities
from certline_follower.host import Host, StepFailed, log
from certline_follower.identity import Identity
from certline_follower.master_client import MasterClient
from certline_follower.master_faults import MasterFault, Refused, Unreachable
from certline_follower.private_files import sync_folder, write_private
from certline_shared import codec, messages, sealing, signing
from certline_shared.failpoints import failpoint
from certline_shared.messages import BadMessage, KeyChange, read_time, time_text

FAILPOINTS = ("keys.written", "keys.announced", "keys.answered", "keys.in_force")
NAME = "next-keys.json"
WANTED = "rotate-keys"  # made by the command while the daemon runs
REFUSED_PAUSE = 3_600.0  # seconds
_NO_ANSWER_TO_KEYS = ("suspended", "revoked")


@dataclass(frozen=True, slots=True)
class _Next:
    """The pair that is to take over."""

    mark: str  # of the identity that it is for
    identity_key: bytes = field(repr=False)
    sealing_key: bytes = field(repr=False)


def ask_for(state_dir: Path) -> None:
    """Have the next turn change the keys. Raises OSError."""
    (state_dir / WANTED).touch(mode=0o600)


def settle(host: Host) -> None:
    """Change the keys if that is wanted or was begun. Raises StepFailed, OSError.

    A master that is away, or does not speak to this host, is no fault here: the turn will tell.
    """
    if host.keeper.read_only or not isinstance(host.client, MasterClient):
        return
    try:
        found = _kept(host)
        if found or _is_wanted(host):
            _change(host, host.client, found)
    except Unreachable:
        return
    except Refused as refused:
        if refused.kind not in _NO_ANSWER_TO_KEYS and not refused.passing:
            raise _given_up(host, refused) from None
    except MasterFault as fault:
        raise StepFailed(f"the keys are not changed: {fault}") from None


def change(host: Host) -> None:
    """Change the keys now. Raises MasterFault, StepFailed, OSError; what was begun is gone on with at the next run."""
    if isinstance(host.client, MasterClient):
        _change(host, host.client, _kept(host))


def _change(host: Host, client: MasterClient, found: _Next | None) -> None:
    if found is None:
        found = _make(host)
        _announce(host, client, found)
    if not _works(host, client, found):
        _announce(host, client, found)
        if not _works(host, client, found):
            raise StepFailed("the master does not take this host's new keys: the present ones stay")
    _take(host, found)


def forget_former(host: Host) -> None:
    """What was sealed to the former key has come anew. Raises OSError."""
    if host.identity.former_sealing_key is not None and not host.keeper.read_only:
        _save(host, replace(host.identity, former_sealing_key=None))


def _is_wanted(host: Host) -> bool:
    if (host.settings.state_dir / WANTED).exists():
        return True
    days, since = host.settings.rotate_keys_days, host.identity.keys_since
    if days is None or host.clock.monotonic() < host.keys_refused_until:
        return False
    try:
        return since is None or host.now() - read_time(since) >= timedelta(days=days)
    except BadMessage:
        return True


def _kept(host: Host) -> _Next | None:
    """The pair that was begun with, unless it is in force or for an identity that is no more."""
    path = host.settings.state_dir / NAME
    try:
        found = codec.read(_Next, path.read_bytes(), most_bytes=identities.MOST_BYTES)
    except FileNotFoundError:
        return None
    except BadMessage:
        found = None
    if found and found.mark == host.identity.mark and found.identity_key != host.identity.identity_key:
        return found
    _drop(host, NAME)
    return None


def _make(host: Host) -> _Next:
    made = _Next(host.identity.mark, signing.generate_identity()[0], sealing.generate()[0])
    write_private(host.settings.state_dir / NAME, codec.write(made))
    failpoint("keys.written")
    _drop(host, WANTED)
    return made


def _announce(host: Host, client: MasterClient, found: _Next) -> None:
    client.change_keys(change_of(found.identity_key, found.sealing_key, host.next_sequence()))
    failpoint("keys.announced")


def change_of(identity_key: bytes, sealing_key: bytes, seq: int) -> KeyChange:
    """The message for a new pair, proved by its identity key."""
    public = signing.identity_public(identity_key)
    bare = KeyChange(public, sealing.public_of(sealing_key), sealing.SUITE, b"", seq)
    said = messages.KEY_CHANGE_PREFIX + messages.encode(bare, without=("proof",))
    return replace(bare, proof=signing.sign(identity_key, said))


def _works(host: Host, client: MasterClient, found: _Next) -> bool:
    """Ask something with the new key; the first answer to it makes it the only one. Raises MasterFault."""
    client.sign_with(found.identity_key)
    try:
        client.manifest(None)
    except Refused as refused:
        client.sign_with(host.identity.identity_key)
        if refused.kind == "unauthorized":
            return False
        raise
    except BaseException:
        client.sign_with(host.identity.identity_key)
        raise
    failpoint("keys.answered")
    return True


def _take(host: Host, found: _Next) -> None:
    identity = host.identity
    new = replace(
        identity,
        identity_key=found.identity_key,
        sealing_key=found.sealing_key,
        former_sealing_key=identity.sealing_key,
        enrolled_as=identity.mark,
        keys_since=time_text(host.now()),
    )
    _save(host, new)
    failpoint("keys.in_force")
    _drop(host, NAME)
    log.info("this host's keys were changed")


def _save(host: Host, identity: Identity) -> None:
    identities.save(host.settings.state_dir, identity)
    host.identity = identity


def _given_up(host: Host, refused: Refused) -> StepFailed:
    """The new pair is dropped: should the master have it after all, it lapses there unused."""
    _drop(host, NAME)
    host.keys_refused_until = host.clock.monotonic() + REFUSED_PAUSE
    why = "its release does not know how" if refused.kind == "not-found" else str(refused)
    return StepFailed(f"the master does not change this host's keys: {why}; the present ones stay")


def _drop(host: Host, name: str) -> None:
    with suppress(FileNotFoundError):
        (host.settings.state_dir / name).unlink()
        sync_folder(host.settings.state_dir)
