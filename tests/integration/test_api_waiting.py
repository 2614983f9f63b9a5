"""Followers that wait for news: no change passes them by, and neither waiting nor being told is at others' expense."""

import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest

from certline_master.api.long_polls import MOST_LOOKING, MOST_OF_ONE
from certline_master.domain.access import SYSTEM
from certline_master.domain.model import Grant, GrantKind
from certline_master.domain.ports import Records
from certline_shared.clock import SystemClock
from tests.integration.api_bed import Bed, running_master, sqlite_url
from tests.integration.api_hosts import FollowerClient
from tests.integration.wire import Wire, head, statuses, wire

ROOM = 5  # requests that may wait for a thread
HOSTS = 20
CLOCK = SystemClock()


@pytest.fixture
def bed(tmp_path: Path) -> Iterator[Bed]:
    with running_master(sqlite_url(tmp_path), long_polls=HOSTS * MOST_OF_ONE, most_waiting=ROOM) as running:
        yield running


def ask_to_wait(client: Wire, host: FollowerClient, known: str, seconds: int) -> None:
    query = f"wait={seconds}"
    signed = host.signed("GET", "/v1/follower/manifest", query=query) | {"If-None-Match": known}
    fields = [f"{name}: {value}" for name, value in signed.items() if name != "Host"]
    client.send(head(f"GET /v1/follower/manifest?{query}", *fields))


def until(holds: Callable[[], bool]) -> None:
    end = CLOCK.monotonic() + 20
    while not holds():
        assert CLOCK.monotonic() < end


def grant_more(bed: Bed, host: FollowerClient) -> None:
    """A change that nobody is told of."""
    more = [Grant(GrantKind.REQUEST, "more.example.com")]
    bed.store.write(lambda records: records.followers.set_grants(SYSTEM, host.follower_id, more))


def test_what_changes_between_the_question_and_the_waiting_is_answered_at_once(
    bed: Bed, monkeypatch: pytest.MonkeyPatch
) -> None:
    host = bed.follower()
    known = host.manifest().headers["ETag"]
    listen = bed.services.bell.listen

    def just_too_late(topic: str, heard: Callable[[], None]) -> Callable[[], None]:
        grant_more(bed, host)
        return listen(topic, heard)

    monkeypatch.setattr(bed.services.bell, "listen", just_too_late)
    assert host.manifest(known, wait=55).status_code == 200


def test_a_ring_that_brings_nothing_new_does_not_end_the_waiting(bed: Bed) -> None:
    host = bed.follower()
    known = host.manifest().headers["ETag"]
    with wire(bed.url) as client:
        began = CLOCK.monotonic()
        ask_to_wait(client, host, known, 2)
        until(lambda: bed.app.state.long_polls.open == 1)
        bed.services.bell.ring(f"follower:{host.follower_id}")
        assert statuses(client.answer()) == [304]
        assert CLOCK.monotonic() - began > 1.5


def test_who_waits_hears_of_a_change_after_a_ring_that_brought_nothing(bed: Bed) -> None:
    host = bed.follower()
    known = host.manifest().headers["ETag"]
    with wire(bed.url) as client:
        ask_to_wait(client, host, known, 55)
        until(lambda: bed.app.state.long_polls.open == 1)
        bed.services.bell.ring(f"follower:{host.follower_id}")
        bed.ask("PUT", f"/v1/followers/{host.name}", {"grants": {"request": ["more.example.com"]}})
        assert statuses(client.answer()) == [200]


def test_who_leaves_while_it_waits_gives_its_place_back(bed: Bed) -> None:
    host = bed.follower()
    known = host.manifest().headers["ETag"]
    with wire(bed.url) as client:
        ask_to_wait(client, host, known, 55)
        until(lambda: bed.app.state.long_polls.open == 1)
    until(lambda: bed.app.state.long_polls.open == 0)


@pytest.mark.parametrize("wait", ["-1", "56", "soon", "1e1"])
def test_a_time_to_wait_that_is_none_is_refused_whether_or_not_there_is_news(bed: Bed, wait: str) -> None:
    host = bed.follower()
    known = host.manifest().headers["ETag"]
    for etag in (known, '"another"'):
        answer = host.ask("GET", "/v1/follower/manifest", query=f"wait={wait}", etag=etag)
        assert answer.status_code == 422
        assert "wait" in answer.text


@contextmanager
def stuck(bed: Bed) -> Iterator[None]:
    """Inside it the store writes nothing: what a changed manifest needs, to get its serial."""
    going_on, at_work = threading.Event(), threading.Event()

    def slow(_records: Records) -> None:
        at_work.set()
        going_on.wait(30)

    writer = threading.Thread(target=lambda: bed.store.write(slow))
    writer.start()
    at_work.wait(10)
    try:
        yield
    finally:
        going_on.set()
        writer.join()


def test_when_all_are_told_at_once_others_are_served_meanwhile(bed: Bed) -> None:
    hosts = [bed.follower(f"web-{number}") for number in range(HOSTS)]
    polls, looking = bed.app.state.long_polls, bed.app.state.long_polls.looking
    with ExitStack() as clients:
        waiting = []
        for host in hosts:
            known = host.manifest().headers["ETag"]
            for _ in range(MOST_OF_ONE):
                waiting.append(clients.enter_context(wire(bed.url)))
                ask_to_wait(waiting[-1], host, known, 55)
        until(lambda: polls.open == len(waiting) > MOST_LOOKING + ROOM)
        for host in hosts:
            grant_more(bed, host)
        with stuck(bed):
            for host in hosts:
                bed.services.bell.ring(f"follower:{host.follower_id}")
            until(looking.locked)
            assert {bed.ask("GET", "/v1/followers").status_code for _ in range(20)} == {200}
        assert [statuses(client.answer()) for client in waiting] == [[200]] * len(waiting)
