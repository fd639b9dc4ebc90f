"""The few-shot rivals of the paper's Table 1 beside ours, on the same frames, features and draws."""
