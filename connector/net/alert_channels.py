"""Sends alerts: to a webhook as JSON that Slack understands, and as an email through an SMTP server.

Slack's format: text and blocks (Slack API, Incoming Webhooks, seen November 2026); other receivers read `text`.
"""

import json
import smtplib
import ssl
from collections.abc import Callable
from dataclasses import dataclass
from email.message import EmailMessage
from typing import Protocol
from urllib.parse import unquote, urlsplit

from connector.core.alerts import Message
from connector.net import Budget, ExchangeError, NetworkSettings

WEBHOOK_S = 10.0
SMTP_S = 20.0
_ANSWER_BYTES = 64 * 1024
_HEADER_LENGTH, _TEXT_LENGTH = 150, 2900  # Slack's limits are 150 and 3,000 characters
_SMTP_PORT, _SMTPS_PORT = 587, 465


class NotSentError(Exception):
    """A message could not be sent; the text names the cause, without the address."""


class AlertChannel(Protocol):
    """One destination."""

    @property
    def name(self) -> str:
        """Its name for people."""

    def send(self, message: Message) -> None:
        """Send one message.

        Raises:
            NotSentError: it may not have arrived.
        """


@dataclass(frozen=True)
class Webhook:
    """An address that takes JSON.

    Attributes:
        url: contains a secret, and appears in no message.
        network: proxies and trusted certificates.
    """

    url: str
    network: NetworkSettings
    name: str = "webhook"

    def send(self, message: Message) -> None:
        """POST the message; any answer of the 2xx range is a success."""
        from connector.net.exchange import exchange
        from connector.net.library import httpx

        body = json.dumps(slack_body(message)).encode()
        try:
            request = httpx.Request("POST", self.url, content=body, headers={"Content-Type": "application/json"})
            transport = self.network.transport(self.url, reuse=False)
            try:
                status = exchange(transport, request, Budget(WEBHOOK_S, _ANSWER_BYTES)).status
            finally:
                transport.close()
        except ExchangeError as error:
            raise NotSentError(f"the webhook {error.why}") from error
        except httpx.InvalidURL as error:
            raise NotSentError("the webhook's address is not valid") from error
        if not 200 <= status < 300:
            raise NotSentError(f"the webhook answered with HTTP {status}")


def slack_body(message: Message) -> dict[str, object]:
    """The JSON of a message."""
    blocks: list[dict[str, object]] = [
        {"type": "header", "text": {"type": "plain_text", "text": message.title[:_HEADER_LENGTH]}}
    ]
    if message.lines:
        text = "\n".join(_escaped(line) for line in message.lines)
        blocks.append({"type": "section", "text": {"type": "mrkdwn", "text": text[:_TEXT_LENGTH]}})
    return {"text": message.text(), "blocks": blocks}


def _escaped(line: str) -> str:
    return line.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


@dataclass(frozen=True)
class Mail:
    """A mailbox, reached through an SMTP server.

    Attributes:
        server: `smtp://user:password@host:587` (with STARTTLS, except for a loopback address) or `smtps://...`.
        to: the receiver, and the sender where the user name is no address.
        tls: gives the certificates to trust.
    """

    server: str
    to: str
    tls: Callable[[], ssl.SSLContext]
    name: str = "email"

    def send(self, message: Message) -> None:
        """Hand the message to the server."""
        parts = urlsplit(self.server)
        user, password = unquote(parts.username or ""), unquote(parts.password or "")
        mail = EmailMessage()
        mail["Subject"] = message.title.replace("\n", " ")[:_HEADER_LENGTH]
        mail["From"] = user if "@" in user else self.to
        mail["To"] = self.to
        mail.set_content("\n".join(message.lines) or message.title)
        try:
            with self._connected(parts.scheme, parts.hostname or "", parts.port) as server:
                if user:
                    server.login(user, password)
                server.send_message(mail)
        except (OSError, smtplib.SMTPException) as error:
            raise NotSentError(f"the mail server failed ({type(error).__name__})") from error

    def _connected(self, scheme: str, host: str, port: int | None) -> smtplib.SMTP:
        if scheme == "smtps":
            return smtplib.SMTP_SSL(host, port or _SMTPS_PORT, timeout=SMTP_S, context=self.tls())
        server = smtplib.SMTP(host, port or _SMTP_PORT, timeout=SMTP_S)
        if host not in {"localhost", "127.0.0.1", "::1"}:
            server.starttls(context=self.tls())
        return server
