"""Tests of backbone folders: whatever is wrong with one is said in words, and the bundled one is what its card says."""

import hashlib
import json
import re
import shutil
import sys
from importlib import metadata
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from safetensors.numpy import load_file, save_file

from tests.fakes import small_windows
from trainables import backbones
from trainables.errors import MissingPackageError, WeightsError
from trainables.moment_zero_shot import MomentZeroShot, MomentZeroShotConfig
from trainables.protocol import TrialResources

CARD = (backbones.WEIGHTS_FOLDER / "README.md").read_text(encoding="utf-8")
MEND = re.escape("pip install --no-deps momentfm==0.1.4")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A copy of the bundled backbone."""
    return Path(shutil.copytree(backbones.WEIGHTS_FOLDER, tmp_path / "copy"))


def tensors(folder: Path) -> dict[str, NDArray[np.float32]]:
    return dict(load_file(folder / backbones.WEIGHTS_FILE))


def write(folder: Path, state: dict[str, NDArray[np.float32]]) -> None:
    save_file(state, folder / backbones.WEIGHTS_FILE)


def test_the_bundled_backbone_and_a_copy_of_it_pass_the_check(folder: Path) -> None:
    assert backbones.WEIGHTS_FOLDER == backbones.resolve("bundled")
    assert folder == backbones.resolve(str(folder))


def test_removed_tensors_are_counted_and_named(folder: Path) -> None:
    state = tensors(folder)
    del state["encoder.block.2.layer.0.SelfAttention.q.weight"], state["head.linear.bias"]
    write(folder, state)
    with pytest.raises(
        WeightsError, match=r"lacks 2 of 42 tensors: encoder\.block\.2\.\S+q\.weight, head\.linear\.bias"
    ):
        backbones.resolve(str(folder))


def test_a_tensor_that_the_configuration_does_not_know_is_named(folder: Path) -> None:
    write(folder, tensors(folder) | {"decoder.extra": np.zeros(3, np.float32)})
    with pytest.raises(WeightsError, match=r"1 tensors that its configuration does not know: decoder\.extra"):
        backbones.resolve(str(folder))


def test_weights_of_another_size_are_refused_with_both_shapes(folder: Path) -> None:
    config = json.loads((folder / backbones.CONFIG_FILE).read_text(encoding="utf-8"))
    config["t5_config"]["d_ff"] = 512
    (folder / backbones.CONFIG_FILE).write_text(json.dumps(config), encoding="utf-8")
    with pytest.raises(WeightsError, match=r"wi_0\.weight \(256, 96\), not \(512, 96\)"):
        backbones.resolve(str(folder))


def test_a_pickle_instead_of_safetensors_is_refused_and_never_opened(folder: Path) -> None:
    (folder / backbones.WEIGHTS_FILE).unlink()
    (folder / "pytorch_model.bin").write_bytes(b"not even a pickle")
    with pytest.raises(WeightsError, match=r"pytorch_model\.bin may run code when loaded and is refused"):
        backbones.resolve(str(folder))


def test_a_file_that_was_cut_short_is_refused(folder: Path) -> None:
    weights = folder / backbones.WEIGHTS_FILE
    weights.write_bytes(weights.read_bytes()[:1000])
    with pytest.raises(WeightsError, match="cut short"):
        backbones.resolve(str(folder))


def test_a_missing_folder_is_refused_with_the_names_that_are_known(tmp_path: Path) -> None:
    with pytest.raises(
        WeightsError, match="neither a folder nor a known name; known: bundled, AutonLab/MOMENT-1-small"
    ):
        backbones.resolve(str(tmp_path / "nowhere"))


@pytest.mark.parametrize("file", [backbones.CONFIG_FILE, backbones.WEIGHTS_FILE])
def test_a_missing_file_is_named(folder: Path, file: str) -> None:
    (folder / file).unlink()
    with pytest.raises(WeightsError, match=f"has no {re.escape(file)}"):
        backbones.resolve(str(folder))


@pytest.mark.parametrize(
    "text", ["{", "[]", '{"seq_len": 512}', '{"seq_len":1,"patch_len":8,"d_model":1,"t5_config":{}}']
)
def test_a_configuration_that_is_not_moments_is_refused(folder: Path, text: str) -> None:
    (folder / backbones.CONFIG_FILE).write_text(text, encoding="utf-8")
    with pytest.raises(WeightsError, match=r"JSON|not a MOMENT configuration"):
        backbones.resolve(str(folder))


@pytest.mark.parametrize("init", ["pretrained", "random"])
def test_a_folder_that_the_driver_found_and_this_machine_lacks_is_refused_in_words(tmp_path: Path, init: str) -> None:
    resources = TrialResources(weights={"bundled": str(tmp_path / "gone")})
    detector = MomentZeroShot(MomentZeroShotConfig.model_validate({"init": init}), resources)
    windows = small_windows.reference()
    detector.fit(small_windows.support(), windows)
    with pytest.raises(WeightsError, match="gone has no"):
        detector.score(windows)


@pytest.mark.parametrize("offline", [True, False])
def test_a_hub_name_without_network_or_cache_is_refused_in_words(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, offline: bool
) -> None:
    from huggingface_hub import constants

    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path))
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", offline)
    monkeypatch.setattr(constants, "ENDPOINT", "http://127.0.0.1:9")  # nobody listens there
    for proxy in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.delenv(proxy, raising=False)
    with pytest.raises(
        WeightsError, match=r"MOMENT-1-small is not in the hub cache and cannot be fetched .* give a folder"
    ):
        backbones.resolve("AutonLab/MOMENT-1-small")


def hub_cache(cache: Path, folder: Path, name: str = "AutonLab/MOMENT-1-small") -> Path:
    """Lay a folder out as the hub's client caches it; return where its weights' bytes lie."""
    root = cache / f"models--{name.replace('/', '--')}"
    commit = "0" * 40
    for part in ("blobs", "refs", f"snapshots/{commit}"):
        (root / part).mkdir(parents=True)
    (root / "refs" / "main").write_text(commit, encoding="utf-8")
    for number, file in enumerate((backbones.CONFIG_FILE, backbones.WEIGHTS_FILE)):
        shutil.copy(folder / file, root / "blobs" / str(number))
        (root / "snapshots" / commit / file).symlink_to(f"../../blobs/{number}")
    return root / "blobs" / "1"


@pytest.fixture
def cached(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, folder: Path) -> Path:
    """The weights' bytes in a hub cache that holds MOMENT-1-small; the hub itself refuses."""
    from huggingface_hub import constants

    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "hub"))
    monkeypatch.setattr(constants, "ENDPOINT", "http://127.0.0.1:9")  # nobody listens there
    for proxy in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.delenv(proxy, raising=False)
    return hub_cache(tmp_path / "hub", folder)


def test_what_the_hub_cache_holds_is_used_without_asking_the_hub(cached: Path) -> None:
    found = backbones.resolve("AutonLab/MOMENT-1-small")
    assert cached.resolve() == (found / backbones.WEIGHTS_FILE).resolve()
    assert found == backbones.find("AutonLab/MOMENT-1-small")


@pytest.mark.parametrize("link_stays", [True, False])
def test_a_download_that_was_broken_off_is_said_to_be_one(cached: Path, link_stays: bool) -> None:
    if not link_stays:
        next(cached.parents[1].glob(f"snapshots/*/{backbones.WEIGHTS_FILE}")).unlink()
    cached.rename(cached.with_suffix(".incomplete"))
    assert backbones.find("AutonLab/MOMENT-1-small") is None
    with pytest.raises(
        WeightsError, match=r"in the hub cache only in part and cannot be fetched: .*model\.safetensors"
    ):
        backbones.resolve("AutonLab/MOMENT-1-small")


def test_bytes_that_are_missing_in_the_hub_cache_are_noticed(cached: Path) -> None:
    cached.write_bytes(cached.read_bytes()[:5000])
    with pytest.raises(WeightsError, match="cut short"):
        backbones.resolve("AutonLab/MOMENT-1-small")


def test_the_size_of_a_download_is_that_of_the_published_file() -> None:
    assert 4 * 341_248_520 == backbones.download_bytes("AutonLab/MOMENT-1-large")


def test_a_missing_momentfm_is_refused_with_the_command_that_mends_it(monkeypatch: pytest.MonkeyPatch) -> None:
    found = metadata.version

    def version(name: str) -> str:
        if name == "momentfm":
            raise metadata.PackageNotFoundError(name)
        return found(name)

    monkeypatch.setattr(metadata, "version", version)
    with pytest.raises(MissingPackageError, match=MEND):
        backbones.check_packages()


def test_an_old_momentfm_is_refused_with_the_command_that_mends_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(metadata, "version", lambda name: "0.1.3")
    with pytest.raises(MissingPackageError, match=f"0.1.3 is too old.*{MEND}"):
        backbones.check_packages()


def test_a_momentfm_that_cannot_be_imported_is_refused_with_the_command(monkeypatch: pytest.MonkeyPatch) -> None:
    from trainables import _moment
    from trainables.pretrain import TINY

    monkeypatch.setitem(sys.modules, "momentfm.models.moment", None)
    with pytest.raises(MissingPackageError, match=MEND):
        _moment.build(TINY)


def test_the_bundled_backbone_has_the_size_its_card_gives_and_fits_five_megabytes() -> None:
    parameters = sum(array.size for array in tensors(backbones.WEIGHTS_FOLDER).values())
    assert 400_000 < parameters < 700_000
    assert f"| parameters | {parameters:,} |" in CARD
    assert (backbones.WEIGHTS_FOLDER / backbones.WEIGHTS_FILE).stat().st_size <= 5_000_000
    assert {"README.md", "config.json", "curve.csv", "gate.csv", "model.safetensors", "recipe.json"} == {
        path.name for path in backbones.WEIGHTS_FOLDER.iterdir()
    }


def test_the_card_gives_the_weights_checksum() -> None:
    digest = hashlib.sha256((backbones.WEIGHTS_FOLDER / backbones.WEIGHTS_FILE).read_bytes()).hexdigest()
    assert f"| sha256 of model.safetensors | {digest} |" in CARD


def test_the_configuration_does_not_say_that_nothing_was_trained() -> None:
    assert "untrained" not in backbones.read_config(backbones.WEIGHTS_FOLDER)


@pytest.mark.parametrize("name", backbones.PUBLISHED)
def test_published_sizes_follow_from_their_configurations(name: str) -> None:
    shapes = backbones.expected_shapes(backbones.PUBLISHED[name])
    millions = sum(int(np.prod(shape)) for shape in shapes.values()) / 1e6
    size = {"small": (18, 19), "base": (84, 86), "large": (307, 309)}[name.rsplit("-", 1)[1]]  # without the vocabulary
    assert size[0] < millions < size[1]
