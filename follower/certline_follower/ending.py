"""How a command ends: its exit code, the fault that ends it, and what it shows on standard output."""

import argparse
import json
from collections.abc import Sequence

NOTHING, CHANGED, USAGE, REFUSED, FAILED, AWAY, BUSY = 0, 10, 2, 3, 4, 5, 6

EXIT_CODES = """\
exit codes:
  0   done, or nothing to do
  2   wrong usage or settings, or this host is not enrolled
  3   the master refuses something (see the text)
  4   something failed and will be tried again
  5   the master cannot be reached
  6   another run of the follower is active
  10  sync: something was changed (0 with --changed-is-zero)
where several are true: 5, then 4, then 3, then 10
"""


class Failed(Exception):
    """The command ends here, with this text and exit code."""

    def __init__(self, text: str, code: int) -> None:
        super().__init__(text)
        self.code = code


def show(options: argparse.Namespace, data: object, text: Sequence[str]) -> None:
    """The data as JSON, or its text, on standard output."""
    lines = [json.dumps(data, indent=2, ensure_ascii=False)] if options.output == "json" else text
    for line in lines:
        print(line)  # noqa: T201 this is the command line
