"""What the page gets beside a node's outputs.

These are the texts of reports, a line and a bar while a node runs, and the blocks that a user may choose.
"""

import math

from comfy_api.latest import io

from . import host

# A field of a node's Schema: the host sends what the node showed again to a page that was loaded anew. Older
# hosts do not know it.
SENT_AGAIN = {"has_intermediate_output": True} if hasattr(io.Schema, "has_intermediate_output") else {}

# Relative errors of a latent. On the bundled faces, no pixel differs by more than 12 of 255 up to the first
# number, and by more than 31 up to the second.
NO_DIFFERENCE, SMALL_DIFFERENCE = 0.025, 0.08


def feature_choices(model):
    """The part of a node's ui that names the blocks of a MODEL; see web/js/features.js."""
    return {"pullback_features": host.features_of(model)}


def shown_text(node, text):
    """Show a text under a running node, and return the part of its ui that shows it again later.

    The host forgets the line of a running node when the page is loaded anew, and the ui stays; see
    web/js/features.js. node: its class.
    """
    host.show_status(node, text)
    return {"pullback_text": [text]}


def round_trip_report(error):
    """How much of a picture came back from its noise, in words. error: the relative error of its latent."""
    if not math.isfinite(error):
        return "recovered nothing: the round trip left numbers that are not finite"
    digits = 1 if error >= 0.01 else min(6, 1 - math.floor(math.log10(100 * max(error, 1e-9))))
    share = f"recovered {max(0.0, 100 - 100 * error):.{digits}f}%"
    if error <= NO_DIFFERENCE:
        return f"{share}: no difference to see"
    if error <= SMALL_DIFFERENCE:
        return f"{share}: small differences; more steps or refine bring it nearer"
    return f"{share}: another picture comes back; raise steps and refine, and use one prompt for all nodes"


def noisy_already(latent):
    """The end of a report where a LATENT should be clean and is known to be noisy; else an empty text."""
    if not any(host.origins_of(latent)):
        return ""
    return "; this latent is noisy already: connect that of VAE Encode"


JUMP = 0.2  # a strength that is missed by more than this share is told


def missed_strengths(strengths, reached):
    """Which strengths of a direction could not be reached, in words; "" where all were.

    Args:
        strengths: The strengths that were asked for.
        reached: (s,) the strengths that were measured.
    """
    missed = []
    for wanted, got in zip(strengths, reached.tolist()):
        if abs(got - wanted) > JUMP * abs(wanted):
            missed.append(f"{wanted:+.2g} is {got:+.2g}")
    return f"{', '.join(missed)}: the picture jumps" if missed else ""


def range_note(ends):
    """A linear range in words. ends: its ends backwards and along the direction, both positive."""
    back, along = (f"{float(end):.1f}" for end in ends)
    return f"straight from -{back} to +{along}"


def applied_report(applied):
    """What became of the pictures that a direction was applied to, in words: one line for each.

    Args:
        applied: The core's `Applied` of each picture.
    """
    edited = sum(one.picture is not None for one in applied)
    lines = [f"applied to {edited} of {len(applied)} pictures"]
    for number, one in enumerate(applied, start=1):
        alignment = "" if one.alignment is None else f"alignment {one.alignment:.2f}, "
        lines.append(f"{number}: {alignment}{one.verdict}")
    return "\n".join(lines)


def search_report(basis):
    """How the search for a basis ended."""
    text = f"residual {basis.residuals.max():.1e} after {basis.products} products"
    return text if basis.converged else f"not fully converged: {text}"


def searches_report(bases):
    """How the searches for several bases ended."""
    residual = max(float(basis.residuals.max()) for basis in bases)
    text = f"residual {residual:.1e} or less after {sum(basis.products for basis in bases)} products"
    return text if all(basis.converged for basis in bases) else f"not fully converged: {text}"


class SearchStatus:
    """Shows how searches proceed: a bar, and a line under the node.

    Args:
        node: The class of the running node.
        tolerance: The residual at which a search ends.
        headings: How the line begins during each search.
    """

    def __init__(self, node, tolerance, headings=("",)):
        self._node, self._tolerance, self._headings = node, tolerance, headings
        self._bar = host.Progress(100)

    def update(self, products, residual):
        """Show the only search."""
        self.update_search(0, products, residual)

    def update_search(self, index, products, residual):
        """Show search number `index`, counted from 0."""
        self._bar.update_residual(residual, self._tolerance, index, len(self._headings))
        text = f"{self._headings[index]}{products} products, residual {residual:.1e}"
        host.show_status(self._node, text)
