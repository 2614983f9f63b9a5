"""Where names are proven: DNS zones with their solver, and names for http-01."""

from certline_master.domain.access import Caller, Role
from certline_master.domain.model import HttpName, Zone
from certline_master.store.named import NamedTable
from certline_master.store.session import Session
from certline_master.store.tables import http_names, zones

_ZONES = NamedTable("zone", Zone, zones)
_HTTP = NamedTable("http name", HttpName, http_names)


class Zones:
    def __init__(self, session: Session) -> None:
        self._session = session

    def all(self, caller: Caller) -> list[Zone]:
        return _ZONES.all(self._session, caller)

    def get(self, caller: Caller, name: str) -> Zone:
        return _ZONES.get(self._session, caller, name)

    def save(self, caller: Caller, zone: Zone) -> None:
        """Insert or update by id. Raises Conflict when the name is another's."""
        caller.require(Role.ADMIN)
        _ZONES.save(self._session, zone)

    def delete(self, caller: Caller, name: str) -> None:
        """Its secret stays: who deletes the zone deletes that too, once nothing in the zone is left to remove."""
        caller.require(Role.ADMIN)
        _ZONES.delete(self._session, self.get(caller, name), f"the zone {name!r} is in use")


class HttpNames:
    def __init__(self, session: Session) -> None:
        self._session = session

    def all(self, caller: Caller) -> list[HttpName]:
        return _HTTP.all(self._session, caller)

    def save(self, caller: Caller, http: HttpName) -> None:
        """Insert or update by id. Raises Conflict when the name is another's."""
        caller.require(Role.ADMIN)
        _HTTP.save(self._session, http)

    def delete(self, caller: Caller, name: str) -> None:
        caller.require(Role.ADMIN)
        _HTTP.delete(self._session, _HTTP.get(self._session, caller, name), f"the http name {name!r} is in use")
