"""An IP address with a port: read from settings, listened on, asked."""

import errno
import ipaddress
import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace


@dataclass(frozen=True, slots=True)
class Endpoint:
    """`address` is an IPv4 or IPv6 address in its normal text form."""

    address: str
    port: int

    def __str__(self) -> str:
        return f"[{self.address}]:{self.port}" if ":" in self.address else f"{self.address}:{self.port}"

    @property
    def from_here(self) -> "Endpoint":
        """Where this machine itself reaches a listener on this endpoint: loopback for "every address"."""
        if not ipaddress.ip_address(self.address).is_unspecified:
            return self
        return replace(self, address="::1" if ":" in self.address else "127.0.0.1")


def parse(text: object, *, port: int) -> Endpoint:
    """Read `192.0.2.1`, `192.0.2.1:53`, `2001:db8::1` or `[2001:db8::1]:53`; `port` counts where none is given.

    Raises ValueError with a text for people.
    """
    if not isinstance(text, str):
        raise ValueError(f"write an IP address with a port, such as 192.0.2.1:{port}")  # noqa: TRY004 pydantic reads it
    host, _, digits = _split(text)
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        raise ValueError(
            f"{text!r} is no IP address with a port: write 192.0.2.1:{port} or [2001:db8::1]:{port}"
        ) from None
    if digits and not (digits.isascii() and digits.isdigit() and int(digits) < 65536):
        raise ValueError(f"{text!r} has no usable port: write a number up to 65535")
    return Endpoint(str(address), int(digits) if digits else port)


def _split(text: str) -> tuple[str, str, str]:
    if text.startswith("["):
        host, closing, rest = text[1:].partition("]")
        well_formed = closing and (not rest or rest.startswith(":"))
        return (host, ":", rest[1:]) if well_formed else ("", "", "")
    return (text, "", "") if text.count(":") > 1 else text.partition(":")


def why_not(error: OSError) -> str:
    """Why an address cannot be had; in the system's words, for Python adds its own to them."""
    named = error.errno is None or isinstance(error, socket.gaierror)
    text = str(error.strerror or error) if named else os.strerror(error.errno or 0)
    hint = ": ports below 1024 need CAP_NET_BIND_SERVICE" if error.errno == errno.EACCES else ""
    return f"{text[:1].lower()}{text[1:]}{hint}"


@contextmanager
def _explained(endpoint: Endpoint, kind: str) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise OSError(error.errno, f"cannot listen on {endpoint} ({kind}): {why_not(error)}") from error


def listen_tcp(endpoint: Endpoint) -> socket.socket:
    """A listening socket; "[::]" takes IPv4 too. Raises OSError that names the endpoint."""
    family = _family(endpoint)
    with _explained(endpoint, "TCP"):
        return socket.create_server(
            (endpoint.address, endpoint.port),
            family=family,
            backlog=256,
            dualstack_ipv6=family is socket.AF_INET6 and endpoint.from_here is not endpoint,
        )


def bind_udp(endpoint: Endpoint) -> socket.socket:
    """A bound datagram socket; "[::]" takes IPv4 too. Raises OSError that names the endpoint."""
    made = socket.socket(_family(endpoint), socket.SOCK_DGRAM)
    try:
        with _explained(endpoint, "UDP"):
            if made.family is socket.AF_INET6:
                made.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, int(endpoint.from_here is endpoint))
            made.bind((endpoint.address, endpoint.port))
    except OSError:
        made.close()
        raise
    return made


def _family(endpoint: Endpoint) -> socket.AddressFamily:
    return socket.AF_INET6 if ":" in endpoint.address else socket.AF_INET
