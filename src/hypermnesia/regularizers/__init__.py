"""What keeps a hypernetwork from changing the weights that it makes for earlier tasks."""

from hypermnesia.regularizers.base import (
    REGULARIZERS,
    OutputRegularizer,
    Parameters,
    Point,
    RegularizerSettings,
    Snapshot,
)
from hypermnesia.regularizers.closed_form import ClosedFormRegularizer
from hypermnesia.regularizers.reference import DirectRegularizer
from hypermnesia.regularizers.sampled import SampledRegularizer

__all__ = [
    "REGULARIZERS",
    "ClosedFormRegularizer",
    "DirectRegularizer",
    "OutputRegularizer",
    "Parameters",
    "Point",
    "RegularizerSettings",
    "SampledRegularizer",
    "Snapshot",
]
