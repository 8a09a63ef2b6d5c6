"""Lodestore, with the repository that `apply.py` made.

`--frame arrow` gives it the questions as an Arrow table, `path` as the path of their file.
"""

from __future__ import annotations

import pyarrow.parquet as pq
from lodestore import FeatureStore

from measured import run


def training_set(case: dict, options: dict):
    """Returns the training set as an Arrow table."""
    store = FeatureStore(repo_path=f"{case['folder']}/lodestore")
    features = [f"{view['name']}:{name}" for view in case["views"] for name in view["features"]]
    file = case["questions_file"]
    # Not `read_table`, which imports much that a plain file does not need.
    questions = file if options["frame"] == "path" else pq.ParquetFile(file).read()
    return store.get_historical_features(entity_df=questions, features=features).to_arrow()


run(training_set)
