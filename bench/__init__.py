"""Measurements, each a command: `python -m bench.NAME [--json FILE]`. Byte code is kept, as on any installed system."""

import os

os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
