"""Which hosts the master asks over HTTPS: any on the public Internet, others only where the operator named them. Pure.

By the registries of special-purpose addresses (RFC 6890), not by Python's `is_global`, which changes with its releases
and takes every spelling of an IPv4 address in IPv6 for an address of the Internet.
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network
from typing import Self

from certline_master.domain.networks import BadNetwork, network_of

Address = IPv4Address | IPv6Address
Network = IPv4Network | IPv6Network

_LABEL = "[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9_])?"
_IS_NAME = re.compile(rf"(?=.{{1,253}}\Z){_LABEL}(?:\.{_LABEL})*").fullmatch
_ENDS_IN_A_NUMBER = re.compile(r"(?:.*\.)?(?:[0-9]+|0x[0-9a-f]*)\.?", re.DOTALL).fullmatch

_IN_IPV4 = {
    "0.0.0.0/8": "an address of this machine",
    "10.0.0.0/8": "a private address",
    "100.64.0.0/10": "a private address",  # behind a provider's NAT (RFC 6598), and clouds' metadata
    "127.0.0.0/8": "a loopback address",
    "168.63.129.16/32": "a cloud's own address",  # public by its number, yet answered inside of Azure's machines
    "169.254.0.0/16": "a link-local address",  # 169.254.169.254 among them, the metadata of most clouds
    "172.16.0.0/12": "a private address",
    "192.0.0.0/24": "a reserved address",
    "192.0.2.0/24": "a reserved address",
    "192.88.99.0/24": "a reserved address",
    "192.168.0.0/16": "a private address",
    "198.18.0.0/15": "a reserved address",
    "198.51.100.0/24": "a reserved address",
    "203.0.113.0/24": "a reserved address",
    "224.0.0.0/4": "a multicast address",
    "240.0.0.0/4": "a reserved address",
}
_IN_IPV6 = {
    "::/128": "an address of this machine",
    "::1/128": "a loopback address",
    "fc00::/7": "a private address",  # fd00:ec2::254 among them, Amazon's metadata
    "fe80::/10": "a link-local address",
    "fec0::/10": "a private address",
    "ff00::/8": "a multicast address",
    "2001::/23": "a reserved address",  # Teredo among them (RFC 4380)
    "2001:db8::/32": "a reserved address",
    "3fff::/20": "a reserved address",
}
_SPECIAL = tuple((ip_network(text), kind) for text, kind in (_IN_IPV4 | _IN_IPV6).items())
_INTERNET_IN_IPV6 = IPv6Network("2000::/3")  # all that was ever handed out
_TRANSLATED = IPv6Network("64:ff9b::/96")  # RFC 6052
_EVERYTHING: tuple[Network, ...] = (IPv4Network("0.0.0.0/0"), IPv6Network("::/0"))


class BadHost(ValueError):
    """A text that is no host as a URL should have it; continues a sentence that begins with the host."""


def host_of(text: str) -> str:
    """A URL's host (without brackets) in normal form: a DNS name in lower case, or an address as it is usually written.

    Raises BadHost, among others for what resolvers read as an address though it does not look like one: `127.1`,
    `0x7f000001`, `2130706433`.
    """
    text = text.lower()
    try:
        if "%" not in text:  # the name of a network card
            return str(ip_address(text))
    except ValueError:
        pass
    if ":" in text or "%" in text or _ENDS_IN_A_NUMBER(text):
        raise BadHost("is no address in its usual form: write it as 192.0.2.1 or [2001:db8::1]")
    if text.endswith("."):
        raise BadHost("ends with a dot: write it without")
    if _IS_NAME(text) is None:
        raise BadHost("is no host name: write letters, digits and hyphens, an international name in its xn-- form")
    return text


def place_of(text: str) -> str:
    """A host or a network, as the settings name it, in normal form. Raises ValueError."""
    if "/" in text:
        return network_of(text)
    try:
        return host_of(text.strip().removesuffix("."))
    except BadHost:
        raise BadNetwork(
            f"{text!a} is neither a host nor a network: write for example ca.internal.example or 10.0.0.0/8"
        ) from None


@dataclass(frozen=True, slots=True)
class Outbound:
    """What may be asked beside the public Internet: `hosts` wherever their names lead, and what lies in `networks`."""

    hosts: frozenset[str] = frozenset()
    networks: tuple[Network, ...] = ()

    @classmethod
    def of(cls, places: Iterable[str]) -> Self:
        """From hosts and networks in any order. Raises ValueError."""
        named = [place_of(text) for text in places]
        networks = [_network(text) for text in named]
        hosts = frozenset(text for text, network in zip(named, networks, strict=True) if network is None)
        return cls(hosts, tuple(network for network in networks if network is not None))

    def why_not(self, host: str, address: str) -> str | None:
        """What `address` is when `host` (in normal form) must not be asked there; None when it may."""
        found = ip_address(address.partition("%")[0])
        if host in self.hosts or any(_holds(network, found) for network in self.networks):
            return None
        return special(found)


ANYWHERE = Outbound(networks=_EVERYTHING)


def special(address: Address) -> str | None:
    """What kind of address it is when it is none of the public Internet; None when it is one."""
    inside = _within(address)
    if inside is not None:
        kind = special(inside)
        return kind and f"{kind} in the clothes of another ({inside})"
    kind = next((kind for network, kind in _SPECIAL if _holds(network, address)), None)
    if kind is None and isinstance(address, IPv6Address) and address not in _INTERNET_IN_IPV6:
        return "a reserved address"
    return kind


def _within(address: Address) -> IPv4Address | None:
    """The IPv4 address that packets for an IPv6 address are sent to, where it is spelt that way."""
    if not isinstance(address, IPv6Address):
        return None
    if address in _TRANSLATED:
        return IPv4Address(int(address) & 0xFFFFFFFF)
    return address.ipv4_mapped or address.sixtofour


def _holds(network: Network, address: Address) -> bool:
    plain = (address.ipv4_mapped if isinstance(address, IPv6Address) else None) or address
    return any(one.version == network.version and one in network for one in (address, plain))


def _network(text: str) -> Network | None:
    try:
        return ip_network(text)
    except ValueError:
        return None
