"""Keys that the master keeps: what there is, who sees their lines, to whom they are sealed, who was given them."""

from dataclasses import dataclass, replace
from functools import partial

import pytest

from certline_master.domain.access import SYSTEM, Caller
from certline_master.domain.custody import Key, KeyCopy, KeyMaterial, SealedKey
from certline_master.domain.errors import Conflict, Forbidden, NotFound
from certline_master.domain.model import (
    Custody,
    Deployment,
    DeploymentState,
    Follower,
    Grant,
    GrantKind,
    Group,
    Line,
    LineCsr,
    Owner,
    Slot,
)
from certline_master.domain.ports import Records
from certline_master.store.keys import KEPT_VERSIONS
from certline_shared.keys import KeyType
from tests.contract.store_bed import OPERATOR, VIEWER, StoreBed, as_follower

EC, RSA = KeyType.ECDSA_P256, KeyType.RSA_2048


@dataclass(frozen=True, slots=True)
class Shared:
    """The line `shop` of the master's key with a live version, and who may have it."""

    bed: StoreBed
    line: Line
    key: Key
    direct: Follower  # by a grant of its own
    grouped: Follower  # by its group
    stranger: Follower  # may request names, and is in a group of a similar name

    def look(self, follower: Follower) -> tuple[list[str], Caller]:
        caller = as_follower(follower)
        with self.bed.store.read() as records:
            return [line.name for line in records.lines.all(caller)], caller


def save_group(group: Group, records: Records) -> None:
    records.groups.save(SYSTEM, group)


@pytest.fixture
def shared(bed: StoreBed) -> Shared:
    issuer = bed.issuer()
    pull = Grant(GrantKind.PULL, "shop")
    for name, grants in (("web_1", (pull,)), ("webx1", (Grant(GrantKind.REQUEST, "shop"),))):
        group = Group(bed.chance.uuid(), name, Owner.FILE, grants)
        bed.write(partial(save_group, group))
    direct = bed.follower("direct", grants=(pull,))
    grouped = bed.follower("grouped", groups=("other", "web_1"))
    stranger = bed.follower("stranger", groups=("webx1",), grants=(Grant(GrantKind.REQUEST, "shop"),))
    key = Key("key-1", "shop", Owner.FILE)
    bed.write(lambda records: records.keys.save(SYSTEM, key))
    line = bed.line(direct, "shop", follower_id=None, custody=Custody.MASTER, key_id=key.id)
    bed.opened(line, issuer)
    (work,) = bed.claim()
    assert bed.issue(work)
    return Shared(bed, line, key, direct, grouped, stranger)


def material(shared: Shared, pin: str, slot: Slot = Slot.CURRENT, kind: KeyType = EC) -> KeyMaterial:
    secret = shared.bed.write(lambda records: records.secrets.add(SYSTEM, "line-key", b"PEM"))
    return KeyMaterial(shared.bed.chance.uuid(), shared.key.id, kind, slot, pin, secret, shared.bed.now)


# --- who sees the line ---


@pytest.mark.parametrize("who", ["direct", "grouped"])
def test_whoever_may_pull_a_shared_line_sees_it_and_its_versions(shared: Shared, who: str) -> None:
    seen, caller = shared.look(getattr(shared, who))
    assert seen == ["shop"]
    with shared.bed.store.read() as records:
        assert records.lines.get(caller, "shop") == records.lines.by_id(caller, shared.line.id)
        assert records.lines.snapshot(caller, shared.line.id).line.name == "shop"
        version = records.versions.get(caller, shared.line.id, 1)
        assert records.versions.all(caller, shared.line.id) == [version]
        assert records.versions.live(caller, [shared.line.id]) == {shared.line.id: version}
        assert records.versions.certificate(caller, version.certificates[0].id) == version.certificates[0]


def test_a_grant_to_request_a_name_or_a_group_of_a_similar_name_shows_nothing(shared: Shared) -> None:
    seen, caller = shared.look(shared.stranger)
    assert seen == []
    with shared.bed.store.read() as records:
        assert records.versions.all(caller, shared.line.id) == []
        assert records.lines.snapshots(caller, [shared.line.id]) == []
        for missing in (
            lambda: records.lines.get(caller, "shop"),
            lambda: records.lines.by_id(caller, shared.line.id),
            lambda: records.versions.get(caller, shared.line.id, 1),
        ):
            with pytest.raises(NotFound):
                missing()


def test_a_grant_that_is_withdrawn_shows_nothing_any_more(shared: Shared) -> None:
    shared.bed.write(lambda records: records.followers.set_grants(SYSTEM, shared.direct.id, ()))
    assert shared.look(shared.direct)[0] == []


def test_a_grant_to_pull_another_hosts_own_line_shows_nothing(shared: Shared) -> None:
    shared.bed.line(shared.stranger, "private")
    pull = Grant(GrantKind.PULL, "private")
    shared.bed.write(lambda records: records.followers.set_grants(SYSTEM, shared.direct.id, (pull,)))
    assert shared.look(shared.direct)[0] == []


def test_who_holds_a_line_is_the_same_asked_the_other_way_round(shared: Shared) -> None:
    own = shared.bed.line(shared.stranger, "own")
    with shared.bed.store.read() as records:
        assert set(records.keys.holders(SYSTEM, shared.line)) == {shared.direct.id, shared.grouped.id}
        assert records.keys.holders(SYSTEM, own) == [shared.stranger.id]
        assert records.keys.holders(as_follower(shared.direct), shared.line) == []


def test_a_follower_changes_nothing_of_a_shared_line(shared: Shared) -> None:
    caller, csr = as_follower(shared.direct), LineCsr(EC, b"csr", "aa", shared.line.names)

    def refused(work: object, error: type[Exception]) -> None:
        with pytest.raises(error):
            shared.bed.write(work)  # type: ignore[arg-type]  # a work of any result

    refused(lambda records: records.lines.put_csr(caller, shared.line.id, csr), NotFound)
    refused(lambda records: records.lines.set_next_look(caller, shared.line.id, None), NotFound)
    refused(lambda records: records.lines.delete(caller, "shop"), Forbidden)
    refused(lambda records: records.lines.save(caller, replace(shared.line, names=("evil.example.test",))), NotFound)
    refused(lambda records: records.lines.drop_csrs(caller, shared.line.id), Forbidden)


def test_a_follower_reports_on_the_shared_lines_it_may_pull_and_on_no_other(shared: Shared) -> None:
    def report(follower: Follower, records: Records) -> None:
        said = Deployment(follower.id, shared.line.id, 1, DeploymentState.SERVED, None, shared.bed.now)
        records.followers.report(as_follower(follower), said)

    for follower in (shared.direct, shared.grouped):
        shared.bed.write(partial(report, follower))
    with pytest.raises(NotFound):
        shared.bed.write(partial(report, shared.stranger))


# --- keys ---


def test_a_key_is_found_by_its_name_and_a_name_is_one_keys(shared: Shared) -> None:
    with shared.bed.store.read() as records:
        assert records.keys.all(VIEWER) == [records.keys.get(VIEWER, "shop")] == [shared.key]
        assert records.keys.all(as_follower(shared.direct)) == []
    with pytest.raises(Conflict):
        shared.bed.write(lambda records: records.keys.save(SYSTEM, Key("key-2", "shop", Owner.FILE)))


def test_a_slot_is_taken_once_per_key_type_until_it_is_left(shared: Shared) -> None:
    first, second, rsa = material(shared, "a1"), material(shared, "b2"), material(shared, "c3", kind=RSA)

    def add(one: KeyMaterial) -> bool:
        return shared.bed.write(lambda records: records.keys.add_material(SYSTEM, one))

    assert [add(first), add(second), add(rsa)] == [True, False, True]
    assert shared.bed.write(lambda records: records.keys.demote(OPERATOR, shared.key.id)) == 2
    assert add(second)
    with shared.bed.store.read() as records:
        kept = records.keys.materials(VIEWER, [shared.key.id])[shared.key.id]
        assert {one.spki_sha256: one.slot for one in kept} == {
            "a1": Slot.PREVIOUS,
            "b2": Slot.CURRENT,
            "c3": Slot.PREVIOUS,
        }
        assert records.keys.is_kept(SYSTEM, "a1")
        assert not records.keys.is_kept(SYSTEM, "d4")
        assert records.keys.materials(as_follower(shared.direct), [shared.key.id]) == {}
        snapshot = records.lines.snapshot(SYSTEM, shared.line.id)
        assert sorted(snapshot.kept_keys) == ["a1", "b2", "c3"]
        assert sorted(snapshot.current_keys) == ["b2"]


def test_a_sealed_key_is_its_followers_and_stays_the_last_one_made(shared: Shared) -> None:
    def keep(version: int, data: bytes) -> None:
        sealed = SealedKey(shared.direct.id, shared.line.id, version, EC, "a1", "to", data, shared.bed.now)
        shared.bed.write(lambda records: records.keys.keep_sealed(as_follower(shared.direct), sealed))

    keep(1, b"first")
    keep(1, b"second")
    with shared.bed.store.read() as records:
        (found,) = records.keys.sealed(as_follower(shared.direct), shared.direct.id)
        assert found.data == b"second"
        assert records.keys.sealed(as_follower(shared.grouped), shared.direct.id) == []
    keep(1 + KEPT_VERSIONS, b"later")
    with shared.bed.store.read() as records:
        assert [one.data for one in records.keys.sealed(SYSTEM, shared.direct.id)] == [b"later"]


def test_a_key_is_given_once_until_its_deletion_is_told(shared: Shared) -> None:
    caller, follower = as_follower(shared.direct), shared.direct
    copy = KeyCopy(follower.id, "a1", follower.name, "shop", EC, shared.bed.now)

    def give() -> bool:
        return shared.bed.write(lambda records: records.keys.give(caller, copy))

    def gone() -> bool:
        return shared.bed.write(lambda records: records.keys.deleted(caller, follower.id, "a1", now=shared.bed.now))

    assert [give(), give(), gone(), gone(), give()] == [True, False, True, False, True]
    shared.bed.write(lambda records: records.keys.seen(caller, follower.id, "a1", now=shared.bed.now))
    with shared.bed.store.read() as records:
        (found,) = records.keys.copies(VIEWER, ["a1", "b2"])
        assert found == replace(copy, seen=shared.bed.now)
        assert records.keys.copies_at(caller, follower.id) == [found]
        assert records.keys.copies(caller, ["a1"]) == []
        assert records.keys.copies_at(as_follower(shared.grouped), follower.id) == []


def test_one_follower_says_nothing_of_anothers_copies(shared: Shared) -> None:
    copy = KeyCopy(shared.direct.id, "a1", "direct", "shop", EC, shared.bed.now)
    foreign = as_follower(shared.grouped)
    with pytest.raises(NotFound):
        shared.bed.write(lambda records: records.keys.give(foreign, copy))
    with pytest.raises(NotFound):
        shared.bed.write(lambda records: records.keys.deleted(foreign, shared.direct.id, "a1", now=shared.bed.now))


def test_who_was_given_a_key_is_known_when_the_follower_and_the_line_are_gone(shared: Shared) -> None:
    copy = KeyCopy(shared.direct.id, "a1", "direct", "shop", EC, shared.bed.now)
    shared.bed.write(lambda records: records.keys.give(SYSTEM, copy))
    shared.bed.write(lambda records: records.lines.delete(SYSTEM, "shop"))
    shared.bed.write(lambda records: records.followers.delete(SYSTEM, "direct"))
    with shared.bed.store.read() as records:
        assert records.keys.copies(VIEWER, ["a1"]) == [copy]
