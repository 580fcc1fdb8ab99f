"""The report's templates; a package so that they are installed with llamabench."""
