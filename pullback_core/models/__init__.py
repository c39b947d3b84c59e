"""What a diffusion model is to every algorithm, and the models that are known."""
