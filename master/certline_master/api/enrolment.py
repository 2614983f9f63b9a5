"""Enrolment: a one-time token makes a host a follower; its secret keys a MAC and is never sent (protocol, section 3).

Whoever cannot prove that it knows the secret of a token that is good learns nothing but that it was refused.
"""

from dataclasses import dataclass, replace

from certline_master.api import protocols
from certline_master.api.incoming import Incoming
from certline_master.api.problems import Refused
from certline_master.api.services import Services
from certline_master.api.throttle import Throttle
from certline_master.domain.access import SYSTEM
from certline_master.domain.errors import Fault, Invalid, NotFound
from certline_master.domain.model import Follower, FollowerState
from certline_master.domain.networks import comes_from
from certline_master.domain.ports import EnrolmentToken, Records
from certline_shared import enrolment as shared
from certline_shared import sealing
from certline_shared.messages import (
    PROTOCOL,
    BadMessage,
    EnrolAnswer,
    EnrolRequest,
    canonical,
    decode,
    encode,
    time_text,
)
from certline_shared.signing import BadSignature, read_request_claims, thumbprint, verify_request

SECRET_KIND = "enrolment-key"  # noqa: S105 the label of the vault's rows
MOST_AGENT = 100

_REFUSED = "this enrolment token cannot be used: have a new one made on the master"  # the same for every reason


@dataclass(frozen=True, slots=True)
class _Asked:
    """An enrolment request whose MAC and signature hold, with its token and the token's MAC key."""

    message: EnrolRequest
    token: EnrolmentToken
    mac_key: bytes

    @property
    def thumbprint(self) -> str:
        return thumbprint(self.message.identity_key)


@dataclass(frozen=True, slots=True)
class _Denied:
    """Why somebody who knows the token's secret is refused, for the record."""

    kind: str
    text: str
    data: "dict[str, str]"
    status: int = 401

    @property
    def event(self) -> "tuple[str, str, dict[str, str]]":
        return self.kind, self.text, self.data


def _denied(reason: str) -> _Denied:
    return _Denied("enrolment.refused", f"an enrolment was refused: {reason}", {"reason": reason})


class Enrolment:
    """Answers POST /v1/enroll. Thread-safe."""

    def __init__(self, services: Services) -> None:
        self._services = services
        self._audit = Throttle(services.clock, seconds=60)
        self._stand_in = services.chance.token(32)  # the MAC key of tokens that are not there
        self._decoy = ""  # whose secret is read then: that of the last token that was there

    def enrol(self, incoming: Incoming) -> bytes:
        """The body of the answer. Raises Refused, BadMessage and Invalid; only that counts for the address."""
        try:
            return self._enrol(incoming)
        except (Refused, BadMessage, Invalid):
            self._services.limits.failed(incoming.address)
            raise

    def _enrol(self, incoming: Incoming) -> bytes:
        message = decode(EnrolRequest, incoming.body)
        asked = self._authenticate(message, incoming)
        protocols.declared(incoming, self._services.protocols)
        _check_content(message, self._services.protocols)
        denied = self._services.store.write(lambda records: self._claim(asked, incoming.address, records))
        if denied is not None:
            if self._audit.allows((denied.kind, asked.token.id)):
                self._services.store.write(lambda records: self._note(records, asked, *denied.event))
            raise Refused("unauthorized", _REFUSED, status=denied.status)
        return self._answer(asked)

    def _authenticate(self, message: EnrolRequest, incoming: Incoming) -> _Asked:
        """The MAC shows that the sender knows the token's secret, the signature that it has the identity key."""
        token, mac_key = self._find(message.token_id)
        said = canonical(incoming.body, without=("mac",))
        holds = shared.mac_holds(shared.request_mac(mac_key, said), message.mac)
        if token is None or not holds:
            raise self._refuse("wrong mac" if token else "unknown token", incoming)
        try:
            if read_request_claims(incoming.headers).keyid != message.token_id:
                raise self._refuse("other key id", incoming)
            verify_request(message.identity_key, incoming.headers, incoming.parts(self._services.origins))
        except BadSignature as error:
            raise self._refuse(error.reason, incoming) from None
        return _Asked(message, token, mac_key)

    def _find(self, token_id: str) -> tuple[EnrolmentToken | None, bytes]:
        """The token with its MAC key. For one that is not there as much work is done: the time tells nothing."""
        with self._services.store.read() as records:
            try:
                token = records.followers.token(SYSTEM, token_id)
            except NotFound:
                token = None
            try:
                mac_key = records.secrets.read(SYSTEM, SECRET_KIND, token.mac_key if token else self._decoy)
            except NotFound:
                return None, self._stand_in
        if token is None:
            return None, self._stand_in
        self._decoy = token.mac_key
        return token, mac_key

    def _claim(self, asked: _Asked, address: str, records: Records) -> "_Denied | None":
        """Use the token up, or see that this very key did; everything in the caller's transaction."""
        now, message = self._services.clock.now(), asked.message
        follower = records.followers.by_id(SYSTEM, asked.token.follower_id)
        if asked.token.used is None and not comes_from(address, follower.networks):
            return _denied(f"sent from another network, by {address}")
        claimed = records.followers.claim_token(
            SYSTEM,
            asked.token.id,
            identity_key=message.identity_key,
            sealing_key=message.sealing_key,
            thumbprint=asked.thumbprint,
            agent=message.agent,
            now=now,
        )
        if claimed:
            self._note(records, asked, "follower.enrolled", "enrolled with its token", {"thumbprint": asked.thumbprint})
            return None
        token = records.followers.token(SYSTEM, asked.token.id)
        follower = records.followers.by_id(SYSTEM, token.follower_id)
        still_its_own = token.used_by == asked.thumbprint and follower.identity_key == message.identity_key
        if still_its_own and follower.state is FollowerState.ACTIVE:
            return None
        if token.used_by in (None, asked.thumbprint):
            return _denied(_why_not(token, follower))
        text = f"a second host tried to enrol with a used token: key {asked.thumbprint}, the first was {token.used_by}"
        return _Denied("token.used_twice", text, {"first": token.used_by, "second": asked.thumbprint}, status=409)

    def _note(self, records: Records, asked: _Asked, kind: str, text: str, data: "dict[str, str]") -> None:
        follower = records.followers.by_id(SYSTEM, asked.token.follower_id)
        now = self._services.clock.now()
        data = data | {"token": asked.token.id}
        records.events.add(SYSTEM, kind, f"follower:{follower.name}", text, now=now, data=data)

    def _refuse(self, reason: str, incoming: Incoming) -> Refused:
        """One event per reason, address and minute."""
        subject = f"address:{incoming.address}"
        if self._audit.allows((reason, subject)) and self._services.limits.may_note(subject):
            now, text = self._services.clock.now(), f"an enrolment was refused: {reason}"
            self._services.store.write(
                lambda records: records.events.add(
                    SYSTEM, "enrolment.refused", subject, text, now=now, data={"reason": reason}
                )
            )
        return Refused("unauthorized", _REFUSED)

    def _answer(self, asked: _Asked) -> bytes:
        with self._services.store.read() as records:
            follower = records.followers.by_id(SYSTEM, asked.token.follower_id)
        identity = self._services.identity
        answer = EnrolAnswer(
            follower_id=follower.id,
            follower=follower.name,
            signing_keys=identity.trust.signing_keys,
            tls_pins=identity.tls_pins,
            epoch=identity.epoch,
            time=time_text(self._services.clock.now()),
            nonce=asked.message.nonce,
            protocol=PROTOCOL,
        )
        mac = shared.answer_mac(asked.mac_key, encode(answer, without=("mac",)))
        return encode(replace(answer, mac=mac))


def _why_not(token: EnrolmentToken, follower: Follower) -> str:
    """For the record."""
    if follower.state not in (FollowerState.INVITED, FollowerState.ACTIVE):
        return f"{follower.state} follower"
    return "replaced host" if token.used_by else "expired token"


def _check_content(message: EnrolRequest, spoken: tuple[int, ...]) -> None:
    """Raises Invalid. Asked only of who knows the secret, so that the text may help."""
    faults = []
    if message.protocol not in spoken:
        known = " and ".join(map(str, spoken))
        faults.append(Fault("/protocol", f"this master speaks protocol {known}: use a fitting release"))
    if message.sealing_suite != sealing.SUITE:
        faults.append(Fault("/sealing_suite", f"this master seals with {sealing.SUITE} only"))
    if len(message.agent) > MOST_AGENT:
        faults.append(Fault("/agent", f"has more than {MOST_AGENT} characters"))
    try:
        sealing.check_public(message.sealing_key)
    except ValueError as error:
        faults.append(Fault("/sealing_key", str(error)))
    if faults:
        raise Invalid(*faults)
