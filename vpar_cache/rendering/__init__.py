"""In: blocks of tables and charts. Out: text, Markdown, CSV, JSON, or one HTML page."""
