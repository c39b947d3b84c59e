"""The command line: real edits on the bundled model. `python -m pullback_core --help`"""

import argparse
import json
import math
import sys
import time
from contextlib import contextmanager
from pathlib import Path

import torch
from PIL import Image, ImageOps, UnidentifiedImageError
from tqdm import tqdm

from . import ddim, faces, figures, geometry
from .basis import local_basis
from .explain import explain_features, explain_table
from .files import write_atomically
from .guidance import edit_grid
from .over_time import bases_over_time
from .study import Settings, run_study
from .transport import MEANINGLESS_ALIGNMENT, parallel_transport

SHOWN_DIRECTIONS = 5
OVER_TIME_DIRECTIONS = 3
COLUMNS = (-1.0, -0.5, 0.0, 0.5, 1.0)  # of the contact sheet, as multiples of --strength


def main(arguments=None):
    """Run one command. Returns the exit code: 0, 2 for unusable input, 130 when interrupted."""
    try:
        options = _parser().parse_args(arguments)
        options.run(options)
    except (ValueError, OSError) as error:
        print(f"pullback_core: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("pullback_core: interrupted; nothing was half written.", file=sys.stderr)
        return 130
    return 0


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
        added = commands.add_parser(name, help=about, description=about, formatter_class=argparse.ArgumentDefaultsHelpFormatter)
        added.set_defaults(run=run)
        return added

    edit = command("edit", _edit, "Invert a picture, find its directions, and edit it along them both ways.")
    _add_source(edit, "", face=3)
    _add_method(edit, timestep=0.7)
    edit.add_argument("--direction", type=int, action="append", metavar="N",
                      help=f"a direction to edit along, counted from 1; repeat for several (default: the first {SHOWN_DIRECTIONS})")
    edit.add_argument("--out", type=Path, default=Path("output/edit"), help="folder for the results")

    transport = command("transport", _transport, "Carry a direction of one picture to another and edit both along it.")
    _add_source(transport, "", face=7)
    _add_source(transport, "to-", face=4)
    _add_method(transport, timestep=0.8)
    transport.add_argument("--direction", type=int, default=1, metavar="N", help="the direction to carry, counted from 1")
    transport.add_argument("--exact", action="store_true", help="exact pullback instead of the released code's form")
    transport.add_argument("--out", type=Path, default=Path("output/transport"), help="folder for the results")

    over_time = command("over-time", _over_time, "At which timestep to edit? One picture's directions at several timesteps.")
    _add_source(over_time, "", face=3)
    _add_method(over_time, timestep=None)
    over_time.add_argument("--timesteps", type=float, nargs="+", default=[0.3, 0.5, 0.6, 0.7, 0.8, 0.9], metavar="T",
                           help="fractions of T from 0 to 1")
    over_time.add_argument("--direction", type=int, default=1, metavar="N", help="the first of the directions to show, counted from 1")
    over_time.add_argument("--out", type=Path, default=Path("output/over-time"), help="folder for the results")

    features = command("features", _features, "At which block to read the features? Directions, curvature and cost of each.")
    _add_source(features, "", face=3)
    _add_inversion(features, timestep=0.7)
    features.add_argument("--feature", action="append", metavar="NAME", help="a block; repeat for several (default: all)")
    features.add_argument("--rank", type=int, default=8, help="how many singular values to find")
    features.add_argument("--tolerance", type=float, default=0.05, help="largest residual of a direction")
    features.add_argument("--seed", type=int, default=0)
    features.add_argument("--out", type=Path, default=Path("output/features"), help="folder for the results")

    invert = command("invert", _invert, "Invert a picture to noise and generate it again: how exact is the round trip?")
    _add_source(invert, "", face=3)
    _add_inversion(invert, timestep=1.0)
    invert.add_argument("--out", type=Path, default=Path("output/invert"), help="folder for the results")

    study = command("study", _study, "Repeat the paper's analyses on the bundled models: figures, tables and a page of findings.")
    study.add_argument("--samples", type=int, default=Settings.samples, help="random samples of each model")
    study.add_argument("--jobs", type=int, default=1, help="processes (needs joblib); -1 takes all processors")
    study.add_argument("--backend", help="of joblib, for many machines: ray, dask, ...")
    study.add_argument("--cache", type=Path, default=Path("output/study-cache"), help="folder of what is measured already")
    study.add_argument("--out", type=Path, default=Path("output/study"), help="folder for the results")

    train = command("train", _train, "Train the bundled model again (hours on a CPU; resumes where it stopped).")
    train.add_argument("--steps", type=int, default=faces.TrainingOptions.steps)
    train.add_argument("--batch", type=int, default=faces.TrainingOptions.batch)
    train.add_argument("--workers", type=int, default=faces.TrainingOptions.workers, help="processes of one thread each")
    train.add_argument("--seed", type=int, default=0)
    train.add_argument("--learning-rate", type=float, default=faces.TrainingOptions.learning_rate)
    train.add_argument("--data", choices=list(faces.DATA), default="faces", help="which drawings; expressions are one person's")
    train.add_argument("--start", type=Path, metavar="FILE", help="a finished model to begin with")
    train.add_argument("--bf16", action="store_true", help="compute in bfloat16: faster on processors that have it")
    train.add_argument("--checkpoint", type=Path, default=Path("output/train/checkpoint.pt"))
    train.add_argument("--out", type=Path, default=Path("output/train/faces.safetensors"), help="the finished model")
    return parser


def _add_source(parser, prefix, face):
    source = parser.add_mutually_exclusive_group()
    source.add_argument(f"--{prefix}face", type=int, default=face, metavar="N", help="a bundled example face, any number from 0")
    source.add_argument(f"--{prefix}image", type=Path, metavar="FILE", help="a picture of your own instead (cropped square, 48x48)")


def _add_inversion(parser, timestep):
    parser.add_argument("--prompt", default="", help='what the picture shows, "glasses, smiling"; empty for anything')
    if timestep is not None:
        parser.add_argument("--timestep", type=float, default=timestep, help="how noisy, as a fraction of T from 0 to 1")
    parser.add_argument("--steps", type=int, default=50, help="DDIM steps over the whole of T")
    parser.add_argument("--refine", type=int, default=6, help="fixed-point corrections of each inversion step")
    parser.add_argument("--model", type=Path, default=faces.WEIGHTS, help="the model file")


def _add_method(parser, timestep):
    _add_inversion(parser, timestep)
    parser.add_argument("--rank", type=int, default=8, help="how many directions to find")
    parser.add_argument("--tolerance", type=float, default=1e-2, help="largest residual of a direction")
    parser.add_argument("--strength", type=float, default=1.0, help="how far to go; 1 is clearly visible")
    parser.add_argument("--guidance-steps", type=int, default=16, help="repetitions of x-space guidance")
    parser.add_argument("--boost", type=float, default=0.0, help="quality boosting (eta 1) below this fraction of T; try 0.2")
    parser.add_argument("--seed", type=int, default=0)


# ---- the commands ----


def _edit(options):
    session = _Session(options)
    numbers = options.direction or list(range(1, min(SHOWN_DIRECTIONS, options.rank) + 1))
    _check_directions(numbers, options.rank)
    image = _load_source(options, "")
    z, round_trip = session.invert(image)
    basis = session.basis(z)
    strengths = [factor * options.strength for factor in COLUMNS]
    edits = session.edit(z, [basis.v[number - 1] for number in numbers], strengths)
    changes = [_attribute_changes(row) for row in edits]

    rows = [("original", [image, None, round_trip.image, None, None])]
    rows += [(f"direction {number}", row) for number, row in zip(numbers, edits)]
    notes = [f"reconstructed in the middle\nat {round_trip.psnr:.1f} dB"] + [_describe_change(change) for change in changes]
    sheet = figures.contact_sheet(rows, _headings(strengths), row_notes=notes,
                                  title=f"Directions at {options.timestep:g} T" + (f", prompt: {options.prompt}" if options.prompt else ""))
    report = session.report(basis, inversion_psnr_db=round_trip.psnr, directions=[
        {"direction": number, "singular_value": basis.s[number - 1].item(), "attribute_change": change}
        for number, change in zip(numbers, changes)
    ])
    pictures = {"contact_sheet.png": sheet, "singular_values.png": figures.singular_value_plot(basis),
                "original.png": figures.to_pil(image), "reconstruction.png": figures.to_pil(round_trip.image)}
    for number, row in zip(numbers, edits):
        pictures[f"direction_{number}_map.png"] = figures.to_pil(figures.direction_map(_as_picture(basis.v[number - 1])), 256)
        for strength, edited in zip(strengths, row):
            if strength:
                pictures[f"direction_{number}_strength_{strength:+g}.png"] = figures.to_pil(edited)
    session.write(pictures, report, {"basis.safetensors": basis})


def _transport(options):
    session = _Session(options)
    _check_directions([options.direction], options.rank)
    images = [_load_source(options, ""), _load_source(options, "to-")]
    points = [session.invert(image)[0] for image in images]
    source, target = (session.basis(z) for z in points)
    carried = parallel_transport(options.direction - 1, source, target, exact=options.exact)
    strengths = [factor * options.strength for factor in COLUMNS]
    rows, notes, changes = [], [], []
    moves = [("source", points[0], source.direction(options.direction - 1)), ("carried over", points[1], carried.direction)]
    for label, z, direction in moves:
        (row,) = session.edit(z, [direction], strengths)
        changes.append(_attribute_changes(row))
        rows.append((label, row))
        notes.append(_describe_change(changes[-1]))
    notes[1] += f"\nalignment {carried.alignment:.2f}"
    warning = None
    if carried.alignment < MEANINGLESS_ALIGNMENT:
        warning = (f"The alignment is only {carried.alignment:.2f}: the target hardly knows this direction, so the result "
                   "means little. Try a later --timestep (nearer 1), a higher --rank or another --direction.")
        print(warning)
    sheet = figures.contact_sheet(rows, _headings(strengths), row_notes=notes,
                                  title=f"Direction {options.direction} carried over at {options.timestep:g} T")
    report = session.report(target, alignment=carried.alignment, warning=warning,
                            attribute_change={"source": changes[0], "target": changes[1]})
    session.write({"contact_sheet.png": sheet}, report, {"source.safetensors": source, "target.safetensors": target})


def _invert(options):
    session = _Session(options)
    image = _load_source(options, "")
    _, plain = session.invert(image, refine=0)
    z, refined = session.invert(image)
    noisy = _as_picture(session.denoiser.schedule.from_network(z, session.sigma)[0] / max(session.sigma, 1))
    error = ((refined.image - image) * 100).clamp(-1, 1)
    sheet = figures.contact_sheet(
        [("", [image, noisy, plain.image, refined.image, error])],
        ["original", "noise", f"plain {plain.psnr:.1f} dB", f"refined {refined.psnr:.1f} dB", "error x 100"], cell=160)
    print(f"Round trip to {options.timestep:g} T in {session.steps} steps each way: "
          f"{plain.psnr:.1f} dB plain, {refined.psnr:.1f} dB with {options.refine} corrections a step.")
    report = session.report(psnr_db={"plain": plain.psnr, "refined": refined.psnr})
    session.write({"contact_sheet.png": sheet, "reconstruction.png": figures.to_pil(refined.image)}, report)


def _over_time(options):
    if not all(0 < timestep <= 1 for timestep in options.timesteps):
        raise ValueError(f"--timesteps are fractions of T, above 0 and at most 1, got {' '.join(map(str, options.timesteps))}.")
    options.timestep = max(options.timesteps)
    session = _Session(options)
    shown = range(options.direction, min(options.direction + OVER_TIME_DIRECTIONS, options.rank + 1))
    _check_directions([options.direction], options.rank)
    image = _load_source(options, "")
    with session.phase("bases over time") as bar:
        def show(index, products, residual):
            bar.set_postfix_str(f"timestep {index + 1} of {len(options.timesteps)}, residual {residual:.1e}")
            bar.update()

        moments = bases_over_time(
            session.denoiser, faces.encode_image(image[None]), options.timesteps, options.rank, steps=options.steps, refine=options.refine,
            tolerance=options.tolerance, seed=options.seed, progress=show,
        )
    rows, notes = [], []
    for moment in moments:
        basis = moment.basis
        z = session.schedule.to_network(moment.x, basis.sigma)
        directions, strengths = [basis.v[number - 1] for number in shown], [-options.strength, options.strength]
        edits = session.edit(z, directions, strengths, basis.sigma, moment.sigmas)
        rows.append((f"{basis.timestep:.2g} T", [picture for row in edits for picture in row]))
        notes.append(f"effective rank {geometry.effective_rank(basis.s):.1f}\n"
                     f"{geometry.mean_frequency(_as_picture(basis.v)).mean():.1f} cycles per picture")
    headings = [f"{number} {sign}" for number in shown for sign in "-+"]
    sheet = figures.contact_sheet(rows, headings, row_notes=notes, title="The first directions, by timestep")
    bases = [moment.basis for moment in moments]
    distances = geometry.distance_matrix(bases)
    labels = [label for label, _ in rows]
    heat_map = figures.heat_map(distances, labels, labels, title="Distance between timesteps")
    report = session.report(bases=[
        {"timestep": basis.timestep, "singular_values": basis.s.tolist(), "jacobian_products": basis.products} for basis in bases
    ], distances=distances.tolist())
    files = {f"basis_{basis.timestep:.2g}.safetensors": basis for basis in bases}
    session.write({"contact_sheet.png": sheet, "distances.png": heat_map}, report, files)


def _features(options):
    session = _Session(options)
    names = options.feature or session.denoiser.model.unet.feature_names
    denoisers = [faces.FacesDenoiser(session.denoiser.model, options.prompt, feature=name) for name in names]
    z, _ = session.invert(_load_source(options, ""))
    with session.phase("features", len(names)) as bar:
        def show(index, products, residual):
            bar.set_postfix_str(f"{names[index]}, residual {residual:.1e}")
            bar.update(index - bar.n)

        found = explain_features(
            denoisers, z, session.sigma, options.rank, tolerance=options.tolerance, seed=options.seed, progress=show
        )
        bar.update(len(names) - bar.n)
    print(explain_table(found))
    plot = figures.decay_plot([(one.feature, one.s) for one in found], f"Decay of the singular values at {options.timestep:g} T")
    session.write({"decay.png": plot}, session.report(features=[{**one._asdict(), "s": one.s.tolist()} for one in found]))


def _study(options):
    command = f"python -m pullback_core study --samples {options.samples}"
    findings = run_study(
        options.out, options.cache, Settings(samples=options.samples), jobs=options.jobs, backend=options.backend, command=command
    )
    for finding in findings:
        print(f"{finding.verdict:>12}  {finding.title}")
    print(f"Look at {options.out / 'findings.md'}; what was measured is kept in {options.cache}.")


def _train(options):
    names = ("steps", "batch", "workers", "learning_rate", "seed", "data", "start", "bf16")
    settings = faces.TrainingOptions(**{name: getattr(options, name) for name in names})
    model = faces.train_model(options.checkpoint, settings)
    model.save(options.out)
    print(f"Saved the model to {options.out}; try it with: python -m pullback_core edit --model {options.out}")


# ---- what the commands share ----


class _RoundTrip:
    def __init__(self, image, reference):
        self.image = image
        error = (image - reference).square().mean().item()
        self.psnr = 10 * math.log10(4 / error) if error else math.inf  # RGB in [-1, 1]: the peak is 2


class _Session:
    """One run of a command: the model under the options' prompt, progress bars, times, results."""

    def __init__(self, options):
        self.options, self.seconds = options, {}
        if not 0 < options.timestep <= 1:
            raise ValueError(f"--timestep is a fraction of T, above 0 and at most 1, got {options.timestep:g}.")
        if options.steps < 1 or options.refine < 0 or getattr(options, "guidance_steps", 1) < 1:
            raise ValueError("--steps and --guidance-steps must be at least 1, and --refine at least 0.")
        if not math.isfinite(getattr(options, "strength", 1.0)) or not getattr(options, "strength", 1.0):
            raise ValueError(f"--strength must be a number other than zero, got {options.strength}.")
        if not getattr(options, "tolerance", 1.0) > 0:
            raise ValueError(f"--tolerance must be positive, got {options.tolerance}.")
        if options.out.exists() and not options.out.is_dir():
            raise ValueError(f"--out must be a folder, and {str(options.out)!r} is a file.")
        model = faces.load_model(options.model)
        self.denoiser = faces.FacesDenoiser(model, options.prompt)
        self.schedule = self.denoiser.schedule
        self.sigma = self.schedule.sigma(options.timestep)
        self._check_rank(getattr(options, "rank", 1))
        self.steps = max(1, round(options.steps * options.timestep))
        self.sigmas = self.schedule.sigmas(self.steps, start=options.timestep)

    def _check_rank(self, rank):
        largest = self.denoiser.encode(torch.zeros(1, *faces.LATENT_SHAPE), self.sigma).numel()
        if not 1 <= rank <= largest:
            raise ValueError(f"--rank must be from 1 to {largest}, the size of the model's features, got {rank}.")

    @contextmanager
    def phase(self, name, total=None):
        start = time.perf_counter()
        with tqdm(total=total, desc=name, leave=True) as bar:
            yield bar
        self.seconds[name] = round(self.seconds.get(name, 0) + time.perf_counter() - start, 3)

    def invert(self, image, refine=None):
        """A picture (3, 48, 48) -> its noisy latent z (1, c, h, w) in network coordinates, and the round trip."""
        refine = self.options.refine if refine is None else refine
        latent = faces.encode_image(image[None])
        with self.phase("DDIM inversion", 2 * self.steps) as bar:
            x = ddim.invert(self.denoiser, latent, self.sigmas.flip(0), refine=refine, progress=lambda _: bar.update())
            back = ddim.generate(self.denoiser, x, self.sigmas, progress=lambda _: bar.update())
        return self.schedule.to_network(x, self.sigma), _RoundTrip(faces.decode_latent(back)[0], image)

    def basis(self, z):
        options = self.options
        with self.phase("pullback basis") as bar:
            def show(products, residual):
                bar.set_postfix_str(f"residual {residual:.1e}")
                bar.update(products - bar.n)

            basis = local_basis(self.denoiser, z, self.sigma, options.rank, tolerance=options.tolerance,
                                seed=options.seed, progress=show)
        if not basis.converged:
            print(f"The basis is not fully converged: residual {basis.residuals.max():.1e} after {basis.products} products.")
        return basis

    def edit(self, z, directions, strengths, sigma=None, sigmas=None):
        """One list of pictures (3, 48, 48) for each direction, one picture for each strength."""
        options, sigma = self.options, sigma or self.sigma
        sigmas = self.sigmas if sigmas is None else sigmas
        with self.phase("x-space guidance", options.guidance_steps) as bar:
            moved = edit_grid(self.denoiser, z, sigma, torch.stack(directions), strengths, steps=options.guidance_steps,
                              progress=lambda *_: bar.update()).flatten(0, 1)
        with self.phase("DDIM generation", len(sigmas) - 1) as bar:
            x = ddim.generate(self.denoiser, self.schedule.from_network(moved, sigma), sigmas,
                              boost_below=options.boost, seed=options.seed, progress=lambda _: bar.update())
        pictures = faces.decode_latent(x).clamp(-1, 1)
        return [list(row) for row in pictures.split(len(strengths))]

    def report(self, basis=None, **figures_):
        parameters = {name: str(value) if isinstance(value, Path) else value
                      for name, value in vars(self.options).items() if name != "run"}
        report = {"parameters": parameters, "model": self.denoiser.provenance["model"], "sigma": self.sigma}
        if basis:
            report |= {"singular_values": basis.s.tolist(), "residuals": basis.residuals.tolist(),
                       "jacobian_products": basis.products, "converged": basis.converged}
        return report | figures_ | {"seconds": self.seconds, "torch": torch.__version__, "threads": torch.get_num_threads()}

    def write(self, pictures, report, bases=None):
        """Everything at the end, each file whole, so that an interrupt leaves nothing half done. The first picture sums it up."""
        out = self.options.out
        for name, picture in pictures.items():
            figures.save_picture(picture, out / name)
        for name, basis in (bases or {}).items():
            basis.save(out / name)
        write_atomically(out / "report.json", json.dumps(report, indent=2).encode())
        total = sum(self.seconds.values())
        print(f"Done in {total:.0f} s. Look at {out / next(iter(pictures))}; figures and parameters are in {out / 'report.json'}.")


def _load_source(options, prefix):
    name = prefix.replace("-", "_")
    path, number = getattr(options, f"{name}image"), getattr(options, f"{name}face")
    if path is None:
        if number < 0:
            raise ValueError(f"--{prefix}face is a number from 0, got {number}.")
        return faces.example_faces([number])[0]
    if not path.is_file():
        raise FileNotFoundError(f"There is no picture {str(path)!r}.")
    try:
        with Image.open(path) as picture:
            picture = ImageOps.exif_transpose(picture).convert("RGB")
    except (UnidentifiedImageError, OSError, SyntaxError, Image.DecompressionBombError) as error:
        raise ValueError(f"{str(path)!r} cannot be read as a picture; convert it to a sound PNG or JPEG.") from error
    return figures.from_pil(ImageOps.fit(picture, (faces.SIZE, faces.SIZE), Image.Resampling.LANCZOS))


def _check_directions(numbers, rank):
    for number in numbers:
        if not 1 <= number <= rank:
            raise ValueError(f"--direction must be from 1 to the rank, {rank}, got {number}.")


def _headings(strengths):
    return [f"{strength:+g}" if strength else "0" for strength in strengths]


def _as_picture(latent):
    """A latent (..., 27, h, w) as the picture it is, (..., 3, 3h, 3w)."""
    return faces.decode_latent(latent)


def _attribute_changes(row):
    """How the regressor's reading moves from the first picture of a row to the last, in standard deviations."""
    regressor = faces.load_regressor()
    first, last = regressor(torch.stack([row[0], row[-1]]))
    change = (last - first) / regressor.deviation
    return {name: round(value, 3) for name, value in zip(faces.NAMES, change.tolist())}


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
