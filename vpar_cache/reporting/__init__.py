"""From run folders to tables, pages and charts: what `vpar report` and `vpar score` print."""
