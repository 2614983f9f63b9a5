"""What in a desired fleet is allowed but will hardly be what is meant: told with its place, and nothing stops. Pure."""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from certline_master.domain.ca_facts import CaFacts, ProfileFacts, facts_of, lifetime_at
from certline_master.domain.dane_faults import tlsa_warnings
from certline_master.domain.errors import Fault
from certline_master.domain.fleet import Current, DesiredFleet, DesiredLine, Scope
from certline_master.domain.orders_caused import default_issuer
from certline_master.domain.pointers import pointer
from certline_master.domain.profiles import NoProfile, choose_profile
from certline_master.domain.renewal import LAST_CHANCE, before_expiry, policy_of

MOST_LISTED = 4


@dataclass(frozen=True, slots=True)
class FleetWarning:
    """`field` is a JSON pointer (RFC 6901) into the desired fleet."""

    field: str
    detail: str


@dataclass(frozen=True, slots=True)
class Wished:
    """A desired fleet without faults, in normal form, beside what it is judged by."""

    desired: DesiredFleet
    current: Current
    scope: Scope
    now: datetime
    offered: Mapping[str, tuple[str, ...]] = field(default_factory=dict)  # profiles just looked up, by issuer
    lifetimes: Mapping[str, timedelta] = field(default_factory=dict)  # of the live certificates, by line

    def warnings(self) -> tuple[FleetWarning, ...]:
        crowds = self._crowds()
        found = [
            FleetWarning(pointer("lines", name, member), text)
            for name, line in self.desired.lines.items()
            for member, text in self._of_line(name, line, crowds)
        ]
        return tuple(found)

    def names_over_limit(self) -> list[Fault]:
        """Lines with more names than their CA takes under their profile: never to be issued."""
        found = []
        for name, line in self.desired.lines.items():
            profile = self._profile(line)
            facts = self._profile_facts(line, profile)
            if facts and len(line.names) > facts.most_names:
                text = (
                    f"{len(line.names)} names: the profile {profile} takes at most {facts.most_names}, split them over"
                    " several lines or choose another profile"
                )
                found.append(Fault(pointer("lines", name, "names"), text))
        return found

    def _of_line(self, name: str, line: DesiredLine, crowds: "Crowds") -> Iterator[tuple[str, str]]:
        ca, profile = facts_of(self._directory(line)), self._profile(line)
        facts = self._profile_facts(line, profile)
        lifetime = self.lifetimes.get(name) or (lifetime_at(facts, self.now) if facts else None)
        yield from _renewal(line, lifetime)
        yield from (("tlsa", text) for text in tlsa_warnings(line))
        if ca is None:
            return
        yield from _purposes(line, ca, profile, facts)
        crowd = crowds[self._directory(line), frozenset(line.names)]
        yield from _same_names(line, ca, crowd)

    def _directory(self, line: DesiredLine) -> str:
        name = line.issuer or default_issuer(self.current, self.desired) or ""
        if name in self.desired.issuers:
            return self.desired.issuers[name].directory
        return next((one.directory_url for one in self.current.issuers if one.name == name), "")

    def _profile(self, line: DesiredLine) -> str | None:
        """The one that will be asked for, as far as that is known."""
        name = line.issuer or default_issuer(self.current, self.desired) or ""
        held = next((one for one in self.current.issuers if one.name == name), None)
        wanted = self.desired.issuers.get(name)
        named = line.profile or (wanted.profile if wanted else held.profile if held else None)
        listed = self.offered.get(name, held.profiles if held else None)
        try:
            return choose_profile(named, listed) if listed is not None else named
        except NoProfile:
            return named

    def _profile_facts(self, line: DesiredLine, profile: str | None) -> ProfileFacts | None:
        ca = facts_of(self._directory(line))
        return ca.profiles.get(profile or "classic") if ca else None

    def _crowds(self) -> "Crowds":
        """Which lines have exactly the same names at the same CA, and how many certificates that makes at a time."""
        crowds: Crowds = defaultdict(dict)
        for name, line in self.desired.lines.items():
            crowds[self._directory(line), frozenset(line.names)][name] = len(line.key_types)
        directories = {one.id: one.directory_url for one in self.current.issuers}
        usual = next((one.id for one in self.current.issuers if one.is_default), "")
        for held in self.current.lines:
            if not self.scope.covers("line", held):
                directory = directories.get(held.issuer_id or usual, "")
                crowds[directory, frozenset(held.names)].setdefault(held.name, len(held.key_types))
        return crowds


Crowds = defaultdict[tuple[str, frozenset[str]], dict[str, int]]
"""(directory, names) -> line -> certificates that it orders each time."""


def _renewal(line: DesiredLine, lifetime: timedelta | None) -> Iterator[tuple[str, str]]:
    options, policy = line.options, policy_of(line.options)
    if policy.share is not None and policy.share > 1 / 2:
        yield "renew_before", f"{options.renew_before} is more than half the lifetime: half of it is meant then"
    if lifetime is None:
        return
    wished = before_expiry(policy, lifetime)
    if policy.share is None and wished is not None and wished > lifetime / 2:
        half = f"half of it ({_days(lifetime / 2)})"
        yield "renew_before", f"its certificates live for {_days(lifetime)}: {half} is meant then"
    if policy.after is not None and policy.after > lifetime - lifetime / LAST_CHANCE:
        text = f"its certificates live for {_days(lifetime)}: they are renewed with a tenth of that left, write less"
        yield "renew_after", text


def _purposes(
    line: DesiredLine, ca: CaFacts, profile: str | None, facts: ProfileFacts | None
) -> Iterator[tuple[str, str]]:
    for key_type in line.key_types:
        if key_type in ca.refused_keys:
            yield "key_types", f"{ca.name} refuses {key_type} keys: choose another type, or another issuer"
    if line.options.must_staple and not ca.staples:
        text = f"{ca.name} answers no OCSP and refuses Must-Staple: leave `must_staple` out, or choose another issuer"
        yield "must_staple", text
    if "client" in line.options.purposes and not ca.client_auth:
        text = f"certificates of {ca.name} are for servers only (no client-auth EKU): take a private CA for clients"
        yield "purposes", text
    if line.options.common_name and facts and not facts.common_name:
        yield "common_name", f"is left out by {ca.name}: certificates of the profile {profile} have none"


def _same_names(line: DesiredLine, ca: CaFacts, crowd: Mapping[str, int]) -> Iterator[tuple[str, str]]:
    if ca.most_same_names is None:
        return
    together, most, window = sum(crowd.values()), ca.most_same_names, ca.same_names_within
    allowed = f"{ca.name} gives {most} in {_days(window)}"
    if together > most:
        yield (
            "names",
            f"{together} certificates for exactly these names at a time ({_listed(crowd)}): {allowed}; {_CURE}",
        )
    elif (after := policy_of(line.options).after) is not None:
        soonest = window / (most // together)
        if after < soonest:
            kinds = f"{together} certificates for exactly these names each time" if together > 1 else "a certificate"
            yield "renew_after", f"{kinds}, and {allowed}: write at least {_days(soonest)}"


_CURE = "make one line of them with `custody: master` and grant its hosts to pull it"


def _listed(lines: Iterable[str]) -> str:
    names = sorted(lines)
    more = f" and {len(names) - MOST_LISTED} more" if len(names) > MOST_LISTED else ""
    return f"{', '.join(names[:MOST_LISTED])}{more}"


def _days(length: timedelta) -> str:
    return f"{length / timedelta(days=1):.4g} days"
