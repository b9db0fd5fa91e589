"""One module of the noun, as in the folder of the product with this name."""
