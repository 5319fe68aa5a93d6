"""Data of your own: a template to fill, cutting crops into it, a page to label them, and its check."""
