"""Polls that ask in vain, which nearly all do: known by one mark of the store, before any manifest is reckoned."""

from certline_master.api.incoming import Incoming
from certline_master.api.services import Services
from certline_master.api.told import Basis
from certline_master.domain.access import SYSTEM, Caller
from certline_master.domain.placement import MANIFESTS_MARK
from certline_master.domain.ports import Records

PATH = "/v1/follower/manifest"


def mark_of(records: Records) -> str:
    """Another text after each change of anything that manifests are made of."""
    return records.instance.get(SYSTEM, MANIFESTS_MARK) or ""


def basis(services: Services, mark: str) -> Basis:
    return Basis(mark, services.identity.trust)


def unchanged(services: Services, caller: Caller, mark: str, incoming: Incoming) -> str | None:
    """The entity tag that a poll asks with, if that is the manifest's still; None for one that would wait for news."""
    if incoming.method != "GET" or incoming.path != PATH or incoming.query:
        return None
    known = incoming.headers.get("if-none-match")
    now, made_of = services.clock.now(), basis(services, mark)
    return known if known and services.told.still(caller.follower_id or "", known, made_of, now) else None
