"""More to do than there are threads for: who comes then is sent away with a time to come back, before any work."""

import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path

import httpx
import pytest

from certline_master.domain.access import Role
from certline_master.domain.ports import Records
from tests.integration.api_bed import Bed, running_master, sqlite_url

THREADS = 40  # of the server
ROOM = 5


@pytest.fixture
def bed(tmp_path: Path) -> Iterator[Bed]:
    with running_master(sqlite_url(tmp_path), most_waiting=ROOM) as running:
        yield running


@pytest.fixture
def stuck(bed: Bed) -> Iterator[threading.Event]:
    """The store writes nothing until the event is set: a disk that is slow, or another writer."""
    going_on, at_work = threading.Event(), threading.Event()

    def slow(_records: Records) -> None:
        at_work.set()
        going_on.wait(30)

    writer = threading.Thread(target=lambda: bed.store.write(slow))
    writer.start()
    at_work.wait(10)
    yield going_on
    going_on.set()
    writer.join()


def test_beyond_the_room_requests_are_sent_away_and_those_inside_are_served(bed: Bed, stuck: threading.Event) -> None:
    headers = {"Authorization": f"Bearer {bed.tokens[Role.ADMIN]}", "Content-Type": "application/json"}

    def change(number: int) -> httpx.Response:
        return http.put(f"/v1/followers/host-{number}", headers=headers, content=b"{}")

    many = THREADS + ROOM + 30
    with _many_at_once(bed) as http, ThreadPoolExecutor(many) as people:
        asked = [people.submit(change, number) for number in range(many)]
        refused = _first_refusal(bed)
        stuck.set()
        answers = [one.result() for one in asked]

    assert refused.json()["type"] == "urn:certline:problem:unavailable"
    assert {answer.status_code for answer in answers} <= {200, 503}
    sent_away = [answer for answer in [*answers, refused] if answer.status_code == 503]
    assert all(30 <= int(answer.headers["Retry-After"]) <= 300 for answer in sent_away)
    assert sum(answer.status_code == 200 for answer in answers) >= THREADS


def _many_at_once(bed: Bed) -> httpx.Client:
    return httpx.Client(base_url=bed.url, timeout=60, limits=httpx.Limits(max_connections=None))


def _first_refusal(bed: Bed) -> httpx.Response:
    """Ask until somebody is sent away. Who comes before there is no more room waits with the others, and gives up."""
    while True:
        with suppress(httpx.ReadTimeout):
            answer = bed.http.get("/v1/status", timeout=0.5)
            if answer.status_code == 503:
                return answer


def test_health_is_told_however_much_there_is_to_do(bed: Bed, stuck: threading.Event) -> None:
    headers = {"Authorization": f"Bearer {bed.tokens[Role.ADMIN]}"}
    with _many_at_once(bed) as http, ThreadPoolExecutor(THREADS + ROOM) as people:
        asked = [
            people.submit(http.put, f"/v1/followers/host-{number}", headers=headers, content=b"{}")
            for number in range(THREADS + ROOM)
        ]
        _first_refusal(bed)
        assert bed.http.get("/healthz").status_code == 200
        assert bed.http.get("/readyz").status_code == 200
        stuck.set()
        assert {one.result().status_code for one in asked} <= {200, 503}


def test_a_master_with_room_sends_nobody_away(bed: Bed) -> None:
    assert bed.follower().manifest().status_code == 200
