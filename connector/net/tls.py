"""The trusted certificates, from the system or a company's own file, and advice about a refused certificate."""

import ssl
from collections.abc import Mapping
from pathlib import Path

from connector.core.errors import ConfigurationError

FILE_SETTINGS = ("SSL_CERT_FILE", "REQUESTS_CA_BUNDLE")
FOLDER_SETTING = "SSL_CERT_DIR"
_EXPIRED, _HOSTNAME = 10, 62  # OpenSSL's X509_V_ERR_CERT_HAS_EXPIRED and X509_V_ERR_HOSTNAME_MISMATCH


def trusted(environment: Mapping[str, str]) -> ssl.SSLContext:
    """The TLS context to use. A named file or folder replaces the system's store, as in OpenSSL and requests.

    Raises:
        ConfigurationError: a setting names a file or folder without certificates.
    """
    named = [(name, environment[name]) for name in (*FILE_SETTINGS, FOLDER_SETTING) if environment.get(name)]
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)  # checks host names and requires a certificate
    if not named:
        context.load_default_certs()
        if not _system_has_any():
            import certifi

            context.load_verify_locations(cafile=certifi.where())
        return context
    for name, place in named:
        _load(context, name, Path(place))
    return context


def _system_has_any() -> bool:
    paths = ssl.get_default_verify_paths()
    if paths.cafile and Path(paths.cafile).is_file():
        return True
    return bool(paths.capath) and any(Path(str(paths.capath)).glob("*.[0-9]"))


def _load(context: ssl.SSLContext, name: str, place: Path) -> None:
    is_folder = place.is_dir()
    if is_folder and name == "SSL_CERT_FILE":
        raise ConfigurationError("SSL_CERT_FILE names a folder; name a PEM file, or set SSL_CERT_DIR instead")
    if name == FOLDER_SETTING and not is_folder:
        raise ConfigurationError(
            "SSL_CERT_DIR does not name a folder; name one that was prepared with 'openssl rehash'"
        )
    if is_folder and not any(place.glob("*.[0-9]")):
        raise ConfigurationError(f"{name} names a folder without certificates; prepare it with 'openssl rehash'")
    try:
        if is_folder:
            context.load_verify_locations(capath=str(place))
        else:
            context.load_verify_locations(cafile=str(place))
    except (OSError, ValueError) as error:  # ssl.SSLError is an OSError
        raise ConfigurationError(
            f"{name} cannot be used ({type(error).__name__}): it must be a readable PEM file with the certificates of "
            "the authorities to trust"
        ) from error


def advice(error: ssl.SSLError) -> str:
    """The cause of a failed handshake and its remedy, for an admin."""
    if not isinstance(error, ssl.SSLCertVerificationError):
        reason = str(error.reason or "no reason given").lower().replace("_", " ")
        return f"the TLS handshake failed ({reason}); check the address, and that a proxy on the way speaks TLS"
    if error.verify_code == _HOSTNAME:
        return "its certificate was issued for another host name; check the address"
    if error.verify_code == _EXPIRED:
        return "its certificate has expired; check this machine's clock, and the proxy on the way if there is one"
    return (
        "its certificate was issued by an authority that this machine does not know. If your company inspects TLS, set "
        "SSL_CERT_FILE to the file of its CA certificate"
    )
