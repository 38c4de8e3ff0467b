"""Keys, statements, signing and verification; the only folder that speaks DSSE, in-toto and Model Signing."""
