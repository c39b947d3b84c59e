"""Reading the parameters of a face back from its picture, so that an edit can be measured.

A small convolutional network predicts every column of `parameters.NAMES`. It was trained on drawings with
noise on top, and never saw the diffusion model.
"""

import json
import os
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import nn
from torch.nn import Conv2d, GroupNorm, Linear
from tqdm import tqdm

from ..atomic import write_atomically
from ..tensor_files import read_header, read_json, read_weights, require_finite, require_weights, to_bytes
from .draw import SIZE, draw_faces
from .examples import HELD_OUT_SEED
from .parameters import COLUMN, NAMES, columns, sample_parameters

FORMAT = "pullback_faces_regressor"
WEIGHTS = Path(__file__).with_name("regressor.safetensors")
WIDTHS = (32, 64, 96, 128)
NOISE = 0.12  # the most noise of a picture in training, so that a slightly grainy sample reads like a drawing


class AttributeRegressor(nn.Module):
    """Pictures (b, 3, 48, 48) RGB in [-1, 1] -> parameters (b, len(NAMES)) in [0, 1].

    Attributes:
        deviation: (len(NAMES),) the standard deviation of each parameter over random faces. In this unit,
            changes of different attributes can be compared.
        error: (len(NAMES),) the root mean square error on drawings that are not in the training.
    """

    deviation: torch.Tensor
    error: torch.Tensor

    def __init__(self) -> None:
        super().__init__()
        layers, channels = [], 3
        for width in WIDTHS:
            layers += [Conv2d(channels, width, 3, stride=2, padding=1), GroupNorm(8, width), nn.SiLU()]
            channels = width
        side = SIZE // 2 ** len(WIDTHS)
        self.net = nn.Sequential(
            *layers, nn.Flatten(), Linear(channels * side**2, 128), nn.SiLU(), Linear(128, len(NAMES))
        )
        self.register_buffer("deviation", torch.ones(len(NAMES)))
        self.register_buffer("error", torch.ones(len(NAMES)))

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        """(b, 3, 48, 48) RGB in [-1, 1] -> (b, len(NAMES)) in [0, 1]."""
        return torch.sigmoid(self.net(image))


def visible(parameters: torch.Tensor) -> torch.Tensor:
    """Find the parameters that show in a drawing: hair under a hat does not, for example.

    Args:
        parameters: (b, len(NAMES)).

    Returns:
        (b, len(NAMES)) bool.
    """
    seen = torch.ones_like(parameters, dtype=torch.bool)
    bald = parameters[:, COLUMN["hair_length"]] < 0.15
    hat = parameters[:, COLUMN["hat"]] > 0.5
    brim_hides_hair = hat & (parameters[:, COLUMN["hair_length"]] < 0.4)
    bearded = parameters[:, COLUMN["beard"]] > 0.5
    seen[:, columns("hair")] = ~(bald & ~bearded).unsqueeze(1)
    seen[:, COLUMN["fringe"]] = ~bald & ~hat
    seen[:, COLUMN["hair_length"]] = ~brim_hides_hair
    return seen


def train_regressor(
    steps: int = 4000,
    batch: int = 64,
    learning_rate: float = 2e-3,
    seed: int = 0,
    path: str | os.PathLike[str] = WEIGHTS,
) -> AttributeRegressor:
    """Train a regressor and save it; about five minutes on one CPU core.

    Args:
        steps: Steps of the optimizer.
        batch: Pictures of a step.
        learning_rate: The highest one.
        seed: Of all random numbers.
        path: Where to save it.

    Returns:
        The regressor.

    Raises:
        ValueError: A weight is not finite in half precision.
        OSError: The file cannot be written.
    """
    torch.manual_seed(seed)
    model = AttributeRegressor()
    model.deviation.copy_(sample_parameters(20_000, torch.Generator().manual_seed(seed)).std(dim=0))
    optimizer = torch.optim.AdamW(model.parameters(), lr=learning_rate, weight_decay=1e-3)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, learning_rate, total_steps=steps)
    generator = torch.Generator().manual_seed(seed + 1)
    for _ in tqdm(range(steps), desc="regressor", mininterval=5):
        loss = _loss(model, sample_parameters(batch, generator), generator)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        schedule.step()
    model.error.copy_(_root_mean_square_error(model))
    tensors = {name: value.half() for name, value in model.state_dict().items()}
    require_finite(tensors)
    write_atomically(path, to_bytes(tensors, {"format": FORMAT, "names": json.dumps(NAMES)}))
    return model


def _loss(model: AttributeRegressor, parameters: torch.Tensor, generator: torch.Generator) -> torch.Tensor:
    """The mean square error of what shows in noisy drawings, in units of the deviations."""
    image = draw_faces(parameters)
    strength = NOISE * torch.rand(len(image), 1, 1, 1, generator=generator)
    image = image + strength * torch.randn(image.shape, generator=generator)
    error = F.mse_loss(model(image), parameters, reduction="none") / model.deviation**2
    return error[visible(parameters)].mean()


@torch.no_grad()
def _root_mean_square_error(model: AttributeRegressor) -> torch.Tensor:
    """(len(NAMES),) of what shows in 2000 drawings that are not in the training."""
    parameters = sample_parameters(2000, torch.Generator().manual_seed(HELD_OUT_SEED))
    seen = visible(parameters)
    read = torch.cat([model(draw_faces(part)) for part in parameters.split(250)])
    error = (read - parameters) * seen
    return (error.square().sum(dim=0) / seen.sum(dim=0)).sqrt()


def load_regressor(path: str | os.PathLike[str] = WEIGHTS) -> AttributeRegressor:
    """Load a regressor, ready to use.

    Args:
        path: A file of `train_regressor`; by default the bundled one.

    Returns:
        The regressor.

    Raises:
        FileNotFoundError: There is no such file.
        ValueError: It is a file of something else, or damaged; the message says how.
        OSError: The file cannot be read.
    """
    path = Path(path)
    model = AttributeRegressor()
    try:
        metadata, sizes = read_header(path, "regressor file")
        if metadata.get("format") != FORMAT:
            raise ValueError("it is of another format")
        if read_json(metadata.get("names", ""), "its list of names") != list(NAMES):
            raise ValueError("it was trained for other parameters than this version draws; train it again")
        require_weights(sizes, {name: weight.shape for name, weight in model.state_dict().items()})
        model.load_state_dict(read_weights(path, sizes))
    except ValueError as error:
        raise ValueError(f"{path.name!r} is not a usable regressor: {error}.") from error
    return model.eval().requires_grad_(False)
