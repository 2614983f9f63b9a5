"""Which of a follower's own keys signed a request; announced ones take over with the first (protocol, section 8)."""

from collections.abc import Mapping
from datetime import datetime, timedelta

from certline_master.domain.access import Caller
from certline_master.domain.model import Follower
from certline_master.domain.ports import Records
from certline_shared import signing
from certline_shared.failpoints import failpoint
from certline_shared.signing import BadSignature, RequestParts, thumbprint

NEXT_KEYS_LIFE = timedelta(hours=24)
FAILPOINTS = ("keys.take_over",)


def signer(follower: Follower, headers: Mapping[str, str], parts: RequestParts, now: datetime) -> bytes:
    """The identity key that made the signature: the present one, else the announced one. Raises BadSignature."""
    present = follower.identity_key or b""
    try:
        signing.verify_request(present, headers, parts)
    except BadSignature:
        announced = _announced(follower, now)
        if announced is None:
            raise
        signing.verify_request(announced, headers, parts)
        return announced
    return present


def _announced(follower: Follower, now: datetime) -> bytes | None:
    since = follower.next_keys_since
    return follower.next_identity_key if since and now - since < NEXT_KEYS_LIFE else None


def in_force(records: Records, caller: Caller, follower: Follower, key: bytes, now: datetime) -> bool:
    """Whether the follower may sign with this key; an announced one is its only one from here on."""
    if key == follower.identity_key:
        return True
    if not records.identities.take_over(caller, follower.id, identity_key=key, now=now):
        return records.followers.by_id(caller, follower.id).identity_key == key  # another request came first
    failpoint("keys.take_over")
    text = f"{follower.name} signs with its new keys: the former ones have ended"
    data = {"former": thumbprint(follower.identity_key or b""), "present": thumbprint(key)}
    records.events.add(caller, "follower.keys_changed", f"follower:{follower.name}", text, now=now, data=data)
    return True
