"""Tests of the cache of frozen results: the same bits with it and without, in any process, whatever is on disk."""

import logging
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from tests.fakes import small_windows
from trainables import _frozen, _frozen_cache
from trainables._frozen_cache import DiskCache, MemoryCache, Result, disk_cache
from trainables._moment_config import MomentHeadConfig
from trainables.errors import DetectorError
from trainables.moment_linear_probe import MomentLinearProbe
from trainables.moment_lora import MomentLora, MomentLoraConfig
from trainables.moment_zero_shot import MomentZeroShot, MomentZeroShotConfig
from trainables.protocol import Detector, TrialResources

ROOT = Path(__file__).parents[2]


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("FEWSHOT_CACHE", str(tmp_path / "cache"))
    _frozen._KEPT.clear()
    return tmp_path / "cache"


def files(folder: Path) -> list[Path]:
    return sorted(path for path in folder.glob("*/*") if path.is_file())


def detectors() -> dict[str, Detector]:
    return {
        "zero_shot": MomentZeroShot(MomentZeroShotConfig(masking="fixed"), TrialResources()),
        "probe": MomentLinearProbe(MomentHeadConfig(), TrialResources()),
        "lora": MomentLora(MomentLoraConfig(adapted_layers=1, epochs=1), TrialResources()),
        "reconstruct": MomentLora(
            MomentLoraConfig(adapted_layers=1, epochs=1, objective="reconstruct"), TrialResources()
        ),
    }


def scores(name: str) -> tuple[NDArray[np.float64], float]:
    """Scores of a detector in a process that remembers nothing, and the seconds that the cache spared it."""
    _frozen._KEPT.clear()
    support = small_windows.support()
    detector = detectors()[name].fit(support, small_windows.reference(4))
    found = detector.score(support.unlabelled())
    spared = detector.facts.cache_saved_seconds
    assert spared is not None
    return found, spared


@pytest.mark.parametrize("name", ["zero_shot", "probe", "lora", "reconstruct"])
def test_scores_are_the_same_bits_without_the_cache_with_it_empty_and_with_it_filled(
    name: str, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first, nothing_spared = scores(name)
    assert files(folder)
    second, spared = scores(name)
    monkeypatch.setenv("FEWSHOT_CACHE", "off")
    without, _ = scores(name)
    np.testing.assert_array_equal(first, without)
    np.testing.assert_array_equal(second, without)
    assert nothing_spared == 0 < spared


def test_windows_in_other_slices_are_other_results(folder: Path) -> None:
    zero_shot, windows = MomentZeroShot(MomentZeroShotConfig(), TrialResources()), small_windows.reference(2)
    backbone, how = _frozen.open_frozen(zero_shot.config, zero_shot.resources, windows.length, zero_shot.served_)
    x = torch.from_numpy(zero_shot.fit(small_windows.support(), windows).scaling_.sequences(windows))
    for at_once in (3, 2, 100):  # of three channels: whole, in two slices, whole again
        _frozen.embeddings(backbone, x, replace(how, at_once=at_once))
    assert 2 * 2 == len(files(folder))


def test_another_process_finds_the_results(folder: Path) -> None:
    expected, _ = scores("zero_shot")
    code = (
        "import tests.trainables.test_frozen_cache as here\n"
        "found, spared = here.scores('zero_shot')\n"
        "print(found.tobytes().hex(), spared > 0)"
    )
    python = [sys.executable, "-c", code]
    environment = os.environ | {"PYTHONPATH": "."}
    done = subprocess.run(python, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)
    assert f"{expected.tobytes().hex()} True" == done.stdout.strip(), done.stderr


@pytest.mark.parametrize("damage", [b"", b"rubbish", None])
def test_a_damaged_result_is_computed_again_and_said_so(
    damage: bytes | None, folder: Path, caplog: pytest.LogCaptureFixture
) -> None:
    expected, _ = scores("zero_shot")
    for path in files(folder):
        content = bytearray(path.read_bytes())
        content[-1] ^= 1
        path.write_bytes(bytes(content) if damage is None else damage)
    with caplog.at_level(logging.WARNING):
        found, spared = scores("zero_shot")
    np.testing.assert_array_equal(found, expected)
    assert 0 == spared
    assert "is damaged: removed, and computed again" in caplog.text
    assert scores("zero_shot")[1] > 0, "the damaged ones were replaced"


def result(number: int, size: int = 1000) -> Result:
    return Result(torch.full((size,), float(number)), seconds=0.5, owner="")


def key(number: int) -> bytes:
    return number.to_bytes(16, "big")


def test_what_was_put_comes_back_with_its_seconds(tmp_path: Path) -> None:
    DiskCache(tmp_path, 10**9).put(key(1), result(1))
    found = DiskCache(tmp_path, 10**9).get(key(1))
    assert found is not None
    torch.testing.assert_close(found.value, result(1).value, rtol=0, atol=0)
    assert 0.5 == found.seconds
    assert DiskCache(tmp_path, 10**9).get(key(2)) is None


def test_the_folder_stays_within_its_bound_and_keeps_what_was_used_last(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(_frozen_cache, "TRIM_EVERY", 5000)
    cache = DiskCache(tmp_path, 20_000)
    for number in range(20):
        cache.put(key(number), result(number))  # 4 kB each
        age = 10_000 - number
        path = cache._path(key(number))
        os.utime(path, (path.stat().st_atime - age, path.stat().st_mtime - age))
        cache.get(key(0))  # older than an hour: marked as used again
        assert sum(path.stat().st_size for path in files(tmp_path)) <= 20_000 + 5000
    assert cache.get(key(19)) is not None
    assert cache.get(key(0)) is not None
    assert cache.get(key(1)) is None


def test_a_folder_that_cannot_be_written_costs_one_warning(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    (tmp_path / "taken").write_text("a file where the folder should be")
    cache = DiskCache(tmp_path / "taken", 10**9)
    with caplog.at_level(logging.WARNING):
        cache.put(key(1), result(1))
        cache.put(key(2), result(2))
    assert 1 == caplog.text.count("results are not written to")
    assert cache.get(key(1)) is None


def test_processes_that_write_the_same_results_at_once_leave_whole_files(tmp_path: Path) -> None:
    code = (
        "import sys\nfrom pathlib import Path\n"
        "from tests.trainables.test_frozen_cache import DiskCache, key, result\n"
        "cache = DiskCache(Path(sys.argv[1]), 10**9)\n"
        "for _ in range(20):\n    [cache.put(key(n), result(n)) for n in range(10)]\n"
    )
    environment = os.environ | {"PYTHONPATH": "."}
    writers = [
        subprocess.Popen([sys.executable, "-c", code, str(tmp_path)], cwd=ROOT, env=environment) for _ in range(2)
    ]
    assert [0, 0] == [writer.wait(120) for writer in writers]
    cache = DiskCache(tmp_path, 10**9)
    assert 10 == len(files(tmp_path))
    for number in range(10):
        found = cache.get(key(number))
        assert found is not None
        assert float(number) == found.value[0]


@pytest.mark.parametrize("bound", ["two", "0", "-1", "nan", "inf"])
def test_a_bound_that_is_no_size_is_refused(bound: str, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FEWSHOT_CACHE_GB", bound)
    with pytest.raises(DetectorError, match="FEWSHOT_CACHE_GB must be a positive number of GB"):
        disk_cache()


def test_memory_forgets_what_was_not_used_for_longest() -> None:
    memory = MemoryCache(most_bytes=3 * 4000)
    for number in range(3):
        memory.put(key(number), result(number))
    memory.get(key(0))
    memory.put(key(3), result(3))
    assert [True, False, True, True] == [memory.get(key(number)) is not None for number in range(4)]
