"""Followers, their enrolment, and what they report."""

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import timedelta

import pytest

from certline_master.domain.access import SYSTEM
from certline_master.domain.errors import Conflict, NotFound
from certline_master.domain.model import Deployment, DeploymentState, Follower, FollowerState, Grant, GrantKind
from certline_master.domain.ports import EnrolmentToken
from certline_master.store.opening import SqlStore
from tests.contract.store_bed import HOUR, OPERATOR, StoreBed, as_follower

GRANTS = (Grant(GrantKind.PULL, "shop"), Grant(GrantKind.REQUEST, "*.example.test"))


def _found(bed: StoreBed, name: str = "web-1") -> Follower:
    return bed.read(lambda records: records.followers.get(SYSTEM, name))


def test_a_follower_comes_back_with_its_grants(bed: StoreBed) -> None:
    saved = bed.follower(grants=GRANTS)
    assert _found(bed) == saved
    assert bed.read(lambda records: records.followers.by_id(SYSTEM, saved.id)) == saved
    assert bed.read(lambda records: records.followers.all(SYSTEM)) == [saved]


def test_saving_a_follower_keeps_what_it_is_enrolled_with(bed: StoreBed) -> None:
    follower = bed.follower(grants=GRANTS)
    _claim(bed, bed.store, _token(bed, follower))
    enrolled = _found(bed)
    bed.write(lambda records: records.followers.save(OPERATOR, replace(follower, name="web-9", state=enrolled.state)))
    assert _found(bed, "web-9") == replace(enrolled, name="web-9")


def test_who_read_a_follower_before_it_was_revoked_does_not_bring_it_back(bed: StoreBed) -> None:
    """Two masters on one Postgres may have read it at once."""
    read_before = bed.follower(grants=GRANTS)
    revoked = replace(read_before, state=FollowerState.REVOKED)
    bed.write(lambda records: records.followers.save(OPERATOR, revoked))
    with pytest.raises(Conflict, match="revoked"):
        bed.write(lambda records: records.followers.save(OPERATOR, replace(read_before, networks=("10.0.0.0/8",))))
    assert _found(bed) == revoked
    bed.write(lambda records: records.followers.save(OPERATOR, replace(revoked, grants=())))
    assert _found(bed).grants == ()


def test_grants_are_replaced_as_a_whole(bed: StoreBed) -> None:
    follower = bed.follower(grants=GRANTS)
    new = Grant(GrantKind.REQUEST, "a.example.test")
    bed.write(lambda records: records.followers.set_grants(OPERATOR, follower.id, [new, new]))
    assert _found(bed).grants == (new,)
    bed.write(lambda records: records.followers.set_grants(OPERATOR, follower.id, []))
    assert _found(bed).grants == ()
    with pytest.raises(NotFound):
        bed.write(lambda records: records.followers.set_grants(OPERATOR, "gone", []))


def test_two_followers_cannot_have_one_name(bed: StoreBed) -> None:
    bed.follower()
    with pytest.raises(Conflict, match="another follower 'web-1'"):
        bed.follower()


def test_a_follower_with_lines_cannot_be_deleted(bed: StoreBed) -> None:
    bed.line(bed.follower())
    with pytest.raises(Conflict, match="has lines"):
        bed.write(lambda records: records.followers.delete(OPERATOR, "web-1"))
    assert _found(bed).name == "web-1"


def test_a_deleted_follower_is_gone_with_its_tokens_and_nonces(bed: StoreBed) -> None:
    follower = bed.follower(grants=GRANTS)
    token = _token(bed, follower)
    bed.write(lambda records: records.followers.use_nonce(SYSTEM, follower.id, "n", bed.now))
    bed.write(lambda records: records.followers.delete(OPERATOR, "web-1"))
    with pytest.raises(NotFound):
        _found(bed)
    with pytest.raises(NotFound):
        bed.read(lambda records: records.followers.token(SYSTEM, token.id))
    with pytest.raises(NotFound):
        bed.write(lambda records: records.followers.delete(OPERATOR, "web-1"))


# --- enrolment --------------------------------------------------------------------------------------------------------


def _token(bed: StoreBed, follower: Follower, *, lasts: timedelta = HOUR) -> EnrolmentToken:
    mac_key = bed.write(lambda records: records.secrets.add(SYSTEM, "enrolment", b"m"))
    token = EnrolmentToken(bed.chance.uuid(), follower.id, mac_key, bed.now + lasts)
    bed.write(lambda records: records.followers.add_token(OPERATOR, token))
    return token


def _claim(bed: StoreBed, store: SqlStore, token: EnrolmentToken, thumbprint: str = "thumb") -> bool:
    return store.write(
        lambda records: records.followers.claim_token(
            SYSTEM,
            token.id,
            identity_key=thumbprint.encode(),
            sealing_key=b"sealing",
            thumbprint=thumbprint,
            agent="certline-follower/0.1",
            now=bed.now,
        )
    )


def test_a_claimed_token_makes_the_follower_active_with_its_keys(bed: StoreBed) -> None:
    follower = bed.follower()
    token = _token(bed, follower)
    assert bed.read(lambda records: records.followers.token(SYSTEM, token.id)) == token
    assert _claim(bed, bed.store, token)
    used = replace(token, used=bed.now, used_by="thumb")
    assert bed.read(lambda records: records.followers.token(SYSTEM, token.id)) == used
    assert _found(bed) == replace(
        follower,
        state=FollowerState.ACTIVE,
        identity_key=b"thumb",
        sealing_key=b"sealing",
        agent="certline-follower/0.1",
        enrolled=bed.now,
        last_seen=bed.now,
    )


def test_a_token_is_good_once(bed: StoreBed) -> None:
    token = _token(bed, bed.follower())
    assert _claim(bed, bed.store, token, "first")
    assert not _claim(bed, bed.store, token, "second")
    assert _found(bed).identity_key == b"first"


def test_an_expired_token_changes_nothing(bed: StoreBed) -> None:
    follower = bed.follower()
    assert not _claim(bed, bed.store, _token(bed, follower, lasts=timedelta(0)))
    assert _found(bed) == follower


@pytest.mark.parametrize("state", [FollowerState.REVOKED, FollowerState.SUSPENDED])
def test_a_follower_that_was_shut_out_does_not_come_back_by_a_token(bed: StoreBed, state: FollowerState) -> None:
    follower = bed.follower(state=state)
    token = _token(bed, follower)
    assert not _claim(bed, bed.store, token)
    assert _found(bed) == follower
    assert bed.read(lambda records: records.followers.token(SYSTEM, token.id)).used is None


def test_a_token_that_never_was_is_not_claimed(bed: StoreBed) -> None:
    assert not _claim(bed, bed.store, EnrolmentToken("no-such", "x", "y", bed.now + HOUR))
    with pytest.raises(NotFound):
        bed.read(lambda records: records.followers.token(SYSTEM, "no-such"))


def test_fifty_claims_of_one_token_at_once_give_one_follower(bed: StoreBed) -> None:
    """Half of them by another master, where the database allows two."""
    token = _token(bed, bed.follower())
    stores = [bed.store, bed.second_master()]
    with ThreadPoolExecutor(50) as threads:
        answers = list(threads.map(lambda n: _claim(bed, stores[n % 2], token, f"thumb-{n}"), range(50)))
    assert answers.count(True) == 1
    assert _found(bed).identity_key == f"thumb-{answers.index(True)}".encode()


# --- being there ------------------------------------------------------------------------------------------------------


def _touch(bed: StoreBed, follower: Follower, seconds: float, agent: str | None = None) -> Follower:
    moment = bed.now + timedelta(seconds=seconds)
    bed.write(lambda records: records.followers.touch(SYSTEM, follower.id, now=moment, agent=agent))
    return _found(bed)


def test_last_seen_is_written_at_most_once_a_minute(bed: StoreBed) -> None:
    follower = bed.follower()
    assert _touch(bed, follower, 0).last_seen == bed.now
    assert _touch(bed, follower, 59).last_seen == bed.now
    assert _touch(bed, follower, 60).last_seen == bed.now + timedelta(seconds=60)


def test_a_new_agent_is_written_at_once(bed: StoreBed) -> None:
    follower = bed.follower()
    _touch(bed, follower, 0, "0.1")
    assert _touch(bed, follower, 1, "0.2").agent == "0.2"
    assert _touch(bed, follower, 2, "0.2").last_seen == bed.now + timedelta(seconds=1)


def test_the_serial_rises_with_each_new_content_only(bed: StoreBed) -> None:
    follower = bed.follower()

    def serial(tag: str) -> int:
        return bed.write(lambda records: records.followers.set_manifest(SYSTEM, follower.id, tag=tag))

    assert [serial(tag) for tag in ("a", "a", "b", "a")] == [1, 1, 2, 3]
    assert (_found(bed).manifest_serial, _found(bed).manifest_tag) == (3, "a")
    with pytest.raises(NotFound):
        bed.write(lambda records: records.followers.set_manifest(SYSTEM, "gone", tag="a"))


def test_a_nonce_is_good_once_for_each_follower_and_remembered_ten_minutes(bed: StoreBed) -> None:
    one, other = bed.follower("web-1"), bed.follower("web-2")

    def use(follower: Follower, minutes: float) -> bool:
        moment = bed.now + timedelta(minutes=minutes)
        return bed.write(lambda records: records.followers.use_nonce(SYSTEM, follower.id, "n", moment))

    assert use(one, 0)
    assert not use(one, 10)
    assert use(other, 0)
    assert use(one, 10.1)


def test_fifty_uses_of_one_nonce_at_once_count_as_one(bed: StoreBed) -> None:
    follower, stores = bed.follower(), [bed.store, bed.second_master()]
    with ThreadPoolExecutor(50) as threads:
        answers = threads.map(
            lambda n: stores[n % 2].write(lambda r: r.followers.use_nonce(SYSTEM, follower.id, "n", bed.now)), range(50)
        )
    assert list(answers).count(True) == 1


# --- deployments ------------------------------------------------------------------------------------------------------


def test_a_report_replaces_the_former_one_of_that_version(bed: StoreBed) -> None:
    follower = bed.follower()
    line = bed.line(follower)
    first = Deployment(follower.id, line.id, 1, DeploymentState.INSTALLED, "reload failed", bed.now)
    later = replace(first, state=DeploymentState.RELOADED, error=None, updated=bed.now + HOUR)
    second = replace(first, version=2, state=DeploymentState.PULLED)
    for report in (first, later, second):
        bed.write(lambda records, report=report: records.followers.report(SYSTEM, report))  # type: ignore[misc]
    assert bed.read(lambda records: records.followers.deployments(SYSTEM)) == [second, later]
    assert bed.read(lambda records: records.followers.deployments(SYSTEM, line_id=line.id)) == [second, later]
    assert bed.read(lambda records: records.followers.deployments(SYSTEM, line_id="other")) == []
    assert bed.read(lambda records: records.followers.deployments(SYSTEM, follower_id=follower.id)) == [second, later]
    both = {"line_id": line.id, "follower_id": "other"}
    assert bed.read(lambda records: records.followers.deployments(SYSTEM, **both)) == []


def test_of_each_line_the_newest_version_reported_is_found(bed: StoreBed) -> None:
    follower, stranger = bed.follower(), bed.follower("web-2")
    shop, blog, quiet = (bed.line(follower, name) for name in ("shop", "blog", "quiet"))
    old, new, other = (
        Deployment(follower.id, line.id, number, DeploymentState.PULLED, None, bed.now)
        for line, number in ((shop, 9), (shop, 10), (blog, 1))
    )
    for report in (old, new, other):
        bed.write(lambda records, report=report: records.followers.report(SYSTEM, report))  # type: ignore[misc]
    for caller, found in (
        (SYSTEM, {shop.id: new, blog.id: other}),
        (as_follower(follower), {shop.id: new, blog.id: other}),
        (as_follower(stranger), {}),
    ):
        seen = bed.read(
            lambda records, who=caller: records.followers.newest_deployments(who, [shop.id, blog.id, quiet.id])  # type: ignore[misc]
        )
        assert seen == found
    assert bed.read(lambda records: records.followers.newest_deployments(SYSTEM, [shop.id])) == {shop.id: new}


def test_a_report_on_a_line_that_is_not_the_followers_is_refused(bed: StoreBed) -> None:
    line, other = bed.line(bed.follower("web-1")), bed.follower("web-2")
    for line_id in (line.id, "gone"):
        report = Deployment(other.id, line_id, 1, DeploymentState.PULLED, None, bed.now)
        with pytest.raises(NotFound):
            bed.write(lambda records, report=report: records.followers.report(SYSTEM, report))  # type: ignore[misc]
