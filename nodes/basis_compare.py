from comfy_api.latest import io, ui

from ..pullback_core import compare_bases, figures, spectra
from . import host
from .inputs import CATEGORY, Basis
from .ui import SENT_AGAIN, shown_text

FEATURES, LATENTS = "features", "latents"
SIDES = {FEATURES: "h", LATENTS: "x"}  # as the core names them
MOST_CURVES = 8  # in one picture; with more pairs, only those of the first basis are drawn


class BasisCompare(io.ComfyNode):
    MENU_POSITION = 130

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
                    tooltip="A list, from Basis Over Time or from a Pullback Basis that ran on a list of "
                    "latents.",
                ),
                io.Combo.Input(
                    "space",
                    options=[FEATURES, LATENTS],
                    default=FEATURES,
                    tooltip="features: what the directions do in the model, as in the paper. latents: "
                    "what they look like.",
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
            **SENT_AGAIN,
        )

    @classmethod
    def execute(cls, bases, space, others=()):
        space = space[0]  # in a node that takes lists, widgets come as lists too
        together = [*bases, *others]
        _require_comparable(together, space)
        found = compare_bases(bases, others, side=SIDES[space], max_pairs=MOST_CURVES)
        names = _names(together)
        pairs = [f"{names[one]} and {names[two]}" for one, two in found.pairs]
        largest = f"at most {found.largest_distance:.2f}"
        summary = f"{pairs[0]}: distance {found.first_distance:.2f} of {largest}"

        rows, columns = names[: len(bases)], names[len(bases) :] or names
        heading, unit = f"Distances in {space}", f"distance ({largest})"
        heat = host.plot_of(figures.heat_map, found.distances, rows, columns, heading, unit)
        angles = host.plot_of(
            figures.angle_plot, list(zip(pairs, found.angles)), f"Principal angles in {space}"
        )
        curves = [(name, *spectra.mean_power_spectrum(basis.v)) for name, basis in zip(names, together)]
        frequencies = host.plot_of(figures.spectrum_plot, curves)
        report = "\n".join([summary, *_rank_lines(names, together)])
        shown = ui.PreviewImage(heat, cls=cls).as_dict() | shown_text(cls, summary)
        return io.NodeOutput(heat, angles, frequencies, found.first_distance, report, ui=shown)


def _require_comparable(bases, space):
    """Refuse bases that have no distance."""
    if len(bases) < 2:
        raise ValueError(
            f"A comparison needs at least two bases, got {len(bases)}; connect the list of Basis Over Time, "
            "or a basis to others too."
        )
    shapes = sorted({tuple((basis.u if space == FEATURES else basis.v).shape[1:]) for basis in bases})
    if len(shapes) > 1:
        raise ValueError(
            f"The bases differ in the shape of their {space} ({shapes[0]} and {shapes[1]}); compare bases of "
            f"one picture size, and those of different blocks or models in the space {LATENTS!r}."
        )
    blocks = sorted({basis.provenance["feature"] for basis in bases if "feature" in basis.provenance})
    if space == FEATURES and len(blocks) > 1:
        raise ValueError(
            f"The bases are of different blocks ({blocks[0]} and {blocks[1]}); compare them in the space "
            f"{LATENTS!r}."
        )


def _names(bases):
    """The timestep of each basis, with a number where several have the same."""
    timesteps = [f"{basis.timestep:.3g} T" for basis in bases]
    names = []
    for index, timestep in enumerate(timesteps):
        number = timesteps[: index + 1].count(timestep)
        names.append(timestep if timesteps.count(timestep) == 1 else f"{timestep} ({number})")
    return names


def _rank_lines(names, bases):
    """A line of the report for each basis: how many of its directions matter."""
    ranks = [f"effective rank {spectra.effective_rank(basis.s):.1f} of {basis.rank}" for basis in bases]
    return [f"{name}: {rank}" for name, rank in zip(names, ranks)]
