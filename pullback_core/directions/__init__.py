"""What can be made of a finished basis: rotated bases, masks, words, mixtures, and edits of known strength."""
