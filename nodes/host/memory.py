"""How much of the host's memory evaluations and Jacobian products take."""

import math

import comfy.model_management
import comfy.patcher_extension

SMALL = 64 * 2**20  # evaluations whose activations take at most so many bytes each run in one batch
# What one product keeps, in the host's estimates of an evaluation. Measured: 0.9 (SD1.5), 1.1 (SDXL at
# 1024 x 1024), 0.5 (six blocks of Flux's width; in Flux, 28 blocks precede the default feature).
PRODUCT_MEMORY = 3


def evaluation_batch_size(model, latent_shape):
    """How many evaluations of a `BaseModel` run at once, None for all of them.

    It does not depend on the free memory, so that results are the same on every machine.

    Args:
        model: The host's `BaseModel`.
        latent_shape: (c, h, w).
    """
    return None if model.memory_required([1, *latent_shape]) <= SMALL else 1


def products_exceed_memory(patcher, latent_shape):
    """Whether the activations that one Jacobian product keeps exceed the free memory of the device."""
    free = comfy.model_management.get_free_memory(patcher.load_device)
    return free < PRODUCT_MEMORY * patcher.model.memory_required([1, *latent_shape])


def request_product_memory(model):
    """Let the host free the memory of Jacobian products when it loads this MODEL. Changes the MODEL."""
    when = comfy.patcher_extension.WrappersMP.PREPARE_SAMPLING
    model.add_wrapper_with_key(when, "pullback", _prepare_with_product_memory)


def _prepare_with_product_memory(executor, model, noise_shape, *args, **kwargs):
    """Report a larger batch to the host, which then frees the memory that products need."""
    stored, computed = model.model.get_dtype(), model.get_model_object("manual_cast_dtype")
    # The graph of a product keeps the weights that were cast for it.
    weights = 0 if computed in (None, stored) else model.model_size() * computed.itemsize / stored.itemsize
    evaluation = model.model.memory_required(list(noise_shape))
    batch = math.ceil(PRODUCT_MEMORY + weights / evaluation)
    return executor(model, [batch * noise_shape[0], *noise_shape[1:]], *args, **kwargs)
