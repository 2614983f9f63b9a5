"""Which addresses the master may ask over HTTPS, and how their hosts may be written (security note, T13)."""

import re
from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network
from pathlib import Path

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

import certline_master
from certline_master.ca.origin import Origin
from certline_master.domain.errors import CaUnreachable
from certline_master.domain.model import FailureClass
from certline_master.domain.outbound import ANYWHERE, Address, BadHost, Outbound, host_of, place_of, special

NOTHING_PRIVATE = Outbound()
HOST = "ca.example"

OFF_LIMITS = [
    "127.0.0.1", "127.255.255.254", "10.0.0.1", "172.16.0.1", "172.31.255.255", "192.168.1.1", "100.64.0.1",
    "100.100.100.200", "169.254.169.254", "168.63.129.16", "192.0.0.192", "0.0.0.0", "0.1.2.3", "224.0.0.1",
    "239.255.255.250", "240.0.0.1", "255.255.255.255", "198.18.0.1", "192.0.2.1", "198.51.100.7", "203.0.113.9",
    "192.88.99.1", "::", "::1", "fe80::1", "fe80::1%eth0", "fec0::1", "fc00::1", "fd00:ec2::254", "ff02::1",
    "2001:db8::1", "3fff::1", "100::1", "5f00::1", "4000::1",
    "::ffff:127.0.0.1", "::ffff:10.0.0.1", "::ffff:169.254.169.254", "::127.0.0.1", "::ffff:0:127.0.0.1",
    "64:ff9b::127.0.0.1", "64:ff9b::a9fe:a9fe", "64:ff9b:1::7f00:1", "2002:7f00:1::1", "2002:a00:1::",
    "2001:0:7f00:1::1", "2001:0:4136:e378:8000:63bf:80ff:fffe",
]  # fmt: skip
PUBLIC = [
    "8.8.8.8", "172.15.255.255", "172.32.0.1", "100.63.255.255", "100.128.0.1", "169.253.0.1", "168.63.129.17",
    "192.0.1.1", "223.255.255.255", "2606:4700::1111", "2a00:1450:4001::1", "2001:200::1", "::ffff:8.8.8.8",
    "64:ff9b::8.8.8.8", "2002:808:808::1",
]  # fmt: skip


@pytest.mark.parametrize("address", OFF_LIMITS)
def test_what_is_not_on_the_public_internet_is_off_limits_in_any_spelling(address: str) -> None:
    assert NOTHING_PRIVATE.why_not(HOST, address)


@pytest.mark.parametrize("address", PUBLIC)
def test_the_public_internet_may_be_asked(address: str) -> None:
    assert NOTHING_PRIVATE.why_not(HOST, address) is None


@given(st.ip_addresses(v=4))
@example(IPv4Address("192.0.0.9"))
@example(IPv4Address("100.64.0.1"))
def test_an_ipv4_address_is_public_as_the_registries_have_it(address: IPv4Address) -> None:
    stricter = [ip_network(text) for text in ("192.0.0.0/24", "192.88.99.0/24", "168.63.129.16/32")]
    is_public = address.is_global and not address.is_multicast and not any(address in one for one in stricter)
    assert (special(address) is None) == is_public


@given(st.one_of(st.ip_addresses(v=6), st.ip_addresses(v=6, network="2000::/3"), st.ip_addresses(v=6, network="::/8")))
def test_no_ipv6_address_is_public_that_python_knows_to_be_special(address: IPv6Address) -> None:
    spelt = address in ip_network("::ffff:0:0/96") or address in ip_network("64:ff9b::/96")
    if spelt:
        assert (special(address) is None) == (special(IPv4Address(int(address) & 0xFFFFFFFF)) is None)
    elif address not in ip_network("2000::/3") or not address.is_global or address.is_multicast:
        assert special(address)


@given(
    st.one_of(st.sampled_from(OFF_LIMITS), st.ip_addresses(v=4).map(str)),
    st.sampled_from([0xFFFF << 32, 0x64FF9B << 96]),
)
def test_an_ipv4_address_in_ipv6_clothes_is_judged_as_what_it_is(text: str, clothes: int) -> None:
    plain = ip_address(text.partition("%")[0])
    if isinstance(plain, IPv4Address):
        assert (special(IPv6Address(clothes | int(plain))) is None) == (special(plain) is None)


def test_only_these_modules_of_the_master_ask_outside() -> None:
    """One way for HTTPS, the one that is judged; DNS; our own http-01 listener; the commands' way to their master; and
    the syslog of the settings. Whoever adds another says here why it cannot be led astray.
    """
    asking = re.compile(
        r"\.connect(_ex)?\((?!\))|create_connection|open_connection|HTTPS?Connection|urlopen|getaddrinfo\(|gethostby|"
        r"dns\.query\.\w+\(|dns\.resolver\.Resolver\(|httpx\.\w*(Client|get|post)\(|SysLogHandler|\.sendto\("
    )
    folder = Path(certline_master.__file__).parent
    found = {str(path.relative_to(folder)) for path in folder.rglob("*.py") if asking.search(path.read_text())}
    assert found == {
        "audit_sinks.py", "ca/dialling.py", "challenges/asking.py", "challenges/dns_server.py", "challenges/http01.py",
        "challenges/resolver.py", "challenges/rfc2136.py", "cli/client.py",
    }  # fmt: skip


# --- what the operator names ----------------------------------------------------------------------------------------


def test_a_named_host_may_be_anywhere_and_no_other_host_beside_it() -> None:
    outbound = Outbound.of(["CA.Internal.Example.", "localhost"])
    for host in ("ca.internal.example", "localhost"):
        assert outbound.why_not(host, "10.0.0.1") is None
        assert outbound.why_not(host, "::1") is None
    for host in ("internal.example", "x.ca.internal.example", "ca.internal.example.evil.example", "localhost.evil"):
        assert outbound.why_not(host, "10.0.0.1") == "a private address"


def test_a_named_network_may_be_asked_by_any_host_also_in_the_clothes_of_a_dual_socket() -> None:
    outbound = Outbound.of(["10.2.0.0/16", "fd12::/48", "192.168.0.7", "::1"])
    for address in ("10.2.3.4", "::ffff:10.2.3.4", "fd12::1", "192.168.0.7", "::1"):
        assert outbound.why_not(HOST, address) is None, address
    for address in ("10.3.0.1", "::ffff:10.3.0.1", "fd13::1", "192.168.0.8", "127.0.0.1", "64:ff9b::10.2.3.4"):
        assert outbound.why_not(HOST, address), address


@given(st.ip_addresses())
def test_without_a_policy_all_may_be_asked(address: Address) -> None:
    assert ANYWHERE.why_not(HOST, str(address)) is None


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("10.0.0.1/8", "write 10.0.0.0/8 for the network"),
        ("10.0.0.0/33", "is no network"),
        ("https://ca.internal.example", "is no network"),
        ("ca.internal.example:8443", "neither a host nor a network"),
        ("*.internal.example", "neither a host nor a network"),
        ("127.1", "neither a host nor a network"),
        ("", "neither a host nor a network"),
    ],
)
def test_what_names_neither_host_nor_network_is_told(text: str, told: str) -> None:
    with pytest.raises(ValueError, match=told):
        place_of(text)


# --- how a host may be written --------------------------------------------------------------------------------------

ODD_HOSTS = [
    "2130706433", "0177.0.0.1", "0x7f000001", "0x7f.0.0.1", "127.1", "127.0.1", "0", "00000177.1", "127.0.0.1.",
    "127.0.0.0x1", "1.2.3.0x", "017700000001", "localhost.", "ca.example.", "127.0.0.1%2f", "%31%32%37.0.0.1",
    "fe80::1%eth0", "::ffff:127.1", "::1]", "[::1]", "ca..example", ".ca.example", "-ca.example", "ca example", "",
    "ca\\example", "127。0。0。1", "ｌocalhost", "①②⑦.0.0.1", "127.0.0.1\n", "évil.example", "a" * 64, "a." * 127 + "a",
    "ca.example/", "a@b",
]  # fmt: skip


@pytest.mark.parametrize("text", ODD_HOSTS)
def test_a_host_that_only_a_resolver_would_understand_is_refused(text: str) -> None:
    with pytest.raises(BadHost):
        host_of(text)


@pytest.mark.parametrize(
    ("text", "normal"),
    [
        ("CA.Example", "ca.example"), ("LOCALHOST", "localhost"), ("xn--bcher-kva.example", "xn--bcher-kva.example"),
        ("127.0.0.1", "127.0.0.1"), ("2001:DB8:0::1", "2001:db8::1"), ("0:0::1", "::1"),
        ("ca_1.example", "ca_1.example"), ("::FFFF:127.0.0.1", "::ffff:7f00:1"), ("3com", "3com"),
    ],
)  # fmt: skip
def test_a_plain_host_is_brought_into_normal_form(text: str, normal: str) -> None:
    assert host_of(text) == normal


@given(st.text(st.characters(codec="utf-8"), max_size=40))
def test_what_comes_out_is_plain_and_stays_as_it_is(text: str) -> None:
    try:
        host = host_of(text)
    except BadHost:
        return
    assert host_of(host) == host
    assert host.isascii()
    assert not set(host) & set("/\\@#?% []\r\n")


@pytest.mark.parametrize(
    "url",
    ["https://2130706433/dir", "https://0x7f.1/dir", "https://127.1:14000/dir", "https://localhost./dir",
     "https://good@127.0.0.1/dir", "https://good.example\\@127.0.0.1/dir", "https://:@127.0.0.1/",
     "https://127.0.0.1\t/dir", "https://[fe80::1%25eth0]/dir", "https://[::1/dir", "https://ca.example:0/dir",
     "https://127。0。0。1/dir", "https:///127.0.0.1/dir", "https:127.0.0.1/dir"],
)  # fmt: skip
def test_a_directory_url_with_an_odd_host_is_refused_before_anybody_is_asked(url: str) -> None:
    with pytest.raises(CaUnreachable) as caught:
        Origin.of_directory(url)
    assert caught.value.failure is FailureClass.FIX_CONFIGURATION


def test_the_host_before_a_number_sign_is_the_host() -> None:
    assert Origin.of_directory("https://good.example#@127.0.0.1/").host == "good.example"
    assert Origin.of_directory("https://good.example?@127.0.0.1/").host == "good.example"
