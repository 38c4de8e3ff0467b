"""Every figure the README quotes: `make bench`."""
