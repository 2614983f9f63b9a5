"""The port CertificateAuthority over ACME: each method is one request of an account."""

import json
from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime

from acme import messages
from cryptography import x509
from cryptography.hazmat.primitives import serialization
from josepy.json_util import encode_b64jose, field

from certline_master.ca import chains, renewal_info
from certline_master.ca.accounts import Account
from certline_master.ca.problems import ServerInternal, read_object, retry_after
from certline_master.ca.transport import Answer
from certline_master.ca.views import read_authorization, read_order
from certline_master.domain.errors import CaError, CaRefused
from certline_master.domain.ports import AuthorizationView, Directory, OrderView, RenewalWindow

# What a CA may answer when it is only `replaces` that it does not like (RFC 9773 section 5; Boulder and Pebble use
# these). Order again without it: losing the exemption from rate limits is better than losing the certificate.
_ABOUT_REPLACES = {"alreadyReplaced", "conflict", "malformed", "unauthorized"}


class NewOrder(messages.NewOrder):
    """With the field of RFC 9773 section 5, which the library lacks."""

    replaces: str | None = field("replaces", omitempty=True)


class DirectoryClient:
    """One account at one CA. Thread-safe; keeps no state of orders."""

    def __init__(self, account: Account) -> None:
        self._account = account
        self._endpoint = account.endpoint

    def directory(self) -> Directory:
        return self._endpoint.directory().shown

    def register(self, contact: Sequence[str]) -> str:
        return self._account.register(contact)

    def key_authorization(self, token: str) -> str:
        return self._account.key.key_authorization(token)

    def dns_value(self, token: str) -> str:
        return self._account.key.dns_value(token)

    def open(self, names: Sequence[str], *, profile: str, replaces: str | None) -> OrderView:
        """newOrder. `replaces` is sent only to a CA with renewal information, and dropped when the CA does not like it:
        then the view's `replaces` is None."""
        sent = replaces if self.directory().has_renewal_info else None
        try:
            return self._open(names, profile, sent)
        except CaError as error:
            if sent is None or not _is_about_replaces(error):
                raise
        return self._open(names, profile, None)

    def look(self, order_url: str) -> OrderView:
        answer = self._account.post("order", order_url)
        return self._order(answer, order_url)

    def authorization(self, url: str) -> AuthorizationView:
        answer = self._account.post("authorization", url)
        found = read_object(answer, "authorization")
        return read_authorization(found, url, self._endpoint.origin, self._now(), self._retry_at(answer))

    def answer(self, challenge_url: str) -> None:
        self._account.post("challenge", challenge_url, b"{}")  # RFC 8555 section 7.5.1

    def finalize(self, order: OrderView, csr: bytes) -> OrderView:
        """`csr` is DER."""
        payload = json.dumps({"csr": encode_b64jose(csr)}).encode()
        answer = self._account.post("finalize", order.finalize_url, payload)
        return self._order(answer, order.url)

    def fetch(self, certificate_url: str, *, preferred_chain: str | None) -> str:
        """One request; with a preferred chain that is not the CA's default one more for each alternate looked at."""
        return chains.fetch(self._account, certificate_url, preferred_chain)

    def revoke(self, chain: str, reason: int) -> None:
        """RFC 8555 section 7.6."""
        leaf = x509.load_pem_x509_certificate(chain.encode()).public_bytes(serialization.Encoding.DER)
        payload = json.dumps({"certificate": encode_b64jose(leaf), "reason": reason}).encode()
        try:
            self._account.post("revokeCert", self._endpoint.directory().url("revokeCert"), payload)
        except CaRefused as refusal:
            if refusal.type != "alreadyRevoked":
                raise

    def renewal_info(self, chain: str) -> RenewalWindow | None:
        return renewal_info.fetch(self._endpoint, chain)

    def _open(self, names: Sequence[str], profile: str, replaces: str | None) -> OrderView:
        url = self._endpoint.directory().url("newOrder")
        answer = self._account.post("newOrder", url, _wish(names, profile, replaces))
        view = self._order(answer, answer.header("location") or "")
        return replace(view, replaces=replaces)  # not the CA's echo, which some leave out

    def _order(self, answer: Answer, url: str) -> OrderView:
        self._endpoint.origin.target(url)
        found = read_object(answer, "order")
        return read_order(found, url, self._endpoint.origin, self._now(), self._retry_at(answer))

    def _retry_at(self, answer: Answer) -> datetime | None:
        return retry_after(answer, self._now())

    def _now(self) -> datetime:
        return self._endpoint.now()


def _wish(names: Sequence[str], profile: str, replaces: str | None) -> bytes:
    identifiers = [messages.Identifier(typ=messages.IDENTIFIER_FQDN, value=name) for name in names]
    wish: str = NewOrder(identifiers=identifiers, profile=profile or None, replaces=replaces).json_dumps()
    return wish.encode()


def _is_about_replaces(error: CaError) -> bool:
    if isinstance(error, CaRefused):
        return error.type in _ABOUT_REPLACES or error.status == 409
    return isinstance(error, ServerInternal)
