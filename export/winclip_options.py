"""What of WinCLIP an export is asked for: which of its options go together. Looked at before torch is started."""

from typing import Any

from wordsight.runtime.errors import SettingError
from wordsight.runtime.manifest import WinclipSpec


def winclip_options(
    winclip: bool, score: bool, temperature: float | None, mean: str | None, templates: int | None
) -> WinclipSpec | None:
    """What was asked for, the rest as in the paper; None where nothing was.

    Raises:
        SettingError: an option without --winclip or --winclip-score, or with another value than it takes.
    """
    if winclip and score:
        raise SettingError("--winclip brings its score with it: leave --winclip-score out")
    given: dict[str, Any] = {}
    known: tuple[tuple[str, object, tuple[object, ...]], ...] = (
        ("temperature", temperature, (0.01, 0.07)),
        ("mean", mean, ("raw", "unit")),
        ("templates", templates, (22, 21)),
    )
    for name, value, values in known:
        if value is None:
            continue
        if not (winclip or score):
            raise SettingError(f"--winclip-{name} goes with --winclip: add it, or leave --winclip-{name} out")
        if value not in values:
            raise SettingError(f"--winclip-{name} takes {' or '.join(map(str, values))}, got {value}")
        given[name] = value
    return WinclipSpec(**given) if given else None
