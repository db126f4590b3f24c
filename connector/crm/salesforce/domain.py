"""The My Domain of an org, which its address names."""

from connector.core.addresses import web_address
from connector.core.errors import ConfigurationError

MY_DOMAIN = ".salesforce.com"
LOOPBACK_DOMAIN = "loopback.my"


def domain_of(instance_url: str) -> str:
    """What simple-salesforce calls the domain: the My Domain host without `.salesforce.com`.

    Raises:
        ConfigurationError: the address is not a My Domain.
    """
    found = web_address(instance_url)
    if found is not None and found.scheme == "http":
        return LOOPBACK_DOMAIN
    host = found.host if found is not None else ""
    domain = host.removesuffix(MY_DOMAIN)
    if domain == host or domain in {"login", "test"}:
        raise ConfigurationError(
            "SALESFORCE_INSTANCE_URL must be the org's My Domain, such as https://acme.my.salesforce.com "
            "(Setup, My Domain)"
        )
    return domain
