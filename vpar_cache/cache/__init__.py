"""In: rows of features. Out: sealed HDF5 shards and an index; and back, verified. The only package that imports h5py."""
