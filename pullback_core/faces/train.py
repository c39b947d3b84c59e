"""Train the bundled model on faces drawn on the fly.

Resumable: the checkpoint holds everything, and a run killed at any moment goes on from the last one.
The learning rate is constant, then falls linearly to zero over the last `DECAY` of all steps, so that
a run can also be prolonged or cut short by another `steps`.
"""

import contextlib
import copy
import io
import math
import signal
import tempfile
import threading
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import autocast
from tqdm import tqdm

from ..atomic import write_atomically
from ..file_access import open_file
from ..tensor_files import require_finite
from .draw import draw_faces
from .model import LATENT_SCALE, FacesModel, encode_image, load_model
from .parameters import sample_parameters
from .vocabulary import SLOTS, describe

DECAY = 0.4
WARMUP = 200
STOPPED = "stopped.txt"  # in a run's temporary folder: why it ended early
EMPTY_PROMPT = 0.15  # how often nothing at all is said (classifier-free dropout)
DATA_VARIANCE = (0.52 * LATENT_SCALE) ** 2  # of the drawings' latents


@dataclass
class TrainingOptions:
    steps: int = 14_000
    batch: int = 32
    workers: int = 2
    learning_rate: float = 8e-4
    ema: float = 0.9995
    seed: int = 0
    save_every: int = 250
    data: str = "faces"  # a key of `parameters.DATA`
    start: Path | None = None  # a finished model to begin with, in the place of random weights
    bf16: bool = (
        False  # compute in bfloat16 (weights stay float32): faster where the processor multiplies it natively
    )

    def __post_init__(self):
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


def drop_words(tokens, generator=None):
    """Silence words at random: (b, len(SLOTS)) -> the same with some slots empty, sometimes all."""
    count = len(tokens)
    keep_rate = torch.rand(count, 1, generator=generator)
    keep = torch.rand(count, len(SLOTS), generator=generator) < keep_rate
    keep &= torch.rand(count, 1, generator=generator) >= EMPTY_PROMPT
    return torch.where(keep, tokens, torch.arange(len(SLOTS)))


def loss(model, x0, tokens, generator=None):
    """The v-prediction loss (Salimans and Ho 2022, "Progressive Distillation", appendix D) of a batch.

    Every timestep weighs the same: the squared error is divided by the variance of its target.
    Returns (b,) losses, in the order of rising timesteps.
    """
    count = len(x0)
    # One timestep from each of `count` equal parts of T: less noise in the gradient than independent ones.
    t = ((torch.arange(count) + torch.rand(count, generator=generator)) * (1000 / count)).long()
    sigma = torch.exp(model.schedule.log_sigmas[t]).float().view(-1, 1, 1, 1)
    alpha = (1 + sigma**2).rsqrt()
    noise = torch.randn(x0.shape, generator=generator)
    z = alpha * (x0 + sigma * noise)
    target = alpha * noise - alpha * sigma * x0
    error = (model.unet(z, t.float(), model.words(tokens)) - target).square().mean(dim=(1, 2, 3))
    return error / (alpha**2 * (1 + sigma**2 * DATA_VARIANCE)).flatten()


def learning_rate_at(step, options):
    warmup = min(1.0, (step + 1) / WARMUP)
    decay = min(1.0, (options.steps - step) / (DECAY * options.steps))
    return options.learning_rate * warmup * max(decay, 0.0)


def train_model(checkpoint, options=None, progress=True):
    """Train until `options.steps` (see `TrainingOptions`), resuming `checkpoint` if it exists. Returns the EMA `FacesModel`.

    The batch is split evenly over `options.workers` processes of one thread each, which on a CPU is
    faster than as many threads in one process. The result depends on their number, and on nothing else
    but the other options.
    """
    options = options or TrainingOptions()
    if options.start is not None:
        load_model(options.start)  # refuses an unusable file here, and not in every process
    checkpoint = Path(checkpoint)
    if checkpoint.exists():
        load_checkpoint(checkpoint)  # the same
    with tempfile.TemporaryDirectory() as folder:
        _run_workers((folder, checkpoint, options, progress), options.workers)
        stopped = Path(folder) / STOPPED
        if stopped.exists():
            raise ValueError(stopped.read_text())
    model = FacesModel()
    model.load_state_dict(load_checkpoint(checkpoint)["ema"])
    return model.requires_grad_(False)


def load_checkpoint(path):
    """Read a checkpoint of `train_model`: {"step": int, "model", "ema" and "optimizer": state dicts}.

    Raises FileNotFoundError, ValueError with the reason for a file that training cannot go on from, and OSError for
    one that cannot be read. Nothing in a file can run.
    """
    path = Path(path)
    try:
        state = _read_checkpoint(path)
        if not isinstance(state, dict) or type(state.get("step")) is not int or state["step"] < 0:
            raise ValueError("it is of another format")
        for name in ("model", "ema"):
            _try_state(FacesModel(), state.get(name), name)
            require_finite(state[name])
        _try_state(torch.optim.AdamW(FacesModel().parameters()), state.get("optimizer"), "optimizer")
    except ValueError as error:
        raise ValueError(
            f"{path.name!r} is not a usable checkpoint: {error}; remove it to train from the start."
        ) from error
    return state


def _read_checkpoint(path):
    with open_file(path, "checkpoint") as file:
        try:
            return torch.load(file, weights_only=True)
        except Exception as error:  # torch raises a dozen kinds for damaged files
            raise ValueError("it is damaged, or holds something other than numbers") from error


def _try_state(owner, state, name):
    """Raise ValueError unless a module or an optimizer takes a state dict."""
    try:
        owner.load_state_dict(state)
    except (RuntimeError, ValueError, TypeError, KeyError, AttributeError) as error:
        raise ValueError(f"its part {name!r} does not fit the model") from error


def _run_workers(arguments, workers):
    """Run `_work` in processes. An interrupt ends them all, and is raised here alone."""
    with _ignoring_interrupts():  # the processes inherit this, so it holds from their first moment
        context = torch.multiprocessing.spawn(_work, arguments, nprocs=workers, join=False)
    try:
        while not context.join():
            pass
    except torch.multiprocessing.ProcessExitedException as error:
        raise ChildProcessError(
            f"A training process was ended by the system ({error}); if memory ran out, choose a smaller batch or fewer workers."
        ) from error
    finally:
        for process in context.processes:
            process.terminate()
            process.join()


@contextlib.contextmanager
def _ignoring_interrupts():
    """Ignore SIGINT within the block. Python allows that in the main thread alone, which is also the one that gets it."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)


def _work(rank, folder, checkpoint, options, progress):
    """One process of a training run. folder: where the processes find each other, and leave the reason of an early end."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the process that started this one ends it
    torch.set_num_threads(1)
    torch.distributed.init_process_group(
        "gloo", f"file://{folder}/rendezvous", rank=rank, world_size=options.workers
    )
    torch.manual_seed(options.seed)
    model = FacesModel() if options.start is None else load_model(options.start).train().requires_grad_(True)
    ema = copy.deepcopy(model).requires_grad_(False)
    optimizer = torch.optim.AdamW(
        model.parameters(), lr=options.learning_rate, betas=(0.9, 0.99), weight_decay=0.01, fused=True
    )
    step = saved = 0
    if checkpoint.exists():
        state = load_checkpoint(checkpoint)
        model.load_state_dict(state["model"])
        ema.load_state_dict(state["ema"])
        optimizer.load_state_dict(state["optimizer"])
        step = saved = state["step"]
    recent = None
    with tqdm(
        total=options.steps, initial=step, disable=not progress or rank > 0, mininterval=10, smoothing=0.01
    ) as bar:
        while step < options.steps:
            seed = (options.seed * 1_000_003 + step) * options.workers + rank + 1
            generator = torch.Generator().manual_seed(seed % 2**64)
            parameters = sample_parameters(options.batch // options.workers, generator, options.data)
            x0 = encode_image(draw_faces(parameters))
            tokens = drop_words(describe(parameters), generator)
            for group in optimizer.param_groups:
                group["lr"] = learning_rate_at(step, options)
            with autocast("cpu", torch.bfloat16, enabled=options.bf16):
                losses = loss(model, x0, tokens, generator)
            optimizer.zero_grad(set_to_none=True)
            losses.mean().backward()
            _average_gradients(model, options.workers)
            norm = torch.nn.utils.clip_grad_norm_(
                model.parameters(), 1.0
            )  # of the average, so the same in every process
            if not torch.isfinite(norm):
                break
            optimizer.step()
            step += 1
            decay = min(options.ema, (1 + step) / (10 + step))
            with torch.no_grad():
                torch._foreach_lerp_(list(ema.parameters()), list(model.parameters()), 1 - decay)
            quarters = losses.detach().view(4, -1).mean(dim=1)  # by noise level, for a telling progress bar
            recent = quarters if recent is None else recent.lerp(quarters, 0.02)
            bar.set_postfix_str(
                "loss by noise " + " ".join(f"{value:.4f}" for value in recent), refresh=False
            )
            bar.update()
            if step % options.save_every == 0 or step == options.steps:
                if not _is_finite(model, ema):
                    break
                if rank == 0:
                    _save_checkpoint(checkpoint, step, {"model": model, "ema": ema, "optimizer": optimizer})
                saved = step
    if rank == 0 and saved < options.steps:
        (Path(folder) / STOPPED).write_text(_reason_to_stop(step, saved, checkpoint, options))
    torch.distributed.barrier()
    torch.distributed.destroy_process_group()


def _is_finite(*models):
    """Whether all weights are finite numbers, also in half precision, in which a model is saved."""
    return all(torch.isfinite(weight.half()).all() for model in models for weight in model.parameters())


def _save_checkpoint(path, step, parts):
    data = io.BytesIO()
    torch.save({"step": step, **{name: part.state_dict() for name, part in parts.items()}}, data)
    write_atomically(path, data.getbuffer())


def _reason_to_stop(step, saved, checkpoint, options):
    kept = f"the checkpoint {str(checkpoint)!r} of step {saved} is sound" if saved else "nothing was saved"
    return (
        f"Training stopped at step {step}, because the loss or the weights are no longer finite numbers; {kept}. "
        f"Choose a smaller learning rate than {options.learning_rate:g}."
    )


def _average_gradients(model, workers):
    gradients = [parameter.grad for parameter in model.parameters()]
    flat = torch.cat([gradient.flatten() for gradient in gradients])
    torch.distributed.all_reduce(flat)
    for gradient, part in zip(
        gradients, flat.split([gradient.numel() for gradient in gradients]), strict=True
    ):
        gradient.copy_(part.view_as(gradient) / workers)
