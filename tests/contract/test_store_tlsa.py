"""The ledger of TLSA records: one row for a value at a name, however many lines want it, until it is out of DNS."""

from dataclasses import replace
from datetime import timedelta

from certline_master.domain.access import SYSTEM, Caller, Role
from certline_master.domain.dane import Wanted
from certline_master.domain.dane_ledger import ending
from certline_master.domain.model import Line, LineOptions, TlsaRecord, TlsaState, TlsaWish
from certline_master.domain.ports import Records
from tests.contract.store_bed import VIEWER, StoreBed

OWNER = "_443._tcp.www.example.test"
ONE, TWO = Wanted(OWNER, "3 1 1 aa", 300), Wanted(OWNER, "3 1 1 bb", 300)
FOLLOWER = Caller(Role.FOLLOWER, "web-1", "id-1")


def lines(bed: StoreBed, *names: str) -> list[Line]:
    host = bed.follower()
    wishes = LineOptions(tlsa=(TlsaWish(),))
    return [bed.line(host, name, options=wishes) for name in names]


def want(bed: StoreBed, line: Line, *wanted: Wanted) -> list[TlsaRecord]:
    zones = {OWNER: "example.test"}
    return bed.write(lambda records: records.tlsa.want(SYSTEM, line.id, wanted, zones, now=bed.now))


def everything(bed: StoreBed) -> list[TlsaRecord]:
    return bed.read(lambda records: records.tlsa.all(VIEWER))


def unwanted(bed: StoreBed) -> list[TlsaRecord]:
    """What the engine does with them."""

    def write(records: Records) -> list[TlsaRecord]:
        unwanted = records.tlsa.unwanted(SYSTEM)
        found = [ending(row, bed.now) for row in unwanted if row.state is not TlsaState.REMOVED]
        records.tlsa.save(SYSTEM, found)
        return found

    return bed.write(write)


def save(bed: StoreBed, *rows: TlsaRecord) -> None:
    bed.write(lambda records: records.tlsa.save(SYSTEM, rows))


def test_the_set_at_a_name_is_the_union_over_all_lines(bed: StoreBed) -> None:
    shop, blog = lines(bed, "shop", "blog")
    assert [one.rdata for one in want(bed, shop, ONE)] == ["3 1 1 aa"]
    assert [one.rdata for one in want(bed, blog, replace(ONE, ttl=60), TWO)] == ["3 1 1 bb"]
    found = everything(bed)
    assert [(one.rdata, one.ttl, set(one.lines)) for one in found] == [
        ("3 1 1 aa", 60, {shop.id, blog.id}),
        ("3 1 1 bb", 300, {blog.id}),
    ]
    assert [(one.state, one.zone) for one in found] == [(TlsaState.INTENDED, "example.test")] * 2
    by_line = bed.read(lambda records: records.tlsa.of_lines(VIEWER, [shop.id, blog.id]))
    assert [len(by_line[line.id]) for line in (shop, blog)] == [1, 2]


def test_a_record_is_removed_when_the_last_line_wants_it_no_more(bed: StoreBed) -> None:
    shop, blog = lines(bed, "shop", "blog")
    want(bed, shop, ONE)
    want(bed, blog, ONE)
    want(bed, shop)
    assert unwanted(bed) == []
    bed.write(lambda records: records.lines.delete(SYSTEM, "blog"))
    assert [(one.rdata, one.state) for one in unwanted(bed)] == [("3 1 1 aa", TlsaState.REMOVING)]
    assert [one.state for one in unwanted(bed)] == [TlsaState.REMOVING]  # until it is out of DNS


def test_what_is_removed_is_forgotten_only_while_nobody_wants_it(bed: StoreBed) -> None:
    (shop,) = lines(bed, "shop")
    want(bed, shop, ONE)
    (row,) = everything(bed)
    bed.write(lambda records: records.tlsa.forget(SYSTEM, [row]))
    assert len(everything(bed)) == 1
    want(bed, shop)
    (row,) = unwanted(bed)
    save(bed, replace(row, state=TlsaState.REMOVED, visible_since=bed.now, former_ttl=60))
    assert unwanted(bed) == []
    bed.write(lambda records: records.tlsa.forget(SYSTEM, [row]))
    assert everything(bed) == []


def test_a_record_that_is_wanted_again_begins_anew_and_remembers_what_caches_hold(bed: StoreBed) -> None:
    (shop,) = lines(bed, "shop")
    want(bed, shop, ONE)
    want(bed, shop)
    (row,) = unwanted(bed)
    save(bed, replace(row, former_ttl=3600))
    (again,) = want(bed, shop, ONE)
    assert (again.state, again.former_ttl, again.visible_since) == (TlsaState.INTENDED, 3600, None)
    assert want(bed, shop, ONE) == []


def test_a_line_with_records_is_looked_at_when_it_is_saved_and_at_its_time(bed: StoreBed) -> None:
    (shop,) = lines(bed, "shop")
    plain = bed.line(bed.follower("web-2"), "plain")
    soon = bed.clock.now() + timedelta(minutes=1)
    assert bed.read(lambda records: records.tlsa.due(SYSTEM, soon, 10)) == [shop.id]
    bed.write(lambda records: records.tlsa.look(SYSTEM, shop.id, soon + timedelta(hours=1)))
    assert bed.read(lambda records: records.tlsa.due(SYSTEM, soon, 10)) == []
    bed.write(lambda records: records.lines.save(SYSTEM, replace(shop, options=LineOptions())))
    assert bed.read(lambda records: records.tlsa.due(SYSTEM, soon, 10)) == [shop.id]  # its records are to go
    bed.write(lambda records: records.tlsa.look(SYSTEM, shop.id, None))
    bed.write(lambda records: records.lines.save(SYSTEM, plain))
    assert bed.read(lambda records: records.tlsa.due(SYSTEM, soon, 10)) == []


def test_the_planner_sees_the_lines_own_records(bed: StoreBed) -> None:
    shop, blog = lines(bed, "shop", "blog")
    want(bed, shop, ONE)
    found = bed.read(lambda records: records.lines.snapshots(SYSTEM, [shop.id, blog.id]))
    assert [[row.rdata for row in one.tlsa] for one in found] == [["3 1 1 aa"], []]


def test_what_servers_showed_before_a_change_is_kept(bed: StoreBed) -> None:
    (shop,) = lines(bed, "shop")
    want(bed, shop, ONE)
    (row,) = everything(bed)
    told = replace(row, former_ttl=86400, serials={"ns1": "7"}, sent=bed.now, error="ns2 does not show it")
    save(bed, told)
    assert everything(bed) == [told]
