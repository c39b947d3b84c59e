"""Faces as signed distances: exact, differentiable, at any resolution, from labelled parameters.

Coordinates are in [-1, 1], and y points down. A shape is a signed distance, negative inside. `_Canvas.paint`
covers the canvas with a colour where the distance is negative, softened over one pixel.
"""

import torch

from .parameters import COLUMN, columns

SIZE = 48


def draw_faces(parameters: torch.Tensor, size: int = SIZE) -> torch.Tensor:
    """Draw faces.

    Args:
        parameters: (b, len(NAMES)) in [0, 1], columns as in `parameters.NAMES`.
        size: The side of the pictures in pixels.

    Returns:
        (b, 3, size, size) RGB in [-1, 1].
    """
    return _Canvas(parameters, size).draw()


def _ellipse(x, y, radius_x, radius_y):
    """An ellipse around the origin. Away from its border the distance is approximate."""
    radius = torch.sqrt((x / radius_x) ** 2 + (y / radius_y) ** 2)
    return (radius - 1) * torch.minimum(*torch.broadcast_tensors(radius_x, radius_y))


def _segment(x, y, ax, ay, bx, by, width):
    """A round-ended line from a to b."""
    dx, dy = bx - ax, by - ay
    along = (((x - ax) * dx + (y - ay) * dy) / (dx * dx + dy * dy)).clamp(0, 1)
    return torch.sqrt((x - ax - along * dx) ** 2 + (y - ay - along * dy) ** 2 + 1e-12) - width


def _arc(x, y, centre_x, centre_y, half_width, bend, width):
    """A parabola through its centre whose ends are `bend` lower (positive) or higher (negative)."""
    u = (x - centre_x) / half_width
    vertical = y - centre_y - bend * u**2
    slope = 2 * bend * u / half_width
    across = vertical.abs() / torch.sqrt(1 + slope**2)
    beyond = (u.abs() - 1).clamp(min=0) * half_width
    return torch.sqrt(across**2 + beyond**2 + 1e-12) - width


def _rgb(*channels: float) -> torch.Tensor:
    """A colour, (1, 3, 1, 1)."""
    return torch.tensor(channels).view(1, 3, 1, 1)


class _Canvas:
    """Pictures of one batch of parameters. Parts are painted from the back to the front."""

    def __init__(self, parameters: torch.Tensor, size: int) -> None:
        self.p = {name: parameters[:, index].view(-1, 1, 1) for name, index in COLUMN.items()}
        self.parameters = parameters
        axis = (torch.arange(size, dtype=parameters.dtype) + 0.5) * (2 / size) - 1
        self.y, self.x = torch.meshgrid(axis, axis, indexing="ij")
        self.pixel = 2 / size
        self.image = self.colour("background") * (1.0 - 0.14 * (self.y + 1) / 2)

    def colour(self, prefix: str) -> torch.Tensor:
        """The colour of the hair, background or shirt, (b, 3, 1, 1)."""
        return self.parameters[:, columns(prefix)].view(-1, 3, 1, 1)

    def paint(
        self, distance: torch.Tensor, colour: torch.Tensor, opacity: float | torch.Tensor = 1.0
    ) -> None:
        """Cover the shape of a signed distance, (b or 1, h, w), with a colour, (b or 1, 3, 1, 1)."""
        cover = (0.5 - distance / self.pixel).clamp(0, 1) * opacity
        cover = cover.view(-1, 1, *cover.shape[-2:])
        self.image = self.image + cover * (colour - self.image)

    def draw(self) -> torch.Tensor:
        """The finished pictures, (b, 3, size, size) RGB in [-1, 1]."""
        p, x, y = self.p, self.x, self.y
        one = torch.ones_like(p["age"])
        dark = _rgb(0.10, 0.07, 0.07)
        hair = self.colour("hair")
        skin = self._skin()
        shade = skin * _rgb(0.78, 0.70, 0.68)

        face_x, face_y = 0.40 + 0.14 * p["face_width"], 0.58 * one
        turn = (p["yaw"] - 0.5) * 2
        head_x, head_y = turn * 0.05, 0.02
        shift = turn * 0.15  # features slide over the head as it turns
        length = p["hair_length"]
        has_hair = ((length - 0.1) / 0.1).clamp(0, 1)

        # Behind the head: long hair, then neck and shoulders in front of it.
        fall = 0.15 + 0.75 * ((length - 0.35) / 0.65).clamp(0, 1)
        back = _ellipse(x - head_x, (y + 0.05 - 0.25 * fall), face_x + 0.11 + 0.05 * fall, 0.60 + 0.28 * fall)
        self.paint(back, hair * 0.82, has_hair * ((length - 0.35) / 0.1).clamp(0, 1))
        self.paint((x.abs() - 0.20).maximum(0.2 - y), shade)
        shoulders = _ellipse(x, y - 1.22, 0.86 * one, 0.50 * one)
        self.paint(shoulders, self.colour("shirt"))
        self.paint(_ellipse(x, y - 0.70, 0.21 * one, 0.13 * one).maximum(0.62 - y), shade)

        for side in (-1, 1):
            self.paint(
                _ellipse(x - head_x - side * (face_x + 0.005), y - 0.06, 0.075 * one, 0.12 * one), shade
            )
        face = _ellipse(x - head_x, y - head_y, face_x, face_y)
        self.paint(face, skin)
        self._wrinkles(face, shift, shade)
        self._beard(face, shift, hair)
        self._mouth(shift)
        self.paint(_arc(x, y, shift * 1.25, 0.19, 0.065 * one, -0.05 * one, 0.022), shade * 0.9)
        self._eyes(shift, turn, dark)
        self._brows(shift, hair * 0.6)
        self._hair(face, head_x, face_x, hair, has_hair)
        self._glasses(shift, head_x, face_x, dark)
        self._hat(head_x, face_x)
        return (self.image * 2 - 1).clamp(-1, 1)

    def _skin(self):
        tones = (_rgb(0.99, 0.86, 0.77), _rgb(0.86, 0.63, 0.44), _rgb(0.45, 0.27, 0.18))
        s = self.p["skin"].unsqueeze(1)
        light, deep = (s * 2).clamp(0, 1), (s * 2 - 1).clamp(0, 1)
        return tones[0] + light * (tones[1] - tones[0]) + deep * (tones[2] - tones[1])

    def _wrinkles(self, face, shift, shade):
        x, y = self.x, self.y
        one = torch.ones_like(shift)
        depth = ((self.p["age"] - 0.35) / 0.5).clamp(0, 1)
        for height in (-0.36, -0.28):
            self.paint(
                _arc(x, y, shift * 0.8, height, 0.22 * one, 0.02 * one, 0.020).maximum(face),
                shade * 0.62,
                depth,
            )
        for side in (-1, 1):
            fold = _segment(x, y, shift + side * 0.12, 0.22, shift + side * 0.21, 0.36, 0.020)
            bag = _arc(x, y, shift + side * 0.21, 0.10, 0.09 * one, -0.035 * one, 0.018)
            self.paint(fold.minimum(bag).maximum(face), shade * 0.62, depth)

    def _beard(self, face, shift, hair):
        x, y = self.x, self.y
        one = torch.ones_like(shift)
        jaw = (face - 0.02).maximum(0.20 - y)
        around_mouth = _ellipse(x - shift, y - 0.36, 0.17 * one, 0.10 * one)
        cheeks = _ellipse(x - shift * 0.9, y - 0.02, 0.36 * one, 0.27 * one)
        self.paint(jaw.maximum(-around_mouth).maximum(-cheeks), hair * 0.9, self.p["beard"])

    def _mouth(self, shift):
        x, y = self.x, self.y
        bend = -(self.p["smile"] - 0.5) * 0.22  # the corners rise above the centre in a smile
        half_width = 0.15 + 0.03 * (self.p["smile"] - 0.5).abs()
        gape = ((self.p["mouth_open"] - 0.3) / 0.7).clamp(0, 1)
        centre = 0.365 - bend / 2
        u = ((x - shift) / half_width).clamp(-1, 1)
        middle = centre + bend * u**2
        opening = gape * 0.085 * (1 - u**2)
        inside = ((y - middle).abs() - opening).maximum((x - shift).abs() - half_width)
        lips = _arc(x, y, shift, centre, half_width, bend, 0.026) - opening
        self.paint(lips, _rgb(0.74, 0.22, 0.24))
        self.paint(inside + 0.012, _rgb(0.25, 0.04, 0.07), (gape * 4).clamp(0, 1))
        teeth = inside.maximum(y - middle + opening * 0.25)
        self.paint(teeth + 0.012, _rgb(0.98, 0.97, 0.95), (gape * 4 - 0.5).clamp(0, 1))

    def _eyes(self, shift, turn, dark):
        x, y = self.x, self.y
        radius = 0.065 + 0.055 * self.p["eye_size"]
        for side in (-1, 1):
            centre = shift + side * (0.205 - 0.015 * side * turn)
            self.paint(_ellipse(x - centre, y + 0.03, radius * 1.25 + 0.018, radius * 0.95 + 0.018), dark)
            self.paint(_ellipse(x - centre, y + 0.03, radius * 1.25, radius * 0.95), _rgb(0.98, 0.98, 0.98))
            gaze = centre + turn * 0.035
            self.paint(_ellipse(x - gaze, y + 0.03, radius * 0.62, radius * 0.68), dark)

    def _brows(self, shift, colour):
        brow = self.p["brow"]
        height = -0.165 - 0.055 * brow - 0.03 * self.p["eye_size"]
        tilt = (0.5 - brow) * 0.09
        for side in (-1, 1):
            inner, outer = shift + side * 0.11, shift + side * 0.31
            self.paint(
                _segment(self.x, self.y, inner, height + tilt, outer, height - tilt * 0.6 + 0.01, 0.024),
                colour,
            )

    def _hair(self, face, head_x, face_x, hair, has_hair):
        x, y, p = self.x, self.y, self.p
        volume = 0.05 + 0.05 * p["hair_length"]
        crown = _ellipse(x - head_x, y + 0.02, face_x + volume, 0.60 + volume)
        hairline = -0.36 + 0.14 * p["fringe"]
        opening = _ellipse(
            x - head_x - 0.06 * (p["yaw"] - 0.5),
            y - 0.30,
            face_x * (0.96 - 0.12 * p["fringe"]),
            0.30 - hairline,
        )
        sides = y - (-0.06 + 0.30 * ((p["hair_length"] - 0.25) / 0.3).clamp(0, 1))
        self.paint(crown.maximum(-opening).maximum(sides), hair, has_hair)

    def _glasses(self, shift, head_x, face_x, dark):
        x, y, opacity = self.x, self.y, self.p["glasses"]
        one = torch.ones_like(shift)
        frame = _segment(x, y, shift - 0.07, -0.05, shift + 0.07, -0.05, 0.020)
        for side in (-1, 1):
            lens = _ellipse(x - shift - side * 0.215, y + 0.025, 0.168 * one, 0.150 * one)
            self.paint(lens, _rgb(0.85, 0.93, 1.0), opacity * 0.25)
            frame = frame.minimum(lens.abs() - 0.021)
            frame = frame.minimum(
                _segment(x, y, shift + side * 0.38, -0.05, head_x + side * face_x, -0.06, 0.018)
            )
        self.paint(frame, dark, opacity)

    def _hat(self, head_x, face_x):
        x, y, opacity = self.x, self.y, self.p["hat"]
        colour = self.colour("shirt") * 0.85
        dome = _ellipse(x - head_x, y + 0.34, face_x + 0.07, 0.52 * torch.ones_like(face_x)).maximum(y + 0.36)
        brim = _segment(x, y, head_x - face_x - 0.16, -0.36, head_x + face_x + 0.16, -0.36, 0.055)
        self.paint(dome, colour, opacity)
        self.paint(brim, colour * 0.7, opacity)
