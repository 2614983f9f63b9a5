"""Two followers and all that may be theirs: what the tests of who may see what look at."""

from collections.abc import Callable
from dataclasses import dataclass

from certline_master.domain.access import SYSTEM, Caller
from certline_master.domain.model import (
    AdminToken,
    Deployment,
    DeploymentState,
    Follower,
    HttpName,
    Issuer,
    Line,
    LineCsr,
    Order,
    OrderWork,
    Owner,
    Version,
    Zone,
)
from certline_master.domain.ports import EnrolmentToken, Records
from certline_shared.keys import KeyType
from tests.contract.store_bed import HOUR, StoreBed


@dataclass(frozen=True, slots=True)
class Fleet:
    """Two followers with a line each; the line of the second has a live version."""

    bed: StoreBed
    issuer: Issuer
    mine: Follower
    theirs: Follower
    my_line: Line
    their_line: Line
    their_version: Version
    their_order: Order
    their_token: EnrolmentToken
    work: OrderWork


def make_fleet(bed: StoreBed) -> Fleet:
    issuer, mine, theirs = bed.issuer(), bed.follower("web-1"), bed.follower("web-2")
    my_line = bed.line(mine, "mine", owner=Owner.FOLLOWER)
    their_line = bed.line(theirs, "theirs")
    csr = LineCsr(KeyType.ECDSA_P256, b"csr", "aa", their_line.names)
    bed.write(lambda records: records.lines.put_csr(SYSTEM, their_line.id, csr))
    _, (order,) = bed.opened(their_line, issuer)
    (work,) = bed.claim()
    version = bed.issue(work)
    assert version is not None
    report = Deployment(theirs.id, their_line.id, 1, DeploymentState.SERVED, None, bed.now)
    bed.write(lambda records: records.followers.report(SYSTEM, report))
    mac_key = bed.write(lambda records: records.secrets.add(SYSTEM, "enrolment", b"m"))
    token = EnrolmentToken(bed.chance.uuid(), theirs.id, mac_key, bed.now + HOUR)
    bed.write(lambda records: records.followers.add_token(SYSTEM, token))
    bed.write(lambda records: records.zones.save(SYSTEM, Zone("z", "example.test", Owner.FILE, "responder")))
    bed.write(lambda records: records.http.save(SYSTEM, HttpName("h", "www.example.test", Owner.FILE)))
    admin = AdminToken("t", "ci", "viewer", "abcd", bed.now, None)
    bed.write(lambda records: records.tokens.add(SYSTEM, admin, b"hash"))
    bed.write(lambda records: records.events.add(SYSTEM, "x", "line:theirs", "it happened", now=bed.now))
    return Fleet(bed, issuer, mine, theirs, my_line, their_line, version, order, token, work)


Use = Callable[[Records, Caller, Fleet], object]
"""One call of a repository's method by a caller."""
