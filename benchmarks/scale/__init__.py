"""What runs beyond one machine: a real Triton server on loopback, and what it costs to score through one."""
