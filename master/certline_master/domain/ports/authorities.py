"""CAs, as one account sees them."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from certline_master.domain.model import Issuer


@dataclass(frozen=True, slots=True)
class Directory:
    """What a CA's directory says (RFC 8555 section 7.1.1, draft-ietf-acme-profiles)."""

    profiles: tuple[str, ...]
    terms_of_service: str | None
    external_account_required: bool
    has_renewal_info: bool
    caa_identities: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class OrderView:
    """An order as the CA shows it."""

    url: str
    status: str  # pending | ready | processing | valid | invalid
    authorization_urls: tuple[str, ...]
    finalize_url: str
    certificate_url: str | None
    error: Exception | None  # a CaRefused, when it is invalid and says why
    retry_at: datetime | None  # Retry-After of this answer, clamped
    replaces: str | None = None


@dataclass(frozen=True, slots=True)
class ChallengeView:
    type: str
    url: str
    token: str | None  # checked: [A-Za-z0-9_-]{22,128}; None for challenges without one
    status: str
    error: Exception | None


@dataclass(frozen=True, slots=True)
class AuthorizationView:
    """An authorization (RFC 8555 section 7.1.4)."""

    url: str
    name: str
    wildcard: bool
    status: str  # pending | valid | invalid | ...
    expires: datetime | None
    challenges: tuple[ChallengeView, ...]
    retry_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class RenewalWindow:
    """RFC 9773 section 4.2, checked: start before end."""

    start: datetime
    end: datetime
    explanation_url: str | None
    next_check: datetime  # from Retry-After, clamped to 1 minute .. 1 day; 6 h when there was none


class CertificateAuthority(Protocol):
    """One CA account. Each method is one ACME request (plus nonces, plus re-tries of bad nonces); none sleeps for the
    CA's work.
    Thread-safe. All raise CaUnreachable or CaRefused."""

    def directory(self) -> Directory:
        """Cached for an hour."""
        ...

    def register(self, contact: Sequence[str]) -> str:
        """Agree to the terms and make the account, or find it by its key; returns its URL (RFC 8555 section 7.3)."""
        ...

    def key_authorization(self, token: str) -> str:
        """RFC 8555 section 8.1."""
        ...

    def dns_value(self, token: str) -> str:
        """RFC 8555 section 8.4: base64url(SHA-256(key authorization))."""
        ...

    def open(self, names: Sequence[str], *, profile: str, replaces: str | None) -> OrderView: ...
    def look(self, order_url: str) -> OrderView: ...
    def authorization(self, url: str) -> AuthorizationView: ...
    def answer(self, challenge_url: str) -> None: ...
    def finalize(self, order: OrderView, csr: bytes) -> OrderView: ...
    def fetch(self, certificate_url: str, *, preferred_chain: str | None) -> str:
        """The PEM chain; an alternate (Link rel="alternate", RFC 8555 section 7.4.2) when its topmost issuer CN is the
        preferred one.
        """
        ...

    def revoke(self, chain: str, reason: int) -> None:
        """Revoke the leaf of this PEM chain, as the account that ordered it, for a reason of RFC 5280 section 5.3.1
        (RFC 8555 section 7.6). One that is revoked already counts as done."""
        ...

    def renewal_info(self, chain: str) -> RenewalWindow | None:
        """None when the CA has no renewal information. A window that is no window raises CaUnreachable (as if no
        answer came).
        """
        ...


class CertificateAuthorities(Protocol):
    """Makes the client of an issuer's account; keeps connections, nonces and directories between calls."""

    def of(self, issuer: Issuer, account_key: bytes) -> CertificateAuthority:
        """`account_key` is PKCS#8 PEM; the account URL is taken from the issuer when it has one."""
        ...

    def look_at_directory(self, issuer: Issuer) -> Directory:
        """Fetch the directory afresh, without an account. Raises CaUnreachable, with a text for the person who
        configured it.
        """
        ...

    def new_account_key(self) -> bytes:
        """PKCS#8 PEM, P-256."""
        ...
