"""A master that stops: who waits is answered, who asks nothing is not waited for, and the log has no false alarm."""

import ssl
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from certline_master.server import GRACE_SECONDS
from certline_shared.clock import SystemClock
from tests.integration.api_bed import running_master, serving, sqlite_url
from tests.integration.cli_bed import serving as serving_program
from tests.integration.test_api_waiting import ask_to_wait, until
from tests.integration.wire import head, statuses, wire

CLOCK = SystemClock()


@contextmanager
def time_of_it() -> Iterator[list[float]]:
    began, taken = CLOCK.monotonic(), list[float]()
    yield taken
    taken.append(CLOCK.monotonic() - began)


def test_clients_that_do_not_let_go_hold_up_no_stop_and_are_no_error(tmp_path: Path) -> None:
    anyone = ssl.create_default_context()
    anyone.check_hostname, anyone.verify_mode = False, ssl.CERT_NONE
    with serving_program(tmp_path / "etc") as master, wire(f"https://localhost:{master.port}", anyone) as client:
        client.send(head("GET /healthz"))
        assert statuses(client.answer()) == [200]
        before = len(master.records())
        with time_of_it() as taken:
            master.stop()
        loud = [record for record in master.records()[before:] if record["level"] not in ("debug", "info")]
        assert loud == []
        assert taken[0] < GRACE_SECONDS


def test_a_follower_that_waits_for_news_is_answered_and_its_connection_closed(tmp_path: Path) -> None:
    with running_master(sqlite_url(tmp_path)) as bed:
        host = bed.follower()
        known = host.manifest().headers["ETag"]
        with ExitStack() as clients:
            with serving(bed.app) as url:
                client = clients.enter_context(wire(url))
                ask_to_wait(client, host, known, 55)
                until(lambda: bed.app.state.long_polls.open == 1)
            said = client.rest()
            assert statuses(said) == [304]
            assert b"connection: close" in said.lower()
