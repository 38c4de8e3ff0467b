"""While MLflow works: no telemetry, no progress bars, no links printed, nothing unpickled or logged."""

from __future__ import annotations

import logging
import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager

# A server that does not answer is given up after about fifteen seconds, not four minutes.
_ENVIRONMENT = {
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "3",
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "DO_NOT_TRACK": "true",
    "MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR": "false",
    "MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT": "true",
    "MLFLOW_ALLOW_PICKLE_DESERIALIZATION": "false",
}
_NOISY = ("mlflow", "alembic", "alembic.runtime.migration", "mlflow.store.db.utils")


# What is restored belongs to the whole process, so that one thread at a time may set it aside.
_QUIET = threading.RLock()


@contextmanager
def quiet() -> Iterator[None]:
    """Keep MLflow and its migrations off the terminal; what was set before is restored."""
    with _QUIET:
        yield from _while_quiet()


def _while_quiet() -> Iterator[None]:
    loggers = [logging.getLogger(name) for name in _NOISY]
    levels = [logger.level for logger in loggers]
    before = {name: os.environ.get(name) for name in _ENVIRONMENT}
    os.environ.update(_ENVIRONMENT)
    try:
        for logger in loggers:
            logger.setLevel(logging.CRITICAL)  # what fails is raised, and told once
        yield
    finally:
        for logger, level in zip(loggers, levels, strict=True):
            logger.setLevel(level)
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value
