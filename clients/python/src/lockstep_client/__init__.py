"""Features, predictions and pushes of a Lockstep server. Start with `Client`."""

from ._version import __version__
from .answers import BatchPredictions, BatchRow, Features, Outcomes, Predictions, Pushed, Table
from .client import Client
from .errors import (
    BadAnswerError,
    ConflictError,
    DeadlineExceededError,
    ForbiddenError,
    InvalidRequestError,
    LockstepError,
    NetworkError,
    NotFoundError,
    ServerError,
    UnauthenticatedError,
    UnavailableError,
)

__all__ = [
    "BadAnswerError",
    "BatchPredictions",
    "BatchRow",
    "Client",
    "ConflictError",
    "DeadlineExceededError",
    "Features",
    "ForbiddenError",
    "InvalidRequestError",
    "LockstepError",
    "NetworkError",
    "NotFoundError",
    "Outcomes",
    "Predictions",
    "Pushed",
    "ServerError",
    "Table",
    "UnauthenticatedError",
    "UnavailableError",
    "__version__",
]
