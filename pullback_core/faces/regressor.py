"""Reading the parameters of a face back from its picture: what makes an edit measurable.

A small convolutional network, trained on drawings with noise on top, that predicts every column of
`parameters.NAMES`. It never sees the diffusion model.
"""

import json
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import nn
from torch.nn import Conv2d, GroupNorm, Linear
from tqdm import tqdm

from ..atomic import write_atomically
from ..tensor_files import read_header, read_json, read_weights, require_finite, require_weights, to_bytes
from .draw import SIZE, draw_faces
from .parameters import COLUMN, NAMES, columns, sample_parameters

FORMAT = "pullback_faces_regressor"
WEIGHTS = Path(__file__).with_name("regressor.safetensors")
WIDTHS = (32, 64, 96, 128)
NOISE = 0.12  # the most that is added in training, so that a slightly grainy sample reads like a drawing


class AttributeRegressor(nn.Module):
    """Pictures (b, 3, 48, 48) RGB in [-1, 1] -> parameters (b, len(NAMES)) in [0, 1].

    `deviation` (len(NAMES),) is the standard deviation of each parameter over random faces, the unit
    in which changes of different attributes can be compared; `error` (len(NAMES),) is the root mean
    square error on drawings that were not trained on.
    """

    def __init__(self):
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

    def forward(self, image):
        return torch.sigmoid(self.net(image))


def visible(parameters):
    """Which parameters can be seen in the drawing: (b, len(NAMES)) bool."""
    seen = torch.ones_like(parameters, dtype=torch.bool)
    bald = parameters[:, COLUMN["hair_length"]] < 0.15
    hat = parameters[:, COLUMN["hat"]] > 0.5
    brim_hides_hair = hat & (parameters[:, COLUMN["hair_length"]] < 0.4)
    bearded = parameters[:, COLUMN["beard"]] > 0.5
    seen[:, columns("hair")] = ~(bald & ~bearded).unsqueeze(1)
    seen[:, COLUMN["fringe"]] = ~bald & ~hat
    seen[:, COLUMN["hair_length"]] = ~brim_hides_hair
    return seen


def train_regressor(steps=4000, batch=64, learning_rate=2e-3, seed=0, path=WEIGHTS):
    """Train and save; about five minutes on one CPU core. Returns the `AttributeRegressor`."""
    torch.manual_seed(seed)
    model = AttributeRegressor()
    model.deviation.copy_(sample_parameters(20_000, torch.Generator().manual_seed(seed)).std(dim=0))
    optimizer = torch.optim.AdamW(model.parameters(), lr=learning_rate, weight_decay=1e-3)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, learning_rate, total_steps=steps)
    generator = torch.Generator().manual_seed(seed + 1)
    for _ in tqdm(range(steps), desc="regressor", mininterval=5):
        parameters = sample_parameters(batch, generator)
        image = draw_faces(parameters)
        image = image + NOISE * torch.rand(batch, 1, 1, 1, generator=generator) * torch.randn(
            image.shape, generator=generator
        )
        error = F.mse_loss(model(image), parameters, reduction="none") / model.deviation**2
        loss = error[visible(parameters)].mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        schedule.step()
    with torch.no_grad():
        parameters = sample_parameters(2000, torch.Generator().manual_seed(2**40))
        seen = visible(parameters)
        error = (torch.cat([model(draw_faces(part)) for part in parameters.split(250)]) - parameters) * seen
        model.error.copy_((error.square().sum(dim=0) / seen.sum(dim=0)).sqrt())
    tensors = {name: value.half() for name, value in model.state_dict().items()}
    require_finite(tensors)
    write_atomically(path, to_bytes(tensors, {"format": FORMAT, "names": json.dumps(NAMES)}))
    return model


def load_regressor(path=WEIGHTS):
    """Load an `AttributeRegressor` file, the shipped one unless told otherwise, ready to use.

    Raises FileNotFoundError, ValueError with the reason for a file of something else, and OSError for one that cannot be read.
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
