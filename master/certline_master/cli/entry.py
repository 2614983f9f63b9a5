"""The entry point of `certline`: says which extra is missing where only the follower was installed."""

import sys
from importlib.util import find_spec


def main() -> None:
    """Run the command line."""
    missing = [name for name in ("acme", "click") if find_spec(name) is None]
    if missing:
        sys.stderr.write(
            f"certline: the master is not installed here (no module {missing[0]}); "
            "install it with: pip install 'certline[master]'\n"
        )
        sys.exit(2)
    from certline_master.cli.main import certline

    certline(prog_name="certline")
