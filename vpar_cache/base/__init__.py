"""Files, settings, devices, locks and TOML. Nothing here knows what a tracklet or an attribute is."""
