"""What a local service serves: a connection to it, STARTTLS where set, a handshake, and the certificate it shows.

Nothing is trusted and nothing is sent but the handshake. The certificate of one kind of key is asked for by offering
only signature algorithms of that kind. Python's ssl cannot set those for TLS 1.3 (3.13 at least), OpenSSL can by its
configuration, which it reads once: so this is done in a small process of its own (look_child.py).
"""

import ipaddress
import os
import socket
import ssl
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, Protocol

from certline_follower import starttls
from certline_follower.service_settings import StartTls
from certline_shared.key_types import KeyType

Family = Literal["rsa", "ecdsa"]

MOST_SECONDS = 10.0  # for one look
_MOST_DER = 65_536
_HERE = Path(__file__).parent


class NotSeen(Exception):
    """No certificate was seen; the text says why."""


@dataclass(frozen=True, slots=True)
class Door:
    """Where and by which name to look."""

    host: str
    port: int
    sni: str
    starttls: StartTls | None = None


class Looker(Protocol):
    """Looks at what is served at a door of this host."""

    def leaf(self, door: Door, family: Family | None, seconds: float) -> bytes:
        """The certificate shown there (DER), of that kind of key or the server's choice. Raises NotSeen."""
        ...


def family_of(key_type: KeyType) -> Family:
    return "rsa" if key_type.startswith("rsa") else "ecdsa"


class TlsLooker:
    """By TLS 1.2 or 1.3, at loopback and this host's own addresses only."""

    def leaf(self, door: Door, family: Family | None, seconds: float) -> bytes:
        seconds = max(0.1, min(seconds, MOST_SECONDS))
        try:
            with _connected(door, seconds) as connection:
                if door.starttls is not None:
                    starttls.begin(connection, door.starttls, door.sni)
                if family is None:
                    return _shake_hands(connection, door.sni)
                return _shake_hands_beside(connection, door.sni, family, seconds)
        except starttls.NoStartTls as error:
            raise NotSeen(f"{door.starttls}: {error}") from None
        except ssl.SSLError as error:
            raise NotSeen(f"no TLS handshake: {error.reason or error}") from None
        except TimeoutError:
            raise NotSeen(f"no answer within {seconds:g} s") from None
        except OSError as error:
            raise NotSeen(error.strerror or str(error)) from None


def _connected(door: Door, seconds: float) -> socket.socket:
    """A connection to the first of the door's addresses that takes one. Raises NotSeen, OSError."""
    fault: OSError | None = None
    for family, kind, protocol, _, address in socket.getaddrinfo(door.host, door.port, type=socket.SOCK_STREAM):
        _check_local(door, family, str(address[0]))
        try:
            connection = socket.socket(family, kind, protocol)  # fails where IPv6 is switched off
        except OSError as error:
            fault = error
            continue
        connection.settimeout(seconds)
        try:
            connection.connect(address)
        except OSError as error:
            connection.close()
            fault = error
        else:
            return connection
    raise fault or NotSeen(f"{door.host} has no address")


def _check_local(door: Door, family: int, address: str) -> None:
    """Only what is bound on this host is looked at: the settings are no way to make it knock elsewhere."""
    plain = ipaddress.ip_address(address.partition("%")[0])
    if plain.is_loopback or (not plain.is_unspecified and not plain.is_multicast and _can_be_bound(family, address)):
        return
    raise NotSeen(f"{door.host} is {address}, which is no address of this host: look at 127.0.0.1 or [::1]")


def _can_be_bound(family: int, address: str) -> bool:
    """The kernel lets only this host's own addresses be bound."""
    with socket.socket(family, socket.SOCK_DGRAM) as one:
        try:
            one.bind((address, 0))
        except OSError:
            return False
    return True


def _shake_hands(connection: socket.socket, sni: str) -> bytes:
    with _context().wrap_socket(connection, server_hostname=sni) as secured:
        return secured.getpeercert(binary_form=True) or b""


def _context() -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE  # it is looked at, not believed
    return context


def _shake_hands_beside(connection: socket.socket, sni: str, family: Family, seconds: float) -> bytes:
    """The same in another process, whose OpenSSL offers one kind of signature only. Raises NotSeen, OSError."""
    command = [sys.executable, "-I", "-S", str(_HERE / "look_child.py"), str(connection.fileno()), str(seconds), sni]
    environment = {"OPENSSL_CONF": str(_HERE / f"look_{family}.cnf"), "PATH": os.defpath, "LANG": "C.UTF-8"}
    try:
        done = subprocess.run(
            command, env=environment, pass_fds=[connection.fileno()], stdin=subprocess.DEVNULL, capture_output=True,
            timeout=seconds + 5, check=False, cwd="/",
        )  # fmt: skip
    except subprocess.TimeoutExpired:
        raise NotSeen(f"no answer within {seconds:g} s") from None
    if done.returncode != 0 or not done.stdout:
        said = done.stderr.decode("utf-8", "replace").strip().splitlines()
        raise NotSeen(f"no TLS handshake with an {family.upper()} certificate: {said[-1][:300] if said else 'no word'}")
    return done.stdout[:_MOST_DER]
