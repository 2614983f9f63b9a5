"""A line's names as people write them, and which of them is the common name. Pure."""

from collections.abc import Mapping, Sequence

from certline_master.domain.model import Line

MOST_IN_COMMON_NAME = 64
"""Characters: RFC 5280 appendix A.1, ub-common-name."""

_ZONE_ITSELF = "@"


def names_in_full(written: "Sequence[str] | Mapping[str, Sequence[str]]") -> list[str]:
    """Full names, of a list (bare labels are below its first name) or of hosts by zone. Raises ValueError."""
    if isinstance(written, Mapping):
        return [_in_zone(host, zone) for zone, hosts in written.items() for host in hosts]
    return [_below(name, written[0]) for name in written]


def _below(name: str, first: str) -> str:
    """A name with a dot is full; a bare label needs a full first name to be below of. An empty one is told of later."""
    if "." in name or not name:
        return name
    if "." not in first:
        raise ValueError(f"{name!r} is no full name: write the first name in full, then bare labels may follow")
    return first if name == _ZONE_ITSELF else f"{name}.{first}"


def _in_zone(host: str, zone: str) -> str:
    if host == zone or host.endswith(f".{zone}"):
        raise ValueError(f"{host!r} repeats its zone: write what stands before it, or @ for {zone} itself")
    return zone if host == _ZONE_ITSELF else f"{host}.{zone}"


def common_name_of(line: Line) -> str | None:
    """The one asked for, else the line's own name where it is among the names, else the first that fits."""
    if line.options.common_name is not None:
        return line.options.common_name
    chosen = sorted(line.names, key=lambda name: name != line.name)  # stable: the first name stays first
    return next((name for name in chosen if len(name) <= MOST_IN_COMMON_NAME), None)
