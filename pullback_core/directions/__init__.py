"""What can be made of a finished basis: rotated bases, masks, words, mixtures, known strengths."""
