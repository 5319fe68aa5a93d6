"""Attributes of people in own pictures and videos. In: a trained run and files. Out: tables, pages, videos."""
