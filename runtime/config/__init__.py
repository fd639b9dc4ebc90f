"""The line's file: what it may say, read and checked, with line and key in each error."""
