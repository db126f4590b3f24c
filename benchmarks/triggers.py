"""Load on the trigger route of `connector serve`, beside the bare web framework that answers the same body.

Both are served by the same server with the same settings, one after the other, in processes of their own; the load
comes from this process, over connections that stay open. The ledger is SQLite on this machine's disk.
"""

import asyncio
import json
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from benchmarks.figures import Section, Table
from benchmarks.lab import LEAD_MAPPING, Lab
from benchmarks.processes import ROOT

CONNECTIONS = 16
SECONDS = 5.0
WARM_UP_S = 0.5  # begins when the server answers; what was asked meanwhile is not counted
TOKEN = "a-token-for-benchmarks-only"  # noqa: S105 it opens nothing
IDS = [f"00Q{number:012d}" for number in range(100)]
SERVED = """
import sys
from connector.app.inbound import InboundService
from connector.jobs.clock import SystemClock
from connector.server.listen import bind, server
from connector.server.site import Secrets, Site
kind, url, mapping = sys.argv[1:]
listening = bind("127.0.0.1", 0)
print(listening.getsockname()[1], flush=True)
if kind == "bare":
    import json
    from starlette.applications import Starlette
    from starlette.responses import JSONResponse
    from starlette.routing import Route
    async def answer(request):
        body = json.loads(await request.body())
        found = {"request_id": body["request_id"], "accepted": len(body["record_ids"]), "duplicate": False}
        return JSONResponse(found, 202)
    application = Starlette(routes=[Route("/v1/enrichments", answer, methods=["POST"])])
else:
    from connector.app.mappings import CATALOG
    from connector.config.mapping_file import load_mapping
    from connector.core.mapping import MappingFile
    from connector.store.database import Database
    from connector.store.ledger import Ledger
    from connector.store.seal import Seal, new_key
    database = Database(url)
    database.migrate()
    mappings = {"lead": load_mapping(mapping, CATALOG).mapping}
    inbound = InboundService(Ledger(database, Seal([new_key()]), None), mappings, SystemClock(), lambda: None)
    application = Site(inbound, Secrets(token=sys.stdin.readline().strip()), lambda: True, "0").application()
server(application).run(sockets=[listening])
"""


async def _sender(port: int, name: str, ids: list[str], until: float, times: list[float]) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    number = 0
    while time.perf_counter() < until:
        body = json.dumps({"mapping": "lead", "record_ids": ids, "request_id": f"{name}-{number}"}).encode()
        head = (
            f"POST /v1/enrichments HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {TOKEN}\r\n"
            f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
        )
        began = time.perf_counter()
        writer.write(head.encode() + body)
        answer = await reader.readuntil(b"\r\n\r\n")
        length = next(
            int(line.split(b":")[1]) for line in answer.split(b"\r\n") if line.lower().startswith(b"content-l")
        )
        await reader.readexactly(length)
        times.append(time.perf_counter() - began)
        if b" 202 " not in answer[:20]:
            raise RuntimeError(answer.decode())
        number += 1
    writer.close()


async def _load(port: int, ids: list[str], seconds: float = SECONDS) -> list[float]:
    times: list[float] = []
    until = time.perf_counter() + seconds
    name = f"{seconds:g}s"
    await asyncio.gather(*(_sender(port, f"{name}-{n}", ids, until, times) for n in range(CONNECTIONS)))
    return times


def measure(kind: str, ids: int) -> tuple[float, float]:
    """(requests per second, 99th percentile in milliseconds) of `bare` or `connector`, with so many ids a request."""
    with tempfile.TemporaryDirectory() as folder:
        url = f"sqlite:///{Path(folder) / 'connector.db'}"
        command = [sys.executable, "-c", SERVED, kind, url, LEAD_MAPPING]
        with subprocess.Popen(  # noqa: S603 our own code
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=ROOT
        ) as process:
            try:
                if process.stdin is None or process.stdout is None:
                    raise RuntimeError("the server has no input or output")
                process.stdin.write(TOKEN + "\n")
                process.stdin.flush()
                port = int(process.stdout.readline())
                asyncio.run(_load(port, IDS[:1], WARM_UP_S))
                times = sorted(asyncio.run(_load(port, IDS[:ids])))
            finally:
                process.terminate()
    return len(times) / SECONDS, 1000 * times[int(len(times) * 0.99)]


def triggers(lab: Lab) -> Section:
    """The trigger route beside the bare framework: medians of several rounds."""
    rounds = lab.sizes.trigger_rounds
    rows = []
    for ids in (1, 100):
        found = {kind: [measure(kind, ids) for _ in range(rounds)] for kind in ("connector", "bare")}
        ours, bare = (
            [statistics.median(one[place] for one in found[kind]) for place in (0, 1)] for kind in ("connector", "bare")
        )
        words = f"{ids} ids" if ids > 1 else "1 id"
        rows.append((f"{words} a request", f"{ours[0]:,.0f}", f"{ours[1]:.1f}", f"{bare[0]:,.0f}", f"{bare[1]:.1f}"))
    head = ("", "connector, requests/s", "99th percentile, ms", "bare, requests/s", "99th percentile, ms")
    text = TEXT.format(connections=CONNECTIONS, seconds=f"{SECONDS:.0f}", rounds=rounds)
    return Section("triggers", "Triggers", text=text, table=Table(head, tuple(rows)))


TEXT = """
The trigger route of `connector serve` (a SQLite ledger, every request stored and flushed before its answer), beside the
bare web framework that parses the same body and answers the same: {connections} connections that send as fast as they
get answers, {seconds} seconds, medians of {rounds} rounds. The sender shares the machine's processors.
"""
