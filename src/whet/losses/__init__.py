"""Pure tensor functions, and the sentence-transformers losses that wrap them."""
