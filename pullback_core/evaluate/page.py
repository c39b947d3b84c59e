"""The page of an evaluation, in Markdown."""

from collections.abc import Sequence
from typing import Any

from .kinds import CYCLES, DEFAULT, KINDS
from .page_of_uses import masks_section, strength_section, transport_section, words_section
from .settings import Settings
from .tables import numbers_table, shown, table
from .targets import find, targets

QUALITY = {
    "concentration": ("concentration", 2),
    "distinct": ("different of 8", 1),
    "concentration of forms": ("concentration of forms", 2),
    "distinct forms": ("different forms of 8", 1),
    "strongest attribute": ("strongest", 2),
    "attributes / smooth": ("all attributes / smooth", 2),
    "off face": ("off face", 3),
    "length": ("length", 3),
}
BEST = {
    "concentration": ("most concentrated", 1),
    "concentration of forms": ("most concentrated in forms", 1),
    "distinct": ("most different attributes", 1),
    "off face": ("cleanest (off face)", -1),
    "length": ("shortest", -1),
}
AT_EQUAL_LENGTH = {
    "concentration at equal length": ("concentration", 2),
    "distinct at equal length": ("different of 8", 1),
    "strongest attribute at equal length": ("strongest", 2),
    "attributes at equal length / smooth": ("all attributes / smooth", 2),
    "off face at equal length": ("off face", 3),
    "change at equal length": ("change of the picture", 3),
}
OVER_TIME = {
    "concentration": ("concentration", 2),
    "concentration / smooth": ("of smooth", 2),
    "distinct": ("different of 8", 1),
    "off face / smooth": ("off face / smooth", 2),
    "length / smooth": ("length / smooth", 2),
}
REPEATS = {
    f"repeats, {variant}, {measure}": (f"{variant}: {heading}", 2)
    for variant in ("rounding", "seed", "refine")
    for measure, heading in (("span", "span"), ("direction", "direction"), ("place", "place"))
}


def evaluation_page(report: dict[str, Any], settings: Settings, command: str, pictures: Sequence[str]) -> str:
    """Write the page.

    Args:
        report: As `report.make_report` returns it.
        settings: The size of the evaluation.
        command: The command that made the page.
        pictures: Paths of the sheets, relative to the page.

    Returns:
        Markdown.
    """
    lines = [
        *_introduction(settings, command),
        *_targets(report, settings),
        *_quality(report, settings),
        *_pictures(pictures),
        *_over_time(report, settings),
        *_repeats(report, settings),
        *transport_section(report),
        *masks_section(report, settings),
        *words_section(report, settings),
        *strength_section(report, settings),
    ]
    return "\n".join(lines) + "\n"


def _introduction(settings: Settings, command: str) -> list[str]:
    return [
        "# What directions are worth",
        "",
        "Directions of every kind, measured on the bundled model of drawn faces. Made by",
        "",
        f"    {command}",
        "",
        f"{settings.faces} example faces that the model has never seen, {settings.steps} DDIM steps over the "
        f"whole of T, searches of rank {settings.rank}, the first {settings.shown} directions of each, both "
        "ways. Brackets: 95% bootstrap intervals over faces; of pairs of faces, faces are resampled. A "
        "regressor reads 22 attributes from the pictures: 9 channels of colours, and 13 forms, such as "
        "smile, "
        "glasses or the length of the hair. A change of an attribute counts in standard deviations over "
        "random faces.",
        "",
        "- *Equal change*: both ends of an edit differ by the same root mean square, "
        f"2 x {settings.change:g} of the latent, in the finished pictures. The length of each move is found "
        "by a secant on generations of 3 steps. A latent of a picture has a standard deviation of about 1.",
        "- *Concentration*: the share of the strongest attribute in all change; 1 is one thing alone.",
        "- *Different of 8*: how many different attributes are the strongest one of some direction.",
        "- *Off face*: the root mean square difference between a picture and the drawing with the attributes "
        "read from it; lower is cleaner.",
        "- *Length*: of one way, as a share of the norm of the noisy latent in network coordinates.",
        f"- *Smooth random*: Gaussian noise of at most {CYCLES:g} cycles per picture.",
        "- *Guided*: x-space guidance, along its own path until the picture changes by the same amount; the "
        f"first {settings.guided} directions.",
        "",
    ]


def _title(name: str) -> str:
    """The title of a kind, with "_guided" at the end of its name or without."""
    kind = name.removesuffix("_guided")
    title = KINDS[kind].title + (", guided" if kind != name else "")
    return f"**{title}**" if name == DEFAULT else title


def _targets(report: dict[str, Any], settings: Settings) -> list[str]:
    rows = []
    for target in targets(settings.default):
        number = find(report, target.path)
        if number is not None:
            verdict = "yes" if target.is_met(number) else "**no**"
            rows.append([target.title, target.bound, shown(number), verdict])
    return [
        "## What the defaults reach",
        "",
        f"The default directions are those of the predicted picture, rotated, at {settings.default:g} T.",
        "",
        *table(["measure", "wanted", "measured", "reached"], rows),
        "",
        *_best(report, settings),
    ]


def _best(report: dict[str, Any], settings: Settings) -> list[str]:
    """Which kind is best in what, among straight moves at the default timestep."""
    key = f"{settings.default:g}"
    straight = {name: report["directions"][name][key] for name in KINDS}
    lines = ["Best of all kinds, by straight moves at equal change:", ""]
    for measure, (heading, sign) in BEST.items():
        values = {name: sign * numbers[measure][0] for name, numbers in straight.items()}
        name = max(values, key=values.__getitem__)
        lines.append(f"- {heading}: {_title(name)}, {shown(straight[name][measure])}")
    return [*lines, ""]


def _at(report: dict[str, Any], timestep: float) -> dict[str, dict[str, Any]]:
    """{title of a kind: its numbers at a timestep}."""
    key = f"{timestep:g}"
    return {_title(name): times[key] for name, times in report["directions"].items() if key in times}


def _quality(report: dict[str, Any], settings: Settings) -> list[str]:
    rows = _at(report, settings.default)
    straight = {title: numbers for title, numbers in rows.items() if "change at equal length" in numbers}
    return [
        f"## At equal change of the picture, {settings.default:g} T",
        "",
        *numbers_table("directions", QUALITY, rows),
        "",
        "The sum over all attributes is largest where a direction changes many things at once. It "
        "does not tell how good a direction is.",
        "",
        f"## At equal length, {settings.default:g} T",
        "",
        f"Straight moves by {settings.length:.0%} of the norm of the latent. Much of what differs here is "
        f"size: "
        "the picture changes by different amounts.",
        "",
        *numbers_table("directions", AT_EQUAL_LENGTH, straight),
        "",
    ]


def _pictures(pictures: Sequence[str]) -> list[str]:
    lines = [
        "## The same face, edited by every kind",
        "",
        "Beside each row: the attributes that change most along its directions.",
        "",
    ]
    for picture in pictures:
        lines += [f"![One face edited by every kind of directions]({picture})", ""]
    return lines


def _over_time(report: dict[str, Any], settings: Settings) -> list[str]:
    lines = ["## Over time", "", "At equal change of the picture.", ""]
    for timestep in settings.timesteps:
        rows = {title: numbers for title, numbers in _at(report, timestep).items() if "guided" not in title}
        lines += [f"### {timestep:g} T", "", *numbers_table("directions", OVER_TIME, rows), ""]
    rows = {}
    for name, times in report["preview"].items():
        rows[_title(name)] = {f"{float(timestep):g}": number for timestep, number in times.items()}
    columns = {f"{timestep:g}": (f"{timestep:g} T", 2) for timestep in settings.timesteps}
    return [
        *lines,
        "### Preview",
        "",
        "The cosine of the change that J0 v foretells with that of the finished picture, at equal change.",
        "",
        *numbers_table("directions", columns, rows),
        "",
    ]


def _repeats(report: dict[str, Any], settings: Settings) -> list[str]:
    rows = {
        title: numbers
        for title, numbers in _at(report, settings.default).items()
        if "repeats, seed, span" in numbers
    }
    return [
        f"## Do directions come again? {settings.default:g} T",
        "",
        "After the picture was rounded to 8 bits, from another seed of the search, and with another "
        "`refine` of "
        "the inversion. *Span*: mean squared cosine of the principal angles between the spans of the first "
        "8. "
        "*Direction*: the largest cosine, with its sign, of what a direction does to the picture with that "
        "of "
        "any direction found again. *Place*: the cosine with the direction in the same place.",
        "",
        *numbers_table("directions", REPEATS, rows),
        "",
    ]
