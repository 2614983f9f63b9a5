"""Do the migrations lead to the tables that the master declares?

`python -m certline_migrations.check [--postgres URL]`: the Postgres database must be empty. Exit status 0: they do;
1: they do not, and the difference is printed.
"""

import argparse
import sys
import tempfile
from pathlib import Path

from alembic import command
from alembic.config import Config
from alembic.util import CommandError


def differences(url: str) -> str | None:
    """Upgrade the empty database there and compare; None when nothing differs."""
    config = Config()
    config.set_main_option("script_location", "certline_migrations:")
    config.attributes["url"] = url
    config.print_stdout = lambda *_text, **_values: None  # type: ignore[method-assign]  # success needs no words here
    try:
        command.upgrade(config, "head")
        command.check(config)
    except CommandError as error:
        return str(error)
    return None


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="certline_migrations.check")
    parser.add_argument("--postgres", metavar="URL", help="an empty database to compare on as well")
    wanted = parser.parse_args(arguments)
    with tempfile.TemporaryDirectory() as folder:
        urls = [f"sqlite:///{Path(folder, 'check.db')}", *filter(None, [wanted.postgres])]
        found = [difference for url in urls if (difference := differences(url))]
    for difference in found:
        sys.stderr.write(f"{difference}\n")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
