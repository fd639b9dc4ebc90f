"""Where results go: a table, JSON lines, annotated pictures, a window."""

from wordsight.runtime.sinks.jsonl import ErrorLines, JsonLines
from wordsight.runtime.sinks.result import Decision, Result, Sink, decide

__all__ = ["Decision", "ErrorLines", "JsonLines", "Result", "Sink", "decide"]
