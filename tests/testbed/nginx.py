"""nginx as a host's web server: TLS with the certificate files that it is given."""

import signal
import socket
import ssl
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

from tests.testbed import parts
from tests.testbed.authority import Authority
from tests.testbed.ports import free_port
from tests.testbed.program import Program, TestbedError, by_hand, running

_CONFIG = """\
daemon off;
pid {folder}/nginx.pid;
error_log stderr;
worker_processes 1;
events {{ worker_connections 256; }}
http {{
    access_log off;
    client_body_temp_path {folder}/body;
    proxy_temp_path {folder}/proxy;
    fastcgi_temp_path {folder}/fastcgi;
    uwsgi_temp_path {folder}/uwsgi;
    scgi_temp_path {folder}/scgi;
    server {{
        listen 127.0.0.1:{port} ssl;
{pairs}
        {more}
        location / {{ return 200 "served by nginx\\n"; }}
    }}
{servers}
{beside}
}}
"""


class Nginx:
    """A running nginx on 127.0.0.1; the two commands are argument vectors for a service of the follower."""

    def __init__(self, process: Program, base: Sequence[str], folder: Path, port: int) -> None:
        self.process = process
        self.port = port
        self.config_file = folder / "nginx.conf"
        self.reload_command = [*base, "-s", "reload"]
        self.check_command = [*base, "-t"]
        self._pid_file = folder / "nginx.pid"

    def answers(self) -> bool:
        """Whether the master process is up; it writes its id when its sockets are open."""
        return self._pid_file.exists() and bool(self._pid_file.read_text().strip())

    def stop(self) -> None:
        self.process.stop()


@contextmanager
def nginx(
    certificates: Sequence[tuple[Path, Path]], *, port: int | None = None, prefix: Sequence[str] = (),
    more: str = "", servers: Sequence[str] = (), beside: str = "",
) -> Iterator[Nginx]:  # fmt: skip
    """An nginx that serves each (chain file, key file); `prefix` is put before its command (a namespace's).

    `more` goes into its server, and each of `servers` into one more on the same port; `beside` stands beside them.

    TestbedError when it is not installed or refuses its configuration.
    """
    program = parts.program("nginx")
    if program is None:
        raise TestbedError("nginx is not installed (apt-get install nginx)")
    with TemporaryDirectory(prefix="certline-nginx-") as name:
        folder, listens_on = Path(name), port or free_port()
        folder.chmod(0o755)  # its workers are another user
        pairs = [f"        ssl_certificate {chain};\n        ssl_certificate_key {key};" for chain, key in certificates]
        config = _CONFIG.format(
            folder=folder, port=listens_on, pairs="\n".join(pairs), more=more, beside=beside,
            servers="\n".join(f"    server {{ listen 127.0.0.1:{listens_on} ssl; {one} }}" for one in servers),
        )  # fmt: skip
        (folder / "nginx.conf").write_text(config)
        base = [str(program), "-e", "stderr", "-c", str(folder / "nginx.conf"), "-p", str(folder)]
        process = Program([*prefix, *base], log=folder / "log", stop_signal=signal.SIGTERM)
        server = Nginx(process, base, folder, listens_on)
        with running(process, server.answers):
            yield server


def presented_certificate(port: int, server_name: str = "localhost") -> bytes:
    """The certificate (DER) that a TLS server on 127.0.0.1 presents; it is looked at, not trusted."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    with (
        socket.create_connection(("127.0.0.1", port), timeout=5) as plain,
        context.wrap_socket(plain, server_hostname=server_name) as secured,
    ):
        return secured.getpeercert(binary_form=True) or b""


@contextmanager
def _for_a_person() -> Iterator[Sequence[str]]:
    with TemporaryDirectory(prefix="certline-nginx-") as folder:
        pair = Authority(Path(folder)).issue("nginx")
        with nginx([(pair.chain_file, pair.key_file)]) as server:
            yield [f"https://localhost:{server.port}/", " ".join(server.reload_command)]


if __name__ == "__main__":
    by_hand(_for_a_person)
