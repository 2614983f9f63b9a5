"""A rehearsal: a line once more, for one host and a few hours, at the issuer that is there for tests. Pure."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from certline_master.domain.model import Follower, Issuer, Line, LineOptions
from certline_shared.messages import read_time, time_text

LASTS = timedelta(hours=6)
"""A rehearsal that nobody ended is over then."""

MOST_A_DAY = 50
"""Of one line on one follower: a test issuer has limits too."""

MARK = "+test"
"""What a rehearsal's name ends in before the follower's: no line of an operator or a host can be called so."""


@dataclass(frozen=True, slots=True)
class EndRehearsal:
    """Remove it: its time is over."""

    reason: str = "the rehearsal's time is over"


def is_rehearsal(line: Line) -> bool:
    return line.options.rehearsed_until is not None


def rehearsal_name(local: str, follower: Follower) -> str:
    return f"{local}{MARK}@{follower.name}"


def rehearsed_name(local: str) -> str:
    """How the follower calls the line that is rehearsed; `local` as it would call the rehearsal."""
    return local.removesuffix(MARK)


def issuer_for_tests(line: Line | None, issuers: Sequence[Issuer]) -> Issuer | str:
    """Where the line is rehearsed, or why it cannot be. A line that is not there yet would be the default issuer's."""
    wanted = line.issuer_id if line else None
    own = next((one for one in issuers if (one.id == wanted if wanted else one.is_default)), None)
    if own is None:
        return "the line has no issuer: name one for it, or mark one as default"
    found = next((one for one in issuers if one.test_of == own.name), None)
    return found or (
        f"no issuer rehearses for {own.name}: give one in the fleet file, such as the CA's staging, "
        f"`test_of: {own.name}`"
    )


def rehearsal_of(line: Line | None, bare: Line, now: datetime) -> Line:
    """`bare` says what and where; as far as there is such a line, its certificates are to be like that one's.

    Nothing of what reaches beyond the host: no records in DNS but the challenge's, no waves, no staging.
    """
    options = line.options if line else LineOptions()
    kept = LineOptions(
        common_name=options.common_name if options.common_name in bare.names else None,
        must_staple=options.must_staple,
        purposes=options.purposes,
        commands=options.commands,
        rehearsed_until=time_text(now + LASTS),
    )
    return replace(bare, profile=line.profile if line else None, next_look=now + LASTS, options=kept)


def over_at(line: Line) -> datetime:
    return read_time(line.options.rehearsed_until or "")
