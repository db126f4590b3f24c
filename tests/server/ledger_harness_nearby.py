"""Makes the harness of the store's tests importable here, whichever tests are collected."""

import sys
from pathlib import Path

sys.path.append(str(Path(__file__).parent.parent / "store"))
