"""`moment_lora` on disk: the adapter as PEFT lays it out, the head and what makes its features beside it.

`adapter/` can be opened without this project, by `peft.PeftModel.from_pretrained(moment, "adapter")`.
"""

import json
from pathlib import Path
from typing import Any

from safetensors.torch import load_file, save_file

from trainables import _frozen
from trainables._lora import LoraModel
from trainables._lora_reconstruction import ReconstructionModel
from trainables._memory import MicroBatches
from trainables._moment import adapted_from, twin
from trainables._reconstruction import fixed_masks
from trainables._served import Served
from trainables._torch import torch_session
from trainables.backbones import PUBLISHED
from trainables.moment_lora import MomentLoraConfig
from trainables.protocol import TrialResources
from trainables.saving import read_state, write_state

ADAPTER = "adapter"
HEAD = "head.safetensors"

SHARED = ("length", "trainable_parameters", "steps")
"""Facts of both kinds of models, by attribute."""


def save_lora(model: LoraModel | ReconstructionModel, config: MomentLoraConfig, folder: Path) -> None:
    """Write an adapted model; the backbone itself is not copied."""
    adapter = folder / ADAPTER
    model.backbone.adapted.save_pretrained(adapter, save_embedding_layers=False)
    (adapter / "README.md").unlink()  # PEFT's empty form of a model card
    _name_base(adapter / "adapter_config.json", config.backbone)
    save_file({name: tensor.detach().cpu().contiguous() for name, tensor in model.head.items()}, folder / HEAD)
    own: tuple[str, ...] = ("features", "names") if isinstance(model, LoraModel) else ("scaling",)
    state = {name: getattr(model, name) for name in (*own, *SHARED)}
    write_state(folder, state | {"micro_batch": model.memory.size}, home=__name__)


def load_lora(
    config: MomentLoraConfig, resources: TrialResources, folder: Path, served: Served
) -> LoraModel | ReconstructionModel:
    """Return the model that `save_lora` wrote, on the backbone that the settings name."""
    from peft import PeftModel  # noqa: PLC0415  (seconds to import)

    state = read_state(folder, home=__name__)
    with torch_session(resources) as device:
        frozen, how = _frozen.open_frozen(config, resources, state["length"], served)
        backbone = twin(frozen)
        backbone.adopt(PeftModel.from_pretrained(backbone.module, folder / ADAPTER, torch_device=str(device)))
        backbone.adapted.eval()
        if how.precision == "fp32":
            backbone.merge()
    given: dict[str, Any] = {
        "backbone": backbone,
        "head": {name: tensor.to(device) for name, tensor in load_file(folder / HEAD).items()},
        "how": how,
        "memory": MicroBatches(state.pop("micro_batch")),
        "resources": resources,
        "first_layer": adapted_from(config.adapted_layers, frozen),
    }
    if config.objective == "classify":
        return LoraModel(**given, **state)
    return ReconstructionModel(**given, **state, masks=fixed_masks("fixed", state["length"] // frozen.patch))


def _name_base(path: Path, backbone: str) -> None:
    """Name a published backbone in the adapter's configuration, as PEFT does; a local folder is nobody's business."""
    config = json.loads(path.read_text(encoding="utf-8"))
    config["base_model_name_or_path"] = backbone if backbone in PUBLISHED else None
    path.write_text(json.dumps(config, indent=2, sort_keys=True) + "\n", encoding="utf-8")
