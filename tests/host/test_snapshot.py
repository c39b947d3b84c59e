"""Snapshots of objects: what they restore, what they leave alone, and when two are equal."""

import collections
import doctest
import itertools
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from torch.nn import Linear

total = 0  # assigned by functions of these tests


@pytest.fixture(scope="module")
def snapshot(comfy_host):
    return comfy_host.adapter.snapshot


class Plain:
    variable = 1

    def __init__(self):
        self.count, self.items, self.seen = 0, [], []

    def step(self):
        self.count += 1
        self.items.append(self.count)
        self.seen.append(self.count)
        Plain.variable += 1
        return len(self.items)


class Slotted:
    __slots__ = ("count", "later")

    def __init__(self):
        self.count = 0

    def step(self):
        self.count += 1


def counting_closure():
    count = 0

    def step():
        nonlocal count
        count += 1
        return count

    return step


def counting_global():
    def step():
        global total
        total += 1
        return total

    return step


def counting_attribute():
    def step():
        step.count = getattr(step, "count", 0) + 1
        return step.count

    return step


def counting_cell_without_a_value():
    def step():
        nonlocal count
        try:
            count += 1
        except NameError:
            count = 1
        return count

    if False:
        count = 0
    return step


@pytest.mark.parametrize(
    "make", [counting_closure, counting_global, counting_attribute, counting_cell_without_a_value]
)
def test_a_function_counts_again_from_where_it_was(snapshot, make):
    step = make()
    before = snapshot.Snapshot([step])
    counted = [step(), step()]
    before.restore()
    assert [step(), step()] == counted


def test_an_instance_and_its_class_have_their_values_again(snapshot):
    one = Plain()
    one.step()
    before, variable = snapshot.Snapshot([one]), Plain.variable
    one.step()
    one.new = 3
    before.restore()
    assert (one.count, one.items, Plain.variable, hasattr(one, "new")) == (1, [1], variable, False)


def test_slots_have_their_values_again(snapshot):
    one = Slotted()
    before = snapshot.Snapshot([one])
    one.step()
    before.restore()
    assert one.count == 0


@pytest.mark.parametrize(
    "value, change",
    [
        ([1, 2], lambda value: value.append(3)),
        ([1, 2], lambda value: value.clear()),
        ({"a": 1}, lambda value: value.update(a=2, b=3)),
        ({1, 2}, lambda value: value.discard(1)),
        (collections.deque([1, 2], maxlen=2), lambda value: value.append(3)),
        (torch.zeros(2), lambda value: value.add_(1)),
        (np.zeros(2), lambda value: np.add(value, 1, out=value)),
        (SimpleNamespace(a=[1]), lambda value: value.a.append(2)),
        (([],), lambda value: value[0].append(2)),
    ],
    ids=lambda value: type(value).__name__,
)
def test_contents_are_restored_in_place(snapshot, value, change):
    before = snapshot.Snapshot([value])
    described = repr(value)
    change(value)
    assert repr(value) != described and snapshot.Snapshot([value]).digest() != before.digest()
    before.restore()
    assert repr(value) == described and snapshot.Snapshot([value]).digest() == before.digest()


@pytest.mark.parametrize(
    "iterator",
    [
        itertools.count(),
        itertools.count(5, 2),
        itertools.count(0.5),
        iter([1, 2, 3]),
        iter((1, 2, 3)),
        iter(range(9)),
    ],
)
def test_an_iterator_gives_the_same_again(snapshot, iterator):
    holder = {"iterator": iterator}
    next(iterator)
    before = snapshot.Snapshot([holder])
    taken = [next(holder["iterator"]), next(holder["iterator"])]
    for _ in range(2):  # a snapshot serves many times
        before.restore()
        assert [next(holder["iterator"]), next(holder["iterator"])] == taken
    assert snapshot.Snapshot([holder]).digest() != before.digest()


def test_a_list_that_is_only_appended_to_is_a_record(snapshot):
    one, seen = Plain(), []

    def step():
        seen.append(one.step())

    before = snapshot.Snapshot([step])
    step()
    before.restore()
    assert one.items == [] and one.seen == [1] and seen == [1]


def test_a_list_that_is_read_elsewhere_in_the_class_is_no_record(snapshot):
    class Reading(Plain):
        def length(self):
            return len(self.seen)

    one = Reading()
    before = snapshot.Snapshot([one])
    one.step()
    before.restore()
    assert one.seen == []


def test_networks_weights_and_other_libraries_are_not_opened(snapshot):
    network = Linear(2, 2)
    generator = torch.Generator().manual_seed(0)
    found = snapshot.Snapshot(
        [network, generator, torch.zeros(2**22 + 1), torch.empty(2, device="meta"), itertools, np.sum]
    )
    assert not found.ids


def test_attributes_that_code_set_on_a_network_are_saved_but_no_weights(snapshot):
    network = Linear(2, 2)
    network.cache = {"h": 1}
    before, weight = snapshot.Snapshot([snapshot.ModuleAttributes(network)]), network.weight
    network.cache["h"], network.late = 2, 3
    with torch.no_grad():
        weight.add_(1)
    changed = weight.clone()
    before.restore()
    assert network.cache == {"h": 1} and not hasattr(network, "late")
    assert network.weight is weight and torch.equal(weight, changed)


def test_ignored_objects_are_left_alone(snapshot):
    one, other = [1], [1]
    before = snapshot.Snapshot([one, other], ignored=[other])
    one.append(2)
    other.append(2)
    before.restore()
    assert (one, other) == ([1], [1, 2]) and before.ids == {id(one)}


def test_a_function_that_changes_nothing_has_nothing_to_save(snapshot):
    size, name = 3, "x"

    def pure(x):
        return {name: x * size, "sum": np.sum(x)}

    assert not snapshot.Snapshot([pure]).ids


def test_equal_contents_of_other_objects_have_equal_digests(snapshot):
    def digest(count):
        return snapshot.Snapshot([SimpleNamespace(count=count, items=[count], values=torch.ones(2))]).digest()

    assert digest(1) == digest(1) != digest(2)


def test_a_tensor_that_did_not_change_is_not_written(snapshot):
    """Autograd would refuse its backward pass."""
    with torch.inference_mode(False), torch.enable_grad():
        factor, x = torch.ones(2), torch.ones(2, requires_grad=True)
        before = snapshot.Snapshot([factor])
        product = (x * factor).sum()
        before.restore()
        product.backward()
    assert torch.equal(x.grad, factor)


@pytest.mark.parametrize("name", ["code_use", "iterators"])
def test_the_examples_are_right(snapshot, name):
    found = doctest.testmod(getattr(snapshot, name))
    assert found.attempted and not found.failed
