"""The `Denoiser` of UNet pipelines of Hugging Face's diffusers."""
