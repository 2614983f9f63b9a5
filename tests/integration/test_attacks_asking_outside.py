"""Nobody makes the master ask where its operator does not let it: every URL that it is given, on every way (G10).

The master is a process of its own, whose every connection, datagram and look-up is recorded.
"""

import json
import ssl
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import httpx
import pytest

from certline_master import settings, wiring
from certline_master.cli.client import load_profile
from certline_master.cli.local_follower import program
from certline_master.domain.access import SYSTEM
from certline_master.domain.model import Custody, HttpName, Issuer, Line, Owner
from certline_master.domain.ports import Records
from certline_shared.chance import SystemChance
from certline_shared.clock import SystemClock
from tests.integration.cli_bed import CA_IS_HERE, ENVIRONMENT, Master, initialised
from tests.testbed.outgoing import Asked, Record, Trap, record, trap
from tests.testbed.program import Program

ISSUER, OLD, LINE = "known", "old", "shop"
LOOPBACK = [
    "127.0.0.1", "127.0.0.2", "localhost", "LOCALHOST", "LocalHost", "localhost.", "2130706433", "0177.0.0.1",
    "017700000001", "0x7f000001", "0x7f.0.0.1", "127.1", "127.0.1", "0.0.0.0", "0", "[::1]", "[0:0:0:0:0:0:0:1]",
    "[::]", "[::ffff:127.0.0.1]", "[::FFFF:7f00:1]", "[::127.0.0.1]", "[64:ff9b::7f00:1]", "[2002:7f00:1::]",
    "[::1%25lo]",
    "127。0。0。1", "①②⑦.0.0.1", "127.0.0.1%00.ca.example", "good.example@127.0.0.1", "good.example:443@127.0.0.1",
    "good.example\\@127.0.0.1", "good.example%40127.0.0.1", "127.0.0.1.", "127.0.0.1%2e",
]  # fmt: skip
OTHERS = [
    "169.254.169.254", "[fd00:ec2::254]", "[::ffff:169.254.169.254]", "2852039166", "0xa9fea9fe", "100.100.100.200",
    "168.63.129.16", "10.0.0.1", "172.16.0.1", "192.168.0.1", "[fe80::1]", "[fc00::1]", "224.0.0.1", "[ff02::1]",
    "255.255.255.255", "192.0.2.1", "[2001:db8::1]",
]  # fmt: skip
ODD_URLS = [
    "http://127.0.0.1:{port}/", "file:///etc/passwd", "gopher://127.0.0.1:{port}/", "//127.0.0.1:{port}/",
    "https:127.0.0.1:{port}/", "https:///127.0.0.1:{port}/", "https://127.0.0.1:{port}\r\nHost: x/", "127.0.0.1:{port}",
    "https://localhost\t:{port}/", "unix:/run/x.sock", "https://[::1", "https://127.0.0.1:{port}#@good.example/",
]  # fmt: skip


@dataclass(frozen=True, slots=True)
class Bed:
    """A master that lets nothing private be asked, and a trap at the port that every URL names."""

    master: Master
    http: httpx.Client
    trap: Trap
    record: Record

    def urls(self) -> list[str]:
        port = self.trap.port
        found = [f"https://{host}:{port}/dir" for host in (*LOOPBACK, *OTHERS)]
        return found + [url.replace("{port}", str(port)) for url in ODD_URLS]

    def asked_beside(self, former: list[Asked]) -> list[Asked]:
        """What it did since then that can leave it: looking up an address that is one, or localhost, does not."""
        fresh = self.record.asked()[len(former) :]
        return [one for one in fresh if one.how != "getaddrinfo" or one.host.lower() not in HARMLESS]


HARMLESS = {host.strip("[]").lower() for host in (*LOOPBACK, *OTHERS)} | {
    "::ffff:7f00:1",
    "::7f00:1",
    "::ffff:a9fe:a9fe",
}


@pytest.fixture(scope="module")
def bed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bed]:
    folder = tmp_path_factory.mktemp("outside")
    made, kept = initialised(folder / "master"), record(folder / "record")
    made.edit(CA_IS_HERE, "")
    made.process = Program(
        [program("certline"), "--config", made.config, "serve"],
        log=made.log,
        env=ENVIRONMENT | kept.environment,
        cwd=made.folder,
    )
    profile = load_profile(made.folder / "admin.toml")
    tls = ssl.create_default_context(cafile=made.folder / "tls" / "ca.pem")
    headers = {"Authorization": f"Bearer {profile.token}"}
    try:
        with trap() as watched, httpx.Client(base_url=profile.url, headers=headers, verify=tls, timeout=30) as http:
            plant(made, f"https://localhost:{watched.port}/old")
            made.start()
            yield Bed(made, http, watched, kept)
    finally:
        made.stop()


def plant(master: Master, directory: str) -> None:
    """An issuer and a line from before there was a rule, as an upgrade finds them."""
    clock, chance = SystemClock(), SystemChance()
    store = wiring.open_settings_store(settings.load(master.config), clock, chance)

    def work(records: Records) -> None:
        records.issuers.save(SYSTEM, Issuer("i", OLD, Owner.API, directory, profiles=(), is_default=True))
        records.http.save(SYSTEM, HttpName("h", "shop.example", Owner.API))
        line = Line("l", LINE, Owner.API, None, ("shop.example",), custody=Custody.MASTER)
        records.lines.save(SYSTEM, replace(line, next_look=clock.now()))

    try:
        store.write(work)
    finally:
        store.close()


def put(bed: Bed, url: str) -> httpx.Response:
    return bed.http.put(f"/v1/issuers/{ISSUER}", json={"directory": url})


def plan(bed: Bed, url: str) -> httpx.Response:
    return bed.http.post("/v1/fleet/plan", json={"desired": {"issuers": {ISSUER: {"directory": url}}}})


def apply(bed: Bed, url: str) -> httpx.Response:
    desired = {"issuers": {ISSUER: {"directory": url}}}
    return bed.http.post("/v1/fleet/apply", json={"desired": desired, "hash": "0" * 64, "force": True})


Way = Callable[[Bed, str], httpx.Response]


@pytest.mark.parametrize("way", [put, plan, apply])
def test_no_spelling_of_a_private_address_makes_the_master_ask_there(bed: Bed, way: Way) -> None:
    former = bed.record.asked()
    for url in bed.urls():
        answer = way(bed, url)
        assert answer.status_code == 422, f"{url!r}: {answer.status_code} {answer.text}"
        (fault,) = answer.json()["errors"]
        assert fault["field"].endswith("/directory"), f"{url!r}: {fault}"
    assert bed.asked_beside(former) == []
    assert bed.trap.visitors() == []


@pytest.mark.parametrize("way", [put, plan, apply])
def test_the_refusal_tells_what_to_write(bed: Bed, way: Way) -> None:
    (fault,) = way(bed, f"https://localhost:{bed.trap.port}/dir").json()["errors"]
    assert "localhost leads to " in fault["detail"]
    assert "a loopback address" in fault["detail"]
    assert 'write private = ["localhost"] under [outbound] in certline.toml' in fault["detail"]


def test_the_fleet_file_is_refused_at_its_line(bed: Bed, tmp_path: Path) -> None:
    file = tmp_path / "fleet.yaml"
    file.write_text(f"issuers:\n  le:\n    directory: https://127.0.0.1:{bed.trap.port}/dir\n")
    for command in ("plan", "apply"):
        told = bed.master.command(command, "-f", file).refused(2)
        assert told.startswith(f"certline: {file}:3: issuers.le.directory: the CA at https://127.0.0.1:")


def test_an_issuer_that_exists_is_changed_as_strictly_as_one_is_made(bed: Bed) -> None:
    """Update, by each way; what was there stays, and to write the same once more leads nowhere either."""
    former, was = bed.record.asked(), bed.http.get(f"/v1/issuers/{OLD}").json()
    for url in bed.urls():
        answer = bed.http.put(f"/v1/issuers/{OLD}", json={"directory": url, "ca_certificates": None})
        assert answer.status_code == 422, f"{url!r}: {answer.status_code} {answer.text}"
        for way in ("plan", "apply"):
            desired = {"issuers": {OLD: {"directory": url}}}
            answer = bed.http.post(f"/v1/fleet/{way}", json={"desired": desired, "hash": "0" * 64, "force": True})
            assert answer.status_code == 422, f"{url!r}: {answer.status_code} {answer.text}"
    bed.http.put(f"/v1/issuers/{OLD}", json={"directory": was["directory"], "default": True})
    assert bed.asked_beside(former) == []
    assert bed.trap.visitors() == []
    assert bed.http.get(f"/v1/issuers/{OLD}").json() == was


def test_an_issuer_from_before_the_rule_is_not_asked_and_its_lines_say_why(bed: Bed) -> None:
    """Each connection is judged, not only what is configured: so too after an upgrade."""

    def told() -> bool:
        return "private = [" in json.dumps(bed.http.get(f"/v1/lines/{LINE}").json())

    bed.http.post(f"/v1/lines/{LINE}/issue", json={"force": True})
    bed.master.process.wait_until(told)
    assert bed.asked_beside([]) == []
    assert bed.trap.visitors() == []


def test_what_the_operator_names_is_asked(bed: Bed) -> None:
    """The watch can tell: with the line that the refusal shows, the very same URL leads to the trap."""
    bed.master.stop()
    with bed.master.config.open("a") as file:
        file.write('[outbound]\nprivate = ["localhost"]\n')
    with trap() as other:
        bed.master.start()
        for host, comes in (("127.0.0.1", False), ("localhost", True)):
            former = bed.record.asked()
            put(bed, f"https://{host}:{other.port}/dir")
            assert bool(other.visitors()) is comes
            asked = [one for one in bed.asked_beside(former) if one.port == other.port]
            assert ([one.how for one in asked][:1] == ["connect"]) is comes
