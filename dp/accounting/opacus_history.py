"""What Opacus did, as events: its accountants keep a history of steps, and that is all that is needed.

`PrivacyEngine.accountant.history` is a list of (noise multiplier, sample rate, steps). Opacus samples every example
with the same probability, independently (Poisson), and its figures are for add/remove of one example.
"""

from collections.abc import Iterable

from dp.checks import check_count, check_real, check_sequence
from dp.errors import InvalidParameterError
from dp.events import Composed, Event, Gaussian, NonPrivate, PoissonSampled
from dp.vocabulary import Relation, Unit

__all__ = ["from_opacus"]


def from_opacus(history: Iterable[tuple[float, float, int]], unit: Unit = Unit.EXAMPLE) -> Composed:
    """Returns the event of a whole training run.

    Args:
        history: triples of noise multiplier, sample rate and steps. A noise multiplier of 0 is no privacy at all.
        unit: what one row of the data loader is; `Unit.CLIENT` if all rows of one client are one example.

    Returns:
        The composition, equal steps counted together.

    Raises:
        InvalidParameterError: there is no step, there are more different ones than one event can have, or an entry is
            not such a triple; it is named by its place.
    """
    counts: dict[Event, int] = {}
    steps_made = check_sequence("history", history, allowed="a list of steps, such as an Opacus accountant's history")
    for place, entry in enumerate(steps_made):
        name = f"history[{place}]"
        if not isinstance(entry, tuple | list) or len(entry) != 3:
            raise InvalidParameterError(name, entry, "a noise multiplier, a sample rate and a number of steps")
        noise_multiplier = check_real(f"{name}.noise_multiplier", entry[0], low=0.0)
        sample_rate = check_real(f"{name}.sample_rate", entry[1], low=0.0, high=1.0)
        steps = check_count(f"{name}.steps", entry[2])
        event: Event = NonPrivate(Relation.ADD_REMOVE, unit)
        if noise_multiplier > 0:
            event = PoissonSampled(sample_rate, Gaussian(noise_multiplier, Relation.ADD_REMOVE, unit))
        if steps:
            counts[event] = counts.get(event, 0) + steps
    if not counts:
        raise InvalidParameterError("history", [], "at least one step")
    try:
        return Composed(tuple(counts.items()))
    except InvalidParameterError as error:
        found = f"{len(counts)} different steps, {sum(counts.values())} in all"
        allowed = f"{error.allowed}: split it, and compose or record the parts one after another"
        raise InvalidParameterError("history", found, allowed) from None
