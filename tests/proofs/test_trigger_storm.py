"""A storm of triggers, many of them repeated, while `serve` is killed and started again."""

import queue
import random
import signal
import threading
import time
from collections.abc import Callable
from pathlib import Path

import httpx
import pytest
from company import TOKEN, Company, company, free_port, is_ready, wait_until
from forked_commands import Running

SEED = 20_261_124
SENDERS = 8


class Storm:
    """Senders that behave like a CRM's automation: an unanswered request is sent again with the same id."""

    def __init__(self, port: int, requests: list[tuple[str, list[str]]]) -> None:
        self.url = f"http://127.0.0.1:{port}/v1/enrichments"
        self.accepted: set[str] = set()
        self.answers = 0
        self.duplicates = 0
        self.unanswered = 0
        self.slowest_s = 0.0
        self._todo: queue.SimpleQueue[tuple[str, list[str]]] = queue.SimpleQueue()
        for one in requests:
            self._todo.put(one)
        self._lock = threading.Lock()
        self._threads = [threading.Thread(target=self._send) for _ in range(SENDERS)]

    def begin(self) -> None:
        for thread in self._threads:
            thread.start()

    def wait(self) -> None:
        for thread in self._threads:
            thread.join()

    def _send(self) -> None:
        with httpx.Client(headers={"Authorization": f"Bearer {TOKEN}"}, timeout=10, trust_env=False) as client:
            while True:
                try:
                    request_id, ids = self._todo.get_nowait()
                except queue.Empty:
                    return
                began = time.monotonic()
                try:
                    body = {"mapping": "lead", "record_ids": ids, "request_id": request_id}
                    answer = client.post(self.url, json=body)
                except httpx.TransportError:
                    with self._lock:
                        self.unanswered += 1
                    self._todo.put((request_id, ids))
                    time.sleep(0.05)
                    continue
                assert answer.status_code == 202, answer.text
                with self._lock:
                    self.accepted.add(request_id)
                    self.answers += 1
                    self.duplicates += answer.json()["duplicate"]
                    self.slowest_s = max(self.slowest_s, time.monotonic() - began)


def _blow(running: Company, triggers: int, repeats: int) -> Storm:
    chance = random.Random(SEED)
    ids = list(running.facts.lead_ids)
    originals = [(f"r{number}", [ids[number]]) for number in range(triggers - repeats)]
    wanted = originals + chance.choices(originals, k=repeats)
    chance.shuffle(wanted)
    port = free_port()

    def serve() -> Running:
        process = running.start("serve", "-m", "lead.yaml", "--port", str(port))
        wait_until(lambda: is_ready(port), "serve is ready")
        return process

    first = serve()
    storm = Storm(port, wanted)
    storm.begin()
    wait_until(lambda: storm.answers >= triggers // 2, "half of the storm is over")
    first.send_signal(signal.SIGKILL)
    first.wait()
    second = serve()
    storm.wait()
    assert storm.accepted == {request_id for request_id, _ in originals}
    everybody = tuple(ids[: len(originals)])
    wait_until(lambda: not running.unfinished(everybody), "every accepted record is enriched", 240)
    wait_until(lambda: _all_done(port, originals), "every request says so", 60)
    second.send_signal(signal.SIGTERM)
    assert second.wait(60) == 0
    assert running.doubles() == []
    assert running.charged == len(originals) * (15 + 150)
    assert running.run("status", "--json")["accounting"] == ""
    return storm


def _all_done(port: int, originals: list[tuple[str, list[str]]]) -> bool:
    with httpx.Client(headers={"Authorization": f"Bearer {TOKEN}"}, timeout=10, trust_env=False) as client:
        states = [client.get(f"http://127.0.0.1:{port}/v1/enrichments/{one}").json() for one, _ in originals[::7]]
    return all(found["state"] == "done" and found["delivered"] == 1 for found in states)


def test_a_small_storm_of_triggers_enriches_each_record_once(tmp_path: Path) -> None:
    with company(tmp_path, 60, 0.01) as running:
        _blow(running, 60, 18)


@pytest.mark.long
def test_a_storm_of_triggers_enriches_each_record_once(tmp_path: Path, figures: Callable[[str, str], None]) -> None:
    with company(tmp_path, 1000, 0.01) as running:
        storm = _blow(running, 1000, 300)
    figures(
        "trigger storm",
        f"1000 triggers, 300 of them repeats; serve killed in the middle; {storm.unanswered} sent again for want of an "
        f"answer; {storm.duplicates} known already; 700 records enriched once; 0 double charges; "
        f"slowest answer {storm.slowest_s:.2f} s",
    )
