"""Enrolment: from a one-time string to an identity; the keys are on disk before the first request."""

import dataclasses
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from certline_follower import identity as identities
from certline_follower.identity import Identity
from certline_follower.master_faults import Refused, Unreachable, Untrusted
from certline_follower.private_files import write_private
from certline_shared import codec, messages, sealing, signing
from certline_shared.chance import Chance
from certline_shared.clock import Clock
from certline_shared.enrolment import EnrolmentString, answer_mac, mac_holds, mac_key, request_mac
from certline_shared.failpoints import failpoint
from certline_shared.messages import EnrolAnswer, EnrolRequest

FAILPOINTS = ("enrol.keys_written", "enrol.answered", "enrol.identity_written")
_NAME = "enrolment.json"
MOST_WAIT_SECONDS = 60


class EnrolmentError(Exception):
    """This host could not be enrolled; the text says why and what to do."""


class Enroller(Protocol):
    """The one call of the master client that enrolment needs."""

    def enrol(self, body: bytes) -> bytes:
        """POST /v1/enroll. Raises MasterFault."""
        ...


Connect = Callable[[str, bytes], Enroller]  # key id and raw private key to sign with -> the client


@dataclass(frozen=True, slots=True)
class _Begun:
    """An enrolment that was begun, kept until it is answered, so that a lost answer can be had again."""

    token_id: str
    identity_key: bytes = field(repr=False)
    sealing_key: bytes = field(repr=False)
    nonce: str


def enrol(
    text: EnrolmentString,
    state_dir: Path,
    *,
    connect: Connect,
    clock: Clock,
    chance: Chance,
    agent: str,
    replace: bool = False,
) -> Identity:
    """Enrol this host and save its identity (security note 2.4); the same string may be used again after a lost answer.

    Raises EnrolmentError (already enrolled, refused), MasterFault and OSError; the former identity then stands.
    """
    done = _done_before(text, state_dir)
    if done is not None:
        return done
    if not replace:
        check_not_enrolled(state_dir)
    begun = _begin(text, state_dir, chance)
    failpoint("enrol.keys_written")
    body = _ask(text, begun, Patient(connect(text.token_id, begun.identity_key), clock), agent)
    failpoint("enrol.answered")
    identity = _identity(text, begun, _believed(text, begun, body))
    identities.save(state_dir, identity)
    failpoint("enrol.identity_written")
    (state_dir / _NAME).unlink(missing_ok=True)
    return identity


def _done_before(text: EnrolmentString, state_dir: Path) -> Identity | None:
    """The identity that this very string gave before a kill came between writing it and saying so."""
    try:
        begun = codec.read(_Begun, (state_dir / _NAME).read_bytes(), most_bytes=identities.MOST_BYTES)
        identity = identities.load(state_dir)
    except (FileNotFoundError, codec.BadMessage, identities.IdentityError):
        return None
    if begun.token_id != text.token_id or begun.identity_key != identity.identity_key:
        return None
    (state_dir / _NAME).unlink()
    return identity


class Patient:
    """An Enroller that comes again when the master asks for a moment: many hosts may share one address."""

    def __init__(self, enroller: Enroller, clock: Clock) -> None:
        self._enroller, self._clock = enroller, clock

    def enrol(self, body: bytes) -> bytes:
        deadline = self._clock.monotonic() + MOST_WAIT_SECONDS
        while True:
            try:
                return self._enroller.enrol(body)
            except Unreachable as away:
                pause = away.retry_after
                if pause is None or self._clock.monotonic() + pause > deadline:
                    raise
            self._clock.pause(pause, threading.Event())


def check_not_enrolled(state_dir: Path) -> None:
    if identities.path_in(state_dir).exists():
        try:
            known = identities.load(state_dir)
            whom = f"as {known.follower!r} with {known.origin}"
        except identities.IdentityError as error:
            whom = f"but {error}"
        raise EnrolmentError(f"this host is enrolled already, {whom}; use --replace to give it another identity")


def _begin(text: EnrolmentString, state_dir: Path, chance: Chance) -> _Begun:
    """The keys of the try before with this token, or fresh ones, written and synced."""
    path = state_dir / _NAME
    try:
        begun = codec.read(_Begun, path.read_bytes(), most_bytes=identities.MOST_BYTES)
        if begun.token_id == text.token_id:
            return begun
    except (FileNotFoundError, codec.BadMessage):
        pass
    begun = _Begun(
        text.token_id, signing.generate_identity()[0], sealing.generate()[0], codec.base64url(chance.token(16))
    )
    write_private(path, codec.write(begun))
    return begun


def _ask(text: EnrolmentString, begun: _Begun, client: Enroller, agent: str) -> bytes:
    request = EnrolRequest(
        token_id=text.token_id,
        identity_key=signing.identity_public(begun.identity_key),
        sealing_key=sealing.public_of(begun.sealing_key),
        sealing_suite=sealing.SUITE,
        nonce=begun.nonce,
        protocol=messages.PROTOCOL,
        agent=agent,
    )
    mac = request_mac(mac_key(text.secret), messages.encode(request, without=("mac",)))
    try:
        return client.enrol(messages.encode(dataclasses.replace(request, mac=mac)))
    except Refused as refused:
        raise EnrolmentError(_why_refused(text, refused)) from None


def _why_refused(text: EnrolmentString, refused: Refused) -> str:
    """The master says the same of an unknown, a used and an expired token, so this names what it can be."""
    again = "have a new one made on the master (certline follower token NAME)"
    expiry = messages.time_text(text.expires_at)
    if refused.problem.status == 409:
        return f"the token {text.token_id} was used by another host: {again}, and find out who used it"
    if refused.problem.status in (401, 403, 404):
        return f"the master at {text.origin} refuses the token: used, expired ({expiry}) or of another master; {again}"
    return f"the master at {text.origin} refuses: {refused}"


def _believed(text: EnrolmentString, begun: _Begun, body: bytes) -> EnrolAnswer:
    """The answer, if whoever gave it knows the token's secret and answers this very request. Raises Untrusted."""
    try:
        answer = messages.decode(EnrolAnswer, body)
        bare = messages.canonical(body, without=("mac",))
    except messages.BadMessage as error:
        raise Untrusted(f"the answer to the enrolment is not what the protocol says: {error}") from None
    rules = (
        (mac_holds(answer_mac(mac_key(text.secret), bare), answer.mac), "it does not know the token's secret"),
        (answer.nonce == begun.nonce, "it answers another request"),
        (
            text.signing_key_thumbprint in map(signing.thumbprint, answer.signing_keys),
            "its signing key is not the one in the enrolment string",
        ),
        (text.trust != "pin" or answer.tls_pins, "it names no TLS pins"),
    )
    for holds, why_not in rules:
        if not holds:
            raise Untrusted(f"who answers at {text.origin} is not the master that made the enrolment string: {why_not}")
    return answer


def _identity(text: EnrolmentString, begun: _Begun, answer: EnrolAnswer) -> Identity:
    return Identity(
        format=identities.FORMAT,
        follower_id=answer.follower_id,
        follower=answer.follower,
        origin=text.origin,
        trust=text.trust,
        tls_pins=answer.tls_pins,
        signing_keys=answer.signing_keys,
        epoch=answer.epoch,
        identity_key=begun.identity_key,
        sealing_key=begun.sealing_key,
        keys_since=answer.time,
    )
