"""Tables of lines: line, version, certificate (one per key type), order, and their challenges and deployments."""

from sqlalchemy import (
    Boolean,
    Column,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    Table,
    Text,
    UniqueConstraint,
    and_,
    literal_column,
)

from certline_master.domain.model import (
    Asks,
    ChallengeState,
    ChallengeType,
    Custody,
    DeploymentState,
    Failure,
    FailureClass,
    LineOptions,
    OrderState,
    Owner,
    Renewal,
    Rollout,
    Slot,
    VersionState,
)
from certline_master.store.columns import Coded, Composite, Json, Many, Time, Word, times
from certline_master.store.tables_base import id_column, metadata, of_follower, text
from certline_shared.keys import KeyType

_FAILURE = Composite(Failure, (("failure", FailureClass), *times("retry_at")))
_ROLLOUT = Composite(Rollout, (("canaries", tuple),))
_RENEWAL = Composite(Renewal, times("at", "next_check", "window_start", "window_end"))

lines = Table(
    "lines",
    metadata,
    id_column(),
    Column("name", Text, nullable=False, unique=True),
    Column("owner", Word(Owner), nullable=False),
    Column("follower_id", ForeignKey("followers.id"), index=True),
    Column("names", Many(), nullable=False),
    Column("key_types", Many(KeyType), nullable=False),
    Column("issuer_id", ForeignKey("issuers.id"), index=True),
    text("profile", optional=True),
    Column("custody", Word(Custody), nullable=False),
    Column("next_look", Time, index=True),
    Column("forced", Boolean, nullable=False),
    Column("key_id", ForeignKey("keys.id"), index=True),
    Column("rollout", _ROLLOUT),
    text("paused", optional=True),
    text("rollover", optional=True),
    Column("options", Coded(LineOptions), nullable=False),
)


def _of_line(*, primary: bool = False) -> "Column[str]":
    return Column("line_id", ForeignKey("lines.id", ondelete="CASCADE"), primary_key=primary, nullable=False)


line_csrs = Table(
    "line_csrs",
    metadata,
    _of_line(primary=True),
    Column("key_type", Word(KeyType), primary_key=True),
    Column("slot", Word(Slot), primary_key=True),
    Column("csr", LargeBinary, nullable=False),
    text("spki_sha256"),
    Column("names", Many(), nullable=False),
    Column("asks", Coded(Asks), nullable=False),
    Column("created", Time),
    Column("moved", Time),
)

versions = Table(
    "versions",
    metadata,
    id_column(),
    _of_line(),
    Column("number", Integer, nullable=False),
    Column("state", Word(VersionState), nullable=False),
    Column("created", Time, nullable=False),
    text("reason"),
    Column("failure", _FAILURE),
    Column("ended", Time),
    Column("live_since", Time),
    Column("staged_since", Time),
    Column("activate_at", Time),
    text("held_by", optional=True),
    UniqueConstraint("line_id", "number"),
)
_LIVE_VERSION = versions.c.state == literal_column("'live'")
Index("uq_versions_live", versions.c.line_id, unique=True, sqlite_where=_LIVE_VERSION, postgresql_where=_LIVE_VERSION)

certificates = Table(
    "certificates",
    metadata,
    id_column(),
    Column("version_id", ForeignKey("versions.id", ondelete="CASCADE"), nullable=False),
    Column("key_type", Word(KeyType), nullable=False),
    Column("csr", LargeBinary, nullable=False),
    text("spki_sha256"),
    Column("names", Many(), nullable=False),
    text("chain", optional=True),
    text("serial", optional=True),
    Column("not_before", Time),
    Column("not_after", Time),
    Column("asks", Coded(Asks), nullable=False),
    Column("renewal", _RENEWAL),
    Column("replaced", Boolean, nullable=False),
    UniqueConstraint("version_id", "key_type"),
)

# An order outlives its certificate and its issuer (a deleted line's challenges are still swept), hence no foreign key.
orders = Table(
    "orders",
    metadata,
    id_column(),
    Column("certificate_id", Text, nullable=False, index=True),
    text("issuer_id"),
    Column("names", Many(), nullable=False),
    text("profile"),
    Column("state", Word(OrderState), nullable=False),
    Column("created", Time, nullable=False),
    Column("due", Time, nullable=False),
    text("url", optional=True),
    Column("authorization_urls", Many(), nullable=False),
    text("finalize_url", optional=True),
    text("certificate_url", optional=True),
    text("replaces", optional=True),
    Column("attempts", Integer, nullable=False),
    Column("failure", _FAILURE),
    text("waiting", optional=True),
    Column("since", Time),
    # The store's own:
    text("names_sha256"),
    text("worker", optional=True),
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
    id_column(),
    Column("order_id", ForeignKey("orders.id"), nullable=False, index=True),
    text("name"),
    Column("wildcard", Boolean, nullable=False),
    Column("type", Word(ChallengeType), nullable=False),
    text("authorization_url"),
    text("url"),
    text("token"),
    Column("state", Word(ChallengeState), nullable=False),
    text("solver"),
    text("zone", optional=True),
    Column("record", Text, nullable=False, index=True),
    text("value"),
    Column("due", Time),
)
STANDING = challenges.c.state != literal_column("'removed'")
Index("ix_challenges_standing", challenges.c.due, sqlite_where=STANDING, postgresql_where=STANDING)

deployments = Table(
    "deployments",
    metadata,
    of_follower(primary=True),
    _of_line(primary=True),
    Column("version", Integer, primary_key=True),
    Column("state", Word(DeploymentState), nullable=False),
    text("error", optional=True),
    Column("updated", Time, nullable=False),
    Column("goal", Word(DeploymentState)),
    Column("retry_at", Time),
    Column("seen", Json, nullable=False),
    Column("wanted_since", Time),
    Column("alarmed", Time),
    Index(None, "line_id"),
)

# How far a version's rollout has come; the first step is the canaries.
waves = Table(
    "waves",
    metadata,
    _of_line(primary=True),
    Column("version", Integer, primary_key=True),
    Column("step", Integer, nullable=False),
    Column("opened", Time, nullable=False),
    text("stopped", optional=True),
    Column("finished", Time),
)
