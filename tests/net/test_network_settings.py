"""Proxies and certificates: the path to each site, and the messages if it does not work."""

import ssl
import subprocess
import sys
from pathlib import Path

import httpx
import pytest
from commands import clean_environment
from net_sites import OUTSIDE, Authority, RawSite, connect_proxy, json_answer, make_authority, saying

from connector.app.configuring import network_settings
from connector.core.addresses import is_loopback
from connector.core.errors import ConfigurationError, ConnectorError, DownError, UnreachableError
from connector.crm.salesforce import Login
from connector.crm.salesforce.client import Client
from connector.crm.salesforce.site import SalesforceCrm
from connector.net import Budget, NetworkSettings, NoAnswerError
from connector.net.exchange import exchange
from connector.net.settings import NETWORK_SETTINGS
from connector.providers.connection import Connection
from connector.providers.http import VendorHttp

PROXY = "http://proxy.example.com:3128"
VENDOR = "https://platform.lensmor.com"
ORG = "acme.my.salesforce.com"
NOWHERE = "http://127.0.0.1:1"


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return make_authority(tmp_path_factory.mktemp("authority"))


class NoPace:
    def acquire(self, *, first: bool = False) -> None:
        del first

    def pause(self, seconds: float) -> None:
        del seconds

    def limit(self, per_minute: float) -> None:
        del per_minute


def vendor(url: str, **environment: str) -> VendorHttp:
    network = NetworkSettings(environment)
    return VendorHttp("lensmor", url, {"x": "key"}, Connection(NoPace(), lambda _: None, network=network))


def failing(url: str, **environment: str) -> ConnectorError:
    http = vendor(url, **environment)
    try:
        with pytest.raises(ConnectorError) as caught:
            http.read("/x")
        return caught.value
    finally:
        http.close()


# -- which proxy -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("environment", "url", "proxy"),
    [
        ({}, VENDOR, ""),
        ({"HTTPS_PROXY": PROXY}, VENDOR, PROXY),
        ({"https_proxy": PROXY}, VENDOR, PROXY),
        ({"https_proxy": PROXY, "HTTPS_PROXY": "http://other.example.com"}, VENDOR, PROXY),
        ({"ALL_PROXY": PROXY}, VENDOR, PROXY),
        ({"HTTP_PROXY": PROXY}, VENDOR, ""),
        ({"HTTP_PROXY": PROXY}, "http://vendor.example.com", PROXY),
        ({"HTTPS_PROXY": "proxy.example.com:3128"}, VENDOR, PROXY),
        ({"HTTPS_PROXY": "  "}, VENDOR, ""),
        ({"HTTPS_PROXY": PROXY, "NO_PROXY": "lensmor.com"}, VENDOR, ""),
        ({"HTTPS_PROXY": PROXY, "no_proxy": "other.example.com, .Lensmor.com"}, VENDOR, ""),
        ({"HTTPS_PROXY": PROXY, "NO_PROXY": "*.lensmor.com"}, VENDOR, ""),
        ({"HTTPS_PROXY": PROXY, "NO_PROXY": "*"}, VENDOR, ""),
        ({"HTTPS_PROXY": PROXY, "NO_PROXY": "smor.com"}, VENDOR, PROXY),
        ({"HTTPS_PROXY": PROXY, "NO_PROXY": "platform.lensmor.com.example.com"}, VENDOR, PROXY),
        ({"HTTPS_PROXY": PROXY, "NO_PROXY": "platform.lensmor.com:443"}, VENDOR, ""),
        ({"HTTPS_PROXY": PROXY, "NO_PROXY": "platform.lensmor.com:8443"}, VENDOR, PROXY),
        ({"HTTPS_PROXY": PROXY, "NO_PROXY": "10.0.0.0/8"}, "https://10.1.2.3:8443", ""),
        ({"HTTPS_PROXY": PROXY, "NO_PROXY": "10.0.0.0/8"}, "https://11.1.2.3", PROXY),
        ({"HTTPS_PROXY": PROXY, "NO_PROXY": "fd00::/8,nonsense/99"}, "https://[fd00::1]", ""),
        ({"HTTPS_PROXY": PROXY, "NO_PROXY": ",, "}, VENDOR, PROXY),
    ],
)
def test_the_proxy_of_an_address(environment: dict[str, str], url: str, proxy: str) -> None:
    assert NetworkSettings(environment).proxy_for(url)[1] == proxy


@pytest.mark.parametrize(
    "url", ["http://127.0.0.1:8080", "https://127.8.9.1", "http://localhost", "https://[::1]:444", "http://LOCALHOST"]
)
def test_no_proxy_for_this_machine(url: str) -> None:
    everything = dict.fromkeys(("HTTPS_PROXY", "HTTP_PROXY", "ALL_PROXY", "https_proxy"), PROXY)
    assert is_loopback(url)
    assert NetworkSettings(everything).proxy_for(url) == ("", "")


@pytest.mark.parametrize(
    "url",
    [
        "http://127.0.0.1.example.com",
        "http://localhost.example.com",
        "http://10.0.0.1",
        "http://0.0.0.0",
        "x",
        "http://[",
    ],
)
def test_addresses_outside_this_machine(url: str) -> None:
    assert not is_loopback(url)


@pytest.mark.parametrize("proxy", ["socks5://proxy.example.com", "ftp://x", "http://", "http://p:notaport", "http://["])
def test_an_unusable_proxy_names_its_setting(proxy: str) -> None:
    with pytest.raises(ConfigurationError, match="HTTPS_PROXY must be the address of an HTTP proxy"):
        NetworkSettings({"HTTPS_PROXY": proxy}).transport(VENDOR)


def test_a_proxys_password_is_never_shown() -> None:
    settings = NetworkSettings({"HTTPS_PROXY": "http://user:s3cret@127.0.0.1:1"})
    assert "s3cret" not in repr(settings)
    error = failing(f"https://{OUTSIDE}", HTTPS_PROXY="http://user:s3cret@127.0.0.1:1")
    assert "s3cret" not in str(error)
    assert "cannot be reached through the proxy of HTTPS_PROXY" in str(error)


# -- through a proxy ---------------------------------------------------------------------------------------------


def test_a_vendor_behind_a_proxy_and_a_private_authority(authority: Authority) -> None:
    asked: list[bytes] = []
    seen: list[bytes] = []
    with (
        RawSite(saying(json_answer(b'{"a": 1}'), seen), authority.server) as site,
        connect_proxy({OUTSIDE: site.port}, asked) as proxy,
    ):
        address = proxy.url.replace("//", "//user:pass@")
        http = vendor(f"https://{OUTSIDE}", HTTPS_PROXY=address, SSL_CERT_FILE=str(authority.file))
        assert http.read("/x").body == {"a": 1}
        http.close()
    assert asked[0].startswith(f"CONNECT {OUTSIDE}:443 HTTP/1.1\r\n".encode())
    assert b"Proxy-Authorization: Basic dXNlcjpwYXNz" in asked[0]
    assert b"key" not in asked[0], "the proxy sees no login of the vendor"
    assert b"x: key" in seen[0]
    assert b"roxy-" not in seen[0]


def test_salesforce_behind_a_proxy_and_a_private_authority(tmp_path: Path) -> None:
    authority, asked, seen = make_authority(tmp_path, ORG), [], []  # type: ignore[var-annotated]
    token = b'{"access_token": "t", "instance_url": "x", "DailyApiRequests": {"Max": 100, "Remaining": 90}}'
    with (
        RawSite(saying(json_answer(token), seen), authority.server) as site,
        connect_proxy({ORG: site.port}, asked) as proxy,
    ):
        network = NetworkSettings({"HTTPS_PROXY": proxy.url, "REQUESTS_CA_BUNDLE": str(authority.file)})
        login = Login(f"https://{ORG}", client_id="id", client_secret="secret")
        crm = SalesforceCrm(Client(login, "67.0", 20, lambda _: None, network))
        crm.login()
        assert crm.usage().daily_limit == 100
        crm.close()
    assert [request.split(b" ")[1] for request in seen] == [
        b"/services/oauth2/token",
        b"/services/data/v67.0/limits/",
    ]
    assert len(asked) == 2


@pytest.mark.parametrize(
    ("refuse", "shown"),
    [
        (b"407 Proxy Authentication Required", "407, it requires a login"),
        (b"403 Forbidden", "403"),
        (b"502 Bad", "502"),
    ],
)
def test_a_refusing_proxy_is_named_and_nothing_was_sent(refuse: bytes, shown: str) -> None:
    with connect_proxy({}, [], refuse) as proxy:
        url = f"https://{OUTSIDE}"
        error = failing(url, HTTPS_PROXY=proxy.url)
        assert type(error) is ConfigurationError
        assert "is blocked by the proxy of HTTPS_PROXY" in str(error)
        assert shown in str(error)
        http = vendor(url, HTTPS_PROXY=proxy.url)
        with pytest.raises(UnreachableError):
            http.pay("/pay", {})
        http.close()


# -- certificates ------------------------------------------------------------------------------------------------


def test_an_unknown_authority_is_named_as_the_likely_cause(authority: Authority) -> None:
    with RawSite(saying(json_answer(b"{}")), authority.server) as site:
        error = failing(site.url)
        assert (type(error), error.exit_code) == (ConfigurationError, 2)
        assert "issued by an authority that this machine does not know" in str(error)
        assert "set SSL_CERT_FILE" in str(error)
        assert "cannot be reached" not in str(error)
        http = vendor(site.url)
        with pytest.raises(UnreachableError, match="SSL_CERT_FILE"):
            http.pay("/pay", {})
        http.close()


@pytest.mark.parametrize("setting", ["SSL_CERT_FILE", "REQUESTS_CA_BUNDLE"])
def test_a_private_authority_is_trusted(authority: Authority, setting: str) -> None:
    with RawSite(saying(json_answer(b'{"a": 1}')), authority.server) as site:
        http = vendor(site.url, **{setting: str(authority.file)})
        assert http.read("/x").body == {"a": 1}
        http.close()


@pytest.mark.parametrize("setting", ["SSL_CERT_DIR", "REQUESTS_CA_BUNDLE"])
def test_a_folder_of_authorities_is_trusted(authority: Authority, tmp_path: Path, setting: str) -> None:
    hashed = subprocess.run(  # noqa: S603 a fixed program
        ["/usr/bin/env", "openssl", "x509", "-hash", "-noout", "-in", str(authority.file)],
        capture_output=True,
        text=True,
        check=False,
    )
    if hashed.returncode:
        pytest.skip("no openssl here")
    (tmp_path / f"{hashed.stdout.strip()}.0").write_bytes(authority.file.read_bytes())
    with RawSite(saying(json_answer(b'{"a": 1}')), authority.server) as site:
        http = vendor(site.url, **{setting: str(tmp_path)})
        assert http.read("/x").body == {"a": 1}
        http.close()


def test_a_certificate_of_another_host_and_an_expired_one(authority: Authority, tmp_path: Path) -> None:
    asked: list[bytes] = []
    with (
        RawSite(saying(json_answer(b"{}")), authority.server) as site,
        connect_proxy({"other.example.com": site.port}, asked) as proxy,
    ):
        trust = {"HTTPS_PROXY": proxy.url, "SSL_CERT_FILE": str(authority.file)}
        assert "issued for another host name" in str(failing("https://other.example.com", **trust))
    old = make_authority(tmp_path, days=-1)
    with RawSite(saying(json_answer(b"{}")), old.server) as site:
        assert "has expired; check this machine's clock" in str(failing(site.url, SSL_CERT_FILE=str(old.file)))


def test_a_site_without_tls() -> None:
    with RawSite(lambda connection: connection.sendall(b"HTTP/1.1 400 Bad Request\r\n\r\n")) as site:
        error = failing(site.url.replace("http:", "https:"))
    assert "the TLS handshake failed" in str(error)
    assert "cannot be reached" not in str(error)


def test_salesforce_with_an_unknown_authority_is_reported_once(authority: Authority) -> None:
    slept: list[float] = []
    with (
        RawSite(saying(json_answer(b"{}")), authority.server) as site,
        connect_proxy({ORG: site.port}, []) as proxy,
    ):
        login = Login(f"https://{ORG}", client_id="id", client_secret="secret")
        crm = SalesforceCrm(Client(login, "67.0", 20, slept.append, NetworkSettings({"HTTPS_PROXY": proxy.url})))
        with pytest.raises(ConfigurationError, match="set SSL_CERT_FILE"):
            crm.login()
        crm.close()
    assert slept == []


@pytest.mark.parametrize("setting", ["SSL_CERT_FILE", "REQUESTS_CA_BUNDLE", "SSL_CERT_DIR"])
@pytest.mark.parametrize("kind", ["missing", "folder", "text", "empty", "binary", "key"])
def test_an_unusable_authority_file_names_its_setting(tmp_path: Path, setting: str, kind: str) -> None:
    place = tmp_path / "ca"
    contents = {
        "text": b"not a certificate",
        "empty": b"",
        "binary": b"\xff\xfe\0\1",
        "key": b"-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n",
    }
    if kind == "folder":
        place.mkdir()
    elif kind != "missing":
        place.write_bytes(contents[kind])
    with pytest.raises(ConfigurationError, match=setting):
        vendor(VENDOR, **{setting: str(place)})


def test_a_plain_http_site_needs_no_certificates(tmp_path: Path) -> None:
    with RawSite(saying(json_answer(b"{}"))) as site:
        assert vendor(site.url, SSL_CERT_FILE=str(tmp_path / "missing")).read("/x").body == {}


def test_the_system_store_is_used_and_host_names_are_checked() -> None:
    context = NetworkSettings().tls
    assert context.verify_mode is ssl.CERT_REQUIRED
    assert context.check_hostname
    network = NetworkSettings()
    assert network.tls is network.tls, "loaded once"


def test_the_bundled_store_is_the_fallback(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    import certifi

    paths = ssl.get_default_verify_paths()._replace(cafile=str(tmp_path / "none"), capath=str(tmp_path))
    monkeypatch.setattr("ssl.get_default_verify_paths", lambda: paths)
    context = NetworkSettings({}).tls
    bundled = ssl.create_default_context(cafile=certifi.where())
    assert len(context.get_ca_certs()) >= len(bundled.get_ca_certs())


# -- where the settings come from --------------------------------------------------------------------------------


def test_the_environment_wins_over_the_file(tmp_path: Path) -> None:
    file = tmp_path / ".env"
    file.write_text("HTTPS_PROXY=http://file.example.com\nno_proxy=a.example.com\nSSL_CERT_FILE=${NOPE}\nOTHER=1\n")
    found = network_settings(file, {"https_proxy": PROXY, "HOME": "x", "SSL_CERT_DIR": ""})
    assert found.environment == {"https_proxy": PROXY, "no_proxy": "a.example.com", "SSL_CERT_FILE": "${NOPE}"}
    assert network_settings(file, {}).proxy_for(VENDOR)[1] == "http://file.example.com"
    assert network_settings(None, {}).environment == {}
    assert {"HTTPS_PROXY", "HTTP_PROXY", "NO_PROXY", "SSL_CERT_FILE", "SSL_CERT_DIR", "REQUESTS_CA_BUNDLE"} <= set(
        NETWORK_SETTINGS
    )


@pytest.mark.parametrize("where", ["environment", "file"])
def test_a_command_uses_the_proxy_and_the_authority(authority: Authority, tmp_path: Path, where: str) -> None:
    """End to end: `connector credits` queries a vendor whose host name only the proxy knows."""
    asked: list[bytes] = []
    with (
        RawSite(saying(json_answer(b'{"totalBalance": 4711}')), authority.server) as site,
        connect_proxy({OUTSIDE: site.port}, asked) as proxy,
    ):
        network = {"HTTPS_PROXY": proxy.url, "SSL_CERT_FILE": str(authority.file)}
        settings = {"LENSMOR_BASE_URL": f"https://{OUTSIDE}", "LENSMOR_API_KEY": "sk_x"}
        (tmp_path / ".env").write_text(
            "".join(f"{name}={value}\n" for name, value in (settings | (network if where == "file" else {})).items())
        )
        around = {name: value for name, value in clean_environment().items() if name.upper() not in NETWORK_SETTINGS}
        done = subprocess.run(
            [sys.executable, "-c", "from connector.cli.main import main; main()", "credits", "--json"],
            cwd=tmp_path,
            env=around | (network if where == "environment" else {}),
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
    assert done.returncode == 0, done.stderr
    assert "4711" in done.stdout
    assert asked


def test_a_lasting_failure_after_a_good_answer_keeps_the_queue() -> None:
    answers = iter([httpx.Response(200, json={})])

    def answer(request: httpx.Request) -> httpx.Response:
        for found in answers:
            return found
        raise httpx.ProxyError("403 Forbidden", request=request)

    connection = Connection(NoPace(), lambda _: None, transport=httpx.MockTransport(answer))
    http = VendorHttp("lensmor", NOWHERE, {}, connection)
    http.read("/x")
    with pytest.raises(DownError, match="is blocked by the proxy"):
        http.read("/x")


def test_a_proxy_that_never_ends_its_answer() -> None:
    from net_sites import dripping

    ticks = iter(range(0, 10_000, 2))
    with RawSite(dripping(b"HTTP/1.1 200 Connection established\r\nX-Endless: ")) as proxy:
        transport = NetworkSettings({"HTTPS_PROXY": proxy.url}).transport(f"https://{OUTSIDE}")
        request = httpx.Request("GET", f"https://{OUTSIDE}/")
        with pytest.raises(NoAnswerError, match="within 30 s"):
            exchange(transport, request, Budget(30.0, 2**20), lambda: float(next(ticks)))
        transport.close()
