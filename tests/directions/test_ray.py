"""The search for a length whose number is wanted."""

import math

import pytest

from pullback_core.directions.ray import Ray


def searched(function, wanted, rounds, slope=1.0):
    ray = Ray(slope)
    for _ in range(rounds):
        length = ray.guess(wanted)
        ray.add(length, function(length))
    return ray


def test_the_first_guess_follows_the_slope():
    assert Ray(4.0).guess(2.0) == 0.5


@pytest.mark.parametrize("power", [0.5, 1.0, 3.0])
def test_powers_are_found(power):
    def function(length):
        return 5 * length**power

    length, number = searched(function, 2.0, rounds=6).nearest(2.0)
    assert number == pytest.approx(2.0, rel=0.05)
    assert length == pytest.approx((2 / 5) ** (1 / power), rel=0.1)


def test_between_two_lengths_a_power_is_met_at_once():
    ray = Ray(1.0)
    for length in (1.0, 4.0):
        ray.add(length, 3 * length**2)
    assert ray.guess(12.0) == pytest.approx(2.0)


def test_a_length_grows_and_shrinks_in_bounds():
    small, large = Ray(1.0), Ray(1.0)
    small.add(1.0, 0.01)
    large.add(1.0, 100.0)
    assert small.guess(1.0) == 2.0 and large.guess(1.0) == 0.25


def test_the_first_passage_counts():
    ray = Ray(1.0)
    for length, number in ((1.0, 0.5), (2.0, 2.0), (3.0, 0.5), (4.0, 2.0)):
        ray.add(length, number)
    assert 1 < ray.guess(1.0) < 2


def test_a_jump_is_not_passed():
    def jump(length):
        return 0.6 * length if length < 1.2 else 5.0 + length

    length, number = searched(jump, 1.0, rounds=5).nearest(1.0)
    assert length < 1.2 and 0.5 < number < 0.75
    far = Ray(1.0)
    far.add(1.0, 7.0)
    assert far.nearest(1.0) == (1.0, 7.0)


@pytest.mark.parametrize("number", [math.nan, math.inf])
def test_numbers_that_are_not_finite_count_as_too_large(number):
    ray = Ray(1.0)
    ray.add(0.5, 0.4)
    ray.add(1.0, number)
    assert 0.5 < ray.guess(1.0) < 1
    assert ray.nearest(1.0) == (0.5, 0.4)


def test_numbers_of_zero_lead_farther():
    ray = Ray(1.0)
    ray.add(1.0, 0.0)
    assert ray.guess(1.0) == 2.0
    ray.add(2.0, 4.0)
    assert ray.guess(1.0) == math.sqrt(2)
    assert ray.nearest(1.0) == (1.0, 0.0)


def test_what_is_known():
    ray = Ray(1.0)
    ray.add(1.0, 0.97)
    assert ray.knows(1.0, 0.05) and not ray.knows(1.1, 0.05)


def test_the_longest_length_within_a_limit():
    ray = Ray(1.0)
    assert not ray.measured()
    for length, number in ((1.0, 0.1), (2.0, 0.2), (3.0, 0.5), (4.0, 0.1)):
        ray.add(length, number)
    assert ray.measured() and ray.longest_within(0.3) == 2.0 and ray.longest_within(0.05) == 1.0
