"""Attributes of people in own pictures and videos, from a trained run. In: files and a run. Out: rows, pages, videos."""
