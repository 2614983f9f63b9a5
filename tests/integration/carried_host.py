"""A host without a connection beside a running master's API: what goes to it and comes from it goes by hand."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from certline_follower import carried, identity, opening, settings
from certline_follower.carried import Applied
from certline_follower.recovering import recover
from certline_shared.bundles import read_bundle
from tests.integration.api_bed import Bed
from tests.integration.api_hosts import MASTER_PUBLIC, SEALING_PRIVATE, FollowerClient


@dataclass
class CarriedHost:
    """The real follower in a folder, under the identity of `client`; its lines show one combined file each."""

    folder: Path
    bed: Bed
    client: FollowerClient

    def __post_init__(self) -> None:
        state_dir = self.folder / "state"
        state_dir.mkdir(parents=True)
        known = identity.Identity(
            format=identity.FORMAT, follower_id=self.client.follower_id, follower=self.client.name,
            origin="https://master.example", trust="pin", tls_pins=("ab" * 32,), signing_keys=(MASTER_PUBLIC,),
            epoch=1, identity_key=self.client.private, sealing_key=SEALING_PRIVATE,
        )  # fmt: skip
        identity.save(state_dir, known)

    def configure(self, **lines: str | None) -> None:
        """Line to the name it asks for; None: the master says its names."""
        tables = ['state_dir = "state"']
        for name, wished in lines.items():
            tables += [f'[[line]]\nname = "{name}"', f'names = ["{wished}"]' if wished else ""]
            tables += [f'[[line.output]]\nkind = "combined"\npath = "{self.folder / name}.pem"']
        (self.folder / "certline-follower.toml").write_text("\n".join(tables))

    def apply(self, bundle: bytes) -> Applied:
        host = opening.open_host(
            settings.load(self.folder / "certline-follower.toml"), self.bed.clock, self.bed.engine.chance
        )
        try:
            recover(host)
            return carried.apply(host, read_bundle(bundle))
        finally:
            host.client.close()

    def shown(self, line: str) -> str:
        return (self.folder / f"{line}.pem").read_text()

    def fetched(self) -> bytes:
        """A bundle, as an operator gets it."""
        answer = self.bed.ask("POST", f"/v1/followers/{self.client.name}/bundle")
        assert answer.status_code == 200, answer.text
        return answer.content

    def bring(self, receipt: bytes) -> Any:
        """What the master makes of a receipt."""
        answer = self.bed.ask("POST", f"/v1/followers/{self.client.name}/receipt", receipt)
        assert answer.status_code == 200, answer.text
        return answer.json()
