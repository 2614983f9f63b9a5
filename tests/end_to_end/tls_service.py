"""A small TLS service: it serves the pair in one combined file, and reads it anew when told (SIGHUP).

As a program: `tls_service.py serve PORT COMBINED PID-FILE`, `tls_service.py reload PID-FILE`.
"""

import os
import signal
import socket
import ssl
import sys
from pathlib import Path
from types import FrameType


def serve(port: int, combined: Path, pid_file: Path) -> None:
    """Until SIGTERM. Without a certificate a handshake fails; the first reload brings one."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)

    def load(_number: int = 0, _frame: FrameType | None = None) -> None:
        if combined.exists():
            context.load_cert_chain(combined)  # one file, so key and certificate are of one version

    signal.signal(signal.SIGHUP, load)
    load()
    with socket.create_server(("127.0.0.1", port)) as listener:
        pid_file.write_text(str(os.getpid()))
        while True:
            connection, _ = listener.accept()
            _greet(context, connection)


def _greet(context: ssl.SSLContext, connection: socket.socket) -> None:
    connection.settimeout(5)
    try:
        with context.wrap_socket(connection, server_side=True) as secured:
            secured.recv(1024)
            secured.sendall(b"HTTP/1.0 200 OK\r\nContent-Type: text/plain\r\n\r\nserved by the small TLS service\n")
    except OSError:
        connection.close()


def reload(pid_file: Path) -> None:
    os.kill(int(pid_file.read_text()), signal.SIGHUP)


if __name__ == "__main__":
    if sys.argv[1] == "reload":
        reload(Path(sys.argv[2]))
    else:
        serve(int(sys.argv[2]), Path(sys.argv[3]), Path(sys.argv[4]))
