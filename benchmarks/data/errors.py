"""What can be wrong with a data set. Each names the file, what was expected and what was found; exit code 2.

Their bases are the runtime's:

    WordsightError
    ├── SourceError
    │   ├── LayoutError        the folder is missing, empty, or laid out otherwise
    │   │   └── OneLabelError  a class has good pictures only, or defective ones only
    │   ├── ListError          a csv lacks columns, holds another value than it may, or names absent files
    │   └── LeakError          the same picture in train and in test
    └── MaskError              a mask cannot be read, is missing, or is of another size than its picture
"""

from wordsight.runtime.errors import SourceError, WordsightError


class LayoutError(SourceError):
    """A folder is missing, empty, or not laid out as expected."""


class OneLabelError(LayoutError):
    """A class with good pictures only, or defective ones only: nothing can be told apart."""


class ListError(SourceError):
    """A csv that lists pictures cannot be used."""


class LeakError(SourceError):
    """Pictures that are in train and in test alike.

    Attributes:
        pairs: the names, (in train, in test), of all of them; the message shows the first.
    """

    def __init__(self, message: str, pairs: list[tuple[str, str]]) -> None:
        """Keep all names beside the message."""
        super().__init__(message)
        self.pairs = pairs


class MaskError(WordsightError):
    """A mask that cannot be used."""
