"""`certline serve` itself: its listener waits 10 seconds, and rubbish that strangers send does not fill its log."""

from contextlib import ExitStack
from pathlib import Path

from certline_master.connection import READ_SECONDS
from certline_shared.clock import SystemClock
from tests.integration.cli_bed import serving
from tests.integration.test_listener_time import MUCH_LATER
from tests.integration.wire import wire

CLOCK = SystemClock()
HELLOS = {"none": b"", "half of one": b"\x16\x03\x01\x02\x00\x01\x00\x01", "no TLS": b"GET / HTTP/1.1\r\n\r\n"}


def test_without_a_handshake_a_connection_lasts_ten_seconds_and_leaves_no_line_in_the_log(tmp_path: Path) -> None:
    with serving(tmp_path / "etc") as master, ExitStack() as clients:
        before = len(master.records())
        began = CLOCK.monotonic()
        url = f"https://127.0.0.1:{master.port}"
        strangers = [clients.enter_context(wire(url)) for _ in HELLOS]
        for stranger, hello in zip(strangers, HELLOS.values(), strict=True):
            stranger.send(hello)
        for stranger in strangers:
            stranger.rest()
        assert READ_SECONDS * 0.9 < CLOCK.monotonic() - began < READ_SECONDS + MUCH_LATER
        assert master.records()[before:] == []
