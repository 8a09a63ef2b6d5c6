"""The client runs in Feast's environment, not in that of the tests."""

collect_ignore = ["client.py"]
