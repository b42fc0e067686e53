"""Keys of what a trial reports to its driver."""

NUMBER = "number"
SAMPLED = "sampled"
PROGRESS_IMAGES = "progress/images"
FINISHED = "finished"
