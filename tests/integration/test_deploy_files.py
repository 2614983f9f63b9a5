"""The files of deploy/ are accepted by the programs they are for."""

import shutil
import subprocess
from pathlib import Path

import pytest

from tests.testbed.authority import Authority
from tests.testbed.parts import require

DEPLOY = Path(__file__).parents[2] / "deploy"
UNITS = sorted((DEPLOY / "systemd").iterdir())


@pytest.mark.parametrize("unit", UNITS, ids=lambda path: path.name)
def test_systemd_finds_no_fault_in_a_unit(unit: Path, tmp_path: Path) -> None:
    """The program is not where the unit says on this machine; everything else is checked."""
    analyze = shutil.which("systemd-analyze")
    if analyze is None:
        pytest.skip("no systemd-analyze here")
    for other in UNITS:
        text = other.read_text().replace("/opt/certline/bin/certline-follower", "/bin/true")
        (tmp_path / other.name).write_text(text.replace("/opt/certline/bin/certline", "/bin/true"))
    done = subprocess.run([analyze, "verify", tmp_path / unit.name], capture_output=True, text=True, check=False)
    assert unit.name not in done.stderr, done.stderr


@pytest.mark.parametrize("name", ["master.conf", "host.conf"])
def test_nginx_takes_the_sample(name: str, tmp_path: Path) -> None:
    require("nginx")
    authority = Authority(tmp_path)
    made = authority.issue("server")
    text = (DEPLOY / "nginx" / name).read_text()
    for line in text.splitlines():
        words = line.strip().rstrip(";").split()
        if words[:1] in (["ssl_certificate"], ["ssl_certificate_key"], ["proxy_ssl_trusted_certificate"]):
            own = made.key_file if words[0].endswith("_key") else made.chain_file
            text = text.replace(f" {words[1]};", f" {own};")
    config = tmp_path / "nginx.conf"
    config.write_text(f"pid {tmp_path}/pid;\nerror_log stderr;\nevents {{}}\nhttp {{\naccess_log off;\n{text}\n}}\n")
    command = ["nginx", "-t", "-q", "-c", str(config), "-p", str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
