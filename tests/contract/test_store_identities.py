"""A follower's own keys, the count of its requests, and hosts that wait to be approved; on both databases."""

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

import pytest

from certline_master.domain.access import SYSTEM
from certline_master.domain.errors import Forbidden, NotFound
from certline_master.domain.model import Follower, FollowerState, Introduction
from certline_master.domain.ports import Counted, EnrolmentToken
from tests.contract.store_bed import HOUR, OPERATOR, VIEWER, StoreBed, as_follower

DAY = timedelta(days=1)


def found(bed: StoreBed, name: str = "web-1") -> Follower:
    return bed.read(lambda records: records.followers.get(SYSTEM, name))


def admitted(bed: StoreBed, name: str = "web-1") -> Follower:
    follower = bed.follower(name)
    assert admit(bed, follower)
    return found(bed, name)


def admit(bed: StoreBed, follower: Follower, key: bytes = b"first") -> bool:
    return bed.write(
        lambda records: records.identities.admit(
            OPERATOR, follower.id, identity_key=key, sealing_key=b"seal-1", agent="a", now=bed.now
        )
    )


def announce(bed: StoreBed, follower: Follower, key: bytes = b"next", *, now: datetime | None = None) -> bool:
    caller = as_follower(follower)
    return bed.write(
        lambda records: records.identities.announce(
            caller, follower.id, identity_key=key, sealing_key=b"seal-2", now=now or bed.now
        )
    )


def take_over(bed: StoreBed, follower: Follower, key: bytes = b"next", *, now: datetime | None = None) -> bool:
    caller = as_follower(follower)
    return bed.write(
        lambda records: records.identities.take_over(caller, follower.id, identity_key=key, now=now or bed.now)
    )


def count(bed: StoreBed, follower: Follower, number: int, *, digest: str = "d", late: timedelta = DAY * 0) -> Counted:
    caller = as_follower(follower)
    return bed.write(
        lambda records: records.identities.count(
            caller, follower.id, number, digest=digest, address=f"192.0.2.{number % 250}", now=bed.now + late
        )
    )


def test_announced_keys_stand_beside_the_present_ones(bed: StoreBed) -> None:
    follower = admitted(bed)
    assert announce(bed, follower)
    after = found(bed)
    assert (after.identity_key, after.sealing_key) == (b"first", b"seal-1")
    assert (after.next_identity_key, after.next_sealing_key, after.next_keys_since) == (b"next", b"seal-2", bed.now)


def test_the_same_announcement_again_changes_nothing(bed: StoreBed) -> None:
    follower = admitted(bed)
    announce(bed, follower)
    assert not announce(bed, follower, now=bed.now + HOUR)
    assert found(bed).next_keys_since == bed.now


def test_an_announcement_that_lapsed_counts_again(bed: StoreBed) -> None:
    follower = admitted(bed)
    announce(bed, follower)
    assert announce(bed, follower, now=bed.now + DAY)
    assert found(bed).next_keys_since == bed.now + DAY


def test_announced_keys_take_over_as_a_pair_and_once(bed: StoreBed) -> None:
    follower = admitted(bed)
    announce(bed, follower)
    assert take_over(bed, follower)
    after = found(bed)
    assert (after.identity_key, after.sealing_key) == (b"next", b"seal-2")
    assert (after.next_identity_key, after.next_sealing_key, after.next_keys_since) == (None, None, None)
    assert not take_over(bed, follower)


def test_keys_that_were_not_announced_or_lapsed_do_not_take_over(bed: StoreBed) -> None:
    follower = admitted(bed)
    assert not take_over(bed, follower)
    announce(bed, follower)
    assert not take_over(bed, follower, b"another")
    assert not take_over(bed, follower, now=bed.now + DAY)
    assert found(bed).identity_key == b"first"


def test_of_many_first_requests_at_once_one_takes_over(bed: StoreBed) -> None:
    follower = admitted(bed)
    announce(bed, follower)
    with ThreadPoolExecutor(8) as pool:
        assert sorted(pool.map(lambda _: take_over(bed, follower), range(8))) == [False] * 7 + [True]


def test_one_follower_cannot_touch_anothers_keys_or_count(bed: StoreBed) -> None:
    mine, theirs = admitted(bed), admitted(bed, "web-2")
    caller = as_follower(mine)
    keys: dict[str, Any] = {"identity_key": b"x", "sealing_key": b"y", "now": bed.now}
    with pytest.raises(NotFound):
        bed.write(lambda records: records.identities.announce(caller, theirs.id, **keys))
    with pytest.raises(NotFound):
        bed.write(lambda records: records.identities.count(caller, theirs.id, 1, digest="d", address="a", now=bed.now))
    with pytest.raises(Forbidden):
        bed.write(lambda records: records.identities.announce(OPERATOR, theirs.id, **keys))
    with pytest.raises(Forbidden):
        bed.write(lambda records: records.identities.admit(VIEWER, theirs.id, agent="a", **keys))


def test_only_an_invited_follower_is_admitted_and_its_tokens_end(bed: StoreBed) -> None:
    follower = bed.follower()
    mac_key = bed.write(lambda records: records.secrets.add(SYSTEM, "enrolment-key", b"m"))
    token = EnrolmentToken(bed.chance.uuid(), follower.id, mac_key, bed.now + HOUR)
    bed.write(lambda records: records.followers.add_token(OPERATOR, token))
    assert admit(bed, follower)
    assert found(bed).state is FollowerState.ACTIVE
    assert bed.read(lambda records: records.followers.token(SYSTEM, token.id)).expires == bed.now
    assert not admit(bed, follower, b"second")
    assert found(bed).identity_key == b"first"


def test_a_count_rises_and_the_same_request_again_is_good(bed: StoreBed) -> None:
    follower = admitted(bed)
    assert count(bed, follower, 10) == Counted(good=True)
    assert count(bed, follower, 10) == Counted(good=True)
    assert count(bed, follower, 11, digest="other") == Counted(good=True)
    assert found(bed).sequence == 11


@pytest.mark.parametrize(("number", "digest"), [(9, "d"), (10, "other")])
def test_a_count_that_does_not_rise_is_told_with_the_former_request(bed: StoreBed, number: int, digest: str) -> None:
    follower = admitted(bed)
    count(bed, follower, 10)
    told = count(bed, follower, number, digest=digest)
    assert told == Counted(good=False, tell=True, former=10, former_address="192.0.2.10", locks=False)


def test_it_is_told_once_an_hour_and_the_count_goes_on_from_the_lower(bed: StoreBed) -> None:
    follower = admitted(bed)
    count(bed, follower, 100)
    assert count(bed, follower, 10).tell
    assert count(bed, follower, 11).good
    assert not count(bed, follower, 5).tell
    count(bed, follower, 20)
    assert count(bed, follower, 6, late=HOUR).tell


def test_a_new_enrolment_ends_count_announced_keys_and_version(bed: StoreBed) -> None:
    follower = admitted(bed)
    announce(bed, follower)
    count(bed, follower, 10)
    caller = as_follower(follower)
    assert bed.write(lambda records: records.identities.use_protocol(caller, follower.id, 2))
    mac_key = bed.write(lambda records: records.secrets.add(SYSTEM, "enrolment-key", b"m"))
    token = EnrolmentToken(bed.chance.uuid(), follower.id, mac_key, bed.now + HOUR)
    bed.write(lambda records: records.followers.add_token(OPERATOR, token))
    assert bed.write(
        lambda records: records.followers.claim_token(
            SYSTEM, token.id, identity_key=b"new", sealing_key=b"s", thumbprint="t", agent="a", now=bed.now
        )
    )
    after = found(bed)
    assert (after.identity_key, after.next_identity_key, after.sequence, after.protocol) == (b"new", None, 0, 1)
    assert not take_over(bed, follower)


def test_the_highest_version_of_the_protocol_is_kept(bed: StoreBed) -> None:
    follower = admitted(bed)
    caller = as_follower(follower)
    assert bed.write(lambda records: records.identities.use_protocol(caller, follower.id, 3))
    assert not bed.write(lambda records: records.identities.use_protocol(caller, follower.id, 2))
    assert found(bed).protocol == 3


# --- hosts that wait --------------------------------------------------------------------------------------------------


def host(bed: StoreBed, name: str, address: str = "192.0.2.1", life: timedelta = HOUR) -> Introduction:
    return Introduction(bed.chance.uuid(), name, b"i", b"s", "agent", address, bed.now, bed.now + life)


def add(bed: StoreBed, one: Introduction, *, most: int = 3, most_from_one: int = 2) -> bool:
    return bed.write(lambda records: records.introductions.add(SYSTEM, one, most=most, most_from_one=most_from_one))


def waiting(bed: StoreBed, later: timedelta = DAY * 0) -> list[str]:
    return [one.name for one in bed.read(lambda records: records.introductions.all(VIEWER, bed.now + later))]


def test_hosts_that_wait_are_bounded_altogether_and_from_one_address(bed: StoreBed) -> None:
    assert add(bed, host(bed, "a"))
    assert add(bed, host(bed, "b"))
    assert not add(bed, host(bed, "c"))
    assert add(bed, host(bed, "d", "192.0.2.2"))
    assert not add(bed, host(bed, "e", "192.0.2.3"))
    assert sorted(waiting(bed)) == ["a", "b", "d"]


def test_who_waited_too_long_makes_room(bed: StoreBed) -> None:
    over = host(bed, "over", life=timedelta(0))
    add(bed, over, most=1)
    assert waiting(bed) == []
    with pytest.raises(NotFound):
        bed.read(lambda records: records.introductions.get(SYSTEM, over.id, bed.now))
    assert add(bed, host(bed, "next"), most=1)


def test_an_approved_host_waits_no_more_and_is_found_with_its_proof(bed: StoreBed) -> None:
    one, follower = host(bed, "a"), bed.follower()
    add(bed, one)

    def approve() -> bool:
        return bed.write(
            lambda records: records.introductions.approve(
                OPERATOR, one.id, follower_id=follower.id, proof=b"p", until=bed.now + DAY, now=bed.now
            )
        )

    assert approve()
    assert not approve()
    assert waiting(bed) == []
    kept = bed.read(lambda records: records.introductions.get(SYSTEM, one.id, bed.now))
    assert kept == replace(one, follower_id=follower.id, proof=b"p", expires=bed.now + DAY)


def test_a_follower_sees_no_host_that_waits_and_drops_none(bed: StoreBed) -> None:
    one = host(bed, "a")
    add(bed, one)
    caller = as_follower(bed.follower())
    assert bed.read(lambda records: records.introductions.all(caller, bed.now)) == []
    with pytest.raises(NotFound):
        bed.read(lambda records: records.introductions.get(caller, one.id, bed.now))
    with pytest.raises(Forbidden):
        bed.write(lambda records: records.introductions.drop(caller, one.id))
    with pytest.raises(Forbidden):
        bed.write(lambda records: records.introductions.drop(VIEWER, one.id))
    assert bed.write(lambda records: records.introductions.drop(OPERATOR, one.id))
