"""Plans compared by the cycle model: a pure question, answers kept on disk, a search."""

from tiledsl.tuning.model import Answer, Choice, Subject, predict
from tiledsl.tuning.searching import Search, search

__all__ = ["Answer", "Choice", "Search", "Subject", "predict", "search"]
