"""The storage benchmark at its smallest: it runs, and no operation costs far more instructions than it did."""

import json
import shutil

import pytest

from grade.eclipse import build

pytestmark = [pytest.mark.lab(9), pytest.mark.skipif(not shutil.which("cc"), reason="cc is needed")]

# Guest instructions per operation, half as many again as measured: only a mistake makes them more.
LIMITS = {"seq_write": 1100, "seq_read": 700, "seq_read_warm": 300, "rand_read": 6000, "create": 16000, "create_fsync": 42000,
          "overwrite_fsync": 16000, "unlink": 12000, "stat": 2700, "readdir": 500, "raw_qd1": 4000, "raw_qd32": 4000}


@pytest.mark.points(2)
def test_storage_costs(tmp_path):
    result = tmp_path / "result.json"
    status, out = build.make("bench-storage", ONLY="Eclipse", RUNS="1", SCALE="20", RESULT=str(result))
    assert status == 0, out
    rows = json.loads(result.read_text())["Eclipse"]
    assert sorted(rows) == sorted(LIMITS)
    assert all(row["ns"] > 0 for row in rows.values())
    dear = {name: round(row["insns"]) for name, row in rows.items() if row["insns"] > LIMITS[name]}
    assert not dear, f"more instructions than allowed: {dear}, of {LIMITS}"
