"""The programs call themselves what the distribution is called."""

import tomllib
from pathlib import Path

from certline_shared import __version__

PYPROJECT = Path(__file__).parents[3] / "pyproject.toml"


def test_the_packages_version_is_the_distributions() -> None:
    assert tomllib.loads(PYPROJECT.read_text())["project"]["version"] == __version__
