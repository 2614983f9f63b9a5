"""The entry point of `certline`: says which extra is missing where only the follower was installed."""

import sys
from importlib.util import find_spec

INTERRUPTED = 130  # as a shell has it: 128 + SIGINT


def main() -> None:
    """Run the command line; Ctrl-C ends it quietly."""
    missing = next((name for name in ("acme", "click") if find_spec(name) is None), None)
    if missing:
        sys.stderr.write(
            f"certline: the master is not installed here (no module {missing}); "
            "install it with: pip install 'certline[master]'\n"
        )
        sys.exit(2)
    try:
        from certline_master.cli.main import run

        code = run()
    except KeyboardInterrupt:
        code = INTERRUPTED
    sys.exit(code)
