"""`python -m wordsight.runtime` is `wordsight`, for machines whose scripts folder is not on the path."""

from wordsight.runtime.cli import main

main()
