"""Drawings, words and the network's skeleton: all that needs no trained weights."""

import pytest
import torch
import torch.nn.functional as F

from pullback_core import faces
from pullback_core.faces import vocabulary
from pullback_core.faces.draw import draw_faces
from pullback_core.faces.parameters import COLUMN, NAMES, columns, sample_parameters
from pullback_core.faces.unet import UNet, UNetConfig

TINY = UNetConfig(in_channels=3, out_channels=3, model_channels=32, channel_mult=(1, 1), num_res_blocks=(1, 1),
                  transformer_depth=(0, 1), context_dim=16)


def some(count, seed=0):
    return sample_parameters(count, torch.Generator().manual_seed(seed))


def test_drawings_are_reproducible_pictures():
    images = draw_faces(some(8))
    assert images.shape == (8, 3, 64, 64) and images.abs().max() <= 1
    assert torch.equal(images, draw_faces(some(8)))
    assert (images.flatten(1).std(dim=1) > 0.2).all()
    torch.testing.assert_close(images[2:3], draw_faces(some(8)[2:3]))


def test_resolution_is_free():
    small, large = draw_faces(some(8), 32), draw_faces(some(8), 128)
    assert (F.avg_pool2d(large, 4) - small).abs().mean() < 0.02


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
    assert latent.shape == (2, 48, 16, 16)
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


def test_the_empty_prompt_says_nothing():
    assert torch.equal(vocabulary.tokenize(""), torch.arange(len(vocabulary.SLOTS)))
    assert torch.equal(vocabulary.tokenize(" , "), vocabulary.tokenize(""))


@pytest.mark.parametrize("prompt, message", [
    ("galsses", "does not know 'galsses'.*'glasses'"),
    ("a portrait in oil", "it knows: young, old"),
    ("blond", "'blond hair'"),
    ("hat, no hat", "'hat' and 'no hat'"),
])
def test_a_prompt_that_means_nothing_is_refused_helpfully(prompt, message):
    with pytest.raises(ValueError, match=message):
        vocabulary.tokenize(prompt)


def test_the_network_has_compvis_names():
    names = set(UNet(TINY).state_dict())
    assert names >= {
        "time_embed.0.weight", "input_blocks.0.0.weight", "input_blocks.1.0.in_layers.0.weight", "input_blocks.2.0.op.bias",
        "input_blocks.3.1.proj_in.weight", "middle_block.1.transformer_blocks.0.attn2.to_k.weight", "middle_block.2.emb_layers.1.bias",
        "output_blocks.0.0.skip_connection.weight", "output_blocks.1.1.transformer_blocks.0.ff.net.0.proj.weight",
        "output_blocks.1.2.conv.weight", "output_blocks.3.0.out_layers.3.weight", "out.2.bias",
    }


def test_stopping_at_a_block_gives_what_the_whole_pass_computes_there():
    torch.manual_seed(0)
    unet = UNet(TINY).requires_grad_(False)
    x, t, context = torch.randn(2, 3, 8, 8), torch.tensor([3.0, 700.0]), torch.randn(2, 4, 16)
    seen = {}
    blocks = {"input_3": unet.input_blocks[3], "middle": unet.middle_block, "output_1": unet.output_blocks[1]}
    for name, block in blocks.items():
        block[-1].register_forward_hook(lambda module, args, output, name=name: seen.__setitem__(name, output))
    assert unet(x, t, context).shape == x.shape
    whole = dict(seen)
    for name in blocks:
        assert torch.equal(unet(x, t, context, feature=name), whole[name])
    seen.clear()
    unet(x, t, context, feature="middle")
    assert "output_1" not in seen
    with pytest.raises(ValueError, match=r"'attic'.*input_0.*middle.*output_3"):
        unet(x, t, context, feature="attic")
