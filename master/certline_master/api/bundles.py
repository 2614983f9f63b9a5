"""Bundles that are carried to a follower without a connection, and the receipts that are carried back."""

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import datetime

from certline_master.api import manifests, reports, version_content, wish_reading, wishes
from certline_master.api.callers import in_the_name_of
from certline_master.api.problems import Refused
from certline_master.api.services import Services
from certline_master.domain.access import Caller
from certline_master.domain.errors import Conflict, DomainError, Fault, Invalid, NotFound, Unavailable
from certline_master.domain.model import Follower, FollowerState
from certline_master.domain.ports import Records
from certline_shared import bundles, codec, manifest
from certline_shared.bundles import BadBundle, Bundle, Receipt
from certline_shared.failpoints import failpoint
from certline_shared.messages import encode
from certline_shared.names import BadName, check_object_name

FAILPOINTS = ("bundle.recorded", "receipt.counted")
_TRIES = 3  # a line may go on to its next version while its files are collected


@dataclass(frozen=True, slots=True)
class Heard:
    """What became of one wish in a receipt: the line's full name and state, or why it was refused."""

    line: str
    state: str | None = None
    refused: str | None = None


@dataclass(frozen=True, slots=True)
class ReceiptTaken:
    """What a receipt changed on the master."""

    follower: str
    manifest_serial: int
    deployments: int
    wishes: tuple[Heard, ...]


def create(services: Services, by: Caller, name: str) -> Bundle:
    """A bundle of what the follower is to hold now; its keys are released to it on record, in the name of `by`.

    Raises NotFound, and Conflict for a follower that is not active.
    """
    follower = _active(services, by, name)
    tries = (_collected(services, by, follower) for _ in range(_TRIES))
    bundle = next(filter(None, tries), None)
    if bundle is None:
        raise Unavailable(f"the lines of {name} change while its bundle is made: make it again in a minute")
    services.store.write(lambda records: _note_made(records, by, name, bundle, services.clock.now()))
    failpoint("bundle.recorded")
    return bundle


def _active(services: Services, by: Caller, name: str) -> Follower:
    with services.store.read() as records:
        follower = records.followers.get(by, name)
    if follower.state is not FollowerState.ACTIVE:
        raise Conflict(f"follower {name} is {follower.state}: bundles are for hosts that are enrolled and active")
    return follower


def _collected(services: Services, by: Caller, follower: Follower) -> Bundle | None:
    """None when what the manifest lists was overtaken."""
    caller = in_the_name_of(follower)
    seen = _without_staged(manifests.with_serial(services, caller, manifests.look(services, caller)))
    listed = [(line.name, line.version) for line in seen.manifest.lines if line.version is not None]
    try:
        versions = [version_content.content(services, caller, *one, actor=by) for one in listed]
        made = Bundle(bundles.BUNDLE, manifest.sign(seen.manifest, services.identity.private), tuple(versions))
        bundles.check_contents(made, seen.manifest)
    except (NotFound, BadBundle):
        return None
    return made


def _without_staged(seen: manifests.Look) -> manifests.Look:
    """Who carries a bundle brings what is live: what is staged would be another journey."""
    lines = tuple(replace(line, staged=None) for line in seen.manifest.lines)
    return replace(seen, manifest=replace(seen.manifest, lines=lines))


def _note_made(records: Records, by: Caller, name: str, bundle: Bundle, now: datetime) -> None:
    listed = [f"{one.line} version {one.version}" for one in bundle.versions]
    text = f"a bundle was made for {name}, with {', '.join(listed) or 'no version'}"
    records.events.add(by, "bundle.created", f"follower:{name}", text, now=now, data={"versions": listed})


def take(services: Services, by: Caller, name: str, body: bytes) -> ReceiptTaken:
    """Hear what a host said by its receipt. It may be brought again; one that was overtaken is refused.

    Raises NotFound, BadMessage, Invalid and Conflict.
    """
    follower = _active(services, by, name)
    receipt, digest = _opened(follower, body)
    caller = in_the_name_of(follower)
    _count(services, by, caller, receipt, digest)
    failpoint("receipt.counted")
    said = reports.read_report(encode(replace(receipt.report, seq=None)))
    reports.record(services, caller, said, _counted_already)
    heard = tuple(_hear(services, caller, receipt))
    return ReceiptTaken(name, said.manifest_serial, len(said.deployments), heard)


def _opened(follower: Follower, body: bytes) -> tuple[Receipt, str]:
    """The receipt and its digest. Raises BadMessage and Invalid."""
    signed = bundles.read_receipt(body)
    try:
        receipt = bundles.open_receipt(signed, follower.identity_key or b"", follower.id)
    except BadBundle as error:
        text = f"{error}: is it of another host, or from before this one had its present key?"
        raise Invalid(Fault("/signature", text)) from None
    for line in receipt.wishes:
        try:
            check_object_name(line, "line")
        except BadName as error:
            raise Invalid(Fault("/receipt", str(error))) from None
    return receipt, hashlib.sha256(signed.receipt).hexdigest()


def _count(services: Services, by: Caller, caller: Caller, receipt: Receipt, digest: str) -> None:
    """A receipt has a place among the host's requests; behind it, its word is old. Raises Conflict."""
    now = services.clock.now()

    def work(records: Records) -> None:
        """A refused one leaves nothing, or it would be the last one known when it is brought again."""
        follower = records.followers.by_id(caller, caller.follower_id or "")
        counted = receipt.seq >= follower.sequence and records.identities.count(
            caller, follower.id, receipt.seq, digest=digest, address=f"a receipt ({by.actor})", now=now
        )
        if not counted or not counted.good:
            text = f"{caller.name} has said newer things since this receipt of {receipt.time}: bring its last one"
            raise Conflict(text)
        text, data = f"a receipt of {receipt.time} was brought", {"seq": receipt.seq, "time": receipt.time}
        records.events.add(by, "receipt.taken", f"follower:{caller.name}", text, now=now, data=data)

    services.store.write(work)


def _counted_already(_records: Records) -> Refused | None:
    """All of a receipt is counted once."""
    return None


def _hear(services: Services, caller: Caller, receipt: Receipt) -> Iterator[Heard]:
    """A wish that is refused stops no other."""
    for line, wish in sorted(receipt.wishes.items()):
        try:
            known = wish_reading.read_wish(encode(replace(wish, seq=None)))
            answer = wishes.record(services, caller, line, known, _counted_already)
        except (DomainError, Refused, codec.BadMessage) as error:
            yield Heard(line, refused=str(error))
        else:
            yield Heard(answer.line, state=answer.state)
