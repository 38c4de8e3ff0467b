"""The checks: pure functions from Evidence and Policy to a CheckResult."""
