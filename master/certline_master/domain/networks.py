"""Networks from which somebody may ask, written as CIDR. Pure."""

from collections.abc import Iterable
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network


class BadNetwork(ValueError):
    """A text that names no network, with what to write."""


def network_of(text: str) -> str:
    """In normal form: `10.2.0.0/16`; a lone address is a network of one. Raises BadNetwork."""
    try:
        return str(ip_network(text.strip()))
    except ValueError as error:
        if "has host bits set" in str(error):
            meant = ip_network(text.strip(), strict=False)
            raise BadNetwork(f"{text!a} names a host inside a network: write {meant} for the network") from None
        raise BadNetwork(f"{text!a} is no network: write for example 10.2.0.0/16, 192.0.2.7 or 2001:db8::/32") from None


def networks_of(texts: Iterable[str]) -> tuple[str, ...]:
    """All in normal form, each once, sorted. Raises BadNetwork."""
    return tuple(sorted({network_of(text) for text in texts}))


def comes_from(address: str, networks: Iterable[str]) -> bool:
    """Whether the address is in one of the networks (in normal form); with none at all, any address is."""
    networks = tuple(networks)
    if not networks:
        return True
    try:
        found = _plain(ip_address(address.partition("%")[0]))
    except ValueError:  # not from the network at all
        return False
    return any(_holds(ip_network(text), found) for text in networks)


def _plain(address: IPv4Address | IPv6Address) -> IPv4Address | IPv6Address:
    """An IPv4 address that came in the clothes of IPv6, as on a socket that hears both, is an IPv4 address."""
    mapped = address.ipv4_mapped if isinstance(address, IPv6Address) else None
    return mapped or address


def _holds(network: IPv4Network | IPv6Network, address: IPv4Address | IPv6Address) -> bool:
    return network.version == address.version and address in network
