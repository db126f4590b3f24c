"""Makes the helpers of tests/cli and tests/engine importable here, whichever tests are collected."""

import sys
from pathlib import Path

for name in ("cli", "engine"):
    sys.path.append(str(Path(__file__).parent.parent / name))
