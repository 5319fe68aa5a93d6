"""In: rows of features. Out: sealed HDF5 shards and an index; and back. Only this package imports h5py."""
