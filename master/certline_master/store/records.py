"""All repositories, bound to one transaction."""

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
from certline_master.store.tokens import Tokens
from certline_master.store.versions import Versions
from certline_master.store.waves import Waves
from certline_master.store.zones import HttpNames, Zones


class SqlRecords:
    def __init__(self, session: Session) -> None:
        self.session = session
        self.issuers = Issuers(session)
        self.zones = Zones(session)
        self.http = HttpNames(session)
        self.followers = Followers(session)
        self.groups = Groups(session)
        self.identities = Identities(session)
        self.introductions = Introductions(session)
        self.lines = Lines(session)
        self.versions = Versions(session)
        self.standings = Standings(session)
        self.waves = Waves(session)
        self.orders = Orders(session)
        self.tokens = Tokens(session)
        self.events = Events(session)
        self.seals = Seals(session)
        self.secrets = Secrets(session)
        self.instance = Instance(session)
        self.keys = Keys(session)
        self.revocations = Revocations(session)
        self.data_keys = DataKeys(session)


def sql(records: Records) -> SqlRecords:
    """The same, with what only this store has."""
    if not isinstance(records, SqlRecords):
        raise TypeError("records of another store")
    return records


def session_of(records: Records) -> Session:
    return sql(records).session
