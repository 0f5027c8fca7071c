"""Requests a second on /api/ensemble/status, and events to many clients: `python benchmarks/api.py`.

The real service is started with a simulated feed at one step a second; wrk asks it over 32 connections with
a key without limit, on the same cores. Beside the rate stands what one request costs the server in time on a
processor, which others on the machine change less. Then CLIENTS clients follow the journal while events are
published; the lag is from the publishing of an event to its being heard, by any client.
Exit code 1 if a threshold of thresholds.toml is missed, 2 where wrk is not installed.
"""

import asyncio
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
import tomllib
from pathlib import Path
from statistics import median
from typing import Any

import httpx
import orjson

ROOT = Path(__file__).resolve().parents[1]
RUNS, SECONDS, CONNECTIONS = 5, 6, 32
CLIENTS, EVENTS, PAUSE_S = 200, 100, 0.05
ADMIN_KEY = "an-admin-key-of-some-length"
FEED = "simulate:symbols=5,bars=4000,kind=garch"


def started(folder: Path) -> tuple["subprocess.Popen[bytes]", str]:
    """Start the service; return it and its address."""
    log = folder / "serve.log"
    environment = {name: value for name, value in os.environ.items() if not name.startswith("CONSILIUM_")}
    environment |= {"CONSILIUM_API_KEY": ADMIN_KEY, "CONSILIUM_API__WRITES_PER_MINUTE": "0"}
    command = [sys.executable, "-m", "consilium", "serve", "--data-dir", str(folder), "--port", "0"]
    with log.open("wb") as out:
        process = subprocess.Popen([*command, "--feed", FEED], stdout=out, stderr=out, env=environment)
    while True:
        found = re.search(r"listening on (http\S+)", log.read_text())
        if found and httpx.get(f"{found.group(1)}/readyz").status_code == 200:
            return process, found.group(1)
        if process.poll() is not None:
            raise SystemExit(log.read_text()[-2000:])
        time.sleep(0.1)


def cpu_seconds(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rsplit(") ", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def in_milliseconds(text: str) -> float:
    value, unit = re.fullmatch(r"([\d.]+)(us|ms|s|m)", text).groups()  # type: ignore[union-attr]  # wrk's own form
    return float(value) * {"us": 1e-3, "ms": 1.0, "s": 1e3, "m": 6e4}[unit]


def asked(url: str, path: str, key: str, pid: int) -> dict[str, float]:
    """Let wrk ask one path for a while."""
    before = cpu_seconds(pid)
    told = subprocess.run(
        [
            *("wrk", "-t1", f"-c{CONNECTIONS}", f"-d{SECONDS}s", "--latency"),
            *("-H", f"X-API-Key: {key}", url + path),
        ],
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    if "Non-2xx" in told or "Socket errors" in told:
        raise SystemExit(told)
    requests = int(re.search(r"(\d+) requests in", told).group(1))  # type: ignore[union-attr]  # as above
    return {
        "requests a second": float(re.search(r"Requests/sec:\s+([\d.]+)", told).group(1)),  # type: ignore[union-attr]
        "p50, ms": in_milliseconds(re.search(r"(?m)^\s+50%\s+(\S+)", told).group(1)),  # type: ignore[union-attr]
        "p99, ms": in_milliseconds(re.search(r"(?m)^\s+99%\s+(\S+)", told).group(1)),  # type: ignore[union-attr]
        "processor, µs a request": 1e6 * (cpu_seconds(pid) - before) / requests,
    }


async def _listen(
    http: httpx.AsyncClient, lags: list[float], heard: list[int], ready: asyncio.Semaphore
) -> None:
    asking = http.stream("GET", "/api/events?topics=system.health_updated", headers={"X-API-Key": ADMIN_KEY})
    async with asking as response:
        ready.release()
        async for line in response.aiter_lines():
            if line.startswith("data: "):
                event = orjson.loads(line[6:])
                lags.append((time.time_ns() - event["ts_recorded"]) / 1e6)
                heard.append(event["offset"])
                if len(heard) == EVENTS:
                    return


async def fanned_out(url: str) -> dict[str, float]:
    """Publish events to many clients; every one must hear all, in order."""
    lags: list[float] = []
    heard: list[list[int]] = [[] for _ in range(CLIENTS)]
    limits = httpx.Limits(max_connections=None)
    ready = asyncio.Semaphore(0)
    async with httpx.AsyncClient(base_url=url, timeout=60.0, limits=limits, trust_env=False) as http:
        listening = [asyncio.create_task(_listen(http, lags, found, ready)) for found in heard]
        for _ in listening:
            await ready.acquire()
        for sequence in range(EVENTS):
            body = {
                "source": "benchmark",
                "sequence": sequence,
                "ts_event": sequence,
                "payload": {"system_status": "HEALTHY", "ess_state": "NOMINAL"},
            }
            answer = await http.post(
                "/api/events/system.health_updated", json=body, headers={"X-API-Key": ADMIN_KEY}
            )
            answer.raise_for_status()
            await asyncio.sleep(PAUSE_S)
        await asyncio.gather(*listening)
    if any(found != heard[0] or found != sorted(set(found)) for found in heard):
        raise SystemExit("a client missed an event, or heard one twice")
    lags.sort()
    return {"lag p50, ms": lags[len(lags) // 2], "lag p99, ms": lags[int(0.99 * len(lags))]}


def printed(name: str, runs: list[dict[str, float]]) -> dict[str, float]:
    """Print a row of medians with least and most; return the medians."""
    middle = {figure: median(run[figure] for run in runs) for figure in runs[0]}
    cells = [
        f"{middle[figure]:,.1f} ({min(run[figure] for run in runs):,.1f} to "
        f"{max(run[figure] for run in runs):,.1f})"
        for figure in middle
    ]
    print(f"| {name} | {' | '.join(cells)} |", flush=True)
    return middle


def main() -> int:
    if shutil.which("wrk") is None:
        print("wrk is not installed: apt-get install wrk")
        return 2
    thresholds: dict[str, Any] = tomllib.loads((ROOT / "benchmarks" / "thresholds.toml").read_text())["api"]
    from consilium.app.api.keys import KeyStore
    from consilium.app.bootstrap import SystemClock

    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        key, _ = KeyStore(folder, SystemClock()).create("wrk", ["read"], limited=False)
        process, url = started(folder)
        try:
            print("| route | requests a second | p50, ms | p99, ms | processor, µs a request |")
            print("|---|---|---|---|---|")
            found = {}
            for path in ("/api/ensemble/status", "/health", "/api/consensus?limit=20"):
                asked(url, path, key, process.pid)
                found[path] = printed(path, [asked(url, path, key, process.pid) for _ in range(RUNS)])
            print(f"\n| events to {CLIENTS} clients | lag p50, ms | lag p99, ms |\n|---|---|---|")
            printed(f"{EVENTS} events", [asyncio.run(fanned_out(url))])
        finally:
            process.terminate()
            process.wait()
    status = found["/api/ensemble/status"]
    missed = [
        text
        for text, bad in (
            ("requests a second", status["requests a second"] < thresholds["status_requests_a_second"]),
            ("p99", status["p99, ms"] > thresholds["status_p99_ms"]),
            (
                "processor time",
                status["processor, µs a request"] > thresholds["status_processor_microseconds"],
            ),
        )
        if bad
    ]
    print("\nmissed: " + (", ".join(missed) or "none"))
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main())
