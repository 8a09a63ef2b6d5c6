"""Compares two answers: `compare.py OURS THEIRS COLUMN...`. Prints nothing where they are equal.

Ours has the questions in order; counts must be equal, other numbers to nine digits.
"""

from __future__ import annotations

import sys

import numpy as np
import pyarrow.parquet as pq

ours, theirs = (pq.read_table(file) for file in sys.argv[1:3])
theirs = theirs.sort_by("question")
ours = ours.sort_by("question")
for name in sys.argv[3:]:
    a = ours[name].to_numpy(zero_copy_only=False).astype(float)
    b = theirs[name].to_numpy(zero_copy_only=False).astype(float)
    if name.startswith(("count", "sum")):
        # No events: some say 0, some null.
        a, b = np.nan_to_num(a), np.nan_to_num(b)
    # Of equal values the deviation is 0; theirs is rounded.
    equal = np.isclose(a, b, rtol=1e-9, atol=1e-4 if name.startswith("stddev") else 0, equal_nan=True)
    if not equal.all():
        place = int(np.argmin(equal))
        print(f"{name}: question {place}: {a[place]} is not {b[place]}; {(~equal).sum()} of {len(equal)} differ")
        break
