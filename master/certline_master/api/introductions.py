"""Hosts without a token: each shows its keys and waits until an operator compared fingerprints (protocol, section 3).

What is answered here is signed, for the host has to know by its own eyes whose key the fingerprint is about. Nobody is
let in without an operator who typed what only the host shows.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta

from fastapi import Response

from certline_master.api import protocols
from certline_master.api.incoming import Incoming
from certline_master.api.limits import site_of
from certline_master.api.problems import Refused
from certline_master.api.services import Services
from certline_master.api.throttle import Throttle
from certline_master.domain.access import SYSTEM
from certline_master.domain.errors import Fault, Invalid, NotFound
from certline_master.domain.model import Follower, FollowerState, Introduction
from certline_master.domain.ports import Records
from certline_shared import introduction as shared
from certline_shared import messages
from certline_shared.messages import PROTOCOL, IntroductionAnswer, decode, encode, time_text
from certline_shared.names import BadName, check_object_name
from certline_shared.signing import BadSignature, read_request_claims, sign_answer, thumbprint, verify_request

MOST, MOST_FROM_ONE = 100, 20  # that wait, of all addresses and of one
LIFE = timedelta(hours=1)
KEPT = timedelta(days=7)  # after the approval, for a host that was off
MOST_AGENT = 100

_NOT_SIGNED = "the introduction is not signed as this master expects"
_FULL = "too many hosts wait to be approved: approve or reject some on the master, or come again in a while"
_ENDED = "these keys were approved once and are no follower's any more: make others, or enrol with a token"


@dataclass(frozen=True, slots=True)
class _Heard:
    """What became of an introduction; `follower` once it was approved."""

    follower: Follower | None = None
    proof: bytes | None = None


class Introductions:
    """Answers POST /v1/introductions. Thread-safe."""

    def __init__(self, services: Services) -> None:
        self._services = services
        self._attempts = Throttle(services.clock, seconds=1)
        self._audit = Throttle(services.clock, seconds=60)

    def introduce(self, incoming: Incoming) -> Response:
        """Raises Refused, BadMessage and Invalid."""
        if not self._attempts.allows(site_of(incoming.address)):
            raise Refused("too-many-requests", "one introduction a second from one address", headers=_again("1"))
        said = decode(messages.Introduction, incoming.body)
        nonce = self._authenticate(said, incoming)
        protocols.declared(incoming, self._services.protocols)
        _check_content(said, self._services.protocols)
        heard = self._services.store.write(lambda records: self._hear(said, incoming.address, records))
        return self._answer(said, heard, nonce)

    def _authenticate(self, said: messages.Introduction, incoming: Incoming) -> str:
        """That the sender has the identity key; the signature's nonce."""
        try:
            claims = read_request_claims(incoming.headers)
            if claims.keyid != thumbprint(said.identity_key):
                raise BadSignature("other key id")
            verify_request(said.identity_key, incoming.headers, incoming.parts(self._services.origins))
        except BadSignature as error:
            self._note_refusal(error.reason, incoming.address)
            raise Refused("unauthorized", _NOT_SIGNED) from None
        return claims.nonce

    def _note_refusal(self, reason: str, address: str) -> None:
        """One event per reason, address and minute."""
        subject = f"address:{address}"
        if self._audit.allows((reason, subject)) and self._services.limits.may_note(subject):
            now, text = self._services.clock.now(), f"an introduction was refused: {reason}"
            data = {"reason": reason}
            self._services.store.write(
                lambda records: records.events.add(SYSTEM, "introduction.refused", subject, text, now=now, data=data)
            )

    def _hear(self, said: messages.Introduction, address: str, records: Records) -> _Heard:
        """Raises Refused, and then nothing was changed."""
        now, key_id = self._services.clock.now(), thumbprint(said.identity_key)
        try:
            known = records.introductions.get(SYSTEM, key_id, now)
        except NotFound:
            return self._begin(said, key_id, address, records, now)
        if known.follower_id is not None:
            return _approved(records, known, said)
        if (known.name, known.sealing_key) != (said.name, said.sealing_key):
            records.introductions.drop(SYSTEM, key_id)
            return self._begin(said, key_id, address, records, now)
        return _Heard()

    def _begin(self, said: messages.Introduction, key_id: str, address: str, records: Records, now: datetime) -> _Heard:
        """Raises Refused."""
        self._services.limits.introduces(address)
        made = Introduction(
            key_id, said.name, said.identity_key, said.sealing_key, said.agent, address, now, now + LIFE
        )
        beside = [one for one in records.introductions.all(SYSTEM, now) if site_of(one.address) == site_of(address)]
        added = len(beside) < MOST_FROM_ONE and records.introductions.add(
            SYSTEM, made, most=MOST, most_from_one=MOST_FROM_ONE
        )
        if not added:
            raise Refused("too-many-requests", _FULL, headers=_again("60"))
        text = f"a host at {address} introduced itself as {said.name} and waits to be approved"
        data = {"thumbprint": key_id, "address": address}
        records.events.add(SYSTEM, "follower.introduced", f"introduction:{said.name}", text, now=now, data=data)
        return _Heard()

    def _answer(self, said: messages.Introduction, heard: _Heard, nonce: str) -> Response:
        identity, now, follower = self._services.identity, self._services.clock.now(), heard.follower
        body = encode(
            IntroductionAnswer(
                state="approved" if follower else "pending",
                signing_keys=identity.trust.signing_keys,
                tls_pins=identity.tls_pins,
                nonce=said.nonce,
                protocol=PROTOCOL,
                follower_id=follower.id if follower else None,
                follower=follower.name if follower else None,
                epoch=identity.epoch if follower else None,
                time=time_text(now) if follower else None,
                proof=heard.proof,
            )
        )
        headers = sign_answer(
            identity.private, status=200, body=body, etag=None, nonce=nonce, created=now, keyid=identity.keyid
        )
        return Response(body, headers=headers, media_type="application/json")


def fingerprint_of(services: Services, known: Introduction) -> str:
    """What the host shows too, if nobody is in between."""
    return shared.fingerprint(known.identity_key, known.sealing_key, services.identity.public)


def _approved(records: Records, known: Introduction, said: messages.Introduction) -> _Heard:
    """Raises Refused."""
    follower = records.followers.by_id(SYSTEM, known.follower_id or "")
    same = (follower.identity_key, follower.sealing_key) == (said.identity_key, said.sealing_key)
    if not same or follower.state is not FollowerState.ACTIVE:
        raise Refused("unauthorized", _ENDED)
    return _Heard(follower, known.proof)


def _check_content(said: messages.Introduction, spoken: tuple[int, ...]) -> None:
    """Raises Invalid."""
    faults = []
    if said.protocol not in spoken:
        faults.append(Fault("/protocol", f"this master speaks {' and '.join(map(str, spoken))}: use a fitting release"))
    if len(said.agent) > MOST_AGENT:
        faults.append(Fault("/agent", f"has more than {MOST_AGENT} characters"))
    try:
        check_object_name(said.name, "follower")
    except BadName as error:
        faults.append(Fault("/name", str(error)))
    try:
        shared.check_keys(shared.HostKeys(said.identity_key, said.sealing_key, said.sealing_suite))
    except shared.BadString as error:
        faults.append(Fault(f"/{error.member}", str(error)))
    if faults:
        raise Invalid(*faults)


def _again(seconds: str) -> dict[str, str]:
    return {"Retry-After": seconds}
