"""In: MARS or DUKE, and the settings of `vpar benchmark`. Out: runs by the recipes of the paper and its authors'
code, their scores beside the published ones, and a small file that can be sent."""
