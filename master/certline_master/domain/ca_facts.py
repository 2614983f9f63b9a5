"""What is known of public CAs beyond what their directories say, with the day on which it was looked up.

Sources: letsencrypt.org, pages "Profiles", "Rate Limits", "Upcoming Features" and the announcements they name.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from urllib.parse import urlsplit

from certline_shared.keys import KeyType

LOOKED_UP = datetime(2026, 8, 5, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class ProfileFacts:
    most_names: int = 100
    common_name: bool = True  # whether its certificates have one
    lifetimes: tuple[tuple[datetime, timedelta], ...] = ()  # from when on how long, in order of time


@dataclass(frozen=True, slots=True)
class CaFacts:
    name: str
    refused_keys: frozenset[KeyType] = frozenset()
    most_same_names: int | None = None  # certificates for exactly the same names within `same_names_within`
    same_names_within: timedelta = timedelta(days=7)
    staples: bool = True  # whether it answers OCSP, without which Must-Staple cannot be kept
    client_auth: bool = True  # whether its certificates are good for TLS clients
    profiles: Mapping[str, ProfileFacts] = field(default_factory=dict)


_ALWAYS = datetime(2015, 1, 1, tzinfo=UTC)
_LETS_ENCRYPT = {
    "classic": ProfileFacts(
        lifetimes=(
            (_ALWAYS, timedelta(days=90)),
            (datetime(2027, 2, 10, tzinfo=UTC), timedelta(days=64)),
            (datetime(2028, 2, 16, tzinfo=UTC), timedelta(days=45)),
        )
    ),
    "tlsserver": ProfileFacts(25, common_name=False, lifetimes=((_ALWAYS, timedelta(days=45)),)),
    "shortlived": ProfileFacts(25, common_name=False, lifetimes=((_ALWAYS, timedelta(hours=160)),)),
}
_REFUSED = frozenset({KeyType.ECDSA_P521})
_BY_HOST = {
    "acme-v02.api.letsencrypt.org": CaFacts(
        "Let's Encrypt", _REFUSED, 5, staples=False, client_auth=False, profiles=_LETS_ENCRYPT
    ),
    "acme-staging-v02.api.letsencrypt.org": CaFacts(
        "Let's Encrypt (staging)", _REFUSED, 30_000, staples=False, client_auth=False, profiles=_LETS_ENCRYPT
    ),
}


def facts_of(directory_url: str) -> CaFacts | None:
    """What is known of the CA with this directory; None where it is not in the table."""
    return _BY_HOST.get((urlsplit(directory_url).hostname or "").lower())


def profile_facts(directory_url: str, profile: str | None) -> ProfileFacts | None:
    known = facts_of(directory_url)
    return known.profiles.get(profile or "classic") if known else None


def lifetime_at(facts: ProfileFacts, now: datetime) -> timedelta | None:
    """How long certificates of the profile live that are issued now."""
    begun = [length for since, length in facts.lifetimes if since <= now]
    return begun[-1] if begun else None
