"""anomalib in a process of its own: the protocol with a stand-in, and the real one where its environment is."""

import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from wordsight.benchmarks.metrics import auroc
from wordsight.benchmarks.pixels import pixel_auroc
from wordsight.benchmarks.rivals import bridge
from wordsight.runtime.errors import MissingPart, WordsightError

PEERS = Path(__file__).resolve().parents[3] / ".venv-peers" / "bin" / "python"
STAND_IN = """#!{python}
import json, sys
from pathlib import Path
import numpy as np
folder = Path(sys.argv[2])  # the first argument is the script that a real Python would run
for line in sys.stdin:
    request = json.loads(line)
    with open(folder / "requests.jsonl", "a") as log:
        log.write(line)
    layer = request["layers"][-1]
    good = np.load(folder / request["support"])[layer]
    maps = np.concatenate([np.load(folder / name)[layer] for name in request["tests"]])
    away = np.abs(maps[:, None] - good[None]).mean(2).min(1)
    away = away.repeat(request["size"] // away.shape[1], 1).repeat(request["size"] // away.shape[2], 2)
    scores = away.max((1, 2)) * {scale}
    np.savez(folder / "found.npz", scores=scores, maps=away)
    print("{{}}", flush=True)
"""


@pytest.fixture
def stand_in(tmp_path):
    def make(scale="1"):
        path = tmp_path / "python"
        path.write_text(STAND_IN.format(python=sys.executable, scale=scale))
        path.chmod(0o755)
        (tmp_path / "exchange").mkdir(exist_ok=True)
        return path, tmp_path / "exchange"

    return make


@pytest.fixture(scope="module")
def parts(mini, easy):
    test, good = easy.pictures(8, 2), easy.pictures(4, 3)
    halves = [mini.features(test.frames[:6]), mini.features(test.frames[6:])]
    return test, halves, mini.features(good.frames[good.labels == 0])


def written(folder, halves):
    for number, half in enumerate(halves):
        bridge.write(folder / f"test-{number}.npz", half)
    return [f"test-{number}.npz" for number in range(len(halves))]


def test_features_go_there_and_scores_come_back_in_order(stand_in, parts, mini):
    _, halves, good = parts
    python, folder = stand_in()
    with bridge.Anomalib(python, folder, 1) as peer:
        found = peer.score("patchcore", good, written(folder, halves), mini.size, 0)
    maps = np.concatenate([half.levels[2] for half in halves])
    away = np.abs(maps[:, None] - good.levels[2][None]).mean(2).min(1)
    np.testing.assert_allclose(found.scores, away.max((1, 2)), rtol=1e-6)
    assert found.maps.shape == (len(maps), mini.size, mini.size)


def test_padim_is_given_a_single_picture_twice(stand_in, parts, mini):
    _, halves, good = parts
    one = bridge.Features([level[:1] for level in good.levels], good.pooled[:1])
    python, folder = stand_in()
    with bridge.Anomalib(python, folder, 1) as peer:
        peer.score("padim", one, written(folder, halves), mini.size, 3)
    assert len(bridge.read(folder / "support.npz").levels[0]) == 2
    asked = (folder / "requests.jsonl").read_text()
    assert '"n_features": 100' in asked
    assert '"seed": 3' in asked


def test_scores_that_are_no_numbers_are_refused(stand_in, parts, mini):
    _, halves, good = parts
    python, folder = stand_in("float('nan')")
    with bridge.Anomalib(python, folder, 1) as peer, pytest.raises(WordsightError, match="not finite"):
        peer.score("padim", good, written(folder, halves), mini.size, 0)


def test_without_the_environment_it_says_what_makes_it(tmp_path):
    with pytest.raises(MissingPart, match="make peers-env"):
        bridge.Anomalib(tmp_path / "bin" / "python", tmp_path, 1)


def test_the_peers_side_imports_nothing_of_ours():
    source = Path(bridge.__file__).with_name("peer_anomalib.py").read_text(encoding="utf-8")
    assert "import wordsight" not in source
    assert "from wordsight" not in source


@pytest.fixture(scope="module")
def anomalib(tmp_path_factory):
    assert PEERS.is_file(), "anomalib has an environment of its own: make peers-env"
    with bridge.Anomalib(PEERS, tmp_path_factory.mktemp("anomalib"), torch.get_num_threads()) as peer:
        yield peer


@pytest.mark.peers
@pytest.mark.parametrize("method", ["padim", "patchcore"])
def test_anomalib_finds_a_planted_bar_and_shuffled_labels_are_not(anomalib, parts, mini, method):
    test, halves, good = parts
    found = anomalib.score(method, good, written(anomalib.folder, halves), mini.size, 0)
    assert auroc(test.labels, found.scores) > 0.9
    assert pixel_auroc(test.masks, list(found.maps)) > 0.9
    rng = np.random.default_rng(0)
    assert abs(np.mean([auroc(rng.permutation(test.labels), found.scores) for _ in range(200)]) - 0.5) < 0.06


@pytest.mark.peers
def test_anomalibs_patchcore_is_the_nearest_patch(anomalib, parts, mini):
    """PatchCore's map without its blur: the distance to the nearest patch of the coreset; of all patches, no larger."""
    _, halves, good = parts
    found = anomalib.score("patchcore", good, written(anomalib.folder, halves), mini.size, 0)
    pooled = [torch.nn.functional.avg_pool2d(torch.from_numpy(np.concatenate(pair)), 3, 1, 1)
              for pair in zip(*(part.levels[1:] for part in (*halves, good)), strict=True)]  # fmt: skip
    fine = torch.cat([pooled[0], torch.nn.functional.interpolate(pooled[1], size=24, mode="bilinear")], 1)
    cells = fine.flatten(2).transpose(1, 2)
    bank = cells[16:].reshape(-1, cells.shape[2])
    nearest = torch.cdist(cells[:16], bank).amin(2).amax(1).numpy()
    assert (found.scores <= torch.cdist(cells[:16], bank).amax((1, 2)).numpy()).all()
    assert np.corrcoef(found.scores, nearest)[0, 1] > 0.8


@pytest.mark.peers
def test_anomalibs_padim_of_one_picture_is_a_distance_at_every_cell(anomalib, parts, mini):
    _, halves, good = parts
    one = bridge.Features([level[:1] for level in good.levels], good.pooled[:1])
    itself = anomalib.score("padim", one, written(anomalib.folder, [one]), mini.size, 0)
    assert itself.maps.max() < 1e-3
    assert anomalib.score("padim", one, written(anomalib.folder, halves), mini.size, 0).scores.min() > 1
