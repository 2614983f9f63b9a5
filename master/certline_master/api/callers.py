"""Who is asking: a verified signature or an admin token becomes a Caller; everything else a refusal with one reason."""

from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import timedelta
from functools import partial

from certline_master.api import admin_tokens, identity_keys, polls, protocols
from certline_master.api.changed_part import changed_part
from certline_master.api.incoming import Incoming
from certline_master.api.problems import Refused
from certline_master.api.server_nonce import ServerNonces
from certline_master.api.services import Services
from certline_master.api.throttle import Throttle
from certline_master.domain.access import SYSTEM, Caller, Role
from certline_master.domain.errors import Unavailable
from certline_master.domain.model import AdminToken, Follower, FollowerState
from certline_master.domain.networks import comes_from
from certline_master.domain.ports import Records
from certline_shared.messages import time_text
from certline_shared.signing import (
    BadSignature,
    RequestParts,
    SignatureClaims,
    generate_identity,
    read_request_claims,
    verify_request,
)

FRESH = timedelta(seconds=60)
SEEN_EVERY = timedelta(minutes=1)
NONCE_HEADER = "Certline-Nonce"

_NOT_SIGNED = "the request is not signed as this master expects"  # the same for every reason, on purpose
_NO_TOKEN = "send the header Authorization: Bearer with a valid admin token"  # noqa: S105 advice, not a password
_IN_URL = "a token never stands in a URL, where logs keep it: revoke it, and send another in the header Authorization"
_READS = frozenset({"GET", "HEAD"})


@dataclass(frozen=True, slots=True)
class Known:
    """A request whose key is on record; nothing else of it is believed yet."""

    follower: Follower
    claims: SignatureClaims
    parts: RequestParts
    mark: str  # of what manifests were made of when the follower was looked up


@dataclass(frozen=True, slots=True)
class Judged:
    """What a follower's request is worth."""

    nonce: str | None  # that the answer is to be signed over; None when no follower is known by the request's key
    caller: Caller | Exception  # who asks, or why nobody does
    unchanged: str | None = None  # the entity tag to answer a poll with that asks in vain


class Callers:
    """Verifies requests. Thread-safe; reads the state of the caller from the store every time."""

    def __init__(self, services: Services) -> None:
        self._services = services
        self._nonces = ServerNonces(services.identity.private, services.chance)
        self._audit = Throttle(services.clock, seconds=60)
        self._stand_in = generate_identity()[1]

    def admin(self, incoming: Incoming) -> Caller:
        """The caller of an admin token. Raises Refused."""
        if "certline_" in incoming.query:
            raise Refused("bad-message", _IN_URL)
        scheme, _, text = incoming.headers.get("authorization", "").partition(" ")
        if scheme.lower() != "bearer":
            raise Refused("unauthorized", _NO_TOKEN, headers={"WWW-Authenticate": "Bearer"})
        prefix = admin_tokens.prefix_of(text)
        with self._services.store.read() as records:
            candidates = records.tokens.by_prefix(SYSTEM, prefix) if prefix else []
        token = admin_tokens.matching(text, candidates)
        if token is None:
            raise self._refuse_admin("unknown token", incoming)
        now = self._services.clock.now()
        why_not = admin_tokens.why_not(token, incoming.address, now)
        if why_not:
            raise self._refuse_admin(why_not, incoming, token)
        self._services.limits.caller(token.id)
        if token.last_used is None or now - token.last_used >= SEEN_EVERY:
            with suppress(Unavailable):  # looking on is worth more than knowing when
                self._services.store.write(lambda records: records.tokens.used(SYSTEM, token.id, now))
        return Caller(Role(token.role), token.name)

    def follower(self, incoming: Incoming) -> Judged:
        nonce = None
        try:
            known = self.identify(incoming)
            nonce = known.claims.nonce
            caller = self.verify(known, incoming)
            return Judged(nonce, caller, polls.unchanged(self._services, caller, known.mark, incoming))
        except Exception as error:  # noqa: BLE001 whatever it is, the answer to it is signed
            return Judged(nonce, error)

    def unchanged(self, caller: Caller, incoming: Incoming) -> str | None:
        """The entity tag that a poll asks with, if that is the manifest's as of now."""
        with self._services.store.read() as records:
            mark = polls.mark_of(records)
        return polls.unchanged(self._services, caller, mark, incoming)

    def identify(self, incoming: Incoming) -> Known:
        """Whose key is said to have signed it. Raises Refused."""
        try:
            claims = read_request_claims(incoming.headers)
            parts = incoming.parts(self._services.origins)
        except BadSignature as error:
            raise self._refuse(error.reason, f"address:{incoming.address}", incoming) from None
        with self._services.store.read() as records:
            found = records.followers.asking(SYSTEM, claims.keyid)
        if found is None or found[0].identity_key is None:
            with suppress(BadSignature):  # as much work as for one that is there, so that the time tells nothing
                verify_request(self._stand_in, incoming.headers, parts)
            raise self._refuse("unknown key", f"address:{incoming.address}", incoming)
        return Known(found[0], claims, parts, found[1])

    def verify(self, known: Known, incoming: Incoming) -> Caller:
        """The follower, if it may act and this request is fresh and its own. Raises Refused."""
        self._check_state(known, incoming)
        self._check_fresh(known, incoming)
        try:
            key = identity_keys.signer(known.follower, incoming.headers, known.parts, self._services.clock.now())
        except BadSignature as error:
            changed = partial(changed_part, known.follower.identity_key or b"", incoming.headers, known.parts)
            subject = f"follower:{known.follower.name}"
            raise self._refuse(error.reason, subject, incoming, changed=changed) from None
        caller = Caller(Role.FOLLOWER, known.follower.name, known.follower.id)
        self._check_network(known, incoming)
        self._services.limits.follower(known.follower.id)
        if incoming.method not in _READS:
            self._services.limits.change(known.follower.id)
        why_not = self._remember(known, caller, key, changes=incoming.method not in _READS)
        if why_not:
            raise self._refuse(why_not, f"follower:{known.follower.name}", incoming)
        self._check_protocol(known, caller, incoming)
        return caller

    def _check_protocol(self, known: Known, caller: Caller, incoming: Incoming) -> None:
        """A follower keeps to the highest version that it used (T16)."""
        version = protocols.declared(incoming, self._services.protocols)
        refusal = protocols.lowered(known.follower.protocol, version)
        if refusal is not None:
            self._note("follower.downgrade", "lower protocol", f"follower:{known.follower.name}", incoming)
            raise refusal
        if version > known.follower.protocol:
            self._services.store.write(
                lambda records: records.identities.use_protocol(caller, known.follower.id, version)
            )

    def _check_state(self, known: Known, incoming: Incoming) -> None:
        try:
            refuse_unless_active(known.follower, reason=self._is_signed(known, incoming))
        except Refused:
            self._note("follower.refused", known.follower.state, f"follower:{known.follower.name}", incoming)
            raise

    def _is_signed(self, known: Known, incoming: Incoming) -> bool:
        """Whether the follower itself asks, who may be told more than a stranger."""
        if known.follower.state is FollowerState.ACTIVE:
            return False
        with suppress(BadSignature):
            verify_request(known.follower.identity_key or b"", incoming.headers, known.parts)
            return True
        return False

    def _check_network(self, known: Known, incoming: Incoming) -> None:
        """Only who has the key is told."""
        if not comes_from(incoming.address, known.follower.networks):
            self._note("follower.refused", "other network", f"follower:{known.follower.name}", incoming)
            text = f"requests of this follower are not taken from {incoming.address}: the master lists its networks"
            raise Refused("forbidden", text)

    def _check_fresh(self, known: Known, incoming: Incoming) -> None:
        now = self._services.clock.now()
        if abs(now - known.claims.created) <= FRESH or self._nonces.holds(known.claims.nonce, known.follower.id, now):
            return
        text = f"sign again with the nonce in {NONCE_HEADER}; the master's time is {time_text(now)}"
        headers = {NONCE_HEADER: self._nonces.make(known.follower.id, now)}
        raise self._refuse(
            "stale", f"follower:{known.follower.name}", incoming, kind="stale", text=text, headers=headers
        )

    def _remember(self, known: Known, caller: Caller, key: bytes, *, changes: bool) -> str | None:
        """Note when the follower was seen, the nonce of a changing request, and that an announced key took over.

        What is returned is why the request is refused all the same.
        """
        now, seen = self._services.clock.now(), known.follower.last_seen
        touch, new_key = seen is None or now - seen >= SEEN_EVERY, key != known.follower.identity_key
        if not (touch or changes or new_key):
            return None

        def work(records: Records) -> str | None:
            if touch:
                records.followers.touch(caller, known.follower.id, now=now)
            if changes and not records.followers.use_nonce(caller, known.follower.id, known.claims.nonce, now):
                return "replayed nonce"
            ended = new_key and not identity_keys.in_force(records, caller, known.follower, key, now)
            return "signature does not hold" if ended else None

        return self._services.store.write(work)

    def _refuse(
        self,
        reason: str,
        subject: str,
        incoming: Incoming,
        *,
        kind: str = "unauthorized",
        text: str = _NOT_SIGNED,
        headers: Mapping[str, str] | None = None,
        changed: Callable[[], str | None] = lambda: None,
    ) -> Refused:
        if kind != "stale":  # a wrong clock is no failure: the next request will hold
            self._services.limits.failed(incoming.address)
        self._note("follower.refused", reason, subject, incoming, changed)
        return Refused(kind, text, headers=headers)

    def _refuse_admin(self, reason: str, incoming: Incoming, token: AdminToken | None = None) -> Refused:
        """The same answer whatever the reason; only the record tells."""
        self._services.limits.failed(incoming.address)
        self._note("admin.refused", reason, f"token:{token.name}" if token else f"address:{incoming.address}", incoming)
        return Refused("unauthorized", _NO_TOKEN, headers={"WWW-Authenticate": "Bearer"})

    def _note(
        self,
        kind: str,
        reason: str,
        subject: str,
        incoming: Incoming,
        changed: Callable[[], str | None] = lambda: None,
    ) -> None:
        """One row per reason, caller and minute: a flood of refusals must not fill the disk.

        `changed` finds out, where there is room for the row, which part was changed on the way.
        """
        if not (self._audit.allows((kind, reason, subject)) and self._services.limits.may_note(subject)):
            return
        now, data = self._services.clock.now(), {"reason": reason, "address": incoming.address}
        text, part = f"a request was refused: {reason}", changed()
        if part is not None:
            text, data = f"{text}: its {part} was changed on the way", data | {"changed": part}
        self._services.store.write(lambda records: records.events.add(SYSTEM, kind, subject, text, now=now, data=data))


def in_the_name_of(follower: Follower) -> Caller:
    """For what an operator carries to a follower, or back with its signature: it is scoped as for itself."""
    return Caller(Role.FOLLOWER, follower.name, follower.id)


def refuse_unless_active(follower: Follower, *, reason: bool = True) -> None:
    """Raises Refused, told by the follower's state; `reason`: with what the operator said of it."""
    why = f" ({follower.state_reason})" if reason and follower.state_reason else ""
    match follower.state:
        case FollowerState.ACTIVE:
            return
        case FollowerState.SUSPENDED:
            text = f"this follower is suspended{why}: what is installed stays, nothing new is given"
            raise Refused("suspended", text)
        case FollowerState.REVOKED:
            raise Refused("revoked", f"this follower is revoked for good{why}: enrol the host anew")
    raise Refused("unauthorized", _NOT_SIGNED)
