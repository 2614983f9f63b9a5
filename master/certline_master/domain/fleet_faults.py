"""What is wrong with a desired fleet: each fault with its place (a JSON pointer) and what to do. Pure."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from urllib.parse import urlsplit

from certline_master.domain.authorization import choose
from certline_master.domain.dane_faults import tlsa_faults
from certline_master.domain.errors import Fault, SolverError
from certline_master.domain.fleet import KINDS, SECTIONS, Current, DesiredFleet, DesiredIssuer, DesiredLine, Kind, Scope
from certline_master.domain.grant_faults import grant_faults
from certline_master.domain.key_faults import key_faults
from certline_master.domain.line_options import option_faults
from certline_master.domain.model import Custody, HttpName, Owner, Zone
from certline_master.domain.outbound import BadHost, host_of
from certline_master.domain.pointers import pointer
from certline_master.domain.profiles import NoProfile, choose_profile
from certline_master.domain.rollout_faults import rollout_faults
from certline_shared.names import BadName, base, check_object_name, is_wildcard, normalise, normalise_all

HTTP_SOLVERS = frozenset({"listener"})

_OBJECTS: tuple[Kind, ...] = ("issuer", "group", "key", "line", "follower")  # named by us
_HOSTS: tuple[Kind, ...] = ("zone", "http")  # named by DNS

Follow = Callable[[str], str]


def faults(desired: DesiredFleet, current: Current, scope: Scope, solvers: Iterable[str]) -> list[Fault]:
    """Everything that can be told without asking anybody; [] when there is nothing."""
    check = _Check(desired, current, scope, frozenset(solvers))
    parts = (check.names(), check.owners(), check.issuers(), check.solvers_known(), check.lines())
    more = (grant_faults(desired, current, scope), rollout_faults(desired, current, scope), check.left_behind())
    dane, keys = tlsa_faults(desired, current, scope), key_faults(desired, current, scope)
    return [fault for part in (*parts, *more, dane, keys) for fault in part]


def unproven(desired: DesiredFleet, http: Iterable[HttpName], zones: Iterable[Zone], follow: Follow) -> list[Fault]:
    """Names of lines that no zone and no host under `http` proves. `follow` is asked only where no zone covers a name.

    For a desired fleet without `faults`, in any spelling; `http` and `zones` as they will be.
    """
    http, zones = tuple(http), tuple(zones)
    found = []
    for line, index, name in _names(desired):
        why_not = why_unproven(normalise(name), http, zones, follow)
        if why_not:
            found.append(Fault(pointer("lines", line, "names", index), str(why_not)))
    return found


def why_unproven(name: str, http: Iterable[HttpName], zones: Iterable[Zone], follow: Follow) -> SolverError | None:
    """Why this name (normal form) cannot be proven; None when it can."""
    http, zones = tuple(http), tuple(zones)
    try:
        choose(name, http=http, zones=zones, follow=lambda record: record)
    except SolverError:
        if is_wildcard(name) and any(host.name == base(name) for host in http):
            return SolverError(f"{name} is a wildcard, which http-01 cannot prove: add a zone that covers {base(name)}")
    else:
        return None
    try:
        choose(name, http=http, zones=zones, follow=follow)
    except SolverError as error:
        return error
    return None


def unknown_profiles(desired: DesiredFleet, current: Current, offered: Mapping[str, tuple[str, ...]]) -> list[Fault]:
    """Profiles that an issuer's directory does not list; `offered` holds what was listed, by issuer."""
    known = {issuer.name: issuer.profiles for issuer in current.issuers if issuer.profiles is not None} | dict(offered)
    found = []
    for place, issuer, profile in _profiles(desired):
        try:
            choose_profile(profile, known.get(issuer or "", (profile,) if profile else ()))
        except NoProfile as error:
            found.append(Fault(pointer(*place), str(error)))
    return found


def _profiles(desired: DesiredFleet) -> "Iterator[tuple[tuple[str, ...], str | None, str | None]]":
    """Each place where a profile is chosen, with the issuer's name and the profile."""
    default = next((name for name, issuer in desired.issuers.items() if issuer.default), None)
    for name, issuer in desired.issuers.items():
        yield ("issuers", name, "profile"), name, issuer.profile
    for name, line in desired.lines.items():
        if line.profile:
            yield ("lines", name, "profile"), line.issuer or default, line.profile


def _names(desired: DesiredFleet) -> "Iterator[tuple[str, int, str]]":
    for name, line in desired.lines.items():
        for index, text in enumerate(line.names):
            yield name, index, text


@dataclass(frozen=True, slots=True)
class _Check:
    desired: DesiredFleet
    current: Current
    scope: Scope
    solvers: frozenset[str]

    def known(self, kind: Kind) -> set[str]:
        """Names of that kind once this is done."""
        kept = {thing.name for thing in self.current.of(kind) if not self.scope.covers(kind, thing)}
        return kept | set(self.desired.of(kind))

    def names(self) -> Iterator[Fault]:
        for kind in _OBJECTS:
            for name in self.desired.of(kind):
                yield from _faulty(pointer(SECTIONS[kind], name), check_object_name, name, kind)
        for kind in _HOSTS:
            seen: dict[str, str] = {}
            for name in self.desired.of(kind):
                yield from self._host(kind, name, seen)

    def _host(self, kind: Kind, name: str, seen: dict[str, str]) -> Iterator[Fault]:
        place = pointer(SECTIONS[kind], name)
        bad = list(_faulty(place, normalise, name))
        yield from bad
        if bad:
            return
        if is_wildcard(name):
            yield Fault(place, f"{name} is a wildcard: write {base(name)}" if kind == "zone" else _NO_HTTP_WILDCARD)
        if normalise(name) in seen:
            yield Fault(place, f"is the same name as {seen[normalise(name)]!r}: keep one")
        seen[normalise(name)] = name

    def owners(self) -> Iterator[Fault]:
        """What somebody else manages is not touched."""
        for kind in KINDS:
            wanted = {_spelled(kind, name): name for name in self.desired.of(kind)}
            for thing in self.current.of(kind):
                if thing.name in wanted and not self.scope.covers(kind, thing):
                    text = f"the {kind} {thing.name} is managed by {_OWNERS[thing.owner]}: change or delete it there"
                    yield Fault(pointer(SECTIONS[kind], wanted[thing.name]), text)

    def issuers(self) -> Iterator[Fault]:
        for name, issuer in self.desired.issuers.items():
            why_not = _why_no_directory(issuer.directory)
            if why_not:
                yield Fault(pointer("issuers", name, "directory"), why_not)
            yield from _contacts(name, issuer)
        yield from self._tested()
        defaults = [name for name, issuer in self.desired.issuers.items() if issuer.default]
        elsewhere = [
            one.name for one in self.current.issuers if one.is_default and not self.scope.covers("issuer", one)
        ]
        for name in defaults[1:] if not elsewhere else defaults:
            text = f"{(elsewhere or defaults)[0]} is the default issuer already: only one can be"
            yield Fault(pointer("issuers", name, "default"), text)

    def _tested(self) -> Iterator[Fault]:
        """Each issuer has one at most that rehearses for it, and that is another one."""
        known = {*self.desired.issuers, *(one.name for one in self.current.issuers)}
        tested: dict[str, str] = {}
        for name, issuer in self.desired.issuers.items():
            if issuer.test_of is None:
                continue
            place, other = pointer("issuers", name, "test_of"), tested.setdefault(issuer.test_of, name)
            if issuer.test_of == name or issuer.test_of not in known:
                named = ", ".join(sorted(known - {name})) or "none"
                yield Fault(place, f"{issuer.test_of!r} is no other issuer: name one of them ({named})")
            elif other != name:
                yield Fault(place, f"{other} rehearses for {issuer.test_of} already: only one issuer can")

    def solvers_known(self) -> Iterator[Fault]:
        dns, http = sorted(self.solvers - HTTP_SOLVERS), sorted(self.solvers & HTTP_SOLVERS)
        for kind, allowed in zip(_HOSTS, (dns, http), strict=True):
            for name, thing in self.desired.of(kind).items():
                if thing.solver not in allowed:
                    text = f"there is no solver {thing.solver!r} for this: use one of {', '.join(allowed) or 'none'}"
                    yield Fault(pointer(SECTIONS[kind], name, "solver"), text)

    def lines(self) -> Iterator[Fault]:
        for name, line in self.desired.lines.items():
            yield from self._references(name, line)
            bad = list(_name_set(name, line))
            yield from bad or option_faults(name, line)
            if len(set(line.key_types)) != len(line.key_types) or not line.key_types:
                text = "list each key type once, and at least one: a certificate of each is ordered"
                yield Fault(pointer("lines", name, "key_types"), text)

    def _references(self, name: str, line: DesiredLine) -> Iterator[Fault]:
        why_not = self._whose(line)
        if why_not:
            yield Fault(pointer("lines", name, "follower"), why_not)
        if line.issuer is not None and line.issuer not in self.known("issuer"):
            yield Fault(pointer("lines", name, "issuer"), f"there is no issuer {line.issuer!r}: add it to `issuers:`")
        if line.issuer is None and not self._has_default():
            yield Fault(pointer("lines", name), "has no issuer: name one, or mark an issuer with `default: true`")

    def _whose(self, line: DesiredLine) -> str | None:
        if line.custody is Custody.MASTER and line.follower is not None:
            return "the master keeps the key of this line: leave it out, and grant followers to pull the line"
        if line.custody is Custody.FOLLOWER and line.follower is None:
            return "is missing: name the host that keeps the key, or write `custody: master`"
        if line.follower is not None and line.follower not in self.known("follower"):
            return f"there is no follower {line.follower!r}: add it to `followers:`"
        return None

    def _has_default(self) -> bool:
        kept = (one for one in self.current.issuers if not self.scope.covers("issuer", one))
        return any(one.default for one in self.desired.issuers.values()) or any(one.is_default for one in kept)

    def left_behind(self) -> Iterator[Fault]:
        """Lines that stay, managed by others, must not lose what they refer to."""
        issuers = {one.id: one.name for one in self.current.issuers}
        followers = {one.id: one.name for one in self.current.followers}
        for line in self.current.lines:
            if self.scope.covers("line", line):
                continue
            issuer, follower = issuers.get(line.issuer_id or ""), followers.get(line.follower_id or "")
            if issuer and issuer not in self.known("issuer"):
                yield Fault("/issuers", f"the line {line.name} still uses the issuer {issuer}: change the line first")
            if line.owner is not Owner.FOLLOWER and follower and follower not in self.known("follower"):
                yield Fault("/followers", f"the line {line.name} is still for {follower}: delete the line first")


_OWNERS = {
    Owner.FILE: "the fleet file",
    Owner.API: "single commands (API)",
    Owner.FOLLOWER: "the follower that asked for it",
}
_NO_HTTP_WILDCARD = "a wildcard cannot be proven by http-01: add a zone for it"


def _faulty(place: str, check: Callable[..., object], *arguments: object) -> Iterator[Fault]:
    try:
        check(*arguments)
    except BadName as error:
        yield Fault(place, str(error))


def _spelled(kind: Kind, name: str) -> str:
    """The name under which the store would have it."""
    try:
        return normalise(name) if kind in ("zone", "http") else name
    except BadName:
        return name


def _name_set(line: str, desired: DesiredLine) -> Iterator[Fault]:
    """Of the whole set first: it is the usual one without a fault, of which a fleet has thousands."""
    together = list(_faulty(pointer("lines", line, "names"), normalise_all, desired.names))
    each = [
        fault
        for index, name in enumerate(desired.names if together else ())
        for fault in _faulty(pointer("lines", line, "names", index), normalise, name)
    ]
    yield from each or together


def _why_no_directory(url: str) -> str | None:
    try:
        parts = urlsplit(url)
        _ = parts.port
    except ValueError:
        return "is no URL: write the https URL of the CA's ACME directory"
    if parts.scheme != "https":
        return f"begins with {parts.scheme or 'no scheme'}: ACME is spoken over https only (RFC 8555 section 6.1)"
    if not parts.hostname or parts.username or parts.password or parts.fragment:
        return "is not a plain https URL with a host, without user, password and fragment"
    try:
        host_of(parts.hostname)
    except BadHost as why:
        return f"cannot be used, for its host {why}"
    return None


def _contacts(name: str, issuer: DesiredIssuer) -> Iterator[Fault]:
    for index, contact in enumerate(issuer.contact):
        if not contact.startswith("mailto:") or "@" not in contact or "?" in contact or "," in contact:
            text = "is no contact that CAs take: write mailto: and one address (RFC 8555 section 7.3)"
            yield Fault(pointer("issuers", name, "contact", index), text)
