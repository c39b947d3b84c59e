"""UNet pipelines of diffusers, made small and of random weights: nothing is downloaded."""

import copy
import inspect
import json

import pytest
import torch

diffusers = pytest.importorskip(
    "diffusers", reason="diffusers is not installed, so its pipelines are not tested"
)
transformers = pytest.importorskip(
    "transformers", reason="transformers is not installed, so diffusers' pipelines are not tested"
)
pytest.importorskip("accelerate", reason="accelerate is not installed, so offloaded pipelines are not tested")
peft = pytest.importorskip("peft", reason="peft is not installed, so LoRA layers are not tested")

from pullback_core import Jacobian, NoisyLatent, local_basis  # noqa: E402
from pullback_core.models.diffusers import DiffusersDenoiser  # noqa: E402
from pullback_core.models.diffusers.conditioning import expanded  # noqa: E402

KINDS = ("unconditional", "sd", "sdxl")


PROMPT = {"unconditional": "", "sd": "a hat", "sdxl": "a hat"}


WIDTH = 12  # of a text encoder


SIGMA = 2.0


SMALL = dict(sample_size=8, block_out_channels=(8, 16), layers_per_block=1, norm_num_groups=4)


CPU = torch.device("cpu")


IMAGE = torch.linspace(0, 1, 3 * 16 * 16).view(1, 3, 16, 16)


MASKED = {"image": IMAGE, "mask_image": IMAGE[:, :1], "height": 16, "width": 16}


def ddim_scheduler(**options):
    return diffusers.DDIMScheduler(
        **{
            "beta_schedule": "scaled_linear",
            "beta_start": 0.00085,
            "beta_end": 0.012,
            "clip_sample": False,
            "steps_offset": 1,
            **options,
        }
    )


def unconditional_unet(**options):
    torch.manual_seed(0)
    return diffusers.UNet2DModel(
        **{
            **SMALL,
            "in_channels": 3,
            "out_channels": 3,
            "attention_head_dim": 4,
            "down_block_types": ("DownBlock2D", "AttnDownBlock2D"),
            "up_block_types": ("AttnUpBlock2D", "UpBlock2D"),
            **options,
        }
    )


def text_unet(**options):
    torch.manual_seed(0)
    return diffusers.UNet2DConditionModel(
        **{
            **SMALL,
            "in_channels": 4,
            "out_channels": 4,
            "attention_head_dim": 4,
            "cross_attention_dim": WIDTH,
            "down_block_types": ("DownBlock2D", "CrossAttnDownBlock2D"),
            "up_block_types": ("CrossAttnUpBlock2D", "UpBlock2D"),
            **options,
        }
    )


def xl_unet():
    return text_unet(
        cross_attention_dim=2 * WIDTH,
        addition_embed_type="text_time",
        addition_time_embed_dim=4,
        projection_class_embeddings_input_dim=6 * 4 + WIDTH,
    )


def distilled_unet():
    return text_unet(time_cond_proj_dim=6)


def autoencoder(**options):
    return diffusers.AutoencoderKL(
        block_out_channels=(8, 8),
        down_block_types=("DownEncoderBlock2D",) * 2,
        up_block_types=("UpDecoderBlock2D",) * 2,
        latent_channels=4,
        norm_num_groups=4,
        sample_size=16,
        **options,
    ).eval()


def text_encoder(kind):
    return kind(
        transformers.CLIPTextConfig(
            vocab_size=54,
            hidden_size=WIDTH,
            projection_dim=WIDTH,
            intermediate_size=16,
            num_hidden_layers=2,
            num_attention_heads=2,
            max_position_embeddings=16,
            bos_token_id=52,
            eos_token_id=53,
        )
    ).eval()


def tokenizer(folder):
    letters = "abcdefghijklmnopqrstuvwxyz"
    tokens = [*letters, *(letter + "</w>" for letter in letters), "<|startoftext|>", "<|endoftext|>"]
    (folder / "vocab.json").write_text(json.dumps({token: index for index, token in enumerate(tokens)}))
    (folder / "merges.txt").write_text("#version: 0.2\n")
    return transformers.CLIPTokenizer(
        str(folder / "vocab.json"), str(folder / "merges.txt"), model_max_length=16
    )


def make_pipelines(folder):
    """One small pipeline of each of `KINDS`. folder: where the tokenizer writes its files."""
    words = tokenizer(folder)
    encoder = text_encoder(transformers.CLIPTextModel)
    projecting = text_encoder(transformers.CLIPTextModelWithProjection)
    stable = (autoencoder(), encoder, words, text_unet(), ddim_scheduler(), None, None)
    extra_large = (autoencoder(), encoder, projecting, words, words, xl_unet(), ddim_scheduler())
    return {
        "unconditional": diffusers.DDIMPipeline(unconditional_unet(), ddim_scheduler(steps_offset=0)),
        "sd": diffusers.StableDiffusionPipeline(*stable, requires_safety_checker=False),
        "sdxl": diffusers.StableDiffusionXLPipeline(*extra_large, add_watermarker=False),
    }


def made_of(pipeline, kind, unet, **parts):
    """A pipeline of another class with the parts of a given one."""
    parts = {
        **pipeline.components,
        "requires_safety_checker": False,
        "add_watermarker": False,
        "unet": unet,
        **parts,
    }
    made = kind(
        **{name: part for name, part in parts.items() if name in inspect.signature(kind.__init__).parameters}
    )
    made.set_progress_bar_config(disable=True)
    return made


def draw(*shape, seed=0, dtype=torch.float32):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64).to(dtype)


def normal_latents(denoiser, batch, **options):
    """(batch, c, 8, 8) of standard normal numbers."""
    return draw(batch, denoiser.unet.config["in_channels"], 8, 8, **options)


def latents(denoiser, batch, **options):
    """Noisy latents (batch, c, 8, 8) at the noise level `SIGMA`, in sampler coordinates."""
    return normal_latents(denoiser, batch, **options) * denoiser.schedule.scale(SIGMA)


def noisy_latent(x):
    """Latents (b, c, h, w) at the noise level `SIGMA`, as a `NoisyLatent`."""
    return NoisyLatent(x, torch.tensor([SIGMA, 0.0]))


def jacobian_at(denoiser, x):
    """The Jacobian of x -> h at a latent (c, h, w) of the noise level `SIGMA`."""
    return Jacobian(lambda points: denoiser.encode(points, SIGMA), x)


def sigma_at(scheduler, timestep):
    alpha = scheduler.alphas_cumprod[timestep].double()
    return ((1 - alpha) / alpha).sqrt().item()


def in_double(denoiser):
    """A denoiser in float64, and its map x_t -> h by the unmodified forward of the UNet, with a hook."""
    unet = copy.deepcopy(denoiser.unet).double()
    doubled = DiffusersDenoiser(unet, ddim_scheduler(), denoiser.conditioning, feature=denoiser.feature)
    own, outputs = copy.deepcopy(unet).eval(), []
    kind, _, index = denoiser.feature.partition("_")

    def keep(block, inputs, output):
        outputs.append((output[0] if isinstance(output, tuple) else output).clone())

    if kind != "picture":
        block = own.mid_block if kind == "middle" else getattr(own, f"{kind}_blocks")[int(index)]
        block.register_forward_hook(keep)
    timestep = denoiser.schedule.timestep(SIGMA).round().long()
    scale = denoiser.schedule.scale(SIGMA)

    @torch.no_grad()
    def reference(x):
        conditioning = expanded(denoiser.conditioning, len(x), x.device, torch.float64)
        noise = own(x / scale, timestep, **conditioning).sample
        return x - SIGMA * noise if kind == "picture" else outputs.pop()

    return doubled, reference


def differences(reference, x, v, step=1e-4):
    """Central differences of h at x (c, h, w) along v (b, c, h, w)."""
    return (reference(x + step * v) - reference(x - step * v)) / (2 * step)


def with_ip_adapter(unet):
    draws = (
        draw(*shape, seed=seed)
        for seed, shape in enumerate([(4 * WIDTH, 6), (4 * WIDTH,)] + [(16, WIDTH)] * 8)
    )
    projection = {
        "proj.weight": next(draws),
        "proj.bias": next(draws),
        "norm.weight": torch.ones(WIDTH),
        "norm.bias": torch.zeros(WIDTH),
    }
    names = [name for name in unet.attn_processors if name.endswith("attn2.processor")]
    numbers = range(1, 2 * len(names), 2)
    keys = {f"{number}.to_{kind}_ip.weight": next(draws) for number in numbers for kind in "kv"}
    unet._load_ip_adapter_weights({"image_proj": projection, "ip_adapter": keys})
    return unet


def with_lora(unet):
    torch.manual_seed(1)
    for name in ("one", "two"):
        unet.add_adapter(lora("to_q", "to_v"), adapter_name=name)
    return unet


def lora(*layers):
    return peft.LoraConfig(r=2, lora_alpha=2, target_modules=[*layers], init_lora_weights=False)


def text_conditioning(**more):
    return {"encoder_hidden_states": draw(1, 3, WIDTH), **more}


def layers_of(unet):
    return [layer for layer in unet.modules() if isinstance(layer, torch.nn.Linear | torch.nn.Conv2d)]


def everything_about(unet):
    """The last block's h, J v and J^T u, a prediction of a UNet, and singular values."""
    denoiser = DiffusersDenoiser(unet, ddim_scheduler(), text_conditioning(), feature="up_1")
    x = latents(denoiser, 1)
    jacobian = jacobian_at(denoiser, x[0])
    columns = jacobian.jvp(draw(2, 4, 8, 8, seed=1))
    rows = jacobian.vjp(draw(2, *jacobian.out_shape, seed=2))
    s = local_basis(denoiser, noisy_latent(x), 2, seed=1).s
    return jacobian.value, columns, rows, denoiser.denoise(x, SIGMA), s


def model_of(pipeline):
    """The fingerprint of a pipeline's model."""
    return DiffusersDenoiser.from_pipeline(pipeline, "a hat").provenance["model"]


def refused_in_one_sentence(message, make):
    """Check that make() raises a ValueError with a message that matches, and ends as a sentence."""
    with pytest.raises(ValueError, match=message) as refused:
        make()
    assert str(refused.value).endswith(".") and "\n" not in str(refused.value)
