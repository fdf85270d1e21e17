"""`secagg run`: a training of the user's own model that survives crashes, from a TOML file to the model."""
