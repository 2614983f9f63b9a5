"""New keys that a follower announces: kept until it signs with them (protocol, section 8)."""

from certline_master.api.incoming import Incoming
from certline_master.api.sequences import counted
from certline_master.api.services import Services
from certline_master.domain.access import Caller
from certline_master.domain.errors import Conflict, Fault, Invalid
from certline_master.domain.ports import Records
from certline_shared import introduction, signing
from certline_shared.failpoints import failpoint
from certline_shared.messages import KEY_CHANGE_PREFIX, KeyChange, canonical, decode
from certline_shared.signing import thumbprint

FAILPOINTS = ("keys.announced",)


def read_change(body: bytes) -> KeyChange:
    """Raises BadMessage, and Invalid naming each member that cannot be used."""
    change = decode(KeyChange, body)
    faults = []
    try:
        introduction.check_keys(introduction.HostKeys(change.identity_key, change.sealing_key, change.sealing_suite))
    except introduction.BadString as error:
        faults.append(Fault(f"/{error.member}", str(error)))
    if not signing.verify(change.identity_key, change.proof, KEY_CHANGE_PREFIX + canonical(body, without=("proof",))):
        faults.append(Fault("/proof", "is not the new identity key's signature over this body"))
    if faults:
        raise Invalid(*faults)
    return change


def announce(services: Services, caller: Caller, incoming: Incoming, change: KeyChange) -> None:
    """Keep the keys that take over with the first request they sign. Raises Conflict, Refused."""
    refusal = services.store.write(lambda records: _announce(services, caller, incoming, change, records))
    if refusal is not None:
        raise refusal
    failpoint("keys.announced")


def _announce(
    services: Services, caller: Caller, incoming: Incoming, change: KeyChange, records: Records
) -> Exception | None:
    follower, now = records.followers.by_id(caller, caller.follower_id or ""), services.clock.now()
    refusal = counted(services, records, caller, incoming, change.seq)
    if refusal is not None:
        return refusal
    if change.identity_key == follower.identity_key:
        same = change.sealing_key == follower.sealing_key  # they took over already
        return None if same else Conflict("a new sealing key comes with a new identity key: make both")
    if records.identities.announce(
        caller, follower.id, identity_key=change.identity_key, sealing_key=change.sealing_key, now=now
    ):
        text = f"{follower.name} announced new keys: they take over with the first request they sign, within a day"
        data = {"present": thumbprint(follower.identity_key or b""), "next": thumbprint(change.identity_key)}
        records.events.add(caller, "follower.keys_announced", f"follower:{follower.name}", text, now=now, data=data)
        services.limits.noted(follower.id)
    return None
