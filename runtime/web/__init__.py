"""The page: what a line sees and decides, for people with a browser. See `docs/page.md`."""
