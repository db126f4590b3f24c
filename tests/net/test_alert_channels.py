"""Alerts leave as JSON for a webhook and as mail; a failure is named without the address."""

import json
import socketserver
import ssl
import threading
from collections.abc import Iterator
from typing import ClassVar

import pytest
from pytest_httpserver import HTTPServer

from connector.core.alerts import Message
from connector.net import NetworkSettings
from connector.net.alert_channels import Mail, NotSentError, Webhook, slack_body

MESSAGE = Message("Connector: sync of lead <ended>", ("00Q1: refused & parked", "See: connector show run-1"))
SECRET = "T000/B000/hunter2"


def webhook(server: HTTPServer) -> Webhook:
    return Webhook(server.url_for(f"/services/{SECRET}"), NetworkSettings())


def test_a_webhook_gets_text_and_blocks(httpserver: HTTPServer) -> None:
    httpserver.expect_request(f"/services/{SECRET}", method="POST").respond_with_data("ok")
    webhook(httpserver).send(MESSAGE)
    ((request, _),) = httpserver.log
    sent = json.loads(request.data)
    assert sent["text"] == "\n".join([MESSAGE.title, *MESSAGE.lines])
    assert [block["type"] for block in sent["blocks"]] == ["header", "section"]
    assert sent["blocks"][1]["text"]["text"].startswith("00Q1: refused &amp; parked\n")


def test_long_texts_stay_within_slacks_limits() -> None:
    header, section = json.loads(json.dumps(slack_body(Message("t" * 500, ("x" * 5000,)))))["blocks"]
    assert len(header["text"]["text"]) == 150
    assert len(section["text"]["text"]) == 2900


@pytest.mark.parametrize("status", [302, 400, 404, 500])
def test_a_refusing_webhook_is_named_without_its_address(httpserver: HTTPServer, status: int) -> None:
    headers = {"Location": "https://elsewhere.example.com/x"} if status == 302 else {}
    httpserver.expect_request(f"/services/{SECRET}").respond_with_data("no", status, headers)
    with pytest.raises(NotSentError) as caught:
        webhook(httpserver).send(MESSAGE)
    assert "the webhook" in str(caught.value)
    assert SECRET not in str(caught.value)


def test_an_unreachable_webhook_is_named() -> None:
    with pytest.raises(NotSentError, match="the webhook cannot be reached"):
        Webhook(f"http://127.0.0.1:9/{SECRET}", NetworkSettings()).send(MESSAGE)


class _Smtp(socketserver.StreamRequestHandler):
    """The part of SMTP that a client uses; it keeps the last mail."""

    mail: ClassVar[list[str]] = []
    said: ClassVar[list[str]] = []
    refuses: ClassVar[bool] = False

    def handle(self) -> None:
        self._say("220 mail.example.com")
        while line := self.rfile.readline().decode().rstrip("\r\n"):
            self.said.append(line)
            verb = line.split(" ")[0].upper()
            if verb == "EHLO":
                self._say("250-mail.example.com\r\n250 AUTH PLAIN")
            elif verb == "RCPT" and self.refuses:
                self._say("550 no such user")
            elif verb == "DATA":
                self._say("354 go on")
                self.mail[:] = list(iter(lambda: self.rfile.readline().decode().rstrip("\r\n"), "."))
                self._say("250 taken")
            elif verb == "QUIT":
                self._say("221 bye")
                return
            else:
                self._say("235 yes" if verb == "AUTH" else "250 yes")

    def _say(self, text: str) -> None:
        self.wfile.write(f"{text}\r\n".encode())


@pytest.fixture
def smtp() -> Iterator[int]:
    _Smtp.mail.clear()
    _Smtp.said.clear()
    _Smtp.refuses = False
    with socketserver.ThreadingTCPServer(("127.0.0.1", 0), _Smtp) as server:
        server.daemon_threads = True
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield int(server.server_address[1])
        server.shutdown()
        thread.join()


def mail(port: int, user: str = "") -> Mail:
    return Mail(f"smtp://{user}127.0.0.1:{port}", "ops@example.com", ssl.create_default_context)


def test_a_mail_has_subject_receiver_and_text(smtp: int) -> None:
    mail(smtp).send(MESSAGE)
    text = "\n".join(_Smtp.mail)
    assert "Subject: Connector: sync of lead <ended>" in text
    assert "To: ops@example.com" in text
    assert "From: ops@example.com" in text
    assert "00Q1: refused & parked" in text
    assert not any(line.startswith("AUTH") for line in _Smtp.said)


def test_a_user_with_a_password_logs_in_and_is_the_sender(smtp: int) -> None:
    mail(smtp, "robot%40example.com:hunter2@").send(MESSAGE)
    assert any(line.startswith("AUTH") for line in _Smtp.said)
    assert "From: robot@example.com" in "\n".join(_Smtp.mail)


def test_a_refused_receiver_is_a_failure_without_the_address(smtp: int) -> None:
    _Smtp.refuses = True
    with pytest.raises(NotSentError, match=r"the mail server failed \(SMTPRecipientsRefused\)") as caught:
        mail(smtp).send(MESSAGE)
    assert "ops@example.com" not in str(caught.value)


def test_a_server_that_does_not_answer_is_a_failure() -> None:
    with pytest.raises(NotSentError, match="the mail server failed"):
        mail(9).send(MESSAGE)
