"""The fleet as somebody wants it (the members of the fleet file), beside the fleet as it is. Pure."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Literal

from certline_master.domain.custody import Key
from certline_master.domain.model import Custody, Follower, Group, HttpName, Issuer, Line, LineOptions, Owner, Zone
from certline_master.domain.networks import networks_of
from certline_shared.keys import KeyType
from certline_shared.names import normalise

Kind = Literal["issuer", "zone", "http", "group", "key", "line", "follower"]
Thing = Issuer | Zone | HttpName | Group | Key | Line | Follower

KINDS: tuple[Kind, ...] = ("issuer", "zone", "http", "group", "key", "follower", "line")
"""What refers to others stands after them."""

SECTIONS: Mapping[Kind, str] = {
    "issuer": "issuers",
    "zone": "zones",
    "http": "http",
    "group": "groups",
    "key": "keys",
    "line": "lines",
    "follower": "followers",
}
"""Kind of object → the fleet file's member that holds such objects."""


# --- as it is wanted: the members of the fleet file -----------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class DesiredIssuer:
    directory: str
    contact: tuple[str, ...] = ()  # "mailto:" URLs
    profile: str | None = None
    preferred_chain: str | None = None
    ca_certificates: str | None = None  # PEM
    default: bool = False
    test_of: str | None = None  # the issuer whose lines are rehearsed here


@dataclass(frozen=True, slots=True)
class DesiredZone:
    solver: str
    settings: dict[str, Any] = field(default_factory=dict)
    secret: str | None = field(default=None, repr=False)  # left out: as it is; "": none


@dataclass(frozen=True, slots=True)
class DesiredHttp:
    solver: str = "listener"


@dataclass(frozen=True, slots=True)
class DesiredRollout:
    """How a new version reaches the followers of a line that several may pull."""

    canaries: tuple[str, ...]  # followers that get it first
    wave: int | None = None  # how many of the others get it at once; left out: all
    after: str | None = None  # "30m": the next wave opens that long after the former one is well; left out: by command


@dataclass(frozen=True, slots=True)
class DesiredLine:
    names: tuple[str, ...]
    follower: str | None = None  # left out where the master keeps the key: then followers are granted to pull it
    issuer: str | None = None  # left out: the default one
    profile: str | None = None
    key_types: tuple[KeyType, ...] = (KeyType.ECDSA_P256,)
    custody: Custody = Custody.FOLLOWER
    rollout: DesiredRollout | None = None  # left out: all followers at once
    options: LineOptions = field(default_factory=LineOptions)
    csr: tuple[str, ...] = ()  # PEM: requests that the operator gives, one for each key type
    key: str | None = None  # left out: a key of its own


@dataclass(frozen=True, slots=True)
class DesiredKey:
    """A key that lines name."""

    key_types: tuple[KeyType, ...] = ()  # what its lines may say; left out: anything
    policy: Literal["keep", "new"] = "keep"  # new: another key at each renewal
    max_age: str | None = None  # "400d"
    auto: bool = False  # at that age it is rolled over by itself; else that is only told
    pin_days: int | None = None  # so long clients may keep pins


@dataclass(frozen=True, slots=True)
class DesiredGrants:
    request: tuple[str, ...] = ()  # DNS names
    pull: tuple[str, ...] = ()  # lines whose key the master keeps


@dataclass(frozen=True, slots=True)
class DesiredGroup:
    """What every follower that names it is granted beside its own."""

    grants: DesiredGrants = field(default_factory=DesiredGrants)


@dataclass(frozen=True, slots=True)
class DesiredFollower:
    grants: DesiredGrants = field(default_factory=DesiredGrants)
    groups: tuple[str, ...] = ()
    networks: tuple[str, ...] = ()  # CIDR: where its requests must come from; none for anywhere
    lock_clones: bool = False  # suspend it at the first sign of another host with its identity


@dataclass(frozen=True, slots=True)
class DesiredFleet:
    """Objects by name. Names of zones, hosts and certificates may be in any spelling until `normal`."""

    issuers: dict[str, DesiredIssuer] = field(default_factory=dict)
    zones: dict[str, DesiredZone] = field(default_factory=dict)
    http: dict[str, DesiredHttp] = field(default_factory=dict)
    lines: dict[str, DesiredLine] = field(default_factory=dict)
    followers: dict[str, DesiredFollower] = field(default_factory=dict)
    groups: dict[str, DesiredGroup] = field(default_factory=dict)
    keys: dict[str, DesiredKey] = field(default_factory=dict)

    def of(self, kind: Kind) -> Mapping[str, Any]:
        objects: Mapping[str, Any] = getattr(self, SECTIONS[kind])
        return objects


def normal(desired: DesiredFleet) -> DesiredFleet:
    """The same with every DNS name in normal form. Raises BadName; ask `fleet_faults.faults` first."""
    return DesiredFleet(
        issuers=desired.issuers,
        zones={normalise(name): zone for name, zone in desired.zones.items()},
        http={normalise(name): http for name, http in desired.http.items()},
        lines={name: _with_names(line) for name, line in desired.lines.items()},
        followers={name: _with_grants(one) for name, one in desired.followers.items()},
        groups={name: DesiredGroup(_grants(one.grants)) for name, one in desired.groups.items()},
        keys=desired.keys,
    )


def _with_names(line: DesiredLine) -> DesiredLine:
    names = tuple(dict.fromkeys(normalise(name) for name in line.names))
    named = line.options.common_name
    options = line.options if named is None else replace(line.options, common_name=normalise(named))
    tlsa = tuple(replace(wish, host=normalise(wish.host) if wish.host else None) for wish in options.tlsa)
    return replace(line, names=names, options=replace(options, tlsa=tlsa))


def _with_grants(follower: DesiredFollower) -> DesiredFollower:
    groups, networks = tuple(sorted(set(follower.groups))), networks_of(follower.networks)
    return DesiredFollower(_grants(follower.grants), groups, networks, follower.lock_clones)


def _grants(grants: DesiredGrants) -> DesiredGrants:
    return DesiredGrants(tuple(sorted({normalise(name) for name in grants.request})), tuple(sorted(set(grants.pull))))


# --- as it is -------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Current:
    """Everything in the store. `secrets` holds a digest for each zone that has a secret."""

    issuers: tuple[Issuer, ...] = ()
    zones: tuple[Zone, ...] = ()
    http: tuple[HttpName, ...] = ()
    lines: tuple[Line, ...] = ()
    followers: tuple[Follower, ...] = ()
    groups: tuple[Group, ...] = ()
    keys: tuple[Key, ...] = ()  # declared ones
    secrets: Mapping[str, str] = field(default_factory=dict)

    def of(self, kind: Kind) -> "tuple[Thing, ...]":
        things: tuple[Thing, ...] = getattr(self, SECTIONS[kind])
        return things


@dataclass(frozen=True, slots=True)
class Scope:
    """What a desired fleet speaks for: all that its owner has, or one object only. The rest stays as it is."""

    owner: Owner
    only: tuple[Kind, str] | None = None

    def covers(self, kind: Kind, thing: Thing) -> bool:
        return thing.owner is self.owner and self.only in (None, (kind, thing.name))


FILE = Scope(Owner.FILE)
