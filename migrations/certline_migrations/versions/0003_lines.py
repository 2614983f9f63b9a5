"""Settings of lines and keys."""

from collections.abc import Sequence

import sqlalchemy as sa
from alembic import op

revision: str = "0003"
down_revision: str | None = "0002"
branch_labels: Sequence[str] | None = None
depends_on: Sequence[str] | None = None

TIME = sa.DateTime(timezone=True).with_variant(sa.Text(), "sqlite")


def upgrade() -> None:
    for table in ("lines", "keys"):
        op.add_column(table, _no_options())
    for column in (sa.Column("staged_since", TIME), sa.Column("activate_at", TIME), sa.Column("held_by", sa.Text())):
        op.add_column("versions", column)
    op.add_column("issuers", sa.Column("test_of", sa.Text(), nullable=True))
    _keys()
    _dane()
    for table in ("line_csrs", "certificates"):
        op.add_column(table, sa.Column("asks", sa.Text(), nullable=False, server_default="{}"))


def _keys() -> None:
    op.add_column("keys", sa.Column("declared", sa.Boolean(), nullable=False, server_default=sa.false()))
    op.add_column("key_materials", sa.Column("moved", TIME, nullable=True))
    op.add_column("lines", sa.Column("rollover", sa.Text(), nullable=True))
    with op.batch_alter_table("line_csrs") as requests:
        requests.add_column(sa.Column("slot", sa.Text(), nullable=False, server_default="current"))
        requests.add_column(sa.Column("created", TIME, nullable=True))
        requests.add_column(sa.Column("moved", TIME, nullable=True))
        requests.drop_constraint("pk_line_csrs", type_="primary")
        requests.create_primary_key("pk_line_csrs", ["line_id", "key_type", "slot"])
    op.execute(_FIRST_SEEN)


def _dane() -> None:
    op.create_table(
        "tlsa_records",
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("rdata", sa.Text(), nullable=False),
        sa.Column("zone", sa.Text(), nullable=True),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("since", TIME, nullable=False),
        sa.Column("sent_ttl", sa.Integer(), nullable=True),
        sa.Column("former_ttl", sa.Integer(), nullable=True),
        sa.Column("serials", sa.Text(), nullable=False),
        sa.Column("sent", TIME, nullable=True),
        sa.Column("visible_since", TIME, nullable=True),
        sa.Column("error", sa.Text(), nullable=True),
        sa.PrimaryKeyConstraint("id", name="pk_tlsa_records"),
    )
    op.create_index("ix_tlsa_records_name", "tlsa_records", ["name"])
    op.create_table(
        "tlsa_wants",
        sa.Column("record_id", sa.Text(), nullable=False),
        sa.Column("line_id", sa.Text(), nullable=False),
        sa.Column("ttl", sa.Integer(), nullable=False),
        sa.PrimaryKeyConstraint("record_id", "line_id", name="pk_tlsa_wants"),
        _refers("tlsa_wants", "record_id", "tlsa_records"),
        _refers("tlsa_wants", "line_id", "lines"),
    )
    op.create_index("ix_tlsa_wants_line_id", "tlsa_wants", ["line_id"])
    op.create_table(
        "tlsa_looks",
        sa.Column("line_id", sa.Text(), nullable=False),
        sa.Column("due", TIME, nullable=False),
        sa.PrimaryKeyConstraint("line_id", name="pk_tlsa_looks"),
        _refers("tlsa_looks", "line_id", "lines"),
    )
    op.create_index("ix_tlsa_looks_due", "tlsa_looks", ["due"])


def _refers(table: str, column: str, to: str) -> sa.ForeignKeyConstraint:
    return sa.ForeignKeyConstraint([column], [f"{to}.id"], name=f"fk_{table}_{column}", ondelete="CASCADE")


_FIRST_SEEN = """
UPDATE line_csrs SET created = (
    SELECT min(versions.created) FROM versions JOIN certificates ON certificates.version_id = versions.id
    WHERE versions.line_id = line_csrs.line_id AND certificates.spki_sha256 = line_csrs.spki_sha256
)
"""


def _no_options() -> "sa.Column[str]":
    """Rows that are there have none; new rows are always written whole."""
    return sa.Column("options", sa.Text(), nullable=False, server_default="{}")
