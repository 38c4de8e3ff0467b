"""Keeping everyone on the road: the audit of code bases, the inventory of models, the guard at load time."""
