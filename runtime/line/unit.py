"""The unit that systemd, or Podman's generator for it, runs a line's file by."""

from pathlib import Path

from wordsight.runtime.errors import SettingError

WATCHDOG_S = 60
"""Without an engine step for so long, the process is killed and started anew."""

_SERVICE = """\
# Written by: wordsight deploy {shown}
[Unit]
Description=Wordsight, line file {shown}
Wants=network-online.target
After=network-online.target
StartLimitIntervalSec=600
StartLimitBurst=20

[Service]
# Ready only when the engine stands and the golden frame scored as the manifest says.
Type=notify
ExecStart={command}
ExecReload=kill -HUP $MAINPID
WorkingDirectory={folder}
User={user}
# User and password of cameras: WORDSIGHT_<LINE>_USER and _PASSWORD; mode 0600.
EnvironmentFile=-/etc/wordsight/{name}.env
Environment=PYTHONUNBUFFERED=1
WatchdogSec={watchdog}
TimeoutStartSec=1800
TimeoutStopSec=15
KillMode=mixed
Restart=on-failure
RestartSec=5
# 2: the file is wrong, and starting again does not mend it.
RestartPreventExitStatus=2
NoNewPrivileges=yes
PrivateTmp=yes
ProtectSystem=full

[Install]
WantedBy=multi-user.target
"""

_CONTAINER = """\
# Written by: wordsight deploy {shown} --container
[Unit]
Description=Wordsight, line file {shown}
Wants=network-online.target
After=network-online.target

[Container]
Image={image}
# The same path inside as outside: the file's relative paths, and what the status tells, are then right in both.
Volume={folder}:{folder}
WorkingDir={folder}
Exec=run --config {file}
EnvironmentFile=/etc/wordsight/{name}.env
Network=host
Notify=true
StopSignal=SIGTERM
StopTimeout=15
# Jetson: AddDevice=nvidia.com/gpu=all    USB camera: AddDevice=/dev/video0

[Service]
WatchdogSec={watchdog}
TimeoutStartSec=1800
Restart=on-failure
RestartSec=5
RestartPreventExitStatus=2

[Install]
WantedBy=multi-user.target
"""


def service_unit(file: Path, python: Path, user: str) -> str:
    """Return the text of NAME.service.

    Args:
        file: the line's file, absolute.
        python: the interpreter that Wordsight is installed for.
        user: whom it runs as.

    Raises:
        SettingError: a path or name that no unit can hold.
    """
    words = [str(python), "-m", "wordsight.runtime", "run", "--config", str(file)]
    return _SERVICE.format(
        shown=_plain(file.name), command=" ".join(map(_quoted, words)), folder=_plain(str(file.parent)),
        user=_plain(user), name=_plain(file.stem), watchdog=WATCHDOG_S,
    )  # fmt: skip


def container_unit(file: Path, image: str) -> str:
    """Return the text of NAME.container, from which Podman makes a service.

    Args:
        file: the line's file, absolute.
        image: name of the container image.

    Raises:
        SettingError: a path or name that no unit can hold.
    """
    if ":" in str(file.parent):
        raise SettingError(f"expected a folder without a colon, which separates a volume's parts, got {file.parent}")
    return _CONTAINER.format(
        shown=_plain(file.name), image=_plain(image), folder=_plain(str(file.parent)), file=_quoted(file.name),
        name=_plain(file.stem), watchdog=WATCHDOG_S,
    )  # fmt: skip


def _plain(text: str) -> str:
    if not text.isprintable():
        raise SettingError(f"expected a path or name of printable characters, got {text!r}")
    return text.replace("%", "%%")


def _quoted(word: str) -> str:
    escaped = _plain(word).replace("\\", "\\\\").replace('"', '\\"').replace("$", "$$")
    return f'"{escaped}"' if escaped != word or " " in word or "'" in word else word
