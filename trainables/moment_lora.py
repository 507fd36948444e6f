"""MOMENT adapted to a few labelled windows by low-rank adapters (LoRA) and a linear head."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, ClassVar, Literal, Self

import numpy as np
from numpy.typing import NDArray
from pydantic import Field, field_validator

from trainables._moment_config import MomentHeadConfig, parsed_targets
from trainables._support import require_both_classes
from trainables.data.windows import LabelledWindows, Windows
from trainables.errors import DetectorError
from trainables.protocol import DetectorConfig, FitFacts, Labels, TrialResources

if TYPE_CHECKING:
    from trainables._lora import LoraModel


class MomentLoraConfig(MomentHeadConfig):
    """Settings of `MomentLora`.

    Attributes
    ----------
    rank
        Of the adapters.
    alpha_ratio
        alpha = alpha_ratio x rank, so the update's scale alpha / rank does not change with the rank.
    learning_rate
        Peak of AdamW's rate, for adapters and head.
    epochs
        Times each labelled window is seen.
    max_window_passes
        Cap on epochs x K: the training cost of a draw is bounded.
    batch
        Windows a step.
    dropout
        On the input of the adapters.
    targets
        Adapted attention matrices, of q, k, v, o.
    adapted_layers
        `all`, or how many of the last ones. The layers before them are frozen and computed once per window.
    objective
        `classify`: cross-entropy of fault or not, and of the fault type given a fault.
    """

    rank: Annotated[int, Field(ge=1, le=1024)] = 8
    alpha_ratio: Annotated[float, Field(gt=0, le=64)] = 2.0
    learning_rate: Annotated[float, Field(gt=0, le=1)] = 1e-3
    epochs: Annotated[int, Field(ge=1)] = 10
    max_window_passes: Annotated[int, Field(ge=1)] = 512
    batch: Annotated[int, Field(ge=1)] = 8
    dropout: Annotated[float, Field(ge=0, lt=1)] = 0.0
    targets: str = "q,v"
    adapted_layers: Literal["all"] | Annotated[int, Field(ge=1)] = "all"
    objective: Literal["classify"] = "classify"

    @field_validator("targets")
    @classmethod
    def _known_targets(cls, value: str) -> str:
        try:
            return ",".join(parsed_targets(value))
        except DetectorError as err:
            raise ValueError(str(err)) from err


class MomentLora:
    """LoRA on MOMENT's attention and a linear head on embeddings of every channel, level and spread.

    The head starts as `moment_linear_probe` would end (linear probing, then fine-tuning: A. Kumar et al.,
    ICLR 2022), so that few steps suffice and adapters start from gradients that mean something. The frozen
    weights stay in eval mode; the head keeps the probe's quadratic penalty.
    """

    labels: ClassVar[Labels] = "all"
    Config: ClassVar[type[DetectorConfig]] = MomentLoraConfig

    def __init__(self, config: MomentLoraConfig, resources: TrialResources) -> None:
        self.config = config
        self.resources = resources

    def fit(self, support: LabelledWindows, reference: Windows) -> Self:
        """Fit head and adapters on the support set.

        Raises
        ------
        DetectorError
            The support set has one class only, or rank, layers or window do not fit the backbone.
        UntrainedError, NonFiniteError
            A tensor received no gradient, or the loss left the finite numbers.
        WeightsError, MissingPackageError
            The backbone cannot be loaded.
        """
        require_both_classes(support)
        from trainables._lora import fit_lora  # noqa: PLC0415  (torch is slow to import)

        self.model_: LoraModel = fit_lora(self.config, self.resources, support, reference)
        return self

    def score(self, windows: Windows) -> NDArray[np.float64]:
        """Return the log-odds of a fault [N]."""
        return self.model_.outputs(windows)[0] if len(windows) else np.empty(0)

    @property
    def fault_types(self) -> tuple[str, ...]:
        """`normal`, then the fault types seen, sorted."""
        return self.model_.names

    def classify(self, windows: Windows) -> NDArray[np.float64]:
        """Return probabilities [N, types]."""
        from trainables._linear_head import type_probabilities  # noqa: PLC0415

        return type_probabilities(*self.model_.outputs(windows))

    @property
    def facts(self) -> FitFacts:
        """Adapter and head tensors, windows of a forward pass in training, and alpha / rank."""
        return FitFacts(
            trainable_parameters=self.model_.trainable_parameters,
            micro_batch=self.model_.micro_batch,
            effective_scale=self.config.alpha_ratio,
        )

    def save(self, folder: Path) -> None:
        """Write the adapter in PEFT's layout into `adapter/`, the head into `head.safetensors`, and the rest beside."""
        from trainables._lora_files import save_lora  # noqa: PLC0415

        save_lora(self.model_, self.config, folder)

    @classmethod
    def load(cls, folder: Path, config: MomentLoraConfig, resources: TrialResources) -> Self:
        """Read what `save` wrote, and the backbone that the settings name.

        Raises
        ------
        WeightsError, MissingPackageError
            The backbone cannot be loaded.
        """
        from trainables._lora_files import load_lora  # noqa: PLC0415

        detector = cls(config, resources)
        detector.model_ = load_lora(config, resources, folder)
        return detector
