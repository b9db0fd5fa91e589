"""The tables of the stored nouns: one module per noun. The registry of tables finds every module here."""
