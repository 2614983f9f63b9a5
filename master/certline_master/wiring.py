"""The one place where all real parts are chosen: settings in, a master that can serve out."""

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Protocol

from certline_master import identity
from certline_master.api.app import build_app
from certline_master.api.forwarded import TrustedProxies
from certline_master.api.limits import Rates
from certline_master.api.services import Services
from certline_master.audit_sinks import FileSink, SyslogSink
from certline_master.ca.authorities import AcmeAuthorities
from certline_master.ca.dialling import Dialler
from certline_master.challenges import http01, responder, rfc2136
from certline_master.challenges.endpoint import Endpoint, parse
from certline_master.challenges.own_zones import OwnZonesFirst
from certline_master.challenges.registry import Registry
from certline_master.challenges.resolver import Resolver
from certline_master.challenges.tlsa_look import AuthoritativeTlsa
from certline_master.challenges.visibility import AuthoritativeLook
from certline_master.domain.access import SYSTEM
from certline_master.domain.errors import Sealed
from certline_master.domain.model import Zone
from certline_master.domain.ports import DnsView, Solver
from certline_master.identity import Identity
from certline_master.settings import Settings
from certline_master.settings_sections import ApiLimits
from certline_master.store.bell import LocalBell
from certline_master.store.keyring import KekSource
from certline_master.store.opening import SqlStore, open_store
from certline_master.work.audit import AuditKeeper, SealingKey, Sink
from certline_master.work.context import Context, Limits
from certline_master.work.runner import Runner
from certline_shared import __version__
from certline_shared.chance import Chance, SystemChance
from certline_shared.clock import Clock, SystemClock

THE_ONLY_WORKER = "the-only-one"
"""Who holds leases on SQLite, where one process writes: what a killed one held is ours again at once."""


class Listener(Protocol):
    """Something that works beside the engine between `start` and `stop`."""

    def start(self) -> None: ...
    def stop(self) -> None: ...


@dataclass(slots=True)
class Master:
    """A master, wired up; `start` begins its work, `stop` ends it."""

    settings: Settings
    store: SqlStore
    identity: Identity
    app: Any  # the ASGI application
    runner: Runner
    authorities: AcmeAuthorities
    clock: Clock
    listeners: list[Listener] = field(default_factory=list)

    def start(self) -> None:
        """Raises OSError naming the address that cannot be had."""
        for listener in self.listeners:
            listener.start()
        self.runner.start()

    def stop(self, within: float) -> None:
        """Stop working, keep what is under way on record, close the store."""
        self.runner.stop(within)
        for listener in reversed(self.listeners):
            listener.stop()
        self.authorities.close()
        self.store.close()


def open_settings_store(settings: Settings, clock: Clock, chance: Chance, *, exclusive: bool = True) -> SqlStore:
    """The store that the settings name, with its KEK; sealed where that is not to be had. Raises DomainError."""
    ring = kek_source(settings).keyring()
    return open_store(settings.store.url, kek=ring, clock=clock, chance=chance, exclusive=exclusive)


def kek_source(settings: Settings) -> KekSource:
    url = settings.store.url
    data = Path(url.removeprefix("sqlite:///")).parent if url.startswith("sqlite:///") else None
    return KekSource(settings.secrets.kek, settings.secrets.kek_command or (), data)


def build(settings: Settings) -> Master:
    """Everything, not started. Raises DomainError: Sealed when no secret can be read."""
    clock, chance = SystemClock(), SystemChance()
    store = open_settings_store(settings, clock, chance)
    try:
        return _assemble(settings, store, clock, chance)
    except BaseException:
        store.close()
        raise


def _assemble(settings: Settings, store: SqlStore, clock: Clock, chance: Chance) -> Master:
    if why := store.sealed:
        raise Sealed(why)
    with store.read() as records:
        own = identity.load(records)
    bell, dialler = LocalBell(), Dialler(settings.outbound.policy())
    authorities = AcmeAuthorities(clock, chance, dialler=dialler)
    listeners, solvers, dns = _challenges(settings, store, clock)
    tlsa = AuthoritativeTlsa(Resolver(settings.dns.nameservers))
    worker = THE_ONLY_WORKER if settings.store.url.startswith("sqlite") else chance.uuid()
    commands = {name: one.command(name) for name, one in settings.commands.items()}
    limits = Limits(threads=settings.workers.threads, orders_at_once=settings.workers.orders_at_once)
    context = Context(store, authorities, solvers, dns, bell, clock, chance, worker, limits, settings.alarms.limits())
    context = replace(context, commands=commands, tlsa=tlsa)
    services = Services(
        commands=commands,
        tlsa=tlsa,
        store=store,
        authorities=authorities,
        solvers=solvers,
        dns=dns,
        bell=bell,
        clock=clock,
        chance=chance,
        identity=own.manifests,
        origins=settings.api.origins,
        trust=settings.api.trust,
        long_polls=settings.api.long_polls,
        ready=_readiness(store),
        version=__version__,
        rotate_signing_key=lambda records, now: identity.rotate(records, now).manifests,
        alarms=settings.alarms.limits(),
        trusted_proxies=TrustedProxies(settings.api.trusted_proxies),
        rates=_rates(settings.api.limits),
    )
    listeners.append(_audit(settings, store, services, clock, chance))
    return Master(settings, store, own, build_app(services), Runner(context), authorities, clock, listeners)


def _audit(settings: Settings, store: SqlStore, services: Services, clock: Clock, chance: Chance) -> AuditKeeper:
    wished = settings.audit
    sinks: list[Sink] = [FileSink(wished.file)] if wished.file else []
    sinks += [SyslogSink(wished.syslog)] if wished.syslog else []

    def key() -> SealingKey:
        return SealingKey(services.identity.private, services.identity.public)

    return AuditKeeper(store, key, sinks, clock, chance, seal_every=wished.seal_seconds)


def _rates(wished: ApiLimits) -> Rates:
    """The settings name the pace; the bursts stay."""
    usual = Rates()
    return Rates(
        follower=replace(usual.follower, per_minute=wished.follower_per_minute),
        caller=replace(usual.caller, per_minute=wished.caller_per_minute),
        failures=replace(usual.failures, per_minute=wished.failures_per_minute),
        records=replace(usual.records, per_minute=wished.records_per_minute),
    )


def _readiness(store: SqlStore) -> Callable[[], str | None]:
    return lambda: store.broken or store.sealed


def _challenges(
    settings: Settings, store: SqlStore, clock: Clock
) -> tuple[list[Listener], dict[str, Solver] | Registry, DnsView]:
    def zones() -> list[Zone]:
        with store.read() as records:
            return records.zones.all(SYSTEM)

    def values(record: str) -> list[str]:
        with store.read() as records:
            return records.orders.challenge_values(SYSTEM, record)

    def answer(token: str) -> str | None:
        with store.read() as records:
            return records.orders.http_answer(SYSTEM, token)

    dns_listen, http_listen = _endpoint(settings.responder.listen), _endpoint(settings.http01.listen)
    listeners: list[Listener] = []
    if dns_listen is not None:
        listeners.append(responder.server(dns_listen, zones, values, clock))
    if http_listen is not None:
        listeners.append(http01.HttpListener(http_listen, answer))
    resolver = Resolver(settings.dns.nameservers)
    solvers = Registry(
        {
            responder.NAME: responder.ResponderSolver(dns_listen),
            http01.NAME: http01.ListenerSolver(http_listen),
            rfc2136.NAME: rfc2136.Rfc2136Solver(resolver, AuthoritativeLook(resolver, clock)),
        }
    )
    return listeners, solvers, OwnZonesFirst(zones, resolver)


def _endpoint(address: str | None) -> Endpoint | None:
    return None if address is None else parse(address, port=0)
