"""Hooks that write down what they were told."""

import json
import sys
from collections.abc import Sequence
from typing import cast

from tests.integration.follower.host_bed import Bed

WRITER = """
import json, os, sys
folder, code, *words = sys.argv[1:]
told = {name: value for name, value in os.environ.items() if name.startswith("CERTLINE_")}
with open(os.path.join(folder, "told"), "a") as file:
    file.write(json.dumps({"words": words, "env": told}) + "\\n")
print("a word from the hook")
sys.exit(9 if os.path.exists(os.path.join(folder, code)) else 0)
"""


def command(bed: Bed, *words: str, fails: str = "never") -> str:
    """An argument vector in TOML that writes its arguments down; it fails while the file `fails` is there."""
    writer = bed.folder / "writer.py"
    writer.write_text(WRITER)
    return json.dumps([sys.executable, "-S", "-I", str(writer), str(bed.folder), fails, *words])


def told(bed: Bed) -> list[list[str]]:
    """The arguments that hooks were started with, oldest first."""
    return [list(map(str, cast("list[str]", one["words"]))) for one in records(bed)]


def records(bed: Bed) -> list[dict[str, object]]:
    file = bed.folder / "told"
    return [json.loads(line) for line in file.read_text().splitlines()] if file.exists() else []


def configure(bed: Bed, hooks: str, *lines: str, services: Sequence[str] = ("web",)) -> None:
    bed.configure(*(lines or (bed.line("shop", "shop.example.org"),)), hooks, services=services)


def issued(bed: Bed) -> None:
    """The line's first version is there to be pulled."""
    bed.turn()


def path(bed: Bed, line: str = "shop") -> str:
    return str(bed.folder / f"{line}.pem")
