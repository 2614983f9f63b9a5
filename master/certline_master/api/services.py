"""What the API works with: the ports and settings, chosen once by wiring."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Literal

from certline_master.api.forwarded import TrustedProxies
from certline_master.api.limits import Limits, Rates
from certline_master.api.overload import MOST_WAITING
from certline_master.api.told import Told
from certline_master.domain.alarms import Alarms
from certline_master.domain.commands import Command
from certline_master.domain.placement import Trust
from certline_master.domain.ports import Bell, CertificateAuthorities, DnsView, Records, Solver, Store, TlsaView
from certline_shared.chance import Chance
from certline_shared.clock import Clock
from certline_shared.messages import PROTOCOL

SPOKEN = tuple(range(1, PROTOCOL + 1))


@dataclass(frozen=True, slots=True)
class MasterIdentity:
    """The key that signs manifests and answers, and what followers are told to trust beside it."""

    private: bytes = field(repr=False)  # Ed25519, 32 raw bytes
    public: bytes
    keyid: str  # signing.thumbprint(public)
    next_public: bytes | None
    epoch: int
    tls_pins: tuple[str, ...]  # of the API's own CA, current and next: lower-case hex SHA-256 over the SPKI
    former: tuple[bytes, ...] = ()  # public keys that signed before: their seals stay good

    @property
    def trust(self) -> Trust:
        keys = (self.public,) if self.next_public is None else (self.public, self.next_public)
        return Trust(keys, self.tls_pins, self.epoch)

    @property
    def seal_keys(self) -> tuple[bytes, ...]:
        """Whose seals over the audit trail are this master's."""
        return (self.public, *self.former)


@dataclass(slots=True, eq=False)  # not frozen: `identity` is exchanged, as a whole, when the signing key is rotated
class Services:
    """Everything a route may reach."""

    store: Store
    authorities: CertificateAuthorities
    solvers: Mapping[str, Solver]
    dns: DnsView
    bell: Bell
    clock: Clock
    chance: Chance
    identity: MasterIdentity
    origins: tuple[str, ...]  # "https://name:port": what a request's Host must name
    trust: Literal["pin", "chain"]  # how enrolled followers believe the API's TLS certificate
    long_polls: int  # how many may be open at once
    ready: Callable[[], str | None]  # None when the master can do its work, else why not
    version: str
    trusted_proxies: TrustedProxies = field(default_factory=TrustedProxies)
    alarms: Alarms = field(default_factory=Alarms)
    most_waiting: int = MOST_WAITING  # requests for a thread; beyond it new ones are sent away
    rotate_signing_key: Callable[[Records, datetime], MasterIdentity] | None = None  # None: it cannot be done here
    protocols: tuple[int, ...] = SPOKEN  # versions of the followers' protocol that this master speaks
    rates: Rates = field(default_factory=Rates)
    commands: Mapping[str, Command] = field(default_factory=dict)  # by name; what lines may have run here
    tlsa: TlsaView | None = None  # None: no TLSA records are kept here
    told: Told = field(default_factory=Told)
    limits: Limits = field(init=False)

    def __post_init__(self) -> None:
        self.limits = Limits(self.clock, self.rates)
