"""Where webhooks may lead, and where not."""

import ipaddress

import pytest

from crm_analytics.webhook.addresses import check_url, host_of, may_reach, port_of
from crm_analytics.webhook.rules import AddressRefused

NET = ipaddress.ip_network

INSIDE = [
    "0.0.0.0",
    "10.1.2.3",
    "100.64.0.1",
    "100.100.100.200",
    "127.0.0.1",
    "127.255.255.254",
    "168.63.129.16",
    "169.254.169.254",
    "172.16.0.1",
    "172.31.255.255",
    "192.0.0.192",
    "192.168.1.1",
    "198.18.0.1",
    "224.0.0.1",
    "239.255.255.255",
    "240.0.0.1",
    "255.255.255.255",
    "::",
    "::1",
    "::127.0.0.1",
    "::ffff:127.0.0.1",
    "::ffff:10.0.0.1",
    "::ffff:169.254.169.254",
    "64:ff9b::7f00:1",
    "64:ff9b::a9fe:a9fe",
    "64:ff9b:1::a00:1",
    "2001::1",
    "2002:7f00:1::",
    "fc00::1",
    "fd00:ec2::254",
    "fe80::1",
    "fe80::1%1",
    "fec0::1",
    "ff02::1",
]
OUTSIDE = [
    "8.8.8.8",
    "93.184.216.34",
    "172.32.0.1",
    "100.128.0.1",
    "2606:4700::1111",
    "::ffff:8.8.8.8",
    "64:ff9b::808:808",
]


@pytest.mark.requirement("PL-43")
@pytest.mark.parametrize("address", INSIDE)
def test_inside_addresses_are_refused(address: str) -> None:
    assert not may_reach(ipaddress.ip_address(address), ())


@pytest.mark.parametrize("address", OUTSIDE)
def test_public_addresses_are_reached(address: str) -> None:
    assert may_reach(ipaddress.ip_address(address), ())


def test_a_deployment_may_allow_networks_inside_and_nothing_besides() -> None:
    allowed = [NET("10.20.0.0/16"), NET("fd00:20::/32")]
    for address, reached in (
        ("10.20.255.1", True),
        ("::ffff:10.20.0.1", True),
        ("10.21.0.1", False),
        ("fd00:20::1", True),
        ("fd00:21::1", False),
        ("127.0.0.1", False),
    ):
        assert may_reach(ipaddress.ip_address(address), allowed) is reached, address


@pytest.mark.requirement("PL-43")
@pytest.mark.parametrize(
    "url",
    [
        "http://receiver.example/",
        "ftp://receiver.example/",
        "file:///etc/passwd",
        "https://",
        "https:///path",
        "receiver.example/path",
        "https://user:secret@receiver.example/",
        "https://user@receiver.example/",
        "https://@receiver.example/",
        "https://receiver.example/#part",
        "https://receiver.example:22/",
        "https://receiver.example:25/",
        "https://receiver.example:0/",
        "https://receiver.example:65536/",
        "https://127.0.0.1/",
        "https://[::1]/",
        "https://[::ffff:127.0.0.1]/",
        "https://169.254.169.254/latest/meta-data",
        "https://receiver.example\\@127.0.0.1/",
        "https://receiver.example /",
        "https://receiver.example/\n",
        "https://例え.jp/",
        "https://" + "a" * 2048,
        "javascript:alert(1)",
        "",
    ],
)
def test_such_an_address_is_refused(url: str) -> None:
    with pytest.raises(AddressRefused) as refused:
        check_url(url, allow_http=False, allowed=(), pointer="/url")
    assert [error.pointer for error in refused.value.errors] == ["/url"]


@pytest.mark.parametrize(
    ("url", "host", "port"),
    [
        ("https://receiver.example/hooks/crm?key=1", "receiver.example", 443),
        ("https://Receiver.Example:443/", "receiver.example", 443),
        ("https://receiver.example:8443/", "receiver.example", 8443),
        ("https://xn--r8jz45g.jp/", "xn--r8jz45g.jp", 443),
        ("https://8.8.8.8/", "8.8.8.8", 443),
        ("https://[2606:4700::1111]:8443/", "2606:4700::1111", 8443),
    ],
)
def test_such_an_address_is_taken(url: str, host: str, port: int) -> None:
    found = check_url(url, allow_http=False, allowed=(), pointer="/url")
    assert (host_of(found), port_of(found)) == (host, port)


def test_http_and_inside_addresses_are_for_deployments_that_allow_them() -> None:
    check_url("http://receiver.example/", allow_http=True, allowed=(), pointer="/url")
    check_url("https://127.0.0.1/", allow_http=False, allowed=[NET("127.0.0.0/8")], pointer="/url")
