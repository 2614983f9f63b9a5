"""Tables of the keys that the master keeps: where they came from, to whom they went, and what is to be revoked."""

from sqlalchemy import Boolean, Column, ForeignKey, Index, Integer, LargeBinary, Table, Text, UniqueConstraint

from certline_master.domain.custody import RevocationState
from certline_master.domain.model import KeyOptions, Owner, Slot
from certline_master.store.columns import Coded, Time, Word
from certline_master.store.tables_base import id_column, metadata, of_follower, text
from certline_shared.keys import KeyType

keys = Table(
    "keys",
    metadata,
    id_column(),
    Column("name", Text, nullable=False, unique=True),
    Column("owner", Word(Owner), nullable=False),
    Column("options", Coded(KeyOptions), nullable=False),
    Column("declared", Boolean, nullable=False),
)

key_materials = Table(
    "key_materials",
    metadata,
    id_column(),
    Column("key_id", ForeignKey("keys.id", ondelete="CASCADE"), nullable=False),
    Column("key_type", Word(KeyType), nullable=False),
    Column("slot", Word(Slot), nullable=False),
    text("spki_sha256"),
    Column("secret", ForeignKey("secrets.id"), nullable=False),
    Column("created", Time, nullable=False),
    Column("moved", Time),
    UniqueConstraint("key_id", "spki_sha256"),
)

# A key sealed to one follower: random at each sealing, so it is kept, for the manifest names its hash.
sealed_keys = Table(
    "sealed_keys",
    metadata,
    of_follower(primary=True),
    Column("line_id", ForeignKey("lines.id", ondelete="CASCADE"), primary_key=True, nullable=False),
    Column("version", Integer, primary_key=True),
    Column("key_type", Word(KeyType), primary_key=True),
    text("spki_sha256"),
    text("sealed_to"),
    Column("data", LargeBinary, nullable=False),
    Column("created", Time, nullable=False),
)

# Who ever was given which key; outlives line and follower, hence no foreign keys.
key_copies = Table(
    "key_copies",
    metadata,
    Column("follower_id", Text, primary_key=True),
    Column("spki_sha256", Text, primary_key=True),
    text("follower"),
    text("line"),
    Column("key_type", Word(KeyType), nullable=False),
    Column("released", Time, nullable=False),
    Column("seen", Time),
    Column("deleted", Time),
    Index(None, "spki_sha256"),
)

# Certificates to be revoked at their CA; intended, committed, then asked for.
revocations = Table(
    "revocations",
    metadata,
    id_column(),
    Column("certificate_id", Text, nullable=False, unique=True),
    text("line"),
    text("issuer_id"),
    Column("version", Integer, nullable=False),
    text("serial"),
    text("spki_sha256"),
    Column("not_after", Time, nullable=False),
    text("chain"),
    Column("reason", Integer, nullable=False),
    Column("state", Word(RevocationState), nullable=False),
    Column("created", Time, nullable=False),
    Column("due", Time),
    text("follower", optional=True),
    Column("deadline", Time),
    Column("attempts", Integer, nullable=False),
    text("error", optional=True),
    Column("ended", Time),
    Index(None, "due"),
)
