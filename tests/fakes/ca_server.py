"""The fake CA's side: accounts, orders and authorizations in memory, and how they behave."""

import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from typing import TypeVar

from certline_master.domain.errors import CaRefused
from certline_master.domain.model import FailureClass
from certline_master.domain.ports import Directory, RenewalWindow
from certline_shared.clock import Clock
from certline_shared.names import base, is_wildcard
from tests.fakes.ca_issuing import IssuingCa, names_of, serial_of

BASE_URL = "https://fake-ca.example"
REASONS = {0, 1, 3, 4, 5, 9}  # of RFC 5280 section 5.3.1, those that Baseline Requirements section 7.2.2 leaves

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Proof:
    """What the CA goes to see when a challenge is answered."""

    name: str
    type: str
    token: str
    key_authorization: str
    dns_value: str


@dataclass(slots=True)
class Challenge:
    type: str
    url: str
    token: str | None
    status: str = "pending"
    error: CaRefused | None = None


@dataclass(slots=True)
class Authorization:
    url: str
    account: str
    name: str
    wildcard: bool
    challenges: list[Challenge]
    status: str = "pending"
    verdict: str | None = None  # of an answered challenge, shown once the CA "has looked": "" is success


@dataclass(slots=True)
class Order:
    url: str
    account: str
    names: tuple[str, ...]
    profile: str
    authorizations: list[Authorization]
    replaces: str | None
    looks_left: int
    status: str = "pending"
    chain: str | None = None
    error: CaRefused | None = None


@dataclass(slots=True)
class _Fault:
    error: Exception
    times: int
    is_answer_lost: bool


@dataclass
class FakeCa:
    """Behaviour is set by plain attributes at any time; `requests` lists the kind of each request in order.

    validation_looks / issuing_looks: how many looks at an order still show it pending / processing.
    validate: what the CA finds, "" for a good proof, else the reason why not. Without it every proof is good.
    tamper: applied to each chain before it is handed out. Thread-safe.
    """

    clock: Clock
    profiles: tuple[str, ...] = ("classic", "shortlived")
    has_renewal_info: bool = True
    blocked: set[str] = field(default_factory=set)
    reuse_authorizations: bool = False
    reuse_orders: bool = False  # the same pending order for a second identical request, as Boulder does
    validation_looks: int = 0
    issuing_looks: int = 0
    retry_after: timedelta | None = None
    lifetime: timedelta = timedelta(days=90)
    for_servers_only: bool = False  # certificates say so; else they say nothing of what they are for
    validate: Callable[[Proof], str] = lambda _: ""
    tamper: Callable[[str], str] = lambda chain: chain

    def __post_init__(self) -> None:
        self.issuing = IssuingCa(self.clock.now())
        self.requests: list[str] = []
        self.accounts: dict[str, str] = {}  # thumbprint → URL
        self.deactivated: set[str] = set()  # account URLs
        self.orders: dict[str, Order] = {}
        self.authorizations: dict[str, Authorization] = {}
        self.windows: dict[str, RenewalWindow] = {}  # certificate id of RFC 9773 → what is answered
        self.replaced: set[str] = set()  # certificate ids
        self.issued: list[str] = []  # PEM chains
        self.revoked: dict[str, int] = {}  # serial → reason
        self._faults: dict[str, list[_Fault]] = {}
        self._lock = threading.RLock()

    def fail(self, kind: str, error: Exception, *, times: int = 1, is_answer_lost: bool = False) -> None:
        """The next `times` requests of this kind (see certline_master.ca.endpoint.Count) raise `error`; with
        `is_answer_lost` after the CA has done what was asked."""
        with self._lock:
            self._faults.setdefault(kind, []).append(_Fault(error, times, is_answer_lost))

    def heal(self) -> None:
        """Forget all faults."""
        with self._lock:
            self._faults.clear()

    def forget_accounts(self) -> None:
        """As a test CA does at a restart."""
        with self._lock:
            self.accounts.clear()

    def count(self, kind: str) -> int:
        return self.requests.count(kind)

    def asked(self, kind: str, work: Callable[[], T]) -> T:
        """One request: counted, struck by a fault if one is set, else done."""
        with self._lock:
            self.requests.append(kind)
            fault = self._struck(kind)
            if fault is not None and not fault.is_answer_lost:
                raise fault.error
            done = work()
            if fault is not None:
                raise fault.error
            return done

    def directory(self) -> Directory:
        return Directory(self.profiles, f"{BASE_URL}/terms", False, self.has_renewal_info, ("fake-ca.example",))

    def account(self, thumbprint: str) -> str:
        """Find or make."""
        return self.accounts.setdefault(thumbprint, f"{BASE_URL}/account/{len(self.accounts) + 1}")

    def open(self, account: str, names: Sequence[str], profile: str, replaces: str | None, token: str) -> Order:
        self._refuse(names, profile, replaces)
        for known in self.orders.values() if self.reuse_orders else ():
            if known.status in {"pending", "ready"} and (known.account, known.names, known.profile, known.replaces) == (
                account,
                tuple(names),
                profile,
                replaces,
            ):
                return known
        number = len(self.orders) + 1
        parts = [self._authorization(account, name, f"{token}{number}x{place}") for place, name in enumerate(names)]
        order = Order(
            url=f"{BASE_URL}/order/{number}",
            account=account,
            names=tuple(names),
            profile=profile,
            authorizations=parts,
            replaces=replaces,
            looks_left=self.validation_looks,
        )
        self.orders[order.url] = order
        self.settle(order)
        return order

    def answer(self, challenge_url: str, proof_of: Callable[[str, str, str], Proof]) -> None:
        for authorization in self.authorizations.values():
            for challenge in authorization.challenges:
                if challenge.url == challenge_url:
                    challenge.status = "processing"
                    proof = proof_of(authorization.name, challenge.type, challenge.token or "")
                    authorization.verdict = self.validate(proof)
                    self._settle_authorization(authorization, challenge)
                    return
        raise not_found(challenge_url)

    def look(self, url: str) -> Order:
        order = self.order(url)
        if order.looks_left > 0:
            order.looks_left -= 1
        else:
            self.settle(order)
        return order

    def order(self, url: str) -> Order:
        if url not in self.orders:
            raise not_found(url)
        return self.orders[url]

    def finalize(self, url: str, csr: bytes) -> Order:
        order = self.order(url)
        if order.status != "ready":
            raise CaRefused("orderNotReady", f"the order is {order.status}", FailureClass.RETRY_SOON, status=403)
        if names_of(csr) != set(order.names):
            detail = "the request's names are not the order's"
            raise CaRefused("badCSR", detail, FailureClass.FIX_CONFIGURATION)
        order.chain = self.issuing.issue(csr, self.clock.now(), self.lifetime, for_servers_only=self.for_servers_only)
        self.issued.append(order.chain)
        if order.replaces:
            self.replaced.add(order.replaces)
        order.status, order.looks_left = "processing", self.issuing_looks
        if not order.looks_left:
            self.settle(order)
        return order

    def revoke(self, account: str, chain: str, reason: int) -> None:
        """By the account that ordered it; a second time it is revoked already, which is no fault."""
        if not any(order.chain == chain and order.account == account for order in self.orders.values()):
            detail = "the account did not order this certificate"
            raise CaRefused("unauthorized", detail, FailureClass.NEEDS_PERSON, status=403)
        if reason not in REASONS:
            raise CaRefused("badRevocationReason", f"no reason {reason}", FailureClass.FIX_CONFIGURATION)
        self.revoked.setdefault(serial_of(chain), reason)

    def settle(self, order: Order) -> None:
        """Show what has come of an order's authorizations, or of its issuing."""
        states = {one.status for one in order.authorizations}
        if order.status == "processing":
            order.status = "valid"
        elif order.status == "pending" and "invalid" in states:
            order.status = "invalid"
            order.error = CaRefused("unauthorized", "an authorization failed", FailureClass.RETRY_SOON, status=0)
        elif order.status == "pending" and states == {"valid"}:
            order.status = "ready"

    def _settle_authorization(self, authorization: Authorization, challenge: Challenge) -> None:
        if authorization.verdict:
            challenge.status = authorization.status = "invalid"
            challenge.error = CaRefused("unauthorized", authorization.verdict, FailureClass.RETRY_SOON, status=0)
        else:
            challenge.status = authorization.status = "valid"

    def _authorization(self, account: str, name: str, label: str) -> Authorization:
        for known in self.authorizations.values() if self.reuse_authorizations else ():
            if known.status == "valid" and (known.account, known.name, known.wildcard) == (
                account,
                base(name),
                is_wildcard(name),
            ):
                return known
        url = f"{BASE_URL}/authorization/{label}"
        kinds = ("dns-01",) if is_wildcard(name) else ("http-01", "dns-01")
        challenges = [Challenge(kind, f"{url}/{kind}", label.rjust(43, "A")) for kind in kinds]
        challenges.append(Challenge("dns-persist-01", f"{url}/dns-persist-01", None))
        made = Authorization(url, account, base(name), is_wildcard(name), challenges)
        self.authorizations[url] = made
        return made

    def _refuse(self, names: Sequence[str], profile: str, replaces: str | None) -> None:
        blocked = sorted(self.blocked & {base(name) for name in names})
        if blocked:
            detail = f"the CA will not issue for {', '.join(blocked)}"
            raise CaRefused("rejectedIdentifier", detail, FailureClass.FIX_CONFIGURATION)
        if profile and profile not in self.profiles:
            raise CaRefused("invalidProfile", f"no profile {profile!r}", FailureClass.FIX_CONFIGURATION)
        if replaces in self.replaced:
            detail = "the certificate is replaced already"
            raise CaRefused("alreadyReplaced", detail, FailureClass.RETRY_SOON, status=409)

    def _struck(self, kind: str) -> _Fault | None:
        faults = self._faults.get(kind, [])
        while faults and faults[0].times == 0:
            faults.pop(0)
        if not faults:
            return None
        faults[0].times -= 1
        return faults[0]


def not_found(url: str) -> CaRefused:
    return CaRefused("malformed", f"there is nothing at {url}", FailureClass.FIX_CONFIGURATION, status=404)
