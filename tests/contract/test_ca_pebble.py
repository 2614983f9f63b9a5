"""The ACME client with a Pebble that is rough, forgetful, reusing, or has something to say on renewal."""

import json
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, contextmanager
from dataclasses import replace
from datetime import datetime, timedelta

import pytest
from cryptography import x509

from certline_master.ca.chains import topmost_issuer
from certline_master.ca.directory_client import DirectoryClient
from certline_master.domain.errors import CaRefused, CaUnreachable
from certline_master.domain.model import FailureClass
from certline_master.domain.ports import RenewalWindow
from certline_shared import keys
from certline_shared.certificates import ari_certificate_id, read_chain
from tests.contract.ca_bed import Bed, csr_for, pebble_bed
from tests.testbed.challtestsrv import ChallTestSrv, challtestsrv
from tests.testbed.parts import require
from tests.testbed.pebble import Mood, Pebble, pebble

Start = Callable[..., AbstractContextManager[tuple[Bed, Pebble]]]


@pytest.fixture(scope="module")
def dns() -> Iterator[ChallTestSrv]:
    require("pebble")
    with challtestsrv() as running:
        yield running


@pytest.fixture
def start(dns: ChallTestSrv) -> Start:
    """Starts a Pebble as a test wants it, with an account there."""

    @contextmanager
    def started(mood: Mood = "calm", env: Mapping[str, str] | None = None) -> Iterator[tuple[Bed, Pebble]]:
        with pebble(mood, dns_server=dns.dns_address, env=env, strict=True) as ca, pebble_bed(ca, dns) as bed:
            yield bed.registered(), ca

    return started


@pytest.fixture(scope="module")
def calm(dns: ChallTestSrv) -> Iterator[tuple[Bed, Pebble]]:
    """One calm Pebble for the tests that leave it as it is."""
    with pebble("calm", dns_server=dns.dns_address) as ca, pebble_bed(ca, dns) as bed:
        yield bed.registered(), ca


def test_certificates_come_from_a_rough_ca_too(start: Start) -> None:
    """Cases 22, 31, 32: slow validation, 25 % of nonces refused, some authorizations reused, strict mode; what it says
    about waiting is 3 to 5 seconds, whether it writes seconds or a date."""
    with start("rough") as (bed, _):
        order = bed.ca.open(["wait.rough.example.org"], profile="classic", replaces=None)
        bed.prove(order)
        ready = bed.look_until(order.url, "ready")
        busy = bed.ca.finalize(ready, csr_for(["wait.rough.example.org"]))
        assert busy.status == "processing"
        assert busy.retry_at is not None
        assert timedelta(seconds=2) < busy.retry_at - bed.clock.now() <= timedelta(seconds=5)
        names = [f"host{number}.rough.example.org" for number in range(8)]
        with ThreadPoolExecutor(8) as threads:
            chains = list(threads.map(lambda name: bed.issue([name]), names))
        assert [read_chain(chain).names for chain in chains] == [(name,) for name in names]


def test_an_order_whose_authorization_is_reused_is_ready_at_once_and_takes_four_round_trips(start: Start) -> None:
    """Case 10: newOrder, finalize, look, download; no challenge is touched."""
    with start(env={"PEBBLE_AUTHZREUSE": "100"}) as (bed, _):
        bed.issue(["reused.example.org"])
        before = bed.counts()
        order = bed.ca.open(["reused.example.org"], profile="classic", replaces=None)
        assert order.status == "ready"
        view = bed.ca.finalize(order, csr_for(["reused.example.org"]))
        view = view if view.status == "valid" else bed.look_until(order.url, "valid")
        assert view.certificate_url
        bed.ca.fetch(view.certificate_url, preferred_chain=None)
        spent = bed.counts() - before
        assert {kind: spent[kind] for kind in spent if kind != "order"} == dict.fromkeys(
            ("newOrder", "finalize", "certificate"), 1
        )


def test_of_ten_names_only_those_pending_need_a_proof_when_the_ca_reuses_some(start: Start) -> None:
    """Case 10."""
    names = [f"half{number}.example.org" for number in range(10)]
    with start(env={"PEBBLE_AUTHZREUSE": "50"}) as (bed, _):
        bed.issue(names)
        order = bed.ca.open(names, profile="classic", replaces=None)
        states = {bed.ca.authorization(url).status for url in order.authorization_urls}
        assert states <= {"valid", "pending"}
        bed.prove(order)
        assert read_chain(bed.collect(order, names)).names == tuple(sorted(names))


@pytest.mark.parametrize("percent", [50, 90])
def test_a_ca_that_refuses_most_nonces_is_asked_until_it_takes_one(start: Start, percent: int) -> None:
    """Case 15: the library fails here on 22 % of the requests at 50 %."""
    with start(env={"PEBBLE_WFE_NONCEREJECT": str(percent)}) as (bed, _):
        order = bed.ca.open(["nonces.example.org"], profile="classic", replaces=None)
        before = bed.counts()
        for _ in range(150 if percent == 50 else 15):
            bed.ca.look(order.url)
        spent = bed.counts() - before
        assert spent["newNonce"] == 0, "the nonce that comes with a refusal is the one to use"
        assert spent["order"] > (150 if percent == 50 else 15)
        chain = bed.issue(["issued.nonces.example.org"])
        assert read_chain(chain).names == ("issued.nonces.example.org",)


def test_nonces_gone_stale_cost_one_request_more(start: Start) -> None:
    """Case 16: two stale nonces, which the library does not survive."""
    with start() as (bed, ca):
        client = bed.ca
        assert isinstance(client, DirectoryClient)
        for _ in range(2):
            client._endpoint.nonces.put("c3RhbGUgYXMgYSBicmljaw")
        before = bed.counts()
        client.open(["stale.example.org"], profile="classic", replaces=None)
        assert bed.counts() - before == {"newOrder": 2}
        ca.restart()
        before = bed.counts()
        client.register(())
        assert bed.counts() - before == {"newAccount": 2}


def test_an_account_that_the_ca_has_forgotten_can_be_registered_again_with_its_key(start: Start) -> None:
    """Case 17."""
    with start() as (bed, ca):
        bed.ca.open(["before.example.org"], profile="classic", replaces=None)
        ca.restart()
        with pytest.raises(CaRefused) as caught:
            bed.ca.open(["after.example.org"], profile="classic", replaces=None)
        assert caught.value.type == "accountDoesNotExist"
        url = bed.authorities.of(bed.issuer, bed.account_key).register(())
        again = replace(bed, issuer=replace(bed.issuer, account_url=url))
        assert again.ca.open(["after.example.org"], profile="classic", replaces=None).status == "pending"


def test_an_account_that_is_deactivated_needs_a_person(calm: tuple[Bed, Pebble]) -> None:
    """Case 17."""
    bed = calm[0].registered()
    client = bed.ca
    assert isinstance(client, DirectoryClient)
    assert bed.issuer.account_url
    client._account.post("account", bed.issuer.account_url, b'{"status":"deactivated"}')
    with pytest.raises(CaRefused) as caught:
        client.open(["closed.example.org"], profile="classic", replaces=None)
    assert (caught.value.type, caught.value.failure) == ("unauthorized", FailureClass.NEEDS_PERSON)


def test_under_load_hardly_any_nonce_is_asked_for(start: Start) -> None:
    """Case 22: 60 orders by 8 workers, 5 % of nonces refused, strict mode."""
    names = [f"load{number}.example.org" for number in range(60)]
    with start(env={"PEBBLE_WFE_NONCEREJECT": "5"}) as (bed, _):
        with ThreadPoolExecutor(8) as threads:
            chains = list(threads.map(lambda name: bed.issue([name]), names))
        assert len({read_chain(chain).serial for chain in chains}) == 60
        assert bed.counts()["newNonce"] <= 16


def test_a_window_in_the_past_comes_with_the_page_that_explains_it(calm: tuple[Bed, Pebble]) -> None:
    """Case 24."""
    bed, ca = calm
    chain = bed.issue(["incident.example.org"])
    past = {"start": "2025-01-01T00:00:00Z", "end": "2025-01-02T00:00:00.123456789+02:00"}
    page = "https://ca.example/incident"
    window = _window(bed, ca, chain, {"suggestedWindow": past, "explanationURL": page})
    assert window is not None
    assert window.start == datetime.fromisoformat("2025-01-01T00:00:00+00:00")
    assert window.end == datetime.fromisoformat("2025-01-01T22:00:00.123456+00:00")
    assert window.explanation_url == page


@pytest.mark.parametrize(
    "text",
    [
        '{"suggestedWindow": {"start": "2026-01-02T00:00:00Z", "end": "2026-01-02T00:00:00Z"}}',
        '{"suggestedWindow": {"start": "2026-01-03T00:00:00Z", "end": "2026-01-02T00:00:00Z"}}',
        '{"suggestedWindow": {"start": "2026-01-02T00:00:00", "end": "2026-01-03T00:00:00"}}',
        '{"suggestedWindow": {"start": 17, "end": "tomorrow"}}',
        '{"suggestedWindow": {}}',
        '{"suggestedWindow": []}',
        '{"suggested',
        "[]",
        "null",
    ],
)
def test_a_window_that_is_none_counts_as_no_answer_for_six_hours(calm: tuple[Bed, Pebble], text: str) -> None:
    """Case 25."""
    bed, ca = calm
    chain = bed.issue(["absurd.example.org"])
    bed.look_at_window(chain)
    ca.set_renewal_info(chain, text)
    with pytest.raises(CaUnreachable) as caught:
        bed.ca.renewal_info(chain)
    assert caught.value.retry_at is not None
    assert abs(caught.value.retry_at - bed.clock.now() - timedelta(hours=6)) < timedelta(minutes=1)


def test_a_replacement_that_the_ca_does_not_like_is_opened_without_it(calm: tuple[Bed, Pebble]) -> None:
    """Case 28: of another account, for another name, or garbage; one try more, and the view tells."""
    bed = calm[0]
    former = ari_certificate_id(bed.issue(["theirs.example.org"]))
    other = bed.registered()
    for names, replaces in [
        (["theirs.example.org"], former),
        (["mine.example.org"], "garbage"),
        (["mine.example.org"], "Zm9v.YmFy"),
    ]:
        before = bed.counts()
        view = other.ca.open(names, profile="classic", replaces=replaces)
        assert view.replaces is None
        assert (bed.counts() - before)["newOrder"] == 2
    foreign = bed.ca.open(["foreign.example.org"], profile="classic", replaces=former)
    assert foreign.replaces is None


def test_the_preferred_chain_is_chosen_by_its_topmost_issuer(start: Start) -> None:
    """Case 30: three chains for one leaf; without a preference, or with one that is not there, the CA's default."""
    with start(env={"PEBBLE_ALTERNATE_ROOTS": "2", "PEBBLE_CHAIN_LENGTH": "2"}) as (bed, ca):
        order = bed.ca.open(["chains.example.org"], profile="classic", replaces=None)
        bed.prove(order)
        default = bed.collect(order, ["chains.example.org"])
        url = bed.ca.look(order.url).certificate_url
        assert url
        roots = [ca._fetch(f"{ca.management_url}/roots/{number}") for number in range(3)]
        found = {}
        for root in roots:
            name = _common_name(root)
            found[name] = bed.ca.fetch(url, preferred_chain=name)
            assert topmost_issuer(found[name]) == name
        assert len(set(found.values())) == 3
        assert len({read_chain(chain).serial for chain in found.values()}) == 1
        before = bed.counts()
        assert bed.ca.fetch(url, preferred_chain=topmost_issuer(default)) == default
        assert bed.counts() - before == {"certificate": 1}
        assert bed.ca.fetch(url, preferred_chain="Nobody's Root") == default


def test_proxies_named_in_the_environment_are_not_used(
    calm: tuple[Bed, Pebble], monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("HTTPS_PROXY", "https_proxy", "ALL_PROXY", "all_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    assert calm[0].authorities.look_at_directory(calm[0].issuer).has_renewal_info


def test_a_connection_that_the_ca_has_closed_is_not_used_again(start: Start) -> None:
    with start() as (bed, ca):
        bed.ca.open(["first.example.org"], profile="classic", replaces=None)
        ca.restart()
        bed.authorities.look_at_directory(bed.issuer)


def test_a_key_of_an_rsa_account_signs_too(calm: tuple[Bed, Pebble], rsa_key: bytes) -> None:
    bed = calm[0]
    client = bed.authorities.of(replace(bed.issuer, account_url=None), rsa_key)
    assert client.register(("mailto:admin@example.org", "other@example.org")).startswith("https://")
    assert client.open(["rsa.example.org"], profile="classic", replaces=None).status == "pending"


@pytest.fixture(scope="module")
def rsa_key() -> bytes:
    return keys.to_pem(keys.generate(keys.KeyType.RSA_2048))


def _window(bed: Bed, ca: Pebble, chain: str, answer: dict[str, object]) -> RenewalWindow | None:
    bed.look_at_window(chain)
    ca.set_renewal_info(chain, json.dumps(answer))
    return bed.ca.renewal_info(chain)


def _common_name(pem: bytes) -> str:
    subject = x509.load_pem_x509_certificate(pem).subject
    return str(subject.get_attributes_for_oid(x509.NameOID.COMMON_NAME)[0].value)
