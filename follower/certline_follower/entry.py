"""The entry point: says which extra to install when the follower's own dependencies are missing."""

import os
import sys

_NEEDED = ("httpx", "cryptography")


def main() -> None:
    """certline-follower."""
    os.umask(0o022)  # private files and folders have modes of their own; the way to the live generation stays open
    try:
        from certline_follower import cli

        code = cli.main()
    except ImportError as error:
        if (error.name or "").partition(".")[0] not in _NEEDED:
            raise
        print(  # noqa: T201 this is the command line
            f"certline-follower: the package {error.name} is missing: pip install 'certline[follower]'", file=sys.stderr
        )
        code = 2
    sys.exit(code)


if __name__ == "__main__":
    main()
