"""Reports in strict JSON."""

import json
import math
from collections.abc import Mapping
from typing import Any


def report_bytes(report: Mapping[str, Any]) -> bytes:
    """Write a report as JSON that every parser can read.

    JSON has no infinity and no NaN, so a number that is not finite becomes null. Examples are the PSNR of a
    round trip without any error, and a statistic of too few samples.

    Args:
        report: Dicts, lists, texts and numbers.

    Returns:
        The JSON text as bytes.
    """
    return json.dumps(_with_nulls(report), indent=2, allow_nan=False).encode()


def _with_nulls(value: Any) -> Any:
    """Replace every number that is not finite by None."""
    if isinstance(value, dict):
        return {name: _with_nulls(part) for name, part in value.items()}
    if isinstance(value, list | tuple):
        return [_with_nulls(part) for part in value]
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value
