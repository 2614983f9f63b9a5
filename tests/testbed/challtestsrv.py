"""Pebble's challenge test server: a DNS whose records a test sets, and an http-01 responder."""

import json
import urllib.request
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from tests.testbed.pebble_binary import find_pebble
from tests.testbed.ports import free_ports
from tests.testbed.program import Program, by_hand, running


class ChallTestSrv:
    """The running server. DNS names may come with or without their final dot; a method returns when it is done."""

    def __init__(self, program: Program, dns_port: int, management_port: int) -> None:
        self.process = program
        self.dns_port = dns_port
        self.dns_address = f"127.0.0.1:{dns_port}"
        self.management_url = f"http://127.0.0.1:{management_port}"

    def set_txt(self, name: str, value: str) -> None:
        """Add one TXT value at a name (the others there stay)."""
        self._post("set-txt", host=_absolute(name), value=value)

    def clear_txt(self, name: str) -> None:
        """Remove all TXT values of a name."""
        self._post("clear-txt", host=_absolute(name))

    def add_a(self, name: str, addresses: Sequence[str]) -> None:
        self._post("add-a", host=_absolute(name), addresses=list(addresses))

    def clear_a(self, name: str) -> None:
        self._post("clear-a", host=_absolute(name))

    def set_cname(self, name: str, target: str) -> None:
        self._post("set-cname", host=_absolute(name), target=_absolute(target))

    def clear_cname(self, name: str) -> None:
        self._post("clear-cname", host=_absolute(name))

    def set_servfail(self, name: str) -> None:
        """Make every question about a name fail."""
        self._post("set-servfail", host=_absolute(name))

    def clear_servfail(self, name: str) -> None:
        self._post("clear-servfail", host=_absolute(name))

    def set_default_ipv4(self, address: str) -> None:
        """The answer for names without an A record of their own; "" is no answer."""
        self._post("set-default-ipv4", ip=address)

    def set_default_ipv6(self, address: str) -> None:
        """The answer for names without an AAAA record of their own; "" is no answer."""
        self._post("set-default-ipv6", ip=address)

    def add_http01(self, token: str, content: str) -> None:
        """Serve a key authorization on the http-01 port given at start."""
        self._post("add-http01", token=token, content=content)

    def del_http01(self, token: str) -> None:
        self._post("del-http01", token=token)

    def dns_questions(self, name: str) -> list[dict[str, Any]]:
        """The questions asked about a name so far."""
        found: list[dict[str, Any]] = json.loads(self._post("dns-request-history", host=name) or b"[]") or []
        return found

    def answers(self) -> bool:
        try:
            self._post("clear-request-history", host="localhost", type="dns")
        except OSError:
            return False
        return True

    def _post(self, call: str, **body: object) -> bytes:
        request = urllib.request.Request(f"{self.management_url}/{call}", data=json.dumps(body).encode())  # noqa: S310 an URL of ours
        with urllib.request.urlopen(request, timeout=5) as answer:  # noqa: S310 an URL of ours
            found: bytes = answer.read()
        return found


@contextmanager
def challtestsrv(*, http_port: int | None = None, tls_port: int | None = None) -> Iterator[ChallTestSrv]:
    """A running challenge test server; with `http_port` (`tls_port`) it answers http-01 (tls-alpn-01) there.

    Every name is at 127.0.0.1 and has no IPv6 address, until a test says otherwise.
    """
    dns_port, management_port = free_ports(2)
    addresses = {
        "-dnsserver": f"127.0.0.1:{dns_port}",
        "-management": f"127.0.0.1:{management_port}",
        "-http01": f"127.0.0.1:{http_port}" if http_port else "",
        "-tlsalpn01": f"127.0.0.1:{tls_port}" if tls_port else "",
        "-https01": "",
        "-doh": "",
        "-defaultIPv4": "127.0.0.1",
        "-defaultIPv6": "",
    }
    command = [str(find_pebble().challtestsrv), *(word for pair in addresses.items() for word in pair)]
    with TemporaryDirectory(prefix="certline-challtestsrv-") as folder:
        program = Program(command, log=Path(folder) / "challtestsrv.log")
        handle = ChallTestSrv(program, dns_port, management_port)
        with running(program, handle.answers):
            yield handle


def _absolute(name: str) -> str:
    return name if name.endswith(".") else f"{name}."


@contextmanager
def _for_a_person() -> Iterator[Sequence[str]]:
    with challtestsrv() as server:
        yield [f"DNS         {server.dns_address}", f"management  {server.management_url}"]


if __name__ == "__main__":
    by_hand(_for_a_person)
