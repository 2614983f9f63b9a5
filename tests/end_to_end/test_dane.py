"""DANE with real parts: a master, a host, BIND with a signed zone, and the commands that show and mend its records."""

from collections.abc import Collection, Iterator
from dataclasses import dataclass

import pytest

from tests.end_to_end.conftest import BedMaker
from tests.end_to_end.harness import ZONE, fleet
from tests.end_to_end.host import CHANGED, NOTHING, FollowerHost, HostLine
from tests.end_to_end.master import MasterProcess
from tests.end_to_end.test_crash_master import bind_zone
from tests.end_to_end.waiting import eventually
from tests.testbed import parts
from tests.testbed.bind import Bind
from tests.testbed.bind import bind as running_bind

MX = f"mx.{ZONE}"
AT = f"_25._tcp.{MX}"
HAND_MADE = "3 1 1 " + "0f" * 32
FAILED = 4


@dataclass(frozen=True, slots=True)
class Mail:
    master: MasterProcess
    host: FollowerHost
    named: Bind

    def records(self) -> set[str]:
        return {" ".join(one.split()) for one in self.named.records(AT, "TLSA")}

    def ours(self) -> set[str]:
        found = self.master.get("/v1/lines/mail/tlsa")
        return {one["rdata"] for one in found["records"] if one["state"] == "visible"}

    def version(self) -> int | None:
        found = self.master.line("mail")
        return found["line"]["version"] if found else None

    def settled(self, number: int, former: Collection[str] = ()) -> set[str]:
        """The records once that version is live, its next key is published, and no former one is left."""

        def found() -> set[str] | None:
            ours = self.ours()
            calm = self.master.get("/v1/lines/mail/tlsa")["kept"] == []
            ready = self.version() == number and len(ours) == 2 and ours != former and calm
            return ours if ready and self.records() == {HAND_MADE, *ours} else None

        eventually(lambda: found() is not None, 60, f"version {number} with its records", every=0.5)
        return found() or set()


@pytest.fixture
def mail(bed_with: BedMaker) -> Iterator[Mail]:
    parts.require("named")
    with (
        running_bind({ZONE: f"_25._tcp.mx 2 IN TLSA {HAND_MADE}"}, dnssec=True) as named,
        bed_with(dns_server=named.address) as here,
    ):
        master = here.master(nameservers=(named.address,))
        master.start()
        line = {"custody": "master", "names": [MX], "tlsa": [{"port": 25, "ttl": 2}]}
        wanted = fleet(here.ca, {}, zones={ZONE: bind_zone(here, named)}, lines={"mail": line})
        master.set_fleet(wanted | {"followers": {"web": {"grants": {"pull": ["mail"]}}}})
        host = here.enrolled(master, "web")
        host.configure(HostLine("mail"))
        yield Mail(master, host, named)


def test_a_rollover_from_the_command_to_the_last_record(mail: Mail) -> None:
    """2.1 lines 9, 33, 34 and 35; 2.3 lines 9 and 15: and values that somebody made by hand stay throughout."""
    first = mail.settled(1)
    mail.host.sync().well(CHANGED, NOTHING)
    mail.master.command("tlsa", "check", "mail").well()
    said = mail.master.command("tlsa", "show", "mail", "--zone-file").well().out.splitlines()
    assert sorted(said) == sorted(f"{AT}. 2 IN TLSA {one}" for one in first)
    _is_mended(mail, first)

    mail.master.command("line", "rollover", "mail").well()
    eventually(lambda: mail.version() == 2, 60, "the next key is live", every=0.5)
    assert first <= mail.records()
    assert "stay until the live one is served by web" in mail.master.command("line", "show", "mail").well().out
    mail.host.sync().well(CHANGED, NOTHING)
    second = mail.settled(2, first)
    assert len(second & first) == 1  # the key that was published as the next one

    mail.master.command("line", "revoke", "mail", "--reason", "key-compromise").well()
    eventually(lambda: not (second & first) & mail.records(), 60, "the revoked key's record is gone")
    assert HAND_MADE in mail.records()


def _is_mended(mail: Mail, ours: set[str]) -> None:
    """What was deleted by hand is told, and comes back at once by command."""
    taken_away(mail, min(ours))
    told = mail.master.command("tlsa", "check", "mail").well(FAILED).out
    assert f"lacks {min(ours)}" in told
    assert f"shows {HAND_MADE}, not ours" in told
    mail.master.command("tlsa", "update", "mail").well()
    eventually(lambda: mail.records() == {HAND_MADE, *ours}, 30, "the record is back")
    mail.settled(1)


def taken_away(mail: Mail, rdata: str) -> None:
    """As an administrator would by nsupdate."""
    from certline_master.challenges.resolver import Resolver
    from certline_master.challenges.rfc2136 import Rfc2136Solver
    from certline_master.challenges.visibility import AuthoritativeLook
    from certline_master.domain.dane import Wanted
    from certline_master.domain.model import Owner, Zone
    from certline_shared.clock import SystemClock

    key, resolver = mail.named.keys["hmac-sha256"], Resolver([mail.named.address])
    settings = {"server": "127.0.0.1", "port": mail.named.port, "key_name": key.name}
    solver = Rfc2136Solver(resolver, AuthoritativeLook(resolver, SystemClock()))
    zone = Zone("zone", ZONE, Owner.FILE, "rfc2136", settings)
    solver.change_tlsa(zone, key.secret.encode(), add=[], remove=[Wanted(AT, rdata, 0)])
