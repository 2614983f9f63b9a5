"""The entry point: says which extra to install when the follower's own dependencies are missing."""

import os
import sys

_NEEDED = ("httpx", "cryptography")


def main() -> None:
    """certline-follower."""
    os.umask(0o022)  # private files and folders have modes of their own; the way to the live generation stays open
    try:
        sys.exit(_run())
    except BrokenPipeError:
        sys.exit(0)
    finally:
        _leave_quietly()


def _run() -> int:
    try:
        from certline_follower import cli

        return cli.main()
    except ImportError as error:
        if (error.name or "").partition(".")[0] not in _NEEDED:
            raise
        print(  # noqa: T201 this is the command line
            f"certline-follower: the package {error.name} is missing: pip install 'certline[follower]'", file=sys.stderr
        )
        return 2


def _leave_quietly() -> None:
    """Nothing is said of a reader of our output that went away (`| head`), neither now nor by Python at its end."""
    try:
        sys.stdout.flush()
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


if __name__ == "__main__":
    main()
