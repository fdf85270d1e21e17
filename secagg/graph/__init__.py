"""Who shares secrets with whom: the ring of neighbours, and the certificate that it is safe and survives dropouts."""

from secagg.graph.certificate import Bound, Certificate
from secagg.graph.choosing import SMALL_COHORT, certify, choose
from secagg.graph.ring import Graph

__all__ = ["SMALL_COHORT", "Bound", "Certificate", "Graph", "certify", "choose"]
