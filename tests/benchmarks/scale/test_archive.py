"""`wordsight bench archive`: its figures from runs that a test made up, and one small run as it is."""

import hashlib

import pytest

from wordsight.benchmarks.scale import archive as bench
from wordsight.benchmarks.scale.archive_limit import two_over_one
from wordsight.benchmarks.scale.archive_pictures import write_pictures
from wordsight.benchmarks.scale.archive_run import Seen, Way, timed
from wordsight.runtime.demo import demo_model
from wordsight.runtime.errors import ArchiveError
from wordsight.runtime.pictures import read_picture


def steady(count, rate, start_s=3.0, shard=100, memory=lambda done: 4e8):
    """A run at an even rate, whose workers take a while to begin."""
    dones = range(shard, count + 1, shard)
    ends = [(start_s + done / rate, done) for done in dones]
    return Seen(ends, ends[-1][0] + 0.5, cpu_s=count / 50, memory=[(done, memory(done)) for done in dones])


def figures(found):
    return {figure.name: figure for figure in found}


def test_an_even_run_is_flat():
    found = figures(bench.growth_figures(steady(20_000, 200), listing_s=2.0))
    assert found["archive.rate_spread"].value == pytest.approx(0, abs=1e-9)
    assert found["archive.cost_first"].value == pytest.approx(5)
    assert found["archive.memory_growth_mb"].value == pytest.approx(0, abs=1e-6)
    assert found["archive.listing_us"].value == pytest.approx(100)


def test_a_run_that_slows_down_or_swells_is_seen():
    seen = steady(20_000, 200, memory=lambda done: 4e8 + 1000 * done)
    late = 0.2 * (seen.ends[-1][0] - seen.ends[99][0])
    slower = [(at if done <= 10_000 else at + late * (done - 10_000) / 10_000, done) for at, done in seen.ends]
    found = figures(bench.growth_figures(Seen(slower, 0, None, seen.memory), listing_s=1.0))
    assert found["archive.rate_spread"].value == pytest.approx(0.2, rel=0.01)
    assert found["archive.memory_bytes_per_picture"].value == pytest.approx(1000)
    assert found["archive.memory_growth_mb"].value == pytest.approx(19, rel=0.01)


def test_ratios_leave_out_what_a_run_takes_to_begin():
    rates = {"one": 50, "here": 60, "local": 90, "ray": 75}
    starts = {"one": 1, "here": 1, "local": 2, "ray": 20}
    found = {name: [steady(4000, rate, starts[name])] for name, rate in rates.items()}
    told = figures(bench.compare_figures(found, [1.3, 1.1, 1.2], 4000))
    assert told["archive.ratio.two_over_one_core"].value == pytest.approx(1.8)
    assert told["archive.ratio.two_over_one_process"].value == pytest.approx(1.5)
    assert told["archive.ratio.local_over_ray"].value == pytest.approx(1.2)
    assert told["archive.start_s.ray"].value == pytest.approx(20.5)
    assert told["archive.limit.two_over_one"].value == 1.2
    words = bench.profile(list(told.values()))
    assert "give 1.80 times one core" in words
    assert "in two processes over one, gives 1.20 here" in words


def test_drawn_pictures_are_all_different_and_can_be_read(tmp_path):
    write_pictures(tmp_path, 200)
    paths = sorted(tmp_path.rglob("part-*"))
    assert len({hashlib.sha256(path.read_bytes()).hexdigest() for path in paths}) == 200
    assert {read_picture(path).shape for path in paths} == {(120, 160, 3)}
    assert {path.suffix for path in paths} == {".jpg", ".png"}


@pytest.mark.scale("pyarrow")
def test_a_run_is_timed_shard_by_shard(tmp_path):
    (tmp_path / "pictures").mkdir()
    write_pictures(tmp_path / "pictures", 60)
    run, _ = bench.prepare(tmp_path / "pictures", tmp_path / "out", demo_model(), 20)
    told = []
    seen = timed(tmp_path / "out", demo_model(), Way("here", 1, cores=1), 16, told.append)
    assert told == [20, 40, 60]
    assert [done for _, done in seen.ends] == [20, 40, 60]
    assert run.pictures == 60
    assert 0 < seen.ends[0][0] < seen.ends[-1][0] <= seen.whole_s
    assert seen.cpu_s > 0


def test_a_run_that_fails_says_why(tmp_path):
    with pytest.raises(ArchiveError, match=r"the run with here failed: .*run\.json"):
        timed(tmp_path, demo_model(), Way("here", 1), 16)


def test_a_second_core_adds_something_and_no_more_than_itself():
    # Other work of the machine moves both, and may stop one of three; the bounds are those of a ratio that means what
    # it says.
    assert 0.2 < sorted(two_over_one(0.2) for _ in range(3))[1] < 10
