"""What the objects of one sampling remember of noise levels."""

import types
from itertools import pairwise

import torch

from ..families import network_of
from ..snapshot import ModuleAttributes, Snapshot
from .keyframes import Keyframes
from .objects import independent_groups, sampling_objects

FUNCTIONS = (types.FunctionType, types.MethodType)


class LevelMemory:
    """Gives the objects of one sampling the state in which a sampler of the host would meet them.

    It is made when the host has prepared the objects, before the first evaluation.

    Args:
        guider: The host's guider that is sampling.
        options: The model options of this sampling.
    """

    def __init__(self, guider, options):
        self._patcher, entries = guider.model_patcher, guider.conds["positive"]
        host_objects, other_objects = sampling_objects(self._patcher, options, entries)
        network = network_of(self._patcher)
        self._keyframes = Keyframes(self._patcher, entries)
        ignored = self._keyframes.groups
        self._host_state = Snapshot(host_objects, ignored)
        self._groups = independent_groups(other_objects, ignored)
        replaced_methods = any(isinstance(value, FUNCTIONS) for value in vars(network).values())
        self._may_change = bool(self._groups) or replaced_methods
        self._groups.append([ModuleAttributes(network)])
        self._start = self._states()

    @property
    def has_keyframes(self):
        """Whether hooks have keyframes."""
        return bool(self._keyframes.groups)

    def restore_start(self):
        """Give every object its state at the start of a sampling."""
        with torch.inference_mode():
            self._restore(self._start)
            self._keyframes.restore_start()

    def restore_at(self, path, sigma):
        """Give every object the state in which a sampler on this path meets it at a noise level.

        Args:
            path: A `SamplingPath`.
            sigma: The noise level. It need not be one of the path.
        """
        states = self._start if path.states is None else path.states[path.count_above(sigma)]
        with torch.inference_mode():
            self._restore(states)
            self._keyframes.restore_at(path, sigma)

    def after_evaluation(self):
        """To be called after each evaluation of the model."""
        self._keyframes.after_evaluation()

    def accept_changes(self):
        """Start with the present state of objects of other nodes; see `HostDenoiser.keep_after_error`."""
        self._start = self._states()

    def apply_hooks(self, hooks):
        """Patch the weights for the hooks of a conditioning. Within a derivative, weights must not change."""
        if hooks is not None:
            with torch.inference_mode():
                self._patcher.apply_hooks(hooks=hooks)

    def record(self, path, evaluate):
        """Sample along a path, and save the states of the objects of other nodes on it.

        Nothing is done for a path that is recorded, or if no object of another node can change.

        Args:
            path: A `SamplingPath`.
            evaluate: Called as evaluate(sigma, seed), it evaluates the model once, at a picture with noise of
                this seed.
        """
        if path.states is not None or not self._may_change:
            return
        states = self._sample(path.evaluated, evaluate, seed=0)
        digests = _digests(states)
        dependent = self._groups_that_depend_on_the_picture(path, digests, evaluate)
        path.states = [
            [self._start[group] if group in dependent else state for group, state in enumerate(row)]
            for row in states
        ]
        path.has_memory = any(
            digest != digests[0][group]
            for row in digests
            for group, digest in enumerate(row)
            if group not in dependent
        )

    def depends_on_start(self, paths):
        """Whether samplers on paths with the same end meet a noise level in different states.

        Args:
            paths: `SamplingPath`s, the longest first. The longest is recorded.
        """
        longest, *others = paths
        if longest.has_memory:
            return True
        strengths_at = self._keyframes.strengths_at
        return any(
            strengths_at(longest, sigma) != strengths_at(path, sigma)
            for path in others
            for sigma in path.evaluated
        )

    def _restore(self, states):
        for snapshot in (self._host_state, *states):
            snapshot.restore()

    def _states(self):
        """A `Snapshot` of each group of objects."""
        return [Snapshot(roots, self._keyframes.groups) for roots in self._groups]

    def _sample(self, sigmas, evaluate, seed):
        """The states before each of these noise levels and after the last, in a sampling from the start."""
        self.restore_start()
        states = [self._states()]
        for sigma in sigmas:
            evaluate(sigma, seed)
            self.after_evaluation()
            states.append(self._states())
        return states

    def _groups_that_depend_on_the_picture(self, path, digests, evaluate):
        """The indices of groups whose states differ in a sampling with other noise.

        What depends on the noise levels alone changes in the same way.
        """
        changes = [count for count, (one, after) in enumerate(pairwise(digests), 1) if one != after]
        if not changes:
            return set()
        others = _digests(self._sample(path.evaluated[: changes[-1]], evaluate, seed=1))
        return {
            group
            for row, other_row in zip(digests, others)
            for group, (digest, other) in enumerate(zip(row, other_row))
            if digest != other
        }


def _digests(states):
    return [[snapshot.digest() for snapshot in row] for row in states]
