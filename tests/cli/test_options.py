"""The types of the options."""

import argparse
import math

import pytest

from pullback_core.cli import options


@pytest.mark.parametrize(
    "parse, good, bad",
    [
        (options.whole(1, 3), {"1": 1, " 3 ": 3}, ["0", "4", "1.0", "x", ""]),
        (options.COUNT, {"9" * 30: int("9" * 30)}, ["0", "-1", "9" * 5000]),
        (options.SEED, {str(2**64 - 1): 2**64 - 1, str(-(2**63)): -(2**63)}, [str(2**64), "nan"]),
        (options.TIMESTEP, {"1": 1.0, "1e-3": 1e-3}, ["0", "1.001", "nan", "inf", ""]),
        (options.STRENGTH, {"-100": -100.0, "1e-6": 1e-6}, ["0", "101", "1e-7", "nan"]),
        (options.BOOST, {"0": 0.0, "1": 1.0}, ["-0.1", "nan"]),
        (options.jobs, {"-1": -1, "4": 4}, ["0", "1025", "x"]),
        (options.backend, {"loky": "loky"}, ["", " "]),
        (options.prompt, {"": "", "Glasses, smiling": "Glasses, smiling"}, ["galsses"]),
    ],
)
def test_a_type_takes_good_values_and_refuses_others(parse, good, bad):
    assert {text: parse(text) for text in good} == good
    for text in bad:
        with pytest.raises(argparse.ArgumentTypeError) as refused:
            parse(text)
        assert len(str(refused.value)) < 300


@pytest.mark.parametrize("text", ["", " ", "a\0b"])
def test_a_path_has_a_name(text):
    with pytest.raises(argparse.ArgumentTypeError, match="must be the name of a file or a folder"):
        options.path(text)


def test_a_long_value_is_cut_in_a_message():
    assert options.shorten("x" * 61) == repr("x" * 60 + "...") and options.shorten("x" * 60) == repr("x" * 60)


def test_a_real_number_that_is_no_number_is_tested_as_nan():
    seen = []
    parse = options.real("a number", seen.append)
    with pytest.raises(argparse.ArgumentTypeError, match="must be a number, got 'x'"):
        parse("x")
    assert math.isnan(seen[0])
