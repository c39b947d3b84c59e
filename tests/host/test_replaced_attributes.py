"""Attributes that have other values for a while."""

from types import SimpleNamespace

import pytest
import torch
from torch.nn import Linear


@pytest.fixture(scope="module")
def replaced_attributes(comfy_host):
    return comfy_host.adapter.replaced_attributes.replaced_attributes


class Kind:
    inherited = 1


@pytest.mark.parametrize("ending", [None, ValueError, KeyboardInterrupt])
def test_attributes_have_their_values_again(replaced_attributes, ending):
    owner = Kind()
    owner.own = 2
    try:
        with replaced_attributes(owner, own=3, inherited=4, new=5):
            assert (owner.own, owner.inherited, owner.new) == (3, 4, 5)
            if ending:
                raise ending
    except (ValueError, KeyboardInterrupt):
        assert ending
    assert vars(owner) == {"own": 2} and owner.inherited == 1 and not hasattr(owner, "new")


def test_a_value_that_was_set_in_between_is_replaced(replaced_attributes):
    owner = SimpleNamespace(own=1)
    with replaced_attributes(owner, own=2, new=3):
        owner.own = 4
        del owner.new
    assert vars(owner) == {"own": 1}


def test_if_one_attribute_cannot_be_set_the_others_are_restored(replaced_attributes):
    class Refusing(Kind):
        def __setattr__(self, name, value):
            if name == "refused":
                raise TypeError
            super().__setattr__(name, value)

    owner = Refusing()
    owner.own = 1
    with pytest.raises(TypeError), replaced_attributes(owner, own=2, refused=3):
        pass
    assert vars(owner) == {"own": 1}


def test_uses_within_each_other_end_in_order(replaced_attributes):
    owner = SimpleNamespace(own=1)
    with replaced_attributes(owner, own=2):
        with replaced_attributes(owner, own=3):
            assert owner.own == 3
        assert owner.own == 2
    assert owner.own == 1


def test_classes_and_modules_have_attributes_too(replaced_attributes):
    with replaced_attributes(Kind, inherited=2), replaced_attributes(torch, new=3):
        assert Kind().inherited == 2 and torch.new == 3
    assert Kind.inherited == 1 and not hasattr(torch, "new")


def test_parameters_of_a_network_stay_parameters(replaced_attributes):
    layer = Linear(2, 2)
    layer.function = [1]
    before = dict(vars(layer))
    with replaced_attributes(layer, function=[1, 2], other=[3]):
        assert layer.function == [1, 2] and layer.other == [3]
    assert vars(layer) == before
