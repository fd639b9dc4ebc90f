"""What can go wrong in training, each with the exit code that the command line gives it.

    TrainingError                      2   base of all: catch this one
    ├── SettingError                   2   a setting out of range
    ├── EncoderError                   2   no such encoder, or its weights do not fit or cannot be trusted
    │   └── WeightsUnreachable         3   weights that must be downloaded, and cannot be
    ├── HeadFileError                  2   a head file that is absent, damaged, foreign or too new
    ├── OutputError                    2   an output that cannot be written where it is asked for
    └── DeviceAbsent                   3   the machine has no such device

Every message says what was expected, what was found, and what to do.
"""

__all__ = [
    "DeviceAbsent",
    "EncoderError",
    "HeadFileError",
    "OutputError",
    "SettingError",
    "TrainingError",
    "WeightsUnreachable",
]


class TrainingError(Exception):
    """Base of every error that training raises on purpose; `exit_code` is the process's exit code."""

    exit_code = 2


class SettingError(TrainingError):
    """A setting is out of range, or two settings contradict each other."""


class EncoderError(TrainingError):
    """The encoder is unknown, or its weights file is missing, damaged, unsafe or made for another model."""


class WeightsUnreachable(EncoderError):
    """Weights must be downloaded and cannot be: the message names the file to fetch and how to pass it."""

    exit_code = 3


class HeadFileError(TrainingError):
    """A head file is missing, damaged, not ours, or written by a newer Wordsight."""


class OutputError(TrainingError):
    """An output file cannot be written: its folder is missing, or it is a folder itself."""


class DeviceAbsent(TrainingError):
    """The device asked for is not on this machine."""

    exit_code = 3
