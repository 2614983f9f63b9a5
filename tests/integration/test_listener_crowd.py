"""Thousands of connections that want nothing: they are cut off, and whoever wants something is served meanwhile."""

import socket
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from select import poll

import pytest

from certline_master.connection import Patience
from certline_master.door import RESERVED_FILES, raise_file_limit, room
from certline_master.places import Place, Places
from certline_shared.clock import SystemClock
from tests.integration.api_bed import Bed, running_master, sqlite_url
from tests.integration.wire import head, statuses, wire

MANY = min(5_000, (raise_file_limit() - 1_000) // 2)  # both ends are files of this process
CLOCK = SystemClock()


@contextmanager
def crowd(bed: Bed, size: int) -> Iterator[list[socket.socket]]:
    """So many connections, on which nothing is sent."""
    port = int(bed.url.rpartition(":")[2])
    with ExitStack() as sockets:
        yield [sockets.enter_context(socket.create_connection(("127.0.0.1", port), timeout=20)) for _ in range(size)]


def were_cut(sockets: list[socket.socket], within: float) -> bool:
    """Whether all of them come to their end."""
    waiting, left = poll(), {one.fileno(): one for one in sockets}
    for number in left:
        waiting.register(number)
    until = CLOCK.monotonic() + within
    while left and CLOCK.monotonic() < until:
        for number, _ in waiting.poll(1000):
            with suppress(ConnectionError):
                if left[number].recv(1):
                    return False
            waiting.unregister(number)
            del left[number]
    return not left


def test_thousands_of_idle_connections_are_cut_while_a_follower_is_served(tmp_path: Path) -> None:
    with running_master(
        sqlite_url(tmp_path),
        patience=Patience(read_seconds=3.0),
        places=Places(MANY + 100, share=lambda _address: True),
    ) as bed:
        host = bed.follower()
        with crowd(bed, MANY) as sockets:
            assert host.manifest().status_code == 200
            known = host.manifest().headers["ETag"]
            assert host.manifest(known, wait=1).status_code == 304
            assert were_cut(sockets, within=20)
            assert host.manifest().status_code == 200


def test_a_crowd_larger_than_the_room_makes_place_for_who_comes_with_a_request(tmp_path: Path) -> None:
    places = Places(100, share=lambda _address: True)
    with running_master(sqlite_url(tmp_path), patience=Patience(read_seconds=30.0), places=places) as bed:
        host = bed.follower()
        known = host.manifest().headers["ETag"]
        with wire(bed.url) as waiting:
            signed = host.signed("GET", "/v1/follower/manifest", query="wait=5") | {"If-None-Match": known}
            fields = [f"{name}: {value}" for name, value in signed.items() if name != "Host"]
            waiting.send(head("GET /v1/follower/manifest?wait=5", *fields))
            with crowd(bed, MANY) as sockets:
                assert host.manifest().status_code == 200
                assert places.taken <= 100
                assert were_cut(sockets[: MANY - 100], within=20)
            assert statuses(waiting.answer()) == [304], "a follower that waits for news was cut for the crowd's sake"


def test_one_address_has_half_of_the_room(tmp_path: Path) -> None:
    places = Places(40)
    with (
        running_master(sqlite_url(tmp_path), patience=Patience(read_seconds=30.0), places=places) as bed,
        ExitStack() as all_,
    ):
        elsewhere = [all_.enter_context(wire(bed.url, source="127.0.0.2")) for _ in range(15)]
        with crowd(bed, 200) as sockets:
            assert were_cut(sockets[:180], within=20)
            assert places.taken <= 35
        assert all(client.is_quiet(0) for client in elsewhere)
        for client in elsewhere:
            client.send(head("GET /healthz"))
            assert statuses(client.answer()) == [200]


# --- the rule by itself ---


class Guests:
    """They take places, and it is on record who was cut."""

    def __init__(self, places: Places) -> None:
        self.places = places
        self.cut: list[str] = []

    def come(self, name: str, address: str = "192.0.2.1") -> Place | None:
        return self.places.take(address, lambda: self.cut.append(name))

    def must(self, name: str, address: str = "192.0.2.1") -> Place:
        place = self.come(name, address)
        assert place is not None
        return place


@pytest.fixture
def three() -> Guests:
    return Guests(Places(3, share=lambda _address: True))


def test_the_one_that_waits_longest_makes_room(three: Guests) -> None:
    places = [three.must(name) for name in "abc"]
    places[0].answers()
    places[0].rests()
    three.must("d")
    assert (three.cut, three.places.taken) == (["b"], 3)


def test_of_those_that_rest_between_two_requests_only_so_many_are_kept() -> None:
    guests = Guests(Places(9, share=lambda _address: True, most_resting=2))
    for name in "abcd":
        guests.must(name).answers()
    places = [guests.must(name) for name in "efg"]
    for place in places:
        place.answers()
        place.rests()
    assert guests.cut == ["e"]
    places[1].answers()
    places[1].rests()
    guests.must("h")
    assert (guests.cut, guests.places.taken) == (["e"], 7)


def test_who_is_being_answered_is_not_cut(three: Guests) -> None:
    for name in "ab":
        three.must(name).answers()
    three.must("c")
    three.must("d")
    assert three.cut == ["c"]


def test_when_all_are_being_answered_nobody_else_comes_in(three: Guests) -> None:
    for name in "abc":
        three.must(name).answers()
    assert three.come("d") is None
    assert three.cut == []


def test_a_place_that_was_left_is_free_once(three: Guests) -> None:
    places = [three.must(name) for name in "abc"]
    places[0].leave()
    places[0].leave()
    places[0].rests()
    assert three.places.taken == 2
    three.must("d")
    assert three.cut == []


def test_an_address_with_half_of_the_places_cuts_its_own() -> None:
    guests = Guests(Places(4))
    for name in "abc":
        guests.must(name, "192.0.2.1")
    guests.must("d", "192.0.2.2")
    assert guests.cut == ["a"]


def test_an_address_with_half_of_the_places_in_use_gets_no_more() -> None:
    guests = Guests(Places(4))
    for name in "ab":
        guests.must(name, "192.0.2.1").answers()
    assert guests.come("c", "192.0.2.1") is None
    assert guests.come("d", "192.0.2.2") is not None


@pytest.mark.parametrize(("wished", "files", "given"), [(1000, 65_536, 1000), (16_384, 4_096, 4_096 - RESERVED_FILES)])
def test_connections_leave_files_for_the_rest_of_the_master(wished: int, files: int, given: int) -> None:
    assert room(wished, files) == given
