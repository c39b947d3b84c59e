"""Files that are refused in a sentence."""

import pytest

from pullback_core import faces


def refused(path, reason, load=faces.load_model, what="faces model"):
    with pytest.raises(ValueError, match=f"^'{path.name}' is not a usable {what}: .*{reason}") as caught:
        load(path)
    assert str(caught.value).endswith(".") and "\n" not in str(caught.value) and len(str(caught.value)) < 400
