"""The noise levels of one sampler of the host."""

import torch


class SamplingPath:
    """Decreasing noise levels along which a sampler of the host goes, and the states of objects on it.

    A state has the index `count`: it is the state after `count` evaluations of the sampler.

    Args:
        sigmas: (steps + 1,) the noise levels, as the sampler is given them.

    Attributes:
        sigmas: (steps + 1,) in float32 on the CPU.
        evaluated: The noise levels at which the sampler evaluates the model: all above 0, as floats.
        keyframe_states: The states of hook keyframes so far, one `Snapshot` each; see `Keyframes`.
        states: For each count the states of the objects of other nodes, one `Snapshot` for each independent
            group of objects; None before they are recorded, see `LevelMemory.record`.
        has_memory: Whether some recorded state depends on the levels above.
    """

    def __init__(self, sigmas):
        self.sigmas = torch.as_tensor(sigmas, dtype=torch.float32).cpu()
        self.evaluated = [sigma for sigma in self.sigmas.tolist() if sigma > 0]
        self.keyframe_states = []
        self.states = None
        self.has_memory = False

    def count_above(self, sigma):
        """How many evaluations the sampler has made when it comes to a noise level."""
        sigma = torch.tensor(float(sigma), dtype=torch.float32).item()
        return sum(other > sigma for other in self.evaluated)

    def sigmas_above(self, sigma):
        """The noise levels that the sampler has evaluated when it comes to a noise level, as a tuple."""
        return tuple(self.evaluated[: self.count_above(sigma)])
