"""MOMENT adapted to a few labelled windows by low-rank adapters (LoRA)."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, ClassVar, Literal, Self, cast

import numpy as np
from numpy.typing import NDArray
from pydantic import Field, field_validator

from trainables._moment_config import MomentHeadConfig, parsed_targets, precision_of
from trainables._moment_input import worst_channels
from trainables._served import Served
from trainables._support import require_both_classes
from trainables.data.windows import LabelledWindows, Windows
from trainables.errors import DetectorError
from trainables.protocol import DetectorConfig, FitFacts, Labels, TrialResources

if TYPE_CHECKING:
    from trainables._lora import LoraModel
    from trainables._lora_reconstruction import ReconstructionModel


class MomentLoraConfig(MomentHeadConfig):
    """Settings of `MomentLora`.

    Attributes
    ----------
    rank
        Of the adapters.
    alpha_ratio, rank_stabilised
        By default alpha = alpha_ratio x rank, so the scale of the update, alpha / rank = alpha_ratio, does not
        change with the rank. `rank_stabilised`: alpha = alpha_ratio and the scale is alpha / sqrt(rank).
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
        Adapted matrices, separated by commas: q, k, v, o of attention, wi_0, wi_1, wo of the gated layer.
    adapted_layers
        `all`, or how many of the last ones. The layers before them are frozen and computed once per window.
    objective
        `classify`: cross-entropy of fault or not, and of the fault type given a fault, classes balanced.
        `reconstruct`: mean squared error of hidden patches of the normal shots alone; the score is that of zero-shot
        with `masking: fixed`, and no fault is named.
    held_out
        Share of the shots (whole faults and stretches, of each class) that training is stopped by; 0 is none.
        With fewer than four faults or four normal stretches nothing is held out.
    top_channels
        For `reconstruct`: channels with the largest error whose mean is the score.
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
    objective: Literal["classify", "reconstruct"] = "classify"
    rank_stabilised: bool = False
    held_out: Annotated[float, Field(ge=0, lt=1)] = 0.2
    top_channels: Annotated[int, Field(ge=1, le=10_000)] = 3

    @property
    def alpha(self) -> float:
        """PEFT's lora_alpha."""
        return self.alpha_ratio if self.rank_stabilised else self.alpha_ratio * self.rank

    @property
    def effective_scale(self) -> float:
        """What B A is multiplied with: alpha / rank, or alpha / sqrt(rank)."""
        return self.alpha / (self.rank**0.5 if self.rank_stabilised else self.rank)

    @field_validator("targets")
    @classmethod
    def _known_targets(cls, value: str) -> str:
        try:
            return ",".join(parsed_targets(value))
        except DetectorError as err:
            raise ValueError(str(err)) from err


class MomentLora:
    """LoRA on MOMENT, with a linear head on embeddings, level and spread, or with its reconstruction head.

    `classify` starts where `moment_linear_probe` would end (linear probing, then fine-tuning: A. Kumar et al.,
    ICLR 2022), so that few steps suffice and adapters start from gradients that mean something; it keeps the probe's
    quadratic penalty. Training keeps the adapters with the lowest loss on held-out shots, those before the first
    step too; then the head is fitted anew on the adapted features of all shots. Adapters that help nothing are
    thus left out, and what remains is the probe. The frozen weights stay in eval mode.
    """

    labels: ClassVar[Labels] = "all"
    Config: ClassVar[type[DetectorConfig]] = MomentLoraConfig

    def __init__(self, config: MomentLoraConfig, resources: TrialResources) -> None:
        self.config = config
        self.resources = resources
        self.served_ = Served()

    def fit(self, support: LabelledWindows, reference: Windows) -> Self:
        """Fit head and adapters on the support set.

        Raises
        ------
        DetectorError
            The support set has one class only (for `reconstruct`: no normal window), or rank, layers or window do
            not fit the backbone.
        UntrainedError, NonFiniteError
            A tensor received no gradient, or the loss left the finite numbers.
        WeightsError, MissingPackageError
            The backbone cannot be loaded.
        """
        self.model_: LoraModel | ReconstructionModel
        if self.config.objective == "reconstruct":
            normal = support.take(support.y == 0)
            if not len(normal):
                raise DetectorError("objective reconstruct learns from normal windows; this support set has none")
            from trainables._lora_reconstruction import fit_reconstruction  # noqa: PLC0415  (torch is slow to import)

            self.model_ = fit_reconstruction(self.config, self.resources, normal, reference, self.served_)
            return self
        require_both_classes(support)
        from trainables._lora import fit_lora  # noqa: PLC0415

        self.model_ = fit_lora(self.config, self.resources, support, reference, self.served_)
        return self

    def score(self, windows: Windows) -> NDArray[np.float64]:
        """Return scores [N]: the log-odds of a fault, or reconstruction errors, 0 or more."""
        if not len(windows):
            return np.empty(0)
        if self.config.objective == "reconstruct":
            return worst_channels(self._reconstruction.errors(windows), self.config.top_channels)
        return self._classifier.outputs(windows)[0]

    @property
    def fault_types(self) -> tuple[str, ...]:
        """`normal`, then the fault types seen, sorted; nothing for `reconstruct`."""
        return () if self.config.objective == "reconstruct" else self._classifier.names

    def classify(self, windows: Windows) -> NDArray[np.float64]:
        """Return probabilities [N, types].

        Raises
        ------
        DetectorError
            The objective is `reconstruct`.
        """
        if self.config.objective == "reconstruct":
            raise DetectorError("objective reconstruct names no fault; use classify")
        from trainables._linear_head import type_probabilities  # noqa: PLC0415

        return type_probabilities(*self._classifier.outputs(windows))

    @property
    def facts(self) -> FitFacts:
        """What was trained, in what steps and scale, and what the cache spared."""
        model = self.model_
        scaling = self._reconstruction.scaling if self.fault_types == () else self._classifier.features.scaling
        return FitFacts(
            trainable_parameters=model.trainable_parameters,
            micro_batch=model.memory.size,
            checkpointing=model.memory.checkpointing,
            channels_at_once=model.memory.channels,
            memory_halvings=model.memory.halvings,
            effective_scale=self.config.effective_scale,
            training_steps=model.steps,
            cache_saved_seconds=self.served_.seconds,
            dtype=precision_of(self.config, self.resources),
            kept_channels=scaling.kept_channels,
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
        detector.model_ = load_lora(config, resources, folder, detector.served_)
        return detector

    @property
    def _classifier(self) -> "LoraModel":
        return cast("LoraModel", self.model_)

    @property
    def _reconstruction(self) -> "ReconstructionModel":
        return cast("ReconstructionModel", self.model_)
