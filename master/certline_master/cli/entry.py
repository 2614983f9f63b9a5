"""The entry point of `certline`: says which extra is missing where only the follower was installed."""

import sys


def main() -> None:
    """Run the command line."""
    try:
        import acme  # noqa: F401 stands for the extra
        import click  # noqa: F401 stands for the extra
    except ModuleNotFoundError as missing:
        sys.stderr.write(
            f"certline: the master is not installed here (no module {missing.name}); "
            "install it with: pip install 'certline[master]'\n"
        )
        sys.exit(2)
    from certline_master.cli.main import certline

    certline(prog_name="certline")
