"""What a sink proves itself with: from the environment, or from a file; and never where everybody can read it.

WORDSIGHT_<SINK NAME>_<KEY>      comes before
credentials = "broker.secret"    in its table; the file:  key = "..."
"""

import re
from collections.abc import Mapping
from pathlib import Path

from wordsight.runtime.config.secrets import read_secrets
from wordsight.runtime.errors import SettingError
from wordsight.runtime.sinks.registry import SinkContext


def secrets_of(
    context: SinkContext, file: Path | None, keys: tuple[str, ...], environment: Mapping[str, str]
) -> dict[str, str]:
    """Return a sink's secrets: of the environment, WORDSIGHT_<SINK NAME>_<KEY>, or else of its file.

    Raises:
        SettingError: the file is absent, open to others, or holds something else.
    """
    kept = {} if file is None else read_secrets(context.folder / file, keys)
    found = {key: environment.get(f"{variable(context.name)}_{key.upper()}") or kept.get(key) for key in keys}
    return {key: value for key, value in found.items() if value}


def variable(name: str) -> str:
    """Return how names of a sink's environment variables begin: WORDSIGHT_PRESS_3."""
    return "WORDSIGHT_" + re.sub(r"[^A-Z0-9]", "_", name.upper())


def check_encrypted(address: str, host: str, encrypted: bool, allowed: bool) -> None:
    """Refuse to send a secret where everybody can read it.

    Raises:
        SettingError: it would leave this machine without TLS.
    """
    if not (encrypted or allowed or host in ("localhost", "127.0.0.1", "::1")):
        raise SettingError(
            f"expected TLS for an address that is given secrets, got {address}; or allow it by unencrypted = true"
        )
