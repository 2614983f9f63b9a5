"""Polls that ask in vain, which nearly all do: known by one mark of the store, before any manifest is reckoned."""

from urllib.parse import parse_qs

from certline_master.api.incoming import Incoming
from certline_master.api.services import Services
from certline_master.api.told import Basis
from certline_master.domain.access import SYSTEM, Caller
from certline_master.domain.placement import MANIFESTS_MARK
from certline_master.domain.ports import Records

PATH = "/v1/follower/manifest"
MOST_WAIT = 55


def mark_of(records: Records) -> str:
    """Another text after each change of anything that manifests are made of."""
    return records.instance.get(SYSTEM, MANIFESTS_MARK) or ""


def basis(services: Services, mark: str) -> Basis:
    return Basis(mark, services.identity.trust)


def seconds_to_wait(incoming: Incoming) -> int:
    """How long an answer may be held back that there is nothing new; 0 too where the route will refuse what is asked.

    The last `wait` counts, as the route reads it.
    """
    if incoming.method != "GET" or incoming.path != PATH or not incoming.query:
        return 0
    try:
        seconds = int(parse_qs(incoming.query).get("wait", ["0"])[-1])
    except ValueError:
        return 0
    return seconds if 0 <= seconds <= MOST_WAIT else 0


def unchanged(services: Services, caller: Caller, mark: str, incoming: Incoming) -> str | None:
    """The entity tag that a poll asks with, if that is the manifest's still."""
    if incoming.method != "GET" or incoming.path != PATH or (incoming.query and not seconds_to_wait(incoming)):
        return None
    known = incoming.headers.get("if-none-match")
    now, made_of = services.clock.now(), basis(services, mark)
    return known if known and services.told.still(caller.follower_id or "", known, made_of, now) else None
