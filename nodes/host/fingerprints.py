"""Fingerprints of a MODEL and a CONDITIONING: short texts that say which ones a basis was made with."""

import hashlib

import torch

from ...pullback_core.models.fingerprint import hash_weights

FINGERPRINT = "pullback_fingerprint"  # the attachment of a model whose file the core knows
NETWORK = "diffusion_model."  # how the host begins the names of the network's weights


def model_fingerprint(model):
    """The fingerprint of a MODEL's weights and patches, the same in every session.

    Only a few numbers of every tensor are read.
    """
    known = model.get_attachment(FINGERPRINT)
    if known and not model.patches:
        return known
    digest = hashlib.sha256(str(known).encode())
    if known is None:
        hash_weights(digest, _weights_without_patches(model))
    for name in sorted(model.patches, key=str):
        patches = [(patch[0], _numbers(patch[1])) for patch in model.patches[name]]
        digest.update(f"{name} {patches}".encode())
    return digest.hexdigest()[:16]


def conditioning_fingerprint(conditioning):
    """The fingerprint of a CONDITIONING. Every number in it is read."""
    digest = hashlib.sha256()
    for tensor, extra in conditioning:
        for name, part in [("", tensor), *sorted(extra.items())]:
            digest.update(f"{name} {_numbers(part, everything=True)}".encode())
    return digest.hexdigest()[:16]


def _weights_without_patches(model):
    """The weights of a MODEL's network by name. The host keeps those of a loaded model in `backup`."""
    weights = model.model.diffusion_model.state_dict()
    for name in weights:
        if NETWORK + name in model.backup:
            weights[name] = model.backup[NETWORK + name].weight
    return weights


def _numbers(part, everything=False):
    """The numbers and texts in a weight patch or in a part of a conditioning, nested as they are there.

    Args:
        part: Tensors, dicts, lists, adapters with `weights`, numbers and texts. Anything else counts by the
            name of its class.
        everything: Hash every number of a tensor. Otherwise its first four numbers stand for it.
    """
    if isinstance(part, torch.Tensor):
        values = part.detach().float().flatten()
        if not everything:
            return values[:4].tolist()
        return hashlib.sha256(values.cpu().numpy().tobytes()).hexdigest()
    if isinstance(part, dict):
        return [(str(name), _numbers(value, everything)) for name, value in part.items()]
    if isinstance(part, list | tuple):
        return [_numbers(value, everything) for value in part]
    if hasattr(part, "weights"):
        return _numbers(part.weights, everything)
    return part if isinstance(part, str | int | float) else type(part).__name__
