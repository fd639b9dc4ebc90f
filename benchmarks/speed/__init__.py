"""How fast an exported file scores, shaped after MLPerf's edge scenarios, and what limits it."""
