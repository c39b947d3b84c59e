"""Random parameters of faces."""

import pytest
import torch

from pullback_core.faces.parameters import DATA, NAMES, sample_parameters


def test_simpler_data_vary_in_what_they_say_alone():
    values = sample_parameters(200, torch.Generator().manual_seed(0), "expressions")
    varying = {name for name, deviation in zip(NAMES, values.std(dim=0).tolist()) if deviation > 1e-6}
    assert varying == set(DATA["expressions"])
    with pytest.raises(ValueError, match="expressions"):
        sample_parameters(1, data="cats")
