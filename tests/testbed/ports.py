"""Free ports on 127.0.0.1."""

import random
import socket
from contextlib import ExitStack

# Below Linux's range for outgoing connections (from 32768), so that no client's socket takes a port between
# its choice here and its use.
_RANGE = range(12_000, 32_000)
_dice = random.SystemRandom()
_handed_out: set[int] = set()


def free_port() -> int:
    """A port that is free for UDP and TCP on 127.0.0.1, never handed out twice by this process."""
    while True:
        port = _dice.choice(_RANGE)
        if port not in _handed_out and _is_free(port):
            _handed_out.add(port)
            return port


def free_ports(count: int) -> list[int]:
    """`count` distinct free ports."""
    return [free_port() for _ in range(count)]


def listens(port: int, address: str = "127.0.0.1") -> bool:
    """Whether something accepts TCP connections there."""
    with socket.socket() as probe:
        probe.settimeout(2)
        return probe.connect_ex((address, port)) == 0


def _is_free(port: int) -> bool:
    with ExitStack() as stack:
        try:
            for kind in (socket.SOCK_STREAM, socket.SOCK_DGRAM):
                stack.enter_context(socket.socket(socket.AF_INET, kind)).bind(("127.0.0.1", port))
        except OSError:
            return False
    return True
