"""What a board keeps between two runs of its node, so that a new setting costs the true edit alone."""

from collections import OrderedDict
from dataclasses import dataclass, field
from weakref import ref

import numpy as np
import torch

from ....pullback_core import PullbackBasis
from ..fingerprints import conditioning_fingerprint
from ..session import objects_of
from .pictures import enlarged
from .rows import BoardRow, Still
from .state import Setting

# Boards that are kept. One of a model of 1024 x 1024 pixels takes about 30 MB, and its basis 50 MB.
MOST_BOARDS = 4

_boards = OrderedDict()  # id of a node -> its `Board`; the one that ran last is at the end


class MadeOf:
    """Tells whether two runs of a node got the same inputs.

    Inputs are told apart by identity: the host gives a node the same objects again as long as the nodes
    before it did not run again. Models are held weakly, so no board keeps one alive.

    Args:
        inputs: `BoardInputs`.
        basis: The basis that was connected.
    """

    def __init__(self, inputs, basis):
        self._objects = [ref(part) for part in (basis, inputs.model, inputs.vae)]
        self._conditioning = _key_of(inputs.conditioning)
        # A LATENT is a dict, and some nodes change a dict in place. What is in it is small enough to be held.
        self._latent = dict(inputs.latent)
        self._sigmas = inputs.sigmas.clone()

    def are(self, inputs, basis):
        """Whether the inputs are these."""
        objects = (basis, inputs.model, inputs.vae)
        return (
            all(known() is part for known, part in zip(self._objects, objects))
            and _key_of(inputs.conditioning) == self._conditioning
            and inputs.latent.keys() == self._latent.keys()
            and all(inputs.latent[name] is part for name, part in self._latent.items())
            and torch.equal(inputs.sigmas, self._sigmas)
        )


def _key_of(conditioning):
    """What tells a CONDITIONING from others. A stock node may make an equal one anew."""
    return conditioning_fingerprint(conditioning), objects_of(conditioning)


@dataclass
class Board:
    """A board.

    Attributes:
        made_of: The inputs that it was made of.
        basis: The directions, and after them the rest of what the basis knows; see `wide_basis` in the core.
        id: The text that tells the basis from others.
        still: The picture without an edit.
        small: The small version of it that the page shows, (h, w, 3) in uint8.
        rows: The `BoardRow` of each direction that has a slider.
        known: The `BoardRow` of the rest; their pictures may be smaller.
        metric: The core's `unit_metric` of the basis, as lists.
        words: word -> its `BoardRow`.
        refused: word -> why it has none.
        plain: (c, h, w) what the model predicts without words, None where no word was asked for.
        clip: A weak reference to the CLIP that the words were made with; None for no CLIP.
        before: The file of `small`, as the page gets it.
        known_changes: The file of the changes of `known`.
        changes: The file of the changes of all other rows, and the words whose rows are in it.
        shown: The `Setting` whose true picture was made last, and that picture, (h, w, 3) in uint8.
    """

    made_of: MadeOf
    basis: PullbackBasis
    id: str
    still: Still
    small: np.ndarray
    rows: list[BoardRow]
    known: list[BoardRow]
    metric: list[list[float]]
    words: dict[str, BoardRow] = field(default_factory=dict)
    refused: dict[str, str] = field(default_factory=dict)
    plain: torch.Tensor | None = None
    clip: ref | None = None
    before: dict | None = None
    known_changes: dict | None = None
    changes: tuple[dict, list[str]] | None = None
    shown: tuple[Setting, np.ndarray] | None = None

    def previewed(self, setting):
        """What the page shows of a setting, (h, w, 3) in levels of 255, neither rounded nor cut off."""
        levels = self.small.astype(np.float32)
        for row, amount in zip(self.rows, setting.mix):
            levels = levels + amount * row.picture.levels()
        for word, amount in setting.words.items():
            levels = levels + amount * self.words[word].picture.levels()
        rest = setting.mix[len(self.rows) :]
        if any(rest):
            sums = sum(amount * row.picture.levels() for row, amount in zip(self.known, rest))
            levels = levels + enlarged(sums, self.small.shape[1::-1])
        return levels


def kept_board(node):
    """The `Board` of a node, None where there is none. node: its id."""
    return _boards.get(node)


def keep_board(node, board):
    """Keep the board of a node, and forget the one that did not run for the longest time.

    node: the id of the node; None, where a script runs it, keeps nothing.
    """
    if node is None:
        return
    _boards[node] = board
    _boards.move_to_end(node)
    while len(_boards) > MOST_BOARDS:
        _boards.popitem(last=False)
