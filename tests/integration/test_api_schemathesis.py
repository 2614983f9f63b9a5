"""schemathesis against a running master, with its own description in hand: all phases, all checks, both roles.

It must find no failure of ours, no status that the description lacks, no input that is taken and should not be.
"""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import fields
from datetime import timedelta
from pathlib import Path

import pytest

from certline_master.api.limits import Limits, Rate, Rates
from certline_master.api.openapi import operations
from certline_master.domain.access import Role
from tests.integration import schemathesis_hooks
from tests.integration.api_bed import Bed, running_master, sqlite_url
from tests.integration.api_hosts import HOST

SETTINGS = """\
hooks = "{hooks}"
max-failures = 20

[generation]
deterministic = true
database = "none"
[dictionaries]
names = {{ values = ["shop", "web-1", "web-9", "blog@host-1", "blog", "ca", "example.com", "www.example.net"] }}
hosts = {{ values = ["shop.example.com", "blog.example.com", "www.example.net"] }}
numbers = {{ values = [1, 2] }}

[parameters]
"path.name" = {{ dictionary = "names", probability = 0.6 }}
"path.number" = {{ dictionary = "numbers", probability = 0.6 }}
"body.names[*]" = {{ dictionary = "hosts", probability = 0.6 }}
"body.follower" = {{ dictionary = "names", probability = 0.6 }}

# A schema cannot say that a name has a zone, that a follower is there, or that a certificate request is signed: what
# is well formed may be refused as unusable, by 422.
[checks]
positive_data_acceptance.expected-statuses = ["2xx", "401", "403", "404", "409", "422", "429"]

# Where any JSON may stand (a solver's settings, members of a message that are not known yet), a number in it may be
# larger than every reader keeps exactly. A message's whole number is written as one, 1 and not 1.0. And a follower
# that has numbered its requests must go on numbering them.
[[operations]]
include-path-regex = "^/v1/(fleet|zones|follower|enroll|introductions)(/|$)|/receipt$"
checks.positive_data_acceptance.expected-statuses = ["2xx", "400", "401", "403", "404", "409", "422", "429"]
"""
FOLLOWERS = '/x-needs == "follower"'
PHASES = "examples,coverage,fuzzing,stateful"
SECONDS = 300


@pytest.fixture
def bed(tmp_path: Path) -> Iterator[Bed]:
    with running_master(sqlite_url(tmp_path), long_polls=0) as running:
        running.services.limits = Limits(running.clock, UNLIMITED)
        running.services.rotate_signing_key = lambda _records, _now: running.services.identity  # it is in no store here
        running.engine.configure()
        running.engine.want("shop", ["shop.example.com"])
        running.engine.run(timedelta(minutes=1))
        yield running


def schemathesis(bed: Bed, folder: Path, *words: str, follower: "dict[str, str] | None" = None) -> None:
    """Run it; the test fails with its report."""
    hooks, settings = Path(schemathesis_hooks.__file__), folder / "schemathesis.toml"
    settings.write_text(SETTINGS.format(hooks=hooks))
    program = Path(sys.executable).with_name("schemathesis")
    command = [
        str(program),
        "--config-file",
        str(settings),
        "run",
        f"{bed.url}/v1/openapi.json",
        "--phases",
        PHASES,
        "--no-color",
        *words,
    ]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(path for path in sys.path if path)}
    if follower:
        environment[schemathesis_hooks.VARIABLE] = json.dumps(follower)
    done = subprocess.run(
        command, check=False, cwd=folder, env=environment, capture_output=True, text=True, timeout=SECONDS
    )
    assert done.returncode == 0, done.stdout + done.stderr


UNLIMITED = Rates(*[Rate(0, 0)] * len(fields(Rates)))


def test_as_an_admin(bed: Bed, tmp_path: Path) -> None:
    token = f"Authorization: Bearer {bed.tokens[Role.ADMIN]}"
    schemathesis(bed, tmp_path, "--max-examples", "5", "-H", token, "--exclude-by", FOLLOWERS)


def test_as_a_follower(bed: Bed, tmp_path: Path) -> None:
    host = bed.follower("host-1", ("blog.example.com",))
    assert host.wish("blog", "blog.example.com").status_code == 200
    bed.engine.run(timedelta(minutes=2))
    assert host.ask("GET", "/v1/follower/lines/blog/versions/1").status_code == 200
    known = {
        "private": host.private.hex(),
        "id": host.follower_id,
        "host": HOST,
        "now": bed.clock.now().isoformat(),
    }
    schemathesis(bed, tmp_path, "--max-examples", "15", "--include-by", FOLLOWERS, follower=known)


def test_every_body_has_a_schema_and_every_answer_a_status_of_its_own(bed: Bed) -> None:
    for method, path, operation in operations(bed.app.openapi()):
        assert "default" not in operation["responses"], f"{method} {path}"
        for content in operation.get("requestBody", {}).get("content", {}).values():
            assert content["schema"] != {"type": "object"}, f"{method} {path}: what is read there is not described"
