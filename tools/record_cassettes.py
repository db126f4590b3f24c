"""Record the cassettes that the tests replay.

    .venv/bin/python tools/record_cassettes.py                     all of them, from the simulated sites: free
    .venv/bin/python tools/record_cassettes.py --edge lensmor      those of one edge
    .venv/bin/python tools/record_cassettes.py --real lensmor --accept-costs
                                                                   lensmor/success from the real service: SPENDS CREDITS

What `--real` reads from the environment, and what it costs: cassettes/README.md.
"""

import argparse
import os
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))
sys.path.insert(0, str(Path(__file__).parents[1] / "tests" / "cassettes"))

from cassette_recording import CASSETTES, SCENES, record_real, record_simulated

EDGES = ("lensmor", "salesfinity", "salesforce")


def main(arguments: list[str]) -> int:
    """Record; 0 when it is done, 2 when it must not be."""
    parser = argparse.ArgumentParser(description="Record the cassettes that the tests replay.")
    parser.add_argument("--edge", choices=EDGES, help="only this edge's cassettes")
    parser.add_argument("--scene", choices=sorted({scene.name for scene in SCENES}), help="only this scene")
    parser.add_argument("--real", choices=EDGES, help="record `success` from the real service; it SPENDS CREDITS")
    parser.add_argument("--accept-costs", action="store_true", help="needed with --real")
    parser.add_argument("--into", type=Path, default=CASSETTES, help="another folder than cassettes/")
    given = parser.parse_args(arguments)
    if given.real:
        return _real(given.real, given.into, accepted=given.accept_costs)
    for scene in SCENES:
        if given.edge in {None, scene.edge} and given.scene in {None, scene.name}:
            sys.stdout.write(f"{record_simulated(scene, given.into)}\n")
    return 0


def _real(edge: str, folder: Path, *, accepted: bool) -> int:
    (scene,) = [scene for scene in SCENES if scene.edge == edge and scene.costs is not None]
    sys.stderr.write(f"Recording {scene} from the real service costs {scene.costs}. There is no sandbox.\n")
    if not accepted:
        sys.stderr.write("Nothing was sent. Say --accept-costs to go on.\n")
        return 2
    try:
        path = record_real(scene, os.environ, folder)
    except KeyError as error:
        sys.stderr.write(f"{error.args[0]} is not set; nothing was sent. See cassettes/README.md\n")
        return 2
    sys.stdout.write(f"{path}\nRead it before you commit it.\n")
    return 0


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
