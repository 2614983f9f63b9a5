"""What the operator sets up is kept as it was given: issuers, zones, http names, admin tokens, events, secrets."""

from dataclasses import replace

import pytest

from certline_master.domain.access import SYSTEM
from certline_master.domain.errors import Conflict, NotFound
from certline_master.domain.model import AdminToken, HttpName, Issuer, OrderState, Owner, Zone
from tests.contract.store_bed import ADMIN, HOUR, OPERATOR, StoreBed


def _issuer(bed: StoreBed, name: str) -> Issuer:
    return bed.read(lambda records: records.issuers.get(SYSTEM, name))


def test_an_issuer_comes_back_as_it_was_saved(bed: StoreBed) -> None:
    saved = bed.issuer(
        contact=("mailto:a@example.test",),
        profile="classic",
        preferred_chain="Root X",
        ca_certificates="-----BEGIN CERTIFICATE-----\n",
        profiles=("classic", "short"),
    )
    assert _issuer(bed, "le") == saved
    assert bed.read(lambda records: records.issuers.by_id(SYSTEM, saved.id)) == saved
    assert bed.read(lambda records: records.issuers.all(SYSTEM)) == [saved]


def test_an_issuer_that_was_never_asked_for_profiles_differs_from_one_that_lists_none(bed: StoreBed) -> None:
    bed.issuer("asked", profiles=())
    bed.issuer("unasked", profiles=None)
    assert (_issuer(bed, "asked").profiles, _issuer(bed, "unasked").profiles) == ((), None)


def test_two_issuers_cannot_have_one_name(bed: StoreBed) -> None:
    first = bed.issuer()
    with pytest.raises(Conflict, match="another issuer 'le'"):
        bed.issuer()
    assert bed.read(lambda records: records.issuers.all(SYSTEM)) == [first]


def test_a_new_default_issuer_takes_the_place_of_the_old_one(bed: StoreBed) -> None:
    bed.issuer("first")
    bed.issuer("second")
    assert [issuer.is_default for issuer in bed.read(lambda records: records.issuers.all(SYSTEM))] == [False, True]


def _with_account(bed: StoreBed) -> Issuer:
    issuer = bed.issuer(profiles=("classic",))
    key = bed.write(lambda records: records.secrets.add(SYSTEM, "account-key", b"k"))
    bed.write(lambda records: records.issuers.set_account(SYSTEM, issuer.id, key=key, url="https://le.example/acct/1"))
    return replace(issuer, account_key=key, account_url="https://le.example/acct/1")


def test_saving_an_issuer_keeps_its_account_and_listed_profiles(bed: StoreBed) -> None:
    issuer = _with_account(bed)
    changed = replace(issuer, directory_url="https://le.example/v2", account_key=None, account_url=None, profiles=None)
    bed.write(lambda records: records.issuers.save(ADMIN, changed))
    assert _issuer(bed, "le") == replace(issuer, directory_url="https://le.example/v2")


def test_an_issuer_that_moves_to_another_host_forgets_its_account_and_says_so(bed: StoreBed) -> None:
    issuer = _with_account(bed)
    bed.write(lambda records: records.issuers.save(ADMIN, replace(issuer, directory_url="https://other.example/dir")))
    found = _issuer(bed, "le")
    assert (found.account_key, found.account_url, found.profiles) == (None, None, None)
    events = bed.read(lambda records: records.events.all(SYSTEM, subject="issuer:le"))
    assert [(event.kind, event.actor) for event in events] == [("issuer.account-forgotten", "admin:ada")]
    assert events[0].data == {"account_key": issuer.account_key, "account_url": issuer.account_url}


def test_learnt_profiles_are_kept(bed: StoreBed) -> None:
    issuer = bed.issuer(profiles=None)
    bed.write(lambda records: records.issuers.set_profiles(SYSTEM, issuer.id, ("short",)))
    assert _issuer(bed, "le").profiles == ("short",)


@pytest.mark.parametrize("named", [True, False], ids=["named by it", "as the default"])
def test_an_issuer_that_a_line_uses_cannot_be_deleted(bed: StoreBed, named: bool) -> None:
    issuer = bed.issuer()
    bed.line(bed.follower(), issuer_id=issuer.id if named else None)
    with pytest.raises(Conflict, match="used by line 'shop'"):
        bed.write(lambda records: records.issuers.delete(ADMIN, "le"))


def test_an_issuer_with_an_order_under_way_cannot_be_deleted(bed: StoreBed) -> None:
    issuer, other = bed.issuer("old", is_default=False), bed.issuer("new")
    line = bed.line(bed.follower(), issuer_id=issuer.id)
    bed.opened(line, issuer)
    bed.write(lambda records: records.lines.save(SYSTEM, replace(line, issuer_id=other.id)))
    with pytest.raises(Conflict, match="order under way"):
        bed.write(lambda records: records.issuers.delete(ADMIN, "old"))


def test_an_issuer_that_nothing_uses_can_be_deleted(bed: StoreBed) -> None:
    bed.issuer()
    bed.write(lambda records: records.issuers.delete(ADMIN, "le"))
    with pytest.raises(NotFound, match="no issuer 'le'"):
        _issuer(bed, "le")


def test_a_change_to_an_issuer_that_is_gone_is_told(bed: StoreBed) -> None:
    for change in (
        lambda records: records.issuers.set_account(SYSTEM, "gone", key=None, url=None),
        lambda records: records.issuers.set_profiles(SYSTEM, "gone", ()),
        lambda records: records.issuers.delete(ADMIN, "gone"),
    ):
        with pytest.raises(NotFound):
            bed.write(change)


def test_a_zone_comes_back_as_it_was_saved_and_goes_when_deleted(bed: StoreBed) -> None:
    secret = bed.write(lambda records: records.secrets.add(ADMIN, "tsig", b"key"))
    zone = Zone(bed.chance.uuid(), "example.test", Owner.FILE, "rfc2136", {"server": "127.0.0.1", "port": 53}, secret)
    bed.write(lambda records: records.zones.save(ADMIN, zone))
    changed = replace(zone, settings={"server": "127.0.0.2"})
    bed.write(lambda records: records.zones.save(ADMIN, changed))
    assert bed.read(lambda records: records.zones.get(SYSTEM, "example.test")) == changed
    assert bed.read(lambda records: records.zones.all(SYSTEM)) == [changed]
    with pytest.raises(Conflict, match="another zone"):
        bed.write(lambda records: records.zones.save(ADMIN, replace(zone, id=bed.chance.uuid())))
    bed.write(lambda records: records.zones.delete(ADMIN, "example.test"))
    assert bed.read(lambda records: records.zones.all(SYSTEM)) == []
    with pytest.raises(NotFound):
        bed.write(lambda records: records.zones.delete(ADMIN, "example.test"))


def test_an_http_name_comes_back_as_it_was_saved_and_goes_when_deleted(bed: StoreBed) -> None:
    name = HttpName(bed.chance.uuid(), "www.example.test", Owner.API)
    bed.write(lambda records: records.http.save(ADMIN, name))
    assert bed.read(lambda records: records.http.all(SYSTEM)) == [name]
    bed.write(lambda records: records.http.delete(ADMIN, name.name))
    assert bed.read(lambda records: records.http.all(SYSTEM)) == []
    with pytest.raises(NotFound, match="no http name"):
        bed.write(lambda records: records.http.delete(ADMIN, name.name))


def _token(bed: StoreBed, name: str = "ci") -> AdminToken:
    return AdminToken(bed.chance.uuid(), name, "operator", "abcd", bed.now, bed.now + HOUR)


def test_an_admin_token_is_found_by_its_prefix_until_it_is_revoked(bed: StoreBed) -> None:
    token = _token(bed)
    bed.write(lambda records: records.tokens.add(ADMIN, token, b"hash"))
    assert bed.read(lambda records: records.tokens.by_prefix(SYSTEM, "abcd")) == [(token, b"hash")]
    assert bed.read(lambda records: records.tokens.by_prefix(SYSTEM, "abc")) == []
    bed.write(lambda records: records.tokens.revoke(ADMIN, token.id, bed.now))
    assert bed.read(lambda records: records.tokens.by_prefix(SYSTEM, "abcd")) == []
    assert bed.read(lambda records: records.tokens.all(SYSTEM)) == []
    with pytest.raises(NotFound):
        bed.write(lambda records: records.tokens.revoke(ADMIN, token.id, bed.now))


def test_a_name_of_a_token_is_free_again_when_it_is_revoked(bed: StoreBed) -> None:
    token = _token(bed)
    bed.write(lambda records: records.tokens.add(ADMIN, token, b"1"))
    with pytest.raises(Conflict, match="token 'ci'"):
        bed.write(lambda records: records.tokens.add(ADMIN, _token(bed), b"2"))
    bed.write(lambda records: records.tokens.revoke(ADMIN, token.id, bed.now))
    newer = _token(bed)
    bed.write(lambda records: records.tokens.add(ADMIN, newer, b"3"))
    assert bed.read(lambda records: records.tokens.all(SYSTEM)) == [newer]


def test_events_name_their_actor_and_are_listed_either_way(bed: StoreBed) -> None:
    for number in range(1, 6):
        subject = f"line:{'even' if number % 2 == 0 else 'odd'}"
        bed.write(
            lambda records, number=number, subject=subject: records.events.add(  # type: ignore[misc]
                OPERATOR, "line.saved", subject, f"number {number}", now=bed.now, data={"n": number}
            )
        )
    newest = bed.read(lambda records: records.events.all(SYSTEM))
    assert [event.data["n"] for event in newest] == [5, 4, 3, 2, 1]
    assert (newest[0].actor, newest[0].at) == ("admin:otto", bed.now)
    oldest = bed.read(lambda records: records.events.all(SYSTEM, newest_first=False, limit=2))
    assert [event.text for event in oldest] == ["number 1", "number 2"]
    after = bed.read(lambda records: records.events.all(SYSTEM, after=oldest[-1].id, newest_first=False))
    assert [event.data["n"] for event in after] == [3, 4, 5]
    odd = bed.read(lambda records: records.events.all(SYSTEM, subject="line:odd"))
    assert [event.data["n"] for event in odd] == [5, 3, 1]


def test_a_fact_of_the_installation_can_be_changed(bed: StoreBed) -> None:
    assert bed.read(lambda records: records.instance.get(SYSTEM, "epoch")) is None
    for value in ("1", "2"):
        bed.write(lambda records, value=value: records.instance.set(ADMIN, "epoch", value))  # type: ignore[misc]
    assert bed.read(lambda records: records.instance.get(SYSTEM, "epoch")) == "2"


def test_a_secret_is_read_by_its_kind_and_id_until_it_is_deleted(bed: StoreBed) -> None:
    secret = bed.write(lambda records: records.secrets.add(ADMIN, "tsig", b"\x00key\xff"))
    assert bed.read(lambda records: records.secrets.read(SYSTEM, "tsig", secret)) == b"\x00key\xff"
    with pytest.raises(NotFound):
        bed.read(lambda records: records.secrets.read(SYSTEM, "account-key", secret))
    bed.write(lambda records: records.secrets.delete(ADMIN, secret))
    with pytest.raises(NotFound):
        bed.read(lambda records: records.secrets.read(SYSTEM, "tsig", secret))
    with pytest.raises(NotFound):
        bed.write(lambda records: records.secrets.delete(ADMIN, secret))


def test_times_keep_their_microseconds_and_are_utc(bed: StoreBed) -> None:
    due = bed.now.replace(microsecond=1)
    line = bed.line(bed.follower(), next_look=due)
    _, (order,) = bed.opened(line, bed.issuer(), due=due)
    found = bed.read(lambda records: records.orders.get(SYSTEM, order.id))
    assert found == order
    assert found.state is OrderState.KEYED
    assert (found.due, found.due.utcoffset()) == (due, bed.now.utcoffset())
