import math
from itertools import combinations, product

from comfy_api.latest import io, ui

from ..pullback_core import figures, spectra
from ..pullback_core.linalg import subspaces
from . import host
from .inputs import CATEGORY, Basis

FEATURES, LATENTS = "features", "latents"
MANY = 8  # curves of one picture; with more pairs, only those of the first basis are drawn


class BasisCompare(io.ComfyNode):
    @classmethod
    def define_schema(cls):
        return io.Schema(
            node_id="PullbackBasisCompare",
            display_name="Basis Compare",
            category=CATEGORY,
            description="Shows how much several bases have in common, and how fine their directions are.",
            inputs=[
                Basis.Input(
                    "bases",
                    tooltip="A list, from Basis Over Time or from a Pullback Basis that ran on a list of latents.",
                ),
                io.Combo.Input(
                    "space",
                    options=[FEATURES, LATENTS],
                    default=FEATURES,
                    tooltip="features: what the directions do in the model, as in the paper. latents: what they look like.",
                ),
                Basis.Input(
                    "others",
                    optional=True,
                    tooltip="Compare with these, one or a list, in the place of with each other.",
                ),
            ],
            outputs=[
                io.Image.Output(
                    display_name="distances",
                    tooltip="A map of them. The darker, the more in common; grey is the same.",
                ),
                io.Image.Output(
                    display_name="angles",
                    tooltip="Principal angles of the pairs. 0 degrees: shared; 90: nothing in common.",
                ),
                io.Image.Output(
                    display_name="frequencies",
                    tooltip="How coarse (left) or fine (right) the directions are.",
                ),
                io.Float.Output(
                    display_name="distance",
                    tooltip="Of the first two bases, or of the first one and the first other.",
                ),
                io.String.Output(display_name="report"),
            ],
            hidden=[io.Hidden.unique_id],
            is_output_node=True,
            is_input_list=True,
        )

    @classmethod
    def execute(cls, bases, space, others=()):
        space = space[0]  # in a node that takes lists, widgets come as lists too
        everything, others = [*bases, *others], list(others)
        _check(everything, space)
        side = "h" if space == FEATURES else "x"
        names = _names(everything)
        rows, columns = names[: len(bases)], names[len(bases) :] or names
        distances = subspaces.distance_matrix(bases, others or None, side=side)
        widest = math.pi / 2 * math.sqrt(min(basis.rank for basis in everything))

        pairs = list(
            product(range(len(bases)), range(len(bases), len(everything)))
            if others
            else combinations(range(len(bases)), 2)
        )
        if len(pairs) > MANY:
            pairs = [pair for pair in pairs if pair[0] == 0]
        angles = [
            (
                f"{names[one]} and {names[two]}",
                subspaces.principal_angles(everything[one], everything[two], side=side),
            )
            for one, two in pairs
        ]
        curves = [(name, *spectra.power_spectrum(basis.v)) for name, basis in zip(names, everything)]

        distance = distances.flatten()[0 if others else 1].item()
        summary = (
            f"{names[pairs[0][0]]} and {names[pairs[0][1]]}: distance {distance:.2f} of at most {widest:.2f}"
        )
        ranks = [
            f"{name}: effective rank {spectra.effective_rank(basis.s):.1f} of {basis.rank}"
            for name, basis in zip(names, everything)
        ]
        host.show_status(cls, summary)
        heat = host.plot_of(
            figures.heat_map,
            distances,
            rows,
            columns,
            f"Distances in {space}",
            f"distance (at most {widest:.2f})",
        )
        return io.NodeOutput(
            heat,
            host.plot_of(figures.angle_plot, angles, f"Principal angles in {space}"),
            host.plot_of(
                figures.spectrum_plot, [(name, at, power.mean(dim=0)) for name, at, power in curves]
            ),
            distance,
            "\n".join([summary, *ranks]),
            ui=ui.PreviewImage(heat, cls=cls),
        )


def _check(bases, space):
    """Refuse what has no distance."""
    if len(bases) < 2:
        raise ValueError(
            f"A comparison needs at least two bases, got {len(bases)}; connect the list of Basis Over Time, or a basis to others too."
        )
    shapes = sorted({tuple((basis.u if space == FEATURES else basis.v).shape[1:]) for basis in bases})
    if len(shapes) > 1:
        raise ValueError(
            f"The bases differ in the shape of their {space} ({shapes[0]} and {shapes[1]}); compare bases of one picture size, "
            f"and those of different blocks or models in the space {LATENTS!r}."
        )
    blocks = sorted({basis.provenance["feature"] for basis in bases if "feature" in basis.provenance})
    if space == FEATURES and len(blocks) > 1:
        raise ValueError(
            f"The bases are of different blocks ({blocks[0]} and {blocks[1]}); compare them in the space {LATENTS!r}."
        )


def _names(bases):
    """The timestep of each, and a number where several have the same."""
    names = [f"{basis.timestep:.3g} T" for basis in bases]
    return [
        name if names.count(name) == 1 else f"{name} ({names[: index + 1].count(name)})"
        for index, name in enumerate(names)
    ]
