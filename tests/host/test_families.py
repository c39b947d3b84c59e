"""Every model that ComfyUI can load is of a family with a row, or is refused in a sentence that names it."""

from types import SimpleNamespace

import comfy.model_base
import comfy.supported_models
import pytest
import torch
from tiny_families import ALL_FLOWS, FLOWS
from tiny_models import conditioning_for, latent_for, tiny_model

UNETS = {
    "Stable_Zero123",
    "SD15_instructpix2pix",
    "SD15",
    "SD20",
    "SD21UnclipL",
    "SD21UnclipH",
    "SDXL_instructpix2pix",
    "SDXLRefiner",
    "SDXL",
    "SSD1B",
    "KOALA_700M",
    "KOALA_1B",
    "Segmind_Vega",
    "SD_X4Upscaler",
}
FLOW_MODELS = {name for row in ALL_FLOWS.values() for name in row.loads}
every_family = pytest.mark.parametrize("family", FLOWS)
every_model = pytest.mark.parametrize(
    "family", comfy.supported_models.models, ids=lambda family: family.__name__
)


@pytest.fixture
def families(comfy_host):
    """The module with the table of families."""
    return comfy_host.adapter.families


class Begun(Exception):
    """Raised when a model has its class, its kind of network and its noise levels, but no weights."""


class Weights(dict):
    """The weights of a file, some of which tell what kind of model it is."""

    def __missing__(self, name):
        return torch.zeros(1, 1)


def loaded_without_weights(family, monkeypatch):
    """A MODEL as ComfyUI makes it from this family's files. Its network has its class and no layers."""

    def begin(
        base,
        config,
        model_type=comfy.model_base.ModelType.EPS,
        device=None,
        unet_model=comfy.model_base.UNetModel,
    ):
        torch.nn.Module.__init__(base)
        base.model_config, base.latent_format, base.model_type = config, config.latent_format, model_type
        base.model_sampling = comfy.model_base.model_sampling(config, model_type)
        base.diffusion_model = unet_model.__new__(unet_model)
        torch.nn.Module.__init__(base.diffusion_model)
        raise Begun(base)

    monkeypatch.setattr(comfy.model_base.BaseModel, "__init__", begin)
    config = family({**family.unet_config, "in_channels": 4, "model_type": "t2v", "hidden_size": 32})
    with pytest.raises(Begun) as begun:
        config.get_model(Weights(), "")
    (base,) = begun.value.args
    return SimpleNamespace(model=base, get_model_object=lambda name: getattr(base, name))


def with_rows(families, model):
    """The same, with empty rows of blocks where a family has some."""
    family = families.family_of(model)
    names = ["input_blocks", "output_blocks"]
    if family is not None:
        names = [stream.modules for stream in family.streams.values()]
    for name in names:
        setattr(model.model.diffusion_model, name, torch.nn.ModuleList())
    return model


@every_model
def test_a_model_has_a_row_or_is_refused_by_its_name(comfy_host, families, monkeypatch, family):
    model = loaded_without_weights(family, monkeypatch)
    if family.__name__ in UNETS | FLOW_MODELS:
        assert comfy_host.adapter.features_of(with_rows(families, model)) == (
            ["middle", "picture"] if family.__name__ in UNETS else ["picture"]
        )
        assert comfy_host.adapter.schedule_of(model)
        return
    network = type(model.model.diffusion_model).__name__
    for ask in (comfy_host.adapter.features_of, comfy_host.adapter.schedule_of):
        with pytest.raises(ValueError, match=rf"got {network}, the network of {family.__name__}\b.*\.$"):
            ask(model)


def test_every_row_is_of_a_model_of_this_host_or_of_another(families):
    """Every row has a tiny model, of this ComfyUI or of another one."""
    known = {family.__name__ for family in comfy.supported_models.models}
    for path, family in families.FAMILIES.items():
        for name in family.models:
            assert name in FLOW_MODELS, f"{path}: {name}"
    assert {type(tiny_model(kind).model.model_config).__name__ for kind in FLOWS} <= known


def test_every_family_with_a_row_is_tested(families):
    networks = (type(tiny_model(kind).model.diffusion_model) for kind in FLOWS)
    tested = {f"{network.__module__}.{network.__qualname__}" for network in networks}
    here = {
        path
        for path, family in families.FAMILIES.items()
        if any(hasattr(comfy.model_base, name) for name in family.models)
    }
    assert tested == here


def test_a_network_of_the_host_in_a_new_kind_of_model_is_refused(comfy_host):
    """As a newer host may bring it: the same network, with what it is told told otherwise."""
    model = tiny_model("flux")

    class FluxOfTomorrow(comfy.model_base.Flux):
        pass

    FluxOfTomorrow.__module__ = "comfy.model_base"
    model.model.__class__ = FluxOfTomorrow
    with pytest.raises(ValueError, match="got Flux, the network of Flux"):
        comfy_host.adapter.features_of(model)


def test_a_packs_own_kind_of_a_known_model_works(comfy_host):
    for kind, base in (
        ("flux", comfy.model_base.Flux),
        ("sd1", comfy.model_base.BaseModel),
        ("flux", comfy.model_base.BaseModel),
    ):
        model = tiny_model(kind)
        names = comfy_host.adapter.features_of(model)
        model.model.__class__ = type("Own", (base,), {"__module__": "custom_nodes.some_pack"})
        assert comfy_host.adapter.features_of(model) == names


@pytest.mark.parametrize("kind", ["sd1", "flux"])
def test_nodes_refuse_what_has_no_row(comfy_host, call, monkeypatch, kind):
    model = tiny_model(kind)
    model.model.model_config = type("WAN21_T2V", (), {})()
    model = model.clone()
    model.add_object_patch("diffusion_model", torch.nn.Identity())
    refused = pytest.raises(ValueError, match=r"got Identity, the network of WAN21_T2V, which makes films\.$")
    with refused:
        call(
            "PullbackDDIMInvert",
            model=model,
            conditioning=conditioning_for(kind),
            latent=latent_for(model),
            steps=2,
            timestep=0.5,
            refine=0,
            measure=False,
        )
    with refused:
        call(
            "PullbackBasis",
            model=model,
            conditioning=conditioning_for(kind),
            latent=latent_for(model),
            sigmas=torch.tensor([0.5, 0.0]),
            rank=1,
            tolerance=0.1,
            seed=0,
            feature="middle",
            precision="as the model",
        )


@every_family
def test_a_foreign_transformer_is_refused(within, family):
    model = tiny_model(family)
    network = model.model.diffusion_model

    class Another(type(network)):
        """It may order its tokens in another way."""

    other = Another.__new__(Another)
    other.__dict__ = network.__dict__
    model.add_object_patch("diffusion_model", other)
    with pytest.raises(ValueError, match=r"or a transformer of the families .* got Another"):
        within(model, conditioning_for(family), latent_for(model), lambda denoiser, x: x)
