"""Drawings, words and the network's skeleton: all that needs no trained weights."""

import math
from dataclasses import replace

import pytest
import torch
import torch.nn.functional as F

from pullback_core import faces
from pullback_core.faces import vocabulary
from pullback_core.faces.draw import draw_faces
from pullback_core.faces.parameters import COLUMN, DATA, NAMES, columns, sample_parameters
from pullback_core.faces.unet import GEGLU, Attention, UNet, UNetConfig, Upsample, timestep_embedding

TINY = UNetConfig(
    in_channels=3,
    out_channels=3,
    model_channels=32,
    channel_mult=(1, 1),
    num_res_blocks=(1, 1),
    transformer_depth=(0, 1),
    context_dim=16,
)


def some(count, seed=0):
    return sample_parameters(count, torch.Generator().manual_seed(seed))


def test_drawings_are_reproducible_pictures():
    images = draw_faces(some(8))
    assert images.shape == (8, 3, 48, 48) and images.abs().max() <= 1
    assert torch.equal(images, draw_faces(some(8)))
    assert (images.flatten(1).std(dim=1) > 0.2).all()
    torch.testing.assert_close(images[2:3], draw_faces(some(8)[2:3]))


def test_resolution_is_free():
    small, large = draw_faces(some(8), 32), draw_faces(some(8), 128)
    assert (F.avg_pool2d(large, 4) - small).abs().mean() < 0.02


def test_examples_are_numbered():
    both = faces.example_faces([3, 4])
    assert torch.equal(faces.example_faces([4])[0], both[1]) and not torch.equal(both[0], both[1])


@pytest.mark.parametrize("name", NAMES)
def test_every_parameter_shows(name):
    parameters = torch.full((2, len(NAMES)), 0.5)
    parameters[:, [COLUMN[other] for other in ("glasses", "beard", "hat")]] = 0.0
    parameters[:, COLUMN[name]] = torch.tensor([0.0, 1.0])
    low, high = draw_faces(parameters)
    assert (low - high).abs().mean() > 2e-3


def test_the_picture_becomes_a_latent_exactly():
    images = draw_faces(some(2))
    latent = faces.encode_image(images)
    assert latent.shape == (2, 27, 16, 16)
    assert torch.equal(faces.decode_latent(latent), images)


@pytest.mark.parametrize("phrase", vocabulary.SLOT_OF)
def test_every_phrase_is_understood_and_can_be_drawn(phrase):
    slot = vocabulary.SLOT_OF[phrase]
    tokens = vocabulary.tokenize(f" {phrase.upper()} ,")
    expected = torch.arange(len(vocabulary.SLOTS))
    expected[vocabulary.SLOTS.index(slot)] = vocabulary.TOKEN[phrase]
    assert torch.equal(tokens, expected)
    parameters = torch.full((1, len(NAMES)), 0.5)
    if slot in vocabulary.PALETTES:
        parameters[0, columns(slot)] = torch.tensor(vocabulary.PALETTES[slot][phrase])
    else:
        parameters[0, COLUMN[slot]] = sum(vocabulary.INTERVALS[slot][phrase]) / 2
    for read in (vocabulary.describe, vocabulary.classify):
        assert read(parameters)[0, vocabulary.SLOTS.index(slot)] == vocabulary.TOKEN[phrase]


def test_between_two_phrases_nothing_is_said_but_the_nearest_is_classified():
    parameters = torch.full((1, len(NAMES)), 0.5)
    parameters[0, COLUMN["smile"]] = 0.6
    column = vocabulary.SLOTS.index("smile")
    assert vocabulary.describe(parameters)[0, column] == column
    assert vocabulary.classify(parameters)[0, column] == vocabulary.TOKEN["smiling"]


def test_a_description_is_the_prompt_that_was_drawn():
    prompt = "old, dark skin, long hair, smiling, glasses, no beard, no hat, looking left, red hair, blue background"
    parameters = torch.full((2, len(NAMES)), 0.5)
    for phrase in prompt.split(", "):
        slot = vocabulary.SLOT_OF[phrase]
        if slot in vocabulary.PALETTES:
            parameters[:, columns(slot)] = torch.tensor(vocabulary.PALETTES[slot][phrase])
        else:
            parameters[:, COLUMN[slot]] = sum(vocabulary.INTERVALS[slot][phrase]) / 2
    parameters[:, COLUMN["mouth_open"]] = 0.5  # between its phrases
    parameters[1, COLUMN["hair_length"]] = 0.0
    bald = prompt.replace("long hair", "bald").replace(
        "red hair, ", ""
    )  # of hair that is not there nothing is said
    assert torch.equal(
        vocabulary.describe(parameters), torch.stack([vocabulary.tokenize(prompt), vocabulary.tokenize(bald)])
    )


def test_the_empty_prompt_says_nothing():
    assert torch.equal(vocabulary.tokenize(""), torch.arange(len(vocabulary.SLOTS)))
    assert torch.equal(vocabulary.tokenize(" , "), vocabulary.tokenize(""))


@pytest.mark.parametrize(
    "prompt, message",
    [
        ("galsses", "does not know 'galsses'.*'glasses'"),
        ("a portrait in oil", "it knows: young, old"),
        ("blond", "'blond hair'"),
        ("hat, no hat", "'hat' and 'no hat'"),
    ],
)
def test_a_prompt_that_means_nothing_is_refused_helpfully(prompt, message):
    with pytest.raises(ValueError, match=message):
        vocabulary.tokenize(prompt)


def test_the_network_has_compvis_names():
    names = set(UNet(TINY).state_dict())
    assert names >= {
        "time_embed.0.weight",
        "input_blocks.0.0.weight",
        "input_blocks.1.0.in_layers.0.weight",
        "input_blocks.2.0.op.bias",
        "input_blocks.3.1.proj_in.weight",
        "middle_block.1.transformer_blocks.0.attn2.to_k.weight",
        "middle_block.2.emb_layers.1.bias",
        "output_blocks.0.0.skip_connection.weight",
        "output_blocks.1.1.transformer_blocks.0.ff.net.0.proj.weight",
        "output_blocks.1.2.conv.weight",
        "output_blocks.3.0.out_layers.3.weight",
        "out.2.bias",
    }


def test_time_is_embedded_with_cosines_first():
    torch.testing.assert_close(
        timestep_embedding(torch.tensor([0.0, 2.0]), 4),
        torch.tensor(
            [
                [1.0, 1.0, 0.0, 0.0],
                [math.cos(2), math.cos(0.02), math.sin(2), math.sin(0.02)],
            ]
        ),
    )


def test_attention_equals_torchs_own():
    torch.manual_seed(0)
    layer, x, context = Attention(64, 16, 32), torch.randn(2, 5, 64), torch.randn(2, 3, 16)
    q, k, v = (
        values.unflatten(-1, (2, 32)).transpose(1, 2)
        for values in (layer.to_q(x), layer.to_k(context), layer.to_v(context))
    )
    expected = layer.to_out(F.scaled_dot_product_attention(q, k, v).transpose(1, 2).flatten(2))
    torch.testing.assert_close(layer(x, context), expected)


def test_a_geglu_gates_its_first_half_with_its_second():
    layer = GEGLU(1, 1)
    layer.load_state_dict({"proj.weight": torch.tensor([[2.0], [3.0]]), "proj.bias": torch.zeros(2)})
    torch.testing.assert_close(layer(torch.ones(1, 1)), 2 * F.gelu(torch.tensor([[3.0]])))


def test_upsampling_repeats_pixels():
    layer, x = Upsample(2), torch.randn(1, 2, 3, 3)
    torch.nn.init.dirac_(layer.conv.weight)
    torch.nn.init.zeros_(layer.conv.bias)
    torch.testing.assert_close(layer(x), x.repeat_interleave(2, -1).repeat_interleave(2, -2))


@pytest.mark.parametrize("sigma", [0.1, 1.0, 30.0])
def test_a_right_velocity_gives_the_picture(sigma, monkeypatch):
    """v = sqrt(a) eps - sqrt(1 - a) x_0 (Salimans and Ho, ICLR 2022, section 4)."""
    torch.manual_seed(0)
    model = faces.FacesModel(replace(TINY, in_channels=27, out_channels=27))
    x0, noise = torch.randn(1, 27, 4, 4), torch.randn(1, 27, 4, 4)
    velocity = (noise - sigma * x0) / math.hypot(1, sigma)
    monkeypatch.setattr(model.unet, "forward", lambda z, timesteps, context, feature: velocity)
    denoised = faces.FacesDenoiser(model, guidance=1.0).denoise(x0 + sigma * noise, sigma)
    torch.testing.assert_close(denoised, x0, rtol=0, atol=1e-4)


def test_stopping_at_a_block_gives_what_the_whole_pass_computes_there():
    torch.manual_seed(0)
    unet = UNet(TINY).requires_grad_(False)
    x, t, context = torch.randn(2, 3, 8, 8), torch.tensor([3.0, 700.0]), torch.randn(2, 4, 16)
    seen = {}
    blocks = {"input_3": unet.input_blocks[3], "middle": unet.middle_block, "output_1": unet.output_blocks[1]}
    for name, block in blocks.items():
        block[-1].register_forward_hook(
            lambda module, args, output, name=name: seen.__setitem__(name, output)
        )
    assert unet(x, t, context).shape == x.shape
    whole = dict(seen)
    for name in blocks:
        assert torch.equal(unet(x, t, context, feature=name), whole[name])
    seen.clear()
    unet(x, t, context, feature="middle")
    assert "output_1" not in seen
    with pytest.raises(ValueError, match=r"'attic'.*input_0.*middle.*output_3"):
        unet(x, t, context, feature="attic")


def test_simpler_data_vary_in_what_they_say_alone():
    values = sample_parameters(200, torch.Generator().manual_seed(0), "expressions")
    varying = {name for name, deviation in zip(NAMES, values.std(dim=0).tolist()) if deviation > 1e-6}
    assert varying == set(DATA["expressions"])
    with pytest.raises(ValueError, match="expressions"):
        sample_parameters(1, data="cats")
