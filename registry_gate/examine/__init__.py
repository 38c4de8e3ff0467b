"""Runs the readers and the behavioural measurement confined, and validates what they answer."""
