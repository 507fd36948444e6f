"""What is special about the reference detectors."""

from pathlib import Path

import numpy as np
import pytest
from sklearn.metrics import average_precision_score

from trainables._features import robust_centre_spread
from trainables._toy import make_toy
from trainables.data import load_source, prepare
from trainables.data.windows import Windows
from trainables.errors import DetectorError
from trainables.protocol import TrialResources
from trainables.registry import build_detector
from trainables.settings import DataSettings, FewShotSettings, SplitSettings, ThresholdSettings
from trainables.trial import EvaluationSettings

TOY = make_toy("shift")
NOTHING = TOY.support.take(np.arange(0))
REAL = Path(__file__).parents[3] / "shared/data/trainticket_traces_4s/trainticket_traces_4s.parquet"


def fitted(name, seed=0, reference=TOY.reference, **settings):
    return build_detector(name, settings, TrialResources(seed=seed)).fit(NOTHING, reference)


def windows_over(table, ends, length=32):
    table = np.asarray(table, dtype=np.float32)
    return Windows(table, np.asarray(ends), length, tuple(map(str, range(table.shape[1]))), 1.0)


def test_random_scores_are_uniform_and_differ_between_seeds():
    windows = windows_over(np.zeros((20_031, 1)), np.arange(31, 20_031))
    scores = fitted("random").score(windows)
    assert np.histogram(scores, bins=10, range=(0, 1))[0] == pytest.approx([2000] * 10, rel=0.08)
    assert abs(np.corrcoef(scores[:-1], scores[1:])[0, 1]) < 0.03
    assert abs(np.corrcoef(scores, fitted("random", seed=1).score(windows))[0, 1]) < 0.03


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("seed", [2**63, 2**64 - 1])
def test_random_takes_any_seed_without_a_warning(seed):
    assert len(TOY.query) == len(set(fitted("random", seed=seed).score(TOY.query.unlabelled()).tolist()))


def test_always_alarm_scores_everything_one():
    assert {1.0} == set(fitted("always_alarm").score(TOY.query.unlabelled()).tolist())


def test_moving_variance_is_its_formula():
    table = np.arcsinh(TOY.query.table.astype(np.float64))
    rows = np.concatenate([table[end - 31 : end + 1] for end in TOY.reference.ends])
    centre, spread = robust_centre_spread(rows)
    end = int(TOY.query.ends[2])
    variance = np.sort(np.square((table[end - 3 : end + 1] - centre) / spread).mean(axis=0))
    score = fitted("moving_variance", steps=4, top_channels=2).score(TOY.query.take(np.asarray([2])).unlabelled())
    assert variance[-2:].mean() == pytest.approx(score[0], rel=1e-5)


def test_moving_variance_rates_a_sustained_shift_like_a_burst():
    rng = np.random.default_rng(0)
    calm = rng.normal(size=(320, 2))
    shifted, burst = calm[:32].copy(), calm[:32].copy()
    shifted[:, 0] += 6
    burst[:, 0] += np.tile([6, -6], 16)
    table = np.concatenate([calm, shifted, burst])
    detector = fitted("moving_variance", reference=windows_over(table, np.arange(31, 320, 32)), top_channels=1)
    quiet, shift, bursting = detector.score(windows_over(table, [31, 351, 383]))
    assert shift > 5 * quiet
    assert 0.5 < shift / bursting < 2


def test_more_top_channels_than_there_are_means_all():
    everything = fitted("moving_variance", top_channels=10_000).score(TOY.query.unlabelled())
    assert np.array_equal(everything, fitted("moving_variance", top_channels=6).score(TOY.query.unlabelled()))


def test_pca_sees_channels_that_stop_moving_together():
    rng = np.random.default_rng(0)
    wave = rng.normal(size=(352, 1))
    table = np.concatenate([wave, wave, wave], axis=1) + 0.05 * rng.normal(size=(352, 3))
    table[320:, 0] *= -1  # each channel stays within its usual range
    detector = fitted("pca", reference=windows_over(table, np.arange(31, 320, 32)))
    usual, apart = detector.score(windows_over(table, [319, 351]))
    assert apart > 20 * usual


def test_pca_refuses_a_reference_that_never_varies():
    with pytest.raises(DetectorError, match="no channel of the reference varies"):
        fitted("pca", reference=windows_over(np.zeros((64, 2)), [31, 63]))


@pytest.mark.parametrize("name", ["moving_variance", "pca"])
def test_an_empty_reference_is_refused(name):
    with pytest.raises(DetectorError, match="the reference has no window"):
        fitted(name, reference=TOY.reference.take(np.arange(0)))


@pytest.mark.parametrize(
    ("name", "settings"),
    [("moving_variance", {"steps": 0}), ("moving_variance", {"top_channels": 0}), ("pca", {"explained_variance": 1.0})],
)
def test_settings_out_of_bounds_are_refused(name, settings):
    with pytest.raises(DetectorError, match=next(iter(settings))):
        fitted(name, **settings)


@pytest.mark.skipif(not REAL.exists(), reason=f"real telemetry is not at {REAL}")
def test_on_real_faults_moving_variance_reaches_what_a_one_liner_reaches():
    data = DataSettings(source="table", path=REAL, segments=("2023-01-30_load",), normalise="robust")
    settings = EvaluationSettings(data, SplitSettings(folds=3), FewShotSettings(), ThresholdSettings())
    series = load_source(data)
    found = {"random": [], "moving_variance": [], "pca": []}
    for fold in range(3):
        parts = prepare(series, settings, fold)
        for name, values in found.items():
            scores = fitted(name, reference=parts.reference).score(parts.test.unlabelled())
            values.append(average_precision_score(parts.test.y, scores))
    mean = {name: float(np.mean(values)) for name, values in found.items()}
    assert mean["moving_variance"] > 0.75, mean
    assert mean["pca"] > 0.75, mean
    assert mean["random"] < 0.45, mean
