"""A certificate's life after the first day: renewals, restarts, and a master that is away."""

import json
from datetime import timedelta

from certline_shared.clock import SystemClock
from certline_shared.messages import time_text
from tests.end_to_end.assertions import assert_installed, same_serial, serial_of
from tests.end_to_end.harness import Bed, Requests, fleet, watched
from tests.end_to_end.host import AWAY, BUSY, CHANGED, NOTHING, HostLine
from tests.end_to_end.waiting import eventually, seconds
from tests.testbed.fault_proxy import Answer, Fault, answer
from tests.testbed.parts import require

WWW = "www.example.test"
LINE = HostLine("www", (WWW,))
TOMORROW = ("env", "DONT_FAKE_MONOTONIC=1", "faketime", "-f", "+25h")


def test_a_new_version_is_on_the_host_within_two_seconds_of_its_issuance(here: Bed) -> None:
    master = here.serving({"web": [WWW]})
    host = here.enrolled(master, "web")
    host.configure(LINE)
    host.start()
    first = master.issued("www@web")
    eventually(lambda: host.output("fullchain.pem"), 10, "the first certificate on the host")

    master.renew("www@web")
    second = master.issued("www@web", after=first)
    began = seconds()
    eventually(
        lambda: same_serial(serial_of(host.output("fullchain.pem") or b""), second), 2, "the new one on the host"
    )

    print(f"on the host {seconds() - began:.3f} s after its issuance")  # noqa: T201 a figure to look at
    assert_installed(host.tls, second)


def test_an_order_that_is_under_way_when_the_master_stops_is_finished_after_its_restart(here: Bed) -> None:
    with watched(here.ca) as proxy:
        busy = proxy.add(Fault(path="finalize-order", reply=answer(503, Retry_After="1")))
        master = here.master()
        master.start()
        master.set_fleet(fleet(proxy, {"web": [WWW]}))
        host = here.enrolled(master, "web")
        host.configure(LINE)
        host.start()
        eventually(lambda: busy.struck, 10, "the CA is busy")
        master.stop()
        assert "stopped" in [record["event"] for record in master.log_records()]
        proxy.heal()

        master.start()

        serial = master.issued("www@web")
        assert Requests(proxy).orders == 1
        host.stop()
        host.sync().well(CHANGED, NOTHING)
        assert_installed(host.tls, serial)


def test_a_host_without_its_master_says_so_and_keeps_what_it_has(here: Bed) -> None:
    master = here.serving({"web": [WWW]})
    host = here.enrolled(master, "web")
    host.configure(LINE)
    host.sync().well(CHANGED)
    serial = master.live_serial("www@web") or ""
    master.stop()

    said = host.sync().refused(AWAY)

    assert master.origin.removeprefix("https://") in said
    assert_installed(host.tls, serial)


def test_a_sync_beside_the_daemon_says_so_and_changes_nothing(here: Bed) -> None:
    master = here.serving({"web": [WWW]})
    host = here.enrolled(master, "web")
    host.configure(LINE)
    host.start()
    eventually(lambda: host.output("fullchain.pem"), 20, "the certificate on the host")

    said = host.sync().refused(BUSY)

    assert "another run is active" in said
    host.kill9()
    host.sync().well(NOTHING, CHANGED)


def test_a_certificate_is_replaced_by_itself_when_the_ca_asks_for_it(here: Bed) -> None:
    """RFC 9773. A certificate that is new is not replaced on its first day, so the master lives a day later."""
    require("faketime")
    with watched(here.ca) as proxy:
        proxy.add(Fault(path="renewalInfo/", method="GET", times=2, reply=renew_now()))
        master = here.master()
        master.start()
        master.set_fleet(fleet(proxy, {"web": [WWW]}))
        host = here.enrolled(master, "web")
        host.configure(LINE)
        host.sync().well(CHANGED)
        first = master.live_serial("www@web")
        assert "the CA asks for it now" in master.command("line", "show", "www@web").well().out
        master.stop()

        master.start(prefix=TOMORROW)

        second = master.issued("www@web", after=first)
        assert not master.events("order.replaces_dropped"), "the CA took it as the replacement of the first"
        assert Requests(proxy).orders == 2
        host.sync().well(CHANGED)
        assert_installed(host.tls, second)


def renew_now() -> Answer:
    """A suggested window that is over."""
    now = SystemClock().now()
    window = {"start": time_text(now - timedelta(days=2)), "end": time_text(now - timedelta(days=1))}
    body = {"suggestedWindow": window, "explanationURL": "https://ca.example/why"}
    return answer(200, json.dumps(body).encode(), Retry_After="21600")
