"""Where a request comes from: the peer's address, or what a proxy of ours says in X-Forwarded-For.

RFC 7239's header Forwarded is not read: most proxies pass on what their clients wrote there.
"""

from collections.abc import Sequence
from ipaddress import IPv4Network, IPv6Address, IPv6Network, ip_address

from starlette.types import Scope

Network = IPv4Network | IPv6Network

HEADER = b"x-forwarded-for"


class TrustedProxies:
    """The networks of the proxies in front of this master."""

    def __init__(self, networks: Sequence[Network] = ()) -> None:
        self._networks = tuple(networks)

    def __contains__(self, address: str) -> bool:
        try:
            parsed = ip_address(address)
        except ValueError:
            return False
        return any(parsed in network for network in self._networks)

    def client_of(self, peer: str, forwarded: str) -> str:
        """The nearest address that is no proxy of ours. Each of them has added whom it heard from, at the end.

        What stands left of it, or is no address, is not believed.
        """
        client = plain_address(peer)
        hops = [hop.strip() for hop in forwarded.split(",")] if forwarded else []
        while client in self and hops:
            hop = _without_port(hops.pop())
            if hop is None:
                break
            client = hop
        return client

    def told(self, scope: Scope) -> Scope:
        """The same request, its `client` being who sent it to the first of our proxies."""
        client = scope.get("client")
        if not client:
            return scope
        said = ",".join(value.decode("latin-1") for name, value in scope["headers"] if name == HEADER)
        address = self.client_of(client[0], said)
        return scope if address == client[0] else {**scope, "client": (address, client[1])}


def plain_address(text: str) -> str:
    """One spelling of an address; IPv4 in IPv6 is IPv4. What is no address stays as it is."""
    try:
        parsed = ip_address(text)
    except ValueError:
        return text
    inner = parsed.ipv4_mapped if isinstance(parsed, IPv6Address) else None
    return str(inner or parsed)


def _without_port(hop: str) -> str | None:
    """The address of `192.0.2.1`, `192.0.2.1:4711`, `2001:db8::1` or `[2001:db8::1]:4711`; None when it is none."""
    if hop.startswith("["):
        hop = hop[1:].partition("]")[0]
    elif hop.count(":") == 1:
        hop = hop.partition(":")[0]
    try:
        ip_address(hop)
    except ValueError:
        return None
    return plain_address(hop)


def is_loopback(address: str) -> bool:
    """Whether it is this machine's own."""
    try:
        return ip_address(address).is_loopback
    except ValueError:
        return False
