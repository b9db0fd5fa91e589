"""Pages of the reference that are tables in the code: one function per page, which returns the page's text."""
