"""What the pack tells ComfyUI of the memory that it needs."""

import comfy.model_management
import pytest
import torch
from tiny_models import tiny_conditioning, tiny_latent, tiny_model


def test_small_evaluations_run_at_once_and_large_ones_one_by_one(comfy_host, within):
    sizes = within(
        tiny_model(),
        tiny_conditioning(),
        tiny_latent(),
        lambda denoiser, x: [denoiser.evaluation_batch_size((4, side, side)) for side in (8, 4096)],
    )
    assert sizes == [None, 1]


def test_products_are_compared_with_the_free_memory_of_the_device(within, monkeypatch):
    def exceeds(free):
        monkeypatch.setattr(comfy.model_management, "get_free_memory", lambda *_, **__: free)
        return within(
            tiny_model(),
            tiny_conditioning(),
            tiny_latent(),
            lambda denoiser, x: denoiser.products_exceed_memory((4, 64, 64)),
        )

    assert exceeds(0) and not exceeds(2**50)


@pytest.mark.parametrize("cast", [None, torch.float32])
def test_the_host_is_asked_for_more_memory_where_products_are_computed(comfy_host, cast):
    """Casting weights to another dtype takes memory too."""
    model = tiny_model(dtype=torch.float16, cast=cast)
    asked = []
    prepare = comfy_host.adapter.memory._prepare_with_product_memory
    prepare(lambda model, shape: asked.append(shape), model, [2, 4, 8, 8])
    ((batch, *rest),) = asked
    assert rest == [4, 8, 8] and batch % 2 == 0
    if cast is None:
        assert batch == 6
    else:
        assert batch > 6


def test_more_memory_is_asked_for_products(check, monkeypatch):
    asked, load = [], comfy.model_management.load_models_gpu

    def watched(models, memory_required=0, *arguments, **options):
        asked.append(memory_required)
        return load(models, memory_required, *arguments, **options)

    monkeypatch.setattr(comfy.model_management, "load_models_gpu", watched)
    model, cast = tiny_model(), tiny_model(dtype=torch.float16, cast=torch.float32)
    check(model)
    check(model, products=True)
    check(cast, products=True)
    assert asked[1] >= 2 * asked[0] > 0
    # The graph of J^T u keeps the weights that were cast for it.
    assert asked[2] > asked[1] + 2 * cast.model_size()
