"""Plain connections to a CA's host: its name is resolved once, every address is judged, and only those are dialled."""

import socket
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from certline_master.ca.origin import Origin
from certline_master.domain.errors import CaOffLimits
from certline_master.domain.outbound import ANYWHERE, Outbound

Found = tuple[int, int, int, str, tuple[Any, ...]]
"""One of the things that socket.getaddrinfo finds."""

Resolve = Callable[[str, int], Sequence[Found]]


def by_the_system(host: str, port: int) -> Sequence[Found]:
    """Raises OSError when the name has no address, or cannot be looked up."""
    return socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)


@dataclass(frozen=True, slots=True)
class Dialler:
    """Where connections may lead. Thread-safe. `resolve`: how addresses are found."""

    outbound: Outbound = ANYWHERE
    resolve: Resolve = by_the_system

    def dial(self, origin: Origin, left: Callable[[], float]) -> socket.socket:
        """A connection to the first address that takes one; `left`: the seconds that are left, or TimeoutError.

        Raises CaOffLimits when but one address is off limits: else a host that has two could choose between them.
        What was judged is what is dialled, so no later answer of the DNS can lead elsewhere (rebinding).
        """
        found = self.resolve(origin.host, origin.port)
        for *_, address in found:
            self._judge(origin, str(address[0]))
        fault: OSError = OSError("its name has no address")
        for family, kind, protocol, _, address in found:
            plain = socket.socket(family, kind, protocol)
            try:
                plain.settimeout(left())
                plain.connect(address)
            except OSError as error:
                plain.close()
                fault = error
            else:
                return plain
        raise fault

    def _judge(self, origin: Origin, address: str) -> None:
        kind = self.outbound.why_not(origin.host, address)
        if kind is None:
            return
        where = address if origin.host == address else f"{origin.host} leads to {address}, which"
        raise CaOffLimits(
            f"the CA at https://{origin.authority} is not asked: {where} is {kind}; if that is meant, write "
            f'private = ["{origin.host}"] under [outbound] in certline.toml and restart `certline serve`'
        )


UNBOUND = Dialler()
