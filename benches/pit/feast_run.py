"""Feast, with the repository that `apply.py` made for `--store duckdb` or `file`, its default."""

from __future__ import annotations

import pandas
from feast import FeatureStore

from measured import run


def training_set(case: dict, options: dict):
    """Returns the training set as an Arrow table."""
    store = FeatureStore(repo_path=f"{case['folder']}/feast_{options['store']}")
    features = [f"{view['name']}:{name}" for view in case["views"] for name in view["features"]]
    questions = pandas.read_parquet(case["questions_file"])
    return store.get_historical_features(entity_df=questions, features=features).to_arrow()


run(training_set)
