"""Takes away answers that are no longer needed: after every order, however it ended, and whatever a crash left."""

import logging
from collections.abc import Sequence
from dataclasses import replace
from datetime import timedelta
from itertools import groupby

from certline_master.domain.access import SYSTEM
from certline_master.domain.errors import DomainError
from certline_master.domain.model import Challenge, ChallengeState
from certline_master.work.answers import Answers
from certline_master.work.commands import Commands
from certline_master.work.context import Context
from certline_shared.failpoints import failpoint

MOST = 500
AGAIN = timedelta(minutes=1)

log = logging.getLogger("certline.work.sweep")


class Sweep:
    """Removal does not depend on how the order ended; it is tried until it works."""

    def __init__(self, context: Context, answers: Answers) -> None:
        self._context = context
        self._answers = answers
        self._commands = Commands(context)

    def turn(self) -> int:
        """Remove what is due; returns how many were."""
        with self._context.store.read() as records:
            rows = records.orders.to_remove(SYSTEM, now=self._context.clock.now(), limit=MOST)
        done = 0
        for _, group in groupby(sorted(rows, key=_place), key=_place):
            done += self._remove(list(group))
        return done

    def _remove(self, rows: Sequence[Challenge]) -> int:
        try:
            self._answers.clean_up(rows)
        except DomainError as fault:
            self._postpone(rows, str(fault))
            return 0
        except Exception as fault:  # an error of ours, or of a solver that was added
            log.exception("a clean-up broke")
            self._postpone(rows, type(fault).__name__)
            return 0
        failpoint("sweep.cleaned")
        self._commands.removed(rows)
        removed = [replace(row, state=ChallengeState.REMOVED, due=None) for row in rows]
        self._context.store.write(lambda records: records.orders.save_challenges(SYSTEM, removed))
        return len(removed)

    def _postpone(self, rows: Sequence[Challenge], why: str) -> None:
        due = self._context.clock.now() + AGAIN
        later = [replace(row, due=due) for row in rows]
        self._context.store.write(lambda records: records.orders.save_challenges(SYSTEM, later))
        log.warning(
            "answers could not be taken away; tried again",
            extra={"zone": rows[0].zone, "records": [row.record for row in rows], "error": why},
        )


def _place(challenge: Challenge) -> tuple[str, str]:
    return challenge.solver, challenge.zone or ""
