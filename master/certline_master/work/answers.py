"""Answers to challenges: which solver gives them, put in place together per zone, looked at, and taken away again."""

from collections.abc import Callable, Iterable, Sequence
from itertools import groupby
from typing import TypeVar

from certline_master.domain.access import SYSTEM
from certline_master.domain.authorization import choose
from certline_master.domain.errors import NotFound, SolverError
from certline_master.domain.model import (
    ZONE_SECRET,
    Challenge,
    ChallengeState,
    ChallengeType,
    FailureClass,
    HttpName,
    Order,
    Zone,
)
from certline_master.domain.ports import (
    AuthorizationView,
    CertificateAuthority,
    ChallengeView,
    Solver,
    Visibility,
)
from certline_master.work.context import Context

T = TypeVar("T")


class Answers:
    """The solvers, seen from an order."""

    def __init__(self, context: Context) -> None:
        self._context = context

    def choose(
        self, order: Order, authorizations: Sequence[AuthorizationView], ca: CertificateAuthority
    ) -> list[Challenge]:
        """The ledger rows for these authorizations, in state `intended`. Raises SolverError when none fits."""
        with self._context.store.read() as records:
            zones, http = records.zones.all(SYSTEM), records.http.all(SYSTEM)
        return [self._row(order, authorization, ca, zones, http) for authorization in authorizations]

    def _row(
        self,
        order: Order,
        authorization: AuthorizationView,
        ca: CertificateAuthority,
        zones: Sequence[Zone],
        http: Sequence[HttpName],
    ) -> Challenge:
        wished = f"*.{authorization.name}" if authorization.wildcard else authorization.name
        choice = choose(wished, http=http, zones=zones, follow=self._context.dns.follow)
        offered = _offered(authorization, choice.type)
        token = offered.token or ""
        by_dns = choice.type is ChallengeType.DNS_01
        return Challenge(
            id=self._context.chance.uuid(),
            order_id=order.id,
            name=authorization.name,
            wildcard=authorization.wildcard,
            type=choice.type,
            authorization_url=authorization.url,
            url=offered.url,
            token=token,
            state=ChallengeState.INTENDED,
            solver=choice.solver,
            zone=choice.zone,
            record=choice.record if by_dns else token,
            value=ca.dns_value(token) if by_dns else ca.key_authorization(token),
        )

    def present(self, challenges: Iterable[Challenge]) -> None:
        """Put all in place, those of one zone together. Raises SolverError."""
        self._for_each_zone(challenges, lambda solver, zone, rows: solver.present(zone, self._secret(zone), rows))

    def look(self, challenges: Iterable[Challenge]) -> Visibility:
        """One look at all of them."""
        looks = self._for_each_zone(challenges, lambda solver, zone, rows: solver.is_visible(zone, rows))
        hidden = [look.detail for look in looks if not look.complete]
        return Visibility(not hidden, "; ".join(hidden))

    def clean_up(self, challenges: Iterable[Challenge]) -> None:
        """Take exactly these away. Raises SolverError."""
        self._for_each_zone(challenges, lambda solver, zone, rows: solver.clean_up(zone, self._secret(zone), rows))

    def _for_each_zone(
        self, challenges: Iterable[Challenge], do: Callable[[Solver, Zone | None, list[Challenge]], T]
    ) -> list[T]:
        def place(challenge: Challenge) -> tuple[str, str]:
            return challenge.solver, challenge.zone or ""

        results = []
        for (solver, zone), rows in groupby(sorted(challenges, key=place), key=place):
            results.append(do(self._solver(solver), self._zone(zone), list(rows)))
        return results

    def _solver(self, name: str) -> Solver:
        solver = self._context.solvers.get(name)
        if solver is None:
            raise SolverError(f"there is no solver {name!r} here", FailureClass.FIX_CONFIGURATION)
        return solver

    def _zone(self, name: str) -> Zone | None:
        if not name:
            return None
        try:
            with self._context.store.read() as records:
                return records.zones.get(SYSTEM, name)
        except NotFound as missing:
            detail = f"the zone {name} is not configured any more"
            raise SolverError(detail, FailureClass.FIX_CONFIGURATION) from missing

    def _secret(self, zone: Zone | None) -> bytes | None:
        if zone is None or zone.secret is None:
            return None
        with self._context.store.read() as records:
            return records.secrets.read(SYSTEM, ZONE_SECRET, zone.secret)


def _offered(authorization: AuthorizationView, type_: ChallengeType) -> ChallengeView:
    for challenge in authorization.challenges:
        if challenge.type == type_ and challenge.token:
            return challenge
    listed = ", ".join(sorted({c.type for c in authorization.challenges})) or "none"
    raise SolverError(
        f"the CA does not offer {type_} for {authorization.name}; it offers {listed}", FailureClass.FIX_CONFIGURATION
    )
