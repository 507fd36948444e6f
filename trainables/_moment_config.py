"""Settings that the MOMENT detectors share. Free of torch: a sweep file is checked against them."""

from collections.abc import Mapping
from difflib import get_close_matches
from typing import TYPE_CHECKING, Annotated, Literal

from pydantic import BeforeValidator, Field

from trainables.errors import DetectorError
from trainables.protocol import DetectorConfig, TrialResources

if TYPE_CHECKING:
    from trainables._torch import Precision


def _keep(value: object) -> object:
    """Accept `{keep: k}` as well as k."""
    if isinstance(value, Mapping) and set(value) == {"keep"}:
        return value["keep"]
    return value


def _not_fp16(value: object) -> object:
    if value == "fp16":
        raise ValueError("fp16 is refused: T5's activations leave its range and the loss becomes NaN; use bf16 or fp32")
    return value


Masking = Literal["none", "last_patch", "fixed"]
Channels = Annotated[Literal["all"] | Annotated[int, Field(ge=1)], BeforeValidator(_keep)]
PrecisionName = Annotated[Literal["auto", "fp32", "bf16"], BeforeValidator(_not_fp16)]


class MomentConfig(DetectorConfig):
    """Settings of every MOMENT detector.

    Attributes
    ----------
    backbone
        `bundled`, a hub id (AutonLab/MOMENT-1-small, -base, -large) or a local folder.
    init
        `pretrained` reads the weights; `random` draws them anew with the draw's seed, the same for the same seed:
        the control that shows what pretraining adds.
    normalise
        `reference` keeps a sustained shift of level visible; `window` is MOMENT's own RevIN, which removes it.
    channels
        `all`, or how many go through the backbone: those whose level strays farthest
        now and then over the reference, against how far it moves all the time.
    precision
        Floating point of the backbone: fp32; bf16; or `auto`, bf16 where the processor or card computes in it.
    """

    backbone: Annotated[str, Field(min_length=1)] = "bundled"
    init: Literal["pretrained", "random"] = "pretrained"
    normalise: Literal["reference", "window"] = "reference"
    channels: Channels = "all"
    precision: PrecisionName = "fp32"


class MomentHeadConfig(MomentConfig):
    """Settings of the MOMENT detectors with a linear head.

    Attributes
    ----------
    context
        `level_scale`: level and spread of every channel relative to the reference, and their extremes over
        channels, stand beside the embeddings. `none`: embeddings alone.
    C
        Inverse strength of the quadratic penalty on the head's weights, as in logistic regression.
    """

    context: Literal["level_scale", "none"] = "level_scale"
    C: Annotated[float, Field(gt=0, le=1e6)] = 1.0


TARGETS = ("q", "k", "v", "o", "wi_0", "wi_1", "wo")
"""Matrices that can be adapted: of attention, then of the gated feed-forward layer; T5's names."""

_ALIASES = {"query": "q", "key": "k", "value": "v", "output": "o", "out": "o"}


def parsed_targets(text: str) -> tuple[str, ...]:
    """Return the matrices named in "q,v".

    Raises
    ------
    DetectorError
        An unknown or repeated name, or none.
    """
    names = tuple(part.strip() for part in text.split(","))
    for name in names:
        if name not in TARGETS:
            raise DetectorError(f"targets: unknown matrix {name!r}{_nearest(name)}; known: {', '.join(TARGETS)}")
    if len(set(names)) < len(names):
        raise DetectorError(f"targets: each matrix once; got {text!r}")
    return names


def _nearest(name: str) -> str:
    """Return ", did you mean ...?" for T5's name of a matrix that goes by others elsewhere (q_proj, query, Wo)."""
    plain = name.lower().removesuffix("_proj")
    found = [_ALIASES[plain]] if plain in _ALIASES else get_close_matches(plain, TARGETS, n=1, cutoff=0.5)
    return f", did you mean {found[0]}?" if found else ""


def precision_of(config: MomentConfig, resources: TrialResources) -> "Precision":
    """Return the floating point that the settings end in on this device."""
    import torch  # noqa: PLC0415  (slow to import)

    from trainables._torch import resolved_precision  # noqa: PLC0415

    return resolved_precision(config.precision, torch.device(resources.device))
