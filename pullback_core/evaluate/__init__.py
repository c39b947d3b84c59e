"""Do the directions mean anything? Attributes that a regressor reads from edited faces, for every method."""
