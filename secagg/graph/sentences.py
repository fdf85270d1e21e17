"""The conditions in words, for the person who reads a certificate."""

from secagg.graph.conditions import Setting

__all__ = ["in_words"]


def in_words(condition: str, setting: Setting, *, neighbours: int, threshold: int) -> str:
    """Returns what it means that a condition holds.

    Args:
        condition: its name, as in `secagg.graph.conditions`.
        setting: what is assumed.
        neighbours: k.
        threshold: t.
    """
    if condition == "private":
        return _private(setting, neighbours, threshold)
    if condition == "alive":
        return _alive(setting, neighbours, threshold)
    return _uncut(setting, neighbours, threshold)


def _uncut(setting: Setting, neighbours: int, threshold: int) -> str:
    n, half = setting.densest(neighbours), neighbours // 2
    if setting.complete(neighbours):
        return f"All {setting.largest} clients are each other's neighbours, so nobody can be cut off."
    if not setting.active:
        return (
            f"With {setting.corrupt} corrupt and {setting.dropped} vanished of {setting.largest}, the honest clients "
            "that stay form one component."
        )
    return (
        f"With {setting.corrupt} corrupt of {n}, no two disjoint runs of {half} clients hold {threshold - half} of "
        "them each, with which a server that declares clients dropped could cut an arc off."
    )


def _private(setting: Setting, neighbours: int, threshold: int) -> str:
    n = setting.densest(neighbours)
    opening, kinds = setting.opening(neighbours, threshold=threshold), "2t - k" if setting.active else "t"
    return (
        f"With {setting.corrupt} corrupt of {n}, no client has {kinds} = {opening} of them as neighbours, who could "
        "open its secrets."
    )


def _alive(setting: Setting, neighbours: int, threshold: int) -> str:
    fewest = setting.fewest_survivors(neighbours, threshold=threshold)
    return (
        f"With {setting.dropped} vanished of {setting.largest}, every neighbourhood keeps the {threshold} members that "
        f"recovery needs, and at least {fewest} clients stay in all."
    )
