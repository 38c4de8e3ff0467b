"""From facts to staged weights: which set to carry, the one loop that copies it, and what it measures."""
