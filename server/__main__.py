"""`python -m server` is `clarion-server`."""

from __future__ import annotations

from server.admin.entry import main

if __name__ == "__main__":
    main()
