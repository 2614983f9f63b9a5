"""How a command ends when it cannot do what was asked: one clear text on stderr, and a documented exit code."""

DONE = 0
WRONG = 2  # usage or configuration
REFUSED = 3  # refused, or not found
FAILED = 4  # something failed and will be retried
UNREACHABLE = 5  # the other side cannot be reached
WOULD_CHANGE = 10  # apply --check: there is something to do


class CommandFailed(Exception):
    """Ends the command with `code` and `text` (without a traceback)."""

    def __init__(self, text: str, code: int) -> None:
        super().__init__(text)
        self.code = code


def one_line(text: str) -> str:
    """Control characters spelt out: a text from outside can neither forge a line nor steer a terminal."""
    return text if text.isprintable() else "".join(one if one.isprintable() else ascii(one)[1:-1] for one in text)
