"""Read and write media files, only through PyAV."""
