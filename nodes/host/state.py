"""Evaluations that depend on their noise level alone, also where the host's objects remember the levels before.

Samplers of the host evaluate a model at falling noise levels, once at each. Hooks with keyframes, schedules of ControlNets and
stateful wrappers rely on that: they keep a position and only move it forward. An inversion goes the other way, and a search for a
basis stays at one level. So before each evaluation here, every object is put into the state in which a sampler of the host would
meet it at this level:
- Keyframes of hooks are walked along the levels above, which needs no evaluation.
- Any other object that changes while it is used is followed once: the model is sampled along the way back, and the object's state
  before each level is kept. An object whose state depends on the picture, as a cache of activations, starts afresh at each level
  instead, because the states of another picture would be wrong for this one. So a cache that skips steps computes all of them here,
  and only a sampling in order, as the measured way back of DDIM Invert, shows what it changes.
- Without a way back, a sampler would start at this very level, and everything starts afresh.
What `Snapshot` does not open keeps its memory, such as a random generator. `check_derivatives` refuses a model whose value changes by it.
"""

import types
from itertools import pairwise

import comfy.controlnet
import comfy.hooks
import torch

from .families import network_of
from .snapshot import CLOSED, PLAIN, Attributes, Snapshot

FUNCTIONS = (types.FunctionType, types.MethodType)


def is_active(entry, sigma):
    """Whether an entry of a conditioning counts at a noise level, as the host decides it."""
    return not (sigma > entry.get("timestep_start", sigma) or sigma < entry.get("timestep_end", sigma))


class FoundState:
    """The objects of a MODEL and a CONDITIONING as they were found, for after a sampling."""

    def __init__(self, model, conditioning):
        known, self._others = _objects(model, model.model_options, [extra for _, extra in conditioning])
        self._snapshots = [Snapshot(known), Snapshot(self._others)]

    def keep_others(self):
        """Take the state of objects of other nodes for the one that they were found in; see `HostDenoiser.keep_after_error`."""
        self._snapshots[1] = Snapshot(self._others)

    def restore(self):
        with torch.inference_mode():
            for snapshot in self._snapshots:
                snapshot.restore()


class Memory:
    """What the objects of one sampling remember. Made when the host has prepared them, and before the first evaluation."""

    def __init__(self, guider, options):
        self._patcher, entries = guider.model_patcher, guider.conds["positive"]
        known, others = _objects(self._patcher, options, entries)
        network = network_of(self._patcher)
        self._hooks = list(
            {
                id(hook): hook for entry in entries if entry.get("hooks") for hook in entry["hooks"].hooks
            }.values()
        )
        self._patched = (
            None if self._hooks else []
        )  # strengths of hooks in the weights, and in what the host caches of weights
        self._keyframes = _keyframes(entries)
        self._groups = [group for group, _ in self._keyframes]
        for group in self._groups:
            group.reset()
            group._curr_t = (
                -1.0
            )  # the host's own reset forgets it, and would then ignore a first step at the same level
        self._first_keyframes = Snapshot(self._groups)
        self._known = Snapshot(known, ignored=self._groups)
        self._objects = _components(others, ignored=self._groups)
        self._may_change = bool(self._objects) or any(
            isinstance(value, FUNCTIONS) for value in vars(network).values()
        )
        self._objects.append([Attributes(network)])
        self._start = self._snapshots()

    @property
    def has_keyframes(self):
        return bool(self._groups)

    def start(self):
        """Put everything as it is at the start of a sampling."""
        with torch.inference_mode():
            for snapshot in [self._known, *self._start]:
                snapshot.restore()
            self._set_keyframes(self._first_keyframes)

    def arrive(self, way, sigma):
        """Put everything as a sampler on this way meets it at a noise level, before it evaluates the model there."""
        above = way.above(sigma)
        states = self._start if way.recorded is None else way.recorded[above]
        with torch.inference_mode():
            for snapshot in [self._known, *states]:
                snapshot.restore()
            self._set_keyframes(self._keyframes_above(way, above), sigma, way)

    def done(self):
        """To be called after each evaluation: the weights are patched for the strengths of now."""
        self._patched = self._strengths()

    def keep_others(self):
        """Take the state of objects of other nodes for their state at the start; see `HostDenoiser.keep_after_error`."""
        self._start = self._snapshots()

    def apply_hooks(self, hooks):
        """Patch the weights for the hooks of a conditioning now. Within a derivative, weights could not be changed."""
        if hooks is not None:
            with torch.inference_mode():
                self._patcher.apply_hooks(hooks=hooks)

    def record(self, way, evaluate):
        """Sample along a way to know the states of objects on it. evaluate(sigma, seed): one evaluation, with noise of this seed.

        Does nothing where it was done before, or where no object of another node can change.
        """
        if way.recorded is not None or not self._may_change:
            return
        first = self._sampled(way.levels, lambda sigma: evaluate(sigma, 0))
        digests = [[snapshot.digest() for snapshot in states] for states in first]
        changes = [number for number, (before, after) in enumerate(pairwise(digests), 1) if before != after]
        of_picture = set()
        if changes:  # with other noise, what depends on the levels alone changes in the same way
            second = self._sampled(way.levels[: changes[-1]], lambda sigma: evaluate(sigma, 1))
            of_picture = {
                number
                for states, others in zip(digests, second)
                for number, (state, other) in enumerate(zip(states, others))
                if state != other.digest()
            }
        way.recorded = [
            [
                start if number in of_picture else state
                for number, (start, state) in enumerate(zip(self._start, states))
            ]
            for states in first
        ]
        way.remembers = any(
            state != start
            for states in digests
            for number, (start, state) in enumerate(zip(digests[0], states))
            if number not in of_picture
        )

    def depends_on_start(self, ways):
        """Whether samplers on ways with the same end meet a level in different states. The longest way comes first, and is recorded."""
        if ways[0].remembers:
            return True
        return any(
            self._strengths_at(ways[0], level) != self._strengths_at(way, level)
            for way in ways[1:]
            for level in way.levels
        )

    def _snapshots(self):
        return [Snapshot(roots, ignored=self._groups) for roots in self._objects]

    def _sampled(self, levels, evaluate):
        """Snapshots of the objects before each of the levels and after the last, in a sampling from the start."""
        self.start()
        states = [self._snapshots()]
        for level in levels:
            evaluate(level)
            self.done()
            states.append(self._snapshots())
        return states

    def _set_keyframes(self, state, sigma=None, way=None):
        """Put keyframes into a state, take one more step at a noise level, and drop patched weights of other strengths."""
        state.restore()
        if sigma is not None:
            self._step(way, sigma)
        if self._strengths() != self._patched:
            self._patcher.clear_cached_hook_weights()
            self._patched = self._strengths()

    def _strengths(self):
        return [hook.strength for hook in self._hooks]

    def _strengths_at(self, way, sigma):
        self._keyframes_above(way, way.above(sigma)).restore()
        self._step(way, sigma)
        return self._strengths()

    def _keyframes_above(self, way, count):
        """The state of keyframes after the first `count` levels of a way. Every state is kept, so no level is walked twice."""
        if not self._groups:
            return self._first_keyframes
        if not way.keyframes:
            way.keyframes.append(self._first_keyframes)
        while len(way.keyframes) <= count:
            way.keyframes[-1].restore()
            self._step(way, way.levels[len(way.keyframes) - 1])
            way.keyframes.append(Snapshot(self._groups))
        return way.keyframes[count]

    def _step(self, way, sigma):
        """One step of every group of keyframes, as the host does it for the conditionings that are active at this level."""
        level = torch.tensor(float(sigma), dtype=torch.float32)
        for group, entries in self._keyframes:
            if any(is_active(entry, level) for entry in entries):
                group.prepare_current_keyframe(
                    curr_t=level, transformer_options={"sample_sigmas": way.sigmas}
                )


class Way:
    """Falling noise levels along which a sampler of the host goes, and the states in which it meets objects there.

    sigmas: as the sampler is given them. levels: those at which it evaluates the model.
    recorded: [number of levels above][group of objects] -> `Snapshot`. remembers: whether the levels above make a difference.
    """

    def __init__(self, sigmas):
        self.sigmas = torch.as_tensor(sigmas, dtype=torch.float32).cpu()
        self.levels = [level for level in self.sigmas.tolist() if level > 0]
        self.keyframes, self.recorded, self.remembers = [], None, False

    def above(self, sigma):
        """How many levels a sampler has evaluated when it comes to this one."""
        level = torch.tensor(float(sigma), dtype=torch.float32).item()
        return sum(other > level for other in self.levels)


def _keyframes(entries):
    """(group of keyframes, entries of the conditioning that it acts on) for each group that there is."""
    found = {}
    for entry in entries:
        for hook in entry["hooks"].hooks if entry.get("hooks") else ():
            group = hook.hook_keyframe
            if (
                group.keyframes
                and type(group).prepare_current_keyframe
                is comfy.hooks.HookKeyframeGroup.prepare_current_keyframe
            ):
                found.setdefault(id(group), (group, []))[1].append(entry)
    return list(found.values())


def _objects(patcher, options, entries):
    """(objects of the host itself, objects of other nodes) that act in a sampling and may remember something."""
    known, others = [], []
    for entry in entries:
        control = entry.get("control")
        while control is not None:
            (known if type(control).__module__ == comfy.controlnet.__name__ else others).append(control)
            others += _hook_parts(getattr(control, "extra_hooks", None))
            control = getattr(control, "previous_controlnet", None)
        others += _hook_parts(entry.get("hooks"))
        named = {
            name: value
            for name, value in entry.items()
            if name not in ("control", "hooks", "model_conds", "gligen")
        }
        others += _leaves(named)
    for group in (entry["hooks"] for entry in entries if entry.get("hooks")):
        known += [hook.hook_keyframe for hook in group.hooks]
    for attribute in ("object_patches", "wrappers", "callbacks", "injections", "attachments"):
        others += _leaves(getattr(patcher, attribute, {}))
    others += _leaves(options)
    known += [value for value in others if isinstance(value, torch.nn.Module)]
    return known, [value for value in others if not isinstance(value, torch.nn.Module)]


def _hook_parts(group):
    """What a group of hooks adds to the model: functions of other nodes, and hooks of their own kinds."""
    parts = []
    for hook in group.hooks if group else ():
        if type(hook).__module__ != comfy.hooks.__name__:
            parts.append(hook)
        if type(hook.hook_keyframe) is not comfy.hooks.HookKeyframeGroup:
            parts.append(hook.hook_keyframe)
        parts += _leaves(getattr(hook, "transformers_dict", None))
    return parts


def _leaves(container):
    """The objects in nested containers of the host, but no numbers and tensors."""
    if isinstance(container, dict):
        return [leaf for value in container.values() for leaf in _leaves(value)]
    if isinstance(container, list | tuple | set):
        return [leaf for value in container for leaf in _leaves(value)]
    plain = isinstance(container, (*PLAIN, torch.Tensor, comfy.hooks.HookGroup))
    return (
        []
        if plain or (isinstance(container, CLOSED) and not isinstance(container, torch.nn.Module))
        else [container]
    )


def _components(roots, ignored):
    """Groups of objects that share nothing that changes, each as a list of roots."""
    groups = []  # (roots, ids of what they share)
    for root in {id(root): root for root in roots}.values():
        ids = Snapshot([root], ignored).ids
        if not ids:
            continue
        touching = [group for group in groups if group[1] & ids]
        groups = [group for group in groups if not group[1] & ids]
        groups.append(
            (
                [*(one for group in touching for one in group[0]), root],
                ids.union(*(group[1] for group in touching)),
            )
        )
    return [roots for roots, _ in groups]
