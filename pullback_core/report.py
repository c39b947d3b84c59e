"""Reports as strict JSON."""

import json
import math


def report_bytes(report):
    """A report of dicts, lists, texts and numbers as JSON that every parser reads.

    JSON has no infinity and no NaN, so a number that is unknown or not finite becomes null: the PSNR of a round trip without
    any error, or a statistic of too few samples.
    """
    return json.dumps(_known(report), indent=2, allow_nan=False).encode()


def _known(value):
    if isinstance(value, dict):
        return {name: _known(part) for name, part in value.items()}
    if isinstance(value, list | tuple):
        return [_known(part) for part in value]
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value
