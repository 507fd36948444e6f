"""The torch half of `lstm_ae`."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from trainables._features import RECENT
from trainables._torch import Schedule, torch_session, train
from trainables.lstm_ae import LstmAutoencoderConfig
from trainables.protocol import TrialResources

BATCH = 32
"""Windows a step and a pass."""

INPUT_LIMIT = 10.0
"""Inputs are cut here, in spreads of the reference, so that one wild channel does not own the loss.
Errors are taken against the uncut values."""

LEAST_ERROR = 0.1
"""Smallest unit of a channel's error, in spreads of the reference."""


class _Autoencoder(nn.Module):
    def __init__(self, channels: int, hidden: int) -> None:
        super().__init__()
        self.encoder = nn.LSTM(channels, hidden, batch_first=True)
        self.decoder = nn.LSTM(hidden, hidden, batch_first=True)
        self.output = nn.Linear(hidden, channels)

    def forward(self, x: Tensor) -> Tensor:
        """Reproduce [n, L, C], latest step first, from the encoder's last state alone."""
        _, (state, _) = self.encoder(x)
        repeated = state[0][:, None].expand(-1, x.shape[1], -1)  # [n, L, hidden]
        decoded, _ = self.decoder(repeated)
        output: Tensor = self.output(decoded)
        return torch.flip(output, dims=(1,))


@dataclass(slots=True, eq=False)
class LstmModel:
    """A fitted autoencoder.

    Attributes
    ----------
    unit : float32 [C]
        Root mean squared error of each channel on the windows it learned from.
    """

    network: _Autoencoder
    unit: NDArray[np.float32]
    resources: TrialResources

    @property
    def trainable_parameters(self) -> int:
        """Numbers that were fitted."""
        return sum(parameter.numel() for parameter in self.network.parameters())

    def weights(self) -> dict[str, Tensor]:
        """Return the fitted tensors by name."""
        return {name: tensor.cpu() for name, tensor in self.network.state_dict().items()}

    def errors(self, sequences: NDArray[np.float32]) -> NDArray[np.float32]:
        """Return errors of the last steps relative to `unit` [N, C] of sequences [N, C, L]."""
        with torch_session(self.resources) as device:
            return _errors(self.network, sequences, device) / self.unit


def fit_lstm(config: LstmAutoencoderConfig, resources: TrialResources, sequences: NDArray[np.float32]) -> LstmModel:
    """Fit the autoencoder to sequences [N, C, L]."""
    with torch_session(resources) as device:
        network = _Autoencoder(sequences.shape[1], config.hidden).to(device)
        x = _inputs(torch.from_numpy(sequences).to(device))

        def losses(index: Tensor) -> Tensor:
            batch = x[index]
            error: Tensor = network(batch) - batch
            return error.square().mean(dim=(1, 2))

        passes = max(min(config.epochs * len(x), config.max_window_passes), 2)
        schedule = Schedule(config.learning_rate, passes, min(BATCH, max(1, passes // 2)), BATCH)
        parameters = dict(network.named_parameters())
        train(parameters, losses, len(x), schedule, seed=resources.seed)
        network.requires_grad_(requires_grad=False)
        unit = np.sqrt(np.square(_errors(network, sequences, device)).mean(axis=0))
    return LstmModel(network, np.maximum(unit, LEAST_ERROR).astype(np.float32), resources)


def restored(
    config: LstmAutoencoderConfig, resources: TrialResources, weights: Mapping[str, Tensor], unit: NDArray[np.float32]
) -> LstmModel:
    """Return the autoencoder that had these weights and units [C]."""
    network = _Autoencoder(len(unit), config.hidden)
    network.load_state_dict(weights)
    network.requires_grad_(requires_grad=False)
    return LstmModel(network.to(resources.device), unit, resources)


def _inputs(sequences: Tensor) -> Tensor:
    return sequences.clamp(-INPUT_LIMIT, INPUT_LIMIT).transpose(1, 2).contiguous()  # [n, L, C]


def _errors(network: _Autoencoder, sequences: NDArray[np.float32], device: torch.device) -> NDArray[np.float32]:
    """Return root mean squared errors of the last steps [N, C]; each window passes alone."""
    rows = []
    with torch.no_grad():
        for window in torch.split(torch.from_numpy(sequences).to(device), 1):
            error = network(_inputs(window)) - window.transpose(1, 2)  # [1, L, C]
            rows.append(error[:, -RECENT:].square().mean(dim=1).sqrt())
    return torch.cat(rows).cpu().numpy()
