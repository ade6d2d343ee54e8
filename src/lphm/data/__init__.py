"""Files and frames to tensors: readers, schemas, targets, splits, batches."""
