"""The drill: a whole attack, harmless, against a throw-away world, and what each control made of it."""
