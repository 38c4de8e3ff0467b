"""Running a gate: what an operator practises and looks after."""
