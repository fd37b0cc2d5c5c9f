"""Parameters on disk: safetensors and config.json, read and written strictly."""
