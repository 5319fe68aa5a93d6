"""The frozen networks: one file for each library that brings some, behind the same two faces."""
