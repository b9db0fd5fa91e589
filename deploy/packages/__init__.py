"""Builds the installable artefacts: deb and rpm packages, the one-file agent, repositories and container images."""
