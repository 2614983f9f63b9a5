"""What all tables share: names of constraints, and the columns that many of them have."""

from sqlalchemy import Column, ForeignKey, MetaData, Text

metadata = MetaData(
    naming_convention={
        "pk": "pk_%(table_name)s",
        "fk": "fk_%(table_name)s_%(column_0_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
    }
)


def id_column() -> "Column[str]":
    return Column("id", Text, primary_key=True)


def text(name: str, *, optional: bool = False) -> "Column[str]":
    return Column(name, Text, nullable=optional)


def of_follower(*, primary: bool = False) -> "Column[str]":
    return Column("follower_id", ForeignKey("followers.id", ondelete="CASCADE"), primary_key=primary, nullable=False)
