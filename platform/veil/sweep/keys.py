"""Keys of what a trial reports to its driver."""

NUMBER = "number"
PROGRESS_IMAGES = "progress/images"
FINISHED = "finished"
