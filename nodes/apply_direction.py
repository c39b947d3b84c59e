from comfy_api.latest import io

from ..pullback_core.directions.alignment import FAIR_ALIGNMENT
from ..pullback_core.directions.apply import RANK, STEPS_OF_A_PICTURE, apply_direction
from . import host
from .checks import require_directions
from .inputs import (
    CATEGORY,
    FLOAT32,
    Basis,
    clean_latent_input,
    conditioning_input,
    count_input,
    direction_input,
    model_input,
    precision_input,
    refine_input,
    seed_input,
    strength_input,
    tolerance_input,
)
from .ui import SENT_AGAIN, applied_report, noisy_already, shown_text


class ApplyDirection(io.ComfyNode):
    MENU_POSITION = 45

    @classmethod
    def define_schema(cls):
        return io.Schema(
            node_id="PullbackApplyDirection",
            display_name="Apply Direction",
            category=CATEGORY,
            description="Edits a batch of pictures along a direction that was found on another picture. "
            "Those that it does not carry over to stay as they are.",
            inputs=[
                model_input(),
                conditioning_input(),
                clean_latent_input(),
                Basis.Input(
                    "basis",
                    tooltip="The basis of the picture that has the direction, best of the feature picture, "
                    "from Pullback Basis or a file.",
                ),
                direction_input(),
                strength_input(
                    "How much each picture changes. 1 is clearly visible, and the same amount for all "
                    "pictures; negative goes the other way.",
                    smallest=-10.0,
                ),
                io.Float.Input(
                    "least",
                    default=FAIR_ALIGNMENT,
                    min=0.0,
                    max=1.0,
                    step=0.05,
                    tooltip="Pictures of a smaller alignment stay as they are. 0 edits all of them.",
                ),
                count_input(
                    "steps",
                    "DDIM steps from each picture to the noise and back. More is more exact.",
                    default=40,
                    largest=1000,
                ),
                refine_input(),
                count_input(
                    "rank",
                    "How many directions to find in each picture. More finds the direction in more "
                    "pictures, and takes longer.",
                    default=RANK,
                ),
                tolerance_input(),
                seed_input(),
                precision_input(),
            ],
            outputs=[
                io.Latent.Output(
                    display_name="LATENT",
                    tooltip="The edited pictures, for VAE Decode, in the order of the batch.",
                ),
                io.String.Output(display_name="report", tooltip="What became of each picture."),
            ],
            hidden=[io.Hidden.unique_id],
            **SENT_AGAIN,
        )

    @classmethod
    def execute(
        cls,
        model,
        conditioning,
        latent,
        basis,
        direction,
        strength,
        least,
        steps,
        refine,
        rank,
        tolerance,
        seed,
        precision,
    ):
        require_directions(basis, direction)
        sigmas = host.ddim_sigmas(model, steps, basis.timestep)
        host.advice_on_size(cls, model, latent)
        bar = host.Progress(STEPS_OF_A_PICTURE * len(latent["samples"]), model)

        def work(denoiser, x0):
            checked = host.check_derivatives_over_time(denoiser, x0[:1], [basis.timestep])
            applied = apply_direction(
                checked,
                x0,
                basis,
                direction - 1,
                sigmas,
                strength=strength,
                least=least,
                refine=refine,
                rank=rank,
                tolerance=tolerance,
                seed=seed,
                progress=bar.update,
            )
            return host.applied_pictures(x0, applied, latent), applied, checked.provenance["prompt"]

        pictures, applied, prompt = host.while_sampling(
            model,
            conditioning,
            latent,
            work,
            feature=basis.provenance.get("feature", host.DEFAULT),
            float32=precision == FLOAT32,
            products=True,
        )
        report = applied_report(applied)
        if basis.provenance.get("prompt") not in (None, prompt):
            report += "\nthe direction was found under another conditioning than this one"
        report += noisy_already(latent)
        shown = shown_text(cls, report.partition("\n")[0])
        return io.NodeOutput(host.clean_latent(model, pictures, latent), report, ui=shown)
