"""All repositories, bound to one transaction."""

from functools import cached_property

from certline_master.domain.ports import Records
from certline_master.store.data_keys import DataKeys
from certline_master.store.events import Events
from certline_master.store.followers import Followers
from certline_master.store.groups import Groups
from certline_master.store.identities import Identities
from certline_master.store.instance import Instance
from certline_master.store.introductions import Introductions
from certline_master.store.issuers import Issuers
from certline_master.store.keys import Keys
from certline_master.store.lines import Lines
from certline_master.store.orders import Orders
from certline_master.store.revocations import Revocations
from certline_master.store.seals import Seals
from certline_master.store.secrets import Secrets
from certline_master.store.session import Session
from certline_master.store.standings import Standings
from certline_master.store.tlsa import TlsaLedger
from certline_master.store.tokens import Tokens
from certline_master.store.versions import Versions
from certline_master.store.waves import Waves
from certline_master.store.zones import HttpNames, Zones


class SqlRecords:
    """Each is made when it is asked for: most transactions need one or two of them."""

    def __init__(self, session: Session) -> None:
        self.session = session

    @cached_property
    def issuers(self) -> Issuers:
        return Issuers(self.session)

    @cached_property
    def zones(self) -> Zones:
        return Zones(self.session)

    @cached_property
    def http(self) -> HttpNames:
        return HttpNames(self.session)

    @cached_property
    def followers(self) -> Followers:
        return Followers(self.session)

    @cached_property
    def groups(self) -> Groups:
        return Groups(self.session)

    @cached_property
    def identities(self) -> Identities:
        return Identities(self.session)

    @cached_property
    def introductions(self) -> Introductions:
        return Introductions(self.session)

    @cached_property
    def lines(self) -> Lines:
        return Lines(self.session)

    @cached_property
    def versions(self) -> Versions:
        return Versions(self.session)

    @cached_property
    def standings(self) -> Standings:
        return Standings(self.session)

    @cached_property
    def waves(self) -> Waves:
        return Waves(self.session)

    @cached_property
    def orders(self) -> Orders:
        return Orders(self.session)

    @cached_property
    def tokens(self) -> Tokens:
        return Tokens(self.session)

    @cached_property
    def events(self) -> Events:
        return Events(self.session)

    @cached_property
    def seals(self) -> Seals:
        return Seals(self.session)

    @cached_property
    def secrets(self) -> Secrets:
        return Secrets(self.session)

    @cached_property
    def instance(self) -> Instance:
        return Instance(self.session)

    @cached_property
    def keys(self) -> Keys:
        return Keys(self.session)

    @cached_property
    def revocations(self) -> Revocations:
        return Revocations(self.session)

    @cached_property
    def tlsa(self) -> TlsaLedger:
        return TlsaLedger(self.session)

    @cached_property
    def data_keys(self) -> DataKeys:
        return DataKeys(self.session)


def sql(records: Records) -> SqlRecords:
    """The same, with what only this store has."""
    if not isinstance(records, SqlRecords):
        raise TypeError("records of another store")
    return records


def session_of(records: Records) -> Session:
    return sql(records).session
