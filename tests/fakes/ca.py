"""A CA behind the port, for tests of what uses it: orders that advance, real certificates, faults on demand."""

import base64
import hashlib
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import TypeVar

from certline_master.domain.errors import CaRefused
from certline_master.domain.model import FailureClass, Issuer
from certline_master.domain.ports import AuthorizationView, ChallengeView, Directory, OrderView, RenewalWindow
from certline_shared import keys
from certline_shared.certificates import BadChain, ari_certificate_id
from tests.fakes.ca_issuing import validity_of
from tests.fakes.ca_server import BASE_URL, Authorization, FakeCa, Order, Proof, not_found

__all__ = ["BASE_URL", "FakeAuthorities", "FakeCa", "FakeCertificateAuthority", "Proof"]

AUTHORIZATION_LIFETIME = timedelta(days=7)
NEXT_CHECK = timedelta(hours=6)

T = TypeVar("T")


class FakeAuthorities:
    """The port CertificateAuthorities: every issuer is at `ca`, but those whose directory URL is in `others`."""

    def __init__(self, ca: FakeCa, others: Mapping[str, FakeCa] | None = None) -> None:
        self.ca = ca
        self._others = dict(others or {})

    def of(self, issuer: Issuer, account_key: bytes) -> "FakeCertificateAuthority":
        return FakeCertificateAuthority(self._at(issuer), account_key, issuer.account_url)

    def look_at_directory(self, issuer: Issuer) -> Directory:
        ca = self._at(issuer)
        return ca.asked("directory", ca.directory)

    def new_account_key(self) -> bytes:
        return keys.to_pem(keys.generate(keys.KeyType.ECDSA_P256))

    def _at(self, issuer: Issuer) -> FakeCa:
        return self._others.get(issuer.directory_url, self.ca)


class FakeCertificateAuthority:
    """The port CertificateAuthority for one account at a fake CA."""

    def __init__(self, ca: FakeCa, account_key: bytes, account_url: str | None) -> None:
        self._ca = ca
        self._thumbprint = keys.spki_sha256(keys.from_pem(account_key))
        self._account = account_url

    def directory(self) -> Directory:
        return self._ca.directory()

    def register(self, contact: Sequence[str]) -> str:  # noqa: ARG002 the port's signature
        self._account = self._ca.asked("newAccount", lambda: self._ca.account(self._thumbprint))
        return self._account

    def key_authorization(self, token: str) -> str:
        return f"{token}.{self._thumbprint}"

    def dns_value(self, token: str) -> str:
        digest = hashlib.sha256(self.key_authorization(token).encode()).digest()
        return base64.urlsafe_b64encode(digest).rstrip(b"=").decode()

    def open(self, names: Sequence[str], *, profile: str, replaces: str | None) -> OrderView:
        sent = replaces if self._ca.has_renewal_info else None
        try:
            return self._open(names, profile, sent)
        except CaRefused as refusal:
            if sent is None or refusal.type != "alreadyReplaced":
                raise
        return self._open(names, profile, None)

    def look(self, order_url: str) -> OrderView:
        return self._signed("order", lambda: self._order_view(self._ca.look(order_url)))

    def authorization(self, url: str) -> AuthorizationView:
        return self._signed("authorization", lambda: self._authorization_view(url))

    def answer(self, challenge_url: str) -> None:
        self._signed("challenge", lambda: self._ca.answer(challenge_url, self._proof))

    def finalize(self, order: OrderView, csr: bytes) -> OrderView:
        return self._signed("finalize", lambda: self._order_view(self._ca.finalize(order.url, csr)))

    def fetch(self, certificate_url: str, *, preferred_chain: str | None) -> str:  # noqa: ARG002 it has one chain
        return self._signed("certificate", lambda: self._chain(certificate_url))

    def revoke(self, chain: str, reason: int) -> None:
        self._signed("revokeCert", lambda: self._ca.revoke(self._account or "", chain, reason))

    def renewal_info(self, chain: str) -> RenewalWindow | None:
        if not self._ca.has_renewal_info:
            return None
        try:
            certificate_id = ari_certificate_id(chain)
        except BadChain:
            return None
        return self._ca.asked("renewalInfo", lambda: self._window(certificate_id, chain))

    def _open(self, names: Sequence[str], profile: str, replaces: str | None) -> OrderView:
        def work() -> OrderView:
            return self._order_view(self._ca.open(self._account or "", names, profile, replaces, self._thumbprint[:8]))

        return self._signed("newOrder", work)

    def _signed(self, kind: str, work: Callable[[], T]) -> T:
        def checked() -> T:
            if self._account not in self._ca.accounts.values():
                raise CaRefused("accountDoesNotExist", "no such account", FailureClass.NEEDS_PERSON)
            if self._account in self._ca.deactivated:
                raise CaRefused("unauthorized", "the account is deactivated", FailureClass.NEEDS_PERSON, status=403)
            return work()

        return self._ca.asked(kind, checked)

    def _proof(self, name: str, kind: str, token: str) -> Proof:
        return Proof(name, kind, token, self.key_authorization(token), self.dns_value(token))

    def _order_view(self, order: Order) -> OrderView:
        return OrderView(
            url=order.url,
            status=order.status,
            authorization_urls=tuple(one.url for one in order.authorizations),
            finalize_url=f"{order.url}/finalize",
            certificate_url=f"{order.url}/certificate" if order.status == "valid" else None,
            error=order.error,
            retry_at=self._retry_at() if order.status in {"pending", "processing"} else None,
            replaces=order.replaces,
        )

    def _authorization_view(self, url: str) -> AuthorizationView:
        if url not in self._ca.authorizations:
            raise not_found(url)
        found: Authorization = self._ca.authorizations[url]
        return AuthorizationView(
            url=url,
            name=found.name,
            wildcard=found.wildcard,
            status=found.status,
            expires=self._ca.clock.now() + AUTHORIZATION_LIFETIME,
            challenges=tuple(ChallengeView(c.type, c.url, c.token, c.status, c.error) for c in found.challenges),
            retry_at=self._retry_at(),
        )

    def _chain(self, url: str) -> str:
        order = self._ca.order(url.removesuffix("/certificate"))
        if order.status != "valid" or order.chain is None:
            raise not_found(url)
        return self._ca.tamper(order.chain)

    def _window(self, certificate_id: str, chain: str) -> RenewalWindow:
        """The one set for the certificate, else Let's Encrypt's rule: a third of the lifetime left, plus minus 1 %."""
        if certificate_id in self._ca.windows:
            return self._ca.windows[certificate_id]
        since, until = validity_of(chain)
        lifetime = until - since
        middle = until - lifetime / 3
        next_check = self._ca.clock.now() + NEXT_CHECK
        return RenewalWindow(middle - lifetime / 100, middle + lifetime / 100, None, next_check)

    def _retry_at(self) -> datetime | None:
        wait = self._ca.retry_after
        return None if wait is None else self._ca.clock.now() + wait
