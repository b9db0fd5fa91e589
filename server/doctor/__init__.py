"""`clarion-server doctor`: checks an installation, whether its server runs or not."""
