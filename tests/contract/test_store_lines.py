"""Lines, their requests, what the planner is shown of them, and their versions."""

from dataclasses import replace
from datetime import timedelta

import pytest

from certline_master.domain.access import SYSTEM
from certline_master.domain.errors import Conflict, NotFound
from certline_master.domain.model import (
    Custody,
    Failure,
    FailureClass,
    Grant,
    GrantKind,
    HeldKey,
    Issuer,
    Line,
    LineCsr,
    LineSnapshot,
    OrderState,
    Owner,
    Renewal,
    Slot,
    VersionState,
)
from certline_master.domain.ports import Records
from certline_shared.keys import KeyType
from tests.contract.store_bed import HOUR, OPERATOR, StoreBed, as_follower


def test_a_line_comes_back_as_it_was_saved(bed: StoreBed) -> None:
    issuer = bed.issuer()
    saved = bed.line(
        bed.follower(),
        names=("b.example.test", "*.a.example.test"),
        key_types=(KeyType.RSA_2048, KeyType.ECDSA_P256),
        issuer_id=issuer.id,
        profile="short",
        custody=Custody.MASTER,
        next_look=bed.now,
        forced=True,
    )
    assert bed.read(lambda records: records.lines.get(SYSTEM, "shop")) == saved
    assert bed.read(lambda records: records.lines.by_id(SYSTEM, saved.id)) == saved
    changed = replace(saved, name="store", next_look=None, forced=False)
    bed.write(lambda records: records.lines.save(OPERATOR, changed))
    assert bed.read(lambda records: records.lines.by_id(SYSTEM, saved.id)) == changed


def test_two_lines_cannot_have_one_name(bed: StoreBed) -> None:
    follower = bed.follower()
    bed.line(follower)
    with pytest.raises(Conflict, match="another line 'shop'"):
        bed.line(follower)


def test_a_line_needs_a_follower_that_is_there(bed: StoreBed) -> None:
    line = Line(bed.chance.uuid(), "shop", Owner.FILE, "gone", ("a.example.test",))
    with pytest.raises(Conflict, match="follower or issuer is gone"):
        bed.write(lambda records: records.lines.save(SYSTEM, line))


def test_lines_are_listed_by_name_page_by_page(bed: StoreBed) -> None:
    follower = bed.follower()
    for name in ("c", "a", "b"):
        bed.line(follower, name)
    with bed.store.read() as records:
        assert [line.name for line in records.lines.all(SYSTEM)] == ["a", "b", "c"]
        assert [line.name for line in records.lines.all(SYSTEM, limit=2)] == ["a", "b"]
        assert [line.name for line in records.lines.all(SYSTEM, after="b")] == ["c"]


def test_of_very_many_lines_none_is_left_out_unless_a_page_is_asked_for(bed: StoreBed) -> None:
    follower = bed.follower()
    made = [Line(bed.chance.uuid(), f"l-{number}", Owner.FILE, follower.id, ("a.example",)) for number in range(1_001)]

    def save(records: Records) -> None:
        for line in made:
            records.lines.save(SYSTEM, line)

    bed.write(save)
    with bed.store.read() as records:
        for caller in (SYSTEM, as_follower(follower)):
            assert len(records.lines.all(caller)) == len(made)
            assert len(records.lines.snapshots(caller, [line.id for line in made])) == len(made)


def test_the_most_overdue_lines_are_due_first(bed: StoreBed) -> None:
    follower = bed.follower()
    late = bed.line(follower, "late", next_look=bed.now - HOUR)
    now = bed.line(follower, "now", next_look=bed.now)
    bed.line(follower, "later", next_look=bed.now + HOUR)
    bed.line(follower, "never", next_look=None)
    with bed.store.read() as records:
        assert records.lines.due(SYSTEM, bed.now, 10) == [late.id, now.id]
        assert records.lines.due(SYSTEM, bed.now, 1) == [late.id]


def test_the_next_look_can_be_set_alone(bed: StoreBed) -> None:
    line = bed.line(bed.follower())
    bed.write(lambda records: records.lines.set_next_look(SYSTEM, line.id, bed.now))
    assert bed.read(lambda records: records.lines.by_id(SYSTEM, line.id)) == replace(line, next_look=bed.now)
    with pytest.raises(NotFound):
        bed.write(lambda records: records.lines.set_next_look(SYSTEM, "gone", None))


def test_a_look_that_has_ended_does_not_undo_one_that_was_asked_for_meanwhile(bed: StoreBed) -> None:
    line, later = bed.line(bed.follower(), next_look=bed.now), bed.now + HOUR
    assert bed.write(lambda records: records.lines.looked(SYSTEM, line.id, was=bed.now, then=later))
    assert not bed.write(lambda records: records.lines.looked(SYSTEM, line.id, was=bed.now, then=None))
    assert bed.read(lambda records: records.lines.by_id(SYSTEM, line.id)).next_look == later
    assert bed.write(lambda records: records.lines.looked(SYSTEM, line.id, was=later, then=None))
    assert bed.write(lambda records: records.lines.looked(SYSTEM, line.id, was=None, then=later))
    assert not bed.write(lambda records: records.lines.looked(SYSTEM, "gone", was=None, then=None))


def _csr(line: Line, key_type: KeyType = KeyType.ECDSA_P256, spki: str = "aa") -> LineCsr:
    return LineCsr(key_type, b"csr " + spki.encode(), spki, line.names)


def test_a_request_takes_the_place_of_the_former_one_of_its_key_type(bed: StoreBed) -> None:
    line = bed.line(bed.follower())
    for csr in (_csr(line), _csr(line, KeyType.RSA_2048), _csr(line, spki="bb")):
        bed.write(lambda records, csr=csr: records.lines.put_csr(SYSTEM, line.id, csr))  # type: ignore[misc]
    found = bed.read(lambda records: records.lines.csrs(SYSTEM, line.id))
    assert found == [_csr(line, spki="bb"), _csr(line, KeyType.RSA_2048)]
    with pytest.raises(NotFound):
        bed.write(lambda records: records.lines.put_csr(SYSTEM, "gone", _csr(line)))


def test_a_deleted_line_takes_its_versions_along_and_fails_its_orders(bed: StoreBed) -> None:
    line, issuer = bed.line(bed.follower()), bed.issuer()
    _, (order,) = bed.opened(line, issuer)
    (work,) = bed.claim()
    challenge = bed.challenge(order)
    bed.write(lambda records: records.orders.save(SYSTEM, work.lease, work.order, challenges=[challenge]))
    bed.write(lambda records: records.events.add(SYSTEM, "x", "line:shop", "it was there", now=bed.now))
    bed.write(lambda records: records.lines.delete(OPERATOR, "shop"))
    with bed.store.read() as records:
        assert records.lines.all(SYSTEM) == []
        assert records.versions.all(SYSTEM, line.id) == []
        found = records.orders.get(SYSTEM, order.id)
        assert (found.state, found.failure and found.failure.detail) == (OrderState.FAILED, "the line was deleted")
        assert records.orders.to_remove(SYSTEM, now=bed.now, limit=9) == [challenge]
        assert len(records.events.all(SYSTEM, subject="line:shop")) == 1
    with pytest.raises(NotFound):
        bed.write(lambda records: records.lines.delete(OPERATOR, "shop"))


# --- versions ---------------------------------------------------------------------------------------------------------


def test_a_version_comes_back_with_its_certificates_in_both_key_types(bed: StoreBed) -> None:
    line = bed.line(bed.follower())
    both = (KeyType.ECDSA_P256, KeyType.RSA_2048)
    version, _ = bed.version(line, bed.issuer(), key_types=both)
    bed.write(lambda records: records.versions.open(SYSTEM, version, []))
    with bed.store.read() as records:
        assert records.versions.get(SYSTEM, line.id, 1) == version
        assert records.versions.all(SYSTEM, line.id) == [version]
        assert records.versions.certificate(SYSTEM, version.certificates[1].id) == version.certificates[1]
        for missing in (
            lambda: records.versions.get(SYSTEM, line.id, 2),
            lambda: records.versions.certificate(SYSTEM, "x"),
        ):
            with pytest.raises(NotFound):
                missing()


def test_a_line_has_each_number_once(bed: StoreBed) -> None:
    line, issuer = bed.line(bed.follower()), bed.issuer()
    bed.opened(line, issuer)
    version, _ = bed.version(line, issuer)
    with pytest.raises(Conflict):
        bed.write(lambda records: records.versions.open(SYSTEM, version, []))


def test_one_line_has_one_live_version(bed: StoreBed) -> None:
    line, issuer = bed.line(bed.follower()), bed.issuer()
    versions = [bed.version(line, issuer, number)[0] for number in (1, 2)]
    for number, version in enumerate(versions):
        moment = bed.now + number * HOUR
        bed.write(lambda records, v=version: records.versions.open(SYSTEM, v, []))  # type: ignore[misc]
        bed.write(lambda r, v=version, t=moment: r.versions.set_state(SYSTEM, v.id, VersionState.LIVE, now=t))  # type: ignore[misc]
    newest, former = bed.read(lambda records: records.versions.all(SYSTEM, line.id))
    assert (newest.state, newest.ended) == (VersionState.LIVE, None)
    assert (former.state, former.ended) == (VersionState.RETIRED, bed.now + HOUR)
    assert bed.read(lambda records: records.versions.live(SYSTEM, [line.id, "other"])) == {line.id: newest}


def test_a_live_version_is_live_since_its_last_certificate_was_issued(bed: StoreBed) -> None:
    follower, issuer = bed.follower(), bed.issuer()
    line = bed.line(follower, key_types=(KeyType.ECDSA_P256, KeyType.RSA_2048))
    bed.opened(line, issuer, key_types=(KeyType.ECDSA_P256, KeyType.RSA_2048))
    waiting = bed.line(follower, "waiting")
    bed.opened(waiting, issuer)
    assert bed.read(lambda records: records.versions.live_since(SYSTEM, [line.id, waiting.id])) == {}
    for minutes in (1, 2):
        for work in bed.claim():
            if work.line_id == line.id:
                since = bed.now + timedelta(minutes=minutes)
                bed.issue(replace(work, order=replace(work.order, since=since)))
    for caller, found in (
        (SYSTEM, {line.id: bed.now + timedelta(minutes=2)}),
        (as_follower(follower), {line.id: bed.now + timedelta(minutes=2)}),
        (as_follower(bed.follower("web-2")), {}),
    ):
        seen = bed.read(
            lambda records, who=caller: records.versions.live_since(who, [line.id, waiting.id])  # type: ignore[misc]
        )
        assert seen == found


def test_a_failed_version_keeps_its_reason(bed: StoreBed) -> None:
    line = bed.line(bed.follower())
    version, _ = bed.opened(line, bed.issuer())
    failure = Failure(FailureClass.RETRY_AT, "too many certificates", bed.now + HOUR)
    bed.write(
        lambda records: records.versions.set_state(
            SYSTEM, version.id, VersionState.FAILED, now=bed.now, failure=failure
        )
    )
    found = bed.read(lambda records: records.versions.get(SYSTEM, line.id, 1))
    assert (found.state, found.failure, found.ended) == (VersionState.FAILED, failure, bed.now)
    with pytest.raises(NotFound):
        bed.write(lambda records: records.versions.set_state(SYSTEM, "gone", VersionState.LIVE, now=bed.now))


def test_a_renewal_is_kept_with_its_reason_and_window(bed: StoreBed) -> None:
    version, _ = bed.opened(bed.line(bed.follower()), bed.issuer())
    certificate = version.certificates[0]
    renewal = Renewal(
        bed.now, "inside the CA's window", bed.now + HOUR, bed.now - HOUR, bed.now + HOUR, "https://x.example"
    )
    bed.write(lambda records: records.versions.set_renewal(SYSTEM, certificate.id, renewal))
    bed.write(lambda records: records.versions.mark_replaced(SYSTEM, certificate.id))
    found = bed.read(lambda records: records.versions.certificate(SYSTEM, certificate.id))
    assert found == replace(certificate, renewal=renewal, replaced=True)
    without = Renewal(bed.now, "a third of its life is left", None)
    bed.write(lambda records: records.versions.set_renewal(SYSTEM, certificate.id, without))
    assert bed.read(lambda records: records.versions.certificate(SYSTEM, certificate.id)).renewal == without
    for change in (
        lambda records: records.versions.set_renewal(SYSTEM, "gone", renewal),
        lambda records: records.versions.mark_replaced(SYSTEM, "gone"),
    ):
        with pytest.raises(NotFound):
            bed.write(change)


# --- snapshots --------------------------------------------------------------------------------------------------------


def _snapshot(bed: StoreBed, line: Line) -> LineSnapshot:
    return bed.read(lambda records: records.lines.snapshot(SYSTEM, line.id))


def _versions(bed: StoreBed, line: Line, issuer: Issuer, states: str) -> None:
    """One version for each letter, numbered from 1."""
    names = {"f": VersionState.FAILED, "l": VersionState.LIVE, "r": VersionState.REVOKED, "o": VersionState.ORDERED}
    for number, letter in enumerate(states, start=1):
        version, _ = bed.version(line, issuer, number)
        bed.write(lambda records, v=version: records.versions.open(SYSTEM, v, []))  # type: ignore[misc]
        state = names[letter]
        bed.write(lambda r, v=version, s=state: r.versions.set_state(SYSTEM, v.id, s, now=bed.now))  # type: ignore[misc]


def test_a_snapshot_holds_all_that_the_planner_needs(bed: StoreBed) -> None:
    issuer = bed.issuer()
    follower = bed.follower(grants=(Grant(GrantKind.PULL, "shop"),))
    line = bed.line(follower)
    bed.write(lambda records: records.lines.put_csr(SYSTEM, line.id, _csr(line)))
    version, _ = bed.opened(line, issuer)
    key = HeldKey(_csr(line).key_type, Slot.CURRENT, _csr(line).spki_sha256, None, None)
    assert _snapshot(bed, line) == LineSnapshot(
        line, issuer, (_csr(line),), (version,), follower, keys=(key,), key_name=line.name
    )
    with pytest.raises(NotFound):
        bed.read(lambda records: records.lines.snapshot(SYSTEM, "gone"))


@pytest.mark.parametrize(
    ("history", "shown"),
    [
        ("", []),
        ("f", [1]),
        ("ffl", [3]),
        ("lff", [3, 2, 1]),
        ("lflfo", [5, 4, 3]),
        ("lr", [2, 1]),
        ("r", [1]),
        ("f" * 14, [14, 13, 12, 11, 10, 9, 8, 7, 6, 5]),
    ],
)
def test_a_snapshot_shows_what_is_under_way_the_live_and_the_failures_since(
    bed: StoreBed, history: str, shown: list[int]
) -> None:
    """The newest version is always among them: the next one's number follows from it."""
    line, issuer = bed.line(bed.follower()), bed.issuer()
    _versions(bed, line, issuer, history)
    assert [version.number for version in _snapshot(bed, line).versions] == shown


def test_a_line_without_an_issuer_of_its_own_has_the_default_one(bed: StoreBed) -> None:
    other = bed.issuer("other", is_default=False)
    follower = bed.follower()
    own, default = bed.line(follower, "own", issuer_id=other.id), bed.line(follower, "default")
    assert _snapshot(bed, default).issuer is None
    le = bed.issuer("le")
    assert (_snapshot(bed, default).issuer, _snapshot(bed, own).issuer) == (le, other)


def test_a_line_is_busy_while_another_has_an_order_for_the_same_names(bed: StoreBed) -> None:
    issuer, follower, names = bed.issuer(), bed.follower(), ("b.example.test", "a.example.test")
    one, other = bed.line(follower, "one", names=names), bed.line(follower, "other", names=names[::-1])
    bed.opened(one, issuer)
    assert not _snapshot(bed, one).busy_until_order
    assert _snapshot(bed, other).busy_until_order
    (work,) = bed.claim()
    bed.issue(work)
    assert not _snapshot(bed, other).busy_until_order


def test_an_order_at_another_issuer_or_of_another_profile_keeps_nobody_waiting(bed: StoreBed) -> None:
    issuer, elsewhere, follower = bed.issuer(), bed.issuer("other", is_default=False), bed.follower()
    names = ("a.example.test",)
    bed.opened(bed.line(follower, "one", names=names), issuer, profile="classic")
    there = bed.line(follower, "there", names=names, issuer_id=elsewhere.id)
    short = bed.line(follower, "short", names=names, issuer_id=issuer.id, profile="short")
    classic = bed.line(follower, "classic", names=names, issuer_id=issuer.id, profile="classic")
    assert [_snapshot(bed, line).busy_until_order is not None for line in (there, short, classic)] == [
        False,
        False,
        True,
    ]


def test_many_snapshots_come_in_the_order_asked_for(bed: StoreBed) -> None:
    bed.issuer()
    follower = bed.follower()
    lines = [bed.line(follower, f"l{number}") for number in range(5)]
    asked = [line.id for line in reversed(lines)]
    found = bed.read(lambda records: records.lines.snapshots(SYSTEM, [*asked[:2], "gone", *asked[2:]]))
    assert [snapshot.line.id for snapshot in found] == asked
    assert bed.read(lambda records: records.lines.snapshots(SYSTEM, [])) == []


def test_the_next_thing_due_may_be_a_line(bed: StoreBed) -> None:
    soon = bed.now + timedelta(minutes=5)
    assert bed.read(lambda records: records.orders.next_due(SYSTEM)) is None
    bed.line(bed.follower(), next_look=soon)
    assert bed.read(lambda records: records.orders.next_due(SYSTEM)) == soon
