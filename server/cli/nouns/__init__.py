"""The verbs of the stored nouns: one module per noun.

The module `ice_creams` is the group `clarion ice-creams`. The first line of its docstring is the group's help, and each
of its click commands is a verb, in the order of the file.
"""
