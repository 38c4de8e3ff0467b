"""The gate's own version, written into everything it signs."""

VERSION = "0.1.0"
