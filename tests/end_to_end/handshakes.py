"""A client that makes one TLS handshake after another, in a process of its own: `handshakes.py PORT NAME ROOTS LOG`.

For each it writes a line to LOG: the serial it was shown, or `failed REASON`. A handshake is good only when the chain
leads to ROOTS, the certificate is for NAME, and the server has its key: a mismatched pair is a failed handshake.
"""

import socket
import ssl
import sys
from pathlib import Path

from cryptography import x509


def run(port: int, name: str, roots: Path, log: Path) -> None:
    """Until SIGTERM."""
    context = ssl.create_default_context(cafile=roots)
    with log.open("a", buffering=1) as file:
        while True:
            file.write(f"{_one(context, port, name)}\n")


def _one(context: ssl.SSLContext, port: int, name: str) -> str:
    try:
        with (
            socket.create_connection(("127.0.0.1", port), timeout=5) as plain,
            context.wrap_socket(plain, server_hostname=name) as secured,
        ):
            presented = secured.getpeercert(binary_form=True) or b""
    except OSError as fault:
        return f"failed {fault}"
    return f"{x509.load_der_x509_certificate(presented).serial_number:x}"


if __name__ == "__main__":
    run(int(sys.argv[1]), sys.argv[2], Path(sys.argv[3]), Path(sys.argv[4]))
