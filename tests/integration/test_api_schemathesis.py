"""Every route of the real service against its OpenAPI document, with every check that schemathesis has."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from served import ADMIN, ADMIN_KEY, served

EXAMPLES = "200" if os.environ.get("CONSILIUM_TEST_PROFILE") == "soak" else "10"
FEED = ("--feed", "simulate:symbols=2,bars=2000,kind=garch", "--speed", "5")


@pytest.mark.long
def test_no_request_that_schemathesis_makes_finds_a_fault(tmp_path: Path) -> None:
    program = Path(sys.executable).with_name("schemathesis")
    limits = {"API__WRITES_PER_MINUTE": "0", "API__READS_PER_MINUTE": "0", "API__STREAM_SECONDS": "0.05"}
    with served(tmp_path / "data", *FEED, **limits) as http:
        done = subprocess.run(
            [
                *(str(program), "run", f"{http.base_url}/openapi.json", "--checks", "all", "--no-color"),
                *("-H", f"X-API-Key: {ADMIN_KEY}", "--max-examples", EXAMPLES, "--request-timeout", "20"),
            ],
            cwd=tmp_path,
            capture_output=True,
            text=True,
            check=False,
        )
        # What it asked for did the service no harm.
        assert http.get("/readyz").status_code == 200
        assert http.get("/api/ensemble/status", headers=ADMIN).status_code == 200
    assert done.returncode == 0, done.stdout[-6000:]
    tested = re.search(r"Tested: (\d+)", done.stdout)
    assert tested is not None
    assert int(tested.group(1)) >= 46
