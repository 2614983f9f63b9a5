"""Issuers: a CA's directory and our account there."""

from dataclasses import replace
from urllib.parse import urlsplit

from sqlalchemy import or_, select, update

from certline_master.domain.access import Caller, Role
from certline_master.domain.errors import Conflict, NotFound
from certline_master.domain.model import Issuer
from certline_master.store.events import Events
from certline_master.store.named import NamedTable
from certline_master.store.session import Session, Shape, param
from certline_master.store.tables import LIVE_ORDER, issuers, lines, orders

ISSUER = Shape(Issuer, issuers)
_ISSUERS = NamedTable("issuer", Issuer, issuers)
_SET_ACCOUNT = (
    update(issuers)
    .where(issuers.c.id == param("wanted"))
    .values(account_key=param("key", issuers.c.account_key), account_url=param("url"))
)
_SET_PROFILES = (
    update(issuers).where(issuers.c.id == param("wanted")).values(profiles=param("listed", issuers.c.profiles))
)
_NO_OTHER_DEFAULT = (
    update(issuers).where(issuers.c.id != param("wanted"), issuers.c.is_default).values(is_default=False)
)
_IN_LINE = or_(
    lines.c.issuer_id == param("wanted"), param("is_default", issuers.c.is_default) & lines.c.issuer_id.is_(None)
)
_USED_BY_LINE = select(lines.c.name).where(_IN_LINE).order_by(lines.c.name).limit(1)
_USED_BY_ORDER = select(orders.c.id).where(orders.c.issuer_id == param("wanted"), LIVE_ORDER).limit(1)


class Issuers:
    def __init__(self, session: Session) -> None:
        self._session = session

    def all(self, caller: Caller) -> list[Issuer]:
        return _ISSUERS.all(self._session, caller)

    def get(self, caller: Caller, name: str) -> Issuer:
        return _ISSUERS.get(self._session, caller, name)

    def by_id(self, caller: Caller, issuer_id: str) -> Issuer:
        return _ISSUERS.by_id(self._session, caller, issuer_id)

    def save(self, caller: Caller, issuer: Issuer) -> None:
        """A new default takes the place of the old one. Profiles that were listed stay when None are given."""
        caller.require(Role.ADMIN)
        former = self._find(caller, issuer.id)
        _ISSUERS.save(self._session, self._with_account(caller, former, issuer) if former else issuer)
        if issuer.is_default:
            self._session.run(_NO_OTHER_DEFAULT, {"wanted": issuer.id})

    def delete(self, caller: Caller, name: str) -> None:
        caller.require(Role.ADMIN)
        issuer = self.get(caller, name)
        line = self._session.row(_USED_BY_LINE, {"wanted": issuer.id, "is_default": issuer.is_default})
        if line:
            raise Conflict(f"the issuer {name!r} is used by line {line.name!r}: give that line another issuer first")
        in_use = f"the issuer {name!r} has an order under way: delete it when that has ended"
        if self._session.row(_USED_BY_ORDER, {"wanted": issuer.id}):
            raise Conflict(in_use)
        _ISSUERS.delete(self._session, issuer, in_use)

    def set_account(self, caller: Caller, issuer_id: str, *, key: str | None, url: str | None) -> None:
        caller.require(Role.ADMIN)
        if not self._session.run(_SET_ACCOUNT, {"wanted": issuer_id, "key": key, "url": url}):
            raise NotFound("issuer", issuer_id)

    def set_profiles(self, caller: Caller, issuer_id: str, profiles: tuple[str, ...]) -> None:
        caller.require(Role.ADMIN)
        if not self._session.run(_SET_PROFILES, {"wanted": issuer_id, "listed": profiles}):
            raise NotFound("issuer", issuer_id)

    def _find(self, caller: Caller, issuer_id: str) -> Issuer | None:
        try:
            return self.by_id(caller, issuer_id)
        except NotFound:
            return None

    def _with_account(self, caller: Caller, former: Issuer, issuer: Issuer) -> Issuer:
        if _host(former) == _host(issuer):
            profiles = former.profiles if issuer.profiles is None else issuer.profiles
            return replace(issuer, account_url=former.account_url, account_key=former.account_key, profiles=profiles)
        if former.account_url is not None or former.account_key is not None:
            self._tell_forgotten(caller, former, issuer)
        profiles = None if issuer.profiles == former.profiles else issuer.profiles
        return replace(issuer, account_url=None, account_key=None, profiles=profiles)

    def _tell_forgotten(self, caller: Caller, former: Issuer, issuer: Issuer) -> None:
        """An account belongs to the CA that has it; the key's secret stays, for revocations at the former CA."""
        Events(self._session).add(
            caller,
            "issuer.account-forgotten",
            f"issuer:{issuer.name}",
            f"The account at {_host(former)} is no longer used, because the directory is now at {_host(issuer)}.",
            now=self._session.clock.now(),
            data={"account_url": former.account_url, "account_key": former.account_key},
        )


def _host(issuer: Issuer) -> str:
    return urlsplit(issuer.directory_url).netloc.lower()
