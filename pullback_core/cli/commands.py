"""The command line: real edits on the bundled model. `python -m pullback_core --help`"""

import argparse
import math
import sys
import time
from contextlib import contextmanager
from pathlib import Path

import torch
from PIL import Image, ImageOps
from tqdm import tqdm

from .. import ddim, faces, figures, spectra
from ..atomic import write_atomically
from ..basis import local_basis
from ..compare_features import explain_features, explain_table
from ..faces.vocabulary import tokenize
from ..guidance import edit_grid
from ..linalg import subspaces
from ..over_time import bases_over_time
from ..picture_files import read_picture
from ..report import report_bytes
from ..study import Settings, run_study
from ..threads import one_thread
from ..transport import MEANINGLESS_ALIGNMENT, parallel_transport
from . import console
from .options import path, real, require_writable_file, require_writable_folder, shorten, whole

SHOWN_DIRECTIONS = 5
OVER_TIME_DIRECTIONS = 3
COLUMNS = (-1.0, -0.5, 0.0, 0.5, 1.0)  # of the contact sheet, as multiples of --strength
MAP_WIDTH = 256  # of the picture of a direction, in pixels
LONGEST_ASPECT = 8  # of a picture of one's own; what is longer is cropped
MOST_STEPS = 10_000  # ten for each timestep of the model; more change nothing
MOST_JOBS = 1024


def main(arguments=None):
    """Run one command. Returns the exit code: 0, 2 for unusable input, 130 when interrupted.

    A console that cannot take the output (closed, a pipe without a reader, too few characters) changes nothing.
    """
    with console.safe_output():
        try:
            options = _parser().parse_args(arguments)
            with one_thread():
                options.run(options)
        except (ValueError, OSError, figures.MissingMatplotlib) as error:
            print(f"pullback_core: {' '.join(str(error).split())}", file=sys.stderr)
            return 2
        except KeyboardInterrupt:
            print(console.MESSAGE, file=sys.stderr)
            return console.INTERRUPTED
    return 0


# ---- the options: each type refuses what it cannot be ----

SEED = whole(-(2**63), 2**64 - 1)  # what torch takes
COUNT = whole(1)
STEPS = whole(1, MOST_STEPS)
TIMESTEP = real("a fraction of T, above 0 and at most 1", lambda value: 0 < value <= 1)
TOLERANCE = real("above 0 and at most 1", lambda value: 0 < value <= 1)
STRENGTH = real(
    "from -100 to 100 and at least 0.000001 away from zero", lambda value: 1e-6 <= abs(value) <= 100
)
BOOST = real("a fraction of T from 0 to 1", lambda value: 0 <= value <= 1)
LEARNING_RATE = real("above 0 and at most 1", lambda value: 0 < value <= 1)


def _prompt(text):
    """The type of --prompt: words that the bundled model knows."""
    try:
        tokenize(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from error
    return text


def _jobs(text):
    """The type of --jobs: as joblib counts them, where negative numbers count down from all processors."""
    jobs = whole(-MOST_JOBS, MOST_JOBS)(text)
    if jobs == 0:
        raise argparse.ArgumentTypeError("must be 1 or more processes, or -1 for all processors, got '0'")
    return jobs


def _backend(text):
    if not text.strip():
        raise argparse.ArgumentTypeError("must be the name of a joblib backend, got ''")
    return text


class _Parser(argparse.ArgumentParser):
    """Reports a wrong argument as `main` reports everything else: in one sentence."""

    def error(self, message):
        raise ValueError(f"{message}; {self.prog} --help lists what there is.")


def _parser():
    parser = _Parser(
        prog="python -m pullback_core",
        description="Find and follow the directions a diffusion model knows at one noisy image. Without a command: edit.",
        formatter_class=argparse.ArgumentDefaultsHelpFormatter,
    )
    parser.set_defaults(run=lambda options: _edit(_parser().parse_args(["edit"])))
    commands = parser.add_subparsers(metavar="command")

    def command(name, run, about):
        added = commands.add_parser(
            name, help=about, description=about, formatter_class=argparse.ArgumentDefaultsHelpFormatter
        )
        added.set_defaults(run=run)
        return added

    edit = command("edit", _edit, "Invert a picture, find its directions, and edit it along them both ways.")
    _add_source(edit, "", face=3)
    _add_method(edit, timestep=0.7)
    edit.add_argument(
        "--direction",
        type=COUNT,
        action="append",
        metavar="N",
        help=f"a direction to edit along, counted from 1; repeat for several (default: the first {SHOWN_DIRECTIONS})",
    )
    edit.add_argument("--out", type=path, default=Path("output/edit"), help="folder for the results")

    transport = command(
        "transport", _transport, "Carry a direction of one picture to another and edit both along it."
    )
    _add_source(transport, "", face=7)
    _add_source(transport, "to-", face=4)
    _add_method(transport, timestep=0.8)
    transport.add_argument(
        "--direction", type=COUNT, default=1, metavar="N", help="the direction to carry, counted from 1"
    )
    transport.add_argument(
        "--exact", action="store_true", help="exact pullback instead of the released code's form"
    )
    transport.add_argument(
        "--out", type=path, default=Path("output/transport"), help="folder for the results"
    )

    over_time = command(
        "over-time", _over_time, "At which timestep to edit? One picture's directions at several timesteps."
    )
    _add_source(over_time, "", face=3)
    _add_method(over_time, timestep=None)
    over_time.add_argument(
        "--timesteps",
        type=TIMESTEP,
        nargs="+",
        default=[0.3, 0.5, 0.6, 0.7, 0.8, 0.9],
        metavar="T",
        help="fractions of T, above 0 and at most 1; each counts once",
    )
    over_time.add_argument(
        "--direction",
        type=COUNT,
        default=1,
        metavar="N",
        help="the first of the directions to show, counted from 1",
    )
    over_time.add_argument(
        "--out", type=path, default=Path("output/over-time"), help="folder for the results"
    )

    features = command(
        "features", _features, "At which block to read the features? Directions, curvature and cost of each."
    )
    _add_source(features, "", face=3)
    _add_inversion(features, timestep=0.7)
    features.add_argument(
        "--feature", action="append", metavar="NAME", help="a block; repeat for several (default: all)"
    )
    features.add_argument("--rank", type=COUNT, default=8, help="how many singular values to find")
    features.add_argument("--tolerance", type=TOLERANCE, default=0.05, help="largest residual of a direction")
    features.add_argument("--seed", type=SEED, default=0)
    features.add_argument("--out", type=path, default=Path("output/features"), help="folder for the results")

    invert = command(
        "invert", _invert, "Invert a picture to noise and generate it again: how exact is the round trip?"
    )
    _add_source(invert, "", face=3)
    _add_inversion(invert, timestep=1.0)
    invert.add_argument("--out", type=path, default=Path("output/invert"), help="folder for the results")

    study = command(
        "study",
        _study,
        "Repeat the paper's analyses on the bundled models: figures, tables and a page of findings.",
    )
    study.add_argument(
        "--samples", type=whole(3, 100_000), default=Settings.samples, help="random samples of each model"
    )
    study.add_argument(
        "--jobs", type=_jobs, default=1, help="processes (needs joblib); -1 takes all processors"
    )
    study.add_argument("--backend", type=_backend, help="of joblib, for many machines: ray, dask, ...")
    study.add_argument(
        "--cache", type=path, default=Path("output/study-cache"), help="folder of what is measured already"
    )
    study.add_argument("--out", type=path, default=Path("output/study"), help="folder for the results")

    train = command(
        "train", _train, "Train the bundled model again (hours on a CPU; resumes where it stopped)."
    )
    train.add_argument("--steps", type=whole(1, 10_000_000), default=faces.TrainingOptions.steps)
    train.add_argument("--batch", type=whole(4, 65_536), default=faces.TrainingOptions.batch)
    train.add_argument(
        "--workers",
        type=whole(1, 256),
        default=faces.TrainingOptions.workers,
        help="processes of one thread each",
    )
    train.add_argument("--seed", type=SEED, default=0)
    train.add_argument("--learning-rate", type=LEARNING_RATE, default=faces.TrainingOptions.learning_rate)
    train.add_argument(
        "--data",
        choices=list(faces.DATA),
        default="faces",
        help="which drawings; expressions are one person's",
    )
    train.add_argument("--start", type=path, metavar="FILE", help="a finished model to begin with")
    train.add_argument(
        "--bf16", action="store_true", help="compute in bfloat16: faster on processors that have it"
    )
    train.add_argument("--checkpoint", type=path, default=Path("output/train/checkpoint.pt"))
    train.add_argument(
        "--out", type=path, default=Path("output/train/faces.safetensors"), help="the finished model"
    )
    return parser


def _add_source(parser, prefix, face):
    source = parser.add_mutually_exclusive_group()
    source.add_argument(
        f"--{prefix}face",
        type=whole(0, faces.LAST_EXAMPLE),
        default=face,
        metavar="N",
        help="a bundled example face, any number from 0",
    )
    source.add_argument(
        f"--{prefix}image",
        type=path,
        metavar="FILE",
        help=f"a picture of your own instead, made {faces.SIZE} pixels wide or high, whichever is less",
    )
    if not prefix:
        parser.add_argument(
            "--crop",
            action="store_true",
            help="edit the middle square of a picture of your own; the model was trained on squares",
        )


def _add_inversion(parser, timestep):
    parser.add_argument(
        "--prompt",
        type=_prompt,
        default="",
        help='what the picture shows, "glasses, smiling"; empty for anything',
    )
    if timestep is not None:
        parser.add_argument(
            "--timestep",
            type=TIMESTEP,
            default=timestep,
            help="how noisy, as a fraction of T, above 0 and at most 1",
        )
    parser.add_argument("--steps", type=STEPS, default=50, help="DDIM steps over the whole of T")
    parser.add_argument(
        "--refine", type=whole(0, 1000), default=6, help="fixed-point corrections of each inversion step"
    )
    parser.add_argument("--model", type=path, default=faces.WEIGHTS, help="the model file")


def _add_method(parser, timestep):
    _add_inversion(parser, timestep)
    parser.add_argument("--rank", type=COUNT, default=8, help="how many directions to find")
    parser.add_argument("--tolerance", type=TOLERANCE, default=1e-2, help="largest residual of a direction")
    parser.add_argument("--strength", type=STRENGTH, default=1.0, help="how far to go; 1 is clearly visible")
    parser.add_argument("--guidance-steps", type=STEPS, default=16, help="repetitions of x-space guidance")
    parser.add_argument(
        "--boost", type=BOOST, default=0.0, help="quality boosting (eta 1) below this fraction of T; try 0.2"
    )
    parser.add_argument("--seed", type=SEED, default=0)


# ---- the commands ----


def _edit(options):
    numbers = list(dict.fromkeys(options.direction or range(1, min(SHOWN_DIRECTIONS, options.rank) + 1)))
    _check_directions(numbers, options.rank)
    (image,) = _load_sources(options, "")
    session = _Session(options, image)
    z, round_trip = session.invert(image)
    basis = session.basis(z)
    strengths = [factor * options.strength for factor in COLUMNS]
    edits = session.edit(z, [basis.v[number - 1] for number in numbers], strengths)
    changes = [_attribute_changes(row) for row in edits]

    rows = [("original", [image, None, round_trip.image, None, None])]
    rows += [(f"direction {number}", row) for number, row in zip(numbers, edits)]
    notes = [f"reconstructed in the middle\nat {round_trip.psnr:.1f} dB"] + [
        _describe_change(change) for change in changes
    ]
    sheet = figures.contact_sheet(
        rows,
        _headings(strengths),
        row_notes=notes,
        cell=_cell(image),
        title=f"Directions at {options.timestep:g} T"
        + (f", prompt: {options.prompt}" if options.prompt else ""),
    )
    report = session.report(
        basis,
        inversion_psnr_db=round_trip.psnr,
        directions=[
            {"direction": number, "singular_value": basis.s[number - 1].item(), "attribute_change": change}
            for number, change in zip(numbers, changes)
        ],
    )
    pictures = {
        "contact_sheet.png": sheet,
        "singular_values.png": _plot(figures.singular_value_plot, basis),
        "original.png": figures.to_pil(image),
        "reconstruction.png": figures.to_pil(round_trip.image),
    }
    for number, row in zip(numbers, edits):
        direction = figures.direction_map(_as_picture(basis.v[number - 1]))
        pictures[f"direction_{number}_map.png"] = figures.to_pil(direction, MAP_WIDTH)
        for strength, label, edited in zip(strengths, _headings(strengths), row):
            if strength:
                pictures[f"direction_{number}_strength_{label}.png"] = figures.to_pil(edited)
    session.write(pictures, report, {"basis.safetensors": basis})


def _transport(options):
    _check_directions([options.direction], options.rank)
    images = _load_sources(options, "", "to-")
    session = _Session(options, images[0])
    points = [session.invert(image)[0] for image in images]
    source, target = (session.basis(z) for z in points)
    carried = parallel_transport(options.direction - 1, source, target, exact=options.exact)
    strengths = [factor * options.strength for factor in COLUMNS]
    rows, notes, changes = [], [], []
    moves = [
        ("source", points[0], source.direction(options.direction - 1)),
        ("carried over", points[1], carried.direction),
    ]
    for label, z, direction in moves:
        (row,) = session.edit(z, [direction], strengths)
        changes.append(_attribute_changes(row))
        rows.append((label, row))
        notes.append(_describe_change(changes[-1]))
    notes[1] += f"\nalignment {carried.alignment:.2f}"
    warning = None
    if carried.alignment < MEANINGLESS_ALIGNMENT:
        warning = (
            f"The alignment is only {carried.alignment:.2f}: the target hardly knows this direction, so the result "
            "means little. Try a later --timestep (nearer 1), a higher --rank or another --direction."
        )
        print(warning)
    sheet = figures.contact_sheet(
        rows,
        _headings(strengths),
        row_notes=notes,
        cell=_cell(images[0]),
        title=f"Direction {options.direction} carried over at {options.timestep:g} T",
    )
    report = session.report(
        target,
        alignment=carried.alignment,
        warning=warning,
        attribute_change={"source": changes[0], "target": changes[1]},
    )
    session.write(
        {"contact_sheet.png": sheet}, report, {"source.safetensors": source, "target.safetensors": target}
    )


def _invert(options):
    (image,) = _load_sources(options, "")
    session = _Session(options, image)
    _, plain = session.invert(image, refine=0)
    z, refined = session.invert(image)
    noisy = _as_picture(session.denoiser.schedule.from_network(z, session.sigma)[0] / max(session.sigma, 1))
    error = ((refined.image - image) * 100).clamp(-1, 1)
    sheet = figures.contact_sheet(
        [("", [image, noisy, plain.image, refined.image, error])],
        ["original", "noise", f"plain {plain.psnr:.1f} dB", f"refined {refined.psnr:.1f} dB", "error x 100"],
        cell=_cell(image, 160),
    )
    print(
        f"Round trip to {options.timestep:g} T in {session.steps} steps each way: "
        f"{plain.psnr:.1f} dB plain, {refined.psnr:.1f} dB with {options.refine} corrections a step."
    )
    report = session.report(psnr_db={"plain": plain.psnr, "refined": refined.psnr})
    session.write({"contact_sheet.png": sheet, "reconstruction.png": figures.to_pil(refined.image)}, report)


def _over_time(options):
    timesteps = sorted(set(options.timesteps))
    options.timestep = max(timesteps)
    _check_directions([options.direction], options.rank)
    (image,) = _load_sources(options, "")
    session = _Session(options, image)
    shown = range(options.direction, min(options.direction + OVER_TIME_DIRECTIONS, options.rank + 1))
    with session.phase("bases over time") as bar:

        def show(index, products, residual):
            bar.set_postfix_str(f"timestep {index + 1} of {len(timesteps)}, residual {residual:.1e}")
            bar.update()

        moments = bases_over_time(
            session.denoiser,
            faces.encode_image(image[None]),
            timesteps,
            options.rank,
            steps=options.steps,
            refine=options.refine,
            tolerance=options.tolerance,
            seed=options.seed,
            progress=show,
        )
    rows, notes, names = [], [], figures.number_labels(timesteps, digits=2)
    for name, moment in zip(names, moments, strict=True):
        basis = moment.basis
        z = session.schedule.to_network(moment.x, basis.sigma)
        directions, strengths = (
            [basis.v[number - 1] for number in shown],
            [-options.strength, options.strength],
        )
        edits = session.edit(z, directions, strengths, basis.sigma, moment.sigmas)
        rows.append((f"{name} T", [picture for row in edits for picture in row]))
        notes.append(
            f"effective rank {spectra.effective_rank(basis.s):.1f}\n"
            f"{spectra.mean_frequency(_as_picture(basis.v)).mean():.1f} cycles per picture"
        )
    headings = [f"{number} {sign}" for number in shown for sign in "-+"]
    sheet = figures.contact_sheet(
        rows, headings, row_notes=notes, cell=_cell(image), title="The first directions, by timestep"
    )
    bases = [moment.basis for moment in moments]
    distances = subspaces.distance_matrix(bases)
    labels = [label for label, _ in rows]
    heat_map = _plot(figures.heat_map, distances, labels, labels, "Distance between timesteps")
    report = session.report(
        bases=[
            {
                "timestep": basis.timestep,
                "singular_values": basis.s.tolist(),
                "jacobian_products": basis.products,
            }
            for basis in bases
        ],
        distances=distances.tolist(),
    )
    files = {f"basis_{name}.safetensors": basis for name, basis in zip(names, bases)}
    session.write({"contact_sheet.png": sheet, "distances.png": heat_map}, report, files)


def _features(options):
    (image,) = _load_sources(options, "")
    session = _Session(options, image)
    names = list(dict.fromkeys(options.feature or session.denoiser.model.unet.feature_names))
    denoisers = [faces.FacesDenoiser(session.denoiser.model, options.prompt, feature=name) for name in names]
    for denoiser in denoisers:
        session.check_rank(denoiser, image)
    z, _ = session.invert(image)
    with session.phase("features", len(names)) as bar:

        def show(index, products, residual):
            bar.set_postfix_str(f"{names[index]}, residual {residual:.1e}")
            bar.update(index - bar.n)

        found = explain_features(
            denoisers,
            z,
            session.sigma,
            options.rank,
            tolerance=options.tolerance,
            seed=options.seed,
            progress=show,
        )
        bar.update(len(names) - bar.n)
    print(explain_table(found))
    curves = [(one.feature, one.s) for one in found]
    plot = _plot(figures.decay_plot, curves, f"Decay of the singular values at {options.timestep:g} T")
    session.write(
        {"decay.png": plot},
        session.report(features=[{**one._asdict(), "s": one.s.tolist()} for one in found]),
    )


def _study(options):
    require_writable_folder(options.out, "--out")
    require_writable_folder(options.cache, "--cache")
    command = f"python -m pullback_core study --samples {options.samples}"
    findings = run_study(
        options.out,
        options.cache,
        Settings(samples=options.samples),
        jobs=options.jobs,
        backend=options.backend,
        command=command,
    )
    for finding in findings:
        print(f"{finding.verdict:>12}  {finding.title}")
    print(f"Look at {options.out / 'findings.md'}; what was measured is kept in {options.cache}.")


def _train(options):
    names = ("steps", "batch", "workers", "learning_rate", "seed", "data", "start", "bf16")
    settings = faces.TrainingOptions(**{name: getattr(options, name) for name in names})
    require_writable_file(options.checkpoint, "--checkpoint")
    require_writable_file(options.out, "--out")
    if options.checkpoint.resolve() == options.out.resolve():
        raise ValueError(f"--checkpoint and --out are both {shorten(options.out)}; choose two files.")
    model = faces.train_model(options.checkpoint, settings)
    model.save(options.out)
    print(
        f"Saved the model to {options.out}; try it with: python -m pullback_core edit --model {options.out}"
    )


# ---- what the commands share ----


class _RoundTrip:
    def __init__(self, image, reference):
        self.image = image
        error = (image - reference).square().mean().item()
        self.psnr = 10 * math.log10(4 / error) if error else math.inf  # RGB in [-1, 1]: the peak is 2


class _Session:
    """One run of a command: the model under the options' prompt, progress bars, times, results.

    image: (3, h, w), what the run is about. Raises ValueError for options that do not fit it, before any work.
    """

    def __init__(self, options, image):
        self.options, self.seconds = options, {}
        require_writable_folder(options.out, "--out")
        model = faces.load_model(options.model)
        self.denoiser = faces.FacesDenoiser(model, options.prompt)
        self.schedule = self.denoiser.schedule
        self.sigma = self.schedule.sigma(options.timestep)
        self.check_rank(self.denoiser, image)
        self.steps = max(1, round(options.steps * options.timestep))
        self.sigmas = self.schedule.sigmas(self.steps, start=options.timestep)

    def check_rank(self, denoiser, image):
        """Refuse more directions than the noisy latent of a picture (3, h, w), or the denoiser's feature of it, has numbers."""
        latent = faces.encode_image(torch.zeros_like(image)[None])
        largest = min(latent.numel(), denoiser.encode(latent, self.sigma).numel())
        rank = getattr(self.options, "rank", 1)
        if rank > largest:
            raise ValueError(
                f"--rank must be from 1 to {largest}, the size of the model's features, got {shorten(rank)}."
            )

    @contextmanager
    def phase(self, name, total=None):
        start = time.perf_counter()
        with tqdm(total=total, desc=name, leave=True) as bar:
            yield bar
        self.seconds[name] = round(self.seconds.get(name, 0) + time.perf_counter() - start, 3)

    def invert(self, image, refine=None):
        """A picture (3, h, w) -> its noisy latent z (1, c, h, w) in network coordinates, and the round trip."""
        refine = self.options.refine if refine is None else refine
        latent = faces.encode_image(image[None])
        with self.phase("DDIM inversion", 2 * self.steps) as bar:
            x = ddim.invert(
                self.denoiser, latent, self.sigmas.flip(0), refine=refine, progress=lambda _: bar.update()
            )
            back = ddim.generate(self.denoiser, x, self.sigmas, progress=lambda _: bar.update())
        return self.schedule.to_network(x, self.sigma), _RoundTrip(faces.decode_latent(back)[0], image)

    def basis(self, z):
        options = self.options
        with self.phase("pullback basis") as bar:

            def show(products, residual):
                bar.set_postfix_str(f"residual {residual:.1e}")
                bar.update(products - bar.n)

            basis = local_basis(
                self.denoiser,
                z,
                self.sigma,
                options.rank,
                tolerance=options.tolerance,
                seed=options.seed,
                progress=show,
            )
        if not basis.converged:
            print(
                f"The basis is not fully converged: residual {basis.residuals.max():.1e} after {basis.products} products."
            )
        return basis

    def edit(self, z, directions, strengths, sigma=None, sigmas=None):
        """One list of pictures (3, h, w) for each direction, one picture for each strength."""
        options, sigma = self.options, sigma or self.sigma
        sigmas = self.sigmas if sigmas is None else sigmas
        with self.phase("x-space guidance", options.guidance_steps) as bar:
            moved = edit_grid(
                self.denoiser,
                z,
                sigma,
                torch.stack(directions),
                strengths,
                steps=options.guidance_steps,
                progress=lambda *_: bar.update(),
            ).flatten(0, 1)
        with self.phase("DDIM generation", len(sigmas) - 1) as bar:
            x = ddim.generate(
                self.denoiser,
                self.schedule.from_network(moved, sigma),
                sigmas,
                boost_below=options.boost,
                seed=options.seed,
                progress=lambda _: bar.update(),
            )
        if not torch.isfinite(x).all():
            raise ValueError(
                "The edit led to numbers that are not finite; choose a smaller --strength, or fewer --guidance-steps."
            )
        pictures = faces.decode_latent(x).clamp(-1, 1)
        return [list(row) for row in pictures.split(len(strengths))]

    def report(self, basis=None, **figures_):
        parameters = {
            name: str(value) if isinstance(value, Path) else value
            for name, value in vars(self.options).items()
            if name != "run"
        }
        report = {"parameters": parameters, "model": self.denoiser.provenance["model"], "sigma": self.sigma}
        if basis:
            report |= {
                "singular_values": basis.s.tolist(),
                "residuals": basis.residuals.tolist(),
                "jacobian_products": basis.products,
                "converged": basis.converged,
            }
        return (
            report
            | figures_
            | {"seconds": self.seconds, "torch": torch.__version__, "threads": torch.get_num_threads()}
        )

    def write(self, pictures, report, bases=None):
        """Everything at the end, each file whole, so that an interrupt leaves nothing half done.

        pictures: by file name; the first sums it up; None where a plot could not be drawn.
        """
        out = self.options.out
        pictures = {name: picture for name, picture in pictures.items() if picture is not None}
        for name, picture in pictures.items():
            figures.save_picture(picture, out / name)
        for name, basis in (bases or {}).items():
            basis.save(out / name)
        write_atomically(out / "report.json", report_bytes(report))
        total = sum(self.seconds.values())
        summary = out / next(iter(pictures), "report.json")
        print(
            f"Done in {total:.0f} s. Look at {summary}; figures and parameters are in {out / 'report.json'}."
        )


def _plot(draw, *arguments):
    """A plot, or None and a line that says why not: what was computed is worth keeping without it."""
    try:
        return draw(*arguments)
    except figures.MissingMatplotlib as error:
        print(error)
        return None


def _load_sources(options, *prefixes):
    """The pictures that the options name, each (3, h, w) in [-1, 1] with both sides multiples of the latent's pixels.

    Several pictures get one shape, because directions are carried between latents of one shape.
    """
    images = [_load_source(options, prefix, options.crop) for prefix in prefixes]
    if len({image.shape for image in images}) > 1:
        print("The pictures differ in aspect, so the middle square of each is taken.")
        images = [_load_source(options, prefix, crop=True) for prefix in prefixes]
    return images


def _load_source(options, prefix, crop):
    name = prefix.replace("-", "_")
    file, number = getattr(options, f"{name}image"), getattr(options, f"{name}face")
    if file is None:
        return faces.example_faces([number])[0]
    picture = read_picture(file)
    width, height = (faces.SIZE, faces.SIZE) if crop else _size_for_model(picture.width, picture.height)
    if width != height:
        print(
            f"The picture is edited at {width} x {height} pixels. The model was trained on squares; --crop edits the middle square."
        )
    return figures.from_pil(ImageOps.fit(picture, (width, height), Image.Resampling.LANCZOS))


def _size_for_model(width, height):
    """The size at which the model computes a picture: the shorter side is the model's own, the aspect is that of the picture."""
    short, long = sorted((width, height))
    aspect = min(long / short, LONGEST_ASPECT)
    length = faces.PATCH * round(faces.SIZE * aspect / faces.PATCH)
    return (length, faces.SIZE) if width > height else (faces.SIZE, length)


def _check_directions(numbers, rank):
    for number in numbers:
        if not 1 <= number <= rank:
            raise ValueError(
                f"--direction must be from 1 to the rank, {shorten(rank)}, got {shorten(number)}."
            )


def _headings(strengths):
    return figures.number_labels(strengths, digits=6, sign=True)


def _as_picture(latent):
    """A latent (..., 27, h, w) as the picture it is, (..., 3, 3h, 3w)."""
    return faces.decode_latent(latent)


def _attribute_changes(row):
    """How the regressor's reading moves from the first picture of a row to the last, in standard deviations."""
    regressor = faces.load_regressor()
    first, last = regressor(torch.stack([_middle_square(row[0]), _middle_square(row[-1])]))
    change = (last - first) / regressor.deviation
    return {name: round(value, 3) for name, value in zip(faces.NAMES, change.tolist())}


def _cell(image, width=128):
    """How wide a picture (3, h, w) is drawn on a sheet, in pixels: wider where it would be too low to see anything."""
    height, length = image.shape[1:]
    return round(width * max(1.0, length / height) ** 0.5)


def _middle_square(image):
    """The middle of a picture (3, h, w) as (3, 48, 48), which is what the regressor reads."""
    top, left = ((side - faces.SIZE) // 2 for side in image.shape[1:])
    return image[:, top : top + faces.SIZE, left : left + faces.SIZE]


def _describe_change(change, count=2):
    """The attributes that change most, colours taken together: 'smile +1.2\\nglasses -0.9'."""
    grouped = {}
    for name, value in change.items():
        stem, _, channel = name.rpartition("_")
        name = f"{stem} colour" if channel in ("red", "green", "blue") else name.replace("_", " ")
        if name not in grouped or abs(value) > abs(grouped[name]):
            grouped[name] = value
    top = sorted(grouped, key=lambda name: -abs(grouped[name]))[:count]
    return "\n".join(f"{name} {grouped[name]:+.1f}" if "colour" not in name else name for name in top)
