"""The keyframes of the host's hooks: strengths of weight patches that are scheduled over the noise levels."""

import comfy.hooks
import torch

from ..snapshot import Snapshot


def is_active(entry, sigma):
    """Whether an entry of a conditioning is active at a noise level. The host decides it in this way."""
    return not (sigma > entry.get("timestep_start", sigma) or sigma < entry.get("timestep_end", sigma))


class Keyframes:
    """The keyframes that act in one sampling, and the hook strengths with which the weights are patched now.

    Args:
        patcher: The MODEL.
        entries: The entries of the conditioning, a dict each.

    Attributes:
        groups: The host's `HookKeyframeGroup` objects with at least one keyframe.
    """

    def __init__(self, patcher, entries):
        self._patcher = patcher
        self._hooks = _hooks_of(entries)
        # None: it is not known which strengths the weights have.
        self._patched_strengths = None if self._hooks else []
        self._entries_of_groups = _entries_of_groups(entries)
        self.groups = [group for group, _ in self._entries_of_groups]
        for group in self.groups:
            group.reset()
            # The host's reset forgets this one. Without it, a first step at the same level would be ignored.
            group._curr_t = -1.0
        self._start = Snapshot(self.groups)

    def restore_start(self):
        """Set the keyframes to their state before the first evaluation of a sampler."""
        self._start.restore()
        self._drop_patches_of_other_strengths()

    def restore_at(self, path, sigma):
        """Set the keyframes to their state in the evaluation at a noise level of a `SamplingPath`."""
        self._step_to(path, sigma)
        self._drop_patches_of_other_strengths()

    def after_evaluation(self):
        """Note that the weights are now patched with the present strengths."""
        self._patched_strengths = self.strengths()

    def strengths(self):
        """The strength of each hook now."""
        return [hook.strength for hook in self._hooks]

    def strengths_at(self, path, sigma):
        """The strength of each hook at a noise level of a `SamplingPath`. Changes the keyframes."""
        self._step_to(path, sigma)
        return self.strengths()

    def _drop_patches_of_other_strengths(self):
        if self.strengths() != self._patched_strengths:
            self._patcher.clear_cached_hook_weights()
            self._patched_strengths = self.strengths()

    def _step_to(self, path, sigma):
        self._state_after(path, path.count_above(sigma)).restore()
        self._step(path, sigma)

    def _state_after(self, path, count):
        """The state after `count` evaluations. The path keeps every state, so that no step is made twice."""
        if not self.groups:
            return self._start
        states = path.keyframe_states
        if not states:
            states.append(self._start)
        while len(states) <= count:
            states[-1].restore()
            self._step(path, path.evaluated[len(states) - 1])
            states.append(Snapshot(self.groups))
        return states[count]

    def _step(self, path, sigma):
        """Step every group once, as the host does for the entries that are active at this noise level."""
        sigma = torch.tensor(float(sigma), dtype=torch.float32)
        options = {"sample_sigmas": path.sigmas}
        for group, entries in self._entries_of_groups:
            if any(is_active(entry, sigma) for entry in entries):
                group.prepare_current_keyframe(curr_t=sigma, transformer_options=options)


def _hooks_of(entries):
    """All hooks of the entries, each once."""
    hooks = [hook for entry in entries if entry.get("hooks") for hook in entry["hooks"].hooks]
    return list({id(hook): hook for hook in hooks}.values())


def _entries_of_groups(entries):
    """(group of keyframes, entries of the conditioning that it acts on) for each group with keyframes."""
    hosts_own = comfy.hooks.HookKeyframeGroup.prepare_current_keyframe
    found = {}
    for entry in entries:
        for hook in entry["hooks"].hooks if entry.get("hooks") else ():
            group = hook.hook_keyframe
            if group.keyframes and type(group).prepare_current_keyframe is hosts_own:
                found.setdefault(id(group), (group, []))[1].append(entry)
    return list(found.values())
