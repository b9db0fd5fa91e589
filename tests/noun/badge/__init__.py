"""A noun that exists in tests only, laid out as docs/design/nouns.md says: no list of the product names it."""
