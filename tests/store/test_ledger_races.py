"""Threads and processes that buy at the same time never exceed a cap, and never take a person twice."""

import subprocess
import sys
import threading
from pathlib import Path

from commands import clean_environment
from forked_commands import started
from ledger_harness import PRICE, LedgerHarness, open_ledger_at

from connector.store.credits import CapRules
from connector.store.rows import Batch


def test_eight_threads_never_hold_beyond_a_cap(tmp_path: Path) -> None:
    harness = LedgerHarness(open_ledger_at(tmp_path / "ledger.db"))
    harness.plan(*(str(number) for number in range(80)))
    rules = CapRules(day=50 * PRICE + 7, run={"lead": 60 * PRICE})
    barrier, taken = threading.Barrier(8), []

    def buy() -> None:
        barrier.wait()
        while isinstance(batch := harness.take(rules, size=3), Batch):
            taken.append(batch)

    threads = [threading.Thread(target=buy) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    people = [person for batch in taken for person in batch.purchases]
    assert len(people) == len(set(people)) == 50
    assert harness.used() == 50 * PRICE
    harness.assert_accounting_closes()


RACER = """
import sys
from pathlib import Path
sys.path[:0] = [sys.argv[2], str(Path(sys.argv[2]).parent)]
from ledger_harness import LedgerHarness, open_ledger_at
from connector.store.credits import CapRules
from connector.store.rows import Batch
harness = LedgerHarness(open_ledger_at(Path(sys.argv[1])))
print("ready", flush=True)
sys.stdin.readline()
while isinstance(batch := harness.take(CapRules(month=400), size=2), Batch):
    print(*(person.value for person in batch.purchases), sep="\\n")
"""


def test_two_processes_never_hold_beyond_a_cap(tmp_path: Path) -> None:
    path = tmp_path / "ledger.db"
    harness = LedgerHarness(open_ledger_at(path))
    harness.plan(*(str(number) for number in range(60)))
    command = [sys.executable, "-c", RACER, str(path), str(Path(__file__).parent)]
    racers = [
        started(command, cwd=tmp_path, env=clean_environment(), stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        for _ in range(2)
    ]
    for racer in racers:
        assert racer.stdout is not None
        assert racer.stdout.readline() == "ready\n"
    people = [person for racer in racers for person in racer.communicate("go\n")[0].split()]
    assert [racer.returncode for racer in racers] == [0, 0]
    assert len(people) == len(set(people)) == 400 // PRICE
    assert harness.used() == 400 // PRICE * PRICE
    harness.assert_accounting_closes()
