"""The command `invert`."""

import argparse

from ... import faces, figures
from ..arguments import add_inversion, add_out
from ..results import cell_width, make_report, write_results
from ..session import Session
from ..sources import Source, add_source, load_source
from ..writable import require_writable_folder

SUMMARY = "Invert a picture to noise and generate it again: how exact is the round trip?"
POSITION = 5


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of this command."""
    add_source(parser, face=3)
    add_inversion(parser, timestep=1.0)
    add_out(parser, "output/invert")


def run(options: argparse.Namespace) -> None:
    """Invert a picture with and without corrections, and write a contact sheet of both round trips."""
    image = load_source(Source(options.face, options.image), options.crop)
    require_writable_folder(options.out, "--out")
    session = Session(options.model, options.prompt, timestep=options.timestep, steps=options.steps)

    _, plain = session.invert(image, refine=0)
    noisy, refined = session.invert(image, options.refine)
    noise = faces.decode_latent(noisy.x[0] / max(noisy.sigma, 1))
    error = ((refined.image - image) * 100).clamp(-1, 1)
    sheet = figures.contact_sheet(
        [("", [image, noise, plain.image, refined.image, error])],
        ["original", "noise", f"plain {plain.psnr:.1f} dB", f"refined {refined.psnr:.1f} dB", "error x 100"],
        cell=cell_width(image, 160),
    )
    print(
        f"Round trip to {options.timestep:g} T in {session.steps} steps each way: "
        f"{plain.psnr:.1f} dB plain, {refined.psnr:.1f} dB with {options.refine} corrections a step."
    )
    report = make_report(session, vars(options), psnr_db={"plain": plain.psnr, "refined": refined.psnr})
    pictures = {"contact_sheet.png": sheet, "reconstruction.png": figures.to_pil(refined.image)}
    write_results(options.out, pictures, report)
