"""The nouns of the REST API: one module per noun. The route table finds every module here."""
