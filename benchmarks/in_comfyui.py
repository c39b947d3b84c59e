"""What does one Jacobian product cost in ComfyUI's own networks of real size, in time and in memory?

    cd ComfyUI && python custom_nodes/ComfyUI-Pullback/benchmarks/in_comfyui.py
    cd ComfyUI && python .../benchmarks/in_comfyui.py --network sdxl --size 128 --dtype float16

Run it by ComfyUI's Python from ComfyUI's folder. The networks have random weights, so nothing is downloaded.
Every line of the table is measured in a process of its own. The second of two runs is timed. The memory is
measured in another process. Evaluations use ComfyUI's own attention:

- sampling: the whole network for a prompt and a negative prompt at once, as in plain sampling;
- model: the whole network once;
- h: the network up to the feature;
- h and back: the same with torch's reverse mode, the floor of J^T u;
- record: what a basis does once: h as autograd records it, and the record of a backward pass;
- J v, J^T u: one product;
- 2 J v, 2 J^T u: two at once;
- offloaded: J v and J^T u with activations in main memory. A CPU has no other memory, so a file stands for
  it, and no time is printed.

Memory is the peak above what is held before, without weights: of the process on a CPU, of torch's allocator
on a GPU. The last column counts the weights too, because they must fit as well.
"""

import argparse
import asyncio
import json
import os
import resource
import sys
import tempfile
import time
from pathlib import Path

from processes import timed_and_weighed  # a script finds what lies beside it

PACK = Path(__file__).resolve().parents[1]
WORKS = ("sampling", "model", "h", "h and back", "record", "J v", "J^T u", "2 J v", "2 J^T u", "offloaded")
UNETS = {  # as comfy.model_detection finds them
    "sd15": (
        "sd1",
        {
            "model_channels": 320,
            "channel_mult": [1, 2, 4, 4],
            "num_res_blocks": [2] * 4,
            "context_dim": 768,
            "num_heads": 8,
            "transformer_depth": [1, 1, 1, 1, 1, 1, 0, 0],
            "transformer_depth_output": [1] * 9 + [0] * 3,
            "num_head_channels": -1,
        },
    ),
    "sdxl": (
        "sdxl",
        {
            "model_channels": 320,
            "channel_mult": [1, 2, 4],
            "num_res_blocks": [2] * 3,
            "context_dim": 2048,
            "transformer_depth": [0, 0, 2, 2, 10, 10],
            "transformer_depth_output": [0, 0, 0, 2, 2, 2, 10, 10, 10],
            "transformer_depth_middle": 10,
        },
    ),
    "flux": (
        "flux",
        {
            "context_in_dim": 4096,
            "hidden_size": 3072,
            "mlp_ratio": 4.0,
            "num_heads": 24,
            "axes_dim": [16, 56, 56],
            "vec_in_dim": 768,
            "depth": 19,
            "depth_single_blocks": 38,
        },
    ),
}
CONTEXT = {"sd15": (77, 768), "sdxl": (77, 2048), "flux": (256, 4096)}
POOLED = {"sd15": 1280, "sdxl": 1280, "flux": 768}


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--network", choices=UNETS, default="sd15")
    parser.add_argument("--size", type=int, default=32, help="latent pixels a side: 64 is 512 x 512")
    parser.add_argument("--dtype", choices=("float32", "float16", "bfloat16"), default="float32")
    parser.add_argument("--feature", default="middle")
    parser.add_argument(
        "--blocks", type=int, nargs=2, help="of each kind in flux: fewer than 19 and 38 where memory is short"
    )
    parser.add_argument("--cpu", action="store_true", help="also where there is a GPU")
    parser.add_argument("--works", choices=WORKS, nargs="+", default=WORKS, help="lines of the table")
    parser.add_argument("--only", choices=WORKS, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.only:
        print(json.dumps(measure(options)))
        return
    found = {}
    for work in options.works:
        command = [sys.executable, __file__, *sys.argv[1:], "--only", work]
        try:
            one, weighed = timed_and_weighed(command)
        except RuntimeError as error:
            print(f"{work:12s} failed: {error}", flush=True)
            continue
        one["bytes"] = weighed["bytes"]
        if not found:
            print(
                f"{options.network}, {options.size} x {options.size} latents, {options.dtype}, "
                f"feature {one['feature']}, torch {one['torch']}, {one['device']}, {one['threads']} threads; "
                f"weights {one['weights'] / 2**30:.2f} GiB, "
                f"ComfyUI estimates {one['estimate'] / 2**30:.2f} GiB"
            )
            print(
                "             seconds   of h   of h and back   GiB   of sampling   of the estimate"
                "   of sampling, with weights"
            )
        found[work] = one
        times = [
            f"{one['seconds'] / found[base]['seconds']:.2f}x" if base in found else ""
            for base in ("h", "h and back")
        ]
        seconds, times = (f"{one['seconds']:.3f}", times) if one["timed"] else ("", ("", ""))
        base = found.get("sampling", one)
        sizes = [one["bytes"] / base["bytes"], one["bytes"] / one["estimate"]]
        sizes.append((one["bytes"] + one["weights"]) / (base["bytes"] + one["weights"]))
        shown = [f"{size:.2f}x" for size in sizes]
        print(
            f"{work:12s} {seconds:>7s} {times[0]:>6s} {times[1]:>13s} {one['bytes'] / 2**30:7.2f} "
            f"{shown[0]:>10s} {shown[1]:>15s} {shown[2]:>17s}",
            flush=True,
        )


def measure(options):
    """Seconds and bytes of one kind of work, in this process."""
    sys.argv = ["main.py", *(["--cpu"] if options.cpu else []), "--use-pytorch-cross-attention"]
    sys.path[:0] = [os.getcwd(), str(PACK / "tests/host")]
    sys.path.remove(str(PACK / "benchmarks"))
    import comfy.options

    comfy.options.enable_args_parsing()
    import utils.extra_config  # noqa: F401  before `nodes`, which hides it

    import nodes

    assert asyncio.run(nodes.load_custom_node(str(PACK), module_parent="custom_nodes"))
    import torch
    from tiny_models import draw, tiny_model

    pack = nodes.NODE_CLASS_MAPPINGS["PullbackBasis"].__module__.rpartition(".nodes.")[0]
    adapter, core = sys.modules[f"{pack}.nodes.host"], sys.modules[f"{pack}.pullback_core"]
    kind, shape = UNETS[options.network]
    if options.blocks:
        shape = shape | dict(zip(("depth", "depth_single_blocks"), options.blocks))
    model = tiny_model(kind, dtype=getattr(torch, options.dtype), **shape)
    for layer in (
        model.model.diffusion_model.modules()
    ):  # torch's reverse mode keeps no tensors made in inference mode
        for name, weight in layer._parameters.items():
            if weight is not None:
                layer._parameters[name] = torch.nn.Parameter(weight.detach().clone(), requires_grad=False)
    channels = model.get_model_object("latent_format").latent_channels
    latent = {"samples": draw(1, channels, options.size, options.size, seed=2)}
    conditioning = [
        [
            draw(1, *CONTEXT[options.network], seed=1),
            {"pooled_output": draw(1, POOLED[options.network], seed=3)},
        ]
    ]

    def work(denoiser, x):
        sigma = denoiser.schedule.sigma(0.7)
        x = denoiser.schedule.add_noise(x, draw(*x.shape, seed=4).to(x), sigma)[0]
        with torch.no_grad():
            h = denoiser.encode_as_hosted(x[None], sigma)  # which also loads what is loaded at first
        run = _work(options.only, torch, core, denoiser, x, sigma, torch.randn(2, *h.shape[1:]).to(h))
        seconds, peak = _seconds_and_bytes(run, torch, x.device)
        return {
            "seconds": seconds,
            "bytes": peak,
            "feature": denoiser.feature,
            "torch": torch.__version__,
            "threads": torch.get_num_threads(),
            "device": torch.cuda.get_device_name(x.device) if x.is_cuda else "CPU",
            "timed": x.is_cuda or options.only != "offloaded",
            "weights": model.model_size(),
            "estimate": denoiser._guider.inner_model.memory_required([1, *x.shape]),
        }

    with torch.inference_mode():
        return adapter.while_sampling(
            model, conditioning, latent, work, feature=options.feature, products=True
        )


def _work(name, torch, core, denoiser, x, sigma, u):
    """The work as a function of its number, of which the first is not timed."""
    v = torch.stack([x, x.flip(-1)])
    jacobian = core.Jacobian(lambda points: denoiser.encode(points, sigma), x, offload=name == "offloaded")
    if name == "offloaded" and not x.is_cuda:
        core.linalg.offload.keep_in_main_memory = _in_a_file

    def back():
        with torch.inference_mode(False), torch.enable_grad():
            point = x.clone()[None].requires_grad_()
            denoiser.encode_as_hosted(point, sigma).backward(u[:1].clone())

    def record():
        jacobian.forget()
        jacobian.record()

    return {
        "model": lambda: denoiser.denoise(x[None], sigma),
        "sampling": lambda: denoiser.denoise(x.expand(2, *x.shape), sigma),
        "h": lambda: denoiser.encode_as_hosted(x[None], sigma),
        "h and back": back,
        "record": record,
        "J v": lambda: jacobian.jvp(v[:1]),
        "2 J v": lambda: jacobian.jvp(v),
        "J^T u": lambda: jacobian.vjp(u[:1]),
        "2 J^T u": lambda: jacobian.vjp(u),
        "offloaded": lambda: (jacobian.jvp(v[:1]), jacobian.vjp(u[:1])),
    }[name]


def _in_a_file(tensor):
    """A function that returns the tensor, kept in a file."""
    import numpy
    import torch

    if tensor.nbytes < 2**20:
        return lambda: tensor
    file, dtype, shape = tempfile.TemporaryFile(), tensor.dtype, tensor.shape
    tensor.flatten().view(torch.uint8).numpy().tofile(file)

    def restored():
        file.seek(0)
        return torch.from_numpy(numpy.fromfile(file, numpy.uint8)).view(dtype).view(shape)

    return restored


def _seconds_and_bytes(run, torch, device):
    """Of the second run in time; of both in memory, whose peak a process cannot forget."""
    if device.type == "cuda":
        torch.cuda.synchronize()
        torch.cuda.reset_peak_memory_stats()
        before, peak = torch.cuda.memory_allocated(), torch.cuda.max_memory_allocated
    else:
        before = int(Path("/proc/self/statm").read_text().split()[1]) * resource.getpagesize()
        peak = lambda: 1024 * resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    run()
    if device.type == "cuda":
        torch.cuda.synchronize()
    start = time.perf_counter()
    run()
    if device.type == "cuda":
        torch.cuda.synchronize()
    return time.perf_counter() - start, max(0, peak() - before)


if __name__ == "__main__":
    main()
