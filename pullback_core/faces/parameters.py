"""Everything that can vary in a drawn face: named parameters in [0, 1], and how they are sampled.

A batch of faces is a tensor of shape (b, len(NAMES)); column `COLUMN[name]` holds one parameter.
The drawing (`draw.py`), the prompt (`vocabulary.py`) and the attribute regressor (`regressor.py`)
all use these columns. So the parameters that a prompt asks for can be measured in a picture.
"""

import torch

NAMES = (
    "age",  # 0 smooth skin, 1 deep wrinkles
    "skin",  # 0 pale, 1 dark
    "hair_red",
    "hair_green",
    "hair_blue",
    "hair_length",  # 0 bald, 0.3 short, 1 to the shoulders
    "fringe",  # 0 bare forehead, 1 covered
    "smile",  # 0 mouth corners down, 1 up
    "mouth_open",  # 0 a line, 1 wide open
    "eye_size",
    "brow",  # 0 low and angry, 1 raised
    "glasses",  # opacity
    "beard",  # opacity
    "hat",  # opacity
    "face_width",
    "yaw",  # 0 turned to the picture's left, 1 to its right
    "background_red",
    "background_green",
    "background_blue",
    "shirt_red",
    "shirt_green",
    "shirt_blue",
)
COLUMN = {name: index for index, name in enumerate(NAMES)}

HAIR_COLOURS = {
    "black": (0.09, 0.08, 0.10),
    "brown": (0.42, 0.24, 0.12),
    "blond": (0.93, 0.78, 0.38),
    "red": (0.80, 0.28, 0.08),
    "grey": (0.70, 0.70, 0.73),
}
BACKGROUND_COLOURS = {
    "red": (0.80, 0.30, 0.30),
    "yellow": (0.95, 0.85, 0.45),
    "green": (0.40, 0.70, 0.42),
    "blue": (0.36, 0.58, 0.88),
    "purple": (0.60, 0.42, 0.78),
    "white": (0.94, 0.94, 0.94),
}

# The parameters that vary in a data set. The others are as in PLAIN_FACE.
DATA = {
    "faces": NAMES,
    # One person with many faces.
    "expressions": ("smile", "mouth_open", "eye_size", "brow", "glasses", "yaw"),
}
PLAIN_FACE = {
    "age": 0.3,
    "skin": 0.3,
    "hair_red": 0.42,
    "hair_green": 0.24,
    "hair_blue": 0.12,
    "hair_length": 0.8,
    "fringe": 0.4,
    "smile": 0.6,
    "mouth_open": 0.2,
    "eye_size": 0.5,
    "brow": 0.5,
    "glasses": 0.0,
    "beard": 0.0,
    "hat": 0.0,
    "face_width": 0.5,
    "yaw": 0.5,
    "background_red": 0.36,
    "background_green": 0.58,
    "background_blue": 0.88,
    "shirt_red": 0.8,
    "shirt_green": 0.3,
    "shirt_blue": 0.3,
}


def columns(prefix: str) -> list[int]:
    """The three colour columns of "hair", "background" or "shirt"."""
    return [COLUMN[f"{prefix}_{channel}"] for channel in ("red", "green", "blue")]


def sample_parameters(
    count: int, generator: torch.Generator | None = None, data: str = "faces"
) -> torch.Tensor:
    """Draw independent random faces.

    Args:
        count: The number of faces.
        generator: Of random numbers.
        data: A key of `DATA`.

    Returns:
        (count, len(NAMES)) in [0, 1].

    Raises:
        ValueError: There is no such data set.
    """
    if data not in DATA:
        raise ValueError(f"There is no data set {data!r}; choose one of {', '.join(DATA)}.")
    values = torch.rand(count, len(NAMES), generator=generator)

    def chance(probability: float) -> torch.Tensor:
        return torch.rand(count, generator=generator) < probability

    def palette(colours: dict[str, tuple[float, float, float]], spread: float) -> torch.Tensor:
        indices = torch.randint(len(colours), (count,), generator=generator)
        chosen = torch.tensor(list(colours.values()))[indices]
        return (chosen + spread * torch.randn(count, 3, generator=generator)).clamp(0, 1)

    values[:, columns("hair")] = palette(HAIR_COLOURS, 0.03)
    values[:, columns("background")] = palette(BACKGROUND_COLOURS, 0.04)
    values[:, COLUMN["glasses"]] = chance(0.35).float()
    values[:, COLUMN["hat"]] = chance(0.25).float()
    density = 0.6 + 0.4 * values[:, COLUMN["beard"]]
    values[:, COLUMN["beard"]] = torch.where(chance(0.35), density, 0.0)
    length = COLUMN["hair_length"]
    values[:, length] = torch.where(chance(0.12), 0.0, 0.2 + 0.8 * values[:, length])
    for name in set(NAMES) - set(DATA[data]):
        values[:, COLUMN[name]] = PLAIN_FACE[name]
    return values
