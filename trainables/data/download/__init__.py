"""Public data sets from where they are published: catalogue, download, unpacking, command."""
