"""Orders stopped from outside: whoever holds them hears of it at the next write, and nothing becomes live."""

import pytest

from certline_master.domain.access import SYSTEM
from certline_master.domain.errors import LeaseLost
from certline_master.domain.model import Failure, FailureClass, VersionState
from tests.contract.store_bed import StoreBed

WITHDRAWN = Failure(FailureClass.RETRY_SOON, "its grant was withdrawn")


def stop(bed: StoreBed, line_id: str) -> bool:
    return bed.write(lambda records: records.orders.stop(SYSTEM, line_id, WITHDRAWN, now=bed.now))


def test_a_worker_cannot_issue_what_was_stopped_meanwhile(bed: StoreBed) -> None:
    issuer, line = bed.issuer(), bed.line(bed.follower())
    bed.opened(line, issuer)
    (work,) = bed.claim()
    assert stop(bed, line.id)
    with pytest.raises(LeaseLost):
        bed.issue(work)
    (version,) = bed.read(lambda records: records.versions.all(SYSTEM, line.id))
    assert (version.state, version.failure) == (VersionState.FAILED, WITHDRAWN)
    assert bed.read(lambda records: records.orders.live(SYSTEM)) == []


def test_stopping_touches_neither_what_is_live_nor_other_lines(bed: StoreBed) -> None:
    issuer, line, other = bed.issuer(), bed.line(bed.follower()), bed.line(bed.follower("web-2"), "other")
    bed.opened(line, issuer)
    bed.issue(bed.claim()[0])
    bed.opened(other, issuer)
    assert not stop(bed, line.id)
    assert line.id in bed.read(lambda records: records.versions.live(SYSTEM, [line.id]))
    assert len(bed.read(lambda records: records.orders.live(SYSTEM))) == 1
