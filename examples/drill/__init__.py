"""Material for practising by hand: a tabletop exercise, and capture the flag."""
