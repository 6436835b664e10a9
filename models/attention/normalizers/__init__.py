"""Normalizers: from a query's scores to weights. Importing the package registers all of them."""

from saccade.models.attention.normalizers.entmax15 import Entmax15
from saccade.models.attention.normalizers.gumbel_softmax import GumbelSoftmax
from saccade.models.attention.normalizers.hard import Hard
from saccade.models.attention.normalizers.normalizer import Normalizer
from saccade.models.attention.normalizers.sigmoid import Sigmoid
from saccade.models.attention.normalizers.silu import SiLU
from saccade.models.attention.normalizers.softmax import Softmax
from saccade.models.attention.normalizers.sparsemax import Sparsemax

__all__ = ["Entmax15", "GumbelSoftmax", "Hard", "Normalizer", "SiLU", "Sigmoid", "Softmax", "Sparsemax"]
