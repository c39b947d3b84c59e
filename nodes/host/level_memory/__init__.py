"""Evaluations that depend on their noise level alone, also where objects of the host remember earlier levels.

A sampler of the host evaluates a model once at each noise level, in falling order. Hooks with keyframes,
scheduled ControlNets and wrappers with a state rely on it: they keep a position and only move it forward. An
inversion goes the other way, and the search for a basis stays at one level. So before each evaluation,
`LevelMemory` gives every object the state in which a sampler of the host would meet it at this level:

- Keyframes of hooks are stepped along the levels above. This needs no evaluation.
- Other objects that change while they are used are recorded once: the model is sampled along the
  `SamplingPath`, and the state of each object before each level is saved.
- An object whose state depends on the picture, such as a cache of activations, gets its state at the start
  instead, because the states of another picture would be wrong for this one. So a cache that skips steps
  computes all of them here. Only a sampling in order shows what the cache changes, such as the measured way
  back of DDIM Invert.
- Without a `SamplingPath`, a sampler would start at this very level. So every object gets its state at the
  start.

Objects that a `Snapshot` does not open keep their memory, for example a random generator. `check_derivatives`
refuses a model whose value changes by it.
"""

from .initial_state import InitialState
from .keyframes import is_active
from .level_memory import LevelMemory
from .sampling_path import SamplingPath

__all__ = ["InitialState", "LevelMemory", "SamplingPath", "is_active"]
