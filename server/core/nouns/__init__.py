"""The stored nouns: one module per noun, with its record and, if it is kept in memory, its collection."""
