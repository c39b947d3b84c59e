"""The command `features`."""

import argparse

from ... import faces, figures
from ...compare_features import FeatureReport, compare_features, feature_table
from ...models.denoiser import PICTURE
from ...noisy import NoisyLatent
from ..arguments import add_inversion, add_out
from ..options import COUNT, SEED, TOLERANCE
from ..results import make_report, plot_or_message, write_results
from ..session import Session
from ..sources import Source, add_source, load_source
from ..writable import require_writable_folder

SUMMARY = "Which feature to read? Directions, curvature and cost of each."
POSITION = 4


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of this command."""
    add_source(parser, face=3)
    add_inversion(parser, timestep=0.7)
    parser.add_argument(
        "--feature",
        action="append",
        metavar="NAME",
        help=f"a block, or {PICTURE!r}; repeat for several (default: all)",
    )
    parser.add_argument("--rank", type=COUNT, default=8, help="how many singular values to find")
    parser.add_argument("--tolerance", type=TOLERANCE, default=0.05, help="largest residual of a direction")
    parser.add_argument("--seed", type=SEED, default=0)
    add_out(parser, "output/features")


def run(options: argparse.Namespace) -> None:
    """Compare the features of the model at one picture, and write a table and a plot."""
    image = load_source(Source(options.face, options.image), options.crop)
    require_writable_folder(options.out, "--out")
    session = Session(options.model, options.prompt, timestep=options.timestep, steps=options.steps)
    session.require_rank(options.rank, image)
    model = session.denoiser.model
    names = list(dict.fromkeys(options.feature or [*model.unet.feature_names, PICTURE]))
    denoisers = [faces.FacesDenoiser(model, options.prompt, feature=name) for name in names]
    for denoiser in denoisers:
        session.require_rank(options.rank, image, denoiser)

    noisy, _ = session.invert(image, options.refine)
    reports = _compare(session, denoisers, noisy, options)
    print(feature_table(reports))
    curves = [(report.feature, report.s) for report in reports]
    title = f"Decay of the singular values at {options.timestep:g} T"
    plot = plot_or_message(figures.decay_plot, curves, title)
    rows = [{**report._asdict(), "s": report.s.tolist()} for report in reports]
    write_results(options.out, {"decay.png": plot}, make_report(session, vars(options), features=rows))


def _compare(
    session: Session,
    denoisers: list[faces.FacesDenoiser],
    noisy: NoisyLatent,
    options: argparse.Namespace,
) -> list[FeatureReport]:
    with session.phase("features", len(denoisers)) as bar:

        def show(index: int, products: int, residual: float) -> None:
            bar.set_postfix_str(f"{denoisers[index].provenance['feature']}, residual {residual:.1e}")
            bar.update(index - bar.n)

        reports = compare_features(
            denoisers,
            noisy,
            options.rank,
            tolerance=options.tolerance,
            seed=options.seed,
            progress=show,
        )
        bar.update(len(denoisers) - bar.n)
    return reports
