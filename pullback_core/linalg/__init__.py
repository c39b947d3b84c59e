"""Linear algebra on tensors: Jacobian products, singular triplets, subspaces."""
