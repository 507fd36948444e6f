"""What detectors hold, to files and back: exactly, without pickles, without telemetry."""

import json
import subprocess
import sys
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer, StandardScaler

from tests.fakes import small_windows
from tests.fakes.detectors import InstantConfig
from trainables.errors import SavingError
from trainables.protocol import DetectorConfig, TrialResources
from trainables.saving import load_detector, read_state, save_detector, write_state

HOME = __name__


@dataclass(frozen=True)
class Part:
    name: str
    values: np.ndarray


class Holding:
    """A detector that holds what it is given."""

    labels: ClassVar = "none"
    Config: ClassVar[type[DetectorConfig]] = InstantConfig

    def __init__(self, config, resources):
        self.settings, self.given = config, resources

    def fit(self, support, reference):
        return self


def there_and_back(folder, value, home=HOME):
    write_state(folder, {"value": value}, home=home)
    return read_state(folder, home=home)["value"]


@pytest.mark.parametrize("value", [None, True, 7, 0.1, 1e-300, "ö", [1, "a"], (1, (2.5, None)), {"a": {"b": [1]}}, []])
def test_plain_values_come_back_as_they_were(tmp_path, value):
    assert value == there_and_back(tmp_path, value)
    assert type(value) is type(there_and_back(tmp_path, value))


@pytest.mark.parametrize("value", [np.nan, np.inf, np.float32(0.1), np.int8(-3), np.uint64(2**64 - 1), np.bool_(True)])
def test_numbers_that_json_cannot_hold_come_back_bit_for_bit(tmp_path, value):
    again = there_and_back(tmp_path, value)
    assert np.asarray(value).tobytes() == np.asarray(again).tobytes()
    assert np.asarray(value).dtype == np.asarray(again).dtype


@pytest.mark.parametrize("dtype", ["float64", "float32", "int64", "int8", "uint8", "bool"])
@pytest.mark.parametrize("order", ["C", "F"])
def test_arrays_keep_their_bytes_type_and_order(tmp_path, dtype, order):
    array = np.asarray(np.arange(12).reshape(3, 4) % 5, dtype=dtype, order=order)
    again = there_and_back(tmp_path, array)
    assert array.dtype == again.dtype
    assert array.tobytes(order="A") == again.tobytes(order="A")
    assert (array.flags.c_contiguous, array.flags.f_contiguous) == (
        again.flags.c_contiguous,
        again.flags.f_contiguous,
    )


def test_arrays_of_text_come_back(tmp_path):
    names = np.asarray([["cpu", "delay"], ["", "ß"]])
    assert names.tolist() == there_and_back(tmp_path, names).tolist()


def test_a_strided_view_and_an_empty_array_come_back(tmp_path):
    view = np.arange(20.0).reshape(4, 5)[::2, ::-1]
    assert view.tolist() == there_and_back(tmp_path, view).tolist()
    assert (0, 3) == there_and_back(tmp_path, np.empty((0, 3))).shape


def test_tensors_come_back_as_tensors(tmp_path):
    import torch

    tensor = torch.arange(6.0).view(2, 3)
    assert torch.equal(tensor, there_and_back(tmp_path, {"a": tensor})["a"])


def test_dataclasses_of_the_detectors_own_module_come_back(tmp_path):
    again = there_and_back(tmp_path, Part("level", np.arange(3)))
    assert ("level", [0, 1, 2]) == (again.name, again.values.tolist())


def test_a_pipeline_of_scikit_learn_predicts_the_same(tmp_path):
    x = np.random.default_rng(0).normal(size=(40, 3))
    model = make_pipeline(StandardScaler(), LogisticRegression()).fit(x, x[:, 0] > 0)
    again = there_and_back(tmp_path, model)
    assert model.decision_function(x).tobytes() == again.decision_function(x).tobytes()


def test_settings_and_resources_are_given_again_under_whatever_name(tmp_path):
    config, resources = InstantConfig(gain=3.0), TrialResources(seed=5)
    detector = Holding(config, resources)
    detector.centre = np.arange(3)
    save_detector(detector, tmp_path)
    other = TrialResources(seed=5, threads=2)
    again = load_detector(Holding, tmp_path, config, other)
    assert (config, other, [0, 1, 2]) == (again.settings, again.given, again.centre.tolist())
    assert {"centre"} == set(json.loads((tmp_path / "state.json").read_text()))


@pytest.mark.parametrize(
    ("value", "message"),
    [
        (lambda x: x, "attribute value is a builtins.function, which cannot be saved"),
        (np.random.default_rng(0), "numpy.random._generator.Generator"),
        (np.asarray([object()]), "an array of object"),
        ({1: 2}, "builtins.dict"),
        ([1, {2}], "attribute value.1 is a builtins.set"),
        (small_windows.reference(), "holds telemetry (Windows)"),
        (small_windows.support(), "holds telemetry (LabelledWindows)"),
        (TrialResources(), "trainables.protocol.TrialResources"),
        (FunctionTransformer(lambda x: x), "attribute value"),
    ],
)
def test_what_cannot_be_saved_is_named(tmp_path, value, message):
    with pytest.raises(SavingError) as caught:
        there_and_back(tmp_path, value)
    assert message in str(caught.value)


def test_a_dataclass_of_another_package_is_neither_saved_nor_loaded(tmp_path):
    with pytest.raises(SavingError, match="which cannot be saved"):
        there_and_back(tmp_path, Part("a", np.arange(2)), home="elsewhere.module")
    state = {"value": {"dataclass": "subprocess:Popen", "fields": {"args": "true"}}}
    (tmp_path / "state.json").write_text(json.dumps(state))
    with pytest.raises(SavingError, match="no class of this detector"):
        read_state(tmp_path, home=HOME)


@pytest.mark.parametrize("text", ["", "{", '{"a": {"array": "b"}}', '{"a": {"what": 1}}', "[1]"])
def test_a_damaged_file_is_an_error_of_ours(tmp_path, text):
    (tmp_path / "state.json").write_text(text)
    with pytest.raises(SavingError):
        read_state(tmp_path, home=HOME)


def test_a_class_with_slots_is_told_what_to_do(tmp_path):
    class Slotted:
        __slots__ = ("centre",)

    with pytest.raises(SavingError, match="give it save and load"):
        save_detector(Slotted(), tmp_path)


def test_an_estimator_of_scikit_learn_goes_to_files_and_back_without_torch(tmp_path):
    code = (
        "import sys, pathlib\n"
        "from sklearn.preprocessing import StandardScaler\n"
        "from trainables.saving import read_state, write_state\n"
        "folder = pathlib.Path(sys.argv[1])\n"
        "write_state(folder, {'value': StandardScaler().fit([[1.0], [3.0]])}, home='here')\n"
        "print(read_state(folder, home='here')['value'].mean_, 'torch' in sys.modules)\n"
    )
    done = subprocess.run([sys.executable, "-c", code, str(tmp_path)], capture_output=True, text=True, check=False)
    assert ("[2.] False\n", "") == (done.stdout, done.stderr)
