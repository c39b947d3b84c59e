"""Puts this folder on the path, so that its tests can share modules."""

import os
import sys

sys.path.insert(0, os.path.dirname(__file__))
