"""How much of the host's memory evaluations and Jacobian products take."""

import math

import comfy.model_management
import comfy.patcher_extension
import torch

from ...pullback_core.models.denoiser import PICTURE

SMALL = 64 * 2**20  # evaluations whose activations take at most so many bytes each run in one batch
# The host's estimate of the activations of an evaluation in half precision, by plain attention. Hosts with
# fused attention estimate less, but what a product keeps is the same.
BYTES_PER_PIXEL = 0.15 * 2**20  # times the model's memory_usage_factor
# What the graph of one product keeps, in these estimates, as counted in bfloat16 without computing, for
# pictures of 1024 x 1024 (SD1.5: 512 x 512). The default block: 0.4 (SD1.5), 1.1 (SDXL), 1.3 (Flux).
# The picture: 1.2 (SD1.5), 2.4 (SDXL), 2.5 (SD3.5 large, Chroma), 2.6 (Flux), 3.2 (Flux 2), 3.4 (Z-Image).
KEPT_FOR_A_BLOCK, KEPT_FOR_THE_PICTURE = 2, 4
# What evaluations take while activations are offloaded, in the host's own estimates.
OFFLOADED = 2


def evaluation_batch_size(model, latent_shape):
    """How many evaluations of a `BaseModel` run at once, None for all of them.

    It does not depend on the free memory, so that results are the same on every machine.

    Args:
        model: The host's `BaseModel`.
        latent_shape: (c, h, w).
    """
    return None if model.memory_required([1, *latent_shape]) <= SMALL else 1


def product_memory(model, feature, latent_shape, prompts=1):
    """How many bytes the graph of one Jacobian product keeps, with the weights that are cast for it.

    Args:
        model: MODEL.
        feature: A name of `features_of`.
        latent_shape: (c, h, w), or (c, 1, h, w) for a film of one frame.
        prompts: How many prompts are evaluated.
    """
    stored, computed = model.model.get_dtype(), model.get_model_object("manual_cast_dtype") or None
    weights = 0 if computed in (None, stored) else model.model_size() * computed.itemsize / stored.itemsize
    kept = KEPT_FOR_THE_PICTURE if feature == PICTURE else KEPT_FOR_A_BLOCK
    estimate = math.prod(latent_shape[1:]) * BYTES_PER_PIXEL * model.model.memory_usage_factor
    return kept * prompts * estimate * (computed or stored).itemsize / 2 + weights


def products_exceed_memory(model, feature, latent_shape, prompts=1):
    """Whether what one Jacobian product keeps exceeds the free memory of the device.

    Args:
        model: MODEL, when it is loaded.
        feature: As in `product_memory`.
        latent_shape: As in `product_memory`.
        prompts: As in `product_memory`.
    """
    free = comfy.model_management.get_free_memory(model.load_device)
    return free < product_memory(model, feature, latent_shape, prompts)


def request_product_memory(model, feature, prompts=1):
    """Let the host free the memory of Jacobian products when it loads this MODEL. Changes the MODEL.

    Args:
        model: MODEL.
        feature: As in `product_memory`.
        prompts: As in `product_memory`.
    """

    def prepare(executor, model, noise_shape, *args, **kwargs):
        """Report a larger batch to the host, which then frees the memory that products need."""
        batch = _batch_of_products(model, feature, noise_shape, prompts)
        return executor(model, [batch * noise_shape[0], *noise_shape[1:]], *args, **kwargs)

    when = comfy.patcher_extension.WrappersMP.PREPARE_SAMPLING
    model.add_wrapper_with_key(when, "pullback", prepare)


def _batch_of_products(model, feature, noise_shape, prompts):
    """How many evaluations take as much memory as one product.

    If the product does not fit beside the weights, less is asked for. The host would leave weights in main
    memory otherwise, and autograd would keep them on the device all the same, as copies.
    """
    evaluation = model.model.memory_required([1, *noise_shape[1:]])
    needed = product_memory(model, feature, noise_shape[1:], prompts)
    total = comfy.model_management.get_total_memory(model.load_device)
    if model.model_size() + needed + evaluation > total:
        return OFFLOADED
    return OFFLOADED + math.ceil(needed / evaluation)


def plain_weights(networks):
    """The weights of networks that are used as they are stored. Packed ones are unpacked for each use."""
    weights = [weight for network in networks for weight in network.parameters()]
    return [weight for weight in weights if type(weight) in (torch.Tensor, torch.nn.Parameter)]
