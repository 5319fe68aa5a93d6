"""Files, settings, devices, locks and TOML: nothing in here knows what a tracklet or an attribute is."""
