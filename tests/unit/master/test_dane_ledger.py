"""What is done about the TLSA records at one name, after a look at its name servers."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

from certline_master.domain.dane import Wanted, aged_at
from certline_master.domain.dane_ledger import SENT_AGAIN, Shown, ending, plan_name, seen, sent, wanted_again
from certline_master.domain.model import TlsaRecord, TlsaState

NOW = datetime(2026, 11, 20, 12, tzinfo=UTC)
LATER = NOW + SENT_AGAIN
NAME, ONE, TWO, FOREIGN = "_25._tcp.mx.example.com", "3 1 1 aa", "3 1 1 bb", "3 1 1 ff"


def row(rdata: str = ONE, state: TlsaState = TlsaState.INTENDED, **fields: object) -> TlsaRecord:
    made = TlsaRecord(rdata, NAME, rdata, "example.com", state, NOW, ("l-1",), 300)
    return replace(made, **fields)  # type: ignore[arg-type]  # fields of a row


def visible(rdata: str = ONE, since: datetime = NOW, former: int = 600, **fields: object) -> TlsaRecord:
    return row(rdata, TlsaState.VISIBLE, sent_ttl=300, visible_since=since, former_ttl=former, **fields)


def shows(*rdatas: str, server: str = "ns1", ttl: int = 300, serial: str = "7") -> Shown:
    return Shown(server, frozenset(rdatas), ttl, serial)


def test_what_is_missing_is_added_with_what_stood_before_on_record() -> None:
    plan = plan_name([row()], [shows(FOREIGN, ttl=7200), shows(FOREIGN, ttl=60, server="ns2", serial="6")], NOW)
    assert (plan.add, plan.remove) == ((Wanted(NAME, ONE, 300),), ())
    (intended,) = plan.rows
    assert (intended.state, intended.former_ttl, intended.serials) == (
        TlsaState.INTENDED,
        7200,
        {"ns1": "7", "ns2": "6"},
    )
    (after,) = sent(plan.rows, NOW)
    assert (after.state, after.sent) == (TlsaState.PRESENT, NOW)


def test_what_is_there_is_not_sent_and_counts_from_when_it_was_seen() -> None:
    """2.1 line 34."""
    assert not plan_name([row()], [shows(ONE, FOREIGN)], NOW).sends
    (found,) = seen([row()], [shows(ONE, FOREIGN)], (), NOW)
    assert (found.state, found.visible_since, found.former_ttl) == (TlsaState.VISIBLE, NOW, 300)
    assert not plan_name([found], [shows(ONE, FOREIGN)], LATER).sends


def test_only_what_is_in_the_ledger_is_ever_removed() -> None:
    plan = plan_name([visible(), row(TWO, TlsaState.REMOVING)], [shows(ONE, TWO, FOREIGN)], NOW)
    assert (plan.add, [one.rdata for one in plan.remove]) == ((), [TWO])


def test_a_record_that_one_server_does_not_show_is_not_visible() -> None:
    asked = row(state=TlsaState.PRESENT, sent=NOW, sent_ttl=300, former_ttl=600)
    (waiting,) = seen([asked], [shows(ONE), shows(server="ns2")], (), NOW)
    assert (waiting.state, waiting.error) == (TlsaState.PRESENT, "ns2 does not show it")
    (silent,) = seen([asked], [shows(ONE)], ("name server ns2 does not answer",), NOW)
    assert (silent.state, silent.error) == (TlsaState.PRESENT, "name server ns2 does not answer")


def test_a_server_that_shows_it_from_before_is_waited_for() -> None:
    """It was taken away and put back, and this server has seen neither yet."""
    asked = row(state=TlsaState.PRESENT, sent=NOW, sent_ttl=300, former_ttl=600, serials={"ns1": "8", "ns2": "7"})
    (waiting,) = seen([asked], [shows(ONE, serial="9"), shows(ONE, server="ns2", serial="7")], (), NOW)
    assert (waiting.state, waiting.error) == (TlsaState.PRESENT, "ns2 still has the zone from before (serial 7)")
    (found,) = seen([asked], [shows(ONE, serial="9"), shows(ONE, server="ns2", serial="9")], (), NOW)
    assert found.state is TlsaState.VISIBLE


def test_serials_go_round() -> None:
    """RFC 1982."""
    asked = row(state=TlsaState.PRESENT, sent=NOW, sent_ttl=300, serials={"ns1": "4294967295", "ns2": "4294967295"})
    (waiting,) = seen([asked], [shows(ONE, serial="1"), shows(ONE, server="ns2", serial="4294967295")], (), NOW)
    assert waiting.state is TlsaState.PRESENT


def test_an_update_is_not_repeated_while_servers_take_their_time() -> None:
    asked = row(state=TlsaState.PRESENT, sent=NOW, sent_ttl=300, former_ttl=600)
    lagging = [shows(ONE), shows(server="ns2")]
    assert not plan_name([asked], lagging, LATER - timedelta(seconds=1)).sends
    assert plan_name([asked], lagging, LATER).sends


def test_a_record_that_vanished_is_put_back_and_waits_anew() -> None:
    plan = plan_name([visible()], [shows(FOREIGN)], LATER)
    assert plan.add == (Wanted(NAME, ONE, 300),)
    assert [one.rdata for one in plan.vanished] == [ONE]
    assert plan.rows[0].visible_since is None


def test_the_set_has_the_shortest_ttl_that_somebody_wants() -> None:
    plan = plan_name([visible(), visible(TWO, ttl=60)], [shows(ONE, TWO)], LATER)
    assert {(one.rdata, one.ttl) for one in plan.add} == {(ONE, 60), (TWO, 60)}
    assert plan.vanished == ()


def test_a_record_that_was_there_before_us_gets_the_wished_ttl() -> None:
    assert plan_name([row()], [shows(ONE, ttl=7200)], NOW).add == (Wanted(NAME, ONE, 300),)


def test_a_ttl_that_a_server_does_not_keep_is_not_sent_again_and_again() -> None:
    assert not plan_name([visible()], [shows(ONE, ttl=60)], LATER).sends


def test_two_changes_after_each_other_wait_for_the_longer_of_what_stood_before() -> None:
    first = visible(since=NOW, former=3600)
    plan = plan_name([first, row(TWO)], [shows(ONE)], NOW + timedelta(minutes=10))
    assert plan.rows[0].former_ttl == 3600
    plan = plan_name([first, row(TWO)], [shows(ONE)], NOW + timedelta(hours=2))
    assert plan.rows[0].former_ttl == 300


def test_a_removal_is_a_change_that_caches_may_not_know_yet() -> None:
    gone = row(TWO, TlsaState.REMOVED, former_ttl=3600, visible_since=NOW)
    assert plan_name([gone, row()], [shows(ttl=60)], NOW + timedelta(minutes=1)).rows[0].former_ttl == 3600


def test_a_record_is_removed_once_no_server_shows_it() -> None:
    leaving = row(state=TlsaState.REMOVING, sent=NOW, former_ttl=300)
    (waiting,) = seen([leaving], [shows(), shows(ONE, server="ns2")], (), NOW)
    assert waiting.error == "ns2 still shows it"
    (done,) = seen([leaving], [shows(), shows(server="ns2")], (), NOW)
    assert (done.state, aged_at(done)) == (TlsaState.REMOVED, NOW + timedelta(seconds=300))


def test_what_ends_or_begins_anew_remembers_what_caches_may_hold() -> None:
    young, old = visible(former=3600), visible(since=NOW - timedelta(days=1))
    assert [ending(one, NOW).former_ttl for one in (young, old)] == [3600, None]
    assert [wanted_again(one, NOW).former_ttl for one in (young, old)] == [3600, None]
