"""Calls in the shape that other tools' users know, which verify first. Imports nothing heavy by itself."""
