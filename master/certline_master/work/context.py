"""What the engine works with: the ports, chosen once by wiring."""

import threading
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import timedelta

from certline_master.domain.alarms import Alarms
from certline_master.domain.commands import Command
from certline_master.domain.ports import Bell, CertificateAuthorities, DnsView, Solver, Store, TlsaView
from certline_shared.chance import Chance
from certline_shared.clock import Clock


@dataclass(frozen=True, slots=True)
class Limits:
    """How much at once, and for how long."""

    threads: int = 16
    orders_at_once: int = 50
    lease: timedelta = timedelta(seconds=30)
    visible_within: timedelta = timedelta(minutes=10)  # the budget for DNS, from the moment of publishing
    settled_within: timedelta = timedelta(days=1)  # the budget for the CA to validate, or to issue
    idle_look: timedelta = timedelta(seconds=30)  # polling, where no bell rings (another master wrote)


@dataclass(frozen=True, slots=True)
class Context:
    """The outside world as the engine knows it."""

    store: Store
    authorities: CertificateAuthorities
    solvers: Mapping[str, Solver]
    dns: DnsView
    bell: Bell
    clock: Clock
    chance: Chance
    worker: str  # who holds our leases
    limits: Limits = field(default_factory=Limits)
    alarms: Alarms = field(default_factory=Alarms)
    commands: Mapping[str, Command] = field(default_factory=dict)  # by name; what lines may have run
    tlsa: TlsaView | None = None  # None: no TLSA records are kept
    stopping: threading.Event = field(default_factory=threading.Event)
