"""What is special about the scikit-learn detectors: one class, few shots, classes of unequal size, speed."""

import time
import warnings

import numpy as np
import pytest
from sklearn.metrics import roc_auc_score

from trainables._toy import FAULTS, make_toy
from trainables.data.series import NORMAL
from trainables.data.windows import LabelledWindows
from trainables.errors import DetectorError
from trainables.protocol import FaultClassifier, TrialResources
from trainables.registry import build_detector

TOY = make_toy("shift")
CLASSIFIERS = ["random_forest", "gradient_boosting", "logistic_regression"]


def fitted(name, support=TOY.support, seed=0, **settings):
    return build_detector(name, settings, TrialResources(seed=seed)).fit(support, TOY.reference)


def auc(detector):
    return roc_auc_score(TOY.query.y, detector.score(TOY.query.unlabelled()))


@pytest.mark.parametrize("name", CLASSIFIERS)
@pytest.mark.parametrize(
    ("label", "counts"), [(0, "12 normal and 0 faulty"), (1, "0 normal and 12 faulty")], ids=["normal", "faulty"]
)
def test_shots_of_one_class_are_refused_in_words(name, label, counts):
    with pytest.raises(DetectorError, match=f"needs normal and faulty windows; this support set has {counts}"):
        fitted(name, TOY.support.take(TOY.support.y == label))


@pytest.mark.parametrize("name", CLASSIFIERS)
def test_two_shots_one_of_each_class_are_enough_to_fit(name):
    assert np.isfinite(fitted(name, TOY.support.take(np.asarray([0, 1]))).score(TOY.query.unlabelled())).all()


@pytest.mark.parametrize("name", CLASSIFIERS)
def test_twenty_shots_learn_a_plain_fault(name):
    assert auc(fitted(name, TOY.support.take(np.arange(20)))) > 0.9


@pytest.mark.parametrize("name", ["gradient_boosting", "logistic_regression"])
def test_classes_of_unequal_size_count_equally(name):
    rare = TOY.support.take(np.concatenate([np.flatnonzero(TOY.support.y == 0), [1, 3]]))  # 12 normal, 2 faulty
    learned = {"gradient_boosting": {"max_iter": 3}, "logistic_regression": {"C": 1e-4}}[name]  # far from certain
    fault = 1 / (1 + np.exp(-fitted(name, rare, **learned).score(rare.unlabelled())))
    # Weighted equally, faults have a prior of one half; as they come, of one seventh.
    assert 0.5 == pytest.approx((fault[rare.y == 0].mean() + fault[rare.y == 1].mean()) / 2, abs=0.05)


@pytest.mark.parametrize("name", ["random_forest", "logistic_regression"])
def test_a_fault_gets_the_name_it_was_shown_under(name):
    detector = fitted(name)
    assert isinstance(detector, FaultClassifier)
    assert (*FAULTS, NORMAL) == detector.fault_types
    named = np.asarray(detector.fault_types)[detector.classify(TOY.query.unlabelled()).argmax(axis=1)]
    assert (named == TOY.query.fault_type).mean() > 0.9


def test_gradient_boosting_does_not_claim_to_name_faults():
    assert not isinstance(fitted("gradient_boosting"), FaultClassifier)


def wide_support(shots, channels=88, length=32):
    rng = np.random.default_rng(0)
    table = rng.normal(size=(shots * length, channels)).astype(np.float32)
    y = (np.arange(shots) % 2).astype(np.int8)
    return LabelledWindows(
        table, np.arange(1, shots + 1) * length - 1, length, tuple(map(str, range(channels))), 1.0,
        y, np.where(y == 1, "delay", NORMAL), np.where(y == 1, np.arange(shots), -1).astype(np.int32),
    )  # fmt: skip


def test_gradient_boosting_on_more_windows_than_bins_is_quick():
    support = wide_support(400)
    started = time.perf_counter()
    build_detector("gradient_boosting", {}, TrialResources()).fit(support, support.unlabelled())
    assert time.perf_counter() - started < 10  # 0.3 s on an idle machine; 30 s if scikit-learn bins with weights


def test_features_of_wide_telemetry_are_quick():
    support = wide_support(500)
    detector = build_detector("logistic_regression", {}, TrialResources()).fit(support, support.unlabelled())
    started = time.perf_counter()
    detector.score(support.unlabelled())
    assert time.perf_counter() - started < 1  # 0.02 s on an idle machine


def test_logistic_regression_counts_its_weights():
    assert 6 * 4 + 1 == fitted("logistic_regression").facts.trainable_parameters


def test_logistic_regression_orders_windows_that_are_all_certain_faults():
    scores = fitted("logistic_regression", C=1e4).score(TOY.query.take(TOY.query.y == 1).unlabelled())
    assert len(scores) == len(set(scores.tolist()))


NORMALS = TOY.support.take(TOY.support.y == 0)


@pytest.mark.filterwarnings("error")
def test_isolation_forest_fits_the_reference_at_no_shots_and_the_shots_alone_otherwise():
    query = TOY.query.unlabelled()

    def scores(support, reference):
        detector = build_detector("isolation_forest", {"n_estimators": 20}, TrialResources())
        return detector.fit(support, reference).score(query)

    nothing, other = NORMALS.take(np.arange(0)), make_toy("spike").reference
    assert not np.array_equal(scores(nothing, TOY.reference), scores(nothing, other))
    assert np.array_equal(scores(NORMALS, TOY.reference), scores(NORMALS, other))


def test_isolation_forest_learns_nothing_from_one_window_and_says_so_by_equal_scores():
    scores = fitted("isolation_forest", NORMALS.take(np.asarray([0])), n_estimators=20).score(TOY.query.unlabelled())
    assert 1 == len(set(scores.tolist()))


def test_isolation_forest_without_any_window_is_refused():
    detector = build_detector("isolation_forest", {}, TrialResources())
    with pytest.raises(DetectorError, match="neither support nor reference"):
        detector.fit(NORMALS.take(np.arange(0)), TOY.reference.take(np.arange(0)))


@pytest.mark.parametrize(
    ("name", "setting", "value"),
    [
        ("random_forest", "n_estimators", 0),
        ("random_forest", "max_features", "cube"),
        ("random_forest", "max_features", 1.5),
        ("gradient_boosting", "learning_rate", 0),
        ("gradient_boosting", "max_leaf_nodes", 1),
        ("logistic_regression", "C", -1),
        ("isolation_forest", "max_samples", 0),
    ],
)
def test_settings_out_of_bounds_are_refused(name, setting, value):
    with pytest.raises(DetectorError, match=setting):
        build_detector(name, {setting: value}, TrialResources())


@pytest.mark.parametrize("setting", [{"max_depth": None}, {"max_features": "log2"}, {"max_features": 0.3}])
def test_random_forest_takes_each_kind_of_setting(setting):
    assert auc(fitted("random_forest", n_estimators=30, **setting)) > 0.8


@pytest.mark.parametrize("name", [*CLASSIFIERS, "isolation_forest"])
def test_a_seed_of_64_bits_is_accepted_and_no_warning_escapes(name):
    support = NORMALS if name == "isolation_forest" else TOY.support
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        fitted(name, support, seed=2**64 - 1).score(TOY.query.unlabelled())
