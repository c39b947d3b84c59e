"""The board: what its page gets, and the true edit of a setting."""

import math
from dataclasses import replace
from typing import NamedTuple
from weakref import ref

import numpy as np
import torch
from comfy_execution.graph_utils import ExecutionBlocker

from ....pullback_core import PullbackBasis
from ....pullback_core.directions.identity import basis_id
from ....pullback_core.directions.setting import mix_setting, unit_metric
from ....pullback_core.directions.widening import wide_basis
from ..edits import edit_pictures, finish_edits
from ..images import core_to_image
from ..latents import clean_latent
from ..progress import Progress
from ..session import while_sampling
from ..strengths import calibrate
from ..words import encode_texts, predictions, split_words
from .cache import Board, MadeOf, keep_board, kept_board
from .pictures import KNOWN_EDGE, is_there, mask_to_bytes, shrink, small_size, to_bytes, write_temporary
from .rows import decode, known_rows, rows_of, still_of, word_rows
from .state import Setting, read_state

MOST_WORDS = 16
NOTHING_SET = "Nothing is set on the board, so there is no direction; move a slider and run again."


class BoardResult(NamedTuple):
    """What a run of a board makes.

    Attributes:
        image: IMAGE, the edited picture.
        latent: LATENT of the same picture, clean.
        direction: The mixed direction as a basis. Where nothing is set, the host's object that stops later
            nodes with a sentence.
        payload: What the page gets, as JSON.
    """

    image: torch.Tensor
    latent: dict
    direction: PullbackBasis | ExecutionBlocker
    payload: dict


def run_board(node, inputs, basis, words, state, check, clip=None, mask=None):
    """Make what a board shows, and the true edit of its setting.

    Args:
        node: The id of the node, None where a script runs it.
        inputs: `BoardInputs`.
        basis: The basis.
        words: The text of words.
        state: The state that the page wrote, see `read_state`.
        check: Called as check(denoiser, noisy) when the model runs, to refuse what does not fit.
        clip: CLIP, or None.
        mask: MASK that the page begins with, or None.

    Returns:
        A `BoardResult`.

    Raises:
        ValueError: The basis does not know what its directions do to the picture, or as in `while_sampling`.
    """
    progress = Progress(100)
    board = _board_of(node, inputs, basis, check, progress)
    asked = split_words(words)
    notes = [f"Only the first {MOST_WORDS} words are shown."] if len(asked) > MOST_WORDS else []
    asked = asked[:MOST_WORDS]
    _add_words(board, inputs, asked, clip, progress)
    notes += [board.refused[word] for word in asked if word in board.refused]
    found = read_state(state, board.id, board.basis.rank, len(board.rows))
    notes.append(found.note)
    setting, missing = _with_words(found.setting, board, asked)
    if missing:
        notes.append(f"The setting has words that the board does not have, which are left out: {missing}.")
    payload = _payload(node, board, asked, found.basis or board.id)
    if setting.is_empty():
        clean, pixels, direction = board.still.clean, board.still.pixels, ExecutionBlocker(NOTHING_SET)
    else:
        clean, pixels, direction = _edited(board, inputs, setting, check, progress, payload)
    if mask is not None:
        payload["mask"] = write_temporary(mask_to_bytes(mask, board.small.shape[1::-1]))
    payload["note"] = " ".join(dict.fromkeys(filter(None, notes)))
    progress.update(100)
    latent = clean_latent(inputs.model, clean)
    return BoardResult(core_to_image(2 * pixels - 1), latent, direction, payload)


def _board_of(node, inputs, basis, check, progress):
    """The `Board` of a node for these inputs: the one that was kept, or a new one."""
    board = kept_board(node)
    if board is not None and board.made_of.are(inputs, basis):
        keep_board(node, board)
        return board
    if not basis.knows_pictures():
        raise ValueError(
            f"The basis is of the feature {basis.provenance.get('feature', 'unknown')!r}, and a board shows "
            "what directions do to the picture; choose the feature picture in Pullback Basis."
        )
    still, ranges = still_of(inputs, basis, check, progress)
    kept = wide_basis(basis)
    height, width = still.pixels.shape[-2:]
    size = small_size(width, height, basis.rank + MOST_WORDS)
    directions = kept.select(range(basis.rank))
    rows = rows_of(inputs, still, directions, ranges, size, progress.part(40, 55), kind="direction")
    known = []
    if kept.rank > basis.rank:
        rest = kept.select(range(basis.rank, kept.rank))
        known = known_rows(inputs, still, rest, small_size(*size, rest.rank, KNOWN_EDGE))
    small = to_bytes(shrink(still.pixels, size)[0])
    metric = [[float(f"{value:.6g}") for value in row] for row in unit_metric(kept, still.mask).tolist()]
    board = Board(MadeOf(inputs, basis), kept, basis_id(kept), still, small, rows, known, metric)
    keep_board(node, board)
    return board


def _add_words(board, inputs, words, clip, progress):
    """Make the rows of words that a board does not have yet."""
    if (None if board.clip is None else board.clip()) is not clip:
        board.words, board.refused, board.plain, board.shown = {}, {}, None, None
    board.clip = None if clip is None else ref(clip)
    texts = {}
    for word in words:
        if word not in board.words and word not in board.refused:
            try:
                [texts[word]] = encode_texts(inputs.model, clip, [word])
            except ValueError as error:  # the note of the board tells it
                board.refused[word] = str(error)
    if not texts:
        return
    conditionings = list(texts.values())
    if board.plain is None:
        # A word alone is compared with no words: it says nothing about the words of the picture.
        conditionings = [*encode_texts(inputs.model, clip, [""]), *conditionings]
    found = predictions(inputs.model, conditionings, inputs.latent, inputs.sigmas)
    if board.plain is None:
        board.plain = found.pop(0)
    shifts = {word: picture - board.plain for word, picture in zip(texts, found)}
    size = board.small.shape[1::-1]
    rows, refused = word_rows(inputs, board.still, board.basis, shifts, size, progress.part(60, 70))
    board.words |= rows
    board.refused |= refused


def _with_words(setting, board, words):
    """A setting with the words alone that the board shows, and the others of it as a text."""
    known = {word: amount for word, amount in setting.words.items() if word in words and word in board.words}
    missing = [word for word in setting.words if word not in known]
    return Setting(setting.mix, known), ", ".join(missing)


def _payload(node, board, words, identity):
    """What the page gets, without the true picture.

    identity: the id of the basis. A setting of the same basis has its own text of it, which is given back.
    """
    shown = [word for word in words if word in board.words]
    rows = board.rows + [board.words[word] for word in shown]
    if board.before is None or not is_there(board.before):
        board.before = write_temporary(board.small)
    if board.changes is None or board.changes[1] != shown or not is_there(board.changes[0]):
        board.changes = write_temporary(np.concatenate([row.picture.values for row in rows])), shown
    height, width = board.small.shape[:2]
    known = _known_payload(board) if board.known else {}
    facts = [row.facts for row in [*board.rows, *board.known, *rows[len(board.rows) :]]]
    return {
        "id": identity,
        "node": "" if node is None else str(node),
        "width": width,
        "height": height,
        "before": board.before,
        "changes": board.changes[0],
        "rows": facts,
        "metric": board.metric,
        **known,
    }


def _known_payload(board):
    """What the page gets of the changes that are only mixed."""
    if board.known_changes is None or not is_there(board.known_changes):
        board.known_changes = write_temporary(np.concatenate([row.picture.values for row in board.known]))
    height, width = board.known[0].picture.values.shape[:2]
    return {"known": board.known_changes, "known_width": width, "known_height": height}


def mixed(board, setting, name=""):
    """The setting of a board as one direction, see the core's `mix_setting`."""
    words = [(board.words[word].direction, amount) for word, amount in setting.words.items()]
    found = mix_setting(board.basis, setting.mix, words, mask=board.still.mask, name=name)
    notes = f"Strength {found.strength:.3g} is the setting of the board."
    return found._replace(basis=replace(found.basis, notes=notes))


def _edited(board, inputs, setting, check, progress, payload):
    """The true edit of a setting.

    Args:
        board: The `Board`.
        inputs: `BoardInputs`.
        setting: The `Setting`, which sets something.
        check: As in `run_board`.
        progress: A `Progress` of 100 units.
        payload: Gets what the page shows of the edit.

    Returns:
        The picture in sampler coordinates, the same decoded (1, 3, h, w) in [0, 1], and its direction.
    """
    direction, strength = mixed(board, setting)

    def work(denoiser, noisy):
        check(denoiser, noisy)
        latent = inputs.latent
        found = calibrate(denoiser, noisy, direction, [strength], latent, progress=progress.part(70, 85))
        [edits] = edit_pictures(
            denoiser, noisy, direction, [strength], latent, progress=progress.part(85, 85), calibrated=found
        )
        clean = finish_edits(denoiser, edits, latent, progress=progress.part(85, 100))
        return clean.float().cpu(), float(found[0].reached)

    clean, reached = while_sampling(
        inputs.model, inputs.conditioning, inputs.latent, work, sigmas=inputs.sigmas
    )
    pixels = decode(inputs, clean)
    small = to_bytes(shrink(pixels, board.small.shape[1::-1])[0])
    board.shown = setting, small
    payload["true"] = write_temporary(to_bytes(pixels[0]))
    payload["true_size"] = [pixels.shape[-1], pixels.shape[-2]]
    payload["setting"] = setting._asdict()
    payload["agreement"] = _agreement(board.small, board.previewed(setting), small)
    payload["reached"] = _finite(reached / strength)
    return clean, pixels, direction


def _agreement(before, previewed, true):
    """The cosine of the change that the page previewed and the true one, from pictures in levels of 255."""
    shown = previewed.clip(0, 255) - before
    made = true.astype(np.float32) - before
    sizes = float(np.linalg.norm(shown) * np.linalg.norm(made))
    return _finite(float((shown * made).sum()) / sizes) if sizes > 0 else 0.0


def _finite(value):
    """A number as JSON can hold it: 0 in the place of what is not finite, as after an edit too strong."""
    return value if math.isfinite(value) else 0.0
