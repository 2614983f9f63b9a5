"""The tables. Columns have the names of the domain's fields; what is there for the store's own use is marked so."""

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    Table,
    Text,
    UniqueConstraint,
    and_,
    literal_column,
)

from certline_master.domain.model import (
    ChallengeState,
    ChallengeType,
    Custody,
    DeploymentState,
    Failure,
    FailureClass,
    FollowerState,
    GrantKind,
    OrderState,
    Owner,
    Renewal,
    VersionState,
)
from certline_master.store.columns import Composite, Json, Many, Time, Word, times
from certline_shared.keys import KeyType

metadata = MetaData(
    naming_convention={
        "pk": "pk_%(table_name)s",
        "fk": "fk_%(table_name)s_%(column_0_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
    }
)

_FAILURE = Composite(Failure, (("failure", FailureClass), *times("retry_at")))
_RENEWAL = Composite(Renewal, times("at", "next_check", "window_start", "window_end"))


def _id() -> "Column[str]":
    return Column("id", Text, primary_key=True)


def _text(name: str, *, optional: bool = False) -> "Column[str]":
    return Column(name, Text, nullable=optional)


# --- the installation -------------------------------------------------------------------------------------------------

instance = Table("instance", metadata, Column("key", Text, primary_key=True), _text("value"))

data_keys = Table(
    "data_keys",
    metadata,
    _id(),
    _text("kek_id"),
    Column("wrapped", LargeBinary, nullable=False),
    Column("created", Time, nullable=False),
)

# `data` is in the vault's stored form, see vault.py; nothing else in this database is secret.
secrets = Table(
    "secrets",
    metadata,
    _id(),
    _text("kind"),
    Column("version", Integer, nullable=False),
    Column("data", LargeBinary, nullable=False),
)

admin_tokens = Table(
    "admin_tokens",
    metadata,
    _id(),
    _text("name"),
    _text("role"),
    _text("prefix"),
    Column("created", Time, nullable=False),
    Column("expires", Time),
    Column("sha256", LargeBinary, nullable=False),
    Column("revoked", Time),
    Index(None, "prefix"),
)

events = Table(
    "events",
    metadata,
    Column("id", BigInteger().with_variant(Integer, "sqlite"), primary_key=True, autoincrement=True),
    Column("at", Time, nullable=False),
    _text("kind"),
    _text("actor"),
    _text("subject"),
    _text("text"),
    Column("data", Json, nullable=False),
    Index(None, "subject", "id"),
    sqlite_autoincrement=True,
)

# --- what the operator sets up ----------------------------------------------------------------------------------------

issuers = Table(
    "issuers",
    metadata,
    _id(),
    Column("name", Text, nullable=False, unique=True),
    Column("owner", Word(Owner), nullable=False),
    _text("directory_url"),
    Column("contact", Many(), nullable=False),
    _text("profile", optional=True),
    _text("preferred_chain", optional=True),
    _text("ca_certificates", optional=True),
    Column("is_default", Boolean, nullable=False),
    Column("profiles", Many()),
    _text("account_url", optional=True),
    Column("account_key", ForeignKey("secrets.id")),
)

zones = Table(
    "zones",
    metadata,
    _id(),
    Column("name", Text, nullable=False, unique=True),
    Column("owner", Word(Owner), nullable=False),
    _text("solver"),
    Column("settings", Json, nullable=False),
    Column("secret", ForeignKey("secrets.id")),
)

http_names = Table(
    "http_names",
    metadata,
    _id(),
    Column("name", Text, nullable=False, unique=True),
    Column("owner", Word(Owner), nullable=False),
    _text("solver"),
)

# --- followers --------------------------------------------------------------------------------------------------------

followers = Table(
    "followers",
    metadata,
    _id(),
    Column("name", Text, nullable=False, unique=True),
    Column("owner", Word(Owner), nullable=False),
    Column("state", Word(FollowerState), nullable=False),
    Column("identity_key", LargeBinary),
    Column("sealing_key", LargeBinary),
    _text("agent", optional=True),
    Column("created", Time),
    Column("enrolled", Time),
    Column("last_seen", Time),
    Column("manifest_serial", Integer, nullable=False),
    _text("manifest_tag", optional=True),
)


def _of_follower(*, primary: bool = False) -> "Column[str]":
    return Column("follower_id", ForeignKey("followers.id", ondelete="CASCADE"), primary_key=primary, nullable=False)


grants = Table(
    "grants",
    metadata,
    _of_follower(primary=True),
    Column("kind", Word(GrantKind), primary_key=True),
    Column("name", Text, primary_key=True),
)

enrolment_tokens = Table(
    "enrolment_tokens",
    metadata,
    _id(),
    _of_follower(),
    Column("mac_key", ForeignKey("secrets.id"), nullable=False),
    Column("expires", Time, nullable=False),
    Column("used", Time),
    _text("used_by", optional=True),
)

nonces = Table(
    "nonces",
    metadata,
    _of_follower(primary=True),
    Column("nonce", Text, primary_key=True),
    Column("at", Time, nullable=False),
    Index(None, "at"),
)

# --- line, version, certificate, order --------------------------------------------------------------------------------

lines = Table(
    "lines",
    metadata,
    _id(),
    Column("name", Text, nullable=False, unique=True),
    Column("owner", Word(Owner), nullable=False),
    Column("follower_id", ForeignKey("followers.id"), nullable=False, index=True),
    Column("names", Many(), nullable=False),
    Column("key_types", Many(KeyType), nullable=False),
    Column("issuer_id", ForeignKey("issuers.id"), index=True),
    _text("profile", optional=True),
    Column("custody", Word(Custody), nullable=False),
    Column("next_look", Time, index=True),
    Column("forced", Boolean, nullable=False),
)


def _of_line(*, primary: bool = False) -> "Column[str]":
    return Column("line_id", ForeignKey("lines.id", ondelete="CASCADE"), primary_key=primary, nullable=False)


line_csrs = Table(
    "line_csrs",
    metadata,
    _of_line(primary=True),
    Column("key_type", Word(KeyType), primary_key=True),
    Column("csr", LargeBinary, nullable=False),
    _text("spki_sha256"),
    Column("names", Many(), nullable=False),
)

versions = Table(
    "versions",
    metadata,
    _id(),
    _of_line(),
    Column("number", Integer, nullable=False),
    Column("state", Word(VersionState), nullable=False),
    Column("created", Time, nullable=False),
    _text("reason"),
    Column("failure", _FAILURE),
    Column("ended", Time),
    UniqueConstraint("line_id", "number"),
)
_LIVE_VERSION = versions.c.state == literal_column("'live'")
Index("uq_versions_live", versions.c.line_id, unique=True, sqlite_where=_LIVE_VERSION, postgresql_where=_LIVE_VERSION)

certificates = Table(
    "certificates",
    metadata,
    _id(),
    Column("version_id", ForeignKey("versions.id", ondelete="CASCADE"), nullable=False),
    Column("key_type", Word(KeyType), nullable=False),
    Column("csr", LargeBinary, nullable=False),
    _text("spki_sha256"),
    Column("names", Many(), nullable=False),
    _text("chain", optional=True),
    _text("serial", optional=True),
    Column("not_before", Time),
    Column("not_after", Time),
    Column("renewal", _RENEWAL),
    Column("replaced", Boolean, nullable=False),
    UniqueConstraint("version_id", "key_type"),
)

# An order outlives its certificate and its issuer (a deleted line's challenges are still swept), hence no foreign key.
orders = Table(
    "orders",
    metadata,
    _id(),
    Column("certificate_id", Text, nullable=False, index=True),
    _text("issuer_id"),
    Column("names", Many(), nullable=False),
    _text("profile"),
    Column("state", Word(OrderState), nullable=False),
    Column("created", Time, nullable=False),
    Column("due", Time, nullable=False),
    _text("url", optional=True),
    Column("authorization_urls", Many(), nullable=False),
    _text("finalize_url", optional=True),
    _text("certificate_url", optional=True),
    _text("replaces", optional=True),
    Column("attempts", Integer, nullable=False),
    Column("failure", _FAILURE),
    _text("waiting", optional=True),
    Column("since", Time),
    # The store's own:
    _text("names_sha256"),
    _text("worker", optional=True),
    Column("lease_until", Time),
    Column("fence", Integer, nullable=False),
    Column("ready_at", Time),  # the later of due and lease_until; NULL once the order has ended
    Column("in_flight", Boolean, nullable=False),  # it takes one of the places for orders open at the CA
    Column("queued", Boolean, nullable=False),  # it waits for the order of its version's other key type
)
# Literals, because a partial index serves only a query that says the same words.
LIVE_ORDER = orders.c.state.not_in([literal_column("'issued'"), literal_column("'failed'")])
# A CA hands the same pending order to a second identical request, so only one of them may be on its way.
_ON_ITS_WAY = and_(LIVE_ORDER, ~orders.c.queued)
Index(
    "uq_orders_live",
    orders.c.issuer_id,
    orders.c.names_sha256,
    orders.c.profile,
    unique=True,
    sqlite_where=_ON_ITS_WAY,
    postgresql_where=_ON_ITS_WAY,
)
_READY = orders.c.ready_at.is_not(None)
Index("ix_orders_ready", orders.c.in_flight, orders.c.ready_at, sqlite_where=_READY, postgresql_where=_READY)
_LEASED = orders.c.worker.is_not(None)
Index("ix_orders_worker", orders.c.worker, sqlite_where=_LEASED, postgresql_where=_LEASED)

challenges = Table(
    "challenges",
    metadata,
    _id(),
    Column("order_id", ForeignKey("orders.id"), nullable=False, index=True),
    _text("name"),
    Column("wildcard", Boolean, nullable=False),
    Column("type", Word(ChallengeType), nullable=False),
    _text("authorization_url"),
    _text("url"),
    _text("token"),
    Column("state", Word(ChallengeState), nullable=False),
    _text("solver"),
    _text("zone", optional=True),
    Column("record", Text, nullable=False, index=True),
    _text("value"),
    Column("due", Time),
)
STANDING = challenges.c.state != literal_column("'removed'")
Index("ix_challenges_standing", challenges.c.due, sqlite_where=STANDING, postgresql_where=STANDING)

deployments = Table(
    "deployments",
    metadata,
    _of_follower(primary=True),
    _of_line(primary=True),
    Column("version", Integer, primary_key=True),
    Column("state", Word(DeploymentState), nullable=False),
    _text("error", optional=True),
    Column("updated", Time, nullable=False),
    Index(None, "line_id"),
)
