"""The stores: SQLite, MySQL and MariaDB."""
