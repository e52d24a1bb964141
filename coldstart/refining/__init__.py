"""Refining: LoRA adapters that move the bi-encoder towards what people liked, kept only if they rank better."""
