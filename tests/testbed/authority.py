"""A throw-away CA for the test bed's own TLS servers, which come without certificates."""

import ssl
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import trustme

LOCAL_NAMES = ("localhost", "127.0.0.1")


@dataclass(frozen=True, slots=True)
class ServerCertificate:
    """Paths of a server's chain and key, both PEM."""

    chain_file: Path
    key_file: Path

    def server_context(self) -> ssl.SSLContext:
        """A TLS context that presents this certificate."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(self.chain_file, self.key_file)
        return context


class Authority:
    """A root with its files in `folder`: `ca_file` is what its clients trust."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.ca_file = folder / "ca.pem"
        self._folder = folder
        self._ca = trustme.CA()
        self._ca.cert_pem.write_to_path(str(self.ca_file))

    def issue(self, label: str, names: Sequence[str] = LOCAL_NAMES) -> ServerCertificate:
        """A server certificate for DNS names and IP addresses, in files called after `label`."""
        leaf = self._ca.issue_cert(*names)
        made = ServerCertificate(self._folder / f"{label}.pem", self._folder / f"{label}.key")
        for number, blob in enumerate(leaf.cert_chain_pems):
            blob.write_to_path(str(made.chain_file), append=number > 0)
        made.key_file.touch(mode=0o600)
        leaf.private_key_pem.write_to_path(str(made.key_file))
        return made

    def client_context(self) -> ssl.SSLContext:
        """A TLS context that trusts this root and nothing else."""
        return ssl.create_default_context(cafile=self.ca_file)
