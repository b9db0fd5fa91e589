"""The errors of the stored nouns, with their Chinese texts: one module per noun, found by the table of errors."""
