"""A CA to try the port on, fake or real, with the means to prove names to it."""

import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass, field, replace
from typing import Protocol

from certline_master.ca.authorities import AcmeAuthorities
from certline_master.domain.errors import CaUnreachable
from certline_master.domain.model import Issuer, Owner
from certline_master.domain.ports import (
    AuthorizationView,
    CertificateAuthorities,
    CertificateAuthority,
    ChallengeView,
    OrderView,
    RenewalWindow,
)
from certline_shared import keys
from certline_shared.chance import SystemChance
from certline_shared.clock import Clock, SystemClock
from tests.fakes.ca import BASE_URL, FakeAuthorities, FakeCa, Proof
from tests.testbed.challtestsrv import ChallTestSrv
from tests.testbed.fault_proxy import FaultProxy
from tests.testbed.pebble import Pebble

PATIENCE = 20.0  # seconds that a real CA may take to come to a state


class World(Protocol):
    """Where proofs stand."""

    def set_txt(self, name: str, value: str) -> None: ...
    def clear_txt(self, name: str) -> None: ...
    def add_http01(self, token: str, content: str) -> None: ...


@dataclass
class FakeWorld:
    """The records that the fake CA looks at."""

    txt: set[tuple[str, str]] = field(default_factory=set)
    http: set[tuple[str, str]] = field(default_factory=set)

    def set_txt(self, name: str, value: str) -> None:
        self.txt.add((name, value))

    def clear_txt(self, name: str) -> None:
        self.txt = {pair for pair in self.txt if pair[0] != name}

    def add_http01(self, token: str, content: str) -> None:
        self.http.add((token, content))

    def validate(self, proof: Proof) -> str:
        if proof.type == "http-01":
            return "" if (proof.token, proof.key_authorization) in self.http else f"nothing served for {proof.token}"
        record = f"_acme-challenge.{proof.name}"
        return "" if (record, proof.dns_value) in self.txt else f"no such TXT record at {record}"


@dataclass
class Bed:
    """A CA with clients: `counts` is of requests by kind, `ca` the client of an account registered there."""

    authorities: CertificateAuthorities
    issuer: Issuer
    world: World
    counts: Callable[[], Counter[str]]
    account_key: bytes = b""
    clock: Clock = field(default_factory=SystemClock)

    def registered(self) -> "Bed":
        """The same CA with a new account."""
        key = self.authorities.new_account_key()
        url = self.authorities.of(self.issuer, key).register(self.issuer.contact)
        return replace(self, account_key=key, issuer=replace(self.issuer, account_url=url))

    @property
    def ca(self) -> CertificateAuthority:
        return self.authorities.of(self.issuer, self.account_key)

    def prove(self, order: OrderView, kind: str = "dns-01") -> None:
        """Answer all authorizations that are pending."""
        for url in order.authorization_urls:
            authorization = self.ca.authorization(url)
            if authorization.status == "pending":
                challenge = challenge_of(authorization, kind)
                self.publish(authorization.name, challenge)
                self.ca.answer(challenge.url)

    def publish(self, name: str, challenge: ChallengeView) -> None:
        token = challenge.token or ""
        if challenge.type == "http-01":
            self.world.add_http01(token, self.ca.key_authorization(token))
        else:
            self.world.set_txt(f"_acme-challenge.{name}", self.ca.dns_value(token))

    def look_until(self, url: str, *statuses: str) -> OrderView:
        """Look at an order until it has one of the statuses; a real CA takes its time."""
        give_up_at = time.perf_counter() + PATIENCE
        while (view := self.ca.look(url)).status not in statuses:
            if time.perf_counter() > give_up_at:
                raise AssertionError(f"the order stays {view.status}, instead of {' or '.join(statuses)}")
            self.clock.pause(0.01, threading.Event())
        return view

    def issue(self, names: Sequence[str], *, replaces: str | None = None, profile: str = "classic") -> str:
        """A certificate's PEM chain, from order to download."""
        order = self.ca.open(names, profile=profile, replaces=replaces)
        self.prove(order)
        return self.collect(order, names)

    def collect(self, order: OrderView, names: Sequence[str], *, preferred_chain: str | None = None) -> str:
        """The chain of an order whose challenges are answered."""
        ready = self.look_until(order.url, "ready", "invalid")
        assert ready.status == "ready", self.reasons(ready)
        view = self.ca.finalize(ready, csr_for(names))
        if view.status != "valid":
            view = self.look_until(order.url, "valid", "invalid")
        assert view.certificate_url, view.error
        return self.ca.fetch(view.certificate_url, preferred_chain=preferred_chain)

    def look_at_window(self, chain: str) -> RenewalWindow | None:
        """Renewal information, which a CA may have only a moment after the order is valid."""
        give_up_at = time.perf_counter() + PATIENCE
        while True:
            try:
                return self.ca.renewal_info(chain)
            except CaUnreachable:
                if time.perf_counter() > give_up_at:
                    raise
            self.clock.pause(0.01, threading.Event())

    def reasons(self, order: OrderView) -> list[Exception]:
        """The errors of the challenges of an order."""
        authorizations = [self.ca.authorization(url) for url in order.authorization_urls]
        return [one.error for part in authorizations for one in part.challenges if one.error]


def fake_bed(clock: Clock) -> tuple[Bed, FakeCa]:
    """A bed on the fake, whose CA looks at the bed's world."""
    world = FakeWorld()
    ca = FakeCa(clock, validate=world.validate)
    issuer = Issuer("fake", "fake", Owner.FILE, f"{BASE_URL}/directory")
    return Bed(FakeAuthorities(ca), issuer, world, lambda: Counter(ca.requests)), ca


@contextmanager
def pebble_bed(
    pebble: Pebble, world: ChallTestSrv, *, through: FaultProxy | None = None, seconds: float = 30
) -> Iterator[Bed]:
    """A bed on the client under test and a real Pebble, `through` a proxy if one is given."""
    counts: Counter[str] = Counter()
    lock = threading.Lock()

    def count(kind: str) -> None:
        with lock:
            counts[kind] += 1

    authorities = AcmeAuthorities(SystemClock(), SystemChance(), count=count, seconds=seconds)
    url = through.directory_url if through else pebble.directory_url
    issuer = Issuer("pebble", "pebble", Owner.FILE, url, ca_certificates=pebble.ca_file.read_text())
    with closing(authorities):
        yield Bed(authorities, issuer, world, lambda: Counter(counts))


def challenge_of(authorization: AuthorizationView, kind: str) -> ChallengeView:
    return next(one for one in authorization.challenges if one.type == kind)


def csr_for(names: Sequence[str]) -> bytes:
    return keys.make_csr(keys.generate(keys.KeyType.ECDSA_P256), tuple(names))
