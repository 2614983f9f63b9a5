"""Shared keys, groups, introductions, chained events, deployments as a state, waves, revocations."""

from collections.abc import Sequence

import sqlalchemy as sa
from alembic import op

revision: str = "0002"
down_revision: str | None = "0001"
branch_labels: Sequence[str] | None = None
depends_on: Sequence[str] | None = None

TIME = sa.DateTime(timezone=True).with_variant(sa.Text(), "sqlite")
COUNTER = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    _installation()
    _events()
    _followers()
    _keys()
    _lines()
    _key_copies()
    _deployments()


def _text(name: str, *, optional: bool = False) -> "sa.Column[str]":
    return sa.Column(name, sa.Text(), nullable=optional)


def _empty_list(name: str) -> "sa.Column[str]":
    """Rows that are there get an empty list; new rows are always written whole."""
    return sa.Column(name, sa.Text(), nullable=False, server_default="[]")


def _installation() -> None:
    op.add_column("data_keys", _text("former_kek_id", optional=True))
    op.add_column("data_keys", sa.Column("former_wrapped", sa.LargeBinary(), nullable=True))
    op.add_column("admin_tokens", _empty_list("networks"))
    op.add_column("admin_tokens", sa.Column("last_used", TIME, nullable=True))


def _events() -> None:
    op.add_column("events", _text("chain", optional=True))
    op.add_column("events", sa.Column("link", sa.Integer(), nullable=True))
    op.add_column("events", _text("hash", optional=True))
    op.create_index("ix_events_chain_link", "events", ["chain", "link"], unique=True)
    op.create_table(
        "seals",
        sa.Column("id", COUNTER, autoincrement=True, nullable=False),
        sa.Column("at", TIME, nullable=False),
        _text("heads"),
        sa.Column("up_to", sa.BigInteger(), nullable=False),
        _text("previous"),
        _text("hash"),
        _text("signature"),
        _text("key"),
        sa.PrimaryKeyConstraint("id", name="pk_seals"),
        sa.UniqueConstraint("previous", name="uq_seals_previous"),
        sqlite_autoincrement=True,
    )


def _followers() -> None:
    op.add_column("followers", _empty_list("groups"))
    op.add_column("followers", _empty_list("networks"))
    op.add_column("followers", sa.Column("next_identity_key", sa.LargeBinary(), nullable=True))
    op.add_column("followers", sa.Column("next_sealing_key", sa.LargeBinary(), nullable=True))
    op.add_column("followers", sa.Column("next_keys_since", TIME, nullable=True))
    op.add_column("followers", sa.Column("sequence", sa.BigInteger(), nullable=False, server_default="0"))
    op.add_column("followers", _text("sequence_digest", optional=True))
    op.add_column("followers", _text("sequence_address", optional=True))
    op.add_column("followers", sa.Column("clone_told", TIME, nullable=True))
    op.add_column("followers", sa.Column("lock_clones", sa.Boolean(), nullable=False, server_default=sa.false()))
    op.add_column("followers", sa.Column("protocol", sa.Integer(), nullable=False, server_default="1"))
    op.add_column("followers", sa.Column("skew_seconds", sa.BigInteger(), nullable=True))
    op.add_column("followers", _text("state_reason", optional=True))
    op.create_table(
        "groups",
        _text("id"),
        _text("name"),
        _text("owner"),
        sa.PrimaryKeyConstraint("id", name="pk_groups"),
        sa.UniqueConstraint("name", name="uq_groups_name"),
    )
    op.create_table(
        "group_grants",
        _text("group_id"),
        _text("kind"),
        _text("name"),
        sa.ForeignKeyConstraint(["group_id"], ["groups.id"], name="fk_group_grants_group_id", ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("group_id", "kind", "name", name="pk_group_grants"),
    )
    op.create_table(
        "introductions",
        _text("id"),
        _text("name"),
        sa.Column("identity_key", sa.LargeBinary(), nullable=False),
        sa.Column("sealing_key", sa.LargeBinary(), nullable=False),
        _text("agent"),
        _text("address"),
        sa.Column("created", TIME, nullable=False),
        sa.Column("expires", TIME, nullable=False),
        _text("follower_id", optional=True),
        sa.Column("proof", sa.LargeBinary(), nullable=True),
        sa.ForeignKeyConstraint(
            ["follower_id"], ["followers.id"], name="fk_introductions_follower_id", ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("id", name="pk_introductions"),
    )
    op.create_index("ix_introductions_follower_id", "introductions", ["follower_id"])


def _keys() -> None:
    op.create_table(
        "keys",
        _text("id"),
        _text("name"),
        _text("owner"),
        sa.PrimaryKeyConstraint("id", name="pk_keys"),
        sa.UniqueConstraint("name", name="uq_keys_name"),
    )
    op.create_table(
        "key_materials",
        _text("id"),
        _text("key_id"),
        _text("key_type"),
        _text("slot"),
        _text("spki_sha256"),
        _text("secret"),
        sa.Column("created", TIME, nullable=False),
        sa.ForeignKeyConstraint(["key_id"], ["keys.id"], name="fk_key_materials_key_id", ondelete="CASCADE"),
        sa.ForeignKeyConstraint(["secret"], ["secrets.id"], name="fk_key_materials_secret"),
        sa.PrimaryKeyConstraint("id", name="pk_key_materials"),
        sa.UniqueConstraint("key_id", "spki_sha256", name="uq_key_materials_key_id_spki_sha256"),
    )


def _lines() -> None:
    with op.batch_alter_table("lines") as lines:
        lines.alter_column("follower_id", existing_type=sa.Text(), nullable=True)
        lines.add_column(_text("key_id", optional=True))
        lines.add_column(_text("rollout", optional=True))
        lines.add_column(_text("paused", optional=True))
        lines.create_foreign_key("fk_lines_key_id", "keys", ["key_id"], ["id"])
    op.create_index("ix_lines_key_id", "lines", ["key_id"])
    op.create_table(
        "waves",
        _text("line_id"),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("step", sa.Integer(), nullable=False),
        sa.Column("opened", TIME, nullable=False),
        _text("stopped", optional=True),
        sa.Column("finished", TIME, nullable=True),
        sa.ForeignKeyConstraint(["line_id"], ["lines.id"], name="fk_waves_line_id", ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("line_id", "version", name="pk_waves"),
    )


def _key_copies() -> None:
    op.create_table(
        "sealed_keys",
        _text("follower_id"),
        _text("line_id"),
        sa.Column("version", sa.Integer(), nullable=False),
        _text("key_type"),
        _text("spki_sha256"),
        _text("sealed_to"),
        sa.Column("data", sa.LargeBinary(), nullable=False),
        sa.Column("created", TIME, nullable=False),
        sa.ForeignKeyConstraint(
            ["follower_id"], ["followers.id"], name="fk_sealed_keys_follower_id", ondelete="CASCADE"
        ),
        sa.ForeignKeyConstraint(["line_id"], ["lines.id"], name="fk_sealed_keys_line_id", ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("follower_id", "line_id", "version", "key_type", name="pk_sealed_keys"),
    )
    op.create_table(
        "key_copies",
        _text("follower_id"),
        _text("spki_sha256"),
        _text("follower"),
        _text("line"),
        _text("key_type"),
        sa.Column("released", TIME, nullable=False),
        sa.Column("seen", TIME, nullable=True),
        sa.Column("deleted", TIME, nullable=True),
        sa.PrimaryKeyConstraint("follower_id", "spki_sha256", name="pk_key_copies"),
    )
    op.create_index("ix_key_copies_spki_sha256", "key_copies", ["spki_sha256"])
    op.create_table(
        "revocations",
        _text("id"),
        _text("certificate_id"),
        _text("line"),
        _text("issuer_id"),
        sa.Column("version", sa.Integer(), nullable=False),
        _text("serial"),
        _text("spki_sha256"),
        sa.Column("not_after", TIME, nullable=False),
        _text("chain"),
        sa.Column("reason", sa.Integer(), nullable=False),
        _text("state"),
        sa.Column("created", TIME, nullable=False),
        sa.Column("due", TIME, nullable=True),
        _text("follower", optional=True),
        sa.Column("deadline", TIME, nullable=True),
        sa.Column("attempts", sa.Integer(), nullable=False),
        _text("error", optional=True),
        sa.Column("ended", TIME, nullable=True),
        sa.PrimaryKeyConstraint("id", name="pk_revocations"),
        sa.UniqueConstraint("certificate_id", name="uq_revocations_certificate_id"),
    )
    op.create_index("ix_revocations_due", "revocations", ["due"])


def _deployments() -> None:
    op.add_column("versions", sa.Column("live_since", TIME, nullable=True))
    op.add_column("deployments", _text("goal", optional=True))
    op.add_column("deployments", sa.Column("retry_at", TIME, nullable=True))
    op.add_column("deployments", sa.Column("seen", sa.Text(), nullable=False, server_default="{}"))
    op.add_column("deployments", sa.Column("wanted_since", TIME, nullable=True))
    op.add_column("deployments", sa.Column("alarmed", TIME, nullable=True))
