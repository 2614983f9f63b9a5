"""Tables of TLSA records: the ledger, the lines that want each, and when each line is to be looked at."""

from sqlalchemy import Column, ForeignKey, Index, Integer, Table, Text

from certline_master.domain.model import TlsaState
from certline_master.store.columns import Json, Time, Word
from certline_master.store.tables_base import id_column, metadata, text

# It outlives the lines that wanted it, until the record is out of DNS.
tlsa_records = Table(
    "tlsa_records",
    metadata,
    id_column(),
    Column("name", Text, nullable=False, index=True),
    text("rdata"),
    text("zone", optional=True),
    Column("state", Word(TlsaState), nullable=False),
    Column("since", Time, nullable=False),
    Column("sent_ttl", Integer),
    Column("former_ttl", Integer),
    Column("serials", Json, nullable=False),
    Column("sent", Time),
    Column("visible_since", Time),
    text("error", optional=True),
)

tlsa_wants = Table(
    "tlsa_wants",
    metadata,
    Column("record_id", ForeignKey("tlsa_records.id", ondelete="CASCADE"), primary_key=True, nullable=False),
    Column("line_id", ForeignKey("lines.id", ondelete="CASCADE"), primary_key=True, nullable=False),
    Column("ttl", Integer, nullable=False),
    Index(None, "line_id"),
)

tlsa_looks = Table(
    "tlsa_looks",
    metadata,
    Column("line_id", ForeignKey("lines.id", ondelete="CASCADE"), primary_key=True, nullable=False),
    Column("due", Time, nullable=False, index=True),
)
