"""Red-teaming: which attacks get past a model's alignment, and how bad what it then says is."""
