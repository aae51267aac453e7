"""``python -m benchmarks [NAME ...]``: run the benchmarks, each in a process of its own.

Figures are ratios against a straightforward implementation measured in the same run, because seconds alone say
nothing on another machine.
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

FOLDER = Path(__file__).parent


def main() -> int:
    """Run the named benchmarks, or all."""
    scripts = sorted(FOLDER.glob("bench_*.py"))
    wanted = sys.argv[1:]
    known = {script.stem.removeprefix("bench_"): script for script in scripts}
    if any(name not in known for name in wanted):
        print(f"benchmarks: {', '.join(known)}")
        return 2
    status = 0
    for name in wanted or known:
        print(f"\n== {name}", flush=True)
        status |= subprocess.run([sys.executable, str(known[name])], check=False).returncode
    return status


if __name__ == "__main__":
    sys.exit(main())
