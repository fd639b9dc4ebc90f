"""The memory that a report takes does not grow with the archive."""

import importlib.util
import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

pytestmark = pytest.mark.scale("pyarrow")
pytest.importorskip("pyarrow", reason="pip install 'wordsight[archive]'")

_PLACE = importlib.util.spec_from_file_location("archive_writer", Path(__file__).with_name("archive_writer.py"))
writer = importlib.util.module_from_spec(_PLACE)
_PLACE.loader.exec_module(writer)

ROWS, DIM = 20_000, 128
PEAK = """
import json, re, sys
from pathlib import Path
from wordsight.runtime.archive.report_found import gather
from wordsight.runtime.archive.report_read import read_archive
found = gather(read_archive(Path(sys.argv[1])), 1000, 0.995)
peak = int(re.search(r"VmHWM:\\s+(\\d+) kB", Path("/proc/self/status").read_text())[1]) * 1024
print(json.dumps([found.scored, found.looked_at, len(found.spans), peak]))
"""


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="needs Linux: /proc/self/status")
def test_six_times_the_pictures_take_the_same_memory(tmp_path):
    rng = np.random.default_rng(12)
    seen = []
    for shards in (1, 6):
        folder = tmp_path / str(shards)
        writer.write_run(folder, shards, shards * ROWS)
        for number in range(shards):
            rows = {"score": rng.random(ROWS), "modified": 1_790_000_000 + rng.random(ROWS) * 864_000}
            rows["embedding"] = rng.standard_normal((ROWS, DIM), np.float32)
            writer.write_shard(folder, number, rows, groups=5_000)
        done = subprocess.run(
            [sys.executable, "-c", PEAK, str(folder)], capture_output=True, text=True, timeout=300, check=True
        )
        seen.append(json.loads(done.stdout))
    (few, looked, spans, less), (many, looked_too, spans_too, more) = seen
    assert (few, many) == (ROWS, 6 * ROWS)
    assert (looked, spans) == (looked_too, spans_too) == (1000, 12)
    # The embeddings alone of five shards are 51 MB; what may come is the sample of all times, 3 MB here, held twice.
    assert more - less < 30e6
