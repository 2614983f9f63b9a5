"""ACME resources (RFC 8555 section 7.1) as the port's views: lenient about what is new, strict about what is used."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any
from urllib.parse import urlsplit

from certline_master.ca.account_key import checked_token
from certline_master.ca.origin import Origin
from certline_master.ca.problems import clean, validation_failure
from certline_master.domain.errors import CaRefused, CaUnreachable
from certline_master.domain.model import ChallengeType
from certline_master.domain.ports import AuthorizationView, ChallengeView, Directory, OrderView
from certline_shared import names

_NEEDED = ("newNonce", "newAccount", "newOrder")
_OPTIONAL = ("renewalInfo", "revokeCert", "keyChange")
_ORDER_STATES = {"pending", "ready", "processing", "valid", "invalid"}
_OUR_CHALLENGES = set(ChallengeType)


@dataclass(frozen=True, slots=True)
class Listing:
    """A directory: what the domain wants to know of it, and its URLs by member name."""

    shown: Directory
    urls: Mapping[str, str]

    def url(self, member: str) -> str:
        """Raises CaUnreachable when the directory does not have it."""
        if member not in self.urls:
            raise CaUnreachable(f"the CA's directory has no {member}")
        return self.urls[member]


def read_directory(found: Mapping[str, Any], origin: Origin) -> Listing:
    """RFC 8555 section 7.1.1. Raises CaUnreachable for what is no directory, CaRefused for URLs on other hosts."""
    missing = [member for member in _NEEDED if not isinstance(found.get(member), str)]
    if missing:
        raise CaUnreachable(f"it has no {missing[0]}")
    urls = {member: _url(found, member, origin) for member in (*_NEEDED, *_OPTIONAL) if member in found}
    meta = _object(found, "meta")
    terms, caa = meta.get("termsOfService"), meta.get("caaIdentities")
    shown = Directory(
        profiles=tuple(clean(name) for name in _object(meta, "profiles")),
        terms_of_service=clean(terms) if isinstance(terms, str) else None,
        external_account_required=meta.get("externalAccountRequired") is True,
        has_renewal_info="renewalInfo" in urls,
        caa_identities=tuple(clean(one) for one in caa) if isinstance(caa, list) else (),
    )
    return Listing(shown, urls)


def read_order(
    found: Mapping[str, Any], url: str, origin: Origin, now: datetime, retry_at: datetime | None
) -> OrderView:
    """RFC 8555 section 7.1.3. Raises CaUnreachable for what is no order, CaRefused for URLs on other hosts."""
    status = found.get("status")
    if status not in _ORDER_STATES:
        raise CaUnreachable(f"the CA shows an order without a known status, but {ascii(status)[:40]}")
    certificate = _url(found, "certificate", origin) if "certificate" in found else None
    if status == "valid" and certificate is None:
        raise CaUnreachable("the CA shows a valid order without the URL of its certificate")
    error, replaces = found.get("error"), found.get("replaces")
    return OrderView(
        url=url,
        status=str(status),
        authorization_urls=_urls(found, "authorizations", origin),
        finalize_url=_url(found, "finalize", origin),
        certificate_url=certificate,
        error=validation_failure(error, now) if isinstance(error, dict) else None,
        retry_at=retry_at,
        replaces=replaces if isinstance(replaces, str) else None,
    )


def read_authorization(
    found: Mapping[str, Any], url: str, origin: Origin, now: datetime, retry_at: datetime | None
) -> AuthorizationView:
    """RFC 8555 section 7.1.4. Raises CaUnreachable for what is no authorization of a DNS name, CaRefused for a token
    that is none and for URLs on other hosts."""
    listed = found.get("challenges")
    challenges = [one for one in listed if isinstance(one, dict)] if isinstance(listed, list) else []
    return AuthorizationView(
        url=url,
        name=_dns_name(found),
        wildcard=found.get("wildcard") is True,
        status=_text(found, "status", "authorization"),
        expires=read_time(found.get("expires")),
        challenges=tuple(_challenge(one, origin, now) for one in challenges if isinstance(one.get("url"), str)),
        retry_at=retry_at,
    )


def read_time(value: object) -> datetime | None:
    """An RFC 3339 time as aware UTC; None for anything else."""
    if not isinstance(value, str):
        return None
    try:
        found = datetime.fromisoformat(value.upper())
        return found.astimezone(UTC) if found.tzinfo else None
    except (ValueError, OverflowError):
        return None


def read_page(value: object) -> str | None:
    """The URL of a page for people, if it is one."""
    if not isinstance(value, str) or not value.isprintable() or len(value) > 2048:
        return None
    try:
        parts = urlsplit(value)
    except ValueError:
        return None
    return value if parts.scheme in {"https", "http"} and parts.netloc else None


def _challenge(found: Mapping[str, Any], origin: Origin, now: datetime) -> ChallengeView:
    kind, token, error = _text(found, "type", "challenge"), found.get("token"), found.get("error")
    status = found.get("status")
    return ChallengeView(
        type=kind,
        url=_url(found, "url", origin),
        token=checked_token(token) if kind in _OUR_CHALLENGES else _token_or_none(token),
        status=status if isinstance(status, str) else "pending",
        error=validation_failure(error, now) if isinstance(error, dict) else None,
    )


def _token_or_none(token: object) -> str | None:
    """New kinds of challenges may have another kind of token, or none (draft-ietf-acme-dns-persist)."""
    try:
        return checked_token(token)
    except CaRefused:
        return None


def _dns_name(found: Mapping[str, Any]) -> str:
    identifier = _object(found, "identifier")
    value = identifier.get("value")
    if identifier.get("type") != "dns" or not isinstance(value, str):
        raise CaUnreachable("the CA shows an authorization that is for no DNS name")
    try:
        name = names.normalise(value)
    except names.BadName as error:
        raise CaUnreachable(f"the CA shows an authorization for {error}") from None
    if names.is_wildcard(name):  # RFC 8555 section 7.1.4: that is told by a member of its own
        raise CaUnreachable(f"the CA shows an authorization for {name}, not for the name below the wildcard")
    return name


def _object(found: Mapping[str, Any], member: str) -> Mapping[str, Any]:
    value = found.get(member)
    return value if isinstance(value, dict) else {}


def _text(found: Mapping[str, Any], member: str, what: str) -> str:
    value = found.get(member)
    if not isinstance(value, str):
        raise CaUnreachable(f"the CA's {what} has no usable {member!r}")
    return clean(value)


def _url(found: Mapping[str, Any], member: str, origin: Origin) -> str:
    value = found.get(member)
    if not isinstance(value, str):
        raise CaUnreachable(f"the CA's answer has no usable {member!r}")
    origin.target(value)
    return value


def _urls(found: Mapping[str, Any], member: str, origin: Origin) -> tuple[str, ...]:
    values = found.get(member)
    if not isinstance(values, list) or not all(isinstance(value, str) for value in values):
        raise CaUnreachable(f"the CA's answer has no usable {member!r}")
    for value in values:
        origin.target(value)
    return tuple(values)
