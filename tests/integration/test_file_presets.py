"""A user of another system finds its files: the same folders, names, owners, modes and blocks (written down here)."""

from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest

from certline_follower.presets import PRESETS
from tests.integration.files_bed import P256, RSA, FilesHost, root, version_of
from tests.testbed.parts import require
from tests.unit.follower.makers import NOW

BOTH = 'key_types = ["rsa-2048", "ecdsa-p256"]\n'


def line(preset: str, more: str = "", name: str = "shop") -> str:
    """The group `daemon` is on every system; where a preset has one of its own that is looked at apart."""
    return f'[[line]]\nname = "{name}"\npreset = "{preset}"\ndir = "etc"\nowner = "root"\ngroup = "daemon"\n{more}'


def installed(folder: Path, text: str, *versions: int) -> FilesHost:
    require("root")
    (folder / "roots").mkdir()
    for kind in ("rsa", "ecdsa"):
        (folder / "roots" / f"root_cert.{kind}.pem").write_text(root().pem)
    host = FilesHost(folder, text)
    for version in versions:
        types = (RSA, P256) if BOTH in text else (P256,)
        host.install(*(version_of("shop", version, one) for one in types))
    return host


ACMEBOT = """\
0755 root:daemon certs/
0644 root:daemon certs/shop+root.ecdsa.pem: certificate intermediate root dh ec
0644 root:daemon certs/shop+root.rsa.pem: certificate intermediate root dh ec
0644 root:daemon certs/shop.ecdsa.pem: certificate intermediate dh ec
0644 root:daemon certs/shop.rsa.pem: certificate intermediate dh ec
0644 root:daemon certs/shop_chain.ecdsa.pem: intermediate
0644 root:daemon certs/shop_chain.rsa.pem: intermediate
0750 root:daemon params/
0640 root:daemon params/shop_param.pem: dh ec
0750 root:daemon private/
0640 root:daemon private/shop.ecdsa.key: key
0640 root:daemon private/shop.rsa.key: key
0640 root:daemon private/shop_full.ecdsa.key: key certificate intermediate dh ec
0640 root:daemon private/shop_full.rsa.key: key certificate intermediate dh ec
"""


def test_the_tree_of_acmebot(tmp_path: Path) -> None:
    host = installed(tmp_path, line("acmebot", BOTH + 'root_file = "roots/root_cert{suffix}.pem"\n'), 1)
    assert host.tree() == ACMEBOT.splitlines()


def test_acmebot_gives_its_files_to_root_and_the_group_ssl_cert() -> None:
    assert {name: PRESETS["acmebot"].line[name] for name in ("owner", "group")} == {
        "owner": "root",
        "group": "ssl-cert",
    }
    assert PRESETS["acmebot"].folder == "/etc/ssl"


def test_acmebot_archives_what_it_replaces_by_name_and_time(tmp_path: Path) -> None:
    """2.1 line 27: each old file is in archive/<key>/<time>/."""
    host = installed(tmp_path, line("acmebot", BOTH), 1)
    before = {path.name: path.read_bytes() for path in (tmp_path / "etc").rglob("*shop*") if path.is_file()}
    host.install(version_of("shop", 2, RSA), version_of("shop", 2, P256))
    when = tmp_path / "etc" / "archive" / "shop" / "2026_11_22_130000"
    changed = ("shop.ecdsa.pem", "shop.rsa.pem", "shop_full.ecdsa.key", "shop_full.rsa.key")
    assert {path.name: path.read_bytes() for path in when.iterdir()} == {name: before[name] for name in changed}
    assert oct(when.stat().st_mode & 0o777) == "0o750"


CERTBOT = """\
0700 root:daemon archive/
0755 root:daemon archive/shop/
0644 root:daemon archive/shop/cert1.pem: certificate
0644 root:daemon archive/shop/cert2.pem: certificate
0644 root:daemon archive/shop/chain1.pem: intermediate
0644 root:daemon archive/shop/chain2.pem: intermediate
0644 root:daemon archive/shop/fullchain1.pem: certificate intermediate
0644 root:daemon archive/shop/fullchain2.pem: certificate intermediate
0600 root:daemon archive/shop/privkey1.pem: key
0600 root:daemon archive/shop/privkey2.pem: key
0700 root:daemon live/
0755 root:daemon live/shop/
link live/shop/cert.pem -> ../../archive/shop/cert2.pem
link live/shop/chain.pem -> ../../archive/shop/chain2.pem
link live/shop/fullchain.pem -> ../../archive/shop/fullchain2.pem
link live/shop/privkey.pem -> ../../archive/shop/privkey2.pem
"""


def test_the_tree_of_certbot(tmp_path: Path) -> None:
    assert installed(tmp_path, line("certbot"), 1, 2).tree() == CERTBOT.splitlines()


TINY = """\
0755 root:root mycerts/
0755 root:daemon mycerts/letsencrypt/
0644 root:daemon mycerts/letsencrypt/live.chain: intermediate
0644 root:daemon mycerts/letsencrypt/live.crt: certificate
0644 root:daemon mycerts/letsencrypt/live.crt+chain: certificate intermediate
0644 root:daemon mycerts/letsencrypt/live.crt+dh: certificate dh
0755 root:root old/
0700 root:root old/letsencrypt/
0644 root:daemon old/letsencrypt/live.crt+chain.2026-11-22.0: certificate intermediate
0644 root:daemon old/letsencrypt/live.crt+dh.2026-11-22.0: certificate dh
0644 root:daemon old/letsencrypt/live.crt.2026-11-22.0: certificate
0755 root:root private/
0710 root:daemon private/letsencrypt/
0640 root:daemon private/letsencrypt/live.key: key
"""
STAGED = """\
0644 root:daemon mycerts/letsencrypt/staging.crt: certificate
0640 root:daemon private/letsencrypt/staging.key: key
"""


def test_the_tree_of_lets_encrypt_tiny(tmp_path: Path) -> None:
    """2.3 line 1: the folders' modes; the files that its hook makes."""
    assert installed(tmp_path, line("tiny"), 1, 2).tree() == TINY.splitlines()


def test_a_staged_version_lies_beside_the_live_one_until_it_is_live(tmp_path: Path) -> None:
    """2.3 lines 6 and 8: staging replaces live, the old files are in the backups."""
    host = installed(tmp_path, line("tiny"), 1, 2)
    live, coming = version_of("shop", 2), version_of("shop", 3, key_name="new")
    host.install(live, replace(coming, staged=True))
    assert sorted(host.tree()) == sorted([*TINY.splitlines(), *STAGED.splitlines()])
    assert host.read("etc/private/letsencrypt/staging.key") == coming.key_pem
    assert host.read("etc/private/letsencrypt/live.key") == live.key_pem
    host.install(coming)
    assert not (tmp_path / "etc/private/letsencrypt/staging.key").exists()
    assert not (tmp_path / "etc/mycerts/letsencrypt/staging.crt").exists()
    assert host.read("etc/private/letsencrypt/live.key") == coming.key_pem
    assert host.read("etc/old/letsencrypt/live.key.2026-11-23.0") == live.key_pem


def test_two_backups_of_one_day_have_two_names(tmp_path: Path) -> None:
    """2.3 line 14."""
    host = installed(tmp_path, line("tiny"), 1)
    pems = [version_of("shop", version).chain_pem for version in (1, 2)]
    host.install(version_of("shop", 2))
    host.clock.set(NOW + timedelta(days=2, hours=2))
    host.installer.install(host.render([version_of("shop", 3)]))
    old = tmp_path / "etc" / "old" / "letsencrypt"
    kept = [(old / f"live.crt+chain.2026-11-22.{number}").read_text() for number in (0, 1)]
    assert kept == pems


DEHYDRATED = """\
0700 root:daemon certs/
0700 root:daemon certs/shop/
0600 root:daemon certs/shop/cert-1795262400.pem: certificate
0600 root:daemon certs/shop/cert-1795348800.pem: certificate
link certs/shop/cert.pem -> cert-1795348800.pem
0600 root:daemon certs/shop/chain-1795262400.pem: intermediate
0600 root:daemon certs/shop/chain-1795348800.pem: intermediate
link certs/shop/chain.pem -> chain-1795348800.pem
0600 root:daemon certs/shop/fullchain-1795262400.pem: certificate intermediate
0600 root:daemon certs/shop/fullchain-1795348800.pem: certificate intermediate
link certs/shop/fullchain.pem -> fullchain-1795348800.pem
0600 root:daemon certs/shop/privkey-1795262400.pem: key
0600 root:daemon certs/shop/privkey-1795348800.pem: key
link certs/shop/privkey.pem -> privkey-1795348800.pem
"""


def test_the_tree_of_dehydrated(tmp_path: Path) -> None:
    assert installed(tmp_path, line("dehydrated"), 1, 2).tree() == DEHYDRATED.splitlines()


LEMATT = """\
0750 root:daemon private/
0640 root:daemon private/shop-key-prime256v1.pem: key
0640 root:daemon private/shop-key-rsa2048.pem: key
link private/shop.example.org-key-prime256v1.pem -> shop-key-prime256v1.pem
link private/shop.example.org-key-rsa2048.pem -> shop-key-rsa2048.pem
link private/www.shop.example.org-key-prime256v1.pem -> shop-key-prime256v1.pem
link private/www.shop.example.org-key-rsa2048.pem -> shop-key-rsa2048.pem
0644 root:daemon shop-cert-combined-prime256v1.pem: certificate intermediate
0644 root:daemon shop-cert-combined-rsa2048.pem: certificate intermediate
link shop.example.org-cert-combined-prime256v1.pem -> shop-cert-combined-prime256v1.pem
link shop.example.org-cert-combined-rsa2048.pem -> shop-cert-combined-rsa2048.pem
link www.shop.example.org-cert-combined-prime256v1.pem -> shop-cert-combined-prime256v1.pem
link www.shop.example.org-cert-combined-rsa2048.pem -> shop-cert-combined-rsa2048.pem
"""


def test_the_tree_of_lematt_with_a_link_for_each_name(tmp_path: Path) -> None:
    """2.0 line 26: each name has a link to the combined certificate and key."""
    assert installed(tmp_path, line("lematt", BOTH), 1, 2).tree() == LEMATT.splitlines()


def test_a_line_that_is_called_as_its_only_name_has_the_file_itself_there(tmp_path: Path) -> None:
    host = installed(tmp_path, line("lematt", 'file_name = "shop.example.org"\n'))
    host.install(version_of("shop", 1, names=("shop.example.org",)))
    assert not [told for told in host.tree() if told.startswith("link")]
    assert host.labels("etc/shop.example.org-cert-combined-prime256v1.pem") == ["certificate", "intermediate"]


DATED = """\
0644 root:daemon shop-2026_11_21_120000.pem: certificate
0644 root:daemon shop-2026_11_22_120000.pem: certificate
0644 root:daemon shop-chain.pem: intermediate
link shop.pem -> shop-2026_11_22_120000.pem
"""


def test_the_tree_of_the_personal_client(tmp_path: Path) -> None:
    """2.2 lines 4 and 8: a dated file, the chain replaced, the link on the newest, the older one still there."""
    assert installed(tmp_path, line("dated"), 1, 2).tree() == DATED.splitlines()


@pytest.mark.parametrize("preset", PRESETS)
def test_a_preset_goes_back_file_by_file(tmp_path: Path, preset: str) -> None:
    """Rollback restores every file; what has a date in its name stays, and the links lead back."""
    host = installed(tmp_path, line(preset, BOTH), 1)
    before = set(host.tree())
    contents = {path: path.read_bytes() for path in (tmp_path / "etc").rglob("*") if path.is_file()}
    former = host.installer.live()
    host.install(version_of("shop", 2, RSA), version_of("shop", 2, P256))
    assert former is not None
    host.installer.rollback_to(former.number)
    assert before <= set(host.tree())
    assert {path: path.read_bytes() for path in contents} == contents


@pytest.mark.parametrize("preset", PRESETS)
def test_files_of_the_other_system_are_taken_over_where_they_lie(tmp_path: Path, preset: str) -> None:
    """Its own files and links stand there when certline begins."""
    text = line(preset, BOTH + "[line.archive]\nkeep = 0\n")
    model, taken = installed(_folder(tmp_path, "model"), text, 1), FilesHost(_folder(tmp_path, "taken"), text)
    for path in sorted((model.folder / "etc").rglob("*")):
        place = taken.folder / path.relative_to(model.folder)
        place.parent.mkdir(parents=True, exist_ok=True)
        if path.is_symlink():
            place.symlink_to("elsewhere.pem")
        elif path.is_file():
            place.write_text("made by the other system\n")
    taken.install(version_of("shop", 1, RSA), version_of("shop", 1, P256))
    files = [[told for told in host.tree() if not told.endswith("/")] for host in (model, taken)]
    assert files[0] == files[1]


def test_a_preset_takes_other_suffixes_owner_and_folder(tmp_path: Path) -> None:
    host = installed(
        tmp_path, line("acmebot", BOTH + 'dh = "none"\nec = "none"\nsuffixes = { rsa = "-r", ecdsa = "" }\n'), 1
    )
    assert host.labels("etc/certs/shop.pem") == ["certificate", "intermediate"]
    assert host.labels("etc/certs/shop-r.pem") == ["certificate", "intermediate"]
    assert not (tmp_path / "etc" / "params" / "shop_param.pem").exists()


def test_a_wildcard_in_a_name_is_made_safe(tmp_path: Path) -> None:
    host = installed(tmp_path, line("certbot", 'file_name = "*.example.org"\n'), 1)
    assert host.labels("etc/live/_.example.org/cert.pem") == ["certificate"]
    installed_links = installed(_folder(tmp_path, "links"), line("lematt"))
    installed_links.install(version_of("shop", 1, names=("*.example.org", "example.org")))
    assert installed_links.labels("etc/_.example.org-cert-combined-prime256v1.pem") == ["certificate", "intermediate"]


def _folder(folder: Path, name: str) -> Path:
    (folder / name).mkdir()
    return folder / name
