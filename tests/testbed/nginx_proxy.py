"""nginx before a master that speaks plain HTTP: deploy/nginx/master.conf itself, on ports and files of a test."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.testbed.authority import ServerCertificate
from tests.testbed.nginx import nginx
from tests.testbed.ports import free_port
from tests.testbed.program import TestbedError

_SAMPLE = Path(__file__).parents[2] / "deploy" / "nginx" / "master.conf"


@contextmanager
def before_master(master_port: int, certificate: ServerCertificate, *, port: int | None = None) -> Iterator[int]:
    """The port at which nginx ends TLS. TestbedError when the sample is not the one that this knows."""
    listens_on = port or free_port()
    files = (certificate.chain_file, certificate.key_file)
    site = _SAMPLE.read_text()
    for theirs, ours in {
        "server 127.0.0.1:8080;": f"server 127.0.0.1:{master_port};",
        "    listen [::]:443 ssl;\n": "",
        "listen 443 ssl;": f"listen 127.0.0.1:{listens_on} ssl;",
        "/etc/nginx/tls/certline.example.com.pem": str(files[0]),
        "/etc/nginx/tls/certline.example.com.key": str(files[1]),
    }.items():
        if theirs not in site:
            raise TestbedError(f"{_SAMPLE} has no {theirs!r} any more")
        site = site.replace(theirs, ours)
    with nginx([files], beside=site):
        yield listens_on
