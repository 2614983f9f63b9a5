"""Isolated hosts: network namespaces that can reach one address on chosen TCP ports, and nothing else."""

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from itertools import count
from pathlib import Path

from tests.testbed import parts
from tests.testbed.ports import free_port
from tests.testbed.program import TestbedError, by_hand, run

_PREFIX = "certline"
_TABLE = "100"
_numbers = count(1)


class IsolatedHost:
    """A namespace with a loopback of its own; `master_address` is the one address outside that it has a way to."""

    def __init__(self, name: str, address: str, master_address: str) -> None:
        self.name = name
        self.address = address
        self.master_address = master_address
        self.prefix = (str(_ip()), "netns", "exec", name)

    def command(self, words: Sequence[str | Path]) -> list[str]:
        """The argument vector that runs a command on this host (the process keeps its id)."""
        return [*self.prefix, *(str(word) for word in words)]

    def run(self, words: Sequence[str | Path], *, seconds: float = 60) -> str:
        """Run a command on this host to its end; its standard output. TestbedError when it fails."""
        return run(self.command(words), seconds=seconds)

    def processes(self) -> list[int]:
        """Ids of all processes on this host."""
        return [int(word) for word in run([_ip(), "netns", "pids", self.name]).split()]


class IsolatedNetwork:
    """A /24 of its own: the master listens on `master_address`, hosts are added as needed.

    The address exists as soon as there is a host.
    """

    def __init__(self) -> None:
        self._subnet = _free_subnet()
        self.master_address = f"{self._subnet}.1"
        self.hosts: list[IsolatedHost] = []
        self._links: list[str] = []

    def add_host(self, *, ports: Sequence[int]) -> IsolatedHost:
        """A new host that reaches the master's address on these TCP ports only."""
        number = next(_numbers)
        name = f"{_PREFIX}-{os.getpid()}-{number}"
        link = f"cl{os.getpid()}n{number}"[:15]
        host = IsolatedHost(name, f"{self._subnet}.{len(self.hosts) + 2}", self.master_address)
        run([_ip(), "netns", "add", name])
        self.hosts.append(host)
        self._links.append(link)
        self._connect(host, link)
        self._allow(host, ports)
        return host

    def remove(self) -> None:
        """End what still runs on the hosts and take all hosts away."""
        for link in self._links:
            _try([_ip(), "link", "del", link])
        for host in self.hosts:
            _remove_namespace(host.name)

    def _connect(self, host: IsolatedHost, link: str) -> None:
        """One cable; our end is without IPv6, whose link-local address would be a second way."""
        run([_ip(), "link", "add", link, "type", "veth", "peer", "name", "eth0", "netns", host.name])
        no_ipv6 = Path(f"/proc/sys/net/ipv6/conf/{link}/disable_ipv6")
        if no_ipv6.exists():
            no_ipv6.write_text("1")
        run([_ip(), "addr", "add", f"{host.master_address}/32", "dev", link])
        run([_ip(), "link", "set", link, "up"])
        run([_ip(), "route", "add", f"{host.address}/32", "dev", link, "src", host.master_address])
        for words in (
            ["addr", "add", f"{host.address}/32", "dev", "eth0"],
            ["link", "set", "lo", "up"],
            ["link", "set", "eth0", "up"],
            ["route", "add", f"{host.master_address}/32", "dev", "eth0", "src", host.address, "table", _TABLE],
        ):
            run([_ip(), "-n", host.name, *words])

    def _allow(self, host: IsolatedHost, ports: Sequence[int]) -> None:
        """The way out is in a routing table that only TCP to these ports looks into; all else has no route."""
        for port in ports:
            rule = ["to", f"{host.master_address}/32", "ipproto", "tcp", "dport", str(port), "lookup", _TABLE]
            run([_ip(), "-n", host.name, "rule", "add", *rule])


@contextmanager
def isolated_network() -> Iterator[IsolatedNetwork]:
    """A network that is gone at the end, with all its hosts and whatever still ran on them. Needs root and `ip`."""
    if os.geteuid() != 0:
        raise TestbedError("network namespaces need root")
    _sweep()
    network = IsolatedNetwork()
    try:
        yield network
    finally:
        network.remove()


@contextmanager
def isolated_host(port: int) -> Iterator[IsolatedHost]:
    """One host that reaches its `master_address` on one TCP port."""
    with isolated_network() as network:
        yield network.add_host(ports=[port])


def _free_subnet() -> str:
    """A /24 (its first three numbers) that no other test run uses now.

    198.18.0.0/15 is set aside for tests of networks (RFC 2544), so it is nobody's real one.
    """
    while True:
        subnet = f"198.18.{free_port() % 256}"
        if not run([_ip(), "-o", "addr", "show", "to", f"{subnet}.0/24"]):
            return subnet


def _sweep() -> None:
    """Remove the namespaces of test runs that were killed: their name holds the id of a process that is gone."""
    for line in run([_ip(), "netns", "list"]).splitlines():
        name = line.split(" ", maxsplit=1)[0]
        owner = name.split("-")[1] if name.startswith(f"{_PREFIX}-") else ""
        if owner.isdigit() and not Path(f"/proc/{owner}").exists():
            _remove_namespace(name)


def _remove_namespace(name: str) -> None:
    with suppress(TestbedError):
        for pid in run([_ip(), "netns", "pids", name]).split():
            with suppress(ProcessLookupError):
                os.kill(int(pid), 9)
    _try([_ip(), "netns", "del", name])


def _try(command: Sequence[str | Path]) -> None:
    with suppress(TestbedError):
        run(command)


def _ip() -> Path:
    found = parts.program("ip")
    if found is None:
        raise TestbedError("ip is not installed (apt-get install iproute2)")
    return found


@contextmanager
def _for_a_person() -> Iterator[Sequence[str]]:
    with isolated_host(8443) as host:
        yield [f"ip netns exec {host.name} COMMAND reaches {host.master_address} on TCP port 8443"]


if __name__ == "__main__":
    by_hand(_for_a_person)
