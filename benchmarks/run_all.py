"""Run every benchmark and check its thresholds: `make bench`. Those without their data are named."""

import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent
DRIVERS = ("run_all.py", "soak.py")
NO_DATA = 2


def main() -> int:
    failed, skipped = [], []
    for script in sorted(HERE.glob("*.py")):
        if script.name in DRIVERS:
            continue
        print(f"\n## {script.stem}\n", flush=True)
        code = subprocess.run([sys.executable, str(script)], check=False).returncode
        if code == NO_DATA:
            skipped.append(script.stem)
        elif code:
            failed.append(script.stem)
    print(
        f"\nmissed: {', '.join(failed) or 'none'}; skipped for want of data: {', '.join(skipped) or 'none'}"
    )
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
