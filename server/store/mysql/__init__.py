"""The store on MySQL or MariaDB."""
