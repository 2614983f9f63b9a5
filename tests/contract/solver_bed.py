"""What the solvers' tests share: challenges as an order has them, the ledger, and a bed for each solver."""

import threading
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import Any

import dns.message
import dns.name
import dns.query

from certline_master.challenges import http01, responder
from certline_master.challenges.endpoint import Endpoint
from certline_master.challenges.resolver import Resolver
from certline_master.challenges.rfc2136 import Rfc2136Solver
from certline_master.challenges.visibility import AuthoritativeLook
from certline_master.domain.model import Challenge, ChallengeState, ChallengeType, Owner, Zone
from certline_master.domain.ports import Solver
from certline_shared.clock import SystemClock
from tests.testbed.bind import Bind, TsigKey
from tests.testbed.ports import free_port

ZONE = "example.test"


def dns_challenge(name: str = f"www.{ZONE}", value: str = "v" * 43, **fields: Any) -> Challenge:
    made = Challenge(
        id=f"{name}/{value}",
        order_id="order",
        name=name,
        wildcard=False,
        type=ChallengeType.DNS_01,
        authorization_url="https://ca.example/authz/1",
        url="https://ca.example/challenge/1",
        token="t" * 43,
        state=ChallengeState.INTENDED,
        solver="",
        zone=ZONE,
        record=f"_acme-challenge.{name}",
        value=value,
    )
    return replace(made, **fields)


def http_challenge(name: str = f"www.{ZONE}", token: str = "t" * 43) -> Challenge:
    value = f"{token}.{'k' * 43}"
    return dns_challenge(name, value, type=ChallengeType.HTTP_01, token=token, record=token, zone=None)


def zone(settings: dict[str, Any] | None = None, *, name: str = ZONE, solver: str = "rfc2136", **fields: Any) -> Zone:
    return replace(Zone(id=name, name=name, owner=Owner.FILE, solver=solver, settings=settings or {}), **fields)


class Ledger:
    """The store's challenge rows, as far as solvers read them. Thread-safe."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._rows: list[Challenge] = []

    def write(self, challenges: Sequence[Challenge]) -> None:
        with self._lock:
            self._rows = [*(row for row in self._rows if row not in challenges), *challenges]

    def strike(self, challenges: Sequence[Challenge]) -> None:
        with self._lock:
            self._rows = [row for row in self._rows if row not in challenges]

    def values(self, record: str) -> list[str]:
        with self._lock:
            return [row.value for row in self._rows if row.record == record]

    def answer(self, token: str) -> str | None:
        with self._lock:
            return next((row.value for row in self._rows if row.token == token), None)


@dataclass(frozen=True, slots=True)
class Bed:
    """A solver at work: intention first (the ledger), then the solver, as the engine does it."""

    solver: Solver
    zone: Zone | None
    secret: bytes | None
    first: Challenge
    second: Challenge  # another value at the same name
    seen: Callable[[Challenge], bool]  # what an outsider finds
    ledger: Ledger = field(default_factory=Ledger)

    def present(self, *challenges: Challenge) -> None:
        self.ledger.write(challenges)
        self.solver.present(self.zone, self.secret, challenges)

    def clean_up(self, *challenges: Challenge) -> None:
        self.solver.clean_up(self.zone, self.secret, challenges)
        self.ledger.strike(challenges)

    def is_visible(self, *challenges: Challenge) -> bool:
        return self.solver.is_visible(self.zone, challenges).complete


@contextmanager
def responder_bed() -> Iterator[Bed]:
    listen, ledger, served = Endpoint("127.0.0.1", free_port()), Ledger(), zone(solver=responder.NAME)
    server = responder.server(listen, lambda: [served], ledger.values, SystemClock())
    server.start()
    try:
        yield Bed(
            responder.ResponderSolver(listen),
            served,
            None,
            dns_challenge(),
            dns_challenge(value="w" * 43),
            lambda challenge: challenge.value in texts_at(listen, challenge.record),
            ledger,
        )
    finally:
        server.stop()


@contextmanager
def listener_bed() -> Iterator[Bed]:
    listen, ledger = Endpoint("127.0.0.1", free_port()), Ledger()
    server = http01.HttpListener(listen, ledger.answer)
    server.start()
    try:
        yield Bed(
            http01.ListenerSolver(listen),
            None,
            None,
            http_challenge(),
            http_challenge(token="u" * 43),
            lambda challenge: body_at(listen, challenge.token) == challenge.value,
            ledger,
        )
    finally:
        server.stop()


def rfc2136_bed(bind: Bind) -> Bed:
    key = bind.keys["hmac-sha256"]
    return Bed(
        rfc2136_solver(bind),
        zone(signed_by(bind, key), secret="a secret's id"),
        key.secret.encode(),
        dns_challenge(),
        dns_challenge(value="w" * 43),
        lambda challenge: challenge.value in bind.records(challenge.record),
    )


def rfc2136_solver(bind: Bind, *, seconds: float = 10.0) -> Rfc2136Solver:
    resolver = Resolver([bind.address])
    return Rfc2136Solver(resolver, AuthoritativeLook(resolver, SystemClock()), seconds=seconds)


def signed_by(bind: Bind, key: TsigKey) -> dict[str, Any]:
    return {
        "server": "127.0.0.1",
        "port": bind.port,
        "nameservers": [bind.address],
        "key_name": key.name,
        "algorithm": key.algorithm,
    }


def texts_at(server: Endpoint, name: str) -> set[str]:
    query = dns.message.make_query(dns.name.from_text(name), "TXT")
    found = dns.query.tcp(query, server.address, timeout=5, port=server.port)
    return {rdata.to_text().strip('"') for rrset in found.answer for rdata in rrset}


def body_at(server: Endpoint, token: str) -> str | None:
    try:
        with urllib.request.urlopen(f"http://{server}{http01.PATH}{token}", timeout=5) as answer:
            body: bytes = answer.read()
    except urllib.error.HTTPError as refused:
        refused.close()
        return None
    return body.decode()
