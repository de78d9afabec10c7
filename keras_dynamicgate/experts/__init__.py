"""Mixtures of experts of which only the chosen ones are computed, exactly.

- `bank.py`: a bank of experts, what one of them does, and what all of them give.
- `chosen.py`: the weighted sum of the chosen experts, by backend.
- `tiles.py`: a compiled loop over tiles of tokens that have chosen the same expert.
- `eager_loop.py`: a loop over the chosen experts, on PyTorch.
"""
