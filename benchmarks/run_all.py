"""Run every benchmark and check its thresholds: `make bench`. Those without their data are named.

A benchmark is a script of this folder that can be run; those that take hours have a command of their own.
"""

import subprocess
import sys
import tomllib
from pathlib import Path

HERE = Path(__file__).resolve().parent
HOURS = {
    "soak": "make soak",
    "council_soak": "python benchmarks/council_soak.py",
    "judge_power": "python benchmarks/judge_power.py",
    "bundled_sets": "python benchmarks/bundled_sets.py",
    "etth1": "python benchmarks/etth1.py",
    "zoo_training": "python benchmarks/zoo_training.py",
}
NO_DATA = 2


def scripts(folder: Path = HERE) -> dict[str, Path]:
    """Return what can be run, by name: this driver and modules that others import are left out."""
    return {
        path.stem: path
        for path in sorted(folder.glob("*.py"))
        if path.stem != Path(__file__).stem and "__main__" in path.read_text()
    }


def dead(folder: Path = HERE) -> list[str]:
    """Return tables of thresholds.toml that no script reads."""
    tables = tomllib.loads((folder / "thresholds.toml").read_text())
    found = scripts(folder)
    return [
        name
        for name in tables
        if name not in found
        or "thresholds.toml" not in (text := found[name].read_text())
        or f'"{name}"' not in text
    ]


def main() -> int:
    failed, skipped = [], []
    for name, script in scripts().items():
        if name in HOURS:
            continue
        print(f"\n## {name}\n", flush=True)
        code = subprocess.run([sys.executable, str(script)], check=False).returncode
        if code == NO_DATA:
            skipped.append(name)
        elif code:
            failed.append(name)
    failed += [f"thresholds.toml: nobody reads {name}" for name in dead()]
    print(
        f"\nmissed: {', '.join(failed) or 'none'}; skipped for want of data: {', '.join(skipped) or 'none'}"
    )
    print("; ".join(f"{name} takes hours: {command}" for name, command in HOURS.items()))
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
