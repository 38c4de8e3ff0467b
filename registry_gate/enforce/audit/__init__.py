"""Static analysis of a code base for ways round the road; nothing that is read is ever imported or run."""
