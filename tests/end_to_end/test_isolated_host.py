"""A host that reaches its master's API and nothing else: it is served all the same, by a real nginx."""

import socket
import sys
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.end_to_end import handshakes
from tests.end_to_end.assertions import assert_installed, assert_pair
from tests.end_to_end.harness import Bed, fleet
from tests.end_to_end.host import CHANGED, FollowerHost, HostLine, HostService
from tests.end_to_end.master import MasterProcess
from tests.end_to_end.waiting import eventually
from tests.testbed.netns import IsolatedHost, IsolatedNetwork
from tests.testbed.nginx import Nginx, nginx
from tests.testbed.parts import require
from tests.testbed.ports import free_port
from tests.testbed.program import Program, TestbedError, running

WWW = "www.example.test"
LINE = HostLine("www", (WWW,))


@dataclass(frozen=True, slots=True)
class Island:
    """A master on an address of its own, and a host whose way out is one TCP port there."""

    here: Bed
    master: MasterProcess
    place: IsolatedHost
    host: FollowerHost

    @contextmanager
    def nginx(self) -> Iterator[Nginx]:
        """A real nginx on the host with the follower's files, which are there already."""
        files = [(self.host.tls / "fullchain.pem", self.host.tls / "key.pem")]
        with nginx(files, port=free_port(), prefix=self.place.prefix) as server:
            yield server

    def uses(self, server: Nginx) -> None:
        """From now on the follower checks and reloads it."""
        commands = HostService("nginx", server.reload_command, server.check_command)
        self.host.configure(HostLine("www", (WWW,), services=("nginx",)), services=[commands])


@pytest.fixture
def island(here: Bed, isolated_network: IsolatedNetwork) -> Island:
    require("nginx")
    port = free_port()
    place = isolated_network.add_host(ports=[port])
    master = here.master(port=port, address=place.master_address)
    master.start()
    master.set_fleet(fleet(here.ca, {"web": [WWW]}))
    host = here.enrolled(master, "web", prefix=place.prefix)
    host.configure(LINE)
    host.sync().well(CHANGED)
    return Island(here, master, place, host)


@contextmanager
def client(island: Island, port: int) -> Iterator[Path]:
    """Handshake after handshake on the host; yields the log of what they were shown."""
    roots, log = island.here.folder / "roots.pem", island.here.folder / "handshakes.log"
    roots.write_text(island.here.ca.roots())
    log.touch()
    script = Path(handshakes.__file__)
    words = island.place.command([sys.executable, script, str(port), WWW, roots, log])
    program = Program(words, log=log.with_suffix(".err"))
    with running(program, lambda: len(_lines(log)) >= 3):
        yield log


def _lines(log: Path) -> list[str]:
    return log.read_text().split()


def _more(log: Path, serial: str, count: int, *, within: float = 20) -> None:
    """Wait for that many further handshakes that show this serial."""
    before = len(log.read_text().splitlines())
    eventually(
        lambda: log.read_text().splitlines()[before:].count(serial) >= count, within, f"handshakes that show {serial}"
    )


def test_a_renewal_swaps_the_certificate_under_a_looping_client_without_one_failed_handshake(island: Island) -> None:
    first = island.master.live_serial("www@web") or ""
    with island.nginx() as server:
        island.uses(server)
        island.host.start()
        with client(island, server.port) as log:
            shown = [first]
            for _ in range(3):
                _more(log, shown[-1], 5)
                island.master.renew("www@web")
                shown.append(island.master.issued("www@web", after=shown[-1]))
                _more(log, shown[-1], 20)
        seen = log.read_text().splitlines()

    assert not [line for line in seen if line.startswith("failed")]
    assert list(dict.fromkeys(seen)) == shown, "each certificate in its turn"


def test_a_host_goes_on_serving_without_its_master_and_follows_by_itself_when_it_is_back(island: Island) -> None:
    first = island.master.live_serial("www@web") or ""
    with island.nginx() as server:
        island.uses(server)
        island.host.start()
        with client(island, server.port) as log:
            island.master.stop()
            _more(log, first, 20)
            assert island.host.is_running
            island.master.start()
            island.master.renew("www@web")
            second = island.master.issued("www@web", after=first)
            # Without an answer a follower pauses 10 s, then up to 20, then up to 40 (protocol, section 9).
            _more(log, second, 5, within=45)
        assert not [line for line in log.read_text().splitlines() if line.startswith("failed")]
    assert_installed(island.host.tls, second)


def test_the_host_reaches_the_masters_port_and_nothing_else(island: Island) -> None:
    listening = island.master.listening
    with listeners([island.place.master_address]) as (tcp, udp):
        assert reaches(island.place, "tcp", listening.address, listening.port)
        for kind, address, port in (
            ("tcp", listening.address, tcp),
            ("udp", listening.address, udp),
            ("tcp", "127.0.0.1", listening.port),  # its own loopback: nobody there
            ("tcp", "127.0.0.1", island.here.ca.port),
            ("tcp", "127.0.0.1", island.here.dns_port or 0),
            ("udp", "127.0.0.1", island.here.dns_port or 0),
            ("tcp", "192.0.2.1", listening.port),
        ):
            assert not reaches(island.place, kind, address, port), f"{kind} {address}:{port} is within reach"


def test_the_ca_and_the_dns_are_within_reach_of_the_master_though(island: Island) -> None:
    for port in (island.here.ca.port, island.here.dns_port or 0):
        with socket.create_connection(("127.0.0.1", port), timeout=5):
            pass


def test_a_follower_holds_no_account_key_and_nothing_that_the_ca_or_the_dns_would_take(island: Island) -> None:
    """The architecture test of the list of ACME cases."""
    contents = {file: file.read_bytes() for file in island.host.folder.rglob("*") if file.is_file()}
    private = {file: content for file, content in contents.items() if b"PRIVATE KEY" in content}
    pairs = [content for file, content in private.items() if "next" not in str(file.relative_to(island.host.folder))]

    assert pairs
    for key in pairs:
        assert_pair(island.host.output("fullchain.pem") or b"", key)
    for file, content in contents.items():
        for word in (b"newNonce", b"my-account", b"_acme-challenge", f":{island.here.ca.port}".encode()):
            assert word not in content, f"{file} knows {word!r}"


@contextmanager
def listeners(addresses: Sequence[str]) -> Iterator[tuple[int, int]]:
    """A TCP and a UDP service (an echo) on the master's machine, to show that they are out of reach."""
    with (
        socket.create_server((addresses[0], 0)) as tcp,
        socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as udp,
    ):
        udp.bind((addresses[0], 0))
        udp.settimeout(0.2)
        stopping = threading.Event()

        def echo() -> None:
            while not stopping.is_set():
                try:
                    data, sender = udp.recvfrom(100)
                    udp.sendto(data, sender)
                except TimeoutError:
                    continue

        thread = threading.Thread(target=echo)
        thread.start()
        try:
            yield tcp.getsockname()[1], udp.getsockname()[1]
        finally:
            stopping.set()
            thread.join()


_REACH = """
import socket, sys
kind, address, port = sys.argv[1], sys.argv[2], int(sys.argv[3])
with socket.socket(socket.AF_INET, socket.SOCK_STREAM if kind == "tcp" else socket.SOCK_DGRAM) as probe:
    probe.settimeout(2)
    probe.connect((address, port))
    if kind == "udp":
        probe.send(b"there?")
        probe.recv(100)
"""


def reaches(place: IsolatedHost, kind: str, address: str, port: int) -> bool:
    """Whether a program on the host gets through."""
    try:
        place.run([sys.executable, "-I", "-c", _REACH, kind, address, str(port)])
    except TestbedError:
        return False
    return True
