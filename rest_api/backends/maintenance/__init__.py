"""Keeps Delta tables in shape: few files, a short log, and no files of versions that are not kept."""
