"""Train the bundled model on faces that are drawn while it trains.

A run can be resumed: the checkpoint holds everything, and a run that is killed at any moment continues from
the last one. The learning rate is constant, then falls linearly to zero over the last `DECAY` of all steps.
So a run can also be made longer or shorter by other `steps`.
"""

import copy
import math
import os
import tempfile
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import autocast
from tqdm import tqdm

from .checkpoint import State, load_checkpoint, save_checkpoint
from .draw import draw_faces
from .latents import encode_image
from .loss import drop_words, velocity_loss
from .model import FacesModel
from .model_file import load_model
from .parameters import sample_parameters
from .vocabulary import describe
from .workers import average_gradients, joined, run_workers

DECAY = 0.4
WARMUP = 200
STOPPED = "stopped.txt"  # in a run's temporary folder: the reason for an early end
MEETING_POINT = "rendezvous"  # in the same folder


@dataclass
class TrainingOptions:
    """How to train.

    Attributes:
        steps: Steps of the whole run, those of its checkpoint included.
        batch: Pictures of a step, a multiple of 4 * workers.
        workers: Processes of one thread each, over which the batch is split evenly.
        learning_rate: Before its decay.
        ema: The decay of the moving average of the weights, which is the finished model.
        seed: Of all random numbers.
        save_every: Steps between two checkpoints.
        data: A key of `parameters.DATA`.
        start: A finished model to begin with, in place of random weights.
        bf16: Compute in bfloat16, weights stay float32. Faster where the processor multiplies it natively.

    Raises:
        ValueError: A value is impossible.
    """

    steps: int = 14_000
    batch: int = 32
    workers: int = 2
    learning_rate: float = 8e-4
    ema: float = 0.9995
    seed: int = 0
    save_every: int = 250
    data: str = "faces"
    start: Path | None = None
    bf16: bool = False

    def __post_init__(self) -> None:
        for name in ("steps", "batch", "workers", "save_every"):
            if not getattr(self, name) >= 1:
                raise ValueError(f"{name} must be at least 1, got {getattr(self, name)}.")
        if self.batch % (4 * self.workers):
            raise ValueError(
                f"The batch ({self.batch}) must be a multiple of 4 x workers ({4 * self.workers})."
            )
        if not 0 < self.learning_rate < math.inf:
            raise ValueError(f"The learning rate must be a positive number, got {self.learning_rate}.")
        if not 0 <= self.ema < 1:
            raise ValueError(f"ema must be from 0 to less than 1, got {self.ema}.")


def learning_rate_at(step: int, options: TrainingOptions) -> float:
    """The learning rate of a step, counted from 0: it rises, stays, and falls to zero."""
    warmup = min(1.0, (step + 1) / WARMUP)
    decay = min(1.0, (options.steps - step) / (DECAY * options.steps))
    return options.learning_rate * warmup * max(decay, 0.0)


def train_model(
    checkpoint: str | os.PathLike[str], options: TrainingOptions | None = None, progress: bool = True
) -> FacesModel:
    """Train a model until `options.steps`.

    The result depends on the number of workers and on the other options, and on nothing else.

    Args:
        checkpoint: The file of the run's checkpoint. If it exists, training continues from there.
        options: How to train.
        progress: Show a progress bar.

    Returns:
        The moving average of the model's weights, as a model.

    Raises:
        ValueError: The checkpoint or the model to begin with cannot be used, or the loss or the weights
            stopped being finite numbers.
        ChildProcessError: The system ended a process, because memory ran out for example.
        OSError: A file cannot be read or written.
    """
    options = options or TrainingOptions()
    if options.start is not None:
        load_model(options.start)  # refuses an unusable file here, and not in every process
    checkpoint = Path(checkpoint)
    if checkpoint.exists():
        load_checkpoint(checkpoint)  # the same
    with tempfile.TemporaryDirectory() as folder:
        run_workers(_work, (folder, checkpoint, options, progress), options.workers)
        stopped = Path(folder) / STOPPED
        if stopped.exists():
            raise ValueError(stopped.read_text())
    model = FacesModel()
    model.load_state_dict(load_checkpoint(checkpoint)["ema"])
    return model.requires_grad_(False)


def _work(rank: int, folder: str, checkpoint: Path, options: TrainingOptions, progress: bool) -> None:
    """One process of a training run. In the folder, the processes meet and leave the reason to stop."""
    with joined(rank, options.workers, f"{folder}/{MEETING_POINT}"):
        trainer = _Trainer(rank, options)
        if checkpoint.exists():
            trainer.restore(load_checkpoint(checkpoint))
        trainer.train(checkpoint, progress)
        if rank == 0 and trainer.saved < options.steps:
            (Path(folder) / STOPPED).write_text(trainer.reason_to_stop(checkpoint))


class _Trainer:
    """The state of a training run in one process. step: steps done; saved: steps in the checkpoint."""

    def __init__(self, rank: int, options: TrainingOptions) -> None:
        torch.manual_seed(options.seed)
        self.rank, self.options = rank, options
        self.step = self.saved = 0
        if options.start is None:
            self.model = FacesModel()
        else:
            self.model = load_model(options.start).train().requires_grad_(True)
        self.ema = copy.deepcopy(self.model).requires_grad_(False)
        self.optimizer = torch.optim.AdamW(
            self.model.parameters(),
            lr=options.learning_rate,
            betas=(0.9, 0.99),
            weight_decay=0.01,
            fused=True,
        )

    def restore(self, state: State) -> None:
        """Continue from a checkpoint."""
        self.model.load_state_dict(state["model"])
        self.ema.load_state_dict(state["ema"])
        self.optimizer.load_state_dict(state["optimizer"])
        self.step = self.saved = state["step"]

    def train(self, checkpoint: Path, progress: bool) -> None:
        """Train to the end, or until numbers are no longer finite, and save checkpoints."""
        options = self.options
        shown = _Progress(self.step, options.steps, progress and self.rank == 0)
        with shown.bar:
            while self.step < options.steps:
                losses = self._losses()
                if not self._update(losses):
                    return
                shown.update(losses)
                if self.step % options.save_every == 0 or self.step == options.steps:
                    if not _is_finite(self.model, self.ema):
                        return
                    self._save(checkpoint)

    def reason_to_stop(self, checkpoint: Path) -> str:
        """A sentence about the early end of the run."""
        kept = "nothing was saved"
        if self.saved:
            kept = f"the checkpoint {str(checkpoint)!r} of step {self.saved} is sound"
        return (
            f"Training stopped at step {self.step}, because the loss or the weights are no longer finite "
            f"numbers; {kept}. Choose a smaller learning rate than {self.options.learning_rate:g}."
        )

    def _losses(self) -> torch.Tensor:
        """The losses of this process's share of the batch. The drawings depend on the step and the rank."""
        options = self.options
        seed = (options.seed * 1_000_003 + self.step) * options.workers + self.rank + 1
        generator = torch.Generator().manual_seed(seed % 2**64)
        parameters = sample_parameters(options.batch // options.workers, generator, options.data)
        x0 = encode_image(draw_faces(parameters))
        tokens = drop_words(describe(parameters), generator)
        with autocast("cpu", torch.bfloat16, enabled=options.bf16):
            return velocity_loss(self.model, x0, tokens, generator)

    def _update(self, losses: torch.Tensor) -> bool:
        """One step of the optimizer and the moving average. Returns False where gradients are not finite."""
        for group in self.optimizer.param_groups:
            group["lr"] = learning_rate_at(self.step, self.options)
        self.optimizer.zero_grad(set_to_none=True)
        losses.mean().backward()
        average_gradients(self.model, self.options.workers)
        # The gradients are averages, so their norm is the same in every process.
        if not torch.isfinite(torch.nn.utils.clip_grad_norm_(self.model.parameters(), 1.0)):
            return False
        self.optimizer.step()
        self.step += 1
        decay = min(self.options.ema, (1 + self.step) / (10 + self.step))
        with torch.no_grad():
            for average, weight in zip(self.ema.parameters(), self.model.parameters(), strict=True):
                average.lerp_(weight, 1 - decay)
        return True

    def _save(self, checkpoint: Path) -> None:
        if self.rank == 0:
            save_checkpoint(checkpoint, self.step, self.model, self.ema, self.optimizer)
        self.saved = self.step


class _Progress:
    """A progress bar with the recent losses of four ranges of noise levels."""

    def __init__(self, step: int, steps: int, shown: bool) -> None:
        self.bar = tqdm(total=steps, initial=step, disable=not shown, mininterval=10, smoothing=0.01)
        self._recent: torch.Tensor | None = None

    def update(self, losses: torch.Tensor) -> None:
        """Count a step. losses: (b,) in the order of rising noise levels."""
        quarters = losses.detach().view(4, -1).mean(dim=1)
        self._recent = quarters if self._recent is None else self._recent.lerp(quarters, 0.02)
        recent = " ".join(f"{value:.4f}" for value in self._recent)
        self.bar.set_postfix_str(f"loss by noise {recent}", refresh=False)
        self.bar.update()


def _is_finite(*models: FacesModel) -> bool:
    """Tell whether all weights are finite, also in half precision, in which a model is saved."""
    return all(torch.isfinite(weight.half()).all() for model in models for weight in model.parameters())
