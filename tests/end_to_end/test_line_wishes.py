"""What a line wishes of its certificates, with real parts: key types, common name, age, a request made elsewhere."""

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec, rsa

from certline_shared.keys import KeyType, generate, make_csr, to_pem
from tests.end_to_end.harness import Bed, fleet
from tests.end_to_end.host import CHANGED, HostLine
from tests.end_to_end.master import MasterProcess
from tests.end_to_end.waiting import eventually
from tests.unit.master.requests import in_pem

WWW, SHOP = "www.example.test", "shop.example.test"


KINDS = ("rsa-3072", "ecdsa-p521")
OUTPUT = """[[line.output]]
kind = "fullchain"
path = "{0}"
key_type = "{1}"
"""


def leaf(pem: bytes | None) -> x509.Certificate:
    return x509.load_pem_x509_certificate(pem or b"")


def serial(pem: bytes | None) -> str:
    return f"{leaf(pem).serial_number:x}" if pem else ""


def live_leaves(master: MasterProcess, line: str) -> dict[str, str]:
    """Key type -> serial, of the live version."""
    found = master.line(line) or {"versions": []}
    live = [version for version in found["versions"] if version["state"] == "live"]
    return {one["key_type"]: one["serial"] for version in live[:1] for one in version["certificates"]}


def test_rsa_and_p521_are_issued_each_by_its_own_order_and_installed_together(here: Bed) -> None:
    """2.0 line 3, 2.1 line 24."""
    wished = {
        "follower": "web",
        "names": {"example.test": ["www", "shop"]},
        "key_types": list(KINDS),
    }
    master = here.serving({"web": []}, lines={"www": wished})
    host = here.enrolled(master, "web")
    host.configure(HostLine("www", outputs={}))
    settings = host.config_file.read_text().replace('key_type = "ecdsa-p256"', 'key_types = ["rsa-3072", "ecdsa-p521"]')
    host.config_file.write_text(settings + "".join(OUTPUT.format(host.tls / kind, kind) for kind in KINDS))

    host.sync().well(CHANGED)

    made = live_leaves(master, "www")
    assert {kind: serial(host.output(kind)) for kind in KINDS} == made
    kinds = {kind: type(leaf(host.output(kind)).public_key()) for kind in KINDS}
    assert issubclass(kinds["rsa-3072"], rsa.RSAPublicKey)
    assert issubclass(kinds["ecdsa-p521"], ec.EllipticCurvePublicKey)


def test_another_common_name_is_asked_of_the_host_and_issued_for(here: Bed) -> None:
    """2.1 line 22."""
    lines = {"www": {"follower": "web", "names": [WWW, SHOP]}}
    master = here.serving({"web": []}, lines=lines)
    host = here.enrolled(master, "web")
    host.configure(HostLine("www"))
    host.start()
    first = master.issued("www")

    lines["www"]["common_name"] = SHOP
    master.set_fleet(fleet(here.ca, {"web": []}, lines=lines))

    second = master.issued("www", after=first)
    eventually(lambda: second in str(serial(host.output("fullchain.pem"))), 10, "the new one on the host")
    reason = (master.line("www") or {})["versions"][0]["reason"]
    assert reason == "the common name or Must-Staple changed"


def test_a_request_made_elsewhere_is_issued_for_and_its_key_never_leaves_its_file(here: Bed) -> None:
    """2.2 line 1."""
    key = generate(KeyType.ECDSA_P384)
    master = here.master()
    (master.folder / "www.csr").write_text(in_pem(make_csr(key, (WWW, SHOP))))
    master.start()
    wished = fleet(here.ca, {"web": []}, lines={"www": {"follower": "web", "csr": "file:www.csr"}})
    told = master.apply(wished).well().out
    host = here.enrolled(master, "web")
    key_file = host.folder / "elsewhere.pem"
    key_file.write_bytes(to_pem(key))
    key_file.chmod(0o600)
    host.configure(HostLine("www", key_type="ecdsa-p384"))
    text = host.config_file.read_text()
    host.config_file.write_text(text.replace('name = "www"\n', f'name = "www"\nkey_file = "{key_file}"\n'))
    made = master.issued("www")

    host.sync().well(CHANGED)

    assert f"{WWW}" in told
    assert SHOP in told
    assert serial(host.output("fullchain.pem")) == made
    assert key_file.read_bytes() == to_pem(key)


def test_warnings_are_told_by_the_files_line_and_stop_nothing(here: Bed) -> None:
    master = here.master()
    master.start()
    line = {"follower": "web", "names": [WWW], "renew_before": "60%"}

    done = master.apply(fleet(here.ca, {"web": []}, lines={"www": line})).well()

    assert "warning: lines.www.renew_before: 60% is more than half the lifetime" in done.err
    shown = master.command("line", "show", "www").well().out
    assert "renew_before" in shown
    assert "60%" in shown
