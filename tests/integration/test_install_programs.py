"""An installation starts the programs of the settings file and nothing else, a shell least of all (seen by strace)."""

import re
import subprocess
import sys
from pathlib import Path

from tests.integration.installing import SETTINGS, Host
from tests.testbed.parts import program, require

PROGRAM = """
import sys
from pathlib import Path
from certline_follower import services, settings
from tests.integration.installing import Host
host = Host(Path(sys.argv[1]))
host.install(1)
read = settings.load(host.settings_file)
for step in ("check", "reload"):
    assert services.run(read.services["web"], step, env={"CERTLINE_LINES": "shop; id"}).ok
host.installer().rollback_to(1)
"""
SERVICE = '[services.web]\ncheck = ["true", "$(id)"]\nreload = ["env", "echo", "; id"]\n'


def test_only_the_configured_programs_are_started(tmp_path: Path) -> None:
    require("strace")
    host = Host.make(tmp_path, SETTINGS + SERVICE)
    log = tmp_path / "log"
    trace = ["strace", "-f", "-qq", "-o", str(log), "-e", "trace=execve,execveat"]
    subprocess.run([*trace, sys.executable, "-c", PROGRAM, str(host.folder)], check=True, cwd=Path(__file__).parents[2])
    started = re.findall(r'execve\("([^"]+)", (\[[^\]]*\]).* = 0$', log.read_text(), re.MULTILINE)
    assert [words for _, words in started[1:]] == ['["true", "$(id)"]', '["env", "echo", "; id"]', '["echo", "; id"]']
    named = {program("true"), program("env"), program("echo")}
    assert {Path(path).name for path, _ in started[1:]} == {path.name for path in named if path}
    assert "execveat" not in log.read_text()
