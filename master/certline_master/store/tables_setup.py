"""Tables of the installation, of what the operator sets up, and of followers."""

from sqlalchemy import BigInteger, Boolean, Column, ForeignKey, Index, Integer, LargeBinary, Table, Text

from certline_master.domain.model import FollowerState, GrantKind, Owner
from certline_master.store.columns import Json, Many, Time, Word
from certline_master.store.tables_base import id_column, metadata, of_follower, text

# --- the installation -------------------------------------------------------------------------------------------------

instance = Table("instance", metadata, Column("key", Text, primary_key=True), text("value"))

data_keys = Table(
    "data_keys",
    metadata,
    id_column(),
    text("kek_id"),
    Column("wrapped", LargeBinary, nullable=False),
    Column("created", Time, nullable=False),
    # Until `kek retire` the former KEK opens it too:
    text("former_kek_id", optional=True),
    Column("former_wrapped", LargeBinary),
)

# `data` is in the vault's stored form, see vault.py; nothing else in this database is secret.
secrets = Table(
    "secrets",
    metadata,
    id_column(),
    text("kind"),
    Column("version", Integer, nullable=False),
    Column("data", LargeBinary, nullable=False),
)

admin_tokens = Table(
    "admin_tokens",
    metadata,
    id_column(),
    text("name"),
    text("role"),
    text("prefix"),
    Column("created", Time, nullable=False),
    Column("expires", Time),
    Column("sha256", LargeBinary, nullable=False),
    Column("revoked", Time),
    Column("networks", Many(), nullable=False),
    Column("last_used", Time),
    Index(None, "prefix"),
)

events = Table(
    "events",
    metadata,
    Column("id", BigInteger().with_variant(Integer, "sqlite"), primary_key=True, autoincrement=True),
    Column("at", Time, nullable=False),
    text("kind"),
    text("actor"),
    text("subject"),
    text("text"),
    Column("data", Json, nullable=False),
    # The hash chain of the master that wrote it:
    text("chain", optional=True),
    Column("link", Integer),
    text("hash", optional=True),
    Index(None, "subject", "id"),
    Index(None, "chain", "link", unique=True),
    sqlite_autoincrement=True,
)

# At intervals the heads of all chains are sealed together.
seals = Table(
    "seals",
    metadata,
    Column("id", BigInteger().with_variant(Integer, "sqlite"), primary_key=True, autoincrement=True),
    Column("at", Time, nullable=False),
    Column("heads", Json, nullable=False),
    Column("up_to", BigInteger, nullable=False),
    Column("previous", Text, nullable=False, unique=True),  # so two masters cannot seal side by side
    text("hash"),
    text("signature"),
    text("key"),
    sqlite_autoincrement=True,
)

# --- what the operator sets up ----------------------------------------------------------------------------------------

issuers = Table(
    "issuers",
    metadata,
    id_column(),
    Column("name", Text, nullable=False, unique=True),
    Column("owner", Word(Owner), nullable=False),
    text("directory_url"),
    Column("contact", Many(), nullable=False),
    text("profile", optional=True),
    text("preferred_chain", optional=True),
    text("ca_certificates", optional=True),
    Column("is_default", Boolean, nullable=False),
    Column("profiles", Many()),
    text("account_url", optional=True),
    Column("account_key", ForeignKey("secrets.id")),
    text("test_of", optional=True),
)

zones = Table(
    "zones",
    metadata,
    id_column(),
    Column("name", Text, nullable=False, unique=True),
    Column("owner", Word(Owner), nullable=False),
    text("solver"),
    Column("settings", Json, nullable=False),
    Column("secret", ForeignKey("secrets.id")),
)

http_names = Table(
    "http_names",
    metadata,
    id_column(),
    Column("name", Text, nullable=False, unique=True),
    Column("owner", Word(Owner), nullable=False),
    text("solver"),
)

# --- followers --------------------------------------------------------------------------------------------------------

followers = Table(
    "followers",
    metadata,
    id_column(),
    Column("name", Text, nullable=False, unique=True),
    Column("owner", Word(Owner), nullable=False),
    Column("state", Word(FollowerState), nullable=False),
    Column("identity_key", LargeBinary),
    Column("sealing_key", LargeBinary),
    text("agent", optional=True),
    Column("created", Time),
    Column("enrolled", Time),
    Column("last_seen", Time),
    Column("manifest_serial", Integer, nullable=False),
    text("manifest_tag", optional=True),
    Column("groups", Many(), nullable=False),
    Column("networks", Many(), nullable=False),
    Column("next_identity_key", LargeBinary),
    Column("next_sealing_key", LargeBinary),
    Column("next_keys_since", Time),
    Column("sequence", BigInteger, nullable=False),
    # Of the request that the sequence is of, and when a clone was last told of:
    text("sequence_digest", optional=True),
    text("sequence_address", optional=True),
    Column("clone_told", Time),
    Column("lock_clones", Boolean, nullable=False),
    Column("protocol", Integer, nullable=False),
    Column("skew_seconds", BigInteger),
    text("state_reason", optional=True),
)

groups = Table(
    "groups",
    metadata,
    id_column(),
    Column("name", Text, nullable=False, unique=True),
    Column("owner", Word(Owner), nullable=False),
)

group_grants = Table(
    "group_grants",
    metadata,
    Column("group_id", ForeignKey("groups.id", ondelete="CASCADE"), primary_key=True, nullable=False),
    Column("kind", Word(GrantKind), primary_key=True),
    Column("name", Text, primary_key=True),
)

introductions = Table(
    "introductions",
    metadata,
    id_column(),
    text("name"),
    Column("identity_key", LargeBinary, nullable=False),
    Column("sealing_key", LargeBinary, nullable=False),
    text("agent"),
    text("address"),
    Column("created", Time, nullable=False),
    Column("expires", Time, nullable=False),
    Column("follower_id", ForeignKey("followers.id", ondelete="CASCADE"), index=True),
    Column("proof", LargeBinary),
)

grants = Table(
    "grants",
    metadata,
    of_follower(primary=True),
    Column("kind", Word(GrantKind), primary_key=True),
    Column("name", Text, primary_key=True),
)

enrolment_tokens = Table(
    "enrolment_tokens",
    metadata,
    id_column(),
    of_follower(),
    Column("mac_key", ForeignKey("secrets.id"), nullable=False),
    Column("expires", Time, nullable=False),
    Column("used", Time),
    text("used_by", optional=True),
)

nonces = Table(
    "nonces",
    metadata,
    of_follower(primary=True),
    Column("nonce", Text, primary_key=True),
    Column("at", Time, nullable=False),
    Index(None, "at"),
)
