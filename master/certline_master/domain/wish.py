"""A line's wish (names, key types, keys): what fits it, what came before it, and when its work ends early. Pure."""

from dataclasses import dataclass
from datetime import datetime, timedelta

from certline_master.domain.model import Asks, Custody, Line, LineCsr, LineSnapshot, Owner, Slot, Version, VersionState
from certline_master.domain.succession import was_live
from certline_shared.keys import KeyType

MERGED = timedelta(seconds=60)
"""Changes of a wish within it of an order make one further order (protocol, section 7)."""

MOST_UNPULLED = 2
"""A line of which so many versions in a row were pulled by nobody is paused."""


@dataclass(frozen=True, slots=True)
class StopOrder:
    """End the order under way: it is for a wish that is not the line's any more."""

    number: int  # of its version
    reason: str = "the wish changed while its order was under way"


@dataclass(frozen=True, slots=True)
class PauseLine:
    """Renew no more until somebody pulls what is there, or asks."""

    reason: str


@dataclass(frozen=True, slots=True)
class MakeRequest:
    """Make the requests of a line whose key the master keeps, and the keys of these types where there are none."""

    key_types: tuple[KeyType, ...]
    reason: str
    slot: Slot = Slot.CURRENT


def asks_fit(asks: Asks, line: Line) -> bool:
    """Whether a request asks for what the line is to have. Without a wish for one, any common name fits."""
    wanted = line.options.common_name
    return asks.must_staple == line.options.must_staple and wanted in (None, asks.common_name)


def asks_changed(live: Version, snapshot: LineSnapshot) -> str | None:
    """Why the live version is not what the line is to have, beside names and keys; None where it is.

    A host that cannot ask for it (one of a former release) keeps what it has, renewed as ever.
    """
    line, issuer = snapshot.line, snapshot.issuer
    asks = [certificate.asks for certificate in live.certificates]
    if issuer and any(one.directory not in (None, issuer.directory_url) for one in asks):
        return "the issuer changed"
    profile = line.profile or (issuer.profile if issuer else None)
    if issuer and profile in (issuer.profiles or ()) and any(one.profile not in (None, profile) for one in asks):
        return "the profile changed"
    can_ask = line.custody is Custody.MASTER or all(asks_fit(csr.asks, line) for csr in fitting_requests(snapshot))
    if can_ask and not all(asks_fit(one, line) for one in asks):
        return "the common name or Must-Staple changed"
    return None


def fitting_requests(snapshot: LineSnapshot) -> list[LineCsr]:
    """Where the master keeps the key, only those of its present keys: a request of the host from before is not."""
    wanted, keys = set(snapshot.line.names), snapshot.current_keys
    at_home = snapshot.line.custody is Custody.FOLLOWER
    return [
        csr
        for csr in snapshot.csrs
        if set(csr.names) == wanted
        and csr.key_type in snapshot.line.key_types
        and (at_home or (csr.spki_sha256 in keys and asks_fit(csr.asks, snapshot.line)))
    ]


def fitting_next(snapshot: LineSnapshot) -> list[LineCsr]:
    """The same of the next keys."""
    line, names = snapshot.line, set(snapshot.line.names)
    kept = {key.spki_sha256 for key in snapshot.keys if key.slot is Slot.NEXT}
    return [
        csr
        for csr in snapshot.next_csrs
        if set(csr.names) == names
        and csr.key_type in line.key_types
        and csr.spki_sha256 in kept
        and (line.custody is Custody.FOLLOWER or asks_fit(csr.asks, line))
    ]


def custody_changed(live: Version, snapshot: LineSnapshot) -> str | None:
    """Why the live version's key is not of the line's custody; None where it is."""
    kept = [certificate.spki_sha256 in snapshot.kept_keys for certificate in live.certificates]
    if snapshot.line.custody is Custody.MASTER and not all(kept):
        return "custody changed: the master keeps the key from now on"
    if snapshot.line.custody is Custody.FOLLOWER and any(kept):
        return "custody changed: the follower keeps the key from now on"
    return None


def is_for_this_wish(version: Version, snapshot: LineSnapshot) -> bool:
    wanted = {csr.spki_sha256 for csr in (*fitting_requests(snapshot), *fitting_next(snapshot))}
    return all(set(c.names) == set(snapshot.line.names) and c.spki_sha256 in wanted for c in version.certificates)


def went_back(live: Version, snapshot: LineSnapshot) -> bool:
    """Whether an operator put it back in the place of one that fits the wish, but for keys, which move back with it:
    that is not undone before it is due.
    """
    newer = (one for one in snapshot.versions if one.number > live.number and was_live(one))
    wanted = set(snapshot.line.names), set(snapshot.line.key_types)
    return any(one.state is VersionState.RETIRED and _names_and_types(one) == wanted for one in newer)


def _names_and_types(version: Version) -> tuple[set[str], set[KeyType]]:
    certificates = version.certificates
    return {name for one in certificates for name in one.names}, {one.key_type for one in certificates}


def under_way(snapshot: LineSnapshot) -> Version | None:
    return next((version for version in snapshot.versions if version.state is VersionState.ORDERED), None)


def superseded(running: Version, snapshot: LineSnapshot) -> datetime | None:
    """From when on an order under way may be stopped for its former wish; None while it is for the present one."""
    return None if is_for_this_wish(running, snapshot) else running.created + MERGED


def merged_until(snapshot: LineSnapshot) -> datetime | None:
    """Until when more changes of a host's own wish are waited for: where other names were ordered for just now.

    A new key alone is not waited for: a host that was rebuilt, or lost its key, needs its certificate.
    """
    if snapshot.line.owner is not Owner.FOLLOWER or snapshot.line.forced:
        return None
    names = set(snapshot.line.names)
    former = [one.created for one in snapshot.versions if any(set(c.names) != names for c in one.certificates)]
    return max(former) + MERGED if former else None


def nobody_pulls(snapshot: LineSnapshot) -> str | None:
    """Why the line is not renewed any more, in words for the operator; None where it is."""
    if snapshot.unpulled < MOST_UNPULLED or snapshot.line.forced:
        return None
    return f"nobody pulled the last {snapshot.unpulled} versions: it goes on when somebody does, or by `line issue`"
