"""The options of directions, and the basis that they ask for."""

import pytest
from command_line import SHORT

from pullback_core import PullbackBasis
from pullback_core.cli.main import main


@pytest.mark.parametrize("command", [["edit"], ["over-time", "--timesteps", "0.5"]])
@pytest.mark.parametrize("feature, shape", [("picture", (27, 16, 16)), ("input_3", (96, 8, 8))])
def test_a_basis_is_of_the_feature_that_is_named(command, feature, shape, tmp_path):
    assert main([*command, *SHORT, "--feature", feature, "--out", str(tmp_path)]) == 0
    [file] = tmp_path.glob("*.safetensors")
    basis = PullbackBasis.load(file)
    assert basis.provenance["feature"] == feature and basis.u.shape == (1, *shape)


@pytest.mark.parametrize("command", ["edit", "over-time"])
def test_a_feature_that_is_not_there_is_refused(command, refuse):
    refuse([command, "--feature", "nose"], "choose picture or one of")
