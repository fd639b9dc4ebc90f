"""The paper's tables and figures as data, and ours beside them."""
