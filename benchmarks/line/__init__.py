"""Figures of the line: what its loop costs beside the engine, and how it does over hours."""
