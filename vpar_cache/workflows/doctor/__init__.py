"""In: the settings of an extraction. Out: what of this machine, its libraries, the weights, the data and the disk
fits them, and what to do about the rest. Nothing is downloaded; what is written is removed again."""
