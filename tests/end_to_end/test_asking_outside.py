"""A follower makes its master ask nobody of its choosing: only the CA, the resolvers and itself (T13)."""

from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path

import dns.message
import dns.rcode
import dns.rdatatype
import dns.rrset

from certline_master.challenges.dns_server import DnsServer
from certline_master.challenges.endpoint import Endpoint
from tests.end_to_end.harness import ZONE, Bed, fleet
from tests.end_to_end.host import HostLine
from tests.end_to_end.master import MasterProcess
from tests.end_to_end.waiting import eventually
from tests.testbed.outgoing import record, trap
from tests.testbed.ports import free_port

WWW, MOVED, LOST, DIRECT, FOREIGN = f"www.{ZONE}", "moved.evil.test", "lost.evil.test", "direct.test", "foreign.test"
INSIDE = "intranet.corp.test"


class Dns:
    """What the master's resolver is: every name of the follower's own domains leads to places inside."""

    def __init__(self, inside: int) -> None:
        self.endpoint = Endpoint("127.0.0.1", free_port())
        self.questions: set[tuple[str, str]] = set()
        self._inside = inside

    def answer(self, wire: bytes, *, by_udp: bool) -> bytes:  # noqa: ARG002 the port's signature
        query = dns.message.from_wire(wire)
        (asked,) = query.question
        name, kind = asked.name.to_text(omit_final_dot=True).lower(), dns.rdatatype.to_text(asked.rdtype)
        self.questions.add((name, kind))
        reply = dns.message.make_response(query)
        reply.flags |= dns.flags.RA
        found = self._found(name, kind)
        reply.answer = [dns.rrset.from_text(asked.name, 1, "IN", kind, *found)] if found else []
        return reply.to_wire()

    def _found(self, name: str, kind: str) -> tuple[str, ...]:
        if kind == "A":
            return ("127.0.0.1", "169.254.169.254", "10.0.0.1")
        if kind == "AAAA":
            return ("::1", "fd00:ec2::254")
        if kind == "SRV":
            return (f"0 0 {self._inside} localhost.",)
        leads = {f"_acme-challenge.{MOVED}": f"moved.{ZONE}.", f"_acme-challenge.{LOST}": f"{INSIDE}."}
        return (leads[name],) if kind == "CNAME" and name in leads else ()


@contextmanager
def resolver(inside: int) -> Iterator[Dns]:
    made = Dns(inside)
    server = DnsServer(made.endpoint, made.answer)
    server.start()
    try:
        yield made
    finally:
        server.stop()


def has_ended(master: MasterProcess, line: str) -> bool:
    """Whether the first try came to an end, good or bad."""
    return any(
        version["state"] in ("live", "failed") for version in (master.line(line) or {"versions": []})["versions"]
    )


def test_what_a_follower_wishes_causes_questions_to_the_resolver_and_nothing_else(here: Bed, tmp_path: Path) -> None:
    kept, names = record(tmp_path / "record"), (WWW, MOVED, LOST, DIRECT)
    with trap() as inside, resolver(inside.port) as asked_for:
        http = free_port()
        master = here.master(http_port=http, nameservers=(str(asked_for.endpoint),))
        master.start(prefix=kept.prefix)
        master.set_fleet(fleet(here.ca, {"web": names}, http={DIRECT: "listener"}))
        host = here.enrolled(master, "web")
        wishes = [HostLine(name.partition(".")[0], (name,), outputs={}) for name in (*names, FOREIGN)]
        host.configure(*wishes)
        host.start()

        master.issued("www@web")
        for line in ("moved@web", "direct@web"):  # the CA does not find them, which ends the master's part
            eventually(partial(has_ended, master, line), 30, f"{line} was tried; it is {master.line(line)}")
        refused = {event["subject"] for event in master.events("wish.refused")}
        assert refused == {"line:lost@web", "line:foreign@web"}
        asked = kept.asked()
        assert inside.visitors() == []

    places = {(one.host, int(one.port or 0)) for one in asked if one.how != "getaddrinfo"}
    assert places <= {("127.0.0.1", here.ca.port), ("::1", here.ca.port), ("127.0.0.1", here.dns_port or 0),
                      ("127.0.0.1", http), ("127.0.0.1", asked_for.endpoint.port)}  # fmt: skip
    assert {one.host for one in asked if one.how == "getaddrinfo"} <= {"localhost", "127.0.0.1"}
    followed = {f"_acme-challenge.{MOVED}", f"moved.{ZONE}", f"_acme-challenge.{LOST}", INSIDE}
    assert asked_for.questions == {(name, "CNAME") for name in followed}
