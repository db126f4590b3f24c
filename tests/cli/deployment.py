"""`connector serve` in this process, with its pages, for tests."""

import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager

import httpx
from workspace import Workspace

from connector.app.application import Application
from connector.server.listen import bind, server
from connector.server.pages import Pages
from connector.server.site import Secrets, Site

TOKEN = "operations-token-of-these-tests"
BEARER = {"Authorization": f"Bearer {TOKEN}"}
PATHS = ("/", "/runs", "/attention", "/decisions", "/requests")
_FIELD = re.compile(r'name="(\w+)" value="([^"]*)"')


class Deployment:
    """A server on loopback, a browser without scripts, and the hand on its clock."""

    def __init__(self, client: httpx.Client) -> None:
        self.client = client
        self.seconds = 0.0

    @property
    def host(self) -> str:
        """The origin of the server's own pages."""
        return str(self.client.base_url).rstrip("/")

    def log_in(self, token: str = TOKEN, **headers: str) -> httpx.Response:
        form = {"token": token, "then": "/decisions"}
        return self.client.post("/login", data=form, headers={"Origin": self.host, **headers})

    def buttons(self) -> list[dict[str, str]]:
        """The fields of every form on the decisions page, without that of the logout."""
        page = self.client.get("/decisions").text
        forms = re.findall(r'<form method="post" action="/decisions">(.*?)</form>', page, re.DOTALL)
        return [dict(_FIELD.findall(form)) for form in forms]

    def press(self, fields: dict[str, str], **headers: str) -> httpx.Response:
        return self.client.post("/decisions", data=fields, headers={"Origin": self.host, **headers})

    def states(self) -> list[tuple[str, str]]:
        """The open decisions that the page shows: purchase and state."""
        page = self.client.get("/decisions", headers=BEARER).text
        return re.findall(r'id="p(\d+)">.*?<strong class="warn">(\w+)', page, re.DOTALL)


@contextmanager
def deployed(workspace: Workspace, public_url: str = "") -> Iterator[Deployment]:
    workspace.set(CONNECTOR_TRIGGER_TOKEN=TOKEN)
    listening = bind("127.0.0.1", 0)
    address = f"http://127.0.0.1:{listening.getsockname()[1]}"
    with (
        Application((workspace_mapping(workspace),)).serving() as serving,
        httpx.Client(base_url=address, trust_env=False, timeout=20) as client,
    ):
        made = Deployment(client)
        pages = Pages(serving.operations, serving.token, public_url, lambda: made.seconds)
        site = Site(serving.inbound, Secrets(TOKEN), serving.alive, "1", public_url, loopback=True)
        running = server(site.application(pages.routes()))
        thread = threading.Thread(target=running.run, kwargs={"sockets": [listening]})
        thread.start()
        try:
            yield made
        finally:
            running.should_exit = True
            thread.join()


def workspace_mapping(workspace: Workspace) -> str:
    return "own.yaml" if (workspace.folder / "own.yaml").exists() else "lead"


def lose_an_answer(workspace: Workspace) -> None:
    """Leave an unknown purchase at a vendor that keeps no record of people."""
    text = (workspace.folder / "mappings" / "lead.yaml").read_text(encoding="utf-8")
    name = workspace.mapping(text.replace("from: [lensmor, salesfinity]", "from: [salesfinity]"))
    workspace.arm("salesfinity", "requestEmailEnrichment", "drop_after")
    workspace.lead()
    assert workspace.run("sync", "-m", name).code == 3
