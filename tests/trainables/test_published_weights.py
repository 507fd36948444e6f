"""Tests with folders as the hub holds them: published configurations, random weights, all their tensors."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from tests.fakes import published
from trainables import backbones
from trainables._moment import ALIGNMENT, COPIED_BYTES, LoraSettings, MomentBackbone, load, twin, window_normalised
from trainables.errors import WeightsError

CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """MOMENT-1-small in full: 141 MB, 66 of them vocabulary."""
    return published.write_folder(tmp_path_factory.mktemp("hub") / "small", published.configuration("small"))


def embedded(backbone: MomentBackbone, windows: Tensor) -> Tensor:
    """Embeddings [S, P, d] of sequences [S, L]."""
    with torch.no_grad():
        states = backbone.run(backbone.tokens(window_normalised(windows)), 0, backbone.layers)
        return backbone.finish(states)


@pytest.mark.parametrize(("size", "parameters"), [("small", 35_341_512), ("base", 109_641_608), ("large", 341_248_520)])
def test_published_configurations_have_the_published_number_of_parameters(size: str, parameters: int) -> None:
    config = published.configuration(size)
    shapes = {**backbones.expected_shapes(config), backbones.VOCABULARY: (32128, config["d_model"])}
    assert parameters == sum(int(np.prod(shape)) for shape in shapes.values())


@pytest.mark.parametrize("size", ["small", "base", "large"])
def test_the_tensors_expected_of_a_folder_are_those_of_momentfms_own_model(size: str) -> None:
    from momentfm.models.moment import MOMENT
    from momentfm.utils.utils import NamespaceWithDefaults

    config = published.configuration(size)
    with torch.device("meta"):
        module = MOMENT(NamespaceWithDefaults(**config, task_name="reconstruction"))
    found = {name: tuple(tensor.shape) for name, tensor in module.state_dict().items()}
    unused = {backbones.VOCABULARY: (32128, config["d_model"]), backbones.POSITIONS: (1, 5000, config["d_model"])}
    assert {**backbones.expected_shapes(config), **unused} == found


def test_a_folder_that_momentfm_saved_itself_gives_momentfms_embeddings(tmp_path: Path) -> None:
    from momentfm import MOMENTPipeline

    torch.manual_seed(0)
    config = published.configuration("small", num_layers=2) | {"task_name": "reconstruction"}
    saved: Any = MOMENTPipeline(config, model_kwargs={"task_name": "reconstruction"})
    saved.init()
    saved.save_pretrained(tmp_path)
    pipeline: Any = MOMENTPipeline.from_pretrained(tmp_path, model_kwargs={"task_name": "reconstruction"})
    pipeline.init()
    pipeline.eval()
    windows = torch.randn(3, 512, generator=torch.Generator().manual_seed(1))
    with torch.no_grad():
        expected = pipeline.embed(x_enc=windows[None], input_mask=torch.ones(1, 512), reduction="none").embeddings[0]
    found = embedded(load(backbones.resolve(str(tmp_path)), CPU), windows)
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-5)


def test_the_small_backbone_loads_whole_and_runs(small: Path) -> None:
    found = embedded(load(backbones.resolve(str(small)), CPU), torch.randn(2, 64))
    assert (2, 8, 512) == found.shape
    assert found.isfinite().all()


@pytest.mark.slow
@pytest.mark.parametrize("size", ["base", "large"])
def test_the_larger_backbones_load_whole_and_run(size: str, tmp_path: Path) -> None:
    folder = published.write_folder(tmp_path / size, published.configuration(size))
    assert embedded(load(backbones.resolve(str(folder)), CPU), torch.randn(1, 32)).isfinite().all()


def test_removed_layers_of_a_published_folder_are_counted_and_named(tmp_path: Path) -> None:
    config = published.configuration("large", num_layers=2)
    state = {
        name: array for name, array in published.tensors(config, vocabulary=False).items() if "block.1." not in name
    }
    published.write_folder(tmp_path, config, state)
    with pytest.raises(WeightsError, match=r"lacks 9 of 24 tensors: encoder\.block\.1\."):
        backbones.resolve(str(tmp_path))


def test_a_small_configuration_on_base_weights_is_refused_with_both_shapes(tmp_path: Path) -> None:
    state = published.tensors(published.configuration("base", num_layers=1))
    published.write_folder(tmp_path, published.configuration("small", num_layers=1), state)
    with pytest.raises(WeightsError, match=r"does not fit its config\.json: \S+ \(768,\), not \(512,\)"):
        backbones.resolve(str(tmp_path))


def mappings(file: Path) -> Iterator[tuple[range, int]]:
    """Address ranges of this process that show a file, with the bytes of it that lie in memory."""
    addresses = None
    for line in Path("/proc/self/smaps").read_text(encoding="utf-8").splitlines():
        first, *rest = line.split()
        if not first.endswith(":"):
            start, stop = (int(part, 16) for part in first.split("-"))
            addresses = range(start, stop) if rest[-1] == str(file) else None
        elif addresses is not None and first == "Rss:":
            yield addresses, int(rest[0]) * 1024


@pytest.mark.skipif(not Path("/proc/self/smaps").exists(), reason="only Linux says what is mapped")
def test_large_weights_stay_in_the_file_and_the_vocabulary_never_enters_memory(small: Path) -> None:
    file = small / backbones.WEIGHTS_FILE
    first, second = load(small, CPU), load(small, CPU)
    for backbone in (first, second):
        embedded(backbone, torch.randn(1, 32))
    found = list(mappings(file))
    for backbone in (first, second):
        for name, tensor in backbone.module.named_parameters():
            if name != backbones.VOCABULARY and tensor.nbytes >= COPIED_BYTES:
                assert any(tensor.data_ptr() in addresses for addresses, _ in found), name
    vocabulary = 4 * 32128 * 512
    for _, resident in found:
        assert 0 < resident < file.stat().st_size - 0.9 * vocabulary
    assert file.stat().st_size > 2 * vocabulary  # as the hub's file, it holds the vocabulary


def test_small_weights_start_where_torch_lets_its_own_start() -> None:
    module = load(backbones.WEIGHTS_FOLDER, CPU).module
    assert {0} == {tensor.data_ptr() % ALIGNMENT for tensor in module.state_dict().values()}


def test_a_backbone_that_gets_adapters_shares_the_frozen_weights(small: Path) -> None:
    frozen = load(small, CPU)
    other = twin(frozen)
    adapters = other.add_lora(LoraSettings(rank=2, alpha=4.0, dropout=0.0, targets=("q", "v"), first_layer=6))
    assert 2 * 2 * 2 == len(adapters)
    own = dict(frozen.module.named_parameters())
    for name, tensor in other.module.named_parameters():
        if "lora_" not in name:
            assert own[name.replace(".base_layer", "")].data_ptr() == tensor.data_ptr(), name
    assert not any("lora_" in name for name in own)


def test_weights_stored_in_half_precision_are_computed_in_fp32(tmp_path: Path) -> None:
    config = published.configuration("small", num_layers=1)
    halves: dict[str, Any] = {name: array.astype(np.float16) for name, array in published.tensors(config).items()}
    published.write_folder(tmp_path, config, halves)
    assert {torch.float32} == {parameter.dtype for parameter in load(tmp_path, CPU).module.parameters()}
