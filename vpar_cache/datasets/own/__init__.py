"""Own data: a template, crops of tracks, a page to label them, a check. In: a folder. Out: files, findings."""
