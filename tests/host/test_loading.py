"""Models of newer hosts are loaded whole and on one device.

A CPU streams no weights and is one device, so each test has a stand-in for the host's code.
"""

import comfy.model_patcher
import pytest
import torch
from patched_models import is_exact, with_patch
from tiny_models import tiny_model


def test_a_model_whose_weights_are_streamed_is_loaded_whole(check, monkeypatch):
    """As hosts with DynamicVRAM first offered it: `clone(disable_dynamic=True)` of a dynamic patcher."""
    asked, clone = [], comfy.model_patcher.ModelPatcher.clone

    def watched(patcher, disable_dynamic=False):
        asked.append(disable_dynamic)
        return clone(patcher)

    model = tiny_model()
    model.cached_patcher_init = (tiny_model, ())
    monkeypatch.setattr(comfy.model_patcher.ModelPatcher, "clone", watched)
    monkeypatch.setattr(comfy.model_patcher.ModelPatcher, "is_dynamic", lambda patcher: True, raising=False)
    check(model)
    assert True in asked


class Dynamic(comfy.model_patcher.ModelPatcher):
    def is_dynamic(self):
        return True


@pytest.fixture
def dynamic():
    """dynamic(read): a MODEL that the host streams, and reads whole by read(disable_dynamic)."""
    if not hasattr(comfy.model_patcher.ModelPatcher, "get_clone_model_override"):
        pytest.skip("this host streams no weights")

    def make(read):
        plain = tiny_model()
        model = Dynamic(plain.model, plain.load_device, plain.offload_device)
        model.cached_patcher_init = read and (read, ())
        return model

    return make


def test_a_model_is_read_once_for_all_its_clones(check, dynamic):
    read = []

    def whole(disable_dynamic):
        read.append(disable_dynamic)
        return tiny_model()

    model = dynamic(whole)
    loaded = [
        check(one, then=lambda checked, noisy: checked.denoiser._guider)
        for one in (model, model, with_patch(torch.tanh, model))
    ]
    assert read == [True]
    assert not any(guider.model_patcher.is_dynamic() for guider in loaded)
    assert all(guider.model_patcher.model is not model.model for guider in loaded)


def test_a_model_that_cannot_be_read_again_serves_as_it_is(check, dynamic):
    checked = check(dynamic(None))
    assert is_exact(checked)


def test_work_shared_among_several_cards_stays_on_one(check, monkeypatch):
    """Threads of other cards know nothing of derivatives."""
    multigpu = pytest.importorskip("comfy.multigpu")
    monkeypatch.setattr(multigpu, "MultiGPUThreadPool", lambda devices: pytest.fail("work was shared"))
    model = tiny_model()
    other = model.clone()
    other.is_multigpu_base_clone = True
    model.set_additional_models("multigpu", [other])
    checked = check(model)
    assert is_exact(checked)
    assert model.get_additional_models_with_key("multigpu") == [other]
