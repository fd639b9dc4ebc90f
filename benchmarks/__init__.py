"""Accuracy and speed of the exported file, measured through wordsight.runtime."""
