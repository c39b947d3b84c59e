"""Models with a patch that a test plants, and what the check of derivatives says of them."""

import pytest
from tiny_models import tiny_model


def with_patch(patch, model=None):
    """A model with a function applied to the output of one block."""
    clone = (model or tiny_model()).clone()
    clone.set_model_input_block_patch(lambda h, options: patch(h) if options["block"] == ("input", 2) else h)
    return clone


def with_late_patch(patch):
    """A model with a function applied to what its last block but one gives, after the bottleneck."""
    clone = tiny_model().clone()

    def patched(h, skip, options):
        return (patch(h) if options["block"] == ("output", 2) else h), skip

    clone.set_model_output_block_patch(patched)
    return clone


def is_exact(checked):
    """Whether the errors of a float32 model are those of rounding, without any workaround."""
    errors = checked.errors
    exact = errors.adjoint < 1e-6 and errors.difference < 1e-3 and errors.value < 1e-5
    return exact and not checked.products_one_by_one and not checked.copy_slices


def wrong(sentence="derivatives of this model are wrong here"):
    """The check refuses the model, with this sentence."""
    return pytest.raises(ValueError, match=sentence)


def halved(h):
    """The identity, which loses half of its derivative."""
    return h / 2 + h.detach() / 2


def overwriting(h):
    """A patch that overwrites a slice of its input. The derivative needs the values before."""
    h[:, ::2] = h[:, ::2] * h.mean(dim=1, keepdim=True)
    return h
