"""``registry-gate doctor``: an installation tries itself, from the sandbox to the clock, and says what held.

A probe is a function and a frozen value; ``run.PROBES`` lists them. A probe tries the real thing: the sandbox
is attacked from inside, the canaries go through the real scan, the registry's bytes are verified.
"""
