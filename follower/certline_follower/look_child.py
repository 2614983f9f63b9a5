"""One TLS handshake over an inherited socket, by the OpenSSL configuration of its environment; prints the leaf (DER).

Run as `python -I -S look_child.py FD SECONDS SNI`, apart from the rest: what it needs is the standard library's.
"""

import socket
import ssl
import sys


def main(number: str, seconds: str, sni: str) -> None:
    connection = socket.socket(fileno=int(number))
    connection.settimeout(float(seconds))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    try:
        with context.wrap_socket(connection, server_hostname=sni) as secured:
            sys.stdout.buffer.write(secured.getpeercert(binary_form=True) or b"")
    except OSError as error:  # ssl.SSLError is one
        sys.exit(getattr(error, "reason", None) or str(error) or type(error).__name__)


if __name__ == "__main__":
    main(*sys.argv[1:])
