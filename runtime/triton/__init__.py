"""Model repositories for Triton: one exported file as a model that many lines share; `docs/triton.md` tells how."""
