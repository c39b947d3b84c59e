"""What the pack tells ComfyUI of the memory that it needs."""

import comfy.model_management
import comfy.patcher_extension
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


def test_the_memory_of_a_product_is_that_of_its_precision_prompts_and_feature(comfy_host):
    model, shape = tiny_model(dtype=torch.float16), (4, 8, 8)
    memory = comfy_host.adapter.memory.product_memory
    plain = memory(model, "middle", shape)
    assert plain > 0
    assert memory(model, "middle", (4, 16, 8)) == 2 * plain
    assert memory(model, "middle", shape, prompts=3) == 3 * plain
    assert memory(model, "picture", shape) == 2 * plain == memory(tiny_model(), "middle", shape)
    cast = tiny_model(dtype=torch.float16, cast=torch.float32)
    assert memory(cast, "middle", shape) == 2 * plain + 2 * cast.model_size()  # the graph keeps cast weights


def evaluations_asked_for(comfy_host, model, feature, monkeypatch, total, shape=(2, 4, 64, 64)):
    """The size of the batch that the host is told, in evaluations of the batch `shape`."""
    monkeypatch.setattr(comfy.model_management, "get_total_memory", lambda *_, **__: total)
    clone, seen = model.clone(), []
    comfy_host.adapter.memory.request_product_memory(clone, feature)
    (prepare,) = clone.get_wrappers(comfy.patcher_extension.WrappersMP.PREPARE_SAMPLING, "pullback")
    prepare(lambda model, shape: seen.append(shape), clone, list(shape))
    ((batch, *rest),) = seen
    assert tuple(rest) == shape[1:] and batch % shape[0] == 0
    return batch // shape[0]


def test_the_host_is_asked_for_the_memory_of_a_product_of_the_feature(comfy_host, monkeypatch):
    model = tiny_model(dtype=torch.float16)
    asked = {
        feature: evaluations_asked_for(comfy_host, model, feature, monkeypatch, 2**50)
        for feature in ("input_1", "middle", "picture")
    }
    evaluation = model.model.memory_required([1, 4, 64, 64])
    for feature, batch in asked.items():
        needed = comfy_host.adapter.memory.product_memory(model, feature, (4, 64, 64))
        assert needed < batch * evaluation
    assert asked["picture"] > asked["middle"] == asked["input_1"]


def test_less_is_asked_for_where_a_product_cannot_fit_beside_the_weights(comfy_host, monkeypatch):
    """Else weights would stay in main memory, and autograd would keep copies of them on the device."""
    model = tiny_model(dtype=torch.float16)
    needed = {
        feature: comfy_host.adapter.memory.product_memory(model, feature, (4, 64, 64))
        for feature in ("middle", "picture")
    }
    between = model.model_size() + 1.5 * model.model.memory_required([1, 4, 64, 64]) + needed["middle"]
    assert between < model.model_size() + needed["picture"]
    asked = [
        evaluations_asked_for(comfy_host, model, feature, monkeypatch, between)
        for feature in ("middle", "picture")
    ]
    assert asked[0] > asked[1] == 2


def test_more_memory_is_asked_for_products(check, monkeypatch):
    asked, load = [], comfy.model_management.load_models_gpu

    def watched(models, memory_required=0, *arguments, **options):
        asked.append(memory_required)
        return load(models, memory_required, *arguments, **options)

    monkeypatch.setattr(comfy.model_management, "load_models_gpu", watched)
    model, cast = tiny_model(), tiny_model(dtype=torch.float16, cast=torch.float32)
    check(model)
    check(model, products=True)
    check(model, feature="picture", products=True)
    check(cast, products=True)
    assert asked[2] > asked[1] >= 2 * asked[0] > 0
    # The graph of J^T u keeps the weights that were cast for it.
    assert asked[3] > asked[1] + 2 * cast.model_size()


def test_activations_of_the_picture_are_offloaded_before_those_of_a_block(comfy_host, within, monkeypatch):
    model = tiny_model()
    needed = [
        comfy_host.adapter.memory.product_memory(model, name, (4, 8, 8)) for name in ("middle", "picture")
    ]

    def limits(denoiser, x):
        monkeypatch.setattr(comfy.model_management, "get_free_memory", lambda *_, **__: sum(needed) / 2)
        features = denoiser, denoiser.with_feature("picture")
        return [one.products_exceed_memory((4, 8, 8)) for one in features]

    assert within(model, tiny_conditioning(), tiny_latent(), limits) == [False, True]
